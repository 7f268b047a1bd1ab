//! Which threads provost raised: put under `SCHED_RR`, by outcomes in this life and by the journal from an earlier one.
//!
//! Must not decide who is raised. A thread is forgotten when it was lowered, or turned out to be gone or somebody else's by then; until
//! then provost owes it its policy of before, wherever it lives.

use crate::model::{OutcomeOf, Sched, Snapshot, Verdict};
use crate::units::{CgroupRef, ComponentName, ProcId, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// As for knobs: what was refused is tried again after so long.
const RETRY_REFUSED: Span = Span::secs(60);

/// What provost owes to threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedThreads {
    records: BTreeMap<ProcId, RaisedThread>,
    refused: BTreeMap<ComponentName, RefusedThread>,
}

/// A thread that was raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedThread {
    /// Whose it is.
    pub component: ComponentName,
    /// The home in which it lived then.
    pub at: CgroupRef,
    /// Its name then.
    pub name: String,
    /// What it was given.
    pub given: Sched,
    /// What it had before.
    pub original: Sched,
}

/// What the kernel said when a thread of the component was to be raised or lowered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedThread {
    /// Why, and what to do about it.
    pub advice: String,
    /// When it may be tried again.
    pub until: Tick,
    /// Whether a thread was to be lowered.
    pub lowering: bool,
}

impl RaisedThreads {
    /// Takes up what an earlier life of the daemon raised.
    pub fn adopt(&mut self, thread: ProcId, raised: RaisedThread) {
        self.records.insert(thread, raised);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (ProcId, &RaisedThread)> {
        self.records.iter().map(|(thread, raised)| (*thread, raised))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, thread: ProcId) -> Option<&RaisedThread> {
        self.records.get(&thread)
    }

    /// What was refused to the component, while it is not tried again.
    #[must_use]
    pub fn refused(&self, component: &ComponentName) -> Option<&RefusedThread> {
        self.refused.get(component)
    }

    /// Forgets refusals: an administrator spoke.
    pub fn forgive(&mut self) {
        self.refused.clear();
    }

    /// Takes in what came of earlier actions.
    pub(super) fn update(&mut self, seen: &Snapshot) {
        self.refused.retain(|_, refused| seen.at < refused.until);
        for outcome in &seen.outcomes {
            let (OutcomeOf::Thread { thread, name, id, asked, original }, Some(component)) =
                (&outcome.of, &outcome.component)
            else {
                continue;
            };
            let raises = *asked != *original;
            match &outcome.verdict {
                Verdict::Applied if raises => {
                    let at = CgroupRef { path: outcome.path.clone(), id: *id };
                    let raised = RaisedThread {
                        component: component.clone(),
                        at,
                        name: name.clone(),
                        given: *asked,
                        original: *original,
                    };
                    self.records.insert(*thread, raised);
                }
                Verdict::Applied | Verdict::Clipped { .. } | Verdict::Gone => {
                    self.records.remove(thread);
                }
                Verdict::Refused { advice, .. } => {
                    let until = outcome.at.plus(RETRY_REFUSED);
                    let refused =
                        RefusedThread { advice: advice.clone(), until, lowering: !raises };
                    self.refused.insert(component.clone(), refused);
                }
            }
        }
    }
}
