//! The ladder over time: a host whose memory is given look by look, on which everything that is decided is done.

mod telling;

use super::*;
use crate::config::Component;
use crate::model::{Knob, MemoryStat, Outcome, Priority, Psi, PsiLine};
use crate::testing::{add_home, component, host, policy, set};
use proptest::prelude::*;

/// MiB of a host of 2 GiB that are an emergency, critical, and plenty.
const NOTHING: u64 = 20;
const LITTLE: u64 = 80;
const PLENTY: u64 = 1500;

struct Stage {
    policy: Policy,
    seen: Snapshot,
    estimator: Estimator,
    ladder: Ladder,
    /// Whether what was ordered is answered.
    answers: bool,
    /// When each was killed.
    killed: Vec<(Tick, String)>,
    reclaimed: Bytes,
    /// When each was told, and at which level.
    told: Vec<(Tick, String, Level)>,
}

fn path(name: &str) -> CgroupPath {
    CgroupPath::new(&format!("system.slice/{name}.service"))
}

fn job(name: &str, last_resort: LastResort) -> Component {
    Component { last_resort, ..component(name, Priority::Low) }
}

impl Stage {
    /// A protected service and jobs of which so much may be done.
    fn new(jobs: &[(&str, LastResort)]) -> Self {
        let mut components = vec![component("web", Priority::Critical)];
        components.extend(jobs.iter().map(|(name, last)| job(name, *last)));
        let mut seen = host();
        for one in &components {
            add_home(&mut seen, one, path(one.name.as_str()).as_str());
        }
        let policy = policy(components);
        let (estimator, ladder) = (Estimator::default(), Ladder::default());
        let (killed, told) = (Vec::new(), Vec::new());
        let (answers, reclaimed) = (true, Bytes::ZERO);
        let mut stage = Self { policy, seen, estimator, ladder, answers, killed, reclaimed, told };
        for (name, _) in jobs {
            stage.holds(name, 500, 500);
        }
        stage
    }

    /// In MiB, and how much of that is anonymous.
    fn holds(&mut self, name: &str, usage: u64, anon: u64) {
        let group = self.seen.groups.get_mut(&path(name)).unwrap();
        group.usage.memory = Some(Bytes::mebi(usage));
        group.usage.pids = Some(7);
        group.usage.memory_stat =
            Some(MemoryStat { anon: Bytes::mebi(anon), ..MemoryStat::default() });
    }

    /// So much of the next second somebody protected waits for memory.
    fn waits(&mut self, percent: u64) {
        let usage = &mut self.seen.groups.get_mut(&path("web")).unwrap().usage;
        let before = usage.memory_psi.unwrap_or_default().some.total_usec;
        let line = PsiLine { total_usec: before + percent * 10_000, avg10_centi: 0 };
        usage.memory_psi = Some(Psi { some: line, full: PsiLine::default() });
    }

    /// A second in which so many MiB are available.
    fn second(&mut self, available: u64) {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        self.look(Some(available));
    }

    fn look(&mut self, available: Option<u64>) {
        let at = self.seen.at;
        self.seen.load.memory_available = available.map(Bytes::mebi);
        self.seen.groups.values_mut().for_each(|group| group.usage.sensed_at = Some(at));
        self.estimator.update(&self.policy, &self.seen);
        let (policy, estimator, seen) = (&self.policy, &self.estimator, &self.seen);
        let look = Look { policy, estimator, seen, because: "web waits for memory" };
        self.ladder.update(&look);
        self.seen.outcomes.clear();
        let reliefs: Vec<Relief> = self.ladder.reliefs().cloned().collect();
        let answered = if self.answers { reliefs } else { Vec::new() };
        for relief in answered {
            match relief.means {
                Means::Kill { .. } => self.killed.push((at, relief.component.to_string())),
                Means::Tell { level, .. } => {
                    self.told.push((at, relief.component.to_string(), level))
                }
                Means::Reclaim { bytes } => self.reclaimed = self.reclaimed.plus(bytes),
                Means::TellOfLeak { .. } | Means::Probe { .. } | Means::Restart { .. } => {
                    panic!("{relief:?}")
                }
            }
            self.answer(relief, Verdict::Applied);
        }
        self.ladder.hear(&self.seen);
        let names: Vec<String> = self.policy.components.keys().map(ToString::to_string).collect();
        for name in names {
            let frozen = Knob::CgroupFreeze(self.stands(&name));
            set(&mut self.seen, path(&name).as_str(), frozen);
        }
    }

