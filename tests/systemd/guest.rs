//! A guest to test in: commands, units that clean up after themselves, and a daemon on scratch folders.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The freshly built binary.
pub fn provost() -> String {
    std::env::var("PROVOST_BIN").expect("PROVOST_BIN: run this with scripts/vm test")
}

/// Runs a shell line and gives its standard output; fails the test when the line fails.
pub fn sh(line: &str) -> String {
    let output = shell(line);
    assert!(output.status.success(), "{line}\n{}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a shell line, whatever comes of it.
pub fn shell(line: &str) -> Output {
    Command::new("sh").arg("-c").arg(line).output().expect("sh runs")
}

/// Everything a command said.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Waits until `true`, for at most a minute: emulated machines are slow, and a sleep would be a guess.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A file of a cgroup, without the newline; "absent" when it is not there.
pub fn knob(group: &str, file: &str) -> String {
    let path = Path::new("/sys/fs/cgroup").join(group).join(file);
    std::fs::read_to_string(path)
        .map_or_else(|_| "absent".to_owned(), |text| text.trim_end().to_owned())
}

/// All knobs that provost may write of a group, as text.
pub fn knobs(group: &str) -> String {
    const FILES: [&str; 13] = [
        "cpu.weight",
        "cpu.max",
        "cpu.max.burst",
        "cpuset.cpus",
        "memory.min",
        "memory.low",
        "memory.high",
        "memory.max",
        "memory.swap.max",
        "memory.oom.group",
        "io.max",
        "io.weight",
        "pids.max",
    ];
    FILES.map(|file| format!("{file}={}\n", knob(group, file))).concat()
}

/// A transient service, stopped when the test ends.
pub struct Unit(pub String);

impl Unit {
    /// Starts `command` as `test-NAME.service`.
    pub fn start(name: &str, command: &str) -> Self {
        let unit = format!("test-{name}.service");
        sh(&format!("systemd-run --quiet --collect --unit {unit} sh -c '{command}'"));
        wait_for("the unit's group", || {
            knob(&format!("system.slice/{unit}"), "cgroup.procs") != "absent"
        });
        Self(unit)
    }

    /// Its group.
    pub fn group(&self) -> String {
        format!("system.slice/{}", self.0)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _stopped =
            shell(&format!("systemctl stop {0}; systemctl reset-failed {0} 2>/dev/null", self.0));
    }
}

/// A daemon with folders of its own; stopped, restored and cleaned up when the test ends.
pub struct Daemon {
    root: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Folders with this configuration; nothing runs yet.
    pub fn prepared(config: &str) -> Self {
        let root = PathBuf::from(format!("/run/provost-test-{}", std::process::id()));
        let daemon = Self { root, child: None };
        daemon.configure(config);
        daemon
    }

    /// Writes the configuration.
    pub fn configure(&self, config: &str) {
        let folder = self.root.join("root/etc/provost");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), config).unwrap();
    }

    /// A running daemon that enforces.
    pub fn enforcing(config: &str) -> Self {
        let mut daemon = Self::prepared(&format!("mode = \"enforce\"\n{config}"));
        daemon.start();
        daemon
    }

    fn arguments(&self) -> Vec<String> {
        let at = |name: &str| self.root.join(name).display().to_string();
        ["--config-root", &at("root"), "--run-dir", &at("run"), "--state-dir", &at("state")]
            .map(str::to_owned)
            .to_vec()
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        let log = std::fs::File::create(self.root.join("log")).unwrap();
        let child = Command::new(provost())
            .args(self.arguments())
            .arg("start")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("provost starts");
        self.child = Some(child);
        wait_for("the daemon's answer", || self.verb(&["status"]).status.success());
    }

    /// Kills it without a word.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Runs a verb against it.
    pub fn verb(&self, verb: &[&str]) -> Output {
        Command::new(provost()).args(self.arguments()).args(verb).output().expect("provost runs")
    }

    /// Runs a verb that must succeed.
    pub fn done(&self, verb: &[&str]) -> String {
        let output = self.verb(verb);
        assert!(output.status.success(), "{verb:?}: {}\n{}", text(&output), self.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The status report.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.done(&["status", "--json"])).expect("the status is JSON")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    /// Waits until a knob holds a value.
    pub fn until(&self, group: &str, file: &str, value: &str) {
        let began = Instant::now();
        while knob(group, file) != value {
            let late = began.elapsed() > Duration::from_secs(60);
            assert!(
                !late,
                "{group} {file}: {} instead of {value}\n{}",
                knob(group, file),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        let _restored = self.verb(&["restore", "--all"]);
        let _gone = std::fs::remove_dir_all(&self.root);
        let _stopped = shell(
            "for s in provost-low provost-normal provost-high provost-critical provost; do systemctl stop $s.slice; done 2>/dev/null",
        );
    }
}
