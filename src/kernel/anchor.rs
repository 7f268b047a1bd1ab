//! An anchor: a process that does nothing, so that the group in which it lives is there before anybody else needs it.
//!
//! A scope of systemd exists only while a process lives in it. An anchor ends with the agent, however that ends: by the parent's death
//! signal, and, should the agent be gone before the anchor has asked for that signal, by the end of its standard input.
//!
//! Must not: decide where it lives; hold anything open but that pipe.
//!
//! Source: `prctl(2)`, PR_SET_PDEATHSIG, PR_SET_NAME.

use super::process::ProcFs;
use crate::units::ProcId;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The command name of an anchor, as people see it in `ps`.
pub const COMM: &str = "provost-anchor";
const COMM_C: &std::ffi::CStr = c"provost-anchor";

/// A running anchor. Dropping it ends the process.
#[derive(Debug)]
pub struct Anchor {
    child: Child,
    process: ProcId,
}

impl Anchor {
    /// Starts one: `program` with `arguments`, which must call [`stand`]. It dies with the calling *thread*, so start it on one
    /// that lives as long as the agent.
    ///
    /// # Errors
    /// The kernel's answer when it cannot be started or ends at once.
    pub fn start(program: &Path, arguments: &[&str], proc: &ProcFs) -> std::io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = i32::try_from(child.id()).unwrap_or(0);
        // Not reaped yet, so the number is still its own.
        if let Some(process) = proc.identity(pid) {
            return Ok(Self { child, process });
        }
        child.kill().unwrap_or_default();
        let _status = child.wait();
        Err(std::io::Error::from(Errno::ESRCH))
    }

    /// Which process it is.
    #[must_use]
    pub const fn process(&self) -> ProcId {
        self.process
    }

    /// Whether it still stands; one that ended is reaped.
    pub fn stands(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        // One that has ended by itself is as good; either way it is reaped.
        self.child.kill().unwrap_or_default();
        let _status = self.child.wait();
    }
}

/// Stands until the agent ends. For `provost anchor`, which only the agent starts.
///
/// # Errors
/// The kernel's answer; ending is safe.
pub fn stand() -> Result<(), Errno> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_name(COMM_C)?;
    // Away from the agent's terminal and its signals; already leading a session is as good.
    nix::unistd::setsid()
        .map(drop)
        .or_else(|error| if error == Errno::EPERM { Ok(()) } else { Err(error) })?;
    let mut bytes = [0u8; 16];
    loop {
        match std::io::stdin().read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }
}
