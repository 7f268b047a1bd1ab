//! The configuration as it is written: one type per table, one doc comment per key.
//!
//! These types are the only list of keys. The JSON schema is derived from them, the check of a file's shape walks that schema,
//! and the doc comments are the reference. Nothing is interpreted here: a quantity is still text.

mod alerts;
mod io;
mod memory;
mod storage;
mod values;

pub(super) use alerts::{AlertHook, Alerts, Webhook};
pub(super) use io::{Disk, Io, IoLimit};
pub(super) use memory::{Memory, OnLeak, Oom, Probe};
pub(super) use storage::Storage;
pub(super) use values::{
    Account, Affinity, CalendarText, Ceiling, Count, CpuAmount, Duration, Glob, ListenText,
    OneOrMany, PathText, Percent, Priority, RegexText, Size, UrlText,
};

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The configuration of provost.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "provost configuration")]
pub(super) struct Config {
    /// Whether anything is written. Default: "observe".
    pub(super) mode: Option<Mode>,
    /// How eagerly limits follow demand. Default: "balanced".
    pub(super) strategy: Option<Strategy>,
    /// How what is short is divided among components. Default: "weighted".
    pub(super) division: Option<Division>,
    /// The time between two looks at the host, "200ms" to "5s". Default: "1s".
    pub(super) interval: Option<Duration>,
    /// What happens to limits when the daemon stops. Default: "restore".
    pub(super) on_stop: Option<OnLeave>,
    /// How long a value that somebody else wrote stands before it is re-asserted, "1s" to "1d". Default: "10m".
    pub(super) override_for: Option<Duration>,
    /// Who makes and owns cgroups. Default: "auto".
    pub(super) backend: Option<Backend>,
    /// Units that are never touched, beside the built-in ones; globs on unit names. Default: none.
    pub(super) protect: Option<Vec<Glob>>,
    /// What is kept back for everything that is no component.
    pub(super) reserve: Option<Reserve>,
    /// From which use of the host on an alert is raised.
    pub(super) thresholds: Option<Thresholds>,
    /// Forecasts of what components will need.
    pub(super) forecast: Option<Forecast>,
    /// How fast provost may write. What gives back is never slowed down.
    pub(super) writes: Option<Writes>,
    /// Alerts: how often they are told, and to whom.
    pub(super) alerts: Option<Alerts>,
    /// Metrics and health over HTTP.
    pub(super) http: Option<Http>,
    /// What provost itself may cost.
    pub(super) own: Option<Own>,
    /// What is recorded of what provost sees and does.
    pub(super) history: Option<History>,
    /// Windows of time in which something else holds, by name; at most 32. Where several are open, the later name wins. Default: none.
    pub(super) schedule: Option<BTreeMap<String, Schedule>>,
    /// What disks can do, by name: as `provost calibrate` measured it. Without, it is learned. Default: none.
    pub(super) disk: Option<BTreeMap<String, Disk>>,
    /// Folders of which `provost storage --clean` removes files, by name. Default: none.
    pub(super) storage: Option<BTreeMap<String, Storage>>,
    /// The components, by name: 1 to 63 of a-z, 0-9, "_" and "-", starting with a letter or digit. At most 1024.
    pub(super) component: Option<BTreeMap<String, Component>>,
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    /// Look and plan; write nothing.
    Observe,
    /// Put limits on processes.
    Enforce,
}

/// How eagerly limits follow demand.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Strategy {
    /// Slow and roomy.
    Conservative,
    /// Between the two.
    Balanced,
    /// Fast.
    Aggressive,
    /// Chosen by pressure and by the confidence of the forecast.
    Adaptive,
}

/// How what is short is divided among components, beyond their guarantees.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Division {
    /// By priority and share.
    Weighted,
    /// Nothing for a priority before the one above it has all it wants.
    Priority,
    /// By share alone: priorities do not count.
    Fair,
    /// By fixed shares of the whole, guarantees counted in; what somebody does not use of its own is lent.
    Quota,
}

/// What happens to limits when provost leaves.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnLeave {
    /// Put back what was there before.
    Restore,
    /// Leave the limits in place.
    Keep,
}

/// Who makes and owns cgroups.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Backend {
    /// systemd where it runs, otherwise an own subtree.
    Auto,
    /// systemd, or nothing.
    Systemd,
    /// An own subtree, even where systemd runs; this breaks systemd's rule of one writer per cgroup.
    Subtree,
}

