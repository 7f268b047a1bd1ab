//! One open cgroup: its files read through the held folder, so that a group that was removed and made again is never taken for the
//! one that was opened.
//!
//! A missing file answers ENOENT. A removed group answers ENODEV through files opened before, and ENOENT, as if it merely had none,
//! through the folder. Both are data ([`Reading`]), not errors.

use super::error::{ErrnoClass, ReadError};
use super::parse;
use crate::model::{Controller, Knob, KnobKind, ReadFault, Reading};
use crate::units::{CgroupId, CgroupPath, CgroupRef, CpuSet, DeviceId, Weight};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::read;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// `cgroup.procs` of a large group is longer than a page; nothing sane is longer than this.
const LONGEST_FILE: usize = 1 << 20;

/// Where a group without a weight is told from one with the least; part of [`KnobKind::CpuWeight`].
pub const IDLE_FILE: &str = "cpu.idle";

/// An open cgroup.
#[derive(Debug)]
pub struct Group {
    at: CgroupRef,
    folder: OwnedFd,
}

impl Group {
    pub(super) const fn new(path: CgroupPath, id: CgroupId, folder: OwnedFd) -> Self {
        Self { at: CgroupRef { path, id }, folder }
    }

    /// Its place and identity.
    #[must_use]
    pub const fn at(&self) -> &CgroupRef {
        &self.at
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> CgroupId {
        self.at.id
    }

    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// A file's content.
    ///
    /// # Errors
    /// [`ReadError`] as the kernel answered: ENOENT for a file that is not there or a group that was removed.
    pub fn read(&self, file: &str) -> Result<Vec<u8>, ReadError> {
        let failed = |op| move |errno| ReadError::refused(op, self.name_of(file), errno);
        let opened = self.open(file).map_err(failed("open"))?;
        let mut content = Vec::new();
        let mut chunk = [0u8; 4096];
        // Whatever lists processes is handed out in pieces; all else comes whole, so that a short piece is the last.
        let in_pieces = matches!(file, "cgroup.procs" | "cgroup.threads");
        loop {
            match read(&opened, &mut chunk) {
                Ok(0) => return Ok(content),
                Ok(length) if content.len() < LONGEST_FILE => {
                    content.extend_from_slice(chunk.get(..length).unwrap_or_default());
                    if length < chunk.len() && !in_pieces {
                        return Ok(content);
                    }
                }
                Ok(_) => return Ok(content),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("read")(errno)),
            }
        }
    }

    /// Whether the group was removed. Its files then answer ENOENT, just as files that were never there; but a removed folder lists
    /// nothing, not even itself.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        // Every group has this file, and to open it is cheaper than to list sixty.
        if self.open("cgroup.procs").is_ok() {
            return false;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat(&self.folder, ".", flags, Mode::empty()).and_then(Dir::from_fd) {
            Ok(mut listed) => listed.iter().next().is_none(),
            Err(errno) => ErrnoClass::of(errno) == ErrnoClass::Gone,
        }
    }

