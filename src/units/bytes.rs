//! Sizes of memory and of I/O. Base 1024 throughout, as the kernel and systemd's memory settings read them.

use super::QuantityError;
use super::quantity::split_decimal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const EXPECTED: &str = "a size such as \"512M\", \"2GiB\" or \"1048576\"";
const UNITS: [(&str, u64); 5] =
    [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("B", 1)];

/// A number of bytes, 0 to 2^64 - 1.
///
/// Parses `"512M"`, `"512MiB"`, `"1.5G"` and plain bytes, base 1024. Decimal forms such as `"GB"` are refused: the same text
/// means 1000 in some tools and 1024 in others, and here it would become a hard limit.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// `count` times 2^20 bytes, saturating.
    #[must_use]
    pub const fn mebi(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// The sum, saturating at 2^64 - 1.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, never below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `self` times `numerator / denominator`, rounded down, saturating; a zero denominator counts as one.
    #[must_use]
    pub fn scaled(self, numerator: u64, denominator: u64) -> Self {
        let scaled = u128::from(self.0) * u128::from(numerator) / u128::from(denominator.max(1));
        Self(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// Rounded down to whole pages, as the kernel stores every `memory.*` limit. `page` of zero changes nothing.
    #[must_use]
    pub const fn page_floor(self, page: Self) -> Self {
        match self.0.checked_rem(page.0) {
            Some(rest) => Self(self.0 - rest),
            None => self,
        }
    }
}

impl fmt::Display for Bytes {
    /// Exact in the largest unit that divides it, if that takes at most four digits; else two decimals: `512M`, `1.21G`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0");
        }
        let exact = UNITS.iter().find(|(_, size)| self.0.is_multiple_of(*size));
        if let Some((unit, size)) = exact.filter(|(_, size)| self.0 / size < 10_000) {
            return f.pad(&format!("{}{unit}", self.0 / size));
        }
        let (unit, size) = UNITS.iter().find(|(_, size)| self.0 >= *size).unwrap_or(&("B", 1));
        let hundredths = u128::from(self.0) * 100 / u128::from(*size);
        f.pad(&format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100))
    }
}

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err(QuantityError::Empty { expected: EXPECTED });
        }
        let malformed = || QuantityError::Malformed {
            text: text.to_owned(),
            what: "a size",
            expected: EXPECTED,
        };
        let number = split_decimal(text).ok_or_else(malformed)?;
        let multiplier: u128 = match number.unit {
            "" | "B" => 1,
            "K" | "k" | "Ki" | "KiB" => 1 << 10,
            "M" | "Mi" | "MiB" => 1 << 20,
            "G" | "Gi" | "GiB" => 1 << 30,
            "T" | "Ti" | "TiB" => 1 << 40,
            _ => return Err(malformed()),
        };
        let bytes = number.millionths * multiplier / 1_000_000;
        u64::try_from(bytes).map(Self).map_err(|_| QuantityError::OutOfRange {
            text: text.to_owned(),
            range: "a size must stay below 16777216T",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_binary_units_and_fractions() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512M", 512 << 20),
            ("512MiB", 512 << 20),
            (" 1.5G ", 3 << 29),
            ("2 GiB", 2 << 30),
            ("10k", 10 << 10),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn any_size_can_be_written_in_bytes() {
        for bytes in [5_825_422_218_031_529_984, u64::MAX] {
            assert_eq!(bytes.to_string().parse(), Ok(Bytes(bytes)));
        }
        assert!("18446744073709551616".parse::<Bytes>().is_err());
        assert!("99999999999999999999T".parse::<Bytes>().is_err());
        assert!("100000000000000000000".parse::<Bytes>().is_err());
    }

    #[test]
    fn refuses_what_could_be_misread() {
        for text in ["", "1GB", "-1", "1.5.2G", "1e9", "G", "1.", ".5G", "99999999999T", "1m"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn prints_one_canonical_form() {
        assert_eq!(Bytes(512 << 20).to_string(), "512M");
        assert_eq!(Bytes(0).to_string(), "0");
        assert_eq!(Bytes(1000).to_string(), "1000B");
        assert_eq!(Bytes(1300 << 20).to_string(), "1300M");
        assert_eq!(Bytes(1_300_000_000).to_string(), "1.21G");
    }

    #[test]
    fn rounds_down_to_pages_like_the_kernel() {
        assert_eq!(Bytes(4097).page_floor(Bytes(4096)), Bytes(4096));
        assert_eq!(Bytes(1).page_floor(Bytes(4096)), Bytes(0));
    }

    proptest::proptest! {
        #[test]
        fn an_exact_display_parses_back(mebi in 0u64..10_000) {
            let size = Bytes::mebi(mebi);
            proptest::prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _parsed: Result<Bytes, _> = text.parse();
        }
    }
}
