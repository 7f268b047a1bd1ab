//! The asking side, for the command line.

use super::protocol::{Reply, Request};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Enforcing and restoring wait for the kernel and for systemd.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon listens on {}; start it with \"systemctl start provost\" or \"provost start\"", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The socket refuses us.
    #[error("may not connect to {}: run this as root", path.display())]
    NotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke, or timed out.
    #[error("the daemon did not answer on {}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The answer makes no sense.
    #[error(
        "the daemon's answer cannot be read: {text}; are the daemon and this command of the same version?"
    )]
    Nonsense {
        /// What was wrong with it.
        text: String,
    },
}

/// Asks the daemon behind `path`.
///
/// # Errors
/// [`ClientError`] when nobody listens, the connection breaks, or the answer cannot be read.
pub fn ask(path: &Path, request: &Request) -> Result<Reply, ClientError> {
    use std::io::ErrorKind;
    let at = || path.to_owned();
    let mut stream = UnixStream::connect(path).map_err(|source| {
        let kind = source.kind();
        if matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
            ClientError::NotRunning { path: at() }
        } else if kind == ErrorKind::PermissionDenied {
            ClientError::NotPermitted { path: at() }
        } else {
            ClientError::Broken { path: at(), source }
        }
    })?;
    let broken = |source| ClientError::Broken { path: at(), source };
    stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    let mut line = serde_json::to_string(request)
        .map_err(|error| ClientError::Nonsense { text: error.to_string() })?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(broken)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(broken)?;
    serde_json::from_str(&answer).map_err(|error| ClientError::Nonsense { text: error.to_string() })
}
