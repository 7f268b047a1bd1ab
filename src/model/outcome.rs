//! What came of an action, read back from the kernel.

use super::{JobKind, Knob, KnobKind, Means, Sched};
use crate::units::{CgroupId, CgroupPath, ComponentName, ProcId, Span, Tick};
use serde::{Deserialize, Serialize};

/// How a write or a move ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Verdict {
    /// The kernel holds what was asked for (memory values rounded down to pages count as that).
    Applied,
    /// The kernel accepted the write and holds another value.
    Clipped {
        /// What it holds.
        effective: Knob,
    },
    /// The kernel or systemd refused.
    Refused {
        /// The error number; 0 where systemd answered with a message only.
        errno: i32,
        /// What happened and what to do about it.
        advice: String,
    },
    /// The group or process was gone; of a thread also that its policy is not the one any more that was to be changed.
    Gone,
}

/// What an outcome is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OutcomeOf {
    /// A knob.
    Knob {
        /// The knob written.
        knob: KnobKind,
        /// The value asked for.
        asked: Knob,
        /// Which group held it; none when it never came to be.
        id: Option<CgroupId>,
        /// What the journal holds as the value before provost.
        original: Option<Knob>,
        /// Whether it is a passing value, of which systemd was not told.
        passing: bool,
    },
    /// A process that was moved.
    Process {
        /// The process.
        process: ProcId,
        /// Its command name, for people.
        comm: String,
        /// Where it came from.
        from: CgroupPath,
        /// Time from its exec to the end of the move, if the exec was seen.
        exec_to_placed: Option<Span>,
    },
    /// A group or scope that was made, or controllers that were enabled.
    Group,
    /// Something that was done once, for memory that is short or grows without end.
    Relief {
        /// What.
        means: Means,
    },
    /// A thread's scheduling policy.
    Thread {
        /// The thread.
        thread: ProcId,
        /// Its name, for people.
        name: String,
        /// The home in which it lived when it was raised.
        id: CgroupId,
        /// What was asked for.
        asked: Sched,
        /// What the journal holds as the policy before provost.
        original: Sched,
    },
    /// An instance is being started or stopped, or was.
    Unit {
        /// Its unit.
        unit: String,
        /// What is done.
        job: JobKind,
        /// Whether it is over.
        ended: bool,
    },
    /// A component's hook ended, or could not be started.
    Hook {
        /// The beginning of what it wrote, one line after the other without control characters.
        said: String,
    },
    /// A unit's restart ended, or could not be begun.
    Restart {
        /// The unit.
        unit: String,
    },
}

/// What came of one action's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// When it ended.
    pub at: Tick,
    /// The component on whose behalf; none for an ancestor.
    pub component: Option<ComponentName>,
    /// The group.
    pub path: CgroupPath,
    /// The knob, process or group.
    pub of: OutcomeOf,
    /// How it ended.
    pub verdict: Verdict,
    /// How long the kernel or systemd took.
    pub took: Span,
}

impl Outcome {
    /// The instance that was stopped, where this tells of one.
    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        let OutcomeOf::Unit { unit, job: JobKind::Stop, ended: true } = &self.of else {
            return None;
        };
        (self.verdict == Verdict::Applied).then_some(unit)
    }
}
