//! Finds and ends the processes that a test left behind.

use super::sys;
use std::fs;
use std::time::{Duration, Instant};

/// Whose processes count as left behind.
#[derive(Debug, Clone)]
pub enum Household {
    /// Everything in user space except PID 1: the machine is ours.
    Machine,
    /// The processes of one cgroup except our own.
    Cgroup(String),
}

impl Household {
    /// Ids of the processes that are there now; zombies are collected, not listed.
    #[must_use]
    pub fn members(&self) -> Vec<i32> {
        while sys::reap().is_some() {}
        let own = i32::try_from(std::process::id()).unwrap_or(1);
        let all: Vec<i32> = match self {
            Self::Machine => numbers("/proc"),
            Self::Cgroup(path) => {
                let text = fs::read_to_string(format!("{path}/cgroup.procs"));
                text.unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
            }
        };
        all.into_iter().filter(|pid| *pid != own && is_user_process(*pid)).collect()
    }

    /// Ends what is left after `patience`; a line for each process.
    #[must_use]
    pub fn clear(&self, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        let mut left = self.members();
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
            left = self.members();
        }
        let described = left.iter().map(|pid| describe(*pid)).collect();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !left.is_empty() && Instant::now() < deadline {
            left.iter().for_each(|pid| sys::kill(*pid));
            std::thread::sleep(Duration::from_millis(10));
            left = self.members();
        }
        described
    }
}

fn numbers(directory: &str) -> Vec<i32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
}

/// Kernel threads have an empty command line and no executable; zombies have neither any more.
fn is_user_process(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

fn describe(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("leaked process {pid} ({})", name.trim())
}
