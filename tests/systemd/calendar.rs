//! Calendar expressions mean what systemd takes them for.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use provost::config::Calendar;
use std::iter::successors;
use std::path::Path;
use std::process::Command;

/// How systemd shows a time.
const FORM: &str = "%a %Y-%m-%d %H:%M:%S UTC";

/// So many times are asked for, one after the other.
const TIMES: usize = 12;

const EXPRESSIONS: [&str; 16] = [
    "Mon..Fri 22:00",
    "*-*-* *:0/7:0/20",
    "Mon *-05~07/1",
    "*-*~1..3 1..5:30",
    "*-02-29 12:00:01",
    "quarterly",
    "semiannually",
    "weekly",
    "Sat,Sun *-*-1/2 23:59:59",
    "2027..2035/3-*-* 00:00:00",
    "Tue,Thu..Sat *-1,6,12-10..20/3 4,8:05/25:59",
    "*-*-31 00:00",
    "Mon *-*-13 6:00",
    "09-05",
    "12:00 Europe/Berlin",
    "*-10-25 03:30:00 Europe/Berlin",
];

/// The normalized form, and the next times, as `systemd-analyze` has them.
fn asked(text: &str, from: &Zoned) -> (String, Vec<String>) {
    let output = Command::new("systemd-analyze")
        .args(["calendar", "--iterations", &TIMES.to_string()])
        .args(["--base-time", &from.strftime(FORM).to_string(), text])
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(output.status.success(), "{text}: {output:?}");
    let output = String::from_utf8(output.stdout).unwrap();
    let after = |label: &str| {
        let line = output.lines().find_map(|line| line.trim().strip_prefix(label))?;
        Some(line.trim().to_owned())
    };
    // systemd names the original form alone where the normalized one is the same.
    let normalized = after("Normalized form:").or_else(|| after("Original form:")).unwrap();
    let times = output.lines().filter_map(|line| {
        let (label, time) = line.trim().split_once(": ")?;
        (label == "Next elapse" || label.starts_with("Iter")).then(|| time.trim().to_owned())
    });
    (normalized, times.filter(|time| time != "never").collect())
}

#[test]
fn systemd_finds_the_same_times() {
    assert!(Path::new("/usr/share/zoneinfo/Europe/Berlin").exists(), "the image has no time zones");
    let from = Timestamp::from_second(1_795_392_000).unwrap().to_zoned(TimeZone::UTC);
    for text in EXPRESSIONS {
        let calendar: Calendar = text.parse().unwrap();
        let (normalized, times) = asked(text, &from);
        assert_eq!(calendar.to_string(), normalized);
        let next = |at: &Zoned| Some(calendar.next(at)?.with_time_zone(TimeZone::UTC));
        let mine = successors(next(&from), next).take(TIMES);
        let mine: Vec<String> = mine.map(|at| at.strftime(FORM).to_string()).collect();
        assert_eq!(mine, times, "{text}");
    }
}
