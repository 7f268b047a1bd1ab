//! What follows the load from look to look: decisions that must remember.
//!
//! Everything else that is decided follows from the configuration and the present look alone. This does not: a cap that came down at once
//! must come back slowly.

use super::pool::{Measured, Pool, Press};
use super::strategy::parameters;
use crate::config::Policy;
use crate::estimate::{Estimator, Rates};
use crate::model::{Level, Resource, Snapshot};
use crate::units::{CgroupPath, Millicpu, Span, Tick};

/// After the last sign of waiting the cap stays for so long: a shorter one would pump.
const RELEASE_AFTER: Span = Span::secs(60);

/// What is remembered between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steering {
    at: Tick,
    pool: Pool,
    pressed_at: Option<Tick>,
    moves: u64,
}

impl Steering {
    /// Takes in one look. Allocates only when something that is wanted changes. A second call with the same look changes nothing.
    pub fn update(
        &mut self,
        policy: &Policy,
        estimator: &Estimator,
        rates: &Rates,
        seen: &Snapshot,
    ) {
        if seen.at == self.at {
            return;
        }
        self.at = seen.at;
        let levels = estimator.levels();
        let waits = seen.waiting.contains(&Resource::Cpu);
        if waits || levels.cpu >= Level::Warning {
            self.pressed_at = Some(seen.at);
        }
        let pressed = self.pressed_at.is_some_and(|at| seen.at.since(at) < RELEASE_AFTER);
        let headroom_percent = parameters(policy.strategy, levels).cpu_headroom_percent;
        let press = Press { pressed, headroom_percent };
        if self.pool.update(policy, rates, seen, press) {
            self.moves += 1;
        }
    }

    /// Rises whenever something that is wanted changes.
    #[must_use]
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// What a home that yields may use now, and why; none while it need not yield.
    pub(super) fn cpu(&self, home: &CgroupPath) -> Option<(Millicpu, Measured)> {
        self.pool.part(home).zip(self.pool.measured())
    }
}
