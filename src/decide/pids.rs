//! `pids.max`: the configured ceilings, and while process numbers run short a limit on what yields.
//!
//! **Problem.** Whoever forks without end takes the numbers of all: then nobody can start anything, a person who wants to mend it included.
//! Nothing can be taken back but by tasks that end.
//!
//! **Approach.** While numbers are short, each home that yields is held at a multiple of what it had before they were. It needs no more, and
//! what it has beyond that comes back as its tasks end: none of them can be replaced.
//!
//! **Terms.** *usual*: the most tasks that a home had in the last half hour to hour, without the last minute or two, in which it may have
//! begun to fork. *short*: level warning or worse, or at the present growth none would be left within [`SOON`].
//!
//! **Algorithm.** Two slots of half an hour for the usual, fed with the most of the minute before the last. Once numbers are short, a limit of
//! [`TIMES`] the usual, at least [`LEAST`], for each home that yields; who is not known for long keeps what it has, since nobody can tell
//! what it needs. A limit stays as it is until all are lifted.
//!
//! **Properties**, each a test below or in `cycle/tests/weather.rs`: never above what is configured or was there before; never below
//! [`LEAST`]; what cannot be read is not limited; a steady look allocates nothing; limits do not move while they are there.

use super::{Case, Housed, scale, yielding};
use crate::config::Policy;
use crate::model::{Along, Home, Knob, KnobKind, Level, Reason, Resource, Snapshot, Target};
use crate::units::{CgroupId, CgroupPath, Limit, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A part of a divided ceiling never gets so small that it would be a freeze.
const LEAST_PART: u64 = 8;
/// No home is held at fewer: a build starts as many.
const LEAST: u64 = 64;
/// What a home may have beyond what it usually has.
const TIMES: u64 = 4;
/// The tasks of a minute count once another has passed.
const MINUTE: Span = Span::secs(60);
const SLOT: Span = Span::secs(1800);
/// Numbers that are gone in so short a time are short already: entering a level takes up to three seconds, and the write comes after.
const SOON: Span = Span::secs(10);
/// With less than this in use growth means nothing: a host that boots forks as fast.
const MUCH: Ppm = Ppm::percent(30);
/// Closer looks tell nothing of growth.
const SHORTEST: Span = Span::millis(100);

/// The limits between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pids {
    /// Tasks of the host at the last look.
    last: Option<(Tick, u64)>,
    usual: BTreeMap<CgroupPath, Usual>,
    limits: BTreeMap<CgroupPath, Held>,
}

/// How many tasks a home had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Usual {
    id: CgroupId,
    minute_began: Tick,
    slot_began: Tick,
    /// The most of this minute, and of the one before.
    minutes: [u64; 2],
    /// The most of this half hour, and of the one before; none before a minute counts.
    slots: [Option<u64>; 2],
}

/// What one home may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) limit: u64,
    /// What it usually has; none where it is not known for long.
    pub(super) usual: Option<u64>,
}

impl Usual {
    const fn new(id: CgroupId, now: Tick) -> Self {
        Self { id, minute_began: now, slot_began: now, minutes: [0; 2], slots: [None; 2] }
    }

    fn add(&mut self, tasks: u64, now: Tick) {
        if now.since(self.minute_began) >= MINUTE {
            let [this, before] = self.minutes;
            self.minutes = [0, this];
            self.minute_began = now;
            if before > 0 {
                let [slot, _] = &mut self.slots;
                *slot = (*slot).max(Some(before));
            }
        }
        if now.since(self.slot_began) >= SLOT {
            let [this, _] = self.slots;
            self.slots = [None, this];
            self.slot_began = now;
        }
        let [this, _] = &mut self.minutes;
        *this = (*this).max(tasks);
    }

    fn most(&self) -> Option<u64> {
        let [this, before] = self.slots;
        this.max(before)
    }
}

