//! Threads in real time: which of a component's threads run under `SCHED_RR`, and when none does.
//!
//! **Problem.** A thread that must react at once loses milliseconds to whoever runs when it wakes up, even to its own component's other
//! threads. In real time it runs first; but then it also keeps its CPU for as long as it likes, and no limit binds it.
//!
//! **Approach.** Only named threads, only on CPUs that the kernel shows as the component's own and as nobody else's, only while
//! [`Guards`](super::guard::Guards) finds that they sleep now and then, and only where the kernel keeps some of each CPU for all others. When
//! one of these ends, all are lowered.
//!
//! **Terms.** *named*: its name matches `cpu.realtime.threads`. *to raise*: to put under `SCHED_RR`. *to lower*: to give back the policy of
//! before. *foreign*: of a policy other than `SCHED_OTHER` that provost did not set.
//!
//! **Algorithm.** For each component of the class: why none may be raised, if anything; then for each thread that provost raised, whether it
//! stays so; then, if nothing is in the way, each named thread that nobody changed.
//!
//! **Properties.** A foreign policy is never touched. A thread of a component without a seat is never raised, and a raised one that is not seen
//! where it was is lowered. On the reached state nothing is left to do.

use super::affinity::Seats;
use super::guard::Guards;
use super::homes;
use crate::config::{Component, Policy, RealtimePolicy};
use crate::estimate::{Ownership, RaisedThread};
use crate::model::{
    Home, Knob, KnobKind, RealtimeSeen, RealtimeView, Sched, Snapshot, ThreadLine, ThreadOwner,
    ThreadTarget, ThreadView,
};
use crate::units::{CgroupPath, ComponentName, CpuSet, ProcId, Tick};
use std::collections::BTreeMap;

/// What is decided on, beside the look.
#[derive(Clone, Copy)]
pub(super) struct Grounds<'a> {
    pub(super) policy: &'a Policy,
    pub(super) ownership: &'a Ownership,
    pub(super) guards: &'a Guards,
    pub(super) seats: &'a Seats,
    pub(super) seen: &'a Snapshot,
}

/// Which threads are to be what, and what is told of each component.
#[derive(Debug, Default)]
pub(super) struct Realtime {
    pub(super) threads: Vec<ThreadTarget>,
    pub(super) told: BTreeMap<ComponentName, RealtimeView>,
}

/// Why no thread of a component is raised, and until when.
type Obstacle = (String, Option<Tick>);

/// Decides on all threads that are named or were raised.
pub(super) fn realtime(grounds: Grounds<'_>) -> Realtime {
    let mut realtime = Realtime::default();
    for component in grounds.policy.components.values() {
        let (Some(wish), Some(seen)) =
            (component.realtime(), grounds.seen.realtime.get(&component.name))
        else {
            continue;
        };
        let obstacle = obstacle(grounds, component, seen);
        if obstacle.is_none() {
            realtime.threads.extend(raised(grounds, component, wish, seen));
        }
        realtime.told.insert(component.name.clone(), view(grounds, wish, seen, obstacle));
    }
    let kept = |thread: ProcId| realtime.threads.iter().any(|target| target.thread == thread);
    let lowered: Vec<ThreadTarget> = grounds
        .ownership
        .threads
        .iter()
        .filter(|(thread, _)| !kept(*thread))
        .filter_map(|(thread, raised)| lower(grounds, &realtime.told, thread, raised))
        .collect();
    realtime.threads.extend(lowered);
    realtime
}

/// The named threads that are raised or may be.
fn raised<'a>(
    grounds: Grounds<'a>,
    component: &'a Component,
    wish: &'a RealtimePolicy,
    seen: &'a RealtimeSeen,
) -> impl Iterator<Item = ThreadTarget> + 'a {
    let wanted = Sched::rr(wish.priority);
    let target = move |view: &ThreadView| {
        let group = grounds.seen.groups.get(&view.home)?;
        let may = match grounds.ownership.threads.get(view.thread) {
            None => view.sched == Sched::OTHER,
            Some(raised) => view.sched == raised.given && raised.given == wanted,
        };
        may.then(|| ThreadTarget {
            component: component.name.clone(),
            at: crate::units::CgroupRef { path: view.home.clone(), id: group.id },
            thread: view.thread,
            name: view.name.clone(),
            held: view.sched,
            wanted,
            because: "named by cpu.realtime, on CPUs of its own".to_owned(),
        })
    };
    seen.threads.iter().filter_map(target)
}

