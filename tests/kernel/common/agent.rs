//! The real `provost`, with its configuration, state and socket in a scratch folder.

use super::{World, eventually, text, within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provost::model::Report;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// What every test's configuration begins with. A guest's root is memory, and so is what is recorded there: no more than needed.
const HEAD: &str = "interval = \"200ms\"\nbackend = \"subtree\"\nhistory.budget = \"1M\"\n\
                    [reserve]\ncpu = \"0.1\"\nmemory = \"64M\"\n";

/// A provost of one test's own.
pub(crate) struct Agent {
    dir: PathBuf,
    state: PathBuf,
    daemon: Option<Child>,
    lives: u32,
    inside: Option<String>,
}

/// How a verb ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let exit = output.status.code().unwrap_or(-1);
        Self { exit, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Agent {
    /// A provost in `mode` with these components.
    pub(crate) fn new(world: &World, mode: &str, components: &str) -> Self {
        let dir = world.dir.join("agent");
        let state = dir.join("state");
        let agent = Self { dir, state, daemon: None, lives: 0, inside: None };
        agent.configure(mode, components);
        agent
    }

    /// Keeps the journal elsewhere.
    pub(crate) fn keep_state_in(&mut self, folder: &Path) {
        self.state = folder.to_owned();
    }

    /// Runs everything in a mount namespace of its own, after this script.
    pub(crate) fn mount_first(&mut self, script: &str) {
        self.inside = Some(script.to_owned());
    }

    /// Replaces the configuration's file.
    pub(crate) fn configure(&self, mode: &str, components: &str) {
        let folder = self.dir.join("root/etc/provost");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("mode = \"{mode}\"\n{HEAD}{components}");
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }

    /// A verb as a command.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let bin = std::env::var("PROVOST_BIN").unwrap();
        let mut command = match &self.inside {
            None => Command::new(bin),
            Some(script) => {
                let mut shell = Command::new("unshare");
                shell.args(["-m", "sh", "-c", &format!("{script} && exec \"$0\" \"$@\""), &bin]);
                shell
            }
        };
        command.arg("--config-root").arg(self.dir.join("root"));
        command.arg("--run-dir").arg(self.dir.join("run"));
        command.arg("--state-dir").arg(&self.state);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Does a verb.
    pub(crate) fn say(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    /// What the daemon says of itself.
    pub(crate) fn status(&self) -> Report {
        let said = self.say(&["--json", "status"]);
        assert_eq!(said.exit, 0, "{said:?}\n{}", self.log());
        serde_json::from_str(&said.out).unwrap()
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.lives += 1;
        let log = std::fs::File::create(self.log_file()).unwrap();
        let mut command = self.command(&["start"]);
        command.stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        let answers = within(super::PATIENCE, || self.say(&["status"]).exit == 0);
        assert!(answers, "{}", self.log());
    }

    /// A file that provost keeps over its restarts.
    pub(crate) fn state_file(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// The running daemon's number.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.daemon.as_ref().unwrap().id()).unwrap()
    }

    /// Sends the daemon a signal and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
        let status = self.daemon.take().unwrap().wait().unwrap();
        status.code()
    }

    /// What this life of the daemon wrote.
    pub(crate) fn log(&self) -> String {
        text(&self.log_file())
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join(format!("log-{}", self.lives))
    }

    /// Waits until the daemon has nothing left to do.
    pub(crate) fn settle(&self) {
        eventually("there is nothing left to do", || {
            let said = self.say(&["plan", "--exit-code"]);
            std::thread::sleep(Duration::from_millis(100));
            said.exit == 0
        });
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _dead = daemon.kill();
            let _reaped = daemon.wait();
        }
    }
}
