//! The exec gate in the daemon: processes of components with `catch = "gate"` are in their group before their first instruction.
//!
//! **Problem.** A process that is found after its exec has run outside of its limits for a while, and what it has started and
//! allocated by then stays outside. And the group to put it into may not be there before the first such process.
//!
//! **Approach.** Thread `gate-marks` owns the gate: it opens it, and marks the executables that rules name without glob characters, now
//! and every ten seconds, since an upgrade replaces files. Thread `gate` hears of each exec, judges it by the same rules as a look
//! would, and moves the process. An *anchor* for each component keeps its home in being; it is placed through the ordinary plan.
//!
//! **Properties.** Nothing waits in the control loop: both threads tell it through a channel. A process that a look would leave alone is
//! left alone. Without the gate everything else works, exec events catch the components, and the status says why.

mod paths;
mod place;

use crate::config::Policy;
use crate::enforce::Moved;
use crate::kernel::anchor::Anchor;
use crate::kernel::gate::{Gate, GateError, GateIssue};
use crate::kernel::poll::Waker;
use crate::kernel::process::ProcFs;
use crate::model::{Finding, FindingKind, Outcome, OutcomeOf, Severity, Snapshot, Verdict};
use crate::units::{ComponentName, ProcId, Span, Tick};
use paths::Gated;
use place::{Placer, Routes};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

/// This very executable, also after an upgrade has replaced its file.
const PROGRAM: &str = "/proc/self/exe";
/// Files are looked at again this often.
const MARK_EVERY: Span = Span::secs(10);
/// When leaving, the keeper's end is waited for this long; it ends with the daemon in any case.
const END_WITHIN: Span = Span::secs(2);

/// What a component loses without the gate.
const MEANWHILE: &str = "meanwhile exec events catch such programs shortly after their start";

/// What the gate's threads tell the loop.
#[derive(Debug)]
enum Told {
    /// The gate is open.
    Open,
    /// What could not be marked, of the last list.
    Issues(Vec<GateIssue>),
    /// A process was moved, or could not be.
    Moved(Box<Outcome>),
    /// There is no gate, or not any more.
    Failed(GateError),
    /// The gate was closed as it should be.
    Closed,
}

/// The threads that keep the gate. Dropping this closes it.
#[derive(Debug)]
struct Keeping {
    lists: Sender<Vec<PathBuf>>,
    told: Receiver<Told>,
    open: bool,
}

/// The gate, its anchors, and what it has to say.
#[derive(Debug)]
pub(super) struct ExecGate {
    waker: Waker,
    proc: ProcFs,
    gated: Gated,
    routes: Routes,
    keeping: Option<Keeping>,
    anchors: BTreeMap<ComponentName, Anchor>,
    issues: Vec<GateIssue>,
    failed: Option<GateError>,
    policy_is_new: bool,
    marked_at: Option<Tick>,
    failed_at: Option<Tick>,
}

