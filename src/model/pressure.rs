//! How scarce each resource is, and what each component uses, wants and waits for.
//!
//! These are the nouns of the estimate, as decisions read them and as they are recorded and shown. How they are found is the business of
//! [`crate::estimate`]; all numbers are whole ones.

use super::{FileSystemView, Leak};
use crate::units::{Bytes, ComponentName, DeviceId, Millicpu, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What is divided among components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
    /// Time of disks.
    Io,
    /// Tasks: processes and threads.
    Pids,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Io, Self::Pids];

    /// The word for it in configuration and output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Io => "io",
            Self::Pids => "pids",
        }
    }

    /// An amount of it for people: thousandths of a core as cores, bytes to a kibibyte where there are some, since nobody reads more.
    #[must_use]
    pub fn amount(self, amount: u64) -> String {
        let bytes = Bytes(if amount < 1024 { amount } else { amount / 1024 * 1024 });
        match self {
            Self::Cpu => Millicpu(amount).to_string(),
            Self::Memory => bytes.to_string(),
            Self::Io => format!("{bytes}/s"),
            Self::Pids => amount.to_string(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How scarce a resource is. Orders from `Normal` to `Emergency`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nobody who is protected waits.
    #[default]
    Normal,
    /// Somebody begins to wait: grow no further.
    Warning,
    /// Protected components are slowed down: others are limited.
    Critical,
    /// The host is about to stop doing useful work.
    Emergency,
}

impl Level {
    /// From the best to the worst.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Warning, Self::Critical, Self::Emergency];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Emergency => "emergency",
        }
    }

    /// The next better level; `Normal` stays.
    #[must_use]
    pub const fn below(self) -> Self {
        match self {
            Self::Normal | Self::Warning => Self::Normal,
            Self::Critical => Self::Warning,
            Self::Emergency => Self::Critical,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One level per resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Levels {
    /// CPU time.
    pub cpu: Level,
    /// Memory.
    pub memory: Level,
    /// Time of disks.
    pub io: Level,
    /// Tasks.
    pub pids: Level,
}

impl Levels {
    /// The level of one resource.
    #[must_use]
    pub const fn of(&self, resource: Resource) -> Level {
        match resource {
            Resource::Cpu => self.cpu,
            Resource::Memory => self.memory,
            Resource::Io => self.io,
            Resource::Pids => self.pids,
        }
    }

    /// The worst of all.
    #[must_use]
    pub fn worst(&self) -> Level {
        self.cpu.max(self.memory).max(self.io).max(self.pids)
    }

    /// The levels that `of` names.
    #[must_use]
    pub fn by(of: impl Fn(Resource) -> Level) -> Self {
        Self {
            cpu: of(Resource::Cpu),
            memory: of(Resource::Memory),
            io: of(Resource::Io),
            pids: of(Resource::Pids),
        }
    }
}

/// What goes over one disk per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IoRate {
    /// Bytes read per second.
    pub read: Bytes,
    /// Bytes written per second.
    pub write: Bytes,
    /// Reads per second.
    pub read_iops: u64,
    /// Writes per second.
    pub write_iops: u64,
}

impl IoRate {
    /// Both together, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            read: self.read.plus(other.read),
            write: self.write.plus(other.write),
            read_iops: self.read_iops.saturating_add(other.read_iops),
            write_iops: self.write_iops.saturating_add(other.write_iops),
        }
    }
}

/// An amount of each resource; what is not known is missing, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amounts {
    /// CPU time per time.
    pub cpu: Option<Millicpu>,
    /// The working set: memory without page cache that nobody asked for lately.
    pub memory: Option<Bytes>,
    /// Over all disks.
    pub io: Option<IoRate>,
    /// Tasks.
    pub pids: Option<u64>,
}

/// How much of the time somebody waited, averaged over ten seconds and over a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wait {
    /// Over about ten seconds.
    pub p10: Ppm,
    /// Over about a minute.
    pub p60: Ppm,
}

