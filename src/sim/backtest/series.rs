//! Series for backtests: a CSV file of times and values, as exporters write them, in buckets of five minutes.
//!
//! A line is `TIME,VALUE`, the time in seconds since 1970 or as `YYYY-MM-DD HH:MM:SS` (UTC; a `T` between and a `Z` at the end are read
//! too). Empty lines, lines that begin with `#`, and a first line of words are passed over. An empty value and `nan` are gaps. Times
//! must not go back. Bounds: 16 MiB, a million lines. Whatever is wrong is told with file, line and remedy.

use crate::estimate::forecast::{Moment, whole};
use crate::sim::trace;
use std::path::Path;
use thiserror::Error;

/// The most lines with a value.
const MOST_POINTS: usize = 1_000_000;
/// The longest series, in days: what is longer holds a wrong time.
const MOST_DAYS: u64 = 3_660;
const DAY: u64 = 86_400;
/// The greatest value becomes this: values have no unit here, and integers hold them exactly enough.
const SCALE: f64 = (1_u64 << 40) as f64;

/// Why a series cannot be used.
#[derive(Debug, Error)]
pub enum SeriesError {
    /// The file cannot be read.
    #[error("failed to read {path}: {error}; name a CSV file, or a folder of them")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is beyond its bound.
    #[error(
        "{path} is longer than 16M or a million lines, the most that is read; split it, or keep fewer points"
    )]
    TooLong {
        /// The file.
        path: String,
    },
    /// A line is none.
    #[error("{path}:{line}: {what}; {remedy}")]
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: String,
        /// How to mend it.
        remedy: &'static str,
    },
    /// There is no value in it.
    #[error("{path} holds no values; write TIME,VALUE lines")]
    Empty {
        /// The file.
        path: String,
    },
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The file's name without its ending.
    pub name: String,
    /// Times, and values scaled to whole numbers; none where one is missing.
    pub(super) points: Vec<(Moment, Option<u64>)>,
}

impl Series {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no series.
    pub fn load(path: &Path) -> Result<Self, SeriesError> {
        let shown = path.display().to_string();
        let name = path
            .file_stem()
            .map_or_else(|| shown.clone(), |stem| stem.to_string_lossy().into_owned());
        let text = trace::text(path)
            .map_err(|error| SeriesError::Unreadable { path: shown.clone(), error })?;
        let text = text.ok_or_else(|| SeriesError::TooLong { path: shown.clone() })?;
        let points = points(&shown, &text)?;
        Ok(Self { name, points })
    }

    /// Reads a text. `name` stands for the file in messages.
    ///
    /// # Errors
    /// When it is no series.
    pub fn parse(name: &str, text: &str) -> Result<Self, SeriesError> {
        Ok(Self { name: name.to_owned(), points: points(name, text)? })
    }

