//! A job that forks without end beside a protected service that must fork: with a phase without provost in the same boot.

use crate::common::{Agent, World, eventually, put, text, within};
use nix::sys::signal::Signal;
use provost::kernel::Group;
use provost::model::Controller;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// So many tasks are soon used up, and a small guest has memory for them.
const MOST_TASKS: &str = "700";
const BOMB: &str = "while :; do sleep 30 & done";

/// The kernel's limit, as it was again when the test ends.
struct FewTasks(PathBuf, String);

impl FewTasks {
    fn new() -> Self {
        let file = PathBuf::from("/proc/sys/kernel/threads-max");
        let before = text(&file);
        put(&file, MOST_TASKS).unwrap();
        Self(file, before)
    }
}

impl Drop for FewTasks {
    fn drop(&mut self) {
        put(&self.0, &self.1).unwrap();
    }
}

fn components(web: &Group, job: &Group) -> String {
    let component = |name: &str, keys: &str, group: &Group| {
        format!("[component.{name}]\n{keys}\nmatch = {{ cgroup = \"/{}\" }}\n", group.at().path)
    };
    component("web", "priority = \"high\"", web) + &component("job", "yields = true", job)
}

/// How often the service started something.
fn started(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

fn number(file: &Path) -> u64 {
    text(file).parse().unwrap()
}

/// Whether it starts anything within some seconds.
fn can_start(file: &Path) -> bool {
    let before = started(file);
    within(Duration::from_secs(5), || started(file) > before + 5)
}

fn kill(world: &World, group: &Group) {
    put(&world.file(group, "cgroup.kill"), "1").unwrap();
    let events = world.file(group, "cgroup.events");
    eventually("all are gone", || text(&events).contains("populated 0"));
}

#[test]
fn a_bomb_leaves_numbers_to_a_service() {
    let Some(mut world) = World::new("forks", &[Controller::Pids]) else { return };
    let (web, job) = (world.group("web"), world.group("job"));
    let log = world.dir.join("started");
    // A shell that cannot fork ends.
    let serve = format!("while :; do /bin/sh -c 'echo started' >> {}; done", log.display());
    let limit = world.file(&job, "pids.max");
    let _few = FewTasks::new();
    world.sh(&web, &serve);
    eventually("the service runs", || started(&log) > 5);
    world.sh(&job, BOMB);
    // The bomb's shell ends when it can fork no more, and what it started stays for half a minute.
    let tasks = world.file(&job, "pids.current");
    let took_all = within(Duration::from_secs(60), || number(&tasks) > 500);
    println!(
        "FIGURE forks without provost: {} of {MOST_TASKS} tasks are the bomb's",
        number(&tasks)
    );
    assert!(took_all, "the bomb is none");
    kill(&world, &job);
    kill(&world, &web);
    let mut agent = Agent::new(&world, "enforce", &components(&web, &job));
    agent.start();
    agent.settle();
    world.sh(&web, &serve);
    let before = started(&log);
    eventually("the service runs again", || started(&log) > before + 5);
    let onset = Instant::now();
    world.sh(&job, BOMB);
    eventually("the bomb is held", || text(&limit) != "max");
    let (held, took) = (text(&limit), onset.elapsed());
    std::thread::sleep(Duration::from_secs(5));
    let has = number(&tasks);
    println!("FIGURE forks with provost: held at {held} after {took:?}, and has {has} tasks");
    assert!(has < 400, "{has}: {}", agent.log());
    assert!(can_start(&log), "{}", agent.log());
    let explained = agent.say(&["explain", "job"]).out;
    assert!(explained.contains("process numbers are short"), "{explained}");
    kill(&world, &job);
    assert!(within(Duration::from_secs(85), || text(&limit) == "max"), "{}", agent.log());
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
}
