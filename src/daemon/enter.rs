//! Entering a component: this process moves into the component's own home, which is made if it is not there.

use super::instance::Paths;
use super::start::{StartError, in_force, open_tree};
use crate::config::{Backend, Sources};
use crate::cycle::{State, step};
use crate::enforce::{Executor, Journal};
use crate::kernel::process::ProcFs;
use crate::kernel::systemd::{BlockingSystemd, Deadlines};
use crate::kernel::{clock, host};
use crate::model::{Action, Outcome, OutcomeOf, Plan, Snapshot, Stray, UnknownComponent, Verdict};
use crate::observe::{Collector, Happened};
use crate::units::ComponentName;
use std::path::PathBuf;

/// How entering ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// This process lives in the component's home.
    Inside {
        /// The home's `memory.pressure`, where the kernel has it.
        pressure: Option<PathBuf>,
    },
    /// The configuration has no such component.
    NoComponent(UnknownComponent),
    /// It could not be done; this process is where it was.
    Refused {
        /// Why.
        why: String,
    },
}

/// Moves this process into the component's own home, by the same plan and the same hands as the daemon's.
///
/// The limits that a new home begins with are those that hold now, by schedule and by what was given for a while: a running daemon looks at it
/// only later. It has the journal open, so what is done here is kept in a scratch journal first and added to the real one.
///
/// # Errors
/// [`StartError`] when the host or the configuration cannot be read.
pub fn enter(
    sources: &Sources,
    paths: &Paths,
    component: &ComponentName,
) -> Result<Entered, StartError> {
    let (fs, roots) = open_tree()?;
    let host = host::view(&roots);
    let policy = in_force(sources, paths, &host)?;
    if !policy.components.contains_key(component) {
        let unknown = UnknownComponent::new(component, policy.components.keys());
        return Ok(Entered::NoComponent(unknown));
    }
    let mut collector = Collector::new(fs, &roots);
    let mut seen: Snapshot = collector.look(&policy, clock::now(), Happened::default()).clone();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let proc = ProcFs::default();
    let (Some(process), Some(from)) = (proc.identity(own), proc.cgroup(own)) else {
        return Ok(Entered::Refused { why: "/proc does not show this process".to_owned() });
    };
    let comm = "provost".to_owned();
    // The caller asked for it by name, so it does not matter which service it was called from.
    seen.strays = vec![Stray {
        process,
        comm,
        component: component.clone(),
        from: from.clone(),
        exec_at: None,
    }];
    if from.name().ends_with(".service") {
        seen.strays.iter_mut().for_each(|stray| stray.from = from.child("run"));
    }
    let Some(news) = step(&policy, State::default(), &seen).news else {
        return Ok(Entered::Refused { why: "the plan came to nothing".to_owned() });
    };
    let enters = |action: &Action| action.strays().iter().any(|stray| stray.process == process);
    let actions: Vec<Action> = news.plan.actions.into_iter().filter(enters).collect();
    if actions.is_empty() {
        let why =
            news.findings.into_iter().map(|finding| finding.text).collect::<Vec<_>>().join("; ");
        return Ok(Entered::Refused { why });
    }
    let scratch = std::env::temp_dir().join(format!("provost-run-{own}"));
    let journal = Journal::open(&scratch, &host::boot_id(&roots.proc))?;
    let by_systemd = host.systemd && policy.backend != Backend::Subtree;
    let systemd = if by_systemd { Some(BlockingSystemd::new(Deadlines::default())?) } else { None };
    let (fs, _) = open_tree()?;
    let mount = fs.mount().to_owned();
    let mut executor = Executor::new(fs, systemd, journal, host.page);
    let mut outcomes = Vec::new();
    executor.carry_out(&Plan { actions }, &mut |outcome| outcomes.push(outcome));
    let _gone = std::fs::remove_dir_all(&scratch);
    Journal::add(&paths.state, executor.journal().ledger())?;
    let home = proc.cgroup(own).unwrap_or(from);
    let pressure = mount.join(home.as_str().trim_start_matches('/')).join("memory.pressure");
    Ok(judged(&outcomes, Some(pressure).filter(|file| file.exists())))
}

fn judged(outcomes: &[Outcome], pressure: Option<PathBuf>) -> Entered {
    let of_process =
        outcomes.iter().find(|outcome| matches!(outcome.of, OutcomeOf::Process { .. }));
    match of_process.map(|outcome| &outcome.verdict) {
        Some(Verdict::Applied) => Entered::Inside { pressure },
        _ => {
            let refusal = |outcome: &Outcome| match &outcome.verdict {
                Verdict::Refused { advice, .. } => Some(advice.clone()),
                Verdict::Applied | Verdict::Clipped { .. } | Verdict::Gone => None,
            };
            let why = outcomes
                .iter()
                .find_map(refusal)
                .unwrap_or_else(|| "the kernel did not move it".to_owned());
            Entered::Refused { why }
        }
    }
}
