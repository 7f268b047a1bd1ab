//! The knobs: every cgroup interface file that provost may write, as a closed set.
//!
//! A file's name never comes from data, only from [`KnobKind`], and a value is rendered from a typed [`Knob`], so that neither a
//! path nor a unit suffix can be smuggled into the kernel (Linux 7.2 reads `rbps=1M` as one byte per second).
//! Law: `Knob::parse(kind, render(knob)) == knob` for every knob.

mod partition;

pub use partition::{Partition, Validity};

use crate::units::{Bytes, CpuMax, CpuSet, CpuTime, DeviceId, Limit, Weight};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// A cgroup v2 controller that provost uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// CPU time: weight, quota, burst.
    Cpu,
    /// CPU placement.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// Block devices.
    Io,
    /// Number of tasks.
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Cpuset, Self::Memory, Self::Io, Self::Pids];

    /// The kernel's word, as in `cgroup.controllers`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Io => "io",
            Self::Pids => "pids",
        }
    }
}

/// Which knob: one interface file, or for `io.max` one device's line in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnobKind {
    /// `cpu.weight`, since Linux 4.15, and with it `cpu.idle`, since 5.15.
    CpuWeight,
    /// `cpu.max`, since 4.15.
    CpuMax,
    /// `cpu.max.burst`, since 5.14.
    CpuMaxBurst,
    /// `cpuset.cpus.partition`, since 5.0.
    CpusetPartition,
    /// `cpuset.cpus.exclusive`, since 6.7.
    CpusetExclusive,
    /// `cpuset.cpus`, since 5.0.
    CpusetCpus,
    /// `memory.min`, since 4.18.
    MemoryMin,
    /// `memory.low`, since 4.5.
    MemoryLow,
    /// `memory.high`, since 4.5.
    MemoryHigh,
    /// `memory.max`, since 4.5.
    MemoryMax,
    /// `memory.swap.max`, since 4.5.
    MemorySwapMax,
    /// `memory.oom.group`, since 4.19.
    MemoryOomGroup,
    /// One device's line in `io.max`, since 4.5.
    IoMax(DeviceId),
    /// The default in `io.weight`, since 5.4; without io.cost or BFQ on a disk nothing enforces it.
    IoWeight,
    /// The default in `io.bfq.weight`, since 5.0 and only where the BFQ scheduler is loaded: BFQ does not look at `io.weight`.
    IoBfqWeight,
    /// `pids.max`, since 4.5.
    PidsMax,
    /// `cgroup.freeze`, since 5.2.
    CgroupFreeze,
}

impl KnobKind {
    /// Every kind that has one value per cgroup; `io.max` has one per device besides.
    pub const SINGLE: [Self; 16] = [
        Self::CpuWeight,
        Self::CpuMax,
        Self::CpuMaxBurst,
        Self::CpusetPartition,
        Self::CpusetExclusive,
        Self::CpusetCpus,
        Self::MemoryMin,
        Self::MemoryLow,
        Self::MemoryHigh,
        Self::MemoryMax,
        Self::MemorySwapMax,
        Self::MemoryOomGroup,
        Self::IoWeight,
        Self::IoBfqWeight,
        Self::PidsMax,
        Self::CgroupFreeze,
    ];

