//! What no component can get wrong alone: two claims to one thing, and guarantees that do not fit into the host together.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::Policy;
use crate::config::raw::{self, OneOrMany};
use crate::config::suggest::shorten;
use crate::units::{Bytes, ComponentName, Millicpu};
use std::collections::BTreeMap;
use std::fmt::Display;

/// The most components that are named one by one; the rest is summed up.
const MOST_NAMED: usize = 8;

/// A guarantee with its owner.
type Part<'p, T> = (&'p ComponentName, T);

impl Check<'_> {
    /// Reports each thing that two components claim in the same words.
    pub(super) fn claims(&mut self, raw: &raw::Config) {
        let mut first: BTreeMap<String, (String, Key)> = BTreeMap::new();
        for (name, component) in raw.component.iter().flatten() {
            let key = Key(vec!["component".into(), name.clone(), "match".into()]);
            for (claim, key) in self.claims_of(&key, component) {
                match first.get(&claim) {
                    Some((owner, earlier)) if owner != name => {
                        let message = format!(
                            "components \"{}\" and \"{}\" both claim {}",
                            shorten(owner),
                            shorten(name),
                            shorten(&claim)
                        );
                        let issue = ConfigIssue::error(Code::DuplicateClaim, message)
                            .help("only one component can own it; remove one, or add a condition that tells them apart")
                            .mark(self.merged.value_place(&key), "again here")
                            .mark(self.merged.value_place(earlier), "first here");
                        self.issues.push(issue);
                    }
                    Some(_) => {}
                    None => {
                        first.insert(claim, (name.clone(), key));
                    }
                }
            }
        }
    }

    /// What a component claims: of a rule with one condition every value by itself, otherwise the rule as a whole.
    fn claims_of(&self, key: &Key, component: &raw::Component) -> Vec<(String, Key)> {
        let mut claims = Vec::new();
        for (number, rule) in component.rules.iter().flat_map(|rules| &rules.values).enumerate() {
            let key = self.item(key, number);
            let conditions = conditions(rule);
            match conditions.as_slice() {
                // An empty rule is reported as such.
                [] => {}
                [(name, values)] => {
                    for (number, value) in values.iter().enumerate() {
                        let key = self.item(&key.then(name), number);
                        claims.push((format!("{name} \"{value}\""), key));
                    }
                }
                several => {
                    let texts: Vec<String> = several
                        .iter()
                        .map(|(name, values)| {
                            let mut values = values.clone();
                            values.sort();
                            format!("{name} \"{}\"", values.join("\" or \""))
                        })
                        .collect();
                    claims.push((texts.join(" with "), key));
                }
            }
        }
        claims
    }

    /// Reports guarantees that do not fit into what the host has and the reserve leaves.
    pub(super) fn sums(&mut self, policy: &Policy) {
        let cpu: Vec<Part<'_, Millicpu>> = policy
            .components
            .values()
            .map(|component| (&component.name, component.cpu.guarantee))
            .filter(|(_, part)| *part > Millicpu::ZERO)
            .collect();
        let sum = cpu.iter().fold(Millicpu::ZERO, |sum, (_, part)| sum.plus(*part));
        let capacity = self.host.cpu();
        if sum.plus(policy.reserve.cpu) > capacity && !cpu.is_empty() && self.reserve_known.cpu {
            let over = sum.plus(policy.reserve.cpu).minus(capacity);
            let message = format!(
                "CPU guarantees of {sum} cores and the reserve of {} exceed the {capacity} cores of this host by {over}",
                policy.reserve.cpu
            );
            self.overcommitted(Code::CpuOvercommitted, message, "cpu", cpu);
        }
        let memory: Vec<Part<'_, Bytes>> = policy
            .components
            .values()
            .map(|component| (&component.name, component.memory.guarantee))
            .filter(|(_, part)| *part > Bytes::ZERO)
            .collect();
        let sum = memory.iter().fold(Bytes::ZERO, |sum, (_, part)| sum.plus(*part));
        let capacity = self.host.memory;
        if sum.plus(policy.reserve.memory) > capacity
            && !memory.is_empty()
            && self.reserve_known.memory
        {
            let over = sum.plus(policy.reserve.memory).minus(capacity);
            let message = format!(
                "memory guarantees of {sum} and the reserve of {} exceed the {capacity} of this host by {over}",
                policy.reserve.memory
            );
            self.overcommitted(Code::MemoryOvercommitted, message, "memory", memory);
        }
    }

    fn overcommitted<T: Ord + Copy + Display>(
        &mut self,
        code: Code,
        message: String,
        resource: &str,
        mut parts: Vec<Part<'_, T>>,
    ) {
        parts.sort_by(|(one_name, one), (other_name, other)| {
            other.cmp(one).then_with(|| one_name.cmp(other_name))
        });
        let named: Vec<String> =
            parts.iter().take(MOST_NAMED).map(|(name, part)| format!("{name} {part}")).collect();
        let more = match parts.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let mut issue = ConfigIssue::error(code, message).help(format!(
            "the parts are {}{more}; lower some of them, or `{resource}` in [reserve]",
            named.join(", ")
        ));
        for (name, part) in parts.iter().take(MOST_NAMED) {
            let key = Key(vec![
                "component".into(),
                name.to_string(),
                resource.into(),
                "guarantee".into(),
            ]);
            issue = issue.mark(self.merged.value_place(&key), format!("{name} {part}"));
        }
        let reserve = Key(vec!["reserve".into(), resource.into()]);
        issue = issue.mark(self.merged.value_place(&reserve), "the reserve");
        self.issues.push(issue);
    }
}

/// The conditions of a rule with their values, in the order of their names.
fn conditions(rule: &raw::Match) -> Vec<(&'static str, Vec<String>)> {
    let globs = |values: &Option<OneOrMany<raw::Glob>>| {
        values.as_ref().map(|values| values.values.iter().map(|glob| glob.0.clone()).collect())
    };
    let accounts = |values: &Option<OneOrMany<raw::Account>>| {
        values.as_ref().map(|values| {
            let text = |account: &raw::Account| match account {
                raw::Account::Name(name) => name.clone(),
                raw::Account::Number(id) => id.to_string(),
            };
            values.values.iter().map(text).collect()
        })
    };
    let all: [(&'static str, Option<Vec<String>>); 9] = [
        ("cgroup", globs(&rule.cgroup)),
        ("cmdline", rule.cmdline.as_ref().map(|text| vec![text.0.clone()])),
        ("container", globs(&rule.container)),
        ("exe", globs(&rule.exe)),
        ("group", accounts(&rule.group)),
        ("parent", globs(&rule.parent)),
        ("pidfile", rule.pidfile.as_ref().map(|path| vec![path.0.clone()])),
        ("unit", globs(&rule.unit)),
        ("user", accounts(&rule.user)),
    ];
    all.into_iter().filter_map(|(name, values)| Some((name, values?))).collect()
}
