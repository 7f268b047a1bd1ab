//! Views of the groups that matter: made, dropped, and read again. Must not say what of them decides.

use super::{Collector, WAITING_PER_LOOK};
use crate::config::{IoDevice, Policy};
use crate::kernel::{Sampler, Scope};
use crate::model::Snapshot;
use crate::observe::round::{Again, Round};
use crate::observe::tree::{add_with_those_above, managed, via, view};
use crate::units::{CgroupPath, ComponentName, DeviceId, Tick};
use std::collections::BTreeSet;

impl Collector {
    /// Makes views of new homes and ancestors, drops those of gone ones, reads knobs again where somebody wrote.
    pub(super) fn update_views(
        &mut self,
        policy: &Policy,
        written: &BTreeSet<CgroupPath>,
        again: Again,
    ) -> bool {
        let managed = managed(&self.snapshot.homes);
        let before = self.samplers.len();
        let tree = self.tree.groups();
        self.samplers.retain(|path, sampler| {
            managed.contains(path) && tree.get(path) == Some(&sampler.group().id())
        });
        let mut changed = self.samplers.len() != before;
        let samplers = &self.samplers;
        self.snapshot.groups.retain(|path, _| samplers.contains_key(path));
        let devices = limited_disks(policy, &self.snapshot);
        for path in &managed {
            let is_new = !self.samplers.contains_key(path);
            if is_new {
                let Ok(group) = self.fs.group(path) else {
                    continue;
                };
                self.samplers.insert(path.clone(), Sampler::new(group));
            }
            if is_new || again == Again::AtOnce || written.contains(path) {
                changed |= self.reread(policy, path, &devices);
            }
        }
        self.concern(policy);
        if again != Again::Nothing || changed {
            changed |= self.reweigh(policy, &managed);
        }
        changed
    }

    /// Reads the knobs again of those whose turn it is. Whether any differ.
    pub(super) fn go_round(&mut self, policy: &Policy, now: Tick, again: Again) -> bool {
        match again {
            Again::Nothing => {}
            Again::InTurn => self.round.begin(now, self.samplers.keys().cloned()),
            Again::AtOnce => self.round = Round::default(),
        }
        let turn = self.round.turn(now);
        if turn.is_empty() {
            return false;
        }
        let devices = limited_disks(policy, &self.snapshot);
        let mut changed = false;
        for path in &turn {
            changed |= self.reread(policy, path, &devices);
        }
        changed
    }

    fn reread(&mut self, policy: &Policy, path: &CgroupPath, devices: &[DeviceId]) -> bool {
        let Some(sampler) = self.samplers.get_mut(path) else {
            return false;
        };
        sampler.refresh();
        let via = via(path, policy.backend, self.snapshot.host.systemd);
        let mut fresh = view(sampler, via, devices);
        let Some(last) = self.snapshot.groups.get(path) else {
            self.snapshot.groups.insert(path.clone(), fresh);
            return true;
        };
        fresh.usage.clone_from(&last.usage);
        fresh.unmanaged_weight = last.unmanaged_weight;
        fresh.holds_protected = last.holds_protected;
        let changed = fresh != *last;
        self.snapshot.groups.insert(path.clone(), fresh);
        changed
    }

    /// What unregistered siblings weigh, and which groups hold something protected.
    fn reweigh(&mut self, policy: &Policy, managed: &BTreeSet<CgroupPath>) -> bool {
        let agent = self.processes.cgroup_of(self.agent.pid).unwrap_or_default();
        let mut changed = false;
        let weights = self.tree.unmanaged_weights(&self.fs, managed);
        let protecting = self.tree.protecting(policy, &agent);
        for (path, view) in &mut self.snapshot.groups {
            let weight = weights.get(path).copied().unwrap_or_default();
            let protected = protecting.contains(path);
            changed |= view.unmanaged_weight != weight || view.holds_protected != protected;
            view.unmanaged_weight = weight;
            view.holds_protected = protected;
        }
        changed
    }

    /// Says what is to be read of each group, and which are read at every look.
    fn concern(&mut self, policy: &Policy) {
        let homes = &self.snapshot.homes;
        let protected = |name: &ComponentName| {
            policy.components.get(name).is_some_and(|component| component.priority.is_protected())
        };
        let mut paths: BTreeSet<&CgroupPath> = BTreeSet::new();
        let mut above: BTreeSet<CgroupPath> = BTreeSet::new();
        // Homes of protected components, and all above them.
        let mut urgent: BTreeSet<CgroupPath> = BTreeSet::new();
        for (name, home) in
            homes.iter().flat_map(|(name, homes)| homes.iter().map(move |home| (name, home)))
        {
            paths.insert(home.path());
            if let Some(parent) = home.path().parent() {
                add_with_those_above(&mut above, parent);
            }
            if protected(name) {
                add_with_those_above(&mut urgent, home.path().clone());
            }
        }
        let few = self.samplers.len() <= WAITING_PER_LOOK;
        for (path, sampler) in &mut self.samplers {
            let scope = Scope {
                home: paths.contains(path),
                above: above.contains(path),
                root: path.is_root(),
            };
            sampler.concern(scope, few || urgent.contains(path));
        }
    }
}

/// Disks whose line in `io.max` is looked at though nobody limits them yet: those that the configuration names, and all where somebody
/// may have to yield.
fn limited_disks(policy: &Policy, seen: &Snapshot) -> Vec<DeviceId> {
    let all = || seen.host.disks.iter().map(|disk| disk.device);
    let mut devices = BTreeSet::new();
    if policy.has_yielding() {
        devices.extend(all());
    }
    for entry in policy.components.values().flat_map(|component| &component.io) {
        match &entry.device {
            IoDevice::All => devices.extend(all()),
            IoDevice::Path { disks, .. } => devices.extend(disks.iter().copied()),
        }
    }
    devices.into_iter().collect()
}
