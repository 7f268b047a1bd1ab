//! The arithmetic, and how it reads.

use super::*;
use crate::record::ComponentUse;
use crate::units::Ppm;
use proptest::prelude::*;

const START: u64 = 1_700_000_000 / WEEK * WEEK;

fn period(from_secs: u64, seen_secs: u64, mean: u64, most: u64) -> Period {
    let used = |mean, most| Some(Used { mean, most });
    let of = ComponentUse {
        used: Each {
            cpu: used(mean, most),
            memory: used(mean << 20, most << 20),
            io: None,
            pids: used(3, 5),
        },
        waited: Each { cpu: Some(Ppm::percent(3)), ..Each::default() },
    };
    let levels = Each {
        memory: AtLevels { normal: seen_secs - 10, warning: 10, ..AtLevels::default() },
        ..Each::default()
    };
    let components = [("web".parse().unwrap(), of)].into();
    Period { from_secs, seen_secs, levels, components, ..Period::default() }
}

fn sample() -> Summary {
    let hours: Vec<Period> = [(0, 100), (1, 140), (2, 120), (3, 180)]
        .map(|(week, mean)| period(START + week * WEEK, HOUR, mean, 2 * mean))
        .into();
    let minutes: Vec<Period> = (0..60)
        .map(|minute| period(START + 3 * WEEK + 60 * minute, 60, 150 + minute, 400))
        .collect();
    let within: Vec<&Period> = minutes.iter().collect();
    let name: ComponentName = "web".parse().unwrap();
    let now = START + 3 * WEEK + HOUR;
    let of = Resource::ALL
        .into_iter()
        .filter_map(|resource| statistics_of(&name, resource, &within, (&hours, now)));
    Summary {
        from_secs: START + 3 * WEEK,
        by: Which::Minutes,
        seen_secs: HOUR,
        of: of.collect(),
        levels: levels(&within),
        lost: Lost { damaged: 1, ..Lost::default() },
    }
}

#[test]
fn percentiles_and_what_is_usual_are_as_they_are_defined() {
    let summary = sample();
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
fn statistics_read_well() {
    let text = text(&sample(), &TimeZone::UTC);
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn hours_stand_in_where_minutes_do_not_reach() {
    let hours = [period(START, HOUR, 1, 1), period(START + HOUR, HOUR, 1, 1)];
    let minutes = [period(START + HOUR, 60, 1, 1)];
    assert_eq!(chosen(&minutes, &hours, 0).0, Which::Hours);
    assert_eq!(chosen(&minutes, &hours, START + HOUR).0, Which::Minutes);
    assert_eq!(chosen(&minutes, &hours[1..], 0).0, Which::Minutes);
    assert_eq!(chosen(&[], &hours, 0).0, Which::Hours);
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
