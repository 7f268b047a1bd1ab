//! What the loop gives to the recorder is read equal and replays without a difference; a disk that takes nothing holds up nobody.

use super::*;
use crate::config::Strategy;
use crate::cycle::{Step, rest, step};
use crate::model::{Event, EventOf, Knob, KnobKind, Reading};
use crate::record::{Cycle, Recording, Told, events, periods};
use crate::sim::{Instead, Replay};
use crate::testing::recorded::sample_host;
use crate::testing::{carry_out, set};
use crate::units::{CpuTime, Limit};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A service that waits, and one that gives way.
const CONFIGURATION: &str = "mode = \"enforce\"\nforecast.steer = \"all\"\n\
    [component.web]\npriority = \"critical\"\nmatch = { unit = \"web.service\" }\n\
    [component.batch]\npriority = \"low\"\nmatch = { unit = \"batch.service\" }\nmemory.ceiling = \"512M\"\n";

/// A folder that is removed in the end, and a loop like the daemon's on a made-up host.
struct Life {
    paths: Paths,
    policy: Policy,
    state: State,
    seen: Snapshot,
    recorder: Recorder,
    told: Vec<Option<Told>>,
}

impl Life {
    fn new(name: &str, budget: Bytes) -> Self {
        let folder =
            std::env::temp_dir().join(format!("provost-flight-{name}-{}", std::process::id()));
        let _none = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self::at(folder, budget)
    }

    fn at(folder: PathBuf, budget: Bytes) -> Self {
        let (policy, seen) = sample_host(CONFIGURATION);
        let paths = Paths { run: folder.clone(), state: folder };
        let recorder = Recorder::begin(&paths, budget);
        let (state, told) = (State::default(), Vec::new());
        Self { paths, policy, state, seen, recorder, told }
    }

    /// One turn, a second after the last, in which a busy neighbour makes the web wait.
    fn turn(&mut self) {
        self.turn_by(|policy, state, seen| Some(step(policy, state, seen)));
    }

    /// The same by another step, which comes to nothing where it panics.
    fn turn_by(&mut self, step: impl Fn(&Policy, State, &Snapshot) -> Option<Step>) {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        let busy =
            |usage: Option<CpuTime>, more| Some(CpuTime(usage.map_or(0, |cpu| cpu.0) + more));
        for (path, view) in &mut self.seen.groups {
            let more = if path.name() == "batch.service" { 1_900_000 } else { 90_000 };
            view.usage.cpu = busy(view.usage.cpu, more);
            view.usage.sensed_at = Some(self.seen.at);
            view.usage.memory = Some(Bytes::mebi(64));
            let psi = view.usage.cpu_psi.get_or_insert_default();
            let waits = if path.name() == "web.service" { 400_000 } else { 0 };
            psi.some.total_usec += waits;
            psi.full.total_usec += waits;
        }
        let now = self.seen.at;
        self.recorder.settle();
        self.recorder.before(now, &self.state);
        let mut news = None;
        if !rest(&self.policy, &mut self.state, &self.seen) {
            match step(&self.policy, self.state.clone(), &self.seen) {
                Some(stepped) => (self.state, news) = (stepped.state, stepped.news),
                None => self.recorder.begin_anew(),
            }
        }
        let (policy, seen, state) = (&self.policy, &self.seen, &self.state);
        self.recorder.over(Over { now, policy, seen, state, news: news.as_ref() });
        self.told.push(news.as_ref().map(|news| Told {
            decision: news.decision.clone(),
            plan: news.plan.clone(),
            findings: news.findings.clone(),
        }));
        self.seen.outcomes.clear();
        let Some(news) = news.filter(|news| !news.plan.is_empty()) else { return };
        let after = carry_out(&self.seen, &news.plan.actions);
        for outcome in &after.outcomes {
            self.recorder.happened(outcome, Some(&news.plan));
        }
        self.seen = Snapshot { generation: self.seen.generation + 1, ..after };
        self.state.replan();
        self.recorder.replanned();
    }

    fn turns(&mut self, count: usize) {
        (0..count).for_each(|_| self.turn());
    }

    fn end(&mut self) {
        self.recorder.end(self.seen.at, "stopped");
    }

    fn recording(&self) -> Recording {
        Recording::open(&Which::Looks.file(&self.paths.state)).unwrap()
    }
}

impl Recorder {
    /// Waits until the writer has taken everything: a test has no second between two turns.
    fn settle(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.writer.as_ref().is_some_and(|writer| !writer.is_idle()) {
            assert!(Instant::now() < until, "the writer stands still");
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.paths.state);
    }
}