    /// The interface file's name.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::CpuWeight => "cpu.weight",
            Self::CpuMax => "cpu.max",
            Self::CpuMaxBurst => "cpu.max.burst",
            Self::CpusetPartition => "cpuset.cpus.partition",
            Self::CpusetExclusive => "cpuset.cpus.exclusive",
            Self::CpusetCpus => "cpuset.cpus",
            Self::MemoryMin => "memory.min",
            Self::MemoryLow => "memory.low",
            Self::MemoryHigh => "memory.high",
            Self::MemoryMax => "memory.max",
            Self::MemorySwapMax => "memory.swap.max",
            Self::MemoryOomGroup => "memory.oom.group",
            Self::IoMax(_) => "io.max",
            Self::IoWeight => "io.weight",
            Self::IoBfqWeight => "io.bfq.weight",
            Self::PidsMax => "pids.max",
            Self::CgroupFreeze => "cgroup.freeze",
        }
    }

    /// The controller that provides the file; none where every group but the root has it.
    #[must_use]
    pub const fn controller(self) -> Option<Controller> {
        Some(match self {
            Self::CpuWeight | Self::CpuMax | Self::CpuMaxBurst => Controller::Cpu,
            Self::CpusetPartition | Self::CpusetExclusive | Self::CpusetCpus => Controller::Cpuset,
            Self::MemoryMin
            | Self::MemoryLow
            | Self::MemoryHigh
            | Self::MemoryMax
            | Self::MemorySwapMax
            | Self::MemoryOomGroup => Controller::Memory,
            Self::IoMax(_) | Self::IoWeight | Self::IoBfqWeight => Controller::Io,
            Self::PidsMax => Controller::Pids,
            Self::CgroupFreeze => return None,
        })
    }

    /// Whether writing it may reclaim memory or kill inside `write(2)`, so that it must never happen on the control loop.
    #[must_use]
    pub const fn may_block(self) -> bool {
        matches!(self, Self::MemoryHigh | Self::MemoryMax)
    }

    /// The value that the kernel gives a new group.
    #[must_use]
    pub fn kernel_default(self) -> Knob {
        match self {
            Self::CpuWeight => Knob::CpuWeight(Weight::DEFAULT),
            Self::CpuMax => Knob::CpuMax(CpuMax::UNLIMITED),
            Self::CpuMaxBurst => Knob::CpuMaxBurst(CpuTime(0)),
            Self::CpusetPartition => Knob::CpusetPartition(Partition::Member, Validity::Valid),
            Self::CpusetExclusive => Knob::CpusetExclusive(CpuSet::default()),
            Self::CpusetCpus => Knob::CpusetCpus(CpuSet::default()),
            Self::MemoryMin => Knob::MemoryMin(Limit::At(Bytes::ZERO)),
            Self::MemoryLow => Knob::MemoryLow(Limit::At(Bytes::ZERO)),
            Self::MemoryHigh => Knob::MemoryHigh(Limit::Max),
            Self::MemoryMax => Knob::MemoryMax(Limit::Max),
            Self::MemorySwapMax => Knob::MemorySwapMax(Limit::Max),
            Self::MemoryOomGroup => Knob::MemoryOomGroup(false),
            Self::IoMax(device) => Knob::IoMax(device, IoMax::UNLIMITED.into()),
            Self::IoWeight => Knob::IoWeight(Weight::DEFAULT),
            Self::IoBfqWeight => Knob::IoBfqWeight(Weight::DEFAULT),
            Self::PidsMax => Knob::PidsMax(Limit::Max),
            Self::CgroupFreeze => Knob::CgroupFreeze(false),
        }
    }
}

impl fmt::Display for KnobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::IoMax(device) = self {
            return f.pad(&format!("io.max[{device}]"));
        }
        f.pad(self.file())
    }
}

/// One device's limits in `io.max`: bytes and operations per second, reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IoMax {
    /// Bytes read per second.
    pub rbps: Limit<Bytes>,
    /// Bytes written per second.
    pub wbps: Limit<Bytes>,
    /// Reads per second.
    pub riops: Limit<u64>,
    /// Writes per second.
    pub wiops: Limit<u64>,
}

impl IoMax {
    /// No limit in any direction; the kernel then drops the device's line.
    pub const UNLIMITED: Self =
        Self { rbps: Limit::Max, wbps: Limit::Max, riops: Limit::Max, wiops: Limit::Max };

    /// The lower of both in each direction.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self {
            rbps: self.rbps.min(other.rbps),
            wbps: self.wbps.min(other.wbps),
            riops: self.riops.min(other.riops),
            wiops: self.wiops.min(other.wiops),
        }
    }
}

impl fmt::Display for IoMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (name, limit) in [("rbps", self.rbps), ("wbps", self.wbps)] {
            if let Limit::At(bytes) = limit {
                parts.push(format!("{name}={bytes}"));
            }
        }
        for (name, limit) in [("riops", self.riops), ("wiops", self.wiops)] {
            if let Limit::At(count) = limit {
                parts.push(format!("{name}={count}"));
            }
        }
        f.pad(&if parts.is_empty() { "max".to_owned() } else { parts.join(" ") })
    }
}

