//! Worked numbers and properties of the whole estimate.

mod leaking;

use super::*;
use crate::config::Component as Registered;
use crate::model::{Cause, Level, MemoryEvents, MemoryStat, Priority, Psi, PsiLine, Usage, Waits};
use crate::testing;
use crate::units::{CgroupId, CpuTime};
use proptest::prelude::*;

const DB: &str = "db.service";
const JOBS: &str = "jobs.service";

fn psi(some_usec: u64, full_usec: u64) -> Option<Psi> {
    let line = |total_usec| PsiLine { total_usec, avg10_centi: 0 };
    Some(Psi { some: line(some_usec), full: line(full_usec) })
}

/// A host with a protected database and unprotected jobs, looked at each second.
struct World {
    policy: Policy,
    seen: Snapshot,
    estimator: Estimator,
    secs: u64,
}

impl World {
    fn new() -> Self {
        let db = testing::component("db", Priority::Critical);
        let jobs = testing::component("jobs", Priority::Low);
        Self::of([(db, DB), (jobs, JOBS)])
    }

    fn of<const N: usize>(components: [(Registered, &str); N]) -> Self {
        let mut seen = testing::host();
        for (component, path) in &components {
            testing::add_home(&mut seen, component, path);
        }
        let policy = testing::policy(components.into_iter().map(|(component, _)| component));
        let quiet = Usage {
            cpu: Some(CpuTime(0)),
            throttled: Some(CpuTime(0)),
            memory: Some(Bytes::mebi(100)),
            memory_stat: Some(MemoryStat { refaults: Some(0), ..MemoryStat::default() }),
            memory_events: Some(MemoryEvents::default()),
            cpu_psi: psi(0, 0),
            memory_psi: psi(0, 0),
            io_psi: psi(0, 0),
            ..Usage::default()
        };
        seen.groups.values_mut().for_each(|view| view.usage = quiet.clone());
        seen.load.memory_available = Some(Bytes::mebi(1024));
        seen.load.busy = Some(CpuTime(0));
        seen.load.tasks = Some(300);
        seen.load.cpu_psi = psi(0, 0);
        seen.load.memory_psi = psi(0, 0);
        seen.load.io_psi = psi(0, 0);
        Self { policy, seen, estimator: Estimator::default(), secs: 0 }
    }

    fn usage(&mut self, path: &str) -> &mut Usage {
        &mut self.seen.groups.get_mut(&CgroupPath::new(path)).unwrap().usage
    }

    /// Looks once a second, so many times; before each look `change` makes something happen, told the second.
    fn run(&mut self, secs: u64, change: impl Fn(&mut Self, u64)) {
        for _ in 0..secs {
            self.secs += 1;
            let second = self.secs;
            change(self, second);
            self.seen.at = Tick::default().plus(Span::secs(1000 + second));
            let at = self.seen.at;
            self.seen.groups.values_mut().for_each(|view| view.usage.sensed_at = Some(at));
            self.estimator.update(&self.policy, &self.seen);
        }
    }

    fn need(&self, name: &str) -> &Need {
        self.estimator.component(&name.parse().unwrap()).unwrap()
    }

    fn bottleneck(&self, name: &str) -> &Bottleneck {
        self.estimator.bottleneck(&name.parse().unwrap()).unwrap()
    }

    fn levels(&self) -> Levels {
        self.estimator.levels()
    }
}

fn without_psi(world: &mut World) {
    let load = &mut world.seen.load;
    (load.cpu_psi, load.memory_psi, load.io_psi) = (None, None, None);
    for view in world.seen.groups.values_mut() {
        let usage = &mut view.usage;
        (usage.cpu_psi, usage.memory_psi, usage.io_psi) = (None, None, None);
    }
}

