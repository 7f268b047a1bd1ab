//! Which cgroup hierarchies are mounted, where, and with which options (`Documentation/admin-guide/cgroup-v2.rst`, "Mounting").
//!
//! Must not mount anything.

use super::read::Reader;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where every distribution mounts the tree.
const STANDARD: &str = "/sys/fs/cgroup";

/// The kernel's names of controllers that a v1 hierarchy may hold; other options of such a mount are not controllers.
const V1_CONTROLLERS: [&str; 13] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

/// The mounted hierarchies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchy {
    /// The cgroup v2 mount.
    pub v2: Option<V2Mount>,
    /// Controllers that a v1 hierarchy holds, each with its mount point. They are missing from v2.
    pub v1: BTreeMap<String, String>,
}

/// The cgroup v2 mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V2Mount {
    /// The mount point as the host sees it.
    pub at: String,
    /// The same below the roots.
    pub dir: PathBuf,
    /// The group that the mount shows as its root; not `/` inside containers.
    pub root: String,
    /// `memory_recursiveprot`: protection of a group counts for its whole subtree (Linux 5.7).
    pub recursive_protection: bool,
    /// `favordynmods`: moving a process does not wait for a grace period (Linux 6.0).
    pub favor_dynmods: bool,
    /// Whether the mount is read-only.
    pub read_only: bool,
}

/// What the host has, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HierarchyKind {
    /// v2 alone.
    Pure,
    /// v2 beside v1 controllers.
    Hybrid,
    /// v1 alone.
    Legacy,
    /// No cgroup mount at all.
    None,
}

impl HierarchyKind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pure => "v2",
            Self::Hybrid => "hybrid",
            Self::Legacy => "v1",
            Self::None => "none",
        }
    }
}

impl Hierarchy {
    /// Pure, hybrid, legacy or none.
    #[must_use]
    pub fn kind(&self) -> HierarchyKind {
        match (self.v2.is_some(), self.v1.is_empty()) {
            (true, true) => HierarchyKind::Pure,
            (true, false) => HierarchyKind::Hybrid,
            (false, false) => HierarchyKind::Legacy,
            (false, true) => HierarchyKind::None,
        }
    }
}

/// One line of `/proc/self/mountinfo` (proc(5)).
pub(in crate::kernel) struct Mount<'a> {
    pub(in crate::kernel) device: &'a str,
    pub(in crate::kernel) root: &'a str,
    pub(in crate::kernel) at: String,
    options: &'a str,
    pub(in crate::kernel) kind: &'a str,
    pub(in crate::kernel) source: &'a str,
    pub(in crate::kernel) super_options: &'a str,
}

pub(super) fn probe(reader: &mut Reader<'_>) -> Hierarchy {
    let file = reader.roots.proc.join("self/mountinfo");
    let text = reader.text(&file).unwrap_or_default();
    let mounts: Vec<Mount<'_>> = text.lines().filter_map(parse_line).collect();
    let mut v1 = BTreeMap::new();
    for mount in mounts.iter().filter(|mount| mount.kind == "cgroup") {
        for controller in mount.super_options.split(',') {
            if V1_CONTROLLERS.contains(&controller) {
                v1.entry(controller.to_owned()).or_insert_with(|| mount.at.clone());
            }
        }
    }
    let cgroup = &reader.roots.cgroup;
    let v2 = mounts
        .iter()
        .filter(|mount| mount.kind == "cgroup2")
        .min_by_key(|mount| (standing(&mount.at, cgroup), mount.at.len()))
        .map(|mount| V2Mount {
            dir: below_root(&mount.at, cgroup),
            at: mount.at.clone(),
            root: mount.root.to_owned(),
            recursive_protection: has(mount.super_options, "memory_recursiveprot"),
            favor_dynmods: has(mount.super_options, "favordynmods"),
            read_only: has(mount.options, "ro") || has(mount.super_options, "ro"),
        });
    Hierarchy { v2, v1 }
}

pub(in crate::kernel) fn has(options: &str, option: &str) -> bool {
    options.split(',').any(|one| one == option)
}

/// The mount that the root names comes first, then the standard places, then any other (a container's, a test's).
fn standing(at: &str, cgroup: &Path) -> u8 {
    if Path::new(at) == cgroup {
        0
    } else if at == STANDARD {
        1
    } else if at.starts_with(STANDARD) {
        2
    } else {
        3
    }
}

/// The mount point below the cgroup root; elsewhere it is taken as it is.
fn below_root(at: &str, cgroup: &Path) -> PathBuf {
    let path = Path::new(at);
    if path.starts_with(cgroup) {
        return path.to_owned();
    }
    path.strip_prefix(STANDARD).map_or_else(|_| path.to_owned(), |rest| cgroup.join(rest))
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
pub(in crate::kernel) fn parse_line(line: &str) -> Option<Mount<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (device, root) = (left.next()?, left.next()?);
    let (at, options) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, source) = (right.next()?, right.next()?);
    Some(Mount {
        device,
        root,
        at: unescape(at),
        options,
        kind,
        source,
        super_options: right.next().unwrap_or_default(),
    })
}

/// White space and backslashes in paths are written as three octal digits.
fn unescape(path: &str) -> String {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\');
        let code = digits
            .filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, tail.get(3..)) {
            (Some(code), Some(after)) => {
                plain.push(code);
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Any text as the mount table: a mount point that is escaped as the kernel does it reads as itself.
#[cfg(any(test, fuzzing))]
pub(super) fn check(text: &str) {
    let escaped = |path: &str| -> String {
        let escape = |c: char| {
            if " \t\n\\".contains(c) { format!("\\{:03o}", u32::from(c)) } else { c.to_string() }
        };
        path.chars().map(escape).collect()
    };
    assert_eq!(unescape(&escaped(text)), text);
    for mount in text.lines().filter_map(parse_line) {
        let Mount { root, at, options, kind, super_options, .. } = mount;
        let line = format!("1 1 0:1 {root} {} {options} - {kind} x {super_options}", escaped(&at));
        let again = parse_line(&line).map(|mount| mount.at);
        assert_eq!(again.as_deref(), Some(at.as_str()), "{line:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_lines_are_read_with_escapes_and_optional_fields() {
        let line = "31 24 0:27 /../.. /mnt/a\\040b rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate";
        let mount = parse_line(line).unwrap();
        assert_eq!((mount.root, mount.at.as_str(), mount.kind), ("/../..", "/mnt/a b", "cgroup2"));
        assert!(has(mount.super_options, "nsdelegate") && !has(mount.super_options, "ro"));
        assert!(parse_line("31 24 0:27 / /mnt rw").is_none());
        assert_eq!(unescape("/a\\+12\\400\\04"), "/a\\+12\\400\\04", "no octal bytes");
    }

    #[test]
    fn the_standard_mount_wins_over_a_container_s() {
        let root = Path::new("/fixture/cgroup");
        assert!(
            standing("/sys/fs/cgroup/unified", root) < standing("/var/lib/x/sys/fs/cgroup", root)
        );
        assert_eq!(
            below_root("/sys/fs/cgroup/unified", root),
            Path::new("/fixture/cgroup/unified")
        );
        assert_eq!(below_root("/cgroup2", root), Path::new("/cgroup2"));
        assert_eq!(below_root("/fixture/cgroup", root), Path::new("/fixture/cgroup"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in "(?s).{0,120}") {
            let _mount = parse_line(&line);
            let _path = unescape(&line);
        }
    }
}
