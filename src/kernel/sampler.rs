//! What one group uses and waits for, read from files held open with one `pread` each into a shared buffer, without allocation.
//!
//! Two tiers. The *fast* tier, `cpu.stat` and `memory.current`, is read of every group at every look. The *waiting* tier, pressure and
//! events and what else explains them, costs five times as much and is read as often as the caller can afford. Which of its files
//! there are is learnt when it is read with `learn`; a file that was missing then is not asked for again until the next time.
//!
//! Every held file costs the kernel 4.7 KiB after its first read, so a group whose waiting tier is read seldom does not hold it.

use super::error::ErrnoClass;
use super::group::Group;
use super::parse;
use crate::model::Usage;
use crate::units::{Bytes, Tick};
use nix::sys::uio::pread;
use std::os::fd::OwnedFd;

/// Room for the longest file.
pub type Buffer = [u8; 16 << 10];

/// Which files of the waiting tier a group is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope {
    /// A component lives in it.
    pub home: bool,
    /// A home lies below it.
    pub above: bool,
    /// It is the root, whose `io.stat` counts what all move over each disk.
    pub root: bool,
}

/// The files of the waiting tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    CpuPressure,
    MemoryPressure,
    IoPressure,
    MemoryEvents,
    MemoryEventsLocal,
    MemoryStat,
    IoStat,
    Pids,
    PidsEvents,
    Swap,
}

impl Waiting {
    const ALL: [Self; 10] = [
        Self::CpuPressure,
        Self::MemoryPressure,
        Self::IoPressure,
        Self::MemoryEvents,
        Self::MemoryEventsLocal,
        Self::MemoryStat,
        Self::IoStat,
        Self::Pids,
        Self::PidsEvents,
        Self::Swap,
    ];

    const fn file(self) -> &'static str {
        match self {
            Self::CpuPressure => "cpu.pressure",
            Self::MemoryPressure => "memory.pressure",
            Self::IoPressure => "io.pressure",
            Self::MemoryEvents => "memory.events",
            Self::MemoryEventsLocal => "memory.events.local",
            Self::MemoryStat => "memory.stat",
            Self::IoStat => "io.stat",
            Self::Pids => "pids.current",
            Self::PidsEvents => "pids.events",
            Self::Swap => "memory.swap.current",
        }
    }

    const fn concerns(self, scope: Scope) -> bool {
        match self {
            Self::MemoryEventsLocal => scope.above,
            Self::IoStat => scope.home || scope.root,
            Self::CpuPressure
            | Self::MemoryPressure
            | Self::IoPressure
            | Self::MemoryEvents
            | Self::MemoryStat
            | Self::Pids
            | Self::PidsEvents
            | Self::Swap => scope.home,
        }
    }

    /// Puts the file's meaning into `usage`; a text that was not read or not understood is missing.
    fn take(self, text: Option<&[u8]>, usage: &mut Usage) {
        let number = || parse::number(text?);
        match self {
            Self::CpuPressure => usage.cpu_psi = text.and_then(parse::psi),
            Self::MemoryPressure => usage.memory_psi = text.and_then(parse::psi),
            Self::IoPressure => usage.io_psi = text.and_then(parse::psi),
            Self::MemoryEvents => {
                usage.memory_events = text.and_then(parse::memory_events);
                usage.oom_kills = text.and_then(|text| parse::flat_keyed(text, "oom_kill"));
            }
            Self::MemoryEventsLocal => {
                usage.memory_events_local = text.and_then(parse::memory_events);
            }
            Self::MemoryStat => usage.memory_stat = text.and_then(parse::memory_stat),
            Self::IoStat => match text {
                Some(text) => parse::io_stat(text, usage.io.get_or_insert_default()),
                None => usage.io = None,
            },
            Self::Pids => usage.pids = number(),
            Self::PidsEvents => {
                usage.forks_refused = text.and_then(|text| parse::flat_keyed(text, "max"));
            }
            Self::Swap => usage.swap = number().map(Bytes),
        }
    }
}

/// What is known of a file of the waiting tier.
#[derive(Debug)]
enum Place {
    /// Not looked for yet.
    Unknown,
    /// Not there when it was looked for.
    Missing,
    /// There, and opened for each read.
    There,
    /// There, and held.
    Held(OwnedFd),
}

