//! CPUs of their own: which cores a component gets that is to share none, and what is left for the others.
//!
//! **Problem.** A thread that waits for a lock or a packet loses its cache and its turn to whoever runs beside it. Weights cannot
//! prevent that, separate cores can; but a core is too much to be split or to lie idle, and nobody may be moved to and fro.
//!
//! **Approach.** Whole cores, near each other (*dedicated*) or spread over the memory nodes (*balanced*), for as long as the component
//! is there. Everybody else that provost manages gets the rest written into `cpuset.cpus`: a cpuset alone excludes nobody.
//!
//! **Terms.** *seat*: a component's own cores. *usable*: online and not isolated. *eligible*: usable, not named by another component's
//! list of CPUs, and from eight CPUs on not the core of CPU 0, which stays with the system.
//!
//! **Algorithm.** Those that ask for a number before those for whom [`auto_affinity`](super::auto_affinity) does, then by priority, size and name. First, whoever holds a seat that provost wrote earlier, of as many whole eligible cores
//! as it asks for, has it reserved. Then each gets the best that is free or its own: a dedicated seat in the fullest cache with room
//! enough, else in the fullest such node (its largest caches first), else on the fewest nodes; a balanced one core by core from the node, and
//! in it the cache, of which it has the smallest part yet. Lowest CPUs first, the core of CPU 0 last. A reserved seat is left only for
//! one on fewer caches or nodes, or, balanced, on more.
//!
//! **Properties.** Seats are disjoint and of whole cores; at most half of the usable cores are taken; two CPUs (one of one or two), and
//! what is guaranteed to the others, stay shared; who finds no room shares. Nothing is remembered but what is in the kernel, so
//! that a restart changes nothing.

use super::auto_affinity::Choice;
use super::steer::Steering;
use crate::config::{Affinity, Policy};
use crate::estimate::Ownership;
use crate::model::{Core, Home, Knob, KnobKind, Priority, Reason, Snapshot};
use crate::units::{CgroupPath, ComponentName, CpuSet, Millicpu};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// From so many CPUs on, interrupts and housekeeping keep the core of CPU 0.
const SYSTEM_CORE_FROM: usize = 8;

/// Who has which CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seats {
    own: BTreeMap<ComponentName, Seat>,
    /// The homes of those that have CPUs of their own.
    homes: BTreeSet<CgroupPath>,
    /// What everybody else runs on, and what they must leave; none while nobody has CPUs of its own.
    shared: Option<(CpuSet, CpuSet)>,
    /// Who shares though it is not to, and why.
    pub(super) sharing: BTreeMap<ComponentName, String>,
}

/// One component's own cores.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seat {
    cpus: CpuSet,
    reason: Reason,
}

impl Seats {
    /// The CPUs that a component has to itself.
    pub(super) fn own(&self, name: &ComponentName) -> Option<&CpuSet> {
        self.own.get(name).map(|seat| &seat.cpus)
    }

    /// The CPUs of one home, and why; none where nothing is to be written.
    pub(super) fn of(&self, name: &ComponentName, home: &Home) -> Option<(CpuSet, Reason)> {
        if let Some(seat) = self.own.get(name) {
            return Some((seat.cpus.clone(), seat.reason.clone()));
        }
        let (shared, taken) = self.shared.as_ref()?;
        // What is not in the parent's set cannot be had below it.
        let holds_a_seat = self.homes.iter().any(|path| home.path().contains(path));
        let reason = Reason::SharedCpus { taken: taken.clone() };
        (!holds_a_seat).then(|| (shared.clone(), reason))
    }
}

/// What a component asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish<'a> {
    name: &'a ComponentName,
    priority: Priority,
    balanced: bool,
    cpus: usize,
    by: By,
    /// What the groups above its homes have; none for everything.
    within: Option<CpuSet>,
    /// What it has.
    held: Option<CpuSet>,
}

/// Who says so. What is configured comes before what was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// The configuration.
    Number,
    /// `auto`, by what was learnt.
    Choice,
    /// `auto` of which nothing was learnt yet: it stays where it was before a restart.
    Past,
}

