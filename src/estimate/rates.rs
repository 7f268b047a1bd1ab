//! Rates from counters, only within one cgroup's life: a recreated group starts anew.
//!
//! A counter that went backwards, a group with another identity and a gap of more than [`LONGEST_GAP`] (the host slept) give no rate
//! for one look instead of a wrong one.

use crate::model::{Along, GroupView, Snapshot};
use crate::units::{CgroupId, CgroupPath, CpuTime, Millicpu, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longer than this between two looks and the difference says nothing about the present.
const LONGEST_GAP: Span = Span::secs(30);

/// Shorter than this between two looks and the rate would be noise.
const SHORTEST_GAP: Span = Span::millis(500);

/// The last counters of each group and the rates that they gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    groups: BTreeMap<CgroupPath, Counters>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Counters {
    id: CgroupId,
    at: Tick,
    cpu: CpuTime,
    cpu_rate: Option<Millicpu>,
}

impl Rates {
    /// Takes in one look. Allocates only for groups that were not there before.
    pub fn update(&mut self, seen: &Snapshot) {
        let fresh = |group: &GroupView| {
            let (id, at, cpu_rate) = (group.id, seen.at, None);
            group.usage.cpu.map(|cpu| Counters { id, at, cpu, cpu_rate })
        };
        let mut there = Along::new(&seen.groups);
        self.groups.retain(|path, last| {
            let Some(group) = there.get(path) else { return false };
            if let Some(fresh) = fresh(group) {
                last.update(fresh);
            }
            true
        });
        if self.groups.len() < seen.groups.len() {
            for (path, group) in &seen.groups {
                if let Some(fresh) = fresh(group).filter(|_| !self.groups.contains_key(path)) {
                    self.groups.insert(path.clone(), fresh);
                }
            }
        }
    }

    /// CPU used per time over the last interval; none until two looks at the same group were taken.
    #[must_use]
    pub fn cpu(&self, path: &CgroupPath) -> Option<Millicpu> {
        self.groups.get(path).and_then(|counters| counters.cpu_rate)
    }
}

impl Counters {
    fn update(&mut self, fresh: Self) {
        // Too soon: the time between the look's clock and the counter's reading would outweigh the difference.
        if self.id == fresh.id && fresh.at.since(self.at) < SHORTEST_GAP {
            return;
        }
        let cpu_rate = rate(self, &fresh);
        *self = Self { cpu_rate, ..fresh };
    }
}

fn rate(last: &Counters, fresh: &Counters) -> Option<Millicpu> {
    let span = fresh.at.since(last.at);
    if last.id != fresh.id || span == Span::ZERO || span > LONGEST_GAP {
        return None;
    }
    let used = fresh.cpu.0.checked_sub(last.cpu.0)?;
    Some(Millicpu(used.saturating_mul(1000) / span.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(id: u64, at_secs: u64, cpu_usec: u64) -> Counters {
        Counters {
            id: CgroupId(id),
            at: Tick::default().plus(Span::secs(at_secs)),
            cpu: CpuTime(cpu_usec),
            cpu_rate: None,
        }
    }

    #[test]
    fn half_a_core_for_two_seconds() {
        let rate = rate(&counters(1, 10, 0), &counters(1, 12, 1_000_000));
        assert_eq!(rate, Some(Millicpu(500)));
    }

    #[test]
    fn no_rate_across_lives_gaps_or_backward_counters() {
        let last = counters(1, 10, 500);
        assert_eq!(rate(&last, &counters(2, 11, 900)), None, "another group");
        assert_eq!(rate(&last, &counters(1, 10, 900)), None, "no time passed");
        assert_eq!(rate(&last, &counters(1, 11, 400)), None, "counter went back");
        assert_eq!(rate(&last, &counters(1, 100, 900)), None, "the host slept");
    }
}
