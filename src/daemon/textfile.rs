//! The metrics as a file, for node_exporter's textfile collector. The run folder is in memory, so that writing there waits for no disk.

use crate::model::Report;
use crate::publish::{Format, metrics_text};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// node_exporter has an account of its own.
const MODE: u32 = 0o644;

/// The file.
#[derive(Debug)]
pub(super) struct TextFile {
    path: PathBuf,
    /// Whether it could not be written the last time: that is told once.
    fails: bool,
}

impl TextFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, fails: false }
    }

    /// Replaces it. Whoever reads it sees the old text or the new one.
    pub(super) fn write(&mut self, report: &Report) {
        let written = self.replace(&metrics_text(report, Format::Text));
        if let Err(error) = &written
            && !self.fails
        {
            let path = self.path.display();
            tracing::warn!(%error, "{path} cannot be written; it is tried again");
        }
        self.fails = written.is_err();
    }

    fn replace(&self, text: &str) -> std::io::Result<()> {
        let temporary = self.path.with_extension("new");
        std::fs::write(&temporary, text)?;
        std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(MODE))?;
        std::fs::rename(&temporary, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_report;

    #[test]
    fn the_text_is_there_for_all_to_read() {
        let root = std::env::temp_dir().join(format!("provost-textfile-{}", std::process::id()));
        let mut file = TextFile::new(root.join("metrics.prom"));
        file.write(&sample_report());
        assert!(file.fails, "there is no such folder");
        std::fs::create_dir_all(&root).unwrap();
        file.write(&sample_report());
        assert!(!file.fails);
        let text = std::fs::read_to_string(&file.path).unwrap();
        assert_eq!(text, metrics_text(&sample_report(), Format::Text));
        let mode = std::fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
