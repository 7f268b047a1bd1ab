//! Whom a rung of the ladder hits: homes of components that yield, in the order in which they go.
//!
//! **Problem.** Freezing or killing the wrong group hurts somebody for nothing, or takes a neighbour's processes with it.
//!
//! **Approach.** Only homes of components whose configuration allows it, in which nobody protected and no other component lives. Of these
//! the lowest priority first, then by a score of what they hold, how fast they grow and how much they wait themselves.
//!
//! **Terms.** *excess*: memory above the guarantee. *score*: half the part of all excess, three tenths of all growth, a fifth of the time
//! in which it waits for memory; in thousandths.
//!
//! **Properties.** Nobody is chosen whose component does not allow it, and nobody of whom it is not known what it holds.

use super::yielding;
use crate::config::{Component, LastResort, Policy};
use crate::estimate::Estimator;
use crate::model::{GroupView, Hit, Home, Knob, KnobKind, Priority, Radius, Snapshot};
use crate::units::Bytes;

/// A home that may be hit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Victim<'a> {
    pub(super) component: &'a Component,
    pub(super) home: &'a Home,
    pub(super) group: &'a GroupView,
    pub(super) held: Bytes,
    excess: Bytes,
    growth: u64,
    /// In thousandths.
    waits: u64,
}

impl Victim<'_> {
    pub(super) const fn radius(&self) -> Radius {
        Radius { tasks: self.group.usage.pids, held: self.held }
    }

    pub(super) fn hit(&self) -> Hit {
        let (component, at) = (self.component.name.clone(), self.home.path().clone());
        Hit { component, at, radius: self.radius() }
    }

    /// Whether it runs, and provost could make it stand still.
    pub(super) fn runs(&self) -> bool {
        self.group.knob(KnobKind::CgroupFreeze).value() == Some(&Knob::CgroupFreeze(false))
    }

    fn score(&self, excess: Bytes, growth: u64) -> u64 {
        let part = |one: u64, all: u64, most: u64| Bytes(one).scaled(most, all).0;
        part(self.excess.0, excess.0, 500) + part(self.growth, growth, 300) + self.waits / 5
    }
}

/// Those whose components allow `wanted`, the first to go first.
pub(super) fn victims<'a>(
    policy: &'a Policy,
    estimator: &Estimator,
    seen: &'a Snapshot,
    wanted: LastResort,
) -> Vec<Victim<'a>> {
    let allowed = yielding(policy, seen).filter(|(component, ..)| {
        component.last_resort >= wanted && !component.priority.is_protected()
    });
    let mut victims: Vec<Victim<'_>> = allowed
        .filter(|(component, home, _)| is_alone(policy, seen, component, home))
        .filter_map(|(component, home, count)| victim(estimator, seen, (component, home, count)))
        .collect();
    let excess = victims.iter().fold(Bytes::ZERO, |sum, one| sum.plus(one.excess));
    let growth = victims.iter().fold(0, |sum: u64, one| sum.saturating_add(one.growth));
    let rank = |one: &Victim<'_>| -> (Priority, std::cmp::Reverse<u64>) {
        (one.component.priority, std::cmp::Reverse(one.score(excess, growth)))
    };
    victims.sort_by_key(rank);
    victims
}

fn victim<'a>(
    estimator: &Estimator,
    seen: &'a Snapshot,
    (component, home, count): (&'a Component, &'a Home, u64),
) -> Option<Victim<'a>> {
    let group = seen.groups.get(home.path()).filter(|group| group.id == home.at.id)?;
    let held = group.usage.memory?;
    if !group.populated || group.holds_protected {
        return None;
    }
    let need = estimator.group(home.path());
    let growth = need.and_then(|need| need.growth).unwrap_or_default();
    let waits = need.and_then(|need| need.waits.memory).unwrap_or_default();
    Some(Victim {
        component,
        home,
        group,
        held,
        excess: held.minus(component.memory.guarantee.scaled(1, count)),
        growth: u64::try_from(growth).unwrap_or(0),
        waits: u64::from(waits.p10.get()) / 1000,
    })
}

/// Whether neither a sealed unit nor another component lives at the place or below it.
pub(super) fn is_alone(
    policy: &Policy,
    seen: &Snapshot,
    component: &Component,
    home: &Home,
) -> bool {
    let path = home.path();
    let sealed = path.is_root() || path.components().any(|unit| policy.seals(unit));
    let mut others = seen.homes.iter().filter(|(name, _)| **name != component.name);
    !sealed && !others.any(|(_, homes)| homes.iter().any(|other| path.contains(other.path())))
}
