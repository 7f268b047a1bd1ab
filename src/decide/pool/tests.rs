//! The cap over time: a host whose use is given look by look.

use super::*;
use crate::config::Division;
use crate::model::Priority;
use crate::testing::{add_home, component, host, policy};
use crate::units::{CpuTime, Limit};
use proptest::prelude::*;

const QUIET: Press = Press { pressed: false, waits: false, headroom_percent: 20, more: 0 };
const PRESSED: Press = Press { pressed: true, ..QUIET };

/// A host of two CPUs with a protected service and two batch jobs.
struct Stage {
    policy: Policy,
    seen: Snapshot,
    rates: Rates,
    pool: Pool,
}

fn path(name: &str) -> CgroupPath {
    CgroupPath::new(&format!("system.slice/{name}.service"))
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
        for group in seen.groups.values_mut() {
            group.usage.cpu = Some(CpuTime(0));
        }
        let [a, b] = jobs;
        let mut stage = Self {
            policy: policy([web, a, b]),
            seen,
            rates: Rates::default(),
            pool: Pool::default(),
        };
        stage.rates.update(&stage.seen);
        stage
    }

    /// A second in which they use this much; whether a part changed.
    fn second(&mut self, press: Press, used: &[(&str, u64)]) -> bool {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        let mut all = 0;
        for (name, millicpu) in used {
            self.spend(&path(name), *millicpu);
            all += millicpu;
        }
        self.spend(&CgroupPath::root(), all);
        self.rates.update(&self.seen);
        self.pool.update(&self.policy, &self.rates, &self.seen, press)
    }

    fn spend(&mut self, path: &CgroupPath, millicpu: u64) {
        let cpu = self.seen.groups.get_mut(path).unwrap().usage.cpu.as_mut().unwrap();
        cpu.0 += millicpu * 1000;
    }

    /// A second in which both jobs use what they may.
    fn greedy(&mut self, press: Press, web: u64) -> bool {
        let part = |name| self.pool.part(&path(name)).map_or(1000, |part| part.0);
        let (a, b) = (part("a"), part("b"));
        self.second(press, &[("web", web), ("a", a), ("b", b)])
    }

    fn part(&self, name: &str) -> Option<u64> {
        self.pool.part(&path(name)).map(|part| part.0)
    }

    fn sum(&self) -> u64 {
        self.part("a").unwrap_or(0) + self.part("b").unwrap_or(0)
    }
}

#[test]
fn nobody_is_capped_while_nobody_waits() {
    let mut stage = Stage::new();
    for _ in 0..10 {
        assert!(!stage.second(QUIET, &[("web", 500), ("a", 700), ("b", 700)]));
    }
    assert_eq!((stage.part("a"), stage.pool.measured()), (None, None));
}

#[test]
fn what_is_expected_is_left_before_anybody_waits_and_given_back_after_a_minute() {
    let mut stage = Stage::new();
    let soon = Press { more: 700, ..QUIET };
    stage.greedy(QUIET, 200);
    assert!(stage.greedy(soon, 200));
    // 2000 less 400 of headroom, 200 of web and 700 that it will want.
    assert_eq!((stage.sum(), stage.pool.is_ahead()), (700, true));
    (0..100).for_each(|_| assert!(!stage.greedy(soon, 200), "nothing changes"));
    // The demand has come, and somebody waits nevertheless.
    stage.greedy(Press { waits: true, ..PRESSED }, 900);
    assert!(!stage.pool.is_ahead() && stage.sum() <= 700, "{}", stage.sum());
    let mut seconds = 0;
    while stage.pool.measured().is_some() {
        stage.greedy(QUIET, 200);
        seconds += 1;
        assert!(seconds < 120, "{}", stage.sum());
    }
    assert!(seconds > 50, "{seconds}");
}

#[test]
fn where_what_is_expected_fits_nobody_is_capped() {
    let mut stage = Stage::new();
    let soon = Press { more: 700, ..QUIET };
    for _ in 0..100 {
        assert!(!stage.second(soon, &[("web", 200), ("a", 400), ("b", 290)]));
    }
    assert_eq!(stage.pool.measured(), None);
    assert!(stage.second(soon, &[("web", 200), ("a", 400), ("b", 310)]), "ten more do not fit");
    // What does not want that much any more needs no cap.
    for _ in 0..75 {
        stage.second(soon, &[("web", 200), ("a", 100), ("b", 100)]);
    }
    assert_eq!(stage.pool.measured(), None);
}

#[test]
fn under_pressure_the_pool_leaves_the_headroom_free() {
    let mut stage = Stage::new();
    assert!(stage.greedy(PRESSED, 500));
    // 2000 less 400 of headroom and 500 of web.
    assert_eq!((stage.part("a"), stage.part("b")), (Some(550), Some(550)));
    assert!(stage.greedy(PRESSED, 900), "down at once");
    assert_eq!(stage.sum(), 700);
}

