//! What is done about memory that grows without end: how it is told, and what is kept of it while no daemon runs.

use super::Radius;
use crate::units::{Bytes, CgroupPath, ComponentName, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is done, and may be done, about one component's leak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MendView {
    /// What its configuration allows, with everything gentler: `hook`, `reclaim` or `restart`.
    pub on_leak: String,
    /// What it is restarted for at most once in, where it may be restarted.
    pub restart_every: Option<Span>,
    /// Whether its hook was called for what is found now.
    pub told: bool,
    /// What reclaim took back for what is found now.
    pub reclaimed: Bytes,
    /// Why nothing is reclaimed now, as a clause; none while something is, and where nothing leaks.
    pub no_reclaim: Option<String>,
    /// The restart that comes next.
    pub next: Option<RestartPlan>,
    /// Why no restart comes, as a clause; none where one does, where none may, and where nothing leaks.
    pub no_restart: Option<String>,
    /// The last restart for a leak, within the last week.
    pub last: Option<Restarted>,
}

/// A restart that is announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPlan {
    /// The group of the unit.
    pub at: CgroupPath,
    /// When, at the earliest.
    pub due: Tick,
    /// What ends with it.
    pub radius: Radius,
}

/// A restart for a leak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restarted {
    /// When it was decided.
    pub at: Tick,
    /// The group of the unit.
    pub path: CgroupPath,
    /// How much its memory grew in an hour.
    pub per_hour: Bytes,
    /// What came of it; none while that is not known.
    pub end: Option<RestartEnd>,
}

/// What came of a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RestartEnd {
    /// The unit runs again.
    Done,
    /// It was refused, or went wrong.
    Failed {
        /// Why, as a clause.
        why: String,
    },
}

/// What is kept of one component.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MendMemory {
    /// Whether its hook was called for what was found last.
    pub told: bool,
    /// The last restart for a leak.
    pub last: Option<Restarted>,
}

/// The file in which it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MendBook {
    /// [`MendBook::VERSION`]; any other is not read.
    pub version: u32,
    /// The boot in which it was written: in another, everything was started anew.
    pub boot: String,
    /// The components.
    pub components: BTreeMap<ComponentName, MendMemory>,
}

impl MendBook {
    /// The version that is written.
    pub const VERSION: u32 = 1;
}
