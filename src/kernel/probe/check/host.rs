//! Checks of the kernel and of what it runs on: version, pressure information, swap, disks, clock.
//!
//! Pure, as its parent.

use super::super::{DiskProbe, KernelVersion, Probe, PsiState};
use super::{Check, list};
use crate::model::{Controller, Core, IoWeightBackend};
use crate::units::Bytes;

const FULL: KernelVersion = KernelVersion { major: 6, minor: 1 };
const LEAST: KernelVersion = KernelVersion { major: 5, minor: 10 };

pub(super) fn kernel(probe: &Probe) -> Check {
    const ID: &str = "kernel";
    let release = probe.release.as_deref().unwrap_or("unknown");
    let title = format!("Linux {release}");
    match probe.kernel {
        Some(version) if version >= FULL => Check::ok(ID, title),
        Some(version) if version >= LEAST => {
            Check::warn(ID, title, format!("use Linux {FULL} or later")).because(format!(
                "between {LEAST} and {FULL} newer knobs are missing (cpu.max.burst 5.14, cgroup.kill 5.14, memory.reclaim 5.19) and \
                 moves into cpusets wipe affinities"
            ))
        }
        Some(_) => Check::fail(ID, title, format!("use Linux {FULL} or later"))
            .because(format!("provost is not tested before {LEAST}")),
        None => Check::fail(
            ID,
            title,
            "mount /proc; provost reads the release in /proc/sys/kernel/osrelease",
        ),
    }
}

