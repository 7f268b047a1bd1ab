//! Stories of memory that gives way, second by second: the host has none left, a job is held, let rise again, and nothing is left behind.

use super::play::Play;
use crate::config::LastResort;
use crate::model::{
    Action, Knob, KnobKind, MemoryEvents, MemoryStat, Priority, Psi, PsiLine, Reason, Resource,
};
use crate::testing::{add_home, component, host, policy, set};
use crate::units::{Bytes, CgroupPath, Limit};

const WEB: &str = "system.slice/web.service";
const JOB: &str = "system.slice/job.service";

/// A host of 2 GiB without swap, of which 256 MiB are in reserve.
struct Story {
    play: Play,
}

impl Story {
    fn new(high: Limit<Bytes>) -> Self {
        let web = component("web", Priority::Critical);
        let mut job = component("job", Priority::Low);
        job.memory.high = high;
        job.last_resort = LastResort::Nothing;
        let mut seen = host();
        add_home(&mut seen, &web, WEB);
        add_home(&mut seen, &job, JOB);
        let mut story = Self { play: Play::new(policy([web, job]), seen) };
        (0..3).for_each(|_| story.second(100, 100));
        story.play.writes = 0;
        story
    }

    fn holds(&mut self, path: &str, anon: u64) {
        let group = self.play.seen.groups.get_mut(&CgroupPath::new(path)).unwrap();
        group.usage.memory = Some(Bytes::mebi(anon));
        group.usage.memory_stat =
            Some(MemoryStat { anon: Bytes::mebi(anon), ..MemoryStat::default() });
        group.usage.sensed_at = Some(self.play.seen.at);
    }

    /// A second in which they hold so many MiB.
    fn second(&mut self, web: u64, job: u64) {
        self.holds(WEB, web);
        self.holds(JOB, job);
        self.play.seen.load.memory_available = Some(Bytes::mebi(2048 - web - job));
        self.play.step();
    }

    fn high(&self) -> Limit<Bytes> {
        match self.play.seen.groups[&CgroupPath::new(JOB)].knob(KnobKind::MemoryHigh).value() {
            Some(Knob::MemoryHigh(limit)) => *limit,
            other => panic!("{other:?}"),
        }
    }

    /// Seconds until the limit moves, on a host with much memory available.
    fn until_released(&mut self) -> usize {
        let held = self.high();
        let mut seconds = 0;
        while self.high() == held {
            self.second(100, 100);
            seconds += 1;
            assert!(seconds < 300);
        }
        seconds
    }
}

#[test]
fn a_job_is_held_while_memory_is_short_and_gets_everything_back() {
    let mut story = Story::new(Limit::Max);
    // 2.4 % are available: the emergency is there after a second.
    (0..3).for_each(|_| story.second(1000, 998));
    // Its part is 2048 - 256 - 1.3 * 1000, but what cannot be swapped out is left.
    assert_eq!(story.high(), Limit::At(Bytes::mebi(998).scaled(105, 100).page_floor(Bytes(4096))));
    (0..60).for_each(|_| story.second(1000, 998));
    assert!(story.play.writes <= 2, "a steady load writes nothing: {}", story.play.writes);
    // It was killed and is back: held at its part.
    story.second(1000, 100);
    assert_eq!(story.high(), Limit::At(Bytes::mebi(492)));
    let quiet = story.until_released();
    assert!((100..=230).contains(&quiet), "the levels fall first, then a minute: {quiet}");
    while story.high() != Limit::Max {
        story.second(100, 100);
        let direct = |action: &Action| matches!(action, Action::Write { .. });
        assert!(
            story.play.actions.iter().all(direct),
            "systemd is told nothing: {:?}",
            story.play.actions
        );
    }
    story.play.writes = 0;
    (0..60).for_each(|_| story.second(100, 100));
    assert_eq!(story.play.writes, 0);
}

/// How the protected one fares after three quiet looks and one at which the kernel's trigger said that it stood still.
fn after_a_trigger(stalled_usec: u64, own_limit_hit: u64) -> Limit<Bytes> {
    let mut story = Story::new(Limit::Max);
    let look = |story: &mut Story, stalled: u64, hit: u64| {
        let usage = &mut story.play.seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage;
        let line = PsiLine { total_usec: stalled, avg10_centi: 0 };
        usage.memory_psi = Some(Psi { some: line, full: line });
        usage.memory_events = Some(MemoryEvents { high: hit, max: 0, oom_kill: 0 });
        // 88 % in use: no level.
        story.second(800, 1000);
    };
    (0..3).for_each(|_| look(&mut story, 0, 0));
    assert_eq!(story.high(), Limit::Max);
    story.play.seen.waiting.insert(Resource::Memory);
    look(&mut story, stalled_usec, own_limit_hit);
    story.high()
}

