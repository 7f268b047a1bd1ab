//! What a component held and how busy it was, in parts of equal length.
//!
//! The least of each part is kept, so that the teeth of a garbage collector's saw do not count. A part in which nothing was seen leaves no gap:
//! the window begins anew. Must not allocate while it is filled.

use crate::estimate::statistics::{MOST, Series};
use crate::model::LeakPart;
use crate::units::{Bytes, Millicpu, Span, Tick};
use serde::{Deserialize, Serialize};

/// The last [`MOST`] parts, and the one that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Oldest first; only `count` of them are there.
    #[serde(with = "crate::model::slots")]
    parts: [LeakPart; MOST],
    count: usize,
    open: Option<Open>,
}

/// The part that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    /// Which part of all since the host's start.
    number: u64,
    held: Bytes,
    load: u64,
    samples: u64,
}

/// What one look did to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The part goes on.
    Same,
    /// A part ended, with its number.
    Ended(u64),
    /// The window began anew.
    Anew,
}

impl Default for Window {
    fn default() -> Self {
        Self { parts: [LeakPart::default(); MOST], count: 0, open: None }
    }
}

impl Window {
    /// Takes in what was seen at `at`; parts are `length` long.
    pub(super) fn push(&mut self, at: Tick, length: Span, held: Bytes, load: Millicpu) -> Turn {
        let number = at.0.checked_div(length.0).unwrap_or(0);
        let fresh = Open { number, held, load: load.0, samples: 1 };
        let Some(open) = &mut self.open else {
            self.open = Some(fresh);
            return Turn::Anew;
        };
        if number == open.number {
            open.held = open.held.min(held);
            open.load = open.load.saturating_add(load.0);
            open.samples += 1;
            return Turn::Same;
        }
        let ended = *open;
        self.open = Some(fresh);
        if number != ended.number + 1 {
            self.count = 0;
            return Turn::Anew;
        }
        self.keep(ended);
        Turn::Ended(ended.number)
    }

    fn keep(&mut self, ended: Open) {
        if self.count == MOST {
            self.parts.rotate_left(1);
            self.count -= 1;
        }
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        if let Some(place) = self.parts.get_mut(self.count) {
            *place = LeakPart {
                held_kib: small(ended.held.0 / 1024),
                load_millicpu: small(ended.load.checked_div(ended.samples).unwrap_or(0)),
            };
            self.count += 1;
        }
    }

    /// The last `count` parts: what was held, in KiB, and the load; none while there are fewer.
    pub(super) fn last(&self, count: usize) -> Option<(Series, Series)> {
        let parts = self.parts.get(self.count.checked_sub(count)?..self.count)?;
        let held = parts.iter().map(|part| f64::from(part.held_kib)).collect();
        let load = parts.iter().map(|part| f64::from(part.load_millicpu)).collect();
        Some((held, load))
    }

    /// As it is kept while nobody runs: the number of the part that goes on, and those before it.
    pub(super) fn kept(&self) -> (u64, Vec<LeakPart>) {
        let parts = self.parts.iter().take(self.count).copied().collect();
        (self.open.map_or(0, |open| open.number), parts)
    }

    /// From what was kept. The next look goes on where that ended, or begins anew if a part went by unseen.
    pub(super) fn from_kept(next: u64, parts: &[LeakPart]) -> Self {
        let mut window = Self::default();
        let skipped = parts.len().saturating_sub(MOST);
        for (place, part) in window.parts.iter_mut().zip(parts.iter().skip(skipped)) {
            *place = *part;
            window.count += 1;
        }
        window.open = parts.last().map(|last| Open {
            number: next,
            held: Bytes(u64::from(last.held_kib) * 1024),
            load: u64::from(last.load_millicpu),
            samples: 1,
        });
        window
    }
}
