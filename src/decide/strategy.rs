//! What the strategies differ in: numbers, never branches.

use crate::config::Strategy;
use crate::model::{Level, Levels};

/// The numbers of a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    /// The part of the host's CPUs that stays free while protected components wait, in percent.
    pub(super) cpu_headroom_percent: u64,
    /// The part of a disk that stays free while protected components wait for it, in percent.
    pub(super) disk_headroom_percent: u64,
    /// What is kept for protected components while memory is short, beyond what they used at most lately, in percent of that.
    pub(super) memory_buffer_percent: u64,
}

const CONSERVATIVE: Parameters =
    Parameters { cpu_headroom_percent: 15, disk_headroom_percent: 20, memory_buffer_percent: 20 };
const BALANCED: Parameters =
    Parameters { cpu_headroom_percent: 20, disk_headroom_percent: 30, memory_buffer_percent: 30 };
const AGGRESSIVE: Parameters =
    Parameters { cpu_headroom_percent: 30, disk_headroom_percent: 40, memory_buffer_percent: 50 };

/// From level warning on, so many points of headroom more.
const PRESSED_POINTS: u64 = 5;

/// What holds now: the adaptive strategy is one of the others, by the worst level.
pub(super) fn parameters(strategy: Strategy, levels: Levels) -> Parameters {
    let base = match strategy {
        Strategy::Conservative => CONSERVATIVE,
        Strategy::Balanced => BALANCED,
        Strategy::Aggressive => AGGRESSIVE,
        Strategy::Adaptive => match levels.worst() {
            Level::Normal | Level::Warning => BALANCED,
            Level::Critical | Level::Emergency => AGGRESSIVE,
        },
    };
    let points = if levels.cpu >= Level::Warning { PRESSED_POINTS } else { 0 };
    Parameters { cpu_headroom_percent: base.cpu_headroom_percent + points, ..base }
}
