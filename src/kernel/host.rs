//! The host's size and identity.

use super::probe::{KernelVersion, Roots};
use super::{devices, parse, topology};
use crate::model::{HostView, Topology};
use crate::units::{Bytes, CpuSet};
use std::path::Path;

/// The host as decisions need it. What cannot be read is taken as the least: one CPU, no memory.
#[must_use]
pub fn view(roots: &Roots) -> HostView {
    let online = online(&roots.sys);
    let topology = topology::read(&roots.sys, &online);
    with_topology(roots, online, topology)
}

/// The host's name, as `hostname` tells it; a word of its own where it has none.
#[must_use]
pub fn name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "this host".to_owned())
}

/// The host again. How its CPUs belong together, which takes some files for each core, is read only if others are online than `before`.
#[must_use]
pub fn view_again(roots: &Roots, before: &HostView) -> HostView {
    let online = online(&roots.sys);
    let topology = if online == before.online {
        before.topology.clone()
    } else {
        topology::read(&roots.sys, &online)
    };
    with_topology(roots, online, topology)
}

fn with_topology(roots: &Roots, online: CpuSet, topology: Topology) -> HostView {
    let meminfo = std::fs::read(roots.proc.join("meminfo")).unwrap_or_default();
    let kibi = |key| Bytes(parse::meminfo(&meminfo, key).unwrap_or(0).saturating_mul(1024));
    HostView {
        online,
        topology,
        memory: kibi("MemTotal"),
        swap: kibi("SwapTotal"),
        page: page(),
        pid_max: most_tasks(&roots.proc),
        disks: devices::disks(&roots.sys, &roots.cgroup),
        systemd: roots.run.join("systemd/system").is_dir(),
        sched_ext: sched_ext(&roots.sys),
        // Its group is there while it runs, and goes with its last process.
        oomd: roots.cgroup.join("system.slice/systemd-oomd.service").is_dir(),
        reclaim: roots.cgroup.join("memory.reclaim").exists(),
        rt_bounded: realtime_bound(&roots.proc).is_some_and(RealtimeBound::holds),
        swap_rotates: swap_rotates(roots),
    }
}

/// Whether a rotating disk holds swap, by `/proc/swaps` and `queue/rotational` (`Documentation/ABI/stable/sysfs-block`).
fn swap_rotates(roots: &Roots) -> bool {
    let swaps = std::fs::read_to_string(roots.proc.join("swaps")).unwrap_or_default();
    let places = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    let disks =
        places.flat_map(|place| devices::behind(&roots.sys, Path::new(place)).unwrap_or_default());
    disks.into_iter().any(|disk| {
        let file = roots.sys.join(format!("dev/block/{disk}/queue/rotational"));
        number(&file) == Some(1)
    })
}

/// The kernel refuses a fork that would pass either limit (`kernel/fork.c`); of a small host `threads-max` is the lesser by far.
fn most_tasks(proc: &Path) -> u64 {
    let limits = ["pid_max", "threads-max"];
    let limits = limits.into_iter().filter_map(|name| number(&proc.join("sys/kernel").join(name)));
    limits.min().unwrap_or(32_768)
}

/// The name of the sched_ext scheduler that is loaded. `Documentation/scheduler/sched-ext.rst`: `root/ops` is there only while one is.
fn sched_ext(sys: &Path) -> Option<String> {
    let line = |file: &str| {
        let text = std::fs::read_to_string(sys.join("kernel/sched_ext").join(file)).ok()?;
        Some(text.trim().to_owned())
    };
    let is_loaded = line("state")? != "disabled";
    is_loaded.then(|| line("root/ops").unwrap_or_else(|| "unnamed".to_owned()))
}

/// The CPUs that are online.
#[must_use]
pub fn online(sys: &Path) -> CpuSet {
    let list = std::fs::read_to_string(sys.join("devices/system/cpu/online")).unwrap_or_default();
    let online: CpuSet = list.parse().unwrap_or_default();
    if online.is_empty() { CpuSet::of([0]) } else { online }
}

