//! Where the busiest hours of days are going, over weeks.
//!
//! **Problem.** A forecast of minutes says nothing of the day on which a ceiling will be too low, or the host too small. Use differs between hours
//! and days of the week by more than it grows in a month, so that a line through all samples is a line through noise.
//!
//! **Approach.** What must fit is the busiest hour. One number a day, whole weeks of them, and the slope that half of all pairs of days exceed:
//! a backup night or a holiday moves it little.
//!
//! **Terms.** *hour*: the mean of what was taken in in it. *busiest*: the greatest hour of a day. *known day*: one of which half a day or more was seen.
//!
//! **Algorithm.** Days are those of the wall clock in UTC. At a day's end its busiest hour is kept, for five weeks. The line is that of Theil and Sen
//! through the last whole weeks, from two weeks on; its confidence allows for days that depend on each other (Hamed and Rao). Up to three days
//! of which too little is known lie between their neighbours; after more, and when the clock goes back by a day, it begins anew.
//!
//! **Properties**, each a test below: a line is found as it was made, within its confidence; a week's pattern is no growth; nothing is said
//! before two weeks; no clock and no number breaks it; nothing is allocated once five weeks are full.

use super::statistics::{self, Series};
use crate::model::{Growth, Moment};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const HOUR_SECS: u64 = 3600;
const HOURS: u64 = 24;
const WEEK: usize = 7;
/// Five weeks.
const MOST_DAYS: usize = 5 * WEEK;
/// Two weeks: one alone cannot tell growth from its own pattern.
const LEAST_DAYS: usize = 2 * WEEK;
/// A day of which fewer hours were seen may have been busiest unseen.
const LEAST_HOURS: u32 = 12;
/// So many unknown days lie between their neighbours.
const SHORT_GAP: u64 = 3;

/// The hour that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Hour {
    number: u64,
    sum: u128,
    count: u32,
}

/// The day that goes on: what its whole hours came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    number: u64,
    busiest: u64,
    hours: u32,
}

/// The busiest hours of one series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Days {
    hour: Option<Hour>,
    day: Option<Day>,
    /// The last known day.
    last: Option<u64>,
    /// The busiest hour of each day up to it, oldest first.
    busiest: VecDeque<u64>,
    /// The line through them, which changes once a day and is asked for at each report.
    line: Option<Growth>,
}

impl Days {
    /// Takes in what was used `at`: samples or buckets, each weighs the same.
    pub(super) fn push(&mut self, at: Moment, value: u64) {
        let number = at.0 / HOUR_SECS;
        let goes_on = self.hour.is_some_and(|hour| hour.number == number);
        if !goes_on && let Some(hour) = self.hour.take() {
            self.end_hour(hour);
        }
        let hour = self.hour.get_or_insert(Hour { number, sum: 0, count: 0 });
        hour.sum = hour.sum.saturating_add(u128::from(value));
        hour.count = hour.count.saturating_add(1);
    }

    fn end_hour(&mut self, hour: Hour) {
        let mean = hour.sum.checked_div(u128::from(hour.count)).unwrap_or(0);
        let mean = u64::try_from(mean).unwrap_or(u64::MAX);
        let number = hour.number / HOURS;
        let goes_on = self.day.is_some_and(|day| day.number == number);
        if !goes_on && let Some(day) = self.day.take() {
            self.end_day(day);
        }
        let day = self.day.get_or_insert(Day { number, busiest: 0, hours: 0 });
        day.busiest = day.busiest.max(mean);
        day.hours = day.hours.saturating_add(1);
    }

    fn end_day(&mut self, day: Day) {
        if day.hours < LEAST_HOURS {
            return;
        }
        let after = self.last.and_then(|last| day.number.checked_sub(last));
        let before = self.busiest.back().copied();
        match after.zip(before) {
            Some((after, before)) if (1..=SHORT_GAP + 1).contains(&after) => {
                for step in 1..after {
                    self.keep(between(before, day.busiest, step, after));
                }
            }
            // A clock that went back or far ahead, or the first day.
            _ => self.busiest.clear(),
        }
        self.keep(day.busiest);
        self.last = Some(day.number);
        self.line = self.fit();
    }

    fn keep(&mut self, busiest: u64) {
        if self.busiest.len() >= MOST_DAYS {
            self.busiest.pop_front();
        }
        self.busiest.reserve_exact(MOST_DAYS - self.busiest.len());
        self.busiest.push_back(busiest);
    }

    /// The line through the last whole weeks; none before there are two.
    pub(super) const fn growth(&self) -> Option<Growth> {
        self.line
    }

    fn fit(&self) -> Option<Growth> {
        let days = self.busiest.len() / WEEK * WEEK;
        if days < LEAST_DAYS {
            return None;
        }
        let last = self.busiest.iter().skip(self.busiest.len() - days);
        let series: Series = last.map(|busiest| *busiest as f64).collect();
        let line = statistics::line(&series)?;
        let per_week = |slope: f64| statistics::whole(slope * 7.0);
        Some(Growth {
            days: u32::try_from(days).ok()?,
            busiest: u64::try_from(statistics::whole(line.now)).unwrap_or(0),
            per_week: per_week(line.slope),
            least_per_week: per_week(line.least),
            most_per_week: per_week(line.most),
        })
    }

    /// Whether what was read can be: a row that is too long would never get shorter.
    pub(super) fn is_whole(&self) -> bool {
        self.busiest.len() <= MOST_DAYS
    }

    /// Bytes, on the heap and off it.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.busiest.capacity() * size_of::<u64>()
    }
}

/// The value `step` of `steps` on the way from one to another.
fn between(from: u64, to: u64, step: u64, steps: u64) -> u64 {
    let part = i128::from(to) - i128::from(from);
    let value = i128::from(from) + part * i128::from(step) / i128::from(steps.max(1));
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests;
