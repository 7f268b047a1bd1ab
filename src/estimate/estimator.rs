//! The one entry to what the numbers mean: levels, and what each group and component uses, wants and waits for.
//!
//! **Problem.** Decisions need one answer per resource and per component, every second, at next to no cost while nothing changes.
//!
//! **Approach.** Windows per group, one machine per resource, and results that are kept in place and lent out. Nothing is allocated but
//! for a group, a component or a disk that was not there before, and when a level or a bottleneck changes.
//!
//! **Terms.** *gap*: nobody looked for longer than three intervals and three seconds: the host slept. *alert*: what the configured
//! thresholds say of how much of the host is in use, beside the levels, which say who waits.
//!
//! **Algorithm.** Groups by path, so that those above come first; then components as sums of their homes; then the host; then the levels,
//! from the worst protected component of each resource and the host's own signals; then the bottlenecks. Where the host tells no
//! pressure, levels rest on what is used up, on pages read back and on kills, and the view says so.
//!
//! **Properties**, each a test in `estimator/tests.rs`: the same look twice changes nothing; a missing signal never raises a level and
//! never tightens; a group that was made anew begins anew; the same looks give the same estimate.

mod both;

use super::bottleneck::{Case, Risers, Rival, Trail, least, settle, verdict};
use super::disks::Disks;
use super::host::{Host, Part};
use super::leak::{self, Leaks};
use super::pressure::{Input, Machine, Moment, Signal, configured};
use super::signals::{Around, Signals};
use super::smooth::{Interval, Smooth};
use super::space::Space;
use crate::config::{Policy, Steps, Thresholds};
use crate::model::{
    Along, Amounts, Bottleneck, ComponentEstimate, DiskRate, Each, Estimate, FileSystemView,
    HostUse, IoRate, Leak, LeakMemories, LevelView, Levels, Need, Resource, Snapshot, follow,
};
use crate::units::{Bytes, CgroupPath, ComponentName, DeviceId, Millicpu, Ppm, Span, Tick};
use both::both;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The host slept, or the agent did, when nobody looked for longer than this and three intervals.
const GAP: Span = Span::secs(3);
/// Closer looks are no interval.
const SHORTEST: Span = Span::millis(100);

/// What is remembered between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimator {
    at: Option<Tick>,
    host: Host,
    levels: Each<Machine>,
    alerts: Each<Machine>,
    groups: BTreeMap<CgroupPath, Signals>,
    components: BTreeMap<ComponentName, Component>,
    bottlenecks: BTreeMap<ComponentName, Bottleneck>,
    disks: Disks,
    space: Space,
    unmanaged: Trail,
    leaks: Leaks,
    moved: bool,
    /// How often [`Space::update`] or [`Leaks::update`] had news.
    told: u64,
}

/// What is known of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Component {
    protected: bool,
    need: Need,
    trail: Trail,
    waits: Waited,
}

/// The worst of a component's homes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Waited {
    cpu: Part,
    memory: Part,
    io: Part,
    refaults: Part,
    killed: Part,
    /// For a disk, in the last interval alone.
    disk_now: Option<Ppm>,
    /// What the component waits for whatever the cause, for the verdict.
    scores: Each<Option<Ppm>>,
}

impl Waited {
    /// Takes in one home.
    fn add(&mut self, signals: &Signals) {
        let (averages, need) = (&signals.averages, &signals.need);
        self.disk_now = self.disk_now.max(signals.disk_wait());
        self.cpu = self.cpu.worse(Part::of(averages.external_cpu));
        self.memory = self.memory.worse(Part::of(averages.external_memory));
        self.io = self.io.worse(Part::of(averages.external_io));
        self.refaults = self.refaults.worse(Part::of(averages.refaults));
        let psi = averages.memory_psi;
        self.killed =
            self.killed.worse(if psi { Part::default() } else { Part::of(averages.killed) });
        let p10 = |average: Smooth| average.wait().map(|wait| wait.p10);
        let or =
            |bound: bool, all: Smooth, external: Smooth| p10(if bound { all } else { external });
        let scores = &mut self.scores;
        scores.cpu = scores.cpu.max(or(need.bound.cpu, averages.cpu, averages.external_cpu));
        let memory = or(need.bound.memory, averages.memory, averages.external_memory);
        scores.memory = scores.memory.max(memory).max(p10(averages.refaults));
        scores.io = scores.io.max(p10(averages.io));
    }
}

