//! What follows the load from look to look: decisions that must remember.
//!
//! Everything else that is decided follows from the configuration and the present look alone. This does not: a cap that came down at once
//! must come back slowly.

use super::auto_affinity::{Autos, Choice};
use super::disk::{self, Disks};
use super::high::{self, High, Holding};
use super::ladder::{Ladder, Look, Standstill};
use super::pids::{self, Pids};
use super::pool::{self, Measured, Pool};
use super::strategy::{Adaptive, Asking, Parameters};
use crate::config::{Policy, Strategy};
use crate::estimate::{Estimator, Rates};
use crate::model::{IoMax, LadderView, Learnt, Level, Reason, Relief, Resource, Snapshot};
use crate::units::{CgroupPath, ComponentName, DeviceId, Millicpu, Ppm, Span, Tick};

/// After the last sign of waiting the cap stays for so long.
const RELEASE_AFTER: Span = Span::secs(60);
/// Waiting that begins again within this time after the end of the last one makes the next release slower, twice each time.
const AGAIN_WITHIN: Span = Span::secs(300);
const SLOWEST: u64 = 8;

/// What is remembered between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steering {
    at: Tick,
    pool: Pool,
    cpu: Pressed,
    disks: Disks,
    io: Pressed,
    io_badly: Pressed,
    high: High,
    ladder: Ladder,
    memory: Pressed,
    /// Memory's level at the last look, and what brought it there when it rose last.
    memory_level: Level,
    because: String,
    pids: Pids,
    numbers: Pressed,
    asking: Asking,
    adaptive: Adaptive,
    autos: Autos,
    moves: u64,
}

/// Whether somebody protected waits, or did not long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pressed {
    last: Option<Tick>,
    released: Option<Tick>,
    /// By how much slower than usual it is released.
    slower: u64,
}

impl Default for Pressed {
    fn default() -> Self {
        Self { last: None, released: None, slower: 1 }
    }
}

impl Pressed {
    fn update(&mut self, waits: bool, now: Tick) -> bool {
        if waits {
            if let Some(released) = self.released.take() {
                let again = now.since(released) < AGAIN_WITHIN;
                self.slower = if again { (self.slower * 2).min(SLOWEST) } else { 1 };
            }
            self.last = Some(now);
        }
        let release_after = Span(RELEASE_AFTER.0 * self.slower);
        let pressed = self.last.is_some_and(|last| now.since(last) < release_after);
        if !pressed && self.last.take().is_some() {
            self.released = Some(now);
        }
        pressed
    }
}

