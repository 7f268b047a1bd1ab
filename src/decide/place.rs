//! Where loose processes are to live: one scope per component, in the slice of its priority; without systemd one group.

use crate::config::{Component, Policy};
use crate::model::{HomeKind, Placement, Snapshot, Stray};
use crate::units::CgroupPath;

/// The slice, or without systemd the group, below which every home of provost's own lives.
const ROOT_SLICE: &str = "provost.slice";
const ROOT_GROUP: &str = "provost";

/// One placement for every component that has loose processes.
pub(super) fn placements(policy: &Policy, seen: &Snapshot) -> Vec<Placement> {
    policy
        .components
        .values()
        .filter_map(|component| {
            let strays: Vec<Stray> = seen
                .strays
                .iter()
                .filter(|stray| stray.component == component.name)
                .cloned()
                .collect();
            (!strays.is_empty()).then(|| placement(component, seen, strays))
        })
        .collect()
}

fn placement(component: &Component, seen: &Snapshot, strays: Vec<Stray>) -> Placement {
    let existing = seen
        .homes
        .get(&component.name)
        .into_iter()
        .flatten()
        .find(|home| home.kind.is_own());
    let (home, path) = match existing {
        Some(home) => (home.kind.clone(), home.path().clone()),
        None => own_home(component, seen.host.systemd),
    };
    Placement {
        component: component.name.clone(),
        home,
        path,
        strays,
    }
}

/// The home of provost's own making for a component's loose processes.
pub(crate) fn own_home(component: &Component, systemd: bool) -> (HomeKind, CgroupPath) {
    let (name, priority) = (&component.name, component.priority);
    if systemd {
        let unit = format!("provost-{name}.scope");
        let path = CgroupPath::new(ROOT_SLICE)
            .child(&slice(component))
            .child(&unit);
        return (HomeKind::OwnScope { unit }, path);
    }
    let path = CgroupPath::new(ROOT_GROUP)
        .child(priority.word())
        .child(name.as_str());
    (HomeKind::OwnGroup, path)
}

/// The slice of a component's priority.
pub(crate) fn slice(component: &Component) -> String {
    format!("provost-{}.slice", component.priority)
}