#[test]
fn who_stands_still_for_memory_is_answered_at_once_unless_it_is_its_own_doing() {
    let held = Bytes::mebi(1000).scaled(105, 100).page_floor(Bytes(4096));
    assert_eq!(after_a_trigger(60_000, 0), Limit::At(held), "at the first look, before any level");
    assert_eq!(after_a_trigger(60_000, 1), Limit::Max, "its own limit slowed it down");
    assert_eq!(after_a_trigger(0, 0), Limit::Max, "nobody waited");
}

#[test]
fn it_says_to_whom_it_gives_way_and_until_when() {
    let mut story = Story::new(Limit::Max);
    story.second(900, 1100);
    story.second(900, 1100);
    let change = &story.play.actions[0].changes()[0];
    assert!(matches!(change.reason, Reason::YieldsMemory { .. }));
    insta::assert_snapshot!(change.reason.to_string());
}

#[test]
fn a_configured_high_comes_back_as_systemd_holds_it() {
    let configured = Limit::At(Bytes::mebi(1500));
    let mut story = Story::new(configured);
    assert_eq!(story.high(), configured);
    (0..3).for_each(|_| story.second(1000, 998));
    (0..2).for_each(|_| story.second(1000, 100));
    assert!(story.high() < configured);
    let held = story.high();
    // A daemon-reload writes what systemd holds: that is nobody's override.
    set(&mut story.play.seen, JOB, Knob::MemoryHigh(configured));
    (0..2).for_each(|_| story.second(1000, 100));
    assert_eq!(story.high(), held, "written again");
    story.until_released();
    while story.high() != configured {
        story.second(100, 100);
        assert!(!story.play.state.ownership.records().any(|(_, _, record)| record.fights > 0));
    }
}

#[test]
fn a_lower_limit_of_its_own_stays() {
    let own = Limit::At(Bytes::mebi(300));
    let mut story = Story::new(own);
    (0..5).for_each(|_| story.second(1700, 290));
    assert_eq!((story.high(), story.play.writes), (own, 0));
}

#[test]
fn who_does_not_yield_keeps_its_memory() {
    let mut story = Story::new(Limit::Max);
    story.play.rules.components.values_mut().for_each(|component| component.yields = false);
    story.play.state.replan();
    (0..3).for_each(|_| story.second(100, 100));
    story.play.writes = 0;
    (0..5).for_each(|_| story.second(1000, 998));
    assert_eq!((story.high(), story.play.writes), (Limit::Max, 0));
}

#[test]
fn a_job_stands_still_runs_again_and_is_killed_at_the_end() {
    let mut story = Story::new(Limit::Max);
    let allow = |story: &mut Story, last_resort| {
        let rules = &mut story.play.rules.components;
        rules.values_mut().filter(|one| one.yields).for_each(|one| one.last_resort = last_resort);
    };
    allow(&mut story, LastResort::Freeze);
    let frozen = |story: &Story| {
        let group = &story.play.seen.groups[&CgroupPath::new(JOB)];
        group.knob(KnobKind::CgroupFreeze).value() == Some(&Knob::CgroupFreeze(true))
    };
    let mut course = Vec::new();
    for _ in 0..40 {
        story.second(1000, 998);
        course.push(frozen(&story));
        let kills = story.play.actions.iter().any(|act| matches!(act, Action::Relieve { .. }));
        assert!(!kills, "{:?}", story.play.actions);
    }
    let (first, last) = (course.iter().position(|one| *one), course.iter().rposition(|one| *one));
    let (first, last) = (first.unwrap(), last.unwrap());
    assert!(first <= 5 && last - first <= 10 && course[first..=last].iter().all(|one| *one));
    let record = story.play.state.ownership.record(&CgroupPath::new(JOB), KnobKind::CgroupFreeze);
    assert_eq!(record.unwrap().original, Some(Knob::CgroupFreeze(false)));
    allow(&mut story, LastResort::Kill);
    let mut killed = 0;
    for _ in 0..40 {
        story.second(1000, 998);
        let first = story.play.actions.first();
        killed += usize::from(matches!(first, Some(Action::Relieve { .. })));
    }
    assert_eq!(killed, 2, "and then once more, half a minute later");
    (0..200).for_each(|_| story.second(100, 100));
    assert!(!frozen(&story));
}
