//! What follows the load from look to look: decisions that must remember.
//!
//! Everything else that is decided follows from the configuration and the present look alone. This does not: a cap that came down at once
//! must come back slowly.

use super::ahead::{self, Rise};
use super::auto_affinity::{Autos, Choice};
use super::disk::{self, Disks};
use super::guard::Guards;
use super::high::{self, High, Holding};
use super::instances::Crews;
use super::ladder::{Ladder, Look, Standstill};
use super::mend::{Mends, Sight};
use super::pids::{self, Pids};
use super::pool::{self, Measured, Pool};
use super::pressed::Pressed;
use super::probe::Probes;
use super::scale::{self, Scaling};
use super::strategy::{Adaptive, Asking, Parameters};
use crate::config::{Component, Policy, Steer, Strategy};
use crate::estimate::{Estimator, Prospects, RaisedThreads, Rates};
use crate::model::{
    Expected, Finding, InstancesView, IoMax, LadderView, Learnt, Level, MendMemory, MendView,
    ProbeView, Reason, Relief, Resource, Snapshot, UnitJob,
};
use crate::units::{Bytes, CgroupPath, ComponentName, DeviceId, Limit, Millicpu, Ppm, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is remembered between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What more CPU and memory others gave way for last.
    cpu_expected: Option<Expected>,
    memory_expected: Option<Expected>,
    autos: Autos,
    guards: Guards,
    mends: Mends,
    probes: Probes,
    scaling: Scaling,
    crews: Crews,
    /// When the two were last brought up to date.
    scaled_at: Tick,
    moves: u64,
}

/// Whether a protected component waits for memory through no limit of its own: the kernel's trigger cannot tell.
fn is_starved_by_others(policy: &Policy, estimator: &Estimator) -> bool {
    policy.protected().filter_map(|one| estimator.component(&one.name)).any(|need| {
        !need.bound.memory && need.waits.memory.is_some_and(|wait| wait.p10 > Ppm::ZERO)
    })
}

/// Keeps what others give way for. Whether that is another thing than before.
fn tell(
    told: &mut Option<Expected>,
    rise: Option<Rise<'_>>,
    (resource, prospects): (Resource, &Prospects),
) -> bool {
    let Some(rise) = rise.filter(|rise| told.as_ref().is_none_or(|told| !rise.is(told))) else {
        return false;
    };
    *told = Some(rise.told(resource, prospects));
    true
}

impl Steering {
    /// Takes in one look. Allocates only when something that is wanted changes, or while more is expected to be needed soon. A second call
    /// with the same look changes nothing.
    pub fn update(
        &mut self,
        policy: &Policy,
        (estimator, prospects): (&Estimator, &Prospects),
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
        let nothing = Prospects::default();
        let prospects = if policy.steer == Steer::Off { &nothing } else { prospects };
        let trust = ahead::trust(policy, prospects, estimator);
        self.adaptive.update(levels, trust, seen.at);
        self.asking.update(policy, estimator, somebody_waits, seen.at);
        let parameters = self.asking.parameters(policy, estimator, self.adaptive);
        let headroom_percent = parameters.cpu_headroom_percent;
        let whole = (Resource::Cpu, pool::capacity(seen).0);
        let rise = match policy.steer {
            Steer::All => ahead::rise(policy, prospects, estimator, whole),
            Steer::Off | Steer::Memory => None,
        };
        let more = rise.map_or(0, |rise| rise.more);
        let press = pool::Press { pressed, waits, headroom_percent, more };
        let mut moved = self.pool.update(policy, rates, seen, press);
        if self.pool.is_ahead() {
            moved |= tell(&mut self.cpu_expected, rise, (Resource::Cpu, prospects));
        }
        moved |= self.update_memory(policy, (estimator, prospects), seen, parameters);
        let pressed = self.io.update(levels.io >= Level::Warning, seen.at);
        let headroom_percent = parameters.disk_headroom_percent;
        let badly = self.io_badly.update(levels.io >= Level::Critical, seen.at);
        let press = disk::Press { pressed, badly, headroom_percent };
        moved |= self.disks.update(policy, estimator, seen, press);
        let short = self.pids.is_short(levels.pids, seen);
        let pressed = self.numbers.update(short, seen.at);
        moved |= self.pids.update(policy, seen, pressed);
        moved |= self.autos.update(policy, estimator, seen);
        let sight = Sight { policy, estimator, seen };
        moved |= self.mends.update(&sight);
        moved |= self.probes.update(&sight);
        self.moves += u64::from(moved);
    }

    fn update_memory(
        &mut self,
        policy: &Policy,
        (estimator, prospects): (&Estimator, &Prospects),
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
        if starves && !self.memory.is_on() {
            "a protected component stood still for memory".clone_into(&mut self.because);
        }
        let pressed = self.memory.update(starves || level >= Level::Warning, seen.at);
        let whole = (Resource::Memory, seen.host.memory.0);
        let rise = ahead::rise(policy, prospects, estimator, whole);
        let press = high::Press {
            pressed,
            level,
            buffer: parameters.memory_buffer,
            more: rise.map_or(Bytes::ZERO, |rise| Bytes(rise.more)),
            prospects,
        };
        let mut moved = self.high.update(policy, estimator, seen, press);
        if self.high.is_ahead() {
            moved |= tell(&mut self.memory_expected, rise, (Resource::Memory, prospects));
        }
        let look = Look { policy, estimator, seen, because: &self.because };
        self.ladder.update(&look) || moved
    }

