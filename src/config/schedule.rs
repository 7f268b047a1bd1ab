//! Windows of time in which something else holds.
//!
//! A window's change is laid over the files like one more drop-in, and the result is checked like any configuration. So every rule that
//! holds without windows holds within each, and messages name the line of the window.

use super::calendar::Calendar;
use super::check::Capacity;
use super::issue::ConfigIssue;
use super::policy::Policy;
use super::{Loaded, check};
use crate::units::{ComponentName, Span};
use jiff::{SignedDuration, Zoned};

/// A window of time and what holds in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// When it begins.
    pub begins: Vec<Calendar>,
    /// How long it lasts, a minute to a week.
    pub lasts: Span,
    /// What is laid over the configuration.
    pub changes: toml::Table,
}

impl Schedule {
    /// The end of the window, if it is open. The beginning belongs to it, the end does not.
    #[must_use]
    pub fn open_until(&self, now: &Zoned) -> Option<Zoned> {
        let lasts = self.lasts();
        let before = now.checked_sub(lasts).ok()?;
        let begun = self.begins.iter().filter_map(|begins| {
            let begun = begins.next(&before)?;
            (begun <= *now).then(|| begun.checked_add(lasts).ok()).flatten()
        });
        begun.max()
    }

    /// When it begins next, if ever.
    #[must_use]
    pub fn next(&self, now: &Zoned) -> Option<Zoned> {
        self.begins.iter().filter_map(|begins| begins.next(now)).min()
    }

    fn lasts(&self) -> SignedDuration {
        SignedDuration::from_micros(i64::try_from(self.lasts.0).unwrap_or(i64::MAX))
    }
}

impl Policy {
    /// The windows that are open, by name.
    #[must_use]
    pub fn open_at(&self, now: &Zoned) -> Vec<ComponentName> {
        let open = self.schedules.iter().filter(|(_, schedule)| schedule.open_until(now).is_some());
        open.map(|(name, _)| name.clone()).collect()
    }

    /// When the next window opens or closes, if ever.
    #[must_use]
    pub fn next_change(&self, now: &Zoned) -> Option<Zoned> {
        let edges = self.schedules.values().flat_map(|schedule| {
            [schedule.next(now), schedule.open_until(now)].into_iter().flatten()
        });
        edges.min()
    }
}

impl Loaded {
    /// The policy while these windows are open. One that does not fit beside those before it is left out, and told.
    #[must_use]
    pub fn during(
        &self,
        open: &[ComponentName],
        host: &Capacity<'_>,
    ) -> (Policy, Vec<(ComponentName, Vec<ConfigIssue>)>) {
        let (mut merged, mut policy) = (self.merged.clone(), self.policy.clone());
        let mut left_out = Vec::new();
        for name in open {
            let with = merged.with_schedule(name.as_str());
            let (next, issues) = check::check_policy(&with, host, &self.accounts, true);
            if issues.iter().any(ConfigIssue::is_error) {
                left_out.push((name.clone(), issues));
            } else {
                (merged, policy) = (with, next);
            }
        }
        (policy, left_out)
    }
}
