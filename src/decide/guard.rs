//! The guard over threads in real time: whoever does not sleep is lowered at once, for longer each time.
//!
//! **Problem.** A thread in real time that loops keeps its CPU from all others, the kernel's own threads too, but for the twentieth that the
//! kernel leaves them (`kernel.sched_rt_runtime_us`). No limit of a cgroup binds it.
//!
//! **Approach.** The CPU time of the raised threads themselves, and not that of their group, whose other threads may well fill what is left. One
//! that has more than [`MOST`] of a CPU, or all together more than that of the component's CPUs, for [`PATIENCE`], and all of the component are
//! lowered: for [`FIRST`], and twice as long each time it happens again.
//!
//! **Terms.** *over*: above that share since the look before. *pause*: the time in which no thread of the component is raised.
//!
//! **Properties.** A pause is never shorter than the first and never longer than [`LONGEST`]. A look that came too soon after the last one
//! changes nothing. What follows a restart of provost begins with the first pause again.

use crate::config::{Component, Policy};
use crate::estimate::RaisedThreads;
use crate::model::{RealtimeSeen, Snapshot};
use crate::units::{ComponentName, CpuTime, ProcId, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// In percent of a CPU's time. The kernel stops real time at 95 % of a second by default, so that a loop shows a little less than that; what
/// works and sleeps has room below.
const MOST: u64 = 90;
/// Two looks at the shortest usual interval: one alone may be a burst.
const PATIENCE: Span = Span::secs(2);
/// CPU time is counted in hundredths of a second: over less than this the share is too coarse.
const SHORTEST: Span = Span::millis(500);
const FIRST: Span = Span::secs(60);
const LONGEST: Span = Span::secs(3600);
/// Whoever was raised for so long after a pause begins with the first one again.
const FORGIVEN_AFTER: Span = Span::secs(3600);

/// What is remembered of each component with threads in real time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Guards {
    at: Tick,
    /// CPU time of each named thread at that time.
    used: BTreeMap<ProcId, (Tick, CpuTime)>,
    guards: BTreeMap<ComponentName, Guard>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Guard {
    over_since: Option<Tick>,
    /// The last pause, how long it is or was, and why.
    pause: Option<(Tick, Span, String)>,
    paused: bool,
}

impl Guards {
    /// Takes in one look. Whether a pause began or ended. Allocates only when a thread is new or something is over.
    pub(super) fn update(
        &mut self,
        policy: &Policy,
        raised: &RaisedThreads,
        seen: &Snapshot,
    ) -> bool {
        let span = seen.at.since(self.at);
        if span < SHORTEST {
            return false;
        }
        let since = std::mem::replace(&mut self.at, seen.at);
        let mut moved = false;
        for component in policy.components.values().filter(|one| one.realtime().is_some()) {
            let Some(looked) = seen.realtime.get(&component.name) else { continue };
            let busy = busiest(&self.used, raised, looked, span);
            moved |= self.judge(component, busy, since, seen.at);
        }
        self.remember(seen);
        self.guards.retain(|name, _| {
            policy.components.get(name).is_some_and(|one| one.realtime().is_some())
        });
        moved
    }

    /// Why no thread of the component may be raised, and until when.
    pub(super) fn obstacle(&self, name: &ComponentName) -> Option<(String, Tick)> {
        let guard = self.guards.get(name).filter(|guard| guard.paused)?;
        let (since, span, why) = guard.pause.as_ref()?;
        Some((why.clone(), since.plus(*span)))
    }

    /// Ends all pauses: an administrator spoke.
    pub(super) fn forgive(&mut self) {
        self.guards.clear();
    }

    fn judge(
        &mut self,
        component: &Component,
        busy: Option<Busy<'_>>,
        since: Tick,
        now: Tick,
    ) -> bool {
        match self.guards.get_mut(&component.name) {
            Some(guard) => guard.judge(busy, since, now),
            None if busy.is_some() => {
                let mut guard = Guard::default();
                let moved = guard.judge(busy, since, now);
                self.guards.insert(component.name.clone(), guard);
                moved
            }
            None => false,
        }
    }

    /// Keeps the CPU time of every named thread for the next look.
    fn remember(&mut self, seen: &Snapshot) {
        for view in seen.realtime.values().flat_map(|looked| &looked.threads) {
            self.used.insert(view.thread, (seen.at, view.used));
        }
        self.used.retain(|_, (at, _)| *at == seen.at);
    }
}

/// What was over.
#[derive(Debug, Clone, Copy)]
enum Busy<'a> {
    Thread(&'a str),
    All,
}

/// Who of the raised threads, or whether all together, had more of their CPUs than they may.
fn busiest<'a>(
    before: &BTreeMap<ProcId, (Tick, CpuTime)>,
    raised: &RaisedThreads,
    looked: &'a RealtimeSeen,
    span: Span,
) -> Option<Busy<'a>> {
    let most = span.0 / 100 * MOST;
    let mut sum = 0_u64;
    for view in &looked.threads {
        if raised.get(view.thread).is_none_or(|raised| raised.given != view.sched) {
            continue;
        }
        let Some((_, had)) = before.get(&view.thread) else { continue };
        let used = view.used.0.saturating_sub(had.0);
        if used > most {
            return Some(Busy::Thread(&view.name));
        }
        sum = sum.saturating_add(used);
    }
    let cpus = looked.cpus.values().map(crate::units::CpuSet::len).max().unwrap_or(0);
    let cpus = u64::try_from(cpus).unwrap_or(u64::MAX);
    (sum > most.saturating_mul(cpus)).then_some(Busy::All)
}

impl Guard {
    fn judge(&mut self, busy: Option<Busy<'_>>, since: Tick, now: Tick) -> bool {
        if self.paused {
            let is_over =
                self.pause.as_ref().is_none_or(|(began, span, _)| now >= began.plus(*span));
            self.paused = !is_over;
            self.over_since = None;
            return is_over;
        }
        let Some(busy) = busy else {
            self.over_since = None;
            return false;
        };
        let over_since = *self.over_since.get_or_insert(since);
        if now.since(over_since) < PATIENCE {
            return false;
        }
        let span = match &self.pause {
            Some((began, span, _)) if now.since(began.plus(*span)) < FORGIVEN_AFTER => {
                Span(span.0 * 2).min(LONGEST)
            }
            Some(_) | None => FIRST,
        };
        let who = match busy {
            Busy::Thread(name) => format!("the thread {name} had more than {MOST}% of a CPU"),
            Busy::All => format!("they had more than {MOST}% of their CPUs"),
        };
        let why = format!("{who} for {PATIENCE} and more, in which nobody else runs there");
        self.pause = Some((now, span, why));
        self.paused = true;
        true
    }
}

#[cfg(test)]
mod tests;
