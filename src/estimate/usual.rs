//! What is usual for a series, and whether what came was not.
//!
//! **Problem.** A level that is no alert may still be news: a service that uses three times what it does at this hour of other days. What is usual
//! differs between hours and between programs, and no single bucket proves anything.
//!
//! **Approach.** How far buckets were from what the hour of the day, or of the week, let expect is the distribution of how far the next one will be.
//! Of 199 such distances the least and the greatest enclose the next with 99 %. Three in a row outside are no chance.
//!
//! **Terms.** *distance*: a bucket less what was expected of it. *step*: what nobody calls a change, for each resource. *run*: buckets in a row outside.
//!
//! **Algorithm.** The band lies between the least and the greatest distance, and by the step or a twentieth of the expected further out. Three in a row
//! outside are unusual from the first of them on, until as many in a row are inside. What is expected follows the level, so that it is wrong
//! for a while after each spike: whoever is back in the band that was left is inside too, until what is expected has settled. A distance
//! counts for at most a quarter more than the band, so that what is new becomes usual step by step, and not with the third bucket.
//!
//! **Properties**, each a test below: noise, days and weeks are usual; a lasting change of more than twice the band is found with its third
//! bucket, and becomes usual; nothing is said before 199 buckets, nor after an interruption.

use super::forecast::{Bucket, Window, whole};
use crate::model::Unusual;
use serde::{Deserialize, Serialize};

/// The next of an exchangeable row lies outside of the least and the greatest of so many with 1 %.
const DISTANCES: usize = 199;
const IN_A_ROW: u8 = 3;
/// A distance counts for at most so many times the band.
const MOST_BEYOND: f32 = 1.25;
/// The band is by this part of the expected wider.
const PART: f32 = 0.05;

/// What is usual for one series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Usual {
    distances: Window,
    /// The first bucket outside, and the band that it left; stays until what is expected has settled again.
    left: Option<Unusual>,
    /// Buckets in a row outside, inside, and as expected.
    outside: u8,
    inside: u8,
    settled: u8,
    /// Three in a row were outside, and no three inside since.
    told: bool,
}

impl Usual {
    /// Takes in a bucket. `step` is what nobody calls a change.
    pub(super) fn push(&mut self, bucket: &Bucket, step: u64) {
        let Some(expected) = bucket.expected else {
            self.interrupted();
            return;
        };
        let expected = expected as f32;
        let distance = bucket.value as f32 - expected;
        let Some([least, most]) = self.band() else {
            self.distances.push(distance, DISTANCES);
            return;
        };
        let room = (PART * expected).max(step as f32);
        let (low, high) = (least.min(0.0) - room, most.max(0.0) + room);
        let as_expected = (low..=high).contains(&distance);
        let came_back = self.left.is_some_and(|left| (left.from..=left.to).contains(&bucket.value));
        if as_expected || !came_back {
            self.distances.push(distance.clamp(MOST_BEYOND * low, MOST_BEYOND * high), DISTANCES);
        }
        if as_expected || came_back {
            self.is_inside(bucket, as_expected);
        } else {
            let at = |distance: f32| whole(f64::from(expected + distance).round());
            self.is_outside(bucket, at(low), at(high));
        }
    }

    fn is_inside(&mut self, bucket: &Bucket, as_expected: bool) {
        self.outside = 0;
        self.inside = self.inside.saturating_add(1);
        self.settled = if as_expected { self.settled.saturating_add(1) } else { 0 };
        self.told &= self.inside < IN_A_ROW;
        if self.settled >= IN_A_ROW {
            self.left = None;
        } else if let Some(left) = &mut self.left {
            left.value = bucket.value;
        }
    }

    fn is_outside(&mut self, bucket: &Bucket, from: u64, to: u64) {
        let value = bucket.value;
        let left = self.left.get_or_insert(Unusual { since: bucket.at, value, from, to });
        left.value = value;
        if self.outside == 0 && !self.told {
            left.since = bucket.at;
        }
        self.outside = self.outside.saturating_add(1);
        self.told |= self.outside >= IN_A_ROW;
        (self.inside, self.settled) = (0, 0);
    }

    /// What goes on is not known any more.
    pub(super) const fn interrupted(&mut self) {
        self.left = None;
        (self.outside, self.inside, self.settled, self.told) = (0, 0, 0, false);
    }

    /// What is out of the ordinary; none where nothing is.
    pub(super) fn unusual(&self) -> Option<Unusual> {
        self.left.filter(|_| self.told)
    }

    /// The least and the greatest distance; none before enough are known.
    fn band(&self) -> Option<[f32; 2]> {
        let is_known = self.distances.len() >= DISTANCES;
        self.distances.least().zip(self.distances.most()).filter(|_| is_known).map(<[f32; 2]>::from)
    }

    /// Bytes, on the heap and off it.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.distances.heap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::forecast::{Fold, Forecaster, Settings};
    use crate::estimate::noise::noise;
    use crate::model::Moment;

