//! What a forecaster is asked for.

use super::bucket::{BUCKET_SECS, Fold};
use crate::units::{Ppm, Span};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The farthest horizon, in buckets: an hour. What lies farther is a matter of days and weeks, not of the last buckets.
const FARTHEST: u64 = 12;
const LEAST_QUANTILE: Ppm = Ppm::percent(50);
/// Two days of residuals hold three above it.
const MOST_QUANTILE: Ppm = Ppm::new(995_000);

/// Why a forecast cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// The horizon is out of range.
    #[error("the horizon {horizon} is not between 5m and 1h; 15m is usual")]
    Horizon {
        /// What was asked for.
        horizon: Span,
    },
    /// The quantile is out of range.
    #[error(
        "the quantile {quantile} is not between 50% and 99.5%; 95% is usual, and 99% for memory"
    )]
    Quantile {
        /// What was asked for.
        quantile: Ppm,
    },
}

/// How far to look, how sure to be, and what a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    horizon: u8,
    quantile: Ppm,
    fold: Fold,
}

impl Settings {
    /// Looks `horizon` ahead, rounded up to five minutes, for a bound that holds with the probability `quantile`.
    ///
    /// # Errors
    /// When the horizon is not within 5 minutes and an hour, or the quantile not within 50 % and 99.5 %.
    pub fn new(horizon: Span, quantile: Ppm, fold: Fold) -> Result<Self, SettingsError> {
        let buckets = horizon.0.div_ceil(BUCKET_SECS * 1_000_000);
        let far = u8::try_from(buckets).ok().filter(|_| (1..=FARTHEST).contains(&buckets));
        let far = far.filter(|_| horizon >= Span::secs(BUCKET_SECS));
        let horizon = far.ok_or(SettingsError::Horizon { horizon })?;
        if !(LEAST_QUANTILE..=MOST_QUANTILE).contains(&quantile) {
            return Err(SettingsError::Quantile { quantile });
        }
        Ok(Self { horizon, quantile, fold })
    }

    /// The usual ones: a quarter of an hour; 95 % of what flows, 99 % of what is held, where a miss ends in a kill.
    #[must_use]
    pub const fn usual(fold: Fold) -> Self {
        let quantile = match fold {
            Fold::Mean => Ppm::percent(95),
            Fold::Most => Ppm::percent(99),
        };
        Self { horizon: 3, quantile, fold }
    }

    /// Buckets that are looked ahead.
    #[must_use]
    pub fn horizon(&self) -> usize {
        usize::from(self.horizon)
    }

    /// How far is looked ahead, as a time.
    #[must_use]
    pub fn ahead(&self) -> Span {
        Span::secs(BUCKET_SECS * u64::from(self.horizon))
    }

    /// How often the bound is to hold.
    #[must_use]
    pub const fn quantile(&self) -> Ppm {
        self.quantile
    }

    /// What a bucket is made of its samples.
    #[must_use]
    pub const fn fold(&self) -> Fold {
        self.fold
    }
}
