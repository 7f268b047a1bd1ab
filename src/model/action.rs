//! What to do, in order, each step with what is needed to undo it. The executor has no choices left.

use super::{
    Controller, Home, Knob, KnobKind, Outcome, OutcomeOf, Reading, Reason, Relief, Sched, Stray,
    ThreadTarget, UnitJob,
};
use crate::units::{CgroupPath, CgroupRef, ComponentName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Who writes a group's knobs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// systemd owns the group as the named unit: a direct write lasts only until its next reload, so what systemd knows is set as
    /// a runtime property.
    Unit(String),
    /// Nobody else owns it: the file is written.
    File,
}

/// One knob's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The component on whose behalf; none for an ancestor.
    pub component: Option<ComponentName>,
    /// The value read before.
    pub old: Reading<Knob>,
    /// The value to be.
    pub new: Knob,
    /// Why.
    pub reason: Reason,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "act")]
pub enum Action {
    /// Ask systemd for a transient, delegated scope that starts with these processes and knobs.
    MakeScope {
        /// The component.
        component: ComponentName,
        /// The scope's unit name.
        unit: String,
        /// The slice it lives in.
        slice: String,
        /// Where it will appear.
        path: CgroupPath,
        /// Who moves in.
        strays: Vec<Stray>,
        /// Its knobs from the first moment.
        changes: Vec<Change>,
    },
    /// Make a group in the subtree that provost owns, enabling controllers top-down, then move processes in.
    MakeGroup {
        /// The component.
        component: ComponentName,
        /// The group.
        path: CgroupPath,
        /// What it needs from its ancestors.
        controllers: BTreeSet<Controller>,
        /// Who moves in.
        strays: Vec<Stray>,
        /// Its knobs, written before anybody moves in.
        changes: Vec<Change>,
    },
    /// Move processes into a home that exists.
    Attach {
        /// The component.
        component: ComponentName,
        /// The home.
        home: Home,
        /// Who moves in.
        strays: Vec<Stray>,
    },
    /// Turn controllers on for the children of a group that provost owns.
    Enable {
        /// The group whose `cgroup.subtree_control` is written.
        at: CgroupRef,
        /// The controllers to add, none is ever taken away.
        controllers: BTreeSet<Controller>,
    },
    /// Set runtime properties of a unit, all in one call: systemd rewrites every attribute of the unit on each call.
    SetUnit {
        /// The unit.
        unit: String,
        /// Its group.
        at: CgroupRef,
        /// The knobs.
        changes: Vec<Change>,
    },
    /// Write one file.
    Write {
        /// The group.
        at: CgroupRef,
        /// The knob.
        change: Change,
    },
    /// Do something once for memory that is short.
    Relieve {
        /// What, where and why.
        relief: Relief,
    },
    /// Change a thread's scheduling policy.
    Schedule {
        /// Which thread, from what to what, and why.
        target: ThreadTarget,
    },
    /// Start or stop an instance of a component's template, through systemd.
    Job {
        /// Which, and why.
        job: UnitJob,
    },
}

impl Action {
    /// The knob changes in it.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::MakeScope { changes, .. }
            | Self::MakeGroup { changes, .. }
            | Self::SetUnit { changes, .. } => changes,
            Self::Write { change, .. } => std::slice::from_ref(change),
            Self::Attach { .. }
            | Self::Enable { .. }
            | Self::Relieve { .. }
            | Self::Schedule { .. }
            | Self::Job { .. } => &[],
        }
    }

    /// The processes it moves.
    #[must_use]
    pub fn strays(&self) -> &[Stray] {
        match self {
            Self::MakeScope { strays, .. }
            | Self::MakeGroup { strays, .. }
            | Self::Attach { strays, .. } => strays,
            Self::SetUnit { .. }
            | Self::Write { .. }
            | Self::Enable { .. }
            | Self::Relieve { .. }
            | Self::Schedule { .. }
            | Self::Job { .. } => &[],
        }
    }

    /// Whether it takes real time from a thread. Nothing ever holds that up.
    #[must_use]
    pub fn lowers(&self) -> bool {
        match self {
            Self::Schedule { target } => target.wanted == Sched::OTHER,
            Self::MakeScope { .. }
            | Self::MakeGroup { .. }
            | Self::Attach { .. }
            | Self::Enable { .. }
            | Self::SetUnit { .. }
            | Self::Write { .. }
            | Self::Relieve { .. }
            | Self::Job { .. } => false,
        }
    }

    /// The group it acts on.
    #[must_use]
    pub const fn path(&self) -> &CgroupPath {
        match self {
            Self::MakeScope { path, .. } | Self::MakeGroup { path, .. } => path,
            Self::Attach { home, .. } => home.path(),
            Self::Enable { at, .. }
            | Self::SetUnit { at, .. }
            | Self::Write { at, .. }
            | Self::Relieve { relief: Relief { at, .. } }
            | Self::Schedule { target: ThreadTarget { at, .. } } => &at.path,
            Self::Job { job } => &job.at,
        }
    }
}

/// A plan: actions in the order in which they are safe.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The actions.
    pub actions: Vec<Action>,
}

impl Plan {
    /// Every knob that it changes.
    #[must_use]
    pub fn knobs(&self) -> BTreeSet<(CgroupPath, KnobKind)> {
        let keys = self.actions.iter().flat_map(|action| {
            action.changes().iter().map(|change| (action.path().clone(), change.new.kind()))
        });
        keys.collect()
    }

    /// The change that an outcome is of; none where it is of no knob, or of none that is changed here.
    #[must_use]
    pub fn change_of(&self, outcome: &Outcome) -> Option<&Change> {
        let OutcomeOf::Knob { knob, .. } = &outcome.of else { return None };
        let actions = self.actions.iter().filter(|action| *action.path() == outcome.path);
        actions.flat_map(Action::changes).find(|change| change.new.kind() == *knob)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}