/// A knob with its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Knob {
    /// Share of CPU time among siblings, 1 to 10000, or idle. Idle is kept in `cpu.idle`, which rules the other file.
    CpuWeight(Weight),
    /// CPU time per period. Does not bind real-time tasks.
    CpuMax(CpuMax),
    /// Unused quota that may be carried over; at most the quota.
    CpuMaxBurst(CpuTime),
    /// Whether its CPUs are taken from everybody else. One that the kernel does not grant is never asked for: it is what was read, and
    /// is rendered as the word that asks for it again.
    CpusetPartition(Partition, Validity),
    /// CPUs that may become those of a partition at or below the group; taken from nobody before that.
    CpusetExclusive(CpuSet),
    /// CPUs on which the group's tasks may run; empty means the parent's.
    CpusetCpus(CpuSet),
    /// Memory that is never reclaimed.
    MemoryMin(Limit<Bytes>),
    /// Memory that is reclaimed last.
    MemoryLow(Limit<Bytes>),
    /// Memory above which allocation is slowed down and reclaimed.
    MemoryHigh(Limit<Bytes>),
    /// Memory above which the group's processes are killed.
    MemoryMax(Limit<Bytes>),
    /// Swap that the group may use.
    MemorySwapMax(Limit<Bytes>),
    /// Whether an out-of-memory kill takes the whole group.
    MemoryOomGroup(bool),
    /// Limits on one device, boxed: few have them, and they are thrice as large as any other value, of which each group has sixteen.
    IoMax(DeviceId, Box<IoMax>),
    /// Share of I/O among siblings, 1 to 10000.
    IoWeight(Weight),
    /// Share of I/O among siblings under BFQ, 1 to 1000.
    IoBfqWeight(Weight),
    /// Number of tasks; further forks fail with EAGAIN. Processes that move in are not counted against it.
    PidsMax(Limit<u64>),
    /// Whether all tasks of the group and below stand still. They can be killed.
    CgroupFreeze(bool),
}

/// A text that the kernel should not have produced.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot read \"{text}\" as {kind}")]
pub struct KnobParseError {
    /// The knob whose file it was.
    pub kind: KnobKind,
    /// The text, cut to 200 characters.
    pub text: String,
}

impl Knob {
    /// Which knob this is a value of.
    #[must_use]
    pub const fn kind(&self) -> KnobKind {
        match self {
            Self::CpuWeight(_) => KnobKind::CpuWeight,
            Self::CpuMax(_) => KnobKind::CpuMax,
            Self::CpuMaxBurst(_) => KnobKind::CpuMaxBurst,
            Self::CpusetPartition(..) => KnobKind::CpusetPartition,
            Self::CpusetExclusive(_) => KnobKind::CpusetExclusive,
            Self::CpusetCpus(_) => KnobKind::CpusetCpus,
            Self::MemoryMin(_) => KnobKind::MemoryMin,
            Self::MemoryLow(_) => KnobKind::MemoryLow,
            Self::MemoryHigh(_) => KnobKind::MemoryHigh,
            Self::MemoryMax(_) => KnobKind::MemoryMax,
            Self::MemorySwapMax(_) => KnobKind::MemorySwapMax,
            Self::MemoryOomGroup(_) => KnobKind::MemoryOomGroup,
            Self::IoMax(device, _) => KnobKind::IoMax(*device),
            Self::IoWeight(_) => KnobKind::IoWeight,
            Self::IoBfqWeight(_) => KnobKind::IoBfqWeight,
            Self::PidsMax(_) => KnobKind::PidsMax,
            Self::CgroupFreeze(_) => KnobKind::CgroupFreeze,
        }
    }

