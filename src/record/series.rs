//! What the host and its components used over a minute or an hour: means, the most, and how long at each level. Must not know rings.
//!
//! Amounts are in the resource's unit: thousandths of a core, bytes, bytes a second, tasks. What could not be read is missing.

use super::delta::Course;
use super::look::each;
use super::pack::{PackError, Packer};
use super::unpack::UnpackError;
use crate::model::{Bottleneck, Culprit, Each, HostUse, Level, Levels, Need, Resource, Wait};
use crate::units::{ComponentName, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const HEAD: u8 = 1;
const COMPONENT: u8 = 2;

/// A look that comes later than this says nothing of the time between.
const GAP: Span = Span::secs(15);

/// The mean and the most of one amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Over all looks at which it was known.
    pub mean: u64,
    /// At one look.
    pub most: u64,
}

/// For how long somebody waited for one resource because of one other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalled {
    /// What was waited for.
    pub resource: Resource,
    /// Because of whom or what.
    #[serde(flatten)]
    pub by: Culprit,
    /// For how long in all.
    pub waited: Span,
}

impl Stalled {
    /// Adds this time to what was waited for the same reason.
    pub fn add_to(&self, all: &mut Vec<Self>) {
        let is_same = |one: &&mut Self| one.resource == self.resource && one.by == self.by;
        match all.iter_mut().find(is_same) {
            Some(same) => same.waited = Span(same.waited.0.saturating_add(self.waited.0)),
            None => all.push(self.clone()),
        }
    }
}

/// What one component used and waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentUse {
    /// What it used of each resource.
    pub used: Each<Option<Used>>,
    /// The most that it waited for each through no doing of its own, over ten seconds.
    pub waited: Each<Option<Ppm>>,
    /// The most that it was expected to need: of the bounds that were in force, the greatest.
    pub expected: Each<Option<u64>>,
    /// Who held it back.
    pub stalled: Vec<Stalled>,
}

/// How many seconds a resource was at each level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtLevels {
    /// Nobody waited.
    pub normal: u64,
    /// Somebody began to.
    pub warning: u64,
    /// Somebody protected was slowed down.
    pub critical: u64,
    /// The host hardly did useful work.
    pub emergency: u64,
}

impl AtLevels {
    /// The seconds at one level.
    #[must_use]
    pub const fn of(&self, level: Level) -> u64 {
        match level {
            Level::Normal => self.normal,
            Level::Warning => self.warning,
            Level::Critical => self.critical,
            Level::Emergency => self.emergency,
        }
    }

    const fn add(&mut self, level: Level, amount: u64) {
        let place = match level {
            Level::Normal => &mut self.normal,
            Level::Warning => &mut self.warning,
            Level::Critical => &mut self.critical,
            Level::Emergency => &mut self.emergency,
        };
        *place = place.saturating_add(amount);
    }

    /// Those of both.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        Level::ALL.into_iter().for_each(|level| self.add(level, other.of(level)));
        self
    }
}

/// A minute or an hour, or what was seen of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// When it began, in seconds since 1970, as the host's clock had it.
    pub from_secs: u64,
    /// How much of it was seen, in seconds.
    pub seen_secs: u64,
    /// The host: CPU in thousandths of a core, memory in bytes, tasks.
    pub host: Each<Option<Used>>,
    /// How long each resource was at each level.
    pub levels: Each<AtLevels>,
    /// What was done.
    pub actions: u64,
    /// The components.
    #[serde(skip)]
    pub components: BTreeMap<ComponentName, ComponentUse>,
}

impl Period {
    /// Packs it.
    ///
    /// # Errors
    /// [`PackError`] for what no section can hold.
    pub fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.clear();
        packer.section(HEAD, self)?;
        if self.components.is_empty() {
            return each::<()>(packer, COMPONENT, &[]);
        }
        self.components.iter().try_for_each(|one| packer.section(COMPONENT, &one))
    }

    pub(super) fn read(course: &Course) -> Result<Self, UnpackError> {
        let head: Self = course.one(HEAD)?;
        let components: Vec<(ComponentName, ComponentUse)> = course.all(COMPONENT)?;
        Ok(Self { components: components.into_iter().collect(), ..head })
    }
}

/// A sum, with what its mean and its most come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    sum: u64,
    most: u64,
}