impl Estimator {
    /// Takes in one look. A second call with the same look changes nothing. Allocates only for what was not there before, and when a level
    /// or a bottleneck changes.
    pub fn update(&mut self, policy: &Policy, seen: &Snapshot) {
        let last = self.at;
        if last == Some(seen.at) {
            return;
        }
        let span = last.map_or(Span::ZERO, |last| seen.at.since(last));
        let alarm = seen.alarms.contains(&Resource::Memory);
        if last.is_some() && span < SHORTEST && !alarm {
            self.moved = false;
            return;
        }
        self.at = Some(seen.at);
        let before = (self.levels(), self.alerts());
        let longest = GAP.max(Span(policy.interval.0.saturating_mul(3)));
        let gap = last.is_none() || span > longest || last.is_some_and(|last| last > seen.at);
        let interval = Interval::of(span);
        self.update_groups(seen, longest);
        self.update_components(policy, seen, interval);
        let slowed = self.is_anybody_slowed(policy);
        self.host.update(seen, (interval, gap), slowed);
        let moved = self.groups.get(&CgroupPath::root()).map(|root| root.disks.as_slice());
        self.disks.update(seen, moved.unwrap_or_default(), interval);
        let moment = Moment { at: seen.at, gap, alarm };
        self.update_levels(&policy.thresholds, moment);
        let moment = Moment { alarm: false, ..moment };
        let filled = self.space.update(&seen.filesystems, &policy.thresholds.disk, moment);
        self.update_bottlenecks(seen, interval);
        let told = self.update_leaks(policy, seen) || filled;
        self.moved = told || before != (self.levels(), self.alerts());
        self.told += u64::from(told);
    }

    /// Whether the last look moved a level or an alert.
    #[must_use]
    pub const fn changed(&self) -> bool {
        self.moved
    }

    /// How scarce each resource is for those who are protected.
    #[must_use]
    pub const fn levels(&self) -> Levels {
        levels(&self.levels)
    }

    /// What the configured thresholds say of how much of the host is in use.
    #[must_use]
    pub const fn alerts(&self) -> Levels {
        levels(&self.alerts)
    }

    /// Since when each resource is at its level.
    #[must_use]
    pub const fn since(&self, resource: Resource) -> Tick {
        self.levels.of(resource).since()
    }

    /// What brought a resource to its level, as a clause; empty while nothing has happened.
    #[must_use]
    pub fn cause(&self, resource: Resource) -> String {
        self.levels.of(resource).cause()
    }

    /// Rises when there is something else to tell, by which nothing is decided: the alert of a file system moved, one began or ceased to
    /// answer, or what is said of a leak changed.
    #[must_use]
    pub const fn told(&self) -> u64 {
        self.told
    }

    /// The components whose memory grows without end.
    pub fn leaks(&self) -> impl Iterator<Item = (&ComponentName, Leak)> {
        self.leaks.all()
    }

    /// What is said of one component's memory.
    #[must_use]
    pub fn leak(&self, name: &ComponentName) -> Option<Leak> {
        self.leaks.of(name)
    }

    /// What is to be kept of leaks while no daemon runs.
    #[must_use]
    pub fn leak_memories(&self) -> LeakMemories {
        self.leaks.kept()
    }

    /// Goes on with what was kept of leaks.
    pub fn remember_leaks(&mut self, kept: &LeakMemories) {
        self.leaks.remember(kept);
    }

    /// How full each file system is, by mount point.
    #[must_use]
    pub fn filesystems(&self) -> Vec<FileSystemView> {
        self.space.view()
    }

    /// How much of the host is in use.
    #[must_use]
    pub const fn host(&self) -> &HostUse {
        &self.host.now
    }

    /// Whether the host tells how long tasks wait (PSI).
    #[must_use]
    pub const fn has_psi(&self) -> bool {
        self.host.psi
    }

    /// What a component uses, wants and waits for, over all its homes; none while it has none.
    #[must_use]
    pub fn component(&self, name: &ComponentName) -> Option<&Need> {
        self.components.get(name).map(|component| &component.need)
    }

    /// What holds a component back most; none while it has no home.
    #[must_use]
    pub fn bottleneck(&self, name: &ComponentName) -> Option<&Bottleneck> {
        self.bottlenecks.get(name)
    }

    /// What one group uses, wants and waits for: a home, or a group above one.
    #[must_use]
    pub fn group(&self, path: &CgroupPath) -> Option<&Need> {
        self.groups.get(path).map(|signals| &signals.need)
    }

    /// What a home moves over each disk that it uses.
    #[must_use]
    pub fn disks(&self, path: &CgroupPath) -> &[DiskRate] {
        self.groups.get(path).map_or(&[], |signals| &signals.disks)
    }

    /// How much of the last interval a component waited for a disk through no limit of its own.
    #[must_use]
    pub fn disk_wait(&self, name: &ComponentName) -> Option<Ppm> {
        self.components.get(name)?.waits.disk_now
    }

    /// What the disk could do when somebody waited for it; none before that was seen.
    #[must_use]
    pub fn able(&self, device: DeviceId) -> Option<IoRate> {
        self.disks.able(device)
    }

