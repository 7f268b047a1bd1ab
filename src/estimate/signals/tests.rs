//! Worked numbers and properties of one group's signals.

use super::*;
use crate::model::{IoMax, MemoryStat, Psi, PsiLine};
use crate::testing;
use crate::units::DeviceId;
use proptest::prelude::*;

const DISK: DeviceId = testing::DISK;
const CAPACITY: Millicpu = Millicpu::cores(4);

fn at(secs: u64) -> Tick {
    Tick::default().plus(Span::secs(1000 + secs))
}

fn psi(some_usec: u64, full_usec: u64) -> Option<Psi> {
    let line = |total_usec| PsiLine { total_usec, avg10_centi: 0 };
    Some(Psi { some: line(some_usec), full: line(full_usec) })
}

/// A group in which nothing has happened.
fn idle() -> GroupView {
    let mut seen = testing::host();
    let path = CgroupPath::new("a.service");
    testing::add_group(&mut seen, path.clone());
    let mut view = seen.groups.remove(&path).unwrap();
    view.usage = Usage {
        cpu: Some(CpuTime(0)),
        throttled: Some(CpuTime(0)),
        periods: Some(0),
        throttled_periods: Some(0),
        memory: Some(Bytes::mebi(100)),
        pids: Some(3),
        forks_refused: Some(0),
        memory_events: Some(MemoryEvents::default()),
        memory_stat: Some(MemoryStat {
            anon: Bytes::mebi(60),
            inactive_file: Bytes::mebi(30),
            refaults: Some(0),
            ..MemoryStat::default()
        }),
        io: Some(vec![IoCount { device: DISK, rbytes: 0, wbytes: 0, rios: 0, wios: 0 }]),
        cpu_psi: psi(0, 0),
        memory_psi: psi(0, 0),
        io_psi: psi(0, 0),
        ..Usage::default()
    };
    view
}

/// A group that is looked at again and again.
struct Watched {
    view: GroupView,
    signals: Signals,
    limited_above: Option<Tick>,
}

impl Watched {
    fn new() -> Self {
        let view = idle();
        let signals = Signals::new(&CgroupPath::new("a.service"), view.id);
        let mut watched = Self { view, signals, limited_above: None };
        watched.look(0);
        watched
    }

    fn look(&mut self, secs: u64) {
        self.view.usage.sensed_at = Some(at(secs));
        let around = Around {
            at: at(secs),
            longest: Span::secs(3),
            capacity: CAPACITY,
            throttled_above: Some(0),
            limited_above: self.limited_above,
        };
        self.signals.update(&self.view, around);
    }

    /// A look in each second, after the change of each.
    fn looks(&mut self, secs: std::ops::Range<u64>, change: impl Fn(&mut Usage, u64)) {
        for second in secs {
            change(&mut self.view.usage, second);
            self.look(second);
        }
    }

    fn need(&self) -> &Need {
        &self.signals.need
    }
}

/// Measured on kernel 6.12: one thread that spins at a cap of 20 % for about two seconds shows 1.636 s of full CPU pressure, of which
/// 1.634 s are throttling: nothing of it is the host's.
#[test]
fn one_thread_at_its_own_cap_waits_for_nobody() {
    let mut group = Watched::new();
    group.looks(1..61, |usage, second| {
        usage.cpu = Some(CpuTime(second * 200_000));
        usage.throttled = Some(CpuTime(second * 817_000));
        usage.periods = Some(second * 10);
        usage.throttled_periods = Some(second * 10);
        usage.cpu_psi = psi(second * 818_000, second * 818_000);
    });
    let need = group.need();
    let waits = need.waits.cpu.unwrap();
    assert!(waits.p10 < Ppm::new(1_100) && waits.p60 < Ppm::new(1_100), "about 0.1 %: {waits:?}");
    assert!(need.bound.cpu && need.throttled > Some(Ppm::percent(99)));
    assert_eq!(need.usage.cpu, Some(Millicpu(200)));
    assert_eq!(need.demand.cpu, Some(Millicpu(400)), "it would run at least twice as much");
    assert!(group.signals.averages.cpu.p10() > Ppm::percent(80), "and yet it does wait");
}

