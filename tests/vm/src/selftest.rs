//! Proof that the harness sees what it must: boots machines in which `vmprobe` misbehaves, and
//! checks that each misdeed is reported as a failure, with its reason.

use crate::cells;
use crate::initramfs::Payload;
use crate::jobs::{Job, Kind};
use crate::protocol::{Event, Status};
use crate::qemu::{Fate, Patience};
use crate::report::Report;
use crate::verbs::{self, Load, Places};
use crate::{Outcome, failed};
use std::time::Duration;

/// What must become of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Passed,
    Failed,
    Lost,
    NoBoot,
}

/// A test's name, its status and the reason.
type Verdict = (&'static str, Status, &'static str);

struct Scenario {
    name: &'static str,
    /// The probe's tests to run, and the status and reason each must have.
    tests: &'static [Verdict],
    program: &'static str,
    extra_cmdline: &'static str,
    expected: Expected,
}

const PROBE: Scenario = Scenario {
    name: "",
    tests: &[],
    program: "/t/vmprobe",
    extra_cmdline: "",
    expected: Expected::Failed,
};

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "good tests pass",
        tests: &[("passes", Status::Ok, "-"), ("skipped", Status::Ignored, "-")],
        expected: Expected::Passed,
        ..PROBE
    },
    Scenario {
        name: "bad tests fail, each for its reason, and do not spoil the next",
        tests: &[
            ("fails", Status::Failed, "exit=101"),
            ("aborts", Status::Failed, "signal=6"),
            ("says_nothing", Status::Failed, "not-run"),
            ("hangs", Status::Failed, "timeout"),
            ("leaks_a_cgroup", Status::Failed, "leaked"),
            ("leaks_a_process", Status::Failed, "leaked"),
            ("leaks_a_busy_cgroup", Status::Failed, "leaked"),
            ("upsets_the_kernel", Status::Failed, "kernel"),
            ("passes", Status::Ok, "-"),
        ],
        ..PROBE
    },
    Scenario {
        name: "a kernel panic fails the test and the rest",
        tests: &[
            ("passes", Status::Ok, "-"),
            ("panics", Status::Failed, "machine-lost"),
            ("passes_too", Status::Failed, "not-run"),
        ],
        expected: Expected::Lost,
        ..PROBE
    },
    Scenario {
        name: "a machine that hangs as a whole is ended",
        tests: &[("freezes", Status::Failed, "machine-lost")],
        expected: Expected::Lost,
        ..PROBE
    },
    Scenario { name: "a missing test program is a failure", program: "/t/absent", ..PROBE },
    Scenario { name: "a program that lists no tests is a failure", program: "/bin/true", ..PROBE },
    Scenario {
        name: "a machine that does not boot is a failure",
        extra_cmdline: "rdinit=/absent",
        expected: Expected::NoBoot,
        ..PROBE
    },
];

/// `vmrun selftest`: 0 if every misdeed was seen.
///
/// # Errors
/// When a machine cannot even be started.
pub fn run() -> Outcome<i32> {
    let places = Places::from_environment()?;
    let mut wrong = 0;
    for scenario in SCENARIOS {
        let complaints = play(&places, scenario)?;
        let word = if complaints.is_empty() { "ok" } else { "FAILED" };
        println!("selftest {} ... {word}", scenario.name);
        complaints.iter().for_each(|complaint| println!("    {complaint}"));
        wrong += usize::from(!complaints.is_empty());
    }
    println!("{} passed, {wrong} failed", SCENARIOS.len() - wrong);
    Ok(i32::from(wrong > 0))
}

/// Boots the machine of a scenario; what is not as expected.
fn play(places: &Places, scenario: &Scenario) -> Outcome<Vec<String>> {
    let cells = cells::select("k61")?;
    let cell = cells.first().ok_or("no cell for the selftest")?;
    let mut payload = Payload::default();
    payload.executables.push((places.tools.join("vmprobe"), "vmprobe".to_owned()));
    payload.jobs.push(Job {
        kind: Kind::Tests,
        name: "probe".to_owned(),
        timeout_seconds: 20,
        program: scenario.program.to_owned(),
        arguments: scenario.tests.iter().map(|(name, ..)| (*name).to_owned()).collect(),
    });
    let logs = places.logs("selftest").join(scenario.name.replace([' ', ','], "-"));
    let _alone = verbs::lock(&logs)?;
    let mut report = Report::new(cell, &logs)?.quietly();
    report.open_job_log("probe").map_err(failed("start the selftest"))?;
    let patience = Patience { silence: Duration::from_secs(45), ..Patience::default() };
    let extra_cmdline = scenario.extra_cmdline;
    let load = Load { payload: &payload, logs: &logs, extra_cmdline, patience };
    let sink = |event: &Event| report.take(event);
    let fate = verbs::boot(places, cell, &load, sink)?;
    let count = report.finish(&fate);
    let mut complaints = compare(scenario, &report);
    if outcome(&fate) != scenario.expected {
        complaints.push(format!("the machine should have {:?}: {fate:?}", scenario.expected));
    }
    if (count.failed == 0) != (scenario.expected == Expected::Passed) {
        complaints.push(format!("counted as {}", count.line()));
    }
    Ok(complaints)
}

fn outcome(fate: &Fate) -> Expected {
    match fate {
        Fate::Done(true) => Expected::Passed,
        Fate::Done(false) => Expected::Failed,
        Fate::Lost(_) => Expected::Lost,
        Fate::NoBoot(_) => Expected::NoBoot,
    }
}

fn compare(scenario: &Scenario, report: &Report) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, status, reason) in scenario.tests {
        let seen = report.results().iter().find(|test| test.name == *name);
        if !seen.is_some_and(|test| test.status == *status && test.reason == *reason) {
            complaints.push(format!("{name} should be {} ({reason}): {seen:?}", status.word()));
        }
    }
    if report.results().len() != scenario.tests.len() {
        complaints.push(format!("{} results", report.results().len()));
    }
    complaints
}
