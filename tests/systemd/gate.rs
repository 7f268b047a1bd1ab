//! The exec gate beside systemd: the anchor keeps the scope in being, and a service keeps its processes.

use crate::guest::{Daemon, knob, sh, wait_for};

const SCOPE: &str = "provost.slice/provost-low.slice/provost-gated.scope";
const GATED: &str = r#"
[component.gated]
priority = "low"
catch = "gate"
match = { exe = "/run/test-cat" }
memory = { ceiling = "100M" }
"#;

/// Where the program finds itself as its first act, started inside a scope of its own.
fn look() -> String {
    sh("systemd-run --quiet --scope --unit test-look /run/test-cat /proc/self/cgroup")
}

#[test]
fn a_gated_program_starts_in_its_scope_and_a_service_keeps_its_own() {
    sh("cp /usr/bin/cat /run/test-cat");
    let mut daemon = Daemon::enforcing(GATED);
    wait_for("the anchor in its scope", || {
        let procs = knob(SCOPE, "cgroup.procs");
        procs
            .parse::<i32>()
            .is_ok_and(|pid| sh(&format!("cat /proc/{pid}/comm")).trim() == "provost-anchor")
    });
    daemon.until(SCOPE, "memory.max", "104857600");
    wait_for("the open gate", || look().contains(SCOPE));
    let inside = (0..10).filter(|_| look().contains(SCOPE)).count();
    println!("figure: {inside} of 10 inside from their first instruction");
    // An emulated machine may need longer for a move than a program is held back.
    assert!(inside >= 5, "{inside}\n{}", daemon.log());
    let own = sh("/run/test-cat /proc/self/cgroup");
    assert!(own.contains(".service") && !own.contains(SCOPE), "{own}");
    daemon.kill();
    wait_for("the end of the scope", || knob(SCOPE, "cgroup.procs") == "absent");
    sh("rm /run/test-cat");
}
