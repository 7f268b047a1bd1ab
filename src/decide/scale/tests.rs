//! Ceilings of components on a host: where they begin, whose need counts, what is left for others, and what is frozen.

use super::*;
use crate::cycle::{State, step};
use crate::model::{MemoryEvents, MemoryStat, Priority, Psi, Target};
use crate::testing::{add_home, carry_out, component, forecast, host, policy, set};
use crate::units::{CpuMax, CpuTime, Millicpu};

const WEB: &str = "system.slice/web.service";
const DB: &str = "system.slice/db.service";
const COOLDOWN: Span = Span::secs(10);

fn scaled(name: &str) -> Component {
    let mut component = component(name, Priority::Normal);
    component.memory.ceiling = Limit::At(Bytes::mebi(1024));
    component.memory.scale = Some(Scale { least: Bytes::mebi(128), cooldown: COOLDOWN });
    component.cpu.ceiling = Limit::At(Millicpu(2000));
    component.cpu.scale = Some(Scale { least: Millicpu(200), cooldown: COOLDOWN });
    component.pids = Limit::At(1000);
    component.pids_scale = Some(Scale { least: 50, cooldown: COOLDOWN });
    component
}

/// A host on which plans are carried out.
struct World {
    rules: Policy,
    seen: Snapshot,
    state: State,
    /// Memory with a file behind it that nobody uses.
    cache: Bytes,
}

impl World {
    fn new(components: impl IntoIterator<Item = Component>, homes: &[&str]) -> Self {
        let rules = policy(components);
        let mut seen = host();
        for path in homes {
            let name = path.split('/').next_back().unwrap().split(['.', '@']).next().unwrap();
            add_home(&mut seen, &rules.components[name], path);
        }
        seen.load.memory_available = Some(Bytes::mebi(1500));
        seen.load.tasks = Some(300);
        let mut world = Self { rules, seen, state: State::default(), cache: Bytes::ZERO };
        for path in homes {
            world.uses(path, 10, 10, 5);
        }
        world
    }

    /// What a home uses from now on: memory in MiB, percent of a CPU, tasks.
    fn uses(&mut self, path: &str, memory: u64, cpu: u64, tasks: u64) {
        let now = self.seen.at;
        let cache = self.cache;
        let usage = &mut self.seen.groups.get_mut(&CgroupPath::new(path)).unwrap().usage;
        usage.memory = Some(Bytes::mebi(memory).plus(cache));
        usage.memory_stat = Some(MemoryStat {
            anon: Bytes::mebi(memory),
            inactive_file: cache,
            ..MemoryStat::default()
        });
        usage.pids = Some(tasks);
        let used = usage.cpu.map_or(0, |cpu| cpu.0) + cpu * 10_000;
        usage.cpu = Some(CpuTime(used));
        usage.memory_events.get_or_insert_default();
        usage.cpu_psi = Some(Psi::default());
        usage.sensed_at = Some(now);
    }

    /// So many seconds in which the homes use as much as before, plans carried out. What was written meanwhile.
    fn seconds(&mut self, count: u64, homes: &[(&str, u64, u64, u64)]) -> usize {
        let mut written = 0;
        for _ in 0..count {
            for (path, memory, cpu, tasks) in homes {
                self.uses(path, *memory, *cpu, *tasks);
            }
            let step = step(&self.rules, std::mem::take(&mut self.state), &self.seen);
            self.state = step.state;
            let actions = step.news.map(|news| news.plan.actions).unwrap_or_default();
            written += actions.len();
            self.seen = carry_out(&self.seen, &actions);
        }
        written
    }

    fn knob(&self, path: &str, kind: KnobKind) -> Knob {
        self.seen.groups[&CgroupPath::new(path)].knob(kind).value().unwrap().clone()
    }

    fn memory_max(&self, path: &str) -> Limit<Bytes> {
        let Knob::MemoryMax(limit) = self.knob(path, KnobKind::MemoryMax) else { panic!() };
        limit
    }

    fn memory_high(&self, path: &str) -> Limit<Bytes> {
        let Knob::MemoryHigh(limit) = self.knob(path, KnobKind::MemoryHigh) else { panic!() };
        limit
    }

    fn pids_max(&self, path: &str) -> Limit<u64> {
        let Knob::PidsMax(limit) = self.knob(path, KnobKind::PidsMax) else { panic!() };
        limit
    }

    fn cpu_rate(&self, path: &str) -> Limit<Millicpu> {
        let Knob::CpuMax(max) = self.knob(path, KnobKind::CpuMax) else { panic!() };
        max.rate()
    }

    fn targets(&self) -> Vec<Target> {
        let step = step(
            &self.rules,
            {
                let mut state = self.state.clone();
                state.replan();
                state
            },
            &self.seen,
        );
        step.news.unwrap().decision.targets
    }
}

const IDLE: (&str, u64, u64, u64) = (WEB, 10, 10, 5);

