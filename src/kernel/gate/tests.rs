//! The gate on this kernel: a copy of /bin/true waits for the agent, and for nobody when the agent is dead or stopped.
//!
//! The keeper and, where it has to be stopped or killed, the agent are this test program again, running one ignored "test".

use super::*;
use nix::sys::signal::{Signal, kill};
use std::sync::mpsc;

/// Longer than the keeper's 50 ms by what a busy machine may add.
const SOON: Duration = Duration::from_millis(700);

/// A folder of its own with a copy of /bin/true in it, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("provost-gate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        folder.install();
        folder
    }

    fn program(&self) -> PathBuf {
        self.0.join("gated")
    }

    /// Puts a new file at the program's path, as a package upgrade does.
    fn install(&self) {
        let new = self.0.join("new");
        std::fs::copy("/bin/true", &new).unwrap();
        std::fs::rename(&new, self.program()).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const KEEPER: [&str; 4] =
    ["--ignored", "--exact", "kernel::gate::tests::be_the_keeper", "--nocapture"];

#[test]
#[ignore = "run by the other tests as their keeper"]
fn be_the_keeper() {
    super::super::gate_keeper::keep().unwrap();
}

/// The gate, or `None` where the kernel or our rights do not give one; then the error must say so.
fn open() -> Option<(Gate, GateWatch)> {
    match Gate::open(&std::env::current_exe().unwrap(), &KEEPER) {
        Ok(both) => Some(both),
        Err(error) => {
            assert!(!matches!(error, GateError::Keeper { .. }), "{error}");
            println!("no gate here: {error}");
            None
        }
    }
}

fn time_of_exec(program: &Path) -> Duration {
    let began = Instant::now();
    assert!(Command::new(program).status().unwrap().success());
    began.elapsed()
}

/// Opens a gate on the folder's program and runs it with `decide` on a thread.
fn gated(
    folder: &Folder,
    mut decide: impl FnMut() + Send + 'static,
) -> Option<(Gate, mpsc::Receiver<ExecAsk>)> {
    let (mut gate, watch) = open()?;
    assert_eq!(gate.set_paths(&[folder.program()]), []);
    let (sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        watch.run(|ask| {
            decide();
            sender.send(ask.clone()).unwrap();
        })
    });
    Some((gate, asked))
}

#[test]
fn an_exec_is_heard_of_before_it_happens_and_only_of_marked_programs() {
    let folder = Folder::new("heard");
    let Some((gate, asked)) = gated(&folder, || {}) else {
        return;
    };
    assert!(time_of_exec(Path::new("/bin/true")) < Duration::from_secs(5));
    assert!(asked.try_recv().is_err(), "an unmarked program asked");
    let took = time_of_exec(&folder.program());
    let ask = asked.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(ask.path, folder.program());
    assert!(ask.pid > 0);
    println!("asked and answered in {took:?}");
    drop(gate);
    time_of_exec(&folder.program());
    assert!(asked.recv().is_err(), "the watch ends with the gate");
}

#[test]
fn an_upgraded_program_is_marked_again() {
    let folder = Folder::new("upgrade");
    let Some((mut gate, asked)) = gated(&folder, || {}) else {
        return;
    };
    folder.install();
    time_of_exec(&folder.program());
    assert!(asked.try_recv().is_err(), "the new file is not marked yet");
    assert_eq!(gate.set_paths(&[folder.program()]), []);
    time_of_exec(&folder.program());
    assert!(asked.recv_timeout(Duration::from_secs(5)).is_ok());
    assert_eq!(gate.set_paths(&[]), []);
    time_of_exec(&folder.program());
    assert!(asked.try_recv().is_err(), "no longer marked");
}

/// A script is asked about by its own name; its interpreter is another file and not marked.
#[test]
fn a_script_is_gated_as_a_program_is() {
    let folder = Folder::new("script");
    let Some((mut gate, asked)) = gated(&folder, || {}) else {
        return;
    };
    let script = folder.0.join("script");
    std::fs::copy("/bin/true", &script).unwrap(); // for its permissions
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    assert_eq!(gate.set_paths(std::slice::from_ref(&script)), []);
    time_of_exec(&script);
    let ask = asked.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(ask.path, script);
}

