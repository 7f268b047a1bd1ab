//! Folders that are kept small, as they are written. Nothing is interpreted here.

use super::{Duration, Glob, PathText, Size};
use schemars::JsonSchema;
use serde::Deserialize;

/// A folder of which files may be removed, by `provost storage --clean`: never anything outside of it, and no link is followed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Storage {
    /// The folder's absolute path, no part of which is a link.
    pub(in crate::config) path: PathText,
    /// With whose rights it is looked at and files are removed: the name of an account in /etc/passwd, never one of root's.
    pub(in crate::config) user: String,
    /// Names of files, as a glob: "*.log.*". All others neither count nor go. Default: "*".
    #[serde(rename = "match")]
    pub(in crate::config) files: Option<Glob>,
    /// Files that were not changed for longer go, "1h" to "3650d". Default: they stay.
    pub(in crate::config) older_than: Option<Duration>,
    /// The oldest go until all together take at most this on the disk, 1M or more. Default: they may take all there is.
    pub(in crate::config) keep_size: Option<Size>,
    /// The oldest go until so many are left, 1 to 100000. Default: there may be any number.
    #[schemars(range(min = 1, max = 100_000))]
    pub(in crate::config) keep_count: Option<u64>,
}
