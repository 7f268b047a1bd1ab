//! Ceilings that follow the need between the two ends that are configured: `{ min = …, max = … }`.
//!
//! **Problem.** Nobody knows what a component will need. A ceiling that is too low throttles it or has it killed; one that is high enough for
//! all times keeps nobody from anything.
//!
//! **Approach.** A ceiling begins at its most, comes down in small steps when much less was needed for long, and goes up at once, before it is
//! reached. The guarantee is no part of that.
//!
//! **Terms.** *need*: what the component's largest home would use if nothing held it back, times its homes, since a ceiling is divided among
//! them. *line*: where the component is slowed down under its ceiling: for memory the `memory.high` that goes with it, else the ceiling.
//! *held*: memory that is in use, page cache included. *room*: what the host can give without taking from guarantees of others.
//!
//! **Algorithm.** Raised by a fifth at least (100 MiB, a tenth of a core, 16 tasks) when the need is nine tenths of the line, or will be at the line in two
//! minutes by a growth that lasts, or the component was stopped in a twentieth of its periods, a process was killed or a fork refused, or the
//! upper bound of a forecast that can be trusted lies above the line. Lowered by a tenth, one cooldown after any change, when the most of six
//! cooldowns and the forecast are both below half of the line, never to where the need would not fit well. Where page cache is in the way,
//! `memory.high` presses it out first. While a resource is short only protected components are raised.
//!
//! **Properties**, each a test in `scale/tests.rs` and `ceiling/tests.rs`: never outside its ends; a cooldown between a change and the next step
//! down; a constant need comes to rest, and so does one that comes and goes faster than is remembered; never below what is held; what is not
//! known moves nothing; `auto-scale = false` freezes it. A look without a change allocates nothing (`tests/steady`).

mod ceiling;

use super::{Case, Housed, ahead};
use crate::config::{Component, Policy, Scale, Steer};
use crate::estimate::{Estimator, Ownership, Prospects};
use crate::model::{
    CeilingView, Each, Forecast, Home, Knob, KnobKind, Level, Reading, Reason, Resource, Snapshot,
};
use crate::units::{Bytes, CgroupId, CgroupPath, ComponentName, Limit, Span, Tick};
pub(super) use ceiling::Trend;
use ceiling::{Ceiling, Sight};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What has a ceiling that can follow the need.
const SCALED: [Resource; 3] = [Resource::Cpu, Resource::Memory, Resource::Pids];
/// Room above the memory that is in use, beside 2 %, as where `memory.max` follows usage down.
const HELD_ROOM: Bytes = Bytes::mebi(4);

/// Between what a ceiling moves, and how fast down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least: u64,
    most: u64,
    cooldown: Span,
}

impl Bounds {
    /// Those of a component's resource; none where it has one ceiling or none.
    fn of(component: &Component, resource: Resource) -> Option<Self> {
        let bounds = |least, most, cooldown| Some(Self { least, most, cooldown });
        match resource {
            Resource::Cpu => {
                let Scale { least, cooldown } = component.cpu.scale?;
                bounds(least.0, component.cpu.ceiling.value()?.0, cooldown)
            }
            Resource::Memory => {
                let Scale { least, cooldown } = component.memory.scale?;
                bounds(least.0, component.memory.ceiling.value()?.0, cooldown)
            }
            Resource::Pids => {
                let Scale { least, cooldown } = component.pids_scale?;
                bounds(least, component.pids.value()?, cooldown)
            }
            Resource::Io => None,
        }
    }
}

/// What one look is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Who is registered.
    pub policy: &'a Policy,
    /// What everybody needs.
    pub estimator: &'a Estimator,
    /// What everybody is expected to need.
    pub prospects: &'a Prospects,
    /// Whose the values in the kernel are.
    pub ownership: &'a Ownership,
    /// The look itself.
    pub seen: &'a Snapshot,
}

impl<'a> Look<'a> {
    /// What a component is expected to need, where that can be trusted and forecasts may decide.
    pub(super) fn expected(
        &self,
        component: &Component,
        resource: Resource,
    ) -> Option<&'a Forecast> {
        match self.policy.steer {
            Steer::Off => None,
            Steer::Memory | Steer::All => ahead::trusted(self.prospects, component, resource),
        }
    }
}

