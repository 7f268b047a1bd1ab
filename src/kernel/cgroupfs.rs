//! The mounted cgroup v2 tree behind one held root: every group is opened beneath it, through no symbolic link and no other mount.
//!
//! Source: `openat2(2)`, since Linux 5.6; `Documentation/admin-guide/cgroup-v2.rst`.

use super::error::ReadError;
use super::group::Group;
use crate::units::{CgroupId, CgroupPath};
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};
use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Deeper or more than this and the walk stops: nobody builds such a tree on purpose.
const DEEPEST: usize = 64;
const MOST_GROUPS: usize = 20_000;

/// Opened to be named, not to be listed.
const PATH_ONLY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY);

/// A folder without folders in it: kernfs counts two and one for each (`kernfs_refresh_inode`), so that a leaf, which holds some sixty
/// files, need not be listed. File systems that do not count answer one.
const LINKS_OF_A_LEAF: u64 = 2;

/// Where the v2 hierarchy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hierarchy {
    /// v2 alone, at this folder.
    Unified(PathBuf),
    /// v1 controllers, with v2 beside them at this folder: only what v1 does not hold is available here.
    Hybrid(PathBuf),
    /// No v2 mount.
    None,
}

impl Hierarchy {
    /// Finds the v2 mount in `mountinfo` (the text of `/proc/self/mountinfo`).
    #[must_use]
    pub fn find(mountinfo: &str) -> Self {
        let mut v2 = None;
        let mut v1 = false;
        for line in mountinfo.lines() {
            let Some((mount, source)) = line.split_once(" - ") else {
                continue;
            };
            let point = mount.split(' ').nth(4).map(PathBuf::from);
            match source.split(' ').next() {
                Some("cgroup2") if v2.is_none() => v2 = point,
                Some("cgroup") => v1 = true,
                _ => {}
            }
        }
        match (v2, v1) {
            (Some(point), false) => Self::Unified(point),
            (Some(point), true) => Self::Hybrid(point),
            (None, _) => Self::None,
        }
    }

