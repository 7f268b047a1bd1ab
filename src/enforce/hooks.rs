//! Calls the hooks of components: each on a thread of its own, in a group of its own, one at a time per component.
//!
//! **Problem.** A hook must neither keep the writer waiting, nor take the agent's memory and tasks, nor stand still with the group whose
//! component it is to help.
//!
//! **Approach.** The writer only starts a thread. It has a process made that waits, puts it into a scope of its own in the agent's slice
//! (without systemd, into a group of its own below the root), with little memory and few tasks, and lets it become the hook. When the hook
//! ended or its time is over, everything that is left in that group is killed. The outcome goes to the control loop as all others do.
//!
//! **Properties.** Nothing here waits but the hook's own thread. No rule of a component reaches into such a group: its name is among the
//! protected ones. It chooses nobody.

use super::aside::{self, refused};
use super::carry::outcome;
use super::worker::Result as WorkerResult;
use crate::kernel::hook::{Called, End};
use crate::kernel::process::ProcFs;
use crate::kernel::systemd::{BlockingSystemd, Deadlines, ScopeSpec};
use crate::kernel::{CgroupFs, Group, clock, relief, write};
use crate::model::{Hook, Knob, Means, OutcomeOf, Relief, UnitJob, Verdict};
use crate::units::{Bytes, CgroupPath, ComponentName, Limit, ProcId, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Hooks that run at the same time.
const MOST: usize = 8;
/// Enough for a shell and a client or two.
const MEMORY: Bytes = Bytes::mebi(64);
const TASKS: u64 = 32;
/// No component's scope is named so, as its name begins with "provost-".
const PREFIX: &str = "provost.hook-";
const SUFFIX: &str = ".scope";
const SLICE: &str = "provost-agent.slice";
/// systemd ends a scope that its hook's thread did not.
const GRACE: Span = Span::secs(15);

/// The components' hooks, and those that run.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub(super) known: BTreeMap<ComponentName, Hook>,
    /// Who is told of their ends; nobody before the worker runs.
    pub(super) tell: Option<Sender<WorkerResult>>,
    running: Arc<Mutex<BTreeSet<ComponentName>>>,
}

