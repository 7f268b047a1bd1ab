//! A file of fixed size that takes one record after the other, and the oldest give way. Must not know what a record holds.
//!
//! **Problem.** What led to a crash is worth most after it, so no crash of provost or of the host may spoil what was recorded before; and
//! a disk that fills up must not take the recorder with it.
//!
//! **Approach.** The whole file is allocated at once. A record says its length, its number and when it was written, and carries a checksum
//! over all of it; it lies at a multiple of eight bytes. Whoever reads looks for such beginnings from the front, believes none without
//! its checksum, and sorts by number. A number that is missing between two others is a record that was torn.
//!
//! **Terms.** *lap*: from the front of the file to its end. *rest*: what is left of a lap when the next record does not fit; it is filled with
//! zeros, so that nobody takes what an earlier lap left there for a record of this one.
//!
//! **Properties**, each a test in `ring/tests.rs`: what is read is what was written last, in order; bytes cut off, changed or added anywhere
//! cost the records that they hit and no other; the file never grows.

use nix::fcntl::posix_fallocate;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What a ring begins with.
const MAGIC: &[u8; 16] = b"provost ring\n\0\0\0";
/// The layout of this file. Another one is another version.
const VERSION: u32 = 1;
/// Where records begin: a page, so that they lie as the page cache does.
const DATA: u64 = 4096;
/// What a record begins with.
const RECORD: u32 = 0x5052_4f56;
const HEAD: usize = 40;
/// The least that is left for records: below, a keyframe may not fit.
const LEAST: u64 = 64 << 10;
/// No record is longer than this part of the ring: else one could drive out all that it builds on.
const LONGEST_PART: u64 = 4;
/// Nothing longer is read, so that a file that somebody made cannot exhaust memory.
const MOST_READ: u64 = 1 << 30;

/// Why a ring cannot be used.
#[derive(Debug, Error)]
pub enum RingError {
    /// The system refused.
    #[error("cannot {op} {}: {why}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        why: io::Error,
    },
    /// It is no ring of this version.
    #[error("{} {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is, as a clause.
        what: String,
    },
    /// It is left alone for a while, since it could not be used before.
    #[error("{} could not be used a moment ago and is tried again in some seconds", path.display())]
    Waiting {
        /// The file.
        path: PathBuf,
    },
    /// One record is too long for the ring.
    #[error("a record of {bytes} bytes is longer than a quarter of {}: raise history.budget", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// So long.
        bytes: usize,
    },
}

impl RingError {
    /// Whether the file is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { why, .. } if why.kind() == io::ErrorKind::NotFound)
    }
}

fn failed<'a>(op: &'static str, path: &'a Path) -> impl Fn(io::Error) -> RingError + 'a {
    move |why| RingError::Io { op, path: path.to_owned(), why }
}

/// What a record is to whoever reads on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// It can be read by itself.
    Whole,
    /// It says what differs from the one before.
    Delta,
}

impl Tag {
    const fn number(self) -> u32 {
        match self {
            Self::Whole => 1,
            Self::Delta => 2,
        }
    }

    const fn of_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Whole),
            2 => Some(Self::Delta),
            _ => None,
        }
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number: one more than that of the record before.
    pub sequence: u64,
    /// Seconds since 1970 when it was written, as the host's clock had it.
    pub wall_secs: u64,
    /// What it is.
    pub tag: Tag,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// What is in a ring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The records that are whole, oldest first.
    pub records: Vec<Record>,
    /// How many between them are damaged.
    pub damaged: u64,
    /// How many bytes of the file are missing at its end.
    pub cut_bytes: u64,
}

/// Where the newest record ends, and its number.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    at: usize,
    sequence: u64,
}

/// A ring that is written to.
#[derive(Debug)]
pub struct Ring {
    path: PathBuf,
    file: File,
    size: u64,
    /// Where the next record goes, from the first on.
    at: u64,
    next: u64,
    buffer: Vec<u8>,
}

/// How a ring was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// There was none.
    New,
    /// There was one, and it goes on.
    Continued,
    /// There was one of another size; what fits of it is in the new one.
    Resized,
    /// What was there cannot be read, and was kept under another name.
    SetAside {
        /// That name.
        to: PathBuf,
        /// Why, as a clause.
        why: String,
    },
}

