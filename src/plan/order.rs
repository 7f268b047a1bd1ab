//! The order in which every prefix of a plan leaves the host legal.
//!
//! **Problem.** Some values constrain each other (a burst above its quota is refused; a child's protection above its parent's is worth
//! nothing), and some hurt when they come too early (a limit lowered before another was raised).
//!
//! **Approach.** Six phases: rejoin, relax, protect, tighten, expose, part. Within relax, protect and part from the top of the tree down,
//! within the others from the leaves up; of one group's limits `memory.max` rises first and falls last.
//!
//! **Terms.** *relax*: a limit rises. *protect*: a weight changes or a protection rises. *tighten*: a limit falls. *expose*: a protection
//! falls. *part*: a group becomes a partition, after everybody's CPUs were named. *rejoin*: one is a member again, before they are.
//!
//! **Algorithm.** Give every change its phase and its rank within it; sort; then gather the changes of one unit in one phase into one
//! call, since systemd rewrites all attributes of a unit on each call. A leaf's protections are set together with its limits.
//! `memory.oom.group` of a unit is written again after every such call, which resets it.
//!
//! **Properties**, tests in `cycle/tests/prefixes.rs`: an ancestor's protections are raised before any limit is tightened, and no protection
//! falls before all that rise have risen; a quota never falls below its stored burst, nor `memory.max` below `memory.high`; order depends
//! only on the set of changes.

use crate::model::{
    Action, Change, Controller, Decision, HomeKind, Knob, KnobKind, Means, Partition, Placement,
    Reading, Relief, Snapshot, Target, Via,
};
use crate::units::{CgroupPath, CgroupRef};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Rejoin,
    Relax,
    Protect,
    Tighten,
    Expose,
    Part,
}

/// Moves into homes, and homes to be made.
pub(super) fn placements(seen: &Snapshot, decision: &Decision) -> Vec<Action> {
    decision.placements.iter().filter_map(|placement| action(seen, placement)).collect()
}

fn action(seen: &Snapshot, placement: &Placement) -> Option<Action> {
    let homes = seen.homes.get(&placement.component).map(Vec::as_slice).unwrap_or_default();
    let component = placement.component.clone();
    let strays = placement.strays.clone();
    if let Some(home) = homes.iter().find(|home| *home.path() == placement.path) {
        return Some(Action::Attach { component, home: home.clone(), strays });
    }
    let change = |target: &Target| Change {
        component: target.component.clone(),
        old: Reading::Absent,
        new: target.knob.clone(),
        reason: target.reason.clone(),
    };
    let changes: Vec<Change> = placement.targets.iter().map(change).collect();
    let path = placement.path.clone();
    match &placement.home {
        HomeKind::OwnScope { unit } => {
            let (unit, slice) = (unit.clone(), placement.slice.clone());
            Some(Action::MakeScope { component, unit, slice, path, strays, changes })
        }
        HomeKind::OwnGroup => {
            let needed = changes.iter().filter_map(|change| change.new.kind().controller());
            let controllers = needed.chain([Controller::Cpu]).collect();
            Some(Action::MakeGroup { component, path, controllers, strays, changes })
        }
        HomeKind::Unit { .. } | HomeKind::Container { .. } | HomeKind::Group => None,
    }
}

/// What is done once for memory: telling and killing before all else, reclaim and restarts after what gives more.
pub(super) fn reliefs(decision: &Decision) -> (Vec<Action>, Vec<Action>) {
    let at_once = |relief: &&Relief| match relief.means {
        Means::Tell { .. } | Means::TellOfLeak { .. } | Means::Kill { .. } => true,
        Means::Reclaim { .. } | Means::Probe { .. } | Means::Restart { .. } => false,
    };
    let (first, last): (Vec<&Relief>, Vec<&Relief>) = decision.reliefs.iter().partition(at_once);
    let actions = |reliefs: Vec<&Relief>| {
        reliefs.into_iter().map(|relief| Action::Relieve { relief: relief.clone() }).collect()
    };
    (actions(first), actions(last))
}

/// Threads that are lowered, before all else and so before their CPUs are given up, and threads that are raised, after all else.
pub(super) fn threads(decision: &Decision) -> (Vec<Action>, Vec<Action>) {
    let differs = decision.threads.iter().filter(|target| target.held != target.wanted);
    let actions = differs.map(|target| Action::Schedule { target: target.clone() });
    actions.partition(Action::lowers)
}

