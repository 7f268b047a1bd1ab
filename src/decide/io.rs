//! I/O: limits per disk, where the configuration names them. Later entries override earlier ones, key by key, so that a limit
//! for all disks can be loosened for one.

use super::{Case, Housed};
use crate::config::{IoDevice, IoPolicy};
use crate::model::{GroupView, Home, IoMax, IoWeightBackend, Knob, Reason, Target, Via};
use crate::units::{Bytes, DeviceId, Limit, Weight};
use std::collections::BTreeMap;

/// `block/blk-throttle.c` before 7.2 refuses a limit of one; below this a limit is a hang.
const LEAST_RATE: u64 = 2;

/// `block/bfq-iosched.h`: the greatest weight.
const MOST_OF_BFQ: u64 = 1000;

/// Limits and an explicit weight of each home. Weights by priority come with the tree.
pub(super) fn targets(case: &Case<'_>, housed: &Housed<'_>, targets: &mut Vec<Target>) {
    let limits = per_disk(case, &housed.component.io);
    let disks = || case.seen.host.disks.iter().map(|disk| disk.device);
    let others = || limits.keys().copied().filter(|device| disks().all(|disk| disk != *device));
    for home in housed.homes {
        for device in disks().chain(others()) {
            let configured = limits.get(&device).map(|max| divided(*max, housed.parts()));
            targets.extend(limit(case, housed, home, (device, configured)));
        }
        if let Some(weight) = housed.component.io_weight {
            let share = Share {
                common: Weight::clamped(weight),
                bfq: Weight::clamped(weight.min(MOST_OF_BFQ)),
            };
            let mut knobs = weights(case, case.seen.groups.get(home.path()), share);
            if knobs.is_empty() {
                knobs.push(Knob::IoWeight(share.common)); // no disk heeds it yet
            }
            let configured = |knob| housed.configured(home, knob, "io.weight");
            targets.extend(knobs.into_iter().map(configured));
        }
    }
}

/// What is configured, or less while the component yields.
fn limit(
    case: &Case<'_>,
    housed: &Housed<'_>,
    home: &Home,
    (device, configured): (DeviceId, Option<IoMax>),
) -> Option<Target> {
    let standing = configured.unwrap_or(IoMax::UNLIMITED);
    let passing = case.steering.disk(home.path(), device).map(|part| part.least(standing));
    if let Some(max) = passing.filter(|max| *max != standing) {
        return Some(housed.target(home, Knob::IoMax(device, max.into()), Reason::YieldsDisk));
    }
    configured.map(|max| housed.configured(home, Knob::IoMax(device, max.into()), "io.limits"))
}

/// A weight in the ranges of both files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// 1 to 10000.
    pub(super) common: Weight,
    /// 1 to 1000.
    pub(super) bfq: Weight,
}

/// A group's weight in the files that a disk of this host heeds. systemd writes BFQ's file together with `io.weight`. It turns the io controller
/// on for a unit only when it is given a weight or a limit, and without the controller nobody sees who uses a disk: where somebody may
/// have to yield, a unit has a weight though no disk may heed it.
pub(super) fn weights(case: &Case<'_>, at: Option<&GroupView>, share: Share) -> Vec<Knob> {
    let has = |backend| case.seen.host.disks.iter().any(|disk| disk.weights == backend);
    let by_systemd = match at {
        Some(group) => matches!(group.via, Via::Unit(_)),
        None => case.seen.host.systemd,
    };
    let bfq = has(IoWeightBackend::Bfq);
    let own_file = bfq && !by_systemd;
    let yields = case.has_yielding && !case.seen.host.disks.is_empty();
    let common = has(IoWeightBackend::IoCost) || by_systemd && (bfq || yields);
    let common = common.then_some(Knob::IoWeight(share.common));
    common.into_iter().chain(own_file.then_some(Knob::IoBfqWeight(share.bfq))).collect()
}

fn per_disk(case: &Case<'_>, entries: &[IoPolicy]) -> BTreeMap<DeviceId, IoMax> {
    let mut limits = BTreeMap::new();
    for entry in entries {
        let devices: Vec<DeviceId> = match &entry.device {
            IoDevice::All => case.seen.host.disks.iter().map(|disk| disk.device).collect(),
            IoDevice::Path { disks, .. } => disks.clone(),
        };
        for device in devices {
            let max = limits.entry(device).or_insert(IoMax::UNLIMITED);
            *max = IoMax {
                rbps: or(entry.read, max.rbps),
                wbps: or(entry.write, max.wbps),
                riops: or(entry.read_iops, max.riops),
                wiops: or(entry.write_iops, max.wiops),
            };
        }
    }
    limits
}

fn or<T>(later: Limit<T>, earlier: Limit<T>) -> Limit<T> {
    if matches!(later, Limit::Max) { earlier } else { later }
}

fn divided(max: IoMax, parts: u64) -> IoMax {
    let bytes = |limit: Limit<Bytes>| limit.map(|rate| Bytes((rate.0 / parts).max(LEAST_RATE)));
    let count = |limit: Limit<u64>| limit.map(|rate| (rate / parts).max(LEAST_RATE));
    IoMax {
        rbps: bytes(max.rbps),
        wbps: bytes(max.wbps),
        riops: count(max.riops),
        wiops: count(max.wiops),
    }
}
