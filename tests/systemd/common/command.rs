//! Running commands, and waiting for what they cause.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Emulated guests on a busy machine are slow; what never comes is told after this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A command that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Exit code; -1 when a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// What it printed, when it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// Its document, whatever the exit code.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) -> Ran {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asks until there is an answer.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the condition comes to hold within `patience`; asked twice a second, since asking takes CPU from what is waited for.
pub(crate) fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < patience {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    holds()
}

/// Whether the condition holds during the whole span.
pub(crate) fn holds_for(span: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < span {
        if !condition() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Prints a figure for the log. A test that prints one and misses is measured once more.
pub(crate) fn figure(name: &str, value: impl std::fmt::Display) {
    let cell = std::env::var("PROVOST_VM_CELL").unwrap_or_default();
    println!("FIGURE {cell} {name} {value}");
}