#[test]
fn an_idle_host_is_at_ease() {
    let mut world = World::new();
    world.run(120, |_, _| {});
    assert_eq!(world.levels(), Levels::default());
    assert_eq!(world.estimator.alerts(), Levels::default());
    assert!(!world.estimator.changed() && world.estimator.has_psi());
    assert_eq!(world.estimator.host().share.memory, Some(Ppm::percent(50)));
    assert_eq!(*world.bottleneck("db"), Bottleneck::None);
}

#[test]
fn starving_the_database_moves_a_level_and_starving_jobs_moves_none() {
    let mut world = World::new();
    world.run(30, |world, second| {
        world.usage(JOBS).cpu_psi = psi(second * 900_000, second * 900_000)
    });
    assert_eq!(world.levels().worst(), Level::Normal);
    world.run(3, |world, second| world.usage(DB).cpu_psi = psi(second * 900_000, second * 900_000));
    let mut changes = 0;
    for _ in 0..30 {
        world.run(1, |world, second| {
            world.usage(DB).cpu_psi = psi(second * 900_000, second * 900_000);
        });
        changes += u64::from(world.estimator.changed());
    }
    assert_eq!(world.levels().cpu, Level::Emergency);
    assert_eq!(world.levels().memory, Level::Normal);
    let cause = world.estimator.view().levels[&Resource::Cpu].cause.clone();
    assert!(cause.starts_with("db waits for a CPU: "), "{cause}");
    assert!((1..=3).contains(&changes), "{changes}");
}

#[test]
fn the_neighbour_is_named() {
    let mut world = World::new();
    world.run(60, |_, _| {});
    world.run(25, |world, second| {
        let busy = CpuTime((second - 60) * 1_500_000);
        world.usage(JOBS).cpu = Some(busy);
        world.seen.load.busy = Some(busy);
        world.usage(DB).cpu_psi = psi((second - 60) * 300_000, (second - 60) * 300_000);
    });
    let Bottleneck::Of { resource, wait, cause } = world.bottleneck("db").clone() else {
        panic!("no bottleneck");
    };
    assert_eq!(resource, Resource::Cpu);
    assert!(wait > Ppm::percent(25), "{wait}");
    assert_eq!(cause, Cause::Neighbour { component: "jobs".parse().unwrap(), rise: Ppm::WHOLE });
    let text = world.bottleneck("db").to_string();
    assert!(text.ends_with("jobs uses 100% more than half a minute ago"), "{text}");
}

#[test]
fn what_is_no_component_is_told_from_components() {
    let mut world = World::new();
    world.run(60, |_, _| {});
    world.run(25, |world, second| {
        world.seen.load.busy = Some(CpuTime((second - 60) * 1_500_000));
        world.usage(DB).cpu_psi = psi((second - 60) * 300_000, (second - 60) * 300_000);
    });
    let Bottleneck::Of { cause: Cause::Unmanaged { .. }, .. } = world.bottleneck("db") else {
        panic!("{}", world.bottleneck("db"));
    };
}

#[test]
fn its_own_cap_is_its_own_bottleneck_and_no_level() {
    let mut world = World::new();
    world.run(60, |world, second| {
        let usage = world.usage(DB);
        usage.cpu = Some(CpuTime(second * 200_000));
        usage.throttled = Some(CpuTime(second * 817_000));
        usage.periods = Some(second * 10);
        usage.throttled_periods = Some(second * 10);
        usage.cpu_psi = psi(second * 818_000, second * 818_000);
    });
    assert_eq!(world.levels().cpu, Level::Normal);
    let Bottleneck::Of { resource: Resource::Cpu, cause: Cause::OwnLimit, wait } =
        world.bottleneck("db")
    else {
        panic!("{}", world.bottleneck("db"));
    };
    assert!(*wait > Ppm::percent(80));
    assert_eq!(world.need("db").demand.cpu, Some(Millicpu(400)));
}