/// An emulated host on a busy machine read the counter more than a second after the look had begun.
#[test]
fn a_counter_that_is_read_late_gives_no_more_than_there_is() {
    let mut group = Watched::new();
    group.looks(1..2, |usage, _| usage.cpu = Some(CpuTime(9_800_000)));
    assert_eq!(group.need().usage.cpu, Some(CAPACITY));
    group.looks(2..3, |usage, _| usage.cpu = Some(CpuTime(10_000_000)));
    assert_eq!(group.need().usage.cpu, Some(Millicpu(200)));
}

#[test]
fn starved_by_others_all_of_the_waiting_is_external() {
    let mut group = Watched::new();
    group.looks(1..61, |usage, second| {
        usage.cpu = Some(CpuTime(second * 800_000));
        usage.cpu_psi = psi(second * 200_000, second * 200_000);
    });
    let need = group.need();
    assert!(need.waits.cpu.unwrap().p10 > Ppm::percent(19));
    assert!(!need.bound.cpu);
    assert_eq!(need.demand.cpu, Some(Millicpu(1000)), "0.8 and 0.2 / 0.8 of it more");
}

#[test]
fn a_cap_above_explains_waiting_too() {
    let mut group = Watched::new();
    for second in 1..31 {
        group.view.usage.cpu_psi = psi(second * 500_000, second * 500_000);
        group.view.usage.sensed_at = Some(at(second));
        let around = Around {
            at: at(second),
            longest: Span::secs(3),
            capacity: CAPACITY,
            throttled_above: Some(second * 500_000),
            limited_above: None,
        };
        group.signals.update(&group.view, around);
    }
    assert_eq!(group.need().waits.cpu.unwrap().p10, Ppm::ZERO);
    assert!(group.need().bound.cpu);
}

#[test]
fn memory_pressure_at_its_own_limit_is_its_own_doing() {
    let waits = |usage: &mut Usage, second: u64| usage.memory_psi = psi(second * 300_000, 0);
    let mut group = Watched::new();
    group.looks(1..31, waits);
    assert!(group.need().waits.memory.unwrap().p10 > Ppm::percent(28), "the host's");
    let mut group = Watched::new();
    group.looks(1..31, |usage, second| {
        waits(usage, second);
        usage.memory_events = Some(MemoryEvents { high: second, ..MemoryEvents::default() });
    });
    assert_eq!(group.need().waits.memory.unwrap().p10, Ppm::ZERO);
    assert!(group.need().bound.memory);
    assert_eq!(group.need().demand.memory.unwrap(), Bytes::mebi(105), "70 MiB and half of it more");
    group.looks(31..60, waits);
    assert!(!group.need().bound.memory, "ten seconds after the last event it is the host's again");
    assert!(group.need().waits.memory.unwrap().p10 > Ppm::percent(20));
    let mut group = Watched::new();
    group.limited_above = Some(at(25));
    group.looks(1..31, waits);
    assert!(group.need().bound.memory, "a limit above it was reached");
}

#[test]
fn a_disk_at_its_own_limit_is_its_own_doing() {
    let moves = |usage: &mut Usage, second: u64| {
        let rbytes = second * 9_000_000;
        usage.io = Some(vec![IoCount { device: DISK, rbytes, wbytes: 0, rios: 0, wios: 0 }]);
        usage.io_psi = psi(second * 500_000, second * 500_000);
    };
    let mut group = Watched::new();
    group.looks(1..31, moves);
    let need = group.need();
    assert_eq!(need.usage.io.unwrap().read, Bytes(9_000_000));
    assert_eq!(need.demand.io.unwrap().read, Bytes(18_000_000));
    assert!(need.waits.io.unwrap().p10 > Ppm::percent(45) && !need.bound.io);
    let limited = |rbps| {
        let mut group = Watched::new();
        let max = IoMax { rbps: Limit::At(Bytes(rbps)), ..IoMax::UNLIMITED };
        group.view.knobs.insert(KnobKind::IoMax(DISK), Reading::Is(Knob::IoMax(DISK, max.into())));
        group.looks(1..31, moves);
        (group.need().bound.io, group.need().waits.io.unwrap().p10 == Ppm::ZERO)
    };
    assert_eq!(limited(10_000_000), (true, true), "at 90 % of it");
    assert_eq!(limited(10_000_001), (false, false), "just below");
}

