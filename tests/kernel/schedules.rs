//! Windows of time on a clock that is set by hand: what holds in them is in the kernel while they are open and no longer.

use crate::common::{Agent, World, eventually, text};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use provost::model::Controller;

/// A Monday, 2026-11-23, in seconds since 1970.
const MONDAY: i64 = 1_795_392_000;

/// Sets the guest's clock on the wall; nothing else here looks at it.
fn set_clock(hours: i64, minutes: i64, seconds: i64) {
    let at = TimeSpec::new(MONDAY + hours * 3600 + minutes * 60 + seconds, 0);
    clock_settime(ClockId::CLOCK_REALTIME, at).unwrap();
}

#[test]
fn a_window_opens_and_closes_by_the_clock_on_the_wall() {
    let Some(mut world) = World::new("window", &[Controller::Cpu]) else { return };
    let batch = world.group("batch");
    world.sh(&batch, "exec sleep 1000");
    let components = format!(
        "[component.batch]\nmatch = {{ cgroup = \"/{}\" }}\ncpu.ceiling = \"0.5\"\n\
         [schedule.night]\ncalendar = \"Mon..Fri 22:00\"\nduration = \"8h\"\ncomponent.batch.cpu.ceiling = \"1\"\n",
        batch.at().path
    );
    let quota = world.file(&batch, "cpu.max");
    let is = |value: &str| text(&quota) == value;
    set_clock(21, 59, 50);
    let mut agent = Agent::new(&world, "enforce", &components);
    agent.start();
    eventually("the ceiling of the day is written", || is("50000 100000"));
    let night = agent.say(&["plan", "--at", "22:30"]);
    assert!(night.out.starts_with("at Mon 2026-11-23 22:30 UTC: open is night\n"), "{night:?}");
    eventually("the window opens", || is("100000 100000"));
    let status = agent.say(&["status"]).out;
    assert!(status.contains("schedules: night open until Tue 2026-11-24 06:00 UTC\n"), "{status}");
    // Over midnight and beyond the end, as when a host wakes up.
    set_clock(24 + 6, 0, 0);
    eventually("the window is over", || is("50000 100000"));
    // Back, as when somebody mends a clock.
    set_clock(23, 0, 0);
    eventually("it is open again", || is("100000 100000"));
    let log = agent.log();
    assert!(log.contains("schedule: component batch: cpu.ceiling: "), "{log}");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert!(is("max 100000"), "given back");
    // What was open when provost stops is open when it starts.
    agent.start();
    eventually("it starts within the window", || is("100000 100000"));
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
}
