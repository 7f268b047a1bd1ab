//! The limits over time: a host whose use of memory is given look by look.

use super::*;
use crate::model::{Forecast, MemoryEvents, MemoryStat, Priority, Psi, PsiLine, Reading};
use crate::testing::{add_home, component, forecast, host, policy, prospects, set};
use proptest::prelude::*;

const BUFFER: Buffer = Buffer { least: 20, most: 30 };
const QUIET: Pressing = Pressing { pressed: false, level: Level::Normal, more: 0 };
const WARNING: Pressing = Pressing { pressed: true, level: Level::Warning, more: 0 };
const CRITICAL: Pressing = Pressing { pressed: true, level: Level::Critical, more: 0 };
/// Divided are 2048 MiB less 256 in reserve; web has used 500.
const LEFT: u64 = 2048 - 256 - 600;

/// How memory presses in a second, and what more is expected in MiB.
#[derive(Debug, Clone, Copy)]
struct Pressing {
    pressed: bool,
    level: Level,
    more: u64,
}

impl Pressing {
    fn on(self, prospects: &Prospects) -> Press<'_> {
        let Self { pressed, level, more } = self;
        Press { pressed, level, buffer: BUFFER, more: Bytes::mebi(more), prospects }
    }
}

/// A host of 2 GiB with a protected service and two batch jobs.
struct Stage {
    policy: Policy,
    seen: Snapshot,
    estimator: Estimator,
    prospects: Prospects,
    high: High,
}

fn path(name: &str) -> CgroupPath {
    CgroupPath::new(&format!("system.slice/{name}.service"))
}

fn mebi_of(bytes: Bytes) -> u64 {
    bytes.0 >> 20
}

fn mebi(count: u64) -> u64 {
    Bytes::mebi(count).0
}

impl Stage {
    fn new() -> Self {
        let web = component("web", Priority::Critical);
        let jobs = [component("a", Priority::Low), component("b", Priority::Low)];
        let mut seen = host();
        for each in jobs.iter().chain([&web]) {
            let path = path(each.name.as_str());
            add_home(&mut seen, each, path.as_str());
        }
        let [a, b] = jobs;
        let policy = policy([web, a, b]);
        let (estimator, prospects) = (Estimator::default(), Prospects::default());
        let mut stage = Self { policy, seen, estimator, prospects, high: High::default() };
        stage.holds("web", 500, 100);
        stage.holds("a", 0, 0);
        stage.holds("b", 0, 0);
        stage
    }

    /// So much is charged to it, in MiB, and so much of that is anonymous.
    fn holds(&mut self, name: &str, usage: u64, anon: u64) {
        let group = self.seen.groups.get_mut(&path(name)).unwrap();
        group.usage.memory = Some(Bytes::mebi(usage));
        group.usage.memory_stat =
            Some(MemoryStat { anon: Bytes::mebi(anon), ..MemoryStat::default() });
    }

    /// Its limit was reached.
    fn slowed(&mut self, name: &str) {
        let events = &mut self.seen.groups.get_mut(&path(name)).unwrap().usage.memory_events;
        events.get_or_insert_default().high += 1;
    }

    /// A second; whether a limit changed.
    fn second(&mut self, pressing: Pressing) -> bool {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        let stats = self.seen.groups.values().filter_map(|group| group.usage.memory_stat);
        let anon = stats.fold(Bytes::ZERO, |sum, stat| sum.plus(stat.anon));
        self.seen.load.memory_available = Some(self.seen.host.memory.minus(anon));
        for group in self.seen.groups.values_mut() {
            group.usage.sensed_at = Some(self.seen.at);
            group.usage.memory_events.get_or_insert(MemoryEvents::default());
        }
        self.estimator.update(&self.policy, &self.seen);
        let press = pressing.on(&self.prospects);
        let changed = self.high.update(&self.policy, &self.estimator, &self.seen, press);
        for name in ["a", "b"] {
            let path = path(name);
            let holding = self.high.holding(&path);
            let limit = holding.map_or(Limit::Max, |holding| holding.limit);
            set(&mut self.seen, path.as_str(), Knob::MemoryHigh(limit));
        }
        changed
    }

