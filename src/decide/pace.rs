//! How often provost looks, so that it keeps to what it may cost itself.
//!
//! **Problem.** A host with many components, or one that is slow, can make provost itself a burden. Most of what it costs are looks.
//!
//! **Approach.** Once a minute, the CPU time of that minute is held against the limit. Above it, the time between two looks is doubled; where
//! half of that time would clearly be within the limit, it is halved again. Never shorter than configured, never longer than [`LONGEST`].
//!
//! **Properties**, each a test: the interval stays within its bounds; under a constant cost of looks it comes to rest within four minutes; a
//! cost that has nothing to do with looks does not make it move back and forth.

use crate::units::{Limit, Millicpu, Span, Tick};

/// The longest time between two looks, as configuration allows it.
const LONGEST: Span = Span::secs(5);
/// It is judged so often: as long as what was used is measured over.
const JUDGED_EVERY: Span = Span::secs(60);

/// How far the interval is stretched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    configured: Span,
    doublings: u32,
    judged_at: Option<Tick>,
}

impl Pace {
    /// As configured, until it is judged.
    #[must_use]
    pub const fn new(configured: Span) -> Self {
        Self { configured, doublings: 0, judged_at: None }
    }

    /// Another interval is configured.
    pub const fn configure(&mut self, configured: Span) {
        self.configured = configured;
    }

    /// The configured time between two looks.
    #[must_use]
    pub const fn configured(&self) -> Span {
        self.configured
    }

    /// The time between two looks.
    #[must_use]
    pub fn interval(&self) -> Span {
        stretched(self.configured, self.doublings)
    }

    /// Holds what was used over the last minute against the limit. Whether the interval changed.
    pub fn judge(&mut self, at: Tick, limit: Limit<Millicpu>, used: Millicpu) -> bool {
        let judged_at = *self.judged_at.get_or_insert(at);
        if at.since(judged_at) < JUDGED_EVERY {
            return false;
        }
        self.judged_at = Some(at);
        let before = self.interval();
        let is_over = matches!(limit, Limit::At(most) if used > most);
        // Twice as many looks cost twice as much at most; a fifth is left for what varies.
        let is_well_below = match limit {
            Limit::At(most) => used.0.saturating_mul(5) < most.0.saturating_mul(2),
            Limit::Max => true,
        };
        if is_over && before < LONGEST {
            self.doublings += 1;
        } else if is_well_below {
            self.doublings = self.doublings.saturating_sub(1);
        }
        before != self.interval()
    }
}

fn stretched(configured: Span, doublings: u32) -> Span {
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    Span(configured.0.saturating_mul(factor)).min(LONGEST.max(configured))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Limit<Millicpu> = Limit::At(Millicpu(250));

    /// Judged at each minute, with what looks and everything else cost then.
    fn judged(pace: &mut Pace, minutes: u64, cost: impl Fn(Span) -> u64) -> Vec<u64> {
        let first = pace.judged_at.map_or(0, |at| at.0 / 60_000_000 + 1);
        let judge = |minute| {
            let used = Millicpu(cost(pace.interval()));
            let _changed = pace.judge(Tick(minute * 60_000_000), LIMIT, used);
            pace.interval().0 / 1000
        };
        (first..first + minutes).map(judge).collect()
    }

    /// A look takes so many microseconds.
    fn looks(micros: u64) -> impl Fn(Span) -> u64 {
        move |interval| micros * 1000 / interval.0
    }

    #[test]
    fn looks_that_cost_too_much_come_less_often_and_more_often_again() {
        let mut pace = Pace::new(Span::secs(1));
        assert_eq!(judged(&mut pace, 5, looks(600_000)), [1000, 2000, 4000, 4000, 4000]);
        assert_eq!(judged(&mut pace, 4, looks(220_000)), [2000, 2000, 2000, 2000]);
        assert_eq!(judged(&mut pace, 3, looks(1_000)), [1000, 1000, 1000]);
    }

    #[test]
    fn the_longest_interval_is_five_seconds_or_what_is_configured() {
        let mut pace = Pace::new(Span::millis(200));
        let intervals = judged(&mut pace, 8, |_| 900);
        assert_eq!(intervals, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(judged(&mut pace, 5, |_| 0), [3200, 1600, 800, 400, 200]);
        let mut pace = Pace::new(LONGEST);
        assert_eq!(judged(&mut pace, 2, |_| 900), [5000, 5000]);
    }

    #[test]
    fn without_a_limit_nothing_is_stretched() {
        let mut pace = Pace::new(Span::secs(1));
        judged(&mut pace, 3, |_| 900);
        for minute in 10..20 {
            let _changed = pace.judge(Tick(minute * 60_000_000), Limit::Max, Millicpu(900));
        }
        assert_eq!(pace.interval(), Span::secs(1));
    }

    #[test]
    fn another_configuration_holds_at_once() {
        let mut pace = Pace::new(Span::secs(1));
        judged(&mut pace, 2, |_| 900);
        pace.configure(Span::millis(500));
        assert_eq!((pace.configured(), pace.interval()), (Span::millis(500), Span::secs(1)));
    }

    proptest! {
        #[test]
        fn it_stays_within_bounds_and_comes_to_rest(
            interval in 200_u64..5000,
            look in 0_u64..4_000_000,
            rest in 0_u64..400,
        ) {
            let mut pace = Pace::new(Span::millis(interval));
            let cost = |interval| looks(look)(interval) + rest;
            let intervals = judged(&mut pace, 20, cost);
            for now in &intervals {
                prop_assert!((interval..=5000).contains(now), "{intervals:?}");
            }
            prop_assert!(intervals[7..].windows(2).all(|pair| pair[0] == pair[1]), "{intervals:?}");
        }
    }
}
