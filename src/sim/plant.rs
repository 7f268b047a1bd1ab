//! The model host: groups with knobs, loads that live in them, and a clock that moves in steps of a tenth of a second.
//!
//! **Problem.** A control law has to be judged on hosts that nobody has, in hours that nobody waits for, twice the same.
//!
//! **Approach.** A deterministic model of what the kernel does with each knob, in integers; one file per resource. It shows itself as
//! the [`Snapshot`] that a look at a host gives, and takes the plans that the daemon would carry out.
//!
//! **Terms.** *tick*: one step. *leaf*: a group in which tasks run. *load*: what these want over time.
//!
//! **Algorithm.** In each tick: writes of the tick before take effect; restarts; what each load wants now; tasks; memory; disks; CPU less
//! the time that was waited for memory and disks; pressure.
//!
//! **Properties.** The same scenario and seed give the same bytes. Counters only grow within one group's life. What the model leaves out
//! of each resource is said in its file; it is a model to compare strategies on, not to predict milliseconds.

use super::group::{Counters, Demand, Group, Leaf, Lived, Load, TICK, Waits};
use super::io::{self, Disk};
use super::memory::{self, Host};
use super::reclaim::{Pool, reclaim};
use super::settings::Knobs;
use super::share::{Tree, Want, scaled};
use super::{cpu, pids};
use crate::model::{HostView, Knob, Means, Outcome, OutcomeOf, Priority, Relief, Verdict};
use crate::units::{CgroupId, CgroupPath, ComponentName, DeviceId, Span, Tick};
use std::collections::{BTreeMap, BTreeSet};

/// The model's clock starts here, so that nothing happens at a boot time of zero.
const START: u64 = 60_000_000;
/// What the kernel keeps of the memory for itself, as a part of 32.
const KERNEL_PART: u64 = 32;
/// Less could be reclaimed than was asked for.
const EAGAIN: i32 = 11;
/// Tasks beside all loads: kernel threads and systemd.
const SYSTEM_TASKS: u64 = 200;

/// Where a load lives and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resident {
    pub(super) path: CgroupPath,
    pub(super) component: Option<(ComponentName, Priority)>,
    pub(super) load: Load,
}

/// The model host.
#[derive(Debug, Clone)]
pub struct Plant {
    pub(super) host: HostView,
    disks: Vec<Disk>,
    pub(super) tree: Tree,
    pub(super) groups: Vec<Group>,
    pub(super) memory: Host,
    /// Time awake since the start, in microseconds, and the time asleep besides.
    pub(super) awake: u64,
    pub(super) asleep: u64,
    ticks: usize,
    next_id: u64,
    /// Rises whenever anything but usage changes.
    pub(super) generation: u64,
    /// What the CPUs and disks did in the last tick, of what they could.
    pub(super) busy: Busy,
}

/// Work of one tick in microseconds: done, and possible with the demand that there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Busy {
    pub(super) cpu: u64,
    pub(super) cpu_possible: u64,
    pub(super) disk: u64,
}

impl Plant {
    /// A host on which nothing has run yet.
    pub(super) fn new(
        host: HostView,
        disks: Vec<Disk>,
        residents: Vec<Resident>,
        seed: u64,
    ) -> Self {
        let mut paths: BTreeSet<CgroupPath> = BTreeSet::from([CgroupPath::root()]);
        let mut loads: BTreeMap<CgroupPath, Resident> = BTreeMap::new();
        for resident in residents {
            paths.insert(resident.path.clone());
            paths.extend(resident.path.ancestors());
            loads.insert(resident.path.clone(), resident);
        }
        let numbers: BTreeMap<&CgroupPath, usize> = paths.iter().zip(0..).collect();
        let parent = |path: &CgroupPath| {
            path.parent().and_then(|parent| numbers.get(&parent).copied()).unwrap_or(0)
        };
        let tree = Tree::new(paths.iter().map(parent).collect());
        let devices: Vec<DeviceId> = disks.iter().map(|disk| disk.device).collect();
        let mut next_id = 1000;
        let groups = paths
            .iter()
            .map(|path| {
                next_id += 1;
                let resident = loads.remove(path);
                group(
                    path.clone(),
                    CgroupId(next_id),
                    &devices,
                    resident.map(|one| (one, seed ^ next_id)),
                )
            })
            .collect();
        let memory = Host {
            memory: host.memory.0 - host.memory.0 / KERNEL_PART,
            swap_left: host.swap.0,
            swap_out: 0,
        };
        let mut plant = Self {
            host,
            disks,
            tree,
            groups,
            memory,
            awake: 0,
            asleep: 0,
            ticks: 0,
            next_id,
            generation: 1,
            busy: Busy::default(),
        };
        plant.warm_up();
        plant
    }