    fn answer(&mut self, relief: Relief, verdict: Verdict) {
        let of = OutcomeOf::Relief { means: relief.means };
        let (at, path) = (self.seen.at, relief.at.path);
        let component = Some(relief.component);
        self.seen.outcomes.push(Outcome { at, component, path, of, verdict, took: Span::ZERO });
    }

    fn stands(&self, name: &str) -> bool {
        self.ladder.standstill(&path(name)) == Some(Standstill::Frozen)
    }

    fn rung(&self) -> Option<Rung> {
        self.ladder.stood.map(|stood| stood.rung)
    }

    /// Seconds until something holds.
    fn until(&mut self, available: u64, holds: impl Fn(&Self) -> bool) -> u64 {
        for seconds in 0..200 {
            if holds(self) {
                return seconds;
            }
            self.second(available);
        }
        panic!("never: {:?}", self.ladder);
    }
}

#[test]
fn nothing_is_done_while_memory_is_not_short() {
    let mut stage = Stage::new(&[("job", LastResort::Kill)]);
    for _ in 0..100 {
        stage.second(PLENTY);
        assert_eq!(stage.ladder, Ladder { at: stage.seen.at, ..Ladder::default() });
    }
}

#[test]
fn one_rung_after_the_other_and_down_again_in_reverse() {
    let mut stage = Stage::new(&[("job", LastResort::Kill)]);
    stage.holds("job", 500, 300);
    let mut rungs = Vec::new();
    let mut look = |stage: &mut Stage, available| {
        stage.second(available);
        if rungs.last() != Some(&stage.rung()) {
            rungs.push(stage.rung());
        }
    };
    (0..60).for_each(|_| look(&mut stage, NOTHING));
    assert_eq!(stage.killed.first().map(|(_, who)| who.as_str()), Some("job"));
    (0..200).for_each(|_| look(&mut stage, PLENTY));
    use Rung::{Freeze, Kill, Limits, Reclaim};
    let up = [None, Some(Limits), Some(Reclaim), Some(Freeze), Some(Kill), Some(Freeze)];
    assert_eq!(rungs[..6], up, "{rungs:?}");
    assert_eq!(rungs[rungs.len() - 4..], [Some(Freeze), Some(Reclaim), Some(Limits), None]);
    assert!(!stage.stands("job") && stage.ladder.reliefs().next().is_none());
}

#[test]
fn a_rung_that_helps_is_the_last() {
    let mut stage = Stage::new(&[("job", LastResort::Kill)]);
    stage.holds("job", 500, 300);
    let mut available = LITTLE;
    for _ in 0..120 {
        stage.second(available);
        if stage.rung() == Some(Rung::Reclaim) {
            available += 8; // a fifth less is missing in ten seconds
        }
        assert!(stage.rung() <= Some(Rung::Reclaim), "{:?}", stage.ladder);
    }
    assert!(stage.reclaimed > Bytes::ZERO);
}

#[test]
fn what_cannot_be_reclaimed_is_not_asked_for() {
    let mut stage = Stage::new(&[("job", LastResort::Freeze)]);
    stage.until(NOTHING, |stage| stage.rung() == Some(Rung::Freeze));
    assert_eq!(stage.reclaimed, Bytes::ZERO, "all of it is anonymous, and there is no swap");
    stage.holds("job", 500, 200);
    stage.second(NOTHING);
    assert_eq!(stage.reclaimed, SLICE);
    stage.policy.components.values_mut().for_each(|one| one.memory.guarantee = Bytes::mebi(490));
    stage.second(NOTHING);
    assert_eq!(stage.reclaimed, SLICE.plus(Bytes::mebi(10)), "never below the guarantee");
    stage.seen.host.reclaim = false;
    stage.second(NOTHING);
    assert_eq!(stage.reclaimed, SLICE.plus(Bytes::mebi(10)), "this kernel has no such file");
}

