//! Leaving: everything is as it was before, whoever ends the daemon and however.

use crate::common::login::{HOG, PROGRAM, Program, SCOPE, Session};
use crate::common::unit::{Knobs, cgroup_of, knob, knobs, path, pids_of, procs};
use crate::common::{Unit, World, run, until};

/// Everything at once.
const WEB: &str = r#"
    [component.web]
    priority = "critical"
    match = { unit = "test-web.service" }
    cpu = { guarantee = "0.2", ceiling = "500m", burst = "20ms", affinity = "0" }
    memory = { guarantee = "32M", high = "96M", ceiling = "128M", swap = "8M", oom = "group" }
    pids = { ceiling = 64 }
    io = { weight = 300, limits = [{ device = "all", write = "5M" }] }
    "#;

const PROPERTIES: &str = "CPUWeight,CPUQuotaPerSecUSec,CPUQuotaPeriodUSec,AllowedCPUs,MemoryMin,MemoryLow,\
                          MemoryHigh,MemoryMax,MemorySwapMax,IOWeight,IOWriteBandwidthMax,TasksMax,DropInPaths";

/// A unit whose file has limits of its own.
fn web() -> Unit {
    let text = "[Service]\nExecStart=sleep infinity\nMemoryHigh=200M\nCPUQuota=80%\nTasksMax=100\n";
    let unit = Unit::install("test-web.service", text);
    run("systemctl", &["start", "test-web.service"]).ok();
    unit
}

/// All that the kernel and systemd hold of the unit and of its slice.
fn held(unit: &Unit) -> (Knobs, String, Knobs) {
    let shown = |name: &str| run("systemctl", &["show", "-p", PROPERTIES, name]).ok();
    let properties = shown(&unit.name) + &shown("system.slice");
    // A populated group does not lose its CPU list again; that of its parent means the same.
    let in_effect = |group: &str| {
        let mut knobs = knobs(group);
        knobs.retain(|(name, _)| *name != "cpuset.cpus");
        knobs.push(("cpuset.cpus.effective", knob(group, "cpuset.cpus.effective")));
        knobs
    };
    (in_effect(&unit.cgroup()), properties, in_effect("system.slice"))
}

#[test]
fn giving_back_restores_the_unit_file() {
    let unit = web();
    let before = held(&unit);
    let mut world = World::enforce(WEB);
    world.settled(&["web"]);
    unit.reaches("memory.high", "100663296");
    assert_ne!(held(&unit), before);
    world.stop();
    assert_eq!(held(&unit), before);
    assert_eq!(unit.dropins(), Vec::<std::path::PathBuf>::new());
    let slice = Unit { name: "system.slice".to_owned() };
    let left = slice.dropins();
    std::mem::forget(slice);
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
    // systemd believes the unit file again, not a value that hides it.
    run("systemctl", &["restart", "test-web.service"]).ok();
    assert_eq!(unit.knob("memory.high").as_deref(), Some("209715200"));
}

#[test]
fn the_administrators_runtime_property_survives() {
    let unit = web();
    run("systemctl", &["set-property", "--runtime", &unit.name, "MemoryHigh=150M"]).ok();
    let (before, files) = (held(&unit), unit.dropins());
    assert_eq!(files.len(), 1);
    let mut world = World::enforce(WEB);
    world.settled(&["web"]);
    unit.reaches("memory.high", "100663296");
    world.stop();
    assert_eq!(unit.dropins(), files);
    assert_eq!(held(&unit), before);
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.contains("MemoryHigh=157286400"), "{text}");
}

#[test]
fn what_is_to_be_kept_is_kept() {
    let unit = web();
    let before = held(&unit);
    let keep = WEB.replace("pids =", "on-exit = \"keep\"\n    pids =");
    let mut world = World::enforce(&keep);
    world.settled(&["web"]);
    world.stop();
    assert_eq!(unit.knob("memory.high").as_deref(), Some("100663296"));
    assert_eq!(unit.knob("pids.max").as_deref(), Some("64"));
    let told = world.run(&["restore"]).ok();
    assert!(told.contains("on-exit = \"keep\""), "{told}");
    assert_eq!(unit.knob("pids.max").as_deref(), Some("64"));
    world.run(&["restore", "--all"]).ok();
    assert_eq!(held(&unit), before);
}

#[test]
fn restore_needs_no_daemon() {
    let unit = web();
    let before = held(&unit);
    let mut world = World::enforce(WEB);
    world.settled(&["web"]);
    world.kill();
    assert_eq!(unit.knob("memory.high").as_deref(), Some("100663296"), "a crash changes nothing");
    let dry = world.run(&["restore", "--dry-run"]).ok();
    assert!(dry.contains("memory.high: 96M -> 200M"), "{dry}");
    let told = world.run(&["restore"]).ok();
    assert!(told.contains("memory.high: 96M -> 200M"), "{told}");
    assert_eq!(held(&unit), before);
    assert_eq!(world.run(&["restore"]).ok().trim(), "nothing to give back");
}

#[test]
fn restore_compares_first() {
    let unit = web();
    let mut world = World::enforce(WEB);
    world.settled(&["web"]);
    world.kill();
    run("systemctl", &["set-property", "--runtime", &unit.name, "TasksMax=55"]).ok();
    std::fs::write(path(&unit.cgroup(), "memory.max"), "167772160").unwrap();
    let told = world.run(&["restore"]).ok();
    assert!(told.contains("memory.max: left: somebody else set 160M"), "{told}");
    assert!(told.contains("pids.max: left: somebody else set 55"), "{told}");
    assert_eq!(unit.knob("pids.max").as_deref(), Some("55"));
    assert_eq!(unit.show("TasksMax"), "55");
    unit.reaches("memory.high", "209715200");
}

#[test]
fn restore_beside_a_daemon_is_refused() {
    let unit = web();
    let world = World::enforce(WEB);
    world.settled(&["web"]);
    let before = held(&unit);
    let refused = world.run(&["restore"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("another provost runs"), "{}", refused.stderr);
    assert_eq!(held(&unit), before);
}

#[test]
fn processes_go_back_to_their_session() {
    let _program = Program::copy_of("/usr/bin/timeout");
    let _session = Session::run(&format!("{PROGRAM} 600 sleep 600; true"));
    let pid = until("the program runs", || pids_of("test-hog").first().copied());
    let session = cgroup_of(pid).unwrap();
    let mut world = World::enforce(HOG);
    until("it is moved", || (cgroup_of(pid)? == SCOPE).then_some(()));
    world.settled(&["hog"]);
    let housed = procs(SCOPE);
    assert_eq!(housed.len(), 2);
    world.stop();
    for pid in housed {
        assert_eq!(cgroup_of(pid).as_deref(), Some(session.as_str()));
    }
    until("the scope and its slices are gone", || {
        (!path("provost.slice", "").exists()).then_some(())
    });
}