impl Sum {
    fn add(&mut self, amount: Option<u64>) {
        let Some(amount) = amount else { return };
        self.count += 1;
        self.sum = self.sum.saturating_add(amount);
        self.most = self.most.max(amount);
    }

    const fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        if other.most > self.most {
            self.most = other.most;
        }
    }

    fn used(self) -> Option<Used> {
        Some(Used { mean: self.sum.checked_div(self.count)?, most: self.most })
    }
}

/// What is known of one component so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ComponentSum {
    used: Each<Sum>,
    waited: Each<Option<Ppm>>,
    expected: Each<Option<u64>>,
    stalled: Vec<Stalled>,
}

impl ComponentSum {
    fn add(&mut self, part: &Part<'_>, span: Span) {
        for resource in Resource::ALL {
            self.used.of_mut(resource).add(of_need(part.need, resource));
            let waited = self.waited.of_mut(resource);
            *waited = (*waited).max(of_waits(part.need, resource).map(|wait| wait.p10));
            let expected = self.expected.of_mut(resource);
            *expected = (*expected).max(*part.expected.of(resource));
        }
        let Bottleneck::Of { resource, wait, cause } = part.bottleneck else { return };
        let waited = Span(u64::from(wait.get()).saturating_mul(span.0) / 1_000_000);
        let is_same = |one: &&mut Stalled| one.resource == *resource && one.by.is_of(cause);
        match self.stalled.iter_mut().find(is_same) {
            Some(same) => same.waited = Span(same.waited.0.saturating_add(waited.0)),
            None => {
                self.stalled.push(Stalled { resource: *resource, by: cause.culprit(), waited });
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for resource in Resource::ALL {
            self.used.of_mut(resource).merge(*other.used.of(resource));
            let waited = self.waited.of_mut(resource);
            *waited = (*waited).max(*other.waited.of(resource));
            let expected = self.expected.of_mut(resource);
            *expected = (*expected).max(*other.expected.of(resource));
        }
        other.stalled.iter().for_each(|more| more.add_to(&mut self.stalled));
    }

    /// Keeps its room.
    fn clear(&mut self) {
        let mut stalled = std::mem::take(&mut self.stalled);
        stalled.clear();
        *self = Self { stalled, ..Self::default() };
    }

    fn component_use(&self) -> ComponentUse {
        ComponentUse {
            used: map(&self.used, Sum::used),
            waited: self.waited,
            expected: self.expected,
            stalled: self.stalled.clone(),
        }
    }
}

/// A period that is not over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Open {
    from_secs: Option<u64>,
    seen: Span,
    host: Each<Sum>,
    /// In microseconds.
    levels: Each<AtLevels>,
    actions: u64,
    components: BTreeMap<ComponentName, ComponentSum>,
}

impl Open {
    fn merge(&mut self, other: &Self) {
        self.seen = Span(self.seen.0.saturating_add(other.seen.0));
        self.actions += other.actions;
        for resource in Resource::ALL {
            self.host.of_mut(resource).merge(*other.host.of(resource));
            let levels = self.levels.of_mut(resource);
            *levels = levels.plus(*other.levels.of(resource));
        }
        for (name, sum) in &other.components {
            self.components.entry(name.clone()).or_default().merge(sum);
        }
    }

    /// Begins another period, and keeps the room of those who are still there.
    fn begin(&mut self, from_secs: u64) {
        self.components.retain(|_, sum| *sum != ComponentSum::default());
        let components = std::mem::take(&mut self.components);
        *self = Self { from_secs: Some(from_secs), components, ..Self::default() };
        self.components.values_mut().for_each(ComponentSum::clear);
    }

    fn period(&self) -> Period {
        let seconds = |levels: AtLevels| AtLevels {
            normal: levels.normal / 1_000_000,
            warning: levels.warning / 1_000_000,
            critical: levels.critical / 1_000_000,
            emergency: levels.emergency / 1_000_000,
        };
        let there = self.components.iter().filter(|(_, sum)| **sum != ComponentSum::default());
        let component =
            |(name, sum): (&ComponentName, &ComponentSum)| (name.clone(), sum.component_use());
        Period {
            from_secs: self.from_secs.unwrap_or_default(),
            seen_secs: self.seen.0 / 1_000_000,
            host: map(&self.host, Sum::used),
            levels: map(&self.levels, seconds),
            actions: self.actions,
            components: there.map(component).collect(),
        }
    }
}

fn map<T: Copy, U>(each: &Each<T>, to: impl Fn(T) -> U) -> Each<U> {
    Each { cpu: to(each.cpu), memory: to(each.memory), io: to(each.io), pids: to(each.pids) }
}

/// What one look says of the host and its components.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When, on the boot clock.
    pub at: Tick,
    /// Seconds since 1970.
    pub wall_secs: u64,
    /// How much of the host is in use.
    pub host: &'a HostUse,
    /// How scarce each resource is.
    pub levels: Levels,
    /// How much was done since the look before.
    pub actions: u64,
}

