//! Builders of policies and looks at a host, and a kernel small enough to carry a plan out on: for unit and property tests only.

pub(crate) mod recorded;
use crate::config::{
    Affinity, Backend, Catch, Component, CpuPolicy, Division, Glob, LastResort, MemoryPolicy, Mode,
    OnLeak, OnLeave, OomPolicy, Pattern, Policy, Probe, RealtimePolicy, Reserve, Steer, Strategy,
    Thresholds, Writes,
};
use crate::model::{
    Action, Change, Controller, CpuClass, Disk, Expected, FileSystem, Forecast, ForecastModel,
    ForecastStage, ForecastView, GroupView, Home, HomeKind, HostView, IoWeightBackend, Knob,
    KnobKind, Leak, LeakEvidence, LeakLimit, LeakTier, Moment, Outcome, OutcomeOf, Partition,
    Priority, Reading, Resource, Room, Sched, Snapshot, Stray, ThreadTarget, ThreadView, Topology,
    Unusual, Usage, Verdict, Via,
};
use crate::units::{
    Bytes, CgroupId, CgroupPath, CgroupRef, CpuMax, CpuSet, CpuTime, DeviceId, Limit, Millicpu,
    Ppm, ProcId, Span, Tick,
};
use std::collections::BTreeMap;

pub(crate) const PAGE: Bytes = Bytes(4096);
pub(crate) const DISK: DeviceId = DeviceId { major: 8, minor: 0 };

/// A policy with a quarter core and 256 MiB in reserve.
pub(crate) fn policy(components: impl IntoIterator<Item = Component>) -> Policy {
    Policy {
        mode: Mode::Enforce,
        strategy: Strategy::Balanced,
        division: Division::Weighted,
        steer: Steer::All,
        interval: Span::secs(1),
        on_stop: OnLeave::Restore,
        override_for: Span::secs(600),
        backend: Backend::Auto,
        reserve: Reserve { cpu: Millicpu(250), memory: Bytes::mebi(256) },
        thresholds: Thresholds::default(),
        disks: BTreeMap::new(),
        storage: BTreeMap::new(),
        schedules: BTreeMap::new(),
        writes: Writes::UNLIMITED,
        own_cpu: Limit::Max,
        alerts: crate::config::AlertPolicy::default(),
        listen: Vec::new(),
        history: Bytes::mebi(10),
        protect: Vec::new(),
        components: components
            .into_iter()
            .map(|component| (component.name.clone(), component))
            .collect(),
    }
}

/// A component that asks for nothing but its priority.
pub(crate) fn component(name: &str, priority: Priority) -> Component {
    Component {
        name: name.parse().unwrap(),
        priority,
        share_percent: 100,
        rules: Vec::new(),
        catch: Catch::Events,
        cpu: CpuPolicy {
            class: None,
            guarantee: Millicpu::ZERO,
            ceiling: Limit::Max,
            scale: None,
            period: CpuMax::DEFAULT_PERIOD,
            burst: None,
            affinity: Affinity::Shared,
            partition: Partition::Member,
            realtime: None,
        },
        memory: MemoryPolicy {
            guarantee: Bytes::ZERO,
            high: Limit::Max,
            ceiling: Limit::Max,
            scale: None,
            swap: None,
            oom: OomPolicy::Unset,
            hard: false,
            on_leak: OnLeak::Tell,
            restart_every: MemoryPolicy::RESTART_EVERY,
            probe: Probe::Off,
        },
        io: Vec::new(),
        io_weight: None,
        pids: Limit::Max,
        pids_scale: None,
        on_exit: OnLeave::Restore,
        auto_scale: true,
        yields: priority == Priority::Low,
        hook: None,
        instances: None,
        last_resort: if priority == Priority::Low {
            LastResort::Freeze
        } else {
            LastResort::Nothing
        },
        strategy: None,
    }
}

