//! Who should have what, and why: from the policy and one look at the host to a target for every knob.
//!
//! **Problem.** Components are configured in guarantees and ceilings; the kernel knows weights among siblings, quotas, protections
//! that count only as far as their ancestors', and limits per cgroup.
//!
//! **Approach.** One file per resource turns a component's policy into targets for its homes; `tree` adds up what must be carried
//! through the ancestors. A knob that nothing in the configuration asks for is not written; one that was asked for before and is not
//! any more goes back to its original.
//!
//! **Terms.** *home*: a cgroup in which a component lives. *target*: a wanted value with its reason.
//!
//! **Algorithm.** Place loose processes; CPU, memory, I/O, pids per home; weights and protections up the tree; give back what
//! is no longer asked for; sort.
//!
//! **Properties.** Deterministic; independent of the order of components; a component that spans several cgroups divides its
//! ceilings among them, rounded down, so that together they never exceed them (unless a part would be so small that it were a freeze); no limit is ever put on an ancestor.

mod affinity;
mod ahead;
mod auto_affinity;
mod cap;
mod cpu;
mod disk;
pub mod fair;
mod guard;
mod high;
mod instances;
mod io;
mod ladder;
mod memory;
mod mend;
mod pace;
mod partition;
mod pids;
mod place;
mod pool;
mod pressed;
mod probe;
mod realtime;
mod retain;
mod scale;
mod steer;
mod strategy;
mod tree;
mod victim;

pub use pace::Pace;
pub use retain::doomed;
pub use scale::{Look, Scaling};
pub use steer::Steering;

use crate::config::{Component, Policy};
use crate::estimate::Ownership;
use crate::model::{Along, Decision, Home, Knob, KnobKind, Reason, Snapshot, Target};
use crate::units::{Bytes, CgroupPath};

/// Everything the resource files look at.
struct Case<'a> {
    policy: &'a Policy,
    seen: &'a Snapshot,
    ownership: &'a Ownership,
    steering: &'a Steering,
    /// The guarantees of all critical components together.
    critical: Bytes,
    seats: affinity::Seats,
    /// Whether any component gives way to others.
    has_yielding: bool,
}

/// A component with its homes; a component without any is not among them.
struct Housed<'a> {
    component: &'a Component,
    homes: &'a [Home],
}

impl Housed<'_> {
    /// How many cgroups share the component's ceilings.
    fn parts(&self) -> u64 {
        u64::try_from(self.homes.len()).unwrap_or(u64::MAX).max(1)
    }

    fn target(&self, home: &Home, knob: Knob, reason: Reason) -> Target {
        let component = Some(self.component.name.clone());
        Target { component, at: home.path().clone(), knob, reason }
    }

    fn configured(&self, home: &Home, knob: Knob, key: &'static str) -> Target {
        self.target(home, knob, Reason::Configured { key: key.into() })
    }
}

/// What is wanted now.
#[must_use]
pub fn decide(
    policy: &Policy,
    ownership: &Ownership,
    steering: &Steering,
    seen: &Snapshot,
) -> Decision {
    let critical = memory::critical(policy);
    let seats = affinity::seats(policy, ownership, steering, seen);
    let partitions = partition::partitions(policy, seen, &seats);
    let guards = steering.guards();
    let grounds = realtime::Grounds { policy, ownership, guards, seats: &seats, seen };
    let realtime = realtime::realtime(grounds);
    let has_yielding = policy.has_yielding();
    let case = Case { policy, seen, ownership, steering, critical, seats, has_yielding };
    let housed = housed(policy, seen);
    let mut decision = Decision {
        placements: place::placements(&case),
        entitlement: cpu::entitlement(&case, &housed),
        sharing: case.seats.sharing.clone(),
        unparted: partitions.refused.clone(),
        reliefs: steering.reliefs().cloned().collect(),
        jobs: steering.jobs().cloned().collect(),
        ladder: steering.ladder().cloned(),
        threads: realtime.threads,
        realtime: realtime.told,
        ..Decision::default()
    };
    for component in &housed {
        of_component(&case, component, &mut decision.targets);
    }
    decision.targets.extend(partitions.targets(seen));
    decision.targets.extend(tree::weights(&case, &housed, &decision.entitlement));
    let protections = tree::protections(&case, &decision.targets);
    decision.targets.extend(protections);
    // A home may lie below another: of two values for one knob the greater protection or weight stands, which is sorted first.
    decision.targets.sort_by(|a, b| (place(a), &b.knob).cmp(&(place(b), &a.knob)));
    decision.targets.dedup_by(|later, kept| place(later) == place(kept));
    let returned = no_longer_asked_for(&case, &decision.targets);
    if !returned.is_empty() {
        decision.targets.extend(returned);
        decision.targets.sort_by(|a, b| place(a).cmp(&place(b)));
    }
    decision
}

