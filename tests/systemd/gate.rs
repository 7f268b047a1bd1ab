//! The exec gate beside systemd: the anchor keeps the scope in being, and a service keeps its processes.

use crate::common::unit::{knob, procs, reaches, vanishes};
use crate::common::{World, figure, run, until};

const SCOPE: &str = "provost.slice/provost-low.slice/provost-gated.scope";
const PROGRAM: &str = "/run/test-cat";
const GATED: &str = r#"
    [component.gated]
    priority = "low"
    catch = "gate"
    match = { exe = "/run/test-cat" }
    memory = { ceiling = "100M" }
    "#;

/// A copy of `cat`, removed when the test is over.
struct Cat;

impl Drop for Cat {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(PROGRAM);
    }
}

/// Whether the program finds itself in the component as its first act, started inside a scope of its own.
fn is_inside() -> bool {
    let look = ["--quiet", "--scope", "--unit=test-look", PROGRAM, "/proc/self/cgroup"];
    run("systemd-run", &look).ok().contains(SCOPE)
}

#[test]
fn a_gated_program_starts_in_its_scope_and_a_service_keeps_its_own() {
    std::fs::copy("/usr/bin/cat", PROGRAM).unwrap();
    let _cat = Cat;
    let mut world = World::enforce(GATED);
    until("the anchor lives in its scope", || {
        let anchor = *procs(SCOPE).first()?;
        let name = std::fs::read_to_string(format!("/proc/{anchor}/comm")).ok()?;
        (name.trim() == "provost-anchor").then_some(())
    });
    reaches(SCOPE, "memory.max", "104857600");
    until("the gate is open", || is_inside().then_some(()));
    let inside = (0..10).filter(|_| is_inside()).count();
    figure("inside_from_the_first_instruction_of_10", inside);
    // An emulated machine may need longer for a move than a program is held back.
    assert!(inside >= 5, "{inside}\n{}", world.log());
    let own = run(PROGRAM, &["/proc/self/cgroup"]).ok();
    assert!(own.contains(".service") && !own.contains(SCOPE), "{own}");
    assert_eq!(knob(SCOPE, "memory.max").as_deref(), Some("104857600"));
    world.kill();
    vanishes(SCOPE);
}
