//! Bounded reading below the roots: absent is a fact, unreadable is remembered.
//!
//! Must not interpret anything it reads.

use super::Roots;
use crate::model::ReadFault;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// No file read here is longer in practice; `/proc/1/maps` of a large init comes nearest.
const LONGEST: u64 = 4 << 20;

/// No folder read here has more entries, but for `/proc` on a host with more processes than that.
const MOST_ENTRIES: usize = 1 << 17;

/// Reads below the roots and remembers what could not be read.
pub(super) struct Reader<'a> {
    pub(super) roots: &'a Roots,
    faults: Vec<ReadFault>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(roots: &'a Roots) -> Self {
        Self { roots, faults: Vec::new() }
    }

    /// The file's text, cut to four mebibytes; none when it is not there. A fault is remembered.
    pub(super) fn text(&mut self, path: &Path) -> Option<String> {
        self.remember(path, read_text(path))
    }

    /// The first line without surrounding white space; none when the file is absent or empty.
    pub(super) fn line(&mut self, path: &Path) -> Option<String> {
        let text = self.text(path)?;
        let line = text.lines().next().unwrap_or_default().trim();
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// Where the link points, as text.
    pub(super) fn link(&mut self, path: &Path) -> Option<String> {
        let target = fs::read_link(path).map(|target| target.to_string_lossy().into_owned());
        self.remember(path, target)
    }

    /// The names in a folder, sorted; empty when it is not there.
    pub(super) fn names(&mut self, path: &Path) -> Vec<String> {
        let names = fs::read_dir(path).map(|entries| {
            let mut names: Vec<String> = entries
                .flatten()
                .take(MOST_ENTRIES)
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        });
        self.remember(path, names).unwrap_or_default()
    }

    /// What could not be read, each file once.
    pub(super) fn faults(self) -> Vec<ReadFault> {
        self.faults
    }

    fn remember<T>(&mut self, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                let file = path.display().to_string();
                if !self.faults.iter().any(|fault| fault.file == file) {
                    self.faults.push(ReadFault {
                        file,
                        errno: error.raw_os_error().unwrap_or(0),
                        what: error.to_string(),
                    });
                }
                None
            }
        }
    }
}

/// The file's text without a memory of failure.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Subfolders of a cgroup or of `/sys/block`, sorted.
pub(super) fn folders(reader: &mut Reader<'_>, path: &Path) -> Vec<(String, PathBuf)> {
    let names = reader.names(path);
    names
        .into_iter()
        .map(|name| (path.join(&name), name))
        .filter(|(path, _)| path.is_dir())
        .map(|(path, name)| (name, path))
        .collect()
}

/// Not there, or gone while it was read: a process that ended (ESRCH), a cgroup that was removed (ENODEV).
fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESRCH))
}
