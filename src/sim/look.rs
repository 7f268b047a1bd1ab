//! The model host as one look at it: the only place that makes a [`Snapshot`] of it.
//!
//! The snapshot is kept and brought up to date in place, as the daemon's collector does. It holds the homes and their ancestors; what
//! runs beside the components is in it as the weight of unregistered neighbours only.

use super::group::Group;
use super::plant::Plant;
use crate::model::{
    Controller, Disk, GroupView, Home, HomeKind, HostLoad, HostView, IoCount, MemoryEvents,
    MemoryStat, Outcome, Reading, Resource, Snapshot, Topology, Usage, Via,
};
use crate::units::{Bytes, CgroupId, CgroupPath, CgroupRef, CpuSet, CpuTime, Span};
use std::collections::{BTreeMap, BTreeSet};

/// The size of a page on every common host.
pub(super) const PAGE: Bytes = Bytes(4096);

/// The host as a look at it shows it.
pub(super) fn host(
    (cpus, pid_max): (u32, u64),
    (memory, swap): (Bytes, Bytes),
    disks: Vec<Disk>,
) -> HostView {
    let online = CpuSet::of(0..cpus);
    HostView {
        topology: Topology::flat(&online),
        online,
        memory,
        swap,
        page: PAGE,
        pid_max,
        disks,
        systemd: true,
        sched_ext: None,
        oomd: false,
        reclaim: true,
        rt_bounded: true,
        swap_rotates: false,
    }
}

/// Looks at a model host.
#[derive(Debug)]
pub(super) struct Looker {
    seen: Snapshot,
    /// The generation of the host at the last look.
    looked: Option<u64>,
    /// How long each protected leaf had waited for a CPU at the last look.
    waited: BTreeMap<CgroupPath, u64>,
}

impl Looker {
    pub(super) fn new(plant: &Plant) -> Self {
        let seen = Snapshot::new(plant.now(), plant.host.clone());
        Self { seen, looked: None, waited: BTreeMap::new() }
    }

    /// One look, with what came of the actions before it.
    pub(super) fn look(&mut self, plant: &Plant, outcomes: Vec<Outcome>) -> &Snapshot {
        let since = plant.now().since(self.seen.at);
        self.seen.at = plant.now();
        self.seen.load = load(plant);
        self.seen.waiting = self.waiting(plant, since);
        self.seen.outcomes = outcomes;
        if self.looked != Some(plant.generation) {
            self.looked = Some(plant.generation);
            self.seen.generation += 1;
            self.views(plant);
        }
        for group in &plant.groups {
            if let Some(view) = self.seen.groups.get_mut(&group.path) {
                usage(&mut view.usage, group, plant);
            }
        }
        &self.seen
    }

    /// What the daemon's sentry would have noticed since the last look.
    fn waiting(&mut self, plant: &Plant, since: Span) -> BTreeSet<Resource> {
        let protected = |group: &&Group| {
            let leaf = group.leaf.as_ref().and_then(|leaf| leaf.component.as_ref());
            leaf.is_some_and(|(_, priority)| priority.is_protected())
        };
        let mut waits = false;
        for group in plant.groups.iter().filter(protected) {
            let stalled = group.waits.cpu.psi.full.total_usec;
            let total = stalled.saturating_sub(group.throttled_usec);
            let before = self.waited.insert(group.path.clone(), total).unwrap_or(total);
            waits |= since > Span::ZERO && total.saturating_sub(before) * 10 >= since.0;
        }
        waits.then_some(Resource::Cpu).into_iter().collect()
    }

