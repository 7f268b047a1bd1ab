//! Makes the status report from policy, state, snapshot and the cycle's news.

use super::given::Given;
use super::growth;
use super::history::History;
use crate::config::{Component, Policy, Strategy};
use crate::cycle::{News, State};
use crate::estimate::{Foresight, Peaks, Standing, standing};
use crate::model::{
    AlertView, ComponentReport, Decision, Expected, Finding, Health, Home, HomeReport, HookReport,
    HostReport, Knob, KnobReport, Own, QuotaKey, Reading, Reason, Report, ScheduleView, SinkCounts,
    Snapshot, Target,
};
use crate::plan::is_settled;
use crate::units::{CgroupPath, CpuSet, Tick};
use std::collections::BTreeMap;

/// What a report is made from.
#[derive(Debug)]
pub struct ReportInput<'a> {
    /// The policy in force.
    pub policy: &'a Policy,
    /// What is remembered.
    pub state: &'a State,
    /// The last look.
    pub seen: &'a Snapshot,
    /// The last news.
    pub news: &'a News,
    /// What is to be told beside the cycle's findings, by the exec gate for one.
    pub beside: &'a [Finding],
    /// What is expected of the components.
    pub foresight: &'a Foresight,
    /// Whether limits are put on processes.
    pub enforcing: bool,
    /// The configured strategy, where another was chosen.
    pub instead_of: Option<Strategy>,
    /// The daemon's process number.
    pub pid: u32,
    /// When the daemon started.
    pub started: Tick,
    /// What the daemon remembers of its own work.
    pub history: &'a History,
    /// The windows of time.
    pub schedules: Vec<ScheduleView>,
    /// What holds for a while.
    pub given: &'a Given,
    /// The most that each component used of late.
    pub peaks: &'a Peaks,
    /// Alerts.
    pub alerts: Vec<AlertView>,
    /// What became of them on their way.
    pub sinks: BTreeMap<String, SinkCounts>,
    /// How the daemon does, and what it costs; the loop's lag and what was done are filled in here.
    pub own: Own,
    /// Whether it does all that it is asked for.
    pub health: Health,
}

/// Makes the report.
#[must_use]
pub fn report(input: ReportInput<'_>) -> Report {
    let components = input.policy.components.values();
    let mut findings = input.news.findings.clone();
    findings.extend_from_slice(input.beside);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Report {
        schema: "provost/status/v1".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: input.pid,
        at: input.seen.at,
        started: input.started,
        enforcing: input.enforcing,
        strategy: input.policy.strategy.word().to_owned(),
        strategy_configured: input.instead_of.map(|strategy| strategy.word().to_owned()),
        adaptive: input.state.steering.adaptive().word().to_owned(),
        division: input.policy.division.word().to_owned(),
        host: host(&input),
        components: components.map(|component| component_report(&input, component)).collect(),
        schedules: input.schedules.clone(),
        estimate: input.state.estimator.view(),
        ladder: input.news.decision.ladder.clone(),
        ahead: ahead(&input.news.decision),
        findings,
        escape: input.history.escape().clone(),
        drift: input.history.drift().clone(),
        actions: input.history.lines(),
        alerts: input.alerts.clone(),
        sinks: input.sinks.clone(),
        own: Own { lag: input.peaks.lag(), actions: input.history.counts(), ..input.own.clone() },
        health: input.health.clone(),
    }
}

fn host(input: &ReportInput<'_>) -> HostReport {
    let (policy, seen) = (input.policy, input.seen);
    HostReport {
        cpu: seen.host.online.capacity(),
        cpu_reserve: policy.reserve.cpu,
        memory: seen.host.memory,
        memory_reserve: policy.reserve.memory,
        systemd: seen.host.systemd,
        load: seen.load,
        disks: seen.host.disks.clone(),
        growth: growth::of_host(input.foresight, policy, &seen.host),
    }
}

fn component_report(input: &ReportInput<'_>, component: &Component) -> ComponentReport {
    let homes = input.seen.homes.get(&component.name).map(Vec::as_slice).unwrap_or_default();
    let loose = input.seen.strays.iter().filter(|stray| stray.component == component.name);
    ComponentReport {
        name: component.name.clone(),
        priority: component.priority,
        cpu_class: component.cpu.class,
        strategy: component.strategy.map(|strategy| strategy.word().to_owned()),
        homes: homes.iter().map(|home| home_report(input, home)).collect(),
        cpu_guarantee: component.cpu.guarantee,
        cpu_ceiling: component.cpu.ceiling,
        cpu_entitlement: input.news.decision.entitlement.get(&component.name).copied(),
        own_cpus: own_cpus(&input.news.decision, component),
        auto_affinity: input.state.steering.affinity(&component.name),
        realtime: input.news.decision.realtime.get(&component.name).cloned(),
        memory_guarantee: component.memory.guarantee,
        memory_ceiling: component.memory.ceiling,
        pids_ceiling: component.pids,
        quotas: input.given.views(&component.name),
        ceilings: input.state.steering.scaling().views(component),
        instances: input.state.steering.instances(component, input.seen),
        last_resort: component.last_resort.word().to_owned(),
        hook: hook_report(input, component),
        probe: input.state.probed(input.policy, input.seen, component),
        mending: input.state.mending(input.policy, input.seen, component),
        forecasts: input.foresight.views(&component.name),
        peaks: input.peaks.of(&component.name),
        growth: growth::of_component(input.foresight, component),
        loose: loose.map(|stray| format!("{} ({})", stray.process, stray.comm)).collect(),
    }
}

