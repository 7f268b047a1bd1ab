//! The daemon on a bare kernel: it places, limits, yields, gives back, survives its own death, and keeps its hands off.

use crate::common::{Agent, World, eventually, put, text, within};
use nix::sys::signal::Signal;
use provost::kernel::Group;
use provost::model::{Controller, FindingKind, KnobKind};
use provost::units::CgroupPath;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(crate) const LIMITS: &str = "cpu = { ceiling = \"0.5\" }\nmemory = { ceiling = \"100M\" }\n\
                      pids = { ceiling = 50 }\n";
pub(crate) const HOME: &str = "provost/normal/worker";

/// A copy of the shell under a name of its own, so that a rule can tell it from all others.
pub(crate) fn program(world: &World) -> PathBuf {
    let folder = world.dir.join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("sh");
    if !path.exists() {
        std::fs::copy("/bin/busybox", &path).unwrap();
    }
    path
}

pub(crate) fn by_exe(world: &World) -> String {
    format!("[component.worker]\nmatch = {{ exe = \"{}\" }}\n{LIMITS}", program(world).display())
}

pub(crate) fn by_cgroup(group: &Group) -> String {
    format!("[component.app]\nmatch = {{ cgroup = \"/{}\" }}\n{LIMITS}", group.at().path)
}

pub(crate) fn worker(world: &mut World) -> i32 {
    let mut command = Command::new(program(world));
    command.args(["-c", "sleep 1000; :"]);
    world.start(command)
}

pub(crate) fn lives_in(world: &World, pid: i32, place: &str) -> bool {
    world.proc.cgroup(pid) == Some(CgroupPath::new(place))
}

/// Every file of every group that holds a setting, by its path.
fn settings(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            found.insert(path.clone(), "group".to_owned());
            settings(&path, found);
        } else if name == "cgroup.subtree_control"
            || KnobKind::SINGLE.iter().any(|kind| kind.file() == name)
            || name == "io.max"
        {
            found.insert(path.clone(), text(&path));
        }
    }
}

pub(crate) fn all_settings(world: &World) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    settings(world.fs.mount(), &mut found);
    found
}

#[test]
fn what_plan_says_start_does_and_sigterm_undoes() {
    let mut world = World::bare("plan");
    let pid = worker(&mut world);
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    let before = all_settings(&world);
    let plan = agent.say(&["plan", "--exit-code"]);
    assert_eq!(plan.exit, 2, "{plan:?}");
    for word in [HOME, "memory.max", "100M", "cpu.max", "pids.max", "50"] {
        assert!(plan.out.contains(word), "{word} is not in\n{}", plan.out);
    }
    assert_eq!(all_settings(&world), before, "a plan changes nothing");
    agent.start();
    eventually("it is placed", || lives_in(&world, pid, HOME));
    agent.settle();
    let home = world.fs.mount().join(HOME);
    assert_eq!(text(&home.join("memory.max")), (100u64 << 20).to_string());
    assert_eq!(text(&home.join("cpu.max")), "50000 100000");
    assert_eq!(text(&home.join("pids.max")), "50");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    assert!(lives_in(&world, pid, ""), "{:?}", world.proc.cgroup(pid));
    assert_eq!(all_settings(&world), before, "{}", agent.log());
}

#[test]
fn a_process_born_while_matching_is_placed() {
    let mut world = World::bare("born");
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    agent.start();
    for _ in 0..15 {
        let pid = worker(&mut world);
        eventually("it is placed", || lives_in(&world, pid, HOME));
        std::thread::sleep(Duration::from_millis(100));
    }
    let escape = agent.status().escape;
    println!("FIGURE exec to placed: {escape:?}");
    assert!(escape.placed >= 15, "{escape:?}");
    assert!(escape.median.is_some_and(|median| median.0 < 1_000_000), "{escape:?}");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
}

