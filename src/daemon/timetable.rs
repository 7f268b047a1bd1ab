//! The timetable: which windows of time are open, and the policy that holds while they are.
//!
//! The configuration stays as it was loaded: what is laid over it at night is what was checked, whatever its files say by then.

use super::start::capacity;
use crate::config::{ConfigIssue, Loaded, Policy};
use crate::kernel::clock;
use crate::model::{Finding, FindingKind, HostView, ScheduleView, Severity};
use crate::units::ComponentName;
use jiff::Zoned;

/// Somebody may set the clock, or the host's time zone.
const AT_LEAST_EVERY: i64 = 3600;

/// A loaded configuration and where in it the clock is.
#[derive(Debug)]
pub struct Timetable {
    /// None where time changes nothing.
    loaded: Option<Box<Loaded>>,
    /// The windows that are open, and when that was so.
    open: Vec<ComponentName>,
    seen: i64,
    due: i64,
    findings: Vec<Finding>,
}

impl Timetable {
    /// The timetable, and the policy that holds now.
    #[must_use]
    pub fn new(loaded: Loaded, host: &HostView) -> (Self, Policy) {
        let mut table =
            Self { loaded: None, open: Vec::new(), seen: 0, due: i64::MAX, findings: Vec::new() };
        if loaded.policy.schedules.is_empty() {
            return (table, loaded.policy);
        }
        let plain = loaded.policy.clone();
        table.loaded = Some(Box::new(loaded));
        // Nothing is open in a new table, and it was never looked at.
        table.due = 0;
        let policy = table.turned(host).unwrap_or(plain);
        (table, policy)
    }

    /// The policy that holds from now on, where a window has opened or closed since it was asked last.
    pub fn turned(&mut self, host: &HostView) -> Option<Policy> {
        let loaded = self.loaded.as_ref()?;
        let seconds = i64::try_from(clock::wall_secs()).unwrap_or(i64::MAX);
        if (self.seen..self.due).contains(&seconds) {
            return None;
        }
        let now = clock::zoned();
        let next = loaded.policy.next_change(&now);
        let next = next.map_or(i64::MAX, |next| next.timestamp().as_second());
        self.seen = now.timestamp().as_second();
        self.due = next.min(self.seen.saturating_add(AT_LEAST_EVERY));
        let open = loaded.policy.open_at(&now);
        if open == self.open {
            return None;
        }
        let (policy, left_out) = capacity(host, |capacity| loaded.during(&open, capacity));
        self.findings = left_out.iter().map(|(name, issues)| told(name, issues)).collect();
        self.open = open;
        Some(policy)
    }

    /// What could not be laid over what is there.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// All windows, for people.
    #[must_use]
    pub fn views(&self) -> Vec<ScheduleView> {
        let now = clock::zoned();
        let seconds = |at: Zoned| u64::try_from(at.timestamp().as_second()).unwrap_or(0);
        let schedules = self.loaded.iter().flat_map(|loaded| &loaded.policy.schedules);
        let view = schedules.map(|(name, schedule)| ScheduleView {
            name: name.clone(),
            open_until: schedule.open_until(&now).map(seconds),
            next: schedule.next(&now).map(seconds),
        });
        view.collect()
    }
}

/// Told while the window is open.
fn told(name: &ComponentName, issues: &[ConfigIssue]) -> Finding {
    let why =
        issues.iter().find(|issue| issue.is_error()).map_or_else(String::new, ConfigIssue::line);
    Finding {
        severity: Severity::Error,
        kind: FindingKind::Configuration,
        component: None,
        at: None,
        text: format!(
            "the schedule \"{name}\" does not fit beside the others that are open, so it is left out: {why}"
        ),
    }
}