/// A raised thread that is not to be so any more; none where somebody else has changed it since.
fn lower(
    grounds: Grounds<'_>,
    told: &BTreeMap<ComponentName, RealtimeView>,
    thread: ProcId,
    raised: &RaisedThread,
) -> Option<ThreadTarget> {
    if grounds.ownership.threads.refused(&raised.component).is_some_and(|refused| refused.lowering)
    {
        return None;
    }
    let threads = grounds.seen.realtime.get(&raised.component).map(|seen| seen.threads.as_slice());
    let view = threads.unwrap_or_default().iter().find(|view| view.thread == thread);
    if view.is_some_and(|view| view.sched != raised.given) {
        return None;
    }
    let because = match told.get(&raised.component) {
        None => "no longer configured".to_owned(),
        Some(_) if view.is_none() => "it ended, has left, or has another name".to_owned(),
        Some(RealtimeView { held: Some(why), .. }) => why.clone(),
        Some(RealtimeView { held: None, .. }) => "it is to have another priority".to_owned(),
    };
    Some(ThreadTarget {
        component: raised.component.clone(),
        at: raised.at.clone(),
        thread,
        name: raised.name.clone(),
        held: raised.given,
        wanted: raised.original,
        because,
    })
}

/// Why no thread of the component may be in real time now.
fn obstacle(grounds: Grounds<'_>, component: &Component, seen: &RealtimeSeen) -> Option<Obstacle> {
    let name = &component.name;
    if !grounds.seen.host.rt_bounded {
        let why = "kernel.sched_rt_runtime_us leaves nothing of a CPU to all others, so that a thread that does not sleep could not be \
                   stopped; write 950000 there";
        return Some((why.to_owned(), None));
    }
    if let Some((why, until)) = grounds.guards.obstacle(name) {
        return Some((why, Some(until)));
    }
    let Some(seat) = grounds.seats.own(name) else {
        let why = grounds.seats.sharing.get(name).map_or("it has none now", String::as_str);
        return Some((format!("it needs CPUs of its own: {why}"), None));
    };
    if let Some(why) = unseated(grounds, name, seat, seen) {
        return Some((why, None));
    }
    let refused = grounds.ownership.threads.refused(name)?;
    Some((refused.advice.clone(), Some(refused.until)))
}

/// What the kernel shows otherwise than a seat is: every home has it, and nobody else's home has any of it.
fn unseated(
    grounds: Grounds<'_>,
    name: &ComponentName,
    seat: &CpuSet,
    seen: &RealtimeSeen,
) -> Option<String> {
    let list = |home: &Home| cpus(grounds.seen, home.path());
    for (component, home, _) in homes(grounds.policy, grounds.seen) {
        let path = home.path();
        if component.name == *name {
            if list(home) != Some(seat) || seen.cpus.get(path) != Some(seat) {
                return Some(format!("{path} does not run on CPUs {seat} alone yet"));
            }
        } else if list(home).is_none_or(|cpus| !cpus.intersection(seat).is_empty()) {
            return Some(format!("{} may run on CPUs {seat} as well", component.name));
        }
    }
    None
}

/// The list of a group that has one.
fn cpus<'a>(seen: &'a Snapshot, path: &CgroupPath) -> Option<&'a CpuSet> {
    match seen.groups.get(path)?.knob(KnobKind::CpusetCpus).value() {
        Some(Knob::CpusetCpus(cpus)) if !cpus.is_empty() => Some(cpus),
        _ => None,
    }
}

fn view(
    grounds: Grounds<'_>,
    wish: &RealtimePolicy,
    seen: &RealtimeSeen,
    obstacle: Option<Obstacle>,
) -> RealtimeView {
    let (held, until) = obstacle.map_or((None, None), |(why, until)| (Some(why), until));
    let threads = seen.threads.iter().map(|view| ThreadLine {
        thread: view.thread,
        name: view.name.clone(),
        sched: view.sched,
        whose: match grounds.ownership.threads.get(view.thread) {
            Some(raised) if raised.given == view.sched => ThreadOwner::Provost,
            Some(_) => ThreadOwner::TakenBack,
            None if view.sched == Sched::OTHER => ThreadOwner::Nobody,
            None => ThreadOwner::Foreign,
        },
    });
    let threads = threads.collect();
    RealtimeView { priority: wish.priority, held, until, threads, more: seen.more }
}