/// What is kept back for init, sshd, the kernel and everything else that is no component.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Reserve {
    /// CPU kept back. Default: the larger of "0.25" and "5%".
    pub(super) cpu: Option<CpuAmount>,
    /// Memory kept back. Default: the larger of "512M" and "5%", but at most "25%".
    pub(super) memory: Option<Size>,
}

/// From which use of the host on an alert is raised, beside the levels of pressure, which say who waits.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Thresholds {
    /// Of the CPU time of all online CPUs, over about ten seconds. Default: "70%", "85%", "95%".
    pub(super) cpu: Option<Steps>,
    /// Of all memory, what is not available. Default: "75%", "85%", "95%".
    pub(super) memory: Option<Steps>,
    /// Of each file system, its space and its inodes. Default: "80%", "90%", "95%".
    pub(super) disk: Option<Steps>,
}

/// Forecasts of what components will need. They are made and shown in any case.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Forecast {
    /// What forecasts may decide. Default: "memory".
    pub(super) steer: Option<Steer>,
}

/// What forecasts may decide.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Steer {
    /// Nothing: others give way when a critical or high component waits, not before.
    Off,
    /// That memory gives way before it is needed, how much of it is kept for whom, and the pace of the adaptive strategy.
    Memory,
    /// That, and that CPU gives way before it is needed.
    All,
}

/// What provost itself may cost.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Own {
    /// CPU over a minute. Above it the host is looked at less often, every "5s" at the least; "max" for no limit. Default: "0.25".
    pub(super) cpu: Option<CpuAmount>,
}

/// Metrics (`/metrics`), health (`/healthz`) and a page for people (`/`) over HTTP, for this host alone.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Http {
    /// Where: "unix" for `http.sock` in /run/provost, and addresses of the loopback with their port; at most 8, `[]` for nowhere.
    /// Default: ["unix", "127.0.0.1:17768"].
    pub(super) listen: Option<Vec<ListenText>>,
}

/// How fast provost may write, counted in files of cgroups. What gives back is never slowed down.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Writes {
    /// So many a second for long, 1 to 1000. Default: 20.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) rate: Option<u64>,
    /// So many at once, 1 to 1000. Default: 100.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) burst: Option<u64>,
}

/// What is recorded of what provost sees and does.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct History {
    /// How much room the recording takes on disk from the next start on, "1M" to "1G"; "0" records nothing. Default: "10M".
    pub(super) budget: Option<Size>,
}

/// Where the three alert levels begin, each above the one before; each ends five points lower.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Steps {
    /// Somebody should look at it some time, "10%" to "100%".
    pub(super) warning: Option<Percent>,
    /// Somebody should look at it today, "10%" to "100%".
    pub(super) critical: Option<Percent>,
    /// Somebody should look at it now, "10%" to "100%".
    pub(super) emergency: Option<Percent>,
}

/// A window of time and what holds in it: a strategy, keys of components, or both.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Schedule {
    /// When it begins, as for `OnCalendar=` of a timer (systemd.time(7)): "Mon..Fri 22:00", or a list of such. In the host's time unless it
    /// ends with a time zone.
    pub(super) calendar: OneOrMany<CalendarText>,
    /// How long it lasts, "1m" to "7d".
    pub(super) duration: Duration,
    /// How eagerly limits follow demand while it lasts. Default: as without it.
    pub(super) strategy: Option<Strategy>,
    /// What holds for components while it lasts, by name: every key but `match`, `catch` and `on-exit`. Default: as without it.
    pub(super) component: Option<BTreeMap<String, Component>>,
}

