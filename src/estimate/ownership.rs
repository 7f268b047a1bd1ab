//! Whose the values in the kernel are: ours, nobody's yet, reset by systemd, or another writer's.
//!
//! **Problem.** On one host systemd, an administrator, a container runtime and provost write the same files. A daemon-reload wipes
//! values without meaning to; `systemctl set-property` or `echo` by a person means it. Fighting the second is hostile, yielding to
//! the first makes limits vanish at every package upgrade.
//!
//! **Approach.** Remember, per group and knob, the value before provost, the value last written and what the kernel made of it.
//! A value that is neither tells who wrote it: back at the original or at the kernel's default means a reset, anything else means
//! another writer.
//!
//! **Terms.** *record*: what is remembered of one knob. *reset*: the value fell back by itself. *override*: another writer's value,
//! which stands until its expiry. *contested*: taken away too often; provost keeps off until the configuration is reloaded.
//!
//! **Algorithm.** Absorb the outcomes of earlier writes, then compare each record with what was read. A reset is re-asserted at
//! once, at most [`RESETS_PER_MINUTE`] times a minute. An override stands for `override-for`, then is re-asserted once; the
//! third one within the record's life makes the knob contested. A group with another identity (its unit restarted) forgets
//! what was written but keeps the original.
//!
//! **Properties.** Never fights: at most three writes a minute and knob against a resetter, at most two against a writer. Never
//! forgets an original. A value that could not be read changes nothing.

use super::threads::RaisedThreads;
use crate::model::{Along, Knob, KnobKind, OutcomeOf, Snapshot, Verdict};
use crate::units::{CgroupId, CgroupPath, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Re-assertions against resets within a minute before provost steps aside.
const RESETS_PER_MINUTE: usize = 3;
/// Overrides of one knob before provost steps aside.
const MOST_FIGHTS: u32 = 2;
/// A value that the kernel or systemd refused is tried again after this time, or when another value is wanted.
const RETRY_REFUSED: Span = Span::secs(60);

/// What is remembered of every knob that provost wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// Threads that provost raised.
    pub threads: RaisedThreads,
    records: BTreeMap<(CgroupPath, KnobKind), Record>,
}

/// What is remembered of one knob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The group that held it.
    pub id: CgroupId,
    /// The value before provost.
    pub original: Option<Knob>,
    /// What the kernel made of the last write; none when the group is new.
    pub effective: Option<Knob>,
    /// The value last asked for.
    pub asked: Option<Knob>,
    /// What systemd holds, where the last value was a passing one that covers it.
    pub beneath: Option<Knob>,
    /// Whether the last value was a passing one.
    pub passing: bool,
    /// When it fell back by itself, within the last minute.
    pub resets: Vec<Tick>,
    /// Whether it was fallen back at the last look, so that one reset is counted once.
    pub fallen: bool,
    /// Another writer's value.
    pub overridden: Option<Override>,
    /// How often another writer took it.
    pub fights: u32,
    /// A value that was refused.
    pub refused: Option<Refused>,
}

/// Another writer's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The value.
    pub value: Knob,
    /// When it was first seen.
    pub since: Tick,
    /// Until when it stands.
    pub until: Tick,
}

/// A value that the kernel or systemd refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The value.
    pub asked: Knob,
    /// The error number, 0 where systemd gave a message only.
    pub errno: i32,
    /// What to do about it.
    pub advice: String,
    /// When it may be tried again.
    pub until: Tick,
}

/// Whose a knob's value is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Never written by provost in this group's life.
    Fresh,
    /// Holds what provost wrote.
    Ours,
    /// Fell back by itself; to be re-asserted.
    Reset,
    /// Another writer's; left alone for the remaining time.
    Overridden {
        /// The other writer's value.
        value: Knob,
        /// How long it stands.
        remaining: Span,
    },
    /// Another writer's, and its time is over.
    Expired,
    /// Taken away too often; left alone until the configuration is reloaded.
    Contested,
    /// Could not be read, or a write is still under way.
    Unknown,
}

