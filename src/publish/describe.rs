//! What each metric is called, what it is, and what it says. One line for each, in the order of the names.

use super::names::MetricType::{Counter, Gauge, Histogram, Summary};
use super::names::{Described, HomeMetric, MetricName, OwnMetric, PressureMetric};
use crate::model::Resource;

impl MetricName {
    /// Name, type and help, as exposed.
    #[must_use]
    pub const fn describe(self) -> Described {
        match self {
            Self::BuildInfo => ("provost_build_info", Gauge, "Always 1; the version is a label."),
            Self::Enforcing => ("provost_enforcing", Gauge, "1 while limits are put on processes."),
            Self::Home(metric) => home(metric),
            Self::Pressure(metric) => pressure(metric),
            Self::PressureLevel => PRESSURE_LEVEL,
            Self::Peak(resource) => peak(resource),
            Self::ReservationCores => RESERVATION_CORES,
            Self::ReservationBytes => RESERVATION_BYTES,
            Self::RealtimeThreads => {
                ("provost_realtime_threads", Gauge, "Threads under SCHED_RR by provost.")
            }
            Self::PlacedProcesses => {
                ("provost_placed_processes_total", Counter, "Loose processes placed.")
            }
            Self::EscapedProcesses => ESCAPED,
            Self::PlacementSeconds => {
                ("provost_placement_seconds", Summary, "Time from exec to placement.")
            }
            Self::Actions => ACTIONS,
            Self::Drift => DRIFT,
            Self::ReloadReassertSeconds => RELOAD_REASSERT,
            Self::FilesystemUsedRatio => FILESYSTEM_USED,
            Self::FilesystemAlertLevel => FILESYSTEM_ALERT,
            Self::FilesystemFullInSeconds => FILESYSTEM_FULL,
            Self::LeakAlertLevel => {
                ("provost_leak_alert_level", Gauge, "Leaks: 0 none, 1 warning, 2 critical.")
            }
            Self::LeakGrowth => {
                ("provost_leak_growth_bytes_per_second", Gauge, "How fast memory grows.")
            }
            Self::LeakLimitSeconds => {
                ("provost_leak_limit_seconds", Gauge, "Time until memory is at its limit.")
            }
            Self::WorkingSetBytes => WORKING_SET,
            Self::ProbedBytes => {
                ("provost_probed_bytes_total", Counter, "Memory that probing took back.")
            }
            Self::Forecast(resource) => forecast(resource),
            Self::ForecastConfidence => FORECAST_CONFIDENCE,
            Self::ForecastError => FORECAST_ERROR,
            Self::Unusual => UNUSUAL,
            Self::CeilingSeconds => CEILING,
            Self::HostCeilingSeconds => HOST_CEILING,
            Self::Findings => {
                ("provost_findings", Gauge, "What a person should know, by severity.")
            }
            Self::Alerts => ("provost_alerts", Gauge, "Alerts, by kind, severity and state."),
            Self::AlertNotifications => ALERT_NOTIFICATIONS,
            Self::Own(metric) => own(metric),
        }
    }
}

const ALERT_NOTIFICATIONS: Described = (
    "provost_alert_notifications_total",
    Counter,
    "Alerts that were passed on, by where to and what became of them.",
);
const PRESSURE_LEVEL: Described = (
    "provost_pressure_level",
    Gauge,
    "How scarce a resource is for those who are protected: 0 normal, 1 warning, 2 critical, 3 emergency.",
);
const RESERVATION_CORES: Described = (
    "provost_reservation_cores",
    Gauge,
    "CPU that is guaranteed; without a component, what is kept back for everything else.",
);
const RESERVATION_BYTES: Described = (
    "provost_reservation_bytes",
    Gauge,
    "Memory that is guaranteed; without a component, what is kept back for everything else.",
);
const ESCAPED: Described = (
    "provost_escaped_processes_total",
    Counter,
    "Loose processes that ended before they were placed.",
);
const ACTIONS: Described =
    ("provost_actions_total", Counter, "What provost did, by what was written and how it ended.");
const DRIFT: Described =
    ("provost_drift_total", Counter, "Values that fell back or were taken by another writer.");
const RELOAD_REASSERT: Described = (
    "provost_reload_reassert_seconds",
    Gauge,
    "Last time from a daemon-reload to having written again.",
);
const FILESYSTEM_USED: Described = (
    "provost_filesystem_used_ratio",
    Gauge,
    "How much of a file system's space or inodes is in use.",
);
const FILESYSTEM_ALERT: Described = (
    "provost_filesystem_alert_level",
    Gauge,
    "What the thresholds say of a file system: 0 normal, 1 warning, 2 critical, 3 emergency.",
);
const FILESYSTEM_FULL: Described = (
    "provost_filesystem_full_in_seconds",
    Gauge,
    "In how long a file system is likely to be full; absent where it does not fill beyond doubt.",
);
const WORKING_SET: Described =
    ("provost_working_set_bytes", Gauge, "How much memory is needed, as probing found.");
const FORECAST_CONFIDENCE: Described =
    ("provost_forecast_confidence_ratio", Gauge, "How far a forecast can be trusted, 0 to 1.");
const FORECAST_ERROR: Described = (
    "provost_forecast_error_ratio",
    Gauge,
    "How often more was used than the upper bound of a forecast said, 0 to 1.",
);
const UNUSUAL: Described = (
    "provost_component_unusual",
    Gauge,
    "1 while three times five minutes in a row were out of the ordinary.",
);
const CEILING: Described = (
    "provost_component_ceiling_seconds",
    Gauge,
    "Time until the busiest hour of a component needs all of its ceiling; only while that can be told.",
);
const HOST_CEILING: Described = (
    "provost_host_ceiling_seconds",
    Gauge,
    "Time until the busiest hour of the host needs all that it has for components; only while that can be told.",
);

