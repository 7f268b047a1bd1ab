//! What the journal says: every value that provost replaced, every process it moved, every group it made.
//!
//! **Problem.** After a stop, a crash or a power cut somebody must be able to put everything back, comparing first, with no
//! daemon running and perhaps with a newer binary.
//!
//! **Approach.** The journal is a list of entries, one line each, each with a checksum. Reading them in order gives the ledger:
//! originals by group and knob (the first one counts), the last value written (the last one counts), moves, makes. A line that
//! is torn or unknown is skipped and counted; it never hides the lines around it.
//!
//! **Terms.** *original*: a knob's value before provost first wrote it. *last*: what the kernel was last given to stay. *passing*: what
//! was written over it since, to be lifted when nobody waits any more. *beneath*: what a passing value covers.
//!
//! **Properties.** `Ledger::read` is total: any bytes give a ledger. Reading what `Ledger::lines` wrote gives the same ledger.

use crate::model::{Controller, HomeKind, Knob, KnobKind, Sched, Via};
use crate::units::{CgroupId, CgroupPath, CgroupRef, ComponentName, ProcId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "entry")]
pub enum Entry {
    /// The boot in which the lines after it were written. Cgroups and runtime properties do not outlive a boot.
    Boot {
        /// `/proc/sys/kernel/random/boot_id`.
        id: String,
    },
    /// A knob's value before provost.
    Original {
        /// The group.
        path: CgroupPath,
        /// The knob.
        kind: KnobKind,
        /// The value, and whose the group is.
        original: Original,
    },
    /// The value that is about to be written.
    Wrote {
        /// The group.
        path: CgroupPath,
        /// Which group was there.
        id: CgroupId,
        /// The value as the kernel will keep it.
        value: Knob,
    },
    /// A passing value that is about to be written; systemd, which was not told, may write the one before it again.
    Passing {
        /// The group.
        path: CgroupPath,
        /// Which group was there.
        id: CgroupId,
        /// The value as the kernel will keep it.
        value: Knob,
    },
    /// A process that is about to be moved.
    Moved(Moved),
    /// A thread that is about to be put into real time.
    Raised(Raised),
    /// A thread that has its policy of before again, or ended, or is somebody else's by now.
    Lowered {
        /// The thread.
        thread: ProcId,
    },
    /// A group or scope that is about to be made.
    Made(Made),
    /// Controllers that are about to be enabled for a group's children.
    Enabled {
        /// The group.
        path: CgroupPath,
        /// Those that were not enabled before.
        controllers: BTreeSet<Controller>,
    },
    /// An instance that did not run and is about to be started.
    Started(Started),
    /// An instance was stopped.
    Stopped {
        /// Its unit.
        unit: String,
    },
    /// A knob was given back; its original is forgotten.
    Restored {
        /// The group.
        path: CgroupPath,
        /// The knob.
        kind: KnobKind,
    },
    /// Everything was given back.
    Clean,
}

/// A knob's value before provost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// The group that held it.
    pub id: CgroupId,
    /// Who writes the group.
    pub via: Via,
    /// The value; none when the file was not there.
    pub value: Option<Knob>,
    /// The component on whose behalf it was replaced.
    pub component: Option<ComponentName>,
    /// Whether the component's limits are to stay when provost leaves.
    pub keep: bool,
    /// Runtime drop-in files of the knob that existed before, and so are not ours to remove.
    pub dropins: Vec<String>,
}

/// A process that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The process.
    pub process: ProcId,
    /// Where it lived.
    pub from: CgroupPath,
    /// Where it was put.
    pub to: CgroupPath,
}

/// A thread that was put into real time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// The thread: its own number and start time.
    pub thread: ProcId,
    /// Its name, for people.
    pub name: String,
    /// Whose it is.
    pub component: ComponentName,
    /// The home in which it lived.
    pub at: CgroupRef,
    /// What it was given.
    pub given: Sched,
    /// What it had before.
    pub original: Sched,
    /// Whether what it forked had the usual policy before, too.
    pub reset_on_fork: bool,
}

/// A group or scope that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The component.
    pub component: ComponentName,
    /// The group.
    pub path: CgroupPath,
    /// Scope or group.
    pub kind: HomeKind,
}

/// An instance of a template that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The component.
    pub component: ComponentName,
    /// Its unit.
    pub unit: String,
    /// Whether it is to run on when provost leaves.
    pub keep: bool,
}

/// Everything that there is to give back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The boot in which it was written; none for an empty journal.
    pub boot: Option<String>,
    /// Values before provost.
    pub originals: BTreeMap<(CgroupPath, KnobKind), Original>,
    /// Values last written that are to stay, with the group that held them.
    pub last: BTreeMap<(CgroupPath, KnobKind), (CgroupId, Knob)>,
    /// Passing values written since.
    pub passing: BTreeMap<(CgroupPath, KnobKind), (CgroupId, Knob)>,
    /// Processes moved, oldest first.
    pub moved: Vec<Moved>,
    /// Threads in real time.
    pub raised: BTreeMap<ProcId, Raised>,
    /// Groups and scopes made.
    pub made: Vec<Made>,
    /// Instances started, by unit.
    pub started: BTreeMap<String, Started>,
    /// Controllers enabled.
    pub enabled: BTreeMap<CgroupPath, BTreeSet<Controller>>,
    /// Lines that could not be read.
    pub torn: usize,
}

