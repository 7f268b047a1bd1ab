//! Units of a test, and the files of their cgroups.

use super::{run, until};
use std::path::{Path, PathBuf};

/// Every limit that provost may touch.
pub(crate) const KNOBS: [&str; 12] = [
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
    "pids.max",
];

/// A unit that is stopped and forgotten when the test is over.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) name: String,
}

impl Unit {
    /// Starts a transient service.
    #[track_caller]
    pub(crate) fn start(name: &str, properties: &[&str], command: &[&str]) -> Self {
        let unit = format!("--unit={name}");
        let mut arguments = vec!["--quiet", unit.as_str()];
        arguments.extend(properties.iter().flat_map(|property| ["-p", property]));
        arguments.push("--");
        arguments.extend(command);
        run("systemd-run", &arguments).ok();
        Self { name: name.to_owned() }
    }

    /// Writes a unit file and makes systemd read it; nothing is started.
    #[track_caller]
    pub(crate) fn install(name: &str, text: &str) -> Self {
        let path = file(name);
        std::fs::write(&path, text).unwrap();
        run("systemctl", &["daemon-reload"]).ok();
        Self { name: name.to_owned() }
    }

    /// An instance of an installed template, or an installed unit, started.
    #[track_caller]
    pub(crate) fn launch(name: &str) -> Self {
        run("systemctl", &["start", name]).ok();
        Self { name: name.to_owned() }
    }

    /// A property as `systemctl show` prints it.
    #[track_caller]
    pub(crate) fn show(&self, property: &str) -> String {
        run("systemctl", &["show", "-P", property, &self.name]).ok().trim().to_owned()
    }

    /// Its path below the cgroup root, without a leading slash.
    #[track_caller]
    pub(crate) fn cgroup(&self) -> String {
        self.show("ControlGroup").trim_start_matches('/').to_owned()
    }

    #[track_caller]
    pub(crate) fn main_pid(&self) -> i32 {
        self.show("MainPID").parse().unwrap()
    }

    /// A knob as the kernel shows it; none where the file is missing.
    #[track_caller]
    pub(crate) fn knob(&self, knob: &str) -> Option<String> {
        self::knob(&self.cgroup(), knob)
    }

    /// Waits until a knob has a value.
    #[track_caller]
    pub(crate) fn reaches(&self, knob: &str, value: &str) {
        reaches(&self.cgroup(), knob, value);
    }

    /// Its runtime drop-ins.
    pub(crate) fn dropins(&self) -> Vec<PathBuf> {
        let folders = ["/run/systemd/system.control", "/run/systemd/transient"];
        let mut found: Vec<PathBuf> = folders
            .iter()
            .filter_map(|folder| {
                std::fs::read_dir(Path::new(folder).join(format!("{}.d", self.name))).ok()
            })
            .flat_map(|entries| entries.map(|entry| entry.unwrap().path()))
            .collect();
        found.sort();
        found
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        run("systemctl", &["stop", "--quiet", &self.name]);
        run("systemctl", &["reset-failed", "--quiet", &self.name]);
        for path in self.dropins() {
            let _gone = std::fs::remove_file(path);
        }
        if std::fs::remove_file(file(&self.name)).is_ok() {
            run("systemctl", &["daemon-reload"]);
        }
    }
}

fn file(name: &str) -> PathBuf {
    Path::new("/run/systemd/system").join(name)
}

/// The path of a cgroup file.
pub(crate) fn path(cgroup: &str, knob: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(cgroup.trim_start_matches('/')).join(knob)
}

/// A knob of any cgroup.
pub(crate) fn knob(cgroup: &str, knob: &str) -> Option<String> {
    let text = std::fs::read_to_string(path(cgroup, knob)).ok()?;
    Some(text.trim_end().to_owned())
}

/// A knob that counts bytes.
#[track_caller]
pub(crate) fn bytes(cgroup: &str, name: &str) -> u64 {
    let text = knob(cgroup, name).unwrap_or_else(|| panic!("{cgroup} has no {name}"));
    if text == "max" { u64::MAX } else { text.parse().unwrap() }
}

/// Knobs of a cgroup by name; none where the file is missing.
pub(crate) type Knobs = Vec<(&'static str, Option<String>)>;

/// All knobs of a cgroup.
pub(crate) fn knobs(cgroup: &str) -> Knobs {
    KNOBS.iter().map(|name| (*name, knob(cgroup, name))).collect()
}

/// Waits until a knob has a value.
#[track_caller]
pub(crate) fn reaches(cgroup: &str, name: &str, value: &str) {
    let mut seen = None;
    let what = format!("{cgroup}/{name} becomes {value:?}");
    let began = std::time::Instant::now();
    while began.elapsed() < super::command::PATIENCE {
        seen = knob(cgroup, name);
        if seen.as_deref() == Some(value) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what}, but it is {seen:?}");
}

/// The processes of a cgroup itself.
pub(crate) fn procs(cgroup: &str) -> Vec<i32> {
    let text = knob(cgroup, "cgroup.procs").unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Where a process lives, without a leading slash; none when it is gone.
pub(crate) fn cgroup_of(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(path.to_owned())
}

/// The processes whose name is `comm`, by number.
pub(crate) fn pids_of(comm: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let numbers = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let mut pids: Vec<i32> = numbers
        .filter(|pid: &i32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim_end() == comm)
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Waits until a cgroup is gone.
#[track_caller]
pub(crate) fn vanishes(cgroup: &str) {
    until(&format!("{cgroup} is gone"), || (!path(cgroup, "").exists()).then_some(()));
}