#[test]
fn the_cap_comes_back_slowly_and_goes() {
    let mut stage = Stage::new();
    stage.greedy(PRESSED, 1200);
    assert_eq!(stage.sum(), 400);
    let mut seconds = 0;
    while stage.pool.measured().is_some() {
        let before = stage.sum();
        stage.greedy(QUIET, 100);
        seconds += 1;
        assert!(stage.sum() == 0 || stage.sum() <= before + 201, "{before} {}", stage.sum());
        assert!(seconds < 60);
    }
    assert!((8..=10).contains(&seconds), "a tenth of the host a second: {seconds}");
    assert_eq!(stage.part("a"), None);
}

#[test]
fn what_one_member_does_not_use_goes_to_the_other() {
    let mut stage = Stage::new();
    stage.greedy(PRESSED, 600);
    assert_eq!((stage.part("a"), stage.part("b")), (Some(500), Some(500)));
    for _ in 0..3 {
        let a = stage.part("a").unwrap();
        stage.second(PRESSED, &[("web", 600), ("a", a), ("b", 0)]);
    }
    assert!(stage.part("a").unwrap() > 900, "{:?}", stage.pool);
    assert!(stage.part("b").unwrap() >= LEAST.0);
    for _ in 0..3 {
        stage.greedy(PRESSED, 600);
    }
    assert_eq!((stage.part("a"), stage.part("b")), (Some(500), Some(500)), "and back");
}

#[test]
fn the_division_decides_the_parts() {
    let parts = |division| {
        let mut stage = Stage::new();
        stage.policy.division = division;
        let job = stage.policy.components.get_mut("a").unwrap();
        (job.priority, job.yields) = (Priority::Normal, true);
        stage.second(PRESSED, &[("web", 500), ("a", 700), ("b", 700)]);
        ["a", "b"].map(|name| stage.part(name).unwrap())
    };
    // 2000 less 400 of headroom and 600 of others; each has at least 10.
    assert_eq!(parts(Division::Weighted).iter().sum::<u64>(), 1100);
    assert_eq!(parts(Division::Weighted), [874, 226]);
    assert_eq!(parts(Division::Priority), [1090, 10]);
    assert_eq!(parts(Division::Fair), [550, 550]);
    assert_eq!(parts(Division::Quota), [880, 220]);
}

#[test]
fn a_cap_that_does_not_help_falls_on() {
    let mut stage = Stage::new();
    let waits = Press { waits: true, ..PRESSED };
    stage.greedy(waits, 500);
    assert_eq!(stage.sum(), 1100);
    let mut sums = vec![1100];
    for _ in 0..20 {
        stage.greedy(waits, 500);
        sums.push(stage.sum());
    }
    assert_eq!(sums[1..4], [880, 704, 560]);
    assert!(
        sums.is_sorted_by(|a, b| a >= b) && (40..=60).contains(&sums[20]),
        "down to a fiftieth: {sums:?}"
    );
    for _ in 0..5 {
        assert!(!stage.greedy(PRESSED, 500), "it has helped, so it stays");
    }
    stage.greedy(QUIET, 500);
    assert!(stage.sum() > 100);
}

#[test]
fn a_cap_that_nobody_uses_is_not_what_they_wait_for() {
    let mut stage = Stage::new();
    let waits = Press { waits: true, ..PRESSED };
    for _ in 0..10 {
        stage.greedy(waits, 500);
    }
    assert!(stage.sum() < 200, "{}", stage.sum());
    for _ in 0..10 {
        stage.second(waits, &[("web", 500), ("a", 0), ("b", 0)]);
    }
    assert_eq!(stage.pool.measured().unwrap().cap, Millicpu(1100), "all that is left");
    stage.greedy(waits, 500);
    stage.greedy(waits, 500);
    assert!(stage.sum() < 1100, "it is used again, and falls again");
}

#[test]
fn a_missing_rate_changes_nothing() {
    let mut stage = Stage::new();
    stage.greedy(PRESSED, 500);
    let before = stage.pool.clone();
    stage.seen.groups.get_mut(&path("a")).unwrap().usage.cpu = None;
    stage.rates = Rates::default();
    assert!(!stage.second(PRESSED, &[("web", 1500), ("b", 10)]));
    assert_eq!(stage.pool, before);
}

#[test]
fn a_ceiling_stays_a_ceiling() {
    let mut stage = Stage::new();
    let a = stage.policy.components.values_mut().find(|one| one.name.as_str() == "a").unwrap();
    a.cpu.ceiling = Limit::At(Millicpu(200));
    stage.greedy(PRESSED, 500);
    assert_eq!((stage.part("a"), stage.part("b")), (Some(200), Some(900)));
}

proptest! {
    #[test]
    fn parts_fit_into_the_cap_and_come_to_rest(web in 0u64..1500, noise in proptest::collection::vec(0u64..15, 40)) {
        let mut stage = Stage::new();
        let mut changes = 0;
        for (second, noise) in noise.iter().enumerate() {
            let changed = stage.greedy(PRESSED, web + noise);
            let cap = stage.pool.measured().unwrap().cap;
            prop_assert!(stage.sum() <= cap.0.max(2 * LEAST.0));
            prop_assert!(cap.0 + 400 + web <= 2000 || cap.0 <= 100);
            if second >= 10 && changed {
                changes += 1;
            }
        }
        prop_assert!(changes == 0, "{changes} changes under a load that varies by less than a hundredth of the host");
    }
}