/// All ceilings that follow the need, between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    at: Tick,
    components: BTreeMap<ComponentName, Scaled>,
    moves: u64,
}

/// One component's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Scaled {
    ceilings: Each<Option<Ceiling>>,
    /// How many of its processes were killed for want of memory, when that was last known.
    kills: Option<u64>,
    /// Where it lived at the last look.
    lives_in: Vec<CgroupId>,
}

/// A ceiling as it is now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    ceiling: &'a Ceiling,
    bounds: Bounds,
    resource: Resource,
    frozen: bool,
}

impl Scaling {
    /// Takes in one look. Allocates only for who was not there before.
    pub fn update(&mut self, look: &Look<'_>) {
        if look.seen.at == self.at {
            return;
        }
        self.at = look.seen.at;
        let all = &look.policy.components;
        self.components.retain(|name, _| all.get(name).is_some_and(Component::is_scaled));
        let mut moved = false;
        let scales_memory = all.values().any(|component| component.memory.scale.is_some());
        let kept = if scales_memory { unused_guarantees(look) } else { Bytes::ZERO };
        for component in all.values().filter(|component| component.is_scaled()) {
            let homes = look.seen.homes.get(&component.name).map(Vec::as_slice);
            let Some(homes) = homes.filter(|homes| !homes.is_empty()) else {
                self.components.remove(&component.name);
                continue;
            };
            if !self.components.contains_key(&component.name) {
                self.components.insert(component.name.clone(), Scaled::default());
            }
            let Some(scaled) = self.components.get_mut(&component.name) else { continue };
            scaled.lives_in(homes);
            let killed = scaled.killed(look.seen, homes);
            let component = Lives { component, homes, killed, kept };
            for resource in SCALED {
                moved |= component.look(look, resource, scaled.ceilings.of_mut(resource));
            }
        }
        self.moves += u64::from(moved);
    }

    /// Rises whenever a ceiling moves, or what is told of one changes.
    #[must_use]
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// The ceiling of a component as it is now; none where it is the configured one.
    pub(super) fn now(&self, component: &Component, resource: Resource) -> Option<Now<'_>> {
        let bounds = Bounds::of(component, resource)?;
        let ceiling = self.components.get(&component.name)?.ceilings.of(resource).as_ref()?;
        Some(Now { ceiling, bounds, resource, frozen: !component.auto_scale })
    }

    /// All of a component, as they are shown.
    #[must_use]
    pub fn views(&self, component: &Component) -> BTreeMap<Resource, CeilingView> {
        let view = |resource| {
            let now = self.now(component, resource)?;
            let view = CeilingView {
                least: now.bounds.least,
                most: now.bounds.most,
                now: now.ceiling.at,
                changed: now.ceiling.changed,
                why: now.why(),
            };
            Some((resource, view))
        };
        SCALED.into_iter().filter_map(view).collect()
    }
}

impl Scaled {
    /// Who lives in other cgroups than before was started again: nothing is known of it.
    fn lives_in(&mut self, homes: &[Home]) {
        let ids = || homes.iter().map(|home| home.at.id);
        if ids().eq(self.lives_in.iter().copied()) {
            return;
        }
        if !ids().any(|id| self.lives_in.contains(&id)) {
            *self = Self::default();
        }
        self.lives_in.clear();
        self.lives_in.extend(ids());
    }

    /// Whether a process was killed for want of memory since the look before. Groups that are new have killed nobody yet.
    fn killed(&mut self, seen: &Snapshot, homes: &[Home]) -> bool {
        let kills = |home: &Home| Some(seen.groups.get(home.path())?.usage.memory_events?.oom_kill);
        let kills = homes.iter().map(kills).sum::<Option<u64>>();
        let before = self.kills;
        self.kills = kills.or(before);
        kills.zip(before).is_some_and(|(kills, before)| kills > before)
    }
}

