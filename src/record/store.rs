//! The four rings as one: which file holds what, how the budget is shared, and what is done when a disk does not take it.
//!
//! A ring that cannot be opened or written is left alone for a while and tried again; what was to go there meanwhile is counted, and a
//! gap in the numbers says so to whoever reads.

use super::batch::{Batch, Press};
use super::delta::{Course, Encoder, ONCE};
use super::pack::{PackError, Packer};
use super::reader::{Lost, Reader};
use super::ring::{self, Opened, Ring, RingError};
use super::series::Period;
use super::unpack::UnpackError;
use crate::model::Event;
use crate::units::{Bytes, Span, Tick};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How long a ring is left alone that could not be written: allocating room on a full disk is no work for each second.
const RETRY_AFTER: Span = Span::secs(10);
const EVENT: u8 = ONCE;

/// Which ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// Every cycle, in full.
    Looks,
    /// What happened, for people.
    Events,
    /// What was used, by minute.
    Minutes,
    /// What was used, by hour.
    Hours,
}

impl Which {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Looks, Self::Events, Self::Minutes, Self::Hours];

    /// Where it is kept.
    #[must_use]
    pub fn file(self, state: &Path) -> PathBuf {
        state.join(match self {
            Self::Looks => "looks.ring",
            Self::Events => "events.ring",
            Self::Minutes => "minutes.ring",
            Self::Hours => "hours.ring",
        })
    }

    /// Its part of the budget, in hundredths: of 100 components, hours of thirty days fit into theirs (`scripts/bench month`).
    const fn share(self) -> u64 {
        match self {
            Self::Looks => 73,
            Self::Hours => 11,
            Self::Events | Self::Minutes => 8,
        }
    }

    /// What makes its records. How many follow a whole one is how many are lost when one in between is damaged.
    #[must_use]
    pub fn encoder(self) -> Encoder {
        Encoder::new(match self {
            Self::Looks => 120,
            // Nothing is told twice.
            Self::Events => 0,
            Self::Minutes => 60,
            Self::Hours => 24,
        })
    }
}

/// What keeps a ring from being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which.
    pub which: Which,
    /// What, as a clause.
    pub what: String,
}

#[derive(Debug)]
struct Shelf {
    which: Which,
    path: PathBuf,
    size: u64,
    ring: Option<Ring>,
    /// How many records were lost since the last that was written.
    lost: u64,
    retry_at: Option<Tick>,
}

/// Writes the four rings. Not for the control loop: its disk may be slow.
#[derive(Debug)]
pub struct Store {
    shelves: Vec<Shelf>,
    press: Press,
}

impl Store {
    /// The rings in `state`, with this much room in all. Nothing is opened yet.
    #[must_use]
    pub fn new(state: &Path, budget: Bytes) -> Self {
        let shelf = |which: Which| Shelf {
            which,
            path: which.file(state),
            size: budget.scaled(which.share(), 100).page_floor(Bytes(4096)).0,
            ring: None,
            lost: 0,
            retry_at: None,
        };
        Self { shelves: Which::ALL.map(shelf).into(), press: Press::default() }
    }

    /// Opens a ring, if that is not done, and is due. How, where it was opened by this.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn open(&mut self, which: Which, now: Tick) -> Result<Option<Opened>, Trouble> {
        self.shelves.iter_mut().find(|shelf| shelf.which == which).map_or(Ok(None), |shelf| {
            shelf.open(now).map_err(|error| Trouble { which, what: error.to_string() })
        })
    }

    /// Writes a batch at a time on the boot clock; before it, so many were lost.
    ///
    /// # Errors
    /// [`Trouble`]: it is lost.
    pub fn write(
        &mut self,
        which: Which,
        now: Tick,
        lost: u64,
        batch: &Batch,
    ) -> Result<(), Trouble> {
        let press = &mut self.press;
        let shelf = self.shelves.iter_mut().find(|shelf| shelf.which == which);
        shelf.map_or(Ok(()), |shelf| {
            shelf.lose(lost);
            shelf.write(now, batch, press).map_err(|error| {
                shelf.lose(1);
                shelf.retry_at.get_or_insert(now.plus(RETRY_AFTER));
                Trouble { which, what: error.to_string() }
            })
        })
    }
}

