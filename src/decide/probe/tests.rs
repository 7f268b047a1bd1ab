//! What is taken, and what is never taken, look by look.

use super::*;
use crate::config::{Mode, Policy};
use crate::estimate::Estimator;
use crate::model::{MemoryStat, Outcome, Priority, Psi, PsiLine};
use crate::testing::{PAGE, add_home, component, host, policy, set};
use proptest::prelude::*;

const WEB: &str = "system.slice/web.service";

/// Makes something of a stage otherwise.
type Change = fn(&mut Stage);

struct Stage {
    policy: Policy,
    seen: Snapshot,
    estimator: Estimator,
    probes: Probes,
    /// How much of a second it waits for memory, in millionths.
    waits: u64,
    /// Pages of each slice that are read back.
    reads_back: u64,
    /// When each slice was wanted, how much it was, and what was held.
    took: Vec<(Tick, Bytes, Bytes)>,
}

impl Stage {
    /// A group of so many MiB, most of them page cache.
    fn new(pace: Probe, held: u64) -> Self {
        let mut web = component("web", Priority::Normal);
        web.memory.probe = pace;
        let mut seen = host();
        add_home(&mut seen, &web, WEB);
        seen.load.memory_available = Some(Bytes::mebi(1500));
        let mut stage = Self {
            policy: policy([web]),
            seen,
            estimator: Estimator::default(),
            probes: Probes::default(),
            waits: 0,
            reads_back: 0,
            took: Vec::new(),
        };
        let usage = stage.usage();
        usage.memory = Some(Bytes::mebi(held));
        usage.memory_psi = Some(Psi::default());
        usage.memory_stat = Some(MemoryStat {
            anon: Bytes::mebi(20),
            shmem: Some(Bytes::ZERO),
            slab_unreclaimable: Some(Bytes::mebi(1)),
            refaults: Some(0),
            ..MemoryStat::default()
        });
        stage
    }

    fn usage(&mut self) -> &mut crate::model::Usage {
        &mut self.seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage
    }

    fn held(&mut self) -> Bytes {
        self.usage().memory.unwrap()
    }

    fn look(&mut self) {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        let (at, waits) = (self.seen.at, self.waits);
        let usage = self.usage();
        usage.sensed_at = Some(at);
        if let Some(psi) = &mut usage.memory_psi {
            let line = PsiLine { total_usec: psi.some.total_usec + waits, avg10_centi: 0 };
            *psi = Psi { some: line, full: line };
        }
        self.estimator.update(&self.policy, &self.seen);
        let sight = Sight { policy: &self.policy, estimator: &self.estimator, seen: &self.seen };
        self.probes.update(&sight);
        let reliefs: Vec<Relief> = self.probes.reliefs().cloned().collect();
        self.seen.outcomes.clear();
        for relief in reliefs {
            let Means::Probe { bytes } = relief.means else { panic!("{relief:?}") };
            let (held, back) = (self.held(), self.reads_back);
            self.took.push((at, bytes, held));
            let usage = self.usage();
            usage.memory = Some(held.minus(bytes));
            let stat = usage.memory_stat.as_mut().unwrap();
            stat.refaults = stat.refaults.map(|pages| pages + back);
            self.seen.outcomes.push(Outcome {
                at,
                component: Some(relief.component.clone()),
                path: relief.at.path.clone(),
                of: OutcomeOf::Relief { means: relief.means },
                verdict: Verdict::Applied,
                took: Span::ZERO,
            });
        }
        self.probes.hear(&self.seen);
    }

    fn seconds(&mut self, count: u64) {
        (0..count).for_each(|_| self.look());
    }

    fn view(&self) -> ProbeView {
        let sight = Sight { policy: &self.policy, estimator: &self.estimator, seen: &self.seen };
        self.probes.view(&sight, &self.policy.components["web"]).unwrap()
    }
}

#[test]
fn a_little_is_taken_every_six_seconds_and_told() {
    for (pace, parts) in [(Probe::Slow, 2000), (Probe::Fast, 200)] {
        let mut stage = Stage::new(pace, 400);
        stage.seconds(20);
        let (first, bytes, held) = stage.took[0];
        assert_eq!(bytes, Bytes(held.0 / parts).page_floor(PAGE), "{pace:?}");
        let later = stage.took[1].0.since(first);
        assert!(stage.took.len() >= 3 && later >= EVERY, "{:?}", stage.took);
        let given = stage.took.iter().fold(Bytes::ZERO, |sum, (_, bytes, _)| sum.plus(*bytes));
        assert_eq!(stage.view().given, given);
        assert_eq!(stage.view().working_set, None);
    }
    let mut off = Stage::new(Probe::Off, 400);
    off.seconds(20);
    assert_eq!((off.took.len(), &off.probes), (0, &Probes::default()));
}

#[test]
fn the_working_set_is_what_is_held_after_ten_quiet_minutes() {
    let mut stage = Stage::new(Probe::Fast, 400);
    stage.seconds(590);
    assert_eq!(stage.view().working_set, None);
    stage.seconds(30);
    let known = stage.view().working_set.unwrap();
    assert!(known < Bytes::mebi(300) && known >= stage.held(), "{known}");
    stage.waits = 700;
    stage.seconds(300);
    assert_eq!(stage.view().working_set.map(|set| set <= known), Some(true));
    let before = stage.view().working_set;
    stage.seconds(300);
    assert_eq!(stage.view().working_set, before, "who waits says nothing new");
}

