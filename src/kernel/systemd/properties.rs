//! Knobs as systemd's unit properties.
//!
//! Sizes and rates are sent as plain integers: systemd's own text forms mix base 1000 (I/O) and 1024 (memory). "No limit" is 2^64 - 1.
//! Source: `org.freedesktop.systemd1(5)`, `systemd.resource-control(5)`; the same on 252 and 257.

use crate::model::{IoMax, Knob, KnobKind};
use crate::units::{CpuSet, DeviceId, Limit};
use zbus::zvariant::Value;

/// A property and its value.
pub(super) type Property = (&'static str, Value<'static>);

const INFINITY: u64 = u64::MAX;
const USEC_PER_SEC: u64 = 1_000_000;

/// Whether systemd has a runtime property for the knob. `cpu.max.burst` and `memory.oom.group` have none.
#[must_use]
pub const fn is_property(kind: KnobKind) -> bool {
    !matches!(kind, KnobKind::CpuMaxBurst | KnobKind::MemoryOomGroup)
}

/// The stems of the runtime drop-in files that systemd writes for a knob: `50-STEM.conf`.
pub(super) const fn dropin_stems(kind: KnobKind) -> &'static [&'static str] {
    match kind {
        KnobKind::CpuWeight => &["CPUWeight"],
        KnobKind::CpuMax => {
            &["CPUQuota", "CPUQuotaPeriodSec", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec"]
        }
        KnobKind::CpusetCpus => &["AllowedCPUs"],
        KnobKind::MemoryMin => &["MemoryMin"],
        KnobKind::MemoryLow => &["MemoryLow"],
        KnobKind::MemoryHigh => &["MemoryHigh"],
        KnobKind::MemoryMax => &["MemoryMax"],
        KnobKind::MemorySwapMax => &["MemorySwapMax"],
        KnobKind::IoMax(_) => {
            &["IOReadBandwidthMax", "IOWriteBandwidthMax", "IOReadIOPSMax", "IOWriteIOPSMax"]
        }
        KnobKind::IoWeight => &["IOWeight"],
        KnobKind::PidsMax => &["TasksMax"],
        KnobKind::CpuMaxBurst | KnobKind::MemoryOomGroup => &[],
    }
}

/// The properties that set `knobs`; those that have none are left out.
pub(super) fn properties(knobs: &[Knob]) -> Vec<Property> {
    let mut properties: Vec<Property> = knobs.iter().flat_map(property).collect();
    let devices: Vec<(DeviceId, IoMax)> =
        knobs
            .iter()
            .filter_map(|knob| {
                if let Knob::IoMax(device, max) = knob { Some((*device, *max)) } else { None }
            })
            .collect();
    if !devices.is_empty() {
        properties.extend(device_properties(&devices));
    }
    properties
}

fn property(knob: &Knob) -> Vec<Property> {
    let number = |name, value: u64| vec![(name, Value::U64(value))];
    match knob {
        Knob::CpuWeight(weight) => number("CPUWeight", u64::from(weight.get())),
        Knob::IoWeight(weight) => number("IOWeight", u64::from(weight.get())),
        Knob::CpuMax(max) => {
            let period = max.period.0.max(1);
            let per_second = max.quota.value().map_or(INFINITY, |quota| {
                let exact = u128::from(quota.0) * u128::from(USEC_PER_SEC) / u128::from(period);
                u64::try_from(exact).unwrap_or(INFINITY)
            });
            // Without a period of its own systemd stretches short ones, so it is always told.
            vec![
                ("CPUQuotaPerSecUSec", Value::U64(per_second)),
                ("CPUQuotaPeriodUSec", Value::U64(period)),
            ]
        }
        Knob::CpusetCpus(cpus) => vec![("AllowedCPUs", Value::from(mask(cpus)))],
        Knob::MemoryMin(limit) => number("MemoryMin", bytes(*limit)),
        Knob::MemoryLow(limit) => number("MemoryLow", bytes(*limit)),
        Knob::MemoryHigh(limit) => number("MemoryHigh", bytes(*limit)),
        Knob::MemoryMax(limit) => number("MemoryMax", bytes(*limit)),
        Knob::MemorySwapMax(limit) => number("MemorySwapMax", bytes(*limit)),
        Knob::PidsMax(limit) => number("TasksMax", limit.value().unwrap_or(INFINITY)),
        Knob::IoMax(..) | Knob::CpuMaxBurst(_) | Knob::MemoryOomGroup(_) => Vec::new(),
    }
}

fn device_properties(devices: &[(DeviceId, IoMax)]) -> Vec<Property> {
    let list = |pick: fn(&IoMax) -> u64| {
        let entries: Vec<(String, u64)> = devices
            .iter()
            .map(|(device, max)| (format!("/dev/block/{device}"), pick(max)))
            .collect();
        Value::from(entries)
    };
    vec![
        ("IOReadBandwidthMax", list(|max| bytes(max.rbps))),
        ("IOWriteBandwidthMax", list(|max| bytes(max.wbps))),
        ("IOReadIOPSMax", list(|max| max.riops.value().unwrap_or(INFINITY))),
        ("IOWriteIOPSMax", list(|max| max.wiops.value().unwrap_or(INFINITY))),
    ]
}

/// The properties that say "not set" for `kinds`.
pub(super) fn unset(kinds: &[KnobKind]) -> Vec<Property> {
    let property = |kind: &KnobKind| {
        // What systemd calls CGROUP_WEIGHT_INVALID: as if the unit file said nothing.
        if *kind == KnobKind::CpuWeight {
            vec![("CPUWeight", Value::U64(INFINITY))]
        } else if *kind == KnobKind::IoWeight {
            vec![("IOWeight", Value::U64(INFINITY))]
        } else {
            properties(&[kind.kernel_default()])
        }
    };
    kinds.iter().flat_map(property).collect()
}

fn bytes(limit: Limit<crate::units::Bytes>) -> u64 {
    limit.value().map_or(INFINITY, |bytes| bytes.0)
}

/// A CPU set as systemd reads it: bit n of byte n / 8, the least significant bit first. (Other tools send the bytes reversed, and so
/// pin to the wrong CPUs beyond the eighth.)
fn mask(cpus: &CpuSet) -> Vec<u8> {
    let bytes = cpus.iter().max().map_or(0, |last| last / 8 + 1);
    (0..bytes)
        .map(|byte| {
            let bits = cpus.iter().filter(|cpu| cpu / 8 == byte).map(|cpu| 1u8 << (cpu % 8));
            bits.fold(0, |mask, bit| mask | bit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bytes, CpuMax, CpuTime, Weight};

    #[test]
    fn the_ninth_cpu_is_in_the_second_byte() {
        assert_eq!(mask(&CpuSet::of([8])), [0, 1]);
        assert_eq!(mask(&CpuSet::of([0, 1, 9])), [0b11, 0b10]);
        assert!(mask(&CpuSet::default()).is_empty());
    }

    #[test]
    fn a_quota_is_sent_per_second_with_its_period() {
        let max = CpuMax { quota: Limit::At(CpuTime::millis(25)), period: CpuTime::millis(50) };
        let sent = properties(&[Knob::CpuMax(max)]);
        assert_eq!(sent[0], ("CPUQuotaPerSecUSec", Value::U64(500_000)));
        assert_eq!(sent[1], ("CPUQuotaPeriodUSec", Value::U64(50_000)));
        let unlimited = properties(&[Knob::CpuMax(CpuMax::UNLIMITED)]);
        assert_eq!(unlimited[0], ("CPUQuotaPerSecUSec", Value::U64(u64::MAX)));
    }

    #[test]
    fn several_disks_share_one_list() {
        let disk = |minor| DeviceId { major: 8, minor };
        let max = |mebi| IoMax { rbps: Limit::At(Bytes::mebi(mebi)), ..IoMax::UNLIMITED };
        let sent = properties(&[Knob::IoMax(disk(0), max(1)), Knob::IoMax(disk(16), max(2))]);
        assert_eq!(sent.len(), 4);
        let expected = vec![
            ("/dev/block/8:0".to_owned(), 1u64 << 20),
            ("/dev/block/8:16".to_owned(), 2 << 20),
        ];
        assert_eq!(sent[0], ("IOReadBandwidthMax", Value::from(expected)));
    }

    #[test]
    fn what_has_no_property_is_left_out() {
        assert!(
            properties(&[Knob::MemoryOomGroup(true), Knob::CpuMaxBurst(CpuTime(1))]).is_empty()
        );
        assert_eq!(unset(&[KnobKind::CpuWeight]), [("CPUWeight", Value::U64(u64::MAX))]);
        assert_eq!(unset(&[KnobKind::MemoryLow]), [("MemoryLow", Value::U64(0))]);
        let weight = properties(&[Knob::CpuWeight(Weight::DEFAULT)]);
        assert_eq!(weight, [("CPUWeight", Value::U64(100))]);
    }

    #[test]
    fn every_knob_has_a_property_or_is_known_to_have_none() {
        for kind in KnobKind::SINGLE {
            let sent = properties(&[kind.kernel_default()]);
            assert_eq!(is_property(kind), !sent.is_empty(), "{kind}");
            assert_eq!(is_property(kind), !dropin_stems(kind).is_empty(), "{kind}");
        }
    }
}
