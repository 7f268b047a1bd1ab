//! Puts lines over weeks beside the ceilings that they may meet, and tells of those that come near, and of use that is out of the ordinary.

use crate::config::{Component, Policy};
use crate::estimate::Foresight;
use crate::model::{
    Finding, FindingKind, Growth, GrowthView, HostView, Moment, Reached, Resource, Severity,
};
use crate::units::{ComponentName, Limit};
use std::collections::BTreeMap;

/// A ceiling that is met within so many days is told, and within so few it is urgent.
const TOLD_DAYS: u64 = 30;
const URGENT_DAYS: u64 = 7;

/// The lines of one component.
pub(super) fn of_component(
    foresight: &Foresight,
    component: &Component,
) -> BTreeMap<Resource, GrowthView> {
    let ceiling = |resource| match resource {
        Resource::Cpu => known(component.cpu.ceiling).map(|cpu| cpu.0),
        Resource::Memory => known(component.memory.ceiling).map(|memory| memory.0),
        // Ceilings are those of single disks; what is seen is the sum.
        Resource::Io => None,
        Resource::Pids => known(component.pids),
    };
    views(foresight.growth(&component.name), ceiling)
}

/// The lines of the whole host, beside what it has for components.
pub(super) fn of_host(
    foresight: &Foresight,
    policy: &Policy,
    host: &HostView,
) -> BTreeMap<Resource, GrowthView> {
    let ceiling = |resource| match resource {
        Resource::Cpu => Some(host.online.capacity().minus(policy.reserve.cpu).0),
        Resource::Memory => Some(host.memory.minus(policy.reserve.memory).0),
        Resource::Io => None,
        Resource::Pids => Some(host.pid_max),
    };
    views(foresight.host_growth(), ceiling)
}

const fn known<T: Copy>(limit: Limit<T>) -> Option<T> {
    match limit {
        Limit::At(value) => Some(value),
        Limit::Max => None,
    }
}

fn views(
    lines: BTreeMap<Resource, Growth>,
    ceiling: impl Fn(Resource) -> Option<u64>,
) -> BTreeMap<Resource, GrowthView> {
    let view = |(resource, line): (Resource, Growth)| {
        let ceiling = ceiling(resource);
        let reached = ceiling.and_then(|ceiling| line.reaches(ceiling));
        (resource, GrowthView { line, ceiling, reached })
    };
    lines.into_iter().map(view).collect()
}

/// Ceilings that come near, and what is out of the ordinary.
pub(super) fn findings(
    foresight: &Foresight,
    policy: &Policy,
    host: &HostView,
    now: Moment,
) -> Vec<Finding> {
    let all = of_host(foresight, policy, host);
    let mut found: Vec<Finding> =
        all.iter().filter_map(|(resource, view)| host_full(*resource, view)).collect();
    for component in policy.components.values() {
        let views = of_component(foresight, component);
        found.extend(
            views.iter().filter_map(|(resource, view)| too_low(&component.name, *resource, view)),
        );
    }
    found.extend(foresight.unusual().map(|(name, resource, unusual)| {
        let text = format!("{resource} of {name} is {}", unusual.told(resource, now));
        finding(Severity::Info, FindingKind::Unusual, Some(name), text)
    }));
    found
}

/// A ceiling that is met soon, by growth that is beyond doubt. Whoever is at its ceiling each day for years needs no word of it.
fn near(view: &GrowthView) -> Option<(u64, Reached, Severity)> {
    let reached = view.reached.filter(|reached| reached.days <= TOLD_DAYS && view.line.grows())?;
    let urgent = reached.days <= URGENT_DAYS;
    Some((view.ceiling?, reached, if urgent { Severity::Warning } else { Severity::Info }))
}

fn host_full(resource: Resource, view: &GrowthView) -> Option<Finding> {
    let (ceiling, reached, severity) = near(view)?;
    let text = format!(
        "in the busiest hour of the day the host needs the {resource} it has for components ({}) {}; see provost capacity",
        resource.amount(ceiling),
        reached.told()
    );
    Some(finding(severity, FindingKind::Capacity, None, text))
}

fn too_low(name: &ComponentName, resource: Resource, view: &GrowthView) -> Option<Finding> {
    let (ceiling, reached, severity) = near(view)?;
    let text = format!(
        "in the busiest hour of the day {name} needs its {resource} ceiling of {} {}: raise component.{name}.{resource}.ceiling, or find what \
         grows; see provost capacity",
        resource.amount(ceiling),
        reached.told()
    );
    Some(finding(severity, FindingKind::Capacity, Some(name), text))
}

fn finding(
    severity: Severity,
    kind: FindingKind,
    name: Option<&ComponentName>,
    text: String,
) -> Finding {
    Finding { severity, kind, component: name.cloned(), at: None, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Estimator;
    use crate::model::Priority;
    use crate::testing::{add_home, component, host, policy};
    use crate::units::Span;

    /// A midnight.
    const START: u64 = 86_400 * 20_000;

    /// A component that had 100 tasks at first and 4 more each day, beside a host that has as many.
    fn grown(days: u64, ceiling: u64) -> (Foresight, Policy, HostView) {
        let mut web = component("web", Priority::Normal);
        web.pids = Limit::At(ceiling);
        let mut seen = host();
        add_home(&mut seen, &web, "system.slice/web.service");
        let policy = policy([web]);
        let (mut foresight, mut estimator) = (Foresight::default(), Estimator::default());
        for hour in 0..24 * days {
            let tasks = 100 + 4 * (hour / 24);
            seen.groups.values_mut().for_each(|group| group.usage.pids = Some(tasks));
            seen.load.tasks = Some(tasks);
            seen.at = seen.at.plus(Span::secs(3600));
            estimator.update(&policy, &seen);
            foresight.look(&policy, &seen, &estimator, Moment(START + 3600 * hour));
        }
        (foresight, policy, seen.host)
    }

    fn texts(days: u64, ceiling: u64) -> Vec<(Severity, String)> {
        let (foresight, policy, host) = grown(days, ceiling);
        let found = findings(&foresight, &policy, &host, Moment(START));
        found.into_iter().map(|one| (one.severity, one.text)).collect()
    }

    #[test]
    fn a_ceiling_that_comes_near_is_told_by_how_near() {
        assert_eq!(texts(10, 160), [], "too little is known");
        let [(severity, text)] = texts(16, 240).try_into().unwrap();
        assert_eq!(severity, Severity::Info);
        assert_eq!(
            text,
            "in the busiest hour of the day web needs its pids ceiling of 240 in 21 days (21 to 21): raise component.web.pids.ceiling, or \
             find what grows; see provost capacity"
        );
        assert_eq!(texts(16, 160)[0].0, Severity::Warning);
        assert_eq!(texts(16, 1_000), [], "far away");
    }

    #[test]
    fn lines_stand_beside_their_ceilings() {
        let (foresight, policy, host) = grown(16, 160);
        let views = of_component(&foresight, &policy.components.values().next().unwrap().clone());
        assert_eq!(views[&Resource::Pids].ceiling, Some(160));
        assert_eq!(views[&Resource::Pids].line.per_week, 28);
        let whole = of_host(&foresight, &policy, &host);
        assert_eq!(whole[&Resource::Pids].ceiling, Some(host.pid_max));
        assert_eq!(whole[&Resource::Pids].line, views[&Resource::Pids].line);
    }
}
