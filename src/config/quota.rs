//! Keys of components that hold for a while, laid over a checked policy as one more drop-in would be.
//!
//! The policy beneath is taken in its canonical form. So it may be the one of the files or that of an open window of time, and nothing of
//! the files is kept in memory for the day on which somebody asks.

use super::canonical::canonical_toml;
use super::check::{Capacity, check_policy};
use super::issue::{Code, ConfigIssue, SourceFile};
use super::merged::Merged;
use super::policy::Policy;
use super::policy_text::{accounts_of, disks_of, known};
use super::schema::schema;
use super::shape::check_shape;
use super::suggest::{closest, shorten};
use super::{Loaded, Parsed, finish};
use crate::model::{QuotaKey, Quotas};
use std::path::Path;
use std::sync::Arc;

/// What messages call the policy beneath: its lines are those of `provost config show`, unless something is laid over that already.
const BENEATH: &str = "the configuration";
/// What messages call what is laid over it.
const OVER: &str = "set-quota";

/// A policy with something laid over it.
#[derive(Debug, Clone)]
pub struct Laid {
    /// What holds then.
    pub policy: Policy,
    /// What a person should know of what is laid over it.
    pub warnings: Vec<ConfigIssue>,
}

impl Policy {
    /// The policy with these keys of its components laid over it. Every rule that holds without them holds with them.
    ///
    /// # Errors
    /// All problems, warnings among them; at least one is an error. A component that the policy does not have is one.
    pub fn with_quotas(
        &self,
        quotas: &Quotas,
        host: &Capacity<'_>,
    ) -> Result<Laid, Vec<ConfigIssue>> {
        let file = |name: &str, text: String| Arc::new(SourceFile { name: name.to_owned(), text });
        let over = file(OVER, written(quotas)?);
        let files = vec![file(BENEATH, canonical_toml(self)), Arc::clone(&over)];
        let (mut merged, syntax) = Merged::parse(files);
        let mut issues = check_shape(&schema(), &mut merged);
        let (disks, accounts) = (disks_of(self), known(&accounts_of(self)));
        let resolve = |path: &Path| match disks.get(path) {
            Some(disks) => Ok(disks.clone()),
            None => (host.resolve_device)(path),
        };
        let program = |_: &Path| Ok(());
        let host = Capacity {
            online: host.online.clone(),
            memory: host.memory,
            page: host.page,
            resolve_device: &resolve,
            // What is called was looked for when the policy was checked.
            check_program: &program,
        };
        let (policy, meaning) = check_policy(&merged, &host, &accounts, syntax.is_empty());
        issues.extend(meaning);
        let parsed = Parsed { merged, issues, syntax, accounts };
        let Loaded { policy, mut warnings, .. } = finish(policy, parsed)?;
        warnings
            .retain(|issue| issue.marks.iter().any(|mark| Arc::ptr_eq(&mark.place.file, &over)));
        Ok(Laid { policy, warnings })
    }
}

/// The key of this word.
///
/// # Errors
/// What is wrong with it, where there is none, and which may be meant.
pub fn quota_key(word: &str) -> Result<QuotaKey, ConfigIssue> {
    QuotaKey::of_word(word).ok_or_else(|| {
        let known = QuotaKey::ALL.map(QuotaKey::word);
        let message = format!("`{}` is no key that can hold for a while", shorten(word));
        ConfigIssue::error(Code::UnknownKey, message).help(match closest(word, known.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("these can: {}", known.join(", ")),
        })
    })
}

/// All keys as a configuration, one a line, so that each line names its component.
fn written(quotas: &Quotas) -> Result<String, Vec<ConfigIssue>> {
    let (mut text, mut issues) = (String::new(), Vec::new());
    for (component, keys) in quotas {
        for (key, quota) in keys {
            match as_toml(*key, &quota.value) {
                Ok(value) => text.push_str(&format!("component.{component}.{key} = {value}\n")),
                Err(issue) => issues.push(issue),
            }
        }
    }
    if issues.is_empty() { Ok(text) } else { Err(issues) }
}

/// The value as TOML, on one line. On a command line a quantity needs no quotes.
fn as_toml(key: QuotaKey, value: &str) -> Result<String, ConfigIssue> {
    let is_toml = value.starts_with(['"', '\'', '[', '{']);
    let is_plain = !value.contains(char::is_control);
    if is_plain && !is_toml {
        let count = value.parse::<u64>().ok().filter(|_| key == QuotaKey::PidsCeiling);
        let text = || toml::Value::String(value.to_owned()).to_string();
        return Ok(count.map_or_else(text, |count| count.to_string()));
    }
    // By itself, so that it cannot end early and set another key.
    if is_plain && format!("value = {value}").parse::<toml::Table>().is_ok() {
        return Ok(value.to_owned());
    }
    let shown = shorten(&value.replace(char::is_control, "\u{fffd}"));
    let message = format!("`{key}` cannot be {shown}: that is no value");
    let issue = ConfigIssue::error(Code::Syntax, message);
    Err(issue.help("write it as in the configuration, on one line"))
}
