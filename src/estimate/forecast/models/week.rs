//! The week: one mean for each of its hours, and how far the present lies from them. It has an opinion after two weeks: one alone cannot tell a
//! week from its days.

use super::Slots;
use crate::estimate::forecast::bucket::Number;
use serde::{Deserialize, Serialize};

/// Hours in a week.
const HOURS: usize = 168;
/// So many hours were seen after two weeks.
const TWO_WEEKS: u16 = 336;
/// Weights of the newest bucket in the level beside the week, and of the newest week in the hour's mean.
const LEVEL: f32 = 0.3;
const HOUR: f32 = 0.5;

/// The hour that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Open {
    number: u64,
    sum: f32,
    buckets: u16,
}

/// What is remembered of weeks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Week {
    hours: Slots<HOURS>,
    open: Option<Open>,
    /// What was seen less the hour's mean, smoothed; none after an interruption.
    level: Option<f32>,
    /// Hours that were seen, up to two weeks of them.
    seen: u16,
}

impl Week {
    pub(super) fn new() -> Self {
        Self { hours: Slots::unseen(), open: None, level: None, seen: 0 }
    }

    /// Takes in a bucket.
    pub(super) fn push(&mut self, number: Number, value: f32) {
        if let Some(usual) = self.usual(number) {
            let level = self.level.get_or_insert(value - usual);
            *level += LEVEL * (value - usual - *level);
        }
        let hour = number.hour();
        if let Some(open) = self.open.take_if(|open| open.number != hour) {
            self.end(open);
        }
        let open = self.open.get_or_insert(Open { number: hour, sum: 0.0, buckets: 0 });
        open.sum += value;
        open.buckets = open.buckets.saturating_add(1);
    }

    fn end(&mut self, hour: Open) {
        let mean = hour.sum / f32::from(hour.buckets.max(1));
        let slot = slot(hour.number);
        let learnt = self.hours.seen(slot).map_or(mean, |before| before + HOUR * (mean - before));
        self.hours.set(slot, learnt);
        self.seen = self.seen.saturating_add(1).min(TWO_WEEKS);
    }

    /// What this hour of the week usually is.
    fn usual(&self, number: Number) -> Option<f32> {
        self.hours.seen(slot(number.hour()))
    }

    /// What this bucket is expected to be; none before two weeks.
    pub(super) fn expected(&self, number: Number) -> Option<f32> {
        let level = self.level.filter(|_| self.seen >= TWO_WEEKS)?;
        Some(level + self.usual(number)?)
    }

    /// The next bucket may lie anywhere.
    pub(super) const fn forget_level(&mut self) {
        self.level = None;
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.hours.heap()
    }
}

fn slot(hour: u64) -> usize {
    usize::try_from(hour).unwrap_or(0) % HOURS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Moment;

    /// Two quiet days of seven.
    fn usual(bucket: u64) -> f32 {
        if bucket / 288 % 7 < 2 { 100.0 } else { 900.0 }
    }

    fn learnt(buckets: u64) -> Week {
        let mut week = Week::new();
        (0..buckets).for_each(|bucket| week.push(Number(bucket), usual(bucket)));
        week
    }

    #[test]
    fn a_week_is_known_after_two() {
        assert_eq!(learnt(2 * 7 * 288).expected(Number(2 * 7 * 288)), None, "one hour short");
        let week = learnt(2 * 7 * 288 + 1);
        for bucket in [2 * 7 * 288 + 1, 2 * 7 * 288 + 3 * 288, 2 * 7 * 288 + 288] {
            let expected = week.expected(Number(bucket)).unwrap();
            assert!((expected - usual(bucket)).abs() < 1.0, "{bucket}: {expected}");
        }
    }

    #[test]
    fn a_new_level_is_believed_soon_and_a_new_week_slowly() {
        let mut week = learnt(3 * 7 * 288);
        let first = 3 * 7 * 288;
        (first..first + 24).for_each(|bucket| week.push(Number(bucket), usual(bucket) + 500.0));
        let expected = week.expected(Number(first + 24)).unwrap();
        assert!((590.0..610.0).contains(&expected), "{expected}");
        week.forget_level();
        assert_eq!(week.expected(Number(first + 25)), None);
    }

    #[test]
    fn hours_are_those_of_the_clock() {
        assert_eq!(Number::of(Moment(3600 * 170)).hour(), 170);
        assert_eq!(slot(170), 2);
    }
}
