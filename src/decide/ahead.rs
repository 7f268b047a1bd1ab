//! What protected components are expected to need soon beyond what they need now, and how sure that is. Must not limit anything.
//!
//! **Problem.** What yields gives way when somebody protected waits, which is after the demand has come. A forecast can say so before; but
//! its bound is always above what is used, and whoever gave way to bounds alone would do so for ever on a busy host where nobody waits.
//!
//! **Approach.** The likely amount says *whether* to act, the bound *how much* room to make. Only demand that is new counts: what was needed
//! lately was there already, and if somebody waited for it, that was seen.
//!
//! **Terms.** *lately*: as long before as the forecast looks ahead. *rise*: by how much the likely amount is above the most of lately. *more*: by
//! how much the bound is above what is used now.
//!
//! **Algorithm.** Of all protected components that are forecast with at least [`TRUSTED`] confidence and rise, the rises are added up. From
//! [`RISES_PERCENT`] of the host on, others give way for the sum of their `more`.
//!
//! **Properties**, each a test below: without a forecast, or with little confidence in it, nothing is expected; nobody is expected to need more
//! than its ceiling or the host; between two buckets nothing begins or ends but by what is used.

use crate::config::{Component, Policy};
use crate::estimate::{Estimator, Prospects};
use crate::model::{Expected, Forecast, Resource};
use crate::units::Ppm;

/// Below this a forecast decides nothing: it calls itself unreliable there.
const TRUSTED: Ppm = Ppm::percent(30);
/// Rises that add up to less than this part of the host are noise.
const RISES_PERCENT: u64 = 4;

/// What is expected of one resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rise<'a> {
    /// What will be needed beyond what is used now, at most.
    pub(super) more: u64,
    /// Whose demand rises most.
    component: &'a Component,
    forecast: Forecast,
}

/// What protected components are expected to need soon of a resource of which the host has `whole`; none where they need no more than lately.
pub(super) fn rise<'a>(
    policy: &'a Policy,
    prospects: &Prospects,
    estimator: &Estimator,
    (resource, whole): (Resource, u64),
) -> Option<Rise<'a>> {
    let mut sum = 0_u64;
    let mut most: Option<Rise<'a>> = None;
    for component in policy.protected() {
        let Some(used) = used(estimator, component, resource) else { continue };
        let Some(forecast) = prospects.of(&component.name, resource) else { continue };
        let forecast = forecast.within(ceiling(component, resource).min(whole));
        if forecast.confidence < TRUSTED || forecast.rise() == 0 {
            continue;
        }
        sum = sum.saturating_add(forecast.rise());
        let more = forecast.upper.saturating_sub(used);
        let so_far = most.map_or(0, |most| most.more);
        let greatest = most.filter(|most| most.forecast.rise() >= forecast.rise());
        let greatest = greatest.unwrap_or(Rise { more, component, forecast });
        most = Some(Rise { more: so_far.saturating_add(more), ..greatest });
    }
    most.filter(|most| most.more > 0 && sum >= whole / 100 * RISES_PERCENT)
}

impl Rise<'_> {
    /// Whether `told` says the same.
    pub(super) fn is(&self, told: &Expected) -> bool {
        let Forecast { point, upper, lately, confidence, .. } = self.forecast;
        told.component == self.component.name
            && (told.likely, told.at_most, told.lately, told.confidence)
                == (point, upper, lately.unwrap_or_default(), confidence)
    }

    /// In words.
    pub(super) fn told(&self, resource: Resource, prospects: &Prospects) -> Expected {
        Expected {
            component: self.component.name.clone(),
            resource,
            lately: self.forecast.lately.unwrap_or_default(),
            likely: self.forecast.point,
            at_most: self.forecast.upper,
            within: prospects.within(),
            confidence: self.forecast.confidence,
        }
    }
}

/// The forecast of a component, where it can be trusted.
pub(super) fn trusted<'a>(
    prospects: &'a Prospects,
    component: &Component,
    resource: Resource,
) -> Option<&'a Forecast> {
    prospects.of(&component.name, resource).filter(|said| said.confidence >= TRUSTED)
}

/// How far the worst forecast of CPU and memory of any protected component that is there can be trusted; nothing where one has none, or
/// nobody is there.
pub(super) fn trust(policy: &Policy, prospects: &Prospects, estimator: &Estimator) -> Ppm {
    let is_there = |component: &&Component| estimator.component(&component.name).is_some();
    let confidence = |component: &Component, resource| {
        prospects.of(&component.name, resource).map_or(Ppm::ZERO, |said| said.confidence)
    };
    let worst = |component: &Component| {
        confidence(component, Resource::Cpu).min(confidence(component, Resource::Memory))
    };
    policy.protected().filter(is_there).map(worst).min().unwrap_or(Ppm::ZERO)
}

fn used(estimator: &Estimator, component: &Component, resource: Resource) -> Option<u64> {
    let usage = &estimator.component(&component.name)?.usage;
    match resource {
        Resource::Cpu => usage.cpu.map(|cpu| cpu.0),
        Resource::Memory => usage.memory.map(|memory| memory.0),
        Resource::Io | Resource::Pids => None,
    }
}

fn ceiling(component: &Component, resource: Resource) -> u64 {
    let ceiling = match resource {
        Resource::Cpu => component.cpu.ceiling.value().map(|cpu| cpu.0),
        Resource::Memory => component.memory.ceiling.value().map(|memory| memory.0),
        Resource::Io | Resource::Pids => None,
    };
    ceiling.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
