//! The service as it is shipped: installed by its script, run by systemd in its sandbox, reloaded, killed, stopped, removed.

use crate::common::contend::{COMPONENTS, Contenders, STANDING};
use crate::common::login::{HOG, PROGRAM, Program, SCOPE, Session};
use crate::common::unit::{cgroup_of, knobs, path, pids_of, reaches};
use crate::common::world::binary;
use crate::common::{Ran, Unit, figure, run, until};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CONFIG: &str = "/etc/provost/config.toml";
const WEB: &str = r#"
    [component.web]
    match = { unit = "test-web.service" }
    cpu = { ceiling = "500m" }
    memory = { guarantee = "16M", ceiling = "128M", oom = "group" }
    "#;

fn script(name: &str) -> String {
    let share = std::env::var("PROVOST_SHARE").expect("scripts/vm sets PROVOST_SHARE");
    format!("{share}/scripts/{name}")
}

/// An installation, removed with everything when the test is over.
pub(crate) struct Installed;

impl Installed {
    pub(crate) fn new(config: &str) -> Self {
        run("bash", &[&script("install"), "--binary", &binary()]).ok();
        std::fs::write(CONFIG, config).unwrap();
        Self
    }

    pub(crate) fn start(&self) {
        let started = systemctl(&["start", "provost"]);
        assert_eq!(started.code, 0, "{started:?}\n{}", journal());
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the service's journal:\n{}", journal());
        }
        run("bash", &[&script("uninstall"), "--purge"]);
        systemctl(&["reset-failed", "--quiet", "provost"]);
        systemctl(&["stop", "--quiet", "provost-*.scope"]);
        systemctl(&["stop", "--quiet", "provost-*.slice"]);
        systemctl(&["stop", "--quiet", "provost.slice"]);
    }
}

pub(crate) fn systemctl(arguments: &[&str]) -> Ran {
    run("systemctl", arguments)
}

pub(crate) fn journal() -> String {
    run("journalctl", &["-u", "provost", "-b", "--no-pager", "-o", "cat", "-n", "40"]).stdout
}

fn show(property: &str) -> String {
    systemctl(&["show", "-P", property, "provost.service"]).ok().trim().to_owned()
}

pub(crate) fn provost(verb: &[&str]) -> Ran {
    run("/usr/bin/provost", verb)
}

fn web() -> Unit {
    Unit::start("test-web.service", &[], &["sleep", "infinity"])
}

fn enforcing(config: &str) -> String {
    format!("mode = \"enforce\"\n{config}")
}

