//! What one group uses and waits for, from the counters of two looks.
//!
//! **Problem.** Counters only tell anything as differences, and only within one group's life. What a group waits for may be its own
//! doing: a group at its own `cpu.max` shows CPU pressure, one at its own `memory.high` shows memory pressure, on an idle host.
//!
//! **Approach.** Differences between two looks at the same group, over the time between the two readings; what the group's own
//! limits, or those above it, explain is taken out of what the host is blamed for.
//!
//! **Terms.** *fast*, *waiting*: the two tiers in which files are read; each has its own clock, as the second is read less often.
//! *external*: waiting that the group's own limits do not explain. *working set*: memory without page cache that nobody
//! asked for lately.
//!
//! **Algorithm.** External CPU pressure is `max(0, full - throttled)`, throttled time being that of the group and of all above it. Memory
//! pressure is the group's own doing while its `high` or `max` events, or the local ones of a group above it, grew within
//! [`LIMIT_COUNTS_FOR`]; disk pressure while it moves nine tenths of its `io.max`. Such samples count as no waiting. Where there is no
//! PSI, pages that were read back stand for memory pressure, at [`REFAULT_COST`] each.
//!
//! **Properties**, each a test in `tests.rs`: another group under the same path, a counter that went back and a long gap give no
//! rate instead of a wrong one; no waiting is ever more than the whole time; a missing counter changes no average.

use super::demand;
use super::smooth::{Ewma, Interval, Smooth};
use crate::model::{
    Amounts, DiskRate, GroupView, IoCount, IoRate, Knob, KnobKind, MemoryEvents, Need, Reading,
    Snapshot, Usage, Waits,
};
use crate::units::{Bytes, CgroupId, CgroupPath, CpuTime, Limit, Millicpu, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};

/// A memory limit that was reached explains waiting for so long.
const LIMIT_COUNTS_FOR: Span = Span::secs(10);
/// A fork that was refused is remembered for so long.
const REFUSAL_COUNTS_FOR: Span = Span::secs(30);
/// Closer readings are no interval: the time between the look's clock and the reading would outweigh the difference.
const SHORTEST: Span = Span::millis(100);
/// From this share of the time on, throttling has bound a group.
const THROTTLED: Ppm = Ppm::percent(5);
/// What a page that is read back costs in waiting, where the kernel does not say: a random read from a middling SSD.
const REFAULT_COST: Span = Span(200);

/// What a group is told about the look, its own counters aside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// When the look was taken.
    pub(super) at: Tick,
    /// A longer time between two looks says nothing of the present.
    pub(super) longest: Span,
    /// What all online CPUs can do.
    pub(super) capacity: Millicpu,
    /// Throttled time of all groups above, in microseconds since each was made; none where one could not be read.
    pub(super) throttled_above: Option<u64>,
    /// When a memory limit above was reached last.
    pub(super) limited_above: Option<Tick>,
}

impl Around {
    /// A look at a group with nothing above it.
    pub(super) fn nothing(seen: &Snapshot, longest: Span) -> Self {
        let capacity = seen.host.online.capacity();
        Self { at: seen.at, longest, capacity, throttled_above: Some(0), limited_above: None }
    }
}

/// The counters of the fast tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Fast {
    at: Tick,
    cpu: Option<CpuTime>,
    memory: Option<Bytes>,
}

/// The counters of the waiting tier, and those of the fast tier that explain them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    at: Tick,
    /// Of the group and of all above it.
    throttled: Option<u64>,
    periods: Option<(u64, u64)>,
    disks: bool,
    cpu_full: Option<u64>,
    memory_some: Option<u64>,
    io_some: Option<u64>,
    io_full: Option<u64>,
    events: Option<MemoryEvents>,
    local: Option<MemoryEvents>,
    refaults: Option<u64>,
    forks_refused: Option<u64>,
}

