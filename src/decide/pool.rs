//! The pool's CPU cap: while protected components wait for CPU, what the pool's members use together is limited so that headroom
//! stays free.
//!
//! **Problem.** Weights give a protected component its share within milliseconds, but a thread that wakes up beside busy ones still
//! waits for a turn. Only CPUs that nobody uses are there at once. A cap that is always there would waste them on a quiet host.
//!
//! **Approach.** While the CPU is pressed, cap what the pool uses at what is left after everybody else and the headroom; down at once, up
//! slowly. When it is pressed no more, let the cap rise until it is none. The same where what protected components are expected to need soon
//! will not fit beside what the members use now.
//!
//! **Terms.** *member*: a component that yields. *other use*: everything outside the pool, the larger of the last
//! look and the mean of the last few. *headroom*: the part of the host that stays free. *part*: one home's portion of the cap.
//! *hungry*: has used nine tenths of its part, and not less than half of it since.
//!
//! **Algorithm.** `room = max(floor, capacity - headroom - other use)`; the cap falls to it at once and rises by a tenth of the host a second.
//! Where somebody still waits a second after the cap was lowered, the host's CPUs are not all alike to it (its affinity, or a sibling
//! thread): the cap falls by another fifth each second, and stays there until nobody has waited for a while or less than half of it is
//! used: then it is not what they wait for.
//! Parts: by [`divide_all`] among the homes, as `division` says; who is not hungry wants a quarter more than it uses, and a trifle at least. The cap is divided anew when it moved by more than its deadband, and when a home became hungry or is not any
//! more.
//!
//! **Properties.** Parts sum to at most the cap; a home never gets less than the least quota nor, while they fit, less than its guarantee; a
//! look that lacks a member's rate changes nothing; under constant load the parts come to rest.

use super::cap::{Cap, Recent, percent, room};
use super::fair::{Claim, divide_all};
use super::pressed::Pressed;
use super::yielding;
use crate::config::{Component, Policy};
use crate::estimate::Rates;
use crate::model::{Home, Snapshot};
use crate::units::{CgroupPath, Millicpu, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A cap that has not helped after this is too high.
const HELPS_WITHIN: Span = Span::millis(900);
/// A cap that does not help falls to this part of the host: where all want the same one of a few CPUs, a twentieth of the host is much of it.
const LEAST_PERCENT: u64 = 2;
/// Of a part below this part of the host nothing is taken for others.
const TRIFLE_PERCENT: u64 = 4;
/// The least rate that a home gets: below it programs misbehave.
const LEAST: Millicpu = Millicpu(10);

/// The pool between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pool {
    capacity: Millicpu,
    cap: Option<Cap>,
    /// What each member's home may use.
    parts: BTreeMap<CgroupPath, Part>,
    others: Recent,
    /// What is expected would not fit beside what the members use, or would not have a while ago.
    soon: Pressed,
    /// Whether that alone is why there is a cap.
    ahead: bool,
}

/// A home's portion of the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    given: Millicpu,
    hungry: bool,
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
    /// What protected components are expected to need soon beyond what they use, in thousandths of a core.
    pub(super) more: u64,
}

