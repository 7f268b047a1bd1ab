//! What is done once to a group for memory that is short: reclaim, and killing all of it.
//!
//! Both may take long and happen on the worker thread. Nothing here chooses whom.

use super::CgroupFs;
use super::error::WriteError;
use super::group::Group;
use super::process::ProcFs;
use super::write::{file, patiently};
use crate::units::{Bytes, CgroupPath};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill as signal};
use nix::unistd::Pid;

/// Asks the kernel to take back so much of the group's memory, by `memory.reclaim`, since Linux 5.19.
///
/// # Errors
/// [`WriteError`] with the kernel's answer: EAGAIN when less could be had, which was taken; ENOENT before 5.19.
pub fn reclaim(group: &Group, bytes: Bytes) -> Result<(), WriteError> {
    file(group, "memory.reclaim", &bytes.0.to_string())
}

/// Kills every process of the group and below, frozen ones too: by `cgroup.kill`, before Linux 5.14 by SIGKILL to each until none is left.
///
/// # Errors
/// [`WriteError`] with the kernel's answer; EBUSY when processes were born faster than they were killed.
pub fn kill(fs: &CgroupFs, proc: &ProcFs, group: &Group) -> Result<(), WriteError> {
    match file(group, "cgroup.kill", "1") {
        Err(error) if error.errno == Errno::ENOENT => {}
        done => return done,
    }
    // Whoever forks between reading the list and the signal is hit in the next round.
    patiently(|| {
        kill_each(fs, proc, &group.at().path);
        if !group.is_populated() {
            return Ok(());
        }
        let path = group.name_of("cgroup.procs");
        Err(WriteError { path, value: "SIGKILL".to_owned(), errno: Errno::EBUSY })
    })
}

fn kill_each(fs: &CgroupFs, proc: &ProcFs, path: &CgroupPath) {
    for child in fs.children(path).unwrap_or_default() {
        kill_each(fs, proc, &path.child(&child));
    }
    let Ok(group) = fs.group(path) else { return };
    // A number that was read a moment ago and belongs to somebody elsewhere by now is nobody's business.
    let here = |pid: &i32| proc.cgroup(*pid).as_ref() == Some(path);
    for pid in group.procs().unwrap_or_default().into_iter().filter(|pid| *pid > 1).filter(here) {
        // ESRCH is what is wanted.
        let _gone = signal(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
