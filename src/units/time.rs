//! Points and spans of time. Points are on the boot clock, so that suspend counts and clock steps do not.

use super::QuantityError;
use super::quantity::split_decimal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const EXPECTED: &str = "a duration such as \"500ms\", \"10s\" or \"1m30s\"";

/// A point in time: microseconds of `CLOCK_BOOTTIME`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// The time from `earlier` to this point, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// This point moved later by `span`.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// A length of time in microseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// `count` milliseconds.
    #[must_use]
    pub const fn millis(count: u64) -> Self {
        Self(count.saturating_mul(1000))
    }

    /// `count` seconds.
    #[must_use]
    pub const fn secs(count: u64) -> Self {
        Self(count.saturating_mul(1_000_000))
    }

    /// The same span for the standard library.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

impl fmt::Display for Span {
    /// `1m30s`, `10s`, `250ms`, `80us`; a part that is zero is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            0 => "0s".to_owned(),
            micros if micros % 1000 != 0 => format!("{micros}us"),
            micros if micros % 1_000_000 != 0 => format!("{}ms", micros / 1000),
            micros => {
                let secs = micros / 1_000_000;
                [(secs / 3600, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")]
                    .iter()
                    .filter(|(count, _)| *count > 0)
                    .map(|(count, unit)| format!("{count}{unit}"))
                    .collect()
            }
        };
        f.pad(&text)
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    /// Reads `"500ms"`, `"10s"`, `"1m30s"`, `"2h"`, `"1d"`. A bare number is refused: its unit would be a guess.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(QuantityError::Empty { expected: EXPECTED });
        }
        let malformed = || QuantityError::Malformed {
            text: text.to_owned(),
            what: "a duration",
            expected: EXPECTED,
        };
        let mut total: u128 = 0;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(malformed)?;
            let tail = rest.get(number_end..).unwrap_or_default();
            let unit_length = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (part, next) = rest.split_at(number_end + unit_length);
            let number = split_decimal(part).ok_or_else(malformed)?;
            let micros: u128 = match number.unit {
                "us" => 1,
                "ms" => 1000,
                "s" => 1_000_000,
                "m" | "min" => 60_000_000,
                "h" => 3_600_000_000,
                "d" => 86_400_000_000,
                _ => return Err(malformed()),
            };
            total += number.millionths * micros / 1_000_000;
            rest = next.trim_start();
        }
        match u64::try_from(total) {
            Ok(micros) if micros <= 10 * 365 * 86_400_000_000 => Ok(Self(micros)),
            Ok(_) | Err(_) => Err(QuantityError::OutOfRange {
                text: text.to_owned(),
                range: "a duration must stay below ten years",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_compound_durations() {
        for (text, micros) in
            [("500ms", 500_000), ("1m30s", 90_000_000), ("2h", 7_200_000_000), ("1.5s", 1_500_000)]
        {
            assert_eq!(text.parse(), Ok(Span(micros)), "{text}");
        }
        for text in ["", "10", "10 parsecs", "s", "-1s", "99999999d", "1m30", "é5s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn prints_whole_parts() {
        assert_eq!(Span::secs(90).to_string(), "1m30s");
        assert_eq!(Span::millis(250).to_string(), "250ms");
        assert_eq!(Span::ZERO.to_string(), "0s");
    }

    proptest::proptest! {
        #[test]
        fn display_parses_back(micros in 0u64..1 << 48) {
            let span = Span(micros);
            proptest::prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _parsed: Result<Span, _> = text.parse();
        }
    }
}
