//! What happened, as events for people: actions with the reason for each, findings that come and go, levels that move.

use super::Over;
use crate::kernel::clock;
use crate::model::{
    AlertView, Event, EventOf, Finding, FindingKind, Levels, Means, Outcome, OutcomeOf, Plan,
    Resource,
};
use crate::units::{CgroupPath, ComponentName, Tick};
use std::collections::BTreeMap;

/// By what a finding is the same at the next look: its words may count seconds.
type Key = (FindingKind, Option<ComponentName>, Option<CgroupPath>);

/// Gathers events between two cycles.
#[derive(Debug, Default)]
pub(super) struct Events {
    open: Vec<Event>,
    findings: BTreeMap<Key, Finding>,
    levels: Levels,
}

impl Events {
    /// Takes note of what came of an action of this plan.
    pub(super) fn happened(&mut self, outcome: &Outcome, plan: Option<&Plan>) {
        // Every few seconds one: nothing else would be seen among them.
        if matches!(outcome.of, OutcomeOf::Relief { means: Means::Probe { .. } }) {
            return;
        }
        let change = plan.and_then(|plan| plan.change_of(outcome));
        let of = EventOf::Action {
            outcome: Box::new(outcome.clone()),
            old: change.and_then(|change| change.old.value().cloned()),
            reason: change.map(|change| change.reason.clone()),
        };
        self.push(outcome.at, of);
    }

    /// Takes note of what the daemon did or was told.
    pub(super) fn said(&mut self, at: Tick, what: String) {
        self.push(at, EventOf::Daemon { what });
    }

    /// Takes note of an alert of which others were told.
    pub(super) fn told(&mut self, at: Tick, alert: AlertView) {
        self.push(at, EventOf::Alert { alert: Box::new(alert) });
    }

    /// How many actions are gathered.
    pub(super) fn actions(&self) -> u64 {
        let actions = self.open.iter().filter(|event| matches!(event.of, EventOf::Action { .. }));
        u64::try_from(actions.count()).unwrap_or(u64::MAX)
    }

    /// Takes note of what differs from the cycle before.
    pub(super) fn cycle(&mut self, over: &Over<'_>) {
        let estimator = &over.state.estimator;
        let levels = estimator.levels();
        let before = std::mem::replace(&mut self.levels, levels);
        for resource in Resource::ALL {
            let (from, to) = (before.of(resource), levels.of(resource));
            if from != to {
                let cause = estimator.cause(resource);
                self.push(over.now, EventOf::Level { resource, from, to, cause });
            }
        }
        if let Some(news) = over.news {
            self.findings(over.now, &news.findings);
        }
    }

    fn findings(&mut self, now: Tick, findings: &[Finding]) {
        let key = |finding: &Finding| (finding.kind, finding.component.clone(), finding.at.clone());
        let now_there: BTreeMap<Key, Finding> =
            findings.iter().map(|finding| (key(finding), finding.clone())).collect();
        let before = std::mem::take(&mut self.findings);
        for (key, finding) in &before {
            if !now_there.contains_key(key) {
                self.push(now, EventOf::Finding { finding: finding.clone(), is_over: true });
            }
        }
        for (key, finding) in &now_there {
            if !before.contains_key(key) {
                self.push(now, EventOf::Finding { finding: finding.clone(), is_over: false });
            }
        }
        self.findings = now_there;
    }

    fn push(&mut self, at: Tick, of: EventOf) {
        self.open.push(Event { at, wall_secs: clock::wall_secs(), of });
    }

    /// All that was gathered.
    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.open)
    }
}
