//! Placements that the kernel, systemd or the journal refused: they are told, and tried again after a while, not at every look.

use crate::model::{
    Action, Finding, FindingKind, OutcomeOf, Plan, Severity, Snapshot, Stray, Verdict,
};
use crate::units::{ComponentName, ProcId, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// As for knobs.
const RETRY_REFUSED: Span = Span::secs(60);

/// What was refused: a component's home as a whole, or one process.
type What = (ComponentName, Option<ProcId>);

/// Refusals that still stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusals {
    standing: BTreeMap<What, (String, Tick)>,
}

impl Refusals {
    pub(super) fn forget(&mut self) {
        self.standing.clear();
    }

    /// Takes in the outcomes of earlier placements, and forgets what is over.
    pub(super) fn update(&mut self, seen: &Snapshot) {
        for outcome in &seen.outcomes {
            let process = match outcome.of {
                OutcomeOf::Group => None,
                OutcomeOf::Process { process, .. } => Some(process),
                OutcomeOf::Knob { .. }
                | OutcomeOf::Relief { .. }
                | OutcomeOf::Thread { .. }
                | OutcomeOf::Unit { .. }
                | OutcomeOf::Hook { .. }
                | OutcomeOf::Restart { .. } => continue,
            };
            let Some(component) = outcome.component.clone() else { continue };
            match &outcome.verdict {
                Verdict::Refused { advice, .. } => {
                    let until = outcome.at.plus(RETRY_REFUSED);
                    self.standing.insert((component, process), (advice.clone(), until));
                }
                Verdict::Applied | Verdict::Clipped { .. } | Verdict::Gone => {
                    self.standing.remove(&(component, process));
                }
            }
        }
        self.standing.retain(|(component, process), (_, until)| {
            let concerns = |stray: &Stray| {
                stray.component == *component
                    && process.is_none_or(|process| process == stray.process)
            };
            seen.at < *until && seen.strays.iter().any(concerns)
        });
    }

    /// Takes out of the plan what would be refused again.
    pub(super) fn hold_back(&self, plan: &mut Plan) {
        if self.standing.is_empty() {
            return;
        }
        plan.actions.retain_mut(|action| {
            let (component, strays) = match action {
                Action::MakeScope { component, strays, .. }
                | Action::MakeGroup { component, strays, .. }
                | Action::Attach { component, strays, .. } => (component, strays),
                Action::Enable { .. }
                | Action::SetUnit { .. }
                | Action::Write { .. }
                | Action::Relieve { .. }
                | Action::Schedule { .. }
                | Action::Job { .. } => {
                    return true;
                }
            };
            let is_refused = |process| self.standing.contains_key(&(component.clone(), process));
            strays.retain(|stray| !is_refused(Some(stray.process)));
            !strays.is_empty() && !is_refused(None)
        });
    }

    pub(super) fn findings(&self, now: Tick) -> impl Iterator<Item = Finding> {
        self.standing.iter().map(move |((component, process), (advice, until))| {
            let who = process.map_or_else(
                || format!("the processes of {component} stay where they are"),
                |process| format!("process {process} of {component} stays where it is"),
            );
            let left = until.since(now).0.div_ceil(1_000_000);
            Finding {
                severity: Severity::Warning,
                kind: FindingKind::Refused,
                component: Some(component.clone()),
                at: None,
                text: format!("{who}: {advice} ({left}s left)"),
            }
        })
    }

    /// When the first of them is over.
    pub(super) fn next(&self) -> Option<Tick> {
        self.standing.values().map(|(_, until)| *until).min()
    }
}
