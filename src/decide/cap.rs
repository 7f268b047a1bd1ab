//! A cap that comes down at once and goes up slowly, on any amount per second.
//!
//! **Problem.** What is left after everybody else moves with every look. A limit that follows it late lets somebody wait; one that
//! follows it all the time is noise, and one that is lifted at once is back in a second.
//!
//! **Approach.** Two values: where the cap is, which moves at every look, and what was given, which moves by a deadband.
//!
//! **Terms.** *capacity*: all that there is. *room*: what is left now. *given*: what the parts were made of.
//!
//! **Algorithm.** Down to the room at once, up to it by [`RISE_PERCENT`] of the capacity a second. What was given follows when it is off by
//! [`DEADBAND_PERCENT`] downwards and [`RISE_DEADBANDS`] times that upwards. A cap that did not help falls by a fifth.
//!
//! **Properties.** Never above the capacity and, unless the caller says how low it may fall, never below [`FLOOR_PERCENT`] of it; under a constant room it comes to rest.

use crate::units::{Span, Tick};
use serde::{Deserialize, Serialize};

/// The room is never less than this part of the capacity.
const FLOOR_PERCENT: u64 = 5;
/// The cap rises by this part of the capacity in a second.
const RISE_PERCENT: u64 = 10;
/// The cap follows the room down when it is off by this part of the capacity, and up when it is off by four times that: rates differ
/// from look to look, and a cap that moves with them is noise.
const DEADBAND_PERCENT: u64 = 1;
const RISE_DEADBANDS: u64 = 4;
/// Looks over which a rate is averaged.
const RECENT: usize = 5;

/// The cap between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cap {
    /// Where the cap is, which moves at every look.
    pub(super) at: u64,
    /// What the parts were made of, which moves by the deadband.
    pub(super) given: u64,
    /// When it was moved last.
    moved: Tick,
    /// When the parts were lowered last.
    lowered: Tick,
    /// What it may be at most until nobody waits any more, because more did not help.
    most: u64,
}

impl Cap {
    /// One that takes nothing away.
    pub(super) const fn none(capacity: u64, now: Tick) -> Self {
        Self { at: capacity, given: capacity, moved: now, lowered: now, most: capacity }
    }

    /// Whether it takes anything away.
    pub(super) const fn is_lower(&self, capacity: u64) -> bool {
        self.given < capacity
    }

    /// For how long the parts have been what they are or more.
    pub(super) fn since_lowered(&self, now: Tick) -> Span {
        now.since(self.lowered)
    }

    /// That it did not help had other causes: it may rise to the room again.
    pub(super) const fn forgive(&mut self, capacity: u64) {
        self.most = capacity;
    }

    /// Down to the room at once, up to it slowly. Without a room nothing presses any more. A cap that did not help falls by a fifth, not
    /// below `lower_to`, and stays there until nothing presses.
    pub(super) fn step(
        self,
        room: Option<u64>,
        lower_to: Option<u64>,
        capacity: u64,
        now: Tick,
    ) -> Self {
        let (room, most) = match room {
            Some(room) => {
                let most = lower_to.map_or(self.most, |least| (self.at / 5 * 4).max(least));
                (room.min(most), most)
            }
            None => (capacity, capacity),
        };
        let deadband = percent(capacity, DEADBAND_PERCENT);
        let span = now.since(self.moved).0.min(1_000_000);
        let step = percent(capacity, RISE_PERCENT) * span / 1_000_000;
        let at = room.min(self.at.saturating_add(step));
        let falls = at.saturating_add(deadband) <= self.given;
        let rises = at >= self.given + RISE_DEADBANDS * deadband || at >= capacity;
        let given = if falls || rises { at } else { self.given };
        let lowered = if given < self.given { now } else { self.lowered };
        Self { at, given, moved: now, lowered, most }
    }
}

/// What is left after everybody else and the headroom, but never too little to live on.
pub(super) fn room(capacity: u64, headroom_percent: u64, others: u64) -> u64 {
    let headroom = percent(capacity, headroom_percent);
    capacity.saturating_sub(headroom).saturating_sub(others).max(floor(capacity))
}

/// What is left to whoever is capped, whatever others use.
pub(super) const fn floor(capacity: u64) -> u64 {
    percent(capacity, FLOOR_PERCENT)
}

pub(super) const fn percent(amount: u64, percent: u64) -> u64 {
    amount / 100 * percent + amount % 100 * percent / 100
}

/// The last few rates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recent {
    rates: [u64; RECENT],
    count: usize,
    next: usize,
}

impl Recent {
    /// Takes in the rate of one look.
    pub(super) fn add(&mut self, rate: u64) {
        if let Some(slot) = self.rates.get_mut(self.next) {
            *slot = rate;
        }
        self.next = (self.next + 1) % RECENT;
        self.count = (self.count + 1).min(RECENT);
    }

    /// The larger of the last rate and the mean.
    pub(super) fn worst(&self) -> u64 {
        let last = (self.next + RECENT - 1) % RECENT;
        let sum = self.rates.iter().fold(0, |sum: u64, rate| sum.saturating_add(*rate));
        let mean = sum / u64::try_from(self.count.max(1)).unwrap_or(1);
        self.rates.get(last).copied().unwrap_or_default().max(mean)
    }
}