    /// Everything but usage.
    fn views(&mut self, plant: &Plant) {
        let mut unmanaged: BTreeMap<CgroupPath, u64> = BTreeMap::new();
        let mut shown: BTreeSet<CgroupPath> = BTreeSet::from([CgroupPath::root()]);
        self.seen.homes.clear();
        for group in &plant.groups {
            let Some(leaf) = &group.leaf else { continue };
            let Some((name, _)) = &leaf.component else { continue };
            let at = CgroupRef { path: group.path.clone(), id: group.id };
            let kind = match via(&group.path) {
                Via::Unit(unit) => HomeKind::Unit { unit },
                Via::File => HomeKind::Group,
            };
            self.seen.homes.entry(name.clone()).or_default().push(Home { at, kind });
            shown.insert(group.path.clone());
            shown.extend(group.path.ancestors());
        }
        for group in plant.groups.iter().filter(|group| !shown.contains(&group.path)) {
            if let Some(parent) = group.path.parent() {
                *unmanaged.entry(parent).or_default() += group.knobs.set.cpu_weight;
            }
        }
        for group in plant.groups.iter().filter(|group| shown.contains(&group.path)) {
            let weight = unmanaged.get(&group.path).copied().unwrap_or_default();
            let view = self
                .seen
                .groups
                .entry(group.path.clone())
                .or_insert_with(|| fresh(group.id, &group.path));
            view.id = group.id;
            view.unmanaged_weight = weight;
            let values = group.knobs.values().iter();
            view.knobs = values.map(|(kind, knob)| (*kind, Reading::Is(knob.clone()))).collect();
        }
    }
}

fn via(path: &CgroupPath) -> Via {
    let is_unit = [".service", ".scope", ".slice"].iter().any(|end| path.name().ends_with(end));
    if is_unit { Via::Unit(path.name().to_owned()) } else { Via::File }
}

fn fresh(id: CgroupId, path: &CgroupPath) -> GroupView {
    GroupView {
        id,
        via: via(path),
        controllers: Reading::Is(Controller::ALL.into_iter().collect()),
        populated: true,
        knobs: BTreeMap::new(),
        usage: Usage::default(),
        unmanaged_weight: 0,
        holds_protected: false,
    }
}

fn usage(usage: &mut Usage, group: &Group, plant: &Plant) {
    let counted = &group.counters;
    let leaf = group.leaf.as_ref();
    usage.sensed_at = Some(plant.now());
    usage.cpu = Some(CpuTime(group.usage_usec));
    usage.throttled = Some(CpuTime(group.throttled_usec));
    usage.periods = Some(counted.periods);
    usage.throttled_periods = Some(counted.throttled_periods);
    usage.memory = Some(Bytes(group.memory));
    usage.swap = Some(Bytes(group.swap));
    usage.pids = Some(group.pids);
    usage.forks_refused = Some(counted.forks_refused);
    usage.oom_kills = Some(group.oom_kills);
    let events = MemoryEvents {
        high: counted.memory_high,
        max: counted.memory_max,
        oom_kill: group.oom_kills,
    };
    usage.memory_events_local = Some(events);
    usage.memory_events = leaf.map(|_| events);
    usage.memory_stat = leaf.map(|leaf| MemoryStat {
        anon: Bytes(leaf.anon),
        // The model evicts what is cold first, and tells nobody how much of the files that is.
        inactive_file: Bytes::ZERO,
        // It has neither shared memory nor a kernel that needs some for itself.
        shmem: Some(Bytes::ZERO),
        slab_unreclaimable: Some(Bytes::ZERO),
        refaults: Some(counted.refaults),
    });
    if leaf.is_some() || group.path.is_root() {
        let device = plant.host.disks.first().map(|disk| disk.device);
        let count = |device| IoCount {
            device,
            rbytes: counted.read_bytes,
            wbytes: counted.written_bytes,
            rios: counted.reads,
            wios: counted.writes,
        };
        usage.io = Some(device.map(count).into_iter().collect());
    }
    usage.cpu_psi = Some(group.waits.cpu.psi);
    usage.memory_psi = Some(group.waits.memory.psi);
    usage.io_psi = Some(group.waits.io.psi);
}

/// The whole host, which is the root group.
fn load(plant: &Plant) -> HostLoad {
    let root = plant.groups.first();
    let files: u64 =
        plant.groups.iter().filter_map(|group| group.leaf.as_ref()).map(|leaf| leaf.file).sum();
    let used = root.map_or(0, |root| root.memory);
    let free = plant.host.memory.0.saturating_sub(used);
    HostLoad {
        memory_available: Some(Bytes(free + files)),
        swap_free: Some(Bytes(plant.memory.swap_left)),
        busy: root.map(|root| CpuTime(root.usage_usec)),
        tasks: root.map(|root| root.pids),
        cpu_psi: root.map(|root| root.waits.cpu.psi),
        memory_psi: root.map(|root| root.waits.memory.psi),
        io_psi: root.map(|root| root.waits.io.psi),
    }
}
