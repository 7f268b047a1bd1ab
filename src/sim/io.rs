//! Disks in one tick: a linear cost model, limits per group, and shares by weight where the disk heeds weights.
//!
//! **Problem.** What a group moves depends on how fast the disk is for its requests, on its own limits, and on its neighbours.
//!
//! **Approach.** The cost model of io.cost (`block/blk-iocost.c`): a request costs a fixed time and each byte a little more, with the
//! kernel's built-in parameters. A tick of the disk has as many nanoseconds to spend.
//!
//! **Terms.** *cost*: nanoseconds of the disk. *bound*: less than wanted because of `io.max`.
//!
//! **Algorithm.** Bytes wanted, and bytes to be read back that were evicted, are cut by `io.max`; their cost is divided down the tree by
//! `io.weight`, or without a weight backend in proportion to what everybody wants. What a leaf did not get is the part of the tick
//! that it waited.
//!
//! **Properties.** A disk never does more than its time allows; nobody moves more than its limit in a second (plus one tick); waiting for
//! evicted pages counts as waiting for memory and for the disk, as in the kernel. Left out: delayed writeback.

use super::group::{Counters, Group, Leaf, TICK};
use super::share::{Tree, Want, scaled};
use crate::model::{IoMax, IoWeightBackend};
use crate::units::{DeviceId, Limit};

/// Nanoseconds of one disk in a tick.
const DISK_TICK: u64 = TICK * 1000;
/// No cost is longer, so that the sum over a thousand groups fits: a day.
const LONGEST: u64 = 86_400_000_000_000;
/// Ticks in a second.
const TICKS: u64 = 10;

/// How fast a disk is; bytes per second and random requests per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speed {
    pub(super) read: (u64, u64),
    pub(super) write: (u64, u64),
}

impl Speed {
    /// `block/blk-iocost.c`, `autop[]`: hard disk, default SSD, fast SSD.
    pub(super) const HDD: Self = Self { read: (174_019_176, 370), write: (178_075_866, 378) };
    pub(super) const SSD: Self = Self { read: (488_636_629, 8_518), write: (427_891_549, 21_987) };
    pub(super) const NVME: Self =
        Self { read: (3_102_524_156, 778_122), write: (1_742_780_862, 443_193) };
}

/// A disk of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) device: DeviceId,
    pub(super) name: String,
    pub(super) speed: Speed,
    pub(super) weights: IoWeightBackend,
}

/// The time that bytes in requests of a size take, in nanoseconds.
fn cost((bandwidth, requests): (u64, u64), bytes: u64, request: u64) -> u64 {
    let bytes_ns = scaled(bytes, 1_000_000_000, bandwidth);
    let page_ns = scaled(4096, 1_000_000_000, bandwidth);
    let each_ns = (1_000_000_000 / requests.max(1)).saturating_sub(page_ns);
    let requests_ns = bytes.div_ceil(request.max(512)).saturating_mul(each_ns);
    bytes_ns.saturating_add(requests_ns).min(LONGEST)
}

/// The bytes that a limit leaves of those wanted in a tick.
fn within(bytes: u64, rate: Limit<u64>, requests: Limit<u64>, request: u64) -> u64 {
    let by_rate = rate.value().map_or(u64::MAX, |rate| (rate / TICKS).max(1));
    let by_count =
        requests.value().map_or(u64::MAX, |count| (count.saturating_mul(request) / TICKS).max(1));
    bytes.min(by_rate).min(by_count)
}

/// What one leaf asks of its disk.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    read: u64,
    write: u64,
    /// Of evicted pages.
    back: u64,
    /// Cost without and with the limit.
    wanted: u64,
    allowed: u64,
}

