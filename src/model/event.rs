//! What happened, as it is kept for people: one event each. Must not be read by anything that decides.

use super::{AlertView, Finding, Knob, Level, Outcome, OutcomeOf, Reason, Resource, Verdict};
use crate::units::{CgroupPath, ComponentName, Tick};
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, on the boot clock.
    pub at: Tick,
    /// Seconds since 1970 at that moment, for people.
    pub wall_secs: u64,
    /// What.
    pub of: EventOf,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum EventOf {
    /// Something was done, and this came of it.
    Action {
        /// What came of it.
        outcome: Box<Outcome>,
        /// Of a knob, the value before; none where it could not be read.
        old: Option<Knob>,
        /// Of a knob, why it was to have another value.
        reason: Option<Reason>,
    },
    /// There is something to tell, or it is over.
    Finding {
        /// What is told.
        finding: Finding,
        /// Whether it is over.
        is_over: bool,
    },
    /// A resource became scarcer, or less scarce.
    Level {
        /// Which.
        resource: Resource,
        /// Its level before.
        from: Level,
        /// Its level now.
        to: Level,
        /// What brought it there, as a clause.
        cause: String,
    },
    /// Somebody was told of an alert.
    Alert {
        /// As it was told.
        alert: Box<AlertView>,
    },
    /// The daemon started or stopped, or was told something.
    Daemon {
        /// What, as a clause.
        what: String,
    },
}

impl Event {
    /// The component that it concerns, where there is one.
    #[must_use]
    pub fn component(&self) -> Option<&ComponentName> {
        match &self.of {
            EventOf::Action { outcome, .. } => outcome.component.as_ref(),
            EventOf::Finding { finding, .. } => finding.component.as_ref(),
            EventOf::Level { .. } | EventOf::Alert { .. } | EventOf::Daemon { .. } => None,
        }
    }

    /// The group that it concerns, where there is one.
    #[must_use]
    pub fn group(&self) -> Option<&CgroupPath> {
        match &self.of {
            EventOf::Action { outcome, .. } => Some(&outcome.path),
            EventOf::Finding { finding, .. } => finding.at.as_ref(),
            EventOf::Level { .. } | EventOf::Alert { .. } | EventOf::Daemon { .. } => None,
        }
    }

    /// Whether it changed what somebody may use.
    #[must_use]
    pub fn is_allocation(&self) -> bool {
        let EventOf::Action { outcome, .. } = &self.of else { return false };
        matches!(outcome.of, OutcomeOf::Knob { .. })
    }
}

impl Outcome {
    /// What was done, as people read it.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.of {
            OutcomeOf::Knob { knob, asked, .. } => format!("{knob} = {asked}"),
            OutcomeOf::Process { process, comm, from, .. } => {
                format!("move {comm} ({process}) from {from}")
            }
            OutcomeOf::Thread { thread, name, asked, .. } => {
                format!("thread {thread} ({name}) = {asked}")
            }
            OutcomeOf::Group => "prepare the group".to_owned(),
            OutcomeOf::Relief { means } => means.to_string(),
            OutcomeOf::Hook { .. } => "hook".to_owned(),
            OutcomeOf::Restart { unit } => format!("restart of {unit}"),
            OutcomeOf::Unit { unit, job, .. } => format!("{job} {unit}"),
        }
    }

    /// How it ended, as people read it.
    #[must_use]
    pub fn result(&self) -> String {
        let has_ended = matches!(self.of, OutcomeOf::Hook { .. } | OutcomeOf::Restart { .. });
        match &self.verdict {
            Verdict::Applied if has_ended => "done".to_owned(),
            Verdict::Applied if matches!(self.of, OutcomeOf::Unit { ended: false, .. }) => {
                "begun".to_owned()
            }
            Verdict::Refused { advice, .. } if has_ended => advice.clone(),
            Verdict::Applied => "applied".to_owned(),
            Verdict::Clipped { effective } => format!("the kernel keeps {effective}"),
            Verdict::Refused { advice, .. } => format!("refused: {advice}"),
            Verdict::Gone => "gone".to_owned(),
        }
    }
}
