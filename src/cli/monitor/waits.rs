//! How much of the time the component waited that waited most, by resource: what the strips show. Pure.

use crate::model::{Report, Resource, Wait, Waits};
use crate::sim::Remembered;

/// The resources that have a strip.
pub(super) const OF: [Resource; 3] = [Resource::Cpu, Resource::Memory, Resource::Io];

/// In millionths, in the order of [`OF`]; none where it is not known.
pub(super) type Waited = [Option<u32>; 3];

/// What was waited for one resource.
pub(super) fn of(waited: Waited, resource: Resource) -> Option<u32> {
    let place = OF.iter().position(|of| *of == resource)?;
    *waited.get(place)?
}

pub(super) fn of_report(report: &Report) -> Waited {
    most(report.estimate.components.values().map(|component| component.need.waits))
}

pub(super) fn of_remembered(remembered: &Remembered) -> Waited {
    let estimator = &remembered.state.estimator;
    let names = remembered.policy.components.keys();
    most(names.filter_map(|name| Some(estimator.component(name)?.waits)))
}

fn most(all: impl Iterator<Item = Waits>) -> Waited {
    all.fold([None; 3], |[cpu, memory, io], waits| {
        let parts = |wait: Option<Wait>| wait.map(|wait| wait.p10.get());
        [cpu.max(parts(waits.cpu)), memory.max(parts(waits.memory)), io.max(parts(waits.io))]
    })
}