impl Now<'_> {
    /// The ceiling.
    pub(super) const fn at(&self) -> u64 {
        self.ceiling.at
    }

    /// Under which ceiling memory is to be slowed down: none at the most, where a ceiling is like any other.
    pub(super) fn slows_below(&self) -> Option<Bytes> {
        let lowered = (self.ceiling.at < self.bounds.most).then_some(self.ceiling.at);
        self.ceiling.press.or(lowered).map(Bytes)
    }

    pub(super) fn why(&self) -> String {
        let why = self.ceiling.why(self.resource);
        if self.frozen { format!("frozen by auto-scale = false; {why}") } else { why }
    }

    /// Why a knob has this ceiling, or goes with it.
    pub(super) fn reason(&self) -> Reason {
        let Bounds { least, most, .. } = self.bounds;
        let amount = |amount| self.resource.amount(amount);
        Reason::Scaled {
            key: key(self.resource).to_owned(),
            least: amount(least),
            most: amount(most),
            why: self.why(),
        }
    }
}

/// The ceiling of a home's component as it is now. None before the most is in the kernel, which values below it are to cover.
pub(super) fn of_home<'a>(
    case: &Case<'a>,
    housed: &Housed<'_>,
    home: &Home,
    resource: Resource,
) -> Option<Now<'a>> {
    let now = case.steering.scaling().now(housed.component, resource)?;
    let kind = kind(resource);
    let record = case.ownership.record(home.path(), kind);
    let is_written = record.is_some_and(|record| record.effective.is_some());
    let present = case.seen.groups.get(home.path()).and_then(|group| group.knob(kind).value());
    let most = now.bounds.most / housed.parts();
    let is_near = |present: u64| present.abs_diff(most) <= most / 100;
    (is_written || present.and_then(limit).is_some_and(is_near)).then_some(now)
}

/// The ceiling that holds for a home's component, and why: the configured one unless it follows the need and is below its most.
pub(super) fn ceiling(
    case: &Case<'_>,
    housed: &Housed<'_>,
    home: &Home,
    (resource, configured): (Resource, u64),
) -> (u64, Reason) {
    match of_home(case, housed, home, resource).filter(|now| now.at() < configured) {
        Some(now) => (now.at(), now.reason()),
        None => (configured, Reason::Configured { key: key(resource).into() }),
    }
}

/// A component with its homes in one look.
struct Lives<'a> {
    component: &'a Component,
    homes: &'a [Home],
    killed: bool,
    /// What all components may still take of what they are guaranteed; known where somebody's memory is scaled.
    kept: Bytes,
}

