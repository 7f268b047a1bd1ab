//! Memory in one tick: charging, slowing down above `memory.high`, killing at `memory.max`, and what the host takes back.
//!
//! **Problem.** Memory that one group takes is gone for the others; who must give some back depends on protections that count only as
//! far as the ancestors have them.
//!
//! **Approach.** Each leaf has anonymous memory, file pages and swap. What it wants more is charged leaf by leaf; every limit on the way
//! up can reclaim, delay or kill, with the kernel's own rules.
//!
//! **Terms.** *refault*: a page that was evicted and is wanted back. *excess*: memory above the effective protection.
//!
//! **Algorithm.** Above `memory.high` the group is reclaimed; what remains above it delays each batch of 64 pages by 64 times the square
//! of the overage ratio in seconds, at most 2 s, and not at all below 10 ms (`mm/memcontrol.c`). At `memory.max`, and at the end of
//! the host's memory, reclaim comes first and then the OOM killer, which takes the leaf with the most memory. See `reclaim` for who
//! gives. A tenth of what is missing is wanted back in each tick.
//!
//! **Properties.** No group is above its `memory.max`, the host never above its memory; host reclaim never touches what is
//! within the effective `memory.min`. Left out: dirty pages, slab, sockets, zswap, the disk time of swapping out; a kill takes the whole leaf.

use super::group::{Group, TICK};
use super::reclaim::{Pool, reclaim};
use super::share::{Tree, scaled};

/// Pages are charged in batches of 64.
const BATCH: u64 = 64 * 4096;
/// The longest sleep of one batch, and the shortest that is slept at all.
const LONGEST_DELAY: u64 = 2_000_000;
const SHORTEST_DELAY: u64 = 10_000;
/// What a killed program needs to run again.
const RESTART: u64 = 1_000_000;

/// The host's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host {
    /// What can be charged to groups.
    pub(super) memory: u64,
    /// Swap that is left.
    pub(super) swap_left: u64,
    /// What may still be swapped out in this tick.
    pub(super) swap_out: u64,
}

/// Frees and charges. `turn` says with which group to begin, `now` is the model's clock.
pub(super) fn tick(tree: &Tree, groups: &mut [Group], host: &mut Host, (turn, now): (usize, u64)) {
    let count = groups.len();
    for number in 0..count {
        shrink(tree, groups, host, number);
    }
    for number in 1..count {
        limit_was_lowered(tree, groups, host, (number, now));
    }
    for step in 0..count {
        let number = (turn + step) % count.max(1);
        let Some(wanted) = wanted(groups, number) else { continue };
        charge(tree, groups, host, (number, wanted, now));
    }
}

/// Gives a leaf what it read back. To be called after the disks' ticks.
pub(super) fn read_back(tree: &Tree, groups: &mut [Group], host: &mut Host) {
    for number in 0..groups.len() {
        let Some(leaf) = groups.get(number).and_then(|group| group.leaf.as_ref()) else {
            continue;
        };
        if leaf.refault_file + leaf.refault_swap == 0 {
            continue;
        }
        let room = room(tree, groups, host, number);
        let Some(leaf) = groups.get_mut(number).and_then(|group| group.leaf.as_mut()) else {
            continue;
        };
        let swap = leaf.refault_swap.min(leaf.swap).min(room);
        let file = leaf.refault_file.min(room - swap);
        leaf.file += file;
        leaf.anon += swap;
        leaf.swap -= swap;
        host.swap_left += swap;
        (leaf.refault_file, leaf.refault_swap) = (0, 0);
        if let Some(group) = groups.get_mut(number) {
            group.counters.refaults += (file + swap) / 4096;
        }
        add(tree, groups, number, file + swap);
        unswap(tree, groups, number, swap);
    }
}

/// Gives a leaf what it wants as far as there is room, without reclaim: for the time before the model starts.
pub(super) fn fill(tree: &Tree, groups: &mut [Group], host: &Host, number: usize) {
    let room = room(tree, groups, host, number);
    let Some(leaf) = groups.get_mut(number).and_then(|group| group.leaf.as_mut()) else { return };
    leaf.anon = leaf.demand.memory.min(room);
    leaf.file = leaf.demand.cache.min(room - leaf.anon);
    let resident = leaf.resident();
    add(tree, groups, number, resident);
}

/// What the limits above a leaf leave.
fn room(tree: &Tree, groups: &[Group], host: &Host, number: usize) -> u64 {
    let left = |above: usize| {
        let Some(group) = groups.get(above) else { return 0 };
        let max = if above == 0 { host.memory } else { group.knobs.set.max };
        max.saturating_sub(group.memory)
    };
    tree.upward(number).map(left).min().unwrap_or(0)
}

