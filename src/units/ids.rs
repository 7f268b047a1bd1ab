//! Names and identities: which cgroup, which process, which disk, which component.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// A cgroup's place below the mounted root, without a leading slash; the root itself is empty.
///
/// A path names a place, not a group: systemd removes and recreates groups under the same path. [`CgroupId`] tells them apart.
///
/// Its text is shared by all its clones: a thousand groups are keys of a dozen maps, and are compared with themselves at every look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CgroupPath(Arc<str>);

impl CgroupPath {
    /// The root group.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The path with surrounding slashes removed. Components `.` and `..` are kept as they are: opening them is refused
    /// beneath the held root.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(path.trim_matches('/').into())
    }

    /// The path as text, without a leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root group.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether its last component is named like the cgroup of a systemd unit.
    #[must_use]
    pub fn is_unit(&self) -> bool {
        [".service", ".scope", ".slice"].iter().any(|suffix| self.name().ends_with(suffix))
    }

    /// The last component; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path of the group above as text; empty right below the root, and for the root.
    #[must_use]
    pub fn above(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(above, _)| above)
    }

    /// The group above; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(self.above().into()))
    }

    /// The group `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.is_root() { Self(name.into()) } else { Self(format!("{}/{name}", self.0).into()) }
    }

    /// Every group above, nearest first, ending with the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// The path's components from the top down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// Whether `other` is this group or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.is_root()
            || other
                .0
                .strip_prefix(&*self.0)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Borrow<str> for CgroupPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_root() { "/" } else { &self.0 })
    }
}

/// A cgroup's identity: the 64-bit inode of its directory, which the kernel never reuses while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CgroupId(pub u64);

/// A cgroup as it was seen: the place and the identity that was there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CgroupRef {
    /// The place.
    pub path: CgroupPath,
    /// Which group was there.
    pub id: CgroupId,
}

/// A process's identity: a process number is reused, the pair with its start time is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcId {
    /// The process number (thread group id).
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks from boot to the process's start.
    pub start: u64,
}

impl fmt::Display for ProcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.pid.to_string())
    }
}

/// A block device's number, as `io.max` and `io.stat` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId {
    /// The driver's number.
    pub major: u32,
    /// The device's number within the driver.
    pub minor: u32,
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.major, self.minor))
    }
}

impl FromStr for DeviceId {
    type Err = NameError;

    /// Reads `MAJOR:MINOR`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.trim().split_once(':');
        let parsed = numbers.and_then(|(major, minor)| {
            Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
        });
        parsed.ok_or_else(|| NameError::Device { text: text.to_owned() })
    }
}

/// A component's name: 1 to 63 characters of `a-z 0-9 _ -`, starting with a letter or digit.
///
/// The name becomes part of a unit's and a cgroup's name, so it holds nothing that either would escape. Its clones share its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ComponentName(Arc<str>);

impl ComponentName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ComponentName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ComponentName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let first_ok = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if !first_ok || text.len() > 63 || !text.chars().all(allowed) {
            return Err(NameError::Component { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl From<ComponentName> for String {
    fn from(name: ComponentName) -> Self {
        name.0.to_string()
    }
}

impl TryFrom<String> for ComponentName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Why a text is not the name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not a component's name.
    #[error(
        "\"{text}\" cannot name a component; use 1 to 63 of a-z, 0-9, \"_\" and \"-\", starting with a letter or digit"
    )]
    Component {
        /// The text as written.
        text: String,
    },
    /// Not a device number.
    #[error("\"{text}\" is not a device number; write MAJOR:MINOR")]
    Device {
        /// The text as written.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_know_their_relatives() {
        let path = CgroupPath::new("/system.slice/nginx.service/");
        assert_eq!(path.name(), "nginx.service");
        assert_eq!(path.parent(), Some(CgroupPath::new("system.slice")));
        assert_eq!([path.above(), CgroupPath::new("a").above()], ["system.slice", ""]);
        assert_eq!(CgroupPath::new("a").parent(), Some(CgroupPath::root()));
        assert_eq!(CgroupPath::root().parent(), None);
        let above: Vec<String> = path.ancestors().map(|group| group.to_string()).collect();
        assert_eq!(above, ["system.slice", "/"]);
        assert!(CgroupPath::new("system.slice").contains(&path));
        assert!(!CgroupPath::new("system.slice/ng").contains(&path));
        assert!(CgroupPath::root().contains(&path));
        assert_eq!(CgroupPath::root().child("a").child("b"), CgroupPath::new("a/b"));
    }

    #[test]
    fn component_names_are_strict() {
        for good in ["web", "a", "arbitrage_engine", "redis-feature-store", "0x"] {
            assert!(good.parse::<ComponentName>().is_ok(), "{good}");
        }
        for bad in ["", "Web", "a/b", "../x", "-a", "a.b", "a b", "é"] {
            assert!(bad.parse::<ComponentName>().is_err(), "{bad}");
        }
        assert!("a".repeat(64).parse::<ComponentName>().is_err());
    }
}