impl Ring {
    /// Opens a ring of this size in bytes, at least 68 KiB; makes it where there is none, and where what is there is of another version.
    ///
    /// # Errors
    /// [`RingError::Io`], such as a full disk: then nothing was changed.
    pub fn open(path: &Path, size: u64) -> Result<(Self, Opened), RingError> {
        let size = size.max(DATA + LEAST).next_multiple_of(DATA);
        let bytes = match load(path) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok((Self::make(path, size)?, Opened::New)),
            Err(error) => return Err(error),
        };
        match size_of(path, &bytes) {
            Ok(same) if same == size => {
                let (_, end) = scan(&bytes);
                let ring = Self::take_up(path, size, end)?;
                Ok((ring, Opened::Continued))
            }
            Ok(_) => Ok((Self::remake(path, size, &scan(&bytes).0)?, Opened::Resized)),
            Err(error) => {
                let to = path.with_extension("ring.old");
                std::fs::rename(path, &to).map_err(failed("rename", path))?;
                let opened = Opened::SetAside { to, why: error.to_string() };
                Ok((Self::make(path, size)?, opened))
            }
        }
    }

    fn create(path: &Path, size: u64) -> Result<Self, RingError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path).map_err(failed("make", path))?;
        let ring = Self { path: path.to_owned(), file, size, at: 0, next: 1, buffer: Vec::new() };
        ring.allocate()?;
        let mut head = Vec::with_capacity(32);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&size.to_le_bytes());
        let sum = crc32fast::hash(&head);
        head.extend_from_slice(&sum.to_le_bytes());
        ring.file.write_all_at(&head, 0).map_err(failed("write", path))?;
        Ok(ring)
    }

    /// Makes a ring under another name first: one that was allocated by half is none.
    fn make(path: &Path, size: u64) -> Result<Self, RingError> {
        Self::remake(path, size, &[])
    }

    /// Makes a ring and puts into it what fits of what was found in another.
    fn remake(path: &Path, size: u64, found: &[Found<'_>]) -> Result<Self, RingError> {
        let temporary = path.with_extension("ring.new");
        let made = Self::create(&temporary, size).and_then(|mut ring| {
            for Found { sequence, wall_secs, tag, payload } in found {
                ring.next = *sequence;
                match ring.append(*tag, *wall_secs, payload) {
                    // Too long for a small ring: whoever reads skips what builds on it.
                    Ok(()) | Err(RingError::TooLong { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            std::fs::rename(&temporary, path).map_err(failed("rename", &temporary))?;
            Ok(ring)
        });
        let mut ring = made.inspect_err(|_| {
            // What was allocated is what the disk lacks.
            let _gone = std::fs::remove_file(&temporary);
        })?;
        ring.path = path.to_owned();
        Ok(ring)
    }

    fn take_up(path: &Path, size: u64, end: End) -> Result<Self, RingError> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(failed("open", path))?;
        let at = u64::try_from(end.at).unwrap_or(DATA).saturating_sub(DATA);
        let next = end.sequence.saturating_add(1);
        let ring = Self { path: path.to_owned(), file, size, at, next, buffer: Vec::new() };
        // It may have been cut.
        ring.allocate()?;
        Ok(ring)
    }

    fn allocate(&self) -> Result<(), RingError> {
        let length = i64::try_from(self.size).unwrap_or(i64::MAX);
        posix_fallocate(&self.file, 0, length)
            .map_err(|errno| failed("allocate", &self.path)(errno.into()))
    }

    /// Writes a record over the oldest.
    ///
    /// # Errors
    /// [`RingError::TooLong`], [`RingError::Io`]: then the next record takes the same place.
    pub fn append(&mut self, tag: Tag, wall_secs: u64, payload: &[u8]) -> Result<(), RingError> {
        let room = self.size - DATA;
        let length = (HEAD + payload.len()).next_multiple_of(8);
        let whole = u64::try_from(length).unwrap_or(u64::MAX);
        if whole > room / LONGEST_PART {
            return Err(RingError::TooLong { path: self.path.clone(), bytes: payload.len() });
        }
        if self.at + whole > room {
            self.end_lap(room)?;
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(&RECORD.to_le_bytes());
        self.buffer.extend_from_slice(&tag.number().to_le_bytes());
        let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        for number in [self.next, wall_secs, bytes] {
            self.buffer.extend_from_slice(&number.to_le_bytes());
        }
        let sum = u64::from(checksum(&self.buffer, payload));
        self.buffer.extend_from_slice(&sum.to_le_bytes());
        self.buffer.extend_from_slice(payload);
        self.buffer.resize(length, 0);
        self.write_at(self.at)?;
        self.at += whole;
        self.next += 1;
        Ok(())
    }

    /// Leaves out so many numbers, so that whoever reads sees that as many records are missing.
    pub const fn skip(&mut self, count: u64) {
        self.next = self.next.saturating_add(count);
    }

    /// Empties what is left of this lap, and begins the next.
    fn end_lap(&mut self, room: u64) -> Result<(), RingError> {
        self.buffer.clear();
        self.buffer.resize(usize::try_from(room - self.at).unwrap_or(0), 0);
        self.write_at(self.at)?;
        self.at = 0;
        Ok(())
    }

    fn write_at(&self, at: u64) -> Result<(), RingError> {
        self.file.write_all_at(&self.buffer, DATA + at).map_err(failed("write", &self.path))
    }
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    sum.update(payload);
    sum.finalize()
}

/// What is kept in a ring's file, whether somebody writes to it or not.
///
/// # Errors
/// [`RingError`] when it cannot be read, or is no ring of this version.
pub(super) fn read(path: &Path) -> Result<Kept, RingError> {
    let bytes = load(path)?;
    let size = size_of(path, &bytes)?;
    let there = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(kept(&bytes, size.saturating_sub(there)))
}

/// What is kept in the bytes of a ring's file; for tests and fuzzing.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Kept> {
    size_of(Path::new(""), bytes).ok().map(|_| kept(bytes, 0))
}

fn load(path: &Path) -> Result<Vec<u8>, RingError> {
    let file = File::open(path).map_err(failed("read", path))?;
    let length = file.metadata().map_err(failed("read", path))?.len();
    if length > MOST_READ {
        let what = format!("is {length} bytes long, longer than any ring");
        return Err(RingError::Foreign { path: path.to_owned(), what });
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MOST_READ), &mut bytes)
        .map_err(failed("read", path))?;
    Ok(bytes)
}

/// The size that the file is to have, in bytes, as its beginning says.
fn size_of(path: &Path, bytes: &[u8]) -> Result<u64, RingError> {
    let foreign = |what: String| RingError::Foreign { path: path.to_owned(), what };
    let word = |at| bytes.get(at..at + 4).and_then(|word| word.first_chunk()).copied();
    if bytes.get(..16) != Some(MAGIC.as_slice()) {
        return Err(foreign("is no recording of provost".to_owned()));
    }
    match word(16).map(u32::from_le_bytes) {
        Some(VERSION) => {}
        Some(other) => {
            return Err(foreign(format!(
                "is of version {other} of the format, and this provost reads version {VERSION}: read it with the provost that wrote it"
            )));
        }
        None => return Err(foreign("is cut at its beginning".to_owned())),
    }
    let size = bytes.get(20..28).and_then(|size| size.first_chunk()).copied();
    let sum = word(28).map(u32::from_le_bytes);
    let whole = bytes.get(..28).map(crc32fast::hash);
    match size.map(u64::from_le_bytes) {
        Some(size) if sum.is_some() && sum == whole => Ok(size),
        Some(_) | None => Err(foreign("is damaged at its beginning".to_owned())),
    }
}

/// A record that is whole, in the bytes of a file.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    sequence: u64,
    wall_secs: u64,
    tag: Tag,
    payload: &'a [u8],
}

/// All records that are whole, by number, and where the newest ends.
fn scan(bytes: &[u8]) -> (Vec<Found<'_>>, End) {
    let mut at = usize::try_from(DATA).unwrap_or(usize::MAX);
    let mut end = End { at, sequence: 0 };
    let mut found = Vec::new();
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEAD) {
        let Some((record, length)) = record(rest) else {
            at += 8;
            continue;
        };
        at += length;
        if record.sequence >= end.sequence {
            end = End { at, sequence: record.sequence };
        }
        found.push(record);
    }
    found.sort_by_key(|record| record.sequence);
    found.dedup_by_key(|record| record.sequence);
    (found, end)
}

