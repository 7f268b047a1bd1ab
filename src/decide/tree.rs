//! What must be carried through the ancestors: weights that add up to the entitlement, and protection.
//!
//! **Problem.** A weight divides CPU among siblings only, so a home's share of the host is the product of the shares along its
//! path; and `memory.low` of a leaf counts only as far as every ancestor has it too
//! (`Documentation/admin-guide/cgroup-v2.rst`, memory.low; `mm/page_counter.c`, effective protection).
//!
//! **Approach.** Give every group on the way the sum of what lies below it. What is not registered keeps its own weights; the CPU left
//! to it (the reserve, and whatever ceilings leave over) is divided evenly among the places where unregistered groups run.
//!
//! **Terms.** *rest*: online CPUs less all entitlements. *place*: a group with unregistered populated children. *node*: a home or an
//! ancestor of one, below the root.
//!
//! **Algorithm.** Entitlement of a node = sum of its homes' parts + one place's rest for every place at or below it. Among the
//! children of a group with unregistered weight `u` and place rest `p`, a node of entitlement `e` gets weight `ceil(e * u / p)`, so that the
//! unregistered ones together get `p`; without unregistered siblings the largest gets 5000. If one would exceed 10000, all
//! nodes of the set shrink alike. A node with nothing but idle components at or below it is idle itself: a weight, however small, would
//! be theirs when its siblings sleep.
//!
//! **Properties.** Along any path the product of shares gives at least the home's entitlement when everybody is busy (within
//! rounding); unregistered groups are never written.

use super::io::{self, Share};
use super::{Case, Housed, cpu};
use crate::config::Component;
use crate::model::{Along, Knob, KnobKind, Reason, Target};
use crate::units::{Bytes, CgroupPath, ComponentName, Limit, Millicpu, Weight};
use std::collections::{BTreeMap, BTreeSet};

const LARGEST: u128 = 10_000;
/// BFQ's weights end here.
const LARGEST_OF_BFQ: u128 = 1000;

/// A node's part of the host's CPUs.
#[derive(Default)]
struct Node<'a> {
    /// Thousandths of a core that its homes are entitled to.
    entitled: u64,
    /// The component, where the node is a home.
    component: Option<&'a Component>,
    /// Whether a component that is not idle lives there or below.
    busy: bool,
}

/// What the homes below a group come to.
#[derive(Default)]
struct Sum {
    entitled: u64,
    busy: bool,
}

/// `cpu.weight`, and where a disk heeds it `io.weight`, of every home and ancestor.
pub(super) fn weights(
    case: &Case<'_>,
    housed: &[Housed<'_>],
    entitlement: &BTreeMap<ComponentName, Millicpu>,
) -> Vec<Target> {
    let nodes = nodes(housed, entitlement);
    let families = families(&nodes);
    let places: BTreeSet<&CgroupPath> = case
        .seen
        .groups
        .iter()
        .filter(|(path, group)| group.unmanaged_weight > 0 && families.contains_key(path.as_str()))
        .map(|(path, _)| path)
        .collect();
    let entitled: u64 = entitlement.values().map(|share| share.0).sum();
    let rest = cpu::capacity(case).0.saturating_sub(entitled);
    // In millionths of a core: a rest of a quarter core over five places must not round to nothing.
    let place_rest = u128::from(rest) * 1000 / u128::try_from(places.len().max(1)).unwrap_or(1);
    let below = counted_up(&places);
    let amount = |path: &CgroupPath, node: &Node<'_>| {
        let below = below.get(path).copied().unwrap_or_default();
        u128::from(node.entitled) * 1000 + place_rest * below
    };
    let of = cpu::allocatable(case);
    let mut targets = Vec::new();
    for (parent, children) in &families {
        let siblings: Vec<(&CgroupPath, &Node<'_>, u128)> =
            children.iter().map(|(path, node)| (*path, *node, amount(path, node))).collect();
        let unmanaged = case.seen.groups.get(*parent).map_or(0, |group| group.unmanaged_weight);
        let mut groups = Along::new(&case.seen.groups);
        let rest = (u128::from(unmanaged), place_rest);
        let common = sibling_weights(&siblings, rest, LARGEST);
        let bfq = sibling_weights(&siblings, rest, LARGEST_OF_BFQ);
        for ((path, node, _), (common, bfq)) in
            siblings.into_iter().zip(common.into_iter().zip(bfq))
        {
            let idle = !node.busy && !below.contains_key(path);
            let reason = Reason::Entitlement { share: Millicpu(node.entitled), of };
            let cpu = if idle { (Weight::IDLE, Reason::Idle) } else { (common, reason.clone()) };
            let target = |knob, reason| Target {
                component: node.component.map(|component| component.name.clone()),
                at: path.clone(),
                knob,
                reason,
            };
            targets.push(target(Knob::CpuWeight(cpu.0), cpu.1));
            if node.component.is_none_or(|component| component.io_weight.is_none()) {
                let shares = io::weights(case, groups.get(path), Share { common, bfq });
                targets.extend(shares.into_iter().map(|knob| target(knob, reason.clone())));
            }
        }
    }
    targets
}

fn nodes<'a>(
    housed: &[Housed<'a>],
    entitlement: &BTreeMap<ComponentName, Millicpu>,
) -> BTreeMap<CgroupPath, Node<'a>> {
    let mut nodes: BTreeMap<CgroupPath, Node<'_>> = BTreeMap::new();
    // Most homes share a parent, so the way up is gone once for all of them.
    let mut by_parent: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut entitlement = Along::new(entitlement);
    for component in housed {
        let share = entitlement.get(&component.component.name).copied().unwrap_or_default();
        let each = (share.0 / component.parts()).max(1);
        let busy = !component.component.is_idle();
        for home in component.homes {
            if home.path().is_root() {
                continue;
            }
            let node = nodes.entry(home.path().clone()).or_default();
            node.component = Some(component.component);
            node.entitled += each;
            node.busy |= busy;
            let sum = by_parent.entry(home.path().above()).or_default();
            sum.entitled += each;
            sum.busy |= busy;
        }
    }
    for (parent, sum) in by_parent {
        let parent = CgroupPath::new(parent);
        let above: Vec<CgroupPath> = parent.ancestors().collect();
        for path in std::iter::once(parent).chain(above).filter(|path| !path.is_root()) {
            let node = nodes.entry(path).or_default();
            node.entitled += sum.entitled;
            node.busy |= sum.busy;
        }
    }
    nodes
}

