//! How far a forecast can be trusted: how long it watched, how often its bound held, and how much room the bound left unused.

use super::blend::share;
use super::whole::whole;
use crate::units::Ppm;
use serde::{Deserialize, Serialize};

/// Full trust takes so many buckets: six hours.
const FULL: u16 = 72;
/// Below two hours the forecaster learns, and nobody is told that it cannot be trusted.
const LEARNT: u16 = 24;
/// A bound may hold by so much less often than promised.
const SLACK: f32 = 0.02;
/// With so much less than that there is no trust.
const NO_TRUST: f32 = 0.20;
/// What a day's average keeps of itself at each bucket: `exp(-1/288)`.
const KEEP: f32 = 0.996_534;
/// Below is unreliable, above is reliable again; each for two buckets, ten minutes.
const LOW: f32 = 0.3;
const HIGH: f32 = 0.4;
const BUCKETS: u8 = 2;

/// The record of the common bound.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Trust {
    /// Buckets since the start, or since a gap after which nothing was certain.
    buckets: u16,
    /// Averages over a day, each to be divided by the first.
    weight: f32,
    covered: f32,
    over: f32,
    came: f32,
    /// Bounds that held, of so many, in all.
    held: u64,
    judged: u64,
    /// Buckets in a row that speak for a change of the verdict.
    turning: u8,
    unreliable: bool,
}

impl Trust {
    /// Holds a bound against what came.
    pub(super) fn learn(&mut self, upper: f32, came: f32) {
        let held = came <= upper;
        let decayed = |average: f32, one: f32| average * KEEP + one;
        self.weight = decayed(self.weight, 1.0);
        self.covered = decayed(self.covered, if held { 1.0 } else { 0.0 });
        self.over = decayed(self.over, (upper - came).max(0.0));
        self.came = decayed(self.came, came);
        self.held = self.held.saturating_add(u64::from(held));
        self.judged = self.judged.saturating_add(1);
    }

    /// A bucket has passed: whether the verdict turns.
    pub(super) fn pass(&mut self, quantile: Ppm) {
        self.buckets = self.buckets.saturating_add(1).min(FULL);
        let confidence = self.part(quantile);
        let turns = if self.unreliable { confidence > HIGH } else { confidence < LOW };
        self.turning =
            if turns && !self.is_learning() { self.turning.saturating_add(1) } else { 0 };
        if self.turning >= BUCKETS {
            self.unreliable = !self.unreliable;
            self.turning = 0;
        }
    }

    /// As if the series had just begun; the record of bounds stays.
    pub(super) fn begin_anew(&mut self) {
        self.buckets = 0;
        self.turning = 0;
        self.unreliable = false;
    }

    /// Too little was seen, or no bound was judged yet.
    pub(super) const fn is_learning(&self) -> bool {
        self.buckets < LEARNT || self.judged == 0
    }

    pub(super) const fn is_unreliable(&self) -> bool {
        self.unreliable
    }

    /// The share of bounds that held so far; none before the first was judged.
    pub(super) fn coverage(&self) -> Option<Ppm> {
        Ppm::of(self.held, self.judged)
    }

    /// From 0 to 1 in millionths.
    pub(super) fn confidence(&self, quantile: Ppm) -> Ppm {
        let millionths = whole(f64::from(self.part(quantile)) * 1e6);
        u32::try_from(millionths).map_or(Ppm::WHOLE, Ppm::new)
    }

    fn part(&self, quantile: Ppm) -> f32 {
        if self.weight <= 0.0 {
            return 0.0;
        }
        let watched = f32::from(self.buckets) / f32::from(FULL);
        let short = share(quantile) - SLACK - self.covered / self.weight;
        let covered = (1.0 - short.max(0.0) / NO_TRUST).max(0.0);
        // Room over nothing is endless; no room over nothing is none.
        let unused = if self.over > 0.0 { self.came / (self.came + self.over) } else { 1.0 };
        watched * covered * unused
    }
}