/// Gives seats to all that are there and are to have one.
pub(super) fn seats(
    policy: &Policy,
    ownership: &Ownership,
    steering: &Steering,
    seen: &Snapshot,
) -> Seats {
    let mut wishes = wishes(policy, ownership, steering, seen);
    let mut seats = Seats::default();
    if wishes.is_empty() {
        return seats;
    }
    forget_shared(&mut wishes, policy, ownership, seen);
    wishes.sort_by_key(|wish| (wish.by, Reverse(wish.priority), Reverse(wish.cpus), wish.name));
    let mut room = Room::of(policy, seen, &wishes);
    let mut held = BTreeMap::new();
    for wish in &wishes {
        if let Some(cores) = room.held(wish) {
            room.take(&cores);
            held.insert(wish.name, cores);
        }
    }
    wishes.retain(|wish| wish.by != By::Past || held.contains_key(wish.name));
    for wish in &wishes {
        match room.choose(wish, held.get(wish.name)) {
            Ok(cores) => {
                room.take(&cores);
                seats.own.insert(wish.name.clone(), seat(wish, &cores));
            }
            Err(_) if wish.by != By::Number => {} // nobody asked for a number
            Err(why) => {
                seats.sharing.insert(wish.name.clone(), why);
            }
        }
    }
    let homes = seats.own.keys().flat_map(|name| homes(seen, name));
    seats.homes = homes.map(|home| home.path().clone()).collect();
    if !seats.own.is_empty() {
        let taken = seats.own.values().fold(CpuSet::default(), |all, seat| all.union(&seat.cpus));
        seats.shared = Some((room.usable.without(&taken), taken));
    }
    seats
}

fn wishes<'a>(
    policy: &'a Policy,
    ownership: &Ownership,
    steering: &Steering,
    seen: &Snapshot,
) -> Vec<Wish<'a>> {
    let number = |cpus| usize::try_from(cpus).unwrap_or(usize::MAX);
    let wish = |component: &'a crate::config::Component| {
        let name = &component.name;
        let held = || held(ownership, seen, name);
        let (by, balanced, cpus) = match component.cpu.affinity {
            Affinity::Dedicated(cpus) => (By::Number, false, number(cpus)),
            Affinity::Balanced(cpus) => (By::Number, true, number(cpus)),
            Affinity::Auto => match steering.choice(name) {
                Some(Choice::Own { cpus, balanced }) => (By::Choice, balanced, cpus),
                Some(Choice::Shared) => return None,
                None => (By::Past, false, held()?.len()),
            },
            Affinity::Shared | Affinity::Cpus(_) => return None,
        };
        is_there(seen, name).then(|| Wish {
            name,
            priority: component.priority,
            balanced,
            cpus,
            by,
            within: within(seen, name),
            held: held(),
        })
    };
    policy.components.values().filter_map(wish).collect()
}

fn homes<'a>(seen: &'a Snapshot, name: &ComponentName) -> &'a [Home] {
    seen.homes.get(name).map(Vec::as_slice).unwrap_or_default()
}

fn is_there(seen: &Snapshot, name: &ComponentName) -> bool {
    !homes(seen, name).is_empty() || seen.strays.iter().any(|stray| stray.component == *name)
}

/// What every group above the component's homes has.
fn within(seen: &Snapshot, name: &ComponentName) -> Option<CpuSet> {
    let above = homes(seen, name).iter().flat_map(|home| home.path().ancestors());
    let lists =
        above.filter_map(|path| match seen.groups.get(&path)?.knob(KnobKind::CpusetCpus).value() {
            Some(Knob::CpusetCpus(cpus)) if !cpus.is_empty() => Some(cpus.clone()),
            _ => None,
        });
    lists.reduce(|all, cpus| all.intersection(&cpus))
}

/// What provost wrote for the component last.
fn held(ownership: &Ownership, seen: &Snapshot, name: &ComponentName) -> Option<CpuSet> {
    let paths: BTreeSet<&CgroupPath> = homes(seen, name).iter().map(Home::path).collect();
    paths.into_iter().find_map(|path| {
        match &ownership.record(path, KnobKind::CpusetCpus)?.effective {
            Some(Knob::CpusetCpus(cpus)) => Some(cpus.clone()),
            _ => None,
        }
    })
}

