//! Knobs as the properties of a unit, and back. Pure: nothing here talks to systemd.
//!
//! systemd keeps a CPU quota as microseconds per second and computes the quota of a period from it, rounding down. The
//! rate is therefore rounded up, which gives back exactly the wanted quota for every period that the kernel takes.
//!
//! Sources: org.freedesktop.systemd1(5), systemd.resource-control(5).

use crate::model::{IoMax, Knob, KnobKind};
use crate::units::{Bytes, CpuMax, CpuSet, CpuTime, DeviceId, Limit, Weight};
use std::collections::BTreeMap;
use zbus::zvariant::{OwnedValue, Value};

/// systemd's word for "no limit" and, for a weight, for "not set".
const INFINITY: u64 = u64::MAX;
const SECOND_USEC: u64 = 1_000_000;
/// The kernel takes no quota and no period below this.
const MILLISECOND_USEC: u64 = 1000;

/// A property's name with its value in the type that systemd expects.
pub type Property = (&'static str, Value<'static>);

/// The properties that hold a knob; empty where systemd has none (`cpu.max.burst`, `memory.oom.group`, `cgroup.freeze`).
#[must_use]
pub const fn names(kind: KnobKind) -> &'static [&'static str] {
    match kind {
        KnobKind::CpuWeight => &["CPUWeight"],
        KnobKind::CpuMax => &["CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec"],
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
        KnobKind::CpuMaxBurst
        | KnobKind::CpusetPartition
        | KnobKind::CpusetExclusive
        | KnobKind::MemoryOomGroup
        | KnobKind::IoBfqWeight
        | KnobKind::CgroupFreeze => &[],
    }
}

/// Whether a systemd of this version takes an idle weight: `CPUWeight=idle`, 0 on the bus, is there since 252. One before refuses it, and
/// every other property of the call with it.
#[must_use]
pub fn knows_idle(version: &str) -> bool {
    let number = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    number.parse().is_ok_and(|number: u32| number >= 252)
}

/// What one property carries.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// `t`
    Number(u64),
    /// `ay`: bit n of byte m stands for CPU 8 m + n.
    Mask(Vec<u8>),
    /// `a(st)`: device file and rate.
    Rates(Vec<(String, u64)>),
}

impl From<Content> for Value<'static> {
    fn from(content: Content) -> Self {
        match content {
            Content::Number(number) => number.into(),
            Content::Mask(mask) => mask.into(),
            Content::Rates(rates) => rates.into(),
        }
    }
}

/// The properties that set `knobs`, each property once; of two values for one knob the last counts.
///
/// Knobs without a property are left out: see [`names`]. The devices of several `io.max` knobs share each list; a direction
/// without limit is sent as infinity, which takes the device off the list.
#[must_use]
pub fn properties(knobs: &[Knob]) -> Vec<Property> {
    let mut wanted = Wanted::default();
    for knob in knobs {
        wanted.knob(knob);
    }
    wanted.into_properties()
}

/// The properties that make systemd forget what was set for `kinds`.
///
/// For `TasksMax=` that is "unlimited", not the host's `DefaultTasksMax=`; for a device in `io.max` only that device's
/// entries go, as an empty list would also remove the administrator's other devices. To return to what the unit's file
/// says, remove the [drop-ins](super::runtime_dropins) and reload.
#[must_use]
pub fn unset(kinds: &[KnobKind]) -> Vec<Property> {
    let mut wanted = Wanted::default();
    for kind in kinds {
        match kind {
            KnobKind::CpuWeight | KnobKind::IoWeight | KnobKind::CpuMax => {
                for name in names(*kind) {
                    wanted.put(name, Content::Number(INFINITY));
                }
            }
            KnobKind::CpusetCpus
            | KnobKind::MemoryMin
            | KnobKind::MemoryLow
            | KnobKind::MemoryHigh
            | KnobKind::MemoryMax
            | KnobKind::MemorySwapMax
            | KnobKind::IoMax(_)
            | KnobKind::PidsMax => wanted.knob(&kind.kernel_default()),
            KnobKind::CpuMaxBurst
            | KnobKind::CpusetPartition
            | KnobKind::CpusetExclusive
            | KnobKind::MemoryOomGroup
            | KnobKind::IoBfqWeight
            | KnobKind::CgroupFreeze => {}
        }
    }
    wanted.into_properties()
}

