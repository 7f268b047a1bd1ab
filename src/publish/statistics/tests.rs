//! The arithmetic.

use super::*;
use crate::testing::recorded::{SAMPLED, sample_period, sample_periods};
use proptest::prelude::*;

const START: u64 = SAMPLED;

#[test]
fn percentiles_and_what_is_usual_are_as_they_are_defined() {
    let (minutes, hours) = sample_periods();
    let summary = Summary::of(&minutes, &hours, SAMPLED, SAMPLED + HOUR);
    assert_eq!((summary.from_secs, summary.by, summary.seen_secs), (SAMPLED, Which::Minutes, HOUR));
    let cpu = &summary.of[0];
    assert_eq!((cpu.p50, cpu.p95, cpu.p99, cpu.peak), (179, 206, 209, 400));
    assert_eq!(cpu.usual, Some((100, 140)));
    assert_eq!((cpu.last_hour, cpu.deviation_percent), (Some(180), Some(28)));
    assert_eq!(summary.of.len(), 3, "nothing is said of disks, of which nothing is known");
    assert_eq!(
        summary.levels.memory,
        AtLevels { normal: 3000, warning: 600, ..AtLevels::default() }
    );
    assert_eq!(beyond((100, 140), 120), 0);
    assert_eq!(beyond((100, 140), 50), -50);
}

#[test]
fn hours_stand_in_where_minutes_do_not_reach() {
    let hours = [sample_period(START, HOUR, 1, 1), sample_period(START + HOUR, HOUR, 1, 1)];
    let minutes = [sample_period(START + HOUR, 60, 1, 1)];
    assert_eq!(chosen(&minutes, &hours, 0), Which::Hours);
    assert_eq!(chosen(&minutes, &hours, START + HOUR), Which::Minutes);
    assert_eq!(chosen(&minutes, &hours[1..], 0), Which::Minutes);
    assert_eq!(chosen(&[], &hours, 0), Which::Hours);
}

proptest! {
    #[test]
    fn a_percentile_is_one_of_the_values_and_few_are_above(
        mut values in prop::collection::vec(any::<u64>(), 1..200),
        hundredths in 1_usize..=100,
    ) {
        values.sort_unstable();
        let found = percentile(&values, hundredths).unwrap();
        let not_above = values.iter().filter(|value| **value <= found).count();
        prop_assert!(not_above * 100 >= values.len() * hundredths);
        let below = values.iter().filter(|value| **value < found).count();
        prop_assert!(below * 100 < values.len() * hundredths);
    }
}