    /// How many lines hold a time.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Never: a series without values is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

fn points(path: &str, text: &str) -> Result<Vec<(Moment, Option<u64>)>, SeriesError> {
    let mut read: Vec<(Moment, Option<f64>)> = Vec::new();
    let mut may_be_header = true;
    for (line, written) in (1..).zip(text.lines()) {
        let written = written.trim().trim_start_matches('\u{feff}');
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let was_first = std::mem::take(&mut may_be_header);
        let wrong =
            |(what, remedy)| SeriesError::Line { path: path.to_owned(), line, what, remedy };
        match point(written) {
            Ok(point) => {
                let [first, last] =
                    [read.first(), read.last()].map(|end| end.map_or(point.0, |(at, _)| *at));
                after(first, last, point.0).map_err(wrong)?;
                read.push(point);
            }
            Err(_) if was_first && is_header(written) => {}
            Err(problem) => return Err(wrong(problem)),
        }
        if read.len() > MOST_POINTS {
            return Err(SeriesError::TooLong { path: path.to_owned() });
        }
    }
    let most = read.iter().filter_map(|(_, value)| *value).reduce(f64::max);
    let most = most.ok_or_else(|| SeriesError::Empty { path: path.to_owned() })?;
    let scale = if most > 0.0 { SCALE / most } else { 1.0 };
    let scaled = |value: f64| whole((value * scale).min(SCALE).round());
    Ok(read.into_iter().map(|(at, value)| (at, value.map(scaled))).collect())
}

/// What is wrong, and how to mend it.
type Problem = (String, &'static str);

/// Words, and neither a time nor a value among them.
fn is_header(line: &str) -> bool {
    line.split(',')
        .take(2)
        .all(|cell| cell.contains(char::is_alphabetic) && cell.trim().parse::<f64>().is_err())
}

fn point(line: &str) -> Result<(Moment, Option<f64>), Problem> {
    let mut cells = line.split(',').map(|cell| cell.trim().trim_matches('"'));
    let (Some(time), Some(value)) = (cells.next(), cells.next()) else {
        return Err(("there is no comma in it".to_owned(), "write TIME,VALUE"));
    };
    let remedy = "write seconds since 1970, or YYYY-MM-DD HH:MM:SS in UTC";
    let at = moment(time).ok_or_else(|| (format!("{time:?} is no time"), remedy))?;
    if value.is_empty() || value.eq_ignore_ascii_case("nan") {
        return Ok((at, None));
    }
    let amount = value.parse::<f64>().ok().filter(|amount| amount.is_finite());
    let amount = amount
        .ok_or_else(|| (format!("{value:?} is no number"), "leave the value empty for a gap"))?;
    if amount < 0.0 {
        let remedy = "a use is never negative: leave the value empty where a counter went back";
        return Err((format!("{value} is below zero"), remedy));
    }
    Ok((at, Some(amount)))
}

/// Whether a time may follow the first and the last before it.
fn after(first: Moment, last: Moment, at: Moment) -> Result<(), Problem> {
    if at < last {
        return Err(("its time is before the one above".to_owned(), "sort the lines by time"));
    }
    if at.0 - first.0 > MOST_DAYS * DAY {
        let what = "its time is more than ten years after the first".to_owned();
        return Err((what, "mend the time, or cut the series"));
    }
    Ok(())
}

/// A time; fractions of seconds are cut.
fn moment(text: &str) -> Option<Moment> {
    if text.contains([':', '-']) {
        return dated(text);
    }
    let (secs, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_plain =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain(secs) && is_plain(fraction)).then(|| secs.parse().ok().map(Moment)).flatten()
}

/// `YYYY-MM-DD HH:MM:SS`, of 1970 or later.
fn dated(text: &str) -> Option<Moment> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T'])?;
    let date: jiff::civil::Date = (date.len() == 10).then(|| date.parse().ok()).flatten()?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [hours, minutes, secs] =
        time.split(':').map(|part| part.parse::<u64>().ok()).collect::<Vec<_>>().try_into().ok()?;
    let (hours, minutes, secs) = (hours?, minutes?, secs?);
    if hours > 23 || minutes > 59 || secs > 60 {
        return None;
    }
    let days = date.since(jiff::civil::date(1970, 1, 1)).ok()?.get_days();
    let days = u64::try_from(days).ok()?;
    Some(Moment(days * DAY + hours * 3600 + minutes * 60 + secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        Series::parse("t.csv", text).unwrap_err().to_string()
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        for text in [
            "timestamp,value\n2014-02-14 14:30:00,0.5\n2014-02-14 14:35:00,1\n",
            "ts,value\n1392388200,0.5\n1392388500,1\n",
            "# exported\n\n2014-02-14T14:30:00Z,5e-1,x\r\n1392388500.25,\"1.0\"\r\n",
        ] {
            let series = Series::parse("t", text).unwrap();
            let half = SCALE / 2.0;
            let expected = [
                (Moment(1_392_388_200), Some(whole(half))),
                (Moment(1_392_388_500), Some(whole(SCALE))),
            ];
            assert_eq!(series.points, expected, "{text}");
        }
    }

    #[test]
    fn gaps_are_no_zeroes() {
        let series = Series::parse("t", "0,1\n300,\n600,NaN\n900,0\n").unwrap();
        let values: Vec<bool> = series.points.iter().map(|(_, value)| value.is_some()).collect();
        assert_eq!(values, [true, false, false, true]);
        assert_eq!(Series::parse("t", "0,0\n").unwrap().points, [(Moment(0), Some(0))]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_remedy() {
        for (text, expected) in [
            ("1,2\n3\n", "t.csv:2: there is no comma in it; write TIME,VALUE"),
            (
                "1,2\nx,3\n",
                "t.csv:2: \"x\" is no time; write seconds since 1970, or YYYY-MM-DD HH:MM:SS in UTC",
            ),
            ("x,3\n", "t.csv:1: \"x\" is no time"),
            ("2014-02-30 10:00:00,3\n", "t.csv:1: \"2014-02-30 10:00:00\" is no time"),
            ("2014-02-03 24:00:00,3\n", "is no time"),
            ("1969-12-31 23:59:59,3\n", "is no time"),
            ("1,2\n2,x\n", "t.csv:2: \"x\" is no number; leave the value empty for a gap"),
            ("1,inf\n", "t.csv:1: \"inf\" is no number"),
            ("1,-2\n", "t.csv:1: -2 is below zero; a use is never negative"),
            ("5,2\n4,2\n", "t.csv:2: its time is before the one above; sort the lines by time"),
            ("5,2\n1700000000,2\n", "t.csv:2: its time is more than ten years after the first"),
            ("time,value\n", "t.csv holds no values; write TIME,VALUE lines"),
            ("1,\n", "t.csv holds no values"),
        ] {
            assert!(told(text).contains(expected), "{}", told(text));
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let error = Series::load(Path::new("/nowhere/to/be.csv")).unwrap_err().to_string();
        assert!(error.starts_with("failed to read /nowhere/to/be.csv: No such file"), "{error}");
    }
}