/// A host with two CPUs, 2 GiB and one disk without weights.
pub(crate) fn host() -> Snapshot {
    let mut seen = Snapshot::new(
        Tick::default().plus(Span::secs(100)),
        HostView {
            online: CpuSet::of([0, 1]),
            topology: Topology::flat(&CpuSet::of([0, 1])),
            memory: Bytes::mebi(2048),
            swap: Bytes::ZERO,
            page: PAGE,
            pid_max: 32768,
            disks: vec![Disk {
                device: DISK,
                name: "sda".to_owned(),
                weights: IoWeightBackend::None,
            }],
            systemd: true,
            sched_ext: None,
            oomd: false,
            reclaim: true,
            rt_bounded: true,
            swap_rotates: false,
        },
    );
    add_group(&mut seen, CgroupPath::root());
    seen.groups.get_mut(&CgroupPath::root()).unwrap().unmanaged_weight = 300;
    seen
}

/// A populated group at kernel defaults, made by systemd below its slices and by somebody else elsewhere.
pub(crate) fn add_group(seen: &mut Snapshot, path: CgroupPath) {
    let unit = path.is_unit();
    let mut knobs: BTreeMap<KnobKind, Reading<Knob>> = KnobKind::SINGLE
        .into_iter()
        .map(|kind| (kind, Reading::Is(kind.kernel_default())))
        .collect();
    let no_disk_limit = KnobKind::IoMax(DISK).kernel_default();
    knobs.insert(KnobKind::IoMax(DISK), Reading::Is(no_disk_limit));
    let id = CgroupId(1000 + u64::try_from(seen.groups.len()).unwrap());
    let via = if unit { Via::Unit(path.name().to_owned()) } else { Via::File };
    let view = GroupView {
        id,
        via,
        controllers: Reading::Is(Controller::ALL.into_iter().collect()),
        populated: true,
        knobs,
        usage: Usage { memory: Some(Bytes::mebi(10)), ..Usage::default() },
        unmanaged_weight: 0,
        holds_protected: false,
    };
    seen.groups.insert(path, view);
}

/// A home at `path`, with its ancestors.
pub(crate) fn add_home(seen: &mut Snapshot, component: &Component, path: &str) {
    let path = CgroupPath::new(path);
    for group in std::iter::once(path.clone()).chain(path.ancestors()) {
        if !seen.groups.contains_key(&group) {
            add_group(seen, group);
        }
    }
    let at = CgroupRef { id: seen.groups[&path].id, path };
    let kind = HomeKind::Unit { unit: at.path.name().to_owned() };
    seen.homes.entry(component.name.clone()).or_default().push(Home { at, kind });
}

/// A loose process in a login session.
pub(crate) fn stray(component: &Component, pid: i32) -> Stray {
    Stray {
        process: ProcId { pid, start: 7 },
        comm: "rsync".to_owned(),
        component: component.name.clone(),
        from: CgroupPath::new("user.slice/user-1000.slice/session-3.scope"),
        exec_at: None,
    }
}

/// Carries a plan out as the kernel would, and returns the look after it.
pub(crate) fn carry_out(seen: &Snapshot, actions: &[Action]) -> Snapshot {
    let mut after = seen.clone();
    after.generation += 1;
    after.outcomes.clear();
    actions.iter().for_each(|action| act(&mut after, action));
    after.at = after.at.plus(Span::secs(1));
    after
}

/// Does one action.
pub(crate) fn act(after: &mut Snapshot, action: &Action) {
    if let Action::MakeScope { component, unit, path, strays, .. } = action {
        let added: Vec<CgroupPath> =
            std::iter::once(path.clone()).chain(path.ancestors()).collect();
        for group in added {
            if !after.groups.contains_key(&group) {
                add_group(after, group);
            }
        }
        let at = CgroupRef { path: path.clone(), id: after.groups[path].id };
        let home = Home { at, kind: HomeKind::OwnScope { unit: unit.clone() } };
        after.homes.entry(component.clone()).or_default().push(home);
        after.strays.retain(|stray| !strays.contains(stray));
    }
    for change in action.changes() {
        apply(after, action.path(), change);
    }
    if let Action::Schedule { target } = action {
        schedule(after, target);
    }
    if let Action::Relieve { relief } = action {
        after.outcomes.push(Outcome {
            at: after.at,
            component: Some(relief.component.clone()),
            path: relief.at.path.clone(),
            of: OutcomeOf::Relief { means: relief.means },
            verdict: Verdict::Applied,
            took: Span::ZERO,
        });
    }
}

