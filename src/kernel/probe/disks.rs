//! Which whole disks there are, and which I/O knobs do anything on them.
//!
//! `io.weight` is accepted everywhere and does nothing unless BFQ or io.cost is active on the disk
//! (`Documentation/admin-guide/cgroup-v2.rst`, "IO"). Must not change a scheduler.

use super::read::{Reader, folders};
use crate::model::IoWeightBackend;
use crate::units::DeviceId;
use std::collections::BTreeSet;
use std::path::Path;

/// Devices without a medium of their own, whose I/O is memory, or whose medium a person changes.
const NO_DISKS: [&str; 5] = ["loop", "ram", "zram", "fd", "sr"];

/// A whole disk that takes limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskProbe {
    /// Its kernel name, such as `nvme0n1`.
    pub name: String,
    /// Its number, as `io.max` wants it.
    pub device: DeviceId,
    /// The scheduler in use; none for devices without a queue.
    pub scheduler: Option<String>,
    /// Whether BFQ is among the schedulers that are loaded.
    pub offers_bfq: bool,
    /// What makes weights work on it.
    pub weights: IoWeightBackend,
    /// Names of the devices that lie on it, such as `dm-0`.
    pub holders: Vec<String>,
}

/// Whole disks, without loop devices and without devices that are stacked on others: limits go to the disk below.
pub(super) fn probe(reader: &mut Reader<'_>, io_cost: &BTreeSet<DeviceId>) -> Vec<DiskProbe> {
    let root = reader.roots.sys.join("block");
    let devices = folders(reader, &root);
    devices
        .into_iter()
        .filter(|(name, _)| !is_no_disk(name))
        .filter_map(|(name, path)| disk(reader, io_cost, name, &path))
        .collect()
}

fn is_no_disk(name: &str) -> bool {
    NO_DISKS.iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn disk(
    reader: &mut Reader<'_>,
    io_cost: &BTreeSet<DeviceId>,
    name: String,
    path: &Path,
) -> Option<DiskProbe> {
    if !reader.names(&path.join("slaves")).is_empty() {
        return None;
    }
    let device: DeviceId = reader.line(&path.join("dev"))?.parse().ok()?;
    let queue = reader.line(&path.join("queue/scheduler")).unwrap_or_default();
    let active =
        queue.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    let weights = if io_cost.contains(&device) {
        IoWeightBackend::IoCost
    } else if active == Some("bfq") {
        IoWeightBackend::Bfq
    } else {
        IoWeightBackend::None
    };
    Some(DiskProbe {
        device,
        scheduler: active.map(str::to_owned),
        offers_bfq: queue.split_whitespace().any(|word| word.trim_matches(['[', ']']) == "bfq"),
        weights,
        holders: reader.names(&path.join("holders")),
        name,
    })
}

/// Disks on which io.cost is on: lines such as `254:0 enable=1 ctrl=auto …` in the root's `io.cost.qos` (Linux 5.4).
pub(super) fn io_cost(reader: &mut Reader<'_>, v2: Option<&Path>) -> BTreeSet<DeviceId> {
    let Some(root) = v2 else {
        return BTreeSet::new();
    };
    let text = reader.text(&root.join("io.cost.qos")).unwrap_or_default();
    text.lines()
        .filter(|line| line.split_whitespace().any(|word| word == "enable=1"))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_without_a_medium_are_no_disks() {
        for name in ["loop0", "ram1", "zram0", "fd0", "sr0"] {
            assert!(is_no_disk(name), "{name}");
        }
        for name in ["sda", "nvme0n1", "vda", "mmcblk0", "ramdisk"] {
            assert!(!is_no_disk(name), "{name}");
        }
    }
}
