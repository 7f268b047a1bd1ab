//! Which file systems have a store that can fill up, and how full each is.
//!
//! Asking one may take for ever: a network file system whose server is gone answers nobody. Only threads that may hang ask.
//!
//! Source: proc(5), `mountinfo`; statvfs(3).

use super::probe::mounts::{Mount, has, parse_line};
use crate::model::{FileSystem, Room};
use crate::units::{Bytes, DeviceId, Ppm};
use nix::errno::Errno;
use nix::sys::stat::{major, minor, stat};
use nix::sys::statvfs::statvfs;
use std::collections::BTreeMap;
use std::path::Path;

/// Kinds whose store is elsewhere, or in a pool, and whose source is no device node.
const WITHOUT_NODE: [&str; 16] = [
    "9p",
    "afs",
    "bcachefs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "zfs",
];

/// A file system that can fill up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Where it is mounted; of several places that of its root, then the shortest.
    pub at: String,
    /// What it is, such as `ext4`.
    pub kind: String,
    /// Its number, where it is on one block device: what is mounted over it has another.
    device: Option<DeviceId>,
}

/// The file systems on block devices and in the network, by mount point, each once and without those that are read-only. A mount that is
/// read-only only here, as a service's sandbox makes it, counts.
#[must_use]
pub fn mounted(proc: &Path) -> Vec<Mounted> {
    let text = std::fs::read_to_string(proc.join("self/mountinfo")).unwrap_or_default();
    let mut stores: BTreeMap<&str, Mount<'_>> = BTreeMap::new();
    for mount in text.lines().filter_map(parse_line).filter(is_store) {
        // btrfs has a number for each subvolume, which do not fill up by themselves.
        let store = if mount.device.starts_with("0:") { mount.source } else { mount.device };
        let better = stores.get(store).is_none_or(|had| rank(&mount) < rank(had));
        if better {
            stores.insert(store, mount);
        }
    }
    let mut found: Vec<Mounted> = stores.into_values().map(taken).collect();
    found.sort_by(|one, other| one.at.cmp(&other.at));
    found
}

fn is_store(mount: &Mount<'_>) -> bool {
    let has_store = mount.source.starts_with("/dev/") || WITHOUT_NODE.contains(&mount.kind);
    has_store && !mount.kind.starts_with("devtmpfs") && !has(mount.super_options, "ro")
}

fn rank<'a>(mount: &'a Mount<'_>) -> (bool, usize, &'a str) {
    (mount.root != "/", mount.at.len(), &mount.at)
}

fn taken(mount: Mount<'_>) -> Mounted {
    let device = mount.device.parse().ok().filter(|device: &DeviceId| device.major != 0);
    Mounted { at: mount.at, kind: mount.kind.to_owned(), device }
}

impl Mounted {
    /// How full it is; none where something else is mounted over it, or it is gone. May take for ever.
    #[must_use]
    pub fn ask(&self) -> Option<FileSystem> {
        let room = match self.is_covered().and_then(|covered| Ok((covered, statvfs(&*self.at)?))) {
            Ok((true, _)) | Err(Errno::ENOENT | Errno::ENOTDIR) => return None,
            Ok((false, told)) => {
                let blocks = (told.blocks(), told.blocks_free(), told.blocks_available());
                let files = (told.files(), told.files_free(), told.files_available());
                Room::Known {
                    size: product(told.blocks(), told.fragment_size()),
                    used: used(blocks),
                    inodes: used(files),
                }
            }
            Err(errno) => Room::Failed { errno: errno as i32 },
        };
        Some(self.with(room))
    }

    /// It, with the room that is known of it.
    #[must_use]
    pub fn with(&self, room: Room) -> FileSystem {
        FileSystem { at: self.at.clone(), kind: self.kind.clone(), room }
    }

    fn is_covered(&self) -> Result<bool, Errno> {
        let Some(device) = self.device else { return Ok(false) };
        let found = stat(&*self.at)?.st_dev;
        Ok((major(found), minor(found)) != (device.major.into(), device.minor.into()))
    }
}

/// The kernel's numbers are narrower on some machines.
fn product(blocks: impl Into<u64>, size: impl Into<u64>) -> Bytes {
    Bytes(blocks.into().saturating_mul(size.into()))
}

/// What is taken of what others than root can have: what is kept for root is in neither.
fn used<T: Into<u64>>((all, free, available): (T, T, T)) -> Option<Ppm> {
    let taken = all.into().saturating_sub(free.into());
    Ppm::of(taken, taken.saturating_add(available.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:21 / /proc rw - proc proc rw
23 21 0:5 / /dev rw - devtmpfs udev rw
24 21 0:30 /@ /pool rw - btrfs /dev/sdb rw,subvol=/@
25 21 0:31 /@home /home ro,nosuid - btrfs /dev/sdb rw,subvol=/@home
26 21 7:0 / /snap/x ro - squashfs /dev/loop0 ro
27 21 8:1 /var/tmp/private /tmp rw - ext4 /dev/sda1 rw
28 21 0:40 / /mnt/far\\040away rw - nfs4 server:/export rw,hard
29 21 0:41 / /run rw - tmpfs tmpfs rw
30 21 8:2 / /srv ro,relatime - xfs /dev/sda2 rw
31 21 0:42 / /merged rw - overlay overlay rw
32 21 0:43 / /far rw - autofs systemd-1 rw
";

    #[test]
    fn each_store_that_can_fill_up_is_found_once() {
        let root = std::env::temp_dir().join(format!("provost-mounted-{}", std::process::id()));
        std::fs::create_dir_all(root.join("self")).unwrap();
        std::fs::write(root.join("self/mountinfo"), TABLE).unwrap();
        let found = mounted(&root);
        let found: Vec<(&str, &str)> =
            found.iter().map(|one| (one.at.as_str(), one.kind.as_str())).collect();
        assert_eq!(
            found,
            [("/", "ext4"), ("/home", "btrfs"), ("/mnt/far away", "nfs4"), ("/srv", "xfs")]
        );
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn what_is_kept_for_root_is_not_free() {
        assert_eq!(used((100_u64, 20, 10)), Some(Ppm::new(888_888)), "80 of 90");
        assert_eq!(used((0_u64, 0, 0)), None, "inodes of btrfs");
    }

    #[test]
    fn what_is_mounted_over_is_left_out_and_what_is_gone_too() {
        let here = Mounted { at: "/".to_owned(), kind: "any".to_owned(), device: None };
        assert!(matches!(here.ask().unwrap().room, Room::Known { used: Some(_), .. }));
        let covered = Mounted { device: Some(DeviceId { major: 8, minor: 4095 }), ..here.clone() };
        assert_eq!(covered.ask(), None);
        assert_eq!(Mounted { at: "/nonexistent".to_owned(), ..here }.ask(), None);
    }
}
