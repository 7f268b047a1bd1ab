//! Carries a plan out: journals what is there, does each action, reads back what the kernel made of it.
//!
//! **Problem.** A half-done plan must be undoable, a refused value must be said, and a group that was made again between look and
//! write must not get what was meant for the one before.
//!
//! **Approach.** Two passes. The first reads the present value of every knob in the plan and puts all of them into the journal with
//! one sync; without that nothing is done. The second does the actions in order and reads each knob back.
//!
//! **Properties.** Every value that is replaced is in the journal before the write. A failed action never keeps the others from being
//! done. Nothing is written to a group whose identity is not the one that was planned for.

use super::cpus;
use super::failsafe::{Cap, Caps};
use super::hooks::Hooks;
use super::journal::Journal;
use super::lifecycle;
use super::threads;
use super::units::{self, Jobs};
use crate::kernel::process::ProcFs;
use crate::kernel::systemd::{BlockingSystemd, ScopeSpec, SystemdError, knows_idle, names};
use crate::kernel::write::{self, MoveError};
use crate::kernel::{CgroupFs, Group, WriteError, clock};
use crate::model::{
    Action, Change, Home, HomeKind, Hook, Knob, KnobKind, Outcome, OutcomeOf, Plan, Reading, Stray,
    Verdict,
};
use crate::units::{Bytes, CgroupPath, CgroupRef, ComponentName, Span, Tick, Weight};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// systemd answers before it has written: it realises cgroups from a queue. A value that is not there after this was not taken.
const REALISED_WITHIN: Duration = Duration::from_millis(1000);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

const IDLE: Knob = Knob::CpuWeight(Weight::IDLE);

/// Everything that enforcing needs, owned by the worker thread.
#[derive(Debug)]
pub struct Executor {
    pub(super) fs: CgroupFs,
    pub(super) proc: ProcFs,
    pub(super) systemd: Option<BlockingSystemd>,
    pub(super) journal: Journal,
    pub(super) page: Bytes,
    pub(super) root: PathBuf,
    pub(super) keep: BTreeSet<ComponentName>,
    pub(super) caps: Arc<Caps>,
    pub(super) hooks: Hooks,
    pub(super) jobs: Jobs,
}

impl Executor {
    /// An executor on the tree `fs`. `systemd` is there where systemd owns the tree.
    #[must_use]
    pub fn new(
        fs: CgroupFs,
        systemd: Option<BlockingSystemd>,
        journal: Journal,
        page: Bytes,
    ) -> Self {
        let (root, keep, caps) = (PathBuf::from("/"), BTreeSet::new(), Arc::new(Caps::new()));
        let (proc, hooks, jobs) = (ProcFs::default(), Hooks::default(), Jobs::default());
        Self { fs, proc, systemd, journal, page, root, keep, caps, hooks, jobs }
    }

    /// The components whose limits stay when provost leaves, from the configuration.
    pub fn keep(&mut self, components: BTreeSet<ComponentName>) {
        self.keep = components;
    }

    /// What components want to be called when memory is short, from the configuration.
    pub fn hooks(&mut self, hooks: BTreeMap<ComponentName, Hook>) {
        self.hooks.known = hooks;
    }

    /// What there is to give back.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Carries `plan` out and tells every outcome as it comes.
    pub fn carry_out(&mut self, plan: &Plan, tell: &mut dyn FnMut(Outcome)) {
        if let Err(error) = self.remember(plan) {
            for action in &plan.actions {
                // What gives back needs no journal.
                if let (Action::Schedule { target }, true) = (action, action.lowers()) {
                    self.schedule(target, tell);
                } else {
                    refuse(action, &error.to_string(), tell);
                }
            }
            return;
        }
        for action in &plan.actions {
            match action {
                Action::MakeScope { .. } => self.make_scope(action, tell),
                Action::MakeGroup { .. } => self.make_group(action, tell),
                Action::Attach { component, home, strays } => {
                    self.attach(component, home, strays, tell)
                }
                Action::Enable { at, controllers } => {
                    let started = clock::now();
                    let done = self.same_group(at).map(|group| write::enable(&group, controllers));
                    let verdict = done.map_or(Verdict::Gone, |done| verdict_of(done.err()));
                    tell(outcome(None, &at.path, OutcomeOf::Group, verdict, started));
                }
                Action::SetUnit { unit, at, changes } => self.set_unit(unit, at, changes, tell),
                Action::Write { at, change } => self.write(at, change, tell),
                Action::Relieve { relief } => self.relieve(relief, tell),
                Action::Schedule { target } => self.schedule(target, tell),
                Action::Job { job } => self.begin_job(job, tell),
            }
        }
    }

    /// The group, if it is still the one that was planned for.
    pub(super) fn same_group(&self, at: &CgroupRef) -> Option<Group> {
        self.fs.group(&at.path).ok().filter(|group| group.id() == at.id)
    }

