//! The host's size and identity.

use super::probe::Roots;
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
    }
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

fn number(path: &Path) -> Option<u64> {
    parse::number(&std::fs::read(path).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
