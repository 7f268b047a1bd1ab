//! Any bytes as a recording: as the file of a ring, as one record in it, and as a section of one.

use crate::model::Snapshot;
use crate::record::{Cycle, Kept, Packer, Record, Recording, Tag, parse, unpack};

/// Any bytes give cycles or are counted as lost, and a look that they give survives its own packing.
///
/// # Panics
/// When that does not hold.
pub fn recording(data: &[u8]) {
    if let Some(kept) = parse(data) {
        let numbers: Vec<u64> = kept.records.iter().map(|record| record.sequence).collect();
        assert!(numbers.is_sorted(), "records are in their order");
        Recording::of(kept).for_each(|cycle| packed_again(&cycle));
    }
    let record = Record { sequence: 1, wall_secs: 0, tag: Tag::Whole, payload: data.to_vec() };
    let kept = Kept { records: vec![record], ..Kept::default() };
    Recording::of(kept).for_each(|cycle| packed_again(&cycle));
    let numbers: Vec<u64> = data.iter().copied().map(u64::from).collect();
    let _read = unpack::<Snapshot>(data, &numbers);
}

fn packed_again(cycle: &Cycle) {
    let mut packer = Packer::default();
    let packed = packer.section(0, &cycle.seen);
    let section = packer.sections().next().filter(|_| packed.is_ok());
    let again = section.and_then(|section| unpack(section.shape, section.numbers).ok());
    assert_eq!(again.as_ref(), Some(&cycle.seen));
}