impl Shelf {
    fn open(&mut self, now: Tick) -> Result<Option<Opened>, RingError> {
        if self.ring.is_some() || self.is_left_alone(now) {
            return Ok(None);
        }
        self.retry_at = Some(now.plus(RETRY_AFTER));
        let (mut ring, opened) = Ring::open(&self.path, self.size)?;
        ring.skip(std::mem::take(&mut self.lost));
        self.ring = Some(ring);
        self.retry_at = None;
        Ok(Some(opened))
    }

    fn is_left_alone(&self, now: Tick) -> bool {
        self.retry_at.is_some_and(|at| now < at)
    }

    const fn lose(&mut self, count: u64) {
        match &mut self.ring {
            Some(ring) => ring.skip(count),
            None => self.lost = self.lost.saturating_add(count),
        }
    }

    fn write(&mut self, now: Tick, batch: &Batch, press: &mut Press) -> Result<(), RingError> {
        let waits = self.is_left_alone(now);
        let Some(ring) = self.ring.as_mut().filter(|_| !waits) else {
            return Err(RingError::Waiting { path: self.path.clone() });
        };
        self.retry_at = None;
        ring.append(batch.tag(), batch.wall_secs(), press.pack(batch))
    }
}

/// Packs what happened in one cycle.
///
/// # Errors
/// [`PackError`] for what no section can hold.
pub fn pack_events(events: &[Event], packer: &mut Packer) -> Result<(), PackError> {
    packer.clear();
    events.iter().try_for_each(|event| packer.section(EVENT, event))
}

/// What happened, oldest first, and what could not be read. Numbers of records beside, to read on from.
///
/// # Errors
/// [`RingError`] when the file cannot be read.
pub fn events(state: &Path) -> Result<(Vec<(u64, Event)>, Lost), RingError> {
    let read = |course: &Course| course.all::<Event>(EVENT);
    let (read, lost) = each(&Which::Events.file(state), read)?;
    let numbered =
        |(number, events): (u64, Vec<Event>)| events.into_iter().map(move |event| (number, event));
    Ok((read.into_iter().flat_map(numbered).collect(), lost))
}

/// When events were recorded last: while it is the same, nothing happened. None where nothing was recorded.
#[must_use]
pub fn events_stamp(state: &Path) -> Option<(i64, i64)> {
    let file = std::fs::metadata(Which::Events.file(state)).ok()?;
    Some((file.mtime(), file.mtime_nsec()))
}

/// Minutes or hours, oldest first, and what could not be read.
///
/// # Errors
/// [`RingError`] when the file cannot be read.
pub fn periods(state: &Path, which: Which) -> Result<(Vec<Period>, Lost), RingError> {
    let (read, lost) = each(&which.file(state), Period::read)?;
    Ok((read.into_iter().map(|(_, period)| period).collect(), lost))
}

/// How far back a ring goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// When the oldest record that can be read was made, and the newest, in seconds since 1970 by the host's clock at that time; none
    /// where there is none yet.
    pub span: Option<(u64, u64)>,
    /// The size of the file in bytes, which it always has.
    pub bytes: u64,
    /// What could not be read.
    pub lost: Lost,
}

/// From when to when a ring can be read.
///
/// # Errors
/// [`RingError`] when the file cannot be read.
pub fn reach(state: &Path, which: Which) -> Result<Reach, RingError> {
    let path = which.file(state);
    let mut reader = Reader::of(ring::read(&path)?);
    let mut span = None;
    while let Some(taken) = reader.next() {
        let (oldest, _) = *span.get_or_insert((taken.wall_secs, taken.wall_secs));
        span = Some((oldest, taken.wall_secs));
    }
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    Ok(Reach { span, bytes, lost: reader.lost })
}

/// What is in each record of a ring, with its number.
fn each<T>(
    path: &Path,
    read: impl Fn(&Course) -> Result<T, UnpackError>,
) -> Result<(Vec<(u64, T)>, Lost), RingError> {
    let mut reader = Reader::of(ring::read(path)?);
    let mut found = Vec::new();
    while let Some(taken) = reader.next() {
        match read(&reader.course) {
            Ok(value) => found.push((taken.number, value)),
            Err(_) => reader.distrust(),
        }
    }
    Ok((found, reader.lost))
}
