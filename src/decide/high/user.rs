//! Who holds memory, what each wants of it, and what each may hold. Must not remember anything.

use super::{LEAST, Press, SWAP_KEPT_PERCENT, WAITS_A_LITTLE};
use crate::config::{Component, Division, MemoryPolicy, Policy};
use crate::decide::ahead;
use crate::decide::fair::{Claim, allocate};
use crate::decide::homes;
use crate::decide::strategy::Buffer;
use crate::estimate::{Estimator, Prospects};
use crate::model::{Forecast, GroupView, Home, Knob, KnobKind, Level, Resource, Snapshot};
use crate::units::{Bytes, CgroupPath, Limit, Ppm};
use std::collections::BTreeMap;

/// A home with what it holds.
pub(super) struct User<'a> {
    pub(super) component: &'a Component,
    pub(super) home: &'a Home,
    pub(super) group: &'a GroupView,
    /// In how many homes the component lives.
    pub(super) homes: u64,
    pub(super) usage: Bytes,
    pub(super) working_set: Bytes,
    pub(super) anon: Bytes,
    pub(super) peak: Bytes,
    /// What is expected of its component, where it is protected and that counts.
    pub(super) forecast: Option<Forecast>,
    /// Whether its memory limit was reached lately.
    pub(super) slowed: bool,
    /// What part of the time it waits for memory through no doing of its own; nothing unless it is protected.
    pub(super) waits: Ppm,
}

/// Every home of which it is known what it holds.
pub(super) fn users<'a, 'p>(
    policy: &'a Policy,
    estimator: &'a Estimator,
    (seen, prospects): (&'a Snapshot, &'a Prospects),
    peaks: &'p BTreeMap<CgroupPath, Bytes>,
) -> impl Iterator<Item = User<'a>> + use<'a, 'p> {
    homes(policy, seen).filter_map(move |(component, home, homes)| {
        let group = seen.groups.get(home.path())?;
        let (working_set, anon) = used(group)?;
        let peak = peaks.get(home.path()).copied()?;
        let usage = group.usage.memory?;
        let need = estimator.group(home.path());
        let slowed = need.is_some_and(|need| need.bound.memory);
        let waits = need.and_then(|need| need.waits.memory).map(|wait| wait.p10);
        let waits = waits.filter(|_| component.priority.is_protected()).unwrap_or_default();
        // Who waits uses less than it needs, and a forecast knows only what was used.
        let forecast = ahead::trusted(prospects, component, Resource::Memory);
        let counts = component.priority.is_protected() && waits < WAITS_A_LITTLE;
        let forecast = forecast.filter(|_| counts).copied();
        Some(User {
            component,
            home,
            group,
            homes,
            usage,
            working_set,
            anon,
            peak,
            forecast,
            slowed,
            waits,
        })
    })
}

