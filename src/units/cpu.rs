//! Amounts of CPU: rates in thousandths of a core, times in microseconds, weights, and the pair behind `cpu.max`.

use super::quantity::split_decimal;
use super::{Limit, QuantityError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const EXPECTED: &str = "cores such as \"1.5\" or \"1500m\"";

/// A rate of CPU in thousandths of one core: 1500 is one and a half cores.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millicpu(pub u64);

impl Millicpu {
    /// No CPU.
    pub const ZERO: Self = Self(0);

    /// `count` whole cores.
    #[must_use]
    pub const fn cores(count: u64) -> Self {
        Self(count.saturating_mul(1000))
    }

    /// The sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, never below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The CPU time that this rate gives in `period`, rounded down to a microsecond.
    #[must_use]
    pub const fn quota_in(self, period: CpuTime) -> CpuTime {
        CpuTime(self.0.saturating_mul(period.0) / 1000)
    }
}

impl fmt::Display for Millicpu {
    /// Cores with at most three decimals, without trailing zeros: `1.5`, `0.25`, `4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        if rest == 0 {
            return f.pad(&whole.to_string());
        }
        let decimals = format!("{rest:03}");
        f.pad(&format!("{whole}.{}", decimals.trim_end_matches('0')))
    }
}

impl FromStr for Millicpu {
    type Err = QuantityError;

    /// Reads `"1.5"` (cores) and `"1500m"`. A percentage needs the host's size and is read by the configuration.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err(QuantityError::Empty { expected: EXPECTED });
        }
        let malformed = || QuantityError::Malformed {
            text: text.to_owned(),
            what: "an amount of CPU",
            expected: EXPECTED,
        };
        let number = split_decimal(text).ok_or_else(malformed)?;
        let millicpu = match number.unit {
            "" => number.millionths / 1000,
            "m" => number.millionths / 1_000_000,
            _ => return Err(malformed()),
        };
        match u64::try_from(millicpu) {
            Ok(value) if value <= 10_000_000 => Ok(Self(value)),
            Ok(_) | Err(_) => Err(QuantityError::OutOfRange {
                text: text.to_owned(),
                range: "an amount of CPU must stay below 10000 cores",
            }),
        }
    }
}

/// CPU time in microseconds, as `cpu.stat` and `cpu.max` count it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CpuTime(pub u64);

impl CpuTime {
    /// `count` milliseconds.
    #[must_use]
    pub const fn millis(count: u64) -> Self {
        Self(count.saturating_mul(1000))
    }
}

impl fmt::Display for CpuTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            f.pad("0")
        } else if self.0.is_multiple_of(1000) {
            f.pad(&format!("{}ms", self.0 / 1000))
        } else {
            f.pad(&format!("{}us", self.0))
        }
    }
}

/// The value of `cpu.weight` or `io.weight`: 1 to 10000, 100 by default. For CPU also [`Weight::IDLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weight(u32);

impl Weight {
    /// What the kernel gives a new group.
    pub const DEFAULT: Self = Self(100);
    /// No weight at all, for CPU only: `cpu.idle` is 1, since Linux 5.15, and the group runs when no sibling wants the CPU. It shows as 0,
    /// which is what the kernel's document has for `cpu.weight` then, and is systemd's number for `CPUWeight=idle`.
    pub const IDLE: Self = Self(0);
    /// The least weight.
    pub const MIN: Self = Self(1);
    /// The greatest weight.
    pub const MAX: Self = Self(10_000);

    /// The nearest weight the kernel takes: `value` clamped to 1..=10000.
    #[must_use]
    pub fn clamped(value: u64) -> Self {
        Self(u32::try_from(value).map_or(10_000, |value| value.clamp(1, 10_000)))
    }

    /// As [`Weight::clamped`], but 0 is [`Weight::IDLE`].
    #[must_use]
    pub fn of_cpu(value: u64) -> Self {
        if value == 0 { Self::IDLE } else { Self::clamped(value) }
    }

    /// The number, 1 to 10000; 0 for [`Weight::IDLE`].
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::IDLE {
            return f.pad("idle");
        }
        f.pad(&self.0.to_string())
    }
}

/// The pair in `cpu.max`: at most `quota` of CPU time in each `period` of wall time.
///
/// The kernel takes periods of 1 ms to 1 s and quotas of at least 1 ms; a quota may exceed the period (several CPUs).
/// Source: `Documentation/scheduler/sched-bwc.rst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CpuMax {
    /// CPU time per period, or no limit.
    pub quota: Limit<CpuTime>,
    /// The length of a period.
    pub period: CpuTime,
}

impl CpuMax {
    /// The kernel's default period, 100 ms.
    pub const DEFAULT_PERIOD: CpuTime = CpuTime(100_000);
    /// What the kernel gives a new group: no limit.
    pub const UNLIMITED: Self = Self { quota: Limit::Max, period: Self::DEFAULT_PERIOD };

    /// The limit as a rate; a period of zero counts as the default one.
    #[must_use]
    pub fn rate(self) -> Limit<Millicpu> {
        let period = if self.period.0 == 0 { Self::DEFAULT_PERIOD.0 } else { self.period.0 };
        self.quota.map(|quota| Millicpu(quota.0.saturating_mul(1000) / period))
    }
}

impl fmt::Display for CpuMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate() {
            Limit::Max => f.pad("max"),
            Limit::At(rate) => f.pad(&format!("{rate} cores")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cores_and_thousandths() {
        for (text, value) in [("1.5", 1500), ("2", 2000), ("1500m", 1500), ("0.25", 250)] {
            assert_eq!(text.parse(), Ok(Millicpu(value)), "{text}");
        }
        for text in ["", "150%", "-1", "1,5", "99999", "2 cores"] {
            assert!(text.parse::<Millicpu>().is_err(), "{text}");
        }
    }

    #[test]
    fn prints_cores() {
        assert_eq!(Millicpu(1500).to_string(), "1.5");
        assert_eq!(Millicpu(4000).to_string(), "4");
        assert_eq!(Millicpu(5).to_string(), "0.005");
    }

    #[test]
    fn quota_and_rate_are_inverse() {
        let quota = Millicpu(250).quota_in(CpuMax::DEFAULT_PERIOD);
        assert_eq!(quota, CpuTime::millis(25));
        let max = CpuMax { quota: Limit::At(quota), period: CpuMax::DEFAULT_PERIOD };
        assert_eq!(max.rate(), Limit::At(Millicpu(250)));
    }

    proptest::proptest! {
        #[test]
        fn display_parses_back(value in 0u64..10_000_000) {
            let amount = Millicpu(value);
            proptest::prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }
}
