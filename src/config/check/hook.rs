//! A component's hook: a program with arguments, and whose rights it has.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::raw;
use crate::config::suggest::shorten;
use crate::model::{Hook, Level};
use crate::units::Span;
use std::path::Path;

/// How long a hook may take unless configured.
pub(super) const TIMEOUT: Span = Span::secs(10);
/// The longest argument, and the most bytes of all together.
const LONGEST: usize = 4096;

impl Check<'_> {
    /// The hook; `None` when what it calls or whose rights it has could not be read.
    pub(super) fn hook(&mut self, key: &Key, raw: &raw::Hook) -> Option<Hook> {
        let range = Span::secs(1)..=Span::secs(60);
        let timeout = self.duration(&key.then("timeout"), raw.timeout.as_ref(), range);
        let command = self.hook_command(&key.then("command"), &raw.command);
        let user = self.hook_user(&key.then("user"), &raw.user);
        let from = match raw.from {
            None | Some(raw::HookLevel::Warning) => Level::Warning,
            Some(raw::HookLevel::Critical) => Level::Critical,
            Some(raw::HookLevel::Emergency) => Level::Emergency,
        };
        Some(Hook { command: command?, user: user?, timeout: timeout.unwrap_or(TIMEOUT), from })
    }

    pub(super) fn hook_command(&mut self, key: &Key, command: &[String]) -> Option<Vec<String>> {
        let Some(program) = command.first() else {
            let issue = ConfigIssue::error(Code::HookCommand, "a hook that calls nothing")
                .help("write the program and its arguments: [\"/usr/bin/pkill\", \"-USR1\", \"-x\", \"app\"]");
            self.report(issue, key, "empty");
            return None;
        };
        let bytes: usize = command.iter().map(String::len).sum();
        if bytes > LONGEST || command.iter().any(|word| word.contains('\0')) {
            let message =
                format!("a hook's command of more than {LONGEST} bytes, or with a zero byte");
            let issue = ConfigIssue::error(Code::HookCommand, message)
                .help("put what it does into a script, and name that");
            self.report(issue, key, "cannot be executed");
            return None;
        }
        let place = self.item(key, 0);
        let path = Path::new(program);
        if !path.is_absolute() {
            let message = format!("\"{}\" is not an absolute path", shorten(program));
            let issue = ConfigIssue::error(Code::RelativePath, message)
                .help("a hook is started without a shell and without PATH: write where the program is, such as \"/usr/bin/pkill\"");
            self.report(issue, &place, "starts without \"/\"");
            return None;
        }
        if let Err(why) = (self.host.check_program)(path) {
            let message =
                format!("the hook\'s program {} cannot be started: {why}", shorten(program));
            let issue = ConfigIssue::warning(Code::HookProgram, message).help(
                "install it, make it executable for everybody (chmod 755), or correct the path",
            );
            self.report(issue, &place, "not a program now");
        }
        Some(command.to_vec())
    }

    pub(super) fn hook_user(&mut self, key: &Key, name: &str) -> Option<String> {
        match self.accounts.users.get(name) {
            Some(0) => {
                let message =
                    format!("a hook never has the rights of \"{}\", which is root", shorten(name));
                let issue = ConfigIssue::error(Code::HookUser, message)
                    .help("name the account that the component runs as, or make one for it: useradd --system NAME");
                self.report(issue, key, "uid 0");
                None
            }
            Some(_) => Some(name.to_owned()),
            None => {
                let message = format!("no user \"{}\" in /etc/passwd", shorten(name));
                let issue = ConfigIssue::error(Code::UnknownAccount, message)
                    .help("a hook\'s user must be in that file by name: accounts of a directory service are not seen");
                self.report(issue, key, "not there");
                None
            }
        }
    }
}
