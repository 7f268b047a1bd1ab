//! What the estimator makes of memory that grows, and of memory about which little is known.

use super::*;
use crate::model::{Knob, LeakLimit, LeakTier};
use crate::units::Limit;

/// Looks in an hour.
const HOUR: u64 = 120;

/// What can be missing from a look.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Nothing,
    Cpu,
    Stat,
    Shmem,
    Slab,
    Swap,
}

const PARTS: [Part; 5] = [Part::Cpu, Part::Stat, Part::Shmem, Part::Slab, Part::Swap];

/// Jobs that are looked at every half minute, and use half a core.
struct Jobs {
    world: World,
    looks: u64,
    cpu: u64,
}

impl Jobs {
    fn new() -> Self {
        let mut world = World::new();
        world.policy.interval = Span::secs(30);
        world.seen.host.memory = Bytes::mebi(8192);
        world.seen.host.swap = Bytes::mebi(1024);
        Self { world, looks: 0, cpu: 0 }
    }

    fn look(&mut self, held: u64, missing: Part) -> Option<Leak> {
        self.looks += 1;
        self.cpu += 15_000_000;
        let cpu = Some(CpuTime(self.cpu)).filter(|_| missing != Part::Cpu);
        let quarter = |part| Some(Bytes::mebi(held / 4)).filter(|_| missing != part);
        let stat = MemoryStat {
            anon: Bytes::mebi(held / 4),
            shmem: quarter(Part::Shmem),
            slab_unreclaimable: quarter(Part::Slab),
            ..MemoryStat::default()
        };
        let usage = self.world.usage(JOBS);
        usage.cpu = cpu;
        usage.swap = quarter(Part::Swap);
        usage.memory_stat = Some(stat).filter(|_| missing != Part::Stat);
        let at = Tick::default().plus(Span::secs(1000 + 30 * self.looks));
        self.world.seen.at = at;
        self.world.seen.groups.values_mut().for_each(|view| view.usage.sensed_at = Some(at));
        self.world.estimator.update(&self.world.policy, &self.world.seen);
        self.found()
    }

    fn found(&self) -> Option<Leak> {
        self.world.estimator.view().components.get("jobs").and_then(|jobs| jobs.leak)
    }

    /// Leaks one GiB an hour for so long.
    fn leak(&mut self, hours: u64, missing: Part) -> Option<Leak> {
        for look in 0..hours * HOUR {
            self.look(400 + 1024 * look / HOUR, missing);
        }
        self.found()
    }
}

#[test]
fn every_part_of_what_a_program_holds_counts_and_is_needed() {
    let leak = Jobs::new().leak(2, Part::Nothing).unwrap();
    assert!(leak.per_hour.0.abs_diff(1 << 30) < 1 << 24, "all four quarters: {leak:?}");
    for missing in PARTS {
        assert_eq!(Jobs::new().leak(2, missing), None, "{missing:?}");
    }
}

#[test]
fn without_swap_nothing_has_to_say_how_much_of_it_is_used() {
    let mut jobs = Jobs::new();
    jobs.world.seen.host.swap = Bytes::ZERO;
    let leak = jobs.leak(3, Part::Swap).unwrap();
    assert!(leak.per_hour.0.abs_diff(3 << 28) < 1 << 24, "three quarters: {leak:?}");
}

#[test]
fn the_nearest_limit_counts_and_else_the_host() {
    let leak = Jobs::new().leak(2, Part::Nothing).unwrap();
    let LeakLimit::Host(room) = leak.limit else { panic!("{leak:?}") };
    assert!(room < Bytes::mebi(8192 - 256), "without the reserve, and what others use");
    let mut jobs = Jobs::new();
    testing::set(&mut jobs.world.seen, JOBS, Knob::MemoryMax(Limit::At(Bytes::mebi(4096))));
    let limit = |jobs: &mut Jobs| jobs.leak(2, Part::Nothing).unwrap().limit;
    assert_eq!(limit(&mut jobs), LeakLimit::Own(Bytes::mebi(4096)));
    let mut jobs = Jobs::new();
    let registered = jobs.world.policy.components.get_mut("jobs").unwrap();
    registered.memory.ceiling = Limit::At(Bytes::mebi(3072));
    assert_eq!(limit(&mut jobs), LeakLimit::Own(Bytes::mebi(3072)));
}

#[test]
fn a_leak_that_is_told_is_news_once_an_examination() {
    let mut jobs = Jobs::new();
    jobs.leak(2, Part::Nothing);
    let before = jobs.world.estimator.told();
    assert!(before > 0 && jobs.found().unwrap().tier == LeakTier::Fast);
    for look in 0..16 {
        jobs.look(2448 + 1024 * look / HOUR, Part::Nothing);
    }
    let told = jobs.world.estimator.told() - before;
    assert!((1..=4).contains(&told), "eight minutes: {told}");
}

#[test]
fn a_component_that_is_gone_leaks_no_more() {
    let mut jobs = Jobs::new();
    assert!(jobs.leak(2, Part::Nothing).is_some());
    jobs.world.seen.homes.remove("jobs");
    jobs.look(2448, Part::Nothing);
    assert_eq!(jobs.world.estimator.leaks().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever is missing now and then, whichever counter goes back, and whoever is at the path: what does not grow is no leak.
    #[test]
    fn what_is_missing_or_goes_back_never_makes_a_finding(
        looks in prop::collection::vec((0usize..30, -60_000_000i64..60_000_000, 0u64..400), 400..800),
        held in 40u64..4000,
    ) {
        let mut jobs = Jobs::new();
        for (what, cpu, id) in looks {
            jobs.cpu = jobs.cpu.saturating_add_signed(cpu);
            if id == 0 {
                jobs.world.seen.groups.get_mut(&CgroupPath::new(JOBS)).unwrap().id = CgroupId(5000 + jobs.looks);
            }
            let missing = PARTS.get(what).copied().unwrap_or(Part::Nothing);
            prop_assert_eq!(jobs.look(held, missing), None);
        }
    }

    /// Counters that go back at every look leave nothing to judge by, however much memory grows.
    #[test]
    fn a_counter_that_only_goes_back_makes_no_finding(back in 15_000_001u64..60_000_000) {
        let mut jobs = Jobs::new();
        jobs.cpu = 1 << 50;
        for look in 0..3 * HOUR {
            jobs.cpu -= back;
            prop_assert_eq!(jobs.look(400 + 1024 * look / HOUR, Part::Nothing), None);
        }
    }
}