    /// Everything, as it is recorded and shown.
    #[must_use]
    pub fn view(&self) -> Estimate {
        let level = |resource: Resource| {
            let (machine, alert) = (self.levels.of(resource), self.alerts.of(resource));
            let view = LevelView {
                level: machine.level(),
                since: machine.since(),
                cause: machine.cause(),
                alert: alert.level(),
            };
            (resource, view)
        };
        let component = |(name, component): (&ComponentName, &Component)| {
            let bottleneck = self.bottlenecks.get(name).cloned().unwrap_or_default();
            let leak = self.leaks.of(name);
            (name.clone(), ComponentEstimate { need: component.need, bottleneck, leak })
        };
        Estimate {
            at: self.at.unwrap_or_default(),
            psi: self.host.psi,
            host: self.host.now,
            levels: Resource::ALL.into_iter().map(level).collect(),
            components: self.components.iter().map(component).collect(),
            disks: self.disks.all(),
            filesystems: self.space.view(),
        }
    }

    fn update_groups(&mut self, seen: &Snapshot, longest: Span) {
        follow(&mut self.groups, &seen.groups, |path, view| Signals::new(path, view.id));
        // Most have the same above them as the one before.
        let mut last: Option<(&str, Around)> = None;
        for (path, view) in &seen.groups {
            let known = last.filter(|(above, _)| *above == path.above());
            let around =
                known.map_or_else(|| self.around(path, seen, longest), |(_, around)| around);
            last = Some((path.above(), around));
            if let Some(signals) = self.groups.get_mut(path) {
                signals.update(view, around);
            }
        }
    }

    /// What the groups above have to do with it. They were updated before: a path comes before those below it.
    fn around(&self, path: &CgroupPath, seen: &Snapshot, longest: Span) -> Around {
        let above =
            self.groups.get(path).map(|signals| signals.above.as_slice()).unwrap_or_default();
        let mut around = Around::nothing(seen, longest);
        for above in above.iter().filter(|above| !above.is_root()) {
            let usage = seen.groups.get(above).map(|view| &view.usage);
            let throttled =
                usage.and_then(|usage| usage.cpu.map(|_| usage.throttled.unwrap_or_default().0));
            around.throttled_above =
                around.throttled_above.zip(throttled).map(|(sum, one)| sum.saturating_add(one));
            let limited = self.groups.get(above).and_then(Signals::limited_here_at);
            around.limited_above = around.limited_above.max(limited);
        }
        around
    }

    fn update_components(&mut self, policy: &Policy, seen: &Snapshot, interval: Interval) {
        self.keep_who_lives(policy, seen);
        let mut registered = Along::new(&policy.components);
        let mut homes = Along::new(&seen.homes);
        let mut groups = Along::new(&self.groups);
        for (name, component) in &mut self.components {
            let (Some(registered), Some(homes)) = (registered.get(name), homes.get(name)) else {
                continue;
            };
            component.protected = registered.priority.is_protected();
            component.waits = Waited::default();
            let mut parts = homes.iter().filter_map(|home| groups.get(home.path()));
            let Some(first) = parts.next() else {
                component.need = Need::default();
                continue;
            };
            component.need = first.need;
            component.waits.add(first);
            for part in parts {
                component.need = both(&component.need, &part.need);
                component.waits.add(part);
            }
            component.trail.push(&component.need.usage, seen.at, interval);
        }
    }

    /// Registered components that have a home, and no others.
    fn keep_who_lives(&mut self, policy: &Policy, seen: &Snapshot) {
        let mut homes = Along::new(&seen.homes);
        let mut lives =
            |name: &ComponentName| homes.get(name).is_some_and(|homes| !homes.is_empty());
        let all = || policy.components.keys();
        if all().filter(|name| lives(name)).eq(self.components.keys()) {
            return;
        }
        self.components.retain(|name, _| lives(name) && policy.components.contains_key(name));
        self.bottlenecks.retain(|name, _| self.components.contains_key(name));
        for name in all().filter(|name| lives(name)) {
            self.components.entry(name.clone()).or_default();
            self.bottlenecks.entry(name.clone()).or_insert(Bottleneck::None);
        }
    }

    /// Whether a component that yields reached a memory limit lately. What it waits for then is in the host's own pressure as well.
    fn is_anybody_slowed(&self, policy: &Policy) -> bool {
        let mut known = Along::new(&self.components);
        let mut slowed = |name| known.get(name).is_some_and(|known| known.need.bound.memory);
        policy.components.iter().any(|(name, component)| component.yields && slowed(name))
    }