#[test]
fn all_three_begin_at_their_most_come_down_and_go_up_again() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.seconds(30, &[IDLE]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(1024)));
    assert_eq!(world.memory_high(WEB), Limit::Max, "a ceiling like any other");
    assert_eq!(world.cpu_rate(WEB), Limit::At(Millicpu(2000)));
    assert_eq!(world.pids_max(WEB), Limit::At(1000));
    world.seconds(900, &[IDLE]);
    let Limit::At(max) = world.memory_max(WEB) else { panic!() };
    assert_eq!(max, Bytes::mebi(128), "nothing more is needed");
    assert_eq!(
        world.memory_high(WEB),
        Limit::At(Bytes::mebi(80)),
        "slowed down before it is killed"
    );
    assert_eq!(world.cpu_rate(WEB), Limit::At(Millicpu(200)));
    assert_eq!(world.pids_max(WEB), Limit::At(50));
    assert_eq!(world.seconds(300, &[IDLE]), 0, "it rests");
    world.seconds(3, &[(WEB, 75, 195, 49)]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(228)));
    assert!(world.cpu_rate(WEB) >= Limit::At(Millicpu(2000)), "{}", world.cpu_rate(WEB));
    assert_eq!(world.pids_max(WEB), Limit::At(66));
}

#[test]
fn values_below_the_most_pass_with_the_daemon_and_say_why() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.seconds(900, &[IDLE]);
    let mut told: Vec<String> = world
        .targets()
        .iter()
        .filter(|target| matches!(target.reason, Reason::Scaled { .. }))
        .map(|target| {
            assert!(target.reason.is_passing(), "{target:?}");
            format!("{} {}: {}", target.knob.kind(), target.knob, target.reason)
        })
        .collect();
    told.sort();
    insta::assert_snapshot!(told.join("\n"));
    for (_, kind, record) in world.state.ownership.records() {
        if [KnobKind::MemoryMax, KnobKind::CpuMax, KnobKind::PidsMax].contains(&kind) {
            assert!(record.beneath.is_some(), "the most is beneath {kind}");
        }
    }
}

#[test]
fn a_daemon_that_comes_again_goes_on_from_what_it_left() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.seconds(100, &[IDLE]);
    let left = world.memory_max(WEB);
    assert!(left < Limit::At(Bytes::mebi(1024)));
    let mut state = State::default();
    state.ownership = world.state.ownership.clone();
    world.state = state;
    assert_eq!(world.seconds(20, &[IDLE]), 0);
    assert_eq!(world.memory_max(WEB), left);
    world.seconds(900, &[IDLE]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(128)), "learnt anew");
    // What somebody else left is no ceiling of provost's: it begins at the most.
    let mut world = World::new([scaled("web")], &[WEB]);
    set(&mut world.seen, WEB, Knob::MemoryMax(Limit::At(Bytes::mebi(300))));
    world.seconds(3, &[IDLE]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(1024)));
}

#[test]
fn auto_scale_false_freezes_and_what_is_not_known_holds() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.seconds(100, &[IDLE]);
    let before = (world.memory_max(WEB), world.cpu_rate(WEB), world.pids_max(WEB));
    world.rules.components.get_mut("web").unwrap().auto_scale = false;
    world.state.replan();
    world.seconds(600, &[(WEB, 500, 190, 900)]);
    assert_eq!(before, (world.memory_max(WEB), world.cpu_rate(WEB), world.pids_max(WEB)));
    let views = world.state.steering.scaling().views(&world.rules.components["web"]);
    assert!(views[&Resource::Memory].why.starts_with("frozen by auto-scale = false; lowered: "));
    world.rules.components.get_mut("web").unwrap().auto_scale = true;
    for _ in 0..600 {
        let usage = &mut world.seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage;
        (usage.memory, usage.pids, usage.cpu) = (None, None, None);
        world.seconds(1, &[]);
    }
    assert_eq!(before, (world.memory_max(WEB), world.cpu_rate(WEB), world.pids_max(WEB)));
}

#[test]
fn who_was_started_again_begins_at_the_most() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.seconds(300, &[IDLE]);
    let path = CgroupPath::new(WEB);
    world.seen.groups.get_mut(&path).unwrap().id = CgroupId(7);
    world.seen.homes.get_mut("web").unwrap()[0].at.id = CgroupId(7);
    world.seen.generation += 1;
    world.seconds(3, &[IDLE]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(1024)));
    assert_eq!(world.pids_max(WEB), Limit::At(1000));
}

#[test]
fn nothing_is_lowered_before_the_most_was_written() {
    let mut world = World::new([scaled("web")], &[WEB]);
    for _ in 0..300 {
        world.uses(WEB, 10, 10, 5);
        world.seen.at = world.seen.at.plus(Span::secs(1));
        let step = step(&world.rules, std::mem::take(&mut world.state), &world.seen);
        world.state = step.state;
    }
    let passing = world.targets().into_iter().filter(|target| target.reason.is_passing()).count();
    assert_eq!(passing, 0, "nobody carries plans out");
    world.seconds(6, &[IDLE]);
    assert!(world.memory_max(WEB) < Limit::At(Bytes::mebi(1024)));
    let record = world.state.ownership.record(&CgroupPath::new(WEB), KnobKind::MemoryMax).unwrap();
    assert_eq!(record.beneath, Some(Knob::MemoryMax(Limit::At(Bytes::mebi(1024)))));
}