    fn write(&mut self, at: &CgroupRef, change: &Change, tell: &mut dyn FnMut(Outcome)) {
        let started = clock::now();
        if change.new == Knob::CgroupFreeze(true)
            && let Some(verdict) = self.may_not_stand_still(&at.path)
        {
            tell(self.knob_outcome(at, change, verdict, started));
            return;
        }
        let kind = change.new.kind();
        let covers = change.reason.is_passing()
            && change.new.as_kernel_keeps(self.page)
                != self.journal.ledger().beneath(&at.path, kind);
        if covers {
            self.hand_over(&at.path, kind);
        }
        let verdict = match self.same_group(at) {
            None => Verdict::Gone,
            Some(group) => self.write_knob(&group, &change.new),
        };
        if !covers {
            self.caps.forget(&at.path, kind);
        }
        tell(self.knob_outcome(at, change, verdict, started));
    }

    /// Hands the passing value that the journal holds to the failsafe.
    fn hand_over(&self, path: &CgroupPath, kind: KnobKind) {
        let (ledger, key) = (self.journal.ledger(), (path.clone(), kind));
        let (Some((id, passing)), Ok(group)) = (ledger.passing.get(&key), self.fs.group(path))
        else {
            return;
        };
        if group.id() != *id {
            return;
        }
        let original = ledger.originals.get(&key);
        self.caps.hold(Cap {
            component: original.and_then(|original| original.component.clone()),
            original: original.and_then(|original| original.value.clone()),
            ..Cap::new(group, passing.clone(), ledger.beneath(path, kind))
        });
    }

    /// Hands over what an earlier life of the daemon left.
    pub(super) fn hand_over_adopted(&self) {
        self.journal.ledger().raised.values().for_each(|raised| self.caps.hold_thread(raised));
        for (path, kind) in self.journal.ledger().passing.keys() {
            self.hand_over(path, *kind);
        }
    }

    /// Writes one knob and reads it back.
    fn write_knob(&self, group: &Group, knob: &Knob) -> Verdict {
        match cpus::write(&self.root, group, knob) {
            // For io.max, ENODEV alone would rather mean the disk.
            Err(_) if group.is_removed() => Verdict::Gone,
            Err(error) => verdict_of(Some(error)),
            Ok(()) => match cpus::ungranted(group, knob) {
                Some(advice) => Verdict::Refused { errno: 0, advice },
                None => self.read_back(group, knob),
            },
        }
    }

    fn read_back(&self, group: &Group, asked: &Knob) -> Verdict {
        match group.knob(asked.kind()) {
            Reading::Is(effective) if effective == asked.as_kernel_keeps(self.page) => {
                Verdict::Applied
            }
            Reading::Is(effective) => Verdict::Clipped { effective },
            Reading::Gone => Verdict::Gone,
            Reading::Absent => Verdict::Refused {
                errno: 0,
                advice: format!(
                    "{} has no {} though it was set: its controller is not enabled there; see \"provost doctor\"",
                    group.at().path,
                    asked.kind()
                ),
            },
            Reading::Failed(fault) => Verdict::Refused { errno: fault.errno, advice: fault.what },
        }
    }

    fn set_unit(
        &mut self,
        unit: &str,
        at: &CgroupRef,
        changes: &[Change],
        tell: &mut dyn FnMut(Outcome),
    ) {
        let started = clock::now();
        let Some(group) = self.same_group(at) else {
            for change in changes {
                tell(self.knob_outcome(at, change, Verdict::Gone, started));
            }
            return;
        };
        let knobs = self.as_systemd_takes(changes);
        if let Err(error) = self.systemd().and_then(|systemd| systemd.set_knobs(unit, &knobs)) {
            let verdict = Verdict::Refused { errno: 0, advice: error.to_string() };
            for change in changes {
                tell(self.knob_outcome(at, change, verdict.clone(), started));
            }
            return;
        }
        let (unset, set): (Vec<Knob>, Vec<Knob>) = knobs.into_iter().partition(cpus::is_unset);
        self.await_realised(&group, &set);
        for change in changes {
            let verdict = if change.new == IDLE && set.contains(&IDLE) {
                self.write_knob(&group, &change.new) // where the kernel lacks it, systemd has left the weight as it was
            } else if !unset.contains(&change.new) {
                self.read_back(&group, &change.new)
            } else if group.knob(KnobKind::CpusetCpus) == Reading::Absent {
                Verdict::Applied // systemd turned the controller off, as nobody needs it any more
            } else {
                // systemd does not look whether the kernel took it.
                self.write_knob(&group, &change.new)
            };
            self.caps.forget(&at.path, change.new.kind());
            tell(self.knob_outcome(at, change, verdict, started));
        }
    }