/// The nodes right below each group that has any.
fn families<'a, 'b>(
    nodes: &'a BTreeMap<CgroupPath, Node<'b>>,
) -> BTreeMap<&'a str, Vec<(&'a CgroupPath, &'a Node<'b>)>> {
    let mut families: BTreeMap<&str, Vec<(&CgroupPath, &Node<'_>)>> = BTreeMap::new();
    for (path, node) in nodes.iter().filter(|(path, _)| !path.is_root()) {
        families.entry(path.above()).or_default().push((path, node));
    }
    families
}

/// How many of `places` are at or below each group.
fn counted_up(places: &BTreeSet<&CgroupPath>) -> BTreeMap<CgroupPath, u128> {
    let mut below = BTreeMap::new();
    for place in places {
        for path in std::iter::once((*place).clone()).chain(place.ancestors()) {
            *below.entry(path).or_default() += 1;
        }
    }
    below
}

/// Weights of at most `most` that divide by amount, also against the unregistered siblings' weight and rest.
fn sibling_weights(
    siblings: &[(&CgroupPath, &Node<'_>, u128)],
    (unmanaged, place_rest): (u128, u128),
    most: u128,
) -> Vec<Weight> {
    let largest = siblings.iter().map(|(_, _, amount)| *amount).max().unwrap_or(1).max(1);
    // weight = amount * numerator / denominator
    let (numerator, denominator) =
        if unmanaged > 0 && place_rest > 0 { (unmanaged, place_rest) } else { (most / 2, largest) };
    let too_large = largest * numerator > most * denominator;
    let (numerator, denominator) =
        if too_large { (most, largest) } else { (numerator, denominator) };
    siblings
        .iter()
        .map(|(_, _, amount)| {
            let weight = (amount * numerator).div_ceil(denominator);
            Weight::clamped(u64::try_from(weight).unwrap_or(u64::MAX))
        })
        .collect()
}

/// `memory.low` and `memory.min` of every ancestor: what it had before, and the sum of what is protected below it.
pub(super) fn protections(case: &Case<'_>, targets: &[Target]) -> Vec<Target> {
    let mut sums: BTreeMap<(CgroupPath, KnobKind), (Bytes, usize)> = BTreeMap::new();
    for target in targets {
        let (Knob::MemoryLow(Limit::At(bytes)) | Knob::MemoryMin(Limit::At(bytes))) = target.knob
        else {
            continue;
        };
        for above in target.at.ancestors().filter(|path| !path.is_root()) {
            let (sum, homes) = sums.entry((above, target.knob.kind())).or_default();
            *sum = sum.plus(bytes);
            *homes += 1;
        }
    }
    sums.into_iter()
        .map(|((at, kind), (sum, homes))| {
            let is_low = kind == KnobKind::MemoryLow;
            let wrap = |limit| if is_low { Knob::MemoryLow(limit) } else { Knob::MemoryMin(limit) };
            // What the group had protects others in it, the agent in provost.slice for one: ours comes on top.
            let before = match case.ownership.original(case.seen, &at, kind) {
                Some(Knob::MemoryLow(limit) | Knob::MemoryMin(limit)) => *limit,
                _ => Limit::At(Bytes::ZERO),
            };
            let knob = wrap(before.map(|before| before.plus(sum)));
            Target { component: None, at, knob, reason: Reason::CarriedUp { homes } }
        })
        .collect()
}

#[cfg(test)]
mod tests;