const fn home(metric: HomeMetric) -> Described {
    match metric {
        HomeMetric::Info => ("provost_component_info", Gauge, "Always 1; where a component lives."),
        HomeMetric::CpuUsage => ("provost_cpu_usage_seconds_total", Counter, "CPU time used."),
        HomeMetric::CpuThrottled => (
            "provost_cpu_throttled_seconds_total",
            Counter,
            "Time throttled by cpu.max, over all CPUs.",
        ),
        HomeMetric::CpuLimit => ("provost_cpu_limit_cores", Gauge, "cpu.max as a rate."),
        HomeMetric::CpuWeight => ("provost_cpu_weight", Gauge, "cpu.weight."),
        HomeMetric::MemoryUsage => ("provost_memory_usage_bytes", Gauge, "memory.current."),
        HomeMetric::MemoryLimit => {
            ("provost_memory_limit_bytes", Gauge, "memory.min, low, high and max.")
        }
        HomeMetric::IoBytes => {
            ("provost_io_bytes_total", Counter, "Bytes read from and written to disks.")
        }
        HomeMetric::IoOperations => {
            ("provost_io_operations_total", Counter, "Reads from and writes to disks.")
        }
        HomeMetric::Pids => ("provost_pids", Gauge, "pids.current."),
        HomeMetric::OomKills => {
            ("provost_oom_kills_total", Counter, "Processes killed for want of memory.")
        }
    }
}

const fn pressure(metric: PressureMetric) -> Described {
    let (name, help) = match metric {
        PressureMetric::CpuWaiting => (
            "provost_pressure_cpu_waiting_seconds_total",
            "Time in which some task waited for a CPU; without a component, of the whole host.",
        ),
        PressureMetric::CpuStalled => (
            "provost_pressure_cpu_stalled_seconds_total",
            "Time in which all tasks waited for a CPU.",
        ),
        PressureMetric::MemoryWaiting => (
            "provost_pressure_memory_waiting_seconds_total",
            "Time in which some task waited for memory; without a component, of the whole host.",
        ),
        PressureMetric::MemoryStalled => (
            "provost_pressure_memory_stalled_seconds_total",
            "Time in which all tasks waited for memory; without a component, of the whole host.",
        ),
        PressureMetric::IoWaiting => (
            "provost_pressure_io_waiting_seconds_total",
            "Time in which some task waited for a disk; without a component, of the whole host.",
        ),
        PressureMetric::IoStalled => (
            "provost_pressure_io_stalled_seconds_total",
            "Time in which all tasks waited for a disk; without a component, of the whole host.",
        ),
    };
    (name, Counter, help)
}

const fn peak(resource: Resource) -> Described {
    let (name, help) = match resource {
        Resource::Cpu => (
            "provost_peak_cpu_cores",
            "The most CPU that was used over the last minute at least, and since the last scrape.",
        ),
        Resource::Memory => (
            "provost_peak_memory_bytes",
            "The largest working set over the last minute at least, and since the last scrape.",
        ),
        Resource::Io => (
            "provost_peak_io_bytes_per_second",
            "The most disk traffic over the last minute at least, and since the last scrape.",
        ),
        Resource::Pids => (
            "provost_peak_pids",
            "The most tasks over the last minute at least, and since the last scrape.",
        ),
    };
    (name, Gauge, help)
}

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
    (name, Gauge, help)
}

const fn own(metric: OwnMetric) -> Described {
    match metric {
        OwnMetric::HealthLevel => (
            "provost_health_level",
            Gauge,
            "How provost itself does: 0 healthy, 1 degraded, 2 failed.",
        ),
        OwnMetric::LoopDuration => {
            ("provost_loop_duration_seconds", Histogram, "How long a look and its decisions took.")
        }
        OwnMetric::LoopLag => (
            "provost_loop_lag_seconds",
            Gauge,
            "The longest that a look came late over the last minute at least, and since the last scrape.",
        ),
        OwnMetric::LastSuccess => (
            "provost_last_success_timestamp_seconds",
            Gauge,
            "When the last look was that these values are from.",
        ),
        OwnMetric::ReloadSuccess => {
            ("provost_config_reload_success", Gauge, "1 unless the last reload failed.")
        }
        OwnMetric::HttpRequests => {
            ("provost_http_requests_total", Counter, "Requests over HTTP, by what became of them.")
        }
        OwnMetric::CpuLimit => (
            "provost_own_cpu_limit_cores",
            Gauge,
            "What provost itself may use of the CPU before it looks at the host less often.",
        ),
        OwnMetric::LookInterval => {
            ("provost_look_interval_seconds", Gauge, "The time between two looks at the host.")
        }
        OwnMetric::ProcessCpu => {
            ("process_cpu_seconds_total", Counter, "CPU time of provost itself.")
        }
        OwnMetric::ProcessMemory => {
            ("process_resident_memory_bytes", Gauge, "Memory of provost itself that is resident.")
        }
        OwnMetric::ProcessDescriptors => ("process_open_fds", Gauge, "Open file descriptors."),
        OwnMetric::ProcessStart => {
            ("process_start_time_seconds", Gauge, "When provost was started, since 1970.")
        }
    }
}
