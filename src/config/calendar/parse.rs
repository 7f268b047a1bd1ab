//! From text to a calendar expression.

use super::field::{Field, Item};
use super::{Calendar, CalendarError};
use jiff::tz::TimeZone;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The longest text; everything that makes sense is shorter.
const LONGEST: usize = 256;

/// `hourly` and the like, and what they stand for.
const WORDS: [(&str, &str); 9] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
];

const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

fn error(why: impl Into<String>) -> CalendarError {
    CalendarError { why: why.into() }
}

impl FromStr for Calendar {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, CalendarError> {
        if text.len() > LONGEST {
            return Err(error(format!("it is longer than {LONGEST} characters")));
        }
        let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
        let zone = zone(&mut words)?;
        let known = |word: &str| WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known));
        if let [word] = words.as_slice()
            && let Some((_, meant)) = known(word)
        {
            words = meant.split(' ').collect();
        }
        let mut calendar = Self::midnights(zone);
        let mut rest = words.into_iter().peekable();
        if let Some(days) = rest.next_if(|word| word.starts_with(|c: char| c.is_alphabetic())) {
            calendar.weekdays = weekdays(days)?;
        }
        let is_date = |word: &&str| !word.contains(':') && word.contains(['-', '~']);
        if let Some(date) = rest.next_if(is_date) {
            calendar.date(date)?;
        }
        if let Some(time) = rest.next_if(|word| word.contains(':')) {
            calendar.time(time)?;
        }
        if let Some(word) = rest.next() {
            return Err(error(format!(
                "\"{word}\" is no weekday, date, time or time zone in its place"
            )));
        }
        if text.trim().is_empty() {
            return Err(error("it is empty"));
        }
        Ok(calendar)
    }
}

impl Calendar {
    fn midnights(zone: Option<TimeZone>) -> Self {
        Self {
            weekdays: 0,
            year: Field::default(),
            month: Field::default(),
            day: Field::default(),
            from_end: false,
            hour: Field::one(0),
            minute: Field::one(0),
            second: Field::one(0),
            zone,
        }
    }

    /// `2026-11-21`, `11-21`, `*-*~1`.
    fn date(&mut self, text: &str) -> Result<(), CalendarError> {
        let (above, day) = text.rsplit_once(['-', '~']).unwrap_or(("", text));
        self.from_end = text.contains('~');
        let (year, month) = above.split_once('-').unwrap_or(("*", above));
        if month.contains(['-', '~']) || year.contains('~') {
            return Err(error(format!("\"{text}\" is no date: YEAR-MONTH-DAY")));
        }
        self.year = field(year, "year", 0..=2199)?;
        for item in &mut self.year.0 {
            item.first = century(item.first);
            item.last = item.last.map(century);
        }
        self.month = field(month, "month", 1..=12)?;
        self.day = field(day, "day", 1..=31)?;
        Ok(())
    }

    /// `22:00`, `22:00:30`.
    fn time(&mut self, text: &str) -> Result<(), CalendarError> {
        let mut parts = text.splitn(3, ':');
        let mut part = |otherwise| parts.next().unwrap_or(otherwise);
        self.hour = field(part(""), "hour", 0..=23)?;
        self.minute = field(part(""), "minute", 0..=59)?;
        self.second = field(part("0"), "second", 0..=59)?;
        Ok(())
    }
}

/// Takes the time zone away from the end.
fn zone(words: &mut Vec<&str>) -> Result<Option<TimeZone>, CalendarError> {
    let is_zone = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && (word.contains('/') || word.eq_ignore_ascii_case("UTC"))
    };
    let Some(name) = words.pop_if(|word| is_zone(&&**word)) else { return Ok(None) };
    let unknown = |_| error(format!("this host knows no time zone \"{name}\""));
    TimeZone::get(name).map(Some).map_err(unknown)
}

/// Two digits are a year near by, as systemd has it.
fn century(year: i16) -> i16 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        _ => year,
    }
}

/// `Mon..Fri,Sun`, as bits.
fn weekdays(text: &str) -> Result<u8, CalendarError> {
    let mut days = 0;
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) =
            part.split_once("..").or_else(|| part.split_once('-')).unwrap_or((part, part));
        let (first, last) = (weekday(first)?, weekday(last)?);
        if first > last {
            return Err(error(format!(
                "\"{part}\" goes backwards; the week begins with Mon, so write two ranges"
            )));
        }
        days = (first..=last).fold(days, |days, day| days | 1 << day);
    }
    Ok(days)
}

fn weekday(text: &str) -> Result<usize, CalendarError> {
    let lower = text.to_ascii_lowercase();
    let is_it = |day: &str| lower == day || lower.len() == 3 && day.starts_with(&lower);
    WEEKDAYS.iter().position(|day| is_it(day)).ok_or_else(|| {
        error(format!("\"{text}\" is no weekday; they are Mon, Tue, Wed, Thu, Fri, Sat, Sun"))
    })
}

fn field(text: &str, what: &str, range: RangeInclusive<i16>) -> Result<Field, CalendarError> {
    if text == "*" {
        return Ok(Field::default());
    }
    text.split(',').map(|part| item(part, what, &range)).collect::<Result<_, _>>().map(Field)
}

fn item(text: &str, what: &str, range: &RangeInclusive<i16>) -> Result<Item, CalendarError> {
    let (from, step) = match text.split_once('/') {
        Some((from, step)) => (from, Some(step)),
        None => (text, None),
    };
    let (first, last) = match from.split_once("..") {
        Some((first, last)) => (first, Some(last)),
        None => (from, None),
    };
    let number = |text: &str| number(text, what, range);
    let (first, last) = (number(first)?, last.map(number).transpose()?);
    if last.is_some_and(|last| last < first) {
        return Err(error(format!("\"{text}\" goes backwards")));
    }
    let step = step.map(|step| match step.parse() {
        Ok(step) if (1..=*range.end()).contains(&step) => Ok(step),
        _ => Err(error(format!("\"{step}\" in \"{text}\" is no step from 1 to {}", range.end()))),
    });
    Ok(Item { first, last, step: step.transpose()? })
}

fn number(text: &str, what: &str, range: &RangeInclusive<i16>) -> Result<i16, CalendarError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = |value: &i16| range.contains(value);
    digits.then(|| text.parse().ok()).flatten().filter(fits).ok_or_else(|| {
        let whole = if text.contains('.') { "; seconds are whole" } else { "" };
        error(format!(
            "\"{text}\" is no {what}, which is {} to {}, or \"*\" alone for all{whole}",
            range.start(),
            range.end()
        ))
    })
}
