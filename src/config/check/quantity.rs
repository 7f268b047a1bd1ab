//! Quantities as they are written, against the host: percentages become amounts here and nowhere else.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::raw;
use crate::units::{Bytes, Limit, Millicpu, Ppm, QuantityError, Span};
use std::ops::RangeInclusive;

/// What may be written beside an absolute amount.
const OR_PERCENTAGE: &str = ", or a percentage of the host such as \"25%\"";
/// Below, a recording does not hold a host's looks of a minute; above, it takes seconds to read.
const BUDGET: RangeInclusive<Bytes> = Bytes::mebi(1)..=Bytes::mebi(1024);
/// The whole host in thousandths of a percent.
const WHOLE: u64 = 100_000;

impl Check<'_> {
    /// An amount of CPU; `None` when there is none or it cannot be read.
    pub(super) fn cpu(&mut self, key: &Key, raw: Option<&raw::CpuAmount>) -> Option<Millicpu> {
        let text = raw?.0.as_str();
        match percentage(text) {
            Some(Ok(part)) => Some(Millicpu(Bytes(self.host.cpu().0).scaled(part, WHOLE).0)),
            Some(Err(Excess::TooMuch)) => {
                let cores = text.trim().trim_end_matches('%').trim();
                let cores = cores.parse::<Millicpu>().unwrap_or_default();
                let help = format!(
                    "a percentage is of all online CPUs; the {text} of systemd's CPUQuota= is written \"{}\"",
                    Millicpu(cores.0 / 100)
                );
                self.too_much(key, text, help);
                None
            }
            Some(Err(Excess::Malformed)) => self.bad_percentage(key, text),
            None => self.parsed_or(key, text, text.parse(), OR_PERCENTAGE),
        }
    }

    /// The same, or "max".
    pub(super) fn cpu_limit(
        &mut self,
        key: &Key,
        raw: Option<&raw::CpuAmount>,
    ) -> Option<Limit<Millicpu>> {
        if raw?.0.trim() == "max" {
            return Some(Limit::Max);
        }
        self.cpu(key, raw).map(Limit::At)
    }

    /// A size; `None` when there is none or it cannot be read.
    pub(super) fn size(&mut self, key: &Key, raw: Option<&raw::Size>) -> Option<Bytes> {
        let text = raw?.0.as_str();
        match percentage(text) {
            Some(Ok(part)) => {
                let size = self.host.memory.scaled(part, WHOLE);
                Some(size.page_floor(self.host.page))
            }
            Some(Err(Excess::TooMuch)) => {
                let help = "a percentage is of the host's memory".to_owned();
                self.too_much(key, text, help);
                None
            }
            Some(Err(Excess::Malformed)) => self.bad_percentage(key, text),
            None => self.parsed_or(key, text, text.parse(), OR_PERCENTAGE),
        }
    }

    /// The same, or "max".
    pub(super) fn size_limit(
        &mut self,
        key: &Key,
        raw: Option<&raw::Size>,
    ) -> Option<Limit<Bytes>> {
        if raw?.0.trim() == "max" {
            return Some(Limit::Max);
        }
        self.size(key, raw).map(Limit::At)
    }

    /// A share of a whole; `None` when there is none or it cannot be read.
    pub(super) fn percent(&mut self, key: &Key, raw: Option<&raw::Percent>) -> Option<Ppm> {
        let text = raw?.0.as_str();
        match percentage(text) {
            Some(Ok(part)) => Ppm::of(part, WHOLE),
            Some(Err(Excess::TooMuch)) => {
                self.too_much(key, text, "a threshold is at most \"100%\"".to_owned());
                None
            }
            Some(Err(Excess::Malformed)) | None => self.bad_percentage(key, text),
        }
    }

    /// A rate in bytes per second, or "max"; a percentage has no meaning here.
    pub(super) fn rate(&mut self, key: &Key, raw: Option<&raw::Size>) -> Option<Limit<Bytes>> {
        let text = raw?.0.as_str();
        if text.trim() == "max" {
            return Some(Limit::Max);
        }
        if text.contains('%') {
            let issue = ConfigIssue::error(
                Code::Percentage,
                "a disk's rate cannot be a percentage: no disk says what its whole is",
            )
            .help("write bytes per second such as \"50M\"");
            self.report(issue, key, "a percentage");
            return None;
        }
        let rate: Bytes = self.parsed(key, text, text.parse())?;
        if rate == Bytes::ZERO {
            let issue = ConfigIssue::error(Code::BelowFloor, "a rate of 0 cannot be set")
                .help("the kernel refuses it; leave the key out, or write \"max\" for no limit");
            self.report(issue, key, "no bytes at all");
            return None;
        }
        Some(Limit::At(rate))
    }

    /// Room on disk for the recording; a percentage has no meaning here.
    pub(super) fn budget(&mut self, raw: Option<&raw::History>) -> Option<Bytes> {
        let text = raw?.budget.as_ref()?.0.as_str();
        let key = Key::default().then("history").then("budget");
        let budget: Bytes = self.parsed(&key, text, text.parse())?;
        if budget == Bytes::ZERO || BUDGET.contains(&budget) {
            return Some(budget);
        }
        let message = format!("`budget` must be {} to {}, or 0", BUDGET.start(), BUDGET.end());
        self.report(
            ConfigIssue::error(Code::OutOfRange, message),
            &key,
            format!("this is {budget}"),
        );
        None
    }

    /// A duration within `range`.
    pub(super) fn duration(
        &mut self,
        key: &Key,
        raw: Option<&raw::Duration>,
        range: RangeInclusive<Span>,
    ) -> Option<Span> {
        let text = raw?.0.as_str();
        let span: Span = self.parsed(key, text, text.parse())?;
        if range.contains(&span) {
            return Some(span);
        }
        let name = key.0.last().map_or("", String::as_str);
        let message = format!("`{name}` must be {} to {}", range.start(), range.end());
        let issue = ConfigIssue::error(Code::OutOfRange, message);
        self.report(issue, key, format!("this is {span}"));
        None
    }

    /// The value, or a report of why there is none.
    pub(super) fn parsed<T>(
        &mut self,
        key: &Key,
        text: &str,
        parsed: Result<T, QuantityError>,
    ) -> Option<T> {
        self.parsed_or(key, text, parsed, "")
    }

    /// The same; `more` ends the sentence that says what to write.
    fn parsed_or<T>(
        &mut self,
        key: &Key,
        text: &str,
        parsed: Result<T, QuantityError>,
        more: &str,
    ) -> Option<T> {
        let error = match parsed {
            Ok(value) => return Some(value),
            Err(error) => error.to_string(),
        };
        // The sentences of QuantityError are "what is wrong; what to write".
        let (what, cure) = error.rsplit_once("; ").unwrap_or((&error, ""));
        let mut issue = ConfigIssue::error(Code::Malformed, what);
        if !cure.is_empty() {
            issue = issue.help(format!("{cure}{more}"));
        }
        if matches!(text.trim(), "infinity" | "unlimited" | "-1" | "none") {
            issue = issue.help("where no limit is possible, it is written \"max\"");
        }
        self.report(issue, key, "");
        None
    }

    fn too_much(&mut self, key: &Key, text: &str, help: String) {
        let message = format!("{text} is more than the whole host");
        let issue = ConfigIssue::error(Code::Percentage, message).help(help);
        self.report(issue, key, "above 100%");
    }

    fn bad_percentage<T>(&mut self, key: &Key, text: &str) -> Option<T> {
        let message = format!("\"{text}\" is not a percentage");
        let issue = ConfigIssue::error(Code::Percentage, message)
            .help("write a number of 0 to 100 with at most three decimals, such as \"12.5%\"");
        self.report(issue, key, "");
        None
    }
}

