//! `memory.high` of what yields: while memory is short for protected components, each home that yields is held at its part of what
//! the others leave.
//!
//! **Problem.** What a component takes is gone for the others until it is reclaimed, and reclaim takes from everybody in proportion to
//! what is unprotected. `memory.high` makes a group give back its own memory, but tasks above it sleep, longer the further above; and
//! memory that cannot be swapped out cannot be given back at all: then they sleep for minutes for nothing.
//!
//! **Approach.** While memory is pressed, hold each home at its part: from level warning on it does not grow beyond what it uses or
//! its part, from critical on it comes down to its part, in steps that can be reclaimed; and so it does where what protected components are
//! expected to need soon will not fit beside what is held, until it fits beside what was held before or is not expected any more. What cannot be swapped out is left, and a home
//! that is full of it is let go after [`PATIENCE`]. When memory is pressed no more, the limits rise until they mean nothing.
//!
//! **Terms.** *used*: the working set. *peak*: the most a home used lately; an evicted component uses less than it wants. *part*: what a
//! home may hold by the division. *stuck*: anonymous memory for which there is no room in swap. *full*: slowed down by
//! its limit, of which 1.05 parts are stuck. *let go*: not limited until it is stuck no more.
//!
//! **Algorithm.** Divided is the host's memory less the reserve and what no component holds and cannot be reclaimed, by
//! [`fair::allocate`], strictly by priority in an emergency. Who does not yield wants its peak, protected ones with a buffer, or what
//! is expected of them; who yields wants a quarter more than it uses, and what nobody wants goes to those who yield by weight. A limit is at least the part, the
//! guarantee, [`LEAST`], and 1.05 times what is stuck; it falls by [`STEP`] or a tenth of the usage a look, and only once the usage has
//! followed. Where protected components wait as much as before [`HELPS_WITHIN`] after the last change, homes come down at level warning too, and at
//! critical they get another tenth of their peak, as long as somebody uses nine tenths of a limit.
//!
//! **Properties**, each a test in `high/tests.rs`: parts sum to at most what is divided; a home's limit is never lowered below its
//! guarantee nor below 1.05 times what is stuck, and stays a sixth and 32 MiB below its `memory.max`; a look that lacks what was known
//! before changes nothing; constant use comes to rest; nobody who is stuck is held for longer than [`PATIENCE`].

mod user;

use super::homes;
use super::pressed::Pressed;
use super::strategy::Buffer;
use crate::config::{MemoryPolicy, Policy};
use crate::estimate::{Estimator, Prospects};
use crate::model::{GroupView, Knob, KnobKind, Level, Snapshot};
use crate::units::{Bytes, CgroupPath, Limit, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use user::{User, amount, divide, max_of, swap_room, used, users};

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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What is expected would not fit beside what is held, or would not have a while ago.
    soon: Pressed,
    /// What those who yield held together before that; fades as peaks do.
    gave: Bytes,
    /// Whether that alone is why there are limits.
    ahead: bool,
}

/// The limit of one home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    at: Bytes,
    /// Since when it is full of what cannot be swapped out.
    full_since: Option<Tick>,
    let_go: bool,
}

/// Why homes are limited, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
pub(super) struct Press<'a> {
    /// Whether memory is short, or was a while ago.
    pub(super) pressed: bool,
    /// How short it is now.
    pub(super) level: Level,
    /// What protected components get beyond what they are likely to need.
    pub(super) buffer: Buffer,
    /// What they are expected to need soon beyond what they hold.
    pub(super) more: Bytes,
    /// What is expected of each.
    pub(super) prospects: &'a Prospects,
}

impl High {
    /// Takes in one look. Whether a limit changed. Allocates only while memory is pressed, and for homes that were not there before.
    pub(super) fn update(
        &mut self,
        policy: &Policy,
        estimator: &Estimator,
        seen: &Snapshot,
        press: Press<'_>,
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
            if press.more == Bytes::ZERO && !self.soon.is_on() {
                return self.end(seen, span);
            }
        }
        let Some(available) = seen.load.memory_available.filter(|_| all_known) else {
            return false;
        };
        let users: Vec<User<'_>> =
            users(policy, estimator, (seen, press.prospects), &self.peaks).collect();
        let room = amount(policy, seen, available, &users);
        let parts = divide(policy, room, &users, (press, self.more_percent));
        let soon = self.foresee((&users, &parts), press.more, span);
        if !press.pressed && !soon {
            return self.end(seen, span);
        }
        let was_ahead = std::mem::replace(&mut self.ahead, soon && !press.pressed);
        let tighten = self.down || soon || press.level >= Level::Critical;
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
        changed || was_ahead != self.ahead
    }

    /// Whether there are limits for the sake of what is expected alone.
    #[must_use]
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead && !self.limits.is_empty()
    }

    /// Whether what is expected collides with what those hold who yield, or did a while ago. That begins when more is expected to be needed
    /// soon. It lasts while that is so, and then for as long as they would hold too much beside it if they took back what they gave.
    fn foresee(
        &mut self,
        (users, parts): (&[User<'_>], &[Bytes]),
        more: Bytes,
        span: Span,
    ) -> bool {
        let yielding = || users.iter().zip(parts).filter(|(user, _)| user.component.yields);
        let sum = |of: fn(&User<'_>, Bytes) -> Bytes| {
            yielding().fold(Bytes::ZERO, |sum, (user, part)| sum.plus(of(user, *part)))
        };
        let (held, parts) = (sum(|user, _| user.usage), sum(|user, part| user.least(part)));
        let is_full = |(user, _): (&User<'_>, &Bytes)| {
            let limit = self.limits.get(user.home.path());
            limit.is_some_and(|held| !held.let_go && user.usage >= held.at.scaled(90, 100))
        };
        let begins = more > Bytes::ZERO
            && if self.limits.is_empty() { held > parts } else { yielding().any(is_full) };
        let lasts = self.soon.is_on()
            && users.iter().any(|user| user.forecast.is_some())
            && self.gave > parts;
        let before = if self.soon.is_on() { self.gave } else { Bytes::ZERO };
        self.gave = before.minus(before.scaled(span.0, 1_000_000 * PEAK_FADES)).max(held);
        self.soon.update(begins || lasts, self.at)
    }

    /// Nothing presses any more.
    fn end(&mut self, seen: &Snapshot, span: Span) -> bool {
        self.ahead = false;
        self.release(seen, span)
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

/// The limit that the kernel holds, where that is known.
fn written(group: &GroupView) -> Option<Limit<Bytes>> {
    match group.knob(KnobKind::MemoryHigh).value() {
        Some(Knob::MemoryHigh(limit)) => Some(*limit),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests;