#[test]
fn little_memory_is_a_level_with_and_without_psi() {
    for psi in [true, false] {
        let mut world = World::new();
        if !psi {
            without_psi(&mut world);
        }
        world.run(10, |_, _| {});
        world.seen.load.memory_available = Some(Bytes::mebi(200));
        world.run(5, |_, _| {});
        assert_eq!(world.levels().memory, Level::Warning, "9.8 % available");
        world.seen.load.memory_available = Some(Bytes::mebi(50));
        world.run(3, |_, _| {});
        assert_eq!(world.levels().memory, Level::Emergency, "2.4 % available");
        assert_eq!(world.estimator.alerts().memory, Level::Emergency);
        assert_eq!(world.estimator.view().psi, psi);
    }
}

#[test]
fn without_psi_refaults_kills_and_a_busy_cpu_make_levels() {
    let mut world = World::new();
    without_psi(&mut world);
    world.run(40, |world, second| {
        world.usage(DB).memory_stat.as_mut().unwrap().refaults = Some(second * 900);
    });
    assert_eq!(world.levels().memory, Level::Critical, "18 % of the time, and never an emergency");
    let mut world = World::new();
    without_psi(&mut world);
    world.run(40, |world, second| world.seen.load.busy = Some(CpuTime(second * 2_000_000)));
    assert_eq!(world.levels().cpu, Level::Warning);
    let mut world = World::new();
    without_psi(&mut world);
    world.run(10, |_, _| {});
    world.usage(DB).memory_events.as_mut().unwrap().oom_kill = 1;
    world.run(10, |_, _| {});
    assert_eq!(world.levels().memory, Level::Emergency);
    let mut world = World::new();
    world.run(40, |world, second| world.seen.load.busy = Some(CpuTime(second * 2_000_000)));
    assert_eq!(world.levels().cpu, Level::Normal, "with PSI nobody waits");
    assert_eq!(world.estimator.alerts().cpu, Level::Emergency, "and yet somebody is to know");
}

#[test]
fn a_kill_inside_its_own_limit_is_not_the_hosts() {
    let mut world = World::new();
    without_psi(&mut world);
    world.run(10, |_, _| {});
    *world.usage(DB).memory_events.as_mut().unwrap() =
        MemoryEvents { high: 0, max: 40, oom_kill: 1 };
    world.run(20, |_, _| {});
    assert_eq!(world.levels().memory, Level::Normal);
}

#[test]
fn a_limit_above_explains_the_pressure_below() {
    let db = testing::component("db", Priority::Critical);
    let mut world = World::of([(db, "app.slice/db.service")]);
    world.run(60, |world, second| {
        world.usage("app.slice/db.service").memory_psi = psi(second * 500_000, 0);
        world.usage("app.slice").memory_events_local =
            Some(MemoryEvents { high: second, ..MemoryEvents::default() });
    });
    assert_eq!(world.levels().memory, Level::Normal);
    assert!(world.need("db").bound.memory);
}

#[test]
fn what_a_limit_slows_down_is_no_pressure_of_the_host() {
    let level = |is_slowed: bool| {
        let mut world = World::new();
        world.run(60, |world, second| {
            world.seen.load.memory_psi = psi(second * 500_000, second * 500_000);
            let high = if is_slowed { second } else { 0 };
            world.usage(JOBS).memory_events =
                Some(MemoryEvents { high, ..MemoryEvents::default() });
        });
        world.levels().memory
    };
    assert_eq!((level(false), level(true)), (Level::Emergency, Level::Normal));
}

#[test]
fn the_alarm_is_an_emergency_of_memory_alone() {
    let mut world = World::new();
    world.run(5, |_, _| {});
    world.seen.alarms.insert(Resource::Memory);
    world.run(1, |_, _| {});
    assert!(world.estimator.changed());
    assert_eq!(world.levels(), Levels { memory: Level::Emergency, ..Levels::default() });
}

