//! Calendar expressions mean what systemd takes them for.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use provost::config::Calendar;
use std::process::Command;

/// Seconds between the times from which the next one is asked: a prime, so that it falls everywhere.
const STEP: i64 = 8_388_593;

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
    "*-03-29 02:30:00 Europe/Berlin",
];

/// What `systemd-analyze` says after `label`.
fn asked(text: &str, from: Timestamp) -> (String, Option<String>) {
    let base = from.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let output = Command::new("systemd-analyze")
        .args(["calendar", "--base-time", &base, text])
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
    // systemd names the original form only where the normalized one differs.
    let normalized = after("Normalized form:").or_else(|| after("Original form:")).unwrap();
    (normalized, after("Next elapse:").filter(|next| next != "never"))
}

#[test]
fn systemd_finds_the_same_times() {
    if Command::new("test")
        .args(["-e", "/usr/share/zoneinfo/Europe/Berlin"])
        .status()
        .is_ok_and(|found| !found.success())
    {
        panic!("the image has no time zones");
    }
    for text in EXPRESSIONS {
        let calendar: Calendar = text.parse().unwrap();
        let mut from = Timestamp::from_second(1_795_392_000).unwrap();
        for _ in 0..12 {
            let (normalized, next) = asked(text, from);
            assert_eq!(calendar.to_string(), normalized);
            let mine = calendar.next(&from.to_zoned(TimeZone::UTC)).map(|next| {
                let next = next.with_time_zone(TimeZone::UTC);
                next.strftime("%a %Y-%m-%d %H:%M:%S UTC").to_string()
            });
            assert_eq!(mine, next, "{text} from {from}");
            from = Timestamp::from_second(from.as_second() + STEP).unwrap();
        }
    }
}
