//! Times in the past as they are given and shown, and what to say when a recording cannot be read.

use super::args::Cli;
use super::fail::{EXIT_NOT_PERMITTED, Failure};
use super::render::paragraph;
use crate::kernel::clock;
use crate::kernel::process::is_root;
use crate::publish::shown_at;
use crate::record::{Lost, RingError};
use crate::units::Span;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};

/// How a moment is shown.
const MOMENT: &str = "%Y-%m-%d %H:%M:%S";

/// A time in the past: so long ago, or a date or time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Past {
    /// So long ago.
    Ago(Span),
    /// At this date and time, in the host's time zone.
    On(civil::DateTime),
    /// The last time that it was this time of the day.
    Time(civil::Time),
    /// At this moment.
    At(Timestamp),
}

impl std::str::FromStr for Past {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let ago = text.strip_suffix("ago").unwrap_or(text).trim_end();
        if let Ok(span) = ago.parse::<Span>() {
            return Ok(Self::Ago(span));
        }
        // A time with an offset or "Z" is a moment; one without is of this host.
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        if let Ok(on) = text.parse::<civil::DateTime>() {
            return Ok(Self::On(on));
        }
        // A bare number is refused: its unit would be a guess.
        let time = text.parse::<civil::Time>().ok().filter(|_| text.contains(':'));
        time.map(Self::Time).ok_or_else(|| {
            "write how long ago, such as \"2h\", a time of the day such as \"14:00\", or a date and time such as \"2026-01-31 14:00\""
                .to_owned()
        })
    }
}

impl Past {
    /// Seconds since 1970, as seen from `now`.
    pub(super) fn wall_secs(self, now: &Zoned) -> u64 {
        let zone = now.time_zone();
        let second = |at: Timestamp| u64::try_from(at.as_second()).unwrap_or(0);
        let on =
            |on: civil::DateTime| on.to_zoned(zone.clone()).map_or(0, |on| second(on.timestamp()));
        match self {
            Self::Ago(span) => second(now.timestamp()).saturating_sub(span.0 / 1_000_000),
            Self::At(at) => second(at),
            Self::On(date) => on(date),
            Self::Time(time) => {
                let today = on(now.date().to_datetime(time));
                if today <= second(now.timestamp()) {
                    return today;
                }
                now.date().yesterday().map_or(0, |before| on(before.to_datetime(time)))
            }
        }
    }
}

/// From when on, in seconds since 1970; everything where nothing was said.
pub(super) fn since(past: Option<Past>) -> u64 {
    past.map_or(0, |past| past.wall_secs(&clock::zoned()))
}

/// A moment as this host's clocks show it.
pub(super) fn moment(wall_secs: u64, zone: &TimeZone) -> String {
    shown_at(wall_secs, zone, MOMENT)
}

/// What is missing of a recording, below it.
pub(super) fn missing(lost: Lost) -> String {
    let words = lost.words();
    if words.is_empty() {
        return String::new();
    }
    paragraph(&format!("\nnot all of it is here: {}.", words.join("; ")))
}

/// Why a recording cannot be read, with the way out.
pub(super) fn unreadable(cli: &Cli, error: &RingError) -> Failure {
    if error.is_missing() {
        let state = cli.state_dir.display();
        return Failure::new(
            1,
            format!(
                "nothing was recorded in {state}: the daemon records while it runs, unless history.budget is 0"
            ),
        );
    }
    let exit = if is_root() { 1 } else { EXIT_NOT_PERMITTED };
    let hint = if is_root() { "" } else { "; a recording is for root alone" };
    Failure::new(exit, format!("{error}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Zoned = "2026-03-10T09:30:00+01:00[Europe/Berlin]".parse().unwrap();
        let utc = |text: &str| {
            let at: Timestamp = text.parse().unwrap();
            u64::try_from(at.as_second()).unwrap()
        };
        for (text, expected) in [
            ("90m", "2026-03-10T07:00:00Z"),
            ("2h ago", "2026-03-10T06:30:00Z"),
            ("09:00", "2026-03-10T08:00:00Z"),
            ("14:00", "2026-03-09T13:00:00Z"),
            ("2026-03-01 12:00", "2026-03-01T11:00:00Z"),
            ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
        ] {
            let past: Past = text.parse().unwrap();
            assert_eq!(past.wall_secs(&now), utc(expected), "{text}");
        }
        for text in ["", "yesterday-ish", "25:00", "10", "2026-13-01 00:00"] {
            let told = text.parse::<Past>().unwrap_err();
            assert!(told.contains("such as \"2h\""), "{text}: {told}");
        }
    }
}
