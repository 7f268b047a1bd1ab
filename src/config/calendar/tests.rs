//! Expressions against what systemd says, clocks that change, and that nothing is passed over.

use super::*;
use jiff::civil::date;
use proptest::prelude::*;

fn calendar(text: &str) -> Calendar {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Saturday afternoon.
fn base() -> Zoned {
    date(2026, 11, 21).at(17, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap()
}

/// What `systemd-analyze calendar --base-time="2026-11-21 17:00:00 UTC"` of systemd 252 says; `tests/systemd/calendar.rs` asks it.
const KNOWN: &[(&str, &str, &str)] = &[
    ("*:0/2", "*-*-* *:00/2:00", "2026-11-21T17:02:00"),
    ("Mon-Fri 9:00", "Mon..Fri *-*-* 09:00:00", "2026-11-23T09:00:00"),
    ("Mon,Tue *-*-* 9:00", "Mon,Tue *-*-* 09:00:00", "2026-11-23T09:00:00"),
    ("9:00", "*-*-* 09:00:00", "2026-11-22T09:00:00"),
    ("09-05", "*-09-05 00:00:00", "2027-09-05T00:00:00"),
    ("26-09-05 10:00", "2026-09-05 10:00:00", "never"),
    ("*-*~1", "*-*~01 00:00:00", "2026-11-30T00:00:00"),
    ("Mon *-05~07/1", "Mon *-05~07/1 00:00:00", "2027-05-31T00:00:00"),
    ("*-*~1..3", "*-*~01..03 00:00:00", "2026-11-28T00:00:00"),
    ("*-*-1/7", "*-*-01/7 00:00:00", "2026-11-22T00:00:00"),
    ("1..5:00", "*-*-* 01..05:00:00", "2026-11-22T01:00:00"),
    ("weekly UTC", "Mon *-*-* 00:00:00 UTC", "2026-11-23T00:00:00"),
    ("Daily", "*-*-* 00:00:00", "2026-11-22T00:00:00"),
    ("*-2-31", "*-02-31 00:00:00", "never"),
    (
        "Mon..Wed,Sat,Sun 1,2,3:10..20/5",
        "Mon..Wed,Sat,Sun *-*-* 01,02,03:10..20/5:00",
        "2026-11-22T01:10:00",
    ),
    ("Mon,", "Mon *-*-* 00:00:00", "2026-11-23T00:00:00"),
    ("*-*-* *:*:*", "*-*-* *:*:*", "2026-11-21T17:00:01"),
    ("minutely", "*-*-* *:*:00", "2026-11-21T17:01:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00", "2027-01-01T00:00:00"),
    ("1-1-1 0:0", "2001-01-01 00:00:00", "never"),
    ("10:00/5", "*-*-* 10:00/5:00", "2026-11-22T10:00:00"),
    ("2026..2028-*-* 1:00", "2026..2028-*-* 01:00:00", "2026-11-22T01:00:00"),
];

#[test]
fn expressions_mean_what_systemd_says() {
    for (text, normalized, next) in KNOWN {
        let calendar = calendar(text);
        assert_eq!(calendar.to_string(), *normalized);
        let found = calendar.next(&base()).map(|next| next.datetime().to_string());
        assert_eq!(found.as_deref().unwrap_or("never"), *next, "{text}");
    }
}

#[test]
fn what_systemd_refuses_is_refused_with_a_reason() {
    let refused = [
        "*:*/2",
        "Fri..Mon",
        "9",
        "*-*~3..1",
        "2026-01-01T10:00",
        "10:60",
        "*-13-1",
        "24:00",
        "",
        "*-*-5..1",
        "*:1/70",
        "Mon *",
        "* *-*-*",
        "*/2-*-*",
        "*-*-31~1",
        "1:2:3:4",
        "tomorrow",
        "10:00:00.5",
        "@1000000000",
        "10:00 Europe/Nowhere",
        "Mon 9:00 9:00",
    ];
    let told: String = refused
        .map(|text| {
            let error = text.parse::<Calendar>().expect_err(text);
            format!("{text:<24} {error}\n")
        })
        .concat();
    insta::assert_snapshot!(told);
}

/// A zone whose clocks go forward on the last Sunday of March at two, and back on that of October at three.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn following(text: &str, from: DateTime) -> Vec<String> {
    let mut at = from.to_zoned(berlin()).unwrap();
    let calendar = calendar(text);
    let mut found = Vec::new();
    for _ in 0..3 {
        at = calendar.next(&at).unwrap();
        found.push(at.strftime("%d %H:%M %z").to_string());
    }
    found
}

#[test]
fn a_night_has_23_or_25_hours() {
    let march = date(2026, 3, 28).at(3, 0, 0, 0);
    assert_eq!(following("2:30", march), ["29 03:30 +0200", "30 02:30 +0200", "31 02:30 +0200"]);
    let october = date(2026, 10, 24).at(3, 0, 0, 0);
    assert_eq!(following("2:30", october), ["25 02:30 +0200", "26 02:30 +0100", "27 02:30 +0100"]);
}

prop_compose! {
    fn part(least: u8, most: u8)(
        kind in 0..4u8, a in least..=most, b in least..=most, step in 1..=most,
    ) -> String {
        let (a, b) = (a.min(b), a.max(b));
        match kind {
            0 => "*".to_owned(),
            1 => format!("{a},{b}"),
            2 => format!("{a}..{b}"),
            _ => format!("{a}/{step}"),
        }
    }
}

prop_compose! {
    fn expression()(
        day in prop::sample::select(vec!["", "Mon ", "Tue..Fri ", "Sat,Sun "]),
        month in part(1, 12), separator in prop::sample::select(vec!['-', '~']),
        of_month in part(1, 28), hour in part(0, 23), minute in part(0, 59),
    ) -> String {
        format!("{day}{month}{separator}{of_month} {hour}:{minute}")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_lies_between(text in expression(), seconds in 0i64..400_000_000) {
        let calendar = calendar(&text);
        let after = base().checked_add(seconds.seconds()).unwrap();
        let Some(next) = calendar.next(&after) else { return Ok(()) };
        prop_assert!(next > after);
        // From anywhere between the same is found.
        let between = next.timestamp().as_second() - after.timestamp().as_second();
        for part in [2, 3, 7] {
            let from = after.checked_add((between / part).seconds()).unwrap();
            if from < next {
                prop_assert_eq!(calendar.next(&from), Some(next.clone()));
            }
        }
        let just_before = next.checked_sub(1.second()).unwrap();
        prop_assert_eq!(calendar.next(&just_before), Some(next));
    }

    #[test]
    fn normalized_it_is_the_same(text in expression()) {
        let once = calendar(&text);
        prop_assert_eq!(calendar(&once.to_string()), once);
    }

    #[test]
    fn no_text_is_too_much(text in "[a-zA-Z0-9*~/:., -]{0,40}") {
        if let Ok(calendar) = text.parse::<Calendar>() {
            let _next = calendar.next(&base());
        }
    }
}