#[test]
fn it_observes_until_it_is_told_to_enforce() {
    let _program = Program::copy_of("/usr/bin/sleep");
    let _session = Session::run(&format!("{PROGRAM} 600; true"));
    let pid = until("the program runs", || pids_of("test-hog").first().copied());
    let session = cgroup_of(pid).unwrap();
    let unit = web();
    let before = knobs(&unit.cgroup());
    let installed = Installed::new(&format!("{WEB}{HOG}"));
    installed.start();
    assert_eq!(show("ActiveState"), "active");
    assert_eq!(show("Type"), "notify");
    let status = provost(&["status"]).ok();
    assert!(status.contains("observing only"), "{status}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(knobs(&unit.cgroup()), before);
    assert_eq!(cgroup_of(pid).as_deref(), Some(session.as_str()));

    provost(&["enforce", "on"]).ok();
    unit.reaches("memory.max", "134217728");
    unit.reaches("cpu.max", "50000 100000");
    unit.reaches("memory.oom.group", "1");
    until("the loose program is moved", || (cgroup_of(pid)? == SCOPE).then_some(()));
    reaches(SCOPE, "memory.max", "134217728");
    reaches(SCOPE, "memory.oom.group", "1");

    systemctl(&["stop", "provost"]).ok();
    assert_eq!(knobs(&unit.cgroup()), before, "{}", journal());
    assert!(unit.dropins().iter().all(|file| !file.starts_with("/run/systemd/system.control")));
    assert_eq!(control_files(), Vec::<PathBuf>::new());
    assert_eq!(cgroup_of(pid).as_deref(), Some(session.as_str()));
}

/// Runtime properties of whatever unit.
fn control_files() -> Vec<PathBuf> {
    let folder = Path::new("/run/systemd/system.control");
    std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

#[test]
fn a_reload_takes_the_new_or_keeps_the_old() {
    let unit = web();
    let installed = Installed::new(&enforcing(WEB));
    installed.start();
    unit.reaches("memory.max", "134217728");
    let daemon = show("MainPID");
    std::fs::write(CONFIG, enforcing(&WEB.replace("128M", "96M"))).unwrap();
    systemctl(&["reload", "provost"]).ok();
    unit.reaches("memory.max", "100663296");
    std::fs::write(CONFIG, enforcing(&WEB.replace("128M", "a lot"))).unwrap();
    assert_ne!(systemctl(&["reload", "provost"]).code, 0);
    until("the journal tells why", || journal().contains("a lot").then_some(()));
    assert_eq!(show("ActiveState"), "active");
    assert_eq!(show("MainPID"), daemon);
    assert_eq!(unit.knob("memory.max").as_deref(), Some("100663296"));
    let status = provost(&["status"]).ok();
    assert!(status.contains("the last reload failed"), "{status}");
    std::fs::write(CONFIG, enforcing(WEB)).unwrap();
    systemctl(&["reload", "provost"]).ok();
    let status = provost(&["status"]).ok();
    assert!(!status.contains("the last reload failed"), "{status}");
}

#[test]
fn a_bad_configuration_is_not_started_again_and_again() {
    let installed = Installed::new("mode = \"perhaps\"\n");
    assert_ne!(systemctl(&["start", "provost"]).code, 0);
    assert_eq!(show("ExecMainStatus"), "78");
    // Longer than RestartSec=.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(show("ActiveState"), "failed");
    assert_eq!(show("NRestarts"), "0");
    assert!(journal().contains("perhaps"), "{}", journal());
    std::fs::write(CONFIG, WEB).unwrap();
    installed.start();
}

/// Waits until systemd has started another daemon, and tells how long that took.
fn another_daemon(before: &str, within: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let now = show("MainPID");
        if now != "0" && now != before && show("ActiveState") == "active" {
            return began.elapsed();
        }
        assert!(began.elapsed() < within, "no new daemon after {within:?}\n{}", journal());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_killed_daemon_comes_back_and_adopts() {
    let unit = web();
    let installed = Installed::new(&enforcing(WEB));
    let began = Instant::now();
    installed.start();
    let start = began.elapsed();
    unit.reaches("memory.oom.group", "1");
    unit.reaches("memory.max", "134217728");
    let before = show("MainPID");
    run("kill", &["-KILL", &before]).ok();
    let took = another_daemon(&before, Duration::from_secs(30));
    figure("kill_to_active_ms", took.as_millis());
    // RestartSec=, what ExecStopPost= starts, and a start, as slow as this machine is now.
    assert!(took < Duration::from_secs(2) + 4 * start, "{took:?}, a start {start:?}");
    assert_eq!(unit.knob("memory.max").as_deref(), Some("134217728"));
    let status = provost(&["status", "--json"]).json();
    assert_eq!(status["drift"]["seen"], 0, "{status:#}");
    assert_eq!(show("NRestarts"), "1");
    systemctl(&["stop", "provost"]).ok();
    assert_eq!(unit.knob("memory.max").as_deref(), Some("max"), "by the first daemon's journal");
}

/// Keeps the service off the CPU for which others contend.
struct OffTheContended;

impl OffTheContended {
    const FOLDER: &str = "/run/systemd/system/provost.service.d";

    fn new() -> Self {
        std::fs::create_dir_all(Self::FOLDER).unwrap();
        std::fs::write(format!("{}/test.conf", Self::FOLDER), "[Service]\nCPUAffinity=0\n")
            .unwrap();
        systemctl(&["daemon-reload"]).ok();
        Self
    }
}

impl Drop for OffTheContended {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(Self::FOLDER);
        systemctl(&["daemon-reload"]);
    }
}

#[test]
fn a_killed_daemon_leaves_no_cap_and_every_limit() {
    let both = Contenders::start();
    let _off = OffTheContended::new();
    let installed = Installed::new(&enforcing(COMPONENTS));
    installed.start();
    both.job.reaches("memory.max", STANDING);
    both.cap();
    let before = show("MainPID");
    // Nobody is to write it again: whether it is lifted does not depend on a new daemon.
    std::fs::write(CONFIG, "mode = \"perhaps\"\n").unwrap();
    run("kill", &["-KILL", &before]).ok();
    let began = Instant::now();
    both.job.reaches("cpu.max", "max 100000");
    figure("kill_to_lifted_ms", began.elapsed().as_millis());
    assert!(began.elapsed() < Duration::from_secs(5), "{}", journal());
    assert_eq!(both.job.knob("memory.max").as_deref(), Some(STANDING));
    until("it is not started again", || (show("ActiveState") == "failed").then_some(()));
    assert_eq!(both.quota(), "max 100000");
    std::fs::write(CONFIG, enforcing(COMPONENTS)).unwrap();
    installed.start();
    both.cap();
    let status = provost(&["status", "--json"]).json();
    assert_eq!(status["drift"]["seen"], 0, "{status:#}");
    systemctl(&["stop", "provost"]).ok();
    assert_eq!(both.quota(), "max 100000");
    assert_eq!(both.job.knob("memory.max").as_deref(), Some("max"));
}

#[test]
fn a_hung_daemon_is_caught_by_the_watchdog() {
    let unit = web();
    let installed = Installed::new(&enforcing(WEB));
    installed.start();
    unit.reaches("memory.max", "134217728");
    unit.reaches("memory.oom.group", "1");
    let before = show("MainPID");
    run("kill", &["-STOP", &before]).ok();
    let took = another_daemon(&before, Duration::from_secs(60));
    figure("hang_to_active_ms", took.as_millis());
    for (knob, value) in [("memory.max", "134217728"), ("memory.oom.group", "1")] {
        assert_eq!(unit.knob(knob).as_deref(), Some(value), "{knob}");
    }
}

#[test]
fn the_sandbox_is_as_tight_as_promised() {
    let _installed = Installed::new(WEB);
    let text = run("systemd-analyze", &["security", "--no-pager", "provost.service"]).stdout;
    let line = text.lines().find(|line| line.contains("Overall exposure level")).unwrap_or(&text);
    let words: Vec<&str> = line.split_whitespace().collect();
    let level = words.iter().find_map(|word| word.parse::<f64>().ok()).expect(line);
    figure("exposure_level", level);
    // IP sockets, filtered to localhost, are 0.3 of it.
    assert!(level <= 3.3, "{line}");
}

#[test]
fn an_uninstallation_leaves_configuration_and_history_only() {
    let traces = || {
        let folders = ["/usr", "/etc", "/var/lib", "/run"];
        let mut arguments = folders.to_vec();
        arguments.extend(["-xdev", "-name", "*provost*", "-not", "-path", "*vmt*"]);
        arguments.extend(["-not", "-path", "/run/systemd/units/*", "-prune"]);
        run("find", &arguments).stdout
    };
    let before = traces();
    let unit = web();
    let installed = Installed::new(&enforcing(WEB));
    installed.start();
    unit.reaches("memory.max", "134217728");
    systemctl(&["enable", "provost"]).ok();
    for file in ["man/man1/provost-status.1", "bash-completion/completions/provost"] {
        assert!(std::fs::read_to_string(format!("/usr/share/{file}")).unwrap().contains("status"));
    }
    run("bash", &[&script("uninstall")]).ok();
    let left = traces();
    let new: Vec<&str> =
        left.lines().filter(|line| before.lines().all(|old| old != *line)).collect();
    let mut new = new;
    new.sort_unstable();
    assert_eq!(new, ["/etc/provost", "/var/lib/provost"]);
    assert_eq!(control_files(), Vec::<PathBuf>::new());
    assert_eq!(unit.knob("memory.max").as_deref(), Some("max"));
    until("its slices are gone", || (!path("provost.slice", "").exists()).then_some(()));
}
