//! Folders that are kept small: what of them goes, and what came of that.

use super::Moment;
use crate::units::{Bytes, Span};
use serde::{Deserialize, Serialize};

/// Which files of a folder may go. With none of the three, all stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Those that were not changed for longer than this.
    pub older_than: Option<Span>,
    /// The oldest, until all together take at most this.
    pub keep_size: Option<Bytes>,
    /// The oldest, until so many are left.
    pub keep_count: Option<u64>,
}

/// What counts of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// What it takes on its disk.
    pub size: Bytes,
    /// When its content was changed last.
    pub changed: Moment,
}

/// What was found below a folder, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Swept {
    /// Files whose name is meant.
    pub files: u64,
    /// What they took on the disk, before.
    pub size: Bytes,
    /// So many were removed, or would be.
    pub removed: u64,
    /// What those took.
    pub freed: Bytes,
    /// The first of those, as paths below the folder.
    pub first: Vec<String>,
    /// So many could not be looked at or removed.
    pub failed: u64,
    /// Why not, of the first of those.
    pub failure: Option<String>,
}
