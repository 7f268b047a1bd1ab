//! How much memory a component needs: a little is taken back again and again, until that shows.
//!
//! **Problem.** What a component holds says little about what it needs: page cache fills whatever there is, and what was touched once stays.
//!
//! **Approach.** While nobody waits, a small part of each group's memory is reclaimed every few seconds, the coldest first as the kernel
//! ranks it. The group's own pressure, and what it reads back, say when that begins to touch what it uses.
//!
//! **Terms.** *slice*: what is reclaimed at once. *floor*: what no reclaim takes, what is protected, and [`SPARE`]. *quiet*: next to no
//! waiting and nothing read back. *working set*: what a group held after ten minutes of being quiet while it was probed.
//!
//! **Algorithm.** Every [`EVERY`]: the pace's part of what is held, less the more the group waits, nothing from [`PRESSED`] on. After a slice
//! that is read back by a tenth, nothing for a minute.
//!
//! **Properties**, each a test in `probe/tests.rs`: never below the floor; never while the host or the group is pressed, or that is not known;
//! within a minute never more than the pace's bound; nothing where the kernel or the disk of the swap is not made for it.

use super::mend::Sight;
use crate::config::{Component, OnLeak, Probe};
use crate::model::{
    GroupView, Home, Knob, KnobKind, Level, Means, OutcomeOf, ProbeView, Relief, Snapshot, Verdict,
};
use crate::units::{Bytes, CgroupId, CgroupPath, ComponentName, Limit, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The time between two slices.
const EVERY: Span = Span::secs(6);
/// From so much waiting in a minute on nothing is taken (Meta's TMO and Senpai steer by as much).
const PRESSED: Ppm = Ppm::new(1000);
/// A group that waits for less is quiet.
const QUIET: Ppm = Ppm::new(500);
/// After so long the working set is known.
const SETTLED: Span = Span::secs(600);
/// What is left above what cannot be taken.
const SPARE: Bytes = Bytes::mebi(100);
/// What was read back in this time after a slice counts for it.
const REST: Span = Span::secs(60);
/// So much of swap stays free, in percent.
const SWAP_KEPT: u64 = 20;
/// More than this in a second to swap is too much for its disk, in bytes.
const SWAPPED_OUT: u64 = 1 << 20;
/// What nobody answered for is given up.
const UNANSWERED: Span = Span::secs(10);

/// All groups that are probed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Probes {
    each: BTreeMap<CgroupPath, Probed>,
    /// How much of swap was in use, and when; and whether it fills too fast.
    swapped: Option<(Tick, Bytes)>,
    swaps: bool,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Probed {
    component: ComponentName,
    id: CgroupId,
    /// When it may be looked at again.
    next: Tick,
    order: Option<(Relief, Tick)>,
    /// What the last slice was, and how many pages had been read back then.
    last: Option<(Bytes, u64)>,
    /// Since when it is quiet.
    quiet: Option<Tick>,
    working_set: Option<Bytes>,
    given: Bytes,
    read_back: Bytes,
}

impl Probes {
    /// Takes in one look. Whether anything that is wanted changed. Allocates nothing where nobody is probed, and between slices.
    pub(super) fn update(&mut self, sight: &Sight<'_>) -> bool {
        let seen = sight.seen;
        let is_probed = |component: &&Component| component.memory.probe > Probe::Off;
        if self.each.is_empty() && !sight.policy.components.values().any(|one| is_probed(&one)) {
            return false;
        }
        self.watch_swap(seen);
        let mut changed = false;
        self.each.retain(|path, probed| {
            let component = sight.policy.components.get(&probed.component);
            let homes = seen.homes.get(&probed.component);
            let stays = component.as_ref().is_some_and(is_probed)
                && homes.is_some_and(|homes| homes.iter().any(|home| home.path() == path))
                && seen.groups.get(path).is_some_and(|group| group.id == probed.id);
            changed |= !stays && probed.order.is_some();
            stays
        });
        for component in sight.policy.components.values().filter(is_probed) {
            let homes = seen.homes.get(&component.name).map(Vec::as_slice).unwrap_or_default();
            for home in homes {
                changed |= self.look(sight, component, home);
            }
        }
        changed
    }

    /// Takes in what came of slices.
    pub(super) fn hear(&mut self, seen: &Snapshot) {
        for outcome in &seen.outcomes {
            let OutcomeOf::Relief { means: Means::Probe { bytes } } = outcome.of else { continue };
            let Some(probed) = self.each.get_mut(&outcome.path) else { continue };
            if probed.order.take().is_some() && outcome.verdict == Verdict::Applied {
                probed.given = probed.given.plus(bytes);
            }
        }
    }

    /// What is to be done once.
    pub(super) fn reliefs(&self) -> impl Iterator<Item = &Relief> {
        self.each.values().filter_map(|probed| probed.order.as_ref().map(|(relief, _)| relief))
    }

    /// What probing found of a component; none where it is not probed.
    pub(super) fn view(&self, sight: &Sight<'_>, component: &Component) -> Option<ProbeView> {
        let homes = sight.seen.homes.get(&component.name).filter(|homes| !homes.is_empty())?;
        if component.memory.probe == Probe::Off {
            return None;
        }
        let each = || homes.iter().map(|home| self.each.get(home.path()));
        let sum =
            |of: fn(&Probed) -> Bytes| each().flatten().map(of).fold(Bytes::ZERO, Bytes::plus);
        let working_set =
            each().try_fold(Bytes::ZERO, |sum, one| Some(sum.plus(one?.working_set?)));
        let holds = homes.iter().find_map(|home| self.slice(sight, component, home).err());
        Some(ProbeView {
            working_set,
            given: sum(|probed| probed.given),
            read_back: sum(|probed| probed.read_back),
            holds: holds.map(str::to_owned),
        })
    }

    /// Swap that fills: what was freed meanwhile hides some of it.
    fn watch_swap(&mut self, seen: &Snapshot) {
        let used = seen.load.swap_free.map(|free| seen.host.swap.minus(free));
        let Some(used) = used else {
            (self.swapped, self.swaps) = (None, false);
            return;
        };
        let (since, before) = *self.swapped.get_or_insert((seen.at, used));
        let span = seen.at.since(since);
        if span >= EVERY {
            let most = SWAPPED_OUT.saturating_mul(span.0 / 1_000_000);
            self.swaps = used.minus(before).0 > most;
            self.swapped = Some((seen.at, used));
        }
    }

    fn look(&mut self, sight: &Sight<'_>, component: &Component, home: &Home) -> bool {
        let now = sight.seen.at;
        let Some(group) = group(sight.seen, home) else {
            return self.each.remove(home.path()).is_some_and(|probed| probed.order.is_some());
        };
        if !self.each.contains_key(home.path()) {
            let fresh = Probed::new(component.name.clone(), group.id, now);
            self.each.insert(home.path().clone(), fresh);
        }
        let slice = self.slice(sight, component, home);
        let Some(probed) = self.each.get_mut(home.path()) else { return false };
        let given_up = probed.order.take_if(|(_, at)| now.since(*at) >= UNANSWERED).is_some();
        if now < probed.next || probed.order.is_some() {
            return given_up;
        }
        probed.next = now.plus(EVERY);
        let is_read_back = probed.is_read_back(sight.seen, group);
        probed.judge(now, group, is_quiet(sight, home) && !is_read_back);
        if is_read_back {
            probed.next = now.plus(REST);
            return given_up;
        }
        let Some(bytes) = slice.ok().filter(|_| sight.enforces()) else { return given_up };
        let relief = Relief {
            component: component.name.clone(),
            at: home.at.clone(),
            means: Means::Probe { bytes },
            because: "memory that it does not use is looked for".to_owned(),
        };
        probed.last = refaults(group).map(|pages| (bytes, pages));
        probed.order = Some((relief, now));
        true
    }

    /// What may be reclaimed of a home now, or why nothing.
    fn slice(
        &self,
        sight: &Sight<'_>,
        component: &Component,
        home: &Home,
    ) -> Result<Bytes, &'static str> {
        self.may(sight, component)?;
        let seen = sight.seen;
        let group = group(seen, home).filter(|group| !group.holds_protected);
        let group = group.ok_or("nobody, or a protected process, lives there")?;
        let held = group.usage.memory.ok_or("what it holds is not known")?;
        let floor = floor(sight, component, group).ok_or("what it holds is not known")?;
        let wait = sight.estimator.group(home.path()).and_then(|need| need.waits.memory);
        let wait = wait.ok_or("whether it waits for memory is not known")?.p60;
        let bytes = amount(held, wait, component.memory.probe);
        let bytes = bytes.min(held.minus(floor)).page_floor(seen.host.page);
        match bytes {
            Bytes::ZERO if wait >= PRESSED => Err("it waits for memory"),
            Bytes::ZERO => Err("it holds little more than what cannot be taken"),
            bytes => Ok(bytes),
        }
    }

    /// Whether anything may be probed of a component, or why not.
    fn may(&self, sight: &Sight<'_>, component: &Component) -> Result<(), &'static str> {
        let (host, levels) = (&sight.seen.host, sight.estimator.levels());
        if !host.reclaim {
            return Err("the kernel has no memory.reclaim: Linux 5.19 or newer is needed");
        }
        if host.swap_rotates {
            return Err("a rotating disk holds the swap");
        }
        if levels.memory > Level::Normal || levels.io > Level::Normal {
            return Err("memory or a disk is short");
        }
        let is_mended = component.memory.on_leak >= OnLeak::Reclaim;
        if is_mended && sight.leak(&component.name).is_some() {
            return Err("it leaks, and what it does not use goes to swap for that");
        }
        let short =
            |free: Bytes| host.swap > Bytes::ZERO && free < host.swap.scaled(SWAP_KEPT, 100);
        if sight.seen.load.swap_free.is_some_and(short) {
            return Err("less than 20% of swap is free");
        }
        if self.swaps {
            return Err("more than 1 MiB a second goes to swap");
        }
        Ok(())
    }
}

impl Probed {
    const fn new(component: ComponentName, id: CgroupId, now: Tick) -> Self {
        Self {
            component,
            id,
            next: now,
            order: None,
            last: None,
            quiet: None,
            working_set: None,
            given: Bytes::ZERO,
            read_back: Bytes::ZERO,
        }
    }

    /// Whether a tenth of the last slice was read back; or that is not known.
    fn is_read_back(&mut self, seen: &Snapshot, group: &GroupView) -> bool {
        let Some((slice, before)) = self.last.take() else { return false };
        let Some(pages) = refaults(group).and_then(|pages| pages.checked_sub(before)) else {
            return true;
        };
        let back = seen.host.page.scaled(pages, 1);
        self.read_back = self.read_back.plus(back);
        back > slice.scaled(1, 10)
    }

    fn judge(&mut self, now: Tick, group: &GroupView, is_quiet: bool) {
        if !is_quiet {
            self.quiet = None;
            return;
        }
        let since = *self.quiet.get_or_insert(now);
        if now.since(since) >= SETTLED {
            self.working_set = group.usage.memory;
        }
    }
}

fn is_quiet(sight: &Sight<'_>, home: &Home) -> bool {
    let need = sight.estimator.group(home.path());
    need.and_then(|need| need.waits.memory).is_some_and(|wait| wait.p60 <= QUIET)
}

/// A slice: the pace's part of what is held, less the more the group waits.
fn amount(held: Bytes, wait: Ppm, pace: Probe) -> Bytes {
    let ratio = match pace {
        Probe::Off => 0,
        Probe::Slow => 500,
        Probe::Fast => 5000,
    };
    let calm = PRESSED.get().saturating_sub(wait.get());
    held.scaled(ratio, 1_000_000).scaled(u64::from(calm), u64::from(PRESSED.get()))
}

/// What is left to a group: what no reclaim takes, what is protected, and some more.
fn floor(sight: &Sight<'_>, component: &Component, group: &GroupView) -> Option<Bytes> {
    let homes = sight.seen.homes.get(&component.name).map_or(1, Vec::len);
    let share = component.memory.guarantee.scaled(1, u64::try_from(homes).unwrap_or(1).max(1));
    let protected = |kind| match group.knob(kind).value() {
        Some(Knob::MemoryMin(Limit::At(bytes)) | Knob::MemoryLow(Limit::At(bytes))) => *bytes,
        Some(Knob::MemoryMin(Limit::Max) | Knob::MemoryLow(Limit::Max)) => Bytes(u64::MAX),
        _ => Bytes::ZERO,
    };
    let protected = protected(KnobKind::MemoryMin).max(protected(KnobKind::MemoryLow)).max(share);
    let stat = group.usage.memory_stat?;
    let swap = sight.seen.load.swap_free.unwrap_or_default();
    let stuck = stat.anon.plus(stat.shmem?).minus(swap).plus(stat.slab_unreclaimable?);
    Some(stuck.plus(protected).plus(SPARE))
}

fn group<'a>(seen: &'a Snapshot, home: &Home) -> Option<&'a GroupView> {
    seen.groups.get(home.path()).filter(|group| group.id == home.at.id && group.populated)
}

fn refaults(group: &GroupView) -> Option<u64> {
    group.usage.memory_stat?.refaults
}

#[cfg(test)]
mod tests;