    /// In MiB.
    fn limit(&self, name: &str) -> Option<Limit<u64>> {
        self.high.holding(&path(name)).map(|holding| holding.limit.map(mebi_of))
    }

    fn at(&self, name: &str) -> u64 {
        self.limit(name).and_then(Limit::value).unwrap()
    }
}

#[test]
fn nobody_is_limited_while_memory_is_not_pressed() {
    let mut stage = Stage::new();
    stage.holds("a", 1200, 1200);
    assert!((0..10).all(|_| !stage.second(QUIET)));
    assert_eq!(stage.limit("a"), None);
}

#[test]
fn what_the_others_leave_is_divided_among_those_that_yield() {
    let mut stage = Stage::new();
    assert!(stage.second(CRITICAL));
    assert_eq!(stage.limit("web"), None, "protected");
    assert_eq!((stage.at("a"), stage.at("b")), (LEFT / 2, LEFT / 2));
    let Measured { left, others } = stage.high.measured;
    assert_eq!((mebi_of(left), mebi_of(others)), (LEFT, 2048 - LEFT));
}

#[test]
fn at_warning_a_home_does_not_grow_and_at_critical_it_comes_down_in_steps() {
    let mut stage = Stage::new();
    stage.holds("a", 1000, 0);
    stage.holds("b", 1000, 0);
    stage.second(WARNING);
    assert_eq!(stage.at("a"), 1024, "1.02 times the usage and 4 MiB");
    assert!((0..5).all(|_| !stage.second(WARNING)));
    stage.second(CRITICAL);
    assert_eq!(stage.at("a"), 900, "a tenth of the usage");
    assert!(!stage.second(CRITICAL), "the usage has not followed");
    let mut limits = Vec::new();
    for _ in 0..6 {
        stage.holds("a", stage.at("a"), 0);
        stage.holds("b", stage.at("b"), 0);
        stage.second(CRITICAL);
        limits.push(stage.at("a"));
    }
    assert_eq!(limits[..2], [810, 729]);
    assert!((LEFT / 2..LEFT / 2 + 20).contains(&limits[5]), "not below its part: {limits:?}");
}

#[test]
fn room_is_made_in_steps_for_what_is_expected_and_given_back() {
    let mut stage = Stage::new();
    let soon = Pressing { more: 500, ..QUIET };
    stage.prospects =
        prospects("web", None, Some(forecast((mebi(500), mebi(950), mebi(1000)), 80)));
    for name in ["a", "b"] {
        stage.holds(name, 700, 0);
    }
    let fits = Pressing { more: 0, ..soon };
    assert!((0..10).all(|_| !stage.second(fits)), "nothing more is expected");
    let mut limits = Vec::new();
    for _ in 0..30 {
        stage.second(soon);
        limits.push(stage.at("a"));
        stage.holds("a", stage.at("a").min(700), 0);
        stage.holds("b", stage.at("b").min(700), 0);
    }
    assert_eq!(limits[..3], [630, 566, 502], "a tenth or 64 MiB a look");
    // 2048 less 256 in reserve and what is likely with the least buffer.
    let part = (2048 - 256 - 950 * 120 / 100) / 2;
    assert!((part..part + 20).contains(&limits[29]), "{limits:?}");
    assert!(stage.high.is_ahead());
    // The demand has come, and nothing more is expected than is there: what was given back would still not fit.
    stage.holds("web", 950, 900);
    (0..300).for_each(|_| assert!(!stage.second(QUIET)));
    // The day is over.
    stage.holds("web", 200, 100);
    let evening = forecast((mebi(950), mebi(200), mebi(250)), 80);
    stage.prospects = prospects("web", None, Some(evening));
    let mut seconds = 0;
    while stage.limit("a").is_some() {
        stage.second(QUIET);
        seconds += 1;
        assert!(seconds < 100);
    }
    assert!(seconds > 55 && !stage.high.is_ahead(), "{seconds}");
}

