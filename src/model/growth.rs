//! Where use goes over weeks, and what in it is out of the ordinary, as it is shown. In the unit of the samples: thousandths of a core, bytes,
//! bytes per second, tasks.

use super::{Moment, Resource};
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// Nobody plans further ahead by a line.
const FARTHEST_DAYS: u64 = 365;
const WEEK: i128 = 7;

/// The line through the busiest hours of the last days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// So many days it rests on: whole weeks.
    pub days: u32,
    /// Where the line is on the last of them: a usual day's busiest hour.
    pub busiest: u64,
    /// What it rises by in a week; below zero it falls.
    pub per_week: i64,
    /// With 95 % confidence it rises by at least this, and by at most [`Growth::most_per_week`].
    pub least_per_week: i64,
    /// See [`Growth::least_per_week`].
    pub most_per_week: i64,
}

/// When a line meets a ceiling, in days from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The likely number of days; 0 where the busiest hour is there already.
    pub days: u64,
    /// With 95 % confidence not sooner than this.
    pub soonest: u64,
    /// And not later; none where that is more than a year away.
    pub latest: Option<u64>,
}

impl Growth {
    /// Whether the growth is beyond doubt.
    #[must_use]
    pub const fn grows(&self) -> bool {
        self.least_per_week > 0
    }

    /// When the busiest hour needs `ceiling`; none where it does not grow beyond doubt, or not that far within a year.
    #[must_use]
    pub fn reaches(&self, ceiling: u64) -> Option<Reached> {
        let room = i128::from(ceiling) - i128::from(self.busiest);
        let days = |per_week: i64| {
            let days = (room.max(0) * WEEK).div_euclid(i128::from(per_week.max(1)));
            u64::try_from(days).ok().filter(|days| *days <= FARTHEST_DAYS)
        };
        if room > 0 && !self.grows() {
            return None;
        }
        let soonest = days(self.most_per_week)?;
        Some(Reached { days: days(self.per_week)?, soonest, latest: days(self.least_per_week) })
    }
}

/// A line with the ceiling that it may meet, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrowthView {
    /// The line.
    #[serde(flatten)]
    pub line: Growth,
    /// The component's ceiling, or what the host has for components; none where nothing bounds it.
    pub ceiling: Option<u64>,
    /// When the line meets it, where it does.
    pub reached: Option<Reached>,
}

/// Use that is out of the ordinary: three buckets in a row lay outside of what 99 of 100 do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusual {
    /// When the first of them began.
    pub since: Moment,
    /// The last bucket.
    pub value: u64,
    /// The band that was usual when it began.
    pub from: u64,
    /// Its upper end.
    pub to: u64,
}

impl Unusual {
    /// For how long, what, and what would be usual.
    #[must_use]
    pub fn told(&self, resource: Resource, now: Moment) -> String {
        let lasts = Span::secs(now.0.saturating_sub(self.since.0) / 60 * 60);
        let [value, from, to] = [self.value, self.from, self.to].map(|one| resource.amount(one));
        format!("unusual for {lasts}: {value}, where {from} to {to} was to be expected")
    }
}

impl Reached {
    /// When, with how sure that is: a clause that begins with "in" or "now".
    #[must_use]
    pub fn told(&self) -> String {
        let latest = self.latest.map_or_else(|| "over 365".to_owned(), |days| days.to_string());
        match self.days {
            0 => "now".to_owned(),
            days => format!("in {days} days ({} to {latest})", self.soonest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROWING: Growth =
        Growth { days: 28, busiest: 1000, per_week: 70, least_per_week: 35, most_per_week: 140 };

    #[test]
    fn a_line_meets_its_ceiling() {
        let met = |days, soonest, latest| Some(Reached { days, soonest, latest });
        assert_eq!(GROWING.reaches(1100), met(10, 5, Some(20)));
        assert_eq!(GROWING.reaches(4000), met(300, 150, None), "the slowest takes over a year");
        assert_eq!(GROWING.reaches(9000), None, "more than a year");
        assert_eq!(GROWING.reaches(900), met(0, 0, Some(0)), "it is there");
    }

    #[test]
    fn it_reads_well() {
        let told = |ceiling| GROWING.reaches(ceiling).unwrap().told();
        assert_eq!(told(1100), "in 10 days (5 to 20)");
        assert_eq!(told(4000), "in 300 days (150 to over 365)");
        assert_eq!(told(10), "now");
        let unusual = Unusual { since: Moment(1_000), value: 3_200, from: 800, to: 1_400 };
        assert_eq!(
            unusual.told(Resource::Cpu, Moment(2_530)),
            "unusual for 25m: 3.2, where 0.8 to 1.4 was to be expected"
        );
    }

    #[test]
    fn doubtful_growth_meets_nothing() {
        let doubtful = Growth { least_per_week: -1, ..GROWING };
        assert_eq!(doubtful.reaches(1100), None);
        let there = doubtful.reaches(1000).unwrap();
        assert_eq!(there.days, 0, "but where it is, it is");
        let endless = Growth { least_per_week: i64::MIN, most_per_week: i64::MAX, ..GROWING };
        assert_eq!(endless.reaches(u64::MAX), None);
    }
}
