//! What each disk can do, learned from the moments in which somebody waits for it.
//!
//! **Problem.** A limit on a disk is in bytes and operations per second, and nobody knows of how many: it depends on the disk, and a
//! hundredfold on the pattern. To measure it is to disturb everybody.
//!
//! **Approach.** While tasks wait for disks, what goes over a disk is what it can do in the mix that there is. Such moments come by
//! themselves.
//!
//! **Terms.** *window*: ten seconds of looks. *busy*: some task of the host waited for a disk for a fifth of it.
//!
//! **Algorithm.** The mean rates of busy windows, the last [`WINDOWS`] of them for each disk; the answer is the one that nine tenths of
//! them stay below, for each rate by itself. A window in which any group had a limit on the disk says what the limit was, and is dropped.
//!
//! **Properties**, each a test below: nothing is learned from a quiet disk or from a limited one; one window of noise moves nothing for long.

use super::signals::grown;
use super::smooth::Interval;
use crate::model::{DiskRate, IoMax, IoRate, Knob, KnobKind, Reading, Snapshot};
use crate::units::{Bytes, DeviceId, Ppm, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const WINDOW: Span = Span::secs(10);
const WINDOWS: usize = 32;
const BUSY: Ppm = Ppm::percent(20);

/// What is known of each disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Disks {
    waited: Option<u64>,
    disks: BTreeMap<DeviceId, Learned>,
}

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Learned {
    busy: [IoRate; WINDOWS],
    count: usize,
    next: usize,
    open: Window,
}

/// The window that is not full yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    length: Span,
    waited: u64,
    moved: IoRate,
}

impl Disks {
    /// Takes in one look, in which this went over each disk.
    pub(super) fn update(&mut self, seen: &Snapshot, rates: &[DiskRate], interval: Interval) {
        let fresh = seen.load.io_psi.map(|psi| psi.some.total_usec);
        let last = std::mem::replace(&mut self.waited, fresh);
        let waited = grown(last, fresh).filter(|_| interval.span <= WINDOW);
        let present = || seen.host.disks.iter().map(|disk| disk.device);
        self.disks.retain(|device, _| present().any(|one| one == *device));
        for device in present() {
            self.disks.entry(device).or_default();
        }
        for DiskRate { device, rate } in rates {
            let Some(disk) = self.disks.get_mut(device) else { continue };
            match waited.filter(|_| !is_limited(seen, *device)) {
                Some(waited) => disk.add(*rate, waited, interval),
                None => disk.open = Window::default(),
            }
        }
    }

    /// What the disk could do when it was asked to; none before that was ever seen.
    pub(super) fn able(&self, device: DeviceId) -> Option<IoRate> {
        self.disks.get(&device).filter(|disk| disk.count > 0).map(Learned::able)
    }

    /// All that is known.
    pub(super) fn all(&self) -> Vec<DiskRate> {
        let able =
            |device: &DeviceId| self.able(*device).map(|rate| DiskRate { device: *device, rate });
        self.disks.keys().filter_map(able).collect()
    }
}

impl Default for Learned {
    fn default() -> Self {
        let busy = [IoRate::default(); WINDOWS];
        Self { busy, count: 0, next: 0, open: Window::default() }
    }
}

impl Learned {
    fn add(&mut self, rate: IoRate, waited: u64, interval: Interval) {
        let open = &mut self.open;
        open.length = Span(open.length.0.saturating_add(interval.span.0));
        open.waited = open.waited.saturating_add(waited);
        open.moved = open.moved.plus(each(rate, |rate| times(rate, interval.span)));
        if open.length < WINDOW {
            return;
        }
        let Window { length, waited, moved } = std::mem::take(open);
        if Ppm::of(waited, length.0).unwrap_or_default() >= BUSY {
            if let Some(slot) = self.busy.get_mut(self.next) {
                *slot = each(moved, |moved| per(moved, length));
            }
            self.next = (self.next + 1) % WINDOWS;
            self.count = (self.count + 1).min(WINDOWS);
        }
    }

