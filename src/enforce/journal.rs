//! The journal on disk: synced before the first write of what it is about.
//!
//! One file in the state directory, append-only while the daemon runs, replaced by its shortest form when it is opened and when it has
//! grown. Replacing is: temporary file, write, fsync, rename, fsync of the directory; after a power cut the old or the new content is
//! there, never an empty or mixed one (ext4 leaves a zero-length file when the fsync before the rename is left out).

use super::ledger::{Entry, Ledger, encode};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The journal is written anew in its shortest form when it has grown by this much.
const MOST_GROWTH: u64 = 1 << 20;
const NAME: &str = "journal";
/// Before whatever is appended: a write that was cut short, by a crash or a full disk, may have left half a line, which would swallow
/// the entry that follows it. Empty lines are skipped when read.
const NEW_LINE: &[u8] = b"\n";

/// Why the journal could not be kept. Nothing was changed on the host in that case.
#[derive(Debug, Error)]
#[error(
    "failed to {op} the journal {}: {source}; nothing is changed on the host without it: free some space or mend the folder, then \
     run \"provost enforce on\"",
    path.display()
)]
pub struct JournalError {
    /// What was tried.
    pub op: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why it failed.
    pub source: std::io::Error,
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    ledger: Ledger,
    grown: u64,
    pending: Vec<u8>,
}

impl Journal {
    /// Opens the journal in `dir`, making both if they are missing. What was written in another boot is dropped: the cgroups and
    /// runtime properties it speaks of ended with that boot.
    ///
    /// # Errors
    /// [`JournalError`] when the folder or the file cannot be read or written.
    pub fn open(dir: &Path, boot: &str) -> Result<Self, JournalError> {
        let path = dir.join(NAME);
        let failed = |op| {
            let path = path.clone();
            move |source| JournalError { op, path, source }
        };
        std::fs::create_dir_all(dir).map_err(failed("make the folder of"))?;
        let mut ledger = Self::peek(dir)?;
        if ledger.boot.as_deref() != Some(boot) {
            ledger = Ledger { boot: Some(boot.to_owned()), ..Ledger::default() };
        }
        let file = replace(dir, &path, &ledger.lines()).map_err(failed("write"))?;
        Ok(Self { path, file, ledger, grown: 0, pending: Vec::new() })
    }

    /// Reads the journal in `dir` without opening it for writing; a missing one is an empty ledger.
    ///
    /// # Errors
    /// [`JournalError`] when the file is there and cannot be read.
    pub fn peek(dir: &Path) -> Result<Ledger, JournalError> {
        let path = dir.join(NAME);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Ledger::read(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Ledger::default()),
            Err(source) => Err(JournalError { op: "read", path, source }),
        }
    }

    /// Adds what another process did, `provost run` beside a daemon or without one, to the journal in `dir`.
    ///
    /// # Errors
    /// [`JournalError`] when the disk does not take it.
    pub fn add(dir: &Path, ledger: &Ledger) -> Result<(), JournalError> {
        let path = dir.join(NAME);
        let failed = |op| {
            let path = path.clone();
            move |source| JournalError { op, path, source }
        };
        std::fs::create_dir_all(dir).map_err(failed("make the folder of"))?;
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let mut file = opened.map_err(failed("open"))?;
        file.write_all(&[NEW_LINE, &ledger.lines()].concat()).map_err(failed("append to"))?;
        file.sync_data().map_err(failed("sync"))
    }

    /// Takes up what other processes added since.
    ///
    /// # Errors
    /// [`JournalError`] when the disk does not take what was noted, or cannot be read.
    pub fn refresh(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        self.ledger = Self::peek(dir)?;
        Ok(())
    }

    /// What there is to give back.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Notes an entry; it is on disk only after [`Journal::sync`].
    pub fn note(&mut self, entry: Entry) {
        if self.pending.is_empty() {
            self.pending.extend(NEW_LINE);
        }
        self.pending.extend(encode(&entry));
        self.ledger.take(entry);
    }

    /// Puts everything noted on disk.
    ///
    /// # Errors
    /// [`JournalError`] when the disk does not take it. What was noted stays noted and is tried again with the next call.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let failed = |op| {
            let path = self.path.clone();
            move |source| JournalError { op, path, source }
        };
        self.file.write_all(&self.pending).map_err(failed("append to"))?;
        self.file.sync_data().map_err(failed("sync"))?;
        self.grown += u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.pending.clear();
        if self.grown > MOST_GROWTH {
            let dir = self.path.parent().unwrap_or(Path::new("/")).to_owned();
            self.ledger = Self::peek(&dir)?;
            self.file =
                replace(&dir, &self.path, &self.ledger.lines()).map_err(failed("shorten"))?;
            self.grown = 0;
        }
        Ok(())
    }
}

