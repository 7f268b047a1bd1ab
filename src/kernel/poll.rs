//! What the control loop waits on: a timer, a waker, signals, cgroup changes.

use crate::units::{CgroupPath, Span};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

/// An epoll instance whose events carry the caller's token.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// A new, empty poller.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Waits for `source` to be readable too.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn add(&self, source: impl AsFd, token: u64) -> Result<(), Errno> {
        self.epoll.add(source, EpollEvent::new(EpollFlags::EPOLLIN, token))
    }

    /// Waits for `source` to raise an alarm, as pressure triggers do. It is forgotten when it is closed.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn add_alarm(&self, source: impl AsFd, token: u64) -> Result<(), Errno> {
        self.epoll.add(source, EpollEvent::new(EpollFlags::EPOLLPRI, token))
    }

    /// Waits until something is readable and calls `on` with the token of each.
    ///
    /// # Errors
    /// The kernel's answer; an interruption by a signal is none.
    pub fn wait(&self, mut on: impl FnMut(u64)) -> Result<(), Errno> {
        let mut events = [EpollEvent::empty(); 16];
        match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => {
                events.iter().take(count).for_each(|event| on(event.data()));
                Ok(())
            }
            Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// A periodic timer on the boot clock.
#[derive(Debug)]
pub struct Timer {
    timer: TimerFd,
}

impl Timer {
    /// Does not fire until its interval is set.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn stopped() -> Result<Self, Errno> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self { timer: TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)? })
    }

    /// Fires every `interval`, first after one.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn every(interval: Span) -> Result<Self, Errno> {
        let timer = Self::stopped()?;
        timer.set(interval)?;
        Ok(timer)
    }

    /// Changes the interval.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn set(&self, interval: Span) -> Result<(), Errno> {
        let expiration = Expiration::Interval(interval.duration().into());
        self.timer.set(expiration, TimerSetTimeFlags::empty())
    }

    /// Does not fire any more until its interval is set.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn stop(&self) -> Result<(), Errno> {
        self.timer.unset()
    }

    /// Takes note of the expirations so far.
    pub fn clear(&self) {
        // Nothing to read means that it has not fired.
        let _fired = self.timer.wait();
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

/// Wakes a poller from another thread.
#[derive(Debug, Clone)]
pub struct Waker {
    event: Arc<EventFd>,
}

impl Waker {
    /// A new waker.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new() -> Result<Self, Errno> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self { event: Arc::new(EventFd::from_value_and_flags(0, flags)?) })
    }

    /// Wakes whoever polls.
    pub fn wake(&self) {
        // A full counter means that it is awake already.
        let _awake = self.event.write(1);
    }

    /// Takes note of the wakes so far.
    pub fn clear(&self) {
        let _count = self.event.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Watches cgroups: groups that come and go below a folder, and attribute files that somebody writes.
///
/// kernfs reports a write by anybody else as `IN_MODIFY`, with no name of the writer.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    watched: BTreeMap<WatchDescriptor, CgroupPath>,
    by_path: BTreeMap<CgroupPath, WatchDescriptor>,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new() -> Result<Self, Errno> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Self { inotify, watched: BTreeMap::new(), by_path: BTreeMap::new() })
    }

    /// Watches the group at `path` below `mount`: its files and the groups in it. A group that is gone is not watched.
    pub fn add(&mut self, mount: &Path, path: &CgroupPath) {
        if self.by_path.contains_key(path) {
            return;
        }
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        if let Ok(descriptor) = self.inotify.add_watch(&mount.join(path.as_str()), flags) {
            self.watched.insert(descriptor, path.clone());
            self.by_path.insert(path.clone(), descriptor);
        }
    }

    /// Whether it watches just these groups.
    #[must_use]
    pub fn is_of(&self, groups: &BTreeSet<CgroupPath>) -> bool {
        self.by_path.keys().eq(groups)
    }

    /// Watches no other groups than those in `keep`.
    pub fn retain(&mut self, keep: impl Fn(&CgroupPath) -> bool) {
        let inotify = &self.inotify;
        self.watched.retain(|descriptor, path| {
            let stays = keep(path);
            if !stays {
                // A group that was removed took its watch with it.
                let _gone = inotify.rm_watch(*descriptor);
            }
            stays
        });
        self.by_path.retain(|path, _| keep(path));
    }

    /// The groups something happened to since the last call, with the file's or child's name.
    pub fn read(&mut self) -> Vec<(CgroupPath, String)> {
        let mut happened = Vec::new();
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                let Some(path) = self.watched.get(&event.wd).cloned() else {
                    continue;
                };
                if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                    self.watched.remove(&event.wd);
                    self.by_path.remove(&path);
                }
                let name = event.name.unwrap_or_default().to_string_lossy().into_owned();
                happened.push((path, name));
            }
        }
        happened
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