/// The files of one group that are read again and again.
#[derive(Debug)]
pub struct Sampler {
    cpu_stat: Option<OwnedFd>,
    memory_current: Option<OwnedFd>,
    waiting: [Place; Waiting::ALL.len()],
    scope: Scope,
    hold: bool,
    group: Group,
}

impl Sampler {
    /// Holds the fast files of `group`; files that are not there are looked for again by [`Sampler::refresh`].
    #[must_use]
    pub fn new(group: Group) -> Self {
        let mut sampler = Self {
            cpu_stat: None,
            memory_current: None,
            waiting: std::array::from_fn(|_| Place::Unknown),
            scope: Scope::default(),
            hold: false,
            group,
        };
        sampler.refresh();
        sampler
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// Which files of the waiting tier are read.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Says which files of the waiting tier are to be read, and whether they are worth holding.
    pub fn concern(&mut self, scope: Scope, hold: bool) {
        if (scope, hold) != (self.scope, self.hold) {
            self.scope = scope;
            self.hold = hold;
            self.forget();
        }
    }

    /// Whether its files are worth holding: it is read at every look.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.hold
    }

    /// Opens files that appeared since, because a controller was enabled, and looks for missing ones again at the next read.
    pub fn refresh(&mut self) {
        if self.cpu_stat.is_none() {
            self.cpu_stat = self.group.open("cpu.stat").ok();
        }
        if self.memory_current.is_none() {
            self.memory_current = self.group.open("memory.current").ok();
        }
        for place in &mut self.waiting {
            if matches!(place, Place::Missing) {
                *place = Place::Unknown;
            }
        }
    }

    fn forget(&mut self) {
        self.waiting.iter_mut().for_each(|place| *place = Place::Unknown);
    }

    /// Reads the fast tier into `usage`. Read the parents' first: each read of a parent's `cpu.stat` spares its children the walk
    /// over their siblings. What cannot be read is missing.
    ///
    /// # Errors
    /// The class of the kernel's answer; `Gone` when the group was removed.
    pub fn fast(&self, buffer: &mut Buffer, usage: &mut Usage) -> Result<(), ErrnoClass> {
        let cpu = pread_into(self.cpu_stat.as_ref(), buffer);
        let text = cpu.as_ref().ok().copied().flatten();
        parse::cpu_stat(text.unwrap_or_default(), usage);
        let cpu = cpu.map(|_| ());
        let memory = pread_into(self.memory_current.as_ref(), buffer);
        let text = memory.as_ref().ok().copied().flatten();
        usage.memory = text.and_then(parse::number).map(Bytes);
        cpu.and(memory.map(|_| ()))
    }

    /// Reads the waiting tier into `usage` as of `now`. What is not there, or cannot be read, is missing.
    pub fn waiting(&mut self, buffer: &mut Buffer, usage: &mut Usage, now: Tick) {
        for (file, place) in Waiting::ALL.into_iter().zip(&mut self.waiting) {
            if !file.concerns(self.scope) {
                continue;
            }
            let text = match place {
                Place::Missing => None,
                Place::Held(held) => match pread_into(Some(held), buffer) {
                    Ok(text) => text,
                    Err(_) => {
                        *place = Place::Unknown;
                        None
                    }
                },
                Place::Unknown | Place::There => match self.group.open(file.file()) {
                    Ok(opened) => {
                        let text = pread_into(Some(&opened), buffer).ok().flatten();
                        *place = if self.hold { Place::Held(opened) } else { Place::There };
                        text
                    }
                    Err(errno) => {
                        if ErrnoClass::of(errno) != ErrnoClass::Other {
                            *place = Place::Missing;
                        }
                        None
                    }
                },
            };
            file.take(text, usage);
        }
        usage.sensed_at = Some(now);
    }
}

pub(super) fn pread_into<'a>(
    file: Option<&OwnedFd>,
    buffer: &'a mut Buffer,
) -> Result<Option<&'a [u8]>, ErrnoClass> {
    let Some(file) = file else { return Ok(None) };
    let length = pread(file, buffer, 0).map_err(ErrnoClass::of)?;
    Ok(buffer.get(..length))
}
