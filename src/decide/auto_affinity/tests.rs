//! Days of demand, look by look: what is chosen, when, and what never happens.

use super::*;
use crate::units::CpuSet;
use proptest::prelude::*;

/// Sixteen CPUs: two caches of four cores with two threads each.
fn shape() -> Shape {
    Shape { cpus: 16, threads: 2, most: 8, cache: 8 }
}

const LOOK: Span = Span::secs(5);

/// Plays looks, and says when the mode and when anything changed.
struct Play {
    auto: Auto,
    now: Tick,
    priority: Priority,
    modes: Vec<Tick>,
    changes: Vec<Tick>,
}

fn mode(choice: Option<Choice>) -> Option<bool> {
    match choice? {
        Choice::Shared => None,
        Choice::Own { balanced, .. } => Some(balanced),
    }
}

impl Play {
    fn new(priority: Priority) -> Self {
        let now = Tick::default().plus(Span::secs(1000));
        Self { auto: Auto::default(), now, priority, modes: Vec::new(), changes: Vec::new() }
    }

    fn look(&mut self, sample: Sample) {
        self.now = self.now.plus(LOOK);
        let before = self.auto.choice;
        let told = self.auto.look((self.priority, shape()), sample, self.now);
        assert_eq!(told, before != self.auto.choice);
        if told {
            self.changes.push(self.now);
        }
        if told && mode(before) != mode(self.auto.choice) {
            self.modes.push(self.now);
        }
    }

    /// So many minutes of one demand beside a busy host.
    fn minutes(&mut self, count: u64, demand: u64) {
        for _ in 0..count * 12 {
            self.look(busy(demand));
        }
    }

    fn choice(&self) -> Option<Choice> {
        self.auto.choice
    }
}

/// It uses all that it wants, and so do the others.
fn busy(demand: u64) -> Sample {
    let demand = Some(Millicpu(demand));
    Sample { demand, usage: demand, others: Some(Millicpu(6000)) }
}

const fn own(cpus: usize) -> Option<Choice> {
    Some(Choice::Own { cpus, balanced: false })
}

#[test]
fn who_becomes_protected_is_one_of_whom_nothing_is_known() {
    let mut play = Play::new(Priority::Low);
    play.minutes(70, 1900);
    assert_eq!(play.choice(), Some(Choice::Shared));
    assert!(!play.auto.is_worth_keeping(), "it follows from the priority");
    play.priority = Priority::Critical;
    play.minutes(59, 1900);
    assert_eq!(play.choice(), None);
    play.minutes(3, 1900);
    assert_eq!(play.choice(), own(2));
}

#[test]
fn a_steady_critical_component_has_whole_cores_after_an_hour() {
    let mut play = Play::new(Priority::Critical);
    play.minutes(59, 1900);
    assert_eq!(play.choice(), None);
    assert_eq!(play.auto.to_string(), "as it was: 58 of 60 minutes seen");
    play.minutes(3, 1900);
    assert_eq!(play.choice(), own(2));
    assert_eq!(
        play.auto.to_string(),
        "dedicated: a steady demand of 1.9 cores, by the 95th percentile of an hour"
    );
}