/// What `cpu.affinity` can give away.
pub(super) fn topology(probe: &Probe) -> Check {
    const ID: &str = "cpu-topology";
    let topology = &probe.topology;
    let threads: usize = topology.cores.iter().map(|core| core.cpus.len()).sum();
    let title = format!(
        "{} online in {}, {}, {}",
        counted(threads, "CPU"),
        counted(topology.cores.len(), "core"),
        counted(topology.caches(), "last-level cache"),
        counted(topology.nodes(), "memory node")
    );
    let isolated = |core: &&Core| !core.cpus.intersection(&topology.isolated).is_empty();
    let usable = topology.cores.len() - topology.cores.iter().filter(isolated).count();
    let can = match usable / 2 {
        0 => "no component can have a core of its own".to_owned(),
        most => format!("components can have {} of their own", counted(most, "core")),
    };
    let not = match topology.isolated.is_empty() {
        true => String::new(),
        false => format!("; CPUs {} are isolated, and nobody's", topology.isolated),
    };
    Check::ok(ID, title).because(can + &not)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn rt_group_sched(probe: &Probe) -> Check {
    const ID: &str = "rt-group-sched";
    match probe.rt_group_sched {
        Some(true) => Check::warn(
            ID,
            "the kernel has CONFIG_RT_GROUP_SCHED",
            "use a kernel without it, as the large distributions ship, or keep real-time tasks in the root group",
        )
        .because("the cpu controller cannot be turned on (EINVAL) while real-time tasks live outside the root group"),
        Some(false) => Check::ok(ID, "real-time tasks do not block the cpu controller")
            .because("real-time tasks are not bound by cpu.max"),
        None => Check::ok(ID, "not known: the kernel's build configuration is not in /boot")
            .because("if turning on the cpu controller fails with EINVAL, look for real-time tasks"),
    }
}

/// What stands between a thread in real time that does not sleep and everybody else.
pub(super) fn realtime(probe: &Probe) -> Check {
    const ID: &str = "real-time";
    const NEEDS: &str = "cpu.class = \"realtime\" rests on it, and in the unit provost.service needs the drop-in realtime.conf, which lifts \
                         RestrictRealtime=";
    match probe.realtime {
        Some(bound) if bound.holds() => {
            Check::ok(ID, "the kernel keeps some of each CPU from real-time threads").because(NEEDS)
        }
        Some(_) => Check::warn(
            ID,
            "real-time threads may keep a CPU for themselves for good",
            "sysctl -w kernel.sched_rt_runtime_us=950000",
        )
        .because("one that loops stops whatever else waits there; cpu.class = \"realtime\" puts no thread into real time here"),
        None => Check::ok(ID, "whether real-time threads are bound is not known")
            .because("cpu.class = \"realtime\" puts no thread into real time here"),
    }
}

pub(super) fn pressure(probe: &Probe) -> Check {
    const ID: &str = "psi";
    const WITHOUT: &str = "stalls are not seen; throttling and out-of-memory counters still are";
    let off = |title: &str, fix: &str| Check::warn(ID, title, fix).because(WITHOUT);
    match probe.psi {
        PsiState::On => Check::ok(ID, "pressure stall information is on"),
        PsiState::OffByCommandLine => off(
            "pressure stall information is off by psi=0",
            "replace psi=0 by psi=1 on the kernel command line",
        ),
        PsiState::OffByDefault => off(
            "pressure stall information is off by default",
            "add psi=1 to the kernel command line",
        ),
        PsiState::NotBuilt => {
            off("pressure stall information is not built in", "use a kernel with CONFIG_PSI=y")
        }
        PsiState::Unknown => off(
            "no pressure stall information",
            "add psi=1 to the kernel command line; if that changes nothing, use a kernel with CONFIG_PSI=y",
        ),
    }
}

pub(super) fn swap(probe: &Probe) -> Check {
    const ID: &str = "swap";
    if probe.swap.is_empty() {
        return Check::warn(
            ID,
            "no swap",
            "add zram or a swap file of a few GiB, or set memory.high well above what components need",
        )
        .because("under memory.high anonymous memory cannot be reclaimed: a process above it stalls instead of shrinking");
    }
    let size: Bytes =
        probe.swap.iter().fold(Bytes::ZERO, |sum, area| Bytes(sum.0.saturating_add(area.size.0)));
    let kind =
        match (probe.swap.iter().any(|area| area.zram), probe.swap.iter().all(|area| area.zram)) {
            (_, true) => "zram",
            (true, false) => "zram and disk",
            (false, false) => "disk",
        };
    Check::ok(ID, format!("{size} of swap on {kind}"))
}

pub(super) fn io_weight(probe: &Probe) -> Check {
    const ID: &str = "io-weight";
    if !probe.groups.offered.contains(&Controller::Io) {
        return Check::warn(
            ID,
            "no io controller, so no I/O shares",
            "see the check \"controllers\"",
        );
    }
    let idle: Vec<&DiskProbe> =
        probe.disks.iter().filter(|disk| disk.weights == IoWeightBackend::None).collect();
    let Some(first) = idle.first() else {
        return Check::ok(ID, format!("enforced on {}", names(&probe.disks)));
    };
    let how = if first.offers_bfq {
        format!("echo bfq > /sys/block/{}/queue/scheduler", first.name)
    } else {
        "modprobe bfq, then choose bfq in /sys/block/DISK/queue/scheduler, or set up io.cost"
            .to_owned()
    };
    Check::warn(
        ID,
        format!("accepted without effect on {}", list(idle.iter().map(|disk| disk.name.as_str()))),
        how,
    )
    .because("weights work with the bfq scheduler or with io.cost only; without, what yields is held by io.max while somebody waits")
}

pub(super) fn io_max(probe: &Probe) -> Check {
    const ID: &str = "io-max";
    if !probe.groups.offered.contains(&Controller::Io) {
        return Check::warn(
            ID,
            "no io controller, so no I/O limits",
            "see the check \"controllers\"",
        );
    }
    if probe.disks.is_empty() {
        return Check::ok(ID, "no disk that could be limited");
    }
    let stacked: Vec<String> = probe
        .disks
        .iter()
        .flat_map(|disk| {
            disk.holders.iter().map(move |holder| format!("{holder} on {}", disk.name))
        })
        .collect();
    let detail = if stacked.is_empty() {
        String::new()
    } else {
        format!("limits go to the disk below, which binds what lies on it: {}", list(stacked))
    };
    Check::ok(ID, format!("works on {}", names(&probe.disks))).because(detail)
}

fn names(disks: &[DiskProbe]) -> String {
    if disks.is_empty() {
        return "no disk: there is none".to_owned();
    }
    list(disks.iter().map(|disk| disk.name.as_str()))
}

pub(super) fn clock(probe: &Probe) -> Check {
    const ID: &str = "clock";
    const SLOW: [&str; 3] = ["acpi_pm", "hpet", "jiffies"];
    match probe.clock_source.as_deref() {
        Some(source) if SLOW.contains(&source) => Check::warn(
            ID,
            format!("clock source {source}"),
            "see `dmesg | grep -i tsc` for why the faster clock source was given up",
        )
        .because("each reading of the clock is a slow device access; every program pays for it"),
        Some(source) => Check::ok(ID, format!("clock source {source}")),
        None => Check::ok(ID, "clock source not shown by this kernel"),
    }
}
