//! Any bytes as a journal, and any text as entries with a right checksum, cut anywhere.

use crate::enforce::Ledger;

/// Any bytes make a ledger, and it survives its own writing. A journal of entries made of the lines of `data` keeps, cut anywhere, what
/// stands before the cut, and what another process appends after it.
///
/// # Panics
/// When one of these does not hold.
pub fn journal(data: &[u8]) {
    survives_its_writing(&Ledger::read(data));
    let sealed = sealed(data);
    let ledger = Ledger::read(&sealed);
    survives_its_writing(&ledger);
    // The place of the cut depends on the data alone, so that a failure can be repeated.
    let cut = usize::try_from(crc32fast::hash(data)).unwrap_or(0) % (sealed.len() + 1);
    for cut in [cut, sealed.len().saturating_sub(1), sealed.len() / 2] {
        keeps_what_stands_before(&sealed, cut);
    }
}

/// Each line as an entry of a journal: with the checksum that belongs to it.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        bytes.extend(format!("{:08x} ", crc32fast::hash(line)).into_bytes());
        bytes.extend(line);
        bytes.push(b'\n');
    }
    bytes
}

fn survives_its_writing(ledger: &Ledger) {
    let again = Ledger::read(&ledger.lines());
    assert_eq!(again.torn, 0, "what was written cannot be read");
    assert_eq!(Ledger { torn: ledger.torn, ..again }, *ledger);
    assert_eq!(ledger.lines(), Ledger { torn: 0, ..ledger.clone() }.lines());
}

fn keeps_what_stands_before(sealed: &[u8], cut: usize) {
    let (kept, lost) = sealed.split_at_checked(cut).unwrap_or((sealed, &[]));
    // A line that lacks only its newline is whole.
    let end = kept.len() + usize::from(lost.first() == Some(&b'\n'));
    let lines = sealed.get(..end).unwrap_or(kept);
    let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let (whole, rest) = lines.split_at_checked(whole).unwrap_or((lines, &[]));
    let expected = Ledger::read(whole);
    let torn = expected.torn + usize::from(!rest.is_empty());
    assert_eq!(Ledger::read(kept), Ledger { torn, ..expected.clone() });
    // What is appended later starts on a line of its own, whatever the tear left.
    let appended = Ledger::read(&[kept, b"\n", sealed].concat());
    let expected = Ledger::read(&[whole, sealed].concat());
    assert_eq!(Ledger { torn: 0, ..appended }, Ledger { torn: 0, ..expected });
}