/// Whether a protected component waits for memory through no limit of its own: the kernel's trigger cannot tell.
fn is_starved_by_others(policy: &Policy, estimator: &Estimator) -> bool {
    policy.protected().filter_map(|one| estimator.component(&one.name)).any(|need| {
        !need.bound.memory && need.waits.memory.is_some_and(|wait| wait.p10 > Ppm::ZERO)
    })
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
        let somebody_waits = waits || levels.cpu >= Level::Warning;
        let pressed = self.cpu.update(somebody_waits, seen.at);
        self.adaptive.update(levels, seen.at);
        self.asking.update(policy, estimator, somebody_waits, seen.at);
        let parameters = self.asking.parameters(policy, estimator, self.adaptive);
        let headroom_percent = parameters.cpu_headroom_percent;
        let press = pool::Press { pressed, waits, headroom_percent };
        let mut moved = self.pool.update(policy, rates, seen, press);
        moved |= self.update_memory(policy, estimator, seen, parameters);
        let pressed = self.io.update(levels.io >= Level::Warning, seen.at);
        let headroom_percent = parameters.disk_headroom_percent;
        let badly = self.io_badly.update(levels.io >= Level::Critical, seen.at);
        let press = disk::Press { pressed, badly, headroom_percent };
        moved |= self.disks.update(policy, estimator, seen, press);
        let short = self.pids.is_short(levels.pids, seen);
        let pressed = self.numbers.update(short, seen.at);
        moved |= self.pids.update(policy, seen, pressed);
        moved |= self.autos.update(policy, estimator, seen);
        self.moves += u64::from(moved);
    }

    fn update_memory(
        &mut self,
        policy: &Policy,
        estimator: &Estimator,
        seen: &Snapshot,
        parameters: Parameters,
    ) -> bool {
        let level = estimator.levels().memory;
        if level > self.memory_level {
            self.because = estimator.cause(Resource::Memory);
        }
        self.memory_level = level;
        let starves = level < Level::Warning
            && seen.waiting.contains(&Resource::Memory)
            && is_starved_by_others(policy, estimator);
        if starves && self.memory.last.is_none() {
            "a protected component stood still for memory".clone_into(&mut self.because);
        }
        let pressed = self.memory.update(starves || level >= Level::Warning, seen.at);
        let buffer_percent = parameters.memory_buffer_percent;
        let press = high::Press { pressed, level, buffer_percent };
        let moved = self.high.update(policy, estimator, seen, press);
        let look = Look { policy, estimator, seen, because: &self.because };
        self.ladder.update(&look) || moved
    }

    /// Takes in what came of earlier actions. To be called with every look that has outcomes.
    pub fn hear(&mut self, seen: &Snapshot) {
        self.ladder.hear(seen);
    }

    /// Rises whenever something that is wanted changes.
    #[must_use]
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// What the adaptive strategy comes to now.
    #[must_use]
    pub const fn adaptive(&self) -> Strategy {
        self.adaptive.pace.strategy()
    }

    /// Where a component with `affinity = "auto"` is to run, and why; none for any other.
    #[must_use]
    pub fn affinity(&self, name: &ComponentName) -> Option<String> {
        self.autos.told(name)
    }

    /// Where a component with `affinity = "auto"` is to run; none while nothing is known of it.
    pub(super) fn choice(&self, name: &ComponentName) -> Option<Choice> {
        self.autos.choice(name)
    }

    /// When the last minute ended of what [`Self::learnt`] tells; none where there is nothing to tell.
    #[must_use]
    pub fn learnt_until(&self) -> Option<Tick> {
        self.autos.learnt_until()
    }

    /// What was learnt of demand and is worth keeping over a restart in this boot.
    #[must_use]
    pub fn learnt(&self, boot: String) -> Learnt {
        Learnt::new(boot, self.autos.learnt())
    }

    /// Takes up what was kept. To be called before the first look.
    pub fn recall(&mut self, learnt: &Learnt) {
        self.autos.recall(&learnt.components);
    }

    /// As if this had been learnt of one component.
    #[cfg(test)]
    pub(super) fn with_choice(name: &str, choice: Choice) -> Self {
        Self { autos: Autos::with_choice(name, choice), ..Self::default() }
    }

    /// What a home that yields may use now, and why; none while it need not yield.
    pub(super) fn cpu(&self, home: &CgroupPath) -> Option<(Millicpu, Measured)> {
        self.pool.part(home).zip(self.pool.measured())
    }

    /// What a home that yields may move over a disk now; none while it need not yield.
    pub(super) fn disk(&self, home: &CgroupPath, device: DeviceId) -> Option<IoMax> {
        self.disks.part(home, device)
    }

    /// How many tasks a home that yields may have now; none while it need not yield.
    pub(super) fn pids(&self, home: &CgroupPath) -> Option<pids::Held> {
        self.pids.held(home)
    }

    /// What is to be done once for memory that is short.
    pub(super) fn reliefs(&self) -> impl Iterator<Item = &Relief> {
        self.ladder.reliefs()
    }

    /// How far provost has gone for memory; none while it is not short.
    pub(super) const fn ladder(&self) -> Option<&LadderView> {
        self.ladder.view()
    }

    /// Whether a home is to stand still, and why; none where that is not for provost to say.
    pub(super) fn standstill(&self, home: &CgroupPath) -> Option<(bool, Reason)> {
        Some(match self.ladder.standstill(home)? {
            Standstill::Frozen => (true, Reason::Frozen { because: self.because.clone() }),
            Standstill::Resting => (false, Reason::Thawed),
        })
    }

    /// What a home that yields may hold now, and because of what; none while it need not yield.
    pub(super) fn memory(&self, home: &CgroupPath) -> Option<(Holding, &str)> {
        self.high.holding(home).map(|holding| (holding, self.because.as_str()))
    }
}
