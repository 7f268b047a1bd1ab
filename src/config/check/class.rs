//! The CPU class of a component, and what would make it do harm or nothing; the same of `affinity = "auto"`.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::{Affinity, Component};
use crate::config::raw;
use crate::model::{CpuClass, Priority};
use crate::units::Millicpu;

/// The class that is meant.
pub(super) const fn class(raw: raw::CpuClass) -> CpuClass {
    match raw {
        raw::CpuClass::Idle => CpuClass::Idle,
        raw::CpuClass::Low => CpuClass::Low,
        raw::CpuClass::Normal => CpuClass::Normal,
        raw::CpuClass::High => CpuClass::High,
        raw::CpuClass::Realtime => CpuClass::Realtime,
    }
}

impl Check<'_> {
    /// Tells what contradicts the class of the component `at`.
    pub(super) fn class(&mut self, at: &Key, component: &Component) {
        let Some(class) = component.cpu.class else { return };
        let priority = component.priority;
        match class {
            CpuClass::Idle | CpuClass::Low if priority.is_protected() => {
                let why = format!(
                    "others give way to a component of priority {priority} when it waits for CPU, and class \"{class}\" would make it wait"
                );
                self.contradicted(at, why, (&["priority"], "protected"));
            }
            CpuClass::High if priority == Priority::Low => {
                let why = "class \"high\" would give a component of priority low the CPU share of those that it is to give way to";
                self.contradicted(at, why.to_owned(), (&["priority"], "low"));
            }
            CpuClass::Realtime if !priority.is_protected() => {
                let why = format!(
                    "class \"realtime\" is for components that others give way to, and this one has priority {priority}"
                );
                self.contradicted(at, why, (&["priority"], "not protected"));
            }
            CpuClass::Idle
            | CpuClass::Low
            | CpuClass::Normal
            | CpuClass::High
            | CpuClass::Realtime => {}
        }
        if class != CpuClass::Idle {
            return;
        }
        if component.cpu.guarantee > Millicpu::ZERO {
            let why = "an idle component runs when nobody else wants the CPU, so nothing can be guaranteed to it";
            self.contradicted(at, why.to_owned(), (&["cpu", "guarantee"], "guaranteed"));
        }
        if matches!(component.cpu.affinity, Affinity::Dedicated(_) | Affinity::Balanced(_)) {
            let why = "CPUs that only an idle component may use would be taken from all others";
            self.contradicted(at, why.to_owned(), (&["cpu", "affinity"], "CPUs of its own"));
        }
    }

    /// Only who is protected is given CPUs of its own without asking for a number.
    pub(super) fn auto_affinity(&mut self, at: &Key, component: &Component) {
        let priority = component.priority;
        if component.cpu.affinity != Affinity::Auto || priority.is_protected() {
            return;
        }
        let message = format!(
            "affinity \"auto\" gives CPUs to critical and high components only, so it has no effect for one of priority {priority}"
        );
        let issue = ConfigIssue::warning(Code::UnheardAffinity, message)
            .help("remove `affinity`, give the component the priority \"high\" or \"critical\", or ask for a number of CPUs");
        self.report(issue, &at.then("cpu").then("affinity"), "has no effect");
    }

    pub(super) fn contradicted(&mut self, at: &Key, why: String, (other, label): (&[&str], &str)) {
        let class = self.merged.value_place(&at.then("cpu").then("class"));
        let key = other.iter().fold(at.clone(), |key, part| key.then(part));
        let issue = ConfigIssue::error(Code::ClassContradicted, why)
            .help(
                "change one of the two, or remove `class`: the share is then that of the priority",
            )
            .mark(class, "this class")
            .mark(self.merged.value_place(&key), label);
        self.issues.push(issue);
    }
}
