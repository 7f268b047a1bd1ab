//! What a leaking component does not use goes to swap, a slice at a time, as long as that helps.
//!
//! A leak is memory that nobody looks at again, so the kernel takes it first. Each slice is a trial: after [`EFFECT`] the group must hold
//! less by half of it, and neither read it back nor wait. One that did not help is followed by a rest, which doubles each time. Must not
//! reclaim while memory is short (that is the ladder's), below the guarantee, or what swap has no room for.

use super::Sight;
use crate::config::{Component, OnLeak};
use crate::model::{GroupView, Level, Means, Outcome, Relief, Snapshot, Verdict};
use crate::units::{Bytes, CgroupPath, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};

/// What is reclaimed at once.
const SLICE: Bytes = Bytes::mebi(32);
/// Less is not worth a call.
const LEAST_SLICE: Bytes = Bytes::mebi(1);
/// What is left to any component, whatever its guarantee.
const LEAST_LEFT: Bytes = Bytes::mebi(64);
/// After so long it is looked what came of a slice.
const EFFECT: Span = Span::secs(10);
/// The rest after a slice that did not help: at first, and at most.
const SHORTEST_REST: Span = Span::secs(60);
const LONGEST_REST: Span = Span::secs(3600);
/// A component that waits for memory for more of ten seconds is slowed down.
const WAITS: Ppm = Ppm::percent(1);
/// So much of swap stays free, in percent.
const SWAP_KEPT: u64 = 20;

/// What is done in one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Squeeze {
    order: Option<Relief>,
    trial: Option<Trial>,
    rest: Span,
    rests_until: Option<Tick>,
    /// What all slices that helped took back.
    given: Bytes,
}

/// One slice, and how the group was before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Trial {
    at: Tick,
    path: CgroupPath,
    asked: Bytes,
    held: Bytes,
    refaults: u64,
}

impl Squeeze {
    /// Takes in one look at a component that leaks. Whether anything that is wanted changed.
    pub(super) fn update(&mut self, sight: &Sight<'_>, component: &Component) -> bool {
        let now = sight.seen.at;
        if component.memory.on_leak < OnLeak::Reclaim {
            self.trial = None;
            return self.order.take().is_some();
        }
        if let Some(trial) = self.trial.take_if(|trial| now.since(trial.at) >= EFFECT) {
            // Who did not answer by now did not reclaim.
            let unanswered = self.order.take().is_some();
            let given = trial.given(sight.seen).filter(|_| !unanswered && !waits(sight, component));
            self.judge(now, given.filter(|given| *given >= trial.asked.scaled(1, 2)));
        }
        if self.trial.is_some() || self.rests_until.is_some_and(|until| now < until) {
            return false;
        }
        let may = sight.enforces() && may_reclaim(sight, component).is_ok();
        let slice = may.then(|| slice(sight, component)).flatten();
        let Some((relief, trial)) = slice else { return self.order.take().is_some() };
        (self.order, self.trial) = (Some(relief), Some(trial));
        true
    }

    /// Takes in what came of a slice.
    pub(super) fn hear(&mut self, outcome: &Outcome) {
        let is_its = |order: &mut Relief| order.at.path == outcome.path;
        if self.order.take_if(is_its).is_none() {
            return;
        }
        match outcome.verdict {
            Verdict::Applied => {}
            Verdict::Clipped { .. } | Verdict::Refused { .. } | Verdict::Gone => {
                self.trial = None;
                self.judge(outcome.at, None);
            }
        }
    }

    /// What is to be done once.
    pub(super) fn order(&self) -> Option<&Relief> {
        self.order.as_ref()
    }

    /// What was taken back since the leak was found.
    pub(super) const fn given(&self) -> Bytes {
        self.given
    }

