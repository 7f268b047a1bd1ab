//! The exec gate: a gated program is in its component before its first instruction, and nobody is held back for long.

use crate::common::{Agent, World, eventually, within};
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

/// Waits until the gate is open and the anchor in place.
fn open_gate(agent: &Agent, program: &Path) {
    let open = within(Duration::from_secs(40), || is_home(&look(program).0));
    assert!(open, "{}\n{:?}", agent.log(), look(program));
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
    open_gate(&agent, &program);
    let mut times = Vec::new();
    let mut inside = 0;
    for _ in 0..20 {
        let (place, time) = look(&program);
        inside += u32::from(is_home(&place));
        // Nobody is held back for more than 50 ms: where the kernel takes longer than that to move a process, as an emulated one on
        // a busy host may, the program starts outside and is placed by its exec event.
        assert!(
            is_home(&place) || time >= Duration::from_millis(45),
            "{place} {time:?}\n{}",
            agent.log()
        );
        times.push(time);
    }
    println!("figure: {inside} of 20 gated programs were inside from their first instruction");
    assert!(inside >= 10, "{inside}\n{}", agent.log());
    println!(
        "figure: start to end of a gated program {:?}, of the same without provost {plain:?}",
        median(times)
    );
    eventually("the status counts them", || agent.status().escape.placed >= u64::from(inside));
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    assert!(!is_home(&look(&program).0), "the gate is gone with the daemon");
}

#[test]
fn a_stopped_or_killed_daemon_holds_nobody_back() {
    let world = World::bare("gate-dead");
    let program = cat(&world);
    let mut agent = Agent::new(&world, "enforce", &gated(&program));
    agent.start();
    open_gate(&agent, &program);
    kill(Pid::from_raw(agent.pid()), Signal::SIGSTOP).unwrap();
    let (_, stopped) = look(&program);
    kill(Pid::from_raw(agent.pid()), Signal::SIGCONT).unwrap();
    println!("figure: start to end of a gated program beside a stopped daemon {stopped:?}");
    assert!(stopped < Duration::from_secs(2), "{stopped:?}");
    agent.end(Signal::SIGKILL);
    let (_, killed) = look(&program);
    println!("figure: start to end of a gated program beside a killed daemon {killed:?}");
    assert!(killed < Duration::from_secs(2), "{killed:?}");
    let procs = Path::new("/sys/fs/cgroup").join(HOME).join("cgroup.procs");
    eventually("the anchor has died with the daemon", || {
        std::fs::read_to_string(&procs).is_ok_and(|procs| procs.is_empty())
    });
    let restored = agent.say(&["restore"]);
    assert_eq!(restored.exit, 0, "{restored:?}");
}