/// Controllers that the parents of own groups must enable before a changed knob's file appears.
pub(super) fn enablings(seen: &Snapshot, changes: &[(CgroupPath, Change)]) -> Vec<Action> {
    let mut wanted: BTreeMap<CgroupPath, BTreeSet<Controller>> = BTreeMap::new();
    for (path, change) in changes {
        let by_file = seen.groups.get(path).is_some_and(|group| group.via == Via::File);
        if !by_file || change.old != Reading::Absent {
            continue;
        }
        if let (Some(parent), Some(controller)) = (path.parent(), change.new.kind().controller()) {
            wanted.entry(parent).or_default().insert(controller);
        }
    }
    let action = |(path, controllers): (CgroupPath, BTreeSet<Controller>)| {
        let id = seen.groups.get(&path)?.id;
        Some(Action::Enable { at: CgroupRef { path, id }, controllers })
    };
    wanted.into_iter().filter_map(action).collect()
}

/// The changes as actions, in safe order.
pub(super) fn ordered(
    seen: &Snapshot,
    decision: &Decision,
    changes: Vec<(CgroupPath, Change)>,
) -> Vec<Action> {
    let inner: BTreeSet<CgroupPath> =
        changes.iter().flat_map(|(path, _)| path.ancestors()).collect();
    let mut keyed: Vec<_> = changes
        .into_iter()
        .map(|(path, change)| {
            let own_phase = phase(&change);
            let is_leaf = !inner.contains(&path);
            let phase =
                if own_phase == Phase::Protect && is_leaf { Phase::Tighten } else { own_phase };
            let depth = path.components().count();
            let is_upward = matches!(phase, Phase::Rejoin | Phase::Tighten | Phase::Expose);
            let depth = if is_upward { usize::MAX - depth } else { depth };
            ((phase, depth, path, rank(&change, own_phase)), change)
        })
        .collect();
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut actions: Vec<Action> = Vec::new();
    let mut last_phase = None;
    for ((phase, _, path, _), change) in keyed {
        let Some(group) = seen.groups.get(&path) else {
            continue;
        };
        let at = CgroupRef { path, id: group.id };
        push(&mut actions, at, &group.via, change, last_phase == Some(phase));
        last_phase = Some(phase);
    }
    rewrite_what_systemd_resets(seen, decision, &mut actions);
    actions
}

fn push(actions: &mut Vec<Action>, at: CgroupRef, via: &Via, change: Change, same_phase: bool) {
    let unit = match via {
        Via::Unit(unit) if is_property(change.new.kind()) && !change.reason.is_passing() => unit,
        Via::Unit(_) | Via::File => {
            actions.push(Action::Write { at, change });
            return;
        }
    };
    if same_phase {
        for action in actions.iter_mut().rev() {
            match action {
                Action::SetUnit { at: last, changes, .. } if last.path == at.path => {
                    changes.push(change);
                    return;
                }
                Action::Write { at: last, .. } if last.path == at.path => {}
                Action::MakeScope { .. }
                | Action::MakeGroup { .. }
                | Action::Attach { .. }
                | Action::Enable { .. }
                | Action::SetUnit { .. }
                | Action::Relieve { .. }
                | Action::Schedule { .. }
                | Action::Job { .. }
                | Action::Write { .. } => break,
            }
        }
    }
    actions.push(Action::SetUnit { unit: unit.clone(), at, changes: vec![change] });
}

/// Whether systemd has a runtime property for the knob.
const fn is_property(kind: KnobKind) -> bool {
    !matches!(
        kind,
        KnobKind::CpuMaxBurst
            | KnobKind::CpusetPartition
            | KnobKind::CpusetExclusive
            | KnobKind::MemoryOomGroup
            | KnobKind::IoBfqWeight
            | KnobKind::CgroupFreeze
    )
}

fn rewrite_what_systemd_resets(seen: &Snapshot, decision: &Decision, actions: &mut Vec<Action>) {
    let oom_groups: BTreeMap<&CgroupPath, &Target> = decision
        .targets
        .iter()
        .filter(|target| target.knob.kind() == KnobKind::MemoryOomGroup)
        .map(|target| (&target.at, target))
        .collect();
    let mut rewritten = BTreeSet::new();
    let mut rewrites = Vec::new();
    // From the last call back: what counts is the last one of each unit.
    for action in actions.iter().rev() {
        let Action::SetUnit { at, .. } = action else {
            continue;
        };
        let Some(target) = oom_groups.get(&at.path) else { continue };
        let old = seen.groups.get(&at.path).map(|group| group.knob(KnobKind::MemoryOomGroup));
        let Some(old @ (Reading::Is(_) | Reading::Absent)) = old else {
            continue;
        };
        let change = Change {
            component: target.component.clone(),
            old: old.clone(),
            new: target.knob.clone(),
            reason: target.reason.clone(),
        };
        if rewritten.insert(at.path.clone()) {
            rewrites.push(Action::Write { at: at.clone(), change });
        }
    }
    actions.retain(|action| {
        !matches!(action, Action::Write { at, change }
            if change.new.kind() == KnobKind::MemoryOomGroup && rewritten.contains(&at.path))
    });
    actions.extend(rewrites.into_iter().rev());
}

