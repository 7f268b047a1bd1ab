//! The status report: one document behind `provost status`, `provost explain` and the metrics.

use super::{
    AlertView, CpuClass, Disk, Estimate, Expected, Finding, ForecastView, GrowthView, Health,
    HomeKind, Hook, HostLoad, Knob, KnobKind, LadderView, MendView, Own, Priority, ProbeView,
    QuotaView, RealtimeView, Resource, SinkCounts, Usage,
};
use crate::units::{Bytes, CgroupPath, ComponentName, CpuSet, Limit, Millicpu, ProcId, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that is known now. Base units: bytes, thousandths of a core, microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `provost/status/v1`.
    pub schema: String,
    /// provost's version.
    pub version: String,
    /// The daemon's process number; 0 when the report was made without a daemon.
    pub pid: u32,
    /// Microseconds since boot.
    pub at: Tick,
    /// When the daemon started.
    pub started: Tick,
    /// Whether limits are put on processes.
    pub enforcing: bool,
    /// The strategy of all components that have no other.
    pub strategy: String,
    /// The configured one, where `provost strategy` or `provost start --strategy` chose another.
    pub strategy_configured: Option<String>,
    /// What the adaptive strategy comes to now, whoever follows it.
    pub adaptive: String,
    /// How what is short is divided.
    pub division: String,
    /// The host.
    pub host: HostReport,
    /// The components, by name.
    pub components: Vec<ComponentReport>,
    /// The windows of time, by name.
    #[serde(default)]
    pub schedules: Vec<ScheduleView>,
    /// How scarce each resource is, and what each component uses, wants and waits for.
    pub estimate: Estimate,
    /// How far provost has gone for memory; none while it is not short.
    #[serde(default)]
    pub ladder: Option<LadderView>,
    /// For what others give way before anybody waits.
    #[serde(default)]
    pub ahead: Vec<Expected>,
    /// What a person should know, gravest first.
    pub findings: Vec<Finding>,
    /// How fast loose processes were placed.
    pub escape: EscapeTimes,
    /// How fast lost values were written again.
    pub drift: Drift,
    /// The last actions, newest last.
    pub actions: Vec<ActionLine>,
    /// Alerts that hold, the gravest first, then those of the last hour that were resolved.
    #[serde(default)]
    pub alerts: Vec<AlertView>,
    /// What became of alerts on their way, by sink.
    #[serde(default)]
    pub sinks: BTreeMap<String, SinkCounts>,
    /// How provost does, and what it costs.
    #[serde(default)]
    pub own: Own,
    /// Whether it does all that it is asked for.
    #[serde(default)]
    pub health: Health,
}

/// A window of time, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleView {
    /// Its name.
    pub name: ComponentName,
    /// When it closes, if it is open.
    pub open_until: Option<u64>,
    /// When it begins next, if ever.
    pub next: Option<u64>,
}

/// The host's size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Online CPUs.
    pub cpu: Millicpu,
    /// What is kept back of them.
    pub cpu_reserve: Millicpu,
    /// `MemTotal`.
    pub memory: Bytes,
    /// What is kept back of it.
    pub memory_reserve: Bytes,
    /// Whether systemd manages the tree.
    pub systemd: bool,
    /// How busy it is, as counters and levels.
    #[serde(default)]
    pub load: HostLoad,
    /// Whole disks, with what makes weights work on each.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Where its busiest hours go, once two weeks were seen.
    #[serde(default)]
    pub growth: BTreeMap<Resource, GrowthView>,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentReport {
    /// Its name.
    pub name: ComponentName,
    /// Its priority.
    pub priority: Priority,
    /// Its CPU class, where it has one.
    pub cpu_class: Option<CpuClass>,
    /// Its own strategy, where it has one.
    pub strategy: Option<String>,
    /// Where it lives.
    pub homes: Vec<HomeReport>,
    /// CPU guarantee.
    pub cpu_guarantee: Millicpu,
    /// CPU ceiling.
    pub cpu_ceiling: Limit<Millicpu>,
    /// What it may count on when everybody wants everything.
    pub cpu_entitlement: Option<Millicpu>,
    /// CPUs that no other component uses, where it has some.
    pub own_cpus: Option<CpuSet>,
    /// What `affinity = "auto"` chose and why, where the component has that.
    pub auto_affinity: Option<String>,
    /// Its threads in real time, where it has class `realtime`.
    #[serde(default)]
    pub realtime: Option<RealtimeView>,
    /// Memory guarantee.
    pub memory_guarantee: Bytes,
    /// Memory ceiling.
    pub memory_ceiling: Limit<Bytes>,
    /// The most tasks.
    pub pids_ceiling: Limit<u64>,
    /// What `provost set-quota` gave it for a while.
    #[serde(default)]
    pub quotas: Vec<QuotaView>,
    /// The ceilings that follow the need, as they are now.
    #[serde(default)]
    pub ceilings: BTreeMap<Resource, CeilingView>,
    /// Over how many instances of a template it is spread, where it is.
    #[serde(default)]
    pub instances: Option<InstancesView>,
    /// What may be done to it when memory stays short whatever the limits: `none`, `freeze` or `kill`.
    #[serde(default)]
    pub last_resort: String,
    /// The hook that is called when memory is short, where it has one.
    #[serde(default)]
    pub hook: Option<HookReport>,
    /// What is done when its memory grows without end, where anything may be.
    #[serde(default)]
    pub mending: Option<MendView>,
    /// How much memory it needs, where that is probed.
    #[serde(default)]
    pub probe: Option<ProbeView>,
    /// What it is expected to need in the next minutes, where anything is known of that.
    #[serde(default)]
    pub forecasts: BTreeMap<Resource, ForecastView>,
    /// The most that it used of late, in each resource's unit: over the last minute at least, and since the last scrape.
    #[serde(default)]
    pub peaks: BTreeMap<Resource, u64>,
    /// Where its busiest hours go, once two weeks were seen.
    #[serde(default)]
    pub growth: BTreeMap<Resource, GrowthView>,
    /// Loose processes that are not in place yet.
    pub loose: Vec<String>,
}