    /// Takes in what the threads that provost raised did since the last look.
    pub fn watch(&mut self, policy: &Policy, raised: &RaisedThreads, seen: &Snapshot) {
        let moved = self.guards.update(policy, raised, seen);
        self.moves += u64::from(moved);
    }

    /// Ends what was to last for a while because of what threads did: an administrator spoke.
    pub fn forgive(&mut self) {
        self.guards.forgive();
    }

    /// Takes in what came of earlier actions. To be called with every look that has outcomes.
    pub fn hear(&mut self, seen: &Snapshot) {
        self.ladder.hear(seen);
        self.mends.hear(seen);
        self.probes.hear(seen);
        let heard = self.crews.hear(seen);
        self.moves += u64::from(heard);
    }

    /// Rises whenever something that is wanted changes.
    #[must_use]
    pub const fn moves(&self) -> u64 {
        self.moves + self.scaling.moves()
    }

    /// Takes in what one look says of the ceilings that follow the need, and of instances.
    pub fn scale(&mut self, look: &scale::Look<'_>) {
        if look.seen.at == self.scaled_at {
            return;
        }
        self.scaled_at = look.seen.at;
        self.scaling.update(look);
        let moved = self.crews.update(look);
        self.moves += u64::from(moved);
    }

    /// The instances that are to be started or stopped.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &UnitJob> {
        self.crews.jobs()
    }

    /// What a person should know of instances.
    pub fn findings(&self, now: Tick) -> impl Iterator<Item = Finding> {
        self.crews.findings(now)
    }

    /// How many instances a component has, as that is shown; none where it has none.
    #[must_use]
    pub fn instances(&self, component: &Component, seen: &Snapshot) -> Option<InstancesView> {
        self.crews.view(component, seen)
    }

    /// The ceilings that follow the need.
    #[must_use]
    pub const fn scaling(&self) -> &Scaling {
        &self.scaling
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
    pub(super) fn cpu(&self, home: &CgroupPath) -> Option<(Millicpu, Reason)> {
        let (part, Measured { cap, others }) = self.pool.part(home).zip(self.pool.measured())?;
        let expected = self.cpu_expected.clone().filter(|_| self.pool.is_ahead());
        let reason = match expected {
            Some(expected) => Reason::YieldsAhead { expected, left: cap.0 },
            None => Reason::Yields { cap, others },
        };
        Some((part, reason))
    }

    /// What a home that yields may move over a disk now; none while it need not yield.
    pub(super) fn disk(&self, home: &CgroupPath, device: DeviceId) -> Option<IoMax> {
        self.disks.part(home, device)
    }

    /// How many tasks a home that yields may have now; none while it need not yield.
    pub(super) fn pids(&self, home: &CgroupPath) -> Option<pids::Held> {
        self.pids.held(home)
    }

    /// What is to be done once, for memory that is short or grows without end.
    pub(super) fn reliefs(&self) -> impl Iterator<Item = &Relief> {
        self.ladder.reliefs().chain(self.mends.reliefs()).chain(self.probes.reliefs())
    }

    /// What is done about a component's leak; none where nothing may be.
    #[must_use]
    pub fn mending(
        &self,
        policy: &Policy,
        estimator: &Estimator,
        seen: &Snapshot,
        component: &Component,
    ) -> Option<MendView> {
        self.mends.view(&Sight { policy, estimator, seen }, component)
    }

    /// What probing found of a component; none where it is not probed.
    #[must_use]
    pub fn probed(
        &self,
        policy: &Policy,
        estimator: &Estimator,
        seen: &Snapshot,
        component: &Component,
    ) -> Option<ProbeView> {
        self.probes.view(&Sight { policy, estimator, seen }, component)
    }

    /// Rises whenever there is something else to keep of what was done about leaks.
    #[must_use]
    pub const fn mended(&self) -> u64 {
        self.mends.marks()
    }

    /// What is to be kept of what was done about leaks.
    #[must_use]
    pub fn mends(&self) -> BTreeMap<ComponentName, MendMemory> {
        self.mends.kept()
    }

    /// Goes on with what was kept of it. To be called before the first look.
    pub fn remember_mends(&mut self, kept: &BTreeMap<ComponentName, MendMemory>) {
        self.mends.remember(kept);
    }

    /// What guards threads in real time.
    pub(super) const fn guards(&self) -> &Guards {
        &self.guards
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

    /// What a home that yields may hold now, and why; none while it need not yield.
    pub(super) fn memory(&self, home: &CgroupPath) -> Option<(Limit<Bytes>, Reason)> {
        let Holding { limit, measured } = self.high.holding(home)?;
        let high::Measured { left, others } = measured;
        let expected = self.memory_expected.clone().filter(|_| self.high.is_ahead());
        let reason = match (limit, expected) {
            (Limit::Max, _) => Reason::LetGo,
            (Limit::At(_), Some(expected)) => Reason::YieldsAhead { expected, left: left.0 },
            (Limit::At(_), None) => {
                Reason::YieldsMemory { because: self.because.clone(), left, others }
            }
        };
        Some((limit, reason))
    }
}
