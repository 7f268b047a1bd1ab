//! Storms of writes against the bucket, look by look.

use super::*;
use crate::model::{Outcome, Priority, Reason, Verdict};
use crate::testing::{add_home, component, host, policy};
use crate::units::{Bytes, CgroupRef, Limit};
use proptest::prelude::*;

const KINDS: [KnobKind; 3] = [KnobKind::PidsMax, KnobKind::MemoryLow, KnobKind::MemoryMax];

fn knob(kind: KnobKind, value: u64) -> Knob {
    if kind == KnobKind::PidsMax {
        Knob::PidsMax(Limit::At(value))
    } else if kind == KnobKind::MemoryLow {
        Knob::MemoryLow(Limit::At(Bytes(value)))
    } else {
        Knob::MemoryMax(Limit::At(Bytes(value)))
    }
}

fn place(group: usize, kind: usize) -> Place {
    (CgroupPath::new(&format!("system.slice/g{group:03}.service")), KINDS[kind])
}

fn write((path, kind): &Place, value: u64) -> Action {
    let change = Change {
        component: None,
        old: Reading::Is(knob(*kind, 1 << 40)),
        new: knob(*kind, value),
        reason: Reason::PriorityShare,
    };
    Action::Write { at: CgroupRef { path: path.clone(), id: CgroupId(7) }, change }
}

/// A host at which only the bucket matters.
struct Stage {
    policy: Policy,
    seen: Snapshot,
    pacing: Pacing,
    /// How many writes were done, and when.
    done: Vec<(Tick, usize)>,
}

impl Stage {
    fn new(rate: u64, burst: u64) -> Self {
        let mut policy = policy([component("web", Priority::High)]);
        policy.writes = Writes { rate, burst };
        Self { policy, seen: host(), pacing: Pacing::default(), done: Vec::new() }
    }

    /// A look after so long, at which these are wanted; what is written.
    fn look(&mut self, millis: u64, wanted: Vec<Action>) -> Vec<Action> {
        self.seen.at = self.seen.at.plus(Span::millis(millis));
        self.pacing.update(self.policy.writes, &self.seen);
        let mut plan = Plan { actions: wanted };
        let ownership = Ownership::default();
        self.pacing.defer(&self.policy, &ownership, &self.seen, &mut plan);
        self.seen.outcomes.clear();
        for action in &plan.actions {
            for change in action.changes() {
                self.seen.outcomes.push(outcome(self.seen.at, action.path(), &change.new));
            }
        }
        self.done.push((self.seen.at, self.seen.outcomes.len()));
        plan.actions
    }
}

fn outcome(at: Tick, path: &CgroupPath, knob: &Knob) -> Outcome {
    Outcome {
        at,
        component: None,
        path: path.clone(),
        of: OutcomeOf::Knob {
            knob: knob.kind(),
            asked: knob.clone(),
            id: Some(CgroupId(7)),
            original: None,
            passing: false,
        },
        verdict: Verdict::Applied,
        took: Span::ZERO,
    }
}

#[test]
fn a_burst_passes_and_the_rest_waits_for_its_turn() {
    let mut stage = Stage::new(20, 100);
    let mut wanted: Vec<Action> = (0..150).map(|group| write(&place(group, 0), 8)).collect();
    let first = stage.look(1000, wanted.clone());
    assert_eq!(first, wanted[..100]);
    assert!(stage.pacing.defers(&place(120, 0).0, KINDS[0]));
    wanted.drain(..100);
    let second = stage.look(1000, wanted.clone());
    assert_eq!(second, [], "the first hundred are counted at the look that sees them");
    assert_eq!(stage.look(1000, wanted.clone()), wanted[..20]);
}

#[test]
fn a_plan_that_nobody_carries_out_costs_nothing() {
    let mut stage = Stage::new(1, 5);
    let wanted: Vec<Action> = (0..5).map(|group| write(&place(group, 0), 8)).collect();
    for _ in 0..3 {
        assert_eq!(stage.look(1000, wanted.clone()), wanted);
        stage.seen.outcomes.clear();
    }
}

