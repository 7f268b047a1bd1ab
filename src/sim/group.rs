//! The nouns of the model: a group of the tree, the load that lives in a leaf, and how long its tasks waited.

use super::program::Program;
use super::settings::Knobs;
use super::share::Want;
use crate::model::{Knob, KnobKind, Priority, Psi};
use crate::units::{CgroupId, CgroupPath, ComponentName};
use std::collections::BTreeMap;

/// One step of the model, in microseconds.
pub(super) const TICK: u64 = 100_000;

/// What a component does over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) cpu: Program,
    pub(super) memory: Program,
    pub(super) cache: Program,
    pub(super) read: Program,
    pub(super) write: Program,
    pub(super) pids: Option<Program>,
    pub(super) threads: Option<u64>,
    /// Thousandths of a core.
    pub(super) cpu_per_task: u64,
    pub(super) memory_per_task: u64,
    /// Percent of the memory.
    pub(super) cold: u64,
    /// Bytes.
    pub(super) request: u64,
    /// Which of the host's disks.
    pub(super) disk: usize,
    pub(super) restart_every: Option<u64>,
}

impl Load {
    /// The same, standing still at the values of one moment.
    pub(super) fn frozen(&self, at: u64) -> Self {
        Self {
            cpu: self.cpu.frozen(at),
            memory: self.memory.frozen(at),
            cache: self.cache.frozen(at),
            read: self.read.frozen(at),
            write: self.write.frozen(at),
            pids: self.pids.as_ref().map(|pids| pids.frozen(at)),
            restart_every: None,
            ..self.clone()
        }
    }
}

/// What a leaf would use in this tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Demand {
    /// Microseconds of CPU.
    pub(super) cpu: u64,
    pub(super) memory: u64,
    pub(super) cache: u64,
    pub(super) read: u64,
    pub(super) write: u64,
    pub(super) pids: u64,
    pub(super) threads: u64,
}

/// What happened to a leaf in this tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lived {
    /// Microseconds of CPU that it got.
    pub(super) cpu: u64,
    /// Microseconds of the tick in which all its tasks waited for a CPU that others had.
    pub(super) outside_cpu: u64,
    /// Microseconds in which it waited for memory.
    pub(super) memory_stall: u64,
    /// Microseconds in which it waited for a disk.
    pub(super) io_stall: u64,
    /// Bytes of its own that it moved, of those that it wanted.
    pub(super) io_done: u64,
    pub(super) io_wanted: u64,
    /// A part of a thousand of its forks' target that it has.
    pub(super) tasks: u64,
    pub(super) killed: bool,
}

/// A leaf: where tasks run.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// None for what runs beside the components.
    pub(super) component: Option<(ComponentName, Priority)>,
    pub(super) load: Load,
    /// When its program started, in microseconds of the model's clock.
    pub(super) started: u64,
    /// When it lives again after a kill.
    pub(super) dead_until: Option<u64>,
    pub(super) seed: u64,
    pub(super) demand: Demand,
    pub(super) lived: Lived,
    pub(super) anon: u64,
    pub(super) file: u64,
    pub(super) swap: u64,
    /// Bytes that it wants to read back in this tick because they were evicted: of files, of swap.
    pub(super) refault_file: u64,
    pub(super) refault_swap: u64,
    /// How long its allocations still sleep.
    pub(super) delay: u64,
}

impl Leaf {
    /// Charged memory.
    pub(super) const fn resident(&self) -> u64 {
        self.anon + self.file
    }
}

/// One group of the tree.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) path: CgroupPath,
    pub(super) id: CgroupId,
    pub(super) knobs: Knobs,
    /// What systemd was asked to set, and sets again when the unit is restarted.
    pub(super) unit_properties: BTreeMap<KnobKind, Knob>,
    pub(super) leaf: Option<Leaf>,
    pub(super) cpu: Want,
    pub(super) io: Want,
    /// What is left of the quota in this period, in microseconds.
    pub(super) quota_left: u64,
    pub(super) usage_usec: u64,
    pub(super) throttled_usec: u64,
    /// Charged memory of the group and all below.
    pub(super) memory: u64,
    pub(super) swap: u64,
    pub(super) pids: u64,
    pub(super) oom_kills: u64,
    pub(super) waits: Waits,
    pub(super) counters: Counters,
}

/// What the kernel counts of a group beside time: `cpu.stat`, `pids.events`, `memory.events`, `memory.stat`, `io.stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Periods of `cpu.max` in which it wanted to run.
    pub periods: u64,
    /// Those of them in which it was stopped.
    pub throttled_periods: u64,
    /// Forks refused because of its own `pids.max`, once a tick.
    pub forks_refused: u64,
    /// `high` in `memory.events.local`, once a tick and charge.
    pub memory_high: u64,
    /// `max` in `memory.events.local`, likewise.
    pub memory_max: u64,
    /// Pages that were read back after they were evicted; of leaves.
    pub refaults: u64,
    /// Bytes read; of leaves and of the root.
    pub read_bytes: u64,
    /// Bytes written; likewise.
    pub written_bytes: u64,
    /// Requests to read; likewise.
    pub reads: u64,
    /// Requests to write; likewise.
    pub writes: u64,
}

/// The group's pressure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waits {
    pub(super) cpu: Pressure,
    pub(super) memory: Pressure,
    pub(super) io: Pressure,
}

/// One pressure file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pressure {
    pub(super) psi: Psi,
    /// Totals when the averages were last brought up to date.
    at_average: (u64, u64),
}

/// `kernel/sched/psi.c`: the averages move every two seconds, in fixed point of 11 bits; 1677 is e^(-2/10).
const FIXED_1: u64 = 2048;
const EXP_10S: u64 = 1677;
const AVERAGED: u64 = 2_000_000;

impl Pressure {
    /// Adds stall time of this tick; `full` is never more than `some`.
    pub(super) fn add(&mut self, some: u64, full: u64) {
        let some = some.min(TICK);
        self.psi.some.total_usec += some;
        self.psi.full.total_usec += full.min(some);
    }

    /// Brings the averages up to date.
    pub(super) fn average(&mut self) {
        let step = |line: &mut crate::model::PsiLine, before: u64| {
            let stalled = (line.total_usec - before).min(AVERAGED) * 10_000 / AVERAGED;
            let old = u64::from(line.avg10_centi);
            let mixed = old * EXP_10S + stalled * (FIXED_1 - EXP_10S);
            // Rounded up while it rises, as the kernel does, so that it reaches its goal.
            let up = if stalled >= old { FIXED_1 - 1 } else { 0 };
            line.avg10_centi = u32::try_from((mixed + up) / FIXED_1).unwrap_or(10_000);
        };
        step(&mut self.psi.some, self.at_average.0);
        step(&mut self.psi.full, self.at_average.1);
        self.at_average = (self.psi.some.total_usec, self.psi.full.total_usec);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_rise_to_a_full_stall_and_fall_to_nothing() {
        let mut pressure = Pressure::default();
        for _ in 0..80 {
            (0..20).for_each(|_| pressure.add(TICK, TICK / 2));
            pressure.average();
        }
        assert_eq!(pressure.psi.some.avg10_centi, 10_000);
        assert_eq!(pressure.psi.full.avg10_centi, 5000);
        (0..60).for_each(|_| pressure.average());
        assert_eq!(pressure.psi.some.avg10_centi, 0);
    }
}
