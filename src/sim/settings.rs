//! A group's knobs in the form in which the model uses them every tick, and what the kernel refuses of a write.
//!
//! Nothing here moves time.

use crate::model::{IoMax, Knob, KnobKind};
use crate::units::{Bytes, DeviceId, Limit};
use std::collections::BTreeMap;

/// Invalid argument.
pub(super) const EINVAL: i32 = 22;

/// A group's knobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Knobs {
    values: BTreeMap<KnobKind, Knob>,
    /// The same, for the ticks.
    pub(super) set: Settings,
}

/// What the ticks look at; `u64::MAX` is the kernel's `max`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) cpu_weight: u64,
    /// CPU time per period, in microseconds.
    pub(super) quota: u64,
    /// In microseconds.
    pub(super) period: u64,
    pub(super) burst: u64,
    /// How many CPUs it may use; 0 is all.
    pub(super) cpus: u64,
    pub(super) min: u64,
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) max: u64,
    pub(super) swap_max: u64,
    pub(super) oom_group: bool,
    pub(super) io_weight: u64,
    /// What BFQ looks at.
    pub(super) bfq_weight: u64,
    pub(super) io_max: Vec<(DeviceId, IoMax)>,
    pub(super) pids_max: u64,
    pub(super) frozen: bool,
}

impl Knobs {
    /// A new group's, with a line in `io.max` for each disk.
    pub(super) fn new(disks: &[DeviceId]) -> Self {
        let kinds =
            KnobKind::SINGLE.into_iter().chain(disks.iter().map(|disk| KnobKind::IoMax(*disk)));
        let values: BTreeMap<KnobKind, Knob> =
            kinds.map(|kind| (kind, kind.kernel_default())).collect();
        let set = Settings::of(&values);
        Self { values, set }
    }

    /// All values.
    pub(super) const fn values(&self) -> &BTreeMap<KnobKind, Knob> {
        &self.values
    }

    /// Writes one value as the kernel would.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(super) fn write(&mut self, knob: &Knob, page: Bytes) -> Result<Knob, i32> {
        self.accepts(knob)?;
        let kept = knob.as_kernel_keeps(page);
        self.values.insert(kept.kind(), kept.clone());
        self.set = Settings::of(&self.values);
        Ok(kept)
    }

    /// `kernel/sched/core.c`: a quota and a period of 1 ms at least, a period of 1 s at most, a burst within the quota.
    fn accepts(&self, knob: &Knob) -> Result<(), i32> {
        let refuse = |refused: bool| if refused { Err(EINVAL) } else { Ok(()) };
        match knob {
            Knob::CpuMax(max) => {
                let period_fits = (1000..=1_000_000).contains(&max.period.0);
                let quota = max.quota.value().map(|quota| quota.0);
                let quota_fits = quota.is_none_or(|quota| quota >= 1000 && self.set.burst <= quota);
                refuse(!period_fits || !quota_fits)
            }
            Knob::CpuMaxBurst(burst) => refuse(burst.0 > 0 && burst.0 > self.set.quota),
            Knob::IoMax(_, max) => {
                let least = [max.rbps.map(|rate| rate.0), max.wbps.map(|rate| rate.0)];
                let counts = [max.riops, max.wiops];
                let too_low = |limit: &Limit<u64>| matches!(limit, Limit::At(rate) if *rate < 2);
                refuse(least.iter().chain(&counts).any(too_low))
            }
            Knob::CpuWeight(_)
            | Knob::CpusetPartition(..)
            | Knob::CpusetExclusive(_)
            | Knob::CpusetCpus(_)
            | Knob::MemoryMin(_)
            | Knob::MemoryLow(_)
            | Knob::MemoryHigh(_)
            | Knob::MemoryMax(_)
            | Knob::MemorySwapMax(_)
            | Knob::MemoryOomGroup(_)
            | Knob::IoWeight(_)
            | Knob::PidsMax(_)
            | Knob::CgroupFreeze(_) => Ok(()),
            // `block/bfq-cgroup.c`: 1 to 1000.
            Knob::IoBfqWeight(weight) => refuse(weight.get() > 1000),
        }
    }
}

