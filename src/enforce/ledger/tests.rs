//! The ledger: what counts of several entries, and that nothing of it is lost by writing and reading.

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
        raised(1),
        raised(2),
        Entry::Made(Made {
            component: "web".parse().unwrap(),
            path: path.clone(),
            kind: HomeKind::OwnGroup,
        }),
        Entry::Enabled { path, controllers: [Controller::Cpu].into() },
        Entry::Started(Started {
            component: "web".parse().unwrap(),
            unit: "web@1.service".to_owned(),
            keep: false,
        }),
    ]
}

/// A thread that is given this priority, from what the one before it left.
fn raised(priority: u8) -> Entry {
    let original = if priority == 1 { Sched::OTHER } else { Sched::rr(priority - 1) };
    Entry::Raised(Raised {
        thread: ProcId { pid: 11, start: 3 },
        name: "engine-1".to_owned(),
        component: "web".parse().unwrap(),
        at: CgroupRef { path: CgroupPath::new("a/b"), id: CgroupId(7) },
        given: Sched::rr(priority),
        original,
        reset_on_fork: priority > 1,
    })
}

#[test]
fn a_thread_is_owed_what_it_had_first_until_it_is_lowered() {
    let mut ledger = Ledger::read(&bytes(&entries()));
    let thread = ProcId { pid: 11, start: 3 };
    let owed = &ledger.raised[&thread];
    assert_eq!((owed.original, owed.given), (Sched::OTHER, Sched::rr(2)));
    assert!(!owed.reset_on_fork && ledger.has_passing());
    ledger.take(Entry::Lowered { thread });
    assert!(ledger.raised.is_empty());
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
