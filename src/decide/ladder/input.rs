//! How short memory is: what the ladder goes up and down by.
//!
//! Pure numbers of one look; nothing is remembered here.

use super::Look;
use crate::model::Snapshot;
use crate::units::{Bytes, Ppm};
use serde::{Deserialize, Serialize};

/// Whoever waits for less of the time does not wait: below the first level critical ends, at the second it begins.
const WAITS: Ppm = Ppm::percent(5);
pub(super) const WAITS_MUCH: Ppm = Ppm::percent(10);
/// With so much of memory available, or of swap free, level warning ends. What is missing of it is the shortage.
const ENOUGH_PERCENT: u64 = 13;
const ENOUGH_SWAP_PERCENT: u64 = 35;
/// A shortage above which level critical does not end: 8 of 13 % available.
const STRAINED: Ppm = Ppm::percent(38);
/// A fortieth of memory and a twentieth of swap is nothing.
const NOTHING_LEFT: (u64, u64) = (40, 20);
/// How short memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) waits: Ppm,
    shortage: Ppm,
}

impl Input {
    /// None when it is not known how much is available.
    pub(super) fn of(look: &Look<'_>) -> Option<Self> {
        let (host, load) = (&look.seen.host, &look.seen.load);
        let missing = |free: Bytes, all: Bytes, percent: u64| {
            let enough = all.scaled(percent, 100);
            Ppm::of(enough.minus(free).0, enough.0).unwrap_or_default()
        };
        let memory = missing(load.memory_available?, host.memory, ENOUGH_PERCENT);
        let swap = load.swap_free.map(|free| missing(free, host.swap, ENOUGH_SWAP_PERCENT));
        let waits = look.policy.protected().filter_map(|component| {
            let need = look.estimator.component(&component.name)?;
            need.waits.memory.map(|wait| wait.p10)
        });
        let waits = waits.max().unwrap_or_default();
        Some(Self { waits, shortage: memory.max(swap.unwrap_or_default()) })
    }

    /// Whether it is less by a fifth than `before`.
    pub(super) fn is_better(self, before: Self) -> bool {
        let fell = |before: Ppm, now: Ppm| u64::from(now.get()) * 5 <= u64::from(before.get()) * 4;
        if before.waits >= WAITS {
            fell(before.waits, self.waits)
        } else {
            fell(before.shortage, self.shortage)
        }
    }

    pub(super) fn is_strained(self) -> bool {
        self.waits >= WAITS || self.shortage >= STRAINED
    }
}

/// Whether neither memory nor swap is left.
pub(super) fn is_nothing_left(seen: &Snapshot) -> bool {
    let (memory, swap) = NOTHING_LEFT;
    let little = |free: Option<Bytes>, all: Bytes, part: u64| {
        free.is_some_and(|free| free <= all.scaled(1, part))
    };
    let no_swap = seen.host.swap == Bytes::ZERO;
    little(seen.load.memory_available, seen.host.memory, memory)
        && (no_swap || little(seen.load.swap_free, seen.host.swap, swap))
}
