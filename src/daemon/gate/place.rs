//! Places a process that waits to execute a gated program: on the gate's thread, within its deadline.

use crate::config::Policy;
use crate::daemon::{StartError, open_tree};
use crate::kernel::gate::ExecAsk;
use crate::kernel::process::ProcFs;
use crate::kernel::write::{self, MoveError};
use crate::kernel::{CgroupFs, clock};
use crate::model::{Home, Outcome, OutcomeOf, Verdict};
use crate::observe::{World, about_to_execute, belongs};
use crate::units::{ComponentName, ProcId, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the loop knows and the gate's thread needs.
#[derive(Debug, Default)]
struct Known {
    policy: Option<Policy>,
    homes: BTreeMap<ComponentName, Vec<Home>>,
    anchors: BTreeSet<i32>,
    systemd: bool,
    open: bool,
}

/// Shared between the loop and the gate's thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Routes {
    known: Arc<Mutex<Known>>,
    /// Held during a move.
    moving: Arc<Mutex<()>>,
}

impl Routes {
    /// A panic of the other thread leaves whole values: each is assigned at once.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn follow(&self, policy: &Policy) {
        self.known().policy = Some(policy.clone());
    }

    /// Takes over where components live now, and lets processes be moved.
    pub(super) fn update(
        &self,
        homes: &BTreeMap<ComponentName, Vec<Home>>,
        anchors: &BTreeSet<i32>,
        systemd: bool,
    ) {
        let mut known = self.known();
        if known.homes != *homes {
            known.homes.clone_from(homes);
        }
        known.anchors.clone_from(anchors);
        (known.systemd, known.open) = (systemd, true);
    }

    /// From its return on nobody is moved.
    pub(super) fn close(&self) {
        self.known().open = false;
        drop(self.moving.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Moves processes on the gate's thread.
pub(super) struct Placer {
    fs: CgroupFs,
    proc: ProcFs,
    agent: i32,
    routes: Routes,
    tell: Box<dyn Fn(Outcome) + Send>,
}

impl fmt::Debug for Placer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placer").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl Placer {
    /// A placer that tells every move, done or refused.
    ///
    /// # Errors
    /// [`StartError`] when the tree cannot be opened.
    pub(super) fn new(
        routes: Routes,
        tell: impl Fn(Outcome) + Send + 'static,
    ) -> Result<Self, StartError> {
        let (fs, roots) = open_tree()?;
        let agent = i32::try_from(std::process::id()).unwrap_or(0);
        Ok(Self { fs, proc: ProcFs::at(&roots.proc), agent, routes, tell: Box::new(tell) })
    }

    /// Moves the process that asks into its component's home, if it belongs into one and may be moved.
    pub(super) fn decide(&self, ask: &ExecAsk) {
        let started = clock::now();
        let _moving = self.routes.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((component, home, process)) = self.destination(ask) else {
            return;
        };
        let from = self.proc.cgroup(process.pid).unwrap_or_default();
        let Some(group) = self.fs.group(home.path()).ok().filter(|group| *group.at() == home.at)
        else {
            return; // The home was removed since the last look; the exec event catches the process.
        };
        let verdict = match write::move_process(&self.fs, &self.proc, &group, process) {
            Ok(()) => Verdict::Applied,
            Err(MoveError::Gone(_) | MoveError::Forbidden(_)) => return,
            Err(MoveError::Refused(error)) => {
                Verdict::Refused { errno: error.errno as i32, advice: error.advice() }
            }
        };
        // It has run outside only since the keeper let it go, if it did.
        let late = Span(u64::try_from(ask.overdue().as_micros()).unwrap_or(u64::MAX));
        let exec_to_placed = (verdict == Verdict::Applied).then_some(late);
        let comm = ask.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let at = clock::now();
        (self.tell)(Outcome {
            at,
            component: Some(component),
            path: home.path().clone(),
            of: OutcomeOf::Process { process, comm, from, exec_to_placed },
            verdict,
            took: at.since(started),
        });
    }

    fn destination(&self, ask: &ExecAsk) -> Option<(ComponentName, Home, ProcId)> {
        // Read before the lock is taken, so that the loop never waits for /proc.
        let processes = about_to_execute(&self.proc, ask.pid, &ask.path);
        let process = processes.get(&ask.pid)?.id;
        let agent_at = self.proc.cgroup(self.agent).unwrap_or_default();
        let known = self.routes.known();
        let policy = known.policy.as_ref().filter(|_| known.open)?;
        let world = World {
            groups: &[],
            processes: &processes,
            pidfiles: &BTreeMap::new(),
            agent: self.agent,
            agent_at: &agent_at,
            anchors: &known.anchors,
            systemd: known.systemd,
        };
        let component = belongs(policy, &world, &known.homes, ask.pid)?;
        let home = known.homes.get(&component)?.iter().find(|home| home.kind.is_own())?;
        Some((component, home.clone(), process))
    }
}
