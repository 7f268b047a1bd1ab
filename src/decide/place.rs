//! Where loose processes are to live: one scope per component, in the slice of its priority, or of all that are idle; without systemd one group.

use super::{Case, Housed};
use crate::config::Component;
use crate::model::{CpuClass, Home, HomeKind, Placement, Stray, Target};
use crate::units::{CgroupId, CgroupPath, CgroupRef, ComponentName};
use std::collections::BTreeMap;

/// The slice, or without systemd the group, below which every home of provost's own lives.
const ROOT_SLICE: &str = "provost.slice";
const ROOT_GROUP: &str = "provost";

/// One placement for every component that has loose processes.
pub(super) fn placements(case: &Case<'_>) -> Vec<Placement> {
    let mut strays: BTreeMap<&ComponentName, Vec<Stray>> = BTreeMap::new();
    for stray in &case.seen.strays {
        strays.entry(&stray.component).or_default().push(stray.clone());
    }
    let of_component =
        |(name, strays)| Some(placement(case, case.policy.components.get(name)?, strays));
    strays.into_iter().filter_map(of_component).collect()
}

fn placement(case: &Case<'_>, component: &Component, strays: Vec<Stray>) -> Placement {
    let homes = case.seen.homes.get(&component.name).map(Vec::as_slice).unwrap_or_default();
    let existing = homes.iter().find(|home| home.kind.is_own());
    let (kind, path) = match existing {
        Some(home) => (home.kind.clone(), home.path().clone()),
        None => own_home(component, case.seen.host.systemd),
    };
    let targets =
        if existing.is_some() { Vec::new() } else { of_new_home(case, component, &kind, &path) };
    let slice = slice(component);
    Placement { component: component.name.clone(), home: kind, path, slice, targets, strays }
}

/// The home of provost's own making for a component's loose processes.
fn own_home(component: &Component, systemd: bool) -> (HomeKind, CgroupPath) {
    let name = &component.name;
    if systemd {
        let unit = format!("provost-{name}.scope");
        let path = CgroupPath::new(ROOT_SLICE).child(&slice(component)).child(&unit);
        return (HomeKind::OwnScope { unit }, path);
    }
    let path = CgroupPath::new(ROOT_GROUP).child(branch(component)).child(name.as_str());
    (HomeKind::OwnGroup, path)
}

fn slice(component: &Component) -> String {
    format!("provost-{}.slice", branch(component))
}

/// The group among whose siblings the component is weighed: an idle one below a busy slice would have that slice's share when its
/// neighbours sleep.
fn branch(component: &Component) -> &'static str {
    if component.is_idle() { CpuClass::Idle.word() } else { component.priority.word() }
}

/// The knobs of a home that is about to be made. Weights and protection up the tree come with the next look, when it exists.
fn of_new_home(
    case: &Case<'_>,
    component: &Component,
    kind: &HomeKind,
    path: &CgroupPath,
) -> Vec<Target> {
    // Not yet there, so it has no identity; none of its targets depends on one.
    let at = CgroupRef { path: path.clone(), id: CgroupId(0) };
    let mut homes = case.seen.homes.get(&component.name).cloned().unwrap_or_default();
    homes.push(Home { at, kind: kind.clone() });
    let mut targets = Vec::new();
    super::of_component(case, &Housed { component, homes: &homes }, &mut targets);
    targets.retain(|target| target.at == *path);
    targets
}