    /// The v2 mount of this host.
    #[must_use]
    pub fn of_this_host() -> Self {
        Self::find(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    /// The folder of the v2 mount.
    #[must_use]
    pub const fn mount(&self) -> Option<&PathBuf> {
        match self {
            Self::Unified(point) | Self::Hybrid(point) => Some(point),
            Self::None => None,
        }
    }
}

/// The held root of a cgroup v2 tree.
#[derive(Debug)]
pub struct CgroupFs {
    root: OwnedFd,
    at: PathBuf,
    resolve: ResolveFlag,
}

impl CgroupFs {
    /// Opens the tree at `root` and makes sure that it is cgroup v2.
    ///
    /// # Errors
    /// [`ReadError`] when it cannot be opened or is another file system.
    pub fn open(root: &Path) -> Result<Self, ReadError> {
        let fs = Self::open_unchecked(root)?;
        let kind = fstatfs(&fs.root)
            .map_err(|errno| ReadError::refused("examine", root.to_string_lossy(), errno))?;
        if kind.filesystem_type() != CGROUP2_SUPER_MAGIC {
            let what = "it is not a cgroup v2 file system".to_owned();
            return Err(ReadError::Malformed { path: root.to_string_lossy().into_owned(), what });
        }
        Ok(Self { resolve: fs.resolve | ResolveFlag::RESOLVE_NO_XDEV, ..fs })
    }

    /// Opens any folder as if it were a tree: for fixtures.
    ///
    /// # Errors
    /// [`ReadError`] when it cannot be opened.
    pub fn open_unchecked(root: &Path) -> Result<Self, ReadError> {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
        let opened = openat2(AT_FDCWD, root, how)
            .map_err(|errno| ReadError::refused("open", root.to_string_lossy(), errno))?;
        let resolve = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        Ok(Self { root: opened, at: root.to_owned(), resolve })
    }

    /// The folder it is mounted at.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.at
    }

    /// Opens the group at `path`.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::is_gone`] when there is no such group.
    pub fn group(&self, path: &CgroupPath) -> Result<Group, ReadError> {
        let opened = self.open_beneath(path, PATH_ONLY)?;
        let id = identity(opened.as_fd()).map_err(|errno| self.refused("examine", path, errno))?;
        Ok(Group::new(path.clone(), id, opened))
    }

    /// The names of the groups right below `path`.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::is_gone`] when there is no such group.
    pub fn children(&self, path: &CgroupPath) -> Result<Vec<String>, ReadError> {
        let opened = self.open_beneath(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let failed = |errno| self.refused("list", path, errno);
        let mut dir = Dir::from_fd(opened).map_err(failed)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == Some(Type::Directory) && !name.starts_with('.') {
                names.push(name.into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Every group from the root down, parents before children. Groups that vanish meanwhile are left out.
    ///
    /// # Errors
    /// [`ReadError`] when the root itself cannot be listed.
    pub fn walk(&self) -> Result<Vec<(CgroupPath, CgroupId)>, ReadError> {
        let root = CgroupPath::root();
        let mut found = vec![(root.clone(), self.group(&root)?.id())];
        let mut parents = VecDeque::from([root]);
        while let Some(path) = parents.pop_front() {
            if path.components().count() >= DEEPEST {
                continue;
            }
            let children = match self.stat_children(&path) {
                Ok(children) => children,
                Err(error) if path.is_root() => return Err(error),
                Err(_) => continue,
            };
            for (name, stat) in children {
                let child = path.child(&name);
                if found.len() < MOST_GROUPS {
                    if stat.st_nlink != LINKS_OF_A_LEAF {
                        parents.push_back(child.clone());
                    }
                    found.push((child, CgroupId(stat.st_ino)));
                }
            }
        }
        Ok(found)
    }

    /// The groups right below `path`, by name. None is opened: one call each tells who it is, and that no other file system lies on it.
    fn stat_children(&self, path: &CgroupPath) -> Result<Vec<(String, FileStat)>, ReadError> {
        let names = self.children(path)?;
        let failed = |errno| self.refused("list", path, errno);
        let folder = self.open_beneath(path, PATH_ONLY)?;
        let device = fstat(&folder).map_err(failed)?.st_dev;
        let child = |name: String| {
            let stat = fstatat(&folder, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
            let is_folder =
                SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
            (is_folder && stat.st_dev == device).then_some((name, stat))
        };
        Ok(names.into_iter().filter_map(child).collect())
    }

    fn open_beneath(&self, path: &CgroupPath, flags: OFlag) -> Result<OwnedFd, ReadError> {
        let relative = if path.is_root() { "." } else { path.as_str() };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(Mode::empty())
            .resolve(self.resolve);
        openat2(&self.root, relative, how).map_err(|errno| self.refused("open", path, errno))
    }

    fn refused(&self, op: &'static str, path: &CgroupPath, errno: Errno) -> ReadError {
        ReadError::refused(op, self.at.join(path.as_str()).to_string_lossy(), errno)
    }
}

fn identity(folder: BorrowedFd<'_>) -> Result<CgroupId, Errno> {
    fstat(folder).map(|stat| CgroupId(stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_among_others() {
        let pure = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Hierarchy::find(pure), Hierarchy::Unified("/sys/fs/cgroup".into()));
        let hybrid = "31 30 0:27 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n\
                      32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(Hierarchy::find(hybrid), Hierarchy::Hybrid("/sys/fs/cgroup/unified".into()));
        assert_eq!(Hierarchy::find("broken\n"), Hierarchy::None);
    }

    #[test]
    fn groups_are_opened_beneath_the_root_only() {
        let root = std::env::temp_dir().join(format!("provost-cgroupfs-{}", std::process::id()));
        std::fs::create_dir_all(root.join("tree/a/b")).unwrap();
        std::fs::create_dir_all(root.join("outside")).unwrap();
        let _made = std::os::unix::fs::symlink(root.join("outside"), root.join("tree/link"));
        let fs = CgroupFs::open_unchecked(&root.join("tree")).unwrap();
        assert!(fs.group(&CgroupPath::new("a/b")).is_ok());
        assert!(fs.group(&CgroupPath::new("a/c")).unwrap_err().is_gone());
        for escape in ["../outside", "a/../../outside", "link"] {
            assert!(fs.group(&CgroupPath::new(escape)).is_err(), "{escape}");
        }
        let walked: Vec<String> =
            fs.walk().unwrap().into_iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(walked, ["/", "a", "a/b"]);
        assert!(CgroupFs::open(&root).is_err(), "not a cgroup v2 file system");
        std::fs::remove_dir_all(&root).unwrap();
    }

    /// Every folder below, by listing all of them.
    fn listed(folder: &Path, above: &CgroupPath, found: &mut Vec<CgroupPath>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                let path = above.child(&entry.file_name().to_string_lossy());
                listed(&entry.path(), &path, found);
                found.push(path);
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

        /// The number of links decides which groups are listed; a group has files, which are no links of its own.
        #[test]
        fn a_walk_that_lists_no_leaves_misses_nobody(
            paths in proptest::collection::vec("[ab](/[ab]){0,4}", 0..8),
        ) {
            let root = std::env::temp_dir().join(format!("provost-walk-{}", std::process::id()));
            std::fs::create_dir_all(&root).unwrap();
            for path in &paths {
                std::fs::create_dir_all(root.join(path)).unwrap();
                std::fs::write(root.join(path).join("cgroup.procs"), "").unwrap();
            }
            let walked = CgroupFs::open_unchecked(&root).unwrap().walk().unwrap();
            let mut expected = vec![CgroupPath::root()];
            listed(&root, &CgroupPath::root(), &mut expected);
            std::fs::remove_dir_all(&root).unwrap();
            let mut walked: Vec<CgroupPath> = walked.into_iter().map(|(path, _)| path).collect();
            let position = |path: &CgroupPath| walked.iter().position(|walked| walked == path);
            for path in &walked {
                let parents_first = path.parent().is_none_or(|parent| position(&parent) < position(path));
                proptest::prop_assert!(parents_first, "{path}");
            }
            walked.sort_unstable();
            expected.sort_unstable();
            proptest::prop_assert_eq!(walked, expected);
        }
    }
}
