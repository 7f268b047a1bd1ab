//! Who is heard, and how the adaptive strategy moves.

use super::*;
use crate::config::Strategy;
use crate::model::{Priority, Psi, PsiLine, Snapshot};
use crate::testing::{add_home, component, host, policy};
use crate::units::{CgroupPath, CpuTime};
use proptest::prelude::*;

/// Two protected services with strategies of their own, and a job that yields.
struct Stage {
    policy: Policy,
    seen: Snapshot,
    estimator: Estimator,
    asking: Asking,
}

impl Stage {
    fn new(web: Option<Strategy>, db: Option<Strategy>) -> Self {
        let web = Component { strategy: web, ..component("web", Priority::High) };
        let db = Component { strategy: db, ..component("db", Priority::Critical) };
        let job =
            Component { strategy: Some(Strategy::Aggressive), ..component("job", Priority::Low) };
        let mut seen = host();
        for each in [&web, &db, &job] {
            add_home(&mut seen, each, &format!("{}.service", each.name));
        }
        for group in seen.groups.values_mut() {
            group.usage.cpu = Some(CpuTime(0));
            group.usage.throttled = Some(CpuTime(0));
            let line = PsiLine { total_usec: 0, avg10_centi: 0 };
            group.usage.cpu_psi = Some(Psi { some: line, full: line });
        }
        let policy = policy([web, db, job]);
        let mut stage =
            Self { policy, seen, estimator: Estimator::default(), asking: Asking::default() };
        stage.second(&[], false);
        stage
    }

    /// A second in which each of these waits for so many milliseconds; the headroom after it.
    fn second(&mut self, waits: &[(&str, u64)], noticed: bool) -> u64 {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        for (name, millis) in waits {
            let path = CgroupPath::new(&format!("{name}.service"));
            let psi = self.seen.groups.get_mut(&path).unwrap().usage.cpu_psi.as_mut().unwrap();
            psi.some.total_usec += millis * 1000;
            psi.full.total_usec += millis * 1000;
        }
        let at = self.seen.at;
        self.seen.groups.values_mut().for_each(|view| view.usage.sensed_at = Some(at));
        self.estimator.update(&self.policy, &self.seen);
        self.asking.update(&self.policy, &self.estimator, noticed, self.seen.at);
        self.headroom(Adaptive::default())
    }

    fn headroom(&self, adaptive: Adaptive) -> u64 {
        let parameters = self.asking.parameters(&self.policy, &self.estimator, adaptive);
        parameters.cpu_headroom_percent
    }
}

#[test]
fn who_waits_is_asked_how_much_room_it_needs() {
    let own = (Some(Strategy::Conservative), Some(Strategy::Aggressive));
    let mut stage = Stage::new(own.0, own.1);
    assert_eq!(stage.second(&[], true), 30, "nobody can be named");
    assert_eq!(stage.second(&[("web", 200)], true), 15);
    assert_eq!(stage.second(&[("web", 200), ("db", 10)], true), 15, "db hardly waits");
    assert_eq!(stage.second(&[("db", 300)], true), 30);
    for _ in 0..59 {
        assert_eq!(stage.second(&[], false), 30, "both are heard for a minute");
    }
}

#[test]
fn without_a_strategy_of_its_own_a_component_follows_the_hosts() {
    let mut stage = Stage::new(None, Some(Strategy::Conservative));
    assert_eq!(stage.second(&[("web", 200)], true), 20);
    stage.policy.strategy = Strategy::Aggressive;
    assert_eq!(stage.second(&[("web", 200)], true), 30, "another one counts at the next look");
    stage.policy.strategy = Strategy::Adaptive;
    let mut adaptive = Adaptive::default();
    assert_eq!(stage.headroom(adaptive), 20);
    let critical = Levels { memory: Level::Critical, ..Levels::default() };
    adaptive.update(critical, Ppm::ZERO, stage.seen.at);
    assert_eq!(stage.headroom(adaptive), 30);
}

#[test]
fn who_gives_way_is_not_asked() {
    let mut stage = Stage::new(Some(Strategy::Conservative), Some(Strategy::Conservative));
    assert_eq!(stage.second(&[("job", 900)], true), 15);
}

#[test]
fn the_adaptive_pace_rises_at_once_and_falls_after_five_minutes() {
    let critical = Levels { io: Level::Critical, ..Levels::default() };
    let warning = Levels { cpu: Level::Warning, ..Levels::default() };
    let at = |secs| Tick::default().plus(Span::secs(secs));
    let mut adaptive = Adaptive::default();
    adaptive.update(warning, Ppm::ZERO, at(1));
    assert_eq!(adaptive.pace, Pace::Balanced);
    adaptive.update(critical, Ppm::ZERO, at(2));
    assert_eq!(adaptive.pace, Pace::Aggressive);
    adaptive.update(warning, Ppm::ZERO, at(301));
    assert_eq!(adaptive.pace, Pace::Aggressive);
    adaptive.update(warning, Ppm::ZERO, at(302));
    assert_eq!(adaptive.pace, Pace::Balanced);
    adaptive.update(Levels::default(), Ppm::percent(69), at(10_000));
    assert_eq!(adaptive.pace, Pace::Balanced, "no forecast that can be trusted, nothing less");
}

#[test]
fn a_calm_host_with_forecasts_to_trust_for_ten_minutes_is_conservative() {
    let (calm, trust) = (Levels::default(), Ppm::percent(70));
    let at = |secs| Tick::default().plus(Span::secs(secs));
    let warning = Levels { cpu: Level::Warning, ..calm };
    let mut adaptive = Adaptive::default();
    let mut pace = |levels, trust, secs| {
        adaptive.update(levels, trust, at(secs));
        adaptive.pace
    };
    assert_eq!(pace(calm, trust, 1), Pace::Balanced);
    assert_eq!(pace(calm, trust, 600), Pace::Balanced);
    // Once it is trusted for long enough it goes down, five minutes after more was asked for.
    assert_eq!(pace(calm, trust, 601), Pace::Balanced);
    assert_eq!(pace(calm, trust, 899), Pace::Balanced);
    assert_eq!(pace(calm, trust, 900), Pace::Conservative);
    assert_eq!(pace(warning, trust, 901), Pace::Balanced, "up at once");
    assert_eq!(pace(calm, trust, 1201), Pace::Conservative, "it was trusted all the time");
    assert_eq!(pace(calm, Ppm::percent(69), 1202), Pace::Balanced, "trust is gone");
    assert_eq!(pace(calm, trust, 1203), Pace::Balanced);
    assert_eq!(pace(calm, trust, 1802), Pace::Balanced, "ten minutes anew");
}

proptest! {
    #[test]
    fn two_steps_down_are_five_minutes_apart(levels in proptest::collection::vec((0usize..4, 1u64..120, 40u32..=100), 1..200)) {
        let all = [Level::Normal, Level::Warning, Level::Critical, Level::Emergency];
        let mut adaptive = Adaptive::default();
        let mut now = Tick::default();
        let mut needed: Option<Tick> = None;
        for (level, secs, trust) in levels {
            now = now.plus(Span::secs(secs));
            let before = adaptive.pace;
            let levels = Levels { pids: all[level], ..Levels::default() };
            adaptive.update(levels, Ppm::percent(trust), now);
            if level >= 2 {
                prop_assert_eq!(adaptive.pace, Pace::Aggressive);
                needed = Some(now);
            }
            if adaptive.pace < before {
                prop_assert_eq!(adaptive.pace, before.below());
                prop_assert!(needed.is_none_or(|at| now.since(at) >= DOWN_AFTER));
            }
        }
    }
}