/// Frees what the program does not want any more, unless it stands still.
fn shrink(tree: &Tree, groups: &mut [Group], host: &mut Host, number: usize) {
    let running = groups.get_mut(number).filter(|group| !group.knobs.set.frozen);
    let Some(leaf) = running.and_then(|group| group.leaf.as_mut()) else { return };
    let surplus = (leaf.anon + leaf.swap).saturating_sub(leaf.demand.memory);
    let from_swap = surplus.min(leaf.swap);
    let from_anon = surplus - from_swap;
    let from_file = leaf.file.saturating_sub(leaf.demand.cache);
    if surplus + from_file == 0 {
        return;
    }
    leaf.swap -= from_swap;
    leaf.anon -= from_anon;
    leaf.file -= from_file;
    host.swap_left += from_swap;
    take(tree, groups, number, from_anon + from_file);
    unswap(tree, groups, number, from_swap);
}

/// A `memory.max` below the usage reclaims, then kills; a `memory.high` below it reclaims.
fn limit_was_lowered(
    tree: &Tree,
    groups: &mut [Group],
    host: &mut Host,
    (number, now): (usize, u64),
) {
    let Some(group) = groups.get(number) else { return };
    let (usage, high, max) = (group.memory, group.knobs.set.high, group.knobs.set.max);
    if usage > high.min(max) {
        reclaim(tree, groups, host, (Pool::Group(number), usage - high.min(max)));
    }
    while groups.get(number).is_some_and(|group| group.memory > max) {
        if !kill(tree, groups, host, (number, now)) {
            break;
        }
    }
}

/// What a leaf wants to charge: new memory, and evicted pages back. None for nothing.
fn wanted(groups: &mut [Group], number: usize) -> Option<u64> {
    let group = groups.get_mut(number)?;
    let frozen = group.knobs.set.frozen;
    let leaf = group.leaf.as_mut()?;
    if frozen || leaf.dead_until.is_some() {
        return None;
    }
    if leaf.delay > 0 {
        let slept = leaf.delay.min(TICK);
        leaf.delay -= slept;
        leaf.lived.memory_stall = slept;
    }
    if leaf.delay > 0 {
        return None;
    }
    let new = leaf.demand.memory.saturating_sub(leaf.anon + leaf.swap);
    // What is touched comes back: a program uses all of its memory about once a second.
    let touched = |missing: u64| missing.div_ceil(10).next_multiple_of(4096).min(missing);
    leaf.refault_file = touched(leaf.demand.cache.saturating_sub(leaf.file));
    // The coldest pages were swapped out first.
    let cold = scaled(leaf.demand.memory, leaf.load.cold, 100);
    leaf.refault_swap = touched(leaf.swap.saturating_sub(cold));
    let wanted = new + leaf.refault_file + leaf.refault_swap;
    (wanted > 0).then_some(wanted)
}

/// Charges new memory as far as the limits above allow, and cuts what is read back to what is left.
fn charge(
    tree: &Tree,
    groups: &mut [Group],
    host: &mut Host,
    (number, wanted, now): (usize, u64, u64),
) {
    let mut room = wanted;
    let path: Vec<usize> = tree.upward(number).collect();
    for above in path {
        room = room.min(slowed(tree, groups, host, (number, above, room)));
        loop {
            let Some(group) = groups.get(above) else { return };
            let max = if above == 0 { host.memory } else { group.knobs.set.max };
            let over = (group.memory + room).saturating_sub(max);
            if over == 0 {
                break;
            }
            if let Some(group) = groups.get_mut(above).filter(|_| above != 0) {
                group.counters.memory_max += 1;
            }
            let pool = if above == 0 { Pool::Host } else { Pool::Group(above) };
            let freed = reclaim(tree, groups, host, (pool, over));
            if freed >= over {
                break;
            }
            stall(groups, number, TICK / 2);
            if freed == 0 && !kill(tree, groups, host, (above, now)) {
                room = room.saturating_sub(over);
                break;
            }
            let gone =
                |group: &Group| group.leaf.as_ref().is_none_or(|leaf| leaf.dead_until.is_some());
            if groups.get(number).is_none_or(gone) {
                return;
            }
        }
    }
    take_up(tree, groups, number, room);
}

/// The leaf takes `room` bytes: first new memory at once, the rest is what may be read back.
fn take_up(tree: &Tree, groups: &mut [Group], number: usize, room: u64) {
    let Some(leaf) = groups.get_mut(number).and_then(|group| group.leaf.as_mut()) else { return };
    let new = leaf.demand.memory.saturating_sub(leaf.anon + leaf.swap).min(room);
    leaf.anon += new;
    let left = room - new;
    leaf.refault_swap = leaf.refault_swap.min(leaf.swap).min(left);
    leaf.refault_file = leaf.refault_file.min(left - leaf.refault_swap);
    add(tree, groups, number, new);
}

