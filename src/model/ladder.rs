//! The rungs beyond limits: what is done when memory stays short, to whom, and what comes next.

use super::{LeakTier, Level};
use crate::units::{Bytes, CgroupPath, CgroupRef, ComponentName, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far provost has gone for memory that others take. Orders from the mildest to the hardest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// `memory.high` of what yields.
    Limits,
    /// Components that have a hook are told, so that they can let go of memory themselves.
    Tell,
    /// Memory that yields is reclaimed, without anybody being slowed down.
    Reclaim,
    /// One group that yields stands still for a while.
    Freeze,
    /// One group whose component allows it is killed.
    Kill,
}

impl Rung {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Tell => "tell",
            Self::Reclaim => "reclaim",
            Self::Freeze => "freeze",
            Self::Kill => "kill",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What is done once to a group. No value stays behind, so there is nothing to give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "means")]
pub enum Means {
    /// The component's hook is started.
    Tell {
        /// Memory's level then.
        level: Level,
        /// How much of the last ten seconds protected components waited for memory.
        waits: Ppm,
    },
    /// The component's hook is started, because of a leak.
    TellOfLeak {
        /// How certain it is, and how near the end.
        tier: LeakTier,
        /// By how much it grows in an hour.
        per_hour: Bytes,
        /// How long it takes from now to the limit at that slope.
        until_limit: Span,
    },
    /// `memory.reclaim`, since Linux 5.19.
    Reclaim {
        /// How much is asked for.
        bytes: Bytes,
    },
    /// The same, to see how much memory a group needs.
    Probe {
        /// How much is asked for.
        bytes: Bytes,
    },
    /// `cgroup.kill`, since Linux 5.14; before, SIGKILL to every process.
    Kill {
        /// Tasks that were in it at the last look, where that is known.
        tasks: Option<u64>,
        /// What it held then.
        held: Bytes,
    },
    /// systemd restarts the unit whose group it is, because of a leak.
    Restart {
        /// Tasks that were in it at the last look, where that is known.
        tasks: Option<u64>,
        /// What it held then.
        held: Bytes,
    },
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tell { level, .. } => write!(f, "tell it by its hook (level {level})"),
            Self::TellOfLeak { tier, .. } => write!(f, "tell it by its hook (leak {tier})"),
            Self::Reclaim { bytes } => write!(f, "reclaim {bytes}"),
            Self::Probe { bytes } => write!(f, "probe by {bytes}"),
            Self::Kill { tasks, held } => {
                write!(f, "kill {}", Radius { tasks: *tasks, held: *held })
            }
            Self::Restart { tasks, held } => {
                write!(f, "restart its unit, {}", Radius { tasks: *tasks, held: *held })
            }
        }
    }
}

/// Something that is done once, for memory that is short or grows without end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relief {
    /// Whose group it is.
    pub component: ComponentName,
    /// The group.
    pub at: CgroupRef,
    /// What is done.
    pub means: Means,
    /// Why, as a clause.
    pub because: String,
}

/// What something hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Radius {
    /// Tasks, where that is known.
    pub tasks: Option<u64>,
    /// Memory.
    pub held: Bytes,
}

impl fmt::Display for Radius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tasks {
            Some(1) => write!(f, "1 task that holds {}", self.held),
            Some(tasks) => write!(f, "{tasks} tasks that hold {}", self.held),
            None => write!(f, "all tasks, which hold {}", self.held),
        }
    }
}

/// Whom a rung would hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Whose group it is.
    pub component: ComponentName,
    /// The group.
    pub at: CgroupPath,
    /// What is in it.
    pub radius: Radius,
}

/// Where the ladder stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LadderView {
    /// The rung.
    pub rung: Rung,
    /// Since when.
    pub since: Tick,
    /// Why it was gone up, as a clause.
    pub because: String,
    /// Who stands still, and until when at the latest.
    pub frozen: Vec<(CgroupPath, Tick)>,
    /// The next rung, the earliest time for it, and whom it would hit; none where nothing is left to do.
    pub next: Option<(Rung, Tick, Option<Hit>)>,
    /// Who could not be made to stand still, and why, as a clause.
    #[serde(default)]
    pub left: Vec<(CgroupPath, String)>,
    /// Why no more is done now, as a clause.
    pub holds: String,
}
