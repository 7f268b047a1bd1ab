//! Threads in real time beside systemd: the shipped sandbox refuses them and says what mends that; with the drop-in a unit's threads have it, and
//! lose it when the daemon is gone.

use crate::common::{Unit, run, until};
use crate::shipped::{Installed, journal, provost, systemctl};

const DROPIN: &str = "/etc/systemd/system/provost.service.d/realtime.conf";
const CONFIG: &str = r#"mode = "enforce"
    [component.engine]
    priority = "critical"
    match = { unit = "test-engine.service" }
    cpu = { class = "realtime", affinity = { mode = "dedicated", cpus = 1 }, realtime = { threads = ["engine-*"] } }
    "#;

fn explained() -> String {
    provost(&["explain", "engine"]).stdout
}

/// What `chrt` says of a process' first thread.
fn policy(pid: &str) -> String {
    run("chrt", &["-p", pid]).ok()
}

#[test]
fn a_unit_s_threads_need_the_drop_in_and_lose_real_time_with_the_daemon() {
    let script = "echo engine-1 >/proc/self/comm; while :; do sleep 1; done";
    let unit = Unit::start("test-engine.service", &[], &["sh", "-c", script]);
    let pid = unit.show("MainPID");
    let installed = Installed::new(CONFIG);
    installed.start();
    let says = |what: &str, words: &str| {
        until(what, || explained().contains(words).then_some(()));
    };
    says("the refusal is told", "realtime.conf");
    assert!(policy(&pid).contains("SCHED_OTHER"), "{}", policy(&pid));
    run("install", &["-D", "-m", "644", "/usr/share/provost/realtime.conf", DROPIN]).ok();
    systemctl(&["daemon-reload"]).ok();
    systemctl(&["restart", "provost"]).ok();
    until("it is raised", || policy(&pid).contains("SCHED_RR").then_some(()));
    assert!(policy(&pid).contains("SCHED_RESET_ON_FORK"), "{}", policy(&pid));
    says("it is told", "1 of 1 named threads");
    let daemon = run("systemctl", &["show", "-P", "MainPID", "provost"]).ok();
    // So that nobody raises it again at once.
    std::fs::remove_file(DROPIN).unwrap();
    systemctl(&["daemon-reload"]).ok();
    run("kill", &["-KILL", daemon.trim()]).ok();
    until("it is lowered", || policy(&pid).contains("SCHED_OTHER").then_some(()));
    says("the next daemon is refused", "realtime.conf");
    assert!(policy(&pid).contains("SCHED_OTHER"), "{}\n{}", policy(&pid), journal());
}
