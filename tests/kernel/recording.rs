//! The recording outlives the daemon, however it ends, and every cycle in it comes to the same when it is run again.

use crate::common::{Agent, World, eventually};
use crate::daemon::{HOME, by_exe, lives_in, worker};
use nix::sys::signal::Signal;
use provost::model::{Event, EventOf};
use provost::record::Which;

fn events(agent: &Agent) -> Vec<Event> {
    let said = agent.say(&["--json", "events", "--limit", "100000"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    serde_json::from_value(document["events"].clone()).unwrap()
}

#[test]
fn what_a_killed_daemon_did_is_told_and_comes_to_the_same_again() {
    let mut world = World::bare("recording");
    let pid = worker(&mut world);
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    agent.start();
    eventually("it is placed", || lives_in(&world, pid, HOME));
    agent.settle();
    eventually("the limits are recorded", || {
        let said = agent.say(&["history", "--component", "worker"]);
        said.exit == 0 && said.out.contains("memory.max")
    });
    assert_eq!(agent.end(Signal::SIGKILL), None);
    let said = agent.say(&["history", "--component", "worker", "--since", "1h"]);
    for word in ["memory.max", "100M", "cpu.max", "pids.max", "applied", "memory.ceiling"] {
        assert!(said.out.contains(word), "{word} is not in {said:?}");
    }
    let said = agent.say(&["replay"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.out.contains("nothing differs from what was recorded"), "{said:?}");
    // Another life goes on in the same files.
    agent.start();
    agent.settle();
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    let lives = events(&agent);
    let started = |event: &&Event| matches!(&event.of, EventOf::Daemon { what } if what.starts_with("started"));
    assert_eq!(lives.iter().filter(started).count(), 2, "{lives:?}");
    let said = agent.say(&["replay"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let said = agent.say(&["plan", "--against-history", "1h"]);
    assert!(said.out.contains("nothing differs"), "{said:?}");
}

#[test]
fn a_recording_that_was_cut_is_told_and_goes_on() {
    let mut world = World::bare("recording-cut");
    let _pid = worker(&mut world);
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    agent.start();
    agent.settle();
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    let file = agent.state_file("looks.ring");
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::File::options().write(true).open(&file).unwrap().set_len(length / 2).unwrap();
    let said = agent.say(&["replay"]);
    let told = format!("the last {} bytes of the file are missing", length - length / 2);
    assert!(said.out.replace('\n', " ").contains(&told), "{said:?}");
    agent.start();
    agent.settle();
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    assert_eq!(std::fs::metadata(&file).unwrap().len(), length);
    assert_eq!(agent.say(&["replay"]).exit, 0);
}

#[test]
fn a_folder_without_room_costs_the_recording_and_nothing_else() {
    let mut world = World::bare("recording-full");
    let pid = worker(&mut world);
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    let state = world.dir.join("small");
    std::fs::create_dir_all(&state).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
        .arg(&state)
        .status();
    assert!(mounted.unwrap().success(), "a small file system is mounted");
    agent.keep_state_in(&state);
    agent.start();
    eventually("it is placed", || lives_in(&world, pid, HOME));
    eventually("status tells", || {
        let findings = agent.status().findings;
        findings.iter().any(|finding| finding.text.starts_with("nothing is recorded: "))
    });
    let ring = Which::Looks.file(&state);
    assert!(!ring.exists(), "what could not be allocated is not there");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    let unmounted = std::process::Command::new("umount").arg(&state).status();
    assert!(unmounted.unwrap().success());
}
