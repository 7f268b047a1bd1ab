//! Shares of a whole, such as of time or of memory, in parts per million.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A share, 0 to 1 000 000 millionths. What would be more than the whole is the whole.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Ppm(u32);

impl Ppm {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const WHOLE: Self = Self(1_000_000);

    /// `millionths`, at most the whole.
    #[must_use]
    pub const fn new(millionths: u32) -> Self {
        if millionths > Self::WHOLE.0 { Self::WHOLE } else { Self(millionths) }
    }

    /// `percent` hundredths, at most the whole.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::new(percent.saturating_mul(10_000))
    }

    /// `part` of `whole`, rounded down; none where the whole is nothing.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        let millionths = (u128::from(part) * 1_000_000).checked_div(u128::from(whole))?;
        Some(u32::try_from(millionths).map_or(Self::WHOLE, Self::new))
    }

    /// The number of millionths, 0 to 1 000 000.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// This share of `whole`, rounded down.
    #[must_use]
    pub fn times(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.0) / 1_000_000;
        u64::try_from(part).unwrap_or(whole)
    }

    /// What is missing to the whole.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::WHOLE.0.saturating_sub(self.0))
    }

    /// The difference, never below nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Ppm {
    /// In percent with up to two decimals: `12.5%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0 / 100;
        let (whole, rest) = (hundredths / 100, hundredths % 100);
        if rest == 0 {
            return f.pad(&format!("{whole}%"));
        }
        let decimals = format!("{rest:02}");
        f.pad(&format!("{whole}.{}%", decimals.trim_end_matches('0')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_percent() {
        for (millionths, text) in
            [(0, "0%"), (125_000, "12.5%"), (1_000_000, "100%"), (20_500, "2.05%"), (99, "0%")]
        {
            assert_eq!(Ppm::new(millionths).to_string(), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_share_is_never_more_than_the_whole(part: u64, whole: u64, of: u64) {
            if let Some(share) = Ppm::of(part, whole) {
                proptest::prop_assert!(share <= Ppm::WHOLE);
                proptest::prop_assert!(share.times(of) <= of);
                proptest::prop_assert_eq!(share.get() + share.rest().get(), 1_000_000);
            } else {
                proptest::prop_assert_eq!(whole, 0);
            }
        }
    }
}
