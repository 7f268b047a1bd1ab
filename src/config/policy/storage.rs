//! A folder that is kept small, as it is configured. Must not say which files go.

use super::Glob;
use crate::model::Retention;
use std::path::PathBuf;

/// A folder that is kept small.
#[derive(Debug, Clone)]
pub struct StoragePolicy {
    /// Absolute, without "." and "..", and no folder of the system's.
    pub path: PathBuf,
    /// With whose rights: a name of the account files, never that of root.
    pub user: String,
    /// Which names are meant; every name when none is written.
    pub files: Option<Glob>,
    /// Which of them go.
    pub retention: Retention,
}
