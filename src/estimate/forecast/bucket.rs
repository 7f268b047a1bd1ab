//! Five minutes as one number: the mean of what was used, or the most of what was held.

use crate::model::Moment;
use serde::{Deserialize, Serialize};

/// How long a bucket is, in seconds.
pub(super) const BUCKET_SECS: u64 = 300;
/// Buckets in a day.
pub(super) const DAY: usize = 288;
/// Buckets in an hour.
const HOUR: u64 = 12;

/// What a bucket is made of its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fold {
    /// Their mean: for what flows, such as CPU time and I/O.
    Mean,
    /// The greatest: for what is held, such as memory and tasks.
    Most,
}

/// The number of a bucket since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Number(pub(super) u64);

impl Number {
    pub(super) const fn of(at: Moment) -> Self {
        Self(at.0 / BUCKET_SECS)
    }

    /// The bucket so many later.
    pub(super) const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// When it begins.
    pub(super) const fn start(self) -> Moment {
        Moment(self.0.saturating_mul(BUCKET_SECS))
    }

    /// When it ends.
    pub(super) const fn end(self) -> Moment {
        self.plus(1).start()
    }

    /// The number of its hour since 1970.
    pub(super) const fn hour(self) -> u64 {
        self.0 / HOUR
    }

    /// Which of the day's buckets it is, from 0.
    pub(super) fn slot(self) -> usize {
        let day = u64::try_from(DAY).unwrap_or(1);
        usize::try_from(self.0 % day).unwrap_or(0)
    }
}

/// The bucket that samples fall into now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::estimate) struct Filling {
    pub(super) number: Number,
    sum: u128,
    count: u64,
    most: u64,
}

impl Filling {
    /// An empty one.
    pub(super) const fn new(number: Number) -> Self {
        Self { number, sum: 0, count: 0, most: 0 }
    }

    /// Adds a sample. All weigh the same.
    pub(in crate::estimate) fn add(&mut self, sample: u64) {
        self.sum = self.sum.saturating_add(u128::from(sample));
        self.count = self.count.saturating_add(1);
        self.most = self.most.max(sample);
    }

    /// What the bucket comes to; none without a sample.
    pub(in crate::estimate) fn value(&self, fold: Fold) -> Option<u64> {
        let mean = self.sum.checked_div(u128::from(self.count))?;
        Some(match fold {
            Fold::Mean => u64::try_from(mean).unwrap_or(u64::MAX),
            Fold::Most => self.most,
        })
    }
}

/// The buckets of a recorded series, each with its first moment, as a forecaster makes them of the same samples; none where a bucket holds no
/// sample. Times must not go back. As many as there are five minutes between the first time and the last.
#[must_use]
pub fn buckets(samples: &[(Moment, Option<u64>)], fold: Fold) -> Vec<(Moment, Option<u64>)> {
    let mut found = Vec::new();
    let Some((first, _)) = samples.first() else { return found };
    let mut filling = Filling::new(Number::of(*first));
    let mut end = |filling: &Filling| found.push((filling.number.start(), filling.value(fold)));
    for (at, sample) in samples {
        while filling.number < Number::of(*at) {
            end(&filling);
            filling = Filling::new(filling.number.plus(1));
        }
        sample.iter().for_each(|sample| filling.add(*sample));
    }
    end(&filling);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_the_mean_or_the_most() {
        let mut filling = Filling::new(Number::of(Moment(1_700_000_000)));
        assert_eq!(filling.value(Fold::Mean), None);
        [1, 2, 9].into_iter().for_each(|sample| filling.add(sample));
        assert_eq!(filling.value(Fold::Mean), Some(4));
        assert_eq!(filling.value(Fold::Most), Some(9));
        filling.add(u64::MAX);
        filling.add(u64::MAX);
        assert!(filling.value(Fold::Mean).unwrap() > u64::MAX / 3);
    }

    #[test]
    fn a_day_has_its_slots() {
        let midnight = Number::of(Moment(86_400 * 20_000));
        assert_eq!(midnight.slot(), 0);
        assert_eq!(midnight.plus(287).slot(), 287);
        assert_eq!(midnight.plus(288).slot(), 0);
        assert_eq!(midnight.end(), Moment(86_400 * 20_000 + 300));
    }

    #[test]
    fn a_series_falls_into_buckets() {
        let sample = |secs, amount| (Moment(secs), amount);
        let series =
            [sample(299, Some(1)), sample(600, Some(4)), sample(601, None), sample(899, Some(8))];
        let expected = [sample(0, Some(1)), sample(300, None), sample(600, Some(6))];
        assert_eq!(buckets(&series, Fold::Mean), expected);
        assert_eq!(buckets(&series, Fold::Most)[2], sample(600, Some(8)));
        assert_eq!(buckets(&[], Fold::Mean), []);
    }
}