#[test]
fn two_homes_are_one_component() {
    let web = testing::component("web", Priority::High);
    let mut world = World::of([(web.clone(), "a.service")]);
    let mut seen = testing::host();
    testing::add_home(&mut seen, &web, "b.service");
    let path = CgroupPath::new("b.service");
    let mut view = seen.groups.remove(&path).unwrap();
    view.usage = world.usage("a.service").clone();
    view.id = CgroupId(4242);
    world.seen.groups.insert(path, view);
    let second = seen.homes.remove(&web.name).unwrap();
    world.seen.homes.get_mut(&web.name).unwrap().extend(second);
    world.run(20, |world, second| {
        world.usage("a.service").cpu = Some(CpuTime(second * 100_000));
        world.usage("b.service").cpu = Some(CpuTime(second * 300_000));
    });
    assert_eq!(world.need("web").usage.cpu, Some(Millicpu(400)));
    assert_eq!(world.need("web").usage.memory, Some(Bytes::mebi(200)));
    world.usage("b.service").cpu = None;
    world.run(1, |_, _| {});
    assert_eq!(world.need("web").usage.cpu, None, "half of it is not the whole");
}

#[test]
fn who_leaves_takes_its_pressure_along() {
    let mut world = World::new();
    world
        .run(20, |world, second| world.usage(DB).cpu_psi = psi(second * 100_000, second * 100_000));
    assert_eq!(world.levels().cpu, Level::Warning);
    world.seen.homes.remove(&"db".parse::<ComponentName>().unwrap());
    world.seen.groups.remove(&CgroupPath::new(DB));
    world.run(62, |_, _| {});
    assert_eq!(world.levels().cpu, Level::Normal);
    assert!(world.estimator.component(&"db".parse().unwrap()).is_none());
    assert!(world.estimator.bottleneck(&"db".parse().unwrap()).is_none());
}

#[test]
fn the_view_is_readable() {
    let mut world = World::new();
    world.run(60, |_, _| {});
    world.seen.load.memory_available = Some(Bytes::mebi(150));
    world.run(30, |world, second| {
        world.usage(DB).memory_psi = psi((second - 60) * 200_000, 0);
        world.usage(JOBS).memory = Some(Bytes::mebi(100 + 20 * (second - 60)));
    });
    let text = serde_json::to_string_pretty(&world.estimator.view()).unwrap();
    let back: Estimate = serde_json::from_str(&text).unwrap();
    assert_eq!(back, world.estimator.view());
    insta::assert_snapshot!("view", text);
}

#[test]
fn the_hosts_use_is_missing_where_it_cannot_be_read() {
    let mut world = World::new();
    world.seen.host.swap = Bytes::mebi(1000);
    world.run(60, |world, second| {
        world.seen.load.busy = Some(CpuTime(second * 1_000_000));
        world.seen.load.memory_available = Some(Bytes::mebi(1600 - 10 * second));
        world.seen.load.swap_free = Some(Bytes::mebi(200));
    });
    let host = *world.estimator.host();
    assert!(host.share.cpu > Some(Ppm::percent(49)), "one of two CPUs: {:?}", host.share.cpu);
    let left = host.until_full.unwrap();
    assert!(left >= Span::secs(100) && left < Span::secs(101), "1000 MiB at 10 a second: {left}");
    assert_eq!(world.levels().memory, Level::Warning, "80 % of swap is in use");
    let before = world.estimator.host.cpu_average;
    world.run(1, |world, _| world.seen.load.busy = Some(CpuTime(5)));
    assert_eq!(world.estimator.host().share.cpu, None, "the counter went back");
    assert_eq!(world.estimator.host.cpu_average.p10(), before.p10());
    world.secs += 600;
    world.run(1, |world, second| {
        world.seen.load.busy = Some(CpuTime(second * 2_000_000));
        world.seen.load.memory_available = None;
    });
    assert_eq!(world.estimator.host.cpu_average.p10(), before.p10(), "the host slept");
    assert_eq!((world.estimator.host().memory, world.estimator.host().until_full), (None, None));
    world.seen.host.swap = Bytes::ZERO;
    world.run(70, |world, _| world.seen.load.memory_available = Some(Bytes::mebi(1600)));
    assert_eq!(world.levels().memory, Level::Normal, "the swap was taken away");
}

