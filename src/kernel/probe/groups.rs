//! The v2 tree as it stands: which controllers the root offers, which are on where, and which knobs exist in which groups.
//!
//! A knob's file exists only in groups whose parent has the controller on, so its absence says something about the kernel only
//! where the controller is on. Must not enable anything to find out.

use super::host::KernelVersion;
use super::read::{Reader, folders};
use crate::model::Controller;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many groups are looked into, breadth first.
const MOST_GROUPS: usize = 512;

/// How deep: slices, units, and what is inside units.
const DEEPEST: usize = 3;

/// A knob that doctor looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbedKnob {
    /// The interface file.
    pub file: &'static str,
    /// The controller that provides it; none for the cgroup core's.
    pub controller: Option<Controller>,
    /// The first kernel that has it.
    pub since: KernelVersion,
    /// What provost does without it.
    pub without: &'static str,
}

const fn knob(
    file: &'static str,
    controller: Option<Controller>,
    (major, minor): (u32, u32),
    without: &'static str,
) -> ProbedKnob {
    ProbedKnob { file, controller, since: KernelVersion { major, minor }, without }
}

/// The knobs, in the order in which they are shown.
const KNOBS: [ProbedKnob; 14] = {
    use Controller::{Cpu, Cpuset, Io, Memory, Pids};
    [
        knob("cpu.weight", Some(Cpu), (4, 15), "no CPU shares"),
        knob("cpu.idle", Some(Cpu), (5, 15), "class \"idle\" is the least weight"),
        knob("cpu.max", Some(Cpu), (4, 15), "no CPU ceilings"),
        knob("cpu.max.burst", Some(Cpu), (5, 14), "no CPU burst"),
        knob("cpuset.cpus", Some(Cpuset), (5, 0), "no CPU affinity"),
        knob("memory.min", Some(Memory), (4, 18), "no memory guarantees"),
        knob("memory.high", Some(Memory), (4, 5), "no memory.high"),
        knob("memory.max", Some(Memory), (4, 5), "no memory ceilings"),
        knob("memory.oom.group", Some(Memory), (4, 19), "no oom = \"group\""),
        knob("memory.reclaim", Some(Memory), (5, 19), "no proactive reclaim"),
        knob("io.max", Some(Io), (4, 5), "no I/O limits"),
        knob("io.weight", Some(Io), (5, 4), "no I/O shares"),
        knob("pids.max", Some(Pids), (4, 5), "no task limits"),
        knob("cgroup.kill", None, (5, 14), "groups are killed by freeze and signal"),
    ]
};

/// Where one knob exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnobReach {
    /// The knob.
    pub knob: ProbedKnob,
    /// Top-level groups in which, or below which, the file exists, with the number of such groups.
    pub at: BTreeMap<String, usize>,
    /// Groups that have the controller and lack the file: the kernel does not provide it.
    pub missing_in: usize,
}

/// The v2 tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupProbe {
    /// `cgroup.controllers` of the root.
    pub offered: BTreeSet<Controller>,
    /// `cgroup.subtree_control` of the root: what top-level groups have.
    pub granted: BTreeSet<Controller>,
    /// `cgroup.subtree_control` of each top-level slice: what the units in it have.
    pub slices: BTreeMap<String, BTreeSet<Controller>>,
    /// Where each knob exists.
    pub knobs: Vec<KnobReach>,
    /// How many groups were looked into.
    pub groups: usize,
}

/// One group that was looked into.
struct Group {
    top: String,
    controllers: BTreeSet<Controller>,
    files: BTreeSet<String>,
}

pub(super) fn probe(reader: &mut Reader<'_>, v2: Option<&Path>) -> GroupProbe {
    let Some(root) = v2 else {
        return GroupProbe::default();
    };
    let groups = walk(reader, root);
    let slices = groups_named_slice(reader, root);
    GroupProbe {
        offered: controllers(reader, &root.join("cgroup.controllers")),
        granted: controllers(reader, &root.join("cgroup.subtree_control")),
        slices,
        knobs: KNOBS.into_iter().map(|knob| reach(knob, &groups)).collect(),
        groups: groups.len(),
    }
}

fn groups_named_slice(
    reader: &mut Reader<'_>,
    root: &Path,
) -> BTreeMap<String, BTreeSet<Controller>> {
    let tops = folders(reader, root);
    tops.into_iter()
        .filter(|(name, _)| name.ends_with(".slice"))
        .map(|(name, path)| {
            let granted = controllers(reader, &path.join("cgroup.subtree_control"));
            (name, granted)
        })
        .collect()
}

fn reach(knob: ProbedKnob, groups: &[Group]) -> KnobReach {
    let mut at = BTreeMap::new();
    let mut missing_in = 0;
    for group in groups {
        if group.files.contains(knob.file) {
            *at.entry(group.top.clone()).or_insert(0) += 1;
        } else if knob.controller.is_none_or(|controller| group.controllers.contains(&controller)) {
            missing_in += 1;
        }
    }
    KnobReach { knob, at, missing_in }
}

/// Every group below the root, breadth first, up to the bounds.
fn walk(reader: &mut Reader<'_>, root: &Path) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut level: Vec<(String, PathBuf)> = folders(reader, root);
    for _depth in 0..DEEPEST {
        let mut next = Vec::new();
        for (top, path) in level {
            if groups.len() == MOST_GROUPS {
                return groups;
            }
            let files: BTreeSet<String> = reader.names(&path).into_iter().collect();
            let below = files.iter().filter(|name| !is_interface_file(name));
            next.extend(below.map(|name| (top.clone(), path.join(name))));
            groups.push(Group {
                controllers: controllers(reader, &path.join("cgroup.controllers")),
                files,
                top,
            });
        }
        level = next.into_iter().filter(|(_, path)| path.is_dir()).collect();
    }
    groups
}

/// Interface files start with the name of the core or of a controller; a group may be named alike, and is then not looked into.
fn is_interface_file(name: &str) -> bool {
    const PREFIXES: [&str; 9] =
        ["cgroup.", "cpu.", "cpuset.", "hugetlb.", "io.", "irq.", "memory.", "misc.", "pids."];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn controllers(reader: &mut Reader<'_>, file: &Path) -> BTreeSet<Controller> {
    let text = reader.text(file).unwrap_or_default();
    let words: BTreeSet<&str> = text.split_whitespace().collect();
    Controller::ALL.into_iter().filter(|controller| words.contains(controller.word())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(top: &str, controllers: &[Controller], files: &[&str]) -> Group {
        Group {
            top: top.to_owned(),
            controllers: controllers.iter().copied().collect(),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
        }
    }

    #[test]
    fn a_file_is_missing_only_where_its_controller_is_on() {
        let burst = KNOBS.into_iter().find(|knob| knob.file == "cpu.max.burst").unwrap();
        let without_controller = [group("system.slice", &[Controller::Memory], &["memory.max"])];
        let unseen = reach(burst, &without_controller);
        assert!(unseen.at.is_empty() && unseen.missing_in == 0);
        let old_kernel = [group("system.slice", &[Controller::Cpu], &["cpu.max"])];
        assert_eq!(reach(burst, &old_kernel).missing_in, 1);
        let there = [
            group("a.slice", &[Controller::Cpu], &["cpu.max.burst"]),
            group("a.slice", &[Controller::Cpu], &["cpu.max.burst"]),
        ];
        assert_eq!(reach(burst, &there).at.get("a.slice"), Some(&2));
    }
}