impl ExecGate {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker,
            proc: ProcFs::default(),
            gated: Gated::default(),
            routes: Routes::default(),
            keeping: None,
            anchors: BTreeMap::new(),
            issues: Vec::new(),
            failed: None,
            policy_is_new: true,
            marked_at: None,
            failed_at: None,
        }
    }

    /// Another policy is in force, or enforcing was switched on: what failed is tried again.
    pub(super) const fn policy_changed(&mut self) {
        self.policy_is_new = true;
        self.marked_at = None;
        self.failed_at = None;
    }

    /// What came since the last call: moves, done or refused.
    pub(super) fn hear(&mut self, now: Tick) -> Vec<Outcome> {
        let mut moved = Vec::new();
        let Some(keeping) = &mut self.keeping else {
            return moved;
        };
        let told: Vec<Told> = keeping.told.try_iter().collect();
        let mut ended = None;
        for told in told {
            match told {
                Told::Open => {
                    keeping.open = true;
                    (self.failed, self.failed_at) = (None, None);
                    tracing::info!(programs = self.gated.paths.len(), "the exec gate is open");
                }
                Told::Issues(issues) if issues != self.issues => {
                    issues.iter().for_each(|issue| tracing::warn!("failed to {issue}"));
                    self.issues = issues;
                }
                Told::Issues(_) | Told::Closed => {}
                Told::Moved(outcome) => moved.push(*outcome),
                Told::Failed(error) => ended = Some(error),
            }
        }
        if let Some(error) = ended {
            self.failed_to(error, now);
            moved.extend(self.close());
        }
        moved
    }

    fn failed_to(&mut self, error: GateError, now: Tick) {
        if self.failed.as_ref().map(ToString::to_string) != Some(error.to_string()) {
            tracing::warn!("{}", text(&error));
        }
        (self.failed, self.failed_at) = (Some(error), Some(now));
    }

    /// Opens, marks, anchors and closes as the policy and the last look ask for.
    pub(super) fn tend(
        &mut self,
        policy: &Policy,
        enforcing: bool,
        seen: &Snapshot,
    ) -> Vec<Outcome> {
        if std::mem::take(&mut self.policy_is_new) {
            self.gated = paths::gated(policy);
            self.routes.follow(policy);
        }
        if !enforcing || self.gated.paths.is_empty() {
            (self.failed, self.failed_at) = (None, None);
            return self.close();
        }
        if self.keeping.is_none() && self.may_open(seen.at) {
            self.marked_at = None;
            match self.open() {
                Ok(keeping) => self.keeping = Some(keeping),
                Err(error) => self.failed_to(error, seen.at),
            }
        }
        let Some(keeping) = &self.keeping else {
            return Vec::new();
        };
        if self.marked_at.is_none_or(|at| seen.at.since(at) >= MARK_EVERY) {
            self.marked_at = Some(seen.at);
            // A thread that has ended has told why.
            let _sent = keeping.lists.send(self.gated.paths.iter().cloned().collect());
        }
        if keeping.open {
            self.anchor();
            self.routes.update(&seen.homes, &self.anchor_pids(), seen.host.systemd);
        }
        Vec::new()
    }

    /// What no waiting mends is tried again only with another policy.
    fn may_open(&self, now: Tick) -> bool {
        match (&self.failed, self.failed_at) {
            (Some(GateError::Keeper { .. }), Some(at)) => now.since(at) >= MARK_EVERY,
            (_, at) => at.is_none(),
        }
    }

    /// Starts the anchors that are missing, and ends those that nobody needs.
    fn anchor(&mut self) {
        let components = &self.gated.components;
        self.anchors.retain(|name, anchor| components.contains(name) && anchor.stands());
        for component in components {
            if self.anchors.contains_key(component) {
                continue;
            }
            // From the main thread: an anchor dies with the thread that started it.
            match Anchor::start(Path::new(PROGRAM), &["anchor"], &self.proc) {
                Ok(anchor) => {
                    self.anchors.insert(component.clone(), anchor);
                }
                Err(error) => tracing::warn!(%component, "failed to start an anchor: {error}"),
            }
        }
    }

    fn anchor_pids(&self) -> BTreeSet<i32> {
        self.anchors.values().map(|anchor| anchor.process().pid).collect()
    }

    /// The anchors, by the component in whose home they are to live.
    pub(super) fn anchors(&self) -> BTreeMap<ComponentName, ProcId> {
        self.anchors.iter().map(|(name, anchor)| (name.clone(), anchor.process())).collect()
    }

    /// Closes the gate and ends the anchors; when it returns nobody is moved any more. The keeper ends soon after.
    pub(super) fn close(&mut self) -> Vec<Outcome> {
        self.routes.close();
        let rest = self.keeping.take().map(|keeping| rest_of(keeping.told.try_iter()));
        self.anchors.clear();
        self.issues.clear();
        rest.unwrap_or_default()
    }

    /// As [`ExecGate::close`], and waits until the keeper has ended.
    pub(super) fn shut(&mut self) -> Vec<Outcome> {
        self.routes.close();
        let mut rest = Vec::new();
        if let Some(Keeping { lists, told, .. }) = self.keeping.take() {
            drop(lists);
            while let Ok(heard) = told.recv_timeout(END_WITHIN.duration()) {
                rest.extend(rest_of(std::iter::once(heard)));
            }
        }
        self.anchors.clear();
        rest
    }

    /// What a person should know.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let failed = self.failed.iter().map(text);
        let issues = self.issues.iter().map(|issue| format!("failed to {issue}"));
        let findings = failed.chain(issues).map(|text| finding(None, text));
        let by_events = self
            .gated
            .by_events
            .iter()
            .map(|(component, why)| finding(Some(component), format!("{why}; {MEANWHILE}")));
        findings.chain(by_events).collect()
    }

    fn open(&self) -> Result<Keeping, GateError> {
        let failed = |op, detail| GateError::Keeper { op, detail };
        let (lists, received) = channel();
        let (tell, told) = channel();
        let waker = self.waker.clone();
        let placer = Placer::new(self.routes.clone(), {
            let (tell, waker) = (tell.clone(), waker.clone());
            move |outcome| {
                let _heard = tell.send(Told::Moved(Box::new(outcome)));
                waker.wake();
            }
        });
        let placer = placer.map_err(|error| failed("open the tree for", error.to_string()))?;
        let keep = move || {
            let ended = keep_gate(&received, placer, &tell, &waker);
            // Nobody listens any more only while the gate is being closed.
            let _heard = tell.send(ended.map_or_else(Told::Failed, |()| Told::Closed));
            waker.wake();
        };
        let thread = std::thread::Builder::new().name("gate-marks".to_owned()).spawn(keep);
        thread.map_err(|error| failed("start a thread for", error.to_string()))?;
        Ok(Keeping { lists, told, open: false })
    }
}