#[derive(Debug, Default)]
struct Wanted(Vec<(&'static str, Content)>);

impl Wanted {
    fn knob(&mut self, knob: &Knob) {
        let number = match knob {
            Knob::CpuWeight(weight) | Knob::IoWeight(weight) => u64::from(weight.get()),
            Knob::MemoryMin(limit)
            | Knob::MemoryLow(limit)
            | Knob::MemoryHigh(limit)
            | Knob::MemoryMax(limit)
            | Knob::MemorySwapMax(limit) => or_infinity(limit.map(|bytes| bytes.0)),
            Knob::PidsMax(limit) => or_infinity(*limit),
            Knob::CpuMax(max) => return self.cpu_max(*max),
            Knob::CpusetCpus(cpus) => return self.put("AllowedCPUs", Content::Mask(mask(cpus))),
            Knob::IoMax(device, max) => return self.io_max(*device, **max),
            Knob::CpuMaxBurst(_)
            | Knob::CpusetPartition(..)
            | Knob::CpusetExclusive(_)
            | Knob::MemoryOomGroup(_)
            | Knob::IoBfqWeight(_)
            | Knob::CgroupFreeze(_) => return,
        };
        for name in names(knob.kind()) {
            self.put(name, Content::Number(number));
        }
    }

    fn cpu_max(&mut self, max: CpuMax) {
        let rate = match max.quota {
            Limit::At(quota) => rate_of(quota, max.period),
            Limit::Max => INFINITY,
        };
        self.put("CPUQuotaPerSecUSec", Content::Number(rate));
        self.put("CPUQuotaPeriodUSec", Content::Number(max.period.0));
    }

    fn io_max(&mut self, device: DeviceId, max: IoMax) {
        let path = format!("/dev/block/{device}");
        let limits =
            [max.rbps.map(|bytes| bytes.0), max.wbps.map(|bytes| bytes.0), max.riops, max.wiops];
        for (name, limit) in names(KnobKind::IoMax(device)).iter().zip(limits) {
            let rate = (path.clone(), or_infinity(limit));
            match self.0.iter_mut().find(|(have, _)| have == name) {
                Some((_, Content::Rates(rates))) => {
                    rates.retain(|(have, _)| *have != path);
                    rates.push(rate);
                }
                Some(_) | None => self.put(name, Content::Rates(vec![rate])),
            }
        }
    }

    fn put(&mut self, name: &'static str, content: Content) {
        match self.0.iter_mut().find(|(have, _)| *have == name) {
            Some((_, old)) => *old = content,
            None => self.0.push((name, content)),
        }
    }

    fn into_properties(self) -> Vec<Property> {
        self.0.into_iter().map(|(name, content)| (name, content.into())).collect()
    }
}

fn or_infinity(limit: Limit<u64>) -> u64 {
    limit.value().unwrap_or(INFINITY)
}

/// Microseconds per second, rounded up; at least one, as systemd refuses zero, and never its word for infinity.
fn rate_of(quota: CpuTime, period: CpuTime) -> u64 {
    let product = u128::from(quota.0) * u128::from(SECOND_USEC);
    let rate = product.div_ceil(u128::from(period.0.max(1)));
    u64::try_from(rate).unwrap_or(INFINITY).clamp(1, INFINITY - 1)
}

/// What systemd writes to the group when it is asked for `knob`, before the kernel rounds it.
///
/// Only `cpu.max` differs: the quota is at least 1 ms, the period from 1 ms to 1 s and as long as the least quota needs,
/// and without a quota always 100 ms. After a daemon-reload systemd 252 to 257 know the rate in whole hundredths of a CPU
/// only, as their drop-in says `CPUQuota=12%` for an eighth: a quota that shall survive it is a multiple of that.
#[must_use]
pub fn as_systemd_keeps(knob: &Knob) -> Knob {
    let Knob::CpuMax(max) = knob else {
        return knob.clone();
    };
    let Limit::At(quota) = max.quota else {
        return Knob::CpuMax(CpuMax::UNLIMITED);
    };
    Knob::CpuMax(written(rate_of(quota, max.period), max.period.0))
}

/// `cpu.max` as systemd computes it from its two properties.
fn written(rate: u64, period: u64) -> CpuMax {
    let least_period = MILLISECOND_USEC.saturating_mul(SECOND_USEC) / rate.max(1);
    let period = period.max(MILLISECOND_USEC).max(least_period).min(SECOND_USEC);
    let quota = u128::from(rate) * u128::from(period) / u128::from(SECOND_USEC);
    let quota = u64::try_from(quota).unwrap_or(INFINITY).max(MILLISECOND_USEC);
    CpuMax { quota: Limit::At(CpuTime(quota)), period: CpuTime(period) }
}

fn mask(cpus: &CpuSet) -> Vec<u8> {
    let mut mask = Vec::new();
    for cpu in cpus.iter() {
        let Ok(place) = usize::try_from(cpu / 8) else {
            continue;
        };
        if mask.len() <= place {
            mask.resize(place + 1, 0u8);
        }
        if let Some(byte) = mask.get_mut(place) {
            *byte |= 1 << (cpu % 8);
        }
    }
    mask
}

fn cpus(mask: &[u8]) -> CpuSet {
    let bits = (0u32..).zip(mask).flat_map(|(place, byte)| {
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| place * 8 + bit)
    });
    CpuSet::of(bits)
}

/// The knobs that `present` properties of a unit hold, one entry per kind; `None` where nothing is set.
///
/// A kind is missing from the answer where systemd has no property for it or did not show it. `device_of` tells which disk
/// a path stands for, as an administrator may have written `/dev/vda`.
pub fn believed(
    kinds: &[KnobKind],
    present: &BTreeMap<String, OwnedValue>,
    device_of: &dyn Fn(&str) -> Option<DeviceId>,
) -> BTreeMap<KnobKind, Option<Knob>> {
    let present = Present { present, device_of };
    kinds.iter().filter_map(|kind| Some((*kind, present.knob(*kind)?))).collect()
}

struct Present<'a> {
    present: &'a BTreeMap<String, OwnedValue>,
    device_of: &'a dyn Fn(&str) -> Option<DeviceId>,
}

