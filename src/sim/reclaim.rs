//! Who gives memory back, and how much: in proportion to what each has above its effective protection.
//!
//! **Problem.** `memory.low` of a group counts only as far as its ancestors have it; the kernel works this out anew for each reclaim.
//!
//! **Approach.** `mm/page_counter.c`, `effective_protection`, with `memory_recursiveprot` as systemd mounts it.
//!
//! **Terms.** *excess*: what a leaf could give without touching what is protected. *pool*: below which group is reclaimed.
//!
//! **Algorithm.** Effective protection from the pool down; then the leaves give in proportion to their excess, file pages first, then
//! anonymous memory into swap; if that is not enough, `low` is given up as well, `min` never.
//!
//! **Properties.** What is within the effective `min` is never taken; a pool's own protection does not shield it from its own limit.

use super::group::Group;
use super::memory::{Host, take};
use super::share::{Tree, scaled};

/// Below which group is reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// The whole host.
    Host,
    /// One group, because of its own limit.
    Group(usize),
}

/// Frees up to `bytes`; gives what was freed.
pub(super) fn reclaim(
    tree: &Tree,
    groups: &mut [Group],
    host: &mut Host,
    (pool, bytes): (Pool, u64),
) -> u64 {
    let root = match pool {
        Pool::Host => 0,
        Pool::Group(number) => number,
    };
    let mut freed = 0;
    for with_low in [true, false] {
        if freed < bytes {
            let floors = effective(tree, groups, root, with_low);
            freed += pass(tree, groups, host, (&floors, bytes - freed));
        }
    }
    freed
}

/// The effective protection of every group at or below `root`; zero for the others, which do not take part.
pub(super) fn effective(
    tree: &Tree,
    groups: &[Group],
    root: usize,
    with_low: bool,
) -> Vec<Option<u64>> {
    let setting = |group: &Group| {
        let set = &group.knobs.set;
        if with_low { set.low.max(set.min) } else { set.min }
    };
    let claimed =
        |number: &usize| groups.get(*number).map_or(0, |group| setting(group).min(group.memory));
    let mut floors: Vec<Option<u64>> = vec![None; groups.len()];
    if let Some(floor) = floors.get_mut(root) {
        *floor = Some(0);
    }
    for (number, group) in groups.iter().enumerate().skip(root) {
        let Some(above) = floors.get(number).copied().flatten() else { continue };
        let children = tree.children(number);
        let siblings: u64 = children.iter().map(claimed).sum();
        for child in children {
            let Some(one) = groups.get(*child) else { continue };
            let own = claimed(child);
            let floor = if number == root {
                own
            } else if siblings > above {
                scaled(own, above, siblings)
            } else {
                let unclaimed = above - siblings;
                let rest = group.memory.saturating_sub(siblings);
                own + scaled(unclaimed, one.memory - own, rest).min(one.memory - own)
            };
            if let Some(slot) = floors.get_mut(*child) {
                *slot = Some(floor);
            }
        }
    }
    floors
}

/// One round over all leaves of the pool.
fn pass(
    tree: &Tree,
    groups: &mut [Group],
    host: &mut Host,
    (floors, bytes): (&[Option<u64>], u64),
) -> u64 {
    let excesses: Vec<u64> = groups
        .iter()
        .zip(floors)
        .map(|(group, floor)| {
            let (Some(leaf), Some(floor)) = (&group.leaf, floor) else { return 0 };
            let swappable = leaf.anon.min(group.knobs.set.swap_max.saturating_sub(group.swap));
            let swappable = swappable.min(host.swap_left).min(host.swap_out);
            leaf.resident().saturating_sub(*floor).min(leaf.file + swappable)
        })
        .collect();
    let all: u64 = excesses.iter().sum();
    let mut freed = 0;
    for (number, excess) in excesses.into_iter().enumerate() {
        if excess == 0 {
            continue;
        }
        // Rounded up, so that a round frees all that was asked for where there is as much.
        let part = (scaled(excess, bytes, all) + 4096).min(excess).min(bytes - freed);
        freed += evict(tree, groups, host, (number, part));
    }
    freed
}

/// Evicts file pages, then swaps; gives what was freed.
fn evict(tree: &Tree, groups: &mut [Group], host: &mut Host, (number, bytes): (usize, u64)) -> u64 {
    let Some(leaf) = groups.get_mut(number).and_then(|group| group.leaf.as_mut()) else {
        return 0;
    };
    let file = leaf.file.min(bytes);
    leaf.file -= file;
    let swapped = (bytes - file).min(leaf.anon).min(host.swap_left).min(host.swap_out);
    leaf.anon -= swapped;
    leaf.swap += swapped;
    host.swap_left -= swapped;
    host.swap_out -= swapped;
    for above in tree.upward(number) {
        if let Some(group) = groups.get_mut(above) {
            group.swap += swapped;
        }
    }
    take(tree, groups, number, file + swapped);
    file + swapped
}
