//! A scenario as it is written: one type per table, one doc comment per key. Nothing is interpreted here: a quantity is still text.
//!
//! The same file holds a provost configuration; its keys are those of `provost config schema`.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a scenario has beside the configuration.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Scenario {
    /// What happens in it, in one line.
    pub(super) about: Option<String>,
    /// How long it lasts, "1s" to "31d". Default: "10m".
    pub(super) duration: Option<String>,
    /// How long a day of forecasts takes, "5m" to "1d": then they are made and steer. Default: there are none.
    pub(super) day: Option<String>,
    /// Names one run of everything random. Default: 1.
    pub(super) seed: Option<u64>,
    /// How many of a thousand writes fail. Default: 0.
    #[schemars(range(min = 0, max = 1000))]
    pub(super) failing_writes: Option<u32>,
    /// The host.
    pub(super) host: Option<Host>,
    /// What the components do, by name.
    pub(super) load: Option<BTreeMap<String, Load>>,
    /// What runs beside the components.
    pub(super) background: Option<Load>,
    /// Other writers of knobs.
    pub(super) foreign: Option<Vec<Foreign>>,
    /// Times in which the host sleeps.
    pub(super) gap: Option<Vec<Gap>>,
}

/// The host.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Host {
    /// CPUs. Default: 4.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) cpus: Option<u32>,
    /// Memory. Default: "8G".
    pub(super) memory: Option<String>,
    /// Swap. Default: "0".
    pub(super) swap: Option<String>,
    /// `kernel.pid_max`. Default: 32768.
    #[schemars(range(min = 301, max = 4_194_304))]
    pub(super) pid_max: Option<u64>,
    /// Disks. Default: one SSD "sda" without weights.
    pub(super) disk: Option<Vec<Disk>>,
}

/// A disk.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Disk {
    /// Its kernel name.
    pub(super) name: String,
    /// How fast it is. Default: "ssd".
    pub(super) kind: Option<DiskKind>,
    /// What makes weights work on it. Default: "none".
    pub(super) weights: Option<Weights>,
}

/// How fast a disk is: the built-in models of io.cost.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DiskKind {
    /// A rotating disk, 174 MB/s.
    Hdd,
    /// A SATA SSD, 489 MB/s.
    Ssd,
    /// A fast SSD, 3.1 GB/s.
    Nvme,
}

/// What makes weights work on a disk.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Weights {
    /// Nothing.
    None,
    /// BFQ.
    Bfq,
    /// io.cost.
    IoCost,
}

/// What a component does.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Load {
    /// Its cgroup. Default: "system.slice/NAME.service".
    pub(super) cgroup: Option<String>,
    /// As many alike, named NAME-0001 and so on, instead of one. Default: 0.
    #[schemars(range(min = 0, max = 1024))]
    pub(super) copies: Option<u32>,
    /// Threads that run, allocate or wait at once. Default: as many as the CPU demand needs.
    #[schemars(range(min = 1, max = 65536))]
    pub(super) threads: Option<u64>,
    /// CPU demand, in cores.
    pub(super) cpu: Option<Program>,
    /// Anonymous memory.
    pub(super) memory: Option<Program>,
    /// So many percent of its memory are never used again, as after a leak: swapped out, they stay there. Default: 0.
    #[schemars(range(min = 0, max = 100))]
    pub(super) cold: Option<u32>,
    /// Files that it keeps using: what is evicted is read again.
    pub(super) cache: Option<Program>,
    /// Bytes read from disk per second.
    pub(super) read: Option<Program>,
    /// Bytes written to disk per second.
    pub(super) write: Option<Program>,
    /// Tasks. Default: as many as there are threads.
    pub(super) pids: Option<Program>,
    /// CPU demand of each task, beside `cpu`.
    pub(super) cpu_per_task: Option<String>,
    /// Memory of each task, beside `memory`.
    pub(super) memory_per_task: Option<String>,
    /// The size of one disk request. Default: "64K".
    pub(super) request: Option<String>,
    /// The disk. Default: the first.
    pub(super) disk: Option<String>,
    /// Its unit is restarted this often. Default: never.
    pub(super) restart_every: Option<String>,
}

/// A quantity over time.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Program {
    /// Its course. Default: "constant".
    pub(super) shape: Option<Shape>,
    /// Where it starts. Default: "0".
    pub(super) level: Option<String>,
    /// Where it goes: the upper level, the peak, or where a ramp ends.
    pub(super) to: Option<String>,
    /// When a step, a ramp or the first burst begins. Default: "0s".
    pub(super) at: Option<String>,
    /// When it is over and back at `level`. Default: never.
    pub(super) until: Option<String>,
    /// How long one round of a square, saw, diurnal or burst takes.
    pub(super) period: Option<String>,
    /// How long a burst takes. Default: a tenth of the period.
    pub(super) length: Option<String>,
    /// What a ramp grows by per second.
    pub(super) rate: Option<String>,
    /// A CSV file of seconds and values, relative to the scenario's folder; the last value stands until the next.
    pub(super) trace: Option<String>,
    /// Random deviation, in percent to either side, drawn anew each second. Default: 0.
    #[schemars(range(min = 0, max = 100))]
    pub(super) noise: Option<u32>,
}

/// The course of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    /// Always the same.
    Constant,
    /// From `level` to `to`, at `at`.
    Step,
    /// Half a period at `level`, half at `to`.
    Square,
    /// Rises from `level` to `to` within a period, then falls back at once.
    Saw,
    /// A wave between `level` and `to`: `level` at the start, `to` after half a period.
    Diurnal,
    /// Grows by `rate` per second: a leak, a hog, a fork bomb. Starts anew when it is killed.
    Ramp,
    /// `to` for `length`, once a period.
    Burst,
    /// As recorded.
    Trace,
}

/// Another writer of a knob.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Foreign {
    /// The component whose group is written.
    pub(super) component: String,
    /// The file, such as "memory.max".
    pub(super) knob: String,
    /// What is written, as the kernel reads it.
    pub(super) value: String,
    /// When first. Default: "1m".
    pub(super) at: Option<String>,
    /// How often again. Default: never.
    pub(super) every: Option<String>,
}

/// A time in which the host sleeps: nothing runs, and the boot clock goes on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Gap {
    /// When.
    pub(super) at: String,
    /// How long.
    pub(super) length: String,
}
