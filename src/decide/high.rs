//! `memory.high` of what yields: while memory is short for protected components, each home that yields is held at its part of what
//! the others leave.
//!
//! **Problem.** What a component takes is gone for the others until it is reclaimed, and reclaim takes from everybody in proportion to
//! what is unprotected. `memory.high` makes a group give back its own memory, but tasks above it sleep, longer the further above; and
//! memory that cannot be swapped out cannot be given back at all: then they sleep for minutes for nothing.
//!
//! **Approach.** While memory is pressed, hold each home at its part: from level warning on it does not grow beyond what it uses or
//! its part, from critical on it comes down to its part, in steps that can be reclaimed. What cannot be swapped out is left, and a home
//! that is full of it is let go after [`PATIENCE`]. When memory is pressed no more, the limits rise until they mean nothing.
//!
//! **Terms.** *used*: the working set. *peak*: the most a home used lately; an evicted component uses less than it wants. *part*: what a
//! home may hold by the division. *stuck*: anonymous memory for which there is no room in swap. *full*: slowed down by
//! its limit, of which 1.05 parts are stuck. *let go*: not limited until it is stuck no more.
//!
//! **Algorithm.** Divided is the host's memory less the reserve and what no component holds and cannot be reclaimed, by
//! [`fair::allocate`], strictly by priority in an emergency. Who does not yield wants its peak, protected ones with a buffer; who yields
//! wants a quarter more than it uses, and what nobody wants goes to those who yield by weight. A limit is at least the part, the
//! guarantee, [`LEAST`], and 1.05 times what is stuck; it falls by [`STEP`] or a tenth of the usage a look, and only once the usage has
//! followed. Where protected components wait as much as before [`HELPS_WITHIN`] after the last change, homes come down at level warning too, and at
//! critical they get another tenth of their peak, as long as somebody uses nine tenths of a limit.
//!
//! **Properties**, each a test in `high/tests.rs`: parts sum to at most what is divided; a home's limit is never lowered below its
//! guarantee nor below 1.05 times what is stuck, and stays a sixth and 32 MiB below its `memory.max`; a look that lacks what was known
//! before changes nothing; constant use comes to rest; nobody who is stuck is held for longer than [`PATIENCE`].

use super::fair::{Claim, allocate};
use super::homes;
use crate::config::{Component, Division, MemoryPolicy, Policy};
use crate::estimate::Estimator;
use crate::model::{GroupView, Home, Knob, KnobKind, Level, Snapshot};
use crate::units::{Bytes, CgroupPath, Limit, Ppm, Span, Tick};
use std::collections::BTreeMap;

/// No home is held at less: below it programs misbehave.
const LEAST: Bytes = Bytes::mebi(64);
/// What a limit falls by in a look, or a tenth of the usage if that is more: what can be reclaimed without a long wait.
const STEP: Bytes = Bytes::mebi(64);
/// Room above the usage of a home that is not to grow, beside 2 %: usage twitches.
const TWITCH: Bytes = Bytes::mebi(4);
/// A limit rises by this part of the host in a second.
const RISE_PERCENT: u64 = 10;
/// A limit follows its part down when it is off by this part of the host, and up when it is off by four times that.
const DEADBAND_PERCENT: u64 = 1;
const RISE_DEADBANDS: u64 = 4;
/// For so long a home may be slowed down though it can give nothing back.
const PATIENCE: Span = Span::secs(30);
/// This part of swap stays free: with less of it memory itself is at level warning.
const SWAP_KEPT_PERCENT: u64 = 40;
/// A peak loses this part in a second: half of it in three quarters of an hour.
const PEAK_FADES: u64 = 4096;
/// Limits that have not helped after this are too high.
const HELPS_WITHIN: Span = Span::secs(10);
/// Whoever waits for less than this part of the time does not wait: below it level critical ends, and level warning.
const WAITS: Ppm = Ppm::percent(5);
const WAITS_A_LITTLE: Ppm = Ppm::percent(1);
/// What protected components get beyond their buffer, in percent of their peak, when limits have not helped; each time, and at most.
const MORE_PERCENT: u64 = 10;
const MOST_MORE_PERCENT: u64 = 100;
/// Closer looks change nothing.
const SHORTEST: Span = Span::millis(500);

/// All limits between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct High {
    at: Tick,
    /// The host's memory.
    host: Bytes,
    /// The most that each home used lately, of every component.
    peaks: BTreeMap<CgroupPath, Bytes>,
    /// What each home that yields may hold.
    limits: BTreeMap<CgroupPath, Held>,
    measured: Measured,
    /// When a limit changed last or it was last judged whether that helped, and what part of the time was waited then.
    judged: (Tick, Ppm),
    /// What protected components get beyond their buffer because limits did not help.
    more_percent: u64,
    /// Whether not to grow did not help, so that homes come down at level warning already.
    down: bool,
}

