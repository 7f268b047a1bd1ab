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
const TIMEOUT: Span = Span::secs(10);
/// The longest argument, and the most bytes of all together.
const LONGEST: usize = 4096;

/// The words for whose rights something has.
pub(super) struct Whose {
    /// What never has root's, up to "the rights of".
    pub(super) what: &'static str,
    /// Whom to name instead.
    pub(super) name: &'static str,
    /// Where that name must be.
    pub(super) place: &'static str,
}

const WHOSE: Whose = Whose {
    what: "a hook never has",
    name: "name the account that the component runs as",
    place: "a hook\'s user must be in that file by name: accounts of a directory service are not seen",
};

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
        self.unprivileged(key, name, &WHOSE)
    }

    /// An account that is not root's.
    pub(super) fn unprivileged(&mut self, key: &Key, name: &str, whose: &Whose) -> Option<String> {
        match self.accounts.users.get(name) {
            Some(0) => {
                let message =
                    format!("{} the rights of \"{}\", which is root", whose.what, shorten(name));
                let help = format!("{}, or make one for it: useradd --system NAME", whose.name);
                let issue = ConfigIssue::error(Code::HookUser, message).help(help);
                self.report(issue, key, "uid 0");
                None
            }
            Some(_) => Some(name.to_owned()),
            None => {
                let message = format!("no user \"{}\" in /etc/passwd", shorten(name));
                let issue = ConfigIssue::error(Code::UnknownAccount, message).help(whose.place);
                self.report(issue, key, "not there");
                None
            }
        }
    }
}
