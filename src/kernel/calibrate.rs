//! What a disk can do, measured through a private file on one of its file systems. Never touches a raw device.
//!
//! **Problem.** What a disk can do is learned only while somebody waits for it, and only as far as it was asked for.
//!
//! **Approach.** The six patterns of the kernel's `tools/cgroup/iocost_coef_gen.py`, with O_DIRECT, so that no page cache answers. Many threads
//! with one request each stand in for a queue.
//!
//! **Properties.** The file has no name while it is used, so it is gone however the measuring ends. The file system is left with a tenth of it
//! free at least. Between [`LOOK_EVERY`] and the next, whoever asked may say that it is enough.

use super::probe::Roots;
use super::{clock, devices, filesystems};
use crate::units::{Bytes, DeviceId, Span};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use thiserror::Error;

/// So often it is asked whether to go on.
pub const LOOK_EVERY: Span = Span::millis(500);
/// Requests under way at once: what fast disks need to show what they can.
const DEPTH: u64 = 32;
/// Large requests under way at once.
const LARGE_DEPTH: u64 = 8;
const SMALL: usize = 4 << 10;
const LARGE: usize = 1 << 20;
/// Memory that O_DIRECT takes begins at a multiple of this, on every disk.
const ALIGNED: usize = 4096;

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum CalibrateError {
    /// The file system has too little room.
    #[error(
        "{at} has {free} left, and {needed} are needed for the file and a tenth of the file system beside it; free some, or give a \
         smaller --size"
    )]
    NoRoom {
        /// The folder.
        at: String,
        /// What is left.
        free: Bytes,
        /// What would have to be.
        needed: Bytes,
    },
    /// No disk is behind the path, or nothing is mounted from it.
    #[error("{at} cannot be measured: {why}")]
    NoPlace {
        /// The path.
        at: String,
        /// Why, and what to name instead.
        why: String,
    },
    /// A system call failed.
    #[error("failed to {what} in {at}: {}", .errno.desc())]
    Refused {
        /// What was tried.
        what: &'static str,
        /// The folder.
        at: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Whoever asked said that it is enough.
    #[error("stopped: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
}

/// A disk, and a folder on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// The disk.
    pub device: DeviceId,
    /// Its kernel name, such as `sda`.
    pub name: String,
}

/// Where to measure the disk that `path` names: a device with a mounted file system, or something on it.
///
/// # Errors
/// [`CalibrateError::NoPlace`] when there is no such disk, none of its file systems is mounted for writing, or it is several disks.
pub fn place(roots: &Roots, path: &Path) -> Result<Place, CalibrateError> {
    let refused = |why: String| CalibrateError::NoPlace { at: path.display().to_string(), why };
    let disks = devices::behind(&roots.sys, path).map_err(|error| refused(error.to_string()))?;
    let [device] = disks.as_slice() else {
        return Err(refused("it is on several disks; name a folder on one of them".to_owned()));
    };
    let folder = if path.is_dir() {
        path.to_owned()
    } else if path.is_file() {
        path.parent().unwrap_or(Path::new("/")).to_owned()
    } else {
        let on_it = |mounted: &filesystems::Mounted| {
            devices::behind(&roots.sys, Path::new(&mounted.at)).is_ok_and(|found| found == disks)
        };
        let mounted = filesystems::mounted(&roots.proc).into_iter().find(on_it);
        let none =
            || refused("none of its file systems is mounted for writing; mount one".to_owned());
        mounted.map(|mounted| PathBuf::from(mounted.at)).ok_or_else(none)?
    };
    let known = devices::disks(&roots.sys, &roots.cgroup);
    let name = known.into_iter().find(|disk| disk.device == *device).map(|disk| disk.name);
    let name = name.ok_or_else(|| refused("its disk takes no limits".to_owned()))?;
    Ok(Place { folder, device: *device, name })
}

/// Writes a text that others may read, whole or not at all.
///
/// # Errors
/// [`CalibrateError::Refused`] when the folder is not there or may not be written.
pub fn put_file(path: &Path, text: &str) -> Result<(), CalibrateError> {
    let temporary = path.with_extension("new");
    let put = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path));
    put.map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        CalibrateError::Refused { what: "write the result", at: path.display().to_string(), errno }
    })
}

/// How a disk is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// The key in `io.cost.model`.
    pub key: &'static str,
    /// What it does, for people.
    pub what: &'static str,
    write: bool,
    random: bool,
    block: usize,
}

