//! Days that are made here, and what comes out of them.

use super::*;
use crate::estimate::noise::noise;
use proptest::prelude::*;

/// A midnight.
const START: u64 = 86_400 * 20_000;
const BUCKETS: u64 = 288;

/// Days on which the busiest hour of each is at noon and comes to `of(day)`.
fn days(count: u64, of: impl Fn(u64) -> f64) -> Days {
    let mut days = Days::default();
    fill(&mut days, 0..count, of);
    days
}

fn fill(days: &mut Days, which: std::ops::Range<u64>, of: impl Fn(u64) -> f64) {
    for day in which {
        for bucket in 0..BUCKETS {
            let noon = (144..156).contains(&bucket);
            let value = if noon { of(day) } else { of(day) / 4.0 };
            days.push(
                Moment(START + 86_400 * day + 300 * bucket),
                crate::estimate::forecast::whole(value),
            );
        }
    }
}

#[test]
fn a_line_is_found_as_it_was_made() {
    // The day after is under way, so that the last one is over.
    let growth = days(29, |day| 10_000.0 + 100.0 * day as f64).growth().unwrap();
    assert_eq!((growth.days, growth.busiest, growth.per_week), (28, 12_700, 700));
    assert_eq!((growth.least_per_week, growth.most_per_week), (700, 700));
    let falling = days(29, |day| 10_000.0 - 100.0 * day as f64).growth().unwrap();
    assert_eq!((falling.per_week, falling.grows()), (-700, false));
}

#[test]
fn nothing_is_said_before_two_weeks() {
    assert_eq!(Days::default().growth(), None);
    assert_eq!(days(14, |_| 5.0).growth(), None, "thirteen are over");
    assert!(days(15, |_| 5.0).growth().is_some());
}

#[test]
fn the_truth_lies_within_the_confidence_and_no_growth_is_rarely_growth() {
    let (mut held, mut grew) = (0, 0);
    for seed in 0..100 {
        let noisy = |day: u64, slope: f64| {
            10_000.0 + slope * day as f64 + 1_000.0 * noise(seed * 1_000 + day)
        };
        let growth = days(36, |day| noisy(day, 30.0)).growth().unwrap();
        held += i32::from((growth.least_per_week..=growth.most_per_week).contains(&210));
        grew += i32::from(days(36, |day| noisy(day, 0.0)).growth().unwrap().grows());
    }
    assert!(held >= 90, "{held} of 100");
    assert!(grew <= 6, "{grew} of 100");
}

#[test]
fn the_pattern_of_a_week_is_no_growth() {
    for first in 0..7 {
        let weekend = |day: u64| if (day + first) % 7 < 2 { 2_000.0 } else { 10_000.0 };
        let growth = days(29, |day| weekend(day) + 50.0 * noise(day)).growth().unwrap();
        assert!(!growth.grows(), "{first}: {growth:?}");
        assert!(growth.per_week.abs() < 200, "{first}: {growth:?}");
    }
}

#[test]
fn one_wild_day_changes_little() {
    let wild = |day: u64| if day == 12 { 90_000.0 } else { 10_000.0 + 50.0 * noise(day) };
    let growth = days(29, wild).growth().unwrap();
    assert!(growth.busiest < 10_100 && growth.per_week.abs() < 30, "{growth:?}");
}

#[test]
fn days_that_were_not_seen() {
    let of = |day: u64| 10_000.0 + 100.0 * day as f64;
    let mut short = days(10, of);
    fill(&mut short, 13..30, of);
    assert_eq!(short.growth().unwrap().per_week, 700, "three days lie between");
    let mut long = days(10, of);
    fill(&mut long, 14..30, of);
    assert_eq!(long.growth().unwrap().days, 14, "more begin it anew");
    let mut back = days(20, of);
    fill(&mut back, 3..10, of);
    assert_eq!(back.growth(), None, "so does a clock that went back");
}

#[test]
fn what_is_kept_does_not_grow_and_comes_back() {
    let mut days = days(40, |day| 1e12 + day as f64);
    let bytes = days.bytes();
    assert!(bytes < 512, "{bytes}");
    fill(&mut days, 40..50, |day| 1e12 + day as f64);
    assert_eq!(days.bytes(), bytes);
    let text = serde_json::to_string(&days).unwrap();
    assert_eq!(serde_json::from_str::<Days>(&text).unwrap(), days);
    assert!(days.is_whole());
    let long = text.replace("\"busiest\":[", &format!("\"busiest\":[{}", "1,".repeat(9)));
    assert!(!serde_json::from_str::<Days>(&long).unwrap().is_whole());
}

proptest! {
    #[test]
    fn no_clock_and_no_number_breaks_it(
        steps in prop::collection::vec((prop_oneof![8 => 0_u64..7_200, 2 => 0_u64..400_000, 1 => any::<u64>()], any::<u64>()), 1..3_000)
    ) {
        let mut days = Days::default();
        let mut now = START;
        for (step, value) in steps {
            now = now.wrapping_add(step);
            days.push(Moment(now), value);
            prop_assert!(days.is_whole());
        }
        if let Some(growth) = days.growth() {
            prop_assert!(growth.least_per_week <= growth.per_week && growth.per_week <= growth.most_per_week);
            let _met = growth.reaches(u64::MAX);
        }
    }
}
