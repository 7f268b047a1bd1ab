//! A component's memory: what it is guaranteed, where it ends, and what is done about what it does not need.

use super::Scale;
use crate::units::{Bytes, Limit, Span};

/// Memory guarantees and ceilings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// Protected from reclaim.
    pub guarantee: Bytes,
    /// Where throttling and reclaim begin.
    pub high: Limit<Bytes>,
    /// Where killing begins.
    pub ceiling: Limit<Bytes>,
    /// How far that may be lowered while it is not needed.
    pub scale: Option<Scale<Bytes>>,
    /// Swap; `None` leaves it as it is.
    pub swap: Option<Limit<Bytes>>,
    /// What an out-of-memory kill takes.
    pub oom: OomPolicy,
    /// Whether a ceiling below the present usage is written at once, though that kills.
    pub hard: bool,
    /// What is done when it grows without end.
    pub on_leak: OnLeak,
    /// It is restarted for that once in this time at most, 1 h to 30 d.
    pub restart_every: Span,
    /// How fast it is looked for what it does not need.
    pub probe: Probe,
}

impl MemoryPolicy {
    /// How often a unit is restarted for a leak unless configured.
    pub const RESTART_EVERY: Span = Span::secs(6 * 3600);

    /// The most that `memory.high` may be below `max`: tasks above it are slowed down fully at 1.18 times it (the kernel's
    /// `calculate_high_delay`), and that must come before the kill.
    #[must_use]
    pub fn most_high(max: Bytes) -> Bytes {
        max.minus(Bytes::mebi(32)).scaled(10, 12)
    }

    /// The least `max` that a `memory.high` of this may have above it.
    #[must_use]
    pub fn least_max(high: Bytes) -> Bytes {
        Bytes(high.0.saturating_mul(12).div_ceil(10)).plus(Bytes::mebi(32))
    }
}

/// What is done about memory that grows without end. Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnLeak {
    /// It is told.
    Tell,
    /// The component's hook is called, once for each finding.
    Hook,
    /// What it does not use goes to swap, as far as that helps.
    Reclaim,
    /// Its unit is restarted before it reaches its limit.
    Restart,
}

impl OnLeak {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tell => "tell",
            Self::Hook => "hook",
            Self::Reclaim => "reclaim",
            Self::Restart => "restart",
        }
    }
}

/// How fast memory that a component does not need is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// Not at all.
    Off,
    /// By a twentieth of a percent of what it holds every six seconds.
    Slow,
    /// Ten times as fast.
    Fast,
}

impl Probe {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Slow => "slow",
            Self::Fast => "fast",
        }
    }
}

/// What an out-of-memory kill inside a component takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomPolicy {
    /// As it was before provost.
    Unset,
    /// One process.
    Process,
    /// The whole group.
    Group,
}