impl Ownership {
    /// Takes up what an earlier life of the daemon wrote, from its journal, in the order in which it was written; a passing value covers
    /// the one before it.
    pub fn adopt(
        &mut self,
        path: &CgroupPath,
        id: CgroupId,
        original: Option<Knob>,
        (effective, passing): (&Knob, bool),
    ) {
        let record = self.records.entry((path.clone(), effective.kind()));
        let record = record.or_insert_with(|| Record::new(id, original.clone()));
        if record.id != id {
            *record = Record::new(id, original);
        }
        record.beneath = if passing { record.held() } else { None };
        record.passing = passing;
        record.effective = Some(effective.clone());
    }

    /// Forgets overrides, contests and refusals: the configuration was reloaded or enforcement switched on, which is an
    /// administrator's word. What another writer set is then written over like any value that provost finds.
    pub fn forgive(&mut self) {
        self.threads.forgive();
        for record in self.records.values_mut() {
            if record.overridden.is_some() || record.is_contested() {
                record.effective = None;
                record.asked = None;
            }
            record.overridden = None;
            record.fights = 0;
            record.resets.clear();
            record.refused = None;
        }
    }

    /// Forgets everything: all was given back.
    pub fn clear(&mut self) {
        self.records.clear();
        self.threads = RaisedThreads::default();
    }

    /// The record of one knob.
    #[must_use]
    pub fn record(&self, path: &CgroupPath, kind: KnobKind) -> Option<&Record> {
        self.records.get(&(path.clone(), kind))
    }

    /// All records, by path and knob.
    pub fn records(&self) -> impl Iterator<Item = (&CgroupPath, KnobKind, &Record)> {
        self.records.iter().map(|((path, kind), record)| (path, *kind, record))
    }

    /// Whether provost stepped aside from any knob, because it was taken away too often.
    #[must_use]
    pub fn has_contested(&self) -> bool {
        self.records.values().any(Record::is_contested)
    }

    /// The value before provost: from the record, else what is read now.
    #[must_use]
    pub fn original<'a>(
        &'a self,
        seen: &'a Snapshot,
        path: &CgroupPath,
        kind: KnobKind,
    ) -> Option<&'a Knob> {
        match self.record(path, kind) {
            Some(record) => record.original.as_ref(),
            None => seen.groups.get(path).and_then(|group| group.knob(kind).value()),
        }
    }

    /// Takes in the outcomes of earlier writes and compares every record with what was read.
    pub fn update(&mut self, seen: &Snapshot, override_for: Span) {
        self.threads.update(seen);
        self.absorb(seen);
        let mut there = Along::new(&seen.groups);
        self.records.retain(|(path, _), _| there.get(path).is_some());
        let mut groups = Along::new(&seen.groups);
        for ((path, kind), record) in &mut self.records {
            let Some(group) = groups.get(path) else {
                continue;
            };
            if record.id != group.id {
                *record = Record::new(group.id, record.original.take());
            }
            if seen.pending.contains(&(path.clone(), *kind)) {
                continue;
            }
            if let Some(value) = group.knob(*kind).value() {
                record.compare(value, seen.at, override_for);
            }
        }
    }

    fn absorb(&mut self, seen: &Snapshot) {
        for outcome in &seen.outcomes {
            let OutcomeOf::Knob { knob, asked, id: Some(id), original, passing } = &outcome.of
            else {
                continue;
            };
            let record = self
                .records
                .entry((outcome.path.clone(), *knob))
                .or_insert_with(|| Record::new(*id, original.clone()));
            if record.id != *id {
                *record = Record::new(*id, record.original.take());
            }
            if record.original.is_none() {
                record.original.clone_from(original);
            }
            match &outcome.verdict {
                Verdict::Applied => {
                    record.wrote(asked, &asked.as_kernel_keeps(seen.host.page), *passing);
                }
                Verdict::Clipped { effective } => record.wrote(asked, effective, *passing),
                Verdict::Refused { errno, advice } => {
                    record.refused = Some(Refused {
                        asked: asked.clone(),
                        errno: *errno,
                        advice: advice.clone(),
                        until: outcome.at.plus(RETRY_REFUSED),
                    });
                }
                Verdict::Gone => {}
            }
        }
    }
}

