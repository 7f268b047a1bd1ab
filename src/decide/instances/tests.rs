//! Instances look by look: when one more is started, when one is stopped, and that jobs which fail rest.

use super::*;
use crate::config::{Policy, Steer};
use crate::cycle::{State, step};
use crate::model::{Action, Outcome, Priority};
use crate::testing::{add_home, carry_out, component, forecast, host, policy, prospects};
use crate::units::CpuTime;
use proptest::prelude::*;

const COOLDOWN: u64 = 60;

/// A host on which jobs take a second.
struct World {
    rules: Policy,
    seen: Snapshot,
    state: State,
    /// What systemd says to the next job, if it refuses.
    refuses: Option<String>,
    /// Whether what is started runs.
    runs: bool,
    findings: Vec<Finding>,
}

impl World {
    fn new(least: u64, most: u64, running: u64) -> Self {
        let mut worker = component("worker", Priority::Normal);
        worker.instances = Some(Instances {
            template: Template::parse("worker@.service").unwrap(),
            least,
            most,
            up: Millicpu(800),
            down: Millicpu(400),
            cooldown: Span::secs(COOLDOWN),
            drain: None,
        });
        let rules = policy([worker]);
        let (state, refuses) = (State::default(), None);
        let mut world =
            Self { rules, seen: host(), state, refuses, runs: true, findings: Vec::new() };
        (1..=running).for_each(|number| world.begin(&format!("worker@{number}.service")));
        world
    }

    fn begin(&mut self, unit: &str) {
        let worker = self.rules.components["worker"].clone();
        add_home(&mut self.seen, &worker, &format!("system.slice/{unit}"));
        self.seen.generation += 1;
    }

    fn end(&mut self, unit: &str) {
        let path = CgroupPath::new(&format!("system.slice/{unit}"));
        self.seen.groups.remove(&path);
        self.seen.homes.get_mut("worker").unwrap().retain(|home| *home.path() != path);
        self.seen.generation += 1;
    }

    fn count(&self) -> u64 {
        self.seen.homes.get("worker").map_or(0, |homes| homes.len() as u64)
    }

    /// A second in which all instances together use so many thousandths of a CPU, if that can be read. The jobs that were begun.
    fn second(&mut self, used: Option<u64>) -> Vec<(JobKind, String)> {
        let count = self.count().max(1);
        let paths: Vec<CgroupPath> =
            self.seen.homes.values().flatten().map(|home| home.path().clone()).collect();
        for path in paths {
            let usage = &mut self.seen.groups.get_mut(&path).unwrap().usage;
            let spent = usage.cpu.map_or(0, |cpu| cpu.0);
            usage.cpu = used.map(|used| CpuTime(spent + used * 1000 / count));
        }
        let step = step(&self.rules, std::mem::take(&mut self.state), &self.seen);
        self.state = step.state;
        let Some(news) = step.news else {
            self.seen.outcomes.clear();
            self.seen.at = self.seen.at.plus(Span::secs(1));
            return Vec::new();
        };
        self.findings = news.findings;
        let actions = news.plan.actions;
        self.seen = carry_out(&self.seen, &actions);
        let jobs = actions
            .into_iter()
            .filter_map(|action| if let Action::Job { job } = action { Some(job) } else { None });
        let jobs: Vec<UnitJob> = jobs.collect();
        jobs.iter().for_each(|job| self.run(job));
        jobs.into_iter().map(|job| (job.kind, job.unit)).collect()
    }

    fn run(&mut self, job: &UnitJob) {
        let outcome = |ended, verdict| Outcome {
            at: self.seen.at,
            component: Some(job.component.clone()),
            path: job.at.clone(),
            of: OutcomeOf::Unit { unit: job.unit.clone(), job: job.kind, ended },
            verdict,
            took: Span::ZERO,
        };
        let end = match self.refuses.clone() {
            Some(advice) => Verdict::Refused { errno: 0, advice },
            None => Verdict::Applied,
        };
        let both = [outcome(false, Verdict::Applied), outcome(true, end)];
        self.seen.outcomes.extend(both);
        match job.kind {
            _ if self.refuses.is_some() => {}
            JobKind::Start if self.runs => self.begin(&job.unit),
            JobKind::Start => {}
            JobKind::Stop => self.end(&job.unit),
        }
    }

    fn seconds(&mut self, count: u64, used: u64) -> Vec<(JobKind, String)> {
        (0..count).flat_map(|_| self.second(Some(used))).collect()
    }

    fn worker(&mut self) -> &mut Component {
        self.rules.components.get_mut("worker").unwrap()
    }
}

fn start(number: u64) -> (JobKind, String) {
    (JobKind::Start, format!("worker@{number}.service"))
}

fn stop(number: u64) -> (JobKind, String) {
    (JobKind::Stop, format!("worker@{number}.service"))
}

#[test]
fn the_least_are_started_one_after_the_other() {
    let mut world = World::new(3, 4, 0);
    assert_eq!(world.second(None), [start(1)]);
    assert_eq!(world.seconds(60, 100), [start(2), start(3)]);
    assert_eq!(world.seconds(300, 500), []);
}

