//! What one look at the host found: values and the errors of reading them, nothing interpreted.

use super::{
    Controller, FileSystem, Home, Knob, KnobKind, Outcome, RealtimeSeen, Resource, Topology, Via,
};
use crate::units::{
    Bytes, CgroupId, CgroupPath, ComponentName, CpuSet, CpuTime, DeviceId, ProcId, Tick,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A value that was looked for. Missing is never zero: what could not be read is held, not tightened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading<T> {
    /// The value.
    Is(T),
    /// This kernel or this group has no such file (its controller is not enabled, or the feature is missing).
    Absent,
    /// The group vanished while it was read.
    Gone,
    /// The file is there and could not be read.
    Failed(Box<ReadFault>),
}

impl<T> Reading<T> {
    /// The value, where there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Gone | Self::Failed(_) => None,
        }
    }
}

/// A failed read in the form that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFault {
    /// The file.
    pub file: String,
    /// The kernel's error number; 0 when the text could not be understood.
    pub errno: i32,
    /// What went wrong, as a clause.
    pub what: String,
}

/// One line of a pressure file: total stall time in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PsiLine {
    /// Total stalled time since boot or since the group was made, in microseconds.
    pub total_usec: u64,
    /// Share of the last ten seconds, in hundredths of a percent. For people only: it moves in steps of two seconds.
    pub avg10_centi: u32,
}

/// A pressure file: some tasks waiting, all tasks waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Psi {
    /// At least one task waited.
    pub some: PsiLine,
    /// All tasks waited at once. The root's `cpu` line is always zero.
    pub full: PsiLine,
}

/// `memory.events` of a group, with all below it: how often each happened since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryEvents {
    /// Somebody was throttled because `memory.high` was passed.
    pub high: u64,
    /// `memory.max` was about to be passed.
    pub max: u64,
    /// Processes killed for lack of memory.
    pub oom_kill: u64,
}

/// What the law needs of `memory.stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryStat {
    /// Memory without a file behind it.
    pub anon: Bytes,
    /// Page cache that was not used again since it was read.
    pub inactive_file: Bytes,
    /// Shared memory and files of tmpfs.
    #[serde(default)]
    pub shmem: Option<Bytes>,
    /// The kernel's own objects that no reclaim takes from the group.
    #[serde(default)]
    pub slab_unreclaimable: Option<Bytes>,
    /// Pages read back soon after they were reclaimed, anonymous and of files. Before 5.9 the kernel counts files only, under another
    /// name; then this is missing.
    pub refaults: Option<u64>,
}

/// One line of `io.stat`: what a group moved over one disk since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoCount {
    /// The disk.
    pub device: DeviceId,
    /// Bytes read.
    pub rbytes: u64,
    /// Bytes written.
    pub wbytes: u64,
    /// Reads.
    pub rios: u64,
    /// Writes.
    pub wios: u64,
}

/// What a group used, as counters and levels of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// When the waiting tier was read last: pressure, events, `memory.stat`, `io.stat`, tasks. The rest is as old as the look.
    pub sensed_at: Option<Tick>,
    /// `usage_usec` in `cpu.stat`.
    pub cpu: Option<CpuTime>,
    /// `throttled_usec` in `cpu.stat`, summed over CPUs.
    pub throttled: Option<CpuTime>,
    /// `nr_periods` in `cpu.stat`: periods of `cpu.max` in which the group ran.
    pub periods: Option<u64>,
    /// `nr_throttled` in `cpu.stat`: those of them in which it was stopped.
    pub throttled_periods: Option<u64>,
    /// `memory.current`: with page cache and kernel memory.
    pub memory: Option<Bytes>,
    /// `memory.swap.current`.
    pub swap: Option<Bytes>,
    /// `pids.current`, zombies included.
    pub pids: Option<u64>,
    /// `max` in `pids.events`: forks that were refused.
    pub forks_refused: Option<u64>,
    /// `oom_kill` in `memory.events`.
    pub oom_kills: Option<u64>,
    /// `memory.events`, of homes only: with everything below.
    pub memory_events: Option<MemoryEvents>,
    /// `memory.events.local`, of groups above a home: what its own limits did. Since Linux 5.2.
    pub memory_events_local: Option<MemoryEvents>,
    /// `memory.stat`, of homes only.
    pub memory_stat: Option<MemoryStat>,
    /// `io.stat`, by device; of homes and of the root only.
    pub io: Option<Vec<IoCount>>,
    /// `cpu.pressure`.
    pub cpu_psi: Option<Psi>,
    /// `memory.pressure`.
    pub memory_psi: Option<Psi>,
    /// `io.pressure`.
    pub io_psi: Option<Psi>,
}

/// One cgroup: a component's home or an ancestor of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Which group is at the path now.
    pub id: CgroupId,
    /// How its knobs are written.
    pub via: Via,
    /// `cgroup.controllers`: what the parent granted.
    pub controllers: Reading<BTreeSet<Controller>>,
    /// `populated` in `cgroup.events`.
    pub populated: bool,
    /// The knobs, by kind. `io.max` has an entry per limited device.
    pub knobs: BTreeMap<KnobKind, Reading<Knob>>,
    /// What it uses.
    pub usage: Usage,
    /// Sum of `cpu.weight` over the populated children that neither are nor hold a home.
    pub unmanaged_weight: u64,
    /// Whether the agent itself, sshd or another protected process lives in it or below it: then no limit is put on it.
    pub holds_protected: bool,
}

impl GroupView {
    /// The knob's reading; a knob that was not looked at is absent.
    #[must_use]
    pub fn knob(&self, kind: KnobKind) -> &Reading<Knob> {
        self.knobs.get(&kind).unwrap_or(&Reading::Absent)
    }
}

