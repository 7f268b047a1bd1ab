//! A disk over time: a model of one on which everybody moves what it may, look by look.

use super::*;
use crate::model::{IoCount, Priority, Psi, PsiLine};
use crate::testing::{DISK, add_home, component, host, policy};

const PRESSED: Press = Press { pressed: true, badly: false, headroom_percent: 30 };
const BADLY: Press = Press { pressed: true, badly: true, headroom_percent: 30 };
const QUIET: Press = Press { pressed: false, badly: false, headroom_percent: 30 };
const MIB: u64 = 1 << 20;

/// A database that reads and two jobs that write.
struct Stage {
    policy: Policy,
    seen: Snapshot,
    estimator: Estimator,
    disks: Disks,
}

fn path(name: &str) -> CgroupPath {
    CgroupPath::new(&format!("system.slice/{name}.service"))
}

impl Stage {
    fn new() -> Self {
        let db = component("db", Priority::Critical);
        let jobs = [component("a", Priority::Low), component("b", Priority::Low)];
        let mut seen = host();
        for each in jobs.iter().chain([&db]) {
            add_home(&mut seen, each, path(each.name.as_str()).as_str());
        }
        let [a, b] = jobs;
        let policy = policy([db, a, b]);
        Self { policy, seen, estimator: Estimator::default(), disks: Disks::default() }
    }

    /// A second in which these write so many MiB and the database waits for a part of it. Whether a part changed.
    fn second(&mut self, press: Press, written: &[(&str, u64)], wait_percent: u64) -> bool {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        let sum = written.iter().map(|(_, mib)| mib).sum();
        let all: Vec<(CgroupPath, u64)> = written
            .iter()
            .map(|(name, mib)| (path(name), *mib))
            .chain([(CgroupPath::root(), sum), (path("db"), 0)])
            .collect();
        for (path, mib) in all {
            let usage = &mut self.seen.groups.get_mut(&path).unwrap().usage;
            usage.sensed_at = Some(self.seen.at);
            let fresh = IoCount { device: DISK, rbytes: 0, wbytes: 0, rios: 0, wios: 0 };
            let io = usage.io.get_or_insert_with(|| vec![fresh]);
            io[0].wbytes += mib * MIB;
            io[0].wios += mib;
        }
        let usage = &mut self.seen.groups.get_mut(&path("db")).unwrap().usage;
        let total = usage.io_psi.unwrap_or_default().full.total_usec + wait_percent * 10_000;
        let line = PsiLine { total_usec: total, avg10_centi: 0 };
        usage.io_psi = Some(Psi { some: line, full: line });
        self.estimator.update(&self.policy, &self.seen);
        self.disks.update(&self.policy, &self.estimator, &self.seen, press)
    }

    /// What a job may write, in MiB.
    fn part(&self, name: &str) -> Option<u64> {
        let max = self.disks.part(&path(name), DISK)?;
        Some(max.wbps.value().unwrap().0 / MIB)
    }

    /// A second in which both jobs write what they may of what the disk can do.
    fn greedy(&mut self, press: Press, wait_percent: u64) -> bool {
        let part = |name| self.part(name).map_or(50, |part| part.min(50));
        let (a, b) = (part("a"), part("b"));
        self.second(press, &[("a", a), ("b", b)], wait_percent)
    }
}

#[test]
fn nobody_is_limited_while_nobody_waits() {
    let mut stage = Stage::new();
    for _ in 0..20 {
        assert!(!stage.greedy(QUIET, 0));
    }
    assert_eq!(stage.part("a"), None);
}

#[test]
fn who_yields_leaves_the_headroom_free() {
    let mut stage = Stage::new();
    for _ in 0..5 {
        stage.greedy(QUIET, 90);
    }
    assert!(stage.greedy(PRESSED, 90));
    // 100 MiB less 30 %, in equal parts.
    assert_eq!((stage.part("a"), stage.part("b")), (Some(35), Some(35)));
    let max = stage.disks.part(&path("a"), DISK).unwrap();
    assert_eq!((max.rbps, max.riops), (Limit::Max, Limit::Max), "nobody reads");
    assert!(max.wiops.value().unwrap() >= 35, "{max}");
}

#[test]
fn limits_that_do_not_help_fall_on_and_are_given_up_in_the_end() {
    let mut stage = Stage::new();
    // The wait is an average: it rises at first, whatever is done.
    for _ in 0..35 {
        stage.greedy(QUIET, 90);
    }
    let mut least = u64::MAX;
    for _ in 0..20 {
        stage.greedy(PRESSED, 90);
        least = least.min(stage.part("a").unwrap_or(u64::MAX));
    }
    assert_eq!(least, 22, "35, and four fifths of it twice");
    assert_eq!(stage.part("a"), None, "they help nobody");
    stage.greedy(PRESSED, 90);
    assert_eq!(stage.part("a"), None, "and are not tried again at once");
}

#[test]
fn limits_that_help_stay_and_come_back_slowly() {
    let mut stage = Stage::new();
    for _ in 0..5 {
        stage.greedy(QUIET, 90);
    }
    for _ in 0..60 {
        stage.greedy(PRESSED, 0);
    }
    assert_eq!(stage.part("a"), Some(35));
    let mut seconds = 0;
    while stage.part("a").is_some() {
        stage.greedy(QUIET, 0);
        seconds += 1;
        assert!(seconds < 20);
    }
    assert!(seconds >= 3, "{seconds}");
}

#[test]
fn a_steady_load_comes_to_rest() {
    let mut stage = Stage::new();
    for _ in 0..5 {
        stage.greedy(QUIET, 90);
    }
    let changes = (0..60).filter(|_| stage.greedy(PRESSED, 0)).count();
    assert!(changes <= 3, "{changes}");
}

#[test]
fn where_weights_count_limits_come_only_when_they_are_not_enough() {
    for weights in [IoWeightBackend::Bfq, IoWeightBackend::IoCost] {
        let mut stage = Stage::new();
        stage.seen.host.disks[0].weights = weights;
        for _ in 0..20 {
            stage.greedy(PRESSED, 90);
        }
        assert_eq!(stage.part("a"), None, "{weights:?} protects");
        stage.greedy(BADLY, 90);
        assert!(stage.part("a").is_some(), "{weights:?} was not enough");
        let mut seconds = 0;
        while stage.part("a").is_some() {
            stage.greedy(PRESSED, 0);
            seconds += 1;
            assert!(seconds < 20, "it is enough again");
        }
    }
}

#[test]
fn a_disk_that_nobody_protected_uses_is_left_alone() {
    let mut stage = Stage::new();
    stage.policy.components.retain(|_, one| !one.priority.is_protected());
    for _ in 0..10 {
        stage.greedy(PRESSED, 90);
    }
    assert_eq!(stage.part("a"), None);
}