/// Averages of what the group waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Averages {
    /// All tasks waited for a CPU, throttling included.
    pub(super) cpu: Smooth,
    /// Without throttling.
    pub(super) external_cpu: Smooth,
    /// Some task waited for memory.
    pub(super) memory: Smooth,
    /// Unless the group's own limits explain it.
    pub(super) external_memory: Smooth,
    /// Some task waited for a disk, without what memory explains.
    pub(super) io: Smooth,
    /// All tasks waited for a disk, unless the group's own limits explain it.
    pub(super) external_io: Smooth,
    /// Pages were read back, at their cost; only where the kernel does not say how long tasks waited.
    pub(super) refaults: Smooth,
    /// Somebody was killed by the host's lack of memory.
    pub(super) killed: Smooth,
    /// It was throttled.
    pub(super) throttled: Smooth,
    /// Whether the kernel says how long its tasks wait for memory.
    pub(super) memory_psi: bool,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signals {
    id: CgroupId,
    /// The groups above it, so that looking them up asks for no memory.
    pub(super) above: Vec<CgroupPath>,
    fast: Option<Fast>,
    waiting: Option<Waiting>,
    io: Vec<IoCount>,
    /// What goes over each disk.
    pub(super) disks: Vec<DiskRate>,
    growth: Ewma,
    /// Averages of what it waits for.
    pub(super) averages: Averages,
    stress_cpu: Option<Ppm>,
    stress_io: Option<Ppm>,
    limited_at: Option<Tick>,
    limited_here_at: Option<Tick>,
    refused_at: Option<Tick>,
    killed_at: Option<Tick>,
    /// What it all comes to.
    pub(super) need: Need,
}

impl Signals {
    /// A group that was not seen before.
    pub(super) fn new(path: &CgroupPath, id: CgroupId) -> Self {
        Self {
            id,
            above: path.ancestors().collect(),
            fast: None,
            waiting: None,
            io: Vec::new(),
            disks: Vec::new(),
            growth: Ewma::default(),
            averages: Averages::default(),
            stress_cpu: None,
            stress_io: None,
            limited_at: None,
            limited_here_at: None,
            refused_at: None,
            killed_at: None,
            need: Need::default(),
        }
    }

    /// Forgets everything but the place: another group is there, or its counters began anew.
    fn restart(&mut self, id: CgroupId) {
        let above = std::mem::take(&mut self.above);
        *self = Self { above, ..Self::new(&CgroupPath::root(), id) };
    }

    /// When one of the group's own memory limits was reached last, those below it left out.
    pub(super) const fn limited_here_at(&self) -> Option<Tick> {
        self.limited_here_at
    }

    /// Takes in one look at the group.
    pub(super) fn update(&mut self, view: &GroupView, around: Around) {
        if view.id != self.id || self.went_back(&view.usage, around) {
            self.restart(view.id);
        }
        self.update_fast(&view.usage, around);
        if let Some(at) = view.usage.sensed_at
            && self.waiting.is_none_or(|last| at != last.at)
        {
            self.update_waiting(view, at, around);
        }
        self.conclude(view, around);
    }

    /// Whether any counter is less than it was.
    fn went_back(&self, usage: &Usage, around: Around) -> bool {
        let less =
            |old: Option<u64>, new: Option<u64>| old.zip(new).is_some_and(|(old, new)| new < old);
        let fast = self
            .fast
            .is_some_and(|fast| less(fast.cpu.map(|cpu| cpu.0), usage.cpu.map(|cpu| cpu.0)));
        let Some(last) = self.waiting else { return fast };
        let new = Waiting::of(usage, last.at, around);
        let high = |events: Option<MemoryEvents>| events.map(|events| events.high);
        fast || less(last.cpu_full, new.cpu_full)
            || less(last.memory_some, new.memory_some)
            || less(last.io_full, new.io_full)
            || less(last.refaults, new.refaults)
            || less(high(last.events), high(new.events))
    }

