//! The model host as one look at it: the only place that makes a [`Snapshot`] of it.
//!
//! The snapshot is kept and brought up to date in place, as the daemon's collector does. It holds the homes and their ancestors; what
//! runs beside the components is in it as the weight of unregistered neighbours only.

use super::group::Group;
use super::plant::Plant;
use crate::model::{
    Controller, Disk, GroupView, Home, HomeKind, HostView, Outcome, Reading, Snapshot, Usage, Via,
};
use crate::units::{Bytes, CgroupId, CgroupPath, CgroupRef, CpuSet, CpuTime};
use std::collections::{BTreeMap, BTreeSet};

/// The size of a page on every common host.
pub(super) const PAGE: Bytes = Bytes(4096);

/// The host as a look at it shows it.
pub(super) fn host(
    (cpus, pid_max): (u32, u64),
    (memory, swap): (Bytes, Bytes),
    disks: Vec<Disk>,
) -> HostView {
    HostView {
        online: CpuSet::of(0..cpus),
        memory,
        swap,
        page: PAGE,
        pid_max,
        disks,
        systemd: true,
    }
}

/// Looks at a model host.
#[derive(Debug)]
pub(super) struct Looker {
    seen: Snapshot,
    /// The generation of the host at the last look.
    looked: Option<u64>,
    /// What of the usage is hidden.
    pub(super) blind: bool,
}

impl Looker {
    pub(super) fn new(plant: &Plant) -> Self {
        let seen = Snapshot {
            at: plant.now(),
            generation: 0,
            host: plant.host.clone(),
            groups: BTreeMap::new(),
            homes: BTreeMap::new(),
            strays: Vec::new(),
            refused: Vec::new(),
            outcomes: Vec::new(),
            pending: BTreeSet::new(),
            reloaded_at: None,
        };
        Self { seen, looked: None, blind: false }
    }

    /// One look, with what came of the actions before it.
    pub(super) fn look(&mut self, plant: &Plant, outcomes: Vec<Outcome>) -> &Snapshot {
        self.seen.at = plant.now();
        self.seen.outcomes = outcomes;
        if self.looked != Some(plant.generation) {
            self.looked = Some(plant.generation);
            self.seen.generation += 1;
            self.views(plant);
        }
        for group in &plant.groups {
            if let Some(view) = self.seen.groups.get_mut(&group.path) {
                usage(&mut view.usage, group, self.blind);
            }
        }
        &self.seen
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

fn usage(usage: &mut Usage, group: &Group, blind: bool) {
    usage.cpu = Some(CpuTime(group.usage_usec));
    usage.throttled = Some(CpuTime(group.throttled_usec));
    usage.memory = Some(Bytes(group.memory));
    usage.swap = Some(Bytes(group.swap));
    usage.pids = Some(group.pids);
    usage.oom_kills = Some(group.oom_kills);
    if !blind {
        usage.cpu_psi = Some(group.waits.cpu.psi);
        usage.memory_psi = Some(group.waits.memory.psi);
        usage.io_psi = Some(group.waits.io.psi);
    }
}
