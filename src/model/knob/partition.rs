//! What a group's CPUs are to everybody else: the words of `cpuset.cpus.partition`.
//!
//! Source: `Documentation/admin-guide/cgroup-v2.rst`, cpuset.cpus.partition. It decides nothing.

use super::Knob;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a group is to those beside it, by the words of the kernel and of the configuration.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Partition {
    /// Its CPUs may be anybody's.
    #[default]
    Member,
    /// Its CPUs are taken from every group that is not below it, and balanced among its own tasks. Since Linux 5.0.
    Root,
    /// That, and no scheduler moves its tasks from one of its CPUs to another. Since Linux 6.1.
    Isolated,
}

/// Whether the kernel grants what stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// It does.
    Valid,
    /// It did not, or does no more: the file says `root invalid (…)`, and the group is as a member until that is mended.
    Invalid,
}

impl Partition {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Member, Self::Root, Self::Isolated];

    /// The kernel's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Root => "root",
            Self::Isolated => "isolated",
        }
    }

    /// What the file says: the word, and where the kernel does not grant it, why. The reason is there since Linux 6.1, and empty before.
    #[must_use]
    pub fn read(text: &str) -> Option<(Self, Option<&str>)> {
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let partition = Self::ALL.into_iter().find(|partition| partition.word() == word)?;
        if rest.is_empty() {
            return Some((partition, None));
        }
        let reason = rest.strip_prefix("invalid")?.trim();
        let bare = reason.strip_prefix('(').and_then(|reason| reason.strip_suffix(')'));
        (partition != Self::Member).then(|| (partition, Some(bare.unwrap_or(reason))))
    }
}

/// The knob's value; the kernel's reason is no part of it.
pub(super) fn knob(text: &str) -> Option<Knob> {
    let (partition, invalid) = Partition::read(text)?;
    let validity = if invalid.is_some() { Validity::Invalid } else { Validity::Valid };
    Some(Knob::CpusetPartition(partition, validity))
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_does_not_grant_comes_with_its_reason() {
        let read = |text| Partition::read(text).unwrap();
        assert_eq!(read("member\n"), (Partition::Member, None));
        assert_eq!(read("root\n"), (Partition::Root, None));
        let reason = "Parent is not a partition root";
        let text = format!("isolated invalid ({reason})\n");
        assert_eq!(read(&text), (Partition::Isolated, Some(reason)));
        assert_eq!(read("root invalid\n"), (Partition::Root, Some("")), "before Linux 6.1");
        for text in ["", "roots", "root valid", "member invalid (why)", "invalid"] {
            assert_eq!(Partition::read(text), None, "{text}");
        }
    }
}
