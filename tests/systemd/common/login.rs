//! A program that a component takes, and login sessions that start it.

use super::unit::pids_of;
use super::{run, until};
use std::process::{Child, Command, Stdio};

/// Where its processes are to live.
pub(crate) const SCOPE: &str = "provost.slice/provost-low.slice/provost-hog.scope";
/// The program.
pub(crate) const PROGRAM: &str = "/usr/local/bin/test-hog";

/// A component that takes every process of the test's own program.
pub(crate) const HOG: &str = r#"
    [component.hog]
    priority = "low"
    match = { exe = "/usr/local/bin/test-hog" }
    cpu = { ceiling = "300m" }
    memory = { ceiling = "128M", oom = "group" }
    pids = { ceiling = 40 }
    "#;

/// A copy of a program under a name of its own, so that the rule matches nothing else.
#[derive(Debug)]
pub(crate) struct Program;

impl Program {
    pub(crate) fn copy_of(original: &str) -> Self {
        std::fs::copy(original, PROGRAM).unwrap();
        Self
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for pid in pids_of("test-hog") {
            run("kill", &["-KILL", &pid.to_string()]);
        }
        let _gone = std::fs::remove_file(PROGRAM);
    }
}

/// A login session of alice that runs a script.
#[derive(Debug)]
pub(crate) struct Session(Child);

impl Session {
    pub(crate) fn run(script: &str) -> Self {
        let mut command = Command::new("runuser");
        command.args(["-l", "alice", "-c", script]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        run("pkill", &["-KILL", "-u", "alice"]);
        let _ended = self.0.wait();
        until("alice is logged out", || pids_of_alice().is_empty().then_some(()));
        run("systemctl", &["stop", "--quiet", "user@1000.service", "user-1000.slice"]);
    }
}

pub(crate) fn pids_of_alice() -> Vec<i32> {
    let text = run("pgrep", &["-u", "alice"]).stdout;
    text.lines().map(|line| line.parse().unwrap()).collect()
}