/// The six patterns of io.cost's linear model, reads first.
pub const PATTERNS: [Pattern; 6] = [
    pattern("rbps", "read 1M in sequence", (false, false, LARGE)),
    pattern("rseqiops", "read 4K in sequence", (false, false, SMALL)),
    pattern("rrandiops", "read 4K at random", (false, true, SMALL)),
    pattern("wbps", "write 1M in sequence", (true, false, LARGE)),
    pattern("wseqiops", "write 4K in sequence", (true, false, SMALL)),
    pattern("wrandiops", "write 4K at random", (true, true, SMALL)),
];

impl Pattern {
    /// Whether its bytes count, and not its operations.
    #[must_use]
    pub const fn is_large(&self) -> bool {
        self.block == LARGE
    }
}

const fn pattern(
    key: &'static str,
    what: &'static str,
    (write, random, block): (bool, bool, usize),
) -> Pattern {
    Pattern { key, what, write, random, block }
}

/// What came of one pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Operations per second.
    pub operations: u64,
    /// Bytes per second.
    pub bytes: Bytes,
}

/// A file without a name, full of what cannot be compressed.
#[derive(Debug)]
pub struct Scratch {
    file: File,
    at: String,
    size: u64,
}

/// What is asked from time to time: why to stop, if so.
pub type Watch<'a> = &'a mut dyn FnMut() -> Option<String>;

impl Scratch {
    /// Makes and fills a file of `size`, a multiple of 1 MiB, in `folder`.
    ///
    /// # Errors
    /// [`CalibrateError`]: too little room, no O_DIRECT on this file system, no permission, or `watch` says to stop.
    pub fn make(folder: &Path, size: Bytes, watch: Watch<'_>) -> Result<Self, CalibrateError> {
        let at = folder.display().to_string();
        let refused = |what| {
            let at = at.clone();
            move |errno| CalibrateError::Refused { what, at, errno }
        };
        let told = statvfs(folder).map_err(refused("ask for free space"))?;
        let bytes = |blocks: u64, unit: u64| Bytes(blocks.saturating_mul(unit));
        let (free, all) = (
            bytes(told.blocks_available(), told.fragment_size()),
            bytes(told.blocks(), told.fragment_size()),
        );
        let needed = size.plus(all.scaled(1, 10));
        if free < needed {
            return Err(CalibrateError::NoRoom { at, free, needed });
        }
        let file = nameless(folder).map_err(refused("make a file for O_DIRECT"))?;
        let scratch = Self { file, at, size: size.0 };
        scratch.fill(watch)?;
        Ok(scratch)
    }

    fn fill(&self, watch: Watch<'_>) -> Result<(), CalibrateError> {
        let mut buffer = Buffer::new(LARGE);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut asked = clock::awake();
        for block in 0..self.blocks(LARGE) {
            buffer.scramble(&mut random);
            let offset = block.saturating_mul(LARGE as u64);
            self.file
                .write_all_at(buffer.bytes(), offset)
                .map_err(|error| self.failed("fill the file", &error))?;
            if clock::awake().since(asked) >= LOOK_EVERY {
                asked = clock::awake();
                if let Some(why) = watch() {
                    return Err(CalibrateError::Stopped { why });
                }
            }
        }
        Ok(())
    }

    const fn blocks(&self, block: usize) -> u64 {
        self.size / block as u64
    }

    fn failed(&self, what: &'static str, error: &std::io::Error) -> CalibrateError {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        CalibrateError::Refused { what, at: self.at.clone(), errno }
    }

    /// Asks in this pattern for as long as `span`.
    ///
    /// # Errors
    /// [`CalibrateError`] when a request fails or `watch` says to stop.
    pub fn measure(
        &self,
        pattern: Pattern,
        span: Span,
        watch: Watch<'_>,
    ) -> Result<Figure, CalibrateError> {
        let depth = if pattern.block == LARGE { LARGE_DEPTH } else { DEPTH };
        let course = Course {
            scratch: self,
            pattern,
            next: AtomicU64::new(0),
            done: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        let began = clock::awake();
        let course = &course;
        let (why, failed) = std::thread::scope(|threads| {
            let workers: Vec<_> =
                (1..=depth).map(|seed| threads.spawn(move || course.run(seed))).collect();
            let mut why = None;
            while why.is_none() && clock::awake().since(began) < span && !course.is_over() {
                std::thread::sleep(LOOK_EVERY.min(span).duration());
                why = watch();
            }
            course.over.store(true, Ordering::Relaxed);
            let ends = workers.into_iter().filter_map(|worker| worker.join().ok());
            (why, ends.filter_map(Result::err).next())
        });
        if let Some(error) = failed {
            return Err(self.failed(if pattern.write { "write" } else { "read" }, &error));
        }
        if let Some(why) = why {
            return Err(CalibrateError::Stopped { why });
        }
        let micros = u128::from(clock::awake().since(began).0.max(1));
        let done = u128::from(course.done.load(Ordering::Relaxed));
        let a_second =
            |amount: u128| u64::try_from(amount * 1_000_000 / micros).unwrap_or(u64::MAX);
        let bytes = Bytes(a_second(done * pattern.block as u128));
        Ok(Figure { operations: a_second(done), bytes })
    }
}

/// One pattern while it runs.
struct Course<'a> {
    scratch: &'a Scratch,
    pattern: Pattern,
    next: AtomicU64,
    done: AtomicU64,
    over: AtomicBool,
}