/// What is kept in the bytes of a file, of which so many are missing.
fn kept(bytes: &[u8], cut_bytes: u64) -> Kept {
    let (found, _) = scan(bytes);
    let numbers = found.first().zip(found.last());
    let span =
        numbers.map_or(0, |(first, last)| (last.sequence - first.sequence).saturating_add(1));
    let there = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let owned = |Found { sequence, wall_secs, tag, payload }| Record {
        sequence,
        wall_secs,
        tag,
        payload: payload.to_vec(),
    };
    let records = found.into_iter().map(owned).collect();
    Kept { records, damaged: span.saturating_sub(there), cut_bytes }
}

/// The record at the beginning of the bytes, and how much room it takes.
fn record(bytes: &[u8]) -> Option<(Found<'_>, usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (summed, sum) = head.split_at_checked(HEAD - 8)?;
    let short = |at: usize| summed.get(at..at + 4)?.first_chunk().copied().map(u32::from_le_bytes);
    let long = |at: usize| summed.get(at..at + 8)?.first_chunk().copied().map(u64::from_le_bytes);
    short(0).filter(|mark| *mark == RECORD)?;
    let tag = Tag::of_number(short(4)?)?;
    let (sequence, wall_secs) = (long(8)?, long(16)?);
    let payload = rest.get(..usize::try_from(long(24)?).ok()?)?;
    let sum = sum.first_chunk().copied().map(u64::from_le_bytes)?;
    if u64::from(checksum(summed, payload)) != sum {
        return None;
    }
    let room = (HEAD + payload.len()).next_multiple_of(8);
    Some((Found { sequence, wall_secs, tag, payload }, room))
}

#[cfg(test)]
mod tests;
