//! Disks as they are written: their limits, and what they can do. Nothing is interpreted here.

use super::{PathText, Size};
use schemars::JsonSchema;
use serde::Deserialize;

/// Limits on disks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Io {
    /// Its share of a busy disk, 1 to 10000. Default: by priority and share.
    #[schemars(range(min = 1, max = 10000))]
    pub(in crate::config) weight: Option<u64>,
    /// Limits, one table for each disk. Default: none.
    pub(in crate::config) limits: Option<Vec<IoLimit>>,
}

/// Limits on one disk, or on all. At least one of the four is set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct IoLimit {
    /// The absolute path of a device node, a mount point or any file on the disk; "all" for every disk.
    pub(in crate::config) device: PathText,
    /// Bytes read per second, such as "50M". Default: "max".
    pub(in crate::config) read: Option<Size>,
    /// Bytes written per second. Default: "max".
    pub(in crate::config) write: Option<Size>,
    /// Reads per second. Default: no limit.
    #[schemars(range(min = 1))]
    pub(in crate::config) read_iops: Option<u64>,
    /// Writes per second. Default: no limit.
    #[schemars(range(min = 1))]
    pub(in crate::config) write_iops: Option<u64>,
}

/// What one disk can do. At least one of the four is set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Disk {
    /// The absolute path of a device node, a mount point or any file on the disk.
    pub(in crate::config) device: PathText,
    /// Bytes read per second, such as "400M". Default: learned.
    pub(in crate::config) read: Option<Size>,
    /// Bytes written per second. Default: learned.
    pub(in crate::config) write: Option<Size>,
    /// Reads per second. Default: learned.
    #[schemars(range(min = 1))]
    pub(in crate::config) read_iops: Option<u64>,
    /// Writes per second. Default: learned.
    #[schemars(range(min = 1))]
    pub(in crate::config) write_iops: Option<u64>,
}
