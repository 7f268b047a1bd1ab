//! File systems: which are mounted, and how full they are.

use super::Level;
use crate::units::{Bytes, Ppm, Tick};
use serde::{Deserialize, Serialize};

/// One mounted file system with a store of its own: on a block device or in the network, and not read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Where it is mounted.
    pub at: String,
    /// What it is, such as `ext4`.
    pub kind: String,
    /// How full it is.
    pub room: Room,
}

/// How full a file system is, as `statvfs` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Room {
    /// It answered.
    Known {
        /// All of it.
        size: Bytes,
        /// What is taken, of what users other than root can have at all. None where it says no size.
        used: Option<Ppm>,
        /// The same of inodes. None where they are made as needed.
        inodes: Option<Ppm>,
    },
    /// It has not answered since.
    Hangs {
        /// When it was asked.
        since: Tick,
    },
    /// It refused.
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
}

/// How full a file system is, as it is recorded and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemView {
    /// What was seen.
    pub seen: FileSystem,
    /// What the configured thresholds say of it.
    pub alert: Level,
    /// Since when.
    pub since: Tick,
    /// What brought it there, as a clause for people; empty while nothing has happened.
    pub cause: String,
}
