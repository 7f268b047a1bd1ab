//! Partitions: CPUs of its own on which nobody else runs at all, whether provost knows them or not.
//!
//! **Problem.** A CPU list excludes nobody: what is not registered, and what has no list, still runs on a component's own CPUs. Only a
//! partition takes them from everybody, and it takes them from the groups above and beside too.
//!
//! **Approach.** Who asks for it and has CPUs of its own is made a partition (`cpuset.cpus.partition`), where nobody but provost writes
//! the way down to it. Whether the kernel grants it, it tells on reading back; where it does not, the lists stay as without it.
//!
//! **Terms.** *chain*: the home and all above it but the root. *remote*: a partition whose parent is none, since Linux 6.7: its CPUs are
//! set aside along the chain (`cpuset.cpus.exclusive`). Before that only a group right below the root, or below a partition, can be one.
//!
//! **Algorithm.** By priority and name: one home only, with no home of another component below it and no unit of systemd in its chain; and
//! the CPUs that all partitions leave are at least the reserve and one. Each home gets the word, and along the chain of a remote one each
//! group the union of what lies below it.
//!
//! **Properties.** The root keeps the reserve. Nothing is wanted of a group that systemd writes. Independent of what the kernel granted, so
//! that a refusal is tried again as any other is.

use super::affinity::Seats;
use super::homes_of;
use crate::config::{Component, Policy};
use crate::model::{Home, Knob, KnobKind, Partition, Reason, Snapshot, Target, Validity, Via};
use crate::units::{CgroupPath, ComponentName, CpuSet, Millicpu};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Who is to be a partition, and who asks for it in vain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Partitions {
    own: BTreeMap<CgroupPath, (ComponentName, Partition, CpuSet)>,
    /// Why not.
    pub(super) refused: BTreeMap<ComponentName, String>,
}

/// Chooses among those that have seats.
pub(super) fn partitions(policy: &Policy, seen: &Snapshot, seats: &Seats) -> Partitions {
    let asks = |component: &&Component| component.cpu.partition != Partition::Member;
    let mut asking: Vec<_> = homes_of(policy.components.values().filter(asks), seen)
        .filter_map(|(component, home, count)| {
            Some((component, home, count, seats.own(&component.name)?))
        })
        .collect();
    asking.sort_by_key(|(component, ..)| (Reverse(component.priority), &component.name));
    let mut partitions = Partitions::default();
    let mut left = seen.host.online.clone();
    for (component, home, count, cpus) in asking {
        let name = component.name.clone();
        let rest = left.without(cpus);
        if let Some(why) = obstacle(policy, seen, (&name, home, count), &rest) {
            partitions.refused.insert(name, why);
        } else if is_there(seen, home.path()) {
            left = rest;
            let own = (name, component.cpu.partition, cpus.clone());
            partitions.own.insert(home.path().clone(), own);
        }
    }
    partitions
}

/// What keeps a home from being a partition, if anything does.
fn obstacle(
    policy: &Policy,
    seen: &Snapshot,
    (name, home, count): (&ComponentName, &Home, u64),
    left: &CpuSet,
) -> Option<String> {
    if count > 1 {
        return Some(format!("it lives in {count} groups, and a CPU can be one partition's only"));
    }
    let of_systemd = |path: &CgroupPath| {
        seen.groups.get(path).is_some_and(|group| matches!(group.via, Via::Unit(_)))
    };
    if let Some(unit) = chain(home.path()).into_iter().find(of_systemd) {
        return Some(format!(
            "systemd writes {unit}, and may write its CPUs anew at any time; a partition needs a group that nobody but provost writes"
        ));
    }
    let is_below = |other: &Home| home.path().contains(other.path());
    let mut others = seen.homes.iter().filter(|(other, _)| *other != name);
    if let Some((other, _)) = others.find(|(_, homes)| homes.iter().any(is_below)) {
        return Some(format!("{other} lives in it too"));
    }
    let (count, least) =
        (u64::try_from(left.len()).unwrap_or(u64::MAX), policy.reserve.beside_partitions());
    (Millicpu::cores(count) < least).then(|| {
        format!("it would leave CPUs {left} to all others, less than the reserve of {least} cores")
    })
}

/// Whether the group has the cpuset controller yet; it comes with its CPU list.
fn is_there(seen: &Snapshot, path: &CgroupPath) -> bool {
    let group = seen.groups.get(path);
    group.is_some_and(|group| group.knob(KnobKind::CpusetPartition).value().is_some())
}

/// The home and all above it but the root.
fn chain(home: &CgroupPath) -> Vec<CgroupPath> {
    let above = home.ancestors().filter(|path| !path.is_root());
    std::iter::once(home.clone()).chain(above).collect()
}

/// Whether its CPUs have to be set aside: its parent is no partition, and this kernel knows how.
fn is_remote(seen: &Snapshot, home: &CgroupPath) -> bool {
    let knows = |path: &CgroupPath| {
        let group = seen.groups.get(path);
        group.is_some_and(|group| group.knob(KnobKind::CpusetExclusive).value().is_some())
    };
    // The root is a partition, and has no such file.
    let parent = home.parent().filter(|parent| !parent.is_root());
    let parent = parent.and_then(|parent| seen.groups.get(&parent));
    let member = Knob::CpusetPartition(Partition::Member, Validity::Valid);
    let below_member =
        parent.is_some_and(|group| group.knob(KnobKind::CpusetPartition).value() == Some(&member));
    below_member && chain(home).iter().all(knows)
}

impl Partitions {
    /// What the homes are to be, and what is set aside for them.
    pub(super) fn targets(&self, seen: &Snapshot) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut aside: BTreeMap<CgroupPath, CpuSet> = BTreeMap::new();
        for (home, (name, partition, cpus)) in &self.own {
            targets.push(Target {
                component: Some(name.clone()),
                at: home.clone(),
                knob: Knob::CpusetPartition(*partition, Validity::Valid),
                reason: Reason::Partition,
            });
            for path in chain(home).into_iter().filter(|_| is_remote(seen, home)) {
                let sum = aside.entry(path).or_default();
                *sum = sum.union(cpus);
            }
        }
        targets.extend(aside.into_iter().map(|(at, cpus)| Target {
            component: self.own.get(&at).map(|(name, ..)| name.clone()),
            at,
            knob: Knob::CpusetExclusive(cpus),
            reason: Reason::SetAside,
        }));
        targets
    }
}

#[cfg(test)]
mod tests;
