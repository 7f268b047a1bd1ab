//! What the daemon remembers of its own work for the status report: last actions, escape times, drift.

use super::counts::Counts;
use crate::estimate::Ownership;
use crate::model::{
    Action, ActionCount, ActionLine, Change, Drift, EscapeTimes, Escaped, Means, Outcome,
    OutcomeOf, Plan, Reason, Snapshot, Verdict,
};
use crate::units::{ComponentName, Span, Tick};
use std::collections::{BTreeMap, VecDeque};

const MOST_LINES: usize = 50;
const MOST_SAMPLES: usize = 256;
const MOST_ESCAPED: usize = 16;
/// A value written this long after a reload is not that reload's doing.
const RELOAD_MATTERS: Span = Span::secs(60);

/// The daemon's memory of its own work.
#[derive(Debug, Default)]
pub struct History {
    lines: VecDeque<ActionLine>,
    samples: VecDeque<Span>,
    escape: EscapeTimes,
    drift: Drift,
    noticed: Option<Tick>,
    hooks: BTreeMap<ComponentName, ActionLine>,
    counts: Counts,
}

impl History {
    /// Takes note of a plan that is about to be carried out; `lost` says how many of its changes write again what was lost.
    pub fn planned(&mut self, lost: u64, at: Tick) {
        self.drift.seen += lost;
        if lost > 0 {
            self.noticed = Some(at);
        }
    }

    /// Takes note of an outcome; of a knob with why it was to have another value, where that is known.
    pub fn happened(
        &mut self,
        outcome: &Outcome,
        reason: Option<&Reason>,
        reloaded_at: Option<Tick>,
    ) {
        self.counts.add(outcome);
        // Every few seconds one: nothing else would be seen among them.
        if matches!(outcome.of, OutcomeOf::Relief { means: Means::Probe { .. } }) {
            return;
        }
        if let OutcomeOf::Process { exec_to_placed, .. } = &outcome.of {
            self.placed(outcome, *exec_to_placed);
        }
        if outcome.verdict == Verdict::Gone {
            self.escaped(outcome);
        }
        if matches!(outcome.of, OutcomeOf::Knob { .. }) && outcome.verdict == Verdict::Applied {
            self.written_again(outcome.at, reloaded_at);
        }
        let is_hook = matches!(
            outcome.of,
            OutcomeOf::Hook { .. }
                | OutcomeOf::Relief { means: Means::Tell { .. } | Means::TellOfLeak { .. } }
        );
        if let Some(component) = outcome.component.clone().filter(|_| is_hook) {
            self.hooks.insert(component, line(outcome, None));
        }
        self.lines.push_back(line(outcome, reason));
        if self.lines.len() > MOST_LINES {
            self.lines.pop_front();
        }
    }

    fn placed(&mut self, outcome: &Outcome, exec_to_placed: Option<Span>) {
        match outcome.verdict {
            Verdict::Gone => self.escape.escaped += 1,
            Verdict::Applied => self.escape.placed += 1,
            Verdict::Clipped { .. } | Verdict::Refused { .. } => {}
        }
        let Some(span) = exec_to_placed else { return };
        self.samples.push_back(span);
        if self.samples.len() > MOST_SAMPLES {
            self.samples.pop_front();
        }
        let mut sorted: Vec<Span> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        let at = |hundredths: usize| {
            sorted.get((sorted.len() * hundredths / 100).min(sorted.len() - 1)).copied()
        };
        self.escape.median = at(50);
        self.escape.p99 = at(99);
        self.escape.longest = self.escape.longest.max(Some(span));
    }

    fn escaped(&mut self, outcome: &Outcome) {
        let (OutcomeOf::Process { process, comm, from, .. }, Some(component)) =
            (&outcome.of, &outcome.component)
        else {
            return;
        };
        let last = &mut self.escape.last_escaped;
        if last.len() == MOST_ESCAPED {
            last.remove(0);
        }
        last.push(Escaped {
            at: outcome.at,
            component: component.clone(),
            process: *process,
            comm: comm.clone(),
            from: from.clone(),
        });
    }

    fn written_again(&mut self, at: Tick, reloaded_at: Option<Tick>) {
        let Some(noticed) = self.noticed else { return };
        self.drift.last_reassert = Some(at.since(noticed));
        if let Some(reloaded) =
            reloaded_at.filter(|reloaded| noticed.since(*reloaded) < RELOAD_MATTERS)
        {
            self.drift.last_reload_to_reassert = Some(at.since(reloaded));
        }
    }

    /// The plan is done: what is written after it is not about what was lost before.
    pub fn plan_done(&mut self) {
        self.noticed = None;
    }

    /// The last actions, newest last.
    #[must_use]
    pub fn lines(&self) -> Vec<ActionLine> {
        self.lines.iter().cloned().collect()
    }

    /// How often what was done.
    #[must_use]
    pub fn counts(&self) -> Vec<ActionCount> {
        self.counts.all()
    }

    /// What came last of each component's hook.
    #[must_use]
    pub const fn hooks(&self) -> &BTreeMap<ComponentName, ActionLine> {
        &self.hooks
    }

    /// How fast loose processes were placed.
    #[must_use]
    pub const fn escape(&self) -> &EscapeTimes {
        &self.escape
    }

    /// How fast lost values were written again.
    #[must_use]
    pub const fn drift(&self) -> &Drift {
        &self.drift
    }
}

/// How many changes of a plan write again what provost had written before and what was lost since.
#[must_use]
pub(super) fn lost(plan: &Plan, ownership: &Ownership, seen: &Snapshot) -> u64 {
    let is_lost = |action: &Action, change: &Change| {
        let same_group = seen.groups.get(action.path()).map(|group| group.id);
        ownership.record(action.path(), change.new.kind()).is_some_and(|record| {
            Some(record.id) == same_group
                && record.effective.is_some()
                && record.asked.as_ref() == Some(&change.new)
                && change.old.value() != record.effective.as_ref()
        })
    };
    let changes = |action| Action::changes(action).iter().map(move |change| (action, change));
    let lost =
        plan.actions.iter().flat_map(changes).filter(|(action, change)| is_lost(action, change));
    u64::try_from(lost.count()).unwrap_or(u64::MAX)
}

fn line(outcome: &Outcome, reason: Option<&Reason>) -> ActionLine {
    ActionLine {
        at: outcome.at,
        component: outcome.component.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        path: outcome.path.clone(),
        what: outcome.what(),
        result: outcome.result(),
        why: reason.map(ToString::to_string),
        took: outcome.took,
    }
}
