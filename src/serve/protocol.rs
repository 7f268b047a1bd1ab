//! Requests and replies, version 1.

use crate::model::{Health, Report};
use crate::units::ComponentName;
use serde::{Deserialize, Serialize};

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask", deny_unknown_fields)]
pub enum Request {
    /// The status report.
    Status,
    /// How provost itself does. Answered also while the control loop stands still.
    Health,
    /// Read the configuration again.
    Reload,
    /// Put limits on processes, or give all of them back.
    Enforce {
        /// Which.
        on: bool,
    },
    /// Follow another strategy, or the configured one again.
    Strategy {
        /// Its word; none for what is configured.
        word: Option<String>,
        /// For this component alone; none for all that have no other.
        component: Option<ComponentName>,
    },
    /// Leave, giving back or keeping limits as the configuration says.
    Stop,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reply")]
pub enum Reply {
    /// The status report.
    Status {
        /// The report.
        report: Box<Report>,
    },
    /// How provost does.
    Health {
        /// That.
        health: Health,
    },
    /// Done.
    Done {
        /// What was done, as lines for people.
        text: String,
    },
    /// Not done.
    Failed {
        /// Why, and what to do about it.
        text: String,
        /// The exit code the command line should end with.
        exit: u8,
    },
}
