//! Limits on tasks look by look: what is usual, when numbers are short, and that limits stay as they are.

use super::*;
use crate::config::Component;
use crate::model::Priority;
use crate::testing::{add_home, component, host, policy};
use proptest::prelude::*;

const JOB: &str = "system.slice/job.service";
const WEB: &str = "system.slice/web.service";

struct World {
    rules: Policy,
    seen: Snapshot,
    pids: Pids,
}

impl World {
    fn new() -> Self {
        let (web, job) = (component("web", Priority::Critical), component("job", Priority::Low));
        let mut seen = host();
        add_home(&mut seen, &web, WEB);
        add_home(&mut seen, &job, JOB);
        seen.load.tasks = Some(500);
        Self { rules: policy([web, job]), seen, pids: Pids::default() }
    }

    /// A second in which the job has so many tasks, if that can be read.
    fn second(&mut self, job: Option<u64>, pressed: bool) -> bool {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        for (path, tasks) in [(JOB, job), (WEB, Some(20))] {
            self.seen.groups.get_mut(&CgroupPath::new(path)).unwrap().usage.pids = tasks;
        }
        self.pids.update(&self.rules, &self.seen, pressed)
    }

    fn held(&self, path: &str) -> Option<Held> {
        self.pids.held(&CgroupPath::new(path))
    }

    fn is_short(&mut self, tasks: u64) -> bool {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        self.seen.load.tasks = Some(tasks);
        self.pids.is_short(Level::Normal, &self.seen)
    }
}

#[test]
fn four_times_what_it_had_before_the_last_minutes_and_not_what_the_bomb_has() {
    let mut world = World::new();
    for _ in 0..600 {
        world.second(Some(30), false);
    }
    for tasks in (0..60).map(|second| 1000 * second) {
        world.second(Some(tasks), false);
    }
    assert!(world.second(Some(60_000), true));
    assert_eq!(world.held(JOB), Some(Held { limit: 120, usual: Some(30) }));
    assert_eq!(world.held(WEB), None, "protected");
    assert!(!world.second(Some(90), true), "it stays");
    assert_eq!(world.held(JOB).map(|held| held.limit), Some(120));
    assert!(world.second(Some(90), false));
    assert_eq!(world.held(JOB), None);
}

#[test]
fn who_is_new_keeps_what_it_has_and_everybody_a_few() {
    let mut world = World::new();
    world.second(Some(700), true);
    assert_eq!(world.held(JOB), Some(Held { limit: 700, usual: None }));
    let mut world = World::new();
    world.second(Some(3), true);
    assert_eq!(world.held(JOB), Some(Held { limit: LEAST, usual: None }));
}

#[test]
fn what_was_had_is_forgotten_after_an_hour() {
    let now = |secs| Tick(0).plus(Span::secs(secs));
    let mut usual = Usual::new(CgroupId(1), now(0));
    for second in 0..3900 {
        let tasks = if second < 60 { 900 } else { 10 };
        usual.add(tasks, now(second));
        let most = usual.most();
        match second {
            0..120 => assert_eq!(most, None, "{second}"),
            120..1800 => assert_eq!(most, Some(900), "{second}"),
            3720.. => assert_eq!(most, Some(10), "{second}"),
            _ => {}
        }
    }
}

#[test]
fn numbers_are_short_when_they_will_be_gone_before_anybody_can_do_anything() {
    let mut world = World::new();
    assert!(!world.is_short(9000), "nothing to compare with");
    assert!(!world.is_short(9500), "slow");
    assert!(world.is_short(12_500), "3000 a second, 20268 left");
    assert!(!world.is_short(12_500));
    assert!(!world.is_short(300));
    assert!(!world.is_short(8000), "a host that boots");
    world.seen.load.tasks = None;
    assert!(!world.pids.is_short(Level::Normal, &world.seen));
    assert!(world.pids.is_short(Level::Warning, &world.seen));
}

proptest! {
    #[test]
    fn limits_stay_as_they_are_and_are_never_less_than_a_few(
        looks in proptest::collection::vec((proptest::option::of(0u64..50_000), any::<bool>(), 1usize..100), 1..30),
    ) {
        let mut world = World::new();
        for (tasks, pressed, seconds) in looks {
            for _ in 0..seconds {
                let before = world.held(JOB);
                world.second(tasks, pressed);
                let after = world.held(JOB);
                prop_assert!(world.held(WEB).is_none());
                prop_assert!(pressed || after.is_none());
                prop_assert!(after.is_none_or(|held| held.limit >= LEAST));
                prop_assert!(before.is_some() || tasks.is_some() || after.is_none(), "not read, and limited");
                prop_assert!(!pressed || before.is_none() || before == after);
            }
        }
    }

    #[test]
    fn never_above_what_is_configured(ceiling in 8u64..5000, tasks in 0u64..50_000) {
        let mut world = World::new();
        let job: &mut Component = world.rules.components.get_mut("job").unwrap();
        job.pids = Limit::At(ceiling);
        world.second(Some(tasks), true);
        let held = world.held(JOB).unwrap();
        prop_assert_eq!(held.limit, tasks.max(LEAST));
        let least = ceiling.min(held.limit);
        let mut state = crate::cycle::State::default();
        world.seen.load.tasks = Some(32_000);
        let mut wanted = None;
        for _ in 0..6 {
            world.seen.at = world.seen.at.plus(Span::secs(1));
            world.seen.generation += 1;
            let step = crate::cycle::step(&world.rules, state, &world.seen);
            state = step.state;
            let targets = step.news.unwrap().decision.targets;
            wanted = targets.into_iter().find_map(|target| {
                let Knob::PidsMax(limit) = target.knob else { return None };
                (target.at == CgroupPath::new(JOB)).then_some(limit)
            });
        }
        prop_assert_eq!(wanted, Some(Limit::At(least)));
    }
}
