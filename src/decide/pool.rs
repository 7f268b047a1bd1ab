//! The pool's CPU cap: while protected components wait for CPU, what the pool's members use together is limited so that headroom
//! stays free.
//!
//! **Problem.** Weights give a protected component its share within milliseconds, but a thread that wakes up beside busy ones still
//! waits for a turn. Only CPUs that nobody uses are there at once. A cap that is always there would waste them on a quiet host.
//!
//! **Approach.** While the CPU is pressed, cap what the pool uses at what is left after everybody else and the headroom; down at once, up
//! slowly. When it is pressed no more, let the cap rise until it is none.
//!
//! **Terms.** *member*: a component that yields. *other use*: everything outside the pool, the larger of the last
//! look and the mean of the last [`RECENT`]. *headroom*: the part of the host that stays free. *part*: one home's portion of the cap.
//! *hungry*: has used nine tenths of its part, and not less than half of it since.
//!
//! **Algorithm.** `room = max(floor, capacity - headroom - other use)`; the cap falls to it at once and rises by a tenth of the host a second.
//! Where somebody still waits a second after the cap was lowered, the host's CPUs are not all alike to it (its affinity, or a sibling
//! thread): the cap falls by another fifth each second, and stays there until nobody has waited for a while.
//! Parts: by [`fair::allocate`] among the homes, as `division` says; who is not hungry wants a quarter more than it uses, and what nobody wants
//! goes to all in the same way. The cap is divided anew when it moved by more than its deadband, and when a home became hungry or is not any
//! more.
//!
//! **Properties.** Parts sum to at most the cap; a home never gets less than the least quota nor, while they fit, less than its guarantee; a
//! look that lacks a member's rate changes nothing; under constant load the parts come to rest.

use super::fair::{Claim, allocate};
use crate::config::{Component, Policy};
use crate::estimate::Rates;
use crate::model::{Home, Snapshot};
use crate::units::{CgroupPath, Millicpu, Span, Tick};
use std::collections::BTreeMap;

/// Looks over which other use is averaged.
const RECENT: usize = 5;
/// The cap never falls below this part of the host.
const FLOOR_PERCENT: u64 = 5;
/// The cap rises by this part of the host in a second.
const RISE_PERCENT: u64 = 10;
/// The cap follows the room down when it is off by this part of the host, and up when it is off by four times that: rates differ
/// from look to look, and a cap that moves with them is noise.
const DEADBAND_PERCENT: u64 = 1;
const RISE_DEADBANDS: u64 = 4;
/// A cap that has not helped after this is too high.
const HELPS_WITHIN: Span = Span::millis(900);
/// Of a part below this part of the host nothing is taken for others.
const TRIFLE_PERCENT: u64 = 4;
/// The least rate that a home gets: below it programs misbehave.
const LEAST: Millicpu = Millicpu(10);

/// The pool between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pool {
    capacity: Millicpu,
    cap: Option<Cap>,
    /// What each member's home may use.
    parts: BTreeMap<CgroupPath, Part>,
    others: Recent,
}

/// The cap on all members together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cap {
    /// Where the cap is, which moves at every look.
    at: Millicpu,
    /// What the parts were made of, which moves by the deadband.
    given: Millicpu,
    /// When it was moved last.
    moved: Tick,
    /// When the parts were lowered last.
    lowered: Tick,
    /// What it may be at most until nobody waits any more, because more did not help.
    most: Millicpu,
}

/// A home's portion of the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    given: Millicpu,
    hungry: bool,
}

/// The last few rates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Recent {
    rates: [Millicpu; RECENT],
    count: usize,
    next: usize,
}

/// Why the pool is capped, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    /// What all members may use together.
    pub(super) cap: Millicpu,
    /// What everybody else uses.
    pub(super) others: Millicpu,
}

/// What moves the cap in one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press {
    /// Whether protected components wait for CPU, or did a while ago.
    pub(super) pressed: bool,
    /// Whether one waits now.
    pub(super) waits: bool,
    /// The part of the host that stays free, in percent.
    pub(super) headroom_percent: u64,
}

/// A home of a member with what it uses.
struct Member<'a> {
    component: &'a Component,
    home: &'a Home,
    homes: usize,
    used: Millicpu,
}

