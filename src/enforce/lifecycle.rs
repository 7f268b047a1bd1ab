//! Making and removing groups where no systemd owns the tree: the one file that uses `cgroups-rs`.
//!
//! cgroups-rs enables controllers from the root down and makes the folders, but swallows the errors of the former; so what it did is
//! read back, and what is missing is asked for again through `kernel::write`, which says why it cannot be had.

use crate::kernel::{CgroupFs, Group, ReadError, WriteError, write};
use crate::model::Controller;
use crate::units::CgroupPath;
use cgroups_rs::fs::Cgroup;
use cgroups_rs::fs::hierarchies;
use std::collections::BTreeSet;
use thiserror::Error;

/// Why a group could not be made or removed.
#[derive(Debug, Error)]
pub(super) enum LifecycleError {
    /// This host's v2 tree is not at the one place that cgroups-rs knows.
    #[error(
        "groups can only be made where cgroup v2 alone is mounted at /sys/fs/cgroup; this host has it at {mount}: boot with \
         systemd.unified_cgroup_hierarchy=1, or unmount the v1 controllers"
    )]
    NotUnified {
        /// Where it is.
        mount: String,
    },
    /// The library failed.
    #[error("cannot {op} {path}: {why}")]
    Library {
        /// What was tried.
        op: &'static str,
        /// The group.
        path: CgroupPath,
        /// What the library says.
        why: String,
    },
    /// A group could not be opened.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The kernel refused.
    #[error("{}", .0.advice())]
    Write(WriteError),
}

/// Makes the group and its ancestors, with those of `controllers` that this kernel has available in it.
///
/// # Errors
/// [`LifecycleError`] when a folder or a controller cannot be had.
pub(super) fn make(
    fs: &CgroupFs,
    path: &CgroupPath,
    controllers: &BTreeSet<Controller>,
) -> Result<(), LifecycleError> {
    unified(fs)?;
    // A kernel may lack one. Its knobs then say so when they are written; the others are to be had all the same.
    let available = fs.group(&CgroupPath::root())?.controllers().value().cloned();
    let available = available.unwrap_or_default();
    let controllers: &BTreeSet<Controller> = &(controllers & &available);
    let names: Vec<String> =
        controllers.iter().map(|controller| controller.word().to_owned()).collect();
    let mut above: Vec<CgroupPath> = path.ancestors().collect();
    above.reverse();
    let made =
        Cgroup::new_with_specified_controllers(hierarchies::auto(), path.as_str(), Some(names));
    if let Err(error) = made {
        why_not(fs, &above, path)?;
        let why = error.to_string();
        return Err(LifecycleError::Library { op: "make", path: path.clone(), why });
    }
    for parent in above {
        let group = fs.group(&parent)?;
        let missing = missing(&group, controllers);
        if !missing.is_empty() {
            write::enable(&group, &missing).map_err(LifecycleError::Write)?;
        }
    }
    fs.group(path)?;
    Ok(())
}

/// What the kernel answers to making the group; the library does not say.
fn why_not(fs: &CgroupFs, above: &[CgroupPath], path: &CgroupPath) -> Result<(), LifecycleError> {
    for (parent, child) in above.iter().zip(above.iter().skip(1).chain([path])) {
        let parent = fs.group(parent)?;
        write::make(&parent, child.name()).map_err(LifecycleError::Write)?;
    }
    Ok(())
}

/// Removes the group; one that is gone is fine.
///
/// # Errors
/// [`LifecycleError`] when it still holds processes or groups.
pub(super) fn remove(fs: &CgroupFs, path: &CgroupPath) -> Result<(), LifecycleError> {
    unified(fs)?;
    let Ok(group) = fs.group(path) else {
        return Ok(());
    };
    drop(group);
    // The library does not wait for the last process to leave; what it could not remove is tried again for a second.
    let _swept = Cgroup::load(hierarchies::auto(), path.as_str()).delete();
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let parent = fs.group(&parent)?;
    write::remove(&parent, path.name()).map_err(LifecycleError::Write)
}

fn missing(group: &Group, wanted: &BTreeSet<Controller>) -> BTreeSet<Controller> {
    let has = group.subtree_control().value().cloned().unwrap_or_default();
    wanted.difference(&has).copied().collect()
}

fn unified(fs: &CgroupFs) -> Result<(), LifecycleError> {
    if hierarchies::is_cgroup2_unified_mode() {
        return Ok(());
    }
    Err(LifecycleError::NotUnified { mount: fs.mount().display().to_string() })
}