/// Replaces `path` by `bytes` so that a power cut leaves the old or the new content, and returns it open for appending.
fn replace(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<File> {
    let temporary = dir.join(format!("{NAME}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()?;
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::CgroupPath;

    fn scratch(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("provost-journal-{name}-{}", std::process::id()));
        let _gone = std::fs::remove_dir_all(&dir);
        dir
    }

    fn enabled() -> Entry {
        Entry::Enabled {
            path: CgroupPath::new("a"),
            controllers: [crate::model::Controller::Cpu].into(),
        }
    }

    #[test]
    fn what_was_synced_is_there_after_a_crash() {
        let dir = scratch("synced");
        let mut journal = Journal::open(&dir, "boot-1").unwrap();
        journal.note(enabled());
        journal.sync().unwrap();
        let again = Journal::open(&dir, "boot-1").unwrap();
        assert_eq!(again.ledger(), journal.ledger());
        assert!(!again.ledger().is_clean());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_another_process_added_is_taken_up() {
        let dir = scratch("added");
        let mut journal = Journal::open(&dir, "boot-1").unwrap();
        let mut other = Ledger { boot: Some("boot-1".to_owned()), ..Ledger::default() };
        other.take(enabled());
        Journal::add(&dir, &other).unwrap();
        assert!(journal.ledger().is_clean());
        journal.refresh().unwrap();
        assert!(!journal.ledger().is_clean());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn half_a_line_swallows_nothing_that_is_appended() {
        let dir = scratch("half");
        let mut journal = Journal::open(&dir, "boot-1").unwrap();
        let tear = || {
            let mut file = OpenOptions::new().append(true).open(dir.join(NAME)).unwrap();
            file.write_all(b"0123abcd {\"entry\":\"ma").unwrap();
        };
        tear();
        journal.note(enabled());
        journal.sync().unwrap();
        let noted = Journal::peek(&dir).unwrap();
        assert_eq!((noted.torn, &noted.enabled), (1, &journal.ledger().enabled));
        tear();
        let mut other = Ledger { boot: Some("boot-2".to_owned()), ..Ledger::default() };
        other.take(enabled());
        Journal::add(&dir, &other).unwrap();
        assert_eq!(Journal::peek(&dir).unwrap(), Ledger { torn: 2, ..other });
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn another_boot_starts_anew() {
        let dir = scratch("boot");
        let mut journal = Journal::open(&dir, "boot-1").unwrap();
        journal.note(enabled());
        journal.sync().unwrap();
        assert!(Journal::open(&dir, "boot-2").unwrap().ledger().is_clean());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_disk_that_takes_nothing_is_an_error_that_says_so() {
        let dir = scratch("full");
        let mut journal = Journal::open(&dir, "boot-1").unwrap();
        journal.file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        journal.note(enabled());
        let text = journal.sync().unwrap_err().to_string();
        assert!(text.contains("No space left on device"), "{text}");
        assert!(text.contains("nothing is changed"), "{text}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
