//! Whose processes were killed for want of memory, and how many. Must not decide who is told of it.
//!
//! The kernel counts kills in each group, and its count goes with the group: where the only process of a service is killed, systemd removes
//! the group at once, often before anybody has read it. Of such a unit systemd itself says that memory was the reason. Of a group that stays
//! both are heard, and it counts once.

use super::Known;
use crate::model::Home;
use crate::units::{CgroupPath, ComponentName, Span, Tick};
use std::collections::BTreeMap;

/// How long a kill is told.
const HOLDS: Span = Span::secs(300);
/// What systemd says so soon after the kernel has counted is the same.
const SAME_WITHIN: Span = Span::secs(30);

/// Kills by component.
#[derive(Debug, Default)]
pub(super) struct Kills(BTreeMap<ComponentName, Count>);

#[derive(Debug, Clone, Default)]
struct Count {
    /// All in the groups that are there, as the kernel has them.
    seen: u64,
    /// Where the component lived last.
    homes: Vec<CgroupPath>,
    /// Whether systemd told of one since the last look.
    is_heard: bool,
    /// Those that are told, and when the last was seen.
    told: u64,
    last: Option<Tick>,
}

impl Kills {
    /// Takes note that systemd gives want of memory as the reason for which a unit ended.
    pub(super) fn heard(&mut self, unit: &str) {
        for count in self.0.values_mut() {
            count.is_heard |=
                count.homes.iter().any(|home| home.components().any(|name| name == unit));
        }
    }

    /// Counts. A component that was not there before begins with what the kernel has counted by then: that is no news.
    pub(super) fn look(&mut self, at: Tick, known: Known<'_>) {
        self.0.retain(|name, _| known.policy.components.contains_key(name));
        for (name, homes) in known.seen.homes.iter().filter(|(_, homes)| !homes.is_empty()) {
            let groups = homes.iter().filter_map(|home| known.seen.groups.get(home.path()));
            let seen: u64 = groups.filter_map(|group| group.usage.oom_kills).sum();
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), Count { seen, ..Count::default() });
            }
            if let Some(count) = self.0.get_mut(name) {
                count.look(at, seen, homes);
            }
        }
        self.0.values_mut().for_each(|count| count.settle(at));
    }

    /// Who is told of, and how many there were.
    pub(super) fn told(&self) -> impl Iterator<Item = (&ComponentName, u64)> {
        let told = self.0.iter().filter(|(_, count)| count.last.is_some());
        told.map(|(name, count)| (name, count.told))
    }
}

impl Count {
    fn look(&mut self, at: Tick, seen: u64, homes: &[Home]) {
        // Groups that were made anew begin at zero, which is no kill.
        if seen > self.seen {
            self.add(at, seen - self.seen);
        }
        self.seen = seen;
        if !homes.iter().map(Home::path).eq(&self.homes) {
            self.homes = homes.iter().map(|home| home.path().clone()).collect();
        }
    }

    fn settle(&mut self, at: Tick) {
        let is_known = self.last.is_some_and(|last| at.since(last) < SAME_WITHIN);
        if std::mem::take(&mut self.is_heard) && !is_known {
            self.add(at, 1);
        }
        if self.last.is_some_and(|last| at.since(last) >= HOLDS) {
            (self.told, self.last) = (0, None);
        }
    }

    fn add(&mut self, at: Tick, count: u64) {
        self.told += count;
        self.last = Some(at);
    }
}