    fn update_fast(&mut self, usage: &Usage, around: Around) {
        let fresh = Fast { at: around.at, cpu: usage.cpu, memory: usage.memory };
        let Some(last) = self.fast.replace(fresh) else { return };
        let span = fresh.at.since(last.at);
        if span < SHORTEST {
            self.fast = Some(last);
            return;
        }
        if span > around.longest {
            return;
        }
        let interval = Interval::of(span);
        let used = last.cpu.zip(fresh.cpu).and_then(|(old, new)| new.0.checked_sub(old.0));
        // The counter is read some time after the look began: on a starved host that is long enough for more than there can be.
        let rate = used.map(|used| Millicpu(interval.per_second(used) / 1000));
        self.need.usage.cpu = rate.map(|rate| rate.min(around.capacity));
        let grown = last.memory.zip(fresh.memory).map(|(old, new)| difference(old.0, new.0));
        self.need.growth = grown.map(|grown| {
            self.growth.push(per_second(grown, span), interval.short);
            self.growth.value()
        });
    }

    fn update_waiting(&mut self, view: &GroupView, at: Tick, around: Around) {
        let fresh = Waiting::of(&view.usage, at, around);
        let Some(last) = self.waiting.replace(fresh) else {
            self.remember_disks(view);
            return;
        };
        let span = at.since(last.at);
        if span < SHORTEST {
            self.waiting = Some(last);
            return;
        }
        // The waiting tier of a group among many is read every few looks only.
        if span > Span(around.longest.0.saturating_mul(5)) {
            self.remember_disks(view);
            return;
        }
        let interval = Interval::of(span);
        self.events(&last, &fresh);
        self.rates(view, last.disks, interval);
        self.remember_disks(view);
        self.cpu(&last, &fresh, interval);
        self.memory(&last, &fresh, interval, around);
        self.disk_waits(view, &last, &fresh, interval);
    }

    /// Which limits were reached, and who was killed or refused.
    fn events(&mut self, last: &Waiting, fresh: &Waiting) {
        let grew =
            |old: Option<u64>, new: Option<u64>| old.zip(new).is_some_and(|(old, new)| new > old);
        let limits = |events: Option<MemoryEvents>| {
            events.map(|events| events.high.saturating_add(events.max))
        };
        if grew(limits(last.local), limits(fresh.local)) {
            self.limited_here_at = Some(fresh.at);
        }
        if grew(limits(last.events), limits(fresh.events)) {
            self.limited_at = Some(fresh.at);
        }
        if grew(last.forks_refused, fresh.forks_refused) {
            self.refused_at = Some(fresh.at);
        }
        let killed = |events: Option<MemoryEvents>| events.map(|events| events.oom_kill);
        if grew(killed(last.events), killed(fresh.events)) {
            self.killed_at = Some(fresh.at);
        }
    }

    /// What goes over each disk.
    fn rates(&mut self, view: &GroupView, known: bool, interval: Interval) {
        self.disks.clear();
        let Some(fresh) = view.usage.io.as_ref().filter(|_| known) else {
            self.need.usage.io = None;
            return;
        };
        let mut sum = IoRate::default();
        for new in fresh {
            // A disk that a group uses for the first time appears with all it moved since the look before.
            let zero = IoCount { device: new.device, rbytes: 0, wbytes: 0, rios: 0, wios: 0 };
            let old = self.io.iter().find(|old| old.device == new.device).unwrap_or(&zero);
            let per = |old: u64, new: u64| interval.per_second(new.saturating_sub(old));
            let rate = IoRate {
                read: Bytes(per(old.rbytes, new.rbytes)),
                write: Bytes(per(old.wbytes, new.wbytes)),
                read_iops: per(old.rios, new.rios),
                write_iops: per(old.wios, new.wios),
            };
            sum = sum.plus(rate);
            self.disks.push(DiskRate { device: new.device, rate });
        }
        self.need.usage.io = Some(sum);
    }

    fn remember_disks(&mut self, view: &GroupView) {
        self.io.clear();
        self.io.extend(view.usage.io.iter().flatten().copied());
        self.disks.reserve(self.io.len().saturating_sub(self.disks.len()));
    }

