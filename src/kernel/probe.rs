//! What this host's kernel, cgroup tree and service manager can do: the facts behind `provost doctor`.
//!
//! [`Probe::take`] reads, [`checks`] judges what was read. Every path starts at one of the [`Roots`], so that a fixture tree stands
//! in for a host. Nothing here writes, starts a program or needs a running daemon; the only thing besides reading is a
//! connection to the bus socket, closed at once.

mod check;
mod disks;
mod groups;
mod host;
pub(in crate::kernel) mod mounts;
mod process;
mod read;

pub use check::{Check, Status, checks};
pub use disks::DiskProbe;
pub use groups::{GroupProbe, KnobReach, ProbedKnob};
pub use host::{BusSocket, KernelVersion, PsiState, SwapArea, Systemd};
pub use mounts::{Hierarchy, HierarchyKind, V2Mount};
pub use process::{Capability, Competitor, Namespaces, OpenFiles, ProcessProbe};

use super::host::{RealtimeBound, online, realtime_bound};
use super::topology;
use crate::model::{ReadFault, Topology};
use read::Reader;
use std::path::PathBuf;

/// Where the host's file systems are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// `/sys/fs/cgroup`: the tree, or on hybrid hosts the folder that holds the hierarchies.
    pub cgroup: PathBuf,
    /// `/run`.
    pub run: PathBuf,
    /// `/boot`, for the kernel's build configuration.
    pub boot: PathBuf,
}

impl Roots {
    /// The host that provost runs on.
    #[must_use]
    pub fn host() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            cgroup: PathBuf::from("/sys/fs/cgroup"),
            run: PathBuf::from("/run"),
            boot: PathBuf::from("/boot"),
        }
    }
}

/// What was found on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `uname -r`; none when it could not be read.
    pub release: Option<String>,
    /// Its first two numbers.
    pub kernel: Option<KernelVersion>,
    /// Which cgroup hierarchies are mounted, and how.
    pub hierarchy: Hierarchy,
    /// How the CPUs that are online belong together.
    pub topology: Topology,
    /// The v2 tree: controllers and knobs.
    pub groups: GroupProbe,
    /// Pressure stall information.
    pub psi: PsiState,
    /// Swap areas in use.
    pub swap: Vec<SwapArea>,
    /// The service manager.
    pub systemd: Systemd,
    /// The process that asks.
    pub process: ProcessProbe,
    /// Which namespaces it lives in.
    pub namespaces: Namespaces,
    /// Whole disks, by name.
    pub disks: Vec<DiskProbe>,
    /// Other programs that steer the same resources, by command name.
    pub competitors: Vec<Competitor>,
    /// The sched_ext scheduler that is attached (Linux 6.12).
    pub sched_ext: Option<String>,
    /// Whether the kernel was built with `CONFIG_RT_GROUP_SCHED`; none when its configuration is not readable.
    pub rt_group_sched: Option<bool>,
    /// How much of a CPU threads in real time may have.
    pub realtime: Option<RealtimeBound>,
    /// The clock source in use, such as `tsc`.
    pub clock_source: Option<String>,
    /// The kernel command line's words.
    pub command_line: Vec<String>,
    /// What is there and could not be read.
    pub faults: Vec<ReadFault>,
}

impl Probe {
    /// Looks at the host below `roots`. Missing files are facts, not errors; unreadable ones end up in [`Probe::faults`].
    #[must_use]
    pub fn take(roots: &Roots) -> Self {
        let mut reader = Reader::new(roots);
        let release = host::release(&mut reader);
        let config = host::build_configuration(&mut reader, release.as_deref());
        let command_line = host::command_line(&mut reader);
        let hierarchy = mounts::probe(&mut reader);
        let v2 = hierarchy.v2.as_ref().map(|mount| mount.dir.clone());
        let io_cost = disks::io_cost(&mut reader, v2.as_deref());
        Self {
            kernel: release.as_deref().and_then(KernelVersion::parse),
            groups: groups::probe(&mut reader, v2.as_deref()),
            psi: host::psi(&mut reader, &command_line, config.as_deref()),
            swap: host::swap(&mut reader),
            systemd: host::systemd(&mut reader),
            process: process::probe(&mut reader),
            namespaces: process::namespaces(&mut reader),
            disks: disks::probe(&mut reader, &io_cost),
            competitors: process::competitors(&mut reader),
            sched_ext: host::sched_ext(&mut reader),
            rt_group_sched: config
                .as_deref()
                .map(|config| host::is_built_in(config, "CONFIG_RT_GROUP_SCHED")),
            realtime: realtime_bound(&roots.proc),
            clock_source: host::clock_source(&mut reader),
            release,
            topology: topology::read(&roots.sys, &online(&roots.sys)),
            hierarchy,
            command_line,
            faults: reader.faults(),
        }
    }
}

/// Any text as the files that are read for doctor.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_lines(text: &str) {
    mounts::check(text);
    let _limits = text.lines().filter_map(process::open_files).count();
    let digits = host::version_in_maps(text).map(|version| version.to_string());
    assert!(digits.is_none_or(|digits| text.contains(&digits) || text.contains("-0")));
    for area in host::swap_areas(text) {
        assert!(!area.name.contains(char::is_whitespace), "{:?}", area.name);
    }
    if let Some(version) = KernelVersion::parse(text) {
        assert_eq!(KernelVersion::parse(&version.to_string()), Some(version));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn any_host_can_be_probed_and_judged() {
        let probe = Probe::take(&Roots::host());
        assert!(probe.kernel.is_some(), "every Linux host tells its release: {:?}", probe.release);
        assert!(probe.process.open_files.is_some());
        let checks = checks(&probe);
        let ids: BTreeSet<&str> = checks.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), checks.len(), "one check per id");
        for check in &checks {
            let needs_fix = check.status != Status::Ok;
            assert_eq!(check.fix.is_some(), needs_fix, "{check:?}");
        }
    }

    #[test]
    fn an_empty_tree_is_judged_without_reading_the_host() {
        let nowhere = PathBuf::from("/nonexistent");
        let probe = Probe::take(&Roots {
            proc: nowhere.clone(),
            sys: nowhere.clone(),
            cgroup: nowhere.clone(),
            run: nowhere.clone(),
            boot: nowhere,
        });
        assert_eq!(probe.release, None);
        assert_eq!(probe.hierarchy.kind(), HierarchyKind::None);
        assert!(probe.disks.is_empty() && probe.competitors.is_empty());
        let failed = checks(&probe);
        let failed = failed.iter().filter(|check| check.status == Status::Fail);
        assert!(failed.count() >= 2, "no kernel and no cgroups");
    }
}
