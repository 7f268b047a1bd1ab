//! CPU lists and partitions: a group that had no list gets that back, and one that is not granted a partition is a member again.

use crate::kernel::{Group, WriteError, topology, write};
use crate::model::{Knob, KnobKind, Partition, Validity};
use std::path::Path;

/// Whether it lets a group run wherever its parent may.
pub(super) fn is_unset(knob: &Knob) -> bool {
    matches!(knob, Knob::CpusetCpus(cpus) if cpus.is_empty())
}

/// Writes a knob. Up to Linux 6.12 a populated group may not lose its CPU list (ENOSPC): a list of all CPUs that the host can ever have
/// means the same, whatever goes offline or comes back.
///
/// # Errors
/// [`WriteError`] with the kernel's answer.
pub(super) fn write(root: &Path, group: &Group, knob: &Knob) -> Result<(), WriteError> {
    match write::knob(group, knob) {
        Err(error) if is_unset(knob) && error.leaves_no_cpu() => {
            write::knob(group, &Knob::CpusetCpus(topology::possible(&root.join("sys"))))
        }
        answer => answer,
    }
}

/// Why the kernel does not grant a partition that was just asked for, in its own words; it takes the write and tells on reading. The group
/// is then made a member again, which is what it is in effect: it would become a partition by itself when nobody reckons with it.
pub(super) fn ungranted(group: &Group, knob: &Knob) -> Option<String> {
    let Knob::CpusetPartition(asked, _) = knob else { return None };
    let text = group.read(KnobKind::CpusetPartition.file()).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, Some(reason)) = Partition::read(&text)? else { return None };
    let member = Knob::CpusetPartition(Partition::Member, Validity::Valid);
    let left = match write::knob(group, &member) {
        Ok(()) => String::new(),
        Err(error) => format!("; {}", error.advice()),
    };
    let reason = if reason.is_empty() { "it gives no reason" } else { reason };
    Some(format!(
        "the kernel grants no partition \"{asked}\": {reason}; no other component runs on its CPUs, but others may{left}"
    ))
}
