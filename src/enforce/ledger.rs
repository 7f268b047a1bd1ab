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

use crate::model::{Controller, HomeKind, Knob, KnobKind, Via};
use crate::units::{CgroupId, CgroupPath, ComponentName, ProcId};
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
    /// A group or scope that is about to be made.
    Made(Made),
    /// Controllers that are about to be enabled for a group's children.
    Enabled {
        /// The group.
        path: CgroupPath,
        /// Those that were not enabled before.
        controllers: BTreeSet<Controller>,
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
    /// Groups and scopes made.
    pub made: Vec<Made>,
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
            Entry::Made(made) => {
                self.made.retain(|earlier| earlier.path != made.path);
                self.made.push(made);
            }
            Entry::Enabled { path, controllers } => {
                self.enabled.entry(path).or_default().extend(controllers);
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

    /// Whether there is nothing to give back.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.originals.is_empty()
            && self.moved.is_empty()
            && self.made.is_empty()
            && self.enabled.is_empty()
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
        let made = self.made.iter().cloned().map(Entry::Made);
        let enabled = self.enabled.iter().map(|(path, controllers)| Entry::Enabled {
            path: path.clone(),
            controllers: controllers.clone(),
        });
        boot.chain(originals)
            .chain(last)
            .chain(moved)
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
mod tests {
    use super::*;
    use crate::units::{Bytes, Limit};
    use proptest::prelude::*;

    fn max(mebi: u64) -> Knob {
        Knob::MemoryMax(Limit::At(Bytes::mebi(mebi)))
    }

    fn original(value: Option<Knob>) -> Original {
        Original {
            id: CgroupId(7),
            via: Via::File,
            value,
            component: None,
            keep: false,
            dropins: Vec::new(),
        }
    }

    fn entries() -> Vec<Entry> {
        let path = CgroupPath::new("a/b");
        let process = ProcId { pid: 10, start: 3 };
        vec![
            Entry::Boot { id: "boot".to_owned() },
            Entry::Original {
                path: path.clone(),
                kind: KnobKind::MemoryMax,
                original: original(Some(max(1))),
            },
            Entry::Wrote { path: path.clone(), id: CgroupId(7), value: max(2) },
            Entry::Original {
                path: path.clone(),
                kind: KnobKind::MemoryMax,
                original: original(Some(max(2))),
            },
            Entry::Wrote { path: path.clone(), id: CgroupId(7), value: max(3) },
            Entry::Moved(Moved { process, from: CgroupPath::new("x"), to: path.clone() }),
            Entry::Made(Made {
                component: "web".parse().unwrap(),
                path: path.clone(),
                kind: HomeKind::OwnGroup,
            }),
            Entry::Enabled { path, controllers: [Controller::Cpu].into() },
        ]
    }

    fn bytes(entries: &[Entry]) -> Vec<u8> {
        entries.iter().flat_map(encode).collect()
    }

    #[test]
    fn the_first_original_and_the_last_value_count() {
        let ledger = Ledger::read(&bytes(&entries()));
        let key = (CgroupPath::new("a/b"), KnobKind::MemoryMax);
        assert_eq!(ledger.originals[&key].value, Some(max(1)));
        assert_eq!(ledger.last[&key].1, max(3));
        assert_eq!(ledger.boot.as_deref(), Some("boot"));
        assert_eq!((ledger.moved.len(), ledger.made.len(), ledger.torn), (1, 1, 0));
    }

    #[test]
    fn a_ledger_survives_its_own_writing() {
        let ledger = Ledger::read(&bytes(&entries()));
        assert_eq!(Ledger::read(&ledger.lines()), ledger);
    }

    fn passing(mebi: u64) -> Entry {
        Entry::Passing { path: CgroupPath::new("a/b"), id: CgroupId(7), value: max(mebi) }
    }

    #[test]
    fn beneath_a_passing_value_lies_the_one_that_is_to_stay() {
        let mut ledger = Ledger::read(&bytes(&entries()));
        ledger.take(passing(4));
        ledger.take(passing(5));
        let ledger = Ledger::read(&ledger.lines());
        let path = CgroupPath::new("a/b");
        assert_eq!(ledger.written(&path, KnobKind::MemoryMax), Some(&max(5)));
        assert_eq!(ledger.beneath(&path, KnobKind::MemoryMax), max(3));
    }

    #[test]
    fn beneath_passing_values_alone_lies_the_original() {
        let mut ledger = Ledger::read(&bytes(&entries()[..2]));
        ledger.take(passing(4));
        // Shortened between two of them, as by a restart.
        let mut ledger = Ledger::read(&ledger.lines());
        ledger.take(passing(5));
        let path = CgroupPath::new("a/b");
        assert_eq!(ledger.beneath(&path, KnobKind::MemoryMax), max(1));
        ledger.take(Entry::Wrote { path: path.clone(), id: CgroupId(7), value: max(6) });
        assert_eq!(ledger.passing.len(), 0);
        assert_eq!(ledger.beneath(&path, KnobKind::MemoryMax), max(6));
    }

    #[test]
    fn another_boot_starts_anew() {
        let mut all = entries();
        all.push(Entry::Boot { id: "next".to_owned() });
        let ledger = Ledger::read(&bytes(&all));
        assert!(ledger.is_clean());
        assert_eq!(ledger.boot.as_deref(), Some("next"));
    }

    #[test]
    fn clean_forgets_everything_but_the_boot() {
        let mut all = entries();
        all.push(Entry::Clean);
        let ledger = Ledger::read(&bytes(&all));
        assert!(ledger.is_clean());
        assert_eq!(ledger.boot.as_deref(), Some("boot"));
    }

    #[test]
    fn a_torn_or_altered_line_hides_no_other() {
        let whole = bytes(&entries());
        let cut = &whole[..whole.len() - 9];
        assert_eq!(Ledger::read(cut).torn, 1);
        let mut altered = whole;
        let position = altered.len() / 2;
        altered[position] ^= 1;
        let ledger = Ledger::read(&altered);
        assert_eq!(ledger.torn, 1);
        assert_eq!(ledger.boot.as_deref(), Some("boot"));
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_ledger(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ledger = Ledger::read(&bytes);
        }

        #[test]
        fn a_journal_cut_anywhere_keeps_the_entries_before_the_cut(cut in 0usize..900) {
            let whole = bytes(&entries());
            let cut = cut.min(whole.len());
            // A line that lacks only its newline is whole.
            let end = (cut + 1).min(whole.len());
            let complete = whole[..end].iter().filter(|byte| **byte == b'\n').count();
            let expected = Ledger::read(&bytes(&entries()[..complete]));
            let read = Ledger::read(&whole[..cut]);
            prop_assert_eq!(read.originals, expected.originals);
            prop_assert!(read.torn <= 1);
        }
    }
}
