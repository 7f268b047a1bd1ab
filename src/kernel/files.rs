//! The regular files below a folder: finds them, and removes one that is still what it was.
//!
//! Never leaves the folder nor its file system and follows no link, whoever changes the tree meanwhile: every name is opened beneath a held
//! folder by the kernel's own rules. What is linked elsewhere keeps its content there; what somebody has open takes its space until closed.
//!
//! Must not: choose; run with root's rights where others may write.
//!
//! Source: `openat2(2)`, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and RESOLVE_NO_XDEV, since Linux 5.6; `unlinkat(2)`.

use crate::model::{Moment, Stored};
use crate::units::Bytes;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, SFlag, fstatat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// So many are looked at: the paths of more would not fit into what a hook may use.
const MOST: usize = 100_000;
const DEEPEST: usize = 32;
/// `st_blocks` counts these, whatever the file system's own are.
const BLOCK: u64 = 512;

/// A folder that is held open.
#[derive(Debug)]
pub struct Folder {
    held: OwnedFd,
}

/// A regular file, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Below the folder.
    pub path: PathBuf,
    /// What counts of it.
    pub stored: Stored,
    inode: u64,
}

/// What lies below a folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The files, in no order.
    pub files: Vec<Found>,
    /// Folders that could not be looked into, each with the kernel's answer.
    pub unread: Vec<(PathBuf, Errno)>,
    /// Whether there are more, or deeper ones, than are looked at.
    pub is_cut: bool,
}

/// Why a file was not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRemoved {
    /// It is another file by now, or was changed.
    #[error("it was changed meanwhile")]
    Changed,
    /// The kernel's answer.
    #[error("{}", .0.desc())]
    Refused(Errno),
}