/// One component: what it is, how much it matters, what it gets.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Component {
    /// How much it matters against the others. Default: "normal".
    pub(super) priority: Option<Priority>,
    /// Multiplies the share that the priority gives, 0.1 to 10. Default: 1.0.
    #[schemars(range(min = 0.1, max = 10.0))]
    pub(super) share: Option<f64>,
    /// What belongs to it: one table of conditions that must all hold, or an array of such tables of which one is enough.
    /// Must be there.
    #[serde(rename = "match")]
    pub(super) rules: Option<OneOrMany<Match>>,
    /// How its loose processes are caught. Default: "events".
    pub(super) catch: Option<Catch>,
    /// CPU.
    pub(super) cpu: Option<Cpu>,
    /// Memory and swap.
    pub(super) memory: Option<Memory>,
    /// Disks.
    pub(super) io: Option<Io>,
    /// Tasks.
    pub(super) pids: Option<Pids>,
    /// What happens to its limits when provost leaves. Default: what `on-stop` says.
    pub(super) on_exit: Option<OnLeave>,
    /// Whether ceilings with a least and a most follow the need between the two; false freezes them where they are. Default: true.
    pub(super) auto_scale: Option<bool>,
    /// Whether it gives way when a critical or high component waits for CPU, memory or a disk; for normal and low components.
    /// Default: true for low components, false for normal ones.
    pub(super) yields: Option<bool>,
    /// What may be done to it when memory stays short for critical and high components whatever the limits; only for what yields.
    /// Default: "freeze" for low components, "none" for normal ones.
    pub(super) last_resort: Option<LastResort>,
    /// A program that is called when memory is short, so that the component can let go of some itself before anybody stands still. Default: none.
    pub(super) hook: Option<Hook>,
    /// Over how many instances of a template unit it is spread, as its CPU time asks for. Default: as systemd started them.
    pub(super) instances: Option<Instances>,
    /// How eagerly others make room for it when it waits; for critical and high components. Default: what `strategy` says.
    pub(super) strategy: Option<Strategy>,
}

/// Instances of a template unit, which provost starts and stops through systemd.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Instances {
    /// The template: "worker@.service", of which worker@1.service and so on are instances. A rule of the component must match them.
    pub(super) unit: Glob,
    /// So many run always, 1 to 256. Default: 1.
    #[schemars(range(min = 1, max = 256))]
    pub(super) min: Option<u64>,
    /// So many run at most, 1 to 256.
    #[schemars(range(min = 1, max = 256))]
    pub(super) max: u64,
    /// When instances use more CPU than this each, or are about to, another is started. Default: "0.8".
    pub(super) up: Option<CpuAmount>,
    /// When the others would use less than this each without it, one is stopped. Default: half of `up`.
    pub(super) down: Option<CpuAmount>,
    /// After any start or stop, and with so little to do, none is stopped for so long, "5s" to "1d". Default: "5m".
    pub(super) cooldown: Option<Duration>,
    /// A program that is called before an instance is stopped, with its unit in PROVOST_UNIT. Default: none.
    pub(super) drain: Option<Drain>,
}

/// A program that is called before an instance is stopped, which waits for its end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Drain {
    /// The program's absolute path and its arguments, as a list; no shell reads them.
    #[schemars(length(min = 1))]
    pub(super) command: Vec<String>,
    /// Whose rights it has: the name of an account in /etc/passwd, never one of root's.
    pub(super) user: String,
    /// After so long it is killed, and the instance is stopped, "1s" to "60s". Default: "10s".
    pub(super) timeout: Option<Duration>,
}

/// Conditions that must all hold. Each takes one value, or a list of which one is enough. In a glob, `*` and `?` stay within one
/// part of a path, `**` does not, and `[...]` is a set of characters; a backslash is an ordinary character, as unit names hold some.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Match {
    /// Unit names, as globs: "nginx.service", "postgresql@*.service".
    pub(super) unit: Option<OneOrMany<Glob>>,
    /// Paths below the cgroup root, as globs: "machine.slice/libpod-*.scope".
    pub(super) cgroup: Option<OneOrMany<Glob>>,
    /// Container ids, whole or at least their first 12 characters.
    pub(super) container: Option<OneOrMany<Glob>>,
    /// Absolute paths of executables, as globs.
    pub(super) exe: Option<OneOrMany<Glob>>,
    /// A regular expression on the command line, arguments joined by single spaces.
    pub(super) cmdline: Option<RegexText>,
    /// Effective users, by name or number.
    pub(super) user: Option<OneOrMany<Account>>,
    /// Effective groups, by name or number.
    pub(super) group: Option<OneOrMany<Account>>,
    /// The absolute path of a file that holds a process number.
    pub(super) pidfile: Option<PathText>,
    /// Absolute paths of an ancestor's executable, as globs.
    pub(super) parent: Option<OneOrMany<Glob>>,
}

/// What may be done to a component when giving way is not enough.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LastResort {
    /// Nothing: the kernel's OOM killer decides.
    None,
    /// All its tasks stand still, for half a minute at a time and three quarters of the time at most.
    Freeze,
    /// That, and when it does not help all its tasks are killed, one cgroup at a time.
    Kill,
}

