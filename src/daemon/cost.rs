//! What the loop itself costs: how long looks take, how late they come, and how much CPU the process used of late. Asks for no memory after
//! its start.

use crate::model::Durations;
use crate::units::{CpuTime, Millicpu, Span, Tick};
use std::collections::VecDeque;

/// The process's CPU time is noted so often.
const NOTE_EVERY: Span = Span::secs(10);
/// So many notes are kept: the use is told over a minute.
const MOST_NOTES: usize = 7;

/// The loop's own account.
#[derive(Debug)]
pub(super) struct Cost {
    looks: Durations,
    looked_at: Option<Tick>,
    /// When, and the CPU time of the process then; the oldest first.
    notes: VecDeque<(Tick, CpuTime)>,
}

impl Cost {
    pub(super) fn new() -> Self {
        Self {
            looks: Durations::default(),
            looked_at: None,
            notes: VecDeque::with_capacity(MOST_NOTES),
        }
    }

    /// How much later than the interval after the last one a look begins.
    pub(super) fn lag(&mut self, at: Tick, interval: Span) -> Span {
        let before = self.looked_at.replace(at).unwrap_or(at);
        Span(at.since(before).0.saturating_sub(interval.0))
    }

    /// A look began and ended; `used` is the CPU time of the process so far.
    pub(super) fn looked(&mut self, began: Tick, ended: Tick, used: CpuTime) {
        self.looks.add(ended.since(began));
        if self.notes.back().is_some_and(|(at, _)| ended.since(*at) < NOTE_EVERY) {
            return;
        }
        if self.notes.len() == MOST_NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back((ended, used));
    }

    pub(super) const fn looks(&self) -> Durations {
        self.looks
    }

    /// CPU time per time over the last minute; none before there were two notes.
    pub(super) fn cpu(&self) -> Option<Millicpu> {
        let ((from, before), (to, after)) = (self.notes.front()?, self.notes.back()?);
        let span = to.since(*from).0;
        let used = after.0.saturating_sub(before.0);
        (span > 0).then(|| Millicpu(used.saturating_mul(1000) / span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_late_by_what_is_longer_than_the_interval() {
        let mut cost = Cost::new();
        let interval = Span::secs(1);
        let at = |millis: u64| Tick(millis * 1000);
        assert_eq!(cost.lag(at(5000), interval), Span::ZERO, "the first");
        assert_eq!(cost.lag(at(6000), interval), Span::ZERO);
        assert_eq!(cost.lag(at(6200), interval), Span::ZERO, "woken between two ticks");
        assert_eq!(cost.lag(at(7450), interval), Span::millis(250));
    }

    #[test]
    fn the_use_is_that_of_the_last_minute() {
        let mut cost = Cost::new();
        assert_eq!(cost.cpu(), None);
        let mut used = CpuTime(700_000);
        for second in 0..=300_u64 {
            let at = Tick(second * 1_000_000);
            cost.looked(at, at.plus(Span::millis(2)), used);
            // A tenth of a core for four minutes, then a half.
            used = CpuTime(used.0 + if second < 240 { 100_000 } else { 500_000 });
            assert_eq!(cost.cpu().is_some(), second >= 10, "{second}");
            if second == 239 {
                assert_eq!(cost.cpu(), Some(Millicpu(100)));
            }
        }
        assert_eq!(cost.cpu(), Some(Millicpu(500)));
        assert_eq!((cost.looks().count(), cost.looks().counts[2]), (301, 301));
    }
}
