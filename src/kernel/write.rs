//! The only `write(2)` into cgroupfs in the project.
//!
//! A value is one write without `O_CREAT` (which would turn "no such file" into "permission denied") and is never longer than a
//! page. Writing `memory.high` or `memory.max` below the usage reclaims, and the latter kills, inside the call: callers do it on the
//! worker thread.

use super::error::{ReadError, WriteError};
use super::group::{Group, IDLE_FILE};
use super::process::{ProcFs, affinity};
use crate::model::{Controller, Knob, KnobKind, Reading};
use crate::units::{CgroupPath, CpuTime, Limit, ProcId, Weight};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat, write};
use std::collections::BTreeSet;
use std::time::Duration;

/// Sets one knob.
///
/// A quota below the stored burst is refused by the kernel, so an existing larger burst is lowered first. A group's being idle is written to
/// `cpu.idle`, and taken away there before a weight is written.
///
/// # Errors
/// [`WriteError`] with the kernel's answer.
pub fn knob(group: &Group, knob: &Knob) -> Result<(), WriteError> {
    if let Knob::CpuWeight(weight) = knob {
        return cpu_weight(group, *weight);
    }
    if let Knob::CpuMax(max) = knob
        && let Limit::At(quota) = max.quota
        && let Reading::Is(Knob::CpuMaxBurst(burst)) = group.knob(KnobKind::CpuMaxBurst)
        && burst > quota
    {
        file(group, KnobKind::CpuMaxBurst.file(), &Knob::CpuMaxBurst(CpuTime(0)).render())?;
    }
    // An empty value needs its newline: a write of zero bytes never reaches the kernel.
    let mut value = knob.render();
    if value.is_empty() {
        value.push('\n');
    }
    file(group, knob.kind().file(), &value)
}

/// Before Linux 5.15, which has no `cpu.idle`, the least weight stands for it; what is read back then says so.
fn cpu_weight(group: &Group, weight: Weight) -> Result<(), WriteError> {
    let write =
        |weight: Weight| file(group, KnobKind::CpuWeight.file(), &Knob::CpuWeight(weight).render());
    if weight == Weight::IDLE {
        return match file(group, IDLE_FILE, "1") {
            Err(error) if error.errno == Errno::ENOENT => write(Weight::MIN),
            answer => answer,
        };
    }
    // An idle group takes no weight (EINVAL), and has the default one when it is idle no more.
    if group.is_idle() {
        file(group, IDLE_FILE, "0")?;
    }
    write(weight)
}

