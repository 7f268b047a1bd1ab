//! Averages that forget: exponentially weighted, over looks at uneven distances.
//!
//! **Problem.** Looks come every second, sooner when a trigger wakes the agent and later when the host is slow. An average that weighs
//! each look the same would forget faster the more often it is asked.
//!
//! **Approach.** Each sample stands for the time since the one before and is weighed by that time: what was known keeps the share
//! `exp(-dt/tau)` and the sample gets the rest. The exponential is reckoned in whole numbers, so that every machine comes to the same bit
//! and a replay is exact.
//!
//! **Terms.** *tau*: after this time a step has come through to 63 %. *keep*: the share of what was known, in 2^-32.
//!
//! **Algorithm.** `dt/tau` is written in binary; `exp` of a sum is the product of the `exp` of its parts, one table entry for each bit.
//! Averages start at zero, as the kernel's own do: one sample says little.
//!
//! **Properties**, each a test below: the average stays between the least and the greatest of its samples and zero; a constant is
//! reached exactly; two steps of `dt` are one of `2 dt`; nothing moves in no time.

use crate::model::Wait;
use crate::units::{Ppm, Span};
use serde::{Deserialize, Serialize};

/// Over about ten seconds.
pub(super) const SHORT: Span = Span::secs(10);
/// Over about a minute.
pub(super) const LONG: Span = Span::secs(60);

/// `exp(-2^(4-k))` in 2^-32, for k from 0.
const EXPONENTIALS: [u64; 29] = [
    483,
    1_440_801,
    78_665_070,
    581_260_615,
    1_580_030_169,
    2_605_029_347,
    3_344_923_893,
    3_790_295_335,
    4_034_748_382,
    4_162_825_044,
    4_228_380_000,
    4_261_543_595,
    4_278_222_805,
    4_286_586_875,
    4_290_775_039,
    4_292_870_656,
    4_293_918_848,
    4_294_443_040,
    4_294_705_160,
    4_294_836_226,
    4_294_901_760,
    4_294_934_528,
    4_294_950_912,
    4_294_959_104,
    4_294_963_200,
    4_294_965_248,
    4_294_966_272,
    4_294_966_784,
    4_294_967_040,
];
/// Binary places of `dt/tau` behind the point: what the last entry of the table stands for.
const PLACES: u32 = 24;
/// One, as a share that is kept.
const ONE: u64 = 1 << 32;
/// The largest sample, so that the scaled average fits: 2^46 is 64 TiB, per second or in all.
const LARGEST: i64 = 1 << 46;

/// The share of an average that is kept over some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep(u64);

impl Keep {
    /// The share that is kept over `dt` by an average of `tau`; of no `tau` nothing is.
    pub(super) fn over(dt: Span, tau: Span) -> Self {
        let Some(times) = (u128::from(dt.0) << PLACES).checked_div(u128::from(tau.0)) else {
            return Self(0);
        };
        if times >= 32 << PLACES {
            return Self(0);
        }
        let bit = |place: usize| (times << place) >> (PLACES + 4) & 1 == 1;
        let factors = EXPONENTIALS.iter().enumerate().filter(|(place, _)| bit(*place));
        Self(factors.fold(ONE, |keep, (_, factor)| multiplied(keep, *factor)))
    }
}

/// The product of two shares, rounded.
fn multiplied(one: u64, other: u64) -> u64 {
    let product = (u128::from(one) * u128::from(other) + (1 << 31)) >> 32;
    u64::try_from(product).unwrap_or(ONE)
}

/// An average of whole numbers, kept in 2^-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Ewma {
    scaled: i64,
}

impl Ewma {
    /// Takes in a sample that stands for the time of `keep`.
    pub(super) fn push(&mut self, sample: i64, keep: Keep) {
        let target = sample.clamp(-LARGEST, LARGEST) << 16;
        let away = i128::from(self.scaled) - i128::from(target);
        let kept = away * i128::from(keep.0) / i128::from(ONE);
        self.scaled = i64::try_from(i128::from(target) + kept).unwrap_or(target);
    }

    /// The average, rounded.
    pub(super) const fn value(self) -> i64 {
        self.scaled.saturating_add(1 << 15) >> 16
    }

    /// The same where it counts something that is never negative.
    pub(super) fn count(self) -> u64 {
        u64::try_from(self.value()).unwrap_or(0)
    }
}

/// What is kept over one interval by both averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    /// How long it was.
    pub(super) span: Span,
    /// What the short average keeps.
    pub(super) short: Keep,
    /// What the long average keeps.
    pub(super) long: Keep,
}

impl Interval {
    /// An interval of this length.
    pub(super) fn of(span: Span) -> Self {
        Self { span, short: Keep::over(span, SHORT), long: Keep::over(span, LONG) }
    }

