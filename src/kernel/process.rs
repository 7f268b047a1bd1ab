//! Processes in /proc. A process may end between any two reads: everything here is `Option`, and a process is the pair of its
//! number and its start time.

pub mod affinity;
pub mod scheduler;
pub mod thread;

use super::parse::{self, ProcStat};
use crate::units::{CgroupPath, ProcId};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A command line is cut here; matching more than this against a pattern is nobody's wish.
const LONGEST_CMDLINE: u64 = 64 * 1024;

/// A mounted /proc.
#[derive(Debug, Clone)]
pub struct ProcFs {
    root: PathBuf,
}

impl Default for ProcFs {
    fn default() -> Self {
        Self::at(Path::new("/proc"))
    }
}

impl ProcFs {
    /// The /proc at `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The numbers of all processes, in rising order.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        let Ok(entries) = std::fs::read_dir(&self.root) else {
            return Vec::new();
        };
        let mut pids: Vec<i32> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        pids
    }

    /// The threads of a process.
    #[must_use]
    pub fn threads(&self, pid: i32) -> Vec<i32> {
        Self::at(&self.root.join(pid.to_string()).join("task")).pids()
    }

    /// `/proc/PID/stat`.
    #[must_use]
    pub fn stat(&self, pid: i32) -> Option<ProcStat> {
        parse::proc_stat(&self.file(pid, "stat")?)
    }

    /// Which process has this number now.
    #[must_use]
    pub fn identity(&self, pid: i32) -> Option<ProcId> {
        Some(ProcId { pid, start: self.stat(pid)?.start })
    }

    /// The path of the executable. A replaced file reads "… (deleted)", which is cut off: the program is still the same to a rule.
    #[must_use]
    pub fn exe(&self, pid: i32) -> Option<String> {
        let link = std::fs::read_link(self.root.join(pid.to_string()).join("exe")).ok()?;
        let text = link.to_string_lossy();
        Some(text.strip_suffix(" (deleted)").unwrap_or(&text).to_owned())
    }

    /// The arguments joined by single spaces, at most 64 KiB; empty for a process without any.
    #[must_use]
    pub fn cmdline(&self, pid: i32) -> Option<String> {
        let bytes = self.file(pid, "cmdline")?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_end_matches('\0').replace('\0', " "))
    }

    /// Effective user and group.
    #[must_use]
    pub fn ids(&self, pid: i32) -> Option<(u32, u32)> {
        let status = self.file(pid, "status")?;
        Some((parse::effective_id(&status, "Uid:")?, parse::effective_id(&status, "Gid:")?))
    }

    /// The cgroup v2 group it lives in.
    #[must_use]
    pub fn cgroup(&self, pid: i32) -> Option<CgroupPath> {
        Some(CgroupPath::new(&parse::proc_cgroup(&self.file(pid, "cgroup")?)?))
    }

    /// The means to learn whether anybody was born.
    #[must_use]
    pub fn births(&self) -> Births {
        Births { loadavg: File::open(self.root.join("loadavg")).ok() }
    }

    fn file(&self, pid: i32, name: &str) -> Option<Vec<u8>> {
        let file = File::open(self.root.join(pid.to_string()).join(name)).ok()?;
        let mut bytes = Vec::new();
        file.take(LONGEST_CMDLINE).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// Whether this process runs as uid 0.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Tells whether processes or threads were born, at the cost of one read and no allocation: `/proc/loadavg`, held open.
#[derive(Debug)]
pub struct Births {
    loadavg: Option<File>,
}

impl Births {
    /// The number of the most recently created process or thread: if it did not change, nobody was born.
    #[must_use]
    pub fn last_pid(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.loadavg.as_ref()?.read_at(&mut text, 0).ok()?;
        parse::last_pid(text.get(..length)?)
    }
}

/// The process number in a pid file: a regular file of at most 64 bytes. It is a hint, not an identity: whoever has the number now is
/// meant.
#[must_use]
pub fn pid_in(file: &Path) -> Option<i32> {
    let mut text = Vec::new();
    File::open(file).ok()?.take(64).read_to_end(&mut text).ok()?;
    parse::pid_file(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_with_all_its_traits() {
        let proc = ProcFs::default();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(proc.pids().contains(&own));
        let stat = proc.stat(own).unwrap();
        assert!(!stat.kernel_thread && stat.start > 0);
        assert!(proc.exe(own).unwrap().contains("provost"));
        assert!(!proc.cmdline(own).unwrap().contains('\0'));
        assert_eq!(proc.ids(own).unwrap().0, nix::unistd::geteuid().as_raw());
        assert!(proc.cgroup(own).is_some());
        assert!(proc.threads(own).contains(&own));
        let births = proc.births();
        let before = births.last_pid().unwrap();
        assert!(before > 0);
        std::thread::spawn(|| {}).join().unwrap();
        assert_ne!(births.last_pid().unwrap(), before, "the held file is read anew");
    }

    #[test]
    fn a_process_that_is_not_there_is_nothing() {
        let proc = ProcFs::default();
        assert_eq!(proc.stat(i32::MAX), None);
        assert_eq!(proc.exe(i32::MAX), None);
        assert_eq!(proc.cgroup(i32::MAX), None);
    }
}
