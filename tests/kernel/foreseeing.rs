//! Memory gives way before it is needed: days of a daily load pass by the guest's clock, and on the next morning the room is there or is not.

use crate::common::{Agent, eventually, within};
use crate::crowding::Stage;
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use provost::model::{ComponentReport, Level, Resource};
use std::time::{Duration, Instant};

/// Midnight before a Monday, 2026-11-23, in seconds since 1970.
const MONDAY: u64 = 1_795_392_000;
const DAYS: u64 = 3;
/// The service works from nine to five.
const OPENS: u64 = 9 * 60;
const CLOSES: u64 = 17 * 60;
/// The clock goes on by minutes while nothing changes, and by fewer where it opens. Buckets between are filled in.
const STEP: u64 = 20;
const FINE: u64 = 5;
/// What it needs then, in MiB.
const NEEDED: u64 = 80;
/// Longer than it takes the daemon to look once.
const LOOK: Duration = Duration::from_millis(260);
/// How long the job has before the service comes, and for how long it is then watched.
const BEFORE: Duration = Duration::from_secs(15);
const WATCHED: Duration = Duration::from_secs(12);

/// Sets the guest's clock on the wall.
fn set_clock(minutes: u64) {
    let secs = i64::try_from(MONDAY + minutes * 60 + 1).unwrap();
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(secs, 0)).unwrap();
}

/// A day of the service alone, by the clock on the wall.
fn live(stage: &mut Stage, day: u64) {
    let mut minute = 0;
    while minute < 24 * 60 {
        set_clock(day * 24 * 60 + minute);
        if minute == OPENS {
            stage.hold(NEEDED);
            eventually("it has what it needs", || stage.held() >= NEEDED);
            // One look a second is learnt from.
            std::thread::sleep(Duration::from_millis(1200));
        }
        if minute == CLOSES {
            stage.clear();
        }
        std::thread::sleep(LOOK);
        let is_near = (OPENS - 60..OPENS + 20).contains(&minute);
        minute += if is_near { FINE } else { STEP };
    }
}

/// What a morning was like for the service.
#[derive(Debug)]
struct Morning {
    /// `memory.high` of the job before the service needed anything, and how short memory was then.
    high: String,
    level: Level,
    explained: String,
    /// Until it had what it needs.
    took: Duration,
    /// For how long it waited for memory while it was watched.
    stalled: Duration,
}

/// Five minutes to nine: the job has all memory, and then the service comes.
fn morning(stage: &mut Stage, agent: &Agent) -> Morning {
    set_clock(DAYS * 24 * 60 + OPENS - 5);
    stage.start_job();
    std::thread::sleep(BEFORE);
    let high = stage.high();
    let level = agent.status().estimate.levels[&Resource::Memory].level;
    let explained = agent.say(&["--json", "explain", "job"]).out;
    let stalled = stage.stalled();
    let onset = Instant::now();
    stage.hold(NEEDED);
    within(WATCHED, || stage.held() >= NEEDED);
    let took = onset.elapsed();
    std::thread::sleep(WATCHED.saturating_sub(onset.elapsed()));
    let stalled = Duration::from_micros(stage.stalled() - stalled);
    let morning = Morning { high, level, explained, took, stalled };
    stage.clear();
    morning
}

fn figure(name: &str, morning: &Morning) {
    println!(
        "FIGURE foreseeing, {name}: memory.high {} and level {} before; had its {NEEDED} MiB after {:.2?}, and waited {:.3?} for memory in {WATCHED:?}",
        morning.high, morning.level, morning.took, morning.stalled
    );
}

#[test]
fn a_daily_load_finds_its_room_before_it_presses() {
    let Some(mut stage) = Stage::new("foresee") else { return };
    let steered = |what: &str| format!("[forecast]\nsteer = \"{what}\"\n");
    let components = stage.components();
    let mut agent = Agent::new(&stage.world, "enforce", &(steered("off") + &components));
    let began = Instant::now();
    set_clock(0);
    agent.start();
    (0..DAYS).for_each(|day| live(&mut stage, day));
    for minute in (0..OPENS - 5).step_by(20).chain([OPENS - 15, OPENS - 10, OPENS - 5]) {
        set_clock(DAYS * 24 * 60 + minute);
        std::thread::sleep(LOOK);
    }
    let report = agent.status();
    let web = report.components.iter().find(|one| one.name.as_str() == "web");
    let said = web.and_then(|web: &ComponentReport| web.forecasts.get(&Resource::Memory));
    let said = said.unwrap_or_else(|| panic!("{report:?}")).said;
    println!(
        "FIGURE foreseeing: {DAYS} days in {:.1?}; {} MiB lately, {} likely, {} at most, confidence {}",
        began.elapsed(),
        said.lately.unwrap_or_default() >> 20,
        said.point >> 20,
        said.upper >> 20,
        said.confidence
    );
    let reactive = morning(&mut stage, &agent);
    let log = agent.log();
    // What was learnt outlives the daemon; how short memory was does not.
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    agent.configure("enforce", &(steered("memory") + &components));
    agent.start();
    let foreseen = morning(&mut stage, &agent);
    figure("without", &reactive);
    figure("with", &foreseen);
    let log = log + &agent.log();
    // How long the reactive morning waits depends on the machine; that the foreseen one waits less does not.
    assert_ne!(foreseen.high, "max", "{}\n{log}", foreseen.explained);
    assert!(
        foreseen.explained.contains("gives way ahead of time: web is expected"),
        "{}",
        foreseen.explained
    );
    assert_eq!(foreseen.level, Level::Normal, "before it presses\n{log}");
    assert!(foreseen.stalled * 2 <= reactive.stalled, "{foreseen:?}\n{reactive:?}");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert_eq!(stage.high(), "max", "given back");
}