#[test]
fn what_does_not_speak_for_it_is_said() {
    let told = |priority, sample: &dyn Fn(u64) -> Sample| {
        let mut play = Play::new(priority);
        for look in 0..62 * 12 {
            play.look(sample(look));
        }
        play.auto.to_string()
    };
    let alone = |_| Sample { others: Some(Millicpu(100)), ..busy(1900) };
    let waves = |look: u64| busy(if (look / 60).is_multiple_of(2) { 400 } else { 1900 });
    let lines = [
        told(Priority::Normal, &|_| busy(1900)),
        told(Priority::High, &|_| busy(1900)),
        told(Priority::Critical, &waves),
        told(Priority::Critical, &|_| busy(1300)),
        told(Priority::Critical, &|_| busy(8900)),
        told(Priority::Critical, &alone),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn more_than_a_cache_has_is_spread() {
    let small = Shape { cache: 4, ..shape() };
    let mut auto = Auto::default();
    let mut now = Tick::default();
    for _ in 0..62 * 12 {
        now = now.plus(LOOK);
        auto.look((Priority::High, small), busy(5900), now);
    }
    assert_eq!(auto.choice, Some(Choice::Own { cpus: 6, balanced: true }));
}

#[test]
fn a_seat_grows_when_it_is_used_up_and_shrinks_when_it_is_not_needed() {
    let mut play = Play::new(Priority::Critical);
    play.minutes(62, 3500);
    assert_eq!(play.choice(), own(4));
    play.minutes(4, 4000);
    assert_eq!(play.choice(), own(4));
    play.minutes(2, 4000);
    assert_eq!(play.choice(), own(6), "a core more");
    play.minutes(10, 4000);
    assert_eq!(play.choice(), own(6), "two thirds of it are used");
    play.minutes(140, 1700);
    assert_eq!(play.choice(), own(2));
}

#[test]
fn a_seat_never_grows_beyond_half_of_the_cores() {
    let mut play = Play::new(Priority::Critical);
    play.minutes(62, 7900);
    assert_eq!(play.choice(), own(8));
    play.minutes(60, 8000);
    assert_eq!(play.choice(), own(8));
}

#[test]
fn what_is_not_seen_changes_nothing() {
    let mut play = Play::new(Priority::Critical);
    play.minutes(62, 1900);
    let had = play.choice();
    for _ in 0..300 * 12 {
        play.look(Sample::default());
    }
    assert_eq!(play.choice(), had, "five hours without a word");
    play.minutes(50, 200);
    assert_eq!(play.choice(), had, "not an hour yet");
    play.minutes(30, 200);
    assert_eq!(play.choice(), Some(Choice::Shared));
}

#[test]
fn who_is_no_longer_protected_shares_at_once() {
    let mut play = Play::new(Priority::Critical);
    play.minutes(62, 1900);
    play.priority = Priority::Low;
    play.look(busy(1900));
    assert_eq!(play.choice(), Some(Choice::Shared));
}

#[test]
fn a_host_has_the_shape_of_its_topology() {
    let mut topology = Topology::flat(&CpuSet::of(0..6));
    for core in &mut topology.cores[4..] {
        core.cache = 4;
    }
    let expected = Shape { cpus: 6, threads: 1, most: 3, cache: 4 };
    assert_eq!(Shape::of(&topology), expected);
}

/// Stretches of so many minutes, each of one demand and a part of which is not seen.
fn days() -> impl Strategy<Value = Vec<(u64, u64, u64, bool)>> {
    let demand = prop_oneof![0u64..400, 1000u64..2000, 3000u64..4100, 0u64..20_000];
    prop::collection::vec((1u64..100, demand, 0u64..16_000, prop::bool::weighted(0.8)), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_demand_breaks_a_rule(stretches in days(), critical: bool) {
        let priority = if critical { Priority::Critical } else { Priority::High };
        let mut play = Play::new(priority);
        for (minutes, demand, others, seen) in stretches {
            for _ in 0..minutes * 12 {
                let before = play.choice();
                let sample = Sample { others: Some(Millicpu(others)), ..busy(demand) };
                play.look(if seen { sample } else { Sample::default() });
                if let Some(Choice::Own { cpus, balanced }) = play.choice() {
                    prop_assert!((1..=shape().most).contains(&cpus));
                    prop_assert!(cpus.is_multiple_of(shape().threads));
                    prop_assert!(critical || balanced);
                }
                prop_assert!(before.is_none() || play.choice().is_some(), "nothing is unlearnt");
            }
        }
        for pair in play.modes.windows(2) {
            prop_assert!(pair[1].since(pair[0]) >= CHANGE_EVERY, "{:?}", play.modes);
        }
        for pair in play.changes.windows(2) {
            prop_assert!(pair[1].since(pair[0]) >= Span::secs(300), "{:?}", play.changes);
        }
    }

    #[test]
    fn a_constant_load_is_judged_once(demand in 0u64..20_000, others in 0u64..16_000) {
        let mut play = Play::new(Priority::Critical);
        for _ in 0..62 * 12 {
            play.look(Sample { others: Some(Millicpu(others)), ..busy(demand) });
        }
        let first = play.choice();
        prop_assert!(first.is_some());
        // What is used up grows until it is not.
        for _ in 0..60 * 12 {
            play.look(Sample { others: Some(Millicpu(others)), ..busy(demand) });
        }
        let grown = play.choice();
        for _ in 0..600 * 12 {
            play.look(Sample { others: Some(Millicpu(others)), ..busy(demand) });
        }
        prop_assert_eq!(play.choice(), grown);
        prop_assert_eq!(mode(first), mode(grown));
    }
}

/// What a daemon that begins now knows after one that ended.
fn restarted(play: &Play) -> Auto {
    let name: ComponentName = "db".parse().unwrap();
    let autos = Autos { components: BTreeMap::from([(name.clone(), play.auto.clone())]) };
    let learnt = crate::model::Learnt::new("boot".to_owned(), autos.learnt());
    let text = learnt.text().unwrap();
    let mut fresh = Autos::default();
    fresh.recall(&crate::model::Learnt::read(text.as_bytes()).unwrap().components);
    fresh.components.remove(&name).unwrap_or_default()
}

#[test]
fn a_restart_does_not_begin_the_hour_anew() {
    let mut play = Play::new(Priority::Critical);
    play.minutes(40, 1900);
    play.auto = restarted(&play);
    play.minutes(19, 1900);
    assert_eq!(play.choice(), None, "not an hour yet");
    play.minutes(4, 1900);
    assert_eq!(play.choice(), own(2));
    play.auto = restarted(&play);
    assert_eq!(play.choice(), own(2));
    assert_eq!(
        play.auto.to_string(),
        "dedicated: as it was chosen before provost was started again"
    );
    // Nor is a change sooner than an hour after the last one.
    let changed = play.now;
    play.minutes(120, 100);
    assert_eq!(play.choice(), Some(Choice::Shared));
    assert!(play.changes[1].since(changed) >= Span::secs(55 * 60), "{:?}", play.changes);
}

#[test]
fn a_long_absence_begins_the_hour_anew() {
    let mut play = Play::new(Priority::Critical);
    play.minutes(50, 1900);
    play.auto = restarted(&play);
    play.now = play.now.plus(Span::secs(11 * 60));
    play.minutes(30, 1900);
    assert_eq!(play.choice(), None);
    assert!(play.auto.to_string().contains("of 60 minutes seen"), "{}", play.auto);
    assert!(play.auto.hour.count < 31, "{}", play.auto.hour.count);
}

proptest! {
    #[test]
    fn whatever_was_kept_can_be_gone_on_with(
        minutes in proptest::collection::vec(std::array::from_fn::<_, 3, _>(|_| 0u64..1_000_000_001), 0..61),
        until in 0u64..2_000_000_000,
        ages in [proptest::option::of(0u64..2_000_000_000), proptest::option::of(0u64..2_000_000_000)],
        cpus in proptest::option::of(1u32..8193),
        minutes_of_size in any::<u32>(),
    ) {
        let minute = |[demand, usage, others]: [u64; 3]| crate::model::LearntMinute {
            demand: Millicpu(demand),
            usage: Millicpu(usage),
            others: Millicpu(others),
        };
        let [judged_at, changed_at] = ages.map(|age| age.map(|age| Tick(until.saturating_sub(age))));
        let choice = cpus.map(|cpus| crate::model::LearntChoice::Own { cpus, balanced: false });
        let minutes = minutes.into_iter().map(minute).collect();
        let until = Tick(until);
        let demand = crate::model::LearntDemand {
            minutes, until, judged_at, changed_at, minutes_of_size, choice,
        };
        let mut play = Play::new(Priority::Critical);
        play.now = play.now.plus(Span::secs(2000));
        play.auto = Auto::recalled(&demand);
        prop_assert_eq!(play.auto.learnt(), demand);
        play.minutes(62, 1900);
        prop_assert!(play.choice().is_some(), "{}", play.auto);
    }

    #[test]
    fn what_was_learnt_survives_a_restart(
        demands in proptest::collection::vec((1u64..8, 0u64..16_000), 0..30),
    ) {
        let mut play = Play::new(Priority::Critical);
        for (minutes, demand) in demands {
            play.minutes(minutes, demand);
        }
        let again = restarted(&play);
        if play.auto.is_worth_keeping() {
            prop_assert_eq!(again.learnt(), play.auto.learnt());
            prop_assert_eq!(again.hour.p95(), play.auto.hour.p95());
            prop_assert_eq!(again.hour.variation(), play.auto.hour.variation());
            prop_assert_eq!(again.choice, play.auto.choice);
        } else {
            prop_assert_eq!(again, Auto::default());
        }
    }
}
