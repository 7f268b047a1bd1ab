//! Partitions: only CPUs that a component has to itself can be one.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::{Affinity, Component};
use crate::config::raw;
use crate::model::Partition;

/// What is meant.
pub(super) const fn partition(raw: raw::Partition) -> Partition {
    match raw {
        raw::Partition::Member => Partition::Member,
        raw::Partition::Root => Partition::Root,
        raw::Partition::Isolated => Partition::Isolated,
    }
}

impl Check<'_> {
    /// Tells when the component `at` is to be a partition without CPUs of its own.
    pub(super) fn partition(&mut self, at: &Key, component: &Component) {
        let partition = component.cpu.partition;
        let can_have = match component.cpu.affinity {
            Affinity::Dedicated(_) | Affinity::Balanced(_) | Affinity::Auto => true,
            Affinity::Shared | Affinity::Cpus(_) => false,
        };
        if partition == Partition::Member || can_have {
            return;
        }
        let key = at.then("cpu");
        let message = format!("partition \"{partition}\" needs CPUs of the component's own");
        let issue = ConfigIssue::error(Code::PartitionWithoutCpus, message)
            .help("write affinity = { mode = \"dedicated\", cpus = 1 } or remove `partition`: CPUs that others share cannot be taken from them")
            .mark(self.merged.value_place(&key.then("partition")), "this partition")
            .mark(self.merged.value_place(&key.then("affinity")), "shared with others");
        self.issues.push(issue);
    }
}