    fn cpu(&mut self, last: &Waiting, fresh: &Waiting, interval: Interval) {
        let full = grown(last.cpu_full, fresh.cpu_full);
        let throttled = grown(last.throttled, fresh.throttled);
        let periods = last
            .periods
            .zip(fresh.periods)
            .and_then(|(old, new)| Ppm::of(new.1.checked_sub(old.1)?, new.0.checked_sub(old.0)?));
        let external = full
            .zip(throttled)
            .map(|(full, throttled)| interval.share(full.saturating_sub(throttled)));
        let stopped = throttled.map(|usec| interval.share(usec));
        let averages = &mut self.averages;
        averages.cpu.push(full.map(|full| interval.share(full)), interval);
        averages.external_cpu.push(external, interval);
        averages.throttled.push(stopped.max(periods), interval);
        // Without PSI the share of periods in which it was stopped is the best word on how much more it would run.
        self.stress_cpu = full.map(|full| interval.share(full)).or(periods);
    }

    fn memory(&mut self, last: &Waiting, fresh: &Waiting, interval: Interval, around: Around) {
        let lately = |at: Option<Tick>| at.is_some_and(|at| fresh.at.since(at) < LIMIT_COUNTS_FOR);
        let own_doing =
            lately(self.limited_at) || lately(self.limited_here_at) || lately(around.limited_above);
        self.need.bound.memory = own_doing;
        let waited = grown(last.memory_some, fresh.memory_some).map(|usec| interval.share(usec));
        let external = |share: Ppm| if own_doing { Ppm::ZERO } else { share };
        let refaults = grown(last.refaults, fresh.refaults);
        let cost = refaults.map(|pages| interval.share(pages.saturating_mul(REFAULT_COST.0)));
        let killed = fresh.events.map(|_| {
            let by_host = lately(self.killed_at) && !own_doing;
            if by_host { Ppm::WHOLE } else { Ppm::ZERO }
        });
        let averages = &mut self.averages;
        let guess = cost.filter(|_| !averages.memory_psi);
        averages.memory.push(waited.or(guess), interval);
        averages.external_memory.push(waited.map(external), interval);
        // What was known once and is missing holds levels; it is not replaced by a guess.
        averages.memory_psi |= fresh.memory_some.is_some();
        if averages.memory_psi {
            averages.refaults = Smooth::default();
        } else {
            averages.refaults.push(cost.map(external), interval);
        }
        averages.killed.push(killed, interval);
    }

    fn disk_waits(
        &mut self,
        view: &GroupView,
        last: &Waiting,
        fresh: &Waiting,
        interval: Interval,
    ) {
        let own_doing = self.disks.iter().any(|disk| reaches(view, disk));
        self.need.bound.io = own_doing;
        let full = grown(last.io_full, fresh.io_full).map(|usec| interval.share(usec));
        self.stress_io = full;
        let external = |share: Ppm| if own_doing { Ppm::ZERO } else { share };
        self.averages.external_io.push(full.map(external), interval);
        let some = grown(last.io_some, fresh.io_some);
        let refaulting = grown(last.refaults, fresh.refaults).is_some_and(|pages| pages > 0);
        let by_memory = grown(last.memory_some, fresh.memory_some).filter(|_| refaulting);
        let alone = some.map(|usec| interval.share(usec.saturating_sub(by_memory.unwrap_or(0))));
        self.averages.io.push(alone, interval);
    }

    /// How much of the last interval all tasks waited for a disk, unless the group's own limits explain it.
    pub(super) fn disk_wait(&self) -> Option<Ppm> {
        self.stress_io.map(|wait| if self.need.bound.io { Ppm::ZERO } else { wait })
    }

