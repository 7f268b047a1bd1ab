//! A steady cycle asks for no memory, however many groups there are: neither the look nor the rest between two plans.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

mod counting;

use counting::allocations;
use provost::config::{Policy, Sources, load};
use provost::cycle::{State, rest, step};
use provost::daemon::capacity;
use provost::estimate::forecast::{Fold, Forecaster, Moment, Settings};
use provost::estimate::{Foresight, Prospects};
use provost::kernel::CgroupFs;
use provost::kernel::host;
use provost::kernel::probe::Roots;
use provost::model::{GroupView, Knob, KnobKind, Priority, Resource};
use provost::observe::{Collector, Happened};
use provost::record::{Batch, Look, Packer, Part, Seen, Tally, Which};
use provost::units::{Bytes, CgroupPath, ComponentName, CpuTime, Limit, Millicpu, Ppm, Span, Tick};
use std::path::{Path, PathBuf};

const GROUPS: usize = 50;

/// A pressure file in which nobody waits.
const PRESSURE: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";

/// A folder that looks like a host with as many groups, and is removed in the end.
struct Fixture {
    root: PathBuf,
    groups: usize,
}

impl Fixture {
    fn new(name: &str) -> Self {
        Self::of(name, GROUPS)
    }

    fn of(name: &str, groups: usize) -> Self {
        let root = std::env::temp_dir().join(format!("provost-{name}-{}", std::process::id()));
        let fixture = Self { root, groups };
        fixture.write(
            "proc/meminfo",
            "MemTotal:       2014168 kB\nMemAvailable:   1007084 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
        );
        fixture.write("proc/loadavg", "0.00 0.01 0.05 1/108 4242\n");
        fixture.write("proc/stat", "cpu  10 0 10 900 50 0 0 0 0 0\n");
        for resource in ["cpu", "memory", "io"] {
            fixture.write(&format!("proc/pressure/{resource}"), PRESSURE);
        }
        fixture.write("sys/devices/system/cpu/online", "0-1\n");
        fixture.group("");
        for group in 0..groups {
            fixture.group(&format!("web-{group:03}"));
        }
        fixture
    }

