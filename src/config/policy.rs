//! The checked configuration: what the rest of provost works with.
//!
//! Everything here has been validated against the host: percentages are absolute amounts, patterns are compiled, and the sum of
//! all guarantees fits. A reload replaces a `Policy` whole.

mod glob;
mod listen;
mod memory;
mod realtime;
mod scale;
mod steer;
mod storage;

pub use glob::{Glob, Pattern};
pub use listen::Listen;
pub use memory::{MemoryPolicy, OnLeak, OomPolicy, Probe};
pub use realtime::{RealtimePolicy, THREAD_NAME_BYTES};
pub use scale::Scale;
pub use steer::Steer;
pub use storage::StoragePolicy;

use super::protected::is_sealed_unit;
use super::schedule::Schedule;
use crate::model::{CpuClass, Hook, Instances, IoRate, Partition, Priority};
use crate::units::{Bytes, ComponentName, CpuSet, CpuTime, DeviceId, Limit, Millicpu, Ppm, Span};
use regex::Regex;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whether anything is written.
    pub mode: Mode,
    /// How eagerly limits follow demand.
    pub strategy: Strategy,
    /// How what is short is divided among components.
    pub division: Division,
    /// What forecasts may decide.
    pub steer: Steer,
    /// The time between two looks at the host.
    pub interval: Span,
    /// What happens to limits when the daemon stops.
    pub on_stop: OnLeave,
    /// How long another writer's value stands before it is re-asserted.
    pub override_for: Span,
    /// Who makes and owns groups.
    pub backend: Backend,
    /// What is kept back for everything that is not registered.
    pub reserve: Reserve,
    /// From which use of the host on somebody is to know.
    pub thresholds: Thresholds,
    /// What disks can do where it was measured, by name. `Max` is what was not.
    pub disks: BTreeMap<ComponentName, IoPolicy>,
    /// Folders that are kept small, by name.
    pub storage: BTreeMap<ComponentName, StoragePolicy>,
    /// Windows of time in which something else holds, by name.
    pub schedules: BTreeMap<ComponentName, Schedule>,
    /// How fast provost may write.
    pub writes: Writes,
    /// Where metrics and health are served over HTTP.
    pub listen: Vec<Listen>,
    /// Units that are never touched, beside the built-in ones, as globs on unit names.
    pub protect: Vec<Glob>,
    /// The components, by name.
    pub components: BTreeMap<ComponentName, Component>,
}

impl Policy {
    /// Whether any component gives way to others.
    #[must_use]
    pub fn has_yielding(&self) -> bool {
        self.components.values().any(|component| component.yields)
    }

    /// What was measured of a disk, nothing for what was not; none where nothing was.
    #[must_use]
    pub fn able(&self, device: DeviceId) -> Option<IoRate> {
        let is_it = |disk: &&IoPolicy| match &disk.device {
            IoDevice::All => false,
            IoDevice::Path { disks, .. } => disks.contains(&device),
        };
        let disk = self.disks.values().find(is_it)?;
        Some(IoRate {
            read: disk.read.value().unwrap_or_default(),
            write: disk.write.value().unwrap_or_default(),
            read_iops: disk.read_iops.value().unwrap_or_default(),
            write_iops: disk.write_iops.value().unwrap_or_default(),
        })
    }

    /// The components that others give way to.
    pub fn protected(&self) -> impl Iterator<Item = &Component> {
        self.components.values().filter(|component| component.priority.is_protected())
    }

    /// Whether a unit of this name is never written and nothing inside it is touched: by the built-in list or by `protect`.
    #[must_use]
    pub fn seals(&self, unit: &str) -> bool {
        is_sealed_unit(unit) || self.protect.iter().any(|glob| glob.is_match(unit))
    }
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Look and plan; write nothing. The state of a fresh installation.
    Observe,
    /// Put limits on processes.
    Enforce,
}

impl Mode {
    /// The mode in which something is written, or not.
    #[must_use]
    pub const fn of(enforcing: bool) -> Self {
        if enforcing { Self::Enforce } else { Self::Observe }
    }
}

/// How eagerly limits follow demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Slow and roomy.
    Conservative,
    /// The default.
    Balanced,
    /// Fast.
    Aggressive,
    /// Chosen by pressure and forecast confidence.
    Adaptive,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Conservative, Self::Balanced, Self::Aggressive, Self::Adaptive];

    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Conservative => "conservative",
            Self::Balanced => "balanced",
            Self::Aggressive => "aggressive",
            Self::Adaptive => "adaptive",
        }
    }

    /// The strategy of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.word() == word)
    }
}

