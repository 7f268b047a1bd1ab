//! The collector: keeps handles between looks and reads again only what can have changed.
//!
//! **Problem.** A full look at a host of 1000 components costs tens of milliseconds; it is needed at start and every ten seconds, not
//! every second.
//!
//! **Approach.** Four tiers. Usage of every view is read at each look through held files, parents before children. What groups wait for
//! is read at each look of protected components and of as many others in turn as [`WAITING_PER_LOOK`] allows. Knobs are read again
//! where somebody wrote (inotify names the group). The tree and the processes are read again when a group or a process came or went.
//! A reconciliation reads all of it again though nothing was said: the tree at once, knobs and processes in the looks that follow, each
//! in its turn ([`Round`]), or at once as well where it was asked for.
//!
//! **Properties.** A steady look allocates nothing per group and leaves the generation as it was. What vanished in the middle of a
//! read is left out, never taken as zero.

mod views;

use super::bind::{GroupFacts, World, bind};
use super::processes::Processes;
use super::round::{Again, Round};
use super::threads::{Around, Threads};
use super::tree::Tree;
use crate::config::Policy;
use crate::kernel::anchor::COMM as ANCHOR;
use crate::kernel::host;
use crate::kernel::load::LoadSampler;
use crate::kernel::probe::Roots;
use crate::kernel::process::ProcFs;
use crate::kernel::sampler::Buffer;
use crate::kernel::topology::OnlineWatch;
use crate::kernel::{CgroupFs, ErrnoClass, Sampler};
use crate::model::{FileSystem, Home, KnobKind, Outcome, OutcomeOf, Resource, Snapshot, Stray};
use crate::units::{CgroupPath, ComponentName, ProcId, Span, Tick};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Between two reconciliations everything rests on events.
const RECONCILE_EVERY: Span = Span::secs(10);

/// A look that only an executed program asked for, so soon after a whole one, reads that program and leaves everything else as it is: a
/// compiler starts hundreds in a second.
const BRIEF_WITHIN: Span = Span::millis(500);
/// Of so many groups, and at least of a fifth of all, the waiting tier is read at each look besides that of protected components: on
/// most hosts of all. Such a group's files cost 10 us hot.
const WAITING_PER_LOOK: usize = 64;

/// What happened since the last look.
#[derive(Debug, Default)]
pub struct Happened {
    /// Programs that were executed, with the time.
    pub executed: Vec<(i32, Tick)>,
    /// Process events were lost: read all processes again.
    pub lost: bool,
    /// Groups in which a file was written.
    pub written: BTreeSet<CgroupPath>,
    /// A group came or went.
    pub restructured: bool,
    /// What came of earlier actions.
    pub outcomes: Vec<Outcome>,
    /// Knobs whose write has not returned yet.
    pub pending: BTreeSet<(CgroupPath, KnobKind)>,
    /// Resources whose emergency trigger fired.
    pub alarms: BTreeSet<Resource>,
    /// When systemd last said that it reloads.
    pub reloaded_at: Option<Tick>,
    /// Reconcile at once.
    pub reconcile: bool,
    /// Resources for which a protected component waited.
    pub waiting: BTreeSet<Resource>,
    /// How full file systems are, when a survey has ended.
    pub filesystems: Option<Vec<FileSystem>>,
    /// The agent's anchors: processes of its own that are to live in a component's own home.
    pub anchors: BTreeMap<ComponentName, ProcId>,
}

impl Happened {
    /// Whether programs were executed and nothing else happened.
    fn only_executions(&self) -> bool {
        let quiet = self.written.is_empty()
            && self.outcomes.is_empty()
            && self.waiting.is_empty()
            && self.alarms.is_empty();
        !self.executed.is_empty() && quiet && !self.lost && !self.restructured && !self.reconcile
    }
}

