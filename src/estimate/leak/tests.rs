//! What is a finding and what is none, on made-up components.

mod rates;

use super::*;
use proptest::prelude::*;

const GIB: u64 = 1 << 30;
const LOOK: Span = Span::secs(30);

/// One component that is looked at every half minute.
struct World {
    leaks: Leaks,
    name: ComponentName,
    home: u64,
    at: Tick,
    limit: LeakLimit,
}

impl World {
    fn new() -> Self {
        let limit = LeakLimit::Own(Bytes(2 * GIB));
        let name = "batch".parse().unwrap();
        Self { leaks: Leaks::default(), name, home: 7, at: Tick(1_000_000), limit }
    }

    fn look(&mut self, memory: Option<u64>) -> bool {
        self.at = self.at.plus(LOOK);
        let (at, limit) = (self.at, self.limit);
        let held =
            memory.map(|memory| Held { at, memory: Bytes(memory), load: Millicpu(500), limit });
        self.take_in(self.home, at, held)
    }

    fn take_in(&mut self, home: u64, at: Tick, held: Option<Held>) -> bool {
        let registered = BTreeMap::from([(self.name.clone(), ())]);
        self.leaks.watches(&registered).next().unwrap().update([CgroupId(home)].iter(), at, held)
    }

    /// Leaks `per_hour` from half a GiB on for so long. When something was first said.
    fn leak(&mut self, hours: u64, per_hour: u64) -> Option<u64> {
        let mut first = None;
        for look in 0..hours * 120 {
            self.look(Some(GIB / 2 + per_hour * look / 120));
            if first.is_none() && self.found().is_some_and(|leak| leak.tier > LeakTier::Growth) {
                first = Some(look / 2);
            }
        }
        first
    }

    fn found(&self) -> Option<Leak> {
        self.leaks.of(&self.name)
    }

    fn tier(&self) -> Option<LeakTier> {
        self.found().map(|leak| leak.tier)
    }
}

#[test]
fn a_leak_is_told_with_its_slope_and_the_time_to_the_limit() {
    let mut world = World::new();
    let minutes = world.leak(9, GIB / 8).unwrap();
    assert!((7 * 60..=8 * 60).contains(&minutes), "{minutes}");
    let leak = world.found().unwrap();
    assert_eq!(leak.tier, LeakTier::Suspected);
    assert!(leak.per_hour.0.abs_diff(GIB / 8) < GIB / 800, "{leak:?}");
    let left = Span((2 * GIB - leak.held.0) / (GIB / 8) * HOUR.0);
    assert!(leak.until_limit.0.abs_diff(left.0) < HOUR.0, "{leak:?}");
    assert!(world.at.since(leak.at) <= Span::secs(1200) && leak.since < leak.at);
    let evidence = leak.evidence;
    assert!(evidence.slope_t_centi > 400 && evidence.order_z_centi > 309, "{evidence:?}");
    assert!(evidence.curve_t_centi > -200 && evidence.least_per_hour > Ppm::percent(1));
}

#[test]
fn a_steep_leak_is_told_within_an_hour_and_a_half() {
    let mut world = World::new();
    let minutes = world.leak(2, GIB / 2).unwrap();
    assert!((70..=90).contains(&minutes), "{minutes}");
    assert_eq!(world.tier(), Some(LeakTier::Fast));
}

#[test]
fn what_ends_in_a_week_is_growth_and_no_alert() {
    let mut world = World::new();
    world.limit = LeakLimit::Host(Bytes(64 * GIB));
    assert_eq!(world.leak(14, GIB / 50), None);
    assert_eq!(world.tier(), Some(LeakTier::Growth));
}

#[test]
fn what_grows_no_more_is_no_leak_any_more() {
    let mut world = World::new();
    world.leak(9, GIB / 8);
    assert_eq!(world.tier(), Some(LeakTier::Suspected));
    for _ in 0..10 * 120 {
        world.look(Some(GIB));
    }
    assert_eq!(world.found(), None);
}

#[test]
fn a_restart_begins_anew_and_two_at_the_same_slope_confirm() {
    let mut world = World::new();
    for (per_hour, tier) in
        [(8, LeakTier::Suspected), (9, LeakTier::Suspected), (7, LeakTier::Confirmed)]
    {
        world.leak(9, GIB / per_hour);
        assert_eq!(world.tier(), Some(tier));
        world.home += 1;
        world.look(Some(GIB / 2));
        assert_eq!(world.found(), None, "another run");
    }
}