/// Runs one tick of one disk; gives the time that it was busy, in nanoseconds.
pub(super) fn tick(tree: &Tree, groups: &mut [Group], number: usize, disk: &Disk) -> u64 {
    let mut asked: Vec<Asked> = Vec::with_capacity(groups.len());
    for group in groups.iter_mut() {
        let asks = asks(group, number, disk);
        let set = &group.knobs.set;
        let by_bfq = disk.weights == IoWeightBackend::Bfq;
        let weight = if by_bfq { set.bfq_weight } else { set.io_weight };
        group.io = Want { need: asks.allowed, cap: u64::MAX, weight, ..Want::default() };
        asked.push(asks);
    }
    if asked.iter().all(|asks| asks.wanted == 0) {
        return 0;
    }
    let mut wants: Vec<Want> = groups.iter().map(|group| group.io).collect();
    let all: u64 = asked.iter().map(|asks| asks.allowed).sum();
    if disk.weights == IoWeightBackend::None {
        for want in &mut wants {
            want.given = scaled(want.need, DISK_TICK.min(all), all);
        }
    } else {
        tree.divide(DISK_TICK, &mut wants);
    }
    let mut in_all = [0; 4];
    for ((group, want), asks) in groups.iter_mut().zip(wants).zip(&asked) {
        if asks.wanted > 0 {
            serve(group, want.given, asks);
            let done = done(want.given, asks, group.leaf.as_ref());
            add(&mut group.counters, done);
            for (sum, one) in in_all.iter_mut().zip(done) {
                *sum += one;
            }
        }
    }
    if let Some(root) = groups.first_mut() {
        add(&mut root.counters, in_all);
    }
    all.min(DISK_TICK)
}

/// What the disk did for a group, as `io.stat` counts it, evicted pages included: bytes and requests, reading and writing.
fn done(given: u64, asks: &Asked, leaf: Option<&Leaf>) -> [u64; 4] {
    let request = leaf.map_or(4096, |leaf| leaf.load.request).max(512);
    let read = scaled(asks.read + asks.back, given, asks.wanted);
    let written = scaled(asks.write, given, asks.wanted);
    [read, written, read.div_ceil(request), written.div_ceil(request)]
}

fn add(counters: &mut Counters, [read, written, reads, writes]: [u64; 4]) {
    counters.read_bytes += read;
    counters.written_bytes += written;
    counters.reads += reads;
    counters.writes += writes;
}

fn asks(group: &Group, number: usize, disk: &Disk) -> Asked {
    let running = |leaf: &&Leaf| leaf.load.disk == number && !group.knobs.set.frozen;
    let Some(leaf) = group.leaf.as_ref().filter(running) else {
        return Asked::default();
    };
    let request = leaf.load.request;
    let back = leaf.refault_file + leaf.refault_swap;
    let (read, write) = (leaf.demand.read, leaf.demand.write);
    if read + write + back == 0 {
        return Asked::default();
    }
    let limits = group.knobs.set.io_max.iter().find(|(device, _)| *device == disk.device);
    let max = limits.map_or(IoMax::UNLIMITED, |(_, max)| *max);
    let reads = within(read + back, max.rbps.map(|rate| rate.0), max.riops, request);
    let writes = within(write, max.wbps.map(|rate| rate.0), max.wiops, request);
    let time = |reads, writes| {
        cost(disk.speed.read, reads, request) + cost(disk.speed.write, writes, request)
    };
    Asked { read, write, back, wanted: time(read + back, write), allowed: time(reads, writes) }
}

/// Gives a leaf what it got of the disk.
fn serve(group: &mut Group, given: u64, asks: &Asked) {
    let Some(leaf) = &mut group.leaf else { return };
    let moved = |bytes| scaled(bytes, given, asks.wanted);
    let own = asks.read + asks.write;
    leaf.lived.io_wanted = own;
    leaf.lived.io_done = moved(own);
    leaf.refault_file = moved(leaf.refault_file);
    leaf.refault_swap = moved(leaf.refault_swap);
    let stalled = scaled(TICK, asks.wanted - given.min(asks.wanted), asks.wanted);
    // Reading back takes its time even when nobody is in the way.
    let reading = scaled(given / 1000, asks.back, own + asks.back);
    let for_memory = scaled(stalled, asks.back, own + asks.back) + reading;
    leaf.lived.io_stall = (stalled + reading).min(TICK);
    leaf.lived.memory_stall = (leaf.lived.memory_stall + for_memory).min(TICK);
}