    /// The share of it that `usec` of waiting are.
    pub(super) fn share(self, usec: u64) -> Ppm {
        Ppm::of(usec, self.span.0).unwrap_or_default()
    }

    /// `count` per second.
    pub(super) fn per_second(self, count: u64) -> u64 {
        let rate = (u128::from(count) * 1_000_000).checked_div(u128::from(self.span.0));
        rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
    }
}

/// A share of time over about ten seconds and about a minute, and whether it is known now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Smooth {
    short: Ewma,
    long: Ewma,
    /// Whether the last sample was there.
    known: bool,
    /// Whether any sample ever was.
    ever: bool,
}

impl Smooth {
    /// Takes in a sample. A missing one changes no average; it only makes the present one unknown.
    pub(super) fn push(&mut self, sample: Option<Ppm>, interval: Interval) {
        self.known = sample.is_some();
        self.ever |= self.known;
        if let Some(sample) = sample {
            self.short.push(i64::from(sample.get()), interval.short);
            self.long.push(i64::from(sample.get()), interval.long);
        }
    }

    /// The averages, where the last sample was there.
    pub(super) fn wait(self) -> Option<Wait> {
        self.known.then(|| Wait { p10: self.p10(), p60: ppm(self.long) })
    }

    /// The short average, whether or not it is as old as the last look.
    pub(super) fn p10(self) -> Ppm {
        ppm(self.short)
    }

    /// Whether it was known once and is not now.
    pub(super) const fn is_missing(self) -> bool {
        self.ever && !self.known
    }
}

fn ppm(average: Ewma) -> Ppm {
    u32::try_from(average.count()).map_or(Ppm::WHOLE, Ppm::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_step_comes_through_as_the_textbook_says() {
        for (secs, expected) in [(1, 951_626), (10, 632_121), (30, 950_213), (320, 1_000_000)] {
            let mut average = Ewma::default();
            average.push(1_000_000, Keep::over(Span::secs(secs), SHORT));
            let expected = if secs == 1 { 95_163 } else { expected };
            assert!((average.value() - expected).abs() <= 1, "{secs} s: {}", average.value());
        }
    }

    #[test]
    fn nothing_moves_in_no_time_and_everything_without_tau() {
        assert_eq!(Keep::over(Span::ZERO, SHORT), Keep(ONE));
        assert_eq!(Keep::over(Span::secs(1), Span::ZERO), Keep(0));
    }

    #[test]
    fn what_is_missing_is_no_zero() {
        let mut wait = Smooth::default();
        let second = Interval::of(Span::secs(1));
        wait.push(None, second);
        assert!(wait.wait().is_none() && !wait.is_missing(), "never known");
        wait.push(Some(Ppm::WHOLE), second);
        let before = wait.p10();
        wait.push(None, second);
        assert!(wait.wait().is_none() && wait.is_missing());
        assert_eq!(wait.p10(), before);
    }

    proptest! {
        #[test]
        fn the_table_is_the_exponential(dt in 0u64..400_000_000, tau in 1_000_000u64..100_000_000) {
            let keep = Keep::over(Span(dt), Span(tau));
            #[expect(clippy::cast_precision_loss, reason = "a test against floats")]
            let (exact, ours) = ((-(dt as f64) / tau as f64).exp(), keep.0 as f64 / ONE as f64);
            prop_assert!((exact - ours).abs() < 1e-6, "{exact} {ours}");
        }

        #[test]
        fn an_average_stays_among_its_samples(
            samples in prop::collection::vec((-1_000_000_000i64..1_000_000_000, 0u64..40_000_000), 1..60)
        ) {
            let mut average = Ewma::default();
            for (number, (sample, dt)) in samples.iter().enumerate() {
                average.push(*sample, Keep::over(Span(*dt), SHORT));
                let seen = || samples.iter().take(number + 1).map(|(sample, _)| *sample).chain([0]);
                prop_assert!(average.value() <= seen().max().unwrap());
                prop_assert!(average.value() >= seen().min().unwrap());
            }
        }

        #[test]
        fn a_constant_is_reached_exactly(sample in -1_000_000i64..1_000_000) {
            let mut average = Ewma::default();
            for _ in 0..400 {
                average.push(sample, Keep::over(Span::secs(1), SHORT));
            }
            prop_assert_eq!(average.value(), sample);
        }

        #[test]
        fn two_steps_are_one_twice_as_long(sample in 0i64..1_000_000, dt in 1u64..20_000_000) {
            let (mut twice, mut once) = (Ewma::default(), Ewma::default());
            for _ in 0..2 {
                twice.push(sample, Keep::over(Span(dt), SHORT));
            }
            once.push(sample, Keep::over(Span(2 * dt), SHORT));
            prop_assert!((twice.value() - once.value()).abs() <= 1);
        }
    }
}
