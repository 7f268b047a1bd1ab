//! One set of sections as what differs from the one before. Must not know what the sections hold.
//!
//! **Approach.** [`Course`] holds the sections as they were last, by kind. A record names each kind that was looked at; of each section it
//! says that nothing differs, which numbers do and by how much, or all of it where its shape differs. A kind that is not named is as it
//! was. A whole record names all kinds and all of each section, and needs no record before it. Kinds from [`ONCE`] on are told once: they
//! are always told whole, and are nothing any more at the next record.
//!
//! **Properties**, each a test below: what is taken in is given out again, whichever records are whole; no bytes end in a panic or ask
//! for more memory than they take themselves, eight times over.

use super::pack::{Packer, Section, token, unzigzag, zigzag};
use super::ring::Tag;
use super::unpack::{UnpackError, unpack};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use thiserror::Error;

/// Kinds from here on are told once.
pub(super) const ONCE: u8 = 128;
const SAME: u8 = 0;
const NUMBERS: u8 = 1;
const ALL: u8 = 2;

/// A record that says what no record can.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Damaged(pub(super) &'static str);

/// A section as it was last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Names, words and how they nest.
    pub shape: Vec<u8>,
    /// The numbers, in the order of their places in the shape.
    pub numbers: Vec<u64>,
}

/// The sections as they were last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    kinds: BTreeMap<u8, Vec<Held>>,
}

impl Course {
    /// The sections of a kind.
    #[must_use]
    pub fn of(&self, kind: u8) -> &[Held] {
        self.kinds.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// The value in the first section of a kind.
    ///
    /// # Errors
    /// [`UnpackError`] when there is none, or one of another type.
    pub fn one<T: DeserializeOwned>(&self, kind: u8) -> Result<T, UnpackError> {
        let nothing = Held::default();
        self.of(kind).first().unwrap_or(&nothing).value()
    }

    /// The values in all sections of a kind; of one that holds nothing, none.
    ///
    /// # Errors
    /// [`UnpackError`] when one is of another type.
    pub fn all<T: DeserializeOwned>(&self, kind: u8) -> Result<Vec<T>, UnpackError> {
        let there = self.of(kind).iter().filter(|held| held.shape != [token::UNIT]);
        there.map(Held::value).collect()
    }

    fn forget_once(&mut self) {
        self.kinds.retain(|kind, _| *kind < ONCE);
    }

    /// Takes in what a packer holds and writes what differs to `record`; of what is not named, nothing.
    fn differ(&mut self, packer: &Packer, record: &mut Vec<u8>) {
        self.forget_once();
        let mut sections = packer.sections().peekable();
        while let Some(first) = sections.next() {
            let kind = first.kind;
            let held = self.kinds.entry(kind).or_default();
            record.push(kind);
            let count_at = record.len();
            record.extend_from_slice(&[0; 4]);
            let mut count = 0_usize;
            let mut section = Some(first);
            while let Some(now) = section {
                if held.len() == count {
                    held.push(Held::default());
                }
                if let Some(held) = held.get_mut(count) {
                    held.differ(now, record);
                }
                count += 1;
                section = sections.next_if(|next| next.kind == kind);
            }
            held.truncate(count);
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            if let Some(place) = record.get_mut(count_at..count_at + 4) {
                place.copy_from_slice(&count.to_le_bytes());
            }
        }
    }

    /// Writes everything to `record`.
    fn whole(&self, record: &mut Vec<u8>) {
        for (kind, sections) in &self.kinds {
            record.push(*kind);
            let count = u32::try_from(sections.len()).unwrap_or(u32::MAX);
            record.extend_from_slice(&count.to_le_bytes());
            sections.iter().for_each(|held| held.whole(record));
        }
    }

    /// Takes in a record. Which kinds it named.
    ///
    /// # Errors
    /// [`Damaged`]: what is held is then of no use before the next whole record.
    pub fn take_in(&mut self, tag: Tag, record: &[u8]) -> Result<Vec<u8>, Damaged> {
        let mut rest = record;
        match tag {
            Tag::Whole => self.kinds.clear(),
            Tag::Delta => self.forget_once(),
        }
        let mut named = Vec::new();
        while let Some((kind, tail)) = rest.split_first() {
            let cut = Damaged("the record is cut");
            let (count, tail) = tail.split_first_chunk().ok_or(cut)?;
            let count = usize::try_from(u32::from_le_bytes(*count)).unwrap_or(usize::MAX);
            rest = tail;
            // Each section takes a byte at least.
            if count > rest.len() {
                return Err(Damaged("it names more sections than it holds"));
            }
            let held = self.kinds.entry(*kind).or_default();
            held.resize_with(count, Held::default);
            for held in held {
                rest = held.take_in(rest)?;
            }
            named.push(*kind);
        }
        Ok(named)
    }
}

impl Held {
    /// The value.
    ///
    /// # Errors
    /// [`UnpackError`] when it is damaged, or of another type.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, UnpackError> {
        unpack(&self.shape, &self.numbers)
    }

