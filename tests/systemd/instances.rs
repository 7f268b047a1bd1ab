//! Instances of a template unit: started and drained by load, and left behind by nobody.

use crate::common::{Unit, World, figure, run};
use std::time::{Duration, Instant};

const LOAD: &str = "/run/test-crew.load";
const DRAINED: &str = "/tmp/test-crew.drained";
/// Busy while there is a load, whoever runs, with half a CPU at most: two of them leave something for the daemon and for systemd, whose
/// weights are far below theirs.
const TEMPLATE: &str = "[Service]\nCPUQuota=50%\nExecStart=/bin/sh -c 'while :; do if [ -e /run/test-crew.load ]; then :; else sleep 2; fi; done'\n";

const CONFIG: &str = "[component.crew]\nmatch = { unit = \"test-crew@*.service\" }\n\
    instances = { unit = \"test-crew@.service\", max = 2, up = \"0.4\", down = \"0.3\", cooldown = \"5s\", drain = { command = \
    [\"/bin/sh\", \"-c\", \"echo $(id -un) $PROVOST_UNIT > /tmp/test-crew.drained\"], user = \"alice\" } }\n";

fn within(mut holds: impl FnMut() -> bool) -> Option<Duration> {
    let began = Instant::now();
    // The harness gives up a guest that says nothing for two minutes.
    while began.elapsed() < Duration::from_secs(90) {
        if holds() {
            return Some(began.elapsed());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    None
}

/// Whether so many instances run, by their cgroups: asking systemd again and again would take the CPU that they are judged by.
fn run_now(wanted: usize) -> bool {
    let slice = "/sys/fs/cgroup/system.slice/system-test\\x2dcrew.slice";
    let entries = std::fs::read_dir(slice).into_iter().flatten().flatten();
    let is_one = |name: &str| name.starts_with("test-crew@") && name.ends_with(".service");
    entries.filter(|entry| is_one(&entry.file_name().to_string_lossy())).count() == wanted
}

/// The template, and nothing of it left in the end.
struct Crew {
    _template: Unit,
}

impl Crew {
    fn install() -> Self {
        Self { _template: Unit::install("test-crew@.service", TEMPLATE) }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        run("systemctl", &["stop", "--quiet", "test-crew@*.service"]);
        run("systemctl", &["stop", "--quiet", "system-test\\x2dcrew.slice"]);
        for file in [LOAD, DRAINED] {
            let _gone = std::fs::remove_file(file);
        }
    }
}

/// A world whose configuration may name the host's accounts.
fn world(mode: &str) -> World {
    let world = World::new(&format!("mode = \"{mode}\"\n{CONFIG}"));
    for file in ["passwd", "group"] {
        let below = format!("/run/provost-test-{}/etc/{file}", std::process::id());
        std::fs::copy(format!("/etc/{file}"), below).unwrap();
    }
    world
}

#[track_caller]
fn comes(world: &World, what: &str, holds: impl FnMut() -> bool) -> Duration {
    let explained = || world.run(&["explain", "crew"]).stdout;
    within(holds).unwrap_or_else(|| panic!("not so: {what}\n{}\n{}", explained(), world.log()))
}

#[test]
fn a_load_starts_another_instance_and_its_end_drains_and_stops_it() {
    let _crew = Crew::install();
    let mut world = world("observe");
    let plan = world.run(&["plan"]).stdout;
    assert!(plan.contains("start test-crew@1.service") && plan.contains("are the least"), "{plan}");
    world.start();
    std::thread::sleep(Duration::from_secs(3));
    assert!(run_now(0), "it observes only");
    world.run(&["enforce", "on"]).ok();
    comes(&world, "the least runs", || run_now(1));
    std::fs::write(LOAD, "").unwrap();
    let took = comes(&world, "a second one for the load", || run_now(2));
    figure("from the load to the second instance", format!("{took:?}"));
    let explained = world.run(&["explain", "crew"]).stdout;
    assert!(explained.contains("instances of test-crew@.service: 2 run, 1 to 2"), "{explained}");
    world.kill();
    assert!(run_now(2), "a daemon that is killed stops nobody");
    // Two that are busy leave an emulated guest nothing for a start.
    std::fs::remove_file(LOAD).unwrap();
    world.start();
    assert!(run_now(2), "nor does the next one");
    let took = comes(&world, "the load is gone: one is stopped", || run_now(1));
    figure("from the end of the load to one instance", format!("{took:?}"));
    let drained = std::fs::read_to_string(DRAINED).unwrap();
    assert_eq!(drained, "alice test-crew@2.service\n", "it was drained before");
    world.kill();
    world.run(&["restore"]).ok();
    assert!(run_now(0), "what was started is not left behind: {}", world.log());
}

#[test]
fn what_ran_before_is_nobodys_to_stop_and_what_is_to_stay_stays() {
    let _crew = Crew::install();
    let _first = Unit::launch("test-crew@1.service");
    std::fs::write(LOAD, "").unwrap();
    let mut world = world("enforce");
    world.start();
    comes(&world, "a second one for the load", || run_now(2));
    world.stop();
    assert!(run_now(1));
    assert_eq!(run("systemctl", &["is-active", "--quiet", "test-crew@1.service"]).code, 0);
    world.configure(&format!("mode = \"enforce\"\n{CONFIG}on-exit = \"keep\"\n"));
    world.start();
    comes(&world, "a second one again", || run_now(2));
    world.stop();
    assert!(run_now(2), "on-exit = \"keep\"");
}

#[test]
fn a_template_that_is_not_there_is_told_and_tried_again_later() {
    let mut world = world("enforce");
    let plan = world.run(&["plan"]).stdout;
    assert!(plan.contains("test-crew@.service has no unit file"), "{plan}");
    world.start();
    let told =
        || world.run(&["status"]).stdout.contains("test-crew@1.service could not be started");
    comes(&world, "the refusal is told", told);
    let _crew = Crew::install();
    comes(&world, "once it is there it is started", || run_now(1));
    world.stop();
    assert!(run_now(0));
}