#[test]
fn what_is_read_back_ends_it_for_a_minute() {
    let mut stage = Stage::new(Probe::Slow, 400);
    stage.reads_back = 1000;
    stage.seconds(120);
    assert!((1..=2).contains(&stage.took.len()), "{:?}", stage.took);
    assert!(stage.view().read_back >= Bytes(1000 * PAGE.0));
    assert_eq!(stage.view().working_set, None);
}

#[test]
fn nothing_is_taken_where_that_would_hurt_or_is_not_known() {
    let cases: [(&str, Change); 11] = [
        ("no memory.reclaim", |stage| stage.seen.host.reclaim = false),
        ("rotating swap", |stage| stage.seen.host.swap_rotates = true),
        ("little swap", |stage| {
            stage.seen.host.swap = Bytes::mebi(1000);
            stage.seen.load.swap_free = Some(Bytes::mebi(199));
        }),
        ("short memory", |stage| stage.seen.load.memory_available = Some(Bytes::mebi(20))),
        ("it waits", |stage| stage.waits = 2000),
        ("unknown waiting", |stage| stage.usage().memory_psi = None),
        ("unknown amount", |stage| stage.usage().memory = None),
        ("unknown parts", |stage| stage.usage().memory_stat = None),
        ("small", |stage| stage.usage().memory = Some(Bytes::mebi(120))),
        ("protected", |stage| {
            set(&mut stage.seen, WEB, Knob::MemoryMin(Limit::At(Bytes::mebi(300))));
        }),
        ("observing", |stage| stage.policy.mode = Mode::Observe),
    ];
    for (name, change) in cases {
        let mut stage = Stage::new(Probe::Fast, 400);
        change(&mut stage);
        // Levels and means over a minute need a while.
        stage.seconds(60);
        stage.took.clear();
        stage.seconds(60);
        assert_eq!(stage.took, [], "{name}");
        assert_eq!(stage.view().holds.is_some(), name != "observing", "{name}");
    }
}

#[test]
fn whoever_is_not_probed_any_more_is_forgotten_with_what_was_wanted() {
    let forget: [Change; 3] = [
        |stage| stage.policy.components.get_mut("web").unwrap().memory.probe = Probe::Off,
        |stage| stage.policy.components.clear(),
        |stage| stage.seen.homes.clear(),
    ];
    for change in forget {
        let mut stage = Stage::new(Probe::Fast, 400);
        stage.seconds(20);
        // Another slice, for which nobody answers.
        stage.seen.at = stage.seen.at.plus(EVERY);
        let sight = Sight { policy: &stage.policy, estimator: &stage.estimator, seen: &stage.seen };
        stage.probes.update(&sight);
        assert_eq!(stage.probes.reliefs().count(), 1);
        change(&mut stage);
        let sight = Sight { policy: &stage.policy, estimator: &stage.estimator, seen: &stage.seen };
        assert!(stage.probes.update(&sight), "what was wanted is not any more");
        assert_eq!(stage.probes.reliefs().count(), 0);
    }
}

#[test]
fn swap_that_fills_too_fast_stops_it() {
    let mut stage = Stage::new(Probe::Fast, 400);
    stage.seen.host.swap = Bytes::mebi(4096);
    for second in 0..60 {
        stage.seen.load.swap_free = Some(Bytes::mebi(4000 - second * 2));
        stage.look();
    }
    let before = stage.took.len();
    assert!(before <= 2, "{:?}", stage.took);
    stage.seconds(30);
    assert!(stage.took.len() > before, "it does not fill any more");
}

proptest! {
    /// Whatever is held and however it waits: never below the floor, never while it waits much, never more than the pace in a minute.
    #[test]
    fn slices_are_small_and_leave_enough(
        fast in any::<bool>(),
        held in 60..2000_u64,
        anon in 0..400_u64,
        min in 0..300_u64,
        weather in prop::collection::vec((0..3000_u64, 0..50_u64), 1..20),
    ) {
        let mut stage = Stage::new(if fast { Probe::Fast } else { Probe::Slow }, held);
        stage.usage().memory_stat.as_mut().unwrap().anon = Bytes::mebi(anon);
        set(&mut stage.seen, WEB, Knob::MemoryMin(Limit::At(Bytes::mebi(min))));
        for (waits, pages) in weather {
            (stage.waits, stage.reads_back) = (waits, pages);
            stage.seconds(10);
        }
        let floor = Bytes::mebi(anon + 1 + min + 100);
        let most = if fast { 60 } else { 6 }; // thousandths in a minute
        for (number, (at, bytes, held)) in stage.took.iter().enumerate() {
            prop_assert!(held.minus(*bytes) >= floor, "{} of {}", bytes, held);
            let minute = stage.took.iter().skip(number).take_while(|(later, ..)| later.since(*at) < REST);
            let sum = minute.fold(Bytes::ZERO, |sum, (_, bytes, _)| sum.plus(*bytes));
            prop_assert!(sum <= held.scaled(most, 1000), "{} of {} in a minute", sum, held);
        }
    }
}