/// What one look says of one component.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Which.
    pub name: &'a ComponentName,
    /// What it uses and waits for.
    pub need: &'a Need,
    /// What holds it back most.
    pub bottleneck: &'a Bottleneck,
    /// What it is expected to need at most.
    pub expected: Each<Option<u64>>,
}

/// Adds looks up to minutes and hours.
#[derive(Debug, Default)]
pub struct Tally {
    at: Option<Tick>,
    minute: Open,
    hour: Open,
}

/// What is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// A minute.
    pub minute: Period,
    /// An hour, where one is over as well.
    pub hour: Option<Period>,
}

impl Tally {
    /// Takes in one look. What is over by it. Asks for no memory but at a minute's end, for a component that was not there before, and for one
    /// that waits because of another than before.
    pub fn look<'a>(
        &mut self,
        seen: &Seen<'_>,
        components: impl Iterator<Item = Part<'a>>,
    ) -> Option<Over> {
        let minute = seen.wall_secs / 60 * 60;
        let over = (self.minute.from_secs != Some(minute)).then(|| self.turn(minute)).flatten();
        let span = self.at.replace(seen.at).map_or(Span::ZERO, |at| seen.at.since(at));
        let span = if span > GAP { Span::ZERO } else { span };
        let open = &mut self.minute;
        open.seen = Span(open.seen.0.saturating_add(span.0));
        open.actions = open.actions.saturating_add(seen.actions);
        for resource in Resource::ALL {
            open.host.of_mut(resource).add(of_host(seen.host, resource));
            open.levels.of_mut(resource).add(seen.levels.of(resource), span.0);
        }
        for part in components {
            if !open.components.contains_key(part.name) {
                open.components.insert(part.name.clone(), ComponentSum::default());
            }
            if let Some(sum) = open.components.get_mut(part.name) {
                sum.add(&part, span);
            }
        }
        over
    }

    /// Ends the minute and the hour, because the daemon stops.
    pub fn end(&mut self) -> Option<Over> {
        let over = self.turn(0)?;
        let hour = over.hour.or_else(|| Some(self.hour.period()));
        Some(Over { hour, ..over })
    }

    /// Begins another minute, and another hour if it is in one.
    fn turn(&mut self, minute: u64) -> Option<Over> {
        let from = self.minute.from_secs;
        let over = from.map(|from| {
            if self.hour.from_secs.is_none() {
                self.hour.begin(from / 3600 * 3600);
            }
            self.hour.merge(&self.minute);
            let hour = (from / 3600 != minute / 3600).then(|| {
                let hour = self.hour.period();
                self.hour.begin(minute / 3600 * 3600);
                hour
            });
            Over { minute: self.minute.period(), hour }
        });
        self.minute.begin(minute);
        over
    }
}

fn of_host(host: &HostUse, resource: Resource) -> Option<u64> {
    match resource {
        Resource::Cpu => host.cpu.map(|cpu| cpu.0),
        Resource::Memory => host.memory.map(|memory| memory.0),
        // What goes over a disk is told by component.
        Resource::Io => None,
        Resource::Pids => host.pids,
    }
}

fn of_need(need: &Need, resource: Resource) -> Option<u64> {
    let usage = need.usage;
    match resource {
        Resource::Cpu => usage.cpu.map(|cpu| cpu.0),
        Resource::Memory => usage.memory.map(|memory| memory.0),
        Resource::Io => usage.io.map(|io| io.read.plus(io.write).0),
        Resource::Pids => usage.pids,
    }
}

const fn of_waits(need: &Need, resource: Resource) -> Option<Wait> {
    match resource {
        Resource::Cpu => need.waits.cpu,
        Resource::Memory => need.waits.memory,
        Resource::Io => need.waits.io,
        Resource::Pids => None,
    }
}