    fn group(&self, name: &str) {
        let files = [
            ("cpu.stat", "usage_usec 1000\nuser_usec 900\nsystem_usec 100\nthrottled_usec 0\n"),
            ("cpu.pressure", PRESSURE),
            ("memory.pressure", PRESSURE),
            ("io.pressure", PRESSURE),
            ("memory.current", "4096\n"),
            ("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"),
            ("memory.events.local", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"),
            (
                "memory.stat",
                "anon 4096\nshmem 0\ninactive_file 0\nslab_unreclaimable 0\nworkingset_refault_anon 0\nworkingset_refault_file 0\n",
            ),
            ("memory.swap.current", "0\n"),
            ("io.stat", "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"),
            ("pids.current", "3\n"),
            ("pids.events", "max 0\n"),
            ("cgroup.controllers", "cpu memory pids\n"),
            ("cgroup.events", "populated 1\nfrozen 0\n"),
            ("cpu.weight", "100\n"),
            ("cpu.max", "max 100000\n"),
            ("memory.max", "max\n"),
            ("pids.max", "max\n"),
        ];
        for (file, text) in files {
            self.write(&format!("cgroup/{name}/{file}"), text);
        }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn roots(&self) -> Roots {
        let below = |name: &str| self.root.join(name);
        Roots {
            proc: below("proc"),
            sys: below("sys"),
            cgroup: below("cgroup"),
            run: below("run"),
            boot: below("boot"),
        }
    }

    fn policy(&self) -> Policy {
        self.policy_with("")
    }

    /// The first component has some keys more.
    fn policy_with(&self, more: &str) -> Policy {
        let group = |number: usize| {
            let more = if number == 0 { more } else { "" };
            format!(
                "[component.web-{number:03}]\nmatch = {{ cgroup = \"web-{number:03}\" }}\n\
                 memory = {{ ceiling = \"64M\" }}\npids = {{ ceiling = 100 }}\n{more}"
            )
        };
        let loose = "[component.loose]\nmatch = { exe = \"/usr/bin/nobody-has-it\" }\n";
        let text: String = (0..self.groups).map(group).chain([loose.to_owned()]).collect();
        capacity(&host::view(&self.roots()), |capacity| {
            load(&Sources::text("test", &text), capacity)
        })
        .unwrap()
        .policy
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.root);
    }
}

/// A collector and a state after the first look was planned for.
fn settled(fixture: &Fixture, policy: &Policy, now: Tick) -> (Collector, State) {
    let fs = CgroupFs::open_unchecked(Path::new(&fixture.roots().cgroup)).unwrap();
    let mut collector = Collector::new(fs, &fixture.roots());
    collector.look(policy, now, Happened::default());
    let first = step(policy, State::default(), collector.last());
    assert!(!first.news.unwrap().plan.is_empty(), "every group is to be limited");
    (collector, first.state)
}

#[test]
fn a_steady_cycle_asks_for_no_memory() {
    let fixture = Fixture::new("steady");
    let scaled = "cpu.ceiling = { min = \"0.5\", max = \"2\" }\npriority = \"high\"\n";
    let policy = fixture.policy_with(scaled);
    let start = Tick::default().plus(Span::secs(100));
    let (mut collector, mut state) = settled(&fixture, &policy, start);
    let path = CgroupPath::new("web-007");
    let name: ComponentName = "web-007".parse().unwrap();
    for second in 1..9 {
        let used = format!("usage_usec {}\nthrottled_usec 0\n", 1000 + second * 500_000);
        fixture.write("cgroup/web-007/cpu.stat", &used);
        let moved = format!("8:0 rbytes={} wbytes=0 rios={second} wios=0\n", 4096 + second * 1000);
        fixture.write("cgroup/web-007/io.stat", &moved);
        let waited =
            format!("some avg10=0.00 total={0}\nfull avg10=0.00 total={0}\n", second * 10_000);
        fixture.write("cgroup/web-007/cpu.pressure", &waited);
        let now = start.plus(Span::secs(second));
        let asked = allocations(|| {
            collector.look(&policy, now, Happened::default());
            assert!(rest(&policy, &mut state, collector.last()), "second {second}");
        });
        assert_eq!(asked, 0, "second {second}");
        assert!(!collector.regrouped(), "second {second}");
        let usage = &collector.last().groups.get(&path).unwrap().usage;
        assert_eq!(usage.cpu, Some(CpuTime(1000 + second * 500_000)), "it looked");
        assert_eq!(state.rates.cpu(&path).unwrap().0, 500, "it reckoned");
        let need = state.estimator.component(&name).unwrap();
        assert_eq!(need.usage.cpu, Some(Millicpu(500)), "it estimated");
        assert_eq!(need.usage.pids, Some(3));
        assert_eq!(need.usage.io.unwrap().read, Bytes(1000), "second {second}");
        assert!(need.waits.cpu.unwrap().p10 > Ppm::ZERO, "it saw the pressure");
        assert!(state.estimator.has_psi());
        assert_eq!(state.estimator.host().share.memory, Some(Ppm::percent(50)));
    }
}

#[test]
fn of_many_groups_some_are_asked_what_they_wait_for_in_turn() {
    let fixture = Fixture::of("turns", 150);
    let policy = fixture.policy_with("priority = \"high\"\n");
    let start = Tick::default().plus(Span::secs(100));
    let (mut collector, _state) = settled(&fixture, &policy, start);
    let protected = CgroupPath::new("web-000");
    for second in 1..10 {
        let now = start.plus(Span::secs(second));
        collector.look(&policy, now, Happened::default());
        let sensed = |path| collector.last().groups.get(path).unwrap().usage.sensed_at.unwrap();
        assert_eq!(sensed(&protected), now, "at every look");
        let fresh = collector.last().groups.keys().filter(|path| sensed(path) == now).count();
        assert!((64..=66).contains(&fresh), "{fresh} of 151");
        let oldest = collector.last().groups.keys().map(|path| now.since(sensed(path))).max();
        assert!(oldest <= Some(Span::secs(3)), "{oldest:?}");
    }
}

#[test]
fn of_many_groups_knobs_are_read_again_in_turn() {
    let fixture = Fixture::of("rounds", 300);
    let policy = fixture.policy();
    let start = Tick::default().plus(Span::secs(100));
    let (mut collector, _state) = settled(&fixture, &policy, start);
    let limit = |mebibytes: u64| {
        let text = format!("{}\n", mebibytes << 20);
        (0..300).for_each(|group| {
            fixture.write(&format!("cgroup/web-{group:03}/memory.max"), &text);
        });
    };
    let count = |collector: &Collector, mebibytes| {
        let limit = Knob::MemoryMax(Limit::At(Bytes::mebi(mebibytes)));
        let has = |view: &&GroupView| view.knob(KnobKind::MemoryMax).value() == Some(&limit);
        collector.last().groups.values().filter(has).count()
    };
    limit(32);
    let mut found = Vec::new();
    for second in 9..20 {
        collector.look(&policy, start.plus(Span::secs(second)), Happened::default());
        found.push(count(&collector, 32));
    }
    // The root has its turn too, and has no such limit.
    assert_eq!(found, [0, 63, 127, 191, 255, 300, 300, 300, 300, 300, 300]);
    limit(48);
    let reconcile = true;
    let asked = Happened { reconcile, ..Happened::default() };
    collector.look(&policy, start.plus(Span::millis(19_500)), asked);
    assert_eq!(count(&collector, 48), 300, "at once where it is asked for");
}

#[test]
fn a_reconciliation_is_no_steady_cycle_and_is_counted() {
    let fixture = Fixture::new("reconciled");
    let policy = fixture.policy();
    let start = Tick::default().plus(Span::secs(100));
    let (mut collector, mut state) = settled(&fixture, &policy, start);
    fixture.group("web-new");
    fixture.write("cgroup/web-007/memory.max", "67108864\n");
    let asked = allocations(|| {
        collector.look(&policy, start.plus(Span::secs(10)), Happened::default());
    });
    assert!(asked > 0 && collector.regrouped());
    assert!(!rest(&policy, &mut state, collector.last()), "a knob has changed");
}

#[test]
fn a_cpu_that_goes_is_seen_at_the_next_look() {
    let fixture = Fixture::new("hotplug");
    let policy = fixture.policy();
    let start = Tick::default().plus(Span::secs(100));
    let (mut collector, mut state) = settled(&fixture, &policy, start);
    for (second, online) in [(1, "0"), (2, "0-1")] {
        fixture.write("sys/devices/system/cpu/online", &format!("{online}\n"));
        collector.look(&policy, start.plus(Span::secs(second)), Happened::default());
        let host = &collector.last().host;
        assert_eq!(host.online.to_string(), online);
        assert_eq!(host.topology.cores.len(), host.online.len());
        assert!(!rest(&policy, &mut state, collector.last()), "everything is decided anew");
    }
}

#[test]
fn a_forecast_that_has_seen_days_asks_for_no_memory() {
    for fold in [Fold::Mean, Fold::Most] {
        let mut forecaster = Forecaster::new(&Settings::usual(fold));
        let mut feed = |buckets: std::ops::Range<u64>| {
            for bucket in buckets {
                let closed = forecaster.observe(Moment(300 * bucket), Some(1_000 + bucket % 97));
                assert!(closed || bucket == 0);
                assert!(forecaster.forecast().is_some() || bucket == 0);
            }
        };
        assert!(allocations(|| feed(0..2 * 288)) > 0, "the first days take their room");
        assert_eq!(allocations(|| feed(2 * 288..3 * 288)), 0);
    }
}

#[test]
fn forecasts_of_all_components_are_fed_without_asking_for_memory() {
    let fixture = Fixture::new("foresight");
    let policy = fixture.policy();
    let start = Tick::default().plus(Span::secs(100));
    let (collector, state) = settled(&fixture, &policy, start);
    let (seen, estimator) = (collector.last(), &state.estimator);
    let mut foresight = Foresight::default();
    let mut look = |at| foresight.look(&policy, seen, estimator, Moment(at));
    assert!(allocations(|| look(0)) > 0, "every component is taken up");
    for second in 1..300 {
        assert_eq!(allocations(|| look(second)), 0, "second {second}");
    }
    for bucket in 1..2 * 288 + 2 {
        look(300 * bucket);
    }
    assert_eq!(allocations(|| look(300 * (2 * 288 + 2))), 0, "nor for a bucket after two days");
    assert_eq!(foresight.components().count(), GROUPS);
    // Lent to decisions, of those who are protected.
    let mut protected = policy.clone();
    for component in protected.components.values_mut() {
        component.priority = Priority::High;
    }
    let mut prospects = Prospects::default();
    assert!(allocations(|| foresight.lend(&protected, &mut prospects)) > 0, "each has its place");
    assert_eq!(allocations(|| foresight.lend(&protected, &mut prospects)), 0, "and keeps it");
    assert!(prospects.of(&"web-007".parse().unwrap(), Resource::Pids).is_some());
    let name: ComponentName = "web-007".parse().unwrap();
    assert_eq!(foresight.forecast(&name, Resource::Pids).unwrap().point, 3);
}

#[test]
fn a_leak_is_found_without_asking_for_memory() {
    let fixture = Fixture::of("leak", 2);
    let policy = fixture.policy();
    let start = Tick::default().plus(Span::secs(100));
    let (collector, mut state) = settled(&fixture, &policy, start);
    let mut seen = collector.last().clone();
    for look in 1..=3600 {
        seen.at = start.plus(Span::secs(2 * look));
        for view in seen.groups.values_mut() {
            let usage = &mut view.usage;
            usage.cpu = usage.cpu.map(|cpu| CpuTime(cpu.0 + 1000));
            if let Some(stat) = &mut usage.memory_stat {
                // Half a gibibyte an hour.
                stat.anon = Bytes((16 << 20) + look * (1 << 29) / 1800);
            }
        }
        let asked = allocations(|| {
            // What is told is news, which asks for memory when it is planned for.
            let _has_no_news = rest(&policy, &mut state, &seen);
        });
        assert_eq!(asked, 0, "look {look}");
    }
    assert_eq!(state.estimator.leaks().count(), 2);
}

#[test]
fn a_steady_cycle_is_recorded_without_asking_for_memory() {
    let fixture = Fixture::new("recorded");
    let policy = fixture.policy();
    let start = Tick::default().plus(Span::secs(100));
    let (mut collector, mut state) = settled(&fixture, &policy, start);
    let (mut packer, mut batch, mut tally) =
        (Packer::default(), Batch::default(), Tally::default());
    let mut encoder = Which::Looks.encoder();
    let mut sizes = Vec::new();
    for second in 1..50 {
        let used = format!("usage_usec {}\nthrottled_usec 0\n", 1000 + second * 500_000);
        fixture.write("cgroup/web-007/cpu.stat", &used);
        let now = start.plus(Span::secs(second % 9));
        if second % 9 == 1 {
            batch.clear();
        }
        collector.look(&policy, now, Happened::default());
        let _rests = rest(&policy, &mut state, collector.last());
        let asked = allocations(|| {
            let look = Look::<(), (), Prospects> {
                seen: collector.last(),
                is_anew: second == 1,
                is_replanned: false,
                base: None,
                lent: None,
                news: None,
            };
            look.pack(&mut packer).unwrap();
            batch.add(1_700_000_000, &mut encoder, &packer);
            let estimator = &state.estimator;
            let seen = Seen {
                at: now,
                wall_secs: 1_700_000_000,
                host: estimator.host(),
                levels: estimator.levels(),
                actions: 0,
            };
            let part = |name| {
                Some(Part {
                    name,
                    need: estimator.component(name)?,
                    bottleneck: estimator.bottleneck(name)?,
                    expected: state.prospects.bounds(name),
                })
            };
            assert!(tally.look(&seen, policy.components.keys().filter_map(part)).is_none());
        });
        // Until every buffer has its size once.
        if second > 18 {
            assert_eq!(asked, 0, "second {second}");
        }
        sizes.push(packer.sections().count());
    }
    assert!(sizes[0] > sizes[48] && sizes[48] > GROUPS, "{sizes:?}");
}
