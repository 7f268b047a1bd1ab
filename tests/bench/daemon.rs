//! The real daemon as a child process, with a configuration and state of its own, ended and cleaned up in the end.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `provost start` that only observes.
pub(crate) struct Daemon {
    child: Child,
    root: PathBuf,
    /// From its start to the end of its first cycle.
    pub(crate) ready_after: Duration,
}

impl Daemon {
    pub(crate) fn start(configuration: &str) -> Self {
        let root = std::env::temp_dir().join(format!("provost-bench-{}", std::process::id()));
        let config = root.join("etc/provost");
        std::fs::create_dir_all(&config).unwrap();
        for folder in ["run", "state"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(config.join("config.toml"), configuration).unwrap();
        for file in ["passwd", "group"] {
            let _copied = std::fs::copy(format!("/etc/{file}"), root.join("etc").join(file));
        }
        let program = std::env::var("PROVOST_BENCH_DAEMON")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_provost").to_owned());
        let started = Instant::now();
        let log = std::fs::File::create(root.join("log")).unwrap();
        let child = Command::new(program)
            .args(["--config-root", root.to_str().unwrap()])
            .args(["--run-dir", root.join("run").to_str().unwrap()])
            .args(["--state-dir", root.join("state").to_str().unwrap(), "start"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self { child, root, ready_after: Duration::ZERO };
        while !daemon.root.join("run/metrics.prom").exists() {
            let ended = daemon.child.try_wait().unwrap().is_some();
            let log = || std::fs::read_to_string(daemon.root.join("log")).unwrap();
            assert!(!ended && started.elapsed() < Duration::from_secs(60), "{}", log());
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.ready_after = started.elapsed();
        daemon
    }

    /// The value of a line of `/proc/PID/status`, or of all threads' together.
    pub(crate) fn status(&self, key: &str) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        value(&text, key)
    }

    /// CPU time and times it went to sleep, all threads.
    pub(crate) fn work(&self) -> (Duration, f64) {
        let mut work = (Duration::ZERO, 0.0);
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let task = task.unwrap().path();
            let ran = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let ran = ran.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
            work.0 += Duration::from_nanos(ran);
            let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
            work.1 += value(&status, "voluntary_ctxt_switches");
        }
        work
    }

    /// Ends it as systemd would, and tells how long that took.
    pub(crate) fn stop(mut self) -> Duration {
        let started = Instant::now();
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let left = self.child.wait().unwrap();
        assert!(left.success(), "{left}");
        started.elapsed()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        let _gone = std::fs::remove_dir_all(&self.root);
    }
}

fn value(status: &str, key: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