    fn update_levels(&mut self, thresholds: &Thresholds, moment: Moment) {
        let protected = || self.components.iter().filter(|(_, component)| component.protected);
        let worst = |signal: Signal, of: fn(&Waited) -> Part| {
            let mut input =
                Input { signal, steps: signal.steps(), who: None, value: None, missing: false };
            for (name, component) in protected() {
                let part = of(&component.waits);
                input.missing |= part.missing;
                if part.value > input.value {
                    input.value = part.value;
                    input.who = Some(name);
                }
            }
            input
        };
        let host = |signal: Signal, part: Part| Input {
            signal,
            steps: signal.steps(),
            who: None,
            value: part.value,
            missing: part.missing,
        };
        let Each { cpu: cpu_used, memory: memory_used, pids: pids_used, .. } = self.host.used_part;
        // Only where nobody says how long tasks wait does a busy CPU mean anything: a full one may serve everybody well.
        let busy = if self.host.psi { Part::default() } else { cpu_used };
        let cpu = [worst(Signal::ProtectedCpu, |waits| waits.cpu), host(Signal::CpuUsed, busy)];
        self.levels.cpu.step(&cpu, Moment { alarm: false, ..moment });
        let memory = [
            worst(Signal::ProtectedMemory, |waits| waits.memory),
            host(Signal::HostMemory, Part::of(self.host.waits)),
            host(Signal::MemoryUsed, memory_used),
            host(Signal::SwapUsed, self.host.swap),
            worst(Signal::ProtectedRefaults, |waits| waits.refaults),
            worst(Signal::ProtectedKilled, |waits| waits.killed),
        ];
        self.levels.memory.step(&memory, moment);
        let io = [worst(Signal::ProtectedIo, |waits| waits.io)];
        self.levels.io.step(&io, Moment { alarm: false, ..moment });
        let pids = [host(Signal::PidsUsed, pids_used)];
        self.levels.pids.step(&pids, Moment { alarm: false, ..moment });
        let alert = |signal: Signal, part: Part, steps: &Steps| {
            let steps = configured(steps.warning, steps.critical, steps.emergency);
            [Input { steps, ..host(signal, part) }]
        };
        let moment = Moment { alarm: false, ..moment };
        self.alerts.cpu.step(&alert(Signal::CpuUsed, cpu_used, &thresholds.cpu), moment);
        self.alerts
            .memory
            .step(&alert(Signal::MemoryUsed, memory_used, &thresholds.memory), moment);
    }

    fn update_bottlenecks(&mut self, seen: &Snapshot, interval: Interval) {
        self.unmanaged.push(&self.unmanaged_use(), seen.at, interval);
        let least = least(seen.host.online.capacity(), seen.host.memory);
        let mut risers = Risers::default();
        risers.consider(Rival::Unmanaged, &self.unmanaged, &least);
        for (name, component) in &self.components {
            risers.consider(Rival::Component(name), &component.trail, &least);
        }
        for ((name, component), bottleneck) in
            self.components.iter().zip(self.bottlenecks.values_mut())
        {
            let case = Case { name, scores: component.waits.scores, bound: component.need.bound };
            settle(bottleneck, verdict(&case, &risers, &self.host.now));
        }
    }

    /// Whether what is said of any component's memory changed.
    fn update_leaks(&mut self, policy: &Policy, seen: &Snapshot) -> bool {
        let unmanaged = self.unmanaged_use().memory.unwrap_or_default();
        let room = seen.host.memory.minus(policy.reserve.memory).minus(unmanaged);
        let mut changed = false;
        let mut homes = Along::new(&seen.homes);
        let mut groups = Along::new(&seen.groups);
        let mut known = Along::new(&self.components);
        for ((name, component), watch) in
            policy.components.iter().zip(self.leaks.watches(&policy.components))
        {
            let homes = homes.get(name).map(Vec::as_slice).unwrap_or_default();
            let load = known.get(name).and_then(|known| known.need.usage.cpu);
            let views = homes.iter().map(|home| groups.get(home.path()));
            let held = leak::held(seen, views, leak::Around { component, load, room });
            let ids = homes.iter().map(|home| &home.at.id);
            changed |= watch.update(ids, seen.at, held);
        }
        changed
    }

    /// What the host uses beyond all components.
    fn unmanaged_use(&self) -> Amounts {
        let needs = || self.components.values().map(|component| &component.need.usage);
        let cpu = needs().filter_map(|usage| usage.cpu).fold(Millicpu::ZERO, Millicpu::plus);
        let memory = needs().filter_map(|usage| usage.memory).fold(Bytes::ZERO, Bytes::plus);
        Amounts {
            cpu: self.host.now.cpu.map(|busy| busy.minus(cpu)),
            memory: self.host.now.memory.map(|used| used.minus(memory)),
            io: None,
            pids: None,
        }
    }
}

const fn levels(machines: &Each<Machine>) -> Levels {
    Levels {
        cpu: machines.cpu.level(),
        memory: machines.memory.level(),
        io: machines.io.level(),
        pids: machines.pids.level(),
    }
}

#[cfg(test)]
mod tests;