#[test]
fn a_dry_group_is_left_alone_for_half_a_minute() {
    let mut stage = Stage::new(&[("job", LastResort::Nothing)]);
    stage.holds("job", 500, 0);
    stage.answers = false;
    stage.until(LITTLE, |stage| stage.ladder.reliefs().next().is_some());
    let relief = stage.ladder.reliefs().next().unwrap().clone();
    stage.answer(relief, Verdict::Refused { errno: EAGAIN, advice: String::new() });
    stage.ladder.hear(&stage.seen);
    assert_eq!(stage.until(LITTLE, |stage| stage.ladder.dry.is_empty()), 30);
    stage.second(LITTLE);
    assert!(stage.ladder.reliefs().next().is_some());
}

#[test]
fn a_standstill_that_is_of_no_use_is_not_repeated() {
    let mut stage = Stage::new(&[("job", LastResort::Freeze), ("other", LastResort::Freeze)]);
    stage.until(NOTHING, |stage| stage.stands("job"));
    assert!(!stage.stands("other"), "one after the other");
    stage.until(NOTHING, |stage| stage.stands("other"));
    assert!(!stage.stands("job"));
    stage.until(NOTHING, |stage| !stage.stands("other"));
    for _ in 0..100 {
        stage.second(NOTHING);
        assert!(!stage.stands("job") && !stage.stands("other"));
    }
    let view = stage.ladder.view().unwrap();
    assert!(view.holds.contains("last-resort"), "{view:?}");
    assert_eq!(view.next, None);
}

#[test]
fn a_standstill_that_helps_comes_again_after_a_rest() {
    let mut stage = Stage::new(&[("job", LastResort::Freeze)]);
    stage.holds("job", 500, 500);
    let mut course = Vec::new();
    for _ in 0..200 {
        // Whoever is protected waits while the job runs.
        stage.waits(if stage.stands("job") { 0 } else { 90 });
        stage.second(LITTLE);
        course.push(stage.stands("job"));
    }
    let still = course.iter().filter(|still| **still).count();
    assert!(course.windows(2).filter(|pair| !pair[0] && pair[1]).count() > 2, "{course:?}");
    assert!((80..=150).contains(&still), "{still} of 200 s");
}

#[test]
fn nobody_is_killed_by_default_nor_beside_oomd() {
    for (last_resort, oomd) in [(LastResort::Freeze, false), (LastResort::Kill, true)] {
        let mut stage = Stage::new(&[("job", last_resort)]);
        stage.seen.host.oomd = oomd;
        (0..300).for_each(|_| stage.second(NOTHING));
        assert_eq!(stage.killed, []);
    }
}

#[test]
fn of_several_the_largest_goes_and_nobody_who_may_not() {
    let jobs =
        [("big", LastResort::Freeze), ("mid", LastResort::Kill), ("small", LastResort::Kill)];
    let mut stage = Stage::new(&jobs);
    stage.holds("big", 900, 900);
    stage.holds("small", 100, 100);
    stage.until(NOTHING, |stage| stage.stands("big"));
    let hit = stage.ladder.view().unwrap().next.clone();
    assert!(stage.until(NOTHING, |stage| !stage.killed.is_empty()) <= 30, "{hit:?}");
    assert_eq!(stage.killed[0].1, "mid");
}

#[test]
fn an_order_that_nobody_answers_is_given_up() {
    let mut stage = Stage::new(&[("job", LastResort::Kill)]);
    stage.answers = false;
    stage.until(NOTHING, |stage| stage.ladder.order.is_some());
    assert_eq!(stage.until(NOTHING, |stage| stage.ladder.order.is_none()), 10);
    assert_eq!(stage.ladder.kills.len(), 1, "and counts all the same");
}

#[test]
fn whoever_holds_others_stands_still_for_nobody() {
    for protected in [true, false] {
        let mut stage = Stage::new(&[("job", LastResort::Kill)]);
        if protected {
            stage.seen.groups.get_mut(&path("job")).unwrap().holds_protected = true;
        } else {
            let other = component("other", Priority::Normal);
            let below = path("job").child("inner");
            add_home(&mut stage.seen, &other, below.as_str());
        }
        (0..120).for_each(|_| stage.second(NOTHING));
        assert!(!stage.stands("job"));
        assert_eq!(stage.killed, []);
        assert_eq!(stage.rung(), Some(Rung::Limits));
    }
}