    /// The host has run for long: what the loads want at the start is there already, as far as there is room.
    fn warm_up(&mut self) {
        self.demands();
        for number in 0..self.groups.len() {
            memory::fill(&self.tree, &mut self.groups, &self.memory, number);
        }
    }

    /// Now, on the boot clock of the model.
    #[must_use]
    pub const fn now(&self) -> Tick {
        Tick(START + self.awake + self.asleep)
    }

    /// The host sleeps: the clock goes on and nothing else.
    pub(super) const fn sleep(&mut self, usec: u64) {
        self.asleep += usec;
    }

    /// Runs one tick.
    pub(super) fn tick(&mut self) {
        self.awake += TICK;
        self.restarts();
        self.demands();
        let turn = self.ticks;
        self.ticks += 1;
        let pid_max = self.host.pid_max.saturating_sub(SYSTEM_TASKS);
        pids::tick(&self.tree, &mut self.groups, pid_max, turn);
        // A tenth of a second of the first disk, or of none.
        self.memory.swap_out =
            self.disks.first().map_or(0, |disk| disk.speed.write.0 / 10).min(self.memory.swap_left);
        memory::tick(&self.tree, &mut self.groups, &mut self.memory, (turn, self.awake));
        let mut disk_ns = 0;
        for (number, disk) in self.disks.iter().enumerate() {
            disk_ns += io::tick(&self.tree, &mut self.groups, number, disk);
        }
        memory::read_back(&self.tree, &mut self.groups, &mut self.memory);
        let cores = u64::try_from(self.host.online.len()).unwrap_or(1);
        let used = cpu::tick(&self.tree, &mut self.groups, cores, self.awake);
        self.waits();
        let demand: u64 = self
            .groups
            .iter()
            .filter_map(|group| group.leaf.as_ref())
            .map(|leaf| leaf.demand.cpu)
            .sum();
        let cpu_possible = demand.min(cores * TICK);
        self.busy = Busy { cpu: used, cpu_possible, disk: disk_ns / 1000 };
    }

    /// Units whose time has come are restarted: another group at the same path.
    fn restarts(&mut self) {
        for number in 0..self.groups.len() {
            let now = self.awake;
            let Some(group) = self.groups.get_mut(number) else { continue };
            let Some(leaf) = &mut group.leaf else { continue };
            if leaf.dead_until.is_some_and(|until| now >= until) {
                leaf.dead_until = None;
                leaf.started = now;
            }
            let due = leaf.load.restart_every.is_some_and(|every| now - leaf.started >= every);
            if due {
                self.restart(number);
            }
        }
    }

    fn restart(&mut self, number: usize) {
        memory::empty(&self.tree, &mut self.groups, &mut self.memory, number);
        let devices: Vec<DeviceId> = self.disks.iter().map(|disk| disk.device).collect();
        let (now, page) = (self.awake, self.host.page);
        let Some(group) = self.groups.get_mut(number) else { return };
        self.next_id += 1;
        group.id = CgroupId(self.next_id);
        group.knobs = Knobs::new(&devices);
        for knob in group.unit_properties.values() {
            // What was accepted before is accepted again.
            drop(group.knobs.write(knob, page));
        }
        (group.usage_usec, group.throttled_usec, group.oom_kills) = (0, 0, 0);
        group.waits = Waits::default();
        group.counters = Counters::default();
        if let Some(leaf) = &mut group.leaf {
            leaf.started = now;
        }
        self.generation += 1;
    }

    /// What each load wants now.
    fn demands(&mut self) {
        for group in &mut self.groups {
            let Some(leaf) = &mut group.leaf else { continue };
            leaf.lived = Lived::default();
            leaf.demand = if leaf.dead_until.is_some() {
                Demand::default()
            } else {
                demand(&leaf.load, self.awake - leaf.started, leaf.seed)
            };
        }
    }

    /// Pressure of memory and disks, up the tree. At least one task of a group waits while one of its leaves does; all do in the
    /// mean of the leaves' times. Within a leaf two independent waits are the model: all tasks wait for the square of the part.
    fn waits(&mut self) {
        let mut sums: Vec<[u64; 5]> = self
            .groups
            .iter()
            .map(|group| {
                let Some(leaf) = &group.leaf else { return [0; 5] };
                let full = |some: u64| scaled(some, some, TICK);
                let (memory, io) = (leaf.lived.memory_stall, leaf.lived.io_stall);
                let active = u64::from(leaf.dead_until.is_none());
                [memory, full(memory), io, full(io), active]
            })
            .collect();
        for number in (1..sums.len()).rev() {
            let own = sums.get(number).copied().unwrap_or_default();
            if let Some(above) = sums.get_mut(self.tree.parent(number)) {
                for (sum, one) in above.iter_mut().zip(own) {
                    *sum += one;
                }
            }
        }
        let averaged = self.ticks.is_multiple_of(20);
        for (group, [memory, memory_full, io, io_full, active]) in self.groups.iter_mut().zip(sums)
        {
            let active = active.max(1);
            group.waits.memory.add(memory, memory_full / active);
            group.waits.io.add(io, io_full / active);
            if averaged {
                group.waits.cpu.average();
                group.waits.memory.average();
                group.waits.io.average();
            }
        }
    }

