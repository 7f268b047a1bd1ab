//! What is wanted, and why.

use super::{
    Expected, HomeKind, Knob, KnobKind, LadderView, RealtimeView, Relief, Resource, Stray,
    ThreadTarget, UnitJob,
};
use crate::units::{Bytes, CgroupPath, ComponentName, CpuSet, Millicpu, Span};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Why a knob has the value it is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Reason {
    /// The configuration says so in the named key.
    Configured {
        /// The key below the component, such as `memory.ceiling`.
        key: Cow<'static, str>,
    },
    /// The ceiling follows the need between its ends.
    Scaled {
        /// The key below the component.
        key: String,
        /// Its lower end.
        least: String,
        /// Its upper end.
        most: String,
        /// Why it is where it is, as a clause.
        why: String,
    },
    /// The component's share of the host's CPUs by guarantee and priority.
    Entitlement {
        /// What it may count on when everybody wants everything.
        share: Millicpu,
        /// What can be divided in all.
        of: Millicpu,
    },
    /// Nothing but idle components lives there, which run when nobody else wants the CPU.
    Idle,
    /// An ancestor carries the sum of what is protected below it, since a leaf's protection counts only as far as its ancestors'.
    CarriedUp {
        /// How many homes it adds up.
        homes: usize,
    },
    /// The group uses more than the ceiling: the limit follows the usage down instead of killing.
    AboveCeiling {
        /// The ceiling it is to reach.
        ceiling: Bytes,
        /// What it uses now.
        usage: Bytes,
    },
    /// A protected component with a CPU ceiling may carry unused quota over.
    BurstForProtected,
    /// It gives way: a protected component waits, so all that yield share what is left after everybody else and the headroom.
    Yields {
        /// What all of them may use together.
        cap: Millicpu,
        /// What everybody else uses.
        others: Millicpu,
    },
    /// It gives way: a protected component waits for a disk, so all that yield share what is left of it.
    YieldsDisk,
    /// Its memory gives way: memory is short, so all that yield share what others leave.
    YieldsMemory {
        /// Who waits, or what is short, as a clause.
        because: String,
        /// What all of them may hold together.
        left: Bytes,
        /// What is kept for everybody else.
        others: Bytes,
    },
    /// It gives way before anybody waits: somebody protected is expected to need more soon.
    YieldsAhead {
        /// Who, how much and when.
        expected: Expected,
        /// What all that yield may have together until then, in the resource's unit.
        left: u64,
    },
    /// It gives way: process numbers are short, so it has at most a multiple of what it usually has.
    YieldsPids {
        /// The most tasks that it had in the hour before; none where it is not known for long, and keeps what it has.
        usual: Option<u64>,
    },
    /// Without room in swap its memory cannot be taken back, and it was slowed down for as long as that is of use.
    LetGo,
    /// It stands still: memory is short, and what was done before did not help.
    Frozen {
        /// Who waits, or what is short, as a clause.
        because: String,
    },
    /// It stood still and runs again for a while.
    Thawed,
    /// It has CPUs that no other component uses.
    OwnCpus {
        /// How many it is to have.
        asked: usize,
        /// Whether they are spread, instead of near each other.
        balanced: bool,
        /// How many cores they are.
        cores: usize,
        /// Behind how many last-level caches.
        caches: usize,
        /// On how many memory nodes.
        nodes: usize,
    },
    /// Other components have CPUs of their own; this is what they leave.
    SharedCpus {
        /// What the others have.
        taken: CpuSet,
    },
    /// It is a partition: nobody else at all runs on its CPUs.
    Partition,
    /// The group lies on the way down to a partition.
    SetAside,
    /// Nobody waits any more: back to what was there before.
    YieldsNoMore,
    /// The priority's share.
    PriorityShare,
    /// No rule asks for it any more: back to what was there before.
    NoLongerConfigured,
}