/// Looks at the host.
#[derive(Debug)]
pub struct Collector {
    fs: CgroupFs,
    roots: Roots,
    tree: Tree,
    processes: Processes,
    threads: Threads,
    samplers: BTreeMap<CgroupPath, Sampler>,
    /// Where the turn of those whose waiting tier is not read at every look goes on.
    turn: usize,
    /// Groups whose knobs are still to be read again.
    round: Round<CgroupPath>,
    load: LoadSampler,
    online: OnlineWatch,
    snapshot: Snapshot,
    agent: ProcId,
    anchors: BTreeMap<ComponentName, ProcId>,
    reconciled_at: Option<Tick>,
    regrouped: bool,
    buffer: Box<Buffer>,
}

impl Collector {
    /// A collector on the tree `fs`, with the kernel's files at the given roots.
    #[must_use]
    pub fn new(fs: CgroupFs, roots: &Roots) -> Self {
        let proc = ProcFs::at(&roots.proc);
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let agent = proc.identity(own).unwrap_or(ProcId { pid: own, start: 0 });
        let snapshot = Snapshot::new(Tick::default(), host::view(roots));
        Self {
            fs,
            roots: roots.clone(),
            tree: Tree::default(),
            threads: Threads::new(proc.clone()),
            processes: Processes::new(proc),
            samplers: BTreeMap::new(),
            turn: 0,
            round: Round::default(),
            load: LoadSampler::new(roots),
            online: OnlineWatch::new(roots),
            snapshot,
            agent,
            anchors: BTreeMap::new(),
            reconciled_at: None,
            regrouped: false,
            buffer: Box::new([0; 16 << 10]),
        }
    }

    /// The tree that is looked at.
    #[must_use]
    pub const fn fs(&self) -> &CgroupFs {
        &self.fs
    }

