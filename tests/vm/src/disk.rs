//! Writes the partition table of the scratch disk.

use crate::{Outcome, failed};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

const SECTORS_PER_MIB: u32 = 2048;
const LINUX: u8 = 0x83;

/// Puts a table with one Linux partition at the front of the disk; start and length in MiB.
///
/// # Errors
/// When the file cannot be written.
pub fn write_partition_table(disk: &Path, start_mib: u32, length_mib: u32) -> Outcome<()> {
    let table = partition_table(start_mib, length_mib);
    let file = OpenOptions::new().write(true).open(disk);
    file.and_then(|file| file.write_all_at(&table, 446))
        .map_err(failed(format!("write the partition table of {}", disk.display())))
}

/// Bytes 446 to 511 of a disk: four entries and the signature.
fn partition_table(start_mib: u32, length_mib: u32) -> Vec<u8> {
    let mut table = Vec::with_capacity(66);
    // Not bootable, no cylinder addresses, type, no cylinder addresses.
    table.extend_from_slice(&[0, 0xff, 0xff, 0xff, LINUX, 0xff, 0xff, 0xff]);
    table.extend_from_slice(&(start_mib * SECTORS_PER_MIB).to_le_bytes());
    table.extend_from_slice(&(length_mib * SECTORS_PER_MIB).to_le_bytes());
    table.resize(64, 0);
    table.extend_from_slice(&[0x55, 0xaa]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_and_the_signature() {
        let table = partition_table(1, 128);
        assert_eq!(table.len(), 66);
        assert_eq!(table[4], LINUX);
        assert_eq!(table[8..12], 2048_u32.to_le_bytes());
        assert_eq!(table[12..16], (128 * 2048_u32).to_le_bytes());
        assert!(table[16..64].iter().all(|byte| *byte == 0));
        assert_eq!(table[64..], [0x55, 0xaa]);
    }
}