    /// A systemd that does not know idle weights refuses the whole call for one of them: it is asked for the least.
    fn as_systemd_takes(&mut self, changes: &[Change]) -> Vec<Knob> {
        let mut knobs: Vec<Knob> = changes.iter().map(|change| change.new.clone()).collect();
        if let Some(idle) = knobs.iter_mut().find(|knob| **knob == IDLE) {
            let version = self.systemd().and_then(|systemd| systemd.version());
            if !version.is_ok_and(|version| knows_idle(&version)) {
                *idle = Knob::CpuWeight(Weight::MIN);
            }
        }
        knobs
    }

    pub(super) fn systemd(&mut self) -> Result<&mut BlockingSystemd, SystemdError> {
        self.systemd.as_mut().ok_or_else(|| SystemdError::Failed {
            what: "ask systemd".to_owned(),
            message: "systemd does not run on this host".to_owned(),
        })
    }

    /// Waits until the group holds all of `knobs`, or long enough.
    pub(super) fn await_realised(&self, group: &Group, knobs: &[Knob]) {
        let mut waited = Duration::ZERO;
        let is_there = |knob: &Knob| self.read_back(group, knob) == Verdict::Applied;
        while waited < REALISED_WITHIN && !knobs.iter().all(is_there) {
            std::thread::sleep(LOOK_AGAIN);
            waited += LOOK_AGAIN;
        }
    }

    fn make_scope(&mut self, action: &Action, tell: &mut dyn FnMut(Outcome)) {
        let Action::MakeScope { component, unit, slice, path, strays, changes } = action else {
            return;
        };
        let started = clock::now();
        let alive: Vec<&Stray> = strays
            .iter()
            .filter(|stray| self.proc.identity(stray.process.pid) == Some(stray.process))
            .collect();
        for stray in strays.iter().filter(|stray| !alive.contains(stray)) {
            tell(self.process_outcome(component, path, stray, (Verdict::Gone, started)));
        }
        if alive.is_empty() {
            return;
        }
        let spec = ScopeSpec {
            unit: unit.clone(),
            slice: slice.clone(),
            description: format!("Loose processes of {component}, kept by provost"),
            pids: alive.iter().filter_map(|stray| u32::try_from(stray.process.pid).ok()).collect(),
            knobs: changes.iter().map(|change| change.new.clone()).collect(),
            lives_for: None,
        };
        let made = self.systemd().and_then(|systemd| systemd.start_scope(&spec));
        let verdict = match &made {
            Ok(()) => Verdict::Applied,
            Err(error) => Verdict::Refused { errno: 0, advice: error.to_string() },
        };
        tell(outcome(Some(component), path, OutcomeOf::Group, verdict.clone(), started));
        for stray in alive {
            let verdict =
                if made.is_ok() { self.where_it_is(stray, path) } else { verdict.clone() };
            tell(self.process_outcome(component, path, stray, (verdict, started)));
        }
        if made.is_ok() {
            self.knobs_of_new_home(path, changes, (true, started), tell);
        }
    }

    fn make_group(&mut self, action: &Action, tell: &mut dyn FnMut(Outcome)) {
        let Action::MakeGroup { component, path, controllers, strays, changes } = action else {
            return;
        };
        let started = clock::now();
        let made = lifecycle::make(&self.fs, path, controllers);
        let verdict = match &made {
            Ok(()) => Verdict::Applied,
            Err(error) => Verdict::Refused { errno: 0, advice: error.to_string() },
        };
        tell(outcome(Some(component), path, OutcomeOf::Group, verdict, started));
        if made.is_err() {
            return;
        }
        self.knobs_of_new_home(path, changes, (false, started), tell);
        if let Ok(group) = self.fs.group(path) {
            let home = Home { at: group.at().clone(), kind: HomeKind::OwnGroup };
            self.attach(component, &home, strays, tell);
        }
    }

    /// The knobs of a home that was just made: those that systemd set with the scope are read back, the others are written.
    fn knobs_of_new_home(
        &self,
        path: &CgroupPath,
        changes: &[Change],
        (by_systemd, started): (bool, Tick),
        tell: &mut dyn FnMut(Outcome),
    ) {
        let Ok(group) = self.fs.group(path) else {
            return;
        };
        let is_set = |knob: &Knob| by_systemd && !names(knob.kind()).is_empty();
        let set: Vec<Knob> =
            changes.iter().map(|change| change.new.clone()).filter(is_set).collect();
        self.await_realised(&group, &set);
        for change in changes {
            let verdict = if is_set(&change.new) {
                self.read_back(&group, &change.new)
            } else {
                self.write_knob(&group, &change.new)
            };
            tell(self.knob_outcome(group.at(), change, verdict, started));
        }
    }

