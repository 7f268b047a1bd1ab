//! Recorded traces: a CSV file of seconds and values. This file and `scenario.rs` are the only ones of the room that touch the disk;
//! the series of backtests are read through it.
//!
//! A line is `SECONDS,VALUE`; empty lines, lines that begin with `#`, and a first line of words are passed over. Times are counted from
//! the first one, and must not go back. Bounds: 16 MiB, a million lines.
#![allow(clippy::disallowed_methods, reason = "room sim: trace.rs reads recorded traces")]

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use thiserror::Error;

/// The longest file, in bytes.
const MOST_BYTES: u64 = 16 << 20;
/// The most points.
const MOST_POINTS: usize = 1_000_000;

/// Why a trace cannot be used.
#[derive(Debug, Error)]
pub(super) enum TraceError {
    /// The file cannot be read.
    #[error("failed to read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file is beyond its bound.
    #[error("{path} is longer than 16M or a million lines, the most that is read")]
    TooLong {
        /// The file.
        path: String,
    },
    /// A line is none.
    #[error("{path}:{line}: {what}; write SECONDS,VALUE")]
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// There is no point in it.
    #[error("{path} holds no points; write SECONDS,VALUE lines")]
    Empty {
        /// The file.
        path: String,
    },
}

/// Reads a trace: times in microseconds from the first, and values as `value` reads them.
pub(super) fn read(
    path: &Path,
    value: impl Fn(&str) -> Result<u64, String>,
) -> Result<Vec<(u64, u64)>, TraceError> {
    let name = path.display().to_string();
    let read = text(path).map_err(|error| TraceError::Unreadable { path: name.clone(), error })?;
    let text = read.ok_or_else(|| TraceError::TooLong { path: name.clone() })?;
    parse(&name, &text, value)
}

/// The text of a file; none where it is longer than 16 MiB.
pub(super) fn text(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    let is_long = u64::try_from(text.len()).is_ok_and(|length| length > MOST_BYTES);
    Ok((!is_long).then_some(text))
}

fn parse(
    name: &str,
    text: &str,
    value: impl Fn(&str) -> Result<u64, String>,
) -> Result<Vec<(u64, u64)>, TraceError> {
    let mut points: Vec<(u64, u64)> = Vec::new();
    let mut first = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong =
            |what: String| TraceError::Line { path: name.to_owned(), line: number + 1, what };
        let (time, amount) =
            line.split_once(',').ok_or_else(|| wrong("there is no comma in it".to_owned()))?;
        let Some(time) = micros(time.trim()) else {
            if points.is_empty() && first.is_none() {
                first = Some(None);
                continue;
            }
            return Err(wrong(format!("\"{}\" is no time in seconds", time.trim())));
        };
        let amount = value(amount.trim()).map_err(wrong)?;
        let start = first.flatten().unwrap_or(time);
        first = Some(Some(start));
        let at = time.checked_sub(start);
        match (at, points.last()) {
            (Some(at), Some((last, _))) if at < *last => {
                return Err(wrong("its time is before the one above".to_owned()));
            }
            (None, _) => return Err(wrong("its time is before the first".to_owned())),
            (Some(at), _) => points.push((at, amount)),
        }
        if points.len() > MOST_POINTS {
            return Err(TraceError::TooLong { path: name.to_owned() });
        }
    }
    if points.is_empty() { Err(TraceError::Empty { path: name.to_owned() }) } else { Ok(points) }
}

/// Seconds, with decimals or without, as microseconds.
fn micros(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u64 = whole.parse().ok()?;
    let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
    whole.checked_mul(1_000_000)?.checked_add(six.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<u64, String> {
        text.parse().map_err(|_| format!("\"{text}\" is no number"))
    }

    #[test]
    fn a_trace_starts_at_its_first_time() {
        let text = "time,value\n# recorded somewhere\n1700000000.5,3\n\n1700000002,7\n";
        assert_eq!(parse("t.csv", text, number).unwrap(), [(0, 3), (1_500_000, 7)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let told = |text: &str| parse("t.csv", text, number).unwrap_err().to_string();
        for (text, part) in [
            ("1,2\n3", "t.csv:2: there is no comma in it"),
            ("1,2\n0,3\n", "t.csv:2: its time is before the first"),
            ("1,2\n5,3\n4,3\n", "t.csv:3: its time is before the one above"),
            ("1,x\n", "t.csv:1: \"x\" is no number"),
            ("1,2\nx,3\n", "t.csv:2: \"x\" is no time in seconds"),
            ("a,b\n", "t.csv holds no points"),
        ] {
            assert!(told(text).contains(part), "{}", told(text));
        }
    }
}
