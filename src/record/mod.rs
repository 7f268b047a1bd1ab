//! Keeps what each cycle planned and what came of it: history and audit trail.
//!
//! Lines of JSON in the state directory, bounded: the file is set aside when it has grown, and one older file is kept. A line that was
//! cut by a crash or a full disk spoils only itself. Recording never keeps the control loop from working: what cannot be written is
//! counted and dropped.
#![allow(clippy::disallowed_methods, reason = "room record/ owns its files")]

use crate::model::CycleRecord;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Each of the two files is at most a little longer than this.
const LONGEST: u64 = 2 << 20;
const NAME: &str = "cycles.jsonl";

/// Appends records.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: Option<File>,
    written: u64,
    dropped: u64,
}

impl Recorder {
    /// A recorder in `dir`, which must exist. Opening is tried again with each record.
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        Self { path: dir.join(NAME), file: None, written: 0, dropped: 0 }
    }

    /// Appends one record.
    pub fn append(&mut self, record: &CycleRecord) {
        let Ok(mut line) = serde_json::to_vec(record) else {
            self.dropped += 1;
            return;
        };
        line.push(b'\n');
        match self.write(&line) {
            Ok(()) => self.written += u64::try_from(line.len()).unwrap_or(u64::MAX),
            Err(_) => {
                self.dropped += 1;
                self.file = None;
            }
        }
    }

    /// Records that could not be written, over the recorder's life.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.written > LONGEST {
            self.file = None;
            std::fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
        }
        if self.file.is_none() {
            let opened =
                OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            self.written = opened.metadata()?.len();
            self.file = Some(opened);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Plan;
    use crate::units::Tick;

    fn record() -> CycleRecord {
        let (plan, outcomes, findings) = (Plan::default(), Vec::new(), Vec::new());
        CycleRecord { version: 1, at: Tick(5), wall_secs: 7, plan, outcomes, findings }
    }

    #[test]
    fn records_are_lines_and_the_files_stay_bounded() {
        let dir = std::env::temp_dir().join(format!("provost-record-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut recorder = Recorder::open(&dir);
        recorder.append(&record());
        let line = std::fs::read_to_string(dir.join(NAME)).unwrap();
        assert_eq!(serde_json::from_str::<CycleRecord>(&line).unwrap(), record());
        recorder.written = LONGEST + 1;
        recorder.append(&record());
        assert!(dir.join("cycles.jsonl.1").exists());
        assert_eq!(recorder.written, u64::try_from(line.len()).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
        let mut nowhere = Recorder::open(&dir);
        nowhere.append(&record());
        assert_eq!(nowhere.dropped(), 1);
    }
}
