//! What came of a replay reads well.
#![allow(clippy::disallowed_methods, reason = "test code: a folder is made to be read")]

use super::*;
use crate::cli::args::Verb;
use crate::cli::plan::plan;
use crate::record::Store;
use crate::testing::recorded::{SAMPLED, sample_looks};
use crate::units::{Bytes, CgroupPath, CpuMax, CpuTime, Limit, Tick};
use clap::Parser as _;

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

/// A copied state folder with looks in it, and a configuration beside it; removed in the end.
struct Copied(PathBuf);

impl Copied {
    fn new(recorded: &str, now: &str) -> Self {
        let name = format!("provost-copied-{}", std::process::id());
        let copied = Self(std::env::temp_dir().join(name));
        let etc = copied.0.join("etc/provost");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(etc.join("config.toml"), now).unwrap();
        let mut store = Store::new(&copied.0, Bytes::mebi(10));
        store.open(Which::Looks, Tick(0)).unwrap();
        store.write(Which::Looks, Tick(0), 0, &sample_looks(recorded, 20)).unwrap();
        copied
    }

    fn plan(&self) -> Value {
        let folder = self.0.to_str().unwrap();
        let words = ["provost", "--json", "--state-dir", folder, "--config-root", folder];
        let ago = ["plan", "--against-history", "2023-01-01 00:00"];
        let cli = Cli::parse_from(words.into_iter().chain(ago));
        let Verb::Plan(args) = &cli.verb else { panic!("{cli:?}") };
        let printout = match plan(&cli, args) {
            Ok(printout) => printout,
            Err(failure) => panic!("{}", failure.text()),
        };
        serde_json::from_str(&printout.stdout).unwrap()
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_configuration_is_held_against_the_recording_of_another_host() {
    let recorded = "mode = \"enforce\"\n[component.batch]\npriority = \"low\"\nmatch = { unit = \"batch.service\" }\n\
        memory.ceiling = \"256M\"\n";
    // Of the recorded host's memory, which is 2 GiB; this one has another amount, and need not have cgroups.
    let copied = Copied::new(recorded, &recorded.replace("256M", "25%"));
    let document = copied.plan();
    assert_eq!((&document["cycles"], &document["from"]), (&json!(20), &json!(SAMPLED)));
    let ceilings = document["differences"].as_array().unwrap();
    let ceilings = ceilings.iter().filter(|one| one["knob"] == "memory.max");
    let values = ceilings.map(|one| (&one["recorded"]["value"], &one["replayed"]["value"]));
    assert_eq!(values.collect::<Vec<_>>(), [(&json!("256M"), &json!("512M"))]);
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