fn phase(change: &Change) -> Phase {
    let old = change.old.value();
    match &change.new {
        Knob::CpuWeight(_) | Knob::IoWeight(_) | Knob::IoBfqWeight(_) | Knob::MemoryOomGroup(_) => {
            Phase::Protect
        }
        Knob::MemoryMin(_) | Knob::MemoryLow(_) => {
            if old.is_some_and(|old| *old > change.new) {
                Phase::Expose
            } else {
                Phase::Protect
            }
        }
        Knob::CpusetPartition(Partition::Member, _) => Phase::Rejoin,
        Knob::CpusetPartition(Partition::Root | Partition::Isolated, _) => Phase::Part,
        Knob::CpusetExclusive(cpus) => match old {
            Some(Knob::CpusetExclusive(had)) if !had.is_subset(cpus) => Phase::Rejoin,
            Some(_) | None => Phase::Part,
        },
        Knob::CpusetCpus(cpus) => match old {
            Some(Knob::CpusetCpus(had))
                if cpus.is_empty() || had.is_subset(cpus) && !had.is_empty() =>
            {
                Phase::Relax
            }
            Some(_) | None => Phase::Tighten,
        },
        Knob::CpuMax(max) => match old {
            Some(Knob::CpuMax(had)) if max.rate() >= had.rate() => Phase::Relax,
            Some(_) | None => Phase::Tighten,
        },
        Knob::IoMax(_, max) => match old {
            Some(Knob::IoMax(_, had))
                if max.rbps >= had.rbps
                    && max.wbps >= had.wbps
                    && max.riops >= had.riops
                    && max.wiops >= had.wiops =>
            {
                Phase::Relax
            }
            Some(_) | None => Phase::Tighten,
        },
        Knob::CgroupFreeze(true) => Phase::Tighten,
        Knob::CgroupFreeze(false) => Phase::Relax,
        // A burst follows its quota: raised after the quota was raised, lowered before it is lowered.
        Knob::CpuMaxBurst(_)
        | Knob::MemoryHigh(_)
        | Knob::MemoryMax(_)
        | Knob::MemorySwapMax(_)
        | Knob::PidsMax(_) => {
            if old.is_some_and(|old| change.new > *old) {
                Phase::Relax
            } else {
                Phase::Tighten
            }
        }
    }
}

/// Where in its phase a change of one group comes.
fn rank(change: &Change, own_phase: Phase) -> u8 {
    match (own_phase, change.new.kind()) {
        (Phase::Relax, KnobKind::CpuMaxBurst) => 9,
        (Phase::Relax, KnobKind::CgroupFreeze) => 10,
        (Phase::Relax, KnobKind::MemoryHigh) => 1,
        (Phase::Rejoin, KnobKind::CpusetExclusive) | (Phase::Part, KnobKind::CpusetPartition) => 1,
        (Phase::Rejoin | Phase::Relax | Phase::Expose | Phase::Part, _) => 0,
        // Not there yet: the file appears when the unit's quota is set.
        (Phase::Tighten, KnobKind::CpuMaxBurst) if change.old == Reading::Absent => 12,
        (Phase::Tighten, KnobKind::CpuMaxBurst) => 0,
        (Phase::Protect, KnobKind::MemoryMin | KnobKind::MemoryLow) => 1,
        (Phase::Protect, _) => 2,
        (Phase::Tighten, kind) => match kind {
            KnobKind::MemoryHigh => 3,
            KnobKind::CpuMax => 5,
            KnobKind::IoMax(_) => 6,
            KnobKind::PidsMax => 7,
            KnobKind::CpusetCpus => 8,
            KnobKind::MemorySwapMax => 9,
            KnobKind::MemoryMax => 10,
            KnobKind::CgroupFreeze => 11,
            KnobKind::CpuWeight
            | KnobKind::IoWeight
            | KnobKind::IoBfqWeight
            | KnobKind::MemoryMin
            | KnobKind::MemoryLow
            | KnobKind::MemoryOomGroup
            | KnobKind::CpusetPartition
            | KnobKind::CpusetExclusive
            | KnobKind::CpuMaxBurst => 2,
        },
    }
}