#[test]
fn a_value_written_by_hand_stands_and_a_reset_does_not() {
    let mut world = World::bare("drift");
    let pid = worker(&mut world);
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    agent.start();
    eventually("it is placed", || lives_in(&world, pid, HOME));
    agent.settle();
    let home = world.fs.mount().join(HOME);
    put(&home.join("cpu.max"), "30000 100000").unwrap();
    eventually("status tells of the other writer", || {
        let findings = agent.status().findings;
        findings.iter().any(|finding| finding.kind == FindingKind::Override)
    });
    let human = agent.say(&["status"]).out;
    assert!(human.contains("cpu.max"), "{human}");
    put(&home.join("pids.max"), "max").unwrap();
    eventually("the reset is written again", || text(&home.join("pids.max")) == "50");
    assert!(agent.status().drift.seen >= 1);
    let fought = within(Duration::from_secs(3), || text(&home.join("cpu.max")) != "30000 100000");
    assert!(!fought, "{}", text(&home.join("cpu.max")));
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
}

/// A group that was there before, with values of its own and a process in it.
fn app(world: &mut World) -> Group {
    let group = world.group("app");
    put(&world.file(&group, "memory.max"), "209715200").unwrap();
    put(&world.file(&group, "pids.max"), "77").unwrap();
    put(&world.file(&group, "cpu.weight"), "55").unwrap();
    world.sh(&group, "exec sleep 1000");
    group
}

const APP_NEEDS: [Controller; 4] =
    [Controller::Cpu, Controller::Memory, Controller::Io, Controller::Pids];

#[test]
fn sigterm_gives_a_foreign_group_its_values_back() {
    let Some(mut world) = World::new("sigterm", &APP_NEEDS) else { return };
    let app = app(&mut world);
    let before = all_settings(&world);
    let mut agent = Agent::new(&world, "enforce", &by_cgroup(&app));
    agent.start();
    eventually("it is limited", || text(&world.file(&app, "memory.max")) == "104857600");
    agent.settle();
    assert_eq!(text(&world.file(&app, "pids.max")), "50");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    assert_eq!(all_settings(&world), before, "{}", agent.log());
}

