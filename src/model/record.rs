//! One cycle as it is kept: history, audit trail and replay input in one.

use super::{Finding, Outcome, Plan};
use crate::units::Tick;
use serde::{Deserialize, Serialize};

/// What one cycle planned and found, and what came of the actions before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CycleRecord {
    /// The format's version, 1.
    pub version: u32,
    /// When.
    pub at: Tick,
    /// Seconds since 1970 at that moment, for people; nothing is decided by it.
    pub wall_secs: u64,
    /// What was to be done.
    pub plan: Plan,
    /// What had come of earlier actions.
    pub outcomes: Vec<Outcome>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}