/// The size of a page.
#[must_use]
pub fn page() -> Bytes {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    Bytes(size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096))
}

/// This boot's identity.
#[must_use]
pub fn boot_id(proc: &Path) -> String {
    let id = std::fs::read_to_string(proc.join("sys/kernel/random/boot_id")).unwrap_or_default();
    id.trim().to_owned()
}

/// How much of a CPU's time threads in real time may have (`Documentation/scheduler/sched-rt-group.rst`), in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealtimeBound {
    /// `kernel.sched_rt_runtime_us`; none for -1: all of it.
    pub runtime_usec: Option<u64>,
    /// `kernel.sched_rt_period_us`.
    pub period_usec: u64,
    /// Whether all others have a server of their own on each CPU, 50 ms of a second, whatever real time wants (Linux 6.12). Newer kernels
    /// leave the runtime at the whole period for that.
    pub fair_server: bool,
}

impl RealtimeBound {
    /// Whether something is left to all others.
    #[must_use]
    pub fn holds(self) -> bool {
        let runtime = self.runtime_usec;
        runtime.is_some_and(|runtime| runtime < self.period_usec || self.fair_server)
    }
}

/// The bound of this host; none where it cannot be read.
#[must_use]
pub fn realtime_bound(proc: &Path) -> Option<RealtimeBound> {
    let folder = proc.join("sys/kernel");
    let runtime = std::fs::read_to_string(folder.join("sched_rt_runtime_us")).ok()?;
    let runtime_usec = match runtime.trim() {
        "-1" => None,
        digits => Some(digits.parse().ok()?),
    };
    let release = std::fs::read_to_string(folder.join("osrelease")).unwrap_or_default();
    let since = KernelVersion { major: 6, minor: 12 };
    let fair_server = KernelVersion::parse(&release).is_some_and(|version| version >= since);
    let period_usec = number(&folder.join("sched_rt_period_us"))?;
    Some(RealtimeBound { runtime_usec, period_usec, fair_server })
}

fn number(path: &Path) -> Option<u64> {
    parse::number(&std::fs::read(path).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_on_real_time_is_read_and_judged() {
        let proc = std::env::temp_dir().join(format!("provost-rt-bound-{}", std::process::id()));
        let folder = proc.join("sys/kernel");
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(realtime_bound(&proc), None);
        std::fs::write(folder.join("sched_rt_period_us"), "1000000\n").unwrap();
        for (release, whole_period) in [("6.1.0-56-amd64\n", false), ("7.2.13+deb14\n", true)] {
            std::fs::write(folder.join("osrelease"), release).unwrap();
            let runtimes = [("950000\n", true), ("1000000\n", whole_period), ("-1\n", false)];
            for (runtime, holds) in runtimes {
                std::fs::write(folder.join("sched_rt_runtime_us"), runtime).unwrap();
                assert_eq!(realtime_bound(&proc).map(RealtimeBound::holds), Some(holds));
            }
        }
        std::fs::remove_dir_all(&proc).unwrap();
    }

    #[test]
    fn a_loaded_scheduler_is_named() {
        let sys = std::env::temp_dir().join(format!("provost-scx-{}", std::process::id()));
        let folder = sys.join("kernel/sched_ext");
        std::fs::create_dir_all(folder.join("root")).unwrap();
        assert_eq!(sched_ext(&sys), None, "a kernel without");
        for (state, ops, name) in [
            ("disabled\n", None, None),
            ("enabled\n", Some("scx_lavd\n"), Some("scx_lavd")),
            ("enabling\n", None, Some("unnamed")),
        ] {
            std::fs::write(folder.join("state"), state).unwrap();
            let file = folder.join("root/ops");
            match ops {
                Some(ops) => std::fs::write(file, ops).unwrap(),
                None => drop(std::fs::remove_file(file)),
            }
            assert_eq!(sched_ext(&sys).as_deref(), name, "{state}");
        }
        std::fs::remove_dir_all(&sys).unwrap();
    }
}