/// How what is short is divided among components, beyond their guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// By priority and share; guarantees come before.
    Weighted,
    /// Nothing for a priority before the one above it has all it wants.
    Priority,
    /// By share alone: priorities do not count.
    Fair,
    /// By fixed shares of the whole, guarantees counted in; what somebody does not use of its own is lent.
    Quota,
}

impl Division {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::Priority => "priority",
            Self::Fair => "fair",
            Self::Quota => "quota",
        }
    }
}

/// What happens to a component's limits when provost leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLeave {
    /// Put back what was there before.
    Restore,
    /// Leave the limits in place.
    Keep,
}

/// Who makes and owns groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// systemd where it runs, otherwise an own subtree.
    Auto,
    /// systemd, or nothing.
    Systemd,
    /// An own subtree, even where systemd runs. Breaks systemd's one-writer rule.
    Subtree,
}

/// What is kept back for init, sshd, the kernel and everything else that is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// CPU: the larger of a quarter core and 5 % unless configured.
    pub cpu: Millicpu,
    /// Memory: the larger of 512 MiB and 5 % unless configured, at most a quarter of RAM.
    pub memory: Bytes,
}

impl Reserve {
    /// What partitions leave to the root when all have theirs: the reserve, and never less than a CPU.
    #[must_use]
    pub fn beside_partitions(self) -> Millicpu {
        self.cpu.max(Millicpu::cores(1))
    }
}

/// From which use of the host on somebody is to know: alerts beside the levels of pressure, which say who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Of the CPU time of all online CPUs, over about ten seconds.
    pub cpu: Steps,
    /// Of all memory, what is not available.
    pub memory: Steps,
    /// Of each file system, its space and its inodes.
    pub disk: Steps,
}

/// Where the three alert levels begin, each above the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// Somebody should look at it some time.
    pub warning: Ppm,
    /// Somebody should look at it today.
    pub critical: Ppm,
    /// Somebody should look at it now.
    pub emergency: Ppm,
}

impl Default for Thresholds {
    fn default() -> Self {
        let steps = |warning, critical, emergency| Steps {
            warning: Ppm::percent(warning),
            critical: Ppm::percent(critical),
            emergency: Ppm::percent(emergency),
        };
        Self { cpu: steps(70, 85, 95), memory: steps(75, 85, 95), disk: steps(80, 90, 95) }
    }
}

/// How fast provost may write. What gives back is never slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writes {
    /// So many a second for long, 1 to 1000.
    pub rate: u64,
    /// So many at once, 1 to 1000.
    pub burst: u64,
}

impl Writes {
    /// For those who show or test what would be written and write nothing.
    pub const UNLIMITED: Self = Self { rate: u64::MAX, burst: u64::MAX };
}

impl Default for Writes {
    fn default() -> Self {
        Self { rate: 20, burst: 100 }
    }
}

/// One component.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name.
    pub name: ComponentName,
    /// How much it matters.
    pub priority: Priority,
    /// Multiplies the priority's share, in hundredths: 100 is one; 10 to 1000.
    pub share_percent: u64,
    /// Rules that find it; one that matches is enough.
    pub rules: Vec<Rule>,
    /// How its loose processes are caught.
    pub catch: Catch,
    /// CPU.
    pub cpu: CpuPolicy,
    /// Memory and swap.
    pub memory: MemoryPolicy,
    /// Limits on disks, in the order written.
    pub io: Vec<IoPolicy>,
    /// `io.weight`, where it is set explicitly.
    pub io_weight: Option<u64>,
    /// The most tasks it may have.
    pub pids: Limit<u64>,
    /// How far that may be lowered while it is not needed.
    pub pids_scale: Option<Scale<u64>>,
    /// What happens to its limits when provost leaves.
    pub on_exit: OnLeave,
    /// Whether ceilings follow the need between their bounds.
    pub auto_scale: bool,
    /// Whether it gives way when a protected component waits.
    pub yields: bool,
    /// What may be done to it when giving way is not enough.
    pub last_resort: LastResort,
    /// What is called when memory is short, so that it can let go of some itself.
    pub hook: Option<Hook>,
    /// Over how many instances of a template unit it is spread.
    pub instances: Option<Instances>,
    /// How eagerly others make room for it, where that is not as for everybody.
    pub strategy: Option<Strategy>,
}

impl Component {
    /// Whose share it has where CPU time is divided: its class's, without one its priority's.
    #[must_use]
    pub fn cpu_tier(&self) -> Priority {
        self.cpu.class.map_or(self.priority, CpuClass::tier)
    }

