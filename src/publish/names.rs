//! Every metric: name, type and help. Names follow Prometheus' rules: base units, plural unit suffix, `_total` for counters.

use crate::model::Resource;

/// Name, type and help.
type Described = (&'static str, &'static str, &'static str);

/// A metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricName {
    /// Always 1; the version is a label.
    BuildInfo,
    /// 1 while limits are put on processes.
    Enforcing,
    /// Always 1; priority and cgroup are labels.
    ComponentInfo,
    /// CPU time used.
    CpuUsageSeconds,
    /// Time throttled by `cpu.max`, summed over CPUs.
    CpuThrottledSeconds,
    /// `cpu.max` as a rate.
    CpuLimitCores,
    /// `cpu.weight`.
    CpuWeight,
    /// `memory.current`.
    MemoryUsageBytes,
    /// `memory.min`, `low`, `high`, `max`.
    MemoryLimitBytes,
    /// `pids.current`.
    Pids,
    /// `oom_kill` in `memory.events`.
    OomKills,
    /// Threads that provost put into real time.
    RealtimeThreads,
    /// Loose processes placed.
    PlacedProcesses,
    /// Loose processes that ended before they were placed.
    EscapedProcesses,
    /// Time from exec to placement.
    PlacementSeconds,
    /// Values that fell back or were taken.
    Drift,
    /// Time from systemd's word that it reloads to having written again.
    ReloadReassertSeconds,
    /// How full a file system is.
    FilesystemUsedRatio,
    /// What the configured thresholds say of a file system.
    FilesystemAlertLevel,
    /// What is said of memory that grows without end.
    LeakAlertLevel,
    /// How fast it grows.
    LeakGrowth,
    /// When it reaches its limit.
    LeakLimitSeconds,
    /// What a component needs, as probing found.
    WorkingSetBytes,
    /// What probing took back.
    ProbedBytes,
    /// What is expected to be needed in the next minutes.
    Forecast(Resource),
    /// How far a forecast can be trusted.
    ForecastConfidence,
    /// Whether use is out of the ordinary.
    Unusual,
    /// When a component's busiest hour needs all of its ceiling.
    CeilingDays,
    /// When the host's needs all it has for components.
    HostCeilingDays,
    /// Findings by severity.
    Findings,
}

impl MetricName {
    /// All of them, in the order in which they are exposed.
    pub const ALL: [Self; 33] = [
        Self::BuildInfo,
        Self::Enforcing,
        Self::ComponentInfo,
        Self::CpuUsageSeconds,
        Self::CpuThrottledSeconds,
        Self::CpuLimitCores,
        Self::CpuWeight,
        Self::MemoryUsageBytes,
        Self::MemoryLimitBytes,
        Self::Pids,
        Self::OomKills,
        Self::RealtimeThreads,
        Self::PlacedProcesses,
        Self::EscapedProcesses,
        Self::PlacementSeconds,
        Self::Drift,
        Self::ReloadReassertSeconds,
        Self::FilesystemUsedRatio,
        Self::FilesystemAlertLevel,
        Self::LeakAlertLevel,
        Self::LeakGrowth,
        Self::LeakLimitSeconds,
        Self::WorkingSetBytes,
        Self::ProbedBytes,
        Self::Forecast(Resource::Cpu),
        Self::Forecast(Resource::Memory),
        Self::Forecast(Resource::Io),
        Self::Forecast(Resource::Pids),
        Self::ForecastConfidence,
        Self::Unusual,
        Self::CeilingDays,
        Self::HostCeilingDays,
        Self::Findings,
    ];