/// Turns controllers on for the group's children; none is ever turned off, since that resets every value of every child.
///
/// # Errors
/// [`WriteError`] of the first controller that could not be enabled; the others are.
pub fn enable(group: &Group, controllers: &BTreeSet<Controller>) -> Result<(), WriteError> {
    let mut failed = None;
    // One by one: a joint write is all or nothing, and says not which was at fault.
    for controller in controllers {
        let value = format!("+{}", controller.word());
        if let Err(error) = patiently(|| file(group, "cgroup.subtree_control", &value)) {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Turns controllers off for the group's children. Every value of every child would be lost by that, so callers make sure that there is
/// no child.
///
/// # Errors
/// [`WriteError`] with the kernel's answer, EBUSY while a child uses one.
pub fn disable(group: &Group, controllers: &BTreeSet<Controller>) -> Result<(), WriteError> {
    for controller in controllers {
        file(group, "cgroup.subtree_control", &format!("-{}", controller.word()))?;
    }
    Ok(())
}

/// Makes the group `name` below `parent`; one that is there already is fine.
///
/// # Errors
/// [`WriteError`] with the kernel's answer.
pub fn make(parent: &Group, name: &str) -> Result<(), WriteError> {
    match mkdirat(parent.folder(), name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => {
            Err(WriteError { path: parent.name_of(name), value: "mkdir".to_owned(), errno })
        }
    }
}

/// Removes the group `name` below `parent`. Tries again for about two seconds while the last process is leaving; one that is gone is fine.
///
/// # Errors
/// [`WriteError`] with the kernel's answer, EBUSY while processes or child groups are left.
pub fn remove(parent: &Group, name: &str) -> Result<(), WriteError> {
    patiently(|| match unlinkat(parent.folder(), name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => {
            Err(WriteError { path: parent.name_of(name), value: "rmdir".to_owned(), errno })
        }
    })
}

/// Why a process was not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// It ended, or another process has its number now.
    #[error("process {0} ended")]
    Gone(ProcId),
    /// It is a kernel thread or process 1.
    #[error("process {0} is never moved")]
    Forbidden(ProcId),
    /// The kernel refused.
    #[error(transparent)]
    Refused(#[from] WriteError),
}

/// Moves a process with all its threads into the group.
///
/// Checks the identity before and after, since the kernel only takes a number: should another process have got it meanwhile, that one is
/// put back to where it came from. Before Linux 6.2 a move into a group with the cpuset controller resets the CPU affinity of
/// every thread, which is therefore saved and set again.
///
/// # Errors
/// [`MoveError`].
pub fn move_process(
    fs: &super::CgroupFs,
    proc: &ProcFs,
    group: &Group,
    process: ProcId,
) -> Result<(), MoveError> {
    let stat = proc.stat(process.pid).filter(|stat| stat.start == process.start);
    let Some(stat) = stat else {
        return Err(MoveError::Gone(process));
    };
    if stat.kernel_thread || process.pid <= 1 {
        return Err(MoveError::Forbidden(process));
    }
    if stat.state == b'Z' {
        // The kernel takes the write and does nothing.
        return Err(MoveError::Gone(process));
    }
    let from = proc.cgroup(process.pid);
    let affinities = affinity::save(proc, process.pid);
    match patiently_as(&[Errno::EINVAL], || file(group, "cgroup.procs", &process.pid.to_string())) {
        Ok(()) => {}
        Err(error) if error.errno == Errno::ESRCH => return Err(MoveError::Gone(process)),
        Err(error) => return Err(error.into()),
    }
    match proc.stat(process.pid) {
        Some(after) if after.start == process.start => {
            affinity::restore(&affinities);
            Ok(())
        }
        Some(_) => {
            put_back(fs, process.pid, from);
            Err(MoveError::Gone(process))
        }
        None => Err(MoveError::Gone(process)),
    }
}

/// The number belonged to somebody else by the time it was written.
fn put_back(fs: &super::CgroupFs, pid: i32, from: Option<CgroupPath>) {
    let home: Option<Result<Group, ReadError>> = from.map(|path| fs.group(&path));
    if let Some(Ok(home)) = home {
        let _tried = file(&home, "cgroup.procs", &pid.to_string());
    }
}

pub(super) fn file(group: &Group, name: &str, value: &str) -> Result<(), WriteError> {
    let failed =
        |errno| WriteError { path: group.name_of(name), value: value.trim_end().to_owned(), errno };
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let opened = openat(group.folder(), name, flags, Mode::empty()).map_err(|errno| {
        // A removed group has no files, which must not look like a controller that is off.
        failed(if errno == Errno::ENOENT && group.is_removed() { Errno::ENODEV } else { errno })
    })?;
    loop {
        match write(&opened, value.as_bytes()) {
            Ok(written) if written == value.len() => return Ok(()),
            Ok(_) => return Err(failed(Errno::EIO)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}

pub(super) fn patiently(attempt: impl FnMut() -> Result<(), WriteError>) -> Result<(), WriteError> {
    patiently_as(&[], attempt)
}

/// Tries again on EBUSY, and on the errors in `also`, for about two seconds, waiting twice as long each time.
fn patiently_as(
    also: &[Errno],
    mut attempt: impl FnMut() -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let mut wait = Duration::from_millis(1);
    loop {
        match attempt() {
            Err(error)
                if (error.errno == Errno::EBUSY || also.contains(&error.errno))
                    && wait < Duration::from_millis(1200) =>
            {
                std::thread::sleep(wait);
                wait *= 2;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::CgroupFs;
    use crate::units::{Bytes, CpuMax, CpuSet};
    use std::path::PathBuf;

    /// A folder with the given files. Shows what bytes are written; what the kernel makes of them is shown in tests/kernel.
    fn folder(name: &str, files: &[(&str, &str)]) -> (PathBuf, Group) {
        let root =
            std::env::temp_dir().join(format!("provost-write-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("g")).unwrap();
        for (file, content) in files {
            std::fs::write(root.join("g").join(file), content).unwrap();
        }
        let fs = CgroupFs::open_unchecked(&root).unwrap();
        let group = fs.group(&CgroupPath::new("g")).unwrap();
        (root, group)
    }

    #[test]
    fn a_knob_is_written_whole_and_without_suffix() {
        let (root, group) = folder("whole", &[("memory.max", "")]);
        knob(&group, &Knob::MemoryMax(Limit::At(Bytes::mebi(1)))).unwrap();
        assert_eq!(std::fs::read_to_string(root.join("g/memory.max")).unwrap(), "1048576");
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_missing_file_is_never_made() {
        let (root, group) = folder("missing", &[]);
        let error = knob(&group, &Knob::PidsMax(Limit::Max)).unwrap_err();
        assert_eq!(error.errno, Errno::ENOENT);
        assert!(error.advice().contains("controller is not enabled"), "{}", error.advice());
        assert!(!root.join("g/pids.max").exists());
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_removed_group_is_not_a_missing_file() {
        let (root, group) = folder("removed", &[("pids.max", "")]);
        assert!(!group.is_removed());
        std::fs::remove_dir_all(root.join("g")).unwrap();
        assert!(group.is_removed());
        let error = knob(&group, &Knob::PidsMax(Limit::Max)).unwrap_err();
        assert_eq!(error.errno, Errno::ENODEV);
        assert_eq!(group.knob(KnobKind::PidsMax), Reading::Gone);
        assert!(
            group
                .knobs(&group.controllers(), &[])
                .values()
                .all(|reading| *reading == Reading::Gone)
        );
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_larger_burst_is_lowered_before_its_quota() {
        let (root, group) = folder("burst", &[("cpu.max", ""), ("cpu.max.burst", "90000")]);
        let max = CpuMax { quota: Limit::At(CpuTime(50_000)), period: CpuMax::DEFAULT_PERIOD };
        knob(&group, &Knob::CpuMax(max)).unwrap();
        let burst = std::fs::read_to_string(root.join("g/cpu.max.burst")).unwrap();
        assert!(burst.starts_with('0'), "{burst}");
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn an_idle_group_is_written_to_a_file_of_its_own() {
        let (root, group) = folder("idle", &[("cpu.weight", "100"), ("cpu.idle", "0")]);
        let text = |name: &str| std::fs::read_to_string(root.join("g").join(name)).unwrap();
        let idle = Knob::CpuWeight(Weight::IDLE);
        knob(&group, &idle).unwrap();
        assert_eq!((text("cpu.idle"), text("cpu.weight")), ("1".to_owned(), "100".to_owned()));
        std::fs::write(root.join("g/cpu.weight"), "1").unwrap(); // as Linux 6.12 shows it
        assert_eq!(group.knob(KnobKind::CpuWeight), Reading::Is(idle.clone()));
        knob(&group, &Knob::CpuWeight(Weight::clamped(250))).unwrap();
        assert_eq!((text("cpu.idle"), text("cpu.weight")), ("0".to_owned(), "250".to_owned()));
        std::fs::remove_file(root.join("g/cpu.idle")).unwrap();
        std::fs::write(root.join("g/cpu.weight"), "").unwrap();
        knob(&group, &idle).unwrap();
        let least = Knob::CpuWeight(Weight::MIN);
        assert_eq!(group.knob(KnobKind::CpuWeight), Reading::Is(least), "before 5.15");
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn an_empty_cpu_list_is_a_newline() {
        let (root, group) = folder("empty", &[("cpuset.cpus", "")]);
        knob(&group, &Knob::CpusetCpus(CpuSet::default())).unwrap();
        assert_eq!(std::fs::read_to_string(root.join("g/cpuset.cpus")).unwrap(), "\n");
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn making_and_removing_twice_is_fine() {
        let (root, group) = folder("make", &[]);
        for _ in 0..2 {
            make(&group, "child").unwrap();
        }
        assert!(root.join("g/child").is_dir());
        for _ in 0..2 {
            remove(&group, "child").unwrap();
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