    /// The text to write, without a newline: plain decimal numbers and the kernel's own words only.
    #[must_use]
    pub fn render(&self) -> String {
        match self {
            Self::CpuWeight(weight) => weight.get().to_string(),
            Self::IoWeight(weight) => format!("default {}", weight.get()),
            Self::IoBfqWeight(weight) => weight.get().to_string(),
            Self::CpuMax(max) => match max.quota {
                Limit::At(quota) => format!("{} {}", quota.0, max.period.0),
                Limit::Max => format!("max {}", max.period.0),
            },
            Self::CpuMaxBurst(burst) => burst.0.to_string(),
            Self::CpusetPartition(partition, _) => partition.word().to_owned(),
            Self::CpusetExclusive(cpus) | Self::CpusetCpus(cpus) => cpus.to_string(),
            Self::MemoryMin(limit)
            | Self::MemoryLow(limit)
            | Self::MemoryHigh(limit)
            | Self::MemoryMax(limit)
            | Self::MemorySwapMax(limit) => number_or_max(limit.map(|bytes| bytes.0)),
            Self::MemoryOomGroup(on) | Self::CgroupFreeze(on) => u8::from(*on).to_string(),
            Self::IoMax(device, max) => format!(
                "{device} rbps={} wbps={} riops={} wiops={}",
                number_or_max(max.rbps.map(|bytes| bytes.0)),
                number_or_max(max.wbps.map(|bytes| bytes.0)),
                number_or_max(max.riops),
                number_or_max(max.wiops)
            ),
            Self::PidsMax(limit) => number_or_max(*limit),
        }
    }

    /// Reads the text of the knob's file. For `io.max` the device's line is looked up; a missing line means no limit.
    ///
    /// # Errors
    /// [`KnobParseError`] when the text is not what the kernel documents for the file.
    pub fn parse(kind: KnobKind, text: &str) -> Result<Self, KnobParseError> {
        let bytes = || limit(text).map(|limit| limit.map(Bytes));
        let parsed = match kind {
            KnobKind::CpuWeight => cpu_weight(text).map(Self::CpuWeight),
            KnobKind::IoWeight => io_weight(text).map(Self::IoWeight),
            KnobKind::IoBfqWeight => io_weight(text).map(Self::IoBfqWeight),
            KnobKind::CpuMax => cpu_max(text).map(Self::CpuMax),
            KnobKind::CpuMaxBurst => number(text).map(|burst| Self::CpuMaxBurst(CpuTime(burst))),
            KnobKind::CpusetPartition => partition::knob(text),
            KnobKind::CpusetExclusive => text.parse().ok().map(Self::CpusetExclusive),
            KnobKind::CpusetCpus => text.parse().ok().map(Self::CpusetCpus),
            KnobKind::MemoryMin => bytes().map(Self::MemoryMin),
            KnobKind::MemoryLow => bytes().map(Self::MemoryLow),
            KnobKind::MemoryHigh => bytes().map(Self::MemoryHigh),
            KnobKind::MemoryMax => bytes().map(Self::MemoryMax),
            KnobKind::MemorySwapMax => bytes().map(Self::MemorySwapMax),
            KnobKind::MemoryOomGroup => number(text).map(|on| Self::MemoryOomGroup(on != 0)),
            KnobKind::IoMax(device) => {
                io_max(device, text).map(|max| Self::IoMax(device, max.into()))
            }
            KnobKind::PidsMax => limit(text).map(Self::PidsMax),
            KnobKind::CgroupFreeze => number(text).map(|on| Self::CgroupFreeze(on != 0)),
        };
        parsed.ok_or_else(|| KnobParseError { kind, text: text.chars().take(200).collect() })
    }

    /// What was written for the kernel to hold this: a partition that it takes back is still asked for.
    #[must_use]
    pub fn as_asked_for(&self) -> Self {
        if let Self::CpusetPartition(partition, Validity::Invalid) = self {
            return Self::CpusetPartition(*partition, Validity::Valid);
        }
        self.clone()
    }

    /// What the kernel will hold after this is written: memory values rounded down to pages.
    #[must_use]
    pub fn as_kernel_keeps(&self, page: Bytes) -> Self {
        let floor = |limit: &Limit<Bytes>| limit.map(|bytes| bytes.page_floor(page));
        match self {
            Self::MemoryMin(limit) => Self::MemoryMin(floor(limit)),
            Self::MemoryLow(limit) => Self::MemoryLow(floor(limit)),
            Self::MemoryHigh(limit) => Self::MemoryHigh(floor(limit)),
            Self::MemoryMax(limit) => Self::MemoryMax(floor(limit)),
            Self::MemorySwapMax(limit) => Self::MemorySwapMax(floor(limit)),
            Self::CpuWeight(_)
            | Self::CpuMax(_)
            | Self::CpuMaxBurst(_)
            | Self::CpusetPartition(..)
            | Self::CpusetExclusive(_)
            | Self::CpusetCpus(_)
            | Self::MemoryOomGroup(_)
            | Self::IoMax(..)
            | Self::IoWeight(_)
            | Self::IoBfqWeight(_)
            | Self::PidsMax(_)
            | Self::CgroupFreeze(_) => self.clone(),
        }
    }
}