    pub(super) fn open(&self, file: &str) -> Result<OwnedFd, Errno> {
        openat(&self.folder, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// A file's name for messages.
    pub(super) fn name_of(&self, file: &str) -> String {
        self.at.path.child(file).as_str().to_owned()
    }

    /// One knob's value.
    #[must_use]
    pub fn knob(&self, kind: KnobKind) -> Reading<Knob> {
        let reading = self.knob_or_absent(kind);
        if reading == Reading::Absent && self.is_removed() { Reading::Gone } else { reading }
    }

    /// One knob's value; of a removed group all are absent.
    fn knob_or_absent(&self, kind: KnobKind) -> Reading<Knob> {
        let knob = |text: &[u8]| Knob::parse(kind, &String::from_utf8_lossy(text)).ok();
        let reading = self.reading(kind.file(), knob);
        if reading == Reading::Is(Knob::CpuWeight(Weight::MIN)) && self.is_idle() {
            return Reading::Is(Knob::CpuWeight(Weight::IDLE));
        }
        reading
    }

    /// Whether it runs only when no sibling wants the CPU: `cpu.idle`, since Linux 5.15.
    pub(super) fn is_idle(&self) -> bool {
        self.read(IDLE_FILE).is_ok_and(|text| parse::number(&text) == Some(1))
    }

    /// The values of all knobs that have one value, and of `io.max` for every limited device and those in `devices`. Files of
    /// controllers that the group lacks by `controllers` are absent and not looked for.
    #[must_use]
    pub fn knobs(
        &self,
        controllers: &Reading<BTreeSet<Controller>>,
        devices: &[DeviceId],
    ) -> BTreeMap<KnobKind, Reading<Knob>> {
        let mut knobs = self.knobs_or_absent(controllers, devices);
        let absent = |reading: &Reading<Knob>| *reading == Reading::Absent;
        if knobs.values().any(absent) && self.is_removed() {
            knobs.values_mut().filter(|one| absent(one)).for_each(|one| *one = Reading::Gone);
        }
        knobs
    }

    fn knobs_or_absent(
        &self,
        controllers: &Reading<BTreeSet<Controller>>,
        devices: &[DeviceId],
    ) -> BTreeMap<KnobKind, Reading<Knob>> {
        let lacks = |controller| controllers.value().is_some_and(|has| !has.contains(&controller));
        let reading = |kind: KnobKind| {
            if kind.controller().is_some_and(lacks) {
                Reading::Absent
            } else {
                self.knob_or_absent(kind)
            }
        };
        let mut knobs: BTreeMap<KnobKind, Reading<Knob>> =
            KnobKind::SINGLE.into_iter().map(|kind| (kind, reading(kind))).collect();
        if lacks(Controller::Io) {
            knobs.extend(devices.iter().map(|device| (KnobKind::IoMax(*device), Reading::Absent)));
            return knobs;
        }
        let text = match self.read("io.max") {
            Ok(text) => text,
            Err(error) => {
                let reading = failed_reading(&error);
                let absent =
                    devices.iter().map(|device| (KnobKind::IoMax(*device), reading.clone()));
                knobs.extend(absent);
                return knobs;
            }
        };
        let limited: BTreeSet<DeviceId> =
            parse::io_devices(&text).chain(devices.iter().copied()).collect();
        let text = String::from_utf8_lossy(&text);
        for device in limited {
            let kind = KnobKind::IoMax(device);
            if let Ok(knob) = Knob::parse(kind, &text) {
                knobs.insert(kind, Reading::Is(knob));
            }
        }
        knobs
    }

    /// What the parent granted.
    #[must_use]
    pub fn controllers(&self) -> Reading<BTreeSet<Controller>> {
        self.reading("cgroup.controllers", |text| Some(parse::controllers(text)))
    }

    /// What its children get.
    #[must_use]
    pub fn subtree_control(&self) -> Reading<BTreeSet<Controller>> {
        self.reading("cgroup.subtree_control", |text| Some(parse::controllers(text)))
    }

    /// Whether a process lives in it or below; the root, which has no `cgroup.events`, always is.
    #[must_use]
    pub fn is_populated(&self) -> bool {
        if self.at.path.is_root() {
            return true;
        }
        self.read("cgroup.events")
            .is_ok_and(|text| parse::flat_keyed(&text, "populated") == Some(1))
    }

    /// The processes that live in it, not below.
    ///
    /// # Errors
    /// [`ReadError`] as the kernel answered; EOPNOTSUPP for a threaded group.
    pub fn procs(&self) -> Result<Vec<i32>, ReadError> {
        Ok(parse::pids(&self.read("cgroup.procs")?).collect())
    }

    /// The threads that live in it, not below.
    ///
    /// # Errors
    /// [`ReadError`] as the kernel answered.
    pub fn threads(&self) -> Result<Vec<i32>, ReadError> {
        Ok(parse::pids(&self.read("cgroup.threads")?).collect())
    }

    /// `cpuset.cpus.effective`, since Linux 5.0: where its tasks may really run; none without the controller.
    #[must_use]
    pub fn effective_cpus(&self) -> Option<CpuSet> {
        let text = self.read("cpuset.cpus.effective").ok()?;
        String::from_utf8_lossy(&text).parse().ok()
    }

    /// `cpu.weight`, for groups that are only counted.
    #[must_use]
    pub fn weight(&self) -> Option<u64> {
        parse::number(&self.read("cpu.weight").ok()?)
    }

    fn reading<T>(&self, file: &str, parsed: impl FnOnce(&[u8]) -> Option<T>) -> Reading<T> {
        match self.read(file) {
            Ok(text) => parsed(&text).map_or_else(
                || {
                    let what = format!(
                        "cannot understand \"{}\"",
                        String::from_utf8_lossy(&text).trim_end()
                    );
                    Reading::Failed(ReadFault { file: self.name_of(file), errno: 0, what }.into())
                },
                Reading::Is,
            ),
            Err(error) => failed_reading(&error),
        }
    }
}

fn failed_reading<T>(error: &ReadError) -> Reading<T> {
    match error.errno() {
        Some(Errno::ENOENT | Errno::EOPNOTSUPP) => Reading::Absent,
        Some(Errno::ENODEV) => Reading::Gone,
        Some(_) | None => Reading::Failed(error.fault().into()),
    }
}
