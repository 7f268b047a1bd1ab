//! Which limits a component had when: from the recorded changes, and from what holds now. Pure.
//!
//! **Approach.** Each change says the value before and after, so what held at any time follows from the changes around it; where nothing changed,
//! what holds now has held. A column shows the tightest value that held in it. Only homes that are there now count, or without a daemon
//! the one that was changed last: what a group that is gone was limited to is no limit of the component.
//!
//! **Properties**, each a test: before the first change its old value holds; of several values in a column the least is shown; a limit that
//! one of several homes does not have is none of the component.

use super::columns::Scale;
use crate::model::{ComponentReport, Event, EventOf, Knob, KnobKind, OutcomeOf, Verdict};
use crate::units::{CgroupPath, ComponentName, Limit};
use std::collections::BTreeMap;

/// A value from a moment on.
type Step = (u64, Limit<u64>);

/// The value of one knob of one home over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Course {
    before: Option<Limit<u64>>,
    /// Oldest first.
    steps: Vec<Step>,
}

impl Course {
    /// The least value that holds from one moment to another.
    fn least(&self, from: u64, to: u64) -> Option<Limit<u64>> {
        let at_start = self.steps.iter().rev().find(|(at, _)| *at <= from).map(|(_, value)| *value);
        let within = self.steps.iter().filter(|(at, _)| (from + 1..to).contains(at));
        let values = at_start.or(self.before).into_iter().chain(within.map(|(_, value)| *value));
        values.min_by_key(|value| value.value().unwrap_or(u64::MAX))
    }
}

/// The limits of one component, by home and knob.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    courses: BTreeMap<(KnobKind, CgroupPath), Course>,
}

impl Limits {
    /// The limits of `name`; `now` is what the daemon says of it.
    pub(super) fn of(
        name: &ComponentName,
        events: &[Event],
        now: Option<&ComponentReport>,
    ) -> Self {
        let mut limits = Self::default();
        let mut last = None;
        for event in events.iter().filter(|event| event.component() == Some(name)) {
            let EventOf::Action { outcome, old, .. } = &event.of else { continue };
            let OutcomeOf::Knob { knob, asked, .. } = &outcome.of else { continue };
            let value = match &outcome.verdict {
                Verdict::Applied => amount(asked),
                Verdict::Clipped { effective } => amount(effective),
                Verdict::Refused { .. } | Verdict::Gone => None,
            };
            let Some(value) = value else { continue };
            last = Some(&outcome.path);
            let course = limits.courses.entry((*knob, outcome.path.clone())).or_default();
            if course.steps.is_empty() {
                course.before = old.as_ref().and_then(amount);
            }
            course.steps.push((event.wall_secs, value));
        }
        match now {
            Some(now) => limits.keep_what_is_there(now),
            None => limits.courses.retain(|(_, path), _| Some(path) == last),
        }
        limits
    }

    fn keep_what_is_there(&mut self, now: &ComponentReport) {
        let is_home = |path: &CgroupPath| now.homes.iter().any(|home| home.path == *path);
        self.courses.retain(|(_, path), _| is_home(path));
        for home in &now.homes {
            for knob in home.knobs.iter().filter(|knob| knob.at == home.path) {
                let Some(value) = knob.seen.as_ref().and_then(amount) else { continue };
                let course = self.courses.entry((knob.kind, home.path.clone())).or_default();
                if course.steps.is_empty() {
                    course.before = Some(value);
                }
            }
        }
    }

    /// The tightest that held in each column, over all homes together; none where there was none.
    pub(super) fn columns(&self, kind: KnobKind, scale: Scale) -> Vec<Option<u64>> {
        let courses: Vec<&Course> =
            self.courses.iter().filter(|((of, _), _)| *of == kind).map(|(_, one)| one).collect();
        let column = |place: u64| {
            let from = scale.from + place * scale.length;
            let of = |course: &&Course| course.least(from, from + scale.length)?.value();
            let sum = |sum: u64, course| Some(sum.saturating_add(of(course)?));
            if courses.is_empty() { None } else { courses.iter().try_fold(0, sum) }
        };
        (0..scale.count).map(column).collect()
    }
}

/// A value in the unit of what it limits.
fn amount(knob: &Knob) -> Option<Limit<u64>> {
    match knob {
        Knob::CpuMax(max) => Some(max.rate().map(|rate| rate.0)),
        Knob::MemoryMin(limit)
        | Knob::MemoryLow(limit)
        | Knob::MemoryHigh(limit)
        | Knob::MemoryMax(limit) => Some(limit.map(|bytes| bytes.0)),
        Knob::CpuWeight(_)
        | Knob::CpuMaxBurst(_)
        | Knob::CpusetPartition(..)
        | Knob::CpusetExclusive(_)
        | Knob::CpusetCpus(_)
        | Knob::MemorySwapMax(_)
        | Knob::MemoryOomGroup(_)
        | Knob::IoMax(..)
        | Knob::IoWeight(_)
        | Knob::IoBfqWeight(_)
        | Knob::PidsMax(_)
        | Knob::CgroupFreeze(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recorded::sample_change;
    use crate::units::Bytes;

    const SCALE: Scale = Scale { from: 1000, length: 100, count: 4 };

    fn high(mebi: u64) -> Knob {
        Knob::MemoryHigh(Limit::At(Bytes::mebi(mebi)))
    }

    fn drawn(events: &[Event]) -> Vec<Option<u64>> {
        let limits = Limits::of(&"web".parse().unwrap(), events, None);
        let columns = limits.columns(KnobKind::MemoryHigh, SCALE);
        columns.into_iter().map(|limit| limit.map(|bytes| bytes >> 20)).collect()
    }

    #[test]
    fn the_tightest_of_a_column_is_drawn() {
        let open = Knob::MemoryHigh(Limit::Max);
        assert_eq!(drawn(&[]), [None; 4]);
        let tightened = sample_change(1150, "web", "a", high(300), open.clone());
        assert_eq!(
            drawn(std::slice::from_ref(&tightened)),
            [None, Some(300), Some(300), Some(300)]
        );
        let eased = sample_change(1250, "web", "a", high(400), high(300));
        let lifted = sample_change(1300, "web", "a", open, high(400));
        assert_eq!(drawn(&[tightened, eased, lifted]), [None, Some(300), Some(300), None]);
    }

    #[test]
    fn what_was_there_before_the_first_change_held_until_then() {
        let eased = sample_change(1150, "web", "a", high(500), high(200));
        assert_eq!(drawn(&[eased]), [Some(200), Some(200), Some(500), Some(500)]);
    }

    #[test]
    fn a_home_that_is_gone_limits_nothing() {
        let gone = sample_change(1000, "web", "gone", high(100), high(100));
        let there = sample_change(1000, "web", "a", high(200), high(200));
        assert_eq!(drawn(&[gone, there]), [Some(200); 4]);
    }
}
