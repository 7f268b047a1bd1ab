//! What belongs to a component: globs, regular expressions, accounts, and units that nobody may claim.

use super::{Check, MAX_PATTERNS};
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::{Content, Key};
use crate::config::policy::{Glob, Pattern, Rule};
use crate::config::protected::is_protected_unit;
use crate::config::raw::{self, OneOrMany};
use crate::config::suggest::shorten;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The longest glob or regular expression: what a path may be long.
const LONGEST_PATTERN: usize = 4096;
/// The most memory that a compiled regular expression may take, in bytes.
const REGEX_BYTES: usize = 1 << 20;
/// Kinds of units that have a cgroup.
const UNIT_KINDS: [&str; 6] = [".service", ".scope", ".slice", ".socket", ".mount", ".swap"];

/// What the text of a glob must look like.
#[derive(Debug, Clone, Copy)]
enum GlobKind {
    Unit,
    Cgroup,
    Container,
    Executable,
}

impl Check<'_> {
    /// The rules that could be read.
    pub(super) fn rules(&mut self, component: &Key, raw: &raw::Component) -> Vec<Rule> {
        let key = component.then("match");
        let Some(written) = &raw.rules else {
            if self.complete && self.merged.node(&key).is_none() {
                let name = component.0.last().map_or("", String::as_str);
                let message =
                    format!("component \"{}\" does not say what belongs to it", shorten(name));
                let place = self.merged.key_place(component);
                self.issues.push(
                    ConfigIssue::error(Code::MissingKey, message)
                        .mark(place, "no `match`")
                        .help("add a line such as: match = { unit = \"nginx.service\" }"),
                );
            }
            return Vec::new();
        };
        if self.is_empty(&key) {
            let issue = ConfigIssue::error(Code::EmptyMatch, "`match` without conditions")
                .help("add a condition such as unit = \"nginx.service\"");
            self.report(issue, &key, "matches nothing");
            return Vec::new();
        }
        let mut rules = Vec::new();
        for (number, raw) in written.values.iter().enumerate() {
            let key = self.item(&key, number);
            if written.listed && self.is_empty(&key) {
                let issue = ConfigIssue::error(Code::EmptyMatch, "a rule without conditions")
                    .help("remove it, or add a condition such as unit = \"nginx.service\"");
                self.report(issue, &key, "matches nothing");
                continue;
            }
            rules.push(self.rule(&key, raw));
        }
        rules
    }

    /// Whether the list or table of `key` holds nothing, not even something unusable.
    fn is_empty(&self, key: &Key) -> bool {
        match self.merged.node(key).map(|node| &node.content) {
            Some(Content::Table(entries)) => entries.is_empty(),
            Some(Content::Array(items)) => items.is_empty(),
            Some(_) | None => false,
        }
    }

    fn rule(&mut self, key: &Key, raw: &raw::Match) -> Rule {
        let mut rule = Rule {
            unit: self.pattern(&key.then("unit"), raw.unit.as_ref(), GlobKind::Unit),
            cgroup: self.pattern(&key.then("cgroup"), raw.cgroup.as_ref(), GlobKind::Cgroup),
            container: self.pattern(
                &key.then("container"),
                raw.container.as_ref(),
                GlobKind::Container,
            ),
            exe: self.pattern(&key.then("exe"), raw.exe.as_ref(), GlobKind::Executable),
            parent: self.pattern(&key.then("parent"), raw.parent.as_ref(), GlobKind::Executable),
            cmdline: self.regex(&key.then("cmdline"), raw.cmdline.as_ref()),
            users: self.accounts(&key.then("user"), raw.user.as_ref(), "user"),
            groups: self.accounts(&key.then("group"), raw.group.as_ref(), "group"),
            pidfile: self.pidfile(&key.then("pidfile"), raw.pidfile.as_ref()),
            specificity: 0,
        };
        let conditions = [
            rule.unit.is_some(),
            rule.cgroup.is_some(),
            rule.container.is_some(),
            rule.exe.is_some(),
            rule.parent.is_some(),
            rule.cmdline.is_some(),
            rule.users.is_some(),
            rule.groups.is_some(),
            rule.pidfile.is_some(),
        ];
        rule.specificity = conditions.into_iter().map(u32::from).sum();
        rule
    }

    fn pattern(
        &mut self,
        key: &Key,
        raw: Option<&OneOrMany<raw::Glob>>,
        kind: GlobKind,
    ) -> Option<Pattern> {
        let raw = raw?;
        if self.is_empty(key) {
            self.empty_list(key);
        }
        let mut pattern = Pattern::default();
        for (number, glob) in raw.values.iter().enumerate() {
            let key = self.item(key, number);
            let text = match kind {
                GlobKind::Unit => self.unit(&key, &glob.0),
                GlobKind::Cgroup => self.cgroup(&key, &glob.0),
                GlobKind::Container => self.container(&key, &glob.0),
                GlobKind::Executable => self.executable(&key, &glob.0),
            };
            let compiled = text.and_then(|text| self.glob(&key, &text));
            pattern.globs.extend(compiled);
        }
        Some(pattern)
    }

    fn empty_list(&mut self, key: &Key) {
        let name = key.0.last().map_or("", String::as_str).to_owned();
        let issue = ConfigIssue::error(Code::EmptyMatch, format!("`{name}` lists nothing"))
            .help("an empty list can never match; remove the key, or add a value");
        self.report(issue, key, "empty");
    }

    pub(super) fn glob(&mut self, key: &Key, text: &str) -> Option<Glob> {
        if text.is_empty() {
            let issue = ConfigIssue::error(Code::EmptyMatch, "an empty glob can never match")
                .help("remove it, or write \"*\" for everything");
            self.report(issue, key, "empty");
            return None;
        }
        if !self.may_compile(key, text) {
            return None;
        }
        match Glob::new(text) {
            Ok(glob) => Some(glob),
            Err(error) => {
                let message = format!("\"{}\" is not a glob: {}", shorten(text), error.kind());
                let issue = ConfigIssue::error(Code::BadGlob, message)
                    .help("`[*]` stands for a star, `[[]` for a bracket");
                self.report(issue, key, "");
                None
            }
        }
    }

    /// Whether one more pattern of this length is within the bounds.
    fn may_compile(&mut self, key: &Key, text: &str) -> bool {
        self.patterns += 1;
        let message = if text.len() > LONGEST_PATTERN {
            format!("a pattern of more than {LONGEST_PATTERN} bytes")
        } else if self.patterns == MAX_PATTERNS + 1 {
            format!("more than the {MAX_PATTERNS} patterns that are kept")
        } else {
            return self.patterns <= MAX_PATTERNS;
        };
        let issue = ConfigIssue::error(Code::TooLarge, message);
        self.report(issue, key, "too much");
        false
    }

    fn unit(&mut self, key: &Key, text: &str) -> Option<String> {
        if has_wildcard(text) || text.is_empty() {
            return Some(text.to_owned());
        }
        if !UNIT_KINDS.iter().any(|kind| text.ends_with(kind)) {
            let shown = shorten(text);
            let message = format!("\"{shown}\" is not the whole name of a unit with a cgroup");
            let stem = shown.split('/').next_back().unwrap_or_default();
            let issue = ConfigIssue::error(Code::UnitName, message)
                .help(format!("write its kind as well, such as \"{stem}.service\""));
            self.report(issue, key, "no kind of unit at its end");
            return None;
        }
        self.not_protected(key, text).then(|| text.to_owned())
    }

    /// Whether the unit may be claimed.
    fn not_protected(&mut self, key: &Key, unit: &str) -> bool {
        let message = || format!("{unit} is never touched, so no component can claim it");
        if is_protected_unit(unit) {
            let issue = ConfigIssue::error(Code::ProtectedUnit, message())
                .help("the host, its logins or its containers hang on it; name the units or containers that do the work");
            self.report(issue, key, "built-in protection");
            return false;
        }
        let own = self.protect.iter().find(|(glob, _)| glob.is_match(unit));
        if let Some((_, protect)) = own {
            let place = self.merged.value_place(protect);
            let issue = ConfigIssue::error(Code::ProtectedUnit, message())
                .help("remove it from `protect`, or from this component")
                .mark(self.merged.value_place(key), "claimed here")
                .mark(place, "protected here");
            self.issues.push(issue);
            return false;
        }
        true
    }

    fn cgroup(&mut self, key: &Key, text: &str) -> Option<String> {
        let path = text.trim_matches('/');
        let problem = if path.is_empty() {
            "the root cgroup holds the whole host and takes no limits"
        } else if path.starts_with("sys/fs/cgroup") {
            "a cgroup's path starts below the mount point"
        } else if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            "a cgroup's path has no empty parts and no \".\" or \"..\""
        } else {
            let unit = path.rsplit('/').next().unwrap_or_default();
            let claimable = has_wildcard(unit) || self.not_protected(key, unit);
            return claimable.then(|| path.to_owned());
        };
        let issue = ConfigIssue::error(Code::CgroupPath, problem)
            .help("write it as /proc/PID/cgroup shows it after \"0::\"");
        self.report(issue, key, "");
        None
    }

    fn container(&mut self, key: &Key, text: &str) -> Option<String> {
        if has_wildcard(text) || text.is_empty() {
            return Some(text.to_owned());
        }
        let hexadecimal = text.chars().all(|c| c.is_ascii_hexdigit());
        if hexadecimal && (12..=64).contains(&text.len()) {
            let id = text.to_ascii_lowercase();
            return Some(if id.len() == 64 { id } else { format!("{id}*") });
        }
        let message = format!("\"{}\" is not a container's id", shorten(text));
        let issue = ConfigIssue::error(Code::ContainerId, message).help(
            "write 12 to 64 hexadecimal digits, as `docker inspect --format {{.Id}} NAME` prints them; for a container that is recreated, run it with a unit and match that",
        );
        self.report(issue, key, "a name?");
        None
    }

    fn executable(&mut self, key: &Key, text: &str) -> Option<String> {
        if text.is_empty() || text.starts_with('/') || text.starts_with("**/") {
            return Some(text.to_owned());
        }
        let shown = shorten(text);
        let issue = ConfigIssue::error(
            Code::RelativePath,
            format!("the executable \"{shown}\" is no absolute path"),
        )
        .help(format!(
            "write the whole path, as /proc/PID/exe shows it, or \"**/{shown}\" for any directory"
        ));
        self.report(issue, key, "relative");
        None
    }

    fn regex(&mut self, key: &Key, raw: Option<&raw::RegexText>) -> Option<Regex> {
        let text = raw?.0.as_str();
        if text.is_empty() {
            let issue =
                ConfigIssue::error(Code::EmptyMatch, "an empty `cmdline` matches everything")
                    .help("remove the key, or write what the command line holds");
            self.report(issue, key, "empty");
            return None;
        }
        if !self.may_compile(key, text) {
            return None;
        }
        match RegexBuilder::new(text).size_limit(REGEX_BYTES).build() {
            Ok(regex) => Some(regex),
            Err(error) => {
                // The library draws the expression over several lines; its last line says what is wrong.
                let error = error.to_string();
                let last = error.lines().next_back().unwrap_or_default();
                let why = last.trim().trim_start_matches("error: ");
                let issue = ConfigIssue::error(
                    Code::BadRegex,
                    format!("`cmdline` is not a regular expression: {why}"),
                )
                .help("in a TOML string with single quotes, backslashes stay as they are: '\\d+'");
                self.report(issue, key, "");
                None
            }
        }
    }

    fn accounts(
        &mut self,
        key: &Key,
        raw: Option<&OneOrMany<raw::Account>>,
        kind: &str,
    ) -> Option<Vec<u32>> {
        let raw = raw?;
        if self.is_empty(key) {
            self.empty_list(key);
        }
        let mut ids = Vec::new();
        for (number, account) in raw.values.iter().enumerate() {
            let key = self.item(key, number);
            ids.extend(self.account(&key, account, kind));
        }
        Some(ids)
    }

    fn account(&mut self, key: &Key, raw: &raw::Account, kind: &str) -> Option<u32> {
        let (names, file): (&BTreeMap<String, u32>, &str) = match kind {
            "user" => (&self.accounts.users, "/etc/passwd"),
            _ => (&self.accounts.groups, "/etc/group"),
        };
        let name = match raw {
            raw::Account::Number(id) => return u32::try_from(*id).ok(),
            raw::Account::Name(name) => name,
        };
        if let Some(id) = names.get(name).copied().or_else(|| name.parse().ok()) {
            return Some(id);
        }
        let message = format!("no {kind} \"{}\" in {file}", shorten(name));
        let issue = ConfigIssue::error(Code::UnknownAccount, message).help(format!(
            "accounts from a directory service are not looked up; give the number that `id {name}` prints",
            name = shorten(name)
        ));
        self.report(issue, key, "unknown");
        None
    }

    fn pidfile(&mut self, key: &Key, raw: Option<&raw::PathText>) -> Option<PathBuf> {
        let path = PathBuf::from(&raw?.0);
        if path.is_absolute() {
            return Some(path);
        }
        let message = format!("the pidfile \"{}\" is no absolute path", shorten(&raw?.0));
        let issue = ConfigIssue::error(Code::RelativePath, message)
            .help("write the whole path, such as \"/run/nginx.pid\"");
        self.report(issue, key, "relative");
        None
    }
}

/// Whether the text means more than itself.
fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}
