//! Calendar expressions: when something begins, in the words of systemd's timers.
//!
//! **Problem.** A window of time must begin when an administrator who knows timers expects it to, in summer and in winter.
//!
//! **Approach.** The grammar of `OnCalendar=` in `systemd.time(7)`: `DAYS YEAR-MONTH-DAY HOUR:MINUTE:SECOND ZONE`, each part a list of numbers,
//! ranges and steps. The next time is searched from the year down: where a part does not fit, the clock is set to the beginning of the
//! next year, month, day, hour, minute or second.
//!
//! **Properties.** The next time is after the given one, fits the expression, and none between does. Whatever the text, the search ends: after
//! 2199 nothing comes. A time that a clock change leaves out is an hour later; one that it makes come twice is the first of the two. Seconds are
//! whole, and `@SECONDS` is not taken: a window once in 1970 seconds has no use. Time zones are read from the host's `zoneinfo`.

mod field;
mod parse;

use field::Field;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};
use std::fmt;
use thiserror::Error;

/// Nothing is found after this year.
const LAST_YEAR: i16 = 2199;

/// When something begins, again and again or once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Bit 0 is Monday; none are all.
    weekdays: u8,
    year: Field,
    month: Field,
    day: Field,
    /// Days are counted from the month's end; 1 is the last.
    from_end: bool,
    hour: Field,
    minute: Field,
    second: Field,
    /// None is the host's.
    zone: Option<TimeZone>,
}

/// Why a text is no calendar expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct CalendarError {
    /// What is wrong with it.
    pub why: String,
}

impl Calendar {
    /// The first time after `after` at which it begins, in the zone of the expression; none when there is none up to the year 2199.
    #[must_use]
    pub fn next(&self, after: &Zoned) -> Option<Zoned> {
        let zone = self.zone.as_ref().unwrap_or_else(|| after.time_zone());
        let mut civil = after.with_time_zone(zone.clone()).datetime();
        loop {
            civil = self.next_civil(civil)?;
            let next = civil.to_zoned(zone.clone()).ok()?;
            // Of an hour that comes twice the second is over when the first is found.
            if next > *after {
                return Some(next);
            }
        }
    }

    fn next_civil(&self, after: DateTime) -> Option<DateTime> {
        let whole = after.with().subsec_nanosecond(0).build().ok()?;
        let mut at = whole.checked_add(1.second()).ok()?;
        while at.year() <= LAST_YEAR {
            let day = at.with().hour(0).minute(0).second(0);
            let (begins, step) = if !self.year.has(at.year(), LAST_YEAR) {
                (day.month(1).day(1).build(), 1.year())
            } else if !self.month.has(at.month().into(), 12) {
                (day.day(1).build(), 1.month())
            } else if !self.has_day(at) {
                (day.build(), 1.day())
            } else if !self.hour.has(at.hour().into(), 23) {
                (at.with().minute(0).second(0).build(), 1.hour())
            } else if !self.minute.has(at.minute().into(), 59) {
                (at.with().second(0).build(), 1.minute())
            } else if !self.second.has(at.second().into(), 59) {
                (Ok(at), 1.second())
            } else {
                return Some(at);
            };
            at = begins.ok()?.checked_add(step).ok()?;
        }
        None
    }

    fn has_day(&self, at: DateTime) -> bool {
        let weekday = 1 << at.weekday().to_monday_zero_offset();
        let is_weekday = self.weekdays == 0 || self.weekdays & weekday != 0;
        let (day, last) = (i16::from(at.day()), i16::from(at.days_in_month()));
        is_weekday
            && if self.from_end {
                self.day.has_from_end(day, last)
            } else {
                self.day.has(day, last)
            }
    }
}

/// As systemd normalizes it.
impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weekdays != 0 {
            write!(f, "{} ", weekdays(self.weekdays))?;
        }
        let from_end = if self.from_end { '~' } else { '-' };
        let (year, month, day) = (self.year.text(4), self.month.text(2), self.day.text(2));
        let (hour, minute) = (self.hour.text(2), self.minute.text(2));
        write!(f, "{year}-{month}{from_end}{day} {hour}:{minute}:{}", self.second.text(2))?;
        match self.zone.as_ref().and_then(TimeZone::iana_name) {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

/// Three and more in a row are a range.
fn weekdays(days: u8) -> String {
    let name = |offset: i8| {
        Weekday::from_monday_zero_offset(offset).map_or("", |day| match day {
            Weekday::Monday => "Mon",
            Weekday::Tuesday => "Tue",
            Weekday::Wednesday => "Wed",
            Weekday::Thursday => "Thu",
            Weekday::Friday => "Fri",
            Weekday::Saturday => "Sat",
            Weekday::Sunday => "Sun",
        })
    };
    let has = |offset: i8| offset < 7 && days & (1 << offset) != 0;
    let mut parts = Vec::new();
    let mut first = 0;
    while first < 7 {
        if !has(first) {
            first += 1;
            continue;
        }
        let mut last = first;
        while has(last + 1) {
            last += 1;
        }
        if last - first >= 2 {
            parts.push(format!("{}..{}", name(first), name(last)));
        } else {
            parts.extend((first..=last).map(|offset| name(offset).to_owned()));
        }
        first = last + 1;
    }
    parts.join(",")
}

#[cfg(test)]
mod tests;