#[test]
fn a_file_is_not_written_twice_within_a_second() {
    let mut stage = Stage::new(100, 100);
    let at = place(0, 0);
    assert_eq!(stage.look(1000, vec![write(&at, 8)]).len(), 1);
    let later = [write(&at, 9), write(&place(0, 2), 9), write(&place(1, 0), 9)];
    let other_group = later[2..].to_vec();
    assert_eq!(stage.look(300, later.to_vec()), other_group, "nothing of a group overtakes");
    assert_eq!(stage.look(700, later[..2].to_vec()), later[..2]);
}

#[test]
fn raises_for_the_protected_and_lost_values_do_not_wait_for_the_gap() {
    let mut stage = Stage::new(100, 100);
    let at = place(0, 1);
    let raise = |component: Option<&str>| {
        let mut action = write(&at, 9);
        let Action::Write { change, .. } = &mut action else { unreachable!() };
        change.old = Reading::Is(knob(at.1, 8));
        change.component = component.map(|name| name.parse().unwrap());
        vec![action]
    };
    assert_eq!(stage.look(1000, raise(None)).len(), 1);
    assert_eq!(stage.look(200, raise(None)).len(), 0);
    assert_eq!(stage.look(200, raise(Some("web"))).len(), 1);
    let mut ownership = Ownership::default();
    add_home(&mut stage.seen, &component("job", Priority::Low), at.0.as_str());
    stage.seen.groups.get_mut(&at.0).unwrap().id = CgroupId(7);
    stage.seen.outcomes = vec![outcome(stage.seen.at, &at.0, &knob(at.1, 9))];
    ownership.update(&stage.seen, Span::secs(600));
    let change = write(&at, 9).changes()[0].clone();
    assert!(is_lost(&ownership, &at, &change));
    assert!(!is_lost(&ownership, &at, &write(&at, 10).changes()[0]));
}

#[test]
fn giving_back_never_waits() {
    let mut stage = Stage::new(1, 1);
    let back: Vec<Action> = (0..50)
        .map(|group| {
            let mut action = write(&place(group, 0), 8);
            let Action::Write { change, .. } = &mut action else { unreachable!() };
            change.reason = Reason::YieldsNoMore;
            action
        })
        .collect();
    assert_eq!(stage.look(1000, back.clone()), back);
    assert_eq!(stage.look(100, back.clone()), back);
}

#[test]
fn what_systemd_resets_goes_with_its_call() {
    let mut stage = Stage::new(1, 1);
    let (path, _) = place(0, 0);
    let at = CgroupRef { path, id: CgroupId(7) };
    let change = |new: Knob| Change {
        component: None,
        old: Reading::Is(new.clone()),
        new,
        reason: Reason::PriorityShare,
    };
    let changes = vec![change(Knob::PidsMax(Limit::At(9))), change(knob(KINDS[1], 9))];
    let call = Action::SetUnit { unit: "g000.service".to_owned(), at: at.clone(), changes };
    let reset = Action::Write { at, change: change(Knob::MemoryOomGroup(true)) };
    let done = stage.look(1000, vec![call, reset.clone()]);
    assert_eq!(done[0].changes().len(), 1);
    assert_eq!(done[1..], [reset]);
}

fn is_part_of(done: &[Action], wanted: &[Action]) -> bool {
    let mut wanted = wanted.iter();
    done.iter().all(|action| wanted.any(|other| other == action))
}

/// A write that follows the load.
fn cap(place: &Place, value: u64) -> Action {
    let mut action = write(place, value);
    let Action::Write { change, .. } = &mut action else { unreachable!() };
    change.reason = Reason::YieldsDisk;
    action
}

