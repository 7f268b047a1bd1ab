//! A ring keeps what was written last, and damage costs what it hits.

use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// The smallest ring.
const SMALL: u64 = DATA + LEAST;

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("provost-ring-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn ring(&self) -> PathBuf {
        self.0.join("looks.ring")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// A payload that tells which it is, as long as asked for.
fn payload(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(length.max(8), u8::try_from(number % 251).unwrap());
    bytes
}

fn fill(path: &Path, lengths: &[usize]) -> Opened {
    let (mut ring, opened) = Ring::open(path, SMALL).unwrap();
    for length in lengths {
        let number = ring.next;
        ring.append(Tag::Whole, 1000 + number, &payload(number, *length)).unwrap();
    }
    opened
}

/// Every record is one that was written, and they are in order.
fn check(kept: &Kept, lengths: &[usize]) {
    assert!(kept.records.windows(2).all(|two| two[0].sequence < two[1].sequence));
    for record in &kept.records {
        let place = usize::try_from(record.sequence - 1).unwrap();
        assert_eq!(record.payload, payload(record.sequence, lengths[place]));
        assert_eq!(record.wall_secs, 1000 + record.sequence);
    }
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![0_usize..64, 64_usize..4000, 12_000_usize..16_000], 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_written_last_is_kept_in_order(lengths in lengths(), again in lengths()) {
        let folder = Folder::new();
        prop_assert_eq!(fill(&folder.ring(), &lengths), Opened::New);
        prop_assert_eq!(fill(&folder.ring(), &again), Opened::Continued);
        let all: Vec<usize> = lengths.iter().chain(&again).copied().collect();
        let kept = read(&folder.ring()).unwrap();
        check(&kept, &all);
        prop_assert_eq!((kept.damaged, kept.cut_bytes), (0, 0));
        let last = kept.records.last().unwrap();
        prop_assert_eq!(usize::try_from(last.sequence).unwrap(), all.len());
        // No more than the longest record and the rest of a lap are free.
        let sum: usize = all.iter().map(|length| length.max(&8) + HEAD + 8).sum();
        let there: usize = kept.records.iter().map(|one| one.payload.len() + HEAD + 8).sum();
        let room = usize::try_from(LEAST).unwrap();
        prop_assert!(there == sum || there > room - 2 * 16_100, "{} of {}", there, sum);
        let size = std::fs::metadata(folder.ring()).unwrap().len();
        prop_assert_eq!(size, SMALL, "the file never grows");
    }

    #[test]
    fn damage_costs_what_it_hits(
        lengths in lengths(),
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let folder = Folder::new();
        fill(&folder.ring(), &lengths);
        let whole = read(&folder.ring()).unwrap();
        let mut file = std::fs::read(folder.ring()).unwrap();
        let data = usize::try_from(DATA).unwrap();
        let room = file.len() - data - bytes.len();
        let at = data + at.index(room);
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        std::fs::write(folder.ring(), &file).unwrap();
        let kept = read(&folder.ring()).unwrap();
        check(&kept, &lengths);
        // 200 bytes lie in at most six records of 40 bytes and more.
        let fewer = whole.records.len() - kept.records.len();
        prop_assert!(fewer <= 6, "{} records are gone", fewer);
        prop_assert!(kept.damaged <= u64::try_from(fewer).unwrap());
        // Whoever goes on does not mind.
        let (mut ring, opened) = Ring::open(&folder.ring(), SMALL).unwrap();
        prop_assert_eq!(opened, Opened::Continued);
        ring.append(Tag::Delta, 7, b"after").unwrap();
        let kept = read(&folder.ring()).unwrap();
        prop_assert_eq!(&kept.records.last().unwrap().payload, b"after");
    }

    #[test]
    fn a_file_that_was_cut_keeps_the_rest(lengths in lengths(), length in 4096_usize..69_000) {
        let folder = Folder::new();
        fill(&folder.ring(), &lengths);
        let file = std::fs::read(folder.ring()).unwrap();
        let length = length.min(file.len());
        std::fs::write(folder.ring(), &file[..length]).unwrap();
        let kept = read(&folder.ring()).unwrap();
        check(&kept, &lengths);
        prop_assert_eq!(kept.cut_bytes, u64::try_from(file.len() - length).unwrap());
        prop_assert_eq!(fill(&folder.ring(), &[]), Opened::Continued);
        prop_assert_eq!(read(&folder.ring()).unwrap().cut_bytes, 0, "it has its size again");
    }
}

#[test]
fn one_that_another_version_wrote_is_set_aside() {
    let folder = Folder::new();
    fill(&folder.ring(), &[10]);
    let mut file = std::fs::read(folder.ring()).unwrap();
    file[16] = 9;
    std::fs::write(folder.ring(), &file).unwrap();
    let told = read(&folder.ring()).unwrap_err().to_string();
    assert!(
        told.contains("is of version 9 of the format, and this provost reads version 1"),
        "{told}"
    );
    let Opened::SetAside { to, why } = fill(&folder.ring(), &[5]) else { panic!("it was taken") };
    assert_eq!(to, folder.0.join("looks.ring.old"));
    assert!(why.contains("version 9"), "{why}");
    assert_eq!(std::fs::read(to).unwrap(), file, "nothing is lost");
    assert_eq!(read(&folder.ring()).unwrap().records.len(), 1);
}

#[test]
fn what_is_no_ring_is_told_and_set_aside() {
    for (bytes, what) in [
        (Vec::new(), "is no recording of provost"),
        (b"hello".repeat(1000), "is no recording of provost"),
        (MAGIC.to_vec(), "is cut at its beginning"),
        ([MAGIC.as_slice(), &VERSION.to_le_bytes(), &[1; 30]].concat(), "is damaged"),
    ] {
        let folder = Folder::new();
        std::fs::write(folder.ring(), &bytes).unwrap();
        let told = read(&folder.ring()).unwrap_err().to_string();
        assert!(told.contains(what), "{told}");
        assert!(matches!(fill(&folder.ring(), &[5]), Opened::SetAside { .. }));
    }
    let folder = Folder::new();
    assert!(read(&folder.ring()).unwrap_err().is_missing());
}

#[test]
fn another_size_keeps_what_fits() {
    let folder = Folder::new();
    let lengths = [1000; 50];
    fill(&folder.ring(), &lengths);
    for (size, least) in [(4 * SMALL, 50), (SMALL, 50), (SMALL - 1, 50)] {
        let (_, opened) = Ring::open(&folder.ring(), size).unwrap();
        let expected = if size < SMALL { Opened::Continued } else { Opened::Resized };
        assert_eq!(opened, expected, "{size}");
        let kept = read(&folder.ring()).unwrap();
        check(&kept, &lengths);
        assert!(kept.records.len() >= least, "{size}: {}", kept.records.len());
    }
}

#[test]
fn a_record_that_would_drive_out_the_others_is_refused() {
    let folder = Folder::new();
    let (mut ring, _) = Ring::open(&folder.ring(), SMALL).unwrap();
    ring.append(Tag::Whole, 1, b"first").unwrap();
    let told = ring.append(Tag::Whole, 2, &[0; 20_000]).unwrap_err().to_string();
    assert!(told.contains("a record of 20000 bytes") && told.contains("history.budget"), "{told}");
    ring.skip(1);
    ring.append(Tag::Delta, 3, b"third").unwrap();
    let kept = read(&folder.ring()).unwrap();
    assert_eq!((kept.records.len(), kept.damaged), (2, 1), "what is missing is seen");
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let missing = Path::new("/proc/no-such-folder/looks.ring");
    let told = Ring::open(missing, SMALL).unwrap_err().to_string();
    assert!(told.starts_with("cannot make /proc/no-such-folder/looks.ring.new: "), "{told}");
}

/// `/dev/full` is a disk without room: there is nothing to allocate on it, and every write fails.
#[test]
fn a_full_disk_is_told() {
    let file = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let path = PathBuf::from("/dev/full");
    let mut ring = Ring { path, file, size: SMALL, at: 0, next: 1, buffer: Vec::new() };
    let told = ring.append(Tag::Whole, 1, b"what").unwrap_err().to_string();
    assert!(told.starts_with("cannot write /dev/full: No space left on device"), "{told}");
    assert_eq!((ring.at, ring.next), (0, 1), "the next record takes the same place");
}
