//! What a file says of a component's memory, as it is written there.

use super::{Ceiling, Duration, Size};
use schemars::JsonSchema;
use serde::Deserialize;

/// Memory guarantees and ceilings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Memory {
    /// Protected from reclaim. Default: "0".
    pub(in crate::config) guarantee: Option<Size>,
    /// Where throttling and reclaim begin, at least "16M"; "max" for nowhere. Default: "max".
    pub(in crate::config) high: Option<Size>,
    /// Where killing begins, at least "16M"; "max" for nowhere; or a table of two sizes, at least "64M", between which that follows the
    /// need, with `memory.high` below it. Default: "max".
    pub(in crate::config) ceiling: Option<Ceiling<Size>>,
    /// The most swap it may use; "0" for none, "max" for any. Default: as it was.
    pub(in crate::config) swap: Option<Size>,
    /// What an out-of-memory kill inside the component takes. Default: as it was.
    pub(in crate::config) oom: Option<Oom>,
    /// Whether a ceiling below the present usage is written at once, though that kills. Default: false.
    pub(in crate::config) hard: Option<bool>,
    /// What is done when it grows without end, beside saying so. Default: "tell".
    pub(in crate::config) on_leak: Option<OnLeak>,
    /// With on-leak = "restart", it is restarted once in this time at most, "1h" to "30d". Default: "6h".
    pub(in crate::config) restart_every: Option<Duration>,
    /// How fast it is looked for what it does not need: a little is reclaimed every six seconds while nobody waits. Default: "off".
    pub(in crate::config) probe: Option<Probe>,
}

/// How fast memory that a component does not need is looked for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum Probe {
    /// Not at all.
    Off,
    /// By half a percent of what it holds in a minute.
    Slow,
    /// By five percent in a minute: for swap in memory (zram) and fast disks.
    Fast,
}

/// What is done when a component's memory grows without end. Each includes those before it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum OnLeak {
    /// It is told, and nothing is done.
    Tell,
    /// Its hook is called, once for each finding.
    Hook,
    /// What it does not use goes to swap, a little at a time, as long as that helps and slows nobody down.
    Reclaim,
    /// Its unit is restarted before it reaches its limit, once the leak is confirmed or fast; announced a minute before at least.
    Restart,
}

/// What an out-of-memory kill takes.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum Oom {
    /// One process.
    Process,
    /// The whole cgroup.
    Group,
}
