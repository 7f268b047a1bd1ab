//! What a person should know: contradictions, refusals, degradations.

use crate::units::{CgroupPath, ComponentName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// provost does less than it was asked for.
    Warning,
    /// A person must act.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// What kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Another writer changed a knob; its value stands for a while.
    Override,
    /// Another writer keeps changing a knob; provost stepped aside.
    Contested,
    /// The kernel or systemd refused a value.
    Refused,
    /// A match that is left alone.
    LeftAlone,
    /// A controller, file or feature is missing.
    Missing,
    /// Something planned broke a rule and was left out.
    Lint,
    /// The configuration in force is not the one in the files.
    Configuration,
    /// A component has no process and no unit now.
    Absent,
    /// Usage is above a ceiling.
    AboveCeiling,
    /// A component shares CPUs though it is to have some of its own.
    SharesCpus,
    /// A component's own CPUs are no partition though they are to be one: what provost does not manage may run there.
    NoPartition,
    /// No thread of a component is put into real time though some are to be.
    NoRealtime,
    /// A sched_ext scheduler divides CPU time.
    OtherScheduler,
    /// Something could not be read.
    Unreadable,
    /// A file system fills up, or does not answer.
    DiskSpace,
    /// Memory grows without end.
    Leak,
    /// A unit is to be restarted because its memory grows without end.
    Restart,
    /// Forecasts cannot be trusted, or are not made.
    Forecast,
    /// The busiest hours grow towards a ceiling.
    Capacity,
    /// Use is out of the ordinary.
    Unusual,
    /// The control loop stood still.
    Stalled,
    /// What happens is not recorded, or was not for a while.
    Unrecorded,
    /// Writes wait for their turn.
    Deferred,
    /// Memory stays short whatever is done.
    Short,
    /// A defect in provost itself.
    Bug,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind it is.
    pub kind: FindingKind,
    /// The component, where there is one.
    pub component: Option<ComponentName>,
    /// The group, where there is one.
    pub at: Option<CgroupPath>,
    /// What, where and how to mend it, as one or two sentences.
    pub text: String,
}
