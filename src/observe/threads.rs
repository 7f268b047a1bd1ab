//! The named threads of components of class `realtime`: who they are, how they are scheduled, and how much CPU time each used.
//!
//! **Approach.** Each named thread's line in /proc is held open and read at every look, which costs some ten microseconds and no allocation.
//! Who is there is looked for again when somebody was born on the host, at most every [`LIST_EVERY`], and when groups changed. A thread
//! that only changed its name is found at the next reconciliation, some seconds later.
//!
//! It must not judge policies, and looks at nobody where no component has the class.

use super::tree::Tree;
use crate::config::{Policy, RealtimePolicy};
use crate::kernel::CgroupFs;
use crate::kernel::parse::printable;
use crate::kernel::process::thread::{ThreadFile, tick};
use crate::kernel::process::{Births, ProcFs};
use crate::kernel::sampler::Buffer;
use crate::model::{Home, RealtimeSeen, Snapshot, ThreadView};
use crate::units::{CgroupPath, ComponentName, CpuTime, ProcId, Span, Tick};
use std::collections::BTreeMap;

/// To list the threads of a component takes a read for each.
const LIST_EVERY: Span = Span::millis(500);
/// More real-time threads than this on CPUs of one component's own help nobody.
const MOST: usize = 256;

/// The open lines of named threads.
#[derive(Debug)]
pub(super) struct Threads {
    proc: ProcFs,
    births: Births,
    last_pid: Option<u64>,
    listed_at: Option<Tick>,
    files: BTreeMap<ProcId, ThreadFile>,
    tick: CpuTime,
}

/// Where to look, and with what.
pub(super) struct Around<'a> {
    pub(super) policy: &'a Policy,
    pub(super) fs: &'a CgroupFs,
    pub(super) tree: &'a Tree,
    pub(super) now: Tick,
    /// Whether groups or the host may be others than at the last look.
    pub(super) anew: bool,
}

impl Threads {
    pub(super) fn new(proc: ProcFs) -> Self {
        let births = proc.births();
        let files = BTreeMap::new();
        Self { proc, births, last_pid: None, listed_at: None, files, tick: tick() }
    }

    /// Looks at all named threads. Whether anything but CPU time changed.
    pub(super) fn look(
        &mut self,
        around: &Around<'_>,
        snapshot: &mut Snapshot,
        buffer: &mut Buffer,
    ) -> bool {
        let has_any = around.policy.components.values().any(|one| one.realtime().is_some());
        if !has_any {
            self.files.clear();
            self.listed_at = None;
            let changed = !snapshot.realtime.is_empty();
            snapshot.realtime.clear();
            return changed;
        }
        if self.is_due(around) {
            return self.list(around, snapshot, buffer);
        }
        let mut changed = false;
        for view in snapshot.realtime.values_mut().flat_map(|seen| &mut seen.threads) {
            let stat = self.files.get(&view.thread).and_then(|file| file.read(buffer));
            let Some(stat) = stat else {
                // It ended: the next look lists who is left.
                self.listed_at = None;
                continue;
            };
            changed |= view.sched != stat.sched;
            view.sched = stat.sched;
            view.used = self.time(stat.ticks);
        }
        changed
    }

    fn is_due(&mut self, around: &Around<'_>) -> bool {
        let Some(listed_at) = self.listed_at.filter(|_| !around.anew) else { return true };
        if around.now.since(listed_at) < LIST_EVERY {
            return false;
        }
        let last_pid = self.births.last_pid();
        last_pid.is_none() || last_pid != self.last_pid
    }

    /// Looks for all threads anew.
    fn list(&mut self, around: &Around<'_>, snapshot: &mut Snapshot, buffer: &mut Buffer) -> bool {
        self.listed_at = Some(around.now);
        self.last_pid = self.births.last_pid();
        self.files.clear();
        let mut found = BTreeMap::new();
        for component in around.policy.components.values() {
            let Some(wish) = component.realtime() else { continue };
            let homes = snapshot.homes.get(&component.name).map(Vec::as_slice).unwrap_or_default();
            let mut seen = RealtimeSeen::default();
            for home in homes {
                self.list_home(around, (home, wish), &mut seen, buffer);
                let group = around.fs.group(home.path()).ok();
                if let Some(cpus) = group.and_then(|group| group.effective_cpus()) {
                    seen.cpus.insert(home.path().clone(), cpus);
                }
            }
            found.insert(component.name.clone(), seen);
        }
        let changed = differs(&snapshot.realtime, &found);
        snapshot.realtime = found;
        changed
    }

    /// The named threads in one home and below it.
    fn list_home(
        &mut self,
        around: &Around<'_>,
        (home, wish): (&Home, &RealtimePolicy),
        seen: &mut RealtimeSeen,
        buffer: &mut Buffer,
    ) {
        let groups = around.tree.groups().keys().filter(|path| home.path().contains(path));
        let threads = groups.filter_map(|path| around.fs.group(path).ok()?.threads().ok());
        for number in threads.flatten() {
            let Some((view, file)) = self.thread(number, home.path(), wish, buffer) else {
                continue;
            };
            if seen.threads.len() == MOST {
                seen.more += 1;
                continue;
            }
            self.files.insert(view.thread, file);
            seen.threads.push(view);
        }
    }

    /// The thread, if it is named.
    fn thread(
        &self,
        number: i32,
        home: &CgroupPath,
        wish: &RealtimePolicy,
        buffer: &mut Buffer,
    ) -> Option<(ThreadView, ThreadFile)> {
        let file = self.proc.thread(number)?;
        let stat = file.read(buffer)?;
        let name = printable(&String::from_utf8_lossy(stat.name));
        if !wish.threads.matches(&name) {
            return None;
        }
        let thread = ProcId { pid: number, start: stat.start };
        let (home, sched, used) = (home.clone(), stat.sched, self.time(stat.ticks));
        Some((ThreadView { thread, name, home, sched, used }, file))
    }

    const fn time(&self, ticks: u64) -> CpuTime {
        CpuTime(ticks.saturating_mul(self.tick.0))
    }
}

/// Whether they differ in more than CPU time.
fn differs(
    before: &BTreeMap<ComponentName, RealtimeSeen>,
    now: &BTreeMap<ComponentName, RealtimeSeen>,
) -> bool {
    let is_same = |a: &ThreadView, b: &ThreadView| ThreadView { used: b.used, ..a.clone() } == *b;
    let same = |a: &RealtimeSeen, b: &RealtimeSeen| {
        (a.more, &a.cpus, a.threads.len()) == (b.more, &b.cpus, b.threads.len())
            && a.threads.iter().zip(&b.threads).all(|(a, b)| is_same(a, b))
    };
    before.len() != now.len()
        || before.iter().any(|(name, seen)| now.get(name).is_none_or(|now| !same(seen, now)))
}

#[cfg(test)]
mod tests;
