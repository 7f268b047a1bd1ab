//! CPU time in one tick: by weight down the tree, within quotas, with the pressure that comes of it.
//!
//! **Problem.** What a group gets depends on its weight among those siblings that want CPU now, on every quota above it, and on the
//! CPUs that it may use.
//!
//! **Approach.** A tick is one round of the scheduler: needs, cut by what the quotas leave, are divided by [`Tree::divide`].
//!
//! **Terms.** *quota*: CPU time in each period; what is left of one is carried over up to the burst. *need*: what tasks would run.
//!
//! **Algorithm.** At the start of each period that begins in the tick the quota is filled up. Need of a leaf: demand less the part of
//! the tick in which it waits for memory or a disk. Of a group with need D that got G, all tasks waited `min(tick, D) * (D-G)/D`, and
//! at least one waited `min(tick, D-G)`. The part of it that its own quota took away is throttled time, once for each CPU that it
//! would have used.
//!
//! **Properties.** What is used in all is at most the CPUs; nobody uses more than its quota in any period (and what it carried);
//! the waiting that quotas cause is in the pressure as well, as in the kernel, and told apart in [`Lived::outside_cpu`].
//! Left out: the minimum granularity of CFS, real-time tasks.

use super::group::{Group, TICK};
use super::share::{Tree, Want, scaled};

/// Runs one tick that ends `until` microseconds after the start; gives the CPU time used in all.
pub(super) fn tick(tree: &Tree, groups: &mut [Group], cores: u64, until: u64) -> u64 {
    for group in groups.iter_mut() {
        refill(group, until);
        let cap = own_cap(group, cores);
        let need = group.leaf.as_ref().map_or(0, |leaf| {
            let lived = &leaf.lived;
            let awake = TICK - lived.memory_stall.max(lived.io_stall).min(TICK);
            let awake = if group.knobs.set.frozen { 0 } else { awake };
            scaled(leaf.demand.cpu, awake, TICK)
        });
        group.cpu = Want { need, cap, weight: group.knobs.set.cpu_weight, ..Want::default() };
    }
    let mut wants: Vec<Want> = groups.iter().map(|group| group.cpu).collect();
    let demands = summed_up(tree, &wants);
    tree.divide(cores * TICK, &mut wants);
    for (number, ((group, want), demand)) in groups.iter_mut().zip(wants).zip(demands).enumerate() {
        group.cpu = want;
        account(group, cores, until);
        // `kernel/sched/psi.c`: the root has no full CPU pressure.
        let full = if number == 0 { 0 } else { waited(demand, want.given) };
        group.waits.cpu.add((demand - want.given).min(TICK), full);
    }
    groups.first().map_or(0, |root| root.cpu.given)
}

/// What the quota and the CPU list leave.
fn own_cap(group: &Group, cores: u64) -> u64 {
    let set = &group.knobs.set;
    let cpus = if set.cpus == 0 { cores } else { set.cpus.min(cores) };
    let left = if set.quota == u64::MAX { u64::MAX } else { group.quota_left };
    left.min(cpus * TICK)
}

/// How many periods of the quota begin in the tick.
fn begun(group: &Group, until: u64) -> u64 {
    let period = group.knobs.set.period.max(1);
    until / period - until.saturating_sub(TICK) / period
}

fn refill(group: &mut Group, until: u64) {
    let set = &group.knobs.set;
    if set.quota == u64::MAX {
        group.quota_left = 0;
        return;
    }
    let began = begun(group, until);
    if began > 0 {
        group.quota_left = group.quota_left.min(set.burst) + set.quota.saturating_mul(began);
    }
}

/// What all tasks at or below each group would run, whatever the quotas: who is throttled waits too, in the files of all groups above.
fn summed_up(tree: &Tree, wants: &[Want]) -> Vec<u64> {
    let mut demands: Vec<u64> = wants.iter().map(|want| want.need).collect();
    for number in (1..demands.len()).rev() {
        let own = demands.get(number).copied().unwrap_or_default();
        if let Some(above) = demands.get_mut(tree.parent(number)) {
            *above += own;
        }
    }
    demands
}

fn account(group: &mut Group, cores: u64, until: u64) {
    let Want { need, uncapped, given, .. } = group.cpu;
    group.usage_usec += given;
    if let Some(leaf) = &mut group.leaf {
        leaf.lived.cpu = given;
        leaf.lived.outside_cpu = waited(need, given);
    }
    if group.knobs.set.quota == u64::MAX {
        return;
    }
    let began = begun(group, until);
    if uncapped > 0 {
        group.counters.periods += began;
    }
    if uncapped > group.quota_left {
        group.counters.throttled_periods += began;
        let running = uncapped.div_ceil(TICK).min(cores);
        group.throttled_usec += scaled(TICK, uncapped - group.quota_left, uncapped) * running;
    }
    group.quota_left = group.quota_left.saturating_sub(given);
}

/// How long all tasks waited that needed `need` and got `given`.
fn waited(need: u64, given: u64) -> u64 {
    scaled(need.min(TICK), need - given.min(need), need)
}
