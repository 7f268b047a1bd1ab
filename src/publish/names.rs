//! Every metric: name, type and help. Names follow Prometheus' rules: base units, plural unit suffix, `_total` for counters; of pressure,
//! `waiting` is the kernel's `some` and `stalled` its `full`. What every process exposes keeps the name that it has everywhere.

use crate::model::Resource;

/// What a metric is, in the words of the text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// A value that goes up and down.
    Gauge,
    /// A value that only rises while the daemon runs.
    Counter,
    /// Counts below bounds.
    Histogram,
    /// Quantiles.
    Summary,
}

impl MetricType {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// Name, type and help.
pub(super) type Described = (&'static str, MetricType, &'static str);

/// A metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricName {
    /// Always 1; the version is a label.
    BuildInfo,
    /// 1 while limits are put on processes.
    Enforcing,
    /// Of every place in which a component lives.
    Home(HomeMetric),
    /// How long tasks waited.
    Pressure(PressureMetric),
    /// How scarce a resource is.
    PressureLevel,
    /// The most that a component used of late.
    Peak(Resource),
    /// The CPU that is guaranteed.
    ReservationCores,
    /// The memory that is guaranteed.
    ReservationBytes,
    /// Threads that provost put into real time.
    RealtimeThreads,
    /// Loose processes placed.
    PlacedProcesses,
    /// Loose processes that ended before they were placed.
    EscapedProcesses,
    /// Time from exec to placement.
    PlacementSeconds,
    /// What was done.
    Actions,
    /// Values that fell back or were taken.
    Drift,
    /// Time from systemd's word that it reloads to having written again.
    ReloadReassertSeconds,
    /// How full a file system is.
    FilesystemUsedRatio,
    /// What the configured thresholds say of a file system.
    FilesystemAlertLevel,
    /// When a file system is full, if it goes on as in the last hours.
    FilesystemFullInSeconds,
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
    /// How often its upper bound did not hold.
    ForecastError,
    /// Whether use is out of the ordinary.
    Unusual,
    /// When a component's busiest hour needs all of its ceiling.
    CeilingSeconds,
    /// When the host's needs all it has for components.
    HostCeilingSeconds,
    /// Findings by severity.
    Findings,
    /// Alerts by kind, severity and state.
    Alerts,
    /// What became of alerts on their way.
    AlertNotifications,
    /// What provost itself costs, and how it does.
    Own(OwnMetric),
}

/// What there is to tell of every place in which a component lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeMetric {
    /// Always 1; priority, cgroup and unit are labels.
    Info,
    /// CPU time used.
    CpuUsage,
    /// Time throttled by `cpu.max`, summed over CPUs.
    CpuThrottled,
    /// `cpu.max` as a rate.
    CpuLimit,
    /// `cpu.weight`.
    CpuWeight,
    /// `memory.current`.
    MemoryUsage,
    /// `memory.min`, `low`, `high`, `max`.
    MemoryLimit,
    /// Bytes in `io.stat`.
    IoBytes,
    /// Reads and writes in `io.stat`.
    IoOperations,
    /// `pids.current`.
    Pids,
    /// `oom_kill` in `memory.events`.
    OomKills,
}

/// How long tasks waited, by resource, and whether all of them did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PressureMetric {
    /// `some` in `cpu.pressure`.
    CpuWaiting,
    /// `full` in `cpu.pressure`.
    CpuStalled,
    /// `some` in `memory.pressure`.
    MemoryWaiting,
    /// `full` in `memory.pressure`.
    MemoryStalled,
    /// `some` in `io.pressure`.
    IoWaiting,
    /// `full` in `io.pressure`.
    IoStalled,
}

/// What provost itself costs, and how it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnMetric {
    /// Whether it does all that it is asked for.
    HealthLevel,
    /// How long looks took.
    LoopDuration,
    /// How late a look came.
    LoopLag,
    /// When the last look was.
    LastSuccess,
    /// Whether the last reload succeeded.
    ReloadSuccess,
    /// Requests over HTTP.
    HttpRequests,
    /// What provost itself may use of the CPU.
    CpuLimit,
    /// The time between two looks.
    LookInterval,
    /// CPU time of the process.
    ProcessCpu,
    /// Its memory.
    ProcessMemory,
    /// Its descriptors.
    ProcessDescriptors,
    /// When it was started.
    ProcessStart,
}

impl MetricName {
    /// All of them, in the order in which they are exposed.
    pub const ALL: [Self; 65] = [
        Self::BuildInfo,
        Self::Enforcing,
        Self::Home(HomeMetric::Info),
        Self::Home(HomeMetric::CpuUsage),
        Self::Home(HomeMetric::CpuThrottled),
        Self::Home(HomeMetric::CpuLimit),
        Self::Home(HomeMetric::CpuWeight),
        Self::Home(HomeMetric::MemoryUsage),
        Self::Home(HomeMetric::MemoryLimit),
        Self::Home(HomeMetric::IoBytes),
        Self::Home(HomeMetric::IoOperations),
        Self::Home(HomeMetric::Pids),
        Self::Home(HomeMetric::OomKills),
        Self::Pressure(PressureMetric::CpuWaiting),
        Self::Pressure(PressureMetric::CpuStalled),
        Self::Pressure(PressureMetric::MemoryWaiting),
        Self::Pressure(PressureMetric::MemoryStalled),
        Self::Pressure(PressureMetric::IoWaiting),
        Self::Pressure(PressureMetric::IoStalled),
        Self::PressureLevel,
        Self::Peak(Resource::Cpu),
        Self::Peak(Resource::Memory),
        Self::Peak(Resource::Io),
        Self::Peak(Resource::Pids),
        Self::ReservationCores,
        Self::ReservationBytes,
        Self::RealtimeThreads,
        Self::PlacedProcesses,
        Self::EscapedProcesses,
        Self::PlacementSeconds,
        Self::Actions,
        Self::Drift,
        Self::ReloadReassertSeconds,
        Self::FilesystemUsedRatio,
        Self::FilesystemAlertLevel,
        Self::FilesystemFullInSeconds,
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
        Self::ForecastError,
        Self::Unusual,
        Self::CeilingSeconds,
        Self::HostCeilingSeconds,
        Self::Findings,
        Self::Alerts,
        Self::AlertNotifications,
        Self::Own(OwnMetric::HealthLevel),
        Self::Own(OwnMetric::LoopDuration),
        Self::Own(OwnMetric::LoopLag),
        Self::Own(OwnMetric::LastSuccess),
        Self::Own(OwnMetric::ReloadSuccess),
        Self::Own(OwnMetric::HttpRequests),
        Self::Own(OwnMetric::CpuLimit),
        Self::Own(OwnMetric::LookInterval),
        Self::Own(OwnMetric::ProcessCpu),
        Self::Own(OwnMetric::ProcessMemory),
        Self::Own(OwnMetric::ProcessDescriptors),
        Self::Own(OwnMetric::ProcessStart),
    ];
}