#[test]
fn bounds_that_were_configured_anew_hold_at_once() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.seconds(900, &[IDLE]);
    let web = world.rules.components.get_mut("web").unwrap();
    web.memory.scale = Some(Scale { least: Bytes::mebi(512), cooldown: COOLDOWN });
    web.pids_scale = None;
    world.state.replan();
    world.seconds(3, &[IDLE]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(512)));
    assert_eq!(world.pids_max(WEB), Limit::At(1000), "no longer scaled");
    assert_eq!(world.cpu_rate(WEB), Limit::At(Millicpu(200)));
}

#[test]
fn the_largest_home_counts_times_all_homes() {
    const FIRST: &str = "system.slice/web@1.service";
    const SECOND: &str = "system.slice/web@2.service";
    let mut world = World::new([scaled("web")], &[FIRST, SECOND]);
    let busy = [(FIRST, 10, 10, 200), (SECOND, 10, 10, 5)];
    world.seconds(900, &busy);
    let parts = [world.pids_max(FIRST), world.pids_max(SECOND)];
    assert_eq!(parts[0], parts[1]);
    assert!(parts[0] >= Limit::At(200 * 100 / 80), "{parts:?}");
    world.seconds(5, &[(FIRST, 10, 10, 5), (SECOND, 10, 10, 450)]);
    assert!(world.pids_max(FIRST) >= Limit::At(500), "{}", world.pids_max(FIRST));
}

#[test]
fn guarantees_of_others_are_no_room_and_a_short_host_raises_nobody_who_is_not_protected() {
    let mut db = component("db", Priority::High);
    db.memory.guarantee = Bytes::mebi(1300);
    let mut world = World::new([scaled("web"), db], &[WEB, DB]);
    let small = (DB, 100, 10, 5);
    world.seconds(900, &[IDLE, small]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(128)));
    world.seen.load.memory_available = Some(Bytes::mebi(1250));
    world.seconds(30, &[(WEB, 100, 10, 5), small]);
    let max = world.memory_max(WEB);
    assert_eq!(max, Limit::At(Bytes::mebi(128)), "100 MiB and 50 that nobody is guaranteed");
    let views = world.state.steering.scaling().views(&world.rules.components["web"]);
    assert!(views[&Resource::Memory].why.ends_with("no room for that"), "{views:?}");
    world.seen.load.memory_available = Some(Bytes::mebi(1500));
    world.seconds(30, &[(WEB, 100, 10, 5), small]);
    assert!(world.memory_max(WEB) >= Limit::At(Bytes::mebi(228)));
}

#[test]
fn a_kill_by_its_own_limit_raises_and_one_by_the_host_does_not() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.seconds(900, &[IDLE]);
    let kill = |world: &mut World, own: bool| {
        let group = world.seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap();
        let events = group.usage.memory_events.get_or_insert(MemoryEvents::default());
        events.oom_kill += 1;
        events.max += u64::from(own);
    };
    kill(&mut world, false);
    assert_eq!(world.seconds(5, &[IDLE]), 0, "for want of memory of the host");
    kill(&mut world, true);
    world.seconds(2, &[IDLE]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(228)));
}

#[test]
fn only_a_forecast_that_can_be_trusted_and_may_decide_is_heard() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.seconds(900, &[IDLE]);
    let web = world.rules.components["web"].name.clone();
    let told = [(Steer::Memory, 29, 50), (Steer::Off, 90, 50), (Steer::Memory, 30, 600)];
    for (steer, confidence, tasks) in told {
        world.rules.steer = steer;
        let pids = Some(forecast((30, 400, 600), confidence));
        world.state.prospects.lend(&web, Each { pids, ..Each::default() });
        world.seconds(3, &[IDLE]);
        assert_eq!(world.pids_max(WEB), Limit::At(tasks), "{confidence}");
    }
}

#[test]
fn page_cache_is_pressed_out_and_kills_nobody() {
    let mut world = World::new([scaled("web")], &[WEB]);
    world.cache = Bytes::mebi(990);
    world.seconds(70, &[IDLE]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(1024)));
    let Limit::At(high) = world.memory_high(WEB) else { panic!("nothing is pressed out") };
    world.cache = high.minus(Bytes::mebi(10));
    world.seconds(2, &[IDLE]);
    assert_eq!(world.memory_max(WEB), Limit::At(Bytes::mebi(922)));
}

#[test]
fn periods_stay_and_quotas_are_whole_hundredths() {
    let mut web = scaled("web");
    web.cpu.period = CpuTime::millis(20);
    let mut world = World::new([web], &[WEB]);
    world.seconds(900, &[(WEB, 10, 33, 5)]);
    let Knob::CpuMax(CpuMax { quota: Limit::At(quota), period }) =
        world.knob(WEB, KnobKind::CpuMax)
    else {
        panic!()
    };
    assert_eq!(period, CpuTime::millis(20));
    assert_eq!(quota.0 % 200, 0, "{quota}");
}