/// A critical component with a CPU of its own, whose threads `engine-*` are to be in real time.
pub(crate) fn realtime_component(name: &str) -> Component {
    let mut made = component(name, Priority::Critical);
    made.cpu.class = Some(CpuClass::Realtime);
    made.cpu.affinity = Affinity::Dedicated(1);
    let threads = Pattern { globs: vec![Glob::new("engine-*").unwrap()] };
    made.cpu.realtime = Some(RealtimePolicy { threads, priority: 1 });
    made
}

/// A named thread in the component's first home.
pub(crate) fn add_thread(seen: &mut Snapshot, component: &Component, pid: i32, sched: Sched) {
    let home = seen.homes[&component.name][0].path().clone();
    let (thread, name) = (ProcId { pid, start: 7 }, format!("engine-{pid}"));
    let threads = &mut seen.realtime.entry(component.name.clone()).or_default().threads;
    threads.push(ThreadView { thread, name, home, sched, used: CpuTime(0) });
    seen.generation += 1;
}

/// What the kernel shows of a group's list as effective.
fn effective(after: &mut Snapshot, path: &CgroupPath, knob: &Knob) {
    let Knob::CpusetCpus(cpus) = knob else { return };
    let homes = &after.homes;
    for (name, seen) in &mut after.realtime {
        if homes[name].iter().any(|home| home.path() == path) {
            seen.cpus.insert(path.clone(), cpus.clone());
        }
    }
}

fn schedule(after: &mut Snapshot, target: &ThreadTarget) {
    let threads = after.realtime.values_mut().flat_map(|seen| &mut seen.threads);
    let mut held: Vec<&mut ThreadView> =
        threads.filter(|view| view.thread == target.thread && view.sched == target.held).collect();
    let verdict = if held.is_empty() { Verdict::Gone } else { Verdict::Applied };
    held.iter_mut().for_each(|view| view.sched = target.wanted);
    after.outcomes.push(Outcome {
        at: after.at,
        component: Some(target.component.clone()),
        path: target.at.path.clone(),
        of: OutcomeOf::Thread {
            thread: target.thread,
            name: target.name.clone(),
            id: target.at.id,
            asked: target.wanted,
            original: Sched::OTHER,
        },
        verdict,
        took: Span::ZERO,
    });
}

fn apply(after: &mut Snapshot, path: &CgroupPath, change: &Change) {
    let (page, now) = (after.host.page, after.at);
    let group = after.groups.get_mut(path).unwrap();
    let kind = change.new.kind();
    let original = group.knob(kind).value().cloned();
    group.knobs.insert(kind, Reading::Is(change.new.as_kernel_keeps(page)));
    let id = group.id;
    effective(after, path, &change.new);
    after.outcomes.push(Outcome {
        at: now,
        component: change.component.clone(),
        path: path.clone(),
        of: OutcomeOf::Knob {
            knob: kind,
            asked: change.new.clone(),
            id: Some(id),
            original,
            passing: change.reason.is_passing(),
        },
        verdict: Verdict::Applied,
        took: Span::ZERO,
    });
}

/// Sets one knob as another writer would.
pub(crate) fn set(seen: &mut Snapshot, path: &str, knob: Knob) {
    let path = CgroupPath::new(path);
    effective(seen, &path, &knob);
    let group = seen.groups.get_mut(&path).unwrap();
    group.knobs.insert(knob.kind(), Reading::Is(knob));
    seen.generation += 1;
}

