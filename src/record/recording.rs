//! Recorded cycles as they were, one after the other. Must not judge them, nor know what was remembered.
//!
//! **Approach.** Each record that can be read changes what is held of the one before; what cannot be read is counted and said, and reading
//! goes on at the next record that needs none before it. Where each cycle lies can be found without reading what it holds; from there a
//! single one is read, whatever was read before.

use super::delta::{Course, Held as Section};
use super::look::{Decided, Group, Moment, kind};
use super::reader::{Lost, Reader, Taken};
use super::ring::{self, Kept, RingError};
use super::unpack::UnpackError;
use crate::model::{Decision, Finding, GroupView, HostView, Plan, Snapshot, Target, Usage};
use crate::units::CgroupPath;
use serde::de::DeserializeOwned;
use std::path::Path;

/// What a cycle came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What was wanted and why.
    pub decision: Decision,
    /// What was to be done.
    pub plan: Plan,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// Where a replay may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    policy: Section,
    state: Section,
}

impl Base {
    /// The policy in force.
    ///
    /// # Errors
    /// [`UnpackError`] where another version of provost wrote it in another form.
    pub fn policy<P: DeserializeOwned>(&self) -> Result<P, UnpackError> {
        self.policy.value()
    }

    /// What was remembered before the look.
    ///
    /// # Errors
    /// [`UnpackError`] where another version of provost remembered something else.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S, UnpackError> {
        self.state.value()
    }
}

/// What was lent to the cycle from this look on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent(Section);

impl Lent {
    /// What it is.
    ///
    /// # Errors
    /// [`UnpackError`] where another version of provost lent something else.
    pub fn value<L: DeserializeOwned>(&self) -> Result<L, UnpackError> {
        self.0.value()
    }
}

/// One recorded cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Seconds since 1970, as the host's clock had it.
    pub wall_secs: u64,
    /// Whether it is the one after the cycle that was read before it.
    pub follows: bool,
    /// What was seen.
    pub seen: Snapshot,
    /// Whether it was made to plan though nothing changed.
    pub is_replanned: bool,
    /// The policy and what was remembered, where a replay may begin.
    pub base: Option<Base>,
    /// What was lent, where that changed.
    pub lent: Option<Lent>,
    /// What came of it, if anything.
    pub news: Option<Told>,
}

/// Where a recorded cycle lies, without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Seconds since 1970, as the host's clock had it.
    pub wall_secs: u64,
    /// Whether it is the one after the cycle that was found before it.
    pub follows: bool,
    /// Whether a replay may begin there.
    pub is_base: bool,
    at: (usize, usize),
    /// The record with which reading has to begin.
    from: usize,
}

/// The recorded cycles of one file.
#[derive(Debug, Clone)]
pub struct Recording {
    reader: Reader,
    /// The look before; none before the first, and after one that could not be read.
    seen: Option<Snapshot>,
    /// The groups in the order in which they were told.
    paths: Vec<CgroupPath>,
}

impl Recording {
    /// Opens a recording, whether somebody writes to it or not.
    ///
    /// # Errors
    /// [`RingError`] when it cannot be read, or is none of this version.
    pub fn open(path: &Path) -> Result<Self, RingError> {
        ring::read(path).map(Self::of)
    }

    /// The recording in what is kept of a ring.
    #[must_use]
    pub fn of(kept: Kept) -> Self {
        Self { reader: Reader::of(kept), seen: None, paths: Vec::new() }
    }

    /// What could not be read so far.
    #[must_use]
    pub const fn lost(&self) -> Lost {
        self.reader.lost
    }

    /// Where all cycles lie, the oldest first, and what cannot be read. To be asked for before any cycle is.
    #[must_use]
    pub fn places(&self) -> (Vec<Place>, Lost) {
        let mut reader = self.reader.clone();
        reader.go(0);
        let (mut places, mut from) = (Vec::new(), 0);
        while let Some(taken) = reader.next() {
            if taken.is_whole {
                (from, _) = taken.at;
            }
            let is_there = |kind| !reader.course.of(kind).is_empty();
            places.push(Place {
                wall_secs: taken.wall_secs,
                follows: taken.follows,
                is_base: is_there(kind::POLICY) && is_there(kind::STATE),
                at: taken.at,
                from,
            });
        }
        (places, reader.lost)
    }

    /// The cycle at one of this recording's places; none where this version of provost cannot read it. The one after the last that was
    /// read is read at once, for any other some are gone through.
    pub fn at(&mut self, place: &Place) -> Option<Cycle> {
        if !self.reader.is_before(place.at, place.from) {
            self.reader.go(place.from);
            self.seen = None;
        }
        loop {
            let taken = self.reader.next().filter(|taken| taken.at <= place.at)?;
            if taken.at == place.at {
                let cycle = self.read(&taken);
                if cycle.is_err() {
                    self.reader.distrust();
                }
                return cycle.ok().map(|cycle| Cycle { follows: place.follows, ..cycle });
            }
            // It was not read, so it is no look that the next one says something about.
            self.seen = None;
        }
    }