#[test]
fn busy_ones_get_another_and_a_load_that_went_loses_it_after_the_cooldown() {
    let mut world = World::new(1, 8, 1);
    assert_eq!(world.seconds(300, 790), []);
    assert_eq!(world.seconds(9, 990), [], "ten seconds of it are not over");
    assert_eq!(world.seconds(5, 990), [start(2)]);
    assert_eq!(world.seconds(300, 1500), [], "eight tenths each");
    assert_eq!(world.seconds(60, 1900), [start(3)]);
    let views = world.state.steering.instances(&world.rules.components["worker"], &world.seen);
    let view = views.unwrap();
    assert_eq!(view.run, 3);
    assert!(view.because.starts_with("started worker@3.service: 2 use 1.9 cores"), "{view:?}");
    assert_eq!(world.seconds(COOLDOWN - 1, 100), []);
    assert_eq!(world.seconds(3, 100), [stop(3)], "the highest number");
    assert_eq!(world.seconds(COOLDOWN - 5, 100), []);
    assert_eq!(world.seconds(10, 100), [stop(2)]);
    assert_eq!(world.seconds(300, 0), [], "one is the least");
}

#[test]
fn a_forecast_starts_one_ahead_of_the_load_unless_forecasts_decide_nothing() {
    let mut world = World::new(1, 8, 1);
    let expected = Some(forecast((500, 900, 1000), 80));
    world.state.prospects = prospects("worker", expected, None);
    world.rules.steer = Steer::Off;
    assert_eq!(world.seconds(300, 500), []);
    world.rules.steer = Steer::Memory;
    assert_eq!(world.seconds(300, 500), [start(2)], "for two it is half a core each");
}

#[test]
fn the_lowest_free_number_is_taken_and_what_is_too_many_is_stopped() {
    let mut world = World::new(1, 8, 3);
    world.end("worker@2.service");
    assert_eq!(world.seconds(30, 1990)[0], start(2));
    world.worker().instances.as_mut().unwrap().most = 2;
    world.state.replan();
    assert_eq!(world.seconds(COOLDOWN + 5, 1990), [stop(3)]);
    assert_eq!(world.seconds(300, 1990), []);
}

#[test]
fn what_is_not_numbered_is_nobodys_to_stop() {
    let mut world = World::new(1, 8, 1);
    world.begin("worker@blue.service");
    assert_eq!(world.seconds(600, 10), []);
}

#[test]
fn jobs_that_fail_rest_and_are_told() {
    let mut world = World::new(1, 4, 0);
    world.refuses = Some("worker@1.service has no unit file".to_owned());
    let mut begun = Vec::new();
    for second in 0..300 {
        if !world.second(None).is_empty() {
            begun.push(second);
        }
    }
    assert_eq!(begun.len(), 4, "{begun:?}: after 20, 40, 80 seconds");
    let told = |world: &World| {
        let is_it = |finding: &&Finding| finding.kind == FindingKind::Refused;
        world.findings.iter().find(is_it).map(|finding| finding.text.clone())
    };
    let text = told(&world).unwrap();
    assert!(text.starts_with("worker@1.service could not be started: worker@1.service has no unit file; tried again in "), "{text}");
    world.refuses = None;
    world.seconds(300, 10);
    assert_eq!((world.count(), told(&world)), (1, None));
}

#[test]
fn one_that_ends_at_once_is_a_failure_too() {
    let mut world = World::new(1, 4, 0);
    world.runs = false;
    let begun: usize = (0..600).map(|_| world.second(None).len()).sum();
    assert!((3..10).contains(&begun), "{begun}");
    let text = &world.findings.iter().find(|one| one.kind == FindingKind::Refused).unwrap().text;
    assert!(text.contains("was started and does not run"), "{text}");
}

#[test]
fn nothing_known_nothing_done_and_auto_scale_false_freezes() {
    let mut world = World::new(1, 8, 2);
    let mut begun: usize = (0..600).map(|_| world.second(None).len()).sum();
    world.worker().auto_scale = false;
    begun += world.seconds(300, 1990).len() + world.seconds(300, 0).len();
    assert_eq!(begun, 0);
    world.worker().auto_scale = true;
    world.seen.host.systemd = false;
    assert_eq!(world.seconds(300, 1990), [], "nobody could do it");
}

#[test]
fn an_order_that_nobody_carries_out_is_decided_anew() {
    let mut world = World::new(2, 8, 1);
    for second in 0..100 {
        world.seen.at = world.seen.at.plus(Span::secs(1));
        let step = step(&world.rules, std::mem::take(&mut world.state), &world.seen);
        world.state = step.state;
        if let Some(news) = step.news {
            let jobs: Vec<String> = news.decision.jobs.into_iter().map(|job| job.unit).collect();
            assert_eq!(jobs, ["worker@2.service"], "{second}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn never_below_the_least_nor_above_the_most_and_a_cooldown_before_each_stop(
        bounds in (1u64..4, 0u64..4),
        loads in proptest::collection::vec((proptest::option::of(0u64..2000), 1u64..120), 1..12),
    ) {
        let (least, most) = (bounds.0, bounds.0 + bounds.1);
        let mut world = World::new(least, most, least);
        let mut last: Option<Tick> = None;
        for (load, seconds) in loads {
            for _ in 0..seconds {
                let now = world.seen.at;
                let jobs = world.second(load);
                prop_assert!((least..=most).contains(&world.count()));
                prop_assert!(jobs.len() <= 1);
                for (kind, _) in jobs {
                    prop_assert!(load.is_some());
                    let rested = last.is_none_or(|last| now.since(last) >= Span::secs(COOLDOWN));
                    prop_assert!(rested || kind == JobKind::Start);
                    last = Some(now);
                }
            }
        }
    }

    #[test]
    fn a_constant_load_comes_to_rest(load in 0u64..2000, running in 1u64..5) {
        let mut world = World::new(1, 4, running);
        world.seconds(20 * COOLDOWN, load);
        prop_assert_eq!(world.seconds(10 * COOLDOWN, load), []);
    }
}
