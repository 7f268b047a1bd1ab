//! How the host's CPUs belong together: threads of a core, cores of a cache, caches of a memory node.

use crate::units::CpuSet;
use serde::{Deserialize, Serialize};

/// The CPUs that are online, as cores.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Topology {
    /// Every core with a CPU online, by its lowest CPU.
    pub cores: Vec<Core>,
    /// CPUs that the scheduler leaves alone (`isolcpus=`): nothing is spread over them unless it is pinned there.
    pub isolated: CpuSet,
}

/// One physical core.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Core {
    /// Its threads that are online: they share everything, so nobody gets only one of them.
    pub cpus: CpuSet,
    /// Which last-level cache it uses, named by the lowest CPU there that is online.
    pub cache: u32,
    /// Which memory node it is on.
    pub node: u32,
}

impl Topology {
    /// Every CPU a core, all of them behind one cache on one node: what a host that tells nothing is taken for.
    #[must_use]
    pub fn flat(online: &CpuSet) -> Self {
        let cache = online.iter().next().unwrap_or(0);
        let core = |cpu| Core { cpus: CpuSet::of([cpu]), cache, node: 0 };
        Self { cores: online.iter().map(core).collect(), isolated: CpuSet::default() }
    }

    /// How many last-level caches there are.
    #[must_use]
    pub fn caches(&self) -> usize {
        self.cores.iter().map(|core| core.cache).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// How many memory nodes have a CPU.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.cores.iter().map(|core| core.node).collect::<std::collections::BTreeSet<_>>().len()
    }
}