/// What enforces `io.weight` on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IoWeightBackend {
    /// Nothing: a weight is accepted and has no effect.
    None,
    /// The BFQ scheduler.
    Bfq,
    /// The io.cost controller.
    IoCost,
}

impl IoWeightBackend {
    /// By what those who wait for the disk are protected, as a clause.
    #[must_use]
    pub const fn means(self) -> &'static str {
        match self {
            Self::None => "heeds no weight: io.max on what yields",
            Self::Bfq => "io.weight by BFQ, io.max only where that is not enough",
            Self::IoCost => "io.weight by io.cost, io.max only where that is not enough",
        }
    }
}

/// A whole disk that takes limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its number, as `io.max` wants it.
    pub device: DeviceId,
    /// Its kernel name, such as `nvme0n1`.
    pub name: String,
    /// What makes weights work on it.
    pub weights: IoWeightBackend,
}

/// The host's size and abilities, as far as decisions need them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// CPUs that are online.
    pub online: CpuSet,
    /// How they belong together.
    pub topology: Topology,
    /// `MemTotal`.
    pub memory: Bytes,
    /// `SwapTotal`.
    pub swap: Bytes,
    /// The size of a page.
    pub page: Bytes,
    /// The most tasks that there may be: the lesser of `kernel.pid_max` and `kernel.threads-max`.
    pub pid_max: u64,
    /// Whole disks, by name.
    pub disks: Vec<Disk>,
    /// Whether systemd manages the cgroup tree.
    pub systemd: bool,
    /// The sched_ext scheduler that divides CPU time instead of the kernel's own (Linux 6.12).
    pub sched_ext: Option<String>,
    /// Whether systemd-oomd runs, which kills by its own rules.
    pub oomd: bool,
    /// Whether there is `memory.reclaim`, since Linux 5.19.
    pub reclaim: bool,
    /// Whether the kernel keeps some of each CPU from real-time threads: `kernel.sched_rt_runtime_us` is not -1, and
    /// before Linux 6.12 not the whole period either.
    #[serde(default)]
    pub rt_bounded: bool,
    /// Whether a rotating disk holds swap.
    #[serde(default)]
    pub swap_rotates: bool,
}

/// How busy the whole host is, as counters and levels of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostLoad {
    /// `MemAvailable`.
    pub memory_available: Option<Bytes>,
    /// `SwapFree`.
    pub swap_free: Option<Bytes>,
    /// Time that CPUs were not idle since boot, over all CPUs, from `/proc/stat`.
    pub busy: Option<CpuTime>,
    /// Tasks, from `/proc/loadavg`.
    pub tasks: Option<u64>,
    /// `/proc/pressure/cpu`.
    pub cpu_psi: Option<Psi>,
    /// `/proc/pressure/memory`.
    pub memory_psi: Option<Psi>,
    /// `/proc/pressure/io`.
    pub io_psi: Option<Psi>,
}

/// A loose process that belongs to a component and lives outside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// The process.
    pub process: ProcId,
    /// Its command name, for people.
    pub comm: String,
    /// The component it belongs to.
    pub component: ComponentName,
    /// Where it lives now.
    pub from: CgroupPath,
    /// When its program was started, if an exec event was seen.
    pub exec_at: Option<Tick>,
}

/// A match that must not be acted on, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The component whose rule matched.
    pub component: ComponentName,
    /// What matched: a process or a group, for people.
    pub what: String,
    /// Why it is left alone, with the way out.
    pub why: String,
}

/// One look at the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken; for a look at executed programs alone, when usage was last read.
    pub at: Tick,
    /// Rises whenever anything but usage differs from the look before.
    pub generation: u64,
    /// The host.
    pub host: HostView,
    /// How busy it is.
    pub load: HostLoad,
    /// How full file systems were at the last survey, by mount point; none before the first, and in a look without a daemon.
    #[serde(default)]
    pub filesystems: Vec<FileSystem>,
    /// Resources whose emergency trigger fired since the look before: all tasks of the host stood still for 300 ms of a second.
    pub alarms: BTreeSet<Resource>,
    /// Resources for which a protected component waited a moment ago, as the fast poll saw it; of memory as the kernel's trigger said, which
    /// cannot tell its own doing apart.
    pub waiting: BTreeSet<Resource>,
    /// The groups that matter: homes and all their ancestors, the root included.
    pub groups: BTreeMap<CgroupPath, GroupView>,
    /// Where each component lives now; a component without a home has no entry.
    pub homes: BTreeMap<ComponentName, Vec<Home>>,
    /// Loose processes to be placed.
    pub strays: Vec<Stray>,
    /// Matches that are left alone.
    pub refused: Vec<Refusal>,
    /// The named threads of components of class `realtime`.
    #[serde(default)]
    pub realtime: BTreeMap<ComponentName, RealtimeSeen>,
    /// What came of earlier actions since the last look.
    pub outcomes: Vec<Outcome>,
    /// Knobs whose write has not returned yet.
    pub pending: BTreeSet<(CgroupPath, KnobKind)>,
    /// When systemd last said that it reloads its configuration, if it did.
    pub reloaded_at: Option<Tick>,
}

impl Snapshot {
    /// A look that found nothing yet.
    #[must_use]
    pub fn new(at: Tick, host: HostView) -> Self {
        Self {
            at,
            generation: 0,
            host,
            load: HostLoad::default(),
            filesystems: Vec::new(),
            alarms: BTreeSet::new(),
            waiting: BTreeSet::new(),
            groups: BTreeMap::new(),
            homes: BTreeMap::new(),
            strays: Vec::new(),
            refused: Vec::new(),
            realtime: BTreeMap::new(),
            outcomes: Vec::new(),
            pending: BTreeSet::new(),
            reloaded_at: None,
        }
    }
}
