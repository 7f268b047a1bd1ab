//! Probing on a kernel: what was read once goes, what is read again and again stays.

use crate::common::{Agent, World, disk, eventually, put, text, within};
use nix::sys::signal::Signal;
use provost::kernel::Group;
use provost::model::Controller;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is read once, and what of it is read again and again, in MiB.
const READ: u64 = 210;
const USED: u64 = 40;
/// The fast pace takes a twentieth in a minute.
const LEAST: u64 = 12;
const WITHIN: Duration = Duration::from_secs(220);
const MEASURED: Duration = Duration::from_secs(10);

fn held(world: &World, group: &Group) -> u64 {
    text(&world.file(group, "memory.current")).parse::<u64>().unwrap() >> 20
}

/// How often the program goes through what it uses while a twin, which is not probed, does so once: the machine is as fast for both.
fn rounds(files: &[PathBuf; 2]) -> f64 {
    let count = |file| std::fs::metadata(file).map_or(0, |file| file.len());
    let both = || [count(&files[0]), count(&files[1])];
    let before = both();
    std::thread::sleep(MEASURED);
    let after = both();
    (after[0] - before[0]) as f64 / (after[1] - before[1]) as f64
}

#[test]
fn what_was_read_once_goes_and_nobody_is_slower_for_it() {
    let Some(mut world) = World::new("probing", &[Controller::Memory]) else { return };
    let group = world.group("app");
    let twin = world.group("twin");
    let (files, disk) = (["app", "twin"].map(|name| world.dir.join(name)), disk());
    let read = |skip, count| {
        let disk = disk.display();
        format!("dd if={disk} of=/dev/null bs=1M skip={skip} count={count} 2>/dev/null")
    };
    // The page cache of a raw disk goes when nobody has it open.
    let again = |first: String, used: String, file: &PathBuf| {
        let (disk, file) = (disk.display(), file.display());
        format!("exec 3<{disk}; {first}; while :; do {used}; printf . >>{file}; done")
    };
    // What earlier tests read of the disk is charged to their groups as long as anybody has it open, a mounted partition included.
    put(Path::new("/proc/sys/vm/drop_caches"), "3").unwrap();
    world.sh(&group, &again(read(0, READ), read(0, USED), &files[0]));
    eventually("it goes through what it uses", || files[0].exists());
    world.sh(&twin, &again("true".to_owned(), read(READ, USED), &files[1]));
    eventually("so does its twin", || files[1].exists());
    let before = (held(&world, &group), rounds(&files));
    // A part of the disk's pages may be an earlier test's.
    assert!(before.0 >= READ * 3 / 4, "nearly the whole was read: {before:?}");
    let path = &group.at().path;
    let components = format!(
        "[component.app]\nmatch = {{ cgroup = \"/{path}\" }}\nmemory = {{ probe = \"fast\" }}\n"
    );
    let mut agent = Agent::new(&world, "enforce", &components);
    agent.start();
    let falls = within(WITHIN, || held(&world, &group) + LEAST <= before.0);
    assert!(
        falls,
        "{} of {before:?}\n{}",
        held(&world, &group),
        agent.say(&["explain", "app"]).out
    );
    let after = (held(&world, &group), rounds(&files));
    let ratio = after.1 / before.1;
    println!(
        "FIGURE probing: {} of {} MiB saved, throughput beside a twin {ratio:.2} of before",
        before.0 - after.0,
        before.0
    );
    assert!(ratio > 0.7, "{before:?} {after:?}");
    let view = agent.status().components[0].probe.clone().unwrap();
    assert!(view.saved().0 >> 20 >= LEAST / 2, "{view:?}");
    assert!(agent.say(&["status"]).out.contains("working sets: app"), "{view:?}");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
}