    /// The number of a group.
    pub(super) fn find(&self, path: &CgroupPath) -> Option<usize> {
        self.groups.binary_search_by(|group| group.path.cmp(path)).ok()
    }

    /// Writes one knob of one group as another writer would: nothing is told of it.
    pub(super) fn foreign(&mut self, path: &CgroupPath, knob: &Knob) {
        let page = self.host.page;
        let Some(group) = self.find(path).and_then(|number| self.groups.get_mut(number)) else {
            return;
        };
        if group.knobs.write(knob, page).is_ok() {
            self.generation += 1;
        }
    }

    /// Reclaims or kills, as the kernel does at once.
    pub(super) fn relieve(&mut self, relief: &Relief) -> Outcome {
        let now = self.awake;
        let number = self.find(&relief.at.path);
        let is_there =
            |number: &usize| self.groups.get(*number).is_some_and(|group| group.id == relief.at.id);
        let verdict = match (number.filter(is_there), relief.means) {
            (None, _) => Verdict::Gone,
            // What a hook would do is not known here.
            (Some(_), Means::Tell { .. } | Means::TellOfLeak { .. }) => Verdict::Applied,
            (Some(number), Means::Reclaim { bytes } | Means::Probe { bytes }) => {
                let wanted = (Pool::Group(number), bytes.0);
                if reclaim(&self.tree, &mut self.groups, &mut self.memory, wanted) < bytes.0 {
                    let advice = "the group had less to give".to_owned();
                    Verdict::Refused { errno: EAGAIN, advice }
                } else {
                    Verdict::Applied
                }
            }
            // A restart is an end after which the unit begins anew.
            (Some(number), Means::Kill { .. } | Means::Restart { .. }) => {
                memory::end(&self.tree, &mut self.groups, &mut self.memory, (number, now));
                Verdict::Applied
            }
        };
        Outcome {
            at: self.now(),
            component: Some(relief.component.clone()),
            path: relief.at.path.clone(),
            of: OutcomeOf::Relief { means: relief.means },
            verdict,
            took: Span::ZERO,
        }
    }

    /// Writes one knob. `as_unit` says that systemd does it, and will again when the unit is restarted.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(super) fn write(&mut self, number: usize, knob: &Knob, as_unit: bool) -> Result<Knob, i32> {
        let page = self.host.page;
        let Some(group) = self.groups.get_mut(number) else { return Err(super::settings::EINVAL) };
        let kept = group.knobs.write(knob, page)?;
        if as_unit {
            group.unit_properties.insert(knob.kind(), knob.clone());
        }
        self.generation += 1;
        Ok(kept)
    }
}

fn group(
    path: CgroupPath,
    id: CgroupId,
    disks: &[DeviceId],
    resident: Option<(Resident, u64)>,
) -> Group {
    let leaf = resident.map(|(resident, seed)| Leaf {
        component: resident.component,
        load: resident.load,
        started: 0,
        dead_until: None,
        seed,
        demand: Demand::default(),
        lived: Lived::default(),
        anon: 0,
        file: 0,
        swap: 0,
        refault_file: 0,
        refault_swap: 0,
        delay: 0,
    });
    Group {
        path,
        id,
        knobs: Knobs::new(disks),
        unit_properties: BTreeMap::new(),
        leaf,
        cpu: Want::default(),
        io: Want::default(),
        quota_left: 0,
        usage_usec: 0,
        throttled_usec: 0,
        memory: 0,
        swap: 0,
        pids: 0,
        oom_kills: 0,
        waits: Waits::default(),
        counters: Counters::default(),
    }
}

/// What a load wants at a time since its start.
fn demand(load: &Load, at: u64, seed: u64) -> Demand {
    let page = |bytes: u64| bytes - bytes % 4096;
    // A thousandth of a core is a hundred microseconds of a tick.
    let cpu = load.cpu.value(at, seed).saturating_mul(TICK / 1000);
    let threads = load.threads.unwrap_or_else(|| cpu.div_ceil(TICK).max(1));
    Demand {
        cpu: cpu.min(threads * TICK),
        memory: page(load.memory.value(at, seed ^ 1)),
        cache: page(load.cache.value(at, seed ^ 2)),
        read: load.read.value(at, seed ^ 3) / 10,
        write: load.write.value(at, seed ^ 4) / 10,
        pids: load.pids.as_ref().map_or(threads, |pids| pids.value(at, seed ^ 5)),
        threads: threads.max(1),
    }
}