    fn differ(&mut self, now: Section<'_>, record: &mut Vec<u8>) {
        if self.shape != now.shape || self.numbers.len() != now.numbers.len() {
            self.shape.clear();
            self.shape.extend_from_slice(now.shape);
            self.numbers.clear();
            self.numbers.extend_from_slice(now.numbers);
            self.whole(record);
            return;
        }
        if self.numbers == now.numbers {
            record.push(SAME);
            return;
        }
        record.push(NUMBERS);
        let mut skipped = 0_u64;
        for (old, new) in self.numbers.iter_mut().zip(now.numbers) {
            if old == new {
                skipped += 1;
                continue;
            }
            varint(record, skipped);
            varint(record, zigzag(new.wrapping_sub(*old).cast_signed()));
            *old = *new;
            skipped = 0;
        }
        // Nothing differs by nothing: the end.
        varint(record, skipped);
        varint(record, 0);
    }

    fn whole(&self, record: &mut Vec<u8>) {
        record.push(ALL);
        varint(record, u64::try_from(self.shape.len()).unwrap_or(u64::MAX));
        record.extend_from_slice(&self.shape);
        varint(record, u64::try_from(self.numbers.len()).unwrap_or(u64::MAX));
        self.numbers.iter().for_each(|number| varint(record, *number));
    }

    fn take_in<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Damaged> {
        let (op, mut rest) = bytes.split_first().ok_or(Damaged("a section is missing"))?;
        match *op {
            SAME => {}
            NUMBERS => {
                let mut numbers = self.numbers.iter_mut();
                loop {
                    let skipped = usize::try_from(read_varint(&mut rest)?).unwrap_or(usize::MAX);
                    let difference = read_varint(&mut rest)?;
                    if difference == 0 {
                        break;
                    }
                    let missing = Damaged("a number differs that was never there");
                    let number = numbers.nth(skipped).ok_or(missing)?;
                    *number = number.wrapping_add(unzigzag(difference).cast_unsigned());
                }
            }
            ALL => {
                let length = usize::try_from(read_varint(&mut rest)?).unwrap_or(usize::MAX);
                let cut = Damaged("a shape is cut");
                let (shape, tail) = rest.split_at_checked(length).ok_or(cut)?;
                rest = tail;
                let count = usize::try_from(read_varint(&mut rest)?).unwrap_or(usize::MAX);
                // Each number takes a byte at least.
                if count > rest.len() {
                    return Err(Damaged("it names more numbers than it holds"));
                }
                self.shape = shape.to_vec();
                self.numbers.clear();
                for _ in 0..count {
                    self.numbers.push(read_varint(&mut rest)?);
                }
            }
            _ => return Err(Damaged("a section is of an unknown form")),
        }
        Ok(rest)
    }
}

/// A number in as many bytes as it needs, seven bits each, the lowest first.
pub(super) fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

pub(super) fn read_varint(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Damaged("a number is cut"))?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Damaged("a number has more than 64 bits"))
}