#[test]
fn a_recorded_life_is_read_equal_and_replays_without_a_difference() {
    let mut life = Life::new("equal", Bytes::mebi(10));
    life.turns(200);
    // As if an administrator had spoken.
    life.state.forgive();
    life.recorder.begin_anew();
    life.turns(100);
    life.end();
    let told: Vec<Option<Told>> = life.recording().map(|cycle| cycle.news).collect();
    assert_eq!(told, life.told);
    let with_news = told.iter().flatten().count();
    assert!((3..290).contains(&with_news), "{with_news} of 300 cycles had news");
    let mut replay = Replay::new(Instead::default());
    for cycle in life.recording() {
        let replayed = replay.play(&cycle).unwrap().unwrap();
        assert!(!replayed.is_otherwise_different, "{replayed:?}");
        assert_eq!(replayed.differences, [], "at {}", cycle.seen.at.0);
    }
    assert_eq!((replay.played, replay.passed_over), (300, 0));
}

#[test]
fn a_replay_may_begin_in_the_middle() {
    let mut life = Life::new("middle", Bytes::mebi(10));
    // Two places to begin: one at the start, one a quarter of an hour later.
    life.turns(1000);
    life.end();
    let bases: Vec<usize> = life
        .recording()
        .enumerate()
        .filter_map(|(number, cycle)| cycle.base.map(|_| number))
        .collect();
    let [0, second] = bases[..] else { panic!("places to begin: {bases:?}") };
    let mut replay = Replay::new(Instead::default());
    for cycle in life.recording().skip(500) {
        if let Some(replayed) = replay.play(&cycle).unwrap() {
            assert_eq!(replayed.differences, []);
            assert!(!replayed.is_otherwise_different, "{replayed:?}");
        }
    }
    let (played, passed_over) = (1000 - second, second - 500);
    assert_eq!((replay.played, replay.passed_over), (played as u64, passed_over as u64));
}

#[test]
fn a_cycle_that_panicked_is_told_and_the_replay_goes_on_behind_it() {
    let mut life = Life::new("panicked", Bytes::mebi(10));
    life.turns(30);
    // Something changed, and deciding what that means failed.
    life.seen.generation += 1;
    life.turn_by(|_, _, _| None);
    let failed_at = life.seen.at;
    life.turns(20);
    life.end();
    let decide = |policy: &Policy, state: State, seen: &Snapshot| {
        assert!(seen.at != failed_at, "no share of {} is left", 0);
        step(policy, state, seen)
    };
    let mut replay = Replay::new(Instead::default());
    let mut failed = Vec::new();
    for cycle in life.recording() {
        match replay.play_by(&cycle, decide) {
            Ok(replayed) => {
                let replayed = replayed.unwrap();
                assert!(!replayed.is_otherwise_different, "{replayed:?}");
                assert_eq!(replayed.differences, [], "at {}", cycle.seen.at.0);
            }
            Err(error) => failed.push((cycle.seen.at, error.to_string())),
        }
    }
    assert_eq!(failed, [(failed_at, "deciding failed: no share of 0 is left".to_owned())]);
    assert_eq!((replay.played, replay.passed_over), (50, 0));
}

#[test]
fn a_look_can_be_read_without_those_before_it() {
    let mut life = Life::new("places", Bytes::mebi(10));
    life.turns(400);
    life.end();
    let whole: Vec<Cycle> = life.recording().collect();
    let mut recording = life.recording();
    let (places, lost) = recording.places();
    assert!(lost.words().is_empty(), "{lost:?}");
    assert_eq!(places.len(), whole.len());
    let mut told: Option<&Told> = None;
    let tolds: Vec<Option<&Told>> = whole
        .iter()
        .map(|cycle| {
            told = cycle.news.as_ref().or(told);
            told
        })
        .collect();
    // Backwards, forwards with gaps of every size, and one after the other.
    let backwards = (0..400).rev().step_by(7);
    for number in backwards.chain((0..400).step_by(3)).chain((0..400).step_by(150)).chain(90..130) {
        let (place, expected) = (places[number], &whole[number]);
        assert_eq!((place.wall_secs, place.follows), (expected.wall_secs, expected.follows));
        assert_eq!(place.is_base, expected.base.is_some());
        let read = recording.at(&place).unwrap();
        assert_eq!(read.seen, expected.seen, "look {number}");
        assert_eq!((&read.base, &read.news), (&expected.base, &expected.news));
        assert_eq!(recording.told().as_ref(), tolds[number], "look {number}");
    }
}

#[test]
fn another_strategy_shows_what_differs() {
    let mut life = Life::new("strategy", Bytes::mebi(10));
    life.turns(120);
    life.end();
    let strategy = Some(Strategy::Conservative);
    let mut replay = Replay::new(Instead { strategy, ..Instead::default() });
    let mut differing = Vec::new();
    for cycle in life.recording() {
        differing.extend(replay.play(&cycle).unwrap().unwrap().differences);
    }
    let caps = differing.iter().filter(|one| one.at.name() == "batch.service");
    let cap = caps.filter(|one| matches!(one.recorded, Some((Knob::CpuMax(_), _)))).count();
    assert!(cap > 0, "{differing:?}");
}