    fn able(&self) -> IoRate {
        let most = |of: fn(&IoRate) -> u64| {
            let mut seen = self.busy.map(|rate| of(&rate));
            let seen = seen.get_mut(..self.count).unwrap_or_default();
            seen.sort_unstable();
            seen.get(seen.len().saturating_sub(1) * 9 / 10).copied().unwrap_or_default()
        };
        IoRate {
            read: Bytes(most(|rate| rate.read.0)),
            write: Bytes(most(|rate| rate.write.0)),
            read_iops: most(|rate| rate.read_iops),
            write_iops: most(|rate| rate.write_iops),
        }
    }
}

/// Whether any group that is looked at has a limit on it.
fn is_limited(seen: &Snapshot, device: DeviceId) -> bool {
    seen.groups.values().any(|group| {
        let knob = group.knobs.get(&KnobKind::IoMax(device));
        matches!(knob, Some(Reading::Is(Knob::IoMax(_, max))) if **max != IoMax::UNLIMITED)
    })
}

fn each(rate: IoRate, of: impl Fn(u64) -> u64) -> IoRate {
    IoRate {
        read: Bytes(of(rate.read.0)),
        write: Bytes(of(rate.write.0)),
        read_iops: of(rate.read_iops),
        write_iops: of(rate.write_iops),
    }
}

/// In thousandths, so that few operations per second do not vanish.
fn times(rate: u64, span: Span) -> u64 {
    u64::try_from(u128::from(rate) * u128::from(span.0) / 1000).unwrap_or(u64::MAX)
}

fn per(moved: u64, span: Span) -> u64 {
    let rate = (u128::from(moved) * 1000).checked_div(u128::from(span.0));
    rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Priority;
    use crate::model::{Psi, PsiLine};
    use crate::testing::{DISK, add_home, component, host};

    /// Looks of one second.
    struct Stage {
        seen: Snapshot,
        disks: Disks,
    }

    impl Stage {
        fn new() -> Self {
            Self { seen: host(), disks: Disks::default() }
        }

        fn seconds(&mut self, count: u64, write: u64, wait_percent: u64) {
            for _ in 0..count {
                let mut psi = self.seen.load.io_psi.unwrap_or_default();
                psi.some =
                    PsiLine { total_usec: psi.some.total_usec + wait_percent * 10_000, ..psi.some };
                self.seen.load.io_psi = Some(Psi { ..psi });
                let rate = IoRate { write: Bytes(write), write_iops: 3, ..IoRate::default() };
                let rates = [DiskRate { device: DISK, rate }];
                self.disks.update(&self.seen, &rates, Interval::of(Span::secs(1)));
            }
        }

        fn write(&self) -> Option<u64> {
            self.disks.able(DISK).map(|rate| rate.write.0)
        }
    }

    #[test]
    fn a_disk_for_which_somebody_waits_shows_what_it_can_do() {
        let mut stage = Stage::new();
        stage.seconds(12, 50 << 20, 60);
        assert_eq!(stage.write(), Some(50 << 20));
        assert_eq!(stage.disks.able(DISK).unwrap().write_iops, 3);
    }

    #[test]
    fn a_quiet_disk_shows_nothing() {
        let mut stage = Stage::new();
        stage.seconds(40, 50 << 20, 10);
        assert_eq!(stage.write(), None);
    }

    #[test]
    fn a_limited_disk_shows_nothing() {
        let mut stage = Stage::new();
        let job = component("job", Priority::Low);
        add_home(&mut stage.seen, &job, "system.slice/job.service");
        let limit = IoMax { wbps: crate::units::Limit::At(Bytes(1000)), ..IoMax::UNLIMITED };
        for group in stage.seen.groups.values_mut() {
            group.knobs.insert(KnobKind::IoMax(DISK), Reading::Is(Knob::IoMax(DISK, limit.into())));
        }
        stage.seconds(40, 50 << 20, 60);
        assert_eq!(stage.write(), None);
    }

    #[test]
    fn one_window_of_noise_is_not_believed() {
        let mut stage = Stage::new();
        stage.seconds(200, 50 << 20, 60);
        stage.seconds(10, 500 << 20, 60);
        assert_eq!(stage.write(), Some(50 << 20));
    }
}