#[test]
fn who_was_frozen_by_somebody_else_is_left_to_them() {
    let mut stage = Stage::new(&[("job", LastResort::Freeze)]);
    for _ in 0..60 {
        set(&mut stage.seen, path("job").as_str(), Knob::CgroupFreeze(true));
        stage.second(NOTHING);
        assert!(!stage.stands("job"));
    }
}

/// Some seconds of memory: how much is available (none: cannot be read), how much is waited, how long until the next look.
fn spell() -> impl Strategy<Value = (Option<u64>, u64, u64, u64)> {
    let available = prop_oneof![
        1 => Just(None),
        6 => (0u64..300).prop_map(Some),
        2 => (0u64..2048).prop_map(Some),
    ];
    (available, 0u64..100, 1u64..60, prop_oneof![8 => Just(1u64), 1 => 2u64..90])
}

const NAMES: [(&str, LastResort); 4] = [
    ("a", LastResort::Kill),
    ("b", LastResort::Kill),
    ("c", LastResort::Freeze),
    ("d", LastResort::Nothing),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_bounds_hold_whatever_memory_does(
        spells in proptest::collection::vec(spell(), 1..12),
        anon in 0u64..500,
        answers in any::<bool>(),
    ) {
        let mut stage = Stage::new(&NAMES);
        stage.answers = answers;
        NAMES.iter().for_each(|(name, _)| stage.holds(name, 500, anon));
        let mut kills: Vec<Tick> = Vec::new();
        let mut since: BTreeMap<&str, Tick> = BTreeMap::new();
        let mut until_rest: BTreeMap<&str, Tick> = BTreeMap::new();
        for (available, waits, seconds, gap) in spells {
            for second in 0..seconds {
                let span = if second == 0 { gap } else { 1 };
                stage.waits(waits);
                stage.seen.at = stage.seen.at.plus(Span::secs(span));
                let had = stage.ladder.kills.len();
                stage.look(available);
                let now = stage.seen.at;
                if stage.ladder.kills.last() == Some(&now) {
                    kills.push(now);
                }
                prop_assert!(had <= MOST_KILLS && stage.ladder.kills.len() <= MOST_KILLS);
                let lately = kills.iter().filter(|at| now.since(**at) < KILLS_WITHIN).count();
                prop_assert!(lately <= MOST_KILLS, "{:?}", kills);
                prop_assert!(kills.windows(2).all(|pair| pair[1].since(pair[0]) >= AFTER_KILL));
                for (name, allowed) in NAMES {
                    let still = stage.stands(name);
                    prop_assert!(!still || allowed >= LastResort::Freeze, "{} stands still", name);
                    if still {
                        let began = *since.entry(name).or_insert(now);
                        prop_assert!(now.since(began) < LONGEST, "{} too long", name);
                        let rested = until_rest.get(name).is_none_or(|until| now >= *until);
                        prop_assert!(rested, "{} had no rest", name);
                    } else if let Some(began) = since.remove(name) {
                        let rest = Span(now.since(began).0 / 3).max(LEAST_RUN);
                        until_rest.insert(name, now.plus(rest));
                    }
                }
                for relief in stage.ladder.reliefs() {
                    let allowed = stage.policy.components[&relief.component].last_resort;
                    let kills = matches!(relief.means, Means::Kill { .. });
                    prop_assert!(!kills || allowed == LastResort::Kill, "{:?}", relief);
                }
                let normal = stage.estimator.levels().memory == Level::Normal;
                prop_assert!(!normal || NAMES.iter().all(|(name, _)| !stage.stands(name)));
                prop_assert!(stage.killed.iter().all(|(_, who)| who == "a" || who == "b"));
            }
        }
        (0..1500).for_each(|_| stage.second(PLENTY));
        prop_assert_eq!(stage.rung(), None);
        let Ladder { frozen, resting, order, reclaims, view, .. } = stage.ladder;
        prop_assert!(frozen.is_empty() && resting.is_empty() && order.is_none());
        prop_assert!(reclaims.is_empty() && view.is_none());
    }
}