/// What is said of a service that has leaked for half a day.
pub(crate) fn sample_leak() -> Leak {
    let hour = |count: u64| Tick::default().plus(Span::secs(count * 3600));
    Leak {
        tier: LeakTier::Suspected,
        since: hour(8),
        at: hour(12),
        held: Bytes::mebi(700),
        per_hour: Bytes::mebi(62),
        limit: LeakLimit::Own(Bytes::mebi(1024)),
        until_limit: Span::secs(18_813),
        evidence: LeakEvidence {
            parts: 36,
            part: Span::secs(600),
            slope_t_centi: 2417,
            order_z_centi: 738,
            least_per_hour: Ppm::new(83_200),
            curve_t_centi: -41,
        },
    }
}

/// What is expected of a component that was seen for long and of one that was not, in this order.
pub(crate) fn sample_forecasts() -> [BTreeMap<Resource, ForecastView>; 2] {
    let view = |quantile, point, upper, confidence| ForecastView {
        horizon: Span::secs(900),
        quantile: Ppm::percent(quantile),
        said: Forecast {
            as_of: Moment(1_700_000_100),
            point,
            upper,
            lately: Some(point / 2),
            confidence: Ppm::percent(confidence),
            is_unreliable: confidence < 30,
            model: Some(ForecastModel::LastOrYesterday),
            coverage: Some(Ppm::new(953_200)),
            stage: ForecastStage::Ready,
        },
        recent: (1..=12).map(|bucket| upper * bucket * bucket / 144).collect(),
        unusual: (upper == 1_900).then_some(Unusual {
            since: Moment(1_699_998_900),
            value: upper,
            from: 700,
            to: 1_150,
        }),
    };
    let long = [
        (Resource::Cpu, view(95, 1_250, 1_900, 87)),
        (Resource::Memory, view(99, 734_003_200, 812_646_605, 92)),
        (Resource::Io, view(95, 345, 123_456_789, 14)),
        (Resource::Pids, view(99, 12, 14, 70)),
    ];
    let mut short = view(95, 200, 320, 0);
    (short.said.is_unreliable, short.said.model, short.said.coverage) = (false, None, None);
    (short.said.stage, short.recent) = (ForecastStage::Learning, vec![0, 0, 200]);
    [BTreeMap::from(long), BTreeMap::from([(Resource::Cpu, short)])]
}

/// A forecast with a bound, such as whoever learnt for long gives.
pub(crate) fn forecast((lately, point, upper): (u64, u64, u64), percent: u32) -> Forecast {
    Forecast {
        as_of: Moment(1_700_000_100),
        point,
        upper,
        lately: Some(lately),
        confidence: Ppm::percent(percent),
        is_unreliable: percent < 30,
        model: Some(ForecastModel::Yesterday),
        coverage: Some(Ppm::percent(96)),
        stage: ForecastStage::Ready,
    }
}

/// What others give way for ahead of time, of a service that opens in the morning.
pub(crate) fn expected(resource: Resource) -> Expected {
    let (lately, likely, at_most) = match resource {
        Resource::Cpu => (250, 1_400, 1_630),
        Resource::Memory => (214 << 20, 1_210 << 20, 1_302 << 20),
        Resource::Io | Resource::Pids => (10, 40, 50),
    };
    Expected {
        component: "web".parse().unwrap(),
        resource,
        lately,
        likely,
        at_most,
        within: Span::secs(900),
        confidence: Ppm::percent(84),
    }
}

/// Only CPU and memory of one component are forecast.
pub(crate) fn prospects(
    name: &str,
    cpu: Option<Forecast>,
    memory: Option<Forecast>,
) -> crate::estimate::Prospects {
    let mut prospects = crate::estimate::Prospects::default();
    prospects.look_ahead(Span::secs(900));
    let said = crate::model::Each { cpu, memory, io: None, pids: None };
    prospects.lend(&name.parse().unwrap(), said);
    prospects
}

