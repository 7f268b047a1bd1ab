//! The forecasters of all components: fed once a look, and what they say is lent out. Must not decide anything, nor keep anything itself.
//!
//! **Problem.** A forecaster takes up to 24 KB and learns for a day, while [`crate::cycle::State`] is copied and compared each step. What
//! learns has to live beside it, and may neither grow with the configuration nor be lost with the daemon.
//!
//! **Approach.** One owner of four series for each component: CPU and disk traffic as means, memory and tasks as the most of each five
//! minutes, all of what would be used if nothing held the component back. Each has a forecaster, what is usual in it, and its busiest hours. At
//! most 200 components have them.
//!
//! **Terms.** *lent*: a forecast is a small copy, and only one whose time is not over is given away. *text*: what is kept of one component.
//!
//! **Algorithm.** At most one sample a second is taken in. A component is taken up when it is seen for the first time, and forgotten when it is
//! no longer registered. When none of its cgroups is left and there are others, it has begun anew: its levels are forgotten.
//!
//! **Properties**, each a test below: nothing known is no sample; what was kept comes back to the bit; any other text is refused; a look
//! asks for no memory but at the end of a bucket of the first two days, and once after two weeks (`tests/steady`).

use super::forecast::{Damaged, Fold, Forecaster, Settings};
use super::growth::Days;
use super::usual::Usual;
use super::{Estimator, Prospects};
use crate::config::{Component, Policy};
use crate::model::{
    Amounts, Each, Forecast, ForecastView, Growth, Moment, Resource, Snapshot, Unusual,
};
use crate::units::{CgroupId, ComponentName, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;
use thiserror::Error;

/// So many components have forecasts: 17 MB of them.
pub const MOST_COMPONENTS: usize = 200;
/// So many of the last buckets are shown: an hour.
const SHOWN: usize = 12;
/// What is written now, and the only version that is read.
const VERSION: u32 = 2;

/// Why a text is not the state of a component's forecasts.
#[derive(Debug, Error)]
pub enum Unusable {
    /// It is not JSON, or not this one.
    #[error("it is damaged: {why}")]
    Text {
        /// What the reader says.
        why: String,
    },
    /// Another provost wrote it.
    #[error("its version {version} is not {VERSION}")]
    Version {
        /// What it says.
        version: u32,
    },
    /// A forecaster cannot be in that state.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// What is learnt of one resource of a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Series {
    forecaster: Forecaster,
    usual: Usual,
    days: Days,
}

impl Series {
    fn new(resource: Resource) -> Self {
        let forecaster = Forecaster::new(&settings(resource));
        Self { forecaster, usual: Usual::default(), days: Days::default() }
    }

    /// Under the present settings.
    fn resumed(self, resource: Resource) -> Result<Self, Damaged> {
        if !self.days.is_whole() {
            return Err(Damaged { what: "it holds more days than it can" });
        }
        Ok(Self { forecaster: self.forecaster.resume(&settings(resource))?, ..self })
    }

    fn restarted(&mut self) {
        self.forecaster.restarted();
        self.usual.interrupted();
    }

    /// Whether a bucket ended.
    fn observe(&mut self, at: Moment, sample: Option<u64>, resource: Resource) -> bool {
        let Some(bucket) = self.forecaster.take(at, sample) else { return false };
        self.usual.push(&bucket, step(resource));
        self.days.push(bucket.at, bucket.value);
        true
    }

    /// Bytes, on the heap and off it.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.forecaster.bytes() + self.usual.bytes() + self.days.bytes()
    }
}

/// The series of one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Foreseen {
    /// Where it lived when it was last seen.
    homes: Vec<CgroupId>,
    series: Each<Series>,
    /// Whether a bucket ended since it was last kept.
    #[serde(skip)]
    changed: bool,
}

/// What is kept of one component.
#[derive(Serialize, Deserialize)]
struct Page<T> {
    version: u32,
    boot: String,
    component: T,
}

