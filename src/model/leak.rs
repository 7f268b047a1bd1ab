//! Memory that grows without end: what is said of it, and what is kept of it while no daemon runs.

use super::Level;
use crate::units::{Bytes, CgroupId, ComponentName, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How certain and how near the end of it is. Orders from the least to the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeakTier {
    /// Steady growth for three hours; may well end by itself.
    Growth,
    /// Steady growth for twelve hours that reaches the limit within a day.
    Slow,
    /// Steady growth for six hours that reaches the limit within twelve.
    Suspected,
    /// Slow or suspected, and so it was in the two runs before, at about the same slope.
    Confirmed,
    /// Steep growth for an hour that reaches the limit within two.
    Fast,
}

impl LeakTier {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Growth => "growth",
            Self::Slow => "slow",
            Self::Suspected => "suspected",
            Self::Confirmed => "confirmed",
            Self::Fast => "fast",
        }
    }

    /// The alert that it raises; growth raises none.
    #[must_use]
    pub const fn alert(self) -> Level {
        match self {
            Self::Growth => Level::Normal,
            Self::Slow | Self::Suspected | Self::Confirmed => Level::Warning,
            Self::Fast => Level::Critical,
        }
    }
}

impl fmt::Display for LeakTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What ends the growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeakLimit {
    /// The component's own limit: `memory.max`, or the configured ceiling.
    Own(Bytes),
    /// It has none: what the host has for components.
    Host(Bytes),
}

impl LeakLimit {
    /// How much that is.
    #[must_use]
    pub const fn bytes(self) -> Bytes {
        match self {
            Self::Own(bytes) | Self::Host(bytes) => bytes,
        }
    }
}

/// What the statistics said when a window was last examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeakEvidence {
    /// How many parts were compared.
    pub parts: u32,
    /// How long each part is; the least that was held in each counts.
    pub part: Span,
    /// The slope in standard errors (least squares with CPU use taken out, errors after Newey and West), in hundredths.
    pub slope_t_centi: i64,
    /// Mann and Kendall's statistic in standard deviations (variance after Hamed and Rao), in hundredths.
    pub order_z_centi: i64,
    /// It grows by more than this share of what it held, per hour, with 99 % confidence (Theil and Sen).
    pub least_per_hour: Ppm,
    /// Whether it levels off (far below zero) or gets faster, in standard errors, in hundredths.
    pub curve_t_centi: i64,
}

/// Memory of one component that grows without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// How certain, and how near the end.
    pub tier: LeakTier,
    /// Since when this tier holds.
    pub since: Tick,
    /// When it was examined last.
    pub at: Tick,
    /// What it held then at the least: anonymous and shared memory, swap and what the kernel cannot reclaim for it.
    pub held: Bytes,
    /// By how much it grows in an hour.
    pub per_hour: Bytes,
    /// What ends the growth.
    pub limit: LeakLimit,
    /// How long it took from `at` to the limit at that slope.
    pub until_limit: Span,
    /// Why that is believed.
    pub evidence: LeakEvidence,
}

/// One part of a window. Recorded as a pair, since there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct LeakPart {
    /// The least that was held, in KiB.
    pub held_kib: u32,
    /// The mean CPU use, in thousandths of a core.
    pub load_millicpu: u32,
}

impl From<(u32, u32)> for LeakPart {
    fn from((held_kib, load_millicpu): (u32, u32)) -> Self {
        Self { held_kib, load_millicpu }
    }
}

impl From<LeakPart> for (u32, u32) {
    fn from(part: LeakPart) -> Self {
        (part.held_kib, part.load_millicpu)
    }
}

/// What is kept of one tier of one component.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeakTierMemory {
    /// The number of the part that was not over yet, counted in its own length since the host's start.
    pub next: u64,
    /// The parts before it, oldest first; at most 36 are read.
    pub parts: Vec<LeakPart>,
    /// How often a whole window was examined in this run.
    pub examined: u32,
    /// So many examinations in a row did not find what was said before.
    pub against: u32,
    /// What was said.
    pub said: Option<Leak>,
}

/// What is kept of one component.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeakMemory {
    /// The groups in which it ran.
    pub homes: Vec<CgroupId>,
    /// The tiers, from the shortest window to the longest but for growth, which is last.
    pub tiers: Vec<LeakTierMemory>,
    /// How much the runs before grew in an hour, newest first; at most two are read.
    pub slopes: Vec<Bytes>,
}

/// What is kept of all components.
pub type LeakMemories = BTreeMap<ComponentName, LeakMemory>;

/// The file in which it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeakBook {
    /// [`LeakBook::VERSION`]; any other is not read.
    pub version: u32,
    /// The boot in which it was written: times and groups mean nothing in another.
    pub boot: String,
    /// The components.
    pub components: LeakMemories,
}

impl LeakBook {
    /// The version that is written.
    pub const VERSION: u32 = 1;
}
