//! How fast provost may write: a bucket for the whole agent, and a gap for each file.
//!
//! **Problem.** Each write is work for the kernel or for systemd, and wakes whoever watches the file. A defect, a flapping load or a neighbour
//! that resets everything must not turn provost into a storm.
//!
//! **Approach.** A bucket holds `burst` writes and fills by `rate` a second. What does not fit waits, and is planned again at the next look. A
//! file is not written twice within [`GAP`].
//!
//! **Terms.** *place*: a knob of a group. *to wait*: to be wanted and not be written because of the bucket or the gap. *free*: a write that
//! never waits. *urgent*: all writes to a group of which one follows the load: somebody protected waits for it now.
//!
//! **Algorithm.** What was written is counted from outcomes, so a plan that nobody carried out costs nothing. Of a plan, groups whose writes
//! have waited longest go first, others in the order of the plan; of one group never a later write without the one before it. Urgent
//! ones go before the others, but of [`TURNS`] writes one is not urgent if any such is wanted. What was chosen is done in the order of the
//! plan. Free are: giving back, moving processes and making what they move to, threads in real time; of the gap also
//! raising what a protected component has, and writing once more what was lost.
//!
//! **Properties**, each a property test: in any time the writes that are not free are at most `burst` and `rate` times that time; a write that
//! goes on being wanted is done, and an urgent one does not wait behind those that are not; what is done is a part of the plan in the
//! plan's order.

use crate::config::{Policy, Writes};
use crate::estimate::Ownership;
use crate::model::{Action, Change, Knob, KnobKind, OutcomeOf, Plan, Reading, Snapshot};
use crate::units::{CgroupId, CgroupPath, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The least time between two writes to one file: a second, less what one look may come earlier than the one before.
const GAP: Span = Span::millis(900);

/// Of so many writes one at least is not urgent, if any such is wanted: else a storm of limits that follow the load would keep the
/// standing ones from ever being set.
const TURNS: u8 = 4;

/// One write in the unit in which the bucket counts.
const ONE: u64 = 1_000_000;

/// A knob of a group.
type Place = (CgroupPath, KnobKind);

/// What was written lately, and what waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pacing {
    at: Option<Tick>,
    /// What is missing in the bucket, in millionths of a write.
    used: u64,
    /// Within the last [`GAP`], and in which group: one that was made anew has new files.
    written: BTreeMap<Place, (Tick, Option<CgroupId>)>,
    /// Since when.
    waiting: BTreeMap<Place, Tick>,
    /// How many writes were chosen since the last one that was not urgent.
    turn: u8,
}

/// A write that may have to wait, with where in the plan it stands.
struct Candidate {
    since: Tick,
    position: (usize, usize),
    place: Place,
    soon: bool,
    urgent: bool,
}

impl Pacing {
    /// Takes in what was written since the last look.
    pub(super) fn update(&mut self, writes: Writes, seen: &Snapshot) {
        let span = self.at.replace(seen.at).map_or(Span::ZERO, |at| seen.at.since(at));
        self.used = self.used.saturating_sub(span.0.saturating_mul(writes.rate));
        for outcome in &seen.outcomes {
            let OutcomeOf::Knob { knob, id, .. } = outcome.of else { continue };
            self.used = self.used.saturating_add(ONE);
            self.written.insert((outcome.path.clone(), knob), (outcome.at, id));
        }
        self.used = self.used.min(writes.burst.saturating_mul(ONE));
        self.written.retain(|_, (at, _)| seen.at.since(*at) < GAP);
    }

    /// Takes out of the plan what has to wait; how much that is.
    pub(super) fn defer(
        &mut self,
        policy: &Policy,
        ownership: &Ownership,
        seen: &Snapshot,
        plan: &mut Plan,
    ) -> usize {
        let candidates = self.candidates(policy, ownership, seen.at, plan);
        let room = policy.writes.burst.saturating_sub(self.used.div_ceil(ONE));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut chosen = BTreeSet::new();
        let mut waiting = BTreeMap::new();
        let mut blocked: BTreeSet<&CgroupPath> = BTreeSet::new();
        let mut urgent = candidates.iter().filter(|candidate| candidate.urgent).peekable();
        let mut others = candidates.iter().filter(|candidate| !candidate.urgent).peekable();
        loop {
            let is_their_turn = self.turn + 1 >= TURNS || urgent.peek().is_none();
            let next = if is_their_turn { others.next() } else { None };
            let Some(candidate) = next.or_else(|| urgent.next()) else { break };
            let (path, _) = &candidate.place;
            if candidate.soon || chosen.len() >= room || blocked.contains(path) {
                blocked.insert(path);
                let since = self.waiting.get(&candidate.place).copied().unwrap_or(seen.at);
                waiting.insert(candidate.place.clone(), since);
            } else {
                chosen.insert(candidate.position);
                self.turn = if candidate.urgent { self.turn + 1 } else { 0 }.min(TURNS);
            }
        }
        if !waiting.is_empty() {
            keep(plan, &waiting);
        }
        self.waiting = waiting;
        self.waiting.len()
    }