    /// Whether it runs only when nobody else wants the CPU.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.cpu.class == Some(CpuClass::Idle)
    }

    /// Which of its threads run in real time; none for any class but `realtime`.
    #[must_use]
    pub const fn realtime(&self) -> Option<&RealtimePolicy> {
        self.cpu.realtime.as_ref()
    }
}

/// What may be done to a component that yields when memory stays short whatever its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LastResort {
    /// Nothing.
    Nothing,
    /// It may stand still, half a minute at a time.
    Freeze,
    /// It may stand still, and when that does not help it may be killed.
    Kill,
}

impl LastResort {
    /// What it is where nothing is configured.
    #[must_use]
    pub fn default_for(priority: Priority, yields: bool) -> Self {
        if yields && priority == Priority::Low { Self::Freeze } else { Self::Nothing }
    }

    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Freeze => "freeze",
            Self::Kill => "kill",
        }
    }
}

/// How loose processes are caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catch {
    /// By exec events, with a scan as safety net.
    Events,
    /// By a permission gate on the executable, before the first instruction.
    Gate,
}

/// Conditions that must all hold. Group conditions name a cgroup; process conditions pick processes, or, beside a group
/// condition, demand that one of the group's processes satisfies them.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Unit names, as globs.
    pub unit: Option<Pattern>,
    /// Paths below the cgroup root, as globs; `*` stays within one component, `**` does not.
    pub cgroup: Option<Pattern>,
    /// Container ids or their prefixes (12 characters or more).
    pub container: Option<Pattern>,
    /// Paths of executables, as globs.
    pub exe: Option<Pattern>,
    /// The command line, arguments joined by single spaces.
    pub cmdline: Option<Regex>,
    /// Effective user ids.
    pub users: Option<Vec<u32>>,
    /// Effective group ids.
    pub groups: Option<Vec<u32>>,
    /// A file that holds a process number.
    pub pidfile: Option<PathBuf>,
    /// Executables of an ancestor, as globs.
    pub parent: Option<Pattern>,
    /// The number of conditions: a rule with more conditions is more specific.
    pub specificity: u32,
}

impl Rule {
    /// Whether the rule names a cgroup rather than loose processes.
    #[must_use]
    pub const fn names_group(&self) -> bool {
        self.unit.is_some() || self.cgroup.is_some() || self.container.is_some()
    }

    /// Whether the rule has conditions on single processes.
    #[must_use]
    pub const fn names_processes(&self) -> bool {
        self.exe.is_some()
            || self.cmdline.is_some()
            || self.users.is_some()
            || self.groups.is_some()
            || self.pidfile.is_some()
            || self.parent.is_some()
    }
}

/// CPU guarantees and ceilings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuPolicy {
    /// Whose share it has; `None` leaves it to the priority.
    pub class: Option<CpuClass>,
    /// What it gets whenever it wants it.
    pub guarantee: Millicpu,
    /// The most it gets.
    pub ceiling: Limit<Millicpu>,
    /// How far that may be lowered while it is not needed.
    pub scale: Option<Scale<Millicpu>>,
    /// The period in which the ceiling is counted, 1 ms to 1 s.
    pub period: CpuTime,
    /// Unused quota that may be carried over; `None` leaves it to the priority.
    pub burst: Option<CpuTime>,
    /// The CPUs it may use.
    pub affinity: Affinity,
    /// What CPUs of its own are to everybody else.
    pub partition: Partition,
    /// Which threads run in real time; there with class `realtime` alone.
    pub realtime: Option<RealtimePolicy>,
}

/// On which CPUs a component runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affinity {
    /// On all that nobody has alone.
    Shared,
    /// Wherever an hour of its demand says that it is better off: as one of the others below but a list.
    Auto,
    /// On these.
    Cpus(CpuSet),
    /// On so many of its own, near each other.
    Dedicated(u64),
    /// On so many of its own, spread over memory nodes and caches.
    Balanced(u64),
}

/// Limits on one disk, or on all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoPolicy {
    /// Which disk.
    pub device: IoDevice,
    /// Bytes read per second.
    pub read: Limit<Bytes>,
    /// Bytes written per second.
    pub write: Limit<Bytes>,
    /// Reads per second.
    pub read_iops: Limit<u64>,
    /// Writes per second.
    pub write_iops: Limit<u64>,
}

/// Which disk a limit is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IoDevice {
    /// Every whole disk of the host.
    All,
    /// The disk behind a device node, a mount point or any file on it. `disks` were resolved when the configuration was checked.
    Path {
        /// As written.
        path: PathBuf,
        /// The whole disks that take the limit.
        disks: Vec<DeviceId>,
    },
}
