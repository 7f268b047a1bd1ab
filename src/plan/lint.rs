//! The check that every plan passes before it is carried out. Nothing is done to a group for which a rule would be broken, and provost
//! says which rule it was; a rule that the plan breaks as a whole drops it whole.
//!
//! The rules do not trust the rooms that made the plan; they look at actions, policy and snapshot only.
//!
//! - **L1** nothing is done to the root, `init.scope`, a protected unit, or inside one.
//! - **L2** no limit is put on a group that holds a protected process (the agent, sshd, a session's leader) or on an ancestor of a
//!   home: ancestors get weights and protection only.
//! - **L3** no limit goes below the floor at which it becomes a freeze: 16 MiB, a hundredth of a core, 8 tasks.
//! - **L4** `memory.max` stays above 1.02 times the usage unless the component says `hard`.
//! - **L5** `memory.low` and `memory.min` stay within `memory.max`; a burst stays within its quota.
//! - **L6** a CPU list is neither empty nor names a CPU that is not online.
//! - **L7** all `memory.min` of homes together stay within half of RAM.
//! - **L8** nobody is moved out of a service, nor process 1.
//! - **L9** no knob of one group is set to two values.
//! - **L10** nobody is frozen in whose group, or below it, somebody else's component lives.
//! - **L11** memory is reclaimed only from homes of components that yield, or allow it for leaks and probing, nobody is killed and no unit restarted unless
//!   the component allows it, the group is a home of it, and nobody protected and nobody else's component lives there.
//! - **L12** a `memory.high` that follows the load is so far below `memory.max` that it slows down before that kills; a configured one is
//!   the operator's, who is warned.
//! - **L13** a partition has a CPU list, and all partitions together leave the reserve, and one CPU at least, to the root.
//! - **L14** a thread is put into real time only from `SCHED_OTHER`, with the priority that its component's class names, in a home of its
//!   component, where the kernel shows CPUs that no other home has, and keeps some of them for everybody else.
//! - **L15** an instance is started or stopped only for a component that has instances of that template, within its least and its most.
//!
//! What takes real time from a thread again is never left out.

use crate::config::{LastResort, MemoryPolicy, OnLeak, Policy, Probe};
use crate::model::{
    Action, Change, Finding, FindingKind, Home, Instances, JobKind, Knob, KnobKind, Means,
    Partition, Plan, Sched, Severity, Snapshot, ThreadTarget,
};
use crate::units::{Bytes, CgroupPath, ComponentName, CpuTime, Limit, Millicpu};
use std::collections::{BTreeMap, BTreeSet};

/// Below this a memory limit is a freeze in disguise: a process cannot even start.
const LEAST_MEMORY: Bytes = Bytes::mebi(16);
const LEAST_CPU: Millicpu = Millicpu(10);
const LEAST_PIDS: u64 = 8;

/// The plan without what breaks a rule, and the rules it broke. What remains has been checked again, so one component's mistake does
/// not hold up the others.
#[must_use]
pub fn sound(policy: &Policy, seen: &Snapshot, mut plan: Plan) -> (Plan, Vec<Finding>) {
    let mut findings = Vec::new();
    loop {
        let broken = lint(policy, seen, &plan);
        if broken.is_empty() {
            return (plan, findings);
        }
        let count = plan.actions.len();
        let offends = |path: &CgroupPath| broken.iter().any(|rule| rule.at.as_ref() == Some(path));
        if offends(&CgroupPath::root()) {
            plan.actions.retain(Action::lowers);
        }
        plan.actions.retain(|action| action.lowers() || !offends(action.path()));
        if plan.actions.len() == count {
            plan.actions.retain(Action::lowers);
        }
        findings.extend(broken);
    }
}