proptest! {
    // A hundred writes each: 10^5.
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_storm_is_bounded_ordered_and_comes_to_an_end(
        (rate, burst) in (1u64..50, 1u64..100),
        looks in proptest::collection::vec(
            (100u64..3000, proptest::collection::vec((0usize..40, 0usize..3), 0..40)), 1..30),
    ) {
        let mut stage = Stage::new(rate, burst);
        let mut wanted: BTreeMap<Place, u64> = BTreeMap::new();
        let mut value = 8;
        let stormy = looks.len();
        let quiet = std::iter::repeat_with(|| (1000, Vec::new()));
        for (number, (millis, new)) in looks.into_iter().chain(quiet).take(stormy + 300).enumerate() {
            if number >= stormy && wanted.is_empty() {
                break;
            }
            for (group, kind) in new {
                value += 1;
                wanted.insert(place(group, kind), value);
            }
            let plan: Vec<Action> =
                wanted.iter().map(|(place, value)| write(place, *value)).collect();
            let done = stage.look(millis, plan.clone());
            prop_assert!(is_part_of(&done, &plan));
            for action in &done {
                wanted.remove(&(action.path().clone(), action.changes()[0].new.kind()));
            }
        }
        prop_assert!(wanted.is_empty(), "{:?} left", wanted.len());
        for (from, (start, _)) in stage.done.iter().enumerate() {
            let mut sum = 0;
            for (end, count) in &stage.done[from..] {
                sum += u64::try_from(*count).unwrap();
                let span = end.since(*start).0;
                prop_assert!(sum <= burst + rate * span / ONE, "{sum} within {span}");
            }
        }
    }

    #[test]
    fn nobody_starves_beside_files_that_are_wanted_anew_at_every_look(
        flapping in 1usize..60,
        (rate, burst) in (1u64..20, 1u64..20),
    ) {
        let mut stage = Stage::new(rate, burst);
        let last = place(200, 2);
        let each = usize::try_from(rate.min(burst)).unwrap();
        let patience = (flapping + 1).div_ceil(each) * 2 + 2;
        for (round, value) in (8..).enumerate() {
            let mut plan: Vec<Action> =
                (0..flapping).map(|group| write(&place(group, 0), value)).collect();
            plan.push(write(&last, 8));
            if stage.look(1000, plan).iter().any(|action| *action.path() == last.0) {
                break;
            }
            prop_assert!(round <= patience, "not within {patience} looks");
        }
    }

    /// As at the first look at a large host: `waiting` standing writes are wanted when somebody protected begins to wait.
    #[test]
    fn a_cap_does_not_wait_behind_first_writes(
        waiting in 0usize..120,
        caps in 1usize..10,
        (rate, burst, after) in (4u64..50, 4u64..100, 0u64..5),
    ) {
        let mut stage = Stage::new(rate, burst);
        let mut first: Vec<Action> = (0..waiting).map(|group| write(&place(group, 0), 8)).collect();
        for _ in 0..after {
            let done = stage.look(1000, first.clone());
            first.retain(|action| !done.contains(action));
        }
        let mut caps: Vec<Action> = (0..caps).map(|group| cap(&place(150 + group, 0), 8)).collect();
        // Three quarters of what the bucket gives in a second; after a burst it is empty at every other look.
        let each = usize::try_from(rate.min(burst)).unwrap() * 3 / 4;
        let patience = caps.len().div_ceil(each) * 2 + 1;
        for _ in 0..patience {
            let plan: Vec<Action> = first.iter().chain(&caps).cloned().collect();
            let done = stage.look(1000, plan);
            first.retain(|action| !done.contains(action));
            caps.retain(|action| !done.contains(action));
        }
        prop_assert!(caps.is_empty(), "{} caps wait after {patience} looks", caps.len());
    }

    #[test]
    fn a_standing_write_is_done_beside_caps_that_change_at_every_look(
        flapping in 1usize..60,
        (rate, burst) in (1u64..20, 1u64..20),
    ) {
        let mut stage = Stage::new(rate, burst);
        let last = place(200, 2);
        for (round, value) in (8..).enumerate() {
            let mut plan: Vec<Action> =
                (0..flapping).map(|group| cap(&place(group, 0), value)).collect();
            plan.push(write(&last, 8));
            if stage.look(1000, plan).iter().any(|action| *action.path() == last.0) {
                break;
            }
            prop_assert!(round <= 10, "not within ten looks");
        }
    }
}