/// The limit of one home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    at: Bytes,
    /// Since when it is full of what cannot be swapped out.
    full_since: Option<Tick>,
    let_go: bool,
}

/// Why homes are limited, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// What all that yield may hold together.
    pub(super) left: Bytes,
    /// What is kept for everybody else.
    pub(super) others: Bytes,
}

/// What one home may hold; `Max` when it was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) limit: Limit<Bytes>,
    pub(super) measured: Measured,
}

/// What moves the limits in one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press {
    /// Whether memory is short, or was a while ago.
    pub(super) pressed: bool,
    /// How short it is now.
    pub(super) level: Level,
    /// What protected components get beyond their peak, in percent.
    pub(super) buffer_percent: u64,
}

/// A home with what it holds.
struct User<'a> {
    component: &'a Component,
    home: &'a Home,
    group: &'a GroupView,
    /// In how many homes the component lives.
    homes: u64,
    usage: Bytes,
    anon: Bytes,
    peak: Bytes,
    /// Whether its memory limit was reached lately.
    slowed: bool,
    /// What part of the time it waits for memory through no doing of its own; nothing unless it is protected.
    waits: Ppm,
}

impl High {
    /// Takes in one look. Whether a limit changed. Allocates only while memory is pressed, and for homes that were not there before.
    pub(super) fn update(
        &mut self,
        policy: &Policy,
        estimator: &Estimator,
        seen: &Snapshot,
        press: Press,
    ) -> bool {
        let span = Span(seen.at.since(self.at).0.min(1_000_000));
        if span < SHORTEST {
            return false;
        }
        self.at = seen.at;
        self.host = seen.host.memory;
        let all_known = self.remember(policy, seen, span);
        if !press.pressed {
            (self.more_percent, self.down) = (0, false);
            return self.release(seen, span);
        }
        let Some(available) = seen.load.memory_available.filter(|_| all_known) else {
            return false;
        };
        let users: Vec<User<'_>> = self.users(policy, estimator, seen).collect();
        let press = Press { buffer_percent: press.buffer_percent + self.more_percent, ..press };
        let parts = divide(policy, seen, available, (&users, press));
        let tighten = self.down || press.level >= Level::Critical;
        let (limits, measured) = self.limits(seen, &users, &parts, tighten);
        let what_is_written =
            |(path, held): (&CgroupPath, &Held)| (path.clone(), held.at, held.let_go);
        let changed =
            !limits.iter().map(what_is_written).eq(self.limits.iter().map(what_is_written));
        let waited = users.iter().map(|user| user.waits).max().unwrap_or_default();
        let can_give = users.iter().any(|user| {
            let limit = limits.get(user.home.path());
            limit.is_some_and(|held| !held.let_go && user.usage >= held.at.scaled(90, 100))
        });
        self.limits = limits;
        if changed {
            self.measured = measured;
        }
        self.judge((waited, can_give), press.level, changed);
        changed
    }

    /// Where protected components wait as much as before some time after the last change, and somebody is left who has what they need: not to
    /// grow is not enough, or they need more than they ever used.
    fn judge(&mut self, (waited, can_give): (Ppm, bool), level: Level, changed: bool) {
        let (since, before) = self.judged;
        if !changed && self.at.since(since) < HELPS_WITHIN {
            return;
        }
        self.judged = (self.at, waited);
        let is_critical = level >= Level::Critical;
        let little = if is_critical { WAITS } else { WAITS_A_LITTLE };
        let helped = waited < little || waited.get() * 5 < before.get() * 4;
        if changed || helped || !can_give {
            return;
        }
        if is_critical {
            self.more_percent = (self.more_percent + MORE_PERCENT).min(MOST_MORE_PERCENT);
        } else {
            self.down = true;
        }
    }