impl Lives<'_> {
    /// Whether the ceiling moved, or what is told of it.
    fn look(&self, look: &Look<'_>, resource: Resource, place: &mut Option<Ceiling>) -> bool {
        let Some(bounds) = Bounds::of(self.component, resource) else {
            return place.take().is_some();
        };
        let Some(ceiling) = place else {
            let begun = self.begun(look, resource, bounds);
            let is_known = begun.is_some();
            *place = begun;
            return is_known;
        };
        let moved = ceiling.keep_within(bounds);
        let Some(sight) = self.sight(look, resource).filter(|_| self.component.auto_scale) else {
            return moved;
        };
        ceiling.look(resource, bounds, sight, look.seen.at) || moved
    }

    /// A ceiling to begin with: what an earlier life of the daemon left in the kernel, else the most. None while that is not known.
    fn begun(&self, look: &Look<'_>, resource: Resource, bounds: Bounds) -> Option<Ceiling> {
        let kind = kind(resource);
        let mut kept = None;
        for home in self.homes {
            let group = look.seen.groups.get(home.path())?;
            let value = match group.knob(kind) {
                Reading::Is(value) => Some(value),
                Reading::Absent => None,
                Reading::Gone | Reading::Failed(_) => return None,
            };
            let record = look.ownership.record(home.path(), kind);
            let ours = record.filter(|record| {
                record.id == group.id && record.passing && record.effective.as_ref() == value
            });
            kept = kept.max(ours.and(value).and_then(limit));
        }
        let kept = kept.map(|part| part.saturating_mul(self.parts()));
        Some(Ceiling::new(bounds, kept, look.seen.at))
    }

    fn parts(&self) -> u64 {
        u64::try_from(self.homes.len()).unwrap_or(u64::MAX).max(1)
    }

    /// The most of all homes, times the homes; none where one of them is not known.
    fn whole(&self, of: impl Fn(&CgroupPath) -> Option<u64>) -> Option<u64> {
        let mut most = 0;
        for home in self.homes {
            most = of(home.path())?.max(most);
        }
        Some(most.saturating_mul(self.parts()))
    }

    /// What the look says of one resource; none where what is needed is not known.
    fn sight(&self, look: &Look<'_>, resource: Resource) -> Option<Sight> {
        let name = &self.component.name;
        let all = look.estimator.component(name)?;
        let need = self.whole(|path| {
            let need = look.estimator.group(path)?;
            match resource {
                // Of CPU, waiting for others is no need of a higher ceiling.
                Resource::Cpu if need.bound.cpu => need.demand.cpu.map(|cpu| cpu.0),
                Resource::Cpu => need.usage.cpu.map(|cpu| cpu.0),
                Resource::Memory => need.demand.memory.map(|memory| memory.0),
                Resource::Pids => need.demand.pids,
                Resource::Io => None,
            }
        })?;
        let held = match resource {
            Resource::Memory => self.whole(|path| {
                let usage = look.seen.groups.get(path)?.usage.memory?;
                Some(usage.scaled(102, 100).plus(HELD_ROOM).0)
            })?,
            Resource::Cpu | Resource::Pids | Resource::Io => 0,
        };
        let failed = match resource {
            Resource::Memory => self.killed && all.bound.memory,
            Resource::Pids => all.bound.pids,
            Resource::Cpu | Resource::Io => false,
        };
        let expected = look.expected(self.component, resource);
        let throttled = all.throttled.filter(|_| resource == Resource::Cpu);
        Some(Sight {
            need,
            held,
            throttled: throttled.unwrap_or_default(),
            failed,
            expected: expected.map(|said| (said.upper, said.confidence)),
            room: self.room(look, resource),
        })
    }

    /// Up to where the ceiling may be raised. A quota needs no room: weights give everybody its guarantee at once, whoever has a quota.
    fn room(&self, look: &Look<'_>, resource: Resource) -> u64 {
        let is_short = look.estimator.levels().of(resource) >= Level::Warning;
        if is_short && !self.component.priority.is_protected() {
            return 0;
        }
        match resource {
            Resource::Cpu | Resource::Io => u64::MAX,
            Resource::Memory => {
                let Some(available) = look.seen.load.memory_available else { return 0 };
                let kept = self.kept.minus(unused_guarantee(look, self.component));
                memory(look, self.homes).plus(available.minus(kept)).0
            }
            Resource::Pids => {
                let Some(tasks) = look.seen.load.tasks else { return 0 };
                let own = look.estimator.component(&self.component.name);
                let own = own.and_then(|own| own.usage.pids).unwrap_or_default();
                own.saturating_add(look.seen.host.pid_max.saturating_sub(tasks))
            }
        }
    }
}

/// What all components may still take of what they are guaranteed.
fn unused_guarantees(look: &Look<'_>) -> Bytes {
    let all = look.policy.components.values();
    all.fold(Bytes::ZERO, |sum, component| sum.plus(unused_guarantee(look, component)))
}

/// What a component may still take of what it is guaranteed.
fn unused_guarantee(look: &Look<'_>, component: &Component) -> Bytes {
    let homes = look.seen.homes.get(&component.name).map(Vec::as_slice).unwrap_or_default();
    component.memory.guarantee.minus(memory(look, homes))
}

/// What homes hold; what is not known of one counts as nothing.
fn memory(look: &Look<'_>, homes: &[Home]) -> Bytes {
    let held = |home: &Home| look.seen.groups.get(home.path())?.usage.memory;
    homes.iter().filter_map(held).fold(Bytes::ZERO, Bytes::plus)
}

/// Where a ceiling is configured.
const fn key(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "cpu.ceiling",
        Resource::Memory => "memory.ceiling",
        Resource::Io => "io.ceiling",
        Resource::Pids => "pids.ceiling",
    }
}

const fn kind(resource: Resource) -> KnobKind {
    match resource {
        Resource::Cpu | Resource::Io => KnobKind::CpuMax,
        Resource::Memory => KnobKind::MemoryMax,
        Resource::Pids => KnobKind::PidsMax,
    }
}

/// The limit in a knob, in the unit of its resource.
fn limit(knob: &Knob) -> Option<u64> {
    if let Knob::CpuMax(max) = knob {
        return max.rate().value().map(|rate| rate.0);
    }
    let (Knob::MemoryMax(Limit::At(Bytes(limit))) | Knob::PidsMax(Limit::At(limit))) = knob else {
        return None;
    };
    Some(*limit)
}

#[cfg(test)]
mod tests;