/// Opens the gate and marks each list of programs that comes, until no more can come.
fn keep_gate(
    lists: &Receiver<Vec<PathBuf>>,
    placer: Placer,
    tell: &Sender<Told>,
    waker: &Waker,
) -> Result<(), GateError> {
    let (mut gate, watch) = Gate::open(Path::new(PROGRAM), &["gate-keeper"])?;
    let asked = {
        let (tell, waker) = (tell.clone(), waker.clone());
        move || {
            let ended = watch.run(|ask| placer.decide(ask));
            let detail = "it has ended".to_owned();
            let error = ended.err().unwrap_or(GateError::Keeper { op: "hear", detail });
            // Nobody listens any more while the gate is being closed.
            let _heard = tell.send(Told::Failed(error));
            waker.wake();
        }
    };
    let thread = std::thread::Builder::new().name("gate".to_owned()).spawn(asked);
    let thread =
        thread.map_err(|error| GateError::Keeper { op: "hear", detail: error.to_string() })?;
    let say = |told| {
        let _heard = tell.send(told);
        waker.wake();
    };
    say(Told::Open);
    while let Ok(list) = lists.recv() {
        let mut issues = paths::links(&list);
        issues.extend(gate.set_paths(&list));
        say(Told::Issues(issues));
    }
    drop(gate);
    // It ends with the keeper; a panic of it was logged by the thread itself.
    let _ended = thread.join();
    Ok(())
}

fn rest_of(told: impl Iterator<Item = Told>) -> Vec<Outcome> {
    told.filter_map(|told| if let Told::Moved(outcome) = told { Some(*outcome) } else { None })
        .collect()
}

fn finding(component: Option<&ComponentName>, text: String) -> Finding {
    let (severity, kind) = (Severity::Warning, FindingKind::Missing);
    Finding { severity, kind, component: component.cloned(), at: None, text }
}

fn text(error: &GateError) -> String {
    match error {
        GateError::NotPermitted | GateError::Unsupported { .. } => {
            format!("failed to {error}; {MEANWHILE}")
        }
        GateError::Keeper { .. } => format!("failed to {error}"),
    }
}

/// What the journal is to hold of moves that are done.
pub(super) fn done(outcomes: &[Outcome]) -> Vec<Moved> {
    let moved = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Applied);
    let moved = moved.filter_map(|outcome| match &outcome.of {
        OutcomeOf::Process { process, from, .. } => {
            Some(Moved { process: *process, from: from.clone(), to: outcome.path.clone() })
        }
        OutcomeOf::Knob { .. }
        | OutcomeOf::Group
        | OutcomeOf::Relief { .. }
        | OutcomeOf::Unit { .. }
        | OutcomeOf::Thread { .. }
        | OutcomeOf::Hook { .. }
        | OutcomeOf::Restart { .. } => None,
    });
    moved.collect()
}