/// What is kept of the host.
#[derive(Serialize, Deserialize)]
struct HostPage<T> {
    version: u32,
    host: T,
}

/// The forecasters of all components.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Foresight {
    components: BTreeMap<ComponentName, Foreseen>,
    /// The busiest hours of the whole host.
    host: Each<Days>,
    /// The second of the last look.
    at: Option<Moment>,
    left_out: usize,
}

/// What is promised of each resource.
const fn settings(resource: Resource) -> Settings {
    Settings::usual(match resource {
        Resource::Cpu | Resource::Io => Fold::Mean,
        Resource::Memory | Resource::Pids => Fold::Most,
    })
}

/// How much of one resource, in its unit; none where it is not known.
pub(super) fn amount(amounts: &Amounts, resource: Resource) -> Option<u64> {
    match resource {
        Resource::Cpu => amounts.cpu.map(|cpu| cpu.0),
        Resource::Memory => amounts.memory.map(|memory| memory.0),
        Resource::Io => amounts.io.map(|io| io.read.plus(io.write).0),
        Resource::Pids => amounts.pids,
    }
}

/// What nobody calls a change: 20 thousandths of a core, 16 MiB, 1 MiB/s, 16 tasks.
const fn step(resource: Resource) -> u64 {
    match resource {
        Resource::Cpu => 20,
        Resource::Memory => 16 << 20,
        Resource::Io => 1 << 20,
        Resource::Pids => 16,
    }
}

impl Foreseen {
    fn new() -> Self {
        let series = Each {
            cpu: Series::new(Resource::Cpu),
            memory: Series::new(Resource::Memory),
            io: Series::new(Resource::Io),
            pids: Series::new(Resource::Pids),
        };
        Self { homes: Vec::new(), series, changed: false }
    }

    /// Under the present settings.
    fn resumed(self) -> Result<Self, Damaged> {
        let Each { cpu, memory, io, pids } = self.series;
        let series = Each {
            cpu: cpu.resumed(Resource::Cpu)?,
            memory: memory.resumed(Resource::Memory)?,
            io: io.resumed(Resource::Io)?,
            pids: pids.resumed(Resource::Pids)?,
        };
        Ok(Self { series, ..self })
    }

    fn restarted(&mut self) {
        for resource in Resource::ALL {
            self.series.of_mut(resource).restarted();
        }
    }

    /// Where it lives now. While it lives nowhere, where it was stays known.
    fn lives_in(&mut self, homes: impl Iterator<Item = CgroupId> + Clone) {
        if homes.clone().next().is_none() || homes.clone().eq(self.homes.iter().copied()) {
            return;
        }
        let is_left = homes.clone().any(|home| self.homes.contains(&home));
        if !is_left && !self.homes.is_empty() {
            self.restarted();
        }
        self.homes.clear();
        self.homes.extend(homes);
    }

    fn observe(&mut self, at: Moment, amounts: &Amounts) {
        for resource in Resource::ALL {
            let sample = amount(amounts, resource);
            self.changed |= self.series.of_mut(resource).observe(at, sample, resource);
        }
    }
}

impl Foresight {
    /// Takes in what the last look says of each component's demand, `at` on the wall clock. A second look in the same second changes nothing.
    pub fn look(&mut self, policy: &Policy, seen: &Snapshot, estimator: &Estimator, at: Moment) {
        if self.at.replace(at) == Some(at) {
            return;
        }
        let all = estimator.host();
        let used = [
            (Resource::Cpu, all.cpu.map(|cpu| cpu.0)),
            (Resource::Memory, all.memory.map(|memory| memory.0)),
            (Resource::Pids, all.pids),
        ];
        for (resource, used) in used {
            used.into_iter().for_each(|used| self.host.of_mut(resource).push(at, used));
        }
        self.components.retain(|name, _| policy.components.contains_key(name));
        self.left_out = 0;
        for name in policy.components.keys() {
            let need = estimator.component(name);
            if !self.components.contains_key(name) {
                if need.is_none() {
                    continue;
                }
                if self.components.len() >= MOST_COMPONENTS {
                    self.left_out += 1;
                    continue;
                }
                self.components.insert(name.clone(), Foreseen::new());
            }
            let Some(foreseen) = self.components.get_mut(name) else { continue };
            let homes = seen.homes.get(name).map(Vec::as_slice).unwrap_or_default();
            foreseen.lives_in(homes.iter().map(|home| home.at.id));
            foreseen.observe(at, &need.map(|need| need.demand).unwrap_or_default());
        }
    }

