//! A hook: a program of the administrator's that is called when memory is short, before anybody stands still for it.

use super::Level;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// A component's hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The program's absolute path and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// Whose rights it has: a name of the account files, never that of root.
    pub user: String,
    /// After so long it is killed, 1 s to 60 s.
    pub timeout: Span,
    /// From which level of memory on it is called.
    pub from: Level,
}
