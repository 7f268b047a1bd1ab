//! The exec gate at work: programs of components with `catch = "gate"` are in their group before their first instruction.
//!
//! The kernel side is `kernel::gate`: a keeper process holds execs of the named programs back for at most 50 ms while this thread moves
//! them. A move needs a group to move into, and a scope lives only while a process does; so each gated component gets an *anchor*, a
//! process of provost's own that waits for ever in the component's home and ends with the daemon.

use crate::config::{Catch, Component, Policy};
use crate::enforce::Moved;
use crate::kernel::gate::{ExecAsk, Gate, GateError, GateWatch};
use crate::kernel::poll::Waker;
use crate::kernel::process::ProcFs;
use crate::kernel::{CgroupFs, clock, write};
use crate::model::{Outcome, OutcomeOf, Snapshot, Verdict};
use crate::observe::keeper;
use crate::units::{CgroupPath, ComponentName, Span, Tick};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// Marks are set anew and missing anchors started again at this pace.
const TEND_EVERY: Span = Span::secs(10);
/// This program, whatever its path is or became.
const SELF: &str = "/proc/self/exe";

/// Which program leads to which component's home.
type Doors = Arc<Mutex<BTreeMap<PathBuf, (ComponentName, CgroupPath)>>>;

/// The open gate.
#[derive(Debug)]
pub(super) struct ExecGate {
    gate: Gate,
    programs: BTreeMap<PathBuf, ComponentName>,
    doors: Doors,
    placed: Receiver<Outcome>,
    anchors: BTreeMap<ComponentName, Child>,
    arguments: Vec<OsString>,
    tended_at: Option<Tick>,
}

impl ExecGate {
    /// Opens the gate for the policy's gated programs; none when there are no such programs.
    pub(super) fn open(
        policy: &Policy,
        arguments: &[OsString],
        waker: &Waker,
    ) -> Option<Result<Self, GateError>> {
        let programs = programs(policy);
        if programs.is_empty() {
            return None;
        }
        Some(Gate::open(Path::new(SELF), &["gate-keeper"]).map(|(gate, watch)| {
            let doors = Doors::default();
            let placed = stand_at(watch, policy.clone(), Arc::clone(&doors), waker.clone());
            let (anchors, arguments) = (BTreeMap::new(), arguments.to_vec());
            Self { gate, programs, doors, placed, anchors, arguments, tended_at: None }
        }))
    }

    /// Follows the homes, and now and then the marks and the anchors.
    pub(super) fn tend(&mut self, seen: &Snapshot, now: Tick) {
        let home = |component: &ComponentName| {
            let homes = seen.homes.get(component).map(Vec::as_slice).unwrap_or_default();
            homes.iter().find(|home| home.kind.is_own()).map(|home| home.path().clone())
        };
        let open = |(program, component): (&PathBuf, &ComponentName)| {
            Some((program.clone(), (component.clone(), home(component)?)))
        };
        let doors: BTreeMap<_, _> = self.programs.iter().filter_map(open).collect();
        // A thread that panicked with the lock left a whole map behind.
        *self.doors.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = doors;
        if self.tended_at.is_some_and(|at| now.since(at) < TEND_EVERY) {
            return;
        }
        self.tended_at = Some(now);
        let paths: Vec<PathBuf> = self.programs.keys().cloned().collect();
        for issue in self.gate.set_paths(&paths) {
            tracing::warn!("gate: {}: {}", issue.path.display(), issue.what);
        }
        let homeless: Vec<ComponentName> =
            self.programs.values().filter(|component| home(component).is_none()).cloned().collect();
        for component in homeless {
            self.anchor(component);
        }
    }