/// What two components have is no seat of either: it is what others left to them, though it may be as large as a seat.
fn forget_shared(wishes: &mut [Wish<'_>], policy: &Policy, ownership: &Ownership, seen: &Snapshot) {
    let has = |name| held(ownership, seen, name).map(|cpus| (name, cpus));
    let all: Vec<(&ComponentName, CpuSet)> = policy.components.keys().filter_map(has).collect();
    for wish in wishes {
        let name = wish.name;
        let is_shared = |cpus: &CpuSet| {
            all.iter().any(|(other, has)| *other != name && !has.intersection(cpus).is_empty())
        };
        wish.held = wish.held.take().filter(|cpus| !is_shared(cpus));
    }
}

/// What can still be given away.
struct Room<'a> {
    usable: CpuSet,
    eligible: Vec<&'a Core>,
    free: Vec<&'a Core>,
    /// Half of all.
    most_cores: usize,
    /// So many cores more, until those are taken.
    cores_left: usize,
    /// So many CPUs more, until the others have the least.
    cpus_left: usize,
    /// What must stay shared.
    least_shared: usize,
}

impl<'a> Room<'a> {
    fn of(policy: &Policy, seen: &'a Snapshot, wishes: &[Wish<'_>]) -> Self {
        let topology = &seen.host.topology;
        let is_usable = |core: &&Core| core.cpus.intersection(&topology.isolated).is_empty();
        let cores: Vec<&Core> = topology.cores.iter().filter(is_usable).collect();
        let usable = cores.iter().fold(CpuSet::default(), |all, core| all.union(&core.cpus));
        let named = named(policy);
        let system_core = seen.host.online.len() >= SYSTEM_CORE_FROM;
        let is_eligible = |core: &&&Core| {
            core.cpus.intersection(&named).is_empty() && !(system_core && core.cpus.contains(0))
        };
        let eligible: Vec<&Core> = cores.iter().filter(is_eligible).copied().collect();
        let least = if seen.host.online.len() <= 2 { 1 } else { 2 };
        let least_shared = guaranteed(policy, seen, wishes).max(least);
        Self {
            free: eligible.clone(),
            eligible,
            most_cores: cores.len() / 2,
            cores_left: cores.len() / 2,
            cpus_left: usable.len().saturating_sub(least_shared),
            least_shared,
            usable,
        }
    }

    /// The cores that the component has, if they are what it asks for.
    fn held(&self, wish: &Wish<'_>) -> Option<Vec<&'a Core>> {
        let held = wish.held.as_ref()?;
        let mut cores = allowed(&self.free, wish);
        cores.retain(|core| core.cpus.is_subset(held));
        let most = cores.iter().map(|core| core.cpus.len()).max()?;
        let is_asked = (wish.cpus..wish.cpus.saturating_add(most)).contains(&held.len());
        let fits = is_asked && size(&cores) == held.len() && self.bounds(&cores).is_ok();
        fits.then_some(cores)
    }

    /// The best cores that are free, or those that are reserved for it where these are no better.
    fn choose(
        &mut self,
        wish: &Wish<'_>,
        held: Option<&Vec<&'a Core>>,
    ) -> Result<Vec<&'a Core>, String> {
        if let Some(held) = held {
            self.free_again(held);
        }
        let free = allowed(&self.free, wish);
        let best = if wish.balanced {
            balanced(&free, wish.cpus)
        } else {
            dedicated(free.clone(), wish.cpus)
        };
        if let Some(held) = held {
            // Where cores differ in threads, a larger seat may be nearer by chance, and the next look would choose the other again.
            let better = best.filter(|best| {
                self.distance(wish, best) < self.distance(wish, held)
                    && size(best) <= size(held)
                    && self.bounds(best).is_ok()
            });
            return Ok(better.unwrap_or_else(|| held.clone()));
        }
        let cores = best.ok_or_else(|| {
            let most = size(&allowed(&self.eligible, wish));
            format!("of {most} CPUs that it may have, whole cores that no other component names or has, too few are free")
        })?;
        let why = match self.bounds(&cores) {
            Ok(()) => return Ok(cores),
            Err(why) => why,
        };
        // Where cores differ in threads, fewer may do, or smaller ones.
        let others = [by_size(&free, wish.cpus, true), by_size(&free, wish.cpus, false)];
        others.into_iter().find(|cores| self.bounds(cores).is_ok()).ok_or(why)
    }

    /// How far a seat is from what is wished; only a great difference is worth a move.
    fn distance(&self, wish: &Wish<'_>, seat: &[&Core]) -> usize {
        let (caches, nodes) = (by_cache(seat).len(), by_node(seat).len());
        let all = self.eligible.len();
        match (wish.balanced, by_node(&self.eligible).len()) {
            (true, 1) => all.saturating_sub(caches),
            (true, _) => all.saturating_sub(nodes),
            (false, _) => usize::from(caches > 1) + usize::from(nodes > 1),
        }
    }

    fn bounds(&self, cores: &[&Core]) -> Result<(), String> {
        if cores.len() > self.cores_left {
            return Err(format!(
                "half of the cores stay shared: all that have some of their own may have {} together",
                self.most_cores
            ));
        }
        if size(cores) > self.cpus_left {
            return Err(format!("{} CPUs stay shared by all others", self.least_shared));
        }
        Ok(())
    }

    fn take(&mut self, cores: &[&'a Core]) {
        self.free.retain(|core| !cores.contains(core));
        self.cores_left = self.cores_left.saturating_sub(cores.len());
        self.cpus_left = self.cpus_left.saturating_sub(size(cores));
    }

    fn free_again(&mut self, cores: &[&'a Core]) {
        self.free.extend(cores);
        self.cores_left += cores.len();
        self.cpus_left += size(cores);
    }
}

fn seat(wish: &Wish<'_>, cores: &[&Core]) -> Seat {
    let cpus = cores.iter().fold(CpuSet::default(), |all, core| all.union(&core.cpus));
    let reason = Reason::OwnCpus {
        asked: wish.cpus,
        balanced: wish.balanced,
        cores: cores.len(),
        caches: by_cache(cores).len(),
        nodes: by_node(cores).len(),
    };
    Seat { cpus, reason }
}

/// The CPUs that components name themselves.
fn named(policy: &Policy) -> CpuSet {
    let lists = policy.components.values().filter_map(|component| match &component.cpu.affinity {
        Affinity::Cpus(cpus) => Some(cpus),
        Affinity::Shared | Affinity::Auto | Affinity::Dedicated(_) | Affinity::Balanced(_) => None,
    });
    lists.fold(CpuSet::default(), |all, cpus| all.union(cpus))
}

/// The whole CPUs that are guaranteed to those who ask for none of their own.
fn guaranteed(policy: &Policy, seen: &Snapshot, wishes: &[Wish<'_>]) -> usize {
    let shares = |name| is_there(seen, name) && wishes.iter().all(|wish| wish.name != name);
    let sharing = policy.components.values().filter(|component| shares(&component.name));
    let sum = sharing.map(|component| component.cpu.guarantee).fold(Millicpu::ZERO, Millicpu::plus);
    usize::try_from(sum.0.div_ceil(1000)).unwrap_or(usize::MAX)
}

fn allowed<'a>(cores: &[&'a Core], wish: &Wish<'_>) -> Vec<&'a Core> {
    let is_within =
        |core: &&&Core| wish.within.as_ref().is_none_or(|within| core.cpus.is_subset(within));
    cores.iter().filter(is_within).copied().collect()
}

fn size(cores: &[&Core]) -> usize {
    cores.iter().map(|core| core.cpus.len()).sum()
}

type Groups<'a> = BTreeMap<u32, Vec<&'a Core>>;

fn by_cache<'a>(cores: &[&'a Core]) -> Groups<'a> {
    grouped(cores, |core| core.cache)
}

