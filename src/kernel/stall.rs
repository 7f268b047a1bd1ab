//! How long a group's tasks have waited for a CPU that others had, and the kernel's alarms: when a group begins to wait, and when the
//! whole host begins to stand still for memory or disks.
//!
//! `total` of a pressure file is brought up to date at every read; `avg10` moves every two seconds only. Time in which the group's own
//! quota stopped it counts as waiting too (`kernel/sched/psi.c`), and is taken out here.
//!
//! Source: `Documentation/accounting/psi.rst`; `full` for the CPU since Linux 5.13. Triggers since 5.2; without `CAP_SYS_RESOURCE` only
//! windows that are multiples of two seconds. One that is closed costs ten milliseconds of waiting for RCU.

use super::error::{ErrnoClass, ReadError};
use super::group::Group;
use super::parse;
use super::sampler::{Buffer, pread_into};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

const FLAGS: OFlag = OFlag::O_RDWR.union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);

/// A stall of a tenth of half a second wakes; the kernel looks ten times a window, so less gains nothing.
const CPU: &[u8] = b"full 50000 500000\0";
/// A group stood still for memory for a twentieth of a second: nothing that runs well does.
const GROUP_MEMORY: &[u8] = b"full 50000 1000000\0";
/// Nobody got on for a twentieth of a second, for want of memory; and the same share of a window that needs no capability.
const BEGINS_MEMORY: [&[u8]; 2] = [b"full 50000 1000000\0", b"full 100000 2000000\0"];
/// Nobody got on for a fifth of a second, for want of a disk.
const BEGINS_IO: [&[u8]; 2] = [b"full 200000 1000000\0", b"full 400000 2000000\0"];
/// Nobody got on for three tenths of the time, for want of memory.
const MEMORY: [&[u8]; 2] = [b"full 300000 1000000\0", b"full 600000 2000000\0"];

/// The files that tell how long a group waited, held open.
#[derive(Debug)]
pub struct CpuWait {
    pressure: OwnedFd,
    stat: Option<OwnedFd>,
}

impl CpuWait {
    /// Holds the files of `group`.
    ///
    /// # Errors
    /// [`ReadError`] when it has no `cpu.pressure`: the kernel was built or started without PSI, or it is switched off for the group.
    pub fn of(group: &Group) -> Result<Self, ReadError> {
        let failed = |errno| ReadError::refused("open", group.name_of("cpu.pressure"), errno);
        let pressure = group.open("cpu.pressure").map_err(failed)?;
        Ok(Self { pressure, stat: group.open("cpu.stat").ok() })
    }

    /// Microseconds in which all of its tasks waited and its quota was not the reason, since it was made. Never falls by itself, but
    /// throttling on several CPUs at once may outrun it.
    ///
    /// # Errors
    /// The class of the kernel's answer; `Gone` when the group was removed.
    pub fn total_usec(&self, buffer: &mut Buffer) -> Result<u64, ErrnoClass> {
        let throttled = match pread_into(self.stat.as_ref(), buffer)? {
            Some(text) => parse::flat_keyed(text, "throttled_usec").unwrap_or(0),
            None => 0,
        };
        let text = pread_into(Some(&self.pressure), buffer)?.unwrap_or_default();
        let waited = parse::psi(text).map_or(0, |psi| psi.full.total_usec);
        Ok(waited.saturating_sub(throttled))
    }
}

/// The kernel's alarm: readable with priority, at most once a window, when all tasks waited for the set part of it.
#[derive(Debug)]
pub struct Trigger {
    pressure: OwnedFd,
}

impl Trigger {
    /// An alarm for one group: all of its tasks waited for a CPU for a tenth of half a second.
    ///
    /// # Errors
    /// EINVAL without `CAP_SYS_RESOURCE`; ENOENT or EOPNOTSUPP without PSI.
    pub fn cpu(group: &Group) -> Result<Self, Errno> {
        Self::set(openat(group.folder(), "cpu.pressure", FLAGS, Mode::empty())?, CPU)
    }

    /// An alarm for the whole host: all of its tasks waited for memory for three tenths of a second, or of two seconds where the kernel
    /// lets provost set no shorter window. `proc` is where procfs is mounted.
    ///
    /// # Errors
    /// ENOENT or EOPNOTSUPP without PSI.
    pub fn host_memory(proc: &Path) -> Result<Self, Errno> {
        Self::host(&proc.join("pressure/memory"), MEMORY)
    }

    /// A sign that the whole host begins to: a twentieth of a second, or of two.
    ///
    /// # Errors
    /// As [`Trigger::host_memory`].
    pub fn host_begins_to_want_memory(proc: &Path) -> Result<Self, Errno> {
        Self::host(&proc.join("pressure/memory"), BEGINS_MEMORY)
    }

    /// A sign that all tasks of the host wait for disks: for a fifth of a second, or of two.
    ///
    /// # Errors
    /// As [`Trigger::host_memory`].
    pub fn host_begins_to_want_disks(proc: &Path) -> Result<Self, Errno> {
        Self::host(&proc.join("pressure/io"), BEGINS_IO)
    }

    /// An alarm for one group: all of its tasks waited for memory for a twentieth of a second. It rings for its own limits too.
    ///
    /// # Errors
    /// EINVAL without `CAP_SYS_RESOURCE`; ENOENT or EOPNOTSUPP without PSI.
    pub fn memory(group: &Group) -> Result<Self, Errno> {
        let opened = openat(group.folder(), "memory.pressure", FLAGS, Mode::empty())?;
        Self::set(opened, GROUP_MEMORY)
    }

    fn host(path: &Path, [privileged, unprivileged]: [&[u8]; 2]) -> Result<Self, Errno> {
        let opened = || open(path, FLAGS, Mode::empty());
        match Self::set(opened()?, privileged) {
            Err(Errno::EINVAL | Errno::EPERM) => Self::set(opened()?, unprivileged),
            other => other,
        }
    }

    fn set(pressure: OwnedFd, threshold: &[u8]) -> Result<Self, Errno> {
        write(&pressure, threshold)?;
        Ok(Self { pressure })
    }
}

impl AsFd for Trigger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pressure.as_fd()
    }
}
