//! What presses and what does not: pressure totals, freezing limits, protection, real-time tasks, weights without a scheduler.

use crate::common::{Agent, World, disk, disk_id, eventually, keyed, put, text, within};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use provost::kernel::{Group, write};
use provost::model::{Controller, Knob, Level, Resource};
use provost::units::{Bytes, CpuMax, CpuSet, CpuTime, Limit};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SPIN: &str = "while :; do :; done";
/// Takes some 32 MiB, then ends.
const TAKE: &str = "a=0123456789abcdef; while [ ${#a} -lt 16777216 ]; do a=$a$a; done";

fn pin_to_first(group: &Group) {
    write::knob(group, &Knob::CpusetCpus(CpuSet::of([0]))).unwrap();
}

/// `total` of a line of a pressure file, in microseconds, and its `avg10`.
fn stalled(file: &Path, kind: &str) -> (u64, String) {
    let text = text(file);
    let line = text.lines().find(|line| line.starts_with(kind)).unwrap();
    let word = |key| line.split(' ').find_map(|word| word.strip_prefix(key)).unwrap();
    (word("total=").parse().unwrap(), word("avg10=").to_owned())
}

#[test]
fn psi_totals_are_fresh() {
    let Some(mut world) = World::new("fresh", &[Controller::Cpu, Controller::Cpuset]) else {
        return;
    };
    let group = world.group("a");
    let file = world.file(&group, "cpu.pressure");
    if crate::common::cell() == "k61-nopsi" {
        assert!(!file.exists());
        return;
    }
    pin_to_first(&group);
    for _ in 0..2 {
        world.sh(&group, SPIN);
    }
    let (mut totals, mut averages) = (BTreeSet::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        let (total, average) = stalled(&file, "some");
        totals.insert(total);
        if averages.last() != Some(&average) {
            averages.push(average);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("FIGURE psi: {} totals and {averages:?} in 4 s", totals.len());
    assert!(totals.len() > 40, "{}", totals.len());
    assert!((2..=4).contains(&averages.len()), "{averages:?}");
}

#[test]
fn a_tiny_high_is_a_freeze() {
    let Some(mut world) = World::new("freeze", &[Controller::Memory]) else { return };
    let free = world.group("free");
    let began = Instant::now();
    let pid = world.sh(&free, TAKE);
    assert_eq!(world.wait(pid), 0);
    let took = began.elapsed();
    let tiny = world.group("tiny");
    write::knob(&tiny, &Knob::MemorySwapMax(Limit::At(Bytes::ZERO))).unwrap();
    write::knob(&tiny, &Knob::MemoryHigh(Limit::At(Bytes::mebi(8)))).unwrap();
    let pid = world.sh(&tiny, &format!("{TAKE}; sleep 1000; :"));
    let usage = world.file(&tiny, "memory.current");
    eventually("it reaches its limit", || text(&usage).parse::<u64>().unwrap() > 8 << 20);
    std::thread::sleep(took * 4 + Duration::from_secs(8));
    let reached = text(&usage).parse::<u64>().unwrap();
    println!(
        "FIGURE memory.high: {took:?} without, still at {} MiB after {:?}",
        reached >> 20,
        took * 4 + Duration::from_secs(8)
    );
    assert!(reached < 16 << 20, "{reached}");
    assert_eq!(
        keyed(&world.file(&tiny, "memory.events"), "oom_kill"),
        0,
        "nothing kills it either"
    );
    write::knob(&tiny, &Knob::MemoryHigh(Limit::Max)).unwrap();
    eventually("it goes on", || text(&usage).parse::<u64>().unwrap() > 24 << 20);
    assert!(world.proc.stat(pid).is_some());
}

#[test]
fn the_alarm_for_memory_is_heard() {
    let Some(mut world) = World::new("alarm", &[Controller::Memory]) else { return };
    let mut agent = Agent::new(&world, "observe", "");
    agent.start();
    if crate::common::cell() == "k61-nopsi" {
        assert!(agent.log().contains("no alarm for want of memory"), "{}", agent.log());
        return;
    }
    assert!(!agent.log().contains("no alarm"), "the kernel took it: {}", agent.log());
    // It stands still at its limit, and nobody else has anything to do: all wait for memory.
    let tiny = world.group("tiny");
    write::knob(&tiny, &Knob::MemorySwapMax(Limit::At(Bytes::ZERO))).unwrap();
    write::knob(&tiny, &Knob::MemoryHigh(Limit::At(Bytes::mebi(8)))).unwrap();
    world.sh(&tiny, &format!("{TAKE}; sleep 1000; :"));
    let mut cause = String::new();
    let rang = within(Duration::from_secs(60), || {
        // Asking is work too: not all wait meanwhile.
        std::thread::sleep(Duration::from_secs(3));
        let memory = agent.status().estimate.levels[&Resource::Memory].clone();
        cause = format!("{:?}: {}", memory.level, memory.cause);
        memory.level == Level::Emergency && memory.cause.contains("stood still")
    });
    let pressure = text(Path::new("/proc/pressure/memory"));
    assert!(rang, "{cause}\n{pressure}\n{}", agent.log());
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
}

/// The scratch disk's file system, unmounted when the test ends.
struct Files(PathBuf);

impl Files {
    fn mounted(world: &World) -> Self {
        let folder = world.dir.join("files");
        std::fs::create_dir_all(&folder).unwrap();
        let partition = format!("{}1", disk().display());
        mount(Some(partition.as_str()), &folder, Some("ext4"), MsFlags::empty(), None::<&str>)
            .unwrap();
        Self(folder)
    }

    /// Makes the group own 32 MiB of clean page cache.
    fn cache(&self, world: &mut World, group: &Group, name: &str) {
        let file = self.0.join(name);
        let script =
            format!("exec dd if=/dev/zero of={} bs=1M count=32 conv=fsync", file.display());
        let pid = world.sh(group, &script);
        assert_eq!(world.wait(pid), 0);
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _gone = std::fs::remove_file(entry.path());
        }
        let _unmounted = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn protection_needs_every_ancestor() {
    let Some(mut world) = World::new("ancestors", &[Controller::Memory, Controller::Io]) else {
        return;
    };
    let files = Files::mounted(&world);
    let (parent, other) = (world.group("parent"), world.group("other"));
    write::enable(&parent, &BTreeSet::from([Controller::Memory, Controller::Io])).unwrap();
    write::make(&parent, "leaf").unwrap();
    let leaf = world.fs.group(&parent.at().path.child("leaf")).unwrap();
    let held = Limit::At(Bytes::mebi(28));
    write::knob(&leaf, &Knob::MemoryMin(held)).unwrap();
    let reclaim = world.file(&world.top(), "memory.reclaim");
    let mebi = |world: &World, group: &Group| {
        text(&world.file(group, "memory.current")).parse::<u64>().unwrap() >> 20
    };
    let mut left = Vec::new();
    for carried in [Limit::At(Bytes::ZERO), held] {
        write::knob(&parent, &Knob::MemoryMin(carried)).unwrap();
        files.cache(&mut world, &leaf, "leaf");
        files.cache(&mut world, &other, "other");
        assert!(mebi(&world, &leaf) >= 30 && mebi(&world, &other) >= 30);
        // Less than the other has; EAGAIN says that not all of it was found.
        for _ in 0..7 {
            let _taken = put(&reclaim, "4M");
        }
        left.push((mebi(&world, &leaf), mebi(&world, &other)));
    }
    println!(
        "FIGURE memory.min 28M: {:?} MiB left (it, other) alone, {:?} when carried up",
        left[0], left[1]
    );
    assert!(left[0].0 <= 24, "{left:?}");
    // Reclaim goes in batches, which may take a little of what is protected.
    assert!(left[1].0 >= 25, "{left:?}");
}

/// Makes a task a real-time one.
#[allow(unsafe_code, reason = "nix has no wrapper")]
fn make_real_time(pid: i32) {
    // SAFETY: sched_param is plain data, zero is a valid value of all of it.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = 1;
    // SAFETY: the pointer is to a live local.
    let done = unsafe { libc::sched_setscheduler(pid, libc::SCHED_FIFO, &raw const parameters) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn real_time_tasks_ignore_cpu_max() {
    let Some(mut world) = World::new("fifo", &[Controller::Cpu, Controller::Cpuset]) else {
        return;
    };
    let group = world.group("a");
    pin_to_first(&group);
    let max = CpuMax { quota: Limit::At(CpuTime(20_000)), period: CpuMax::DEFAULT_PERIOD };
    write::knob(&group, &Knob::CpuMax(max)).unwrap();
    let pid = world.sh(&group, SPIN);
    let stat = world.file(&group, "cpu.stat");
    let share = || {
        let (began, before) = (Instant::now(), keyed(&stat, "usage_usec"));
        std::thread::sleep(Duration::from_secs(3));
        (keyed(&stat, "usage_usec") - before) as f64 / began.elapsed().as_micros() as f64
    };
    let normal = share();
    make_real_time(pid);
    let real_time = share();
    println!("FIGURE cpu.max 0.2: {normal:.3} as a normal task, {real_time:.3} as a real-time one");
    assert!(normal <= 0.22, "{normal}");
    assert!(real_time >= 0.5, "{real_time}");
}

/// What two groups read from the disk in the same time, by `io.stat`.
fn readers(world: &mut World, groups: &[&Group; 2]) -> (f64, f64) {
    let io: Vec<PathBuf> = groups.iter().map(|group| world.file(group, "io.stat")).collect();
    let read = |file: &PathBuf| {
        let prefix = format!("{} ", disk_id());
        let text = text(file);
        let line = text.lines().find(|line| line.starts_with(&prefix)).unwrap_or_default();
        line.split(' ')
            .find_map(|word| word.strip_prefix("rbytes="))
            .map_or(0, |bytes| bytes.parse::<u64>().unwrap())
    };
    let script = format!(
        "while :; do dd if={} of=/dev/null bs=16k count=4096 iflag=direct 2>/dev/null; done",
        disk().display()
    );
    // Several at a time, so that each always has something waiting.
    for group in groups {
        for _ in 0..3 {
            world.sh(group, &script);
        }
    }
    within(Duration::from_secs(1), || false);
    let before: Vec<u64> = io.iter().map(read).collect();
    std::thread::sleep(Duration::from_secs(6));
    let after: Vec<u64> = io.iter().map(read).collect();
    for group in groups {
        put(&world.file(group, "cgroup.kill"), "1").unwrap();
    }
    ((after[0] - before[0]) as f64, (after[1] - before[1]) as f64)
}

/// The disk's scheduler, as it was when the test is over.
struct Scheduler(PathBuf, String);

impl Scheduler {
    fn set(name: &str) -> Self {
        let node = disk();
        let file = Path::new("/sys/block").join(node.file_name().unwrap()).join("queue/scheduler");
        let list = text(&file);
        let before = list.split(['[', ']']).nth(1).unwrap().to_owned();
        put(&file, name).unwrap();
        Self(file, before)
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _back = put(&self.0, &self.1);
    }
}

#[test]
fn io_weight_needs_a_backend() {
    let Some(mut world) = World::new("backend", &[Controller::Io]) else { return };
    let agent = Agent::new(&world, "observe", "");
    let (heavy, light) = (world.group("heavy"), world.group("light"));
    let (common, own) = (world.file(&heavy, "io.weight"), world.file(&heavy, "io.bfq.weight"));
    let mut ratio = |is_clear: fn(f64) -> bool| {
        let mut ratio = 0.0;
        // On a starved machine the disk is not always busy, and nothing is divided that nobody waits for: then it is looked at again.
        for _ in 0..6 {
            let (of_heavy, of_light) = readers(&mut world, &[&heavy, &light]);
            ratio = of_heavy / of_light;
            if is_clear(ratio) {
                break;
            }
        }
        ratio
    };
    let alike = |ratio| (0.7..1.5).contains(&ratio);
    let none = Scheduler::set("none");
    assert_eq!(heeded_by(&agent), "none");
    put(&common, "1000").unwrap();
    let without = ratio(alike);
    drop(none);
    let _bfq = Scheduler::set("bfq");
    assert_eq!(heeded_by(&agent), "bfq");
    let unheeded = ratio(alike);
    put(&own, "1000").unwrap();
    let with = ratio(|ratio| ratio > 3.0);
    println!(
        "FIGURE weights 10:1 on the disk: {without:.2}:1 without a scheduler that heeds them, with BFQ {unheeded:.2}:1 by io.weight and {with:.2}:1 by io.bfq.weight"
    );
    assert!((0.5..2.0).contains(&without), "{without}");
    assert!((0.5..2.0).contains(&unheeded), "{unheeded}");
    // About four to one on a machine that has the time to keep the disk busy.
    assert!(with > 1.5 && with > 2.0 * unheeded, "{with}, {unheeded} unheeded");
}

/// What doctor says enforces weights on the scratch disk.
fn heeded_by(agent: &Agent) -> String {
    let said = agent.say(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let name = disk().file_name().unwrap().to_string_lossy().into_owned();
    let disks = report["host"]["disks"].as_array().unwrap();
    let found = disks.iter().find(|disk| disk["name"] == name.as_str()).unwrap();
    found["io_weight"].as_str().unwrap().to_owned()
}

#[test]
fn weights_reach_bfq_and_are_given_back() {
    let Some(world) = World::new("bfq", &[Controller::Io]) else { return };
    let (heavy, light) = (world.group("heavy"), world.group("light"));
    let _bfq = Scheduler::set("bfq");
    let component = |name: &str, priority: &str, group: &Group| {
        let path = &group.at().path;
        format!(
            "[component.{name}]\npriority = \"{priority}\"\nmatch = {{ cgroup = \"/{path}\" }}\n"
        )
    };
    let components = component("heavy", "critical", &heavy) + &component("light", "low", &light);
    let mut agent = Agent::new(&world, "enforce", &components);
    agent.start();
    agent.settle();
    let weight = |group| -> u64 {
        let text = text(&world.file(group, "io.bfq.weight"));
        text.trim_start_matches("default ").parse().unwrap()
    };
    assert!(weight(&heavy) >= 10 * weight(&light), "{} {}", weight(&heavy), weight(&light));
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert_eq!((weight(&heavy), weight(&light)), (100, 100));
}