impl fmt::Display for Knob {
    /// The value as a person reads it: `512M`, `1.5 cores`, `0-3`, `max`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CpuWeight(weight) | Self::IoWeight(weight) | Self::IoBfqWeight(weight) => {
                weight.fmt(f)
            }
            Self::CpuMax(max) => max.fmt(f),
            Self::CpuMaxBurst(burst) => burst.fmt(f),
            Self::CpusetPartition(partition, Validity::Valid) => partition.fmt(f),
            Self::CpusetPartition(partition, Validity::Invalid) => {
                f.pad(&format!("{partition} invalid"))
            }
            Self::CpusetExclusive(cpus) if cpus.is_empty() => f.pad("none"),
            Self::CpusetCpus(cpus) if cpus.is_empty() => f.pad("all"),
            Self::CpusetExclusive(cpus) | Self::CpusetCpus(cpus) => cpus.fmt(f),
            Self::MemoryMin(limit)
            | Self::MemoryLow(limit)
            | Self::MemoryHigh(limit)
            | Self::MemoryMax(limit)
            | Self::MemorySwapMax(limit) => limit.fmt(f),
            Self::MemoryOomGroup(on) => f.pad(if *on { "on" } else { "off" }),
            Self::CgroupFreeze(on) => f.pad(if *on { "frozen" } else { "running" }),
            Self::IoMax(_, max) => max.fmt(f),
            Self::PidsMax(limit) => limit.fmt(f),
        }
    }
}

fn number_or_max(limit: Limit<u64>) -> String {
    limit.value().map_or_else(|| "max".to_owned(), |value| value.to_string())
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn limit(text: &str) -> Option<Limit<u64>> {
    match text.trim() {
        "max" => Some(Limit::Max),
        other => other.parse().ok().map(Limit::At),
    }
}

/// While `cpu.idle` is set, `cpu.weight` reads 0 on 6.1 and 1 on 6.12, where only the other file tells.
fn cpu_weight(text: &str) -> Option<Weight> {
    number(text).filter(|value| *value <= 10_000).map(Weight::of_cpu)
}

/// `io.weight` reads `default 100`, then one line per device that differs.
fn io_weight(text: &str) -> Option<Weight> {
    let first = text.lines().next()?.trim();
    let value: u64 = first.strip_prefix("default").unwrap_or(first).trim().parse().ok()?;
    (1..=10_000).contains(&value).then(|| Weight::clamped(value))
}

fn cpu_max(text: &str) -> Option<CpuMax> {
    let mut words = text.split_whitespace();
    let quota = limit(words.next()?)?.map(CpuTime);
    let period = words.next().map_or(Some(CpuMax::DEFAULT_PERIOD.0), number)?;
    // What the kernel would not take back could not be restored either (`kernel/sched/core.c`, tg_set_cfs_bandwidth).
    let enough = quota.value().is_none_or(|quota| quota.0 >= 1000);
    let sound = enough && (1000..=1_000_000).contains(&period);
    sound.then_some(CpuMax { quota, period: CpuTime(period) })
}

fn io_max(device: DeviceId, text: &str) -> Option<IoMax> {
    let mut max = IoMax::UNLIMITED;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        if name.parse() != Ok(device) {
            continue;
        }
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key {
                "rbps" => max.rbps = limit(value)?.map(Bytes),
                "wbps" => max.wbps = limit(value)?.map(Bytes),
                "riops" => max.riops = limit(value)?,
                "wiops" => max.wiops = limit(value)?,
                _ => {} // a newer kernel's word, and what it holds, is not ours to judge
            }
        }
    }
    Some(max)
}

#[cfg(test)]
mod tests;