impl User<'_> {
    fn guarantee(&self) -> Bytes {
        self.component.memory.guarantee.scaled(1, self.homes)
    }

    /// The part, or what it has at least.
    pub(super) fn least(&self, part: Bytes) -> Bytes {
        part.max(self.guarantee()).max(LEAST)
    }

    /// The home's `memory.max`, as configured or as it is.
    pub(super) fn own_max(&self) -> Option<Bytes> {
        let configured = self.component.memory.ceiling.value();
        let configured = configured.map(|ceiling| ceiling.scaled(1, self.homes));
        configured.into_iter().chain(max_of(self.group)).min()
    }

    /// The most that `memory.high` may be.
    pub(super) fn most(&self) -> Limit<Bytes> {
        self.own_max().map_or(Limit::Max, |max| Limit::At(MemoryPolicy::most_high(max)))
    }

    /// How much of it can be swapped out, of the room that each home has.
    pub(super) fn swap_room(&self, room: Bytes) -> Bytes {
        match (self.group.knob(KnobKind::MemorySwapMax).value(), self.group.usage.swap) {
            (Some(Knob::MemorySwapMax(Limit::At(max))), Some(swap)) => max.minus(swap).min(room),
            (Some(Knob::MemorySwapMax(Limit::Max)), _) => room,
            _ => Bytes::ZERO,
        }
    }

    /// What is kept for it while others give way: what it is likely to need and a buffer.
    fn base(&self, buffer: Buffer, more_percent: u64) -> Bytes {
        if !self.component.priority.is_protected() {
            return self.peak;
        }
        let (base, percent) = match self.forecast {
            None => (self.peak, buffer.least),
            Some(said) => {
                let likely = Bytes(said.point).scaled(1, self.homes).max(self.working_set);
                let bound = Bytes(said.upper).scaled(1, self.homes);
                let beyond = bound.minus(likely).0.saturating_mul(100) / likely.0.max(1);
                (likely, beyond.clamp(buffer.least, buffer.most))
            }
        };
        base.scaled(100 + percent + more_percent, 100)
    }

    fn claim(&self, buffer: Buffer, more_percent: u64) -> Claim {
        let component = self.component;
        let floor = self.guarantee();
        let want = if component.yields {
            self.usage.scaled(125, 100).max(LEAST)
        } else {
            self.base(buffer, more_percent)
        };
        Claim {
            priority: component.priority,
            share_percent: component.share_percent,
            floor: floor.0,
            want: want.max(floor).0,
            max: self.own_max().map_or(u64::MAX, |max| max.0),
        }
    }
}

/// What can be divided: the host's memory less the reserve and what no component holds and cannot be reclaimed.
pub(super) fn amount(
    policy: &Policy,
    seen: &Snapshot,
    available: Bytes,
    users: &[User<'_>],
) -> Bytes {
    let anon = users.iter().fold(Bytes::ZERO, |sum, user| sum.plus(user.anon));
    let unmanaged = seen.host.memory.minus(available).minus(anon);
    seen.host.memory.minus(policy.reserve.memory).minus(unmanaged)
}

/// What each home may hold.
pub(super) fn divide(
    policy: &Policy,
    amount: Bytes,
    users: &[User<'_>],
    (press, more_percent): (Press<'_>, u64),
) -> Vec<Bytes> {
    let emergency = press.level == Level::Emergency;
    let division = if emergency { Division::Priority } else { policy.division };
    let claim = |user: &User<'_>| user.claim(press.buffer, more_percent);
    let claims: Vec<Claim> = users.iter().map(claim).collect();
    let mut given = allocate(amount.0, &claims, division);
    let left = amount.0.saturating_sub(given.iter().sum());
    let rest: Vec<Claim> = users
        .iter()
        .zip(claims.iter().zip(&given))
        .map(|(user, (claim, had))| {
            let room = if user.component.yields { claim.max.saturating_sub(*had) } else { 0 };
            Claim { floor: 0, want: room, max: room, ..*claim }
        })
        .collect();
    for (has, more) in given.iter_mut().zip(allocate(left, &rest, policy.division)) {
        *has += more;
    }
    given.into_iter().map(Bytes).collect()
}

/// What each home that yields may swap out.
pub(super) fn swap_room(seen: &Snapshot, yielding: usize) -> Bytes {
    let kept = seen.host.swap.scaled(SWAP_KEPT_PERCENT, 100);
    let free = seen.load.swap_free.unwrap_or_default().minus(kept);
    free.scaled(1, u64::try_from(yielding).unwrap_or(u64::MAX).max(1))
}

/// The group's `memory.max`, where it has one.
pub(super) fn max_of(group: &GroupView) -> Option<Bytes> {
    match group.knob(KnobKind::MemoryMax).value() {
        Some(Knob::MemoryMax(limit)) => limit.value(),
        Some(_) | None => None,
    }
}

/// The working set and the anonymous memory of a group, where both are known.
pub(super) fn used(group: &GroupView) -> Option<(Bytes, Bytes)> {
    let stat = group.usage.memory_stat?;
    Some((group.usage.memory?.minus(stat.inactive_file), stat.anon))
}
