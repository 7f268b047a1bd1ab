//! What others take for the bound: simple rules that are in use, each on the same buckets.

use std::collections::{BTreeMap, VecDeque};

const DAY: usize = 288;
const TWO_HOURS: usize = 24;
const HOUR: usize = 12;
/// The weight of a bucket grows by this from one to the next, which halves all older ones in a day.
const GROWTH: f64 = 1.002_409_653_9;
/// Weights are cut back before they leave the range of numbers.
const HEAVIEST: f64 = 1e100;

/// How many rules there are.
pub(super) const RIVALS: usize = 5;

/// The rules' names, in the order of [`Rivals::uppers`].
pub(super) const NAMES: [&str; RIVALS] =
    ["last value", "p90 + 15 %", "mean + 5 sigma", "24 h maximum", "1 h maximum x 1.2"];

/// What the rules remember.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// The last day, oldest first.
    day: VecDeque<f64>,
    /// Weights by value, sixteen classes to each power of two; the half-life is a day, as in the Kubernetes vertical autoscaler.
    classes: BTreeMap<u64, f64>,
    weight: f64,
}

impl Rivals {
    /// Takes in a bucket.
    pub(super) fn push(&mut self, value: f64) {
        if self.day.len() == DAY {
            self.day.pop_front();
        }
        self.day.push_back(value);
        self.weight = (self.weight * GROWTH).max(1.0);
        *self.classes.entry(class(value)).or_default() += self.weight;
        if self.weight > HEAVIEST {
            self.classes.values_mut().for_each(|weight| *weight /= self.weight);
            self.weight = 1.0;
        }
    }

    /// What each rule takes for the bound now.
    pub(super) fn uppers(&self) -> [f64; RIVALS] {
        let last = self.day.back().copied().unwrap_or_default();
        [last, self.percentile(0.9) * 1.15, self.sigmas(5.0), self.most(DAY), self.most(HOUR) * 1.2]
    }

    fn most(&self, count: usize) -> f64 {
        self.day.iter().rev().take(count).copied().fold(0.0, f64::max)
    }

    fn sigmas(&self, count: f64) -> f64 {
        let last = || self.day.iter().rev().take(TWO_HOURS);
        let length = last().count().max(1) as f64;
        let mean = last().sum::<f64>() / length;
        let variance = last().map(|value| (value - mean) * (value - mean)).sum::<f64>() / length;
        mean + count * variance.sqrt()
    }

    /// The upper end of the class in which the percentile lies.
    fn percentile(&self, share: f64) -> f64 {
        let total: f64 = self.classes.values().sum();
        let mut below = 0.0;
        let found = self.classes.iter().find(|(_, weight)| {
            below += **weight;
            below >= share * total
        });
        found.map_or(
            0.0,
            |(class, _)| if *class == 0 { 0.0 } else { f64::from_bits((class + 1) << SHIFT) },
        )
    }
}

/// A number's bits without these are its exponent and the first four of its mantissa.
const SHIFT: u32 = 48;

/// Which class a value of zero or more belongs to; 0 for nothing.
const fn class(value: f64) -> u64 {
    value.to_bits() >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 0.01 * expected.max(1e-9), "{found}, not {expected}");
    }

    #[test]
    fn the_rules_are_those_of_their_names() {
        let mut rivals = Rivals::default();
        (1..=100).for_each(|value| rivals.push(f64::from(value)));
        let [last, p90, sigmas, day, hour] = rivals.uppers();
        near(last, 100.0);
        assert!((90.0 * 1.15..97.0 * 1.15).contains(&p90), "{p90}");
        near(sigmas, 88.5 + 5.0 * (575.0_f64 / 12.0).sqrt());
        near(day, 100.0);
        near(hour, 120.0);
        (0..1000).for_each(|_| rivals.push(0.0));
        assert!(rivals.uppers().iter().skip(2).all(|upper| *upper < 1e-9));
        assert!(rivals.percentile(0.9) < 40.0, "what is days old weighs little");
    }

    #[test]
    fn years_do_not_overflow() {
        let mut rivals = Rivals::default();
        (0..200_000).for_each(|_| rivals.push(7.0));
        near(rivals.percentile(0.9), 7.0 + 0.25);
    }
}