#[test]
fn another_configuration_shows_what_it_would_have_wanted() {
    let mut life = Life::new("configuration", Bytes::mebi(10));
    life.turns(120);
    life.end();
    let mut policy = life.policy.clone();
    for component in policy.components.values_mut().filter(|one| one.yields) {
        component.memory.ceiling = Limit::At(Bytes::mebi(256));
    }
    let mut replay = Replay::new(Instead { policy: Some(policy), ..Instead::default() });
    let mut wanted = Vec::new();
    for cycle in life.recording() {
        let differences = replay.play(&cycle).unwrap().unwrap().differences;
        let ceilings = differences.into_iter().filter(|one| one.kind == KnobKind::MemoryMax);
        wanted.extend(ceilings.map(|one| (one.recorded.unwrap().0, one.replayed.unwrap().0)));
    }
    let ceiling = |mebi| Knob::MemoryMax(Limit::At(Bytes::mebi(mebi)));
    assert_eq!(wanted.first(), Some(&(ceiling(512), ceiling(256))));
}

#[test]
fn what_happened_is_told_with_its_reason() {
    let mut life = Life::new("events", Bytes::mebi(10));
    life.recorder.said("started");
    life.turns(60);
    life.end();
    let (events, lost) = events(&life.paths.state).unwrap();
    assert!(lost.words().is_empty(), "{lost:?}");
    let events: Vec<Event> = events.into_iter().map(|(_, event)| event).collect();
    let said = |event: &Event| matches!(&event.of, EventOf::Daemon { what } if what == "started");
    assert!(said(&events[0]), "{:?}", events[0]);
    let limits = events.iter().filter(|event| event.is_allocation());
    let told = |event: &Event| {
        let EventOf::Action { old, reason, .. } = &event.of else { return false };
        old.is_some() && reason.is_some()
    };
    assert!(limits.clone().count() > 3 && limits.clone().all(told), "{events:?}");
    let is_level = |event: &&Event| matches!(event.of, EventOf::Level { .. });
    assert!(events.iter().any(|event| is_level(&event)), "the web waited");
}

#[test]
fn what_was_used_is_kept_at_the_end() {
    let mut life = Life::new("used", Bytes::mebi(10));
    life.turns(150);
    life.end();
    let (minutes, _) = periods(&life.paths.state, Which::Minutes).unwrap();
    let (hours, _) = periods(&life.paths.state, Which::Hours).unwrap();
    assert!(!minutes.is_empty() && !hours.is_empty());
    let batch: crate::units::ComponentName = "batch".parse().unwrap();
    let used = hours.last().unwrap().components.get(&batch).unwrap().used;
    assert_eq!(used.memory.unwrap().most, 64 << 20);
    assert!(used.cpu.unwrap().mean > 1000, "{used:?}");
}

#[test]
fn nothing_is_recorded_in_no_room() {
    let mut life = Life::new("none", Bytes::ZERO);
    life.recorder.said("started");
    life.turns(40);
    life.end();
    assert_eq!(std::fs::read_dir(&life.paths.state).unwrap().count(), 0);
    assert_eq!(life.recorder.findings(), []);
}

#[test]
fn a_folder_that_takes_nothing_is_told_and_holds_up_nobody() {
    let mut life = Life::at(PathBuf::from("/proc/no-such-folder"), Bytes::mebi(10));
    life.turns(100);
    life.recorder.settle();
    let findings = life.recorder.findings();
    let text = &findings.first().unwrap().text;
    assert!(text.starts_with("nothing is recorded: cannot make /proc/no-such-folder/"), "{text}");
    assert!(text.ends_with("; limits are not affected"), "{text}");
    life.turns(100);
    assert_eq!(life.told.len(), 200, "the loop went on");
    life.end();
}

#[test]
fn a_recording_of_another_version_is_set_aside_and_told() {
    let mut life = Life::new("older", Bytes::mebi(10));
    life.turns(40);
    life.end();
    let file = Which::Looks.file(&life.paths.state);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[16] = 200;
    std::fs::write(&file, bytes).unwrap();
    let mut next = Life::at(life.paths.state.clone(), Bytes::mebi(10));
    next.turns(1);
    next.recorder.flush(next.seen.at);
    next.recorder.settle();
    let text = &next.recorder.findings().first().unwrap().text.clone();
    assert!(text.contains("looks.ring.old") && text.contains("version 200"), "{text}");
    next.end();
    assert_eq!(next.recording().count(), 1);
}

#[test]
fn after_a_crash_all_that_had_news_is_there() {
    let mut life = Life::new("crash", Bytes::mebi(10));
    life.turns(45);
    set(&mut life.seen, "system.slice/web.service", Knob::MemoryMax(Limit::At(Bytes(1 << 30))));
    life.seen.generation += 1;
    let at = life.seen.at.plus(Span::secs(1));
    life.turn();
    assert!(life.told.last().unwrap().is_some());
    life.recorder.settle();
    let last = life.recording().last().unwrap();
    assert_eq!(last.seen.at, at);
    let web = last.seen.groups.iter().find(|(path, _)| path.name() == "web.service").unwrap().1;
    let max = web.knob(KnobKind::MemoryMax);
    assert_eq!(*max, Reading::Is(Knob::MemoryMax(Limit::At(Bytes(1 << 30)))));
}
