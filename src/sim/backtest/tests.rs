//! Backtests on series that are made here.

use super::*;
use crate::estimate::forecast::Fold;

/// A day's wave with saw teeth, a line each five minutes.
fn wave(days: usize) -> String {
    let line = |bucket: usize| {
        let day = (std::f64::consts::TAU * (bucket % 288) as f64 / 288.0).sin();
        let tooth = (bucket * 7 % 13) as f64;
        format!("{},{:.3}\n", 1_600_000_000 + 300 * bucket, 50.0 + 30.0 * day + tooth)
    };
    (0..288 * days).map(line).collect()
}

fn tested(text: &str) -> Tested {
    test(&Series::parse("made", text).unwrap(), &Settings::usual(Fold::Mean))
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
}

#[test]
fn a_season_is_worth_learning() {
    let tested = tested(&wave(8));
    let [ours, others @ ..] = &tested.marks;
    assert!(others.iter().all(|other| ours.pinball() < other.pinball()), "{:?}", tested.marks);
    assert!(ours.coverage() > 93.0, "{}", ours.coverage());
    assert!(tested.marks.iter().all(|mark| (mark.count() - (288.0 * 6.0 - 3.0)).abs() < 0.5));
    assert!(tested.model.is_some() && tested.confidence > 50.0);
}

#[test]
fn rivals_are_judged_on_what_came_after() {
    // Four hours of which the last three count: 10 and 30 in turns.
    let text: String =
        (0..48).map(|bucket| format!("{},{}\n", 300 * bucket, 10 + bucket % 2 * 20)).collect();
    let tested = tested(&text);
    let [_, last, .., day, hour] = &tested.marks;
    near(last.count(), 33.0);
    near(day.coverage(), 100.0);
    near(day.pinball(), 0.0);
    near(hour.over(), 20.0);
    // The last value is 10 at each other bucket, and 30 comes each time.
    let low = (12..45).filter(|bucket| bucket % 2 == 0).count() as f64;
    near(last.coverage(), 100.0 * (33.0 - low) / 33.0);
    near(last.pinball(), 100.0 * 0.95 * 20.0 * low / (30.0 * 33.0));
}

#[test]
fn what_is_missing_adds_nothing() {
    let text: String = (0..96)
        .map(|bucket| format!("{},{}\n", 300 * bucket, if bucket == 60 { "" } else { "5" }))
        .collect();
    let tested = tested(&text);
    // Nobody says anything at the missing one, and the last three of the series are not decided.
    near(tested.marks[0].count(), 96.0 - 24.0 - 1.0 - 3.0);
    assert_eq!(tested.buckets[60].value, None);
    assert!(tested.marks.iter().all(|mark| mark.pinball() < 20.0));
}

#[test]
fn a_gap_longer_than_the_horizon_is_no_judge() {
    let is_missing = |bucket: usize| (60..64).contains(&bucket);
    let text: String = (0..96)
        .map(|bucket| format!("{},{}\n", 300 * bucket, if is_missing(bucket) { "" } else { "5" }))
        .collect();
    // Of the bound at the last bucket before the gap nothing comes to be known.
    near(tested(&text).marks[0].count(), 96.0 - 24.0 - 4.0 - 3.0 - 1.0);
}

#[test]
fn hours_are_too_short() {
    assert!(!tested("0,1\n300,1\n600,1\n").is_judged());
    assert!(!tested("0,7\n").is_judged());
}