/// What a target is for; no two have the same.
fn place(target: &Target) -> (&CgroupPath, KnobKind) {
    (&target.at, target.knob.kind())
}

/// What one component asks of its homes' own knobs, added to `targets`.
fn of_component(case: &Case<'_>, housed: &Housed<'_>, targets: &mut Vec<Target>) {
    cpu::targets(case, housed, targets);
    memory::targets(case, housed, targets);
    io::targets(case, housed, targets);
    targets.extend(pids::targets(case, housed));
    targets.extend(standstill(case, housed));
}

/// Whoever is to stand still, and whoever runs again after it did.
fn standstill(case: &Case<'_>, housed: &Housed<'_>) -> impl Iterator<Item = Target> {
    let target = move |home: &Home| {
        let (frozen, reason) = case.steering.standstill(home.path())?;
        Some(housed.target(home, Knob::CgroupFreeze(frozen), reason))
    };
    housed.homes.iter().filter_map(target)
}

fn housed<'a>(policy: &'a Policy, seen: &'a Snapshot) -> Vec<Housed<'a>> {
    let mut all = Along::new(&seen.homes);
    let with_homes = |component: &'a Component| {
        let homes = all.get(&component.name).filter(|homes| !homes.is_empty())?;
        Some(Housed { component, homes })
    };
    policy.components.values().filter_map(with_homes).collect()
}

/// Every home of every component, with in how many it lives.
fn homes<'a>(
    policy: &'a Policy,
    seen: &'a Snapshot,
) -> impl Iterator<Item = (&'a Component, &'a Home, u64)> {
    homes_of(policy.components.values(), seen)
}

/// Every home of these components, with in how many it lives.
fn homes_of<'a>(
    components: impl Iterator<Item = &'a Component>,
    seen: &'a Snapshot,
) -> impl Iterator<Item = (&'a Component, &'a Home, u64)> {
    let mut all = Along::new(&seen.homes);
    components.flat_map(move |component| {
        let homes = all.get(&component.name).map(Vec::as_slice).unwrap_or_default();
        let count = u64::try_from(homes.len()).unwrap_or(u64::MAX);
        homes.iter().map(move |home| (component, home, count))
    })
}

/// Every home of every component that yields.
fn yielding<'a>(
    policy: &'a Policy,
    seen: &'a Snapshot,
) -> impl Iterator<Item = (&'a Component, &'a Home, u64)> {
    homes_of(policy.components.values().filter(|component| component.yields), seen)
}

/// Knobs that provost wrote and that none of `targets`, sorted by place, asks for any more: back to what was there before.
fn no_longer_asked_for(case: &Case<'_>, targets: &[Target]) -> Vec<Target> {
    let mut asked = targets.iter().map(place).peekable();
    let mut returned = Vec::new();
    for (path, kind, record) in case.ownership.records() {
        while asked.next_if(|asked| *asked < (path, kind)).is_some() {}
        let (Some(original), Some(effective)) = (&record.original, &record.effective) else {
            continue;
        };
        if original != effective && asked.peek() != Some(&(path, kind)) {
            returned.push(Target {
                component: None,
                at: path.clone(),
                knob: original.clone(),
                reason: if record.passing && record.beneath.is_none() {
                    Reason::YieldsNoMore
                } else {
                    Reason::NoLongerConfigured
                },
            });
        }
    }
    returned
}

#[cfg(test)]
mod tests;