#[test]
fn another_slope_or_a_run_without_a_leak_between_confirms_nothing() {
    let mut world = World::new();
    for per_hour in [8, 8] {
        world.leak(9, GIB / per_hour);
        world.home += 1;
    }
    for _ in 0..9 * 120 {
        world.look(Some(GIB));
    }
    world.home += 1;
    world.leak(9, GIB / 8);
    assert_eq!(world.tier(), Some(LeakTier::Suspected), "the run before was a calm one");
    world.home += 1;
    world.leak(9, GIB / 8);
    world.home += 1;
    world.leak(9, GIB / 20);
    assert_ne!(world.tier(), Some(LeakTier::Confirmed), "another slope");
}

#[test]
fn what_is_kept_goes_on_as_if_nothing_had_happened() {
    let (mut world, mut other) = (World::new(), World::new());
    for hours in [3, 5, 1] {
        world.leak(hours, GIB / 8);
        other.leak(hours, GIB / 8);
        let kept = other.leaks.kept();
        other.leaks = Leaks::default();
        other.leaks.remember(&kept);
        assert_eq!(other.found(), world.found());
        assert_eq!(other.leaks.kept(), kept);
    }
}

#[test]
fn hours_without_a_look_begin_anew() {
    let mut world = World::new();
    world.leak(9, GIB / 8);
    assert_eq!(world.tier(), Some(LeakTier::Suspected));
    world.at = world.at.plus(Span::secs(3600));
    world.look(Some(GIB));
    assert_eq!(world.found(), None);
    world.at = Tick(5_000_000);
    world.look(Some(GIB));
    assert_eq!(world.found(), None, "and so does a clock that goes back");
}

#[test]
fn what_cannot_be_seen_any_more_is_not_said_for_long() {
    let mut world = World::new();
    world.leak(9, GIB / 8);
    for _ in 0..120 {
        world.look(None);
    }
    assert_eq!(world.found(), None);
}

#[test]
fn a_component_costs_two_kibibytes() {
    let size = size_of::<Watch>();
    assert!(size <= 2048, "{size}");
}

#[test]
fn a_component_that_is_registered_no_more_is_forgotten() {
    let mut world = World::new();
    world.leak(9, GIB / 8);
    let nobody: BTreeMap<ComponentName, ()> = BTreeMap::new();
    assert_eq!(world.leaks.watches(&nobody).count(), 0);
    assert_eq!((world.found(), world.leaks.all().count()), (None, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Growth of which a part was never seen, again and again, is no growth that anybody can speak of.
    #[test]
    fn what_cannot_be_read_never_makes_a_finding(every in 2u64..50, missing in 41u64..90, per_hour in 0u64..GIB) {
        let mut world = World::new();
        let per_hour = per_hour / 4;
        for look in 0..12 * 120 {
            // No window but the shortest is ever whole.
            let seen = look % (every + missing) >= missing;
            world.look(seen.then_some(GIB / 2 + per_hour * look / 120));
            prop_assert_eq!(world.found(), None);
        }
    }

    /// A component that is another every now and then, and memory that falls with it, is none that leaks.
    #[test]
    fn runs_that_are_too_short_never_make_a_finding(run in 1u64..110, per_hour in 0u64..2 * GIB) {
        let mut world = World::new();
        for look in 0..12 * 120 {
            world.home = look / run;
            world.look(Some(GIB / 2 + per_hour * (look % run) / 120));
            prop_assert_eq!(world.found(), None);
        }
    }

    /// Whatever is seen and whenever: a finding is one of growth, and what is kept is bounded.
    #[test]
    fn whatever_is_seen_a_finding_makes_sense(
        looks in prop::collection::vec((0u64..200, prop::option::weighted(0.95, 0u64..4 * GIB), 0u64..u64::MAX), 1..600)
    ) {
        let mut world = World::new();
        for (seconds, memory, load) in looks {
            world.at = world.at.plus(Span::secs(seconds));
            let (at, limit) = (world.at, world.limit);
            let held = memory.map(|memory| Held { at, memory: Bytes(memory), load: Millicpu(load), limit });
            world.take_in(1, at, held);
            if let Some(leak) = world.found() {
                prop_assert!(leak.per_hour > Bytes::ZERO && leak.evidence.slope_t_centi > 0);
            }
        }
        let kept = world.leaks.kept();
        prop_assert!(kept.values().all(|kept| kept.tiers.iter().all(|tier| tier.parts.len() <= 36)));
    }
}