#[test]
fn a_killed_daemon_leaves_limits_and_restore_compares_first() {
    let Some(mut world) = World::new("sigkill", &APP_NEEDS) else { return };
    let pid = worker(&mut world);
    let app = app(&mut world);
    let before = all_settings(&world);
    let config = by_cgroup(&app) + &by_exe(&world);
    let mut agent = Agent::new(&world, "enforce", &config);
    agent.start();
    eventually("it is placed", || lives_in(&world, pid, HOME));
    agent.settle();
    let enforced = all_settings(&world);
    agent.end(Signal::SIGKILL);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(all_settings(&world), enforced, "nothing is lost with the daemon");
    let file = world.file(&app, "pids.max");
    put(&file, "60").unwrap();
    let dry = agent.say(&["restore", "--dry-run"]);
    assert!(dry.exit == 0 && dry.out.contains("memory.max"), "{dry:?}");
    assert_ne!(all_settings(&world), before);
    let said = agent.say(&["restore"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.out.contains("somebody else set 60"), "{}", said.out);
    let mut expected = before;
    expected.insert(file, "60".to_owned());
    assert_eq!(all_settings(&world), expected, "{}", said.out);
    assert!(lives_in(&world, pid, ""));
    let again = agent.say(&["restore"]);
    assert_eq!(again.exit, 0, "{again:?}");
    assert!(!again.out.contains("memory.max"), "{}", again.out);
    assert_eq!(all_settings(&world), expected, "a second restore does nothing");
}

#[test]
fn a_restarted_daemon_adopts_what_its_last_life_wrote() {
    let Some(mut world) = World::new("adopt", &APP_NEEDS) else { return };
    let pid = worker(&mut world);
    let app = app(&mut world);
    let before = all_settings(&world);
    let mut agent = Agent::new(&world, "enforce", &(by_cgroup(&app) + &by_exe(&world)));
    agent.start();
    eventually("it is placed", || lives_in(&world, pid, HOME));
    agent.settle();
    let enforced = all_settings(&world);
    agent.end(Signal::SIGKILL);
    agent.start();
    std::thread::sleep(Duration::from_secs(2));
    let report = agent.status();
    assert!(report.actions.is_empty(), "{:?}", report.actions);
    assert!(report.enforcing);
    let foreign = [FindingKind::Override, FindingKind::Contested, FindingKind::Refused];
    assert!(!report.findings.iter().any(|one| foreign.contains(&one.kind)), "{report:?}");
    assert_eq!(all_settings(&world), enforced);
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert_eq!(all_settings(&world), before, "the originals are those of the first life");
    assert!(lives_in(&world, pid, ""));
}

#[test]
fn run_enters_the_component() {
    let mut world = World::bare("run");
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    let before = all_settings(&world);
    let show = ["run", "worker", "--", "sh", "-c", "cat /proc/self/cgroup; exit 7"];
    agent.start();
    let said = agent.say(&show);
    assert_eq!(said.exit, 7, "{said:?}");
    assert!(said.out.lines().any(|line| line == format!("0::/{HOME}")), "{said:?}");
    assert_eq!(text(&world.fs.mount().join(HOME).join("pids.max")), "50");
    let unknown = agent.say(&["run", "nobody", "--", "true"]);
    assert_eq!(unknown.exit, 4, "{unknown:?}");
    assert!(unknown.err.contains("worker"), "{unknown:?}");
    let stays = world.start(agent.command(&["run", "worker", "--", "sleep", "1000"]));
    eventually("it is inside", || lives_in(&world, stays, HOME));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert!(lives_in(&world, stays, ""), "{:?}", world.proc.cgroup(stays));
    // Which controllers were on before the home was made is in no journal.
    let mut after = all_settings(&world);
    let control = world.fs.mount().join("cgroup.subtree_control");
    after.insert(control.clone(), before[&control].clone());
    assert_eq!(after, before, "{}", agent.log());
}

#[test]
fn a_bad_configuration_is_not_taken_up() {
    let mut world = World::bare("reload");
    let pid = worker(&mut world);
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    agent.start();
    eventually("it is placed", || lives_in(&world, pid, HOME));
    agent.settle();
    let enforced = all_settings(&world);
    agent.configure("enforce", &by_exe(&world).replace("pids = ", "pidz = "));
    let said = agent.say(&["reload"]);
    assert_eq!(said.exit, 78, "{said:?}");
    assert!(said.err.contains("pidz") && said.err.contains("old configuration"), "{said:?}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(all_settings(&world), enforced);
    agent.configure("enforce", &by_exe(&world).replace("ceiling = 50", "ceiling = 40"));
    let said = agent.say(&["reload"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let pids = world.fs.mount().join(HOME).join("pids.max");
    eventually("the new limit is there", || text(&pids) == "40");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
}

#[test]
fn observing_writes_nothing() {
    let Some(mut world) = World::new("observe", &APP_NEEDS) else { return };
    let pid = worker(&mut world);
    let app = app(&mut world);
    let before = all_settings(&world);
    let mut agent = Agent::new(&world, "observe", &(by_cgroup(&app) + &by_exe(&world)));
    agent.start();
    std::thread::sleep(Duration::from_secs(3));
    let report = agent.status();
    assert!(!report.enforcing && report.actions.is_empty(), "{report:?}");
    assert_eq!(agent.say(&["plan", "--exit-code"]).exit, 2, "there would be something to do");
    assert_eq!(all_settings(&world), before);
    assert!(lives_in(&world, pid, ""));
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert_eq!(all_settings(&world), before);
}

#[test]
fn protected_processes_stay_whatever_the_configuration_says() {
    let mut world = World::bare("protect");
    let pid = world.loose("exec sleep 1000");
    let own = i32::try_from(std::process::id()).unwrap();
    let config = format!("[component.worker]\nmatch = {{ exe = \"/**\", user = 0 }}\n{LIMITS}");
    let mut agent = Agent::new(&world, "enforce", &config);
    let threads = |world: &World| -> Vec<i32> {
        let is_thread = |pid: &i32| world.proc.stat(*pid).is_some_and(|stat| stat.kernel_thread);
        world.proc.pids().into_iter().filter(is_thread).collect()
    };
    agent.start();
    eventually("everybody else is placed", || lives_in(&world, pid, HOME));
    std::thread::sleep(Duration::from_secs(1));
    assert!(lives_in(&world, own, HOME), "this test is nobody special");
    assert!(lives_in(&world, 1, ""), "process 1");
    assert!(lives_in(&world, agent.pid(), ""), "the daemon");
    for thread in threads(&world) {
        let at = world.proc.cgroup(thread);
        assert!(at.is_none_or(|at| at.is_root()), "kernel thread {thread}");
    }
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    assert!(lives_in(&world, pid, "") && lives_in(&world, own, ""));
}
