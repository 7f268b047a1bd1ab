//! CPU lists: a group that had none gets that back.

use crate::kernel::{Group, WriteError, topology, write};
use crate::model::Knob;
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
