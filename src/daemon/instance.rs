//! Folders, and the lock that keeps a second daemon, or a restore beside a running daemon, from happening.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where provost keeps what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/run/provost`: lock, control socket, metrics. Gone after a boot.
    pub run: PathBuf,
    /// `/var/lib/provost`: journal, records, whether enforcement is on.
    pub state: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self { run: PathBuf::from("/run/provost"), state: PathBuf::from("/var/lib/provost") }
    }
}

impl Paths {
    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run.join("control")
    }

    /// The socket on which metrics and health are served over HTTP.
    #[must_use]
    pub fn http(&self) -> PathBuf {
        self.run.join("http.sock")
    }

    /// The metrics text, for node_exporter's textfile collector.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.run.join("metrics.prom")
    }

    fn switch(&self) -> PathBuf {
        self.state.join("enforce")
    }

    /// What `provost enforce` last said; none when it never did.
    #[must_use]
    pub fn enforce_switch(&self) -> Option<bool> {
        match std::fs::read_to_string(self.switch()).ok()?.trim() {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }

    /// Remembers what `provost enforce` says, over restarts and boots.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn set_enforce_switch(&self, on: bool) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.state)?;
        replace(&self.switch(), if on { "on\n" } else { "off\n" })
    }
}

/// Replaces a file so that readers see the old or the new content.
pub(super) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}

/// Why the lock could not be had.
#[derive(Debug, Error)]
pub enum InstanceError {
    /// Somebody has it.
    #[error("another provost runs (lock {}); use \"provost status\", \"provost stop\" or \"provost enforce off\"", path.display())]
    Running {
        /// The lock file.
        path: PathBuf,
    },
    /// The folder or the file cannot be made.
    #[error("cannot use {}: {why}; run provost as root", path.display())]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// The kernel's answer.
        why: String,
    },
}

/// The right to change this host's limits, held as long as this value lives. The kernel gives it up when the process ends, however
/// it ends.
#[derive(Debug)]
pub struct Instance {
    _lock: Flock<File>,
}

impl Instance {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`InstanceError`].
    pub fn take(paths: &Paths) -> Result<Self, InstanceError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |error: std::io::Error| InstanceError::Unusable { path, why: error.to_string() }
        };
        std::fs::create_dir_all(&paths.run).map_err(unusable(&paths.run))?;
        let path = paths.run.join("lock");
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(unusable(&path))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(InstanceError::Running { path }),
            Err((_, errno)) => Err(InstanceError::Unusable { path, why: errno.desc().to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let root = std::env::temp_dir().join(format!("provost-instance-{}", std::process::id()));
        let paths = Paths { run: root.join("run"), state: root.join("state") };
        let first = Instance::take(&paths).unwrap();
        assert!(matches!(Instance::take(&paths), Err(InstanceError::Running { .. })));
        drop(first);
        drop(Instance::take(&paths).unwrap());
        assert_eq!(paths.enforce_switch(), None);
        paths.set_enforce_switch(true).unwrap();
        assert_eq!(paths.enforce_switch(), Some(true));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
