//! Tasks: forks fail at `pids.max` of any group above, and at the host's limit.
//!
//! **Problem.** A fork bomb takes process numbers from everybody; where it has a limit it only hurts itself.
//!
//! **Approach.** Each leaf wants a number of tasks; it has fewer where a fork failed.
//!
//! **Terms.** *room*: what the tightest limit above leaves.
//!
//! **Algorithm.** Leaf by leaf in turn, starting at another one each tick, so that no leaf is served first for ever; growth is cut to the
//! room. Fewer tasks than wanted do less: the demand of the leaf shrinks alike.
//!
//! **Properties.** No group above its limit by forks; a limit that is set below what is there kills nobody.

use super::group::Group;
use super::program::LARGEST;
use super::share::{Tree, scaled};

/// Forks and ends tasks. `turn` says with which group to begin.
pub(super) fn tick(tree: &Tree, groups: &mut [Group], pid_max: u64, turn: usize) {
    let count = groups.len();
    for step in 0..count {
        let number = (turn + step) % count.max(1);
        let Some(group) = groups.get(number) else { continue };
        let Some(leaf) = &group.leaf else { continue };
        let (has, wants) = (group.pids, leaf.demand.pids);
        if has == wants {
            continue;
        }
        let mut room = pid_max.saturating_sub(groups.first().map_or(0, |root| root.pids));
        for above in tree.upward(number) {
            let left = |group: &Group| group.knobs.set.pids_max.saturating_sub(group.pids);
            room = room.min(groups.get(above).map_or(0, left));
        }
        let refuses = |group: &Group| {
            let left = group.knobs.set.pids_max.saturating_sub(group.pids);
            left == room && left < wants.saturating_sub(has)
        };
        for above in tree.upward(number) {
            if let Some(group) = groups.get_mut(above).filter(|group| refuses(group)) {
                group.counters.forks_refused += 1;
            }
        }
        let after = if wants > has { has + room.min(wants - has) } else { wants };
        for above in tree.upward(number) {
            if let Some(group) = groups.get_mut(above) {
                group.pids = (group.pids + after) - has;
            }
        }
    }
    for group in groups.iter_mut() {
        let has = group.pids;
        let Some(leaf) = &mut group.leaf else { continue };
        let demand = &mut leaf.demand;
        leaf.lived.tasks = if demand.pids == 0 { 1000 } else { scaled(1000, has, demand.pids) };
        let per_task = leaf.load.cpu_per_task;
        if has < demand.pids {
            demand.cpu = scaled(demand.cpu, has, demand.pids);
            demand.read = scaled(demand.read, has, demand.pids);
            demand.write = scaled(demand.write, has, demand.pids);
        }
        // A thousandth of a core is a hundred microseconds of a tick.
        demand.cpu += has.saturating_mul(per_task) * 100;
        let of_tasks = has.saturating_mul(leaf.load.memory_per_task);
        demand.memory = demand.memory.saturating_add(of_tasks).min(LARGEST);
        demand.threads = demand.threads.min(has.max(1));
    }
}