/// What `memory.high` of one group above leaves of a charge in this tick: all that stays below it, and above it one batch after the other,
/// each with its sleep, as long as the tick lasts.
fn slowed(
    tree: &Tree,
    groups: &mut [Group],
    host: &mut Host,
    (number, above, room): (usize, usize, u64),
) -> u64 {
    let Some(group) = groups.get_mut(above) else { return 0 };
    let high = group.knobs.set.high;
    let over = (group.memory + room).saturating_sub(high);
    if over == 0 {
        return room;
    }
    group.counters.memory_high += 1;
    reclaim(tree, groups, host, (Pool::Group(above), over));
    let memory = groups.get(above).map_or(0, |group| group.memory);
    let Some(leaf) = groups.get_mut(number).and_then(|group| group.leaf.as_mut()) else {
        return 0;
    };
    let threads = leaf.demand.threads.max(1);
    let (mut charged, mut asleep) = (high.saturating_sub(memory).min(room), 0);
    while charged < room && asleep < TICK * threads {
        let delay = delay((memory + charged).saturating_sub(high), high);
        if delay < SHORTEST_DELAY {
            charged += shortest_delay_at(high).saturating_sub(memory + charged).max(BATCH);
        } else {
            (charged, asleep) = (charged + BATCH, asleep + delay);
        }
    }
    let asleep = asleep / threads;
    leaf.delay += asleep;
    leaf.lived.memory_stall = leaf.lived.memory_stall.max(asleep.min(TICK));
    charged.min(room)
}

/// The sleep of one batch: 64 s times the square of the overage ratio, in microseconds.
fn delay(over: u64, high: u64) -> u64 {
    let ratio = scaled(over, 1_000_000, high.max(4096));
    scaled(ratio.saturating_mul(ratio), 64, 1_000_000).min(LONGEST_DELAY)
}

/// The usage below which no batch sleeps: an eightieth above `memory.high`, where the square comes to 10 ms.
const fn shortest_delay_at(high: u64) -> u64 {
    high.saturating_add(high / 80)
}

fn stall(groups: &mut [Group], number: usize, usec: u64) {
    if let Some(leaf) = groups.get_mut(number).and_then(|group| group.leaf.as_mut()) {
        leaf.lived.memory_stall = (leaf.lived.memory_stall + usec).min(TICK);
    }
}

/// Kills the largest leaf at or below `below`; false when there is none.
fn kill(tree: &Tree, groups: &mut [Group], host: &mut Host, (below, now): (usize, u64)) -> bool {
    let mut victim: Option<(u64, usize)> = None;
    for (number, group) in groups.iter().enumerate() {
        let Some(leaf) = &group.leaf else { continue };
        let size = leaf.anon + leaf.swap;
        let inside = leaf.dead_until.is_none() && tree.upward(number).any(|above| above == below);
        if inside && size > 0 && victim.is_none_or(|(largest, _)| size > largest) {
            victim = Some((size, number));
        }
    }
    let Some((_, number)) = victim else { return false };
    end(tree, groups, host, (number, now));
    for above in tree.upward(number) {
        if let Some(group) = groups.get_mut(above) {
            group.oom_kills += 1;
        }
    }
    true
}

/// Ends a leaf's program for a while.
pub(super) fn end(tree: &Tree, groups: &mut [Group], host: &mut Host, (number, now): (usize, u64)) {
    if let Some(leaf) = groups.get_mut(number).and_then(|group| group.leaf.as_mut()) {
        leaf.dead_until = Some(now + RESTART);
        leaf.lived.killed = true;
    }
    empty(tree, groups, host, number);
}

/// Takes everything from a leaf: it was killed, or its unit is restarted.
pub(super) fn empty(tree: &Tree, groups: &mut [Group], host: &mut Host, number: usize) {
    let Some(leaf) = groups.get_mut(number).and_then(|group| group.leaf.as_mut()) else { return };
    let (resident, swap) = (leaf.resident(), leaf.swap);
    (leaf.anon, leaf.file, leaf.swap, leaf.delay) = (0, 0, 0, 0);
    (leaf.refault_file, leaf.refault_swap) = (0, 0);
    host.swap_left += swap;
    take(tree, groups, number, resident);
    unswap(tree, groups, number, swap);
}

fn add(tree: &Tree, groups: &mut [Group], number: usize, bytes: u64) {
    for above in tree.upward(number) {
        if let Some(group) = groups.get_mut(above) {
            group.memory += bytes;
        }
    }
}

/// Uncharges a leaf and all above it.
pub(super) fn take(tree: &Tree, groups: &mut [Group], number: usize, bytes: u64) {
    for above in tree.upward(number) {
        if let Some(group) = groups.get_mut(above) {
            group.memory = group.memory.saturating_sub(bytes);
        }
    }
}

fn unswap(tree: &Tree, groups: &mut [Group], number: usize, bytes: u64) {
    for above in tree.upward(number) {
        if let Some(group) = groups.get_mut(above) {
            group.swap = group.swap.saturating_sub(bytes);
        }
    }
}