impl Course<'_> {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// One thread: a request after the other.
    fn run(&self, seed: u64) -> Result<(), std::io::Error> {
        let Pattern { write, random, block, .. } = self.pattern;
        let mut buffer = Buffer::new(block);
        let mut dice = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        buffer.scramble(&mut dice);
        let blocks = self.scratch.blocks(block).max(1);
        while !self.is_over() {
            let number =
                if random { dice.next() } else { self.next.fetch_add(1, Ordering::Relaxed) };
            let offset = (number % blocks).saturating_mul(block as u64);
            let file = &self.scratch.file;
            let asked = if write {
                file.write_all_at(buffer.bytes(), offset)
            } else {
                file.read_exact_at(buffer.bytes_mut(), offset)
            };
            if let Err(error) = asked {
                self.over.store(true, Ordering::Relaxed);
                return Err(error);
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A file in the folder that has no name, or loses it at once where the file system can make none without (O_TMPFILE, Linux 3.11).
fn nameless(folder: &Path) -> Result<File, Errno> {
    let flags = OFlag::O_RDWR | OFlag::O_DIRECT | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    match open(folder, flags | OFlag::O_TMPFILE, mode) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::EOPNOTSUPP | Errno::EISDIR) => {
            let path = folder.join(format!(".provost-calibrate-{}", std::process::id()));
            let file = open(&path, flags | OFlag::O_CREAT | OFlag::O_EXCL, mode);
            nix::unistd::unlink(&path)?;
            file.map(File::from)
        }
        Err(errno) => Err(errno),
    }
}

/// Memory as O_DIRECT wants it.
struct Buffer {
    room: Vec<u8>,
    from: usize,
    size: usize,
}

impl Buffer {
    fn new(size: usize) -> Self {
        let room = vec![0; size + ALIGNED];
        let from = room.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        Self { room, from, size }
    }

    fn bytes(&self) -> &[u8] {
        self.room.get(self.from..self.from + self.size).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.room.get_mut(self.from..self.from + self.size).unwrap_or_default()
    }

    /// Disks that compress or find what is equal would be too fast otherwise.
    fn scramble(&mut self, random: &mut Random) {
        for word in self.bytes_mut().chunks_exact_mut(8) {
            word.copy_from_slice(&random.next().to_ne_bytes());
        }
    }
}

/// xorshift64; never seeded with nothing.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder on a disk: /tmp may be in memory, where O_DIRECT is refused before Linux 6.6.
    fn folder() -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn every_pattern_is_measured_and_no_file_is_left() {
        let folder = folder();
        let names = || std::fs::read_dir(&folder).unwrap().count();
        let before = names();
        let mut asked = 0;
        let mut watch = || {
            asked += 1;
            None
        };
        let scratch = Scratch::make(&folder, Bytes::mebi(4), &mut watch).unwrap();
        assert_eq!(names(), before, "it has no name");
        for pattern in PATTERNS {
            let figure = scratch.measure(pattern, Span::millis(60), &mut watch).unwrap();
            assert!(figure.operations > 0, "{pattern:?}");
            let (least, block) = (figure.operations, pattern.block as u64);
            let bytes = least * block..(least + 1) * block;
            assert!(bytes.contains(&figure.bytes.0), "{pattern:?}: {figure:?}");
        }
        assert!(asked >= 6, "{asked}");
    }

    #[test]
    fn it_stops_when_told_to_and_refuses_without_room() {
        let mut no = || Some("somebody waits".to_owned());
        let mut yes = || None;
        let scratch = Scratch::make(&folder(), Bytes::mebi(2), &mut yes).unwrap();
        let stopped = scratch.measure(PATTERNS[0], Span::secs(600), &mut no).unwrap_err();
        assert_eq!(stopped.to_string(), "stopped: somebody waits");
        let error = Scratch::make(&folder(), Bytes(1 << 60), &mut yes).unwrap_err();
        assert!(matches!(error, CalibrateError::NoRoom { .. }), "{error}");
        let nowhere = place(&Roots::host(), Path::new("/proc")).unwrap_err();
        assert!(nowhere.to_string().contains("is on no disk"), "{nowhere}");
    }
}