impl Pool {
    /// Takes in one look. Whether a part changed. Allocates only when it does.
    pub(super) fn update(
        &mut self,
        policy: &Policy,
        rates: &Rates,
        seen: &Snapshot,
        press: Press,
    ) -> bool {
        let Some(others) = others(policy, rates, seen) else {
            return false;
        };
        self.others.add(others);
        if self.cap.is_none() && !press.pressed {
            return false;
        }
        let capacity = capacity(seen);
        self.capacity = capacity;
        let had = self.cap.unwrap_or(Cap::none(capacity, seen.at));
        let most = if press.pressed { had.most(press.waits, capacity, seen.at) } else { capacity };
        let room = if press.pressed { self.room(capacity, press).min(most) } else { capacity };
        let cap = Cap { most, ..had.follow(room, capacity, seen.at) };
        if cap.at >= capacity {
            self.cap = None;
            let changed = !self.parts.is_empty();
            self.parts.clear();
            return changed;
        }
        let moved = cap.given != had.given || self.cap.is_none();
        self.cap = Some(cap);
        (moved || self.is_unfair(policy, rates, seen))
            && self.divide(policy, rates, seen, cap.given)
    }

    /// What the home may use; none while it is not capped.
    #[must_use]
    pub(super) fn part(&self, home: &CgroupPath) -> Option<Millicpu> {
        self.parts.get(home).map(|part| part.given)
    }

    /// The cap and what it came from; none while there is no cap.
    #[must_use]
    pub(super) fn measured(&self) -> Option<Measured> {
        self.cap.map(|cap| Measured { cap: cap.given, others: self.others.worst() })
    }

    fn room(&self, capacity: Millicpu, press: Press) -> Millicpu {
        let headroom = percent(capacity, press.headroom_percent);
        let floor = percent(capacity, FLOOR_PERCENT);
        capacity.minus(headroom).minus(self.others.worst()).max(floor)
    }

    /// Whether a home's appetite changed, or homes came or went.
    fn is_unfair(&self, policy: &Policy, rates: &Rates, seen: &Snapshot) -> bool {
        let mut count = 0;
        for member in members(policy, rates, seen) {
            let part = self.parts.get(member.home.path());
            if part.is_none_or(|part| part.hungry != self.is_hungry(&member)) {
                return true;
            }
            count += 1;
        }
        count != self.parts.len()
    }

    /// A home without a part may want anything.
    fn is_hungry(&self, member: &Member<'_>) -> bool {
        let Some(part) = self.parts.get(member.home.path()) else {
            return true;
        };
        if part.given.0 < TRIFLE_PERCENT * self.capacity.0 / 100 {
            return true; // its rate is noise, and there is nothing to be had from it
        }
        if part.hungry {
            member.used.0.saturating_mul(2) >= part.given.0
        } else {
            member.used.0.saturating_mul(10) >= part.given.0.saturating_mul(9)
        }
    }

    /// Divides the cap among the members' homes. Whether anything changed by more than the deadband.
    fn divide(&mut self, policy: &Policy, rates: &Rates, seen: &Snapshot, cap: Millicpu) -> bool {
        let members: Vec<Member<'_>> = members(policy, rates, seen).collect();
        let claims: Vec<Claim> = members.iter().map(|member| self.claim(member, cap)).collect();
        let mut given = allocate(cap.0, &claims, policy.division);
        let left = cap.0.saturating_sub(given.iter().sum());
        let rest: Vec<Claim> = claims
            .iter()
            .zip(&given)
            .map(|(claim, had)| {
                let room = claim.max.saturating_sub(*had);
                Claim { floor: 0, want: room, max: room, ..*claim }
            })
            .collect();
        for (has, more) in given.iter_mut().zip(allocate(left, &rest, policy.division)) {
            *has += more;
        }
        let part = |(member, given): (&Member<'_>, u64)| {
            let part = Part { given: Millicpu(given).max(LEAST), hungry: self.is_hungry(member) };
            (member.home.path().clone(), part)
        };
        let parts: BTreeMap<CgroupPath, Part> = members.iter().zip(given).map(part).collect();
        let changed = parts != self.parts;
        self.parts = parts;
        changed
    }