    /// Usage, demand and the rest from what is known now.
    fn conclude(&mut self, view: &GroupView, around: Around) {
        let usage = &view.usage;
        let need = &mut self.need;
        let cache = usage.memory_stat.map_or(Bytes::ZERO, |stat| stat.inactive_file);
        need.usage.memory = usage.memory.map(|memory| memory.minus(cache));
        need.usage.pids = usage.pids;
        let averages = &self.averages;
        need.waits = Waits {
            cpu: averages.external_cpu.wait(),
            memory: averages.external_memory.wait(),
            io: averages.external_io.wait(),
        };
        need.throttled =
            usage.periods.filter(|periods| *periods > 0).map(|_| averages.throttled.p10());
        need.bound.cpu = averages.throttled.p10() >= THROTTLED;
        need.bound.pids =
            self.refused_at.is_some_and(|at| around.at.since(at) < REFUSAL_COUNTS_FOR);
        let stress = |stress: Option<Ppm>| stress.unwrap_or_default();
        need.demand = Amounts {
            cpu: need.usage.cpu.map(|used| demand::cpu(used, stress(self.stress_cpu))),
            memory: need.usage.memory.map(|used| demand::memory(used, averages.memory.p10())),
            io: need.usage.io.map(|done| demand::io(done, stress(self.stress_io))),
            pids: need.usage.pids,
        };
        let limit = if let Reading::Is(Knob::MemoryMax(Limit::At(limit))) =
            view.knob(KnobKind::MemoryMax)
        {
            Some(*limit)
        } else {
            None
        };
        let room = limit.zip(usage.memory).map(|(limit, memory)| limit.minus(memory));
        need.until_limit = room.zip(need.growth).and_then(|(room, growth)| time_to(room, growth));
    }
}

impl Waiting {
    fn of(usage: &Usage, at: Tick, around: Around) -> Self {
        // A group without the controller has no such line and is never throttled; one that cannot be read may be.
        let own = usage.cpu.map(|_| usage.throttled.unwrap_or_default().0);
        let throttled =
            own.zip(around.throttled_above).map(|(own, above)| own.saturating_add(above));
        Self {
            at,
            throttled,
            periods: usage.periods.zip(usage.throttled_periods),
            disks: usage.io.is_some(),
            cpu_full: usage.cpu_psi.map(|psi| psi.full.total_usec),
            memory_some: usage.memory_psi.map(|psi| psi.some.total_usec),
            io_some: usage.io_psi.map(|psi| psi.some.total_usec),
            io_full: usage.io_psi.map(|psi| psi.full.total_usec),
            events: usage.memory_events,
            local: usage.memory_events_local,
            refaults: usage.memory_stat.and_then(|stat| stat.refaults),
            forks_refused: usage.forks_refused,
        }
    }
}

/// By how much a counter grew; none where either reading is missing or it went back.
pub(super) fn grown(old: Option<u64>, new: Option<u64>) -> Option<u64> {
    old.zip(new).and_then(|(old, new)| new.checked_sub(old))
}

/// `new - old`.
pub(super) fn difference(old: u64, new: u64) -> i64 {
    let size = i64::try_from(new.abs_diff(old)).unwrap_or(i64::MAX);
    if new < old { -size } else { size }
}

/// `amount` per second.
pub(super) fn per_second(amount: i64, span: Span) -> i64 {
    let rate = (i128::from(amount) * 1_000_000).checked_div(i128::from(span.0));
    rate.and_then(|rate| i64::try_from(rate).ok()).unwrap_or(0)
}

/// How long until `room` is gone at `growth` bytes per second; none where it does not grow.
pub(super) fn time_to(room: Bytes, growth: i64) -> Option<Span> {
    let growth = u64::try_from(growth).ok().filter(|growth| *growth > 0)?;
    let usec = u128::from(room.0) * 1_000_000 / u128::from(growth);
    Some(Span(u64::try_from(usec).unwrap_or(u64::MAX)))
}

/// Whether the group moves nine tenths or more of what its own `io.max` for the disk allows.
fn reaches(view: &GroupView, disk: &DiskRate) -> bool {
    let Some(Reading::Is(Knob::IoMax(_, max))) = view.knobs.get(&KnobKind::IoMax(disk.device))
    else {
        return false;
    };
    let near = |rate: u64, limit: Limit<u64>| match limit {
        Limit::At(limit) => u128::from(rate) * 10 >= u128::from(limit) * 9,
        Limit::Max => false,
    };
    let rate = &disk.rate;
    near(rate.read.0, max.rbps.map(|limit| limit.0))
        || near(rate.write.0, max.wbps.map(|limit| limit.0))
        || near(rate.read_iops, max.riops)
        || near(rate.write_iops, max.wiops)
}

#[cfg(test)]
mod tests;
