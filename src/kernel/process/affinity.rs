//! CPU affinity of threads, saved and set again around a move.
//!
//! Before Linux 6.2 moving a process into a group with the cpuset controller enabled sets the affinity of every thread to the group's
//! CPUs, even when the group names none: a mask that `taskset` had set is lost.

use super::ProcFs;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// What every thread of `pid` is bound to now.
#[must_use]
pub fn save(proc: &ProcFs, pid: i32) -> Vec<(Pid, CpuSet)> {
    let threads = proc.threads(pid).into_iter().map(Pid::from_raw);
    threads.filter_map(|thread| Some((thread, sched_getaffinity(thread).ok()?))).collect()
}

/// Sets again what a move changed. A thread whose mask does not fit the group's CPUs keeps what the kernel gave it.
pub fn restore(saved: &[(Pid, CpuSet)]) {
    for (thread, cpus) in saved {
        if sched_getaffinity(*thread).is_ok_and(|now| now != *cpus) {
            let _fits = sched_setaffinity(*thread, cpus);
        }
    }
}