fn by_node<'a>(cores: &[&'a Core]) -> Groups<'a> {
    grouped(cores, |core| core.node)
}

fn grouped<'a>(cores: &[&'a Core], key: fn(&Core) -> u32) -> Groups<'a> {
    let mut groups = Groups::new();
    for core in cores {
        groups.entry(key(core)).or_default().push(core);
    }
    groups
}

/// Cores for `cpus` CPUs, as near to each other as can be; none where there are too few.
fn dedicated(mut free: Vec<&Core>, cpus: usize) -> Option<Vec<&Core>> {
    let mut seat = Vec::new();
    if size(&free) < cpus {
        return None;
    }
    // Each round but the last takes a whole cache or node.
    while size(&seat) < cpus {
        let missing = cpus - size(&seat);
        let (caches, nodes) = (by_cache(&free), by_node(&free));
        let taken = if let Some(cache) = fullest(&caches, missing) {
            first_cores(cache, missing)
        } else if let Some(node) = fullest(&nodes, missing) {
            // The rest comes from the same node.
            free.clone_from(node);
            largest(&by_cache(node))
        } else {
            largest(&nodes)
        };
        free.retain(|core| !taken.contains(core));
        if taken.is_empty() {
            return None;
        }
        seat.extend(taken);
    }
    Some(seat)
}