fn hook_report(input: &ReportInput<'_>, component: &Component) -> Option<HookReport> {
    let hook = component.hook.clone()?;
    Some(HookReport { hook, last: input.history.hooks().get(&component.name).cloned() })
}

/// Each thing that is expected once, for however many homes it is the reason.
fn ahead(decision: &Decision) -> Vec<Expected> {
    let mut found: Vec<Expected> = Vec::new();
    for target in &decision.targets {
        if let Reason::YieldsAhead { expected, .. } = &target.reason
            && !found.contains(expected)
        {
            found.push(expected.clone());
        }
    }
    found
}

/// All homes of a component have the same.
fn own_cpus(decision: &Decision, component: &Component) -> Option<CpuSet> {
    decision.targets.iter().find_map(|target| match (&target.knob, &target.reason) {
        (Knob::CpusetCpus(cpus), Reason::OwnCpus { .. })
            if target.component.as_ref() == Some(&component.name) =>
        {
            Some(cpus.clone())
        }
        _ => None,
    })
}

fn home_report(input: &ReportInput<'_>, home: &Home) -> HomeReport {
    // A home's own knobs, and those of its ancestors that were set for the sake of what lies below.
    let mut concerned: Vec<CgroupPath> = home.path().ancestors().collect();
    concerned.reverse();
    concerned.push(home.path().clone());
    let targets = concerned.iter().flat_map(|path| targets_of(&input.news.decision, path));
    HomeReport {
        path: home.path().clone(),
        kind: home.kind.clone(),
        cpu_rate: input.state.rates.cpu(home.path()),
        usage: input
            .seen
            .groups
            .get(home.path())
            .map(|group| group.usage.clone())
            .unwrap_or_default(),
        knobs: targets.map(|target| knob_report(input, target)).collect(),
    }
}

/// The targets of one group, in targets that are sorted by group.
fn targets_of<'a>(decision: &'a Decision, path: &CgroupPath) -> &'a [Target] {
    let from = decision.targets.partition_point(|target| target.at < *path);
    let rest = decision.targets.get(from..).unwrap_or_default();
    rest.get(..rest.partition_point(|target| target.at == *path)).unwrap_or_default()
}

fn knob_report(input: &ReportInput<'_>, target: &Target) -> KnobReport {
    let kind = target.knob.kind();
    let group = input.seen.groups.get(&target.at);
    let seen = group.and_then(|group| group.knob(kind).value()).cloned();
    let ownership = &input.state.ownership;
    let wanted = target.knob.as_kernel_keeps(input.seen.host.page);
    let is_near = |value: &Knob| is_settled(value, &wanted, &target.reason);
    let deferred = input.state.defers(&target.at, kind);
    let text = match standing(ownership, input.seen, &target.at, kind) {
        Standing::Ours => "set by provost".to_owned(),
        Standing::Fresh if seen.as_ref() == Some(&wanted) => "already so".to_owned(),
        Standing::Fresh if seen.as_ref().is_some_and(is_near) => "near enough".to_owned(),
        Standing::Fresh if group.is_some_and(|group| *group.knob(kind) == Reading::Absent) => {
            "not there yet".to_owned()
        }
        Standing::Fresh => "not written yet".to_owned(),
        Standing::Reset => "fell back, to be written again".to_owned(),
        Standing::Overridden { remaining, .. } => {
            format!("another writer's for {}s more", remaining.0.div_ceil(1_000_000))
        }
        Standing::Expired => "another writer's, to be written again".to_owned(),
        Standing::Contested => "contested: provost stepped aside".to_owned(),
        Standing::Unknown => "being written".to_owned(),
    };
    KnobReport {
        at: target.at.clone(),
        kind,
        seen,
        wanted: target.knob.clone(),
        reason: reason(input.given, target),
        standing: if deferred { "deferred: waits for its turn".to_owned() } else { text },
        original: ownership.record(&target.at, kind).and_then(|record| record.original.clone()),
    }
}

/// Why a knob is to have its value, and whether that holds for a while only.
fn reason(given: &Given, target: &Target) -> String {
    let key: &str = if let Reason::Configured { key } = &target.reason {
        key.as_ref()
    } else if let Reason::Scaled { key, .. } = &target.reason {
        key.as_str()
    } else if let Reason::AboveCeiling { .. } = &target.reason {
        QuotaKey::MemoryCeiling.word()
    } else {
        return target.reason.to_string();
    };
    let is_given = target.component.as_ref().is_some_and(|name| given.has(name, key));
    let more = if is_given { ", from set-quota" } else { "" };
    format!("{}{more}", target.reason)
}
