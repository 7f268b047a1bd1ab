//! A host on which look after look is stepped through and every plan carried out.

use crate::config::Policy;
use crate::cycle::{State, step};
use crate::model::{Action, Decision, Snapshot};

pub(super) struct Play {
    pub(super) rules: Policy,
    pub(super) state: State,
    pub(super) seen: Snapshot,
    /// What the last look led to.
    pub(super) actions: Vec<Action>,
    /// How many actions all looks led to.
    pub(super) writes: usize,
    /// What was decided last; none before anything was.
    pub(super) decision: Option<Decision>,
}

impl Play {
    pub(super) fn new(rules: Policy, seen: Snapshot) -> Self {
        Self {
            rules,
            state: State::default(),
            seen,
            actions: Vec::new(),
            writes: 0,
            decision: None,
        }
    }

    pub(super) fn step(&mut self) {
        let stepped = step(&self.rules, std::mem::take(&mut self.state), &self.seen);
        self.state = stepped.state;
        self.actions.clear();
        if let Some(news) = stepped.news {
            (self.actions, self.decision) = (news.plan.actions, Some(news.decision));
        }
        self.writes += self.actions.len();
        let generation = self.seen.generation;
        self.seen = crate::testing::carry_out(&self.seen, &self.actions);
        if self.actions.is_empty() {
            self.seen.generation = generation;
        }
    }
}
