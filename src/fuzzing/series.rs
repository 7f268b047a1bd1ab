//! The series of backtests, as some exporter wrote them.

use crate::sim::backtest::{Series, SeriesError};

/// A series is read, or the problem is told with its file, and with its line where it lies in one; never is there more than was written.
///
/// # Panics
/// When one of these does not hold.
pub fn series(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().count();
    match Series::parse("fuzzed.csv", &text) {
        Ok(series) => {
            assert!(!series.is_empty() && series.len() <= lines, "{} points", series.len())
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.starts_with("fuzzed.csv") && told.contains("; "), "{told}");
            if let SeriesError::Line { line, .. } = error {
                assert!((1..=lines).contains(&line), "line {line} of {lines}");
            }
        }
    }
}