/// Every rule the plan breaks; none for a clean plan.
#[must_use]
pub fn lint(policy: &Policy, seen: &Snapshot, plan: &Plan) -> Vec<Finding> {
    let mut linter = Linter { policy, seen, findings: Vec::new() };
    if plan.is_empty() {
        return linter.findings;
    }
    for action in plan.actions.iter().filter(|action| !action.lowers()) {
        linter.protected(action);
        linter.moves(action);
        linter.relieving(action);
        linter.raising(action);
        linter.jobs(action);
        for change in action.changes() {
            linter.limits(action.path(), change);
            linter.floors(action.path(), change);
            linter.killing(action.path(), change);
            linter.cpus(action.path(), change);
            linter.freezing(action.path(), change);
        }
    }
    linter.consistency(plan);
    linter.findings
}

struct Linter<'a> {
    policy: &'a Policy,
    seen: &'a Snapshot,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn broken(&mut self, rule: &str, at: &CgroupPath, text: &str) {
        self.findings.push(Finding {
            severity: Severity::Error,
            kind: FindingKind::Lint,
            component: None,
            at: Some(at.clone()),
            text: format!("{at} is left as it is by rule {rule}: {text}"),
        });
    }

    fn protected(&mut self, action: &Action) {
        let path = action.path();
        let enables = matches!(action, Action::Enable { .. });
        if path.is_root() && !enables {
            self.broken("L1", path, "the root group is never written");
        }
        let protected = path.components().any(|unit| self.policy.seals(unit));
        if protected {
            self.broken("L1", path, "it is, or lies inside, a protected unit");
        }
    }

    fn limits(&mut self, path: &CgroupPath, change: &Change) {
        let gives_back = change.reason.gives_back();
        if !is_limit(&change.new) || gives_back || change.new == change.new.kind().kernel_default()
        {
            return;
        }
        if self.seen.groups.get(path).is_some_and(|group| group.holds_protected) {
            let text =
                format!("a protected process lives below, so {} is not set", change.new.kind());
            self.broken("L2", path, &text);
        }
        if change.component.is_none() {
            let text = format!("{} on a group that is no component's home", change.new.kind());
            self.broken("L2", path, &text);
        }
    }

    fn floors(&mut self, path: &CgroupPath, change: &Change) {
        if change.reason.gives_back() {
            return;
        }
        let too_low = match &change.new {
            Knob::MemoryHigh(Limit::At(bytes)) | Knob::MemoryMax(Limit::At(bytes)) => {
                *bytes < LEAST_MEMORY
            }
            Knob::CpuMax(max) => max.rate() < Limit::At(LEAST_CPU),
            Knob::PidsMax(Limit::At(count)) => *count < LEAST_PIDS,
            Knob::CpuWeight(_)
            | Knob::CpuMaxBurst(_)
            | Knob::CpusetPartition(..)
            | Knob::CpusetExclusive(_)
            | Knob::CpusetCpus(_)
            | Knob::MemoryMin(_)
            | Knob::MemoryLow(_)
            | Knob::MemoryHigh(Limit::Max)
            | Knob::MemoryMax(Limit::Max)
            | Knob::MemorySwapMax(_)
            | Knob::MemoryOomGroup(_)
            | Knob::IoMax(..)
            | Knob::IoWeight(_)
            | Knob::IoBfqWeight(_)
            | Knob::PidsMax(Limit::Max)
            | Knob::CgroupFreeze(_) => false,
        };
        if too_low {
            let text = format!("{} of {} would be a freeze", change.new.kind(), change.new);
            self.broken("L3", path, &text);
        }
    }

    fn killing(&mut self, path: &CgroupPath, change: &Change) {
        let Knob::MemoryMax(Limit::At(limit)) = change.new else {
            return;
        };
        let usage = self.seen.groups.get(path).and_then(|group| group.usage.memory);
        let hard = change
            .component
            .as_ref()
            .and_then(|name| self.policy.components.get(name))
            .is_some_and(|component| component.memory.hard);
        let kills = usage
            .is_some_and(|usage| limit < usage.scaled(102, 100).page_floor(self.seen.host.page));
        if kills && !hard && !change.reason.gives_back() {
            self.broken("L4", path, "memory.max below the present usage would kill");
        }
    }

    fn cpus(&mut self, path: &CgroupPath, change: &Change) {
        let Knob::CpusetCpus(cpus) = &change.new else {
            return;
        };
        if change.reason.gives_back() {
            return;
        }
        if cpus.is_empty() || !cpus.is_subset(&self.seen.host.online) {
            let text = format!("CPUs {cpus} are not all online ({})", self.seen.host.online);
            self.broken("L6", path, &text);
        }
    }

    fn freezing(&mut self, path: &CgroupPath, change: &Change) {
        if change.new != Knob::CgroupFreeze(true) || change.reason.gives_back() {
            return;
        }
        if let Some(home) = self.other_home(path, change.component.as_ref()) {
            let text = format!("{} of another component would stand still with it", home.path());
            self.broken("L10", path, &text);
        }
    }

    fn relieving(&mut self, action: &Action) {
        let Action::Relieve { relief } = action else { return };
        let path = &relief.at.path;
        let component = self.policy.components.get(&relief.component);
        let is_home = |home: &Home| home.at == relief.at;
        let homes = self.seen.homes.get(&relief.component);
        let lives = homes.is_some_and(|homes| homes.iter().any(is_home));
        let Some(component) = component.filter(|_| lives) else {
            return self.broken("L11", path, &format!("to {} is not allowed there", relief.means));
        };
        let (on_leak, has_hook) = (component.memory.on_leak, component.hook.is_some());
        let allowed = match relief.means {
            Means::Tell { .. } if has_hook => return, // nothing is done to the group
            Means::TellOfLeak { .. } if has_hook && on_leak >= OnLeak::Hook => return,
            Means::Tell { .. } | Means::TellOfLeak { .. } => false,
            Means::Reclaim { .. } => component.yields || on_leak >= OnLeak::Reclaim,
            Means::Probe { .. } => component.memory.probe > Probe::Off,
            Means::Restart { .. } => {
                on_leak == OnLeak::Restart && path.name().ends_with(".service")
            }
            Means::Kill { .. } => component.yields && component.last_resort == LastResort::Kill,
        };
        let protected = self.seen.groups.get(path).is_none_or(|group| group.holds_protected);
        if !allowed || protected || self.other_home(path, Some(&relief.component)).is_some() {
            self.broken("L11", path, &format!("to {} is not allowed there", relief.means));
        }
    }

    fn jobs(&mut self, action: &Action) {
        let Action::Job { job } = action else { return };
        let component = self.policy.components.get(&job.component);
        let instances = component.and_then(|component| component.instances.as_ref());
        let homes = self.seen.homes.get(&job.component).map(Vec::as_slice).unwrap_or_default();
        let runs = |instances: &Instances| {
            let is_one = |home: &&Home| instances.template.number(home.path().name()).is_some();
            u64::try_from(homes.iter().filter(is_one).count()).unwrap_or(u64::MAX)
        };
        let is_within = |instances: &Instances| match job.kind {
            JobKind::Start => true,
            JobKind::Stop => runs(instances) > instances.least,
        };
        let is_its = |instances: &&Instances| {
            instances
                .template
                .number(&job.unit)
                .is_some_and(|number| job.kind == JobKind::Stop || number <= instances.most)
        };
        let is_allowed = instances.filter(is_its).is_some_and(is_within);
        if self.policy.seals(&job.unit) || !is_allowed {
            self.broken("L15", &job.at, &format!("to {} {} is not allowed", job.kind, job.unit));
        }
    }

    fn raising(&mut self, action: &Action) {
        let Action::Schedule { target } = action else { return };
        let component = self.policy.components.get(&target.component);
        let wish = component.and_then(|component| component.realtime());
        let allowed = wish.is_some_and(|wish| target.wanted == Sched::rr(wish.priority))
            && target.held == Sched::OTHER
            && self.seen.host.rt_bounded;
        if !allowed || !self.has_its_cpus(target) {
            let text =
                format!("thread {} ({}) may not be put into real time", target.thread, target.name);
            self.broken("L14", &target.at.path, &text);
        }
    }

    /// Whether the thread's home is one of its component, and runs on CPUs that are on no other component's list.
    fn has_its_cpus(&self, target: &ThreadTarget) -> bool {
        let seen = self.seen.realtime.get(&target.component);
        let Some(own) = seen.and_then(|seen| seen.cpus.get(&target.at.path)) else { return false };
        let is_apart = |(name, homes): (&ComponentName, &Vec<Home>)| {
            if *name == target.component {
                return homes.iter().any(|home| home.at == target.at);
            }
            homes.iter().all(|home| {
                let group = self.seen.groups.get(home.path());
                match group.and_then(|group| group.knob(KnobKind::CpusetCpus).value()) {
                    Some(Knob::CpusetCpus(cpus)) => {
                        !cpus.is_empty() && cpus.intersection(own).is_empty()
                    }
                    Some(_) | None => false,
                }
            })
        };
        !own.is_empty()
            && self.seen.homes.contains_key(&target.component)
            && self.seen.homes.iter().all(is_apart)
    }

    /// A home of another component at the place or below it.
    fn other_home(&self, path: &CgroupPath, component: Option<&ComponentName>) -> Option<Home> {
        let others = self.seen.homes.iter().filter(|(name, _)| component != Some(name));
        others.flat_map(|(_, homes)| homes).find(|home| path.contains(home.path())).cloned()
    }

    fn moves(&mut self, action: &Action) {
        for stray in action.strays() {
            if stray.process.pid <= 1 || stray.from.name().ends_with(".service") {
                let text =
                    format!("process {} of {} is not ours to move", stray.process, stray.from);
                self.broken("L8", action.path(), &text);
            }
        }
    }

    /// L5, L7, L9 and L12 look at the state that the plan leads to.
    fn consistency(&mut self, plan: &Plan) {
        let mut reached: BTreeMap<(CgroupPath, KnobKind), &Knob> = BTreeMap::new();
        for action in &plan.actions {
            for change in action.changes() {
                let key = (action.path().clone(), change.new.kind());
                if reached.insert(key, &change.new).is_some_and(|before| *before != change.new) {
                    let text = format!("{} is set twice to different values", change.new.kind());
                    self.broken("L9", action.path(), &text);
                }
            }
        }
        for (path, group) in &self.seen.groups {
            for (kind, reading) in &group.knobs {
                if let Some(knob) = reading.value() {
                    reached.entry((path.clone(), *kind)).or_insert(knob);
                }
            }
        }
        let planned: Vec<CgroupPath> = plan
            .actions
            .iter()
            .filter(|action| !action.changes().is_empty())
            .map(|action| action.path().clone())
            .collect();
        for path in planned {
            self.pairs(&path, &reached);
        }
        self.partitions(plan, &reached);
        self.slowing(plan, &reached);
        self.least_protections(plan, &reached);
    }

    fn pairs(&mut self, path: &CgroupPath, reached: &BTreeMap<(CgroupPath, KnobKind), &Knob>) {
        let bytes = |kind| match reached.get(&(path.clone(), kind)) {
            Some(Knob::MemoryMin(limit) | Knob::MemoryLow(limit) | Knob::MemoryMax(limit)) => {
                Some(*limit)
            }
            _ => None,
        };
        let max = bytes(KnobKind::MemoryMax).unwrap_or(Limit::Max);
        for kind in [KnobKind::MemoryMin, KnobKind::MemoryLow] {
            if bytes(kind).is_some_and(|protection| protection > max) {
                self.broken("L5", path, &format!("{kind} above memory.max"));
            }
        }
        let quota = match reached.get(&(path.clone(), KnobKind::CpuMax)) {
            Some(Knob::CpuMax(max)) => max.quota,
            _ => Limit::Max,
        };
        let burst = match reached.get(&(path.clone(), KnobKind::CpuMaxBurst)) {
            Some(Knob::CpuMaxBurst(burst)) => *burst,
            _ => CpuTime(0),
        };
        if Limit::At(burst) > quota {
            self.broken("L5", path, "cpu.max.burst above the quota");
        }
    }

    fn partitions(&mut self, plan: &Plan, reached: &BTreeMap<(CgroupPath, KnobKind), &Knob>) {
        let parts = |knob: &Knob| {
            matches!(knob, Knob::CpusetPartition(Partition::Root | Partition::Isolated, _))
        };
        let list = |path: &CgroupPath| match reached.get(&(path.clone(), KnobKind::CpusetCpus)) {
            Some(Knob::CpusetCpus(cpus)) if !cpus.is_empty() => Some(cpus.clone()),
            _ => None,
        };
        let homes: BTreeSet<&CgroupPath> =
            self.seen.homes.values().flatten().map(Home::path).collect();
        let is_ours = |path: &CgroupPath, knob: &Knob| parts(knob) && homes.contains(path);
        let left = reached
            .iter()
            .filter(|((path, _), knob)| is_ours(path, knob))
            .filter_map(|((path, _), _)| list(path))
            .fold(self.seen.host.online.clone(), |left, cpus| left.without(&cpus));
        let count = u64::try_from(left.len()).unwrap_or(u64::MAX);
        let starves = Millicpu::cores(count) < self.policy.reserve.beside_partitions();
        for action in &plan.actions {
            let changes = action.changes();
            if !changes.iter().any(|change| parts(&change.new) && !change.reason.gives_back()) {
                continue;
            }
            if list(action.path()).is_none() {
                self.broken("L13", action.path(), "a partition without a CPU list");
            } else if starves {
                let text = format!("partitions would leave CPUs {left}, less than the reserve");
                self.broken("L13", action.path(), &text);
            }
        }
    }

    fn slowing(&mut self, plan: &Plan, reached: &BTreeMap<(CgroupPath, KnobKind), &Knob>) {
        for action in &plan.actions {
            let path = action.path();
            let Some(Knob::MemoryMax(Limit::At(max))) =
                reached.get(&(path.clone(), KnobKind::MemoryMax))
            else {
                continue;
            };
            let follows =
                |change: &&Change| change.reason.is_passing() && !change.reason.gives_back();
            for change in action.changes().iter().filter(follows) {
                let Knob::MemoryHigh(high) = change.new else { continue };
                if high > Limit::At(MemoryPolicy::most_high(*max)) {
                    let text = format!("memory.high of {high} is too near to memory.max {max}");
                    self.broken("L12", path, &text);
                }
            }
        }
    }

    fn least_protections(
        &mut self,
        plan: &Plan,
        reached: &BTreeMap<(CgroupPath, KnobKind), &Knob>,
    ) {
        let touches =
            plan.actions.iter().flat_map(Action::changes).any(|change| {
                change.new.kind() == KnobKind::MemoryMin && change.component.is_some()
            });
        if !touches {
            return;
        }
        let homes: BTreeSet<&CgroupPath> =
            self.seen.homes.values().flatten().map(Home::path).collect();
        let sum =
            reached
                .iter()
                .filter(|((path, _), _)| homes.contains(path))
                .map(|(_, knob)| {
                    if let Knob::MemoryMin(Limit::At(bytes)) = knob { *bytes } else { Bytes::ZERO }
                })
                .fold(Bytes::ZERO, Bytes::plus);
        if sum.0 > self.seen.host.memory.0 / 2 {
            let text = format!("memory.min of all homes is {sum}, more than half of RAM");
            self.broken("L7", &CgroupPath::root(), &text);
        }
    }
}

const fn is_limit(knob: &Knob) -> bool {
    match knob {
        Knob::CpuMax(_)
        | Knob::CpusetPartition(..)
        | Knob::CpusetCpus(_)
        | Knob::MemoryHigh(_)
        | Knob::MemoryMax(_)
        | Knob::MemorySwapMax(_)
        | Knob::IoMax(..)
        | Knob::PidsMax(_)
        | Knob::CgroupFreeze(_) => true,
        Knob::CpuWeight(_)
        | Knob::CpuMaxBurst(_)
        | Knob::CpusetExclusive(_)
        | Knob::MemoryMin(_)
        | Knob::MemoryLow(_)
        | Knob::MemoryOomGroup(_)
        | Knob::IoWeight(_)
        | Knob::IoBfqWeight(_) => false,
    }
}