    /// The last look.
    #[must_use]
    pub const fn last(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Looks at the host now.
    pub fn look(&mut self, policy: &Policy, now: Tick, happened: Happened) -> &Snapshot {
        let is_first = self.reconciled_at.is_none() && self.snapshot.generation == 0;
        let again = self.again(now, happened.reconcile || is_first);
        let soon = now.since(self.snapshot.at) < BRIEF_WITHIN && self.snapshot.generation > 0;
        let brief = soon && again == Again::Nothing && happened.only_executions();
        let mut written = happened.written;
        written.extend(happened.outcomes.iter().map(|outcome| outcome.path.clone()));
        let mut changed = !happened.outcomes.is_empty();
        let (again, is_another_host) = self.look_at_host(brief, again);
        changed |= is_another_host;
        let mut rebind = self.changed_processes(policy, &happened.executed, happened.lost);
        if !brief && self.names_processes(policy) {
            rebind |= self.processes.look(now, again);
        }
        rebind |= self.anchors != happened.anchors;
        self.anchors = happened.anchors;
        let placed = self.placed(&happened.outcomes);
        let elsewhere = happened.executed.iter().any(|(pid, _)| self.in_unknown_group(*pid));
        let reconcile = again != Again::Nothing;
        if reconcile {
            self.reconciled_at = Some(now);
        }
        let restructured = reconcile || happened.restructured || placed || elsewhere;
        let walked = restructured && self.tree.walk(&self.fs);
        rebind |= walked || placed || happened.restructured || self.snapshot.generation == 0;
        let rebound = rebind && self.rebind(policy);
        changed |= rebound;
        self.regrouped = restructured || rebound;
        if self.regrouped || !written.is_empty() {
            changed |= self.update_views(policy, &written, again);
        }
        if !brief || self.regrouped {
            changed |= self.go_round(policy, now, again);
            changed |= self.sample(now, is_first);
            let anew = self.regrouped || changed || !written.is_empty();
            changed |= self.look_at_threads(policy, now, anew);
            self.snapshot.at = now;
        }
        let snapshot = &mut self.snapshot;
        changed |=
            snapshot.pending != happened.pending || snapshot.reloaded_at != happened.reloaded_at;
        snapshot.outcomes = happened.outcomes;
        snapshot.waiting = happened.waiting;
        snapshot.pending = happened.pending;
        snapshot.reloaded_at = happened.reloaded_at;
        snapshot.alarms = happened.alarms;
        if let Some(filesystems) = happened.filesystems {
            snapshot.filesystems = filesystems;
        }
        snapshot.generation += u64::from(changed);
        snapshot
    }

    fn look_at_threads(&mut self, policy: &Policy, now: Tick, anew: bool) -> bool {
        let around = Around { policy, fs: &self.fs, tree: &self.tree, now, anew };
        self.threads.look(&around, &mut self.snapshot, &mut self.buffer)
    }

    /// Whether the last look may have changed [`Collector::watched`]; certainly so at each reconciliation.
    #[must_use]
    pub const fn regrouped(&self) -> bool {
        self.regrouped
    }

    /// The groups worth watching: those that are looked at, and all slices, in which units come and go.
    #[must_use]
    pub fn watched(&self) -> BTreeSet<CgroupPath> {
        let slices = self.tree.groups().keys().filter(|path| path.name().ends_with(".slice"));
        slices.chain(self.samplers.keys()).cloned().collect()
    }

    /// Forgets what was bound, so that the next look binds by a new policy.
    pub fn policy_changed(&mut self) {
        self.reconciled_at = None;
        self.snapshot.generation = 0;
        self.snapshot.homes.clear();
    }

    fn names_processes(&self, policy: &Policy) -> bool {
        policy
            .components
            .values()
            .flat_map(|component| &component.rules)
            .any(crate::config::Rule::names_processes)
    }

    fn changed_processes(&mut self, policy: &Policy, executed: &[(i32, Tick)], lost: bool) -> bool {
        if !self.names_processes(policy) {
            return false;
        }
        let mut changed = lost && self.processes.rescan();
        for (pid, at) in executed {
            changed |= self.processes.executed(*pid, *at);
        }
        changed
    }

    /// Whether the process lives in a group that was not there when the tree was walked.
    fn in_unknown_group(&self, pid: i32) -> bool {
        let process = self.processes.known().get(&pid);
        process.is_some_and(|process| !self.tree.groups().contains_key(&process.cgroup))
    }

    /// Reads the processes again that were moved, so that they are no strays any more.
    fn placed(&mut self, outcomes: &[Outcome]) -> bool {
        let mut changed = false;
        for outcome in outcomes {
            match outcome.of {
                OutcomeOf::Process { process, .. } => changed |= self.processes.moved(process),
                OutcomeOf::Group => changed = true,
                OutcomeOf::Knob { .. }
                | OutcomeOf::Relief { .. }
                | OutcomeOf::Thread { .. }
                | OutcomeOf::Unit { .. }
                | OutcomeOf::Hook { .. }
                | OutcomeOf::Restart { .. } => {}
            }
        }
        changed
    }

    /// Whether a reconciliation is due or asked for.
    fn again(&self, now: Tick, is_asked: bool) -> Again {
        let due = self.reconciled_at.is_none_or(|at| now.since(at) >= RECONCILE_EVERY);
        if is_asked {
            Again::AtOnce
        } else if due {
            Again::InTurn
        } else {
            Again::Nothing
        }
    }

    /// Reads the host again where that is due or its CPUs changed. On another host everything may be another, at once. Whether it is one.
    fn look_at_host(&mut self, brief: bool, again: Again) -> (Again, bool) {
        let reconcile = again != Again::Nothing;
        if !reconcile && (brief || !self.online.changed(&mut self.buffer)) {
            return (again, false);
        }
        let changed = self.reread_host();
        (if reconcile && changed { Again::AtOnce } else { again }, changed)
    }

    fn reread_host(&mut self) -> bool {
        let host = host::view_again(&self.roots, &self.snapshot.host);
        let changed = host != self.snapshot.host;
        self.snapshot.host = host;
        self.load.refresh(&self.roots.proc);
        changed
    }

    fn rebind(&mut self, policy: &Policy) -> bool {
        let groups: Vec<GroupFacts> = self
            .tree
            .groups()
            .iter()
            .map(|(path, id)| GroupFacts { path: path.clone(), id: *id })
            .collect();
        let pidfiles = pidfiles(policy);
        let anchors = self.anchors.values().map(|anchor| anchor.pid).collect();
        let agent_at = self.processes.cgroup_of(self.agent.pid).unwrap_or_default();
        let world = World {
            agent_at: &agent_at,
            groups: &groups,
            processes: self.processes.known(),
            pidfiles: &pidfiles,
            agent: self.agent.pid,
            anchors: &anchors,
            systemd: self.snapshot.host.systemd,
        };
        let mut bindings = bind(policy, &world);
        bindings.strays.extend(self.stray_anchors(&bindings.homes));
        let snapshot = &mut self.snapshot;
        let changed = snapshot.homes != bindings.homes
            || snapshot.strays != bindings.strays
            || snapshot.refused != bindings.refused;
        snapshot.homes = bindings.homes;
        snapshot.strays = bindings.strays;
        snapshot.refused = bindings.refused;
        changed
    }

    /// The anchors that do not live in their component's own home yet.
    fn stray_anchors(&self, homes: &BTreeMap<ComponentName, Vec<Home>>) -> Vec<Stray> {
        let is_home = |component: &ComponentName, cgroup: &CgroupPath| {
            let homes = homes.get(component).map(Vec::as_slice).unwrap_or_default();
            homes.iter().any(|home| home.kind.is_own() && home.path() == cgroup)
        };
        let strays = self.anchors.iter().filter_map(|(component, process)| {
            let cgroup = self.processes.cgroup_of(process.pid)?;
            (!is_home(component, &cgroup)).then(|| Stray {
                process: *process,
                comm: ANCHOR.to_owned(),
                component: component.clone(),
                // Nobody is ever put back to where the agent lives.
                from: cgroup.child(ANCHOR),
                exec_at: None,
            })
        });
        strays.collect()
    }

    /// Reads usage of every view, and what groups wait for: of all, or of those whose turn it is. Whether a group turned out to be gone.
    fn sample(&mut self, now: Tick, all: bool) -> bool {
        let mut gone = false;
        let count = self.samplers.len();
        let share = WAITING_PER_LOOK.max(count.div_ceil(5));
        let (from, to) = (self.turn, self.turn.saturating_add(share));
        let mut views = self.snapshot.groups.iter_mut().peekable();
        // Both are sorted by path: a parent comes before its children.
        for (number, (path, sampler)) in self.samplers.iter_mut().enumerate() {
            while views.next_if(|(at, _)| *at < path).is_some() {}
            let Some((_, view)) = views.next_if(|(at, _)| *at == path) else {
                continue;
            };
            match sampler.fast(&mut self.buffer, &mut view.usage) {
                Ok(()) => {}
                Err(ErrnoClass::Gone) => gone = true,
                // A counter that could not be read is missing; whoever reckons with it holds what it knew.
                Err(_) => {}
            }
            let has_turn = (from..to).contains(&number) || (from..to).contains(&(number + count));
            if all || has_turn || sampler.is_held() {
                sampler.waiting(&mut self.buffer, &mut view.usage, now);
            }
        }
        self.turn = to.checked_rem(count).unwrap_or(0);
        let busy = self.snapshot.groups.get(&CgroupPath::root()).and_then(|root| root.usage.cpu);
        self.snapshot.load = self.load.read(&mut self.buffer, busy);
        if gone {
            // The group was removed since the tree was read: look again at once next time.
            self.reconciled_at = None;
        }
        gone
    }
}

/// The numbers in the configured pid files; a file that is missing or holds no number names nobody.
fn pidfiles(policy: &Policy) -> BTreeMap<PathBuf, i32> {
    let rules = policy.components.values().flat_map(|component| &component.rules);
    let files = rules.filter_map(|rule| rule.pidfile.as_ref());
    files.filter_map(|file| Some((file.clone(), crate::kernel::process::pid_in(file)?))).collect()
}