impl Record {
    const fn new(id: CgroupId, original: Option<Knob>) -> Self {
        Self {
            id,
            original,
            effective: None,
            asked: None,
            beneath: None,
            passing: false,
            resets: Vec::new(),
            fallen: false,
            overridden: None,
            fights: 0,
            refused: None,
        }
    }

    fn wrote(&mut self, asked: &Knob, effective: &Knob, passing: bool) {
        self.beneath = if passing { self.held() } else { None };
        self.passing = passing;
        self.asked = Some(asked.clone());
        self.effective = Some(effective.clone());
        self.overridden = None;
        self.refused = None;
    }

    /// What systemd holds of it, if provost ever told it.
    fn held(&self) -> Option<Knob> {
        if self.passing { self.beneath.clone() } else { self.effective.clone() }
    }

    fn compare(&mut self, value: &Knob, now: Tick, override_for: Span) {
        let Some(effective) = &self.effective else {
            return;
        };
        self.resets.retain(|at| now.since(*at) < Span::secs(60));
        if value == effective {
            self.overridden = None;
            self.fallen = false;
            return;
        }
        if self.fell_back_to(value) {
            if !self.fallen {
                self.resets.push(now);
            }
            self.fallen = true;
            return;
        }
        let known = self.overridden.as_ref().is_some_and(|known| known.value == *value);
        if !known {
            self.fights += 1;
            let until = now.plus(override_for);
            self.overridden = Some(Override { value: value.clone(), since: now, until });
        }
    }

    fn fell_back_to(&self, value: &Knob) -> bool {
        self.original.as_ref() == Some(value)
            || self.beneath.as_ref() == Some(value)
            || value.kind().kernel_default() == *value
            || value.as_asked_for() != *value // a partition: the kernel takes it back, nobody else can
    }

    fn is_contested(&self) -> bool {
        self.fights > MOST_FIGHTS || self.resets.len() > RESETS_PER_MINUTE
    }
}

/// Whose the value of one knob is now.
#[must_use]
pub fn standing(
    ownership: &Ownership,
    seen: &Snapshot,
    path: &CgroupPath,
    kind: KnobKind,
) -> Standing {
    if seen.pending.contains(&(path.clone(), kind)) {
        return Standing::Unknown;
    }
    let Some(group) = seen.groups.get(path) else {
        return Standing::Unknown;
    };
    let Some(record) = ownership.record(path, kind) else {
        return Standing::Fresh;
    };
    let Some(effective) = &record.effective else {
        return Standing::Fresh;
    };
    if record.is_contested() {
        return Standing::Contested;
    }
    let Some(value) = group.knob(kind).value() else {
        return Standing::Fresh; // the file vanished with its controller: to be asked for anew
    };
    if let Some(foreign) = &record.overridden {
        if seen.at < foreign.until {
            return Standing::Overridden {
                value: foreign.value.clone(),
                remaining: foreign.until.since(seen.at),
            };
        }
        return Standing::Expired;
    }
    if value == effective { Standing::Ours } else { Standing::Reset }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Partition, Priority, Validity};
    use crate::testing::{add_home, component, host, set};

    #[test]
    fn a_partition_that_the_kernel_takes_back_is_nobody_elses() {
        let mut seen = host();
        add_home(&mut seen, &component("feed", Priority::Normal), "feed");
        let path = CgroupPath::new("feed");
        let knob = |partition, validity| Knob::CpusetPartition(partition, validity);
        let mut ownership = Ownership::default();
        let member = knob(Partition::Member, Validity::Valid);
        let root = knob(Partition::Root, Validity::Valid);
        ownership.adopt(&path, seen.groups[&path].id, Some(member), (&root, false));
        let mut now = |value| {
            set(&mut seen, "feed", value);
            ownership.update(&seen, Span::secs(600));
            standing(&ownership, &seen, &path, KnobKind::CpusetPartition)
        };
        assert_eq!(now(root.clone()), Standing::Ours);
        assert_eq!(now(knob(Partition::Root, Validity::Invalid)), Standing::Reset);
        assert_eq!(now(root), Standing::Ours);
        let others = knob(Partition::Isolated, Validity::Valid);
        assert!(matches!(now(others), Standing::Overridden { .. }), "another writer's");
    }
}
