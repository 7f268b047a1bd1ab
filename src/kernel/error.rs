//! Failed reads and writes: which file, what was tried, what the kernel answered, and what that means.

use crate::model::ReadFault;
use nix::errno::Errno;
use thiserror::Error;

/// What an error number means for whoever asked. Decided by number, never by `std::io::ErrorKind`, which has no word for ENODEV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrnoClass {
    /// The group or process ended: not a fault.
    Gone,
    /// Somebody is in the way; trying again may help.
    Busy,
    /// The kernel does not take this value, and will not take it later.
    Permanent,
    /// The capability is missing, or the file system is read-only.
    Permission,
    /// Partly done.
    Partial,
    /// No space, on a disk or in a CPU set.
    NoSpace,
    /// Anything else.
    Other,
}

impl ErrnoClass {
    /// The class of an error number.
    #[must_use]
    pub fn of(errno: Errno) -> Self {
        if matches!(errno, Errno::ENOENT | Errno::ENODEV | Errno::ESRCH) {
            Self::Gone
        } else if matches!(errno, Errno::EBUSY | Errno::EINTR) {
            Self::Busy
        } else if matches!(errno, Errno::EINVAL | Errno::ERANGE | Errno::EOPNOTSUPP | Errno::E2BIG)
        {
            Self::Permanent
        } else if matches!(errno, Errno::EPERM | Errno::EACCES | Errno::EROFS) {
            Self::Permission
        } else if errno == Errno::EAGAIN {
            Self::Partial
        } else if errno == Errno::ENOSPC {
            Self::NoSpace
        } else {
            Self::Other
        }
    }
}

/// A failed read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The kernel refused.
    #[error("cannot {op} {path}: {}", errno.desc())]
    Refused {
        /// What was tried.
        op: &'static str,
        /// The file.
        path: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The text is not what the kernel documents.
    #[error("cannot understand {path}: {what}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

impl ReadError {
    pub(crate) fn refused(op: &'static str, path: impl Into<String>, errno: Errno) -> Self {
        Self::Refused { op, path: path.into(), errno }
    }

    /// The error number; none when the text was not understood.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::Malformed { .. } => None,
        }
    }

    /// Whether the group or process ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.errno().is_some_and(|errno| ErrnoClass::of(errno) == ErrnoClass::Gone)
    }

    /// The form that is kept.
    #[must_use]
    pub fn fault(&self) -> ReadFault {
        let file = match self {
            Self::Refused { path, .. } | Self::Malformed { path, .. } => path.clone(),
        };
        let errno = self.errno().map_or(0, |errno| errno as i32);
        ReadFault { file, errno, what: self.to_string() }
    }
}

/// A failed write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot write \"{value}\" to {path}: {}", errno.desc())]
pub struct WriteError {
    /// The file.
    pub path: String,
    /// What was written.
    pub value: String,
    /// The kernel's answer.
    pub errno: Errno,
}

impl WriteError {
    /// Whether the group was removed meanwhile. For `io.max` the same number says that the disk is none.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.errno == Errno::ENODEV && !self.path.ends_with("io.max")
    }

    /// Whether a populated group would have been left without a list of CPUs.
    #[must_use]
    pub fn leaves_no_cpu(&self) -> bool {
        self.errno == Errno::ENOSPC
    }

    /// The kernel's error number.
    #[must_use]
    pub const fn number(&self) -> i32 {
        self.errno as i32
    }

    /// Why the kernel refused and what to do about it, as one sentence.
    #[must_use]
    pub fn advice(&self) -> String {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        let why = if self.errno == Errno::EROFS {
            "the cgroup file system is mounted read-only (a container, or ProtectControlGroups=yes in provost's unit)"
        } else if self.errno == Errno::ENOENT || self.errno == Errno::EACCES {
            "its controller is not enabled by the parent group, or this kernel lacks the file; see \"provost doctor\""
        } else {
            explain(file, self.errno)
        };
        format!("{self}: {why}")
    }
}

fn explain(file: &str, errno: Errno) -> &'static str {
    match (file, errno) {
        ("cgroup.subtree_control", Errno::EBUSY) => {
            "processes live in the group itself; move them into a child first"
        }
        ("cgroup.procs", Errno::EBUSY) => {
            "the group hands controllers to its children, so no process may live in it"
        }
        ("cgroup.procs", Errno::EOPNOTSUPP) => "the group is part of a threaded subtree",
        ("cgroup.procs", Errno::EINVAL) => "a kernel thread bound to its CPU cannot be moved",
        ("cgroup.procs", Errno::ENOSPC) => "the group's cpuset has no usable CPU",
        ("io.max", Errno::ENODEV) => {
            "limits go on whole disks, not partitions, and on devices that exist"
        }
        ("io.max", Errno::EINVAL | Errno::ERANGE) => "this kernel takes rates from 2 a second up",
        ("io.weight", Errno::EOPNOTSUPP) => "io.cost is not enabled on the disk",
        ("cpuset.cpus", Errno::ERANGE | Errno::EINVAL) => {
            "the list names a CPU that this host cannot have"
        }
        ("cpuset.cpus", Errno::ENOSPC) => {
            "a populated group may not be left without CPUs on this kernel"
        }
        ("memory.reclaim", Errno::EAGAIN) => "the group had less to give, which was taken",
        ("cpu.weight", Errno::EINVAL) => "cpu.idle is set on the group",
        ("cpu.max", Errno::EINVAL) => {
            "the quota must be 1 ms or more, the period 1 ms to 1 s, and the burst no larger than the quota"
        }
        ("cpu.max.burst", Errno::EINVAL) => "the burst must not exceed the quota",
        (_, Errno::EPERM) => "a capability is missing; see \"provost doctor\"",
        (_, Errno::ENODEV) => "the group was removed meanwhile",
        (_, Errno::EINVAL | Errno::ERANGE) => "this kernel does not take the value",
        _ => "the kernel gives no more reason than that",
    }
}