/// Waiting that others cause: what a group's own limits cause is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Waits {
    /// All tasks waited for a CPU, without the time in which the group was throttled.
    pub cpu: Option<Wait>,
    /// Some task waited for memory.
    pub memory: Option<Wait>,
    /// All tasks waited for a disk.
    pub io: Option<Wait>,
}

/// One thing for each resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Each<T> {
    /// Of CPU time.
    pub cpu: T,
    /// Of memory.
    pub memory: T,
    /// Of the time of disks.
    pub io: T,
    /// Of tasks.
    pub pids: T,
}

impl<T> Each<T> {
    /// That of one resource.
    pub const fn of(&self, resource: Resource) -> &T {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
            Resource::Io => &self.io,
            Resource::Pids => &self.pids,
        }
    }

    /// That of one resource, to be changed.
    pub const fn of_mut(&mut self, resource: Resource) -> &mut T {
        match resource {
            Resource::Cpu => &mut self.cpu,
            Resource::Memory => &mut self.memory,
            Resource::Io => &mut self.io,
            Resource::Pids => &mut self.pids,
        }
    }
}

/// Which of a group's own limits bound it lately, its ancestors' included: `cpu.max` (throttled in a twentieth of the time or more),
/// `memory.high` or `memory.max` (reached within ten seconds), `io.max` (nine tenths of it are moved), `pids.max` (a fork was refused
/// within half a minute).
pub type Bound = Each<bool>;

/// What is known of one group, or of one component over all its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Need {
    /// What it uses.
    pub usage: Amounts,
    /// What it would use if nothing held it back; equals the usage where nothing does.
    pub demand: Amounts,
    /// What it waits for through no doing of its own.
    pub waits: Waits,
    /// Which own limits bound it.
    pub bound: Bound,
    /// Share of the periods of `cpu.max` in which it was stopped, over about ten seconds; none where there is no such limit.
    pub throttled: Option<Ppm>,
    /// How fast its memory grows, in bytes per second; below zero when it shrinks.
    pub growth: Option<i64>,
    /// How long until it reaches its memory limit if it grows on like that; none without a limit or without growth.
    pub until_limit: Option<Span>,
}

/// What holds a component back most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Bottleneck {
    /// Nothing worth naming.
    #[default]
    None,
    /// One resource.
    Of {
        /// Which.
        resource: Resource,
        /// How much of the time it waits for it.
        wait: Ppm,
        /// Why it is scarce.
        cause: Cause,
    },
}

/// Why a component waits for a resource, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Cause {
    /// Its own limit, or one above it, bound it.
    OwnLimit,
    /// Another component's use rose most.
    Neighbour {
        /// Which.
        component: ComponentName,
        /// By how much in about half a minute; the whole stands for "doubled or more".
        rise: Ppm,
    },
    /// The use of what is no component rose most.
    Unmanaged {
        /// By how much in about half a minute.
        rise: Ppm,
    },
    /// The host has no more of it.
    HostFull {
        /// How much is in use.
        used: Ppm,
    },
    /// None of these can be shown.
    Unknown,
}

/// By whom or what somebody is held back: a [`Cause`] without its evidence, so that time can be added up by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Culprit {
    /// Its own limit, or one above it.
    OwnLimit,
    /// Another component.
    Neighbour {
        /// Which.
        component: ComponentName,
    },
    /// What is no component.
    Unmanaged,
    /// All together.
    HostFull,
    /// Nobody stands out.
    Unknown,
}

impl Cause {
    /// Who or what it is.
    #[must_use]
    pub fn culprit(&self) -> Culprit {
        match self {
            Self::OwnLimit => Culprit::OwnLimit,
            Self::Neighbour { component, .. } => {
                Culprit::Neighbour { component: component.clone() }
            }
            Self::Unmanaged { .. } => Culprit::Unmanaged,
            Self::HostFull { .. } => Culprit::HostFull,
            Self::Unknown => Culprit::Unknown,
        }
    }
}