#[test]
fn growth_tells_the_time_to_the_limit() {
    let mut group = Watched::new();
    let max = Knob::MemoryMax(Limit::At(Bytes::mebi(1100)));
    group.view.knobs.insert(KnobKind::MemoryMax, Reading::Is(max));
    group.looks(1..101, |usage, second| usage.memory = Some(Bytes::mebi(100 + 5 * second)));
    let need = group.need();
    assert_eq!(need.growth.map(|growth| (growth + 500) >> 20), Some(5), "MiB per second");
    let left = need.until_limit.unwrap();
    assert!(left >= Span::millis(99_900) && left <= Span::millis(100_100), "500 MiB left: {left}");
    group.looks(101..161, |usage, _| usage.memory = Some(Bytes::mebi(400)));
    assert!(group.need().growth.unwrap() < 0 && group.need().until_limit.is_none());
}

#[test]
fn the_working_set_is_without_cold_cache() {
    let group = Watched::new();
    assert_eq!(group.need().usage.memory, Some(Bytes::mebi(70)));
}

#[test]
fn another_group_and_counters_that_went_back_begin_anew() {
    let busy = |usage: &mut Usage, second: u64| {
        usage.cpu = Some(CpuTime(second * 900_000));
        usage.cpu_psi = psi(second * 400_000, second * 400_000);
    };
    let mut group = Watched::new();
    group.looks(1..20, busy);
    assert!(group.need().waits.cpu.unwrap().p10 > Ppm::percent(30));
    group.view.id = CgroupId(77);
    group.look(20);
    assert_eq!((group.need().usage.cpu, group.need().waits.cpu), (None, None), "its first look");
    group.looks(21..30, busy);
    group.view.usage.cpu = Some(CpuTime(5));
    group.look(30);
    assert_eq!((group.need().usage.cpu, group.need().waits.cpu), (None, None), "counted anew");
}

#[test]
fn a_long_gap_gives_no_rate_once() {
    let mut group = Watched::new();
    group.looks(1..5, |usage, second| usage.cpu = Some(CpuTime(second * 500_000)));
    group.view.usage.cpu = Some(CpuTime(3_600_000_000));
    group.view.usage.cpu_psi = psi(3_600_000_000, 3_600_000_000);
    group.look(3600);
    assert_eq!(group.need().usage.cpu, Some(Millicpu(500)), "what was known before the host slept");
    assert_eq!(group.need().waits.cpu.unwrap().p10, Ppm::ZERO);
    group.looks(3601..3602, |usage, _| usage.cpu = Some(CpuTime(3_600_100_000)));
    assert_eq!(group.need().usage.cpu, Some(Millicpu(100)));
}

#[test]
fn without_psi_pages_read_back_stand_for_waiting() {
    let mut group = Watched::new();
    group.view.usage.memory_psi = None;
    let mut group = Watched { signals: Signals::new(&CgroupPath::root(), group.view.id), ..group };
    group.looks(1..61, |usage, second| {
        let stat = usage.memory_stat.as_mut().unwrap();
        stat.refaults = Some(second * 500);
    });
    assert_eq!(group.need().waits.memory, None, "it is not said to be measured");
    let inferred = group.signals.averages.refaults.wait().unwrap().p10;
    assert!(
        inferred > Ppm::percent(9) && inferred <= Ppm::percent(10),
        "500 of 200 us: {inferred}"
    );
}

#[test]
fn a_refused_fork_is_remembered_for_half_a_minute() {
    let mut group = Watched::new();
    group.looks(1..3, |usage, second| usage.forks_refused = Some(second / 2));
    assert!(group.need().bound.pids);
    group.look(31);
    assert!(group.need().bound.pids);
    group.look(33);
    assert!(!group.need().bound.pids);
}

