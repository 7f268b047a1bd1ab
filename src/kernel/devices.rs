//! Disks: which ones take I/O limits, and which disk is behind a path.
//!
//! `io.max` goes on whole disks: a partition is refused with ENODEV, and a limit on a device-mapper volume binds only what goes through
//! the volume. So a path is followed through partitions, LVM, dm-crypt and md down to the disks at the bottom.

use crate::model::{Disk, IoWeightBackend};
use crate::units::DeviceId;
use nix::sys::stat::{major, minor, stat};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Deeper than any sane stack of volumes.
const DEEPEST_STACK: usize = 16;

/// Why a path leads to no disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// Nothing is there.
    #[error("{path} cannot be examined: {why}")]
    Missing {
        /// The path.
        path: String,
        /// The kernel's answer.
        why: String,
    },
    /// The file system has no disk of its own.
    #[error(
        "{path} is on no disk (device {device}; tmpfs, overlay or a network file system); name a disk such as /dev/sda"
    )]
    NoDisk {
        /// The path.
        path: String,
        /// Its device number.
        device: DeviceId,
    },
}

/// The whole disks that take limits, by name.
#[must_use]
pub fn disks(sys: &Path, cgroup: &Path) -> Vec<Disk> {
    let Ok(entries) = std::fs::read_dir(sys.join("block")) else {
        return Vec::new();
    };
    let costs = std::fs::read_to_string(cgroup.join("io.cost.qos")).unwrap_or_default();
    let mut disks: Vec<Disk> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            !["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"]
                .iter()
                .any(|kind| name.starts_with(kind))
        })
        .filter_map(|name| disk(sys, name, &costs))
        .collect();
    disks.sort_by(|a, b| a.name.cmp(&b.name));
    disks
}

fn disk(sys: &Path, name: String, costs: &str) -> Option<Disk> {
    let folder = sys.join("block").join(&name);
    let device: DeviceId = std::fs::read_to_string(folder.join("dev")).ok()?.parse().ok()?;
    let scheduler = std::fs::read_to_string(folder.join("queue/scheduler")).unwrap_or_default();
    let prefix = format!("{device} ");
    let has_cost = costs.lines().any(|line| line.starts_with(&prefix) && line.contains("enable=1"));
    let weights = if scheduler.contains("[bfq]") {
        IoWeightBackend::Bfq
    } else if has_cost {
        IoWeightBackend::IoCost
    } else {
        IoWeightBackend::None
    };
    Some(Disk { device, name, weights })
}

/// The whole disks behind a device node, a mount point or any file.
///
/// # Errors
/// [`DeviceError`] when nothing is there or the file system has no disk.
pub fn behind(sys: &Path, path: &Path) -> Result<Vec<DeviceId>, DeviceError> {
    let shown = || path.display().to_string();
    let found = stat(path)
        .map_err(|errno| DeviceError::Missing { path: shown(), why: errno.desc().to_owned() })?;
    let is_node = found.st_mode & libc::S_IFMT == libc::S_IFBLK;
    let number = if is_node { found.st_rdev } else { found.st_dev };
    let device = device_id(number);
    let bottom = bottom(sys, device);
    if !bottom.is_empty() {
        return Ok(bottom);
    }
    // btrfs and others give every subvolume a number of its own: the mount table knows the device node.
    if !is_node && let Some(node) = source_of(path) {
        return behind_node(sys, &node).ok_or(DeviceError::NoDisk { path: shown(), device });
    }
    Err(DeviceError::NoDisk { path: shown(), device })
}

fn behind_node(sys: &Path, node: &Path) -> Option<Vec<DeviceId>> {
    let found = stat(node).ok()?;
    let disks = bottom(sys, device_id(found.st_rdev));
    (!disks.is_empty()).then_some(disks)
}

fn device_id(number: libc::dev_t) -> DeviceId {
    let part = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    DeviceId { major: part(major(number)), minor: part(minor(number)) }
}

