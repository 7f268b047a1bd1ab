//! What is to be expected of a component in the next minutes, as it is lent to decisions and shown.

use super::{Resource, Unusual};
use crate::units::{ComponentName, Ppm, Span};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A moment on the wall clock, in seconds since 1970.
///
/// Only forecasts reckon with it, and what holds for a while: days repeat on that clock, and it goes on over a reboot. It may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

/// Which way of looking forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForecastModel {
    /// The last bucket again.
    Last,
    /// The exponentially smoothed level.
    Smoothed,
    /// Level and damped trend (Holt).
    Trend,
    /// The same minutes of yesterday.
    Yesterday,
    /// Level and the day's season (Holt and Winters).
    Season,
    /// Yesterday's or the last bucket, whichever is more.
    LastOrYesterday,
    /// The greatest of the last hour.
    MostOfHour,
    /// The 95th percentile of the last hours.
    Percentile,
    /// Level and the same hour of the week, after two weeks.
    Week,
}

impl ForecastModel {
    /// All, in the order in which their opinions stand.
    pub const ALL: [Self; 9] = [
        Self::Last,
        Self::Smoothed,
        Self::Trend,
        Self::Yesterday,
        Self::Season,
        Self::LastOrYesterday,
        Self::MostOfHour,
        Self::Percentile,
        Self::Week,
    ];

    /// The model's name, as it is shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Smoothed => "smoothed",
            Self::Trend => "trend",
            Self::Yesterday => "yesterday",
            Self::Season => "season",
            Self::LastOrYesterday => "last-or-yesterday",
            Self::MostOfHour => "most-of-hour",
            Self::Percentile => "percentile",
            Self::Week => "week",
        }
    }
}

/// How far along a forecaster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForecastStage {
    /// Less than two hours were seen: nothing is promised of the bound.
    Learning,
    /// The bound is one.
    Ready,
}

impl ForecastStage {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Learning => "learning",
            Self::Ready => "ready",
        }
    }
}

/// What is to be expected of the most in the horizon after [`Forecast::as_of`], in the unit of the samples: thousandths of a core, bytes,
/// bytes per second, tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// The end of the last bucket that was taken in.
    pub as_of: Moment,
    /// The most likely.
    pub point: u64,
    /// With the promised probability it will not be more; never below the point.
    pub upper: u64,
    /// The most that was needed in as long a time before; none where nothing is known of that.
    #[serde(default)]
    pub lately: Option<u64>,
    /// How far both can be trusted; nothing while nothing is known of how bounds held.
    pub confidence: Ppm,
    /// The confidence was low for ten minutes, after the time for learning, and has not been high for ten minutes since.
    pub is_unreliable: bool,
    /// The model that is heard most; none before a bound was judged.
    pub model: Option<ForecastModel>,
    /// The share of bounds that held, of all so far; none before the first was judged.
    pub coverage: Option<Ppm>,
    /// Whether anything is promised.
    pub stage: ForecastStage,
}

impl Forecast {
    /// The same, where more than `capacity` cannot be had.
    #[must_use]
    pub const fn within(self, capacity: u64) -> Self {
        let point = if self.point > capacity { capacity } else { self.point };
        let upper = if self.upper > capacity { capacity } else { self.upper };
        Self { point, upper, ..self }
    }

    /// By how much more is likely to be needed than lately; nothing where lately is not known.
    #[must_use]
    pub const fn rise(&self) -> u64 {
        match self.lately {
            Some(lately) => self.point.saturating_sub(lately),
            None => 0,
        }
    }
}

/// What somebody protected is expected to need soon, for which others give way before it is needed. Amounts are in the resource's unit, as in
/// [`Forecast`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Who.
    pub component: ComponentName,
    /// Of what.
    pub resource: Resource,
    /// What it needed at most lately.
    pub lately: u64,
    /// The most likely.
    pub likely: u64,
    /// The bound.
    pub at_most: u64,
    /// In how much time.
    pub within: Span,
    /// How far that can be trusted.
    pub confidence: Ppm,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |amount| self.resource.amount(amount);
        let of = match self.resource {
            Resource::Cpu => "cores",
            Resource::Memory => "of memory",
            Resource::Io => "over disks",
            Resource::Pids => "tasks",
        };
        write!(
            f,
            "{} is expected to need {} {of} within {}, at most {}, after {} lately (confidence {}%)",
            self.component,
            amount(self.likely),
            self.within,
            amount(self.at_most),
            amount(self.lately),
            self.confidence.get() / 10_000
        )
    }
}

/// A forecast with what it promises and what it was made of, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastView {
    /// How far it looks ahead.
    pub horizon: Span,
    /// How often the bound is to hold.
    pub quantile: Ppm,
    /// What it says.
    #[serde(flatten)]
    pub said: Forecast,
    /// The last buckets of five minutes, oldest first, in the unit of the forecast: an hour at most.
    pub recent: Vec<u64>,
    /// What in them is out of the ordinary, where anything is.
    #[serde(default)]
    pub unusual: Option<Unusual>,
}