#[test]
fn what_cannot_be_marked_is_named() {
    let folder = Folder::new("issues");
    let Some((mut gate, _watch)) = open() else {
        return;
    };
    let missing = folder.0.join("missing");
    let issues = gate.set_paths(&[missing.clone(), folder.0.clone(), folder.program()]);
    let paths: Vec<&PathBuf> = issues.iter().map(|issue| &issue.path).collect();
    assert_eq!(paths, [&missing, &folder.0]);
    assert!(issues[0].what.contains("no such file"), "{}", issues[0]);
    assert!(issues[1].what.contains("regular file"), "{}", issues[1]);
}

#[test]
fn a_slow_decision_delays_by_fifty_milliseconds_and_no_more() {
    let folder = Folder::new("slow");
    let Some((_gate, asked)) = gated(&folder, || {
        std::thread::sleep(Duration::from_secs(2));
    }) else {
        return;
    };
    let took = time_of_exec(&folder.program());
    assert!(took >= PATIENCE && took < SOON, "{took:?}");
    assert!(asked.try_recv().is_err(), "it had not decided yet");
}

#[test]
fn a_killed_keeper_blocks_nobody() {
    let folder = Folder::new("keeper");
    let Some((gate, _asked)) = gated(&folder, || {
        std::thread::sleep(Duration::from_secs(2));
    }) else {
        return;
    };
    let pid = Pid::from_raw(i32::try_from(gate.keeper.id()).unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    let took = time_of_exec(&folder.program());
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_stopped_keeper_is_killed_and_its_waiters_go_on() {
    let folder = Folder::new("stopped-keeper");
    let Some((mut gate, watch)) = open() else {
        return;
    };
    assert_eq!(gate.set_paths(&[folder.program()]), []);
    let watching = std::thread::spawn(move || watch.run(|_| {}));
    let pid = Pid::from_raw(i32::try_from(gate.keeper.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let took = time_of_exec(&folder.program());
    assert!(took < SOON, "{took:?}");
    let error = watching.join().unwrap().unwrap_err();
    assert!(error.to_string().contains("stopped"), "{error}");
}

/// An agent in a process of its own, so that it can be stopped and killed.
#[test]
#[ignore = "run by the other tests as their agent"]
fn be_the_agent() {
    let folder = std::env::var_os("PROVOST_TEST_FOLDER").unwrap();
    let folder = PathBuf::from(folder);
    let (mut gate, watch) = open().unwrap();
    assert_eq!(gate.set_paths(&[folder.join("gated")]), []);
    std::fs::write(folder.join("ready"), "").unwrap();
    watch.run(|_| std::fs::write(folder.join("asked"), "").unwrap()).unwrap();
}

struct Agent(Child);

impl Agent {
    fn start(folder: &Folder) -> Self {
        let agent = Self(
            Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "kernel::gate::tests::be_the_agent"])
                .env("PROVOST_TEST_FOLDER", &folder.0)
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        );
        for _ in 0..500 {
            if folder.0.join("ready").exists() {
                return agent;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the agent did not start");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_stopped_or_dead_agent_blocks_nobody() {
    if open().is_none() {
        return;
    }
    let folder = Folder::new("agent");
    let agent = Agent::start(&folder);
    time_of_exec(&folder.program());
    assert!(folder.0.join("asked").exists());
    agent.signal(Signal::SIGSTOP);
    for round in 0..4 {
        let took = time_of_exec(&folder.program());
        println!("stopped agent, exec {round}: {took:?}");
        assert!(took < SOON, "{took:?}");
    }
    let took = time_of_exec(&folder.program());
    assert!(took < PATIENCE, "after three misses nobody waits: {took:?}");
    agent.signal(Signal::SIGCONT);
    agent.signal(Signal::SIGKILL);
    let took = time_of_exec(&folder.program());
    println!("killed agent: {took:?}");
    assert!(took < SOON, "{took:?}");
}

proptest::proptest! {
    #[test]
    fn what_comes_over_the_sockets_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
        let _answer = answer_in(Some(&bytes), 1);
        if let Some((_, ask)) = ask_in(Some(&bytes)) {
            proptest::prop_assert!(ask.path.as_os_str().len() < bytes.len());
        }
    }
}
