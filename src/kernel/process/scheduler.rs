//! The scheduling policy of one thread, read and set. Must not choose it.
//!
//! The calls of 1997 are used and not `sched_setattr`: they leave the nice value as it is, which would have to be named otherwise and is not
//! told for a thread in real time. A C library may refuse them (musl does), so the kernel is called directly.
#![expect(
    unsafe_code,
    reason = "nix has no sched_getscheduler, sched_getparam and sched_setscheduler"
)]

use crate::model::{Sched, SchedPolicy};
use nix::errno::Errno;
use thiserror::Error;

/// In the number that the kernel takes and gives for a policy (`include/uapi/linux/sched.h`).
const RESET_ON_FORK: libc::c_long = 0x4000_0000;

/// How a thread is scheduled, and whether its children are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduling {
    /// How it is scheduled.
    pub sched: Sched,
    /// Whether whatever it forks begins with the usual policy.
    pub reset_on_fork: bool,
}

impl Scheduling {
    /// What provost gives a thread: nothing that it makes inherits it.
    #[must_use]
    pub const fn raised(sched: Sched) -> Self {
        Self { sched, reset_on_fork: true }
    }
}

/// Why a policy was not set, or not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the kernel neither tells nor changes the thread's policy: {}", .0.desc())]
pub struct SchedError(Errno);

impl SchedError {
    /// Whether there is no such thread.
    #[must_use]
    pub fn is_gone(self) -> bool {
        self.0 == Errno::ESRCH
    }

    /// The kernel's error number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// Why the kernel refused, and what to do about it.
    #[must_use]
    pub fn advice(self) -> String {
        if self.0 == Errno::EPERM {
            return format!("it is not permitted to put threads into real time: {REMEDY}");
        }
        format!("{self}; see \"provost doctor\"")
    }
}

/// How the thread is scheduled now.
///
/// # Errors
/// [`SchedError`] where it ended.
pub fn get(thread: i32) -> Result<Scheduling, SchedError> {
    // SAFETY: takes a number and no pointer.
    let number = unsafe { libc::syscall(libc::SYS_sched_getscheduler, thread) };
    let number = Errno::result(number).map_err(SchedError)?;
    let mut param = libc::c_int::default();
    // SAFETY: the kernel writes one int, its `struct sched_param`, to a place of that size.
    let done = unsafe { libc::syscall(libc::SYS_sched_getparam, thread, &raw mut param) };
    Errno::result(done).map_err(SchedError)?;
    let policy = u64::try_from(number & !RESET_ON_FORK).unwrap_or(u64::MAX);
    let sched = Sched {
        policy: SchedPolicy::of_number(policy),
        priority: u8::try_from(param).unwrap_or(u8::MAX),
    };
    Ok(Scheduling { sched, reset_on_fork: number & RESET_ON_FORK != 0 })
}

/// Sets it; the nice value stays. Only `SCHED_OTHER` and `SCHED_RR` are ever set.
///
/// # Errors
/// [`SchedError`]: ESRCH where the thread ended, EPERM without CAP_SYS_NICE or where a filter of system calls forbids real time, EINVAL for
/// any other policy.
pub fn set(thread: i32, scheduling: Scheduling) -> Result<(), SchedError> {
    let number = match scheduling.sched.policy {
        SchedPolicy::Other => 0,
        SchedPolicy::Rr => 2,
        SchedPolicy::Fifo
        | SchedPolicy::Batch
        | SchedPolicy::Idle
        | SchedPolicy::Deadline
        | SchedPolicy::Unknown => return Err(SchedError(Errno::EINVAL)),
    };
    let policy = if scheduling.reset_on_fork { number | RESET_ON_FORK } else { number };
    let param = libc::c_int::from(scheduling.sched.priority);
    // SAFETY: the kernel reads one int, its `struct sched_param`, and keeps no pointer.
    let done =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, thread, policy, &raw const param) };
    Errno::result(done).map_err(SchedError).map(drop)
}

/// What mends a provost that may not put threads into real time.
pub const REMEDY: &str = "in the unit provost.service install the drop-in realtime.conf, which lifts RestrictRealtime=, and restart it; \
                          outside of it provost needs CAP_SYS_NICE, and a kernel without groups for real time (CONFIG_RT_GROUP_SCHED)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_a_thread_is_read_and_set_and_its_nice_value_stays() {
        fn own() -> i32 {
            nix::unistd::gettid().as_raw()
        }
        fn nice() -> String {
            let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", own())).unwrap();
            let (_, fields) = stat.rsplit_once(')').unwrap();
            fields.split_whitespace().nth(16).unwrap().to_owned()
        }
        assert!(get(own()).is_ok_and(|now| !now.reset_on_fork));
        // In a thread of its own: to give up SCHED_RESET_ON_FORK takes a capability that not everybody who runs tests has.
        std::thread::spawn(move || {
            let before = nice();
            let reset = Scheduling { sched: Sched::OTHER, reset_on_fork: true };
            set(own(), reset).unwrap();
            assert_eq!(get(own()), Ok(reset));
            assert_eq!(nice(), before);
        })
        .join()
        .unwrap();
        let batch = Sched { policy: SchedPolicy::Batch, priority: 0 };
        assert_eq!(set(own(), Scheduling::raised(batch)), Err(SchedError(Errno::EINVAL)));
        assert!(get(i32::MAX).is_err_and(SchedError::is_gone));
        assert!(SchedError(Errno::EPERM).advice().contains("realtime.conf"));
    }
}