impl Settings {
    fn of(values: &BTreeMap<KnobKind, Knob>) -> Self {
        let mut set = Self {
            cpu_weight: 100,
            quota: u64::MAX,
            period: 100_000,
            burst: 0,
            cpus: 0,
            min: 0,
            low: 0,
            high: u64::MAX,
            max: u64::MAX,
            swap_max: u64::MAX,
            oom_group: false,
            io_weight: 100,
            bfq_weight: 100,
            io_max: Vec::new(),
            pids_max: u64::MAX,
            frozen: false,
        };
        let bytes = |limit: &Limit<Bytes>| limit.value().map_or(u64::MAX, |bytes| bytes.0);
        for knob in values.values() {
            match knob {
                // `kernel/sched/sched.h`: an idle group counts 3 where the default weight counts 1024.
                Knob::CpuWeight(weight) => set.cpu_weight = u64::from(weight.get()).max(1),
                Knob::CpuMax(max) => {
                    set.quota = max.quota.value().map_or(u64::MAX, |quota| quota.0);
                    set.period = max.period.0;
                }
                Knob::CpuMaxBurst(burst) => set.burst = burst.0,
                // No scenario has anybody but its components, whose lists say the same.
                Knob::CpusetPartition(..) | Knob::CpusetExclusive(_) => {}
                Knob::CpusetCpus(cpus) => set.cpus = u64::try_from(cpus.len()).unwrap_or(0),
                Knob::MemoryMin(limit) => set.min = bytes(limit),
                Knob::MemoryLow(limit) => set.low = bytes(limit),
                Knob::MemoryHigh(limit) => set.high = bytes(limit),
                Knob::MemoryMax(limit) => set.max = bytes(limit),
                Knob::MemorySwapMax(limit) => set.swap_max = bytes(limit),
                Knob::MemoryOomGroup(on) => set.oom_group = *on,
                Knob::IoWeight(weight) => set.io_weight = u64::from(weight.get()),
                Knob::IoBfqWeight(weight) => set.bfq_weight = u64::from(weight.get()),
                Knob::IoMax(device, max) if **max != IoMax::UNLIMITED => {
                    set.io_max.push((*device, **max));
                }
                Knob::IoMax(..) => {}
                Knob::PidsMax(limit) => set.pids_max = limit.value().unwrap_or(u64::MAX),
                Knob::CgroupFreeze(on) => set.frozen = *on,
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{CpuMax, CpuTime};

    #[test]
    fn a_burst_stays_within_the_quota() {
        let mut knobs = Knobs::new(&[]);
        let quota = |millis| {
            let quota = Limit::At(CpuTime::millis(millis));
            Knob::CpuMax(CpuMax { quota, period: CpuMax::DEFAULT_PERIOD })
        };
        let page = Bytes(4096);
        assert!(knobs.write(&quota(50), page).is_ok());
        assert_eq!(knobs.write(&Knob::CpuMaxBurst(CpuTime::millis(60)), page), Err(EINVAL));
        assert!(knobs.write(&Knob::CpuMaxBurst(CpuTime::millis(50)), page).is_ok());
        assert_eq!(knobs.write(&quota(40), page), Err(EINVAL), "the burst comes first");
        assert_eq!(knobs.set.quota, 50_000);
    }

    #[test]
    fn memory_is_kept_in_pages() {
        let mut knobs = Knobs::new(&[]);
        let kept = knobs.write(&Knob::MemoryMax(Limit::At(Bytes(10_000))), Bytes(4096));
        assert_eq!(kept, Ok(Knob::MemoryMax(Limit::At(Bytes(8192)))));
        assert_eq!(knobs.set.max, 8192);
    }
}