/// The group with the least room that is enough.
fn fullest<'g, 'a>(groups: &'g Groups<'a>, cpus: usize) -> Option<&'g Vec<&'a Core>> {
    let enough = groups.values().filter(|group| size(group) >= cpus);
    enough.min_by_key(|group| size(group))
}

/// The group with the most room, of several the first.
fn largest<'a>(groups: &Groups<'a>) -> Vec<&'a Core> {
    let largest = groups.iter().max_by_key(|(id, group)| (size(group), Reverse(**id)));
    largest.map(|(_, group)| group.clone()).unwrap_or_default()
}

/// The lowest cores until there are enough CPUs, that of CPU 0 last.
fn first_cores<'a>(group: &[&'a Core], cpus: usize) -> Vec<&'a Core> {
    let mut seat = Vec::new();
    for core in in_order(group) {
        if size(&seat) >= cpus {
            break;
        }
        seat.push(core);
    }
    seat
}

/// The largest cores, or the smallest, until there are enough CPUs.
fn by_size<'a>(free: &[&'a Core], cpus: usize, largest: bool) -> Vec<&'a Core> {
    let mut cores = in_order(free);
    cores.sort_by_key(|core| core.cpus.len());
    if largest {
        cores.reverse();
    }
    let mut sum = 0;
    cores.retain(|core| {
        let is_needed = sum < cpus;
        sum += core.cpus.len();
        is_needed
    });
    cores
}

fn in_order<'a>(group: &[&'a Core]) -> Vec<&'a Core> {
    let mut cores = group.to_vec();
    cores.sort_by_key(|core| (core.cpus.contains(0), *core));
    cores
}

/// Cores for `cpus` CPUs, spread over nodes and caches; none where there are too few.
fn balanced<'a>(free: &[&'a Core], cpus: usize) -> Option<Vec<&'a Core>> {
    let mut seat: Vec<&Core> = Vec::new();
    while size(&seat) < cpus {
        let node = least_used(&by_node(free), &by_node(&seat))?;
        let cache = least_used(&by_cache(&node), &by_cache(&seat))?;
        seat.push(in_order(&cache).into_iter().find(|core| !seat.contains(core))?);
    }
    Some(seat)
}

/// The group of which the smallest part is in use and not all; of several the largest, of these the first.
fn least_used<'a>(groups: &Groups<'a>, used: &Groups<'a>) -> Option<Vec<&'a Core>> {
    let in_use = |id: &u32| used.get(id).map_or(0, Vec::len);
    let open = groups.iter().filter(|(id, group)| in_use(id) < group.len());
    let least = open.min_by(|(a, one), (b, other)| {
        let (part, other_part) = (in_use(a) * other.len(), in_use(b) * one.len());
        part.cmp(&other_part).then(other.len().cmp(&one.len())).then(a.cmp(b))
    });
    least.map(|(_, group)| group.clone())
}

#[cfg(test)]
mod tests;
