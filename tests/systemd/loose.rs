//! Loose processes: moved out of login sessions into the component's scope, left alone where somebody else owns them.

use crate::common::command::holds_for;
use crate::common::login::{HOG, PROGRAM, Program, SCOPE, Session, pids_of_alice};
use crate::common::unit::{cgroup_of, pids_of, procs, reaches};
use crate::common::world::{binary, component, findings};
use crate::common::{Unit, World, figure, until};
use std::process::Command;
use std::time::Duration;

fn comm(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

#[test]
fn a_program_of_a_session_is_moved_with_its_children() {
    let _program = Program::copy_of("/usr/bin/timeout");
    // The shell waits for a program that has a child with another executable.
    let _session = Session::run(&format!("{PROGRAM} 600 sleep 600; true"));
    let child = until("the program's child", || {
        pids_of("sleep").into_iter().find(|pid| pids_of_alice().contains(pid))
    });
    let session = cgroup_of(child).unwrap();
    assert!(session.contains("session-") && session.ends_with(".scope"), "{session}");
    let shells: Vec<i32> = procs(&session)
        .into_iter()
        .filter(|pid| !["test-hog", "sleep"].contains(&comm(*pid).as_str()))
        .collect();
    assert!(shells.len() >= 2, "the leader and the shell: {shells:?}");
    let world = World::enforce(HOG);
    until("the child is moved", || (cgroup_of(child)? == SCOPE).then_some(()));
    world.settled(&["hog"]);
    assert_eq!(procs(SCOPE).len(), 2);
    for pid in shells {
        assert_eq!(cgroup_of(pid).as_deref(), Some(session.as_str()), "{}", comm(pid));
    }
    reaches(SCOPE, "cpu.max", "30000 100000");
    reaches(SCOPE, "memory.max", "134217728");
    reaches(SCOPE, "memory.oom.group", "1");
    reaches(SCOPE, "pids.max", "40");
}

#[test]
fn a_program_is_placed_when_it_starts() {
    let _program = Program::copy_of("/usr/bin/sleep");
    let world = World::enforce(HOG);
    // The first one waits until systemd has made the scope; how long that takes is not what is measured.
    let script = format!(
        "{PROGRAM} 600 & until test -d /sys/fs/cgroup/{SCOPE}; do sleep 0.1; done; \
         for i in 1 2 3 4 5 6 7 8 9 10; do {PROGRAM} 600 & sleep 0.2; done; wait"
    );
    let _session = Session::run(&script);
    until("eleven programs are placed", || (procs(SCOPE).len() == 11).then_some(()));
    let status = world.settled(&["hog"]);
    // The others were met by the scan of a tick before their event was read.
    assert!(status["escape"]["placed"].as_u64().unwrap() >= 5, "{}", status["escape"]);
    assert_eq!(component(&status, "hog")["loose"].as_array().unwrap().len(), 0);
    let span = |name: &str| status["escape"][name].as_u64().unwrap();
    figure("exec_to_placed_median_us", span("median"));
    figure("exec_to_placed_longest_us", span("longest"));
    // By the event, not by the scan every second.
    assert!(span("median") < 500_000, "{}", status["escape"]);
}

#[test]
fn services_keep_their_processes() {
    let _program = Program::copy_of("/usr/bin/sleep");
    let unit = Unit::start("test-owner.service", &[], &[PROGRAM, "600"]);
    let world = World::enforce(HOG);
    let status = world.until("the finding names the unit", |status| {
        findings(status).iter().any(|text| text.contains("test-owner.service"))
    });
    let pid = unit.main_pid();
    let stays = || cgroup_of(pid).as_deref() == Some("system.slice/test-owner.service");
    assert!(holds_for(Duration::from_secs(3), stays), "{status:#}");
    assert_eq!(component(&status, "hog")["homes"].as_array().unwrap().len(), 0);
}

#[test]
fn a_container_is_matched_by_its_id_and_keeps_its_processes() {
    let id = "0123456789abcdef".repeat(4);
    let _program = Program::copy_of("/usr/bin/sleep");
    let scope = Unit { name: format!("docker-{id}.scope") };
    let unit = format!("--unit={}", scope.name);
    let mut container = Command::new("systemd-run")
        .args(["--quiet", "--scope", unit.as_str(), "--", PROGRAM, "600"])
        .spawn()
        .unwrap();
    let world = World::enforce(&format!(
        r#"{HOG}
        [component.box]
        match = {{ container = "0123456789ab" }}
        memory = {{ ceiling = "96M" }}
        "#
    ));
    world.settled(&["box"]);
    scope.reaches("memory.max", "100663296");
    let pid = i32::try_from(container.id()).unwrap();
    assert_eq!(cgroup_of(pid), Some(format!("system.slice/docker-{id}.scope")));
    let status = world.status();
    assert_eq!(component(&status, "box")["homes"][0]["kind"]["container"], "0123456789ab");
    assert_eq!(component(&status, "hog")["homes"].as_array().unwrap().len(), 0);
    drop(scope);
    container.wait().unwrap();
}

#[test]
fn run_starts_a_command_inside() {
    let world = World::enforce(
        r#"
        [component.hog]
        priority = "low"
        match = { exe = "/nonexistent" }
        memory = { ceiling = "128M" }
        "#,
    );
    // The command itself tells where its first instruction ran.
    let script = r#"cat /proc/self/cgroup; exec sleep 600"#;
    let out = std::path::Path::new("/run/test-run-out");
    let mut shell = Command::new(binary())
        .args(world.folders())
        .args(["run", "hog", "--", "sh", "-c", script])
        .stdout(std::fs::File::create(out).unwrap())
        .spawn()
        .unwrap();
    let told = until("the command tells where it runs", || {
        let text = std::fs::read_to_string(out).unwrap();
        text.ends_with('\n').then_some(text)
    });
    std::fs::remove_file(out).unwrap();
    assert_eq!(told.trim(), format!("0::/{SCOPE}"));
    reaches(SCOPE, "memory.max", "134217728");
    world.settled(&["hog"]);
    // It is the process that the caller waits for.
    assert_eq!(procs(SCOPE), [i32::try_from(shell.id()).unwrap()]);
    shell.kill().unwrap();
    shell.wait().unwrap();
}

#[test]
fn components_outlive_the_daemon() {
    let _program = Program::copy_of("/usr/bin/sleep");
    let _session = Session::run(&format!("{PROGRAM} 600; true"));
    let mut world = World::enforce(HOG);
    world.settled(&["hog"]);
    let lived = procs(SCOPE);
    assert_eq!(lived.len(), 1);
    world.kill();
    assert!(holds_for(Duration::from_secs(2), || procs(SCOPE) == lived));
    for (name, value) in [("memory.max", "134217728"), ("cpu.max", "30000 100000")] {
        reaches(SCOPE, name, value);
    }
    world.start();
    let status = world.settled(&["hog"]);
    assert_eq!(procs(SCOPE), lived);
    assert_eq!(status["drift"]["seen"], 0, "it takes what it finds for its own");
    let again = status["actions"].as_array().unwrap();
    assert!(
        again.iter().all(|action| action["path"] != SCOPE),
        "nothing is written again: {again:?}"
    );
}
