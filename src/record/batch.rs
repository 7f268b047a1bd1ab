//! Several records as one of a ring: what the control loop gathers while nothing happens, so that the disk is not bothered each second.
//!
//! **Properties**, each a test below: what is gathered is what is read; no bytes end in a panic or ask for more memory than
//! [`MOST_UNPACKED`].

use super::delta::{Damaged, Encoder, read_varint, varint};
use super::pack::Packer;
use super::ring::Tag;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use std::fmt;

/// What one record of a ring may come to: what 1000 components remember is a tenth of it.
const MOST_UNPACKED: usize = 64 << 20;
/// More room than this is not kept from batch to batch: what 1000 components remember is several times as large, and comes each quarter of an
/// hour.
const MOST_KEPT: usize = 1 << 20;
/// Anything shorter is not worth compressing.
const LEAST_PACKED: usize = 128;
/// Fast: higher levels save a twentieth and take twice the time.
const LEVEL: i32 = 3;
/// Raw deflate, without a zlib header: the ring has its own checksum.
const WINDOW_BITS: i32 = -15;

const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

const WHOLE: u8 = 0;
const DELTA: u8 = 1;

/// Records that go to the ring together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
    /// That of the first.
    tag: Option<Tag>,
    wall_secs: u64,
}

impl Batch {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What the first of them is to whoever reads on from it.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.tag.unwrap_or(Tag::Whole)
    }

    /// When the last was added, in seconds since 1970.
    #[must_use]
    pub const fn wall_secs(&self) -> u64 {
        self.wall_secs
    }

    /// Forgets them and keeps the room, as far as quiet looks need it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(MOST_KEPT);
        (self.count, self.tag) = (0, None);
    }

    /// Adds what a packer holds. Asks for no memory once it has grown.
    pub fn add(&mut self, wall_secs: u64, encoder: &mut Encoder, packer: &Packer) {
        let (tag, record) = encoder.record(packer);
        self.bytes.push(match tag {
            Tag::Whole => WHOLE,
            Tag::Delta => DELTA,
        });
        varint(&mut self.bytes, wall_secs);
        varint(&mut self.bytes, u64::try_from(record.len()).unwrap_or(u64::MAX));
        self.bytes.extend_from_slice(record);
        self.tag.get_or_insert(tag);
        self.wall_secs = wall_secs;
        self.count += 1;
    }
}

/// Compresses batches, one after the other.
pub struct Press {
    packed: Vec<u8>,
    compressor: Box<CompressorOxide>,
}

impl fmt::Debug for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Press").finish_non_exhaustive()
    }
}

impl Default for Press {
    fn default() -> Self {
        let flags = create_comp_flags_from_zip_params(LEVEL, WINDOW_BITS, 0);
        Self { packed: Vec::new(), compressor: Box::new(CompressorOxide::new(flags)) }
    }
}

impl Press {
    /// A batch as a ring keeps it.
    pub fn pack(&mut self, batch: &Batch) -> &[u8] {
        let bytes = &batch.bytes;
        if bytes.len() < LEAST_PACKED || !self.deflate(bytes) {
            self.packed.clear();
            self.packed.push(PLAIN);
            self.packed.extend_from_slice(bytes);
        }
        &self.packed
    }

    /// Whether it became shorter by it.
    fn deflate(&mut self, bytes: &[u8]) -> bool {
        self.packed.clear();
        self.packed.push(DEFLATED);
        self.packed.resize(bytes.len(), 0);
        self.compressor.reset();
        let Some(room) = self.packed.get_mut(1..) else { return false };
        let (status, _, length) = compress(&mut self.compressor, bytes, room, TDEFLFlush::Finish);
        self.packed.truncate(length + 1);
        status == TDEFLStatus::Done
    }
}

/// One record of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub tag: Tag,
    /// Seconds since 1970 when it was made, as the host's clock had it.
    pub wall_secs: u64,
    /// What it says.
    pub record: Vec<u8>,
}

/// The records of a batch that a ring kept.
///
/// # Errors
/// [`Damaged`]: none of them can be believed.
pub fn entries(payload: &[u8]) -> Result<Vec<Entry>, Damaged> {
    let (form, packed) = payload.split_first().ok_or(Damaged("the record is empty"))?;
    let unpacked;
    let mut rest = match *form {
        PLAIN => packed,
        DEFLATED => {
            unpacked = decompress_to_vec_with_limit(packed, MOST_UNPACKED)
                .map_err(|_| Damaged("what was compressed is damaged"))?;
            unpacked.as_slice()
        }
        _ => return Err(Damaged("the record is of an unknown form")),
    };
    let mut entries = Vec::new();
    while let Some((tag, tail)) = rest.split_first() {
        let tag = match *tag {
            WHOLE => Tag::Whole,
            DELTA => Tag::Delta,
            _ => return Err(Damaged("a record is of an unknown form")),
        };
        rest = tail;
        let wall_secs = read_varint(&mut rest)?;
        let length = usize::try_from(read_varint(&mut rest)?).unwrap_or(usize::MAX);
        let cut = Damaged("a record is cut");
        let (record, tail) = rest.split_at_checked(length).ok_or(cut)?;
        rest = tail;
        entries.push(Entry { tag, wall_secs, record: record.to_vec() });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_gathered_is_what_is_read(
            looks in prop::collection::vec((0_u64..1 << 40, "[a-d]{0,60}"), 1..20),
        ) {
            let (mut batch, mut press) = (Batch::default(), Press::default());
            let mut encoder = Encoder::new(3);
            let mut packer = Packer::default();
            for round in 0..2 {
                batch.clear();
                for (wall_secs, text) in &looks {
                    packer.clear();
                    packer.section(200, text).unwrap();
                    batch.add(*wall_secs, &mut encoder, &packer);
                }
                let read = entries(press.pack(&batch)).unwrap();
                prop_assert_eq!(read.len(), looks.len());
                prop_assert_eq!(usize::try_from(batch.len()).unwrap(), looks.len());
                prop_assert_eq!(batch.tag(), read[0].tag, "round {}", round);
                for (entry, (wall_secs, text)) in read.iter().zip(&looks) {
                    prop_assert_eq!(entry.wall_secs, *wall_secs);
                    let mut course = super::super::delta::Course::default();
                    course.take_in(Tag::Whole, &entry.record).unwrap();
                    prop_assert_eq!(&course.one::<String>(200).unwrap(), text);
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for entry in entries(&bytes).into_iter().flatten() {
                let _read = super::super::delta::Course::default().take_in(entry.tag, &entry.record);
            }
        }
    }
}