    fn claim(&self, member: &Member<'_>, cap: Millicpu) -> Claim {
        let homes = u64::try_from(member.homes).unwrap_or(u64::MAX).max(1);
        let component = member.component;
        let max = component.cpu.ceiling.value().unwrap_or(cap).min(cap).0 / homes;
        let want = if self.is_hungry(member) { max } else { member.used.0 * 5 / 4 };
        Claim {
            priority: component.priority,
            share_percent: component.share_percent,
            floor: (component.cpu.guarantee.0 / homes).max(LEAST.0),
            want,
            max,
        }
    }
}

impl Cap {
    const fn none(capacity: Millicpu, now: Tick) -> Self {
        Self { at: capacity, given: capacity, moved: now, lowered: now, most: capacity }
    }

    /// The most that it may be: a fifth less than it is when that has not helped.
    fn most(self, waits: bool, capacity: Millicpu, now: Tick) -> Millicpu {
        let had_its_time = self.given < capacity && now.since(self.lowered) >= HELPS_WITHIN;
        if waits && had_its_time { Millicpu(self.at.0 / 5 * 4) } else { self.most }
            .max(percent(capacity, FLOOR_PERCENT))
    }

    /// Down to the room at once, up to it by a tenth of the host a second.
    fn follow(self, room: Millicpu, capacity: Millicpu, now: Tick) -> Self {
        let deadband = percent(capacity, DEADBAND_PERCENT);
        let span = now.since(self.moved).0.min(1_000_000);
        let step = Millicpu(percent(capacity, RISE_PERCENT).0 * span / 1_000_000);
        let at = if room < self.at { room } else { room.min(self.at.plus(step)) };
        let falls = at.plus(deadband) <= self.given;
        let rises = at.0 >= self.given.0 + RISE_DEADBANDS * deadband.0 || at >= capacity;
        let given = if falls || rises { at } else { self.given };
        let lowered = if given < self.given { now } else { self.lowered };
        Self { at, given, moved: now, lowered, ..self }
    }
}

impl Recent {
    fn add(&mut self, rate: Millicpu) {
        if let Some(slot) = self.rates.get_mut(self.next) {
            *slot = rate;
        }
        self.next = (self.next + 1) % RECENT;
        self.count = (self.count + 1).min(RECENT);
    }

    /// The larger of the last rate and the mean.
    fn worst(&self) -> Millicpu {
        let last = (self.next + RECENT - 1) % RECENT;
        let sum: u64 = self.rates.iter().map(|rate| rate.0).sum();
        let count = u64::try_from(self.count.max(1)).unwrap_or(1);
        let mean = Millicpu(sum / count);
        self.rates.get(last).copied().unwrap_or_default().max(mean)
    }
}

fn percent(capacity: Millicpu, percent: u64) -> Millicpu {
    Millicpu(capacity.0 * percent / 100)
}

fn capacity(seen: &Snapshot) -> Millicpu {
    Millicpu::cores(u64::try_from(seen.host.online.len()).unwrap_or(u64::MAX))
}

/// What everybody but the members uses; none when a rate is missing.
fn others(policy: &Policy, rates: &Rates, seen: &Snapshot) -> Option<Millicpu> {
    let all = rates.cpu(&CgroupPath::root())?;
    let mut used = Millicpu::ZERO;
    for (_, home, _) in homes(policy, seen) {
        used = used.plus(rates.cpu(home.path())?);
    }
    Some(all.minus(used))
}

/// Every home of every member.
fn homes<'a>(
    policy: &'a Policy,
    seen: &'a Snapshot,
) -> impl Iterator<Item = (&'a Component, &'a Home, usize)> {
    policy.components.values().filter(|component| component.yields).flat_map(|component| {
        let homes = seen.homes.get(&component.name).map(Vec::as_slice).unwrap_or_default();
        homes.iter().map(move |home| (component, home, homes.len()))
    })
}

fn members<'a>(
    policy: &'a Policy,
    rates: &'a Rates,
    seen: &'a Snapshot,
) -> impl Iterator<Item = Member<'a>> {
    homes(policy, seen).map(|(component, home, homes)| {
        let used = rates.cpu(home.path()).unwrap_or_default();
        Member { component, home, homes, used }
    })
}

#[cfg(test)]
mod tests;