impl Ledger {
    /// Reads a journal, whatever is in it.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut ledger = Self::default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match decode(line) {
                Some(entry) => ledger.take(entry),
                None => ledger.torn += 1,
            }
        }
        ledger
    }

    /// Takes in one entry.
    pub fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Boot { id } => {
                // What was written in another boot ended with it.
                if self.boot.as_ref().is_some_and(|boot| *boot != id) {
                    *self = Self { torn: self.torn, ..Self::default() };
                }
                self.boot = Some(id);
            }
            Entry::Original { path, kind, original } => {
                self.originals.entry((path, kind)).or_insert(original);
            }
            Entry::Wrote { path, id, value } => {
                self.passing.remove(&(path.clone(), value.kind()));
                self.last.insert((path, value.kind()), (id, value));
            }
            Entry::Passing { path, id, value } => {
                self.passing.insert((path, value.kind()), (id, value));
            }
            Entry::Moved(moved) => {
                self.moved.retain(|earlier| earlier.process != moved.process);
                self.moved.push(moved);
            }
            Entry::Raised(raised) => {
                let original = self.raised.get(&raised.thread);
                let before = original.map(|first| (first.original, first.reset_on_fork));
                let (original, reset_on_fork) =
                    before.unwrap_or((raised.original, raised.reset_on_fork));
                self.raised.insert(raised.thread, Raised { original, reset_on_fork, ..raised });
            }
            Entry::Lowered { thread } => {
                self.raised.remove(&thread);
            }
            Entry::Made(made) => {
                self.made.retain(|earlier| earlier.path != made.path);
                self.made.push(made);
            }
            Entry::Enabled { path, controllers } => {
                self.enabled.entry(path).or_default().extend(controllers);
            }
            Entry::Started(started) => {
                self.started.insert(started.unit.clone(), started);
            }
            Entry::Stopped { unit } => {
                self.started.remove(&unit);
            }
            Entry::Restored { path, kind } => {
                self.originals.remove(&(path.clone(), kind));
                self.passing.remove(&(path.clone(), kind));
                self.last.remove(&(path, kind));
            }
            Entry::Clean => {
                *self = Self { boot: self.boot.take(), torn: self.torn, ..Self::default() }
            }
        }
    }

    /// What the kernel was last given, to stay or not.
    #[must_use]
    pub fn written(&self, path: &CgroupPath, kind: KnobKind) -> Option<&Knob> {
        let key = (path.clone(), kind);
        self.passing.get(&key).or_else(|| self.last.get(&key)).map(|(_, value)| value)
    }

    /// What a passing value covers: what was last written to stay, else the value before provost, else what the kernel gives a new
    /// group.
    #[must_use]
    pub fn beneath(&self, path: &CgroupPath, kind: KnobKind) -> Knob {
        let key = (path.clone(), kind);
        let before = || self.originals.get(&key).and_then(|original| original.value.clone());
        let standing = self.last.get(&key).map(|(_, value)| value.clone());
        standing.or_else(before).unwrap_or_else(|| kind.kernel_default())
    }

    /// Whether there is anything that nobody may leave behind without a daemon: passing values, and threads in real time.
    #[must_use]
    pub fn has_passing(&self) -> bool {
        !self.passing.is_empty() || !self.raised.is_empty()
    }

    /// Whether there is nothing to give back.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.originals.is_empty()
            && self.moved.is_empty()
            && self.raised.is_empty()
            && self.made.is_empty()
            && self.enabled.is_empty()
            && self.started.is_empty()
    }

    /// The shortest journal that reads as this ledger.
    #[must_use]
    pub fn lines(&self) -> Vec<u8> {
        let boot = self.boot.iter().map(|id| Entry::Boot { id: id.clone() });
        let originals = self.originals.iter().map(|((path, kind), original)| Entry::Original {
            path: path.clone(),
            kind: *kind,
            original: original.clone(),
        });
        let last = self.last.iter().map(|((path, _), (id, value))| Entry::Wrote {
            path: path.clone(),
            id: *id,
            value: value.clone(),
        });
        let passing = self.passing.iter().map(|((path, _), (id, value))| Entry::Passing {
            path: path.clone(),
            id: *id,
            value: value.clone(),
        });
        let last = last.chain(passing);
        let moved = self.moved.iter().cloned().map(Entry::Moved);
        let raised = self.raised.values().cloned().map(Entry::Raised);
        let made = self.made.iter().cloned().map(Entry::Made);
        let enabled = self.enabled.iter().map(|(path, controllers)| Entry::Enabled {
            path: path.clone(),
            controllers: controllers.clone(),
        });
        let started = self.started.values().cloned().map(Entry::Started);
        boot.chain(originals)
            .chain(started)
            .chain(last)
            .chain(moved)
            .chain(raised)
            .chain(made)
            .chain(enabled)
            .flat_map(|entry| encode(&entry))
            .collect()
    }
}

/// One line: the checksum of the JSON text in eight hexadecimal digits, a space, the text.
#[must_use]
pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    // An entry is plain data, so that it always serialises; an empty line would be skipped when read.
    let json = serde_json::to_string(entry).unwrap_or_default();
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes()
}

fn decode(line: &[u8]) -> Option<Entry> {
    let text = std::str::from_utf8(line).ok()?;
    let (checksum, json) = text.split_once(' ')?;
    let checksum = u32::from_str_radix(checksum, 16).ok()?;
    if checksum != crc32fast::hash(json.as_bytes()) {
        return None;
    }
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests;