    /// Whether the write to this knob waits for its turn.
    pub(super) fn defers(&self, path: &CgroupPath, kind: KnobKind) -> bool {
        self.waiting.contains_key(&(path.clone(), kind))
    }

    /// What may have to wait: those first whose group has waited longest.
    fn candidates(
        &self,
        policy: &Policy,
        ownership: &Ownership,
        now: Tick,
        plan: &Plan,
    ) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (number, action) in plan.actions.iter().enumerate() {
            let (Action::SetUnit { at, .. } | Action::Write { at, .. }) = action else {
                continue;
            };
            for (index, change) in action.changes().iter().enumerate() {
                if change.reason.gives_back() {
                    continue;
                }
                let place = (at.path.clone(), change.new.kind());
                let written = self.written.get(&place);
                let soon = written.is_some_and(|(_, id)| *id == Some(at.id))
                    && !is_raise_for_protected(policy, change)
                    && !is_lost(ownership, &place, change);
                let urgent = change.reason.is_passing();
                let position = (number, index);
                candidates.push(Candidate { since: now, position, place, soon, urgent });
            }
        }
        let mut groups: BTreeMap<CgroupPath, (Tick, bool)> = BTreeMap::new();
        for Candidate { place, urgent, .. } in &candidates {
            let since = self.waiting.get(place).copied().unwrap_or(now);
            let group = groups.entry(place.0.clone()).or_insert((since, *urgent));
            *group = (group.0.min(since), group.1 || *urgent);
        }
        for candidate in &mut candidates {
            if let Some((since, urgent)) = groups.get(&candidate.place.0) {
                (candidate.since, candidate.urgent) = (*since, *urgent);
            }
        }
        candidates.sort_by_key(|candidate| (candidate.since, candidate.position));
        candidates
    }
}

/// Takes what waits out of the plan. `memory.oom.group` goes with the call to systemd that resets it.
fn keep(plan: &mut Plan, waiting: &BTreeMap<Place, Tick>) {
    let mut called: BTreeSet<CgroupPath> = BTreeSet::new();
    plan.actions.retain_mut(|action| match action {
        Action::SetUnit { at, changes, .. } => {
            changes.retain(|change| !waits(waiting, &at.path, change));
            if !changes.is_empty() {
                called.insert(at.path.clone());
            }
            !changes.is_empty()
        }
        Action::Write { at, change } => {
            let is_reset =
                change.new.kind() == KnobKind::MemoryOomGroup && called.contains(&at.path);
            is_reset || !waits(waiting, &at.path, change)
        }
        Action::MakeScope { .. }
        | Action::MakeGroup { .. }
        | Action::Attach { .. }
        | Action::Enable { .. }
        | Action::Relieve { .. }
        | Action::Schedule { .. }
        | Action::Job { .. } => true,
    });
}

fn waits(waiting: &BTreeMap<Place, Tick>, path: &CgroupPath, change: &Change) -> bool {
    let place = (path.clone(), change.new.kind());
    !change.reason.gives_back() && waiting.contains_key(&place)
}

/// Whether a protected component gets more by it.
fn is_raise_for_protected(policy: &Policy, change: &Change) -> bool {
    let component = change.component.as_ref().and_then(|name| policy.components.get(name));
    let rises = match (&change.old, &change.new) {
        (Reading::Is(Knob::CpuMax(old)), Knob::CpuMax(new)) => new.rate() > old.rate(),
        (Reading::Is(old), new) => new > old,
        (Reading::Absent | Reading::Gone | Reading::Failed(_), _) => false,
    };
    rises && component.is_some_and(|component| component.priority.is_protected())
}

/// Whether it is what was written before, which somebody or something took away.
fn is_lost(ownership: &Ownership, (path, kind): &Place, change: &Change) -> bool {
    let record = ownership.record(path, *kind);
    record.is_some_and(|record| record.asked.as_ref() == Some(&change.new))
}

#[cfg(test)]
mod tests;
