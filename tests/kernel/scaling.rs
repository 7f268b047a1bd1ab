//! A ceiling that follows the need: it is there before a program that grows needs it, and comes down when nobody does.

use crate::common::{Agent, World, eventually, keyed, text, within};
use nix::sys::signal::Signal;
use provost::kernel::Group;
use provost::model::{Controller, Resource};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// Where the ceiling begins, and where it ends.
const MOST: u64 = 320;
const LEAST: u64 = 96;
/// What the program holds at the end, and how much more each time.
const HOLDS: u64 = 176;
const STEP: u64 = 16;

fn bytes(path: &Path) -> Option<u64> {
    text(path).parse().ok()
}

/// Takes memory step by step whenever it is told to, holds it for a while, and gives it back: files in memory, which no reclaim takes.
fn grower(folder: &Path) -> String {
    format!(
        "mkdir -p {0} && mount -t tmpfs none {0} && while :; do if [ -e {0}.go ]; then \
         for i in $(seq {1}); do dd if=/dev/zero of={0}/$i bs=1M count={STEP} 2>/dev/null || echo short >> {0}.failed; sleep 0.3; done; \
         echo held > {0}.held; while [ -e {0}.go ]; do sleep 0.2; done; rm -f {0}/*; fi; sleep 0.2; done",
        folder.display(),
        HOLDS / STEP
    )
}

fn unmounted(folder: &Path) -> bool {
    Command::new("umount").arg(folder).status().unwrap().success()
}

/// Grows under whatever limit there is. Whether it came through, and how long it took.
fn grows(world: &World, group: &Group) -> (bool, Duration) {
    let go = world.dir.join("held.go");
    let held = world.dir.join("held.held");
    let events = world.file(group, "memory.events");
    let before = keyed(&events, "oom_kill");
    let started = Instant::now();
    std::fs::write(&go, "").unwrap();
    eventually("it holds all, or was killed", || {
        held.exists() || keyed(&events, "oom_kill") > before
    });
    (held.exists() && keyed(&events, "oom_kill") == before, started.elapsed())
}

#[test]
fn memory_is_there_before_it_is_needed_and_taken_back_when_it_is_not() {
    let Some(mut world) = World::new("scaling", &[Controller::Memory]) else { return };
    // The phase without provost: the same program under the ceiling that is enough for it while it is small.
    let fixed = world.group("fixed");
    world.sh(&fixed, &grower(&world.dir.join("held")));
    std::fs::write(world.file(&fixed, "memory.max"), (LEAST * MIB).to_string()).unwrap();
    let (came_through, took) = grows(&world, &fixed);
    println!(
        "FIGURE growing by {HOLDS}M under a fixed {LEAST}M: came through {came_through}, {took:?}"
    );
    assert!(!came_through, "the fixed ceiling does not bite");
    std::fs::write(world.file(&fixed, "cgroup.kill"), "1").unwrap();
    eventually("what it held is let go", || unmounted(&world.dir.join("held")));
    for name in ["held.go", "held.held", "held.failed"] {
        let _gone = std::fs::remove_file(world.dir.join(name));
    }
    let app = world.group("app");
    world.sh(&app, &grower(&world.dir.join("held")));
    let components = format!(
        "[component.app]\nmatch = {{ cgroup = \"/{}\" }}\n\
         memory.ceiling = {{ min = \"{LEAST}M\", max = \"{MOST}M\", cooldown = \"5s\" }}\n",
        app.at().path
    );
    let (max, high) = (world.file(&app, "memory.max"), world.file(&app, "memory.high"));
    let mut agent = Agent::new(&world, "enforce", &components);
    agent.start();
    eventually("it begins at its most", || bytes(&max) == Some(MOST * MIB));
    assert_eq!(text(&high), "max", "a ceiling like any other");
    let started = Instant::now();
    let lowered = |to: u64| bytes(&max).is_some_and(|max| max <= to * MIB);
    eventually("nothing is needed: it comes down", || lowered(MOST - 1));
    println!("FIGURE first lowered after {:?}", started.elapsed());
    assert!(within(Duration::from_secs(120), || lowered(LEAST)), "{}", text(&max));
    let before = bytes(&max).unwrap();
    println!(
        "FIGURE down to {}M after {:?}, high {}M",
        before / MIB,
        started.elapsed(),
        bytes(&high).unwrap() / MIB
    );
    assert!(bytes(&high).unwrap() < before, "slowed down before it is killed");
    let why = agent.say(&["explain", "app"]).out;
    assert!(
        why.contains("the ceiling of memory follows the need") && why.contains("lowered: "),
        "{why}"
    );
    let (came_through, took) = grows(&world, &app);
    let now = bytes(&max).unwrap();
    println!(
        "FIGURE growing by {HOLDS}M with a ceiling that follows: came through {came_through}, {took:?}, {}M now",
        now / MIB
    );
    assert!(came_through, "{}", agent.log());
    assert!(now > before && now <= MOST * MIB, "{now}");
    let view = agent.status().components[0].ceilings[&Resource::Memory].clone();
    assert!(view.why.starts_with("raised: "), "{view:?}");
    std::fs::remove_file(world.dir.join("held.go")).unwrap();
    let started = Instant::now();
    let fell = within(Duration::from_secs(90), || bytes(&max).is_some_and(|max| max < now));
    assert!(fell, "the need is gone for long, and the ceiling stays: {}", text(&max));
    println!("FIGURE lowered {:?} after the need was gone", started.elapsed());
    // What follows the load passes with the daemon, however it ends.
    agent.end(Signal::SIGKILL);
    assert!(bytes(&max).is_some_and(|max| max < MOST * MIB));
    assert_eq!(agent.say(&["restore", "--temporary"]).exit, 0);
    assert_eq!(bytes(&max), Some(MOST * MIB), "the most is beneath");
    assert_eq!(text(&high), "max");
    assert_eq!(agent.say(&["restore"]).exit, 0);
    assert_eq!(text(&max), "max");
}
