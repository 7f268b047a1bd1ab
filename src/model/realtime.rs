//! Threads and their scheduling policies: what was seen, what is wanted, and what is told of it. Must not decide who gets what.

use crate::units::{CgroupPath, CgroupRef, ComponentName, CpuSet, CpuTime, ProcId, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A scheduling policy (sched(7); numbers in `include/uapi/linux/sched.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchedPolicy {
    /// The usual one, 0.
    Other,
    /// Real time until it sleeps, 1.
    Fifo,
    /// Real time in turns with others of its priority, 2.
    Rr,
    /// As the usual one, for work that nobody waits for, 3.
    Batch,
    /// When nobody else wants the CPU, 5.
    Idle,
    /// By deadlines, 6.
    Deadline,
    /// One that provost does not know, such as that of a sched_ext scheduler.
    Unknown,
}

impl SchedPolicy {
    /// The policy with the kernel's number.
    #[must_use]
    pub const fn of_number(number: u64) -> Self {
        match number {
            0 => Self::Other,
            1 => Self::Fifo,
            2 => Self::Rr,
            3 => Self::Batch,
            5 => Self::Idle,
            6 => Self::Deadline,
            _ => Self::Unknown,
        }
    }

    /// The kernel's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Other => "SCHED_OTHER",
            Self::Fifo => "SCHED_FIFO",
            Self::Rr => "SCHED_RR",
            Self::Batch => "SCHED_BATCH",
            Self::Idle => "SCHED_IDLE",
            Self::Deadline => "SCHED_DEADLINE",
            Self::Unknown => "another policy",
        }
    }
}

/// How a thread is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sched {
    /// The policy.
    pub policy: SchedPolicy,
    /// The real-time priority, 1 to 99; 0 for policies that have none.
    pub priority: u8,
}

impl Sched {
    /// As every thread is that nobody changed.
    pub const OTHER: Self = Self { policy: SchedPolicy::Other, priority: 0 };

    /// In real time, in turns with others of this priority.
    #[must_use]
    pub const fn rr(priority: u8) -> Self {
        Self { policy: SchedPolicy::Rr, priority }
    }
}

impl fmt::Display for Sched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.priority {
            0 => f.pad(self.policy.word()),
            priority => f.pad(&format!("{} {priority}", self.policy.word())),
        }
    }
}

/// A thread whose name the component's configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadView {
    /// The thread: its own number and start time.
    pub thread: ProcId,
    /// Its name, at most 15 bytes, made printable.
    pub name: String,
    /// The component's home in which, or below which, it lives.
    pub home: CgroupPath,
    /// How it is scheduled.
    pub sched: Sched,
    /// CPU time that it used since it began.
    pub used: CpuTime,
}

/// What was seen of a component that may have threads in real time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RealtimeSeen {
    /// The threads that it names, by home and number.
    pub threads: Vec<ThreadView>,
    /// How many more there are than are looked at.
    pub more: usize,
    /// `cpuset.cpus.effective` of each home that has it.
    pub cpus: BTreeMap<CgroupPath, CpuSet>,
}

/// A thread that provost is to raise, to keep raised, or to lower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadTarget {
    /// Whose it is.
    pub component: ComponentName,
    /// The home in which it lives, or lived when it was raised.
    pub at: CgroupRef,
    /// The thread.
    pub thread: ProcId,
    /// Its name, for people.
    pub name: String,
    /// How it is scheduled now, or was left by provost where it is not seen any more.
    pub held: Sched,
    /// How it is to be.
    pub wanted: Sched,
    /// Why, as a clause.
    pub because: String,
}

/// What the component's threads are, and why none of them is in real time if so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealtimeView {
    /// The priority that they are to have.
    pub priority: u8,
    /// Why no thread is raised now, as a clause; none where they may be.
    pub held: Option<String>,
    /// Until when, where that is known.
    pub until: Option<Tick>,
    /// The threads that are named.
    pub threads: Vec<ThreadLine>,
    /// How many more there are than are looked at.
    pub more: usize,
}

/// One named thread as people read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadLine {
    /// The thread.
    pub thread: ProcId,
    /// Its name.
    pub name: String,
    /// How it is scheduled.
    pub sched: Sched,
    /// Whose that is.
    pub whose: ThreadOwner,
}

/// Whose a thread's scheduling policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThreadOwner {
    /// Nobody changed it.
    Nobody,
    /// provost raised it.
    Provost,
    /// The program, its unit or a person set it; it is left alone.
    Foreign,
    /// provost raised it and somebody changed it since; it is left alone for as long as the thread lives.
    TakenBack,
}

impl ThreadOwner {
    /// The words for it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nobody => "as it began",
            Self::Provost => "set by provost",
            Self::Foreign => "the program's own or another writer's: left alone",
            Self::TakenBack => "changed by somebody since provost set it: left alone",
        }
    }
}