/// A ceiling that follows the need, in the resource's unit: thousandths of a core, bytes, tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CeilingView {
    /// Its lower end.
    pub least: u64,
    /// Its upper end.
    pub most: u64,
    /// What it is now.
    pub now: u64,
    /// When it was moved last.
    pub changed: Option<Tick>,
    /// Why it is what it is, as a clause.
    pub why: String,
}

/// The instances of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancesView {
    /// The template unit.
    pub template: String,
    /// So many run always.
    pub least: u64,
    /// So many run at most.
    pub most: u64,
    /// So many run now.
    pub run: u64,
    /// What is being done, where something is.
    pub job: Option<String>,
    /// What was done last, and why; empty where nothing was.
    pub because: String,
}

/// A component's hook, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// What is called, when and with whose rights.
    pub hook: Hook,
    /// How the last call ended, or that it runs.
    pub last: Option<ActionLine>,
}

/// One cgroup of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeReport {
    /// The cgroup.
    pub path: CgroupPath,
    /// What kind of place it is.
    pub kind: HomeKind,
    /// CPU used over the last interval.
    pub cpu_rate: Option<Millicpu>,
    /// Counters and levels.
    pub usage: Usage,
    /// Every knob that is wanted, with what the kernel holds.
    pub knobs: Vec<KnobReport>,
}

/// One knob: wanted, held, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnobReport {
    /// The group.
    pub at: CgroupPath,
    /// The knob.
    pub kind: KnobKind,
    /// The value in the kernel.
    pub seen: Option<Knob>,
    /// The value wanted.
    pub wanted: Knob,
    /// Why.
    pub reason: String,
    /// Whose the value is now.
    pub standing: String,
    /// The value before provost.
    pub original: Option<Knob>,
}

/// How long processes ran outside their component after their exec, over the agent's life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EscapeTimes {
    /// Loose processes placed.
    pub placed: u64,
    /// Median of the last 256 whose exec was seen.
    pub median: Option<Span>,
    /// 99th percentile of the last 256.
    pub p99: Option<Span>,
    /// The longest.
    pub longest: Option<Span>,
    /// Processes that ended before they could be placed, over the agent's life.
    pub escaped: u64,
    /// The last 16 of them, newest last.
    pub last_escaped: Vec<Escaped>,
}

/// A process that ended before it could be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escaped {
    /// When that was noticed.
    pub at: Tick,
    /// The component it belonged to.
    pub component: ComponentName,
    /// The process.
    pub process: ProcId,
    /// Its command name.
    pub comm: String,
    /// Where it lived.
    pub from: CgroupPath,
}

/// How fast lost values were written again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Values that fell back or were taken, over the daemon's life.
    pub seen: u64,
    /// From noticing to having written again: the last.
    pub last_reassert: Option<Span>,
    /// From systemd's word that it reloads to having written again: the last.
    pub last_reload_to_reassert: Option<Span>,
}

/// One action as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionLine {
    /// When it ended.
    pub at: Tick,
    /// The component, `-` for an ancestor.
    pub component: String,
    /// The group.
    pub path: CgroupPath,
    /// What was done.
    pub what: String,
    /// How it ended.
    pub result: String,
    /// Of a knob, why it was to have another value.
    #[serde(default)]
    pub why: Option<String>,
    /// How long the kernel or systemd took.
    pub took: Span,
}
