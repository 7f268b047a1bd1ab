//! Starts and stops instances through systemd, each job on a thread of its own, and gives back what was started.
//!
//! **Problem.** A job of systemd's takes as long as the service takes, and a drain as long as it may. Neither the control loop nor the writer
//! can wait for that. And what was started must not be left behind when provost dies in between.
//!
//! **Approach.** Who is to be started is in the journal before that is asked for. The writer only starts a thread; the end of the job goes to
//! the control loop as any outcome does. Leaving stops every instance that the journal names, unless its component keeps it.
//!
//! **Properties.** One job at a time for each component. An instance that was stopped, or was there before, is nobody's to stop when provost
//! leaves. Asking twice does no harm: systemd starts what runs, and stops what does not, at once.

use super::aside::{self, refused};
use super::carry::{Executor, outcome};
use super::due::KEPT;
use super::hooks::Call;
use super::ledger::{Entry, Started};
use super::undo::{Giving, Returned};
use super::worker::Result as WorkerResult;
use crate::kernel::clock;
use crate::kernel::systemd::{BlockingSystemd, SystemdError};
use crate::model::{JobKind, Outcome, OutcomeOf, UnitJob, Verdict};
use crate::units::{CgroupPath, ComponentName};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The components whose jobs run.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Who is told of their ends; nobody before the worker runs.
    pub(super) tell: Option<Sender<WorkerResult>>,
    running: Arc<Mutex<BTreeSet<ComponentName>>>,
}

impl Executor {
    /// Begins a job, or says why not. How it ends is told later.
    pub(super) fn begin_job(&mut self, job: &UnitJob, tell: &mut dyn FnMut(Outcome)) {
        let started = clock::now();
        let verdict = match self.systemd {
            None => refused("instances are started and stopped by systemd, which does not run on this host; remove `instances`".to_owned()),
            Some(_) => self.jobs.begin(job, self.fs.mount().to_owned()),
        };
        tell(outcome(Some(&job.component), &job.at, of(job, false), verdict, started));
    }

    /// An instance that is to be started becomes provost's, unless it runs already.
    pub(super) fn remember_job(&mut self, job: &UnitJob) {
        if job.kind != JobKind::Start {
            return;
        }
        let runs = self.systemd().and_then(|systemd| systemd.control_group(&job.unit));
        if matches!(runs, Ok(Some(_))) {
            return;
        }
        let keep = self.keep.contains(&job.component);
        let (component, unit) = (job.component.clone(), job.unit.clone());
        self.journal.note(Entry::Started(Started { component, unit, keep }));
    }

    /// An instance was stopped by a job: it is nobody's any more. Should the disk not take that, leaving stops what does not run.
    pub(super) fn stopped(&mut self, unit: String) {
        self.journal.note(Entry::Stopped { unit });
        if let Err(error) = self.journal.sync() {
            tracing::warn!("{error}");
        }
    }

    /// Stops what provost started. Components that are to keep it keep it unless `all`.
    pub(super) fn stop_started(&mut self, all: bool, account: &mut Vec<Returned>) {
        let started: Vec<Started> = self.journal.ledger().started.values().cloned().collect();
        for Started { unit, keep, .. } in started {
            let line =
                |how| Returned { path: CgroupPath::new(&unit), what: "instance".to_owned(), how };
            if keep && !all {
                account.push(line(Giving::Left { why: KEPT.to_owned() }));
                continue;
            }
            let how = match self.systemd().and_then(|systemd| systemd.stop_unit(&unit)) {
                Ok(()) => Giving::Done { from: "started".to_owned(), to: "stopped".to_owned() },
                Err(SystemdError::NoSuchUnit { .. }) => {
                    Giving::Nothing { why: "it does not run".to_owned() }
                }
                Err(error) => {
                    Giving::Failed { why: format!("{error}; run \"systemctl stop {unit}\"") }
                }
            };
            if !matches!(how, Giving::Failed { .. }) {
                self.journal.note(Entry::Stopped { unit: unit.clone() });
            }
            account.push(line(how));
        }
    }
}

impl Jobs {
    fn begin(&self, job: &UnitJob, mount: PathBuf) -> Verdict {
        let Some(tell) = self.tell.clone() else {
            return refused("nobody would hear of its end".to_owned());
        };
        let running = Arc::clone(&self.running);
        if !lock(&running).insert(job.component.clone()) {
            return refused(format!("a job of {} runs already", job.component));
        }
        let job = job.clone();
        let name = job.component.clone();
        let run = move || {
            let started = clock::now();
            let verdict = carry_out(&job, &mount);
            lock(&running).remove(&job.component);
            outcome(Some(&job.component), &job.at, of(&job, true), verdict, started)
        };
        match aside::begin("job", tell, run) {
            Ok(()) => Verdict::Applied,
            Err(error) => {
                lock(&self.running).remove(&name);
                refused(format!("no thread for it: {error}"))
            }
        }
    }
}

fn lock(running: &Mutex<BTreeSet<ComponentName>>) -> MutexGuard<'_, BTreeSet<ComponentName>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of(job: &UnitJob, ended: bool) -> OutcomeOf {
    OutcomeOf::Unit { unit: job.unit.clone(), job: job.kind, ended }
}

/// Tells that a job was not begun.
pub(super) fn refuse(job: &UnitJob, advice: &str, tell: &mut dyn FnMut(Outcome)) {
    let verdict = refused(advice.to_owned());
    tell(outcome(Some(&job.component), &job.at, of(job, false), verdict, clock::now()));
}

/// Drains and does it, and waits for the end. A drain that fails keeps nothing from being stopped: it had its time.
fn carry_out(job: &UnitJob, mount: &Path) -> Verdict {
    if let Some(hook) = &job.drain {
        let call = Call::drain(job, hook, mount);
        let (verdict, said) = call.run();
        match verdict {
            Verdict::Refused { advice, .. } => {
                tracing::warn!(component = %job.component, unit = job.unit, said, "drain: {advice}");
            }
            Verdict::Applied | Verdict::Clipped { .. } | Verdict::Gone => {
                tracing::info!(component = %job.component, unit = job.unit, said, "drained");
            }
        }
    }
    let done = BlockingSystemd::new(aside::deadlines()).and_then(|mut systemd| match job.kind {
        JobKind::Start => systemd.start_unit(&job.unit),
        JobKind::Stop => systemd.stop_unit(&job.unit),
    });
    match (done, job.kind) {
        (Ok(()), _) | (Err(SystemdError::NoSuchUnit { .. }), JobKind::Stop) => Verdict::Applied,
        (Err(error), _) => refused(error.to_string()),
    }
}
