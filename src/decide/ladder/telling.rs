//! The rung that tells: components with a hook are told that memory is short, so that they can let go of some themselves.
//!
//! Every component that has a hook is told, also one to which nothing else would be done: it asked for it. Each is told once in
//! [`REST`]; whoever was just told has the rung's time before it stands still. Nobody waits for a hook to end.

use super::{Look, UNANSWERED};
use crate::config::{Component, Policy};
use crate::model::{Home, Hook, Means, Outcome, Relief, Snapshot};
use crate::units::{ComponentName, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A component is told once in this time: no less than the longest that a hook may run.
const REST: Span = Span::secs(60);

/// Who was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Telling {
    /// When, within the last [`REST`].
    told: BTreeMap<ComponentName, Tick>,
    /// Calls that were decided and not begun yet, and when they were decided.
    orders: Vec<(Relief, Tick)>,
}

impl Telling {
    /// Forgets what is over. Whether a call was wanted that is not any more.
    pub(super) fn forget(&mut self, look: &Look<'_>) -> bool {
        let now = look.seen.at;
        self.told.retain(|_, at| now.since(*at) < REST);
        let before = self.orders.len();
        self.orders.retain(|(relief, at)| {
            let hook =
                look.policy.components.get(&relief.component).and_then(|one| one.hook.as_ref());
            now.since(*at) < UNANSWERED && hook.is_some_and(|hook| look.level() >= hook.from)
        });
        self.orders.len() != before
    }

    /// Whether somebody would be told now.
    pub(super) fn is_due(&self, look: &Look<'_>) -> bool {
        self.due(look).next().is_some()
    }

    /// Tells everybody who is to be told. Whether anybody was.
    pub(super) fn tell(&mut self, look: &Look<'_>, waits: Ppm) -> bool {
        let now = look.seen.at;
        let order = |(component, home): (&Component, &Home)| Relief {
            component: component.name.clone(),
            at: home.at.clone(),
            means: Means::Tell { level: look.level(), waits },
            because: look.because.to_owned(),
        };
        let orders: Vec<Relief> = self.due(look).map(order).collect();
        let any = !orders.is_empty();
        for relief in orders {
            self.told.insert(relief.component.clone(), now);
            self.orders.push((relief, now));
        }
        any
    }

    /// Whether a component is about to be told, or was less than `dwell` ago.
    pub(super) fn has_time(&self, look: &Look<'_>, name: &ComponentName, dwell: Span) -> bool {
        match self.told.get(name) {
            Some(at) => look.seen.at.since(*at) < dwell,
            None => self.due(look).any(|(component, _)| component.name == *name),
        }
    }

    /// Takes in that a call began, or cannot.
    pub(super) fn hear(&mut self, outcome: &Outcome) {
        self.orders.retain(|(relief, _)| outcome.component.as_ref() != Some(&relief.component));
    }

    /// The calls that are to be begun.
    pub(super) fn orders(&self) -> impl Iterator<Item = &Relief> {
        self.orders.iter().map(|(relief, _)| relief)
    }

    /// Who is to be told now, each with the home of which it is told.
    fn due<'a>(&self, look: &Look<'a>) -> impl Iterator<Item = (&'a Component, &'a Home)> {
        let level = look.level();
        hooked(look.policy)
            .filter(move |(component, hook)| {
                level >= hook.from && !self.told.contains_key(&component.name)
            })
            .filter_map(|(component, _)| Some((component, largest(look.seen, component)?)))
    }
}

fn hooked(policy: &Policy) -> impl Iterator<Item = (&Component, &Hook)> {
    policy.components.values().filter_map(|one| Some((one, one.hook.as_ref()?)))
}

/// The home with processes that holds most; of homes of which that is not known, one.
pub(in crate::decide) fn largest<'a>(
    seen: &'a Snapshot,
    component: &Component,
) -> Option<&'a Home> {
    let homes = seen.homes.get(&component.name)?.iter().filter_map(|home| {
        let group = seen.groups.get(home.path()).filter(|group| group.id == home.at.id)?;
        group.populated.then_some((group.usage.memory, home))
    });
    homes.max_by_key(|(held, _)| *held).map(|(_, home)| home)
}