    /// The limits after a look in which memory is pressed, and what they came from.
    fn limits(
        &self,
        seen: &Snapshot,
        users: &[User<'_>],
        parts: &[Bytes],
        tighten: bool,
    ) -> (BTreeMap<CgroupPath, Held>, Measured) {
        let yielding = || users.iter().zip(parts).filter(|(user, _)| user.component.yields);
        let swap = swap_room(seen, yielding().count());
        let left = yielding().fold(Bytes::ZERO, |sum, (user, part)| sum.plus(user.least(*part)));
        let limit = |(user, part): (&User<'_>, &Bytes)| {
            let path = user.home.path();
            let held = self.next(self.limits.get(path), (user, *part), swap, tighten)?;
            Some((path.clone(), Held { at: held.at.page_floor(seen.host.page), ..held }))
        };
        let limits = yielding().filter(|(user, _)| !user.group.holds_protected).filter_map(limit);
        (limits.collect(), Measured { left, others: seen.host.memory.minus(left) })
    }

    /// What the home may hold; none while it is not limited.
    #[must_use]
    pub(super) fn holding(&self, home: &CgroupPath) -> Option<Holding> {
        self.limits.get(home).map(|held| Holding {
            limit: if held.let_go { Limit::Max } else { Limit::At(held.at) },
            measured: self.measured,
        })
    }

    /// Brings the peaks up to date. Whether everything is known that was known before.
    fn remember(&mut self, policy: &Policy, seen: &Snapshot, span: Span) -> bool {
        self.peaks.retain(|path, _| seen.groups.contains_key(path));
        let mut all_known = true;
        for (_, home, _) in homes(policy, seen) {
            let path = home.path();
            let Some((used, _)) = seen.groups.get(path).and_then(used) else {
                all_known &= !self.peaks.contains_key(path);
                continue;
            };
            if let Some(peak) = self.peaks.get_mut(path) {
                let faded = peak.scaled(span.0, 1_000_000 * PEAK_FADES);
                *peak = peak.minus(faded).max(used);
            } else {
                self.peaks.insert(path.clone(), used);
            }
        }
        all_known
    }

    /// Every home of which it is known what it holds.
    fn users<'a>(
        &'a self,
        policy: &'a Policy,
        estimator: &'a Estimator,
        seen: &'a Snapshot,
    ) -> impl Iterator<Item = User<'a>> {
        homes(policy, seen).filter_map(|(component, home, homes)| {
            let group = seen.groups.get(home.path())?;
            let (_, anon) = used(group)?;
            let peak = self.peaks.get(home.path()).copied()?;
            let usage = group.usage.memory?;
            let need = estimator.group(home.path());
            let slowed = need.is_some_and(|need| need.bound.memory);
            let waits = need.and_then(|need| need.waits.memory).map(|wait| wait.p10);
            let waits = waits.filter(|_| component.priority.is_protected()).unwrap_or_default();
            Some(User { component, home, group, homes, usage, anon, peak, slowed, waits })
        })
    }

    /// The home's limit after this look; none where its own limit holds it already, or cannot stay far enough above.
    fn next(
        &self,
        had: Option<&Held>,
        (user, part): (&User<'_>, Bytes),
        swap: Bytes,
        tighten: bool,
    ) -> Option<Held> {
        let stuck = user.anon.minus(user.swap_room(swap));
        let least = stuck.scaled(105, 100);
        let most = user.most();
        let part = user.least(part);
        if Limit::At(least) > most || user.own_max().is_some_and(|max| max <= part) {
            return None;
        }
        let within = |bytes: Bytes| most.value().map_or(bytes, |most| bytes.min(most));
        let part = within(part);
        let step = STEP.max(user.usage.scaled(10, 100));
        let had = match had {
            Some(had) if had.let_go && least > part => return Some(*had),
            Some(had) if !had.let_go => *had,
            Some(_) | None => {
                let grown = user.usage.scaled(102, 100).plus(TWITCH);
                let start = if tighten { user.usage.minus(step) } else { grown };
                let at = within(start).max(part).max(least);
                return Some(Held { at, full_since: None, let_go: false });
            }
        };
        let full = user.slowed && least >= had.at;
        let full_since = full.then(|| had.full_since.unwrap_or(self.at));
        let let_go = full_since.is_some_and(|since| self.at.since(since) >= PATIENCE);
        let goal = Goal { part, least, step, tighten };
        let at = self.follow(had.at, user.usage, goal);
        // Where a write was refused or has to wait, the next one must have room for what has grown meanwhile.
        let falls = written(user.group).is_none_or(|limit| limit > Limit::At(at));
        let at = if falls { at.max(least) } else { at };
        // Its `memory.max` may have come down.
        Some(Held { at: within(at), full_since, let_go })
    }

    /// Up to the part when that is well above, and down towards it once the usage has followed the last step.
    fn follow(&self, had: Bytes, usage: Bytes, goal: Goal) -> Bytes {
        let deadband = self.host.scaled(DEADBAND_PERCENT, 100).max(TWITCH);
        if goal.part >= had.plus(deadband.scaled(RISE_DEADBANDS, 1)) {
            return goal.part;
        }
        let followed = usage <= had.scaled(102, 100);
        let lower = had.min(usage).minus(goal.step).max(goal.part).max(goal.least);
        if goal.tighten && followed && lower.plus(deadband) <= had { lower } else { had }
    }

    /// Nobody waits any more: the limits rise, from what the kernel holds, until they mean nothing. Whether there were any.
    fn release(&mut self, seen: &Snapshot, span: Span) -> bool {
        let had_any = !self.limits.is_empty();
        let host = seen.host.memory;
        let rise = host.scaled(RISE_PERCENT, 100).scaled(span.0, 1_000_000);
        self.limits.retain(|path, held| {
            let Some(group) = seen.groups.get(path) else { return false };
            let held_by_kernel = written(group).unwrap_or(Limit::At(held.at));
            let Limit::At(from) = held_by_kernel.max(Limit::At(held.at)) else { return false };
            held.at = from.plus(rise).page_floor(seen.host.page);
            held.full_since = None;
            let most = max_of(group).map_or(host, |max| MemoryPolicy::most_high(max).min(host));
            !held.let_go && held.at < most
        });
        had_any
    }
}