    /// A midnight.
    const START: u64 = 86_400 * 20_000;
    const DAY: usize = 288;

    /// A series and what is said of it after each bucket.
    struct Play {
        forecaster: Forecaster,
        usual: Usual,
        next: usize,
    }

    impl Play {
        fn new() -> Self {
            let forecaster = Forecaster::new(&Settings::usual(Fold::Mean));
            Self { forecaster, usual: Usual::default(), next: 0 }
        }

        /// Plays so many buckets; how many of them were unusual.
        fn play(&mut self, buckets: usize, of: impl Fn(usize) -> f64) -> usize {
            let mut unusual = 0;
            for _ in 0..buckets {
                let at = Moment(START + 300 * self.next as u64);
                if let Some(bucket) = self.forecaster.take(at, Some(whole(of(self.next)))) {
                    self.usual.push(&bucket, 20);
                    unusual += usize::from(self.usual.unusual().is_some());
                }
                self.next += 1;
            }
            unusual
        }
    }

    fn calm(bucket: usize) -> f64 {
        1_000.0 + 200.0 * noise(bucket as u64)
    }

    /// Up from nine to five, but on two days of seven.
    fn office(bucket: usize) -> f64 {
        let hours = (108..204).contains(&(bucket % DAY)) && bucket / DAY % 7 < 5;
        (if hours { 3_000.0 } else { 500.0 }) + 100.0 * noise(bucket as u64)
    }

    fn wave(bucket: usize) -> f64 {
        let angle = std::f64::consts::TAU * (bucket % DAY) as f64 / DAY as f64;
        5_000.0 + 3_000.0 * angle.sin() + 300.0 * noise(bucket as u64)
    }

    fn spikes(bucket: usize) -> f64 {
        calm(bucket) + if noise((bucket + 7_777_777) as u64) > 0.47 { 9_000.0 } else { 0.0 }
    }

    #[test]
    fn noise_days_and_weeks_are_usual() {
        for (name, of) in [("calm", calm as fn(usize) -> f64), ("wave", wave), ("spikes", spikes)] {
            assert_eq!(Play::new().play(10 * DAY, of), 0, "{name}");
        }
        let mut play = Play::new();
        let learning = play.play(15 * DAY, office);
        assert!(learning <= 60, "weekends before two weeks are known: {learning}");
        assert_eq!(play.play(7 * DAY, office), 0, "and are usual after");
    }

    #[test]
    fn a_lasting_change_is_found_and_becomes_usual() {
        let mut play = Play::new();
        assert_eq!(play.play(3 * DAY, calm), 0);
        let higher = |bucket: usize| calm(bucket) + 5_000.0;
        assert_eq!(play.play(3, higher), 0);
        assert_eq!(play.play(1, higher), 1, "the third is over");
        let unusual = play.usual.unusual().unwrap();
        assert_eq!(unusual.since, Moment(START + 300 * 3 * DAY as u64));
        assert!(unusual.from < 900 && (1_100..1_500).contains(&unusual.to), "{unusual:?}");
        assert!(unusual.value > 5_900, "{unusual:?}");
        let lasted = play.play(DAY / 4, higher);
        assert!((1..40).contains(&lasted), "{lasted} buckets until it is usual");
        assert_eq!(play.usual.unusual(), None);
    }

    #[test]
    fn half_an_hour_of_it_is_over_when_it_is_over() {
        let mut play = Play::new();
        play.play(3 * DAY, calm);
        let during = play.play(6, |_| 9_000.0);
        assert!(during >= 3, "{during}");
        assert!(play.play(6, calm) <= 3);
        let rest = DAY - 6 - 6;
        assert_eq!(play.play(rest, calm), 0, "nor is the way back out of the ordinary");
    }

    #[test]
    fn one_or_two_buckets_prove_nothing_and_a_tiny_change_is_none() {
        let mut play = Play::new();
        play.play(3 * DAY, calm);
        assert_eq!(play.play(2, |_| 50_000.0) + play.play(40, calm), 0);
        assert_eq!(play.play(2, |_| 0.0) + play.play(40, calm), 0);
        let mut still = Play::new();
        assert_eq!(still.play(3 * DAY, |_| 0.0) + still.play(DAY, |_| 19.0), 0);
        assert!(still.play(DAY, |_| 900.0) > 0);
    }

    #[test]
    fn nothing_is_said_before_enough_is_known_nor_after_an_interruption() {
        let mut young = Play::new();
        assert_eq!(young.play(150, calm) + young.play(40, |_| 50_000.0), 0);
        let mut play = Play::new();
        play.play(3 * DAY, calm);
        assert_eq!(play.play(4, |_| 9_000.0), 1);
        play.forecaster.restarted();
        play.play(1, |_| 9_000.0);
        play.usual.push(&Bucket { at: Moment(0), value: 9_000, expected: None }, 20);
        assert_eq!(play.usual.unusual(), None);
    }
}