/// What is wrong with a percentage.
#[derive(Debug, PartialEq, Eq)]
enum Excess {
    Malformed,
    TooMuch,
}

/// The percentage in thousandths of a percent; `None` when the text has no percent sign.
fn percentage(text: &str) -> Option<Result<u64, Excess>> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let decimals = number.split_once('.').map_or("", |(_, decimals)| decimals);
    // Cores are read in thousandths, which is what is needed here too; "m" is theirs alone.
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.') && decimals.len() <= 3;
    Some(match number.parse::<Millicpu>() {
        Ok(part) if plain && part.0 <= WHOLE => Ok(part.0),
        Ok(_) if plain => Err(Excess::TooMuch),
        Ok(_) | Err(_) => Err(Excess::Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_exact() {
        assert_eq!(percentage("25%"), Some(Ok(25_000)));
        assert_eq!(percentage(" 12.5 % "), Some(Ok(12_500)));
        assert_eq!(percentage("100%"), Some(Ok(100_000)));
        assert_eq!(percentage("0%"), Some(Ok(0)));
        assert_eq!(percentage("100.001%"), Some(Err(Excess::TooMuch)));
        assert_eq!(percentage("150%"), Some(Err(Excess::TooMuch)));
        for text in ["%", "-5%", "5m%", "1.2345%", "five%", "5%%"] {
            assert_eq!(percentage(text), Some(Err(Excess::Malformed)), "{text}");
        }
        assert_eq!(percentage("1.5"), None);
    }
}