    fn attach(
        &self,
        component: &ComponentName,
        home: &Home,
        strays: &[Stray],
        tell: &mut dyn FnMut(Outcome),
    ) {
        let group = self.same_group(&home.at);
        for stray in strays {
            let started = clock::now();
            let verdict = match &group {
                None => Verdict::Gone,
                Some(group) => {
                    match write::move_process(&self.fs, &self.proc, group, stray.process) {
                        Ok(()) => self.where_it_is(stray, home.path()),
                        Err(MoveError::Gone(_)) => Verdict::Gone,
                        Err(error @ MoveError::Forbidden(_)) => {
                            Verdict::Refused { errno: 0, advice: error.to_string() }
                        }
                        Err(MoveError::Refused(error)) => verdict_of(Some(error)),
                    }
                }
            };
            tell(self.process_outcome(component, home.path(), stray, (verdict, started)));
        }
    }

    /// Whether the process really lives there now.
    fn where_it_is(&self, stray: &Stray, path: &CgroupPath) -> Verdict {
        if self.proc.identity(stray.process.pid) != Some(stray.process) {
            return Verdict::Gone;
        }
        match self.proc.cgroup(stray.process.pid) {
            Some(now) if path.contains(&now) => Verdict::Applied,
            Some(now) => {
                Verdict::Refused { errno: 0, advice: format!("it lives in {now} nevertheless") }
            }
            None => Verdict::Gone,
        }
    }

    fn knob_outcome(
        &self,
        at: &CgroupRef,
        change: &Change,
        verdict: Verdict,
        started: Tick,
    ) -> Outcome {
        let kind: KnobKind = change.new.kind();
        let original = self.journal.ledger().originals.get(&(at.path.clone(), kind));
        let of = OutcomeOf::Knob {
            knob: kind,
            asked: change.new.clone(),
            id: Some(at.id),
            original: original.and_then(|original| original.value.clone()),
            passing: change.reason.is_passing(),
        };
        outcome(change.component.as_ref(), &at.path, of, verdict, started)
    }

    fn process_outcome(
        &self,
        component: &ComponentName,
        path: &CgroupPath,
        stray: &Stray,
        (verdict, started): (Verdict, Tick),
    ) -> Outcome {
        let placed = verdict == Verdict::Applied;
        let of = OutcomeOf::Process {
            process: stray.process,
            comm: stray.comm.clone(),
            from: stray.from.clone(),
            exec_to_placed: stray.exec_at.filter(|_| placed).map(|at| clock::now().since(at)),
        };
        outcome(Some(component), path, of, verdict, started)
    }
}

pub(super) fn outcome(
    component: Option<&ComponentName>,
    path: &CgroupPath,
    of: OutcomeOf,
    verdict: Verdict,
    started: Tick,
) -> Outcome {
    let at = clock::now();
    let took: Span = at.since(started);
    Outcome { at, component: component.cloned(), path: path.clone(), of, verdict, took }
}

pub(super) fn verdict_of(error: Option<WriteError>) -> Verdict {
    match error {
        None => Verdict::Applied,
        Some(error) if error.is_gone() => Verdict::Gone,
        Some(error) => Verdict::Refused { errno: error.number(), advice: error.advice() },
    }
}

/// Tells that nothing of the action was done.
fn refuse(action: &Action, advice: &str, tell: &mut dyn FnMut(Outcome)) {
    let started = clock::now();
    let verdict = Verdict::Refused { errno: 0, advice: advice.to_owned() };
    let component = match action {
        Action::MakeScope { component, .. }
        | Action::MakeGroup { component, .. }
        | Action::Attach { component, .. } => Some(component),
        Action::Enable { .. } => None,
        Action::Relieve { relief } => {
            let of = OutcomeOf::Relief { means: relief.means };
            tell(outcome(Some(&relief.component), &relief.at.path, of, verdict, started));
            return;
        }
        Action::Schedule { target } => return threads::refuse(target, advice, tell),
        Action::Job { job } => return units::refuse(job, advice, tell),
        Action::SetUnit { at, changes, .. } => return refuse_knobs(at, changes, advice, tell),
        Action::Write { at, change } => {
            return refuse_knobs(at, std::slice::from_ref(change), advice, tell);
        }
    };
    tell(outcome(component, action.path(), OutcomeOf::Group, verdict, started));
}

fn refuse_knobs(at: &CgroupRef, changes: &[Change], advice: &str, tell: &mut dyn FnMut(Outcome)) {
    for change in changes {
        let of = OutcomeOf::Knob {
            knob: change.new.kind(),
            asked: change.new.clone(),
            id: Some(at.id),
            original: change.old.value().cloned(),
            passing: change.reason.is_passing(),
        };
        let verdict = Verdict::Refused { errno: 0, advice: advice.to_owned() };
        tell(outcome(change.component.as_ref(), &at.path, of, verdict, clock::now()));
    }
}