    /// What is to be expected of a component; none before five minutes of it were seen, and none when what was seen is older than the
    /// forecast looks ahead.
    #[must_use]
    pub fn forecast(&self, name: &ComponentName, resource: Resource) -> Option<Forecast> {
        self.lent(self.components.get(name)?, resource)
    }

    fn lent(&self, foreseen: &Foreseen, resource: Resource) -> Option<Forecast> {
        let said = foreseen.series.of(resource).forecaster.forecast()?;
        let away = Span::secs(self.at?.0.abs_diff(said.as_of.0));
        (away <= settings(resource).ahead()).then_some(said)
    }

    /// Brings up to date what decisions may rest on: of the components that some decision asks for.
    pub fn lend(&self, policy: &Policy, prospects: &mut Prospects) {
        prospects.look_ahead(settings(Resource::Cpu).ahead());
        prospects.retain(|name| policy.components.get(name).is_some_and(is_asked_for));
        for component in policy.components.values().filter(|component| is_asked_for(component)) {
            let foreseen = self.components.get(&component.name);
            let said = |resource| self.lent(foreseen?, resource);
            let said = Each {
                cpu: said(Resource::Cpu),
                memory: said(Resource::Memory),
                io: said(Resource::Io),
                pids: said(Resource::Pids),
            };
            prospects.lend(&component.name, said);
        }
    }

    /// All that is to be expected of a component, with what it rests on.
    #[must_use]
    pub fn views(&self, name: &ComponentName) -> BTreeMap<Resource, ForecastView> {
        let Some(foreseen) = self.components.get(name) else { return BTreeMap::new() };
        let view = |resource| {
            let settings = settings(resource);
            let view = ForecastView {
                horizon: settings.ahead(),
                quantile: settings.quantile(),
                said: self.lent(foreseen, resource)?,
                recent: foreseen.series.of(resource).forecaster.recent(SHOWN).collect(),
                unusual: foreseen.series.of(resource).usual.unusual(),
            };
            Some((resource, view))
        };
        Resource::ALL.into_iter().filter_map(view).collect()
    }

    /// Where the busiest hours of a component go, over weeks.
    #[must_use]
    pub fn growth(&self, name: &ComponentName) -> BTreeMap<Resource, Growth> {
        let Some(foreseen) = self.components.get(name) else { return BTreeMap::new() };
        let growth = |resource| Some((resource, foreseen.series.of(resource).days.growth()?));
        Resource::ALL.into_iter().filter_map(growth).collect()
    }

    /// Where the busiest hours of the host go. Disks do not say what their whole is.
    #[must_use]
    pub fn host_growth(&self) -> BTreeMap<Resource, Growth> {
        let growth = |resource| Some((resource, self.host.of(resource).growth()?));
        Resource::ALL.into_iter().filter_map(growth).collect()
    }

    /// What is out of the ordinary.
    pub fn unusual(&self) -> impl Iterator<Item = (&ComponentName, Resource, Unusual)> {
        self.components.iter().flat_map(move |(name, foreseen)| {
            let unusual = |resource| foreseen.series.of(resource).usual.unusual();
            let said = move |resource| Some((name, resource, unusual(resource)?));
            // What is too old for a forecast is not news either.
            let all = Resource::ALL.into_iter().filter_map(said);
            all.filter(move |(_, resource, _)| self.lent(foreseen, *resource).is_some())
        })
    }