    /// Name, type and help, as exposed.
    #[must_use]
    pub const fn describe(self) -> Described {
        match self {
            Self::BuildInfo => ("provost_build_info", "gauge", "Always 1; the version is a label."),
            Self::Enforcing => {
                ("provost_enforcing", "gauge", "1 while limits are put on processes.")
            }
            Self::ComponentInfo => {
                ("provost_component_info", "gauge", "Always 1; where a component lives.")
            }
            Self::CpuUsageSeconds => {
                ("provost_cpu_usage_seconds_total", "counter", "CPU time used.")
            }
            Self::CpuThrottledSeconds => (
                "provost_cpu_throttled_seconds_total",
                "counter",
                "Time throttled by cpu.max, over all CPUs.",
            ),
            Self::CpuLimitCores => ("provost_cpu_limit_cores", "gauge", "cpu.max as a rate."),
            Self::CpuWeight => ("provost_cpu_weight", "gauge", "cpu.weight."),
            Self::MemoryUsageBytes => ("provost_memory_usage_bytes", "gauge", "memory.current."),
            Self::MemoryLimitBytes => {
                ("provost_memory_limit_bytes", "gauge", "memory.min, low, high and max.")
            }
            Self::Pids => ("provost_pids", "gauge", "pids.current."),
            Self::OomKills => {
                ("provost_oom_kills_total", "counter", "Processes killed for want of memory.")
            }
            Self::RealtimeThreads => REALTIME_THREADS,
            Self::PlacedProcesses => {
                ("provost_placed_processes_total", "counter", "Loose processes placed.")
            }
            Self::EscapedProcesses => (
                "provost_escaped_processes_total",
                "counter",
                "Loose processes that ended before they were placed.",
            ),
            Self::PlacementSeconds => PLACEMENT_SECONDS,
            Self::Drift => (
                "provost_drift_total",
                "counter",
                "Values that fell back or were taken by another writer.",
            ),
            Self::ReloadReassertSeconds => (
                "provost_reload_reassert_seconds",
                "gauge",
                "Last time from a daemon-reload to having written again.",
            ),
            Self::FilesystemUsedRatio => (
                "provost_filesystem_used_ratio",
                "gauge",
                "How much of a file system's space or inodes is in use.",
            ),
            Self::FilesystemAlertLevel => FILESYSTEM_ALERT,
            Self::LeakAlertLevel => {
                ("provost_leak_alert_level", "gauge", "Leaks: 0 none, 1 warning, 2 critical.")
            }
            Self::LeakGrowth => {
                ("provost_leak_growth_bytes_per_second", "gauge", "How fast memory grows.")
            }
            Self::LeakLimitSeconds => LEAK_LIMIT,
            Self::WorkingSetBytes => WORKING_SET,
            Self::ProbedBytes => PROBED,
            Self::Forecast(resource) => forecast(resource),
            Self::ForecastConfidence => FORECAST_CONFIDENCE,
            Self::Unusual => UNUSUAL,
            Self::CeilingDays => CEILING_DAYS,
            Self::HostCeilingDays => HOST_CEILING_DAYS,
            Self::Findings => FINDINGS,
        }
    }
}

const REALTIME_THREADS: Described =
    ("provost_realtime_threads", "gauge", "Threads under SCHED_RR by provost.");

const FILESYSTEM_ALERT: Described = (
    "provost_filesystem_alert_level",
    "gauge",
    "What the thresholds say of a file system: 0 normal, 1 warning, 2 critical, 3 emergency.",
);

const PLACEMENT_SECONDS: Described =
    ("provost_placement_seconds", "gauge", "Time from exec to placement.");

const WORKING_SET: Described =
    ("provost_working_set_bytes", "gauge", "How much memory is needed, as probing found.");

const PROBED: Described =
    ("provost_probed_bytes_total", "counter", "Memory that probing took back.");

const FORECAST_CONFIDENCE: Described =
    ("provost_forecast_confidence_ratio", "gauge", "How far a forecast can be trusted, 0 to 1.");

const LEAK_LIMIT: Described =
    ("provost_leak_limit_seconds", "gauge", "Time until memory is at its limit.");
const FINDINGS: Described =
    ("provost_findings", "gauge", "What a person should know, by severity.");
const UNUSUAL: Described = (
    "provost_component_unusual",
    "gauge",
    "1 while three times five minutes in a row were out of the ordinary.",
);
const CEILING_DAYS: Described = (
    "provost_component_ceiling_days",
    "gauge",
    "Days until the busiest hour of a component needs all of its ceiling; only while that can be told.",
);
const HOST_CEILING_DAYS: Described = (
    "provost_host_ceiling_days",
    "gauge",
    "Days until the busiest hour of the host needs all that it has for components; only while that can be told.",
);

const fn forecast(resource: Resource) -> Described {
    let (name, help) = match resource {
        Resource::Cpu => (
            "provost_forecast_cpu_cores",
            "The most CPU that is expected in the next minutes: the likely amount, and its upper bound.",
        ),
        Resource::Memory => (
            "provost_forecast_memory_bytes",
            "The most memory that is expected in the next minutes.",
        ),
        Resource::Io => (
            "provost_forecast_io_bytes_per_second",
            "The most disk traffic that is expected in the next minutes.",
        ),
        Resource::Pids => {
            ("provost_forecast_pids", "The most tasks that are expected in the next minutes.")
        }
    };
    (name, "gauge", help)
}
