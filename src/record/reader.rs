//! Goes through the records of a ring, one after the other, and counts what cannot be read. Must not know what they hold.

use super::batch::{Entry, entries};
use super::delta::Course;
use super::ring::{Kept, Record, Tag};
use std::iter::Enumerate;
use std::sync::Arc;

/// What could not be read of a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Records that are missing between others: torn, or never written.
    pub damaged: u64,
    /// Records without the one that they build on.
    pub without_base: u64,
    /// Records that this version of provost cannot read.
    pub unknown: u64,
    /// How many bytes are missing at the end of the file.
    pub cut_bytes: u64,
    /// How often the clock was set back.
    pub set_back: u64,
}

impl Lost {
    /// What is lost, as sentences without their last full stop; none where nothing is.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let records = |count: u64, one: &str, many: &str| match count {
            1 => format!("1 record {one}"),
            count => format!("{count} records {many}"),
        };
        let mut words = Vec::new();
        let mut say = |count: u64, text: String| words.extend((count > 0).then_some(text));
        say(self.damaged, records(self.damaged, "is missing or damaged", "are missing or damaged"));
        let gone = "passed over, since what came before is missing";
        say(
            self.without_base,
            records(self.without_base, &format!("is {gone}"), &format!("are {gone}")),
        );
        let unknown = "passed over, since this version of provost cannot read";
        say(
            self.unknown,
            records(self.unknown, &format!("is {unknown} it"), &format!("are {unknown} them")),
        );
        say(self.cut_bytes, format!("the last {} bytes of the file are missing", self.cut_bytes));
        let times =
            if self.set_back == 1 { "once".to_owned() } else { format!("{} times", self.set_back) };
        say(
            self.set_back,
            format!("the clock was set back {times}, so times repeat; records stay in their order"),
        );
        words
    }
}

/// One record that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// The number of the ring's record that it lay in.
    pub(super) number: u64,
    /// Where it lies: in which of the records that are kept, and as which of those in it.
    pub(super) at: (usize, usize),
    /// Seconds since 1970 when it was made.
    pub(super) wall_secs: u64,
    /// Whether the one before it was taken in as well.
    pub(super) follows: bool,
    /// Whether all kinds are new, and which.
    pub(super) is_whole: bool,
    pub(super) named: Vec<u8>,
}

/// The records of a ring.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    /// Shared by all that read them.
    records: Arc<[Record]>,
    /// Which of them is turned to next.
    next: usize,
    entries: Enumerate<std::vec::IntoIter<Entry>>,
    number: u64,
    /// Where what was taken in last lies.
    last: Option<(usize, usize)>,
    /// What the sections are after the last record.
    pub(super) course: Course,
    /// Whether the last record was taken in.
    is_intact: bool,
    /// Whether any was.
    has_begun: bool,
    wall_secs: u64,
    /// What could not be read so far.
    pub(super) lost: Lost,
}

impl Reader {
    pub(super) fn of(kept: Kept) -> Self {
        let Kept { records, damaged, cut_bytes } = kept;
        Self {
            records: records.into(),
            next: 0,
            entries: Vec::new().into_iter().enumerate(),
            number: 0,
            last: None,
            course: Course::default(),
            is_intact: false,
            has_begun: false,
            wall_secs: 0,
            lost: Lost { damaged, cut_bytes, ..Lost::default() },
        }
    }

    /// What was taken in last makes no sense: nothing that builds on it does.
    pub(super) const fn distrust(&mut self) {
        self.is_intact = false;
        self.lost.unknown += 1;
    }

    /// Goes to a record of the ring, as if it were the first.
    pub(super) fn go(&mut self, record: usize) {
        let (records, lost) = (Arc::clone(&self.records), self.lost);
        *self = Self { records, next: record, lost, ..Self::of(Kept::default()) };
    }

    /// Whether what lies there is ahead, and all that it builds on from that record on is taken in or ahead too.
    pub(super) fn is_before(&self, at: (usize, usize), from: usize) -> bool {
        self.is_intact && self.last.is_some_and(|last| last < at && from <= last.0)
    }

    pub(super) fn next(&mut self) -> Option<Taken> {
        loop {
            match self.entries.next() {
                Some((place, entry)) => {
                    if let Some(taken) = self.take_in(place, &entry) {
                        return Some(taken);
                    }
                }
                None => self.turn()?,
            }
        }
    }

    /// Goes on to the ring's next record.
    fn turn(&mut self) -> Option<()> {
        let record = self.records.get(self.next)?;
        self.next += 1;
        self.is_intact &= record.sequence == self.number.wrapping_add(1);
        self.number = record.sequence;
        match entries(&record.payload) {
            Ok(entries) => self.entries = entries.into_iter().enumerate(),
            Err(_) => self.distrust(),
        }
        Some(())
    }

    fn take_in(&mut self, place: usize, entry: &Entry) -> Option<Taken> {
        let Entry { tag, wall_secs, record } = entry;
        if *tag == Tag::Delta && !self.is_intact {
            // What is left of the oldest records, whose beginnings gave way to newer ones, is no loss.
            self.lost.without_base += u64::from(self.has_begun);
            return None;
        }
        self.lost.set_back += u64::from(*wall_secs < self.wall_secs);
        self.wall_secs = *wall_secs;
        let Ok(named) = self.course.take_in(*tag, record) else {
            self.distrust();
            return None;
        };
        self.has_begun = true;
        let follows = std::mem::replace(&mut self.is_intact, true);
        let is_whole = *tag == Tag::Whole;
        let at = (self.next.saturating_sub(1), place);
        self.last = Some(at);
        Some(Taken { number: self.number, at, wall_secs: *wall_secs, follows, is_whole, named })
    }
}