    /// Starts the component's anchor: `provost run COMPONENT -- provost anchor`.
    fn anchor(&mut self, component: ComponentName) {
        if let Some(anchor) = self.anchors.get_mut(&component)
            && matches!(anchor.try_wait(), Ok(None))
        {
            return;
        }
        let started = Command::new(SELF)
            .args(&self.arguments)
            .args(["run", component.as_str(), "--", SELF, "anchor"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        match started {
            Ok(anchor) => {
                self.anchors.insert(component, anchor);
            }
            Err(error) => tracing::warn!("gate: no anchor for {component}: {error}"),
        }
    }

    /// The processes that were moved at the gate since the last call.
    pub(super) fn placed(&self) -> Vec<Outcome> {
        self.placed.try_iter().collect()
    }
}

impl Drop for ExecGate {
    fn drop(&mut self) {
        for anchor in self.anchors.values_mut() {
            // One that ended by itself is what is wanted.
            let _killed = anchor.kill();
            let _reaped = anchor.wait();
        }
    }
}

/// The journal's word for a move at the gate.
pub(super) fn moved(outcome: &Outcome) -> Option<Moved> {
    let OutcomeOf::Process { process, from, .. } = &outcome.of else { return None };
    Some(Moved { process: *process, from: from.clone(), to: outcome.path.clone() })
}

/// The programs of gated components: executables that are named without a wildcard.
fn programs(policy: &Policy) -> BTreeMap<PathBuf, ComponentName> {
    let gated = policy.components.values().filter(|component| component.catch == Catch::Gate);
    gated
        .flat_map(|component| paths(component).map(|path| (path, component.name.clone())))
        .collect()
}

fn paths(component: &Component) -> impl Iterator<Item = PathBuf> + '_ {
    let patterns = component.rules.iter().filter_map(|rule| rule.exe.as_ref());
    let plain = |text: &&str| text.starts_with('/') && !text.contains(['*', '?', '[', '{']);
    patterns
        .flat_map(|pattern| &pattern.globs)
        .map(|glob| glob.glob().glob())
        .filter(plain)
        .map(PathBuf::from)
}

/// Answers the keeper on a thread of its own until the gate is closed.
fn stand_at(watch: GateWatch, policy: Policy, doors: Doors, waker: Waker) -> Receiver<Outcome> {
    let (tell, placed) = channel();
    let work = move || {
        let Ok((fs, roots)) = super::open_tree() else { return };
        let proc = ProcFs::at(&roots.proc);
        let ended = watch.run(|ask| {
            if let Some(outcome) = let_in(&policy, (&fs, &proc), &doors, ask) {
                report(&tell, outcome);
                waker.wake();
            }
        });
        if let Err(error) = ended {
            tracing::warn!(
                "{error}; gated programs are caught by exec events until the next reload"
            );
        }
    };
    if let Err(error) = std::thread::Builder::new().name("gate".to_owned()).spawn(work) {
        tracing::warn!("gate: no thread: {error}");
    }
    placed
}

fn report(tell: &Sender<Outcome>, outcome: Outcome) {
    // The loop is gone only while the process ends.
    let _heard = tell.send(outcome);
}

/// Moves the process that asks into its component's home.
fn let_in(
    policy: &Policy,
    (fs, proc): (&CgroupFs, &ProcFs),
    doors: &Doors,
    ask: &ExecAsk,
) -> Option<Outcome> {
    let started = clock::now();
    let doors = doors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (component, path) = doors.get(&ask.path).cloned()?;
    drop(doors);
    let process = proc.identity(ask.pid)?;
    let from = proc.cgroup(ask.pid)?;
    if path.contains(&from) || keeper(policy, &from).is_some() {
        return None;
    }
    let group = fs.group(&path).ok()?;
    write::move_process(fs, proc, &group, process).ok()?;
    let at = clock::now();
    Some(Outcome {
        at,
        component: Some(component),
        path,
        of: OutcomeOf::Process { process, from, exec_to_placed: Some(Span::ZERO) },
        verdict: Verdict::Applied,
        took: at.since(started),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pattern, Rule};
    use crate::model::Priority;
    use crate::testing::{component, policy};

    #[test]
    fn only_programs_named_in_full_are_gated() {
        let glob = |text: &str| globset::Glob::new(text).unwrap().compile_matcher();
        let globs = vec![glob("/usr/bin/rsync"), glob("/opt/*/bin/job")];
        let rule = Rule { exe: Some(Pattern { globs }), ..Rule::default() };
        let mut sync = component("sync", Priority::Low);
        sync.rules = vec![rule];
        assert!(programs(&policy([sync.clone()])).is_empty(), "caught by events");
        sync.catch = Catch::Gate;
        let programs = programs(&policy([sync]));
        assert_eq!(programs.keys().collect::<Vec<_>>(), [Path::new("/usr/bin/rsync")]);
    }
}
