//! What is due to be given back: each knob that the journal has an original for, compared with what the kernel holds now.
//!
//! **Problem.** Between provost's last write and now somebody else may have changed a value, restarted a unit, or rebooted.
//!
//! **Approach.** A knob is provost's to give back only while it holds what provost last wrote: the value that was to stay, or a
//! passing one written over it since. Limits come before weights, and both before protection, so that nobody loses a guarantee
//! while neighbours are still held.

use super::carry::Executor;
use super::ledger::{Ledger, Original};
use super::undo::{Giving, Returned};
use crate::model::{Knob, KnobKind, Reading};
use crate::units::CgroupPath;

/// One knob to be given back.
pub(super) struct Due<'a> {
    pub(super) path: &'a CgroupPath,
    pub(super) kind: KnobKind,
    pub(super) original: &'a Original,
    /// What was last written to stay.
    pub(super) last: Option<&'a Knob>,
    /// A passing value written since.
    pub(super) passing: Option<&'a Knob>,
}

pub(super) const KEPT: &str = "on-exit = \"keep\"";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It holds what provost wrote.
    Ours,
    /// It is as it was before.
    AsBefore,
    /// The group is gone. Its drop-in files, if any, are removed all the same.
    Gone,
    /// Another writer's value.
    Foreign(String),
}

impl Judgement {
    pub(super) fn giving(self) -> Giving {
        match self {
            Self::Ours | Self::AsBefore => Giving::Nothing { why: "it is as before".to_owned() },
            Self::Gone => Giving::Nothing { why: "the group is gone".to_owned() },
            Self::Foreign(value) => {
                Giving::Left { why: format!("somebody else set {value} since") }
            }
        }
    }
}

impl Due<'_> {
    /// Compares what the kernel holds with what provost last wrote.
    pub(super) fn judge(&self, executor: &Executor) -> Judgement {
        let Ok(group) = executor.fs.group(self.path) else {
            return Judgement::Gone;
        };
        match group.knob(self.kind) {
            Reading::Is(value) if self.wrote(&value) => Judgement::Ours,
            Reading::Is(value) if Some(&value) == self.original.value.as_ref() => {
                Judgement::AsBefore
            }
            Reading::Is(value) => Judgement::Foreign(value.to_string()),
            Reading::Absent => Judgement::AsBefore,
            Reading::Gone => Judgement::Gone,
            Reading::Failed(fault) => Judgement::Foreign(fault.what),
        }
    }

    /// Whether this is a value of provost's own, or what the kernel made of one since.
    pub(super) fn wrote(&self, value: &Knob) -> bool {
        [self.last, self.passing].contains(&Some(&value.as_asked_for()))
    }

    pub(super) fn line(&self, how: Giving) -> Returned {
        Returned { path: self.path.clone(), what: self.kind.to_string(), how }
    }

    pub(super) fn last_text(&self) -> String {
        self.passing.or(self.last).map_or_else(|| "?".to_owned(), ToString::to_string)
    }
}

/// Every knob that the ledger has an original for.
pub(super) fn every(ledger: &Ledger) -> impl Iterator<Item = Due<'_>> {
    ledger.originals.iter().map(|((path, kind), original)| {
        let last = ledger.last.get(&(path.clone(), *kind)).map(|(_, knob)| knob);
        let passing = ledger.passing.get(&(path.clone(), *kind)).map(|(_, knob)| knob);
        Due { path, kind: *kind, original, last, passing }
    })
}

/// What is to be given back, limits first.
pub(super) fn due<'a>(ledger: &'a Ledger, all: bool, account: &mut Vec<Returned>) -> Vec<Due<'a>> {
    let mut due = Vec::new();
    for one in every(ledger) {
        if one.original.keep && !all {
            account.push(one.line(Giving::Left { why: KEPT.to_owned() }));
        } else {
            due.push(one);
        }
    }
    due.sort_by_key(|due| (rank(due.kind), std::cmp::Reverse(due.path.components().count())));
    due
}

/// Limits are lifted before protection is.
const fn rank(kind: KnobKind) -> u8 {
    match kind {
        // What a partition took comes back before anybody's CPUs are named again.
        KnobKind::CgroupFreeze | KnobKind::CpuMaxBurst | KnobKind::CpusetPartition => 0,
        KnobKind::MemoryMax
        | KnobKind::MemoryHigh
        | KnobKind::MemorySwapMax
        | KnobKind::CpuMax
        | KnobKind::IoMax(_)
        | KnobKind::PidsMax
        | KnobKind::CpusetExclusive
        | KnobKind::CpusetCpus => 1,
        KnobKind::MemoryOomGroup
        | KnobKind::CpuWeight
        | KnobKind::IoWeight
        | KnobKind::IoBfqWeight => 2,
        KnobKind::MemoryLow | KnobKind::MemoryMin => 3,
    }
}
