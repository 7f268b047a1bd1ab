//! The drop-in files in which systemd keeps runtime properties: one file per property in `/run/systemd/system.control/UNIT.d/`.
//!
//! Setting a property writes its file, and the file outlives the value: a unit that starts again gets it. So giving a property back means
//! removing its file as well, but only if provost's call was the one that made it.

use super::properties::dropin_stems;
use crate::model::KnobKind;
use std::path::{Path, PathBuf};

/// Where systemd keeps them, below the root folder.
const CONTROL: &str = "run/systemd/system.control";

/// The files that exist for these knobs of a unit.
#[must_use]
pub fn runtime_dropins(root: &Path, unit: &str, kinds: &[KnobKind]) -> Vec<PathBuf> {
    let folder = root.join(CONTROL).join(format!("{unit}.d"));
    let stems = kinds.iter().flat_map(|kind| dropin_stems(*kind));
    let mut files: Vec<PathBuf> = stems
        .map(|stem| folder.join(format!("50-{stem}.conf")))
        .filter(|file| file.exists())
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// Removes exactly these files, and their folders where nothing else is left.
pub fn remove(files: &[PathBuf]) {
    for file in files {
        // A file that is gone already is what was wanted.
        let _gone = std::fs::remove_file(file);
    }
    for folder in files.iter().filter_map(|file| file.parent()) {
        // Fails while anybody else's file is in it, as it should.
        let _empty = std::fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_knobs_own_files_are_found_and_removed() {
        let root = std::env::temp_dir().join(format!("provost-dropins-{}", std::process::id()));
        let folder = root.join(CONTROL).join("web.service.d");
        std::fs::create_dir_all(&folder).unwrap();
        for stem in ["CPUQuota", "CPUQuotaPeriodSec", "MemoryMax"] {
            std::fs::write(folder.join(format!("50-{stem}.conf")), "").unwrap();
        }
        let found = runtime_dropins(&root, "web.service", &[KnobKind::CpuMax, KnobKind::CpuWeight]);
        assert_eq!(found.len(), 2);
        remove(&found);
        assert!(folder.join("50-MemoryMax.conf").exists());
        remove(&runtime_dropins(&root, "web.service", &[KnobKind::MemoryMax]));
        assert!(!folder.exists());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
