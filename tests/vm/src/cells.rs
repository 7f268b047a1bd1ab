//! The table of cells: which kernel boots with which image, memory, disks and command line.
//!
//! Adding a cell is adding a row; `scripts/vm prepare` fetches what the row names.

use crate::Outcome;

/// One virtual machine configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The name on the command line, in results and of the log directory.
    pub name: &'static str,
    /// Debian suite whose newest cloud kernel boots.
    pub kernel: &'static str,
    /// Debian suite of the root image (tier 2); `None` boots the initramfs alone (tier 1).
    pub image: Option<&'static str>,
    /// Appended to the kernel command line.
    pub cmdline: &'static str,
    /// Memory of the guest in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Tests, by the beginning of their names, that run here only when a filter asks for them: those that wait for minutes and show
    /// provost's law rather than the kernel, which other cells run.
    pub leaves_out: &'static [&'static str],
    /// The only tests that run here unless a filter asks for others, by the beginning of their names; all where there are none.
    pub only: &'static [&'static str],
    /// Runs at the same time as the row above it, where both are selected and no filter is given. For rows of which each leaves one of two
    /// processors idle.
    pub beside: bool,
    /// Part of the selection `default`.
    pub default: bool,
    /// One line for the list.
    pub about: &'static str,
}

const TIER1: Cell = Cell {
    name: "",
    kernel: "bookworm",
    image: None,
    cmdline: "",
    memory_mib: 512,
    cpus: 2,
    leaves_out: &[],
    only: &[],
    beside: false,
    default: true,
    about: "",
};

const TIER2: Cell = Cell { image: Some("bookworm"), memory_mib: 1024, ..TIER1 };

/// Tests of provost's law that take minutes; k61 runs them.
const LONG: &[&str] = &[
    "crowding::",
    "foreseeing::",
    "forking::",
    "ladder::a_hog",
    "hooks::",
    "mixed::",
    "probing::",
    "queueing::",
    "scaling::",
    "yielding::limits_return",
    "yielding::the_first_write",
];

/// The same, and what shows provost as a whole: k61 and k72 run it without systemd, and d13 has the kernel of k612.
const WHOLE: &[&str] = &[
    "classes::",
    "crowding::",
    "daemon::",
    "faults::",
    "foreseeing::",
    "forking::",
    "gate::",
    "hooks::",
    "leaking::",
    "ladder::a_hog",
    "mending::",
    "mixed::",
    "placing::",
    "pressing::io_weight_needs",
    "probing::",
    "queueing::",
    "realtime::",
    "scaling::",
    "schedules::",
    "yielding::",
];

/// All cells, in the order they run.
pub const CELLS: &[Cell] = &[
    Cell {
        name: "k61",
        leaves_out: &[
            "foreseeing::",
            "pressing::io_weight_needs",
            "realtime::",
            "scaling::",
            "schedules::",
        ],
        about: "Linux 6.1, no systemd",
        ..TIER1
    },
    Cell {
        name: "k61-days",
        only: &["foreseeing::"],
        about: "the same, for a test that waits for days of its clock",
        ..TIER1
    },
    Cell {
        name: "k61-minutes",
        only: &["scaling::", "schedules::"],
        beside: true,
        about: "the same, for tests that wait for minutes",
        ..TIER1
    },
    Cell {
        name: "k612",
        kernel: "trixie",
        leaves_out: WHOLE,
        about: "Linux 6.12, no systemd",
        ..TIER1
    },
    Cell {
        name: "k72",
        kernel: "sid",
        leaves_out: LONG,
        about: "the newest Debian kernel, no systemd",
        ..TIER1
    },
    Cell { name: "d12", about: "Debian 12: Linux 6.1, systemd 252", ..TIER2 },
    Cell {
        name: "d13",
        kernel: "trixie",
        image: Some("trixie"),
        leaves_out: &[
            "drift::a_bus_that_hangs",
            "hooks::",
            "instances::",
            "leaking::",
            "realtime::",
            "shipped::a_hung_daemon",
            "shipped::a_killed_daemon",
            "shipped::an_uninstallation",
            "yielding::",
        ],
        beside: true,
        about: "Debian 13: Linux 6.12, systemd 257",
        ..TIER2
    },
    Cell {
        name: "k61-nopsi",
        cmdline: "psi=0",
        default: false,
        about: "Linux 6.1 without pressure stall information",
        ..TIER1
    },
    Cell {
        name: "k61-hybrid",
        cmdline: "vm.v1=memory,cpu",
        default: false,
        about: "Linux 6.1, memory and cpu mounted as cgroup v1",
        ..TIER1
    },
    Cell {
        name: "k61-nomem",
        cmdline: "cgroup_disable=memory",
        default: false,
        about: "Linux 6.1 without the memory controller",
        ..TIER1
    },
];