    /// What the last cycle with news came to, up to the one that was read last; none where there is none, or this version of provost
    /// cannot read it.
    #[must_use]
    pub fn told(&self) -> Option<Told> {
        let is_there = !self.reader.course.of(kind::DECISION).is_empty();
        if is_there { self.news().ok() } else { None }
    }

    fn read(&mut self, taken: &Taken) -> Result<Cycle, UnpackError> {
        let course = &self.reader.course;
        let moment: Moment<'static> = course.one(kind::MOMENT)?;
        let before = self.seen.take().filter(|_| !taken.is_whole);
        let is_anew = before.is_none();
        let mut seen = match before {
            Some(seen) => seen,
            None => Snapshot::new(moment.at, course.one::<HostView>(kind::HOST)?),
        };
        let is_named = |kind| is_anew || taken.named.contains(&kind);
        if is_named(kind::HOST) {
            seen.host = course.one(kind::HOST)?;
        }
        if is_named(kind::GROUP) {
            self.paths = groups(course, &mut seen)?;
        }
        if is_named(kind::BOUND) {
            (seen.homes, seen.strays, seen.refused) = course.one(kind::BOUND)?;
        }
        if is_named(kind::PENDING) {
            (seen.pending, seen.reloaded_at) = course.one(kind::PENDING)?;
        }
        seen.outcomes = course.all(kind::OUTCOME)?;
        self.usage(&mut seen)?;
        seen.realtime = course.one(kind::REALTIME)?;
        seen.at = moment.at;
        seen.generation = moment.generation;
        seen.load = moment.load;
        seen.filesystems = moment.filesystems.into_owned();
        seen.alarms = moment.alarms.into_owned();
        seen.waiting = moment.waiting.into_owned();
        self.seen = Some(seen.clone());
        Ok(Cycle {
            wall_secs: taken.wall_secs,
            follows: taken.follows,
            is_replanned: moment.is_replanned,
            base: self.base(),
            lent: self.lent(is_named(kind::LENT)),
            news: if moment.has_news { Some(self.news()?) } else { None },
            seen,
        })
    }

    fn usage(&self, seen: &mut Snapshot) -> Result<(), UnpackError> {
        let usages = self.reader.course.of(kind::USAGE);
        for (path, usage) in self.paths.iter().zip(usages) {
            if let Some(view) = seen.groups.get_mut(path) {
                view.usage = usage.value()?;
            }
        }
        Ok(())
    }

    fn base(&self) -> Option<Base> {
        let only = |kind| self.reader.course.of(kind).first().cloned();
        Some(Base { policy: only(kind::POLICY)?, state: only(kind::STATE)? })
    }

    fn lent(&self, is_named: bool) -> Option<Lent> {
        let section = self.reader.course.of(kind::LENT).first().filter(|_| is_named);
        section.cloned().map(Lent)
    }

    fn news(&self) -> Result<Told, UnpackError> {
        let course = &self.reader.course;
        let decided: Decided<'static> = course.one(kind::DECISION)?;
        let targets: Vec<Target> = course.all(kind::TARGET)?;
        let decision = Decision {
            placements: decided.placements.into_owned(),
            targets,
            held: decided.held.into_owned(),
            entitlement: decided.entitlement.into_owned(),
            reliefs: decided.reliefs.into_owned(),
            jobs: decided.jobs.into_owned(),
            ladder: decided.ladder.into_owned(),
            sharing: decided.sharing.into_owned(),
            unparted: decided.unparted.into_owned(),
            threads: decided.threads.into_owned(),
            realtime: decided.realtime.into_owned(),
        };
        Ok(Told { decision, plan: course.one(kind::PLAN)?, findings: course.all(kind::FINDING)? })
    }
}

/// The groups as they were, without what they use. Their paths, in the order in which they were told.
fn groups(course: &Course, seen: &mut Snapshot) -> Result<Vec<CgroupPath>, UnpackError> {
    let groups: Vec<Group<'static>> = course.all(kind::GROUP)?;
    let mut paths = Vec::with_capacity(groups.len());
    seen.groups.clear();
    for group in groups {
        let path = group.path.into_owned();
        let view = GroupView {
            id: group.id,
            via: group.via.into_owned(),
            controllers: group.controllers.into_owned(),
            populated: group.populated,
            knobs: group.knobs.into_owned(),
            usage: Usage::default(),
            unmanaged_weight: group.unmanaged_weight,
            holds_protected: group.holds_protected,
        };
        paths.push(path.clone());
        seen.groups.insert(path, view);
    }
    Ok(paths)
}

impl Iterator for Recording {
    type Item = Cycle;

    fn next(&mut self) -> Option<Cycle> {
        loop {
            let taken = self.reader.next()?;
            match self.read(&taken) {
                Ok(cycle) => return Some(cycle),
                Err(_) => self.reader.distrust(),
            }
        }
    }
}