/// A report with a limited service that has a CPU of its own, a loose component and a warning.
pub(crate) fn sample_report() -> crate::model::Report {
    use crate::cycle::{State, step};
    use crate::daemon::{History, ReportInput, report};
    let mut web = component("web", Priority::Critical);
    web.cpu.ceiling = Limit::At(Millicpu(1500));
    web.cpu.affinity = Affinity::Dedicated(1);
    web.memory.guarantee = Bytes::mebi(256);
    web.memory.ceiling = Limit::At(Bytes::mebi(512));
    let mut batch = component("batch", Priority::Low);
    batch.pids = Limit::At(64);
    let idle = component("idle", Priority::Normal);
    web.strategy = Some(Strategy::Aggressive);
    let mut rules = policy([web.clone(), batch.clone(), idle]);
    rules.strategy = Strategy::Adaptive;
    let mut seen = host();
    add_home(&mut seen, &web, "system.slice/web.service");
    add_home(&mut seen, &batch, "provost.slice/provost-low.slice/provost-batch.scope");
    let first = step(&rules, State::default(), &seen);
    let after = carry_out(&seen, &first.news.unwrap().plan.actions);
    let mut after = carry_out(&after, &[]);
    set(&mut after, "system.slice/web.service", Knob::MemoryMax(Limit::At(Bytes::mebi(300))));
    let mut state = first.state;
    let mut applied =
        carry_out(&seen, &step(&rules, State::default(), &seen).news.unwrap().plan.actions);
    applied.groups.clone_from(&after.groups);
    applied.generation += 1;
    let room = |used| Room::Known {
        size: Bytes::mebi(20_480),
        used: Some(Ppm::percent(used)),
        inodes: Some(Ppm::percent(3)),
    };
    let filesystem =
        |at: &str, kind: &str, room| FileSystem { at: at.to_owned(), kind: kind.to_owned(), room };
    applied.filesystems = vec![
        filesystem("/", "ext4", room(41)),
        filesystem("/mnt/far", "nfs4", Room::Hangs { since: Tick(3_000_000) }),
        filesystem("/srv", "xfs", room(92)),
    ];
    for _ in 0..4 {
        let _no_news = crate::cycle::rest(&rules, &mut state, &applied);
        applied.at = applied.at.plus(Span::secs(1));
    }
    let second = step(&rules, state, &applied);
    state = second.state;
    let news = second.news.unwrap();
    let mut history = History::default();
    for outcome in &applied.outcomes {
        history.happened(outcome, None, None);
    }
    history.happened(&ended_early(&batch), None, None);
    report(ReportInput {
        policy: &rules,
        state: &state,
        seen: &applied,
        news: &news,
        beside: &[],
        foresight: &crate::estimate::Foresight::default(),
        enforcing: true,
        instead_of: Some(Strategy::Conservative),
        pid: 4711,
        started: Tick::default(),
        history: &history,
        schedules: Vec::new(),
        given: &crate::daemon::Given::default(),
        peaks: &crate::estimate::Peaks::default(),
        alerts: Vec::new(),
        sinks: BTreeMap::new(),
        own: crate::model::Own { reloaded: true, ..crate::model::Own::default() },
        health: crate::model::Health::default(),
    })
}

/// A process of the component that ended before it was placed.
fn ended_early(component: &Component) -> Outcome {
    Outcome {
        at: Tick(4_000_000),
        component: Some(component.name.clone()),
        path: CgroupPath::new("provost.slice/provost-low.slice/provost-batch.scope"),
        of: OutcomeOf::Process {
            process: ProcId { pid: 812, start: 99 },
            comm: "sync".to_owned(),
            from: CgroupPath::new("user.slice/session-1.scope"),
            exec_to_placed: None,
        },
        verdict: Verdict::Gone,
        took: Span::ZERO,
    }
}