/// What one call needs.
#[derive(Debug)]
pub(super) struct Call {
    hook: Hook,
    /// Whose hook it is, for people.
    whose: String,
    /// What its scope is called after.
    name: String,
    /// The variables that the program has, and no others.
    variables: Vec<(&'static str, String)>,
    by_systemd: bool,
    mount: PathBuf,
}

impl Hooks {
    /// Starts a component's hook, or says why not. How it ends is told later.
    pub(super) fn begin(&self, relief: &Relief, (mount, by_systemd): (PathBuf, bool)) -> Verdict {
        let name = &relief.component;
        let (Some(hook), Some(tell)) = (self.known.get(name).cloned(), self.tell.clone()) else {
            return refused(format!("{name} has no hook now"));
        };
        let running = Arc::clone(&self.running);
        {
            let mut names = lock(&running);
            if names.len() >= MOST {
                return refused(format!("{MOST} hooks run already"));
            }
            if !names.insert(name.clone()) {
                return refused(format!("the hook of {name} still runs"));
            }
        }
        let (component, at) = (name.clone(), relief.at.path.clone());
        let (whose, name) = (component.to_string(), component.to_string());
        let call = Call { hook, whose, name, variables: variables(relief), by_systemd, mount };
        let run = move || {
            let started = clock::now();
            let (verdict, said) = call.run();
            lock(&running).remove(&component);
            let of = OutcomeOf::Hook { said };
            outcome(Some(&component), &at, of, verdict, started)
        };
        match aside::begin("hook", tell, run) {
            Ok(()) => Verdict::Applied,
            Err(error) => {
                lock(&self.running).remove(&relief.component);
                refused(format!("no thread for the hook of {}: {error}", relief.component))
            }
        }
    }
}

/// Calls a hook that is nobody's component's, for an alert, and waits for its end. How it ended, and what it wrote.
#[must_use]
pub fn call_aside(
    hook: &Hook,
    variables: Vec<(&'static str, String)>,
    (by_systemd, mount): (bool, &Path),
) -> (Verdict, String) {
    // No component's name holds a point, so that no other hook has this scope.
    let (whose, name) = ("alerts".to_owned(), "alerts.hook".to_owned());
    let (hook, mount) = (hook.clone(), mount.to_owned());
    Call { hook, whose, name, variables, by_systemd, mount }.run()
}

/// Ends what an earlier life of the daemon, or this one, left running, and removes its groups. For hosts without systemd, which does that
/// by itself.
pub(super) fn sweep(fs: &CgroupFs) {
    let Ok(root) = fs.group(&CgroupPath::root()) else { return };
    let left = fs.children(&CgroupPath::root()).unwrap_or_default();
    for name in left.iter().filter(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
        if let Ok(group) = fs.group(&CgroupPath::new(name)) {
            // Whoever is gone meanwhile is as good.
            let _killed = relief::kill(fs, &ProcFs::default(), &group);
        }
        if let Err(error) = write::remove(&root, name) {
            tracing::warn!("{}", error.advice());
        }
    }
}

fn lock(running: &Mutex<BTreeSet<ComponentName>>) -> MutexGuard<'_, BTreeSet<ComponentName>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The variables that a hook has, and no others.
fn variables(relief: &Relief) -> Vec<(&'static str, String)> {
    let why = match relief.means {
        Means::Tell { level, waits } => vec![
            ("PROVOST_LEVEL", level.to_string()),
            ("PROVOST_PRESSURE", (waits.get() / 10_000).to_string()),
        ],
        Means::TellOfLeak { tier, per_hour, until_limit } => vec![
            ("PROVOST_LEVEL", tier.alert().to_string()),
            ("PROVOST_LEAK", tier.to_string()),
            ("PROVOST_LEAK_BYTES_PER_HOUR", per_hour.0.to_string()),
            ("PROVOST_LEAK_LIMIT_SECONDS", (until_limit.0 / 1_000_000).to_string()),
        ],
        Means::Reclaim { .. }
        | Means::Probe { .. }
        | Means::Kill { .. }
        | Means::Restart { .. } => Vec::new(),
    };
    let whom = [
        ("PROVOST_COMPONENT", relief.component.to_string()),
        ("PROVOST_RESOURCE", "memory".to_owned()),
        ("PROVOST_CGROUP", relief.at.path.as_str().to_owned()),
    ];
    whom.into_iter().chain(why).collect()
}

impl Call {
    /// The call before an instance is stopped.
    pub(super) fn drain(job: &UnitJob, hook: &Hook, mount: &Path) -> Self {
        let variables = vec![
            ("PROVOST_COMPONENT", job.component.to_string()),
            ("PROVOST_UNIT", job.unit.clone()),
            ("PROVOST_CGROUP", job.at.as_str().to_owned()),
        ];
        let (whose, name) = (job.component.to_string(), format!("{}.drain", job.component));
        let (hook, mount) = (hook.clone(), mount.to_owned());
        Self { hook, whose, name, variables, by_systemd: true, mount }
    }

    /// How it ended, and what it wrote.
    pub(super) fn run(&self) -> (Verdict, String) {
        match self.ended() {
            Ok((end, said)) => (self.judged(end), shown(&said)),
            Err(why) => (refused(format!("not started: {why}")), String::new()),
        }
    }

    fn ended(&self) -> Result<(End, Vec<u8>), String> {
        let fs = CgroupFs::open(&self.mount).map_err(|error| error.to_string())?;
        let mut called =
            Called::prepare(&self.hook, &self.variables).map_err(|error| error.to_string())?;
        let group = self.place(&fs, called.pid());
        let ended = group.as_ref().map_err(Clone::clone).and_then(|_| {
            called.go()?;
            called.finish(self.hook.timeout.duration()).map_err(|error| error.to_string())
        });
        if let Ok(group) = &group {
            self.clear(&fs, group);
        }
        ended
    }

    fn unit(&self) -> String {
        format!("{PREFIX}{}{SUFFIX}", self.name)
    }

    /// Puts the process into a group of its own.
    fn place(&self, fs: &CgroupFs, pid: u32) -> Result<Group, String> {
        let number = i32::try_from(pid).map_err(|error| error.to_string())?;
        let proc = ProcFs::default();
        let process = proc.identity(number).ok_or("its process ended")?;
        let knobs = [Knob::MemoryMax(Limit::At(MEMORY)), Knob::PidsMax(Limit::At(TASKS))];
        if self.by_systemd {
            self.place_in_scope(pid, &knobs)?;
        } else {
            self.place_in_group(fs, process, &knobs)?;
        }
        let path = proc.cgroup(number).ok_or("its process ended")?;
        if path.name() != self.unit() {
            return Err(format!("its process lives in {path} and not in {}", self.unit()));
        }
        fs.group(&path).map_err(|error| error.to_string())
    }

    fn place_in_scope(&self, pid: u32, knobs: &[Knob]) -> Result<(), String> {
        let spec = ScopeSpec {
            unit: self.unit(),
            slice: SLICE.to_owned(),
            description: format!("Hook of {}, called by provost", self.whose),
            pids: vec![pid],
            knobs: knobs.to_vec(),
            lives_for: Some(Span(self.hook.timeout.0.saturating_add(GRACE.0))),
        };
        let systemd = BlockingSystemd::new(Deadlines::default());
        systemd
            .and_then(|mut systemd| systemd.start_scope(&spec))
            .map_err(|error| error.to_string())
    }

    fn place_in_group(&self, fs: &CgroupFs, process: ProcId, knobs: &[Knob]) -> Result<(), String> {
        let root = fs.group(&CgroupPath::root()).map_err(|error| error.to_string())?;
        write::make(&root, &self.unit()).map_err(|error| error.advice())?;
        let group = fs.group(&CgroupPath::new(&self.unit())).map_err(|error| error.to_string())?;
        for knob in knobs {
            // Where the controller is off, the host as a whole is the bound.
            let _set = write::knob(&group, knob);
        }
        write::move_process(fs, &ProcFs::default(), &group, process)
            .map_err(|error| error.to_string())
    }

    /// Nobody outlives the hook. systemd takes a scope away by itself when it is empty.
    fn clear(&self, fs: &CgroupFs, group: &Group) {
        let killed = relief::kill(fs, &ProcFs::default(), group);
        if let Some(error) = killed.err().filter(|error| !error.is_gone()) {
            tracing::warn!("{}", error.advice());
        }
        if self.by_systemd {
            return;
        }
        let removed = fs
            .group(&CgroupPath::root())
            .map_err(|error| error.to_string())
            .and_then(|root| write::remove(&root, &self.unit()).map_err(|error| error.advice()));
        if let Err(why) = removed {
            tracing::warn!("{why}");
        }
    }

    fn judged(&self, end: End) -> Verdict {
        match end {
            End::Exited(0) => Verdict::Applied,
            End::Exited(status) => refused(format!("ended with status {status}")),
            End::Signalled(signal) => refused(format!("ended by signal {signal}")),
            End::TimedOut => refused(format!(
                "killed after {}: let it return soon, or raise hook.timeout",
                self.hook.timeout
            )),
        }
    }
}

/// What a program wrote, fit for a log: lines without control characters.
fn shown(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let clean = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    text.trim_end().chars().map(clean).collect()
}

#[cfg(test)]
mod tests;