    /// The forecasts that cannot be trusted.
    pub fn unreliable(&self) -> impl Iterator<Item = (&ComponentName, Resource, Forecast)> {
        self.components.iter().flat_map(move |(name, foreseen)| {
            let said = move |resource| Some((name, resource, self.lent(foreseen, resource)?));
            let all = Resource::ALL.into_iter().filter_map(said);
            all.filter(|(_, _, forecast)| forecast.is_unreliable)
        })
    }

    /// How many components have no forecasts because there are too many.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// All components that have forecasters.
    pub fn components(&self) -> impl Iterator<Item = &ComponentName> {
        self.components.keys()
    }

    /// The first component by name, behind `last`, of which more is known than was kept.
    #[must_use]
    pub fn changed(&self, last: Option<&ComponentName>) -> Option<&ComponentName> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = self.components.range::<ComponentName, _>((from, Bound::Unbounded));
        behind.find(|(_, foreseen)| foreseen.changed).map(|(name, _)| name)
    }

    /// What is to be kept of a component; none where it has no forecasters. It counts as kept from then on.
    pub fn text(
        &mut self,
        name: &ComponentName,
        boot: &str,
    ) -> Option<Result<String, serde_json::Error>> {
        let foreseen = self.components.get_mut(name)?;
        foreseen.changed = false;
        let page = Page { version: VERSION, boot: boot.to_owned(), component: &*foreseen };
        Some(serde_json::to_string(&page).map(|text| text + "\n"))
    }

    /// What is to be kept of the host.
    ///
    /// # Errors
    /// Never but for want of memory: it is plain data.
    pub fn host_text(&self) -> Result<String, serde_json::Error> {
        let page = HostPage { version: VERSION, host: &self.host };
        serde_json::to_string(&page).map(|text| text + "\n")
    }

    /// Goes on with what was kept of the host.
    ///
    /// # Errors
    /// [`Unusable`] where the text is not one that was kept; then nothing is changed.
    pub fn take_up_host(&mut self, text: &[u8]) -> Result<(), Unusable> {
        check_version(text)?;
        let page: HostPage<Each<Days>> = serde_json::from_slice(text).map_err(told)?;
        if !Resource::ALL.into_iter().all(|resource| page.host.of(resource).is_whole()) {
            return Err(Damaged { what: "it holds more days than it can" }.into());
        }
        self.host = page.host;
        Ok(())
    }

    /// Goes on with what was kept of a component. In another boot it has begun anew.
    ///
    /// # Errors
    /// [`Unusable`] where the text is not one that was kept; then nothing is changed.
    pub fn take_up(
        &mut self,
        name: &ComponentName,
        text: &[u8],
        boot: &str,
    ) -> Result<(), Unusable> {
        check_version(text)?;
        let page: Page<Foreseen> = serde_json::from_slice(text).map_err(told)?;
        let mut foreseen = page.component.resumed()?;
        if page.boot != boot {
            foreseen.homes.clear();
            foreseen.restarted();
        }
        if self.components.len() < MOST_COMPONENTS {
            self.components.insert(name.clone(), foreseen);
        }
        Ok(())
    }
}

/// Whether decisions may rest on what is said of it: others give way to who is protected, and a ceiling or instances may follow its need.
fn is_asked_for(component: &Component) -> bool {
    component.priority.is_protected() || component.is_scaled() || component.instances.is_some()
}

fn told(error: serde_json::Error) -> Unusable {
    Unusable::Text { why: error.to_string() }
}

/// Whether this version can read the text.
fn check_version(text: &[u8]) -> Result<(), Unusable> {
    /// What every version has.
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let Head { version } = serde_json::from_slice(text).map_err(told)?;
    if version == VERSION { Ok(()) } else { Err(Unusable::Version { version }) }
}

#[cfg(test)]
mod tests;