/// Where one limit is to go.
#[derive(Debug, Clone, Copy)]
struct Goal {
    part: Bytes,
    /// It never falls below this.
    least: Bytes,
    /// By how much it may fall.
    step: Bytes,
    /// Whether it may fall at all.
    tighten: bool,
}

impl User<'_> {
    fn guarantee(&self) -> Bytes {
        self.component.memory.guarantee.scaled(1, self.homes)
    }

    /// The part, or what it has at least.
    fn least(&self, part: Bytes) -> Bytes {
        part.max(self.guarantee()).max(LEAST)
    }

    /// The home's `memory.max`, as configured or as it is.
    fn own_max(&self) -> Option<Bytes> {
        let configured = self.component.memory.ceiling.value();
        let configured = configured.map(|ceiling| ceiling.scaled(1, self.homes));
        configured.into_iter().chain(max_of(self.group)).min()
    }

    /// The most that `memory.high` may be.
    fn most(&self) -> Limit<Bytes> {
        self.own_max().map_or(Limit::Max, |max| Limit::At(MemoryPolicy::most_high(max)))
    }

    /// How much of it can be swapped out, of the room that each home has.
    fn swap_room(&self, room: Bytes) -> Bytes {
        match (self.group.knob(KnobKind::MemorySwapMax).value(), self.group.usage.swap) {
            (Some(Knob::MemorySwapMax(Limit::At(max))), Some(swap)) => max.minus(swap).min(room),
            (Some(Knob::MemorySwapMax(Limit::Max)), _) => room,
            _ => Bytes::ZERO,
        }
    }

    fn claim(&self, press: Press) -> Claim {
        let component = self.component;
        let floor = self.guarantee();
        let buffer = if component.priority.is_protected() { press.buffer_percent } else { 0 };
        let want = if component.yields {
            self.usage.scaled(125, 100).max(LEAST)
        } else {
            self.peak.scaled(100 + buffer, 100)
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

/// What each home may hold.
fn divide(
    policy: &Policy,
    seen: &Snapshot,
    available: Bytes,
    (users, press): (&[User<'_>], Press),
) -> Vec<Bytes> {
    let anon = users.iter().fold(Bytes::ZERO, |sum, user| sum.plus(user.anon));
    let unmanaged = seen.host.memory.minus(available).minus(anon);
    let amount = seen.host.memory.minus(policy.reserve.memory).minus(unmanaged);
    let emergency = press.level == Level::Emergency;
    let division = if emergency { Division::Priority } else { policy.division };
    let claims: Vec<Claim> = users.iter().map(|user| user.claim(press)).collect();
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
fn swap_room(seen: &Snapshot, yielding: usize) -> Bytes {
    let kept = seen.host.swap.scaled(SWAP_KEPT_PERCENT, 100);
    let free = seen.load.swap_free.unwrap_or_default().minus(kept);
    free.scaled(1, u64::try_from(yielding).unwrap_or(u64::MAX).max(1))
}

/// The group's `memory.max`, where it has one.
fn max_of(group: &GroupView) -> Option<Bytes> {
    match group.knob(KnobKind::MemoryMax).value() {
        Some(Knob::MemoryMax(limit)) => limit.value(),
        Some(_) | None => None,
    }
}

/// The limit that the kernel holds, where that is known.
fn written(group: &GroupView) -> Option<Limit<Bytes>> {
    match group.knob(KnobKind::MemoryHigh).value() {
        Some(Knob::MemoryHigh(limit)) => Some(*limit),
        Some(_) | None => None,
    }
}

/// The working set and the anonymous memory of a group, where both are known.
fn used(group: &GroupView) -> Option<(Bytes, Bytes)> {
    let stat = group.usage.memory_stat?;
    Some((group.usage.memory?.minus(stat.inactive_file), stat.anon))
}

#[cfg(test)]
mod tests;