#[test]
fn where_what_is_expected_fits_nobody_is_limited() {
    let mut stage = Stage::new();
    stage.prospects =
        prospects("web", None, Some(forecast((mebi(500), mebi(950), mebi(1000)), 80)));
    // 2048 less 256 in reserve and 950 with a fifth more: 652.
    stage.holds("a", 340, 0);
    stage.holds("b", 310, 0);
    let soon = Pressing { more: 500, ..QUIET };
    assert!((0..100).all(|_| !stage.second(soon)));
    assert_eq!(stage.limit("a"), None);
}

#[test]
fn a_forecast_that_counts_takes_the_place_of_the_peak_within_the_band() {
    let left = |said: Option<Forecast>| {
        let mut stage = Stage::new();
        stage.prospects = prospects("web", None, said);
        stage.second(CRITICAL);
        2048 - 256 - mebi_of(stage.high.measured.left)
    };
    let said =
        |point, upper, percent| Some(forecast((mebi(500), mebi(point), mebi(upper)), percent));
    assert_eq!(left(None), 600, "the peak and 20%");
    assert_eq!(left(said(400, 400, 29)), 600, "as if there were none");
    assert_eq!(left(said(800, 1000, 60)), 1000, "25% are within the band");
    assert_eq!(left(said(800, 800, 60)), 960, "at least 20%");
    assert_eq!(left(said(800, 1600, 60)), 1040, "at most 30%");
    assert_eq!(left(said(200, 400, 60)), 600, "never less than it holds");
}

#[test]
fn a_home_that_is_small_may_grow_to_its_part() {
    let mut stage = Stage::new();
    stage.holds("a", 10, 10);
    stage.second(CRITICAL);
    assert_eq!(stage.at("a"), LEFT / 2);
}

#[test]
fn what_cannot_be_swapped_out_is_left_and_let_go_after_half_a_minute() {
    let mut stage = Stage::new();
    stage.holds("b", 1000, 0);
    stage.holds("a", 1000, 1000);
    stage.second(CRITICAL);
    assert_eq!(stage.at("a"), 1050, "anonymous, and there is no swap");
    let mut seconds = 0;
    while stage.limit("a") != Some(Limit::Max) {
        stage.holds("a", 1050, 1050);
        stage.slowed("a");
        stage.second(CRITICAL);
        seconds += 1;
        assert!(seconds < 60);
    }
    assert!((28..=34).contains(&seconds), "{seconds}");
    assert!((0..60).all(|_| !stage.second(CRITICAL)), "for good, while it is so large");
    stage.holds("a", 100, 100);
    assert!(stage.second(CRITICAL));
    assert!(stage.at("a") < LEFT / 2, "killed, and back");
}

#[test]
fn with_swap_anonymous_memory_gives_way_too() {
    let mut stage = Stage::new();
    stage.holds("b", 1000, 0);
    stage.seen.host.swap = Bytes::mebi(2000);
    stage.seen.load.swap_free = Some(Bytes::mebi(2000));
    for name in ["a", "b"] {
        let usage = &mut stage.seen.groups.get_mut(&path(name)).unwrap().usage;
        usage.swap = Some(Bytes::ZERO);
    }
    stage.holds("a", 1000, 1000);
    stage.second(CRITICAL);
    assert_eq!(stage.at("a"), 900);
    // Half of what is above the two fifths that are kept is room for each.
    stage.seen.load.swap_free = Some(Bytes::mebi(800));
    let mut stage = Stage { high: High::default(), ..stage };
    stage.second(CRITICAL);
    assert_eq!(stage.at("a"), 1050, "swap is full");
}

