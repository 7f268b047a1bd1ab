//! What is known of every process, read once and again only when it can have changed.
//!
//! A process's facts are read when its number first appears, when it executed another program, when it was moved, and again in each
//! reconciliation. Looking for new numbers costs one read when nobody was born (the last number in `/proc/loadavg`) and one directory
//! listing otherwise.

use super::bind::ProcessFacts;
use super::round::{Again, Round};
use crate::kernel::process::{Births, ProcFs};
use crate::units::{CgroupPath, ProcId, Tick};
use std::collections::BTreeMap;
use std::path::Path;

/// More generations than any real process tree has; bounds the walk to the root against a torn reading.
const MOST_GENERATIONS: usize = 64;
/// What the kernel keeps of a program's name.
const COMM_CHARS: usize = 15;

/// All processes by number.
#[derive(Debug)]
pub(super) struct Processes {
    proc: ProcFs,
    births: Births,
    known: BTreeMap<i32, ProcessFacts>,
    last_pid: Option<u64>,
    /// Who is still to be read again.
    round: Round<i32>,
}

impl Processes {
    pub(super) fn new(proc: ProcFs) -> Self {
        let (births, round) = (proc.births(), Round::default());
        Self { births, proc, known: BTreeMap::new(), last_pid: None, round }
    }

    pub(super) const fn known(&self) -> &BTreeMap<i32, ProcessFacts> {
        &self.known
    }

    /// Where a process lives, read now.
    pub(super) fn cgroup_of(&self, pid: i32) -> Option<CgroupPath> {
        self.proc.cgroup(pid)
    }

    /// Looks for who came and went, and reads again what a reconciliation asks for. Whether anything changed.
    pub(super) fn look(&mut self, now: Tick, again: Again) -> bool {
        let mut changed = match again {
            Again::Nothing => self.scan(),
            Again::InTurn => {
                self.last_pid = None;
                let changed = self.scan();
                self.round.begin(now, self.known.keys().copied());
                changed
            }
            Again::AtOnce => {
                self.round = Round::default();
                self.rescan()
            }
        };
        for pid in self.round.turn(now) {
            changed |= self.learn_again(pid);
        }
        changed
    }

    /// Looks for numbers that are new, gone, or belong to another process now. Whether anything changed.
    fn scan(&mut self) -> bool {
        let last_pid = self.births.last_pid();
        if last_pid.is_some() && last_pid == self.last_pid {
            return false;
        }
        self.last_pid = last_pid;
        let pids = self.proc.pids();
        let before = self.known.len();
        self.known.retain(|pid, _| pids.binary_search(pid).is_ok());
        let mut changed = self.known.len() != before;
        for pid in pids {
            if !self.known.contains_key(&pid) {
                changed |= self.learn(pid, None);
            }
        }
        changed
    }

    /// Reads everything anew: events may have been lost, and a number may have been reused between two scans.
    pub(super) fn rescan(&mut self) -> bool {
        let mut changed = false;
        for pid in self.proc.pids() {
            changed |= self.learn_again(pid);
        }
        self.last_pid = None;
        self.scan() || changed
    }

    /// Takes note that a process executed a program.
    pub(super) fn executed(&mut self, pid: i32, at: Tick) -> bool {
        self.learn(pid, Some(at))
    }

    /// Takes note that a process was moved, or tried to be.
    pub(super) fn moved(&mut self, process: ProcId) -> bool {
        self.learn_again(process.pid)
    }

    fn learn_again(&mut self, pid: i32) -> bool {
        let executed = self.known.get(&pid).and_then(|facts| facts.exec_at);
        self.learn(pid, executed)
    }

    /// Reads one process. Whether what is known of it changed.
    fn learn(&mut self, pid: i32, exec_at: Option<Tick>) -> bool {
        match read(&self.proc, pid, exec_at) {
            Some(facts) => self.known.insert(pid, facts.clone()).as_ref() != Some(&facts),
            None => self.known.remove(&pid).is_some(),
        }
    }
}

/// The process `pid` as it will be when it has executed `program`, and its ancestors as they are. Its arguments are not known yet and
/// so empty. Nothing when the process ended.
#[must_use]
pub fn about_to_execute(proc: &ProcFs, pid: i32, program: &Path) -> BTreeMap<i32, ProcessFacts> {
    let mut lineage = BTreeMap::new();
    let Some(process) = read(proc, pid, None) else {
        return lineage;
    };
    let mut above = process.parent;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let process = ProcessFacts {
        comm: name.chars().take(COMM_CHARS).collect(),
        exe: Some(program.to_string_lossy().into_owned()),
        cmdline: String::new(),
        ..process
    };
    lineage.insert(pid, process);
    while above > 0 && lineage.len() < MOST_GENERATIONS && !lineage.contains_key(&above) {
        let Some(ancestor) = read(proc, above, None) else {
            break;
        };
        let next = ancestor.parent;
        lineage.insert(above, ancestor);
        above = next;
    }
    lineage
}

fn read(proc: &ProcFs, pid: i32, exec_at: Option<Tick>) -> Option<ProcessFacts> {
    let stat = proc.stat(pid)?;
    if stat.state == b'Z' || stat.state == b'X' {
        return None;
    }
    let (user, group) = if stat.kernel_thread { (0, 0) } else { proc.ids(pid)? };
    Some(ProcessFacts {
        id: ProcId { pid, start: stat.start },
        parent: stat.parent,
        session: stat.session,
        exe: if stat.kernel_thread { None } else { proc.exe(pid) },
        cmdline: if stat.kernel_thread { String::new() } else { proc.cmdline(pid)? },
        cgroup: proc.cgroup(pid)?,
        comm: stat.comm,
        user,
        group,
        kernel_thread: stat.kernel_thread,
        exec_at,
    })
}

#[cfg(test)]
mod tests;