impl Culprit {
    /// Whether the cause is this one, whatever its evidence.
    #[must_use]
    pub fn is_of(&self, cause: &Cause) -> bool {
        match (self, cause) {
            (Self::Neighbour { component: own }, Cause::Neighbour { component, .. }) => {
                own == component
            }
            (Self::OwnLimit, Cause::OwnLimit)
            | (Self::Unmanaged, Cause::Unmanaged { .. })
            | (Self::HostFull, Cause::HostFull { .. })
            | (Self::Unknown, Cause::Unknown) => true,
            (
                Self::OwnLimit
                | Self::Neighbour { .. }
                | Self::Unmanaged
                | Self::HostFull
                | Self::Unknown,
                _,
            ) => false,
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnLimit => f.write_str("its own limit"),
            Self::Neighbour { component } => write!(f, "{component}"),
            Self::Unmanaged => f.write_str("what is no component"),
            Self::HostFull => f.write_str("all together"),
            Self::Unknown => f.write_str("nobody who stands out"),
        }
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Of { resource, wait, cause } = self else {
            return f.write_str("none");
        };
        write!(f, "{resource}, waited for {wait} of the time: ")?;
        match cause {
            Cause::OwnLimit => f.write_str("its own limit"),
            Cause::Neighbour { component, rise } => {
                write!(f, "{component} uses {rise} more than half a minute ago")
            }
            Cause::Unmanaged { rise } => {
                write!(f, "what is no component uses {rise} more than half a minute ago")
            }
            Cause::HostFull { used } => write!(f, "{used} of the host's are in use"),
            Cause::Unknown => f.write_str("no single cause stands out"),
        }
    }
}

/// How much of the whole host is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostUse {
    /// CPU time per time, over about ten seconds.
    pub cpu: Option<Millicpu>,
    /// Memory that is not available: `MemTotal` without `MemAvailable`.
    pub memory: Option<Bytes>,
    /// Tasks.
    pub pids: Option<u64>,
    /// The same as shares of what the host has. Disks do not say what their whole is.
    pub share: Each<Option<Ppm>>,
    /// How fast the memory in use grows, in bytes per second.
    pub growth: Option<i64>,
    /// How long until no memory is available if it grows on like that.
    pub until_full: Option<Span>,
}

/// What goes over one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRate {
    /// The disk.
    pub device: DeviceId,
    /// How much.
    pub rate: IoRate,
}

/// The level of one resource with its history, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelView {
    /// The level.
    pub level: Level,
    /// Since when.
    pub since: Tick,
    /// What brought it there, as a clause for people; empty while nothing has happened.
    pub cause: String,
    /// What the configured thresholds say of that use.
    pub alert: Level,
}

/// One component, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComponentEstimate {
    /// Use, demand and waiting.
    pub need: Need,
    /// What holds it back most.
    pub bottleneck: Bottleneck,
    /// Memory that grows without end, where it does.
    #[serde(default)]
    pub leak: Option<Leak>,
}

/// What the numbers of one moment mean.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// When.
    pub at: Tick,
    /// Whether the host tells how long tasks wait (PSI). Where not, levels rest on what is used up and what failed.
    pub psi: bool,
    /// How much of the host is in use.
    pub host: HostUse,
    /// Every resource.
    pub levels: BTreeMap<Resource, LevelView>,
    /// Every component that has a home.
    pub components: BTreeMap<ComponentName, ComponentEstimate>,
    /// What each disk could do when somebody waited for it; a disk for which nobody waited yet is not among them.
    #[serde(default)]
    pub disks: Vec<DiskRate>,
    /// How full each file system is, by mount point.
    #[serde(default)]
    pub filesystems: Vec<FileSystemView>,
}