    /// Why nothing is reclaimed now; none while something is.
    pub(super) fn holds(&self, sight: &Sight<'_>, component: &Component) -> Option<String> {
        if let Err(why) = may_reclaim(sight, component) {
            return Some(why.to_owned());
        }
        let left = self.rests_until?.since(sight.seen.at);
        let left = Span(left.0 / 1_000_000 * 1_000_000);
        (left > Span::ZERO).then(|| format!("the last slice did not help; tried again in {left}"))
    }

    fn judge(&mut self, now: Tick, given: Option<Bytes>) {
        if let Some(given) = given {
            self.given = self.given.plus(given);
            (self.rest, self.rests_until) = (Span::ZERO, None);
        } else {
            let longer = Span(self.rest.0.saturating_mul(2));
            self.rest = longer.clamp(SHORTEST_REST, LONGEST_REST);
            self.rests_until = Some(now.plus(self.rest));
        }
    }
}

impl Trial {
    /// By how much less the group holds; none where it read that back, or it is not known.
    fn given(&self, seen: &Snapshot) -> Option<Bytes> {
        let group = seen.groups.get(&self.path)?;
        let given = self.held.minus(group.usage.memory?).min(self.asked);
        let pages = refaults(group)?.checked_sub(self.refaults)?;
        let back = seen.host.page.scaled(pages, 1);
        (back <= self.asked.scaled(1, 10)).then_some(given)
    }
}

/// Whether something may be reclaimed, or why not.
fn may_reclaim(sight: &Sight<'_>, component: &Component) -> Result<(), &'static str> {
    let (host, load) = (&sight.seen.host, &sight.seen.load);
    if component.memory.on_leak < OnLeak::Reclaim {
        return Err("its configuration does not allow it");
    }
    if !host.reclaim {
        return Err("the kernel has no memory.reclaim: Linux 5.19 or newer is needed");
    }
    if host.swap == Bytes::ZERO {
        return Err("the host has no swap, and only what goes there can be taken from a leak");
    }
    if load.swap_free.is_none_or(|free| free < host.swap.scaled(SWAP_KEPT, 100)) {
        return Err("less than 20% of swap is free");
    }
    if sight.estimator.levels().memory > Level::Normal {
        return Err("memory is short, and the ladder reclaims by its own rules");
    }
    if waits(sight, component) {
        return Err("it waits for memory itself, or whether it does is not known");
    }
    Ok(())
}

/// Whether the component waits for memory, or that is not known.
fn waits(sight: &Sight<'_>, component: &Component) -> bool {
    let need = sight.estimator.component(&component.name);
    need.and_then(|need| need.waits.memory).is_none_or(|wait| wait.p10 >= WAITS)
}

/// The next slice, of the home that holds most.
fn slice(sight: &Sight<'_>, component: &Component) -> Option<(Relief, Trial)> {
    let homes = sight.seen.homes.get(&component.name)?;
    let count = u64::try_from(homes.len()).unwrap_or(u64::MAX).max(1);
    let all = homes.iter().filter_map(|home| {
        let group = sight.seen.groups.get(home.path())?;
        let may = group.id == home.at.id && group.populated && !group.holds_protected;
        may.then_some((group.usage.memory?, home, group))
    });
    let (held, home, group) = all.max_by_key(|(held, ..)| *held)?;
    let floor = component.memory.guarantee.scaled(1, count).max(LEAST_LEFT);
    let asked = held.minus(floor).min(SLICE).page_floor(sight.seen.host.page);
    if asked < LEAST_SLICE {
        return None;
    }
    let relief = Relief {
        component: component.name.clone(),
        at: home.at.clone(),
        means: Means::Reclaim { bytes: asked },
        because: "it leaks, and what it does not use can go to swap".to_owned(),
    };
    let refaults = refaults(group)?;
    let trial = Trial { at: sight.seen.at, path: home.path().clone(), asked, held, refaults };
    Some((relief, trial))
}

fn refaults(group: &GroupView) -> Option<u64> {
    group.usage.memory_stat?.refaults
}
