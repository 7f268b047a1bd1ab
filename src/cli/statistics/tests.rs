//! How it reads.

use super::*;
use crate::testing::recorded::{SAMPLED, sample_periods};

fn sample() -> (Summary, Lost) {
    let (minutes, hours) = sample_periods();
    let summary = Summary::of(&minutes, &hours, SAMPLED, SAMPLED + 3600);
    (summary, Lost { damaged: 1, ..Lost::default() })
}

#[test]
fn statistics_read_well() {
    let (summary, lost) = sample();
    let text = text(&summary, lost, &TimeZone::UTC);
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    insta::assert_snapshot!(text);
}
