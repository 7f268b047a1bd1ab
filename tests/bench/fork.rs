//! P14: what a fork and an exec cost everybody else while provost listens to executed programs.
#![expect(unsafe_code, reason = "a bare fork")]

use crate::daemon::Daemon;
use crate::measure::{Budget, Table, median};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use std::process::Command;
use std::time::Instant;

const BLOCKS: usize = 6;
const IN_A_BLOCK: usize = 150;

pub(crate) fn run(table: &mut Table) {
    let rules = "[component.none]\nmatch = { exe = \"/usr/bin/nobody-has-it\" }\n";
    let mut without = (Vec::new(), Vec::new());
    let mut with = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        block(&mut without);
        let daemon = Daemon::start(rules);
        block(&mut with);
        daemon.stop();
    }
    let forks = (median(without.0), median(with.0));
    table.row("P14", "us, fork, exit and wait (wall)", forks, Budget::Times(1.05));
    let execs = (median(without.1), median(with.1));
    table.row(
        "P14",
        "us, fork, exec of an unregistered program (wall)",
        execs,
        Budget::Times(1.02),
    );
}

fn block(times: &mut (Vec<f64>, Vec<f64>)) {
    for _ in 0..IN_A_BLOCK {
        let started = Instant::now();
        // SAFETY: this process has one thread, and the child does nothing but leave.
        match unsafe { fork() }.unwrap() {
            // SAFETY: leaves at once, without running destructors of the parent's.
            ForkResult::Child => unsafe { libc::_exit(0) },
            ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        };
        times.0.push(started.elapsed().as_secs_f64() * 1e6);
        let started = Instant::now();
        assert!(Command::new("/bin/true").status().unwrap().success());
        times.1.push(started.elapsed().as_secs_f64() * 1e6);
    }
}
