//! The exec gate: a gated program is in its component before its first instruction, and nobody is held back for long.

use crate::common::{Agent, World, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const HOME: &str = "provost/normal/worker";

/// `cat` under a path of its own: its first act is to read the file that it is given.
fn cat(world: &World) -> PathBuf {
    let path = world.dir.join("cat");
    std::fs::copy("/bin/busybox", &path).unwrap();
    path
}

fn gated(program: &Path) -> String {
    format!(
        "[component.worker]\ncatch = \"gate\"\nmatch = {{ exe = \"{}\" }}\nmemory = {{ ceiling = \"100M\" }}\n",
        program.display()
    )
}

/// Where the program finds itself, and how long it took from before its start to its end.
fn look(program: &Path) -> (String, Duration) {
    let began = Instant::now();
    let output = Command::new(program).arg("/proc/self/cgroup").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (String::from_utf8(output.stdout).unwrap().trim_end().to_owned(), began.elapsed())
}

fn is_home(place: &str) -> bool {
    place.strip_prefix("0::/") == Some(HOME)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_gated_program_is_inside_before_its_first_instruction() {
    let world = World::bare("gate");
    let program = cat(&world);
    let (_, plain) = look(&program);
    let mut agent = Agent::new(&world, "enforce", &gated(&program));
    agent.start();
    eventually("the gate is open and the anchor in place", || is_home(&look(&program).0));
    let mut times = Vec::new();
    for round in 0..20 {
        let (place, time) = look(&program);
        assert!(is_home(&place), "round {round}: {place}\n{}", agent.log());
        times.push(time);
    }
    println!(
        "figure: start to end of a gated program {:?}, of the same without provost {plain:?}",
        median(times)
    );
    eventually("the status counts them", || agent.status().escape.placed >= 20);
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    assert!(!is_home(&look(&program).0), "the gate is gone with the daemon");
}

#[test]
fn a_stopped_or_killed_daemon_holds_nobody_back() {
    let world = World::bare("gate-dead");
    let program = cat(&world);
    let mut agent = Agent::new(&world, "enforce", &gated(&program));
    agent.start();
    eventually("the gate is open and the anchor in place", || is_home(&look(&program).0));
    kill(Pid::from_raw(agent.pid()), Signal::SIGSTOP).unwrap();
    let (_, stopped) = look(&program);
    kill(Pid::from_raw(agent.pid()), Signal::SIGCONT).unwrap();
    println!("figure: start to end of a gated program beside a stopped daemon {stopped:?}");
    assert!(stopped < Duration::from_secs(2), "{stopped:?}");
    agent.end(Signal::SIGKILL);
    let (_, killed) = look(&program);
    println!("figure: start to end of a gated program beside a killed daemon {killed:?}");
    assert!(killed < Duration::from_secs(2), "{killed:?}");
    let restored = agent.say(&["restore"]);
    assert_eq!(restored.exit, 0, "{restored:?}");
}