impl Pids {
    /// Whether process numbers are short, or will be before anybody could do anything.
    pub(super) fn is_short(&mut self, level: Level, seen: &Snapshot) -> bool {
        let Some(tasks) = seen.load.tasks else { return level >= Level::Warning };
        let close = |(at, _): &(Tick, u64)| seen.at.since(*at) < SHORTEST;
        if self.last.as_ref().is_some_and(close) {
            return level >= Level::Warning;
        }
        let before = self.last.replace((seen.at, tasks));
        let much = Ppm::of(tasks, seen.host.pid_max).is_some_and(|used| used >= MUCH);
        let left = seen.host.pid_max.saturating_sub(tasks);
        let soon = before.is_some_and(|(at, before)| {
            let grown = u128::from(tasks.saturating_sub(before));
            let span = u128::from(seen.at.since(at).0);
            grown > 0 && grown * u128::from(SOON.0) >= u128::from(left) * span
        });
        level >= Level::Warning || much && soon
    }

    /// Takes in one look. Whether a limit came or went.
    pub(super) fn update(&mut self, policy: &Policy, seen: &Snapshot, pressed: bool) -> bool {
        self.remember(policy, seen);
        if !pressed {
            let had_any = !self.limits.is_empty();
            self.limits.clear();
            return had_any;
        }
        let before = self.limits.len();
        self.limits.retain(|path, _| self.usual.contains_key(path));
        let mut changed = before != self.limits.len();
        for (_, home, _) in yielding(policy, seen) {
            let path = home.path();
            let Some(view) = seen.groups.get(path) else { continue };
            if view.holds_protected || self.limits.contains_key(path) {
                continue;
            }
            let Some(tasks) = view.usage.pids else { continue };
            let usual = self.usual.get(path).and_then(Usual::most);
            let limit = usual.map_or(tasks, |usual| usual.saturating_mul(TIMES)).max(LEAST);
            self.limits.insert(path.clone(), Held { limit, usual });
            changed = true;
        }
        changed
    }

    fn remember(&mut self, policy: &Policy, seen: &Snapshot) {
        let mut groups = Along::new(&seen.groups);
        let mut same = |path: &CgroupPath, usual: &Usual| {
            groups.get(path).is_some_and(|view| view.id == usual.id)
        };
        self.usual.retain(|path, usual| same(path, usual));
        for (_, home, _) in yielding(policy, seen) {
            let path = home.path();
            let Some(view) = seen.groups.get(path) else { continue };
            let Some(tasks) = view.usage.pids else { continue };
            if let Some(usual) = self.usual.get_mut(path) {
                usual.add(tasks, seen.at);
            } else {
                let mut usual = Usual::new(view.id, seen.at);
                usual.add(tasks, seen.at);
                self.usual.insert(path.clone(), usual);
            }
        }
    }

    /// What the home may have; none while it is not limited.
    pub(super) fn held(&self, home: &CgroupPath) -> Option<Held> {
        self.limits.get(home).copied()
    }
}

/// The configured ceilings, or less while a component yields.
pub(super) fn targets(case: &Case<'_>, housed: &Housed<'_>) -> impl Iterator<Item = Target> {
    housed.homes.iter().filter_map(move |home| target(case, housed, home))
}

fn target(case: &Case<'_>, housed: &Housed<'_>, home: &Home) -> Option<Target> {
    let ceiling = housed.component.pids.value().map(|most| {
        let (all, reason) = scale::ceiling(case, housed, home, (Resource::Pids, most));
        ((all / housed.parts()).max(LEAST_PART), reason)
    });
    let own = ceiling.as_ref().map_or_else(|| original(case, home), |(each, _)| Limit::At(*each));
    let held = case.steering.pids(home.path()).filter(|_| housed.component.yields);
    if let Some(held) = held.filter(|held| Limit::At(held.limit) < own) {
        let knob = Knob::PidsMax(Limit::At(held.limit));
        return Some(housed.target(home, knob, Reason::YieldsPids { usual: held.usual }));
    }
    let (each, reason) = ceiling?;
    Some(housed.target(home, Knob::PidsMax(Limit::At(each)), reason))
}

/// What the group's `pids.max` was before provost.
fn original(case: &Case<'_>, home: &Home) -> Limit<u64> {
    match case.ownership.original(case.seen, home.path(), KnobKind::PidsMax) {
        Some(Knob::PidsMax(limit)) => *limit,
        Some(_) | None => Limit::Max,
    }
}

#[cfg(test)]
mod tests;
