//! The files that systemd writes when a property is set for the run time, and their removal when limits are given back.
//!
//! A property that is unset stays as a file with an empty value and hides what the unit's own file says; only without the
//! file, and after a reload, the unit's own value returns. Nothing here reloads, and files that systemd did not name are
//! never touched. The same file holds what an administrator set with `systemctl set-property --runtime`: whoever removes
//! must have recorded which files were there before.
//!
//! The names are the same in systemd 252 and 257.

use crate::model::KnobKind;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// For units with files, and for transient ones, whose drop-ins systemd always keeps beside the unit that it made up.
const FOLDERS: [&str; 2] = ["run/systemd/system.control", "run/systemd/transient"];

/// A drop-in that could not be removed.
#[derive(Debug, Error)]
pub enum DropInError {
    /// Not a name that systemd gives to a property of ours.
    #[error("cannot remove {}: it is no drop-in of a property that provost sets; remove it by hand if it is unwanted", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot remove {}: {source}; provost needs write access to /run/systemd (see ReadWritePaths= in its unit)", path.display())]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file names of a knob's properties: not always the property's name, but the setting's in the unit file.
const fn file_names(kind: KnobKind) -> &'static [&'static str] {
    match kind {
        KnobKind::CpuWeight => &["50-CPUWeight.conf"],
        KnobKind::CpuMax => &["50-CPUQuota.conf", "50-CPUQuotaPeriodSec.conf"],
        KnobKind::CpusetCpus => &["50-AllowedCPUs.conf"],
        KnobKind::MemoryMin => &["50-MemoryMin.conf"],
        KnobKind::MemoryLow => &["50-MemoryLow.conf"],
        KnobKind::MemoryHigh => &["50-MemoryHigh.conf"],
        KnobKind::MemoryMax => &["50-MemoryMax.conf"],
        KnobKind::MemorySwapMax => &["50-MemorySwapMax.conf"],
        KnobKind::IoMax(_) => &[
            "50-IOReadBandwidthMax.conf",
            "50-IOWriteBandwidthMax.conf",
            "50-IOReadIOPSMax.conf",
            "50-IOWriteIOPSMax.conf",
        ],
        KnobKind::IoWeight => &["50-IOWeight.conf"],
        KnobKind::PidsMax => &["50-TasksMax.conf"],
        KnobKind::CpuMaxBurst
        | KnobKind::CpusetPartition
        | KnobKind::CpusetExclusive
        | KnobKind::MemoryOomGroup
        | KnobKind::IoBfqWeight
        | KnobKind::CgroupFreeze => &[],
    }
}

/// The run-time drop-ins of `kinds` that exist below `root` (`/` on a host), each once, in the order of `kinds`.
///
/// `unit` is the unit's own name, not an alias. All devices of `io.max` share their files.
#[must_use]
pub fn runtime_dropins(root: &Path, unit: &str, kinds: &[KnobKind]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if unit.is_empty() || unit.contains('/') {
        return found;
    }
    for name in kinds.iter().flat_map(|kind| file_names(*kind)) {
        for folder in FOLDERS {
            let path = root.join(folder).join(format!("{unit}.d")).join(name);
            if !found.contains(&path) && path.symlink_metadata().is_ok() {
                found.push(path);
            }
        }
    }
    found
}

/// Removes exactly these drop-ins, then their folders where nothing else is left. What is gone already is no fault.
///
/// # Errors
/// [`DropInError`] for the first file that cannot be removed; the ones before it are gone, and no folder was removed.
pub fn remove(paths: &[PathBuf]) -> Result<(), DropInError> {
    if let Some(path) = paths.iter().find(|path| !is_ours(path)) {
        return Err(DropInError::NotOurs { path: path.clone() });
    }
    for path in paths {
        unless_gone(path, fs::remove_file(path))?;
    }
    for folder in paths.iter().filter_map(|path| path.parent()) {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            other => unless_gone(folder, other)?,
        }
    }
    Ok(())
}

fn unless_gone(path: &Path, removed: io::Result<()>) -> Result<(), DropInError> {
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DropInError::Refused { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether the path ends as [`runtime_dropins`] makes it.
fn is_ours(path: &Path) -> bool {
    let any_device = crate::units::DeviceId { major: 0, minor: 0 };
    let named = KnobKind::SINGLE
        .into_iter()
        .chain([KnobKind::IoMax(any_device)])
        .flat_map(file_names)
        .any(|name| path.file_name().is_some_and(|have| have == *name));
    let folder = path.parent();
    let in_unit = folder.and_then(Path::extension).is_some_and(|extension| extension == "d");
    let below = folder
        .and_then(Path::parent)
        .is_some_and(|above| FOLDERS.iter().any(|known| above.ends_with(known)));
    named && in_unit && below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::DeviceId;

    /// A root of its own per test, as tests run at the same time.
    fn root(test: &str) -> PathBuf {
        let root =
            std::env::temp_dir().join(format!("provost-dropins-{test}-{}", std::process::id()));
        fs::create_dir_all(root.join("run/systemd/system.control/web.service.d")).unwrap();
        fs::create_dir_all(root.join("run/systemd/transient/box.scope.d")).unwrap();
        root
    }

    fn put(root: &Path, path: &str) -> PathBuf {
        let path = root.join(path);
        fs::write(&path, "[Service]\n").unwrap();
        path
    }

    #[test]
    fn finds_what_exists_and_removes_only_that() {
        let root = root("finds");
        let quota = put(&root, "run/systemd/system.control/web.service.d/50-CPUQuota.conf");
        let high = put(&root, "run/systemd/system.control/web.service.d/50-MemoryHigh.conf");
        let scope = put(&root, "run/systemd/transient/box.scope.d/50-TasksMax.conf");
        let kinds = [KnobKind::CpuMax, KnobKind::CpuMax, KnobKind::PidsMax];
        let found = runtime_dropins(&root, "web.service", &kinds);
        assert_eq!(found, std::slice::from_ref(&quota));
        let of_scope = runtime_dropins(&root, "box.scope", &kinds);
        assert_eq!(of_scope, std::slice::from_ref(&scope));
        remove(&found).unwrap();
        assert!(!quota.exists() && high.exists());
        remove(&[high.clone(), scope.clone()]).unwrap();
        assert!(!high.parent().unwrap().exists() && !scope.parent().unwrap().exists());
        remove(&[high]).unwrap();
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn never_removes_other_files() {
        let root = root("others");
        let ours = put(&root, "run/systemd/system.control/web.service.d/50-CPUWeight.conf");
        let other = put(&root, "run/systemd/system.control/web.service.d/10-admin.conf");
        let error = remove(&[ours.clone(), other.clone()]).unwrap_err();
        assert!(matches!(error, DropInError::NotOurs { path } if path == other));
        let elsewhere = PathBuf::from("/etc/systemd/system/web.service.d/50-CPUWeight.conf");
        assert!(matches!(remove(&[elsewhere]), Err(DropInError::NotOurs { .. })));
        assert!(ours.exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_unit_name_is_no_path() {
        let root = root("name");
        put(&root, "run/systemd/system.control/web.service.d/50-CPUWeight.conf");
        let name = "../system.control/web.service";
        assert!(runtime_dropins(&root, name, &[KnobKind::CpuWeight]).is_empty());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn every_property_has_one_file() {
        let device = KnobKind::IoMax(DeviceId { major: 8, minor: 0 });
        for kind in KnobKind::SINGLE.into_iter().chain([device]) {
            assert_eq!(file_names(kind).len(), super::super::names(kind).len(), "{kind}");
        }
    }
}
