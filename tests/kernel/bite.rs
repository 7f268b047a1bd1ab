//! Limits bite: on real processes, by as much as they say, and on nobody else. Figures are printed.

use crate::common::{World, disk, disk_id, eventually, keyed, put, text, within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provost::kernel::write;
use provost::model::{Controller, IoMax, Knob};
use provost::units::{Bytes, CpuMax, CpuSet, CpuTime, Limit, Weight};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const SPIN: &str = "while :; do :; done";
/// Grows by 256 KiB at each step and never gives anything back.
const GROW: &str = "a=0123456789abcdef; while [ ${#a} -lt 262144 ]; do a=$a$a; done; \
                    while :; do b=$b$a; done";

fn usage(world: &World, group: &provost::kernel::Group) -> u64 {
    keyed(&world.file(group, "cpu.stat"), "usage_usec")
}

/// What share of one CPU the groups use over `period`, all seen at the same moments.
pub(crate) fn shares(
    world: &World,
    groups: &[&provost::kernel::Group],
    period: Duration,
) -> Vec<f64> {
    let began = Instant::now();
    let before: Vec<u64> = groups.iter().map(|group| usage(world, group)).collect();
    std::thread::sleep(period);
    let after: Vec<u64> = groups.iter().map(|group| usage(world, group)).collect();
    let micros = began.elapsed().as_micros() as f64;
    before.iter().zip(after).map(|(before, after)| (after - before) as f64 / micros).collect()
}

pub(crate) fn pin(group: &provost::kernel::Group, cpus: &[u32]) {
    write::knob(group, &Knob::CpusetCpus(CpuSet::of(cpus.iter().copied()))).unwrap();
}

#[test]
fn memory_max_kills_inside_and_the_neighbour_lives() {
    let Some(mut world) = World::new("oom", &[Controller::Memory]) else { return };
    let (fat, neighbour) = (world.group("fat"), world.group("neighbour"));
    write::knob(&fat, &Knob::MemoryMax(Limit::At(Bytes::mebi(24)))).unwrap();
    write::knob(&fat, &Knob::MemorySwapMax(Limit::At(Bytes::ZERO))).unwrap();
    let lives = world.sh(&neighbour, "exec sleep 1000");
    let dies = world.sh(&fat, GROW);
    assert_eq!(world.wait(dies), -9);
    assert!(keyed(&world.file(&fat, "memory.events"), "oom_kill") >= 1);
    assert_eq!(keyed(&world.file(&neighbour, "memory.events"), "oom_kill"), 0);
    assert!(world.proc.stat(lives).is_some_and(|stat| stat.state != b'Z'));
}

#[test]
fn lowering_max_below_usage_kills() {
    let Some(mut world) = World::new("lower", &[Controller::Memory]) else { return };
    let group = world.group("a");
    let script = "a=0123456789abcdef; while [ ${#a} -lt 16777216 ]; do a=$a$a; done; sleep 1000; :";
    let pid = world.sh(&group, script);
    let current = world.file(&group, "memory.current");
    eventually("it has grown", || text(&current).parse::<u64>().unwrap() > 16 << 20);
    write::knob(&group, &Knob::MemorySwapMax(Limit::At(Bytes::ZERO))).unwrap();
    write::knob(&group, &Knob::MemoryMax(Limit::At(Bytes::mebi(4)))).unwrap();
    assert!(keyed(&world.file(&group, "memory.events"), "oom_kill") >= 1, "inside the write");
    assert_eq!(world.wait(pid), -9);
}

#[test]
fn cpu_max_holds_usage_within_three_percent() {
    let Some(mut world) = World::new("quota", &[Controller::Cpu, Controller::Cpuset]) else {
        return;
    };
    let group = world.group("a");
    pin(&group, &[0]);
    world.sh(&group, SPIN);
    let free = shares(&world, &[&group], Duration::from_secs(4))[0];
    let max = CpuMax { quota: Limit::At(CpuTime(20_000)), period: CpuMax::DEFAULT_PERIOD };
    write::knob(&group, &Knob::CpuMax(max)).unwrap();
    let mut held = 0.0;
    // A machine that is itself emulated on a busy host may not get the CPU that the quota allows: then it is looked at again.
    for _ in 0..3 {
        held = shares(&world, &[&group], Duration::from_secs(10))[0];
        assert!(held <= 0.2 * 1.03, "{held}");
        if held >= 0.2 * 0.97 {
            break;
        }
    }
    println!("FIGURE cpu.max: {free:.3} of a CPU without, {held:.4} under a quota of 0.2");
    assert!(free > 0.6, "nothing else runs here: {free}");
    assert!((held - 0.2).abs() <= 0.2 * 0.03, "{held}");
    assert!(keyed(&world.file(&group, "cpu.stat"), "nr_throttled") > 50);
}

#[test]
fn weights_share_a_contended_cpu() {
    let Some(mut world) = World::new("weights", &[Controller::Cpu, Controller::Cpuset]) else {
        return;
    };
    let (heavy, light) = (world.group("heavy"), world.group("light"));
    for group in [&heavy, &light] {
        pin(group, &[0]);
        world.sh(group, SPIN);
    }
    let equal = shares(&world, &[&heavy, &light], Duration::from_secs(5));
    write::knob(&heavy, &Knob::CpuWeight(Weight::clamped(1000))).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let weighted = shares(&world, &[&heavy, &light], Duration::from_secs(10));
    let (before, after) = (equal[0] / equal[1], weighted[0] / weighted[1]);
    println!("FIGURE weights: {before:.3}:1 when equal, {after:.3}:1 at 10:1");
    assert!((before - 1.0).abs() <= 0.1, "{equal:?}");
    assert!((after - 10.0).abs() <= 1.0, "{weighted:?}");
}

/// Reads the disk by `dd` without the page cache, in `group`; bytes per second.
fn read_rate(world: &mut World, group: &provost::kernel::Group, mebi: u64) -> f64 {
    let io = world.file(group, "io.stat");
    let prefix = format!("{} ", disk_id());
    let bytes = || {
        let text = text(&io);
        let line = text.lines().find(|line| line.starts_with(&prefix)).unwrap_or_default();
        let word = line.split(' ').find_map(|word| word.strip_prefix("rbytes="));
        word.map_or(0, |word| word.parse::<u64>().unwrap())
    };
    let before = bytes();
    let began = Instant::now();
    let script = format!(
        "exec dd if={} of=/dev/null bs=64k count={} iflag=direct",
        disk().display(),
        mebi * 16
    );
    let pid = world.sh(group, &script);
    assert_eq!(world.wait(pid), 0);
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(bytes() - before, mebi << 20, "the group is charged with what it read");
    (mebi << 20) as f64 / seconds
}

#[test]
fn io_max_holds_direct_reads() {
    let Some(mut world) = World::new("io", &[Controller::Io]) else { return };
    let group = world.group("a");
    let free = read_rate(&mut world, &group, 16);
    let limit = 2 << 20;
    let slow = IoMax { rbps: Limit::At(Bytes(limit)), ..IoMax::UNLIMITED };
    write::knob(&group, &Knob::IoMax(disk_id(), slow.into())).unwrap();
    let mut held = 0.0;
    // As for cpu.max: a machine that is starved by its host may stay below the limit, and is looked at again.
    for _ in 0..3 {
        held = read_rate(&mut world, &group, 20);
        assert!(held <= 1.1 * limit as f64, "{held}");
        if held >= 0.9 * limit as f64 {
            break;
        }
    }
    let mebi = |rate: f64| rate / f64::from(1 << 20);
    println!("FIGURE io.max: {:.1} MiB/s without, {:.3} under 2 MiB/s", mebi(free), mebi(held));
    assert!(free > 4.0 * limit as f64, "{free}");
    assert!((held - limit as f64).abs() <= 0.1 * limit as f64, "{held}");
}

#[test]
fn a_throttled_task_survives_sigkill() {
    let Some(mut world) = World::new("unkillable", &[Controller::Io]) else { return };
    let group = world.group("a");
    let crawl = IoMax { rbps: Limit::At(Bytes(4096)), ..IoMax::UNLIMITED };
    write::knob(&group, &Knob::IoMax(disk_id(), crawl.into())).unwrap();
    let script =
        format!("exec dd if={} of=/dev/null bs=64k count=64 iflag=direct", disk().display());
    let pid = world.sh(&group, &script);
    eventually("it waits for the disk", || {
        world.proc.stat(pid).is_some_and(|stat| stat.state == b'D')
    });
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let state = |world: &World| world.proc.stat(pid).map(|stat| stat.state);
    let died = within(Duration::from_secs(3), || state(&world) == Some(b'Z'));
    write::knob(&group, &Knob::IoMax(disk_id(), IoMax::UNLIMITED.into())).unwrap();
    let began = Instant::now();
    assert_eq!(world.wait(pid), -9);
    println!("FIGURE throttled task: died {died} in 3 s, {:?} after lifting", began.elapsed());
    assert!(!died);
}

#[test]
fn pids_max_stops_a_fork_bomb() {
    let Some(mut world) = World::new("bomb", &[Controller::Pids]) else { return };
    let group = world.group("a");
    write::knob(&group, &Knob::PidsMax(Limit::At(20))).unwrap();
    world.sh(&group, "b() { b | b & b; }; b 2>/dev/null; sleep 1000");
    let current = world.file(&group, "pids.current");
    let events = world.file(&group, "pids.events");
    eventually("the bomb hits the limit", || keyed(&events, "max") > 0);
    for _ in 0..50 {
        let now: u64 = text(&current).parse().unwrap();
        assert!(now <= 20, "{now}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut echo = std::process::Command::new("true");
    assert!(echo.status().unwrap().success(), "everybody else can fork");
    put(&world.file(&group, "cgroup.kill"), "1").unwrap();
}

#[test]
fn a_cpuset_keeps_all_threads_on_its_cpus() {
    let Some(mut world) = World::new("cpuset", &[Controller::Cpuset]) else { return };
    let group = world.group("a");
    pin(&group, &[1]);
    let pids: Vec<i32> = (0..3).map(|_| world.sh(&group, SPIN)).collect();
    let cpu = |pid: i32| {
        let stat = text(Path::new(&format!("/proc/{pid}/stat")));
        let after = stat.rsplit(')').next().unwrap().to_owned();
        after.split_whitespace().nth(36).unwrap().parse::<u32>().unwrap()
    };
    for _ in 0..40 {
        assert!(pids.iter().all(|pid| cpu(*pid) == 1));
        std::thread::sleep(Duration::from_millis(20));
    }
    pin(&group, &[0]);
    eventually("they follow", || pids.iter().all(|pid| cpu(*pid) == 0));
    for pid in pids {
        let status = text(Path::new(&format!("/proc/{pid}/status")));
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    }
}

#[test]
fn lowering_high_reclaims_in_the_write() {
    let Some(mut world) = World::new("reclaim", &[Controller::Memory]) else { return };
    let group = world.group("a");
    let read = world.dir.join("read");
    let script = format!(
        "exec <{}; dd of=/dev/null bs=1M count=64; touch {}; exec sleep 1000",
        disk().display(),
        read.display()
    );
    world.sh(&group, &script);
    let current = world.file(&group, "memory.current");
    let usage = || text(&current).parse::<u64>().unwrap();
    // Whoever still reads charges more while the write reclaims; and with the last who has a disk open its page cache goes.
    eventually("all is read", || read.exists());
    assert!(usage() > 48 << 20, "the page cache is charged");
    write::knob(&group, &Knob::MemoryHigh(Limit::At(Bytes::mebi(8)))).unwrap();
    assert!(usage() <= 9 << 20, "{} is left after the write", usage());
}
