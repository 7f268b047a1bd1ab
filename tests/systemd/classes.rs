//! The idle class of units and of loose processes, through systemd.

use crate::common::login::{PROGRAM, Program, Session};
use crate::common::unit::{knob, procs, reaches};
use crate::common::{Unit, World, run, until};

const UNIT: &str = r#"
    [component.scan]
    match = { unit = "test-scan.service" }
    cpu.class = "idle"
    "#;

#[test]
fn an_idle_unit_stays_idle_across_a_reload() {
    let unit = Unit::start("test-scan.service", &[], &["sleep", "infinity"]);
    let mut world = World::enforce(UNIT);
    world.settled(&["scan"]);
    unit.reaches("cpu.idle", "1");
    assert_eq!(unit.show("CPUWeight"), "idle");
    // The daemon is stopped, so that what holds is held by systemd.
    run("kill", &["-STOP", &world.pid().to_string()]).ok();
    for command in ["daemon-reload", "daemon-reexec"] {
        run("systemctl", &[command]).ok();
        run("systemd-run", &["--quiet", "--wait", "--unit=test-nudge.service", "true"]).ok();
        assert_eq!(unit.knob("cpu.idle").as_deref(), Some("1"), "after {command}");
    }
    run("systemctl", &["set-property", "--runtime", "test-scan.service", "TasksMax=77"]).ok();
    assert_eq!(unit.knob("cpu.idle").as_deref(), Some("1"), "after another property");
    run("kill", &["-CONT", &world.pid().to_string()]).ok();
    world.settled(&["scan"]);
    world.stop();
    // Nobody needs the controller any more, or it is as in a new group.
    assert!(unit.knob("cpu.idle").is_none_or(|idle| idle == "0"), "{:?}", unit.knob("cpu.idle"));
    assert!(unit.knob("cpu.weight").is_none_or(|weight| weight == "100"));
    assert_eq!(unit.show("CPUWeight"), "[not set]");
}

#[test]
fn loose_processes_of_an_idle_component_have_a_slice_that_is_idle() {
    const SLICE: &str = "provost.slice/provost-idle.slice";
    const SCOPE: &str = "provost.slice/provost-idle.slice/provost-hog.scope";
    let _program = Program::copy_of("/usr/bin/sleep");
    let _session = Session::run(&format!("{PROGRAM} 600; true"));
    let mut world = World::enforce(&format!(
        r#"
        [component.hog]
        match = {{ exe = "{PROGRAM}" }}
        cpu.class = "idle"
        "#
    ));
    until("it is moved", || (procs(SCOPE).len() == 1).then_some(()));
    world.settled(&["hog"]);
    reaches(SCOPE, "cpu.idle", "1");
    reaches(SLICE, "cpu.idle", "1");
    world.stop();
    until("the scope and its slices are gone", || {
        knob(SLICE, "cgroup.procs").is_none().then_some(())
    });
}
