//! The metrics as a file, for node_exporter's textfile collector: on the talking thread, so that no write holds up the loop.

use crate::publish::{Format, Shown, metrics_text};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// It is written so often at most.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// node_exporter has an account of its own.
const MODE: u32 = 0o644;

/// Writes the file whenever something new is shown, until the loop is gone.
pub(super) async fn keep(path: PathBuf, mut shown: Shown) {
    let mut fails = false;
    while let Some(view) = shown.next().await {
        let written = write(&path, &metrics_text(&view.report, Format::Text));
        if let Err(error) = &written
            && !fails
        {
            tracing::warn!(%error, "{} cannot be written; it is tried again", path.display());
        }
        fails = written.is_err();
        tokio::time::sleep(WRITE_EVERY).await;
    }
}

/// Whoever reads it sees the old text or the new one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, text)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(MODE))?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::window;
    use crate::testing::sample_report;
    use crate::units::Tick;

    #[test]
    fn what_is_shown_is_written_for_all_to_read() {
        let path =
            std::env::temp_dir().join(format!("provost-metrics-{}.prom", std::process::id()));
        let (showing, shown) = window(|| Tick(1));
        showing.show(Tick(1), sample_report());
        let story = async {
            tokio::select! {
                () = keep(path.clone(), shown) => panic!("the loop is there"),
                () = async {
                    while !path.exists() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                } => {}
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(story);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, metrics_text(&sample_report(), Format::Text));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        std::fs::remove_file(&path).unwrap();
    }
}
