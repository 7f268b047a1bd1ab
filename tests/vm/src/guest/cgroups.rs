//! Finds and removes the cgroups that a test left behind.

use super::{processes, sys};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/fs/cgroup";

/// Which cgroups count as left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every one: nobody else makes cgroups here.
    All,
    /// Those with `provost` or `test` in their path: systemd makes others as it pleases.
    Named,
}

impl Scope {
    /// The cgroups that are there now.
    #[must_use]
    pub fn list(self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut left = vec![PathBuf::from(ROOT)];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    left.push(entry.path());
                    found.insert(entry.path());
                }
            }
        }
        found.retain(|path| self.counts(path));
        found
    }

    /// Removes what is there beyond `before` after `patience`; a line for each cgroup.
    #[must_use]
    pub fn clear(self, before: &BTreeSet<PathBuf>, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        let mut left = self.beyond(before);
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            left = self.beyond(before);
        }
        let described = left.iter().map(|path| format!("leaked cgroup {}", path.display()));
        let described = described.collect();
        remove(left);
        described
    }

    fn beyond(self, before: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        self.list().difference(before).cloned().collect()
    }

    fn counts(self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        self == Self::All || text.contains("provost") || text.contains("test")
    }
}

/// Ends the processes in the cgroups and removes them, children before parents.
fn remove(mut cgroups: Vec<PathBuf>) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !cgroups.is_empty() && Instant::now() < deadline {
        for path in &cgroups {
            end_members(path);
        }
        let _collected = processes::Household::Cgroup(String::new()).members();
        cgroups.reverse();
        cgroups.retain(|path| fs::remove_dir(path).is_err() && path.exists());
        cgroups.reverse();
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn end_members(cgroup: &Path) {
    // cgroup v2 ends them all at once, frozen or not; v1 has no such file.
    let _absent = fs::write(cgroup.join("cgroup.kill"), "1");
    let members = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    members.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1).for_each(sys::kill);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_systemd_only_names_of_ours_count() {
        let path = Path::new("/sys/fs/cgroup/user.slice/user-1000.slice");
        assert!(Scope::All.counts(path) && !Scope::Named.counts(path));
        assert!(Scope::Named.counts(Path::new("/sys/fs/cgroup/provost.slice")));
        assert!(Scope::Named.counts(Path::new("/sys/fs/cgroup/system.slice/test-a.service")));
    }
}