impl Reason {
    /// Whether the value follows the load. Such a value is written to the file only: systemd would keep it after provost.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Yields { .. }
                | Self::YieldsDisk
                | Self::YieldsMemory { .. }
                | Self::YieldsAhead { .. }
                | Self::YieldsPids { .. }
                | Self::Scaled { .. }
                | Self::LetGo
                | Self::Frozen { .. }
                | Self::Thawed
                | Self::YieldsNoMore
        )
    }

    /// Whether what was there before provost comes back.
    #[must_use]
    pub const fn gives_back(&self) -> bool {
        matches!(self, Self::NoLongerConfigured | Self::LetGo | Self::Thawed | Self::YieldsNoMore)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured { key } => write!(f, "{key}"),
            Self::Scaled { key, least, most, why } => {
                write!(f, "{key}, {least} to {most}: {why}")
            }
            Self::Entitlement { share, of } => {
                write!(f, "entitled to {share} of {of} cores by guarantee and priority")
            }
            Self::Idle => f.write_str("cpu.class \"idle\": runs when nobody else wants the CPU"),
            Self::CarriedUp { homes: 1 } => f.write_str("carries the protection of 1 home below"),
            Self::CarriedUp { homes } => write!(f, "carries the protection of {homes} homes below"),
            Self::AboveCeiling { ceiling, usage } => {
                write!(f, "uses {usage}, above memory.ceiling {ceiling}: follows the usage down")
            }
            Self::BurstForProtected => f.write_str("protected: unused quota carries over"),
            Self::Yields { cap, others } => write!(
                f,
                "gives way: a protected component waits; all that yield may use {cap} cores, others use {others}"
            ),
            Self::YieldsDisk => f.write_str(
                "gives way: a protected component waits for the disk; all that yield share what others leave",
            ),
            Self::YieldsMemory { because, left, others } => write!(
                f,
                "gives way: {because}; all that yield may hold {left}, {others} are kept for others, until memory is at level normal for a minute"
            ),
            Self::YieldsAhead { expected, left } => f.write_str(&ahead(expected, *left)),
            Self::YieldsPids { usual: Some(usual) } => write!(
                f,
                "gives way: process numbers are short; it had at most {usual} tasks in the hour before, and may have four times as many or 64"
            ),
            Self::YieldsPids { usual: None } => f.write_str(
                "gives way: process numbers are short; it is new, and may keep what it has",
            ),
            Self::LetGo => f.write_str(
                "let go: its memory cannot be swapped out, and slowing it down for half a minute did not make it give any back",
            ),
            Self::Frozen { because } => write!(
                f,
                "stands still: {because}, and limits did not help; for half a minute at most, then it runs for a third of that at least"
            ),
            Self::Thawed => f.write_str(
                "runs again: nobody stands still for longer than half a minute, or for more than three quarters of the time",
            ),
            Self::OwnCpus { asked, balanced, cores, caches, nodes } => {
                let spread = if *balanced { ", spread" } else { "" };
                write!(
                    f,
                    "{} of its own{spread}: {} behind {} on {}",
                    counted(*asked, "CPU"),
                    counted(*cores, "core"),
                    counted(*caches, "cache"),
                    counted(*nodes, "memory node")
                )
            }
            Self::SharedCpus { taken } => {
                let word = if taken.len() == 1 { "CPU" } else { "CPUs" };
                write!(f, "what others leave, who have {word} {taken} to themselves")
            }
            Self::Partition => f.write_str(
                "a partition: its CPUs are taken from all others, registered or not, and from the groups above",
            ),
            Self::SetAside => f.write_str("set aside on the way down to a partition"),
            Self::YieldsNoMore => f.write_str("nobody waits any more: back to the original"),
            Self::PriorityShare => f.write_str("share of its priority"),
            Self::NoLongerConfigured => f.write_str("no longer configured: back to the original"),
        }
    }
}

/// For whom, how much is left, and what would change that.
fn ahead(expected: &Expected, left: u64) -> String {
    let until = match expected.resource {
        Resource::Memory => "what they gave back fits beside what is expected",
        Resource::Cpu | Resource::Io | Resource::Pids => "that is needed or no longer expected",
    };
    let left = expected.resource.amount(left);
    format!(
        "gives way ahead of time: {expected}; all that yield may have {left} together, until {until} for a minute"
    )
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A value wanted for one knob of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The component on whose behalf; none for an ancestor.
    pub component: Option<ComponentName>,
    /// The group.
    pub at: CgroupPath,
    /// The value.
    pub knob: Knob,
    /// Why.
    pub reason: Reason,
}

/// A wanted value that is not acted on now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The component on whose behalf; none for an ancestor.
    pub component: Option<ComponentName>,
    /// The group.
    pub at: CgroupPath,
    /// The knob.
    pub kind: KnobKind,
    /// Why not.
    pub why: String,
    /// For how long, where that is known.
    pub remaining: Option<Span>,
}

/// Loose processes that are to live in a home of provost's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The component.
    pub component: ComponentName,
    /// The place: an own scope or an own group.
    pub home: HomeKind,
    /// Its path, whether or not it exists yet.
    pub path: CgroupPath,
    /// The slice of the component's priority, for a scope that is to be made.
    pub slice: String,
    /// What its knobs are to be from its first moment; empty when it exists already.
    pub targets: Vec<Target>,
    /// Who moves in.
    pub strays: Vec<Stray>,
}

/// Everything that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Who is to live where.
    pub placements: Vec<Placement>,
    /// What each knob is to be, ordered by path and knob.
    pub targets: Vec<Target>,
    /// What is left as it is, and why.
    pub held: Vec<Held>,
    /// Each component's CPU entitlement.
    pub entitlement: BTreeMap<ComponentName, Millicpu>,
    /// What is done once for memory that is short.
    pub reliefs: Vec<Relief>,
    /// Instances that are to be started or stopped.
    pub jobs: Vec<UnitJob>,
    /// How far provost has gone for memory; none while it is not short.
    pub ladder: Option<LadderView>,
    /// Who shares CPUs though it is to have some of its own, and why.
    pub sharing: BTreeMap<ComponentName, String>,
    /// Who has CPUs of its own and is no partition though it is to be one, and why.
    pub unparted: BTreeMap<ComponentName, String>,
    /// Threads that are to be raised, kept or lowered.
    pub threads: Vec<ThreadTarget>,
    /// What there is to tell of each component of class `realtime`.
    pub realtime: BTreeMap<ComponentName, RealtimeView>,
}