/// Makes records of what packers hold: a whole one now and then, between them what differs.
#[derive(Debug)]
pub struct Encoder {
    course: Course,
    /// How many records follow a whole one.
    deltas: u32,
    /// How many have; none when the next is to be whole.
    since_whole: Option<u32>,
    record: Vec<u8>,
}

impl Encoder {
    /// An encoder that lets so many records follow each whole one.
    #[must_use]
    pub fn new(deltas: u32) -> Self {
        Self { course: Course::default(), deltas, since_whole: None, record: Vec::new() }
    }

    /// The next record is whole: one was lost.
    pub const fn begin_anew(&mut self) {
        self.since_whole = None;
    }

    /// Gives back the room that only what is told once took.
    pub fn give_back(&mut self) {
        self.course.forget_once();
        self.record = Vec::new();
    }

    /// The record of what a packer holds. Asks for no memory once it has grown, but for what was not there before.
    pub fn record(&mut self, packer: &Packer) -> (Tag, &[u8]) {
        self.record.clear();
        self.course.differ(packer, &mut self.record);
        let next = self.since_whole.map(|since| since + 1).filter(|since| *since <= self.deltas);
        self.since_whole = Some(next.unwrap_or(0));
        if next.is_some() {
            return (Tag::Delta, &self.record);
        }
        self.record.clear();
        self.course.whole(&mut self.record);
        (Tag::Whole, &self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sections by kind: shapes of a few letters, and numbers of every size.
    fn sections() -> impl Strategy<Value = BTreeMap<u8, Vec<(String, Vec<u64>)>>> {
        let number = prop_oneof![Just(0), 0_u64..4, any::<u64>()];
        let section = ("[ab]{0,2}", prop::collection::vec(number, 0..6));
        prop::collection::btree_map(126_u8..130, prop::collection::vec(section, 0..4), 0..4)
    }

    fn packed(sections: &BTreeMap<u8, Vec<(String, Vec<u64>)>>) -> Packer {
        let mut packer = Packer::default();
        for (kind, sections) in sections {
            sections.iter().for_each(|section| packer.section(*kind, section).unwrap());
        }
        packer
    }

    proptest! {
        #[test]
        fn what_is_taken_in_is_given_out(
            looks in prop::collection::vec(sections(), 1..12),
            deltas in 0_u32..5,
        ) {
            let mut encoder = Encoder::new(deltas);
            let mut course = Course::default();
            for (number, look) in looks.iter().enumerate() {
                let (tag, record) = encoder.record(&packed(look));
                let due = number % (usize::try_from(deltas).unwrap() + 1) == 0;
                prop_assert_eq!(tag == Tag::Whole, due);
                let named = course.take_in(tag, record).unwrap();
                let there = look.iter().filter(|(_, sections)| !sections.is_empty());
                for (kind, sections) in there {
                    prop_assert!(named.contains(kind));
                    prop_assert_eq!(course.of(*kind).len(), sections.len());
                    for (held, section) in course.of(*kind).iter().zip(sections) {
                        let value: (String, Vec<u64>) = held.value().unwrap();
                        prop_assert_eq!(&value, section);
                    }
                }
                prop_assert_eq!(&course, &encoder.course);
            }
        }

        #[test]
        fn numbers_of_every_size_come_back(number: u64) {
            let mut bytes = Vec::new();
            varint(&mut bytes, number);
            prop_assert_eq!(read_varint(&mut bytes.as_slice()), Ok(number));
        }
    }

    #[test]
    fn a_look_in_which_little_differs_takes_little() {
        let mut encoder = Encoder::new(10);
        let mut look: Vec<u64> = (0..4000).collect();
        let mut size = |look: &[u64]| {
            let mut packer = Packer::default();
            packer.section(1, look).unwrap();
            encoder.record(&packer).1.len()
        };
        assert!(size(&look) > 4000, "all of it");
        assert!(size(&look) < 10, "nothing differs");
        look[1000] += 1;
        look[3000] -= 1;
        assert!(size(&look) < 16, "two numbers differ");
    }
}
