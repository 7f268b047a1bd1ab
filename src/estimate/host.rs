//! How much of the whole host is in use, and how soon it is full.
//!
//! **Problem.** Pressure says who waits now; it says nothing of how near the host is to the point where everybody will.
//!
//! **Approach.** What is not available, as a share of what there is: memory by the kernel's own estimate of what could be had without
//! swapping, CPU time by what was not idle, tasks by the most that process numbers allow.
//!
//! **Terms.** *share*: use against the whole. *growth*: change of the memory in use, over about ten seconds.
//!
//! **Algorithm.** Differences of counters over the time between two looks, as for groups. Swap counts only where there is some.
//!
//! **Properties**, each a test in `estimator/tests.rs`: what cannot be read is missing and not zero; a counter that went back or a long gap
//! gives no sample.

use super::signals::{difference, grown, per_second, time_to};
use super::smooth::{Ewma, Interval, Smooth};
use crate::model::{Each, HostLoad, HostUse, Snapshot};
use crate::units::{Bytes, CpuTime, Millicpu, Ppm};
use serde::{Deserialize, Serialize};

/// A share, and whether it, or a part of it, was known and cannot be read now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) value: Option<Ppm>,
    pub(super) missing: bool,
}

impl Part {
    /// A short average.
    pub(super) fn of(average: Smooth) -> Self {
        Self { value: average.wait().map(|wait| wait.p10), missing: average.is_missing() }
    }

    /// A share of now; `ever` remembers whether it was known before.
    fn now(value: Option<Ppm>, ever: &mut bool) -> Self {
        *ever |= value.is_some();
        Self { value, missing: *ever && value.is_none() }
    }

    /// The worse of two.
    pub(super) fn worse(self, other: Self) -> Self {
        Self { value: self.value.max(other.value), missing: self.missing || other.missing }
    }
}

/// What is remembered of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Host {
    busy: Option<CpuTime>,
    memory_full: Option<u64>,
    used: Option<Bytes>,
    /// CPU time in use.
    pub(super) cpu_average: Smooth,
    /// All tasks waited for memory.
    pub(super) waits: Smooth,
    growth: Ewma,
    /// Whether the kernel tells how long tasks wait.
    pub(super) psi: bool,
    ever: Each<bool>,
    ever_swap: bool,
    /// Shares of CPU time, memory and tasks in use.
    pub(super) used_part: Each<Part>,
    /// The same of swap, where there is some.
    pub(super) swap: Part,
    /// What it all comes to.
    pub(super) now: HostUse,
}

impl Host {
    /// Takes in one look, with the time since the last one and whether nobody looked for too long. While somebody who yields is `slowed` by
    /// a memory limit, the host's waiting for memory is not counted: it cannot be told from that one's.
    pub(super) fn update(
        &mut self,
        seen: &Snapshot,
        (interval, gap): (Interval, bool),
        slowed: bool,
    ) {
        let load = &seen.load;
        self.psi = has_psi(load);
        self.update_cpu(seen, interval, gap);
        self.update_memory(seen, (interval, gap), slowed);
        self.now.pids = load.tasks;
        self.now.share.pids = load.tasks.and_then(|tasks| Ppm::of(tasks, seen.host.pid_max));
        let free = load.swap_free.and_then(|free| Ppm::of(free.0, seen.host.swap.0));
        self.swap = Part::now(free.map(Ppm::rest), &mut self.ever_swap);
        if seen.host.swap == Bytes::ZERO {
            // Somebody took the swap away: there is nothing left to wait for.
            self.swap = Part::default();
        }
        let share = &self.now.share;
        self.used_part.cpu = Part::of(self.cpu_average);
        self.used_part.memory = Part::now(share.memory, &mut self.ever.memory);
        self.used_part.pids = Part::now(share.pids, &mut self.ever.pids);
    }

    fn update_cpu(&mut self, seen: &Snapshot, interval: Interval, gap: bool) {
        let capacity = seen.host.online.capacity();
        let fresh = seen.load.busy;
        let last = std::mem::replace(&mut self.busy, fresh);
        if !gap {
            let used = grown(last.map(|busy| busy.0), fresh.map(|busy| busy.0));
            let whole = interval.span.0.saturating_mul(capacity.0) / 1000;
            self.cpu_average.push(used.and_then(|used| Ppm::of(used, whole)), interval);
        }
        let share = self.cpu_average.wait().map(|wait| wait.p10);
        self.now.share.cpu = share;
        self.now.cpu = share.map(|share| Millicpu(share.times(capacity.0)));
    }

    fn update_memory(&mut self, seen: &Snapshot, (interval, gap): (Interval, bool), slowed: bool) {
        let load = &seen.load;
        let fresh = load.memory_psi.map(|psi| psi.full.total_usec);
        let last = std::mem::replace(&mut self.memory_full, fresh);
        let used = load.memory_available.map(|available| seen.host.memory.minus(available));
        let before = std::mem::replace(&mut self.used, used);
        if !gap {
            let waited = grown(last, fresh).map(|usec| interval.share(usec));
            let waited = if slowed { waited.map(|_| Ppm::ZERO) } else { waited };
            self.waits.push(waited, interval);
            let grown = before.zip(used).map(|(old, new)| difference(old.0, new.0));
            self.now.growth = grown.map(|grown| {
                self.growth.push(per_second(grown, interval.span), interval.short);
                self.growth.value()
            });
        }
        self.now.memory = used;
        self.now.share.memory = used.and_then(|used| Ppm::of(used.0, seen.host.memory.0));
        let room = load.memory_available.zip(self.now.growth);
        self.now.until_full = room.and_then(|(room, growth)| time_to(room, growth));
    }
}

const fn has_psi(load: &HostLoad) -> bool {
    load.cpu_psi.is_some() || load.memory_psi.is_some() || load.io_psi.is_some()
}