#[test]
fn a_minute_later_the_limits_rise_and_go() {
    let mut stage = Stage::new();
    stage.holds("a", 700, 0);
    stage.holds("b", 700, 0);
    stage.second(CRITICAL);
    let mut before = stage.at("a");
    let mut seconds = 0;
    while stage.limit("a").is_some() {
        assert!(stage.second(QUIET));
        let now = stage.limit("a").and_then(Limit::value).unwrap_or(before);
        assert!(now <= before + 205, "a tenth of the host a second: {before} {now}");
        before = now;
        seconds += 1;
    }
    assert!((5..=10).contains(&seconds), "{seconds}");
    assert!(!stage.second(QUIET));
}

#[test]
fn a_refused_limit_has_room_for_what_has_grown_and_is_not_released() {
    let open = |stage: &mut Stage| {
        let (path, none) = (path("a"), Knob::MemoryHigh(Limit::Max));
        set(&mut stage.seen, path.as_str(), none);
    };
    let mut stage = Stage::new();
    stage.holds("a", 700, 0);
    stage.holds("b", 700, 0);
    stage.second(CRITICAL);
    assert!(stage.at("a") < 700);
    open(&mut stage);
    stage.holds("a", 1000, 1000);
    stage.second(CRITICAL);
    assert_eq!(stage.at("a"), 1050);
    open(&mut stage);
    assert!(stage.second(QUIET));
    assert_eq!(stage.limit("a"), None);
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let mut stage = Stage::new();
    stage.holds("a", 1000, 0);
    stage.second(CRITICAL);
    let limit = stage.at("a");
    for name in ["web", "a"] {
        let mut blind = Stage { seen: stage.seen.clone(), ..Stage::new() };
        blind.high.clone_from(&stage.high);
        blind.holds("a", 100, 0);
        blind.seen.groups.get_mut(&path(name)).unwrap().usage.memory_stat = None;
        assert!((0..5).all(|_| !blind.second(CRITICAL)), "{name}");
        assert_eq!(blind.at("a"), limit);
    }
}

#[test]
fn it_stays_well_below_a_memory_max_or_away() {
    let mut stage = Stage::new();
    let max = |stage: &mut Stage, mebi| {
        let group = stage.seen.groups.get_mut(&path("a")).unwrap();
        let knob = Knob::MemoryMax(Limit::At(Bytes::mebi(mebi)));
        group.knobs.insert(KnobKind::MemoryMax, Reading::Is(knob));
        stage.high = High::default();
        stage.second(CRITICAL);
    };
    max(&mut stage, 632);
    assert_eq!(stage.at("a"), 500, "1.2 times it and 32 MiB are 632");
    max(&mut stage, 400);
    assert_eq!(stage.limit("a"), None, "held already");
}

#[test]
fn a_peak_is_kept_while_the_component_is_evicted() {
    let mut stage = Stage::new();
    stage.second(QUIET);
    stage.holds("web", 120, 100);
    stage.second(CRITICAL);
    assert!(stage.at("a") + stage.at("b") <= LEFT + 1, "{} {}", stage.at("a"), stage.at("b"));
}

#[test]
fn limits_that_do_not_help_fall_on() {
    let mut stage = Stage::new();
    let mut sums = Vec::new();
    for second in 1..=60 {
        for name in ["a", "b"] {
            let limit = stage.limit(name).and_then(Limit::value).unwrap_or(LEFT / 2);
            stage.holds(name, limit, 0);
        }
        let wait = PsiLine { total_usec: second * 300_000, avg10_centi: 0 };
        let usage = &mut stage.seen.groups.get_mut(&path("web")).unwrap().usage;
        usage.memory_psi = Some(Psi { some: wait, full: PsiLine::default() });
        stage.second(CRITICAL);
        sums.push(stage.at("a") + stage.at("b"));
    }
    assert_eq!((sums[0], sums[8]), (LEFT, LEFT), "they have ten seconds");
    assert!(sums.is_sorted_by(|a, b| a >= b), "{sums:?}");
    // A tenth of 500 every ten seconds.
    assert!((LEFT - 260..=LEFT - 190).contains(&sums[59]), "{sums:?}");
}

