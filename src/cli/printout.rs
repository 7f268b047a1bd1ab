//! What a verb prints, and its exit code: one document on standard output, all talk on standard error.

use std::io::{self, Write};
use std::process::ExitCode;

/// All went well.
pub const EXIT_OK: u8 = 0;
/// The configuration cannot be used: `EX_CONFIG` of sysexits.h. systemd does not restart on it.
pub const EXIT_BAD_CONFIG: u8 = 78;

/// What a verb has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printout {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// The exit code.
    pub exit: u8,
}

impl Printout {
    /// A text on standard output, and all went well.
    #[must_use]
    pub const fn text(stdout: String) -> Self {
        Self { stdout, stderr: String::new(), exit: EXIT_OK }
    }

    /// Prints what is for standard output, for a verb that prints more later.
    ///
    /// # Errors
    /// Those of writing; that nobody reads any more is one.
    pub fn print_on(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.stdout.as_bytes()).and_then(|()| out.flush())
    }

    /// Prints both and gives the exit code.
    ///
    /// # Errors
    /// Those of writing; a closed pipe, as after `| head`, is none.
    pub fn print(&self) -> io::Result<ExitCode> {
        let written = io::stderr()
            .write_all(self.stderr.as_bytes())
            .and_then(|()| io::stdout().lock().write_all(self.stdout.as_bytes()))
            .and_then(|()| io::stdout().flush());
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            Ok(()) | Err(_) => Ok(ExitCode::from(self.exit)),
        }
    }
}
