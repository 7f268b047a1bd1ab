//! Instances of a template unit over which a component is spread, and the jobs that change how many there are.

use super::Hook;
use crate::units::{CgroupPath, ComponentName, Millicpu, Span};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A template unit, such as `worker@.service`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// What comes before an instance's number: `worker@`.
    before: String,
    /// What comes after it: `.service`.
    after: String,
}

impl Template {
    /// Reads `NAME@.service`; none where it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix("@.service")?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\".contains(c);
        let is_name = !name.is_empty() && name.len() < 200 && name.chars().all(is_allowed);
        is_name.then(|| Self { before: format!("{name}@"), after: ".service".to_owned() })
    }

    /// The unit of one instance.
    #[must_use]
    pub fn unit(&self, number: u64) -> String {
        format!("{}{number}{}", self.before, self.after)
    }

    /// Which instance a unit is, counted from 1; none where it is no numbered one of this template.
    #[must_use]
    pub fn number(&self, unit: &str) -> Option<u64> {
        let number = unit.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        let is_plain = number.starts_with(|c: char| ('1'..='9').contains(&c))
            && number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|_| is_plain)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", self.before, self.after))
    }
}

/// How many instances a component may have, and by what that is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instances {
    /// The template.
    pub template: Template,
    /// So many run always, at least 1.
    pub least: u64,
    /// So many run at most.
    pub most: u64,
    /// Instances that use more CPU than this each get another beside them.
    pub up: Millicpu,
    /// One is stopped when the others would use less than this each.
    pub down: Millicpu,
    /// After any start or stop, none is stopped for so long.
    pub cooldown: Span,
    /// What is called before an instance is stopped.
    pub drain: Option<Hook>,
}

/// What is done to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// It is started.
    Start,
    /// It is stopped.
    Stop,
}

impl JobKind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One instance to be started or stopped through systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitJob {
    /// The component.
    pub component: ComponentName,
    /// The instance's unit.
    pub unit: String,
    /// What is done.
    pub kind: JobKind,
    /// Its group; of one that is to be started, where it will most likely be.
    pub at: CgroupPath,
    /// What is called before it is stopped.
    pub drain: Option<Hook>,
    /// Why, as a clause.
    pub because: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_template_names_its_instances_and_knows_them_again() {
        let template = Template::parse("worker@.service").unwrap();
        assert_eq!(template.to_string(), "worker@.service");
        assert_eq!(template.unit(12), "worker@12.service");
        for (unit, number) in [
            ("worker@1.service", Some(1)),
            ("worker@12.service", Some(12)),
            ("worker@.service", None),
            ("worker@0.service", None),
            ("worker@01.service", None),
            ("worker@+1.service", None),
            ("worker@a.service", None),
            ("worker@1.socket", None),
            ("other@1.service", None),
            ("worker@99999999999999999999.service", None),
        ] {
            assert_eq!(template.number(unit), number, "{unit}");
        }
        for text in [
            "worker.service",
            "worker@1.service",
            "@.service",
            "a b@.service",
            "a/b@.service",
            "worker@.socket",
            "",
        ] {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_found_again(number in 1u64.., name in "[a-z][a-z0-9_.-]{0,20}") {
            let template = Template::parse(&format!("{name}@.service")).unwrap();
            prop_assert_eq!(template.number(&template.unit(number)), Some(number));
        }

        #[test]
        fn any_text_is_read_or_not(text in ".{0,40}") {
            if let Some(template) = Template::parse(&text) {
                prop_assert_eq!(template.to_string(), text);
            }
        }
    }
}