#[test]
fn where_not_to_grow_is_not_enough_homes_come_down_at_warning_too() {
    let mut stage = Stage::new();
    let mut limits = Vec::new();
    for second in 1..=40 {
        for name in ["a", "b"] {
            let limit = stage.limit(name).and_then(Limit::value).unwrap_or(1000);
            stage.holds(name, limit, 0);
        }
        let wait = PsiLine { total_usec: second * 50_000, avg10_centi: 0 };
        let usage = &mut stage.seen.groups.get_mut(&path("web")).unwrap().usage;
        usage.memory_psi = Some(Psi { some: wait, full: PsiLine::default() });
        stage.second(WARNING);
        limits.push(stage.at("a"));
    }
    assert_eq!((limits[0], limits[9]), (1024, 1024), "they have ten seconds");
    assert!((LEFT / 2..LEFT / 2 + 20).contains(&limits[39]), "down to the part: {limits:?}");
}

#[derive(Debug, Clone)]
struct Holds {
    usage: u64,
    anon_percent: u64,
}

fn any_holds() -> impl Strategy<Value = [Holds; 3]> {
    let one =
        || (0u64..1500, 0u64..=100).prop_map(|(usage, anon_percent)| Holds { usage, anon_percent });
    [one(), one(), one()]
}

impl Stage {
    fn hold(&mut self, all: &[Holds; 3]) {
        for (name, holds) in ["web", "a", "b"].into_iter().zip(all) {
            self.holds(name, holds.usage, holds.usage * holds.anon_percent / 100);
        }
    }
}

proptest! {
    #[test]
    fn parts_stay_within_what_is_divided_and_limits_above_their_floors(
        looks in proptest::collection::vec((any_holds(), 0u8..4), 1..20),
        guarantee in 0u64..600,
        said in proptest::option::of((0u64..2000, 0u64..3000, 0u32..=100)),
    ) {
        let mut stage = Stage::new();
        let a = stage.policy.components.get_mut("a").unwrap();
        a.memory.guarantee = Bytes::mebi(guarantee);
        let said = said.map(|(point, upper, percent)| {
            forecast((0, mebi(point), mebi(point.max(upper))), percent)
        });
        stage.prospects = prospects("web", None, said);
        let soon = Pressing { more: 400, ..QUIET };
        for (holds, level) in looks {
            stage.hold(&holds);
            let pressing = [QUIET, WARNING, CRITICAL, soon][usize::from(level)];
            let before = stage.high.clone();
            let changed = stage.second(pressing);
            let (policy, seen) = (&stage.policy, (&stage.seen, &stage.prospects));
            let users: Vec<User<'_>> =
                users(policy, &stage.estimator, seen, &stage.high.peaks).collect();
            let room = amount(policy, seen.0, seen.0.load.memory_available.unwrap(), &users);
            let press = pressing.on(&stage.prospects);
            let parts = divide(policy, room, &users, (press, 0));
            prop_assert!(parts.iter().map(|part| part.0).sum::<u64>() <= (2048 - 256) << 20);
            for (name, holds) in ["a", "b"].into_iter().zip(&holds[1..]) {
                let Some(Limit::At(now)) = stage.limit(name) else { continue };
                let guaranteed = if name == "a" { guarantee } else { 0 };
                prop_assert!(now >= guaranteed.max(64));
                let had = before.limits.get(&path(name)).map(|held| mebi_of(held.at));
                let stuck = holds.usage * holds.anon_percent / 100 * 105 / 100;
                let lowered = had.is_none_or(|had| now < had);
                prop_assert!(!lowered || now >= stuck, "{} {}", now, stuck);
                prop_assert!(changed || had == Some(now));
            }
        }
    }

    #[test]
    fn constant_use_comes_to_rest(holds in any_holds()) {
        let mut stage = Stage::new();
        stage.hold(&holds);
        (0..60).for_each(|_| { stage.second(CRITICAL); });
        prop_assert!((0..30).all(|_| !stage.second(CRITICAL)));
    }
}