/// A program that is called when memory is short. The ladder never waits for it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Hook {
    /// The program's absolute path and its arguments, as a list; no shell reads them.
    #[schemars(length(min = 1))]
    pub(super) command: Vec<String>,
    /// Whose rights it has: the name of an account in /etc/passwd, never one of root's.
    pub(super) user: String,
    /// After so long it is killed, "1s" to "60s". Default: "10s".
    pub(super) timeout: Option<Duration>,
    /// From which level of memory on it is called. Default: "warning".
    pub(super) from: Option<HookLevel>,
}

/// How short memory is when a hook is called.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HookLevel {
    /// Somebody begins to wait, or less is available than should be.
    Warning,
    /// Protected components are slowed down.
    Critical,
    /// The host is about to stop doing useful work.
    Emergency,
}

/// How loose processes are caught.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Catch {
    /// By exec events, with a scan as safety net.
    Events,
    /// By a permission gate on the executable, before its first instruction; every rule then names an `exe`.
    Gate,
}

/// CPU guarantees and ceilings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Cpu {
    /// Whose share of CPU time and disks it has, or whether it runs only when nobody else wants the CPU. Default: what the priority gives.
    pub(super) class: Option<CpuClass>,
    /// What it gets whenever it wants it. Default: "0".
    pub(super) guarantee: Option<CpuAmount>,
    /// The most it gets, at least "10m"; "max" for no limit; or a table of two such amounts between which that follows the need.
    /// Default: "max".
    pub(super) ceiling: Option<Ceiling<CpuAmount>>,
    /// The period in which the ceiling is counted, "1ms" to "1s". Default: "100ms".
    pub(super) period: Option<Duration>,
    /// Unused quota that may be carried over to a later period, at most the quota. Default: by priority.
    pub(super) burst: Option<Duration>,
    /// The CPUs it may use, such as "0-3,8"; "shared"; "auto", which gives a critical or high component CPUs of its own when an hour of its
    /// demand speaks for it; or a table that asks for CPUs of its own. Default: "shared".
    pub(super) affinity: Option<Affinity>,
    /// What CPUs of its own are to everybody else, where the kernel grants it and systemd does not write the group. Default: "member".
    pub(super) partition: Option<Partition>,
    /// Which threads run in real time. Only with, and then needed by, class "realtime".
    pub(super) realtime: Option<Realtime>,
}

/// Which threads of a component run in real time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Realtime {
    /// Globs on the names of threads, at most 15 bytes long, as in `/proc/PID/task/TID/comm`.
    pub(super) threads: Vec<Glob>,
    /// Their real-time priority, 1 to 10. Default: 1.
    #[schemars(range(min = 1, max = 10))]
    pub(super) priority: Option<u64>,
}

/// Whose share of CPU time and disks a component has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CpuClass {
    /// It runs when nobody else wants the CPU (`cpu.idle`, Linux 5.15, for units systemd 252; with older ones the least weight); for low and normal components.
    Idle,
    /// That of low components; for low and normal ones.
    Low,
    /// That of normal components.
    Normal,
    /// That of high components; for all but low ones.
    High,
    /// That of critical components, and named threads run in real time (`SCHED_RR`); for critical and high ones with CPUs of their own.
    Realtime,
}

/// What a component's own CPUs are to everybody else, by the words of `cpuset.cpus.partition`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Partition {
    /// No other component runs on them; what is not registered may.
    Member,
    /// Nobody else runs on them at all: they are taken from the groups above and beside, registered or not (Linux 5.0, and below the
    /// second level of groups 6.7).
    Root,
    /// That, and the scheduler moves nothing between them (Linux 6.1).
    Isolated,
}

/// CPUs that no other component uses: whole cores, at most half of the host's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct OwnCpus {
    /// Where the cores are.
    pub(super) mode: OwnMode,
    /// How many CPUs; rounded up to whole cores.
    #[schemars(range(min = 1, max = 4096))]
    pub(super) cpus: u64,
}

/// Where a component's own cores are.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OwnMode {
    /// Near each other: behind one cache, on one memory node, as far as there is room.
    Dedicated,
    /// Spread over memory nodes and caches, for what needs their bandwidth.
    Balanced,
}

/// Limits on tasks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Pids {
    /// The most tasks it may have, 8 to 4194304; "max" for no limit; or a table of two such numbers between which that follows the need.
    /// Default: "max".
    pub(super) ceiling: Option<Ceiling<Count>>,
}
