//! The process that asks: its rights, its bounds, its namespaces, and which competitors run beside it.
//!
//! Command names come from other people's processes: they are compared with a list and never shown as they are.

use super::read::Reader;
use crate::units::Limit;

/// A capability that provost can use, and what it buys (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// The name without `CAP_`.
    pub name: &'static str,
    /// The bit in `CapEff`.
    bit: u32,
    /// What fails without it.
    pub buys: &'static str,
}

impl Capability {
    /// The seven that provost can use.
    pub const ALL: [Self; 7] = [
        Self {
            name: "DAC_OVERRIDE",
            bit: 1,
            buys: "groups directly below the root and in subtrees that other users own",
        },
        Self { name: "KILL", bit: 5, buys: "signals to processes of other users" },
        Self { name: "NET_ADMIN", bit: 12, buys: "exec events (without: scans)" },
        Self { name: "IPC_LOCK", bit: 14, buys: "locking provost's own memory" },
        Self {
            name: "SYS_PTRACE",
            bit: 19,
            buys: "finding processes of other users by executable",
        },
        Self {
            name: "SYS_NICE",
            bit: 23,
            buys: "moving processes into groups with a cpuset, affinity",
        },
        Self { name: "SYS_RESOURCE", bit: 24, buys: "pressure triggers faster than 2 s" },
    ];

    /// Whether it is in the set.
    #[must_use]
    pub const fn is_in(self, effective: u64) -> bool {
        effective >> self.bit & 1 == 1
    }
}

/// The process that asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessProbe {
    /// Its effective user.
    pub user: Option<u32>,
    /// `CapEff`: its effective capabilities as a bit set.
    pub capabilities: Option<u64>,
    /// How many files it may open.
    pub open_files: Option<OpenFiles>,
}

/// Limits of open files (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// What holds now.
    pub soft: Limit<u64>,
    /// What it may be raised to.
    pub hard: Limit<u64>,
}

/// The namespaces it lives in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// Inside a cgroup namespace: the root that it sees is not the host's.
    pub cgroup: bool,
    /// Inside a PID namespace: processes outside are invisible.
    pub pid: bool,
    /// Inside a user namespace: uid 0 is not root.
    pub user: bool,
    /// The container manager, as systemd or the runtime noted it.
    pub container: Option<String>,
}

/// Another program that steers the same resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Competitor {
    /// Its command name, from the list that is looked for.
    pub name: &'static str,
    /// How many processes have that name.
    pub processes: usize,
    /// What to know about it.
    pub about: &'static str,
    /// Whether it writes what provost writes, or kills what provost protects.
    pub collides: bool,
}

const KILLS: &str = "kills under memory pressure by its own ranking";
const PINS: &str = "sets CPU affinity";
const OWNS: &str =
    "owns its containers' groups: match containers by name, their processes are never moved";

/// Command names (at most 15 characters, as the kernel keeps them), what to know, and whether the two collide.
const COMPETITORS: [(&str, &str, bool); 15] = [
    ("systemd-oomd", KILLS, true),
    ("oomd", KILLS, true),
    ("earlyoom", KILLS, true),
    ("nohang", KILLS, true),
    ("tuned", PINS, true),
    ("irqbalance", "moves interrupts, not processes", false),
    ("ananicy", "sets nice, ionice and cgroups by process name", true),
    ("ananicy-cpp", "sets nice, ionice and cgroups by process name", true),
    ("system76-schedu", "sets nice values by process name", true),
    ("cgrulesengd", "moves processes between groups by rule", true),
    ("gamemoded", "sets nice and affinity of games", true),
    ("dockerd", OWNS, false),
    ("containerd", OWNS, false),
    ("crio", OWNS, false),
    ("kubelet", "rewrites everything below kubepods.slice: register nothing there", true),
];

pub(super) fn probe(reader: &mut Reader<'_>) -> ProcessProbe {
    let own = reader.roots.proc.join("self");
    let status = reader.text(&own.join("status")).unwrap_or_default();
    let limits = reader.text(&own.join("limits")).unwrap_or_default();
    ProcessProbe {
        user: status_field(&status, "Uid:")
            .and_then(|ids| ids.split_whitespace().nth(1))
            .and_then(|id| id.parse().ok()),
        capabilities: status_field(&status, "CapEff:")
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()),
        open_files: limits.lines().find_map(open_files),
    }
}

pub(super) fn open_files(line: &str) -> Option<OpenFiles> {
    let rest = line.strip_prefix("Max open files")?;
    let mut limits = rest.split_whitespace().map(|word| match word {
        "unlimited" => Some(Limit::Max),
        number => number.parse().ok().map(Limit::At),
    });
    Some(OpenFiles { soft: limits.next()??, hard: limits.next()?? })
}

fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))
}

/// The initial namespaces have fixed inode numbers (`include/linux/proc_ns.h`).
pub(super) fn namespaces(reader: &mut Reader<'_>) -> Namespaces {
    let own = reader.roots.proc.join("self/ns");
    let mut inside = |kind: &str, initial: &str| {
        reader.link(&own.join(kind)).is_some_and(|link| link != format!("{kind}:[{initial}]"))
    };
    let cgroup = inside("cgroup", "4026531835");
    let pid = inside("pid", "4026531836");
    let user = inside("user", "4026531837");
    let noted = reader.roots.run.join("systemd/container");
    let podman = reader.roots.run.join(".containerenv");
    let container = reader.line(&noted).or_else(|| podman.exists().then(|| "podman".to_owned()));
    Namespaces { cgroup, pid, user, container }
}

pub(super) fn competitors(reader: &mut Reader<'_>) -> Vec<Competitor> {
    let proc = reader.roots.proc.clone();
    let mut counts = [0_usize; COMPETITORS.len()];
    for pid in reader.names(&proc) {
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Some(comm) = reader.line(&proc.join(pid).join("comm")) else {
            continue;
        };
        for (count, (name, _, _)) in counts.iter_mut().zip(COMPETITORS) {
            *count += usize::from(comm == name);
        }
    }
    counts
        .into_iter()
        .zip(COMPETITORS)
        .filter(|(processes, _)| *processes > 0)
        .map(|(processes, (name, about, collides))| Competitor { name, processes, about, collides })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_bits_of_the_effective_set() {
        let names = |effective| -> Vec<&str> {
            let held = Capability::ALL.into_iter().filter(|cap| cap.is_in(effective));
            held.map(|cap| cap.name).collect()
        };
        assert_eq!(names(0), [""; 0]);
        assert_eq!(names(1 << 24 | 1 << 1), ["DAC_OVERRIDE", "SYS_RESOURCE"]);
        assert_eq!(names(u64::MAX).len(), 7);
    }

    #[test]
    fn limits_of_files_are_read_with_and_without_numbers() {
        let limits = |soft, hard| Some(OpenFiles { soft, hard });
        assert_eq!(
            open_files("Max open files            1024                 unlimited            files"),
            limits(Limit::At(1024), Limit::Max)
        );
        assert_eq!(open_files("Max processes  1 2 processes"), None);
        assert_eq!(open_files("Max open files 12"), None);
    }

    #[test]
    fn every_competitor_fits_into_a_command_name() {
        for (name, _, _) in COMPETITORS {
            assert!(name.len() <= 15, "{name} is longer than the kernel's comm and never matches");
        }
    }
}
