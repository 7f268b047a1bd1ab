//! Requests and replies, version 1.

use crate::model::{Health, Report};
use crate::units::{ComponentName, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Somebody knows of an alert.
    Acknowledge {
        /// Its name.
        id: String,
    },
    /// Nobody wants to hear of an alert for a while.
    Silence {
        /// Its name.
        id: String,
        /// For how long, from now; nothing to hear of it again.
        span: Span,
    },
    /// Give a component something for a while.
    SetQuota {
        /// Which.
        component: ComponentName,
        /// Keys below the component, each with its value as text; a disk in `io.limits` is named by a path.
        keys: BTreeMap<String, String>,
        /// For how long, from now.
        span: Span,
        /// Only say what that would change.
        dry_run: bool,
    },
    /// Take back what a component was given for a while.
    Release {
        /// Which.
        component: ComponentName,
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
