//! What yields leaves room on a disk: with a phase without provost in the same boot.

use crate::common::{Agent, World, disk, disk_id, text, within};
use nix::sys::signal::Signal;
use provost::kernel::{Group, write};
use provost::model::{Controller, IoMax, Knob};
use provost::units::{Bytes, Limit};
use std::time::{Duration, Instant};

/// Reads of `group` per second, by `io.stat`.
fn reads(world: &World, group: &Group, period: Duration) -> f64 {
    let count = || -> u64 {
        let prefix = format!("{} ", disk_id());
        let stat = text(&world.file(group, "io.stat"));
        let line = stat.lines().find(|line| line.starts_with(&prefix));
        let word =
            line.and_then(|line| line.split(' ').find_map(|word| word.strip_prefix("rios=")));
        word.map_or(0, |count| count.parse().unwrap())
    };
    let (began, before) = (Instant::now(), count());
    std::thread::sleep(period);
    (count() - before) as f64 / began.elapsed().as_secs_f64()
}

fn reading(block: &str) -> String {
    let disk = disk();
    format!(
        "while :; do dd if={} of=/dev/null bs={block} iflag=direct 2>/dev/null; done",
        disk.display()
    )
}

#[test]
fn a_protected_reader_gets_its_disk_back() {
    let Some(mut world) = World::new("queue", &[Controller::Cpu, Controller::Io]) else { return };
    let (db, scan) = (world.group("db"), world.group("scan"));
    // The disk of a virtual machine is as fast as the machine's cache: here it is a slow one.
    let slow = IoMax { rbps: Limit::At(Bytes(8 << 20)), ..IoMax::UNLIMITED };
    write::knob(&world.top(), &Knob::IoMax(disk_id(), slow.into())).unwrap();
    let five = Duration::from_secs(5);
    world.sh(&db, &reading("16k"));
    let alone = reads(&world, &db, five);
    for _ in 0..4 {
        world.sh(&scan, &reading("1M"));
    }
    let beside = reads(&world, &db, five);
    let scanned = reads(&world, &scan, five);
    let component = |name: &str, priority: &str, group: &Group| {
        let path = &group.at().path;
        format!(
            "[component.{name}]\npriority = \"{priority}\"\nmatch = {{ cgroup = \"/{path}\" }}\n"
        )
    };
    let components = component("db", "high", &db) + &component("scan", "low", &scan);
    let mut agent = Agent::new(&world, "enforce", &components);
    agent.start();
    let limits = world.file(&scan, "io.max");
    let limited = within(Duration::from_secs(40), || text(&limits).contains("rbps="));
    let told = agent.say(&["status"]).out + &agent.say(&["explain", "db"]).out;
    assert!(limited, "{told}\n{}", agent.log());
    let mut with = 0.0;
    let helped = within(Duration::from_secs(60), || {
        with = reads(&world, &db, five);
        with >= 2.0 * beside && with >= 0.5 * alone
    });
    let scans = reads(&world, &scan, five);
    println!(
        "FIGURE queue: {alone:.0} reads a second alone, {beside:.0} beside a scan that does {scanned:.0}, {with:.0} with provost, the scan {scans:.0}"
    );
    let explained = agent.say(&["explain", "scan"]).out;
    assert!(helped, "{explained}\n{}", agent.log());
    assert!(beside < 0.5 * alone, "{beside} of {alone}");
    assert!(explained.contains("gives way"), "{explained}");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert_eq!(text(&limits), "", "given back");
}
