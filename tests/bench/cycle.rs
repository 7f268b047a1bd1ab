//! P3, P11, P12: whole cycles on scratch cgroups, and deciding and planning alone on a made-up host.

use crate::counting::allocations;
use crate::measure::{Budget, Sweep, Table, cost, duel, median, once};
use crate::tree::{Held, Scratch, policy};
use provost::cycle::{State, rest, step};
use provost::decide::{Steering, decide};
use provost::estimate::Ownership;
use provost::kernel::host;
use provost::kernel::probe::Roots;
use provost::model::{
    Action, Controller, GroupView, Home, HomeKind, KnobKind, Reading, Snapshot, Usage, Via,
};
use provost::observe::{Collector, Happened};
use provost::plan::plan;
use provost::units::{Bytes, CgroupId, CgroupPath, CgroupRef, Span, Tick};

pub(crate) fn run(table: &mut Table) {
    for count in [10, 100, 1000] {
        on_cgroups(table, count);
    }
}

/// Time as the daemon would have it.
struct Clock(Tick);

impl Clock {
    fn after(&mut self, span: Span) -> Tick {
        self.0 = self.0.plus(span);
        self.0
    }
}

fn on_cgroups(table: &mut Table, count: usize) {
    let scratch = Scratch::new(count);
    let policy = policy(&scratch.configuration());
    let mut held = Held::open(&scratch.fast_files());
    let mut sweep = Sweep::new();
    let mut clock = Clock(Tick::default().plus(Span::secs(100)));
    let mut firsts = Vec::new();
    for _ in 0..5 {
        firsts.push(once(|| {
            let mut collector = Collector::new(scratch.fs(), &scratch.roots());
            collector.look(&policy, clock.0, Happened::default());
            let first = step(&policy, State::default(), collector.last());
            assert!(first.news.is_some(), "the first cycle plans");
        }));
    }
    let large = count == 1000;
    let bounded = |most| if large { Budget::Most(most) } else { Budget::Shown };
    let name = format!("ms, first cycle (look and plan), {count} components");
    table.row("P13", &name, (0.0, median(firsts) / 1e3), bounded(300.0));

    let mut collector = Collector::new(scratch.fs(), &scratch.roots());
    collector.look(&policy, clock.0, Happened::default());
    let mut state = step(&policy, State::default(), collector.last()).state;
    let mut steady = || {
        collector.look(&policy, clock.after(Span::millis(1)), Happened::default());
        assert!(rest(&policy, &mut state, collector.last()), "a steady cycle has no news");
    };
    let (floor, hot) = duel(|| (), || held.read(), &mut steady);
    let name = format!("ms, steady cycle, {count} components, hot");
    table.row("P3", &name, (floor / 1e3, hot / 1e3), Budget::Shown);
    let (floor, cold) = duel(|| sweep.sweep(), || held.read(), &mut steady);
    let name = format!("ms, steady cycle, {count} components, caches swept");
    table.row("P3", &name, (floor / 1e3, cold / 1e3), bounded(8.0));
    let asked: u64 = (0..15).map(|_| allocations(&mut steady)).sum();
    let name = format!("allocations in 15 steady cycles, {count} components");
    table.row("", &name, (0.0, f64::from(u32::try_from(asked).unwrap())), Budget::Most(0.0));
    // A reconciliation is due each ten seconds, and reads the knobs in the looks that follow it.
    let mut second = || {
        collector.look(&policy, clock.after(Span::secs(1)), Happened::default());
        let _rests = rest(&policy, &mut state, collector.last());
    };
    second();
    let rounds: Vec<[f64; 10]> =
        (0..5).map(|_| std::array::from_fn(|_| once(&mut second))).collect();
    let longest = |round: &[f64; 10]| round.iter().copied().fold(0.0, f64::max);
    let longest = median(rounds.iter().map(longest).collect());
    let name = format!("ms, longest of ten cycles, one reconciles, {count} components");
    table.row("P12", &name, (0.0, longest / 1e3), bounded(25.0));
    let mean = median(rounds.iter().map(|round| round.iter().sum::<f64>() / 10.0).collect());
    let name = format!("ms, mean of ten cycles, {count} components");
    table.row("P5", &name, (0.0, mean / 1e3), Budget::Shown);
}

/// A thousand services with three limits each, on a host that exists on paper only.
pub(crate) fn on_paper(table: &mut Table) {
    let component = |number: usize| {
        format!(
            "[component.c{number:04}]\nmatch = {{ unit = \"c{number:04}.service\" }}\n\
             cpu = {{ ceiling = \"500m\" }}\nmemory = {{ ceiling = \"64M\" }}\npids = {{ ceiling = 100 }}\n"
        )
    };
    let text: String = (0..1000).map(component).collect();
    let policy = policy(&text);
    let mut seen = Snapshot::new(Tick::default(), host::view(&Roots::host()));
    add(&mut seen, CgroupPath::root());
    add(&mut seen, CgroupPath::new("system.slice"));
    for component in policy.components.values() {
        let unit = format!("{}.service", component.name);
        let path = CgroupPath::new("system.slice").child(&unit);
        let at = CgroupRef { path: path.clone(), id: add(&mut seen, path) };
        seen.homes.insert(component.name.clone(), vec![Home { at, kind: HomeKind::Unit { unit } }]);
    }
    let ownership = Ownership::default();
    let steering = Steering::default();
    let decided =
        cost(|| drop(std::hint::black_box(decide(&policy, &ownership, &steering, &seen))));
    table.row("P11", "ms, decide, 1000 components", (0.0, decided / 1e3), Budget::Most(1.0));
    let decision = decide(&policy, &ownership, &steering, &seen);
    let planned = cost(|| drop(std::hint::black_box(plan(&ownership, &seen, &decision))));
    table.row(
        "",
        "ms, plan, 1000 components x 3 knobs and weights",
        (0.0, planned / 1e3),
        Budget::Shown,
    );
    let (first, _) = plan(&ownership, &seen, &decision);
    let stepped = cost(|| drop(std::hint::black_box(step(&policy, State::default(), &seen))));
    table.row(
        "",
        "ms, step with everything to write, 1000 components",
        (0.0, stepped / 1e3),
        Budget::Shown,
    );
    for action in &first.actions {
        let group = seen.groups.get_mut(action.path()).unwrap();
        for change in Action::changes(action) {
            group.knobs.insert(change.new.kind(), Reading::Is(change.new.clone()));
        }
    }
    let settled = cost(|| drop(std::hint::black_box(step(&policy, State::default(), &seen))));
    table.row(
        "",
        "ms, step with nothing to write, 1000 components",
        (0.0, settled / 1e3),
        Budget::Shown,
    );
    let again = step(&policy, State::default(), &seen).news.unwrap();
    assert!(again.plan.is_empty(), "what is there is not written");
}

/// Adds a group at the kernel's defaults.
fn add(seen: &mut Snapshot, path: CgroupPath) -> CgroupId {
    let id = CgroupId(1000 + u64::try_from(seen.groups.len()).unwrap());
    let is_unit = !path.is_root();
    let via = if is_unit { Via::Unit(path.name().to_owned()) } else { Via::File };
    let defaults = KnobKind::SINGLE.into_iter();
    let view = GroupView {
        id,
        via,
        controllers: Reading::Is(Controller::ALL.into_iter().collect()),
        populated: true,
        knobs: defaults.map(|kind| (kind, Reading::Is(kind.kernel_default()))).collect(),
        usage: Usage { memory: Some(Bytes::mebi(10)), ..Usage::default() },
        unmanaged_weight: 0,
        holds_protected: false,
    };
    seen.groups.insert(path, view);
    id
}
