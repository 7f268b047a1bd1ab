//! A registered component: its priority, and the cgroups in which it lives.

use crate::units::{CgroupPath, CgroupRef};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much a component matters against the others. Orders from `Low` to `Critical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Runs with what is left.
    Low,
    /// The default.
    Normal,
    /// Protected: pressure on it moves limits of others.
    High,
    /// Protected, and the last to give anything up.
    Critical,
}

impl Priority {
    /// From the least to the greatest.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The word for it, as configuration, slice names and output use it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Critical and high components are protected.
    #[must_use]
    pub const fn is_protected(self) -> bool {
        matches!(self, Self::High | Self::Critical)
    }

    /// The share weight in every division of a resource: each step is worth two and a half to four times the one below.
    #[must_use]
    pub const fn share(self) -> u64 {
        match self {
            Self::Low => 25,
            Self::Normal => 100,
            Self::High => 400,
            Self::Critical => 1000,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How the scheduler treats a component against others: it stands in for the priority wherever CPU time and disks are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuClass {
    /// Runs when nobody else wants the CPU: `cpu.idle`, since Linux 5.15; before that, with the least weight.
    Idle,
    /// The share of low components.
    Low,
    /// The share of normal components.
    Normal,
    /// The share of high components.
    High,
    /// The share of critical components, and named threads under `SCHED_RR` while it has CPUs of its own.
    Realtime,
}

impl CpuClass {
    /// The word for it, as configuration and output use it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Realtime => "realtime",
        }
    }

    /// The priority that has the same share.
    #[must_use]
    pub const fn tier(self) -> Priority {
        match self {
            Self::Idle | Self::Low => Priority::Low,
            Self::Normal => Priority::Normal,
            Self::High => Priority::High,
            Self::Realtime => Priority::Critical,
        }
    }
}

impl fmt::Display for CpuClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What kind of place a component lives in, in the order in which a place is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum HomeKind {
    /// A unit that systemd runs; its processes stay where they are.
    Unit {
        /// The unit's name, such as `nginx.service`.
        unit: String,
    },
    /// A container's scope or group, made by a container runtime.
    Container {
        /// The container's name or id as matched.
        container: String,
    },
    /// A cgroup named by path that is neither.
    Group,
    /// The transient scope `provost-<component>.scope` that holds the component's loose processes.
    OwnScope {
        /// The scope's unit name.
        unit: String,
    },
    /// A group of our own below the subtree that provost keeps where no systemd runs.
    OwnGroup,
}

impl HomeKind {
    /// Whether provost made the place, and so may move processes into it and remove it.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        matches!(self, Self::OwnScope { .. } | Self::OwnGroup)
    }
}

/// One cgroup in which a component lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Home {
    /// The cgroup as it was seen.
    pub at: CgroupRef,
    /// What kind of place it is.
    pub kind: HomeKind,
}

impl Home {
    /// The cgroup's path.
    #[must_use]
    pub const fn path(&self) -> &CgroupPath {
        &self.at.path
    }
}