/// The whole disks at the bottom of a stack of volumes; none when sysfs does not know the device.
#[must_use]
pub fn bottom(sys: &Path, device: DeviceId) -> Vec<DeviceId> {
    let mut bottom = BTreeSet::new();
    let mut open = vec![device];
    for _ in 0..DEEPEST_STACK {
        let mut next = Vec::new();
        for device in open {
            let folder = sys.join("dev/block").join(device.to_string());
            let Ok(folder) = std::fs::canonicalize(folder) else {
                continue;
            };
            if folder.join("partition").exists() {
                next.extend(folder.parent().and_then(number_in));
                continue;
            }
            let slaves = slaves(&folder);
            if slaves.is_empty() {
                bottom.insert(device);
            }
            next.extend(slaves);
        }
        open = next;
    }
    bottom.into_iter().collect()
}

fn slaves(folder: &Path) -> Vec<DeviceId> {
    let Ok(entries) = std::fs::read_dir(folder.join("slaves")) else {
        return Vec::new();
    };
    entries.filter_map(|entry| number_in(&entry.ok()?.path())).collect()
}

fn number_in(folder: &Path) -> Option<DeviceId> {
    std::fs::read_to_string(folder.join("dev")).ok()?.parse().ok()
}

/// The device node that is mounted where `path` lies.
fn source_of(path: &Path) -> Option<PathBuf> {
    let path = std::fs::canonicalize(path).ok()?;
    let table = procfs::process::Process::myself().ok()?.mountinfo().ok()?;
    let covering = table.into_iter().filter(|mount| path.starts_with(&mount.mount_point));
    let nearest = covering.max_by_key(|mount| mount.mount_point.as_os_str().len())?;
    nearest.mount_source.filter(|source| source.starts_with("/dev/")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// sda (8:0) with a partition (8:1), an LVM volume (253:0) on it, and a dm-crypt volume (253:1) on that.
    fn sysfs() -> PathBuf {
        let sys = std::env::temp_dir().join(format!("provost-devices-{}", std::process::id()));
        let _old = std::fs::remove_dir_all(&sys);
        let make = |path: &str, dev: &str| {
            std::fs::create_dir_all(sys.join(path).join("slaves")).unwrap();
            std::fs::write(sys.join(path).join("dev"), format!("{dev}\n")).unwrap();
            std::fs::create_dir_all(sys.join("dev/block")).unwrap();
            symlink(sys.join(path), sys.join("dev/block").join(dev)).unwrap();
        };
        make("devices/sda", "8:0");
        make("devices/sda/sda1", "8:1");
        make("devices/dm-0", "253:0");
        make("devices/dm-1", "253:1");
        std::fs::write(sys.join("devices/sda/sda1/partition"), "1\n").unwrap();
        symlink(sys.join("devices/sda/sda1"), sys.join("devices/dm-0/slaves/sda1")).unwrap();
        symlink(sys.join("devices/dm-0"), sys.join("devices/dm-1/slaves/dm-0")).unwrap();
        std::fs::create_dir_all(sys.join("devices/sda/queue")).unwrap();
        std::fs::write(sys.join("devices/sda/queue/scheduler"), "none mq-deadline [bfq]\n")
            .unwrap();
        std::fs::create_dir_all(sys.join("block")).unwrap();
        symlink(sys.join("devices/sda"), sys.join("block/sda")).unwrap();
        symlink(sys.join("devices/dm-0"), sys.join("block/dm-0")).unwrap();
        sys
    }

    #[test]
    fn stacks_are_followed_to_the_whole_disk() {
        let sys = sysfs();
        let sda = DeviceId { major: 8, minor: 0 };
        for (major, minor) in [(8, 0), (8, 1), (253, 0), (253, 1)] {
            assert_eq!(bottom(&sys, DeviceId { major, minor }), [sda], "{major}:{minor}");
        }
        assert!(bottom(&sys, DeviceId { major: 0, minor: 30 }).is_empty());
        let disks = disks(&sys, &sys);
        assert_eq!(disks.len(), 1);
        assert_eq!((disks[0].device, disks[0].weights), (sda, IoWeightBackend::Bfq));
        std::fs::remove_dir_all(&sys).unwrap();
    }

    #[test]
    fn a_path_without_a_disk_is_said_to_be_that() {
        let error = behind(Path::new("/sys"), Path::new("/proc/self")).unwrap_err();
        assert!(matches!(error, DeviceError::NoDisk { .. }), "{error}");
        let error = behind(Path::new("/sys"), Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}