/// A home of a member with what it uses.
struct Member<'a> {
    component: &'a Component,
    home: &'a Home,
    homes: u64,
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
        let Some((used, others)) = used(policy, rates, seen) else {
            return false;
        };
        self.others.add(others.0);
        self.capacity = capacity(seen);
        let collides = self.collides(used.0, press);
        let soon = self.soon.update(collides, seen.at);
        if self.cap.is_none() && !press.pressed && !soon {
            return false;
        }
        let was_ahead = std::mem::replace(&mut self.ahead, soon && !press.pressed);
        let capacity = self.capacity.0;
        let mut had = self.cap.unwrap_or(Cap::none(capacity, seen.at));
        let is_used = used.0 >= had.given / 2;
        if !is_used {
            had.forgive(capacity);
        }
        let lowered_long_ago = had.is_lower(capacity) && had.since_lowered(seen.at) >= HELPS_WITHIN;
        let failed = press.waits && is_used && lowered_long_ago;
        let others = self.others.worst().saturating_add(if soon { press.more } else { 0 });
        let room = (press.pressed || soon).then(|| room(capacity, press.headroom_percent, others));
        let lower_to = failed.then(|| percent(capacity, LEAST_PERCENT));
        let cap = had.step(room, lower_to, capacity, seen.at);
        if cap.at >= capacity {
            self.cap = None;
            let changed = !self.parts.is_empty();
            self.parts.clear();
            return changed;
        }
        let moved = cap.given != had.given || self.cap.is_none();
        self.cap = Some(cap);
        let divided = (moved || self.is_unfair(policy, rates, seen))
            && self.divide(policy, rates, seen, cap.given);
        divided || was_ahead != self.ahead
    }

    /// Whether what is expected will not fit beside what the members use, or would use without the cap.
    fn collides(&self, used: u64, press: Press) -> bool {
        let others = self.others.worst().saturating_add(press.more);
        let wanted = match self.cap {
            None => used > room(self.capacity.0, press.headroom_percent, others),
            Some(cap) => used.saturating_mul(10) >= cap.given.saturating_mul(9),
        };
        press.more > 0 && wanted
    }

    /// Whether there is a cap for the sake of what is expected alone.
    #[must_use]
    pub(super) const fn is_ahead(&self) -> bool {
        self.ahead && self.cap.is_some()
    }

    /// What the home may use; none while it is not capped.
    #[must_use]
    pub(super) fn part(&self, home: &CgroupPath) -> Option<Millicpu> {
        self.parts.get(home).map(|part| part.given)
    }

    /// The cap and what it came from; none while there is no cap.
    #[must_use]
    pub(super) fn measured(&self) -> Option<Measured> {
        self.cap
            .map(|cap| Measured { cap: Millicpu(cap.given), others: Millicpu(self.others.worst()) })
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
        if part.given < self.trifle() {
            return true; // its rate is noise, and there is nothing to be had from it
        }
        if part.hungry {
            member.used.0.saturating_mul(2) >= part.given.0
        } else {
            member.used.0.saturating_mul(10) >= part.given.0.saturating_mul(9)
        }
    }

    const fn trifle(&self) -> Millicpu {
        Millicpu(TRIFLE_PERCENT * self.capacity.0 / 100)
    }

    /// Divides the cap among the members' homes. Whether anything changed by more than the deadband.
    fn divide(&mut self, policy: &Policy, rates: &Rates, seen: &Snapshot, cap: u64) -> bool {
        let members: Vec<Member<'_>> = members(policy, rates, seen).collect();
        let claims: Vec<Claim> = members.iter().map(|member| self.claim(member, cap)).collect();
        let given = divide_all(cap, &claims, policy.division);
        let part = |(member, given): (&Member<'_>, u64)| {
            let part = Part { given: Millicpu(given).max(LEAST), hungry: self.is_hungry(member) };
            (member.home.path().clone(), part)
        };
        let parts: BTreeMap<CgroupPath, Part> = members.iter().zip(given).map(part).collect();
        let changed = parts != self.parts;
        self.parts = parts;
        changed
    }

    fn claim(&self, member: &Member<'_>, cap: u64) -> Claim {
        let homes = member.homes.max(1);
        let component = member.component;
        let max = component.cpu.ceiling.value().map_or(cap, |ceiling| ceiling.0.min(cap)) / homes;
        // Never so little that its rate were noise at the next look: then it would be hungry again.
        let enough = (member.used.0 * 5 / 4).max(self.trifle().0);
        let want = if self.is_hungry(member) { max } else { enough };
        Claim {
            priority: component.cpu_tier(),
            share_percent: if component.is_idle() { 1 } else { component.share_percent },
            floor: (component.cpu.guarantee.0 / homes).max(LEAST.0),
            want,
            max,
        }
    }
}

/// The host's CPUs.
pub(super) fn capacity(seen: &Snapshot) -> Millicpu {
    seen.host.online.capacity()
}

/// What the members use, and what everybody else does; none when a rate is missing.
fn used(policy: &Policy, rates: &Rates, seen: &Snapshot) -> Option<(Millicpu, Millicpu)> {
    let all = rates.cpu(&CgroupPath::root())?;
    let mut used = Millicpu::ZERO;
    for (_, home, _) in yielding(policy, seen) {
        used = used.plus(rates.cpu(home.path())?);
    }
    Some((used, all.minus(used)))
}

fn members<'a>(
    policy: &'a Policy,
    rates: &'a Rates,
    seen: &'a Snapshot,
) -> impl Iterator<Item = Member<'a>> {
    yielding(policy, seen).map(|(component, home, homes)| {
        let used = rates.cpu(home.path()).unwrap_or_default();
        Member { component, home, homes, used }
    })
}

#[cfg(test)]
mod tests;
