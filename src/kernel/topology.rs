//! How CPUs belong together, as sysfs tells it, and whether CPUs came or went.
//!
//! Sources: `Documentation/ABI/stable/sysfs-devices-system-cpu` (topology), `Documentation/ABI/testing/sysfs-devices-system-cpu`
//! (cache, online, isolated), `Documentation/ABI/stable/sysfs-devices-node`.

use super::parse;
use super::probe::Roots;
use super::sampler::Buffer;
use crate::model::{Core, Topology};
use crate::units::CpuSet;
use nix::sys::uio::pread;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Caches of one CPU; Linux knows four levels, the first of them twice.
const MOST_CACHES: usize = 10;

/// The cores of the CPUs that are `online`. What sysfs does not tell is taken as least shared: a CPU without siblings is a core of its
/// own, without caches a node counts as one, without nodes the host does.
#[must_use]
pub fn read(sys: &Path, online: &CpuSet) -> Topology {
    let cpus = sys.join("devices/system/cpu");
    let nodes = nodes(sys);
    let mut cores: Vec<Core> = Vec::new();
    let mut known = CpuSet::default();
    for cpu in online.iter() {
        if known.contains(cpu) {
            continue;
        }
        let folder = cpus.join(format!("cpu{cpu}"));
        let siblings = siblings(&folder).unwrap_or_default();
        // A sibling that another core claims already stays there: nobody shares a thread.
        let own = siblings.union(&CpuSet::of([cpu])).intersection(online).without(&known);
        known = known.union(&own);
        let node = nodes.get(&cpu).copied().unwrap_or(0);
        let shared = last_level(&folder).unwrap_or_else(|| on_node(&nodes, online, node));
        let cache = shared.intersection(online).iter().next().unwrap_or(cpu);
        cores.push(Core { cpus: own, cache, node });
    }
    let isolated = list(&cpus.join("isolated")).unwrap_or_default().intersection(online);
    Topology { cores, isolated }
}

/// Every CPU that can ever be online on this host.
#[must_use]
pub fn possible(sys: &Path) -> CpuSet {
    list(&sys.join("devices/system/cpu/possible")).unwrap_or_default()
}

/// The threads of the core; the older of the two names is there on every kernel.
fn siblings(cpu: &Path) -> Option<CpuSet> {
    list(&cpu.join("topology/thread_siblings_list"))
}

/// Who shares the last-level cache of a CPU: the third level on most hosts, the second on many small ones.
fn last_level(cpu: &Path) -> Option<CpuSet> {
    let mut last: Option<(u64, CpuSet)> = None;
    for index in 0..MOST_CACHES {
        let folder = cpu.join(format!("cache/index{index}"));
        let level = std::fs::read(folder.join("level")).ok().and_then(|text| parse::number(&text));
        let (Some(level), Some(shared)) = (level, list(&folder.join("shared_cpu_list"))) else {
            continue;
        };
        if last.as_ref().is_none_or(|(before, _)| level > *before) {
            last = Some((level, shared));
        }
    }
    // A first level is never shared beyond its core; who has no other tells nothing of what cores have in common.
    last.filter(|(level, _)| *level > 1).map(|(_, shared)| shared)
}

/// The node of each CPU; empty without NUMA.
fn nodes(sys: &Path) -> BTreeMap<u32, u32> {
    let mut nodes = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(sys.join("devices/system/node")) else {
        return nodes;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("node")?.parse::<u32>().ok());
        if let Some(node) = number {
            let cpus = list(&entry.path().join("cpulist")).unwrap_or_default();
            nodes.extend(cpus.iter().map(|cpu| (cpu, node)));
        }
    }
    nodes
}

fn on_node(nodes: &BTreeMap<u32, u32>, online: &CpuSet, node: u32) -> CpuSet {
    CpuSet::of(online.iter().filter(|cpu| nodes.get(cpu).copied().unwrap_or(0) == node))
}

fn list(file: &Path) -> Option<CpuSet> {
    std::fs::read_to_string(file).ok()?.parse().ok().filter(|list: &CpuSet| !list.is_empty())
}

/// Notices that a CPU came or went, by one read of a held file without allocation.
#[derive(Debug)]
pub struct OnlineWatch {
    path: PathBuf,
    file: Option<File>,
    last: Vec<u8>,
}

impl OnlineWatch {
    /// Starts from what is online now.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        let path = roots.sys.join("devices/system/cpu/online");
        let last = std::fs::read(&path).unwrap_or_default();
        Self { file: File::open(&path).ok(), path, last }
    }

    /// Whether the list differs from the one of the call before. One that cannot be read has not changed.
    pub fn changed(&mut self, buffer: &mut Buffer) -> bool {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let length = self.file.as_ref().and_then(|file| pread(file, buffer, 0).ok());
        let Some(now) = length.and_then(|length| buffer.get(..length)) else {
            return false;
        };
        if self.last == now {
            return false;
        }
        self.last = now.to_vec();
        true
    }
}

#[cfg(test)]
mod tests;
