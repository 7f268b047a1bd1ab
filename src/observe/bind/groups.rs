//! Cgroups that rules name: units, paths, containers, and provost's own homes.

use super::{Bindings, GroupFacts, World, matches};
use crate::config::{Component, Pattern, Policy, Rule, is_protected_unit};
use crate::model::{Home, HomeKind, Refusal};
use crate::units::{CgroupPath, CgroupRef, ComponentName};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Binds every group to the component with the most specific rule for it.
pub(super) fn bind(policy: &Policy, world: &World<'_>, bindings: &mut Bindings) {
    let rules = Rules::by_what_they_name(policy);
    let sealed: Vec<&GroupFacts> =
        world.groups.iter().filter(|group| policy.seals(group.path.name())).collect();
    for group in world.groups {
        if let Some((component, kind)) = own_home(policy, world, group) {
            push(bindings, component, group, kind);
            continue;
        }
        let claims = rules.that_may_name(&group.path).filter(|(_, rule)| names(rule, world, group));
        let best = claims.max_by_key(|(component, rule)| {
            (rule.specificity, component.priority, Reverse(&component.name))
        });
        let Some((component, _)) = best else { continue };
        match untouchable(policy, world, &sealed, &group.path) {
            None => push(bindings, &component.name, group, kind(group)),
            Some(why) => bindings.refused.push(Refusal {
                component: component.name.clone(),
                what: group.path.to_string(),
                why,
            }),
        }
    }
}

/// All rules that name groups. Most name one unit or path outright and are found by it, so that a thousand groups are not held against
/// a thousand rules each.
#[derive(Default)]
struct Rules<'a> {
    by_unit: BTreeMap<&'a str, Vec<Claim<'a>>>,
    by_cgroup: BTreeMap<&'a str, Vec<Claim<'a>>>,
    others: Vec<Claim<'a>>,
}

/// A component and one of its rules.
type Claim<'a> = (&'a Component, &'a Rule);

impl<'a> Rules<'a> {
    fn by_what_they_name(policy: &'a Policy) -> Self {
        let mut rules = Self::default();
        for component in policy.components.values() {
            for rule in component.rules.iter().filter(|rule| rule.names_group()) {
                if let Some(units) = rule.unit.as_ref().and_then(Pattern::plain) {
                    units.for_each(|unit| {
                        rules.by_unit.entry(unit).or_default().push((component, rule));
                    });
                } else if let Some(cgroups) = rule.cgroup.as_ref().and_then(Pattern::plain) {
                    cgroups.for_each(|cgroup| {
                        rules.by_cgroup.entry(cgroup).or_default().push((component, rule));
                    });
                } else {
                    rules.others.push((component, rule));
                }
            }
        }
        rules
    }

    /// The rules that name this very unit or path, and those that only matching can tell.
    fn that_may_name(&self, path: &CgroupPath) -> impl Iterator<Item = Claim<'a>> {
        let named = [self.by_unit.get(path.name()), self.by_cgroup.get(path.as_str())];
        named.into_iter().flatten().flatten().chain(&self.others).copied()
    }
}

fn push(bindings: &mut Bindings, component: &ComponentName, group: &GroupFacts, kind: HomeKind) {
    let at = CgroupRef { path: group.path.clone(), id: group.id };
    bindings.homes.entry(component.clone()).or_default().push(Home { at, kind });
}

/// A home that provost made for a component's loose processes, wherever it lies: a changed priority does not move it.
fn own_home<'a>(
    policy: &'a Policy,
    world: &World<'_>,
    group: &GroupFacts,
) -> Option<(&'a ComponentName, HomeKind)> {
    let find = |name: &str| Some(policy.components.get_key_value(name)?.0);
    let unit = group.path.name();
    if world.systemd {
        let name = unit.strip_prefix("provost-")?.strip_suffix(".scope")?;
        return Some((find(name)?, HomeKind::OwnScope { unit: unit.to_owned() }));
    }
    let parts: Vec<&str> = group.path.components().collect();
    let ["provost", _priority, name] = parts.as_slice() else {
        return None;
    };
    Some((find(name)?, HomeKind::OwnGroup))
}

/// Whether the rule names the group, and, where it has process conditions too, one of the group's processes satisfies them.
fn names(rule: &Rule, world: &World<'_>, group: &GroupFacts) -> bool {
    if !rule.names_group() || group.path.is_root() {
        return false;
    }
    let name = group.path.name();
    rule.unit.as_ref().is_none_or(|pattern| is_unit(name) && pattern.matches(name))
        && rule.cgroup.as_ref().is_none_or(|pattern| pattern.matches(group.path.as_str()))
        && rule.container.as_ref().is_none_or(|pattern| {
            container_id(name).is_some_and(|id| {
                pattern.matches(id) || short_ids(id).any(|id| pattern.matches(id))
            })
        })
        && (!rule.names_processes()
            || world.processes.values().any(|process| {
                group.path.contains(&process.cgroup) && matches(rule, world, process)
            }))
}

/// Every prefix of a container's id that is long enough to name it.
fn short_ids(id: &str) -> impl Iterator<Item = &str> {
    (12..id.len()).filter_map(|length| id.get(..length))
}

fn is_unit(name: &str) -> bool {
    name.ends_with(".service") || name.ends_with(".scope") || name.ends_with(".slice")
}

fn kind(group: &GroupFacts) -> HomeKind {
    let name = group.path.name();
    match container_id(name) {
        Some(id) => HomeKind::Container { container: id.chars().take(12).collect() },
        None if is_unit(name) => HomeKind::Unit { unit: name.to_owned() },
        None => HomeKind::Group,
    }
}

/// The id in a container's scope (`docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`) or group (`docker/ID`).
pub(super) fn container_id(name: &str) -> Option<&str> {
    const PREFIXES: [&str; 5] =
        ["docker-", "libpod-payload-", "libpod-", "cri-containerd-", "crio-"];
    let bare = name.strip_suffix(".scope").unwrap_or(name);
    let id = PREFIXES.iter().find_map(|prefix| bare.strip_prefix(prefix)).unwrap_or(bare);
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

/// Why a group must not be touched though a rule names it.
fn untouchable(
    policy: &Policy,
    world: &World<'_>,
    sealed: &[&GroupFacts],
    path: &CgroupPath,
) -> Option<String> {
    if path.contains(world.agent_at) {
        return Some("provost itself lives in it".to_owned());
    }
    let protected = path
        .components()
        .find(|unit| policy.seals(unit))
        .or_else(|| Some(path.name()).filter(|name| is_protected_unit(name)));
    if let Some(unit) = protected {
        return Some(format!("{unit} is protected: the host or provost itself depends on it"));
    }
    if path.components().any(|part| part.starts_with("kubepods")) {
        return Some("kubelet owns everything below kubepods".to_owned());
    }
    if path.name().starts_with("session-") && path.name().ends_with(".scope") {
        return Some(
            "a login session's scope holds its leader and shells; match the programs instead"
                .to_owned(),
        );
    }
    if path.components().any(|part| part.starts_with("provost-agent")) {
        return Some("provost's own slice".to_owned());
    }
    let inside = sealed.iter().find(|group| path.contains(&group.path))?;
    Some(format!("{} lives in it, and the host depends on that", inside.path.name()))
}