impl Cell {
    /// Guest path of the whole scratch disk.
    #[must_use]
    pub fn scratch_device(&self) -> &'static str {
        if self.image.is_some() { "/dev/vdb" } else { "/dev/vda" }
    }

    /// Guest path of the disk that is made as swap and not switched on.
    #[must_use]
    pub fn swap_device(&self) -> &'static str {
        if self.image.is_some() { "/dev/vdc" } else { "/dev/vdb" }
    }

    /// The guest directory that holds the jobs.
    #[must_use]
    pub fn base(&self) -> &'static str {
        if self.image.is_some() { "/run/vmt" } else { "/t" }
    }
}

/// The cells of a selection: `default`, `all`, or names separated by commas.
///
/// # Errors
/// When a name is not in the table.
pub fn select(selection: &str) -> Outcome<Vec<&'static Cell>> {
    match selection {
        "default" => Ok(CELLS.iter().filter(|cell| cell.default).collect()),
        "all" => Ok(CELLS.iter().collect()),
        names => names.split(',').map(find).collect(),
    }
}

fn find(name: &str) -> Outcome<&'static Cell> {
    CELLS.iter().find(|cell| cell.name == name).ok_or_else(|| {
        let known: Vec<&str> = CELLS.iter().map(|cell| cell.name).collect();
        format!("no cell is called {name:?}; there are default, all, {}", known.join(", "))
    })
}

/// What the cells need in the cache, one `kind suite` each, without repetition.
#[must_use]
pub fn needs(cells: &[&Cell]) -> Vec<String> {
    let mut needed = Vec::new();
    for cell in cells {
        let kernel = Some(format!("kernel {}", cell.kernel));
        let image = cell.image.map(|suite| format!("image {suite}"));
        for need in [kernel, image].into_iter().flatten() {
            if !needed.contains(&need) {
                needed.push(need);
            }
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_fit_a_file_name() {
        let names: BTreeSet<&str> = CELLS.iter().map(|cell| cell.name).collect();
        assert_eq!(names.len(), CELLS.len());
        assert!(names.iter().all(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }));
    }

    #[test]
    fn every_row_can_boot() {
        for cell in CELLS {
            assert!(cell.memory_mib >= 256 && cell.cpus >= 1, "{}", cell.name);
            assert!(!cell.about.is_empty(), "{}", cell.name);
        }
    }

    #[test]
    fn what_a_cell_leaves_to_another_of_its_kernel_runs_there() {
        let rows = CELLS.iter().filter(|cell| !cell.only.is_empty());
        for (cell, name) in rows.flat_map(|cell| cell.only.iter().map(move |name| (cell, name))) {
            let whole = |other: &&Cell| other.kernel == cell.kernel && other.only.is_empty();
            let others: Vec<&Cell> =
                CELLS.iter().filter(|other| other.default).filter(whole).collect();
            assert!(others.iter().any(|other| other.leaves_out.contains(name)), "{name}");
        }
    }

    #[test]
    fn selections() {
        let names = |selection| -> Vec<&str> {
            select(selection).unwrap().iter().map(|cell| cell.name).collect()
        };
        let default = ["k61", "k61-days", "k61-minutes", "k612", "k72", "d12", "d13"];
        assert_eq!(names("default"), default);
        assert_eq!(names("d13,k61"), ["d13", "k61"]);
        assert_eq!(names("all").len(), CELLS.len());
        assert!(select("k61,nonsense").unwrap_err().contains("nonsense"));
    }

    #[test]
    fn needs_are_listed_once() {
        let needed = needs(&select("k61,d12,d13").unwrap());
        assert_eq!(needed, ["kernel bookworm", "image bookworm", "kernel trixie", "image trixie"]);
    }

    #[test]
    fn devices_follow_the_disk_order() {
        let d12 = find("d12").unwrap();
        assert_eq!((d12.scratch_device(), d12.swap_device()), ("/dev/vdb", "/dev/vdc"));
        let k61 = find("k61").unwrap();
        assert_eq!((k61.scratch_device(), k61.swap_device()), ("/dev/vda", "/dev/vdb"));
    }
}
