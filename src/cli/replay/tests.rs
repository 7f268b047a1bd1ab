//! What came of a replay reads well.

use super::*;
use crate::units::{Bytes, CgroupPath, CpuMax, CpuTime, Limit};

fn difference(recorded: Option<Knob>, replayed: Option<Knob>) -> Difference {
    let kind = recorded.as_ref().or(replayed.as_ref()).unwrap().kind();
    let why = |why: &'static str| move |knob| (knob, why.to_owned());
    Difference {
        component: Some("batch".parse().unwrap()),
        at: CgroupPath::new("system.slice/batch.service"),
        kind,
        recorded: recorded.map(why("gives way: web waits")),
        replayed: replayed.map(why("gives way: a protected component waits; all that yield may use 0.8 cores, others use 1")),
    }
}

fn sample() -> Outcome {
    let quota = |millis| {
        Knob::CpuMax(CpuMax {
            quota: Limit::At(CpuTime::millis(millis)),
            period: CpuTime::millis(100),
        })
    };
    let high = Knob::MemoryHigh(Limit::At(Bytes::mebi(390)));
    let mut outcome = Outcome { played: 3600, ..Outcome::default() };
    for second in 0..3600 {
        let differences = match second {
            60 => vec![difference(Some(quota(50)), Some(quota(80)))],
            61..=120 => vec![difference(Some(quota(40)), Some(quota(80)))],
            200 => vec![difference(Some(high.clone()), None)],
            _ => Vec::new(),
        };
        outcome.add(Replayed {
            wall_secs: 1_700_000_000 + second,
            differences,
            is_otherwise_different: second == 300,
        });
    }
    outcome
}

#[test]
fn a_replay_reads_well() {
    let differs = text(&sample(), "what was recorded", &TimeZone::UTC);
    assert!(differs.lines().all(|line| line.chars().count() <= COLUMNS), "{differs}");
    let same = Outcome {
        played: 1,
        passed_over: 12,
        from_secs: 1_700_000_000,
        to_secs: 1_700_000_000,
        lost: Lost { without_base: 12, ..Lost::default() },
        ..Outcome::default()
    };
    let same = text(&same, "what was recorded", &TimeZone::UTC);
    insta::assert_snapshot!([differs, same].join("----\n"));
}

#[test]
fn cycles_in_which_deciding_failed_are_named() {
    let mut outcome = Outcome { played: 3588, ..sample() };
    let failed = |message: &str| ReplayError::Panicked { message: message.to_owned() };
    outcome.refuse(&failed("before what was asked for"), None);
    for second in 0..12 {
        outcome.refuse(&failed("attempt to \x1b divide by zero"), Some(1_700_000_000 + second));
    }
    let told = text(&outcome, "what was recorded", &TimeZone::UTC);
    assert_eq!(told.matches("deciding failed").count(), 11, "{told}");
    let mut one = Outcome {
        played: 12,
        from_secs: 1_700_000_001,
        to_secs: 1_700_000_012,
        ..Outcome::default()
    };
    one.refuse(&failed("attempt to \x1b divide by zero"), Some(1_700_000_000));
    insta::assert_snapshot!(text(&one, "what was recorded", &TimeZone::UTC));
    let document: Value = serde_json::from_str(&document("replay", &outcome)).unwrap();
    assert_eq!(
        (&document["failures"], &document["failed"][1]["at"]),
        (&json!(12), &json!(1_700_000_001))
    );
}

#[test]
fn each_knob_is_told_when_it_differs_first() {
    let outcome = sample();
    assert_eq!(outcome.differing, 63);
    assert_eq!(outcome.otherwise, 1);
    let first: Vec<u64> = outcome.shown.iter().map(|(at, _)| at - 1_700_000_000).collect();
    assert_eq!(first, [60, 200]);
    let document: Value = serde_json::from_str(&document("replay", &outcome)).unwrap();
    assert_eq!(document["schema"], "provost/replay/v1");
    assert_eq!(document["differences"][0]["knob"], "cpu.max");
    assert_eq!(document["differences"][1]["replayed"], Value::Null);
}