impl Folder {
    /// Opens a folder; no part of its path may be a link.
    ///
    /// # Errors
    /// The kernel's answer: `ELOOP` where a part of the path is a link.
    pub fn open(path: &Path) -> Result<Self, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(AT_FDCWD, path, how).map(|held| Self { held })
    }

    /// Every regular file below whose name `is_meant`.
    #[must_use]
    pub fn files(&self, is_meant: impl Fn(&OsStr) -> bool) -> Listing {
        let mut listing = Listing::default();
        let mut folders = vec![(PathBuf::new(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let mut below = Vec::new();
            if let Err(errno) = self.list(&folder, &is_meant, &mut below, &mut listing) {
                listing.unread.push((folder, errno));
                continue;
            }
            listing.is_cut |= depth >= DEEPEST && !below.is_empty();
            if depth < DEEPEST {
                folders.extend(below.into_iter().map(|folder| (folder, depth + 1)));
            }
        }
        listing
    }

    fn list(
        &self,
        folder: &Path,
        is_meant: impl Fn(&OsStr) -> bool,
        below: &mut Vec<PathBuf>,
        listing: &mut Listing,
    ) -> Result<(), Errno> {
        let mut dir = Dir::from_fd(self.open_beneath(folder)?)?;
        // The stream is used up while names are looked at by the folder itself.
        let at = self.open_beneath(folder)?;
        for entry in dir.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            match entry.file_type() {
                Some(Type::Directory) if name != "." && name != ".." => {
                    below.push(folder.join(name))
                }
                // Some file systems do not say the type.
                Some(Type::File) | None if is_meant(name) => {
                    let Some(found) = found(&at, folder, entry.file_name()) else { continue };
                    if listing.files.len() >= MOST {
                        listing.is_cut = true;
                        return Ok(());
                    }
                    listing.files.push(found);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What is free on its file system for whoever asks; none where that does not say.
    #[must_use]
    pub fn left(&self) -> Option<Bytes> {
        let told = fstatvfs(&self.held).ok()?;
        Some(Bytes(told.blocks_available().saturating_mul(told.fragment_size())))
    }

    /// Removes a file that is still as it was found.
    ///
    /// # Errors
    /// [`NotRemoved`].
    pub fn remove(&self, file: &Found) -> Result<(), NotRemoved> {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        let name = file.path.file_name().ok_or(NotRemoved::Changed)?;
        let at = self.open_beneath(folder).map_err(NotRemoved::Refused)?;
        let stat = fstatat(&at, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(NotRemoved::Refused)?;
        if !is_regular(&stat) || stat.st_ino != file.inode || stored(&stat) != file.stored {
            return Err(NotRemoved::Changed);
        }
        unlinkat(&at, name, UnlinkatFlags::NoRemoveDir).map_err(NotRemoved::Refused)
    }

    fn open_beneath(&self, folder: &Path) -> Result<OwnedFd, Errno> {
        let path = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let resolve = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS
            | ResolveFlag::RESOLVE_NO_XDEV;
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(resolve);
        openat2(&self.held, path, how)
    }
}

/// None for what is no regular file, or gone.
fn found(at: &OwnedFd, folder: &Path, name: &CStr) -> Option<Found> {
    let stat = fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
    let path = folder.join(OsStr::from_bytes(name.to_bytes()));
    is_regular(&stat).then(|| Found { path, stored: stored(&stat), inode: stat.st_ino })
}

fn is_regular(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
}

fn stored(stat: &FileStat) -> Stored {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Stored {
        size: Bytes(count(stat.st_blocks).saturating_mul(BLOCK)),
        changed: Moment(count(stat.st_mtime)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let tree =
                std::env::temp_dir().join(format!("provost-files-{name}-{}", std::process::id()));
            let _old = std::fs::remove_dir_all(&tree);
            std::fs::create_dir_all(tree.join("root/deep/er")).unwrap();
            std::fs::create_dir_all(tree.join("outside")).unwrap();
            for file in ["root/a.log", "root/b.txt", "root/deep/er/c.log", "outside/d.log"] {
                std::fs::write(tree.join(file), "x".repeat(9000)).unwrap();
            }
            Self(tree)
        }

        fn folder(&self) -> Folder {
            Folder::open(&self.0.join("root")).unwrap()
        }

        fn has(&self, path: &str) -> bool {
            self.0.join(path).exists()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    fn logs(folder: &Folder) -> Vec<Found> {
        let is_log = |name: &OsStr| name.as_bytes().ends_with(b".log");
        let mut files = folder.files(is_log).files;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    }

    #[test]
    fn files_are_found_and_removed_below_the_folder_alone() {
        let tree = Tree::new("found");
        symlink(tree.0.join("outside"), tree.0.join("root/link")).unwrap();
        symlink(tree.0.join("outside/d.log"), tree.0.join("root/link.log")).unwrap();
        let folder = tree.folder();
        let files = logs(&folder);
        let paths: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
        assert_eq!(paths, [Path::new("a.log"), Path::new("deep/er/c.log")]);
        assert!(files[0].stored.size >= Bytes(9000), "{files:?}");
        files.iter().for_each(|file| folder.remove(file).unwrap());
        assert!(!tree.has("root/a.log") && !tree.has("root/deep/er/c.log"));
        assert!(tree.has("root/b.txt") && tree.has("outside/d.log"));
    }

    #[test]
    fn a_folder_that_becomes_a_link_leads_nowhere() {
        let tree = Tree::new("swapped");
        std::fs::create_dir_all(tree.0.join("outside/er")).unwrap();
        std::fs::write(tree.0.join("outside/er/c.log"), "not ours").unwrap();
        let folder = tree.folder();
        let files = logs(&folder);
        std::fs::remove_dir_all(tree.0.join("root/deep")).unwrap();
        symlink("../outside", tree.0.join("root/deep")).unwrap();
        assert_eq!(folder.remove(&files[1]), Err(NotRemoved::Refused(Errno::ELOOP)));
        assert!(tree.has("outside/er/c.log"));
        let upwards = Found { path: PathBuf::from("../outside/d.log"), ..files[1].clone() };
        assert_eq!(folder.remove(&upwards), Err(NotRemoved::Refused(Errno::EXDEV)));
    }

    #[test]
    fn what_was_changed_or_replaced_stays() {
        let tree = Tree::new("changed");
        let folder = tree.folder();
        let files = logs(&folder);
        std::fs::write(tree.0.join("root/a.log"), "y".repeat(90_000)).unwrap();
        assert_eq!(folder.remove(&files[0]), Err(NotRemoved::Changed));
        std::fs::remove_file(tree.0.join("root/deep/er/c.log")).unwrap();
        assert_eq!(folder.remove(&files[1]), Err(NotRemoved::Refused(Errno::ENOENT)));
        std::fs::create_dir(tree.0.join("root/deep/er/c.log")).unwrap();
        assert_eq!(folder.remove(&files[1]), Err(NotRemoved::Changed));
    }

    #[test]
    fn a_root_behind_a_link_is_not_opened() {
        let tree = Tree::new("linked");
        symlink(tree.0.join("root"), tree.0.join("other")).unwrap();
        assert_eq!(Folder::open(&tree.0.join("other")).unwrap_err(), Errno::ELOOP);
        assert_eq!(Folder::open(&tree.0.join("nothing")).unwrap_err(), Errno::ENOENT);
    }
}