impl Present<'_> {
    /// Outer `None`: systemd does not say; inner `None`: not set.
    fn knob(&self, kind: KnobKind) -> Option<Option<Knob>> {
        let number = || self.number(names(kind).first()?);
        let limit = || Some(finite(number()?).map(Bytes));
        let protection = |knob: fn(Limit<Bytes>) -> Knob| {
            Some(match number()? {
                0 => None,
                INFINITY => Some(knob(Limit::Max)),
                bytes => Some(knob(Limit::At(Bytes(bytes)))),
            })
        };
        match kind {
            KnobKind::CpuWeight => {
                // 0 is `CPUWeight=idle`, since systemd 252.
                Some(finite(number()?).map(|weight| Knob::CpuWeight(Weight::of_cpu(weight))))
            }
            KnobKind::IoWeight => {
                Some(finite(number()?).map(|weight| Knob::IoWeight(Weight::clamped(weight))))
            }
            KnobKind::CpuMax => self.cpu_max(),
            KnobKind::CpusetCpus => {
                let cpus = self.cpuset()?;
                Some((!cpus.is_empty()).then_some(Knob::CpusetCpus(cpus)))
            }
            KnobKind::MemoryMin => protection(Knob::MemoryMin),
            KnobKind::MemoryLow => protection(Knob::MemoryLow),
            KnobKind::MemoryHigh => Some(limit()?.map(|at| Knob::MemoryHigh(Limit::At(at)))),
            KnobKind::MemoryMax => Some(limit()?.map(|at| Knob::MemoryMax(Limit::At(at)))),
            KnobKind::MemorySwapMax => Some(limit()?.map(|at| Knob::MemorySwapMax(Limit::At(at)))),
            KnobKind::IoMax(device) => self.io_max(device),
            KnobKind::PidsMax => Some(finite(number()?).map(|at| Knob::PidsMax(Limit::At(at)))),
            KnobKind::CpuMaxBurst
            | KnobKind::CpusetPartition
            | KnobKind::CpusetExclusive
            | KnobKind::MemoryOomGroup
            | KnobKind::IoBfqWeight
            | KnobKind::CgroupFreeze => None,
        }
    }

    fn cpu_max(&self) -> Option<Option<Knob>> {
        let period = self.number("CPUQuotaPeriodUSec")?;
        let period = finite(period).unwrap_or(CpuMax::DEFAULT_PERIOD.0);
        let rate = finite(self.number("CPUQuotaPerSecUSec")?);
        Some(rate.map(|rate| Knob::CpuMax(written(rate, period))))
    }

    fn cpuset(&self) -> Option<CpuSet> {
        let value = self.present.get("AllowedCPUs")?.try_clone().ok()?;
        Some(cpus(&Vec::<u8>::try_from(value).ok()?))
    }

    fn io_max(&self, device: DeviceId) -> Option<Option<Knob>> {
        let [rbps, wbps, riops, wiops] =
            ["IOReadBandwidthMax", "IOWriteBandwidthMax", "IOReadIOPSMax", "IOWriteIOPSMax"]
                .map(|name| self.rate(name, device));
        let max =
            IoMax { rbps: rbps?.map(Bytes), wbps: wbps?.map(Bytes), riops: riops?, wiops: wiops? };
        Some((max != IoMax::UNLIMITED).then_some(Knob::IoMax(device, max.into())))
    }

    fn rate(&self, name: &str, device: DeviceId) -> Option<Limit<u64>> {
        let value = self.present.get(name)?.try_clone().ok()?;
        let rates = Vec::<(String, u64)>::try_from(value).ok()?;
        let at = rates
            .into_iter()
            .find(|(path, _)| (self.device_of)(path) == Some(device))
            .and_then(|(_, rate)| finite(rate));
        Some(at.map_or(Limit::Max, Limit::At))
    }

    fn number(&self, name: &str) -> Option<u64> {
        u64::try_from(self.present.get(name)?).ok()
    }
}

fn finite(number: u64) -> Option<u64> {
    (number != INFINITY).then_some(number)
}

/// What is believed of a unit whose properties hold the bytes of `data`, nine for each: a type and a number.
#[cfg(any(test, fuzzing))]
pub(crate) fn believed_of_bytes(kinds: &[KnobKind], data: &[u8]) -> Vec<Knob> {
    let disk = DeviceId { major: 8, minor: 0 };
    let shown = kinds.iter().flat_map(|kind| names(*kind)).zip(data.chunks(9));
    let present: BTreeMap<String, OwnedValue> = shown
        .filter_map(|(name, bytes)| {
            let (kind, rest) = bytes.split_first()?;
            let number = rest.first_chunk().map(|eight| u64::from_le_bytes(*eight))?;
            let value: Value<'_> = match kind % 4 {
                0 => number.into(),
                1 => rest.to_vec().into(),
                2 => vec![("/dev/x".to_owned(), number)].into(),
                _ => String::from_utf8_lossy(rest).into_owned().into(),
            };
            Some(((*name).to_owned(), value.try_into().ok()?))
        })
        .collect();
    believed(kinds, &present, &|_| Some(disk)).into_values().flatten().collect()
}

#[cfg(test)]
mod tests;