/// One look: what grows by how much, and what can be read.
#[derive(Debug, Clone)]
struct Look {
    gap: u64,
    waited: u64,
    available: u64,
    there: [bool; 3],
}

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let run = (
        200u64..2_500,
        0u64..1_000_000,
        0u64..2048,
        prop::array::uniform3(prop::bool::weighted(0.8)),
        1usize..15,
    );
    prop::collection::vec(run, 1..15).prop_map(|runs| {
        let of = |(gap, waited, available, there, times)| {
            std::iter::repeat_n(Look { gap, waited, available, there }, times)
        };
        runs.into_iter().flat_map(of).collect()
    })
}

impl World {
    fn take(&mut self, look: &Look, waited: &mut u64, can_read: bool) {
        let there = look.there.map(|there| there && can_read);
        *waited += look.waited.min(look.gap * 1000);
        let total = *waited;
        let usage = self.usage(DB);
        usage.cpu_psi = if there[0] { psi(total, total) } else { None };
        usage.memory_psi = if there[1] { psi(total, total) } else { None };
        usage.io_psi = if there[0] { psi(total, total) } else { None };
        usage.memory_events = can_read.then(MemoryEvents::default);
        usage.memory_stat =
            can_read.then(|| MemoryStat { refaults: Some(0), ..MemoryStat::default() });
        let load = &mut self.seen.load;
        load.memory_available = there[2].then(|| Bytes::mebi(look.available));
        load.memory_psi = if there[1] { psi(0, total) } else { None };
        load.busy = there[2].then_some(CpuTime(total));
        load.tasks = there[2].then_some(look.available * 16);
        self.seen.at = self.seen.at.plus(Span::millis(look.gap));
        let at = self.seen.at;
        self.seen.groups.values_mut().for_each(|view| view.usage.sensed_at = Some(at));
        self.estimator.update(&self.policy, &self.seen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// I20: from the look on at which nothing can be read any more, no level and no alert moves, and no use is claimed.
    #[test]
    fn what_cannot_be_read_moves_nothing(looks in looks(), blind in 1usize..600) {
        let mut world = World::new();
        let mut waited = 0;
        for look in &looks {
            world.take(look, &mut waited, true);
        }
        let before = (world.estimator.levels(), world.estimator.alerts());
        let look = Look { gap: 1000, ..looks[0].clone() };
        for _ in 0..blind {
            world.take(&look, &mut waited, false);
            prop_assert_eq!((world.estimator.levels(), world.estimator.alerts()), before);
        }
        prop_assert_eq!(world.need("db").waits, Waits::default());
        prop_assert_eq!(world.estimator.host().share, Each::default());
    }

    /// The same look twice is one look, and the same looks give the same estimate.
    #[test]
    fn estimates_depend_on_the_looks_alone(looks in looks()) {
        let (mut once, mut twice) = (World::new(), World::new());
        let (mut first, mut second) = (0, 0);
        for look in &looks {
            once.take(look, &mut first, true);
            twice.take(look, &mut second, true);
            let changed = twice.estimator.changed();
            twice.estimator.update(&twice.policy, &twice.seen);
            prop_assert_eq!(twice.estimator.changed(), changed);
        }
        prop_assert_eq!(once.estimator.view(), twice.estimator.view());
        prop_assert_eq!(once.estimator, twice.estimator);
    }

    /// A group that was made anew brings nothing along: neither its use nor its waiting.
    #[test]
    fn a_group_that_was_made_anew_begins_anew(looks in looks()) {
        let mut world = World::new();
        let mut waited = 0;
        for look in &looks {
            world.take(look, &mut waited, true);
        }
        world.seen.groups.get_mut(&CgroupPath::new(DB)).unwrap().id = CgroupId(999_999);
        world.take(&Look { gap: 1000, there: [true; 3], ..looks[0].clone() }, &mut waited, true);
        let need = world.need("db");
        prop_assert_eq!((need.usage.cpu, need.waits), (None, Waits::default()));
    }
}
