//! The cgroup tree as far as it matters: which groups there are, and views of homes and their ancestors.

use crate::config::{Backend, Policy};
use crate::kernel::{CgroupFs, Group, Sampler};
use crate::model::{GroupView, Home, Usage, Via};
use crate::units::{CgroupId, CgroupPath, ComponentName, DeviceId};
use std::collections::{BTreeMap, BTreeSet};

/// The weight that a group without `cpu.weight` has in effect.
const DEFAULT_WEIGHT: u64 = 100;

/// All groups of the host, by path.
#[derive(Debug, Default)]
pub(super) struct Tree {
    groups: BTreeMap<CgroupPath, CgroupId>,
}

impl Tree {
    /// Walks the tree anew. Whether any group came, went or was made again.
    pub(super) fn walk(&mut self, fs: &CgroupFs) -> bool {
        let Ok(found) = fs.walk() else { return false };
        let found: BTreeMap<CgroupPath, CgroupId> = found.into_iter().collect();
        if found == self.groups {
            return false; // the paths stay those whose text all others share
        }
        let known = |path: CgroupPath| match self.groups.get_key_value(&path) {
            Some((known, _)) => known.clone(),
            None => path,
        };
        self.groups = found.into_iter().map(|(path, id)| (known(path), id)).collect();
        true
    }

    pub(super) const fn groups(&self) -> &BTreeMap<CgroupPath, CgroupId> {
        &self.groups
    }

    /// The groups in which, or below which, a process lives that must never be limited: the agent, a protected unit, a login session.
    pub(super) fn protecting(&self, policy: &Policy, agent: &CgroupPath) -> BTreeSet<CgroupPath> {
        let protected = self.groups.keys().filter(|group| policy.seals(group.name()));
        let mut protecting = BTreeSet::new();
        for group in protected.chain([agent]) {
            protecting.extend(group.ancestors());
            protecting.insert(group.clone());
        }
        protecting
    }

    /// For each group that has any, the sum of the weights of its populated children that are not in `managed`.
    pub(super) fn unmanaged_weights(
        &self,
        fs: &CgroupFs,
        managed: &BTreeSet<CgroupPath>,
    ) -> BTreeMap<CgroupPath, u64> {
        let mut weights = BTreeMap::new();
        for child in self.groups.keys().filter(|child| !managed.contains(*child)) {
            let Some(parent) = child.parent().filter(|parent| managed.contains(parent)) else {
                continue;
            };
            if let Some(group) = fs.group(child).ok().filter(Group::is_populated) {
                *weights.entry(parent).or_default() += group.weight().unwrap_or(DEFAULT_WEIGHT);
            }
        }
        weights
    }
}

/// The homes and every group above them.
pub(super) fn managed(homes: &BTreeMap<ComponentName, Vec<Home>>) -> BTreeSet<CgroupPath> {
    let paths = homes.values().flatten().map(Home::path);
    let mut managed: BTreeSet<CgroupPath> = BTreeSet::from([CgroupPath::root()]);
    for path in paths {
        add_with_those_above(&mut managed, path.clone());
    }
    managed
}

/// Adds a group and every group above it to a set in which none lacks those above it.
pub(super) fn add_with_those_above(groups: &mut BTreeSet<CgroupPath>, path: CgroupPath) {
    let mut next = Some(path);
    while let Some(path) = next.filter(|path| !groups.contains(path)) {
        next = path.parent();
        groups.insert(path);
    }
}

/// Who writes the group's knobs. What lies below a user's own manager is delegated to that manager, which the system's systemd
/// does not know.
pub(super) fn via(path: &CgroupPath, backend: Backend, systemd: bool) -> Via {
    let name = path.name();
    let is_unit = [".service", ".scope", ".slice"].iter().any(|kind| name.ends_with(kind));
    let delegated = path
        .ancestors()
        .any(|above| above.name().ends_with(".service") || above.name().ends_with(".scope"));
    let by_unit = match backend {
        Backend::Auto => systemd,
        Backend::Systemd => true,
        Backend::Subtree => false,
    };
    if by_unit && is_unit && !delegated { Via::Unit(name.to_owned()) } else { Via::File }
}

/// Reads everything of a group but its usage.
pub(super) fn view(sampler: &Sampler, via: Via, devices: &[DeviceId]) -> GroupView {
    let group = sampler.group();
    let controllers = group.controllers();
    GroupView {
        id: group.id(),
        via,
        knobs: group.knobs(&controllers, devices),
        controllers,
        populated: group.is_populated(),
        usage: Usage::default(),
        unmanaged_weight: 0,
        holds_protected: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_added_without_those_above() {
        let mut groups = BTreeSet::new();
        for path in ["a/b", "a/b/c/d", "a", "e"] {
            add_with_those_above(&mut groups, CgroupPath::new(path));
        }
        let expected = ["", "a", "a/b", "a/b/c", "a/b/c/d", "e"].map(CgroupPath::new);
        assert_eq!(groups, BTreeSet::from(expected));
    }

    #[test]
    fn units_are_systemds_unless_they_lie_below_a_users_manager() {
        let via = |path: &str| via(&CgroupPath::new(path), Backend::Auto, true);
        assert_eq!(via("system.slice/nginx.service"), Via::Unit("nginx.service".to_owned()));
        assert_eq!(via("a.slice"), Via::Unit("a.slice".to_owned()));
        assert_eq!(
            via("user.slice/user-1000.slice/user@1000.service/app.slice/x.scope"),
            Via::File
        );
        assert_eq!(via("system.slice/worker.service/sub"), Via::File);
    }
}