#[test]
fn what_cannot_be_read_is_missing_and_moves_no_average() {
    let mut group = Watched::new();
    group.looks(1..20, |usage, second| {
        usage.cpu = Some(CpuTime(second * 900_000));
        usage.cpu_psi = psi(second * 400_000, second * 400_000);
    });
    let before = group.signals.averages.external_cpu.p10();
    let whole = group.view.usage.clone();
    group.view.usage = Usage::default();
    group.look(20);
    let need = *group.need();
    assert_eq!(need.usage, Amounts::default());
    assert_eq!(need.demand, Amounts::default());
    assert_eq!(need.waits, Waits::default());
    let average = group.signals.averages.external_cpu;
    assert!(average.is_missing());
    assert_eq!(average.p10(), before);
    group.view.usage = whole;
    group.look(21);
    assert_eq!(group.need().usage.cpu, None, "no difference to nothing");
}

fn maybe<T: Copy + std::fmt::Debug + 'static>(value: T) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.9, Just(value))
}

/// Growth of the counters in one look, and which of them can be read.
fn looks() -> impl Strategy<Value = Vec<(u64, [u64; 5], [bool; 4])>> {
    let growth = prop::array::uniform5(0u64..2_000_000);
    let there = prop::array::uniform4(prop::bool::weighted(0.9));
    prop::collection::vec((100u64..15_000, growth, there), 1..40)
}

proptest! {
    /// Whatever is missing, whenever it was looked: shares are shares, demand is between usage and twice of it, and nobody waits more
    /// through others than in all.
    #[test]
    fn numbers_stay_within_their_bounds(looks in looks(), id in maybe(CgroupId(9))) {
        let mut group = Watched::new();
        let mut now = at(0);
        let mut sums = [0u64; 5];
        let mut throttling_known = true;
        for (number, (gap, growth, there)) in looks.into_iter().enumerate() {
            now = now.plus(Span::millis(gap));
            for (sum, growth) in sums.iter_mut().zip(growth) {
                *sum += growth;
            }
            let [cpu, throttled, full, some, refaults] = sums;
            let usage = &mut group.view.usage;
            usage.cpu = there[0].then_some(CpuTime(cpu));
            usage.throttled = there[0].then_some(CpuTime(throttled));
            usage.cpu_psi = if there[1] { psi(full, full) } else { None };
            usage.memory_psi = if there[2] { psi(some, 0) } else { None };
            usage.memory_stat = there[3].then_some(MemoryStat { refaults: Some(refaults), ..MemoryStat::default() });
            usage.sensed_at = Some(now);
            if let Some(id) = id.filter(|_| number == 7) {
                group.view.id = id;
            }
            let around = Around { at: now, longest: Span::secs(3), capacity: CAPACITY, throttled_above: Some(0), limited_above: None };
            group.signals.update(&group.view, around);
            let (need, averages) = (&group.signals.need, &group.signals.averages);
            throttling_known &= there[0];
            if throttling_known {
                prop_assert!(averages.external_cpu.p10() <= averages.cpu.p10());
            }
            if let (Some(used), Some(wanted)) = (need.usage.cpu, need.demand.cpu) {
                prop_assert!(used <= wanted && wanted.0 <= 2 * used.0);
            }
            prop_assert_eq!(need.usage.cpu.is_some(), need.demand.cpu.is_some());
            prop_assert_eq!(need.usage.memory.is_some(), need.demand.memory.is_some());
            if !there[1] && number > 0 {
                prop_assert_eq!(need.waits.cpu, None);
            }
        }
    }

    /// The same look twice is no second look.
    #[test]
    fn a_look_counts_once(growth in 0u64..2_000_000) {
        let mut group = Watched::new();
        group.looks(1..5, |usage, second| {
            usage.cpu = Some(CpuTime(second * growth));
            usage.cpu_psi = psi(second * growth, second * growth / 2);
        });
        let before = group.signals.clone();
        group.look(4);
        prop_assert_eq!(group.signals, before);
    }
}
