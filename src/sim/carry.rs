//! Carries a plan out on the model host, one tick after it was made, and tells what came of it.
//!
//! It chooses nothing. A write may fail: by the kernel's own rules, or by the scenario's dice.

use super::plant::Plant;
use super::random::Random;
use crate::model::{Action, Change, Outcome, OutcomeOf, Plan, Reading, Verdict};
use crate::units::{CgroupRef, Span};

/// Errors that writes to cgroup files meet on real hosts: no memory, busy, vanished device, invalid, no space, not supported.
const ERRORS: [(i32, &str); 6] = [
    (12, "not enough memory"),
    (16, "busy"),
    (19, "no such device"),
    (22, "invalid argument"),
    (28, "no space"),
    (95, "not supported"),
];

/// Fails writes at random.
#[derive(Debug)]
pub(super) struct Dice {
    random: Random,
    /// Of a thousand.
    failing: u64,
}

impl Dice {
    pub(super) const fn new(seed: u64, failing: u64) -> Self {
        Self { random: Random::new(seed, 0xFA11), failing }
    }

    fn throw(&mut self) -> Option<(i32, &'static str)> {
        if self.failing == 0 || self.random.below(1000) >= self.failing {
            return None;
        }
        let count = u64::try_from(ERRORS.len()).unwrap_or(1);
        let number = usize::try_from(self.random.below(count)).unwrap_or(0);
        ERRORS.get(number).copied()
    }
}

/// Carries the plan out; stops with a group at its first failure, as the executor does.
pub(super) fn carry_out(plant: &mut Plant, plan: &Plan, dice: &mut Dice) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for action in &plan.actions {
        match action {
            Action::SetUnit { at, changes, .. } => {
                let fault = dice.throw();
                for change in changes {
                    outcomes.push(write(plant, at, change, (fault, true)));
                }
            }
            Action::Write { at, change } => {
                let failed = outcomes.iter().any(|outcome: &Outcome| {
                    outcome.path == at.path && matches!(outcome.verdict, Verdict::Refused { .. })
                });
                if !failed {
                    let fault = dice.throw();
                    outcomes.push(write(plant, at, change, (fault, false)));
                }
            }
            Action::Relieve { relief } => outcomes.push(plant.relieve(relief)),
            // The model has no loose processes, no threads and no units to start, and every controller is on.
            Action::MakeScope { .. }
            | Action::MakeGroup { .. }
            | Action::Attach { .. }
            | Action::Enable { .. }
            | Action::Schedule { .. }
            | Action::Job { .. } => {}
        }
    }
    outcomes
}

fn write(
    plant: &mut Plant,
    at: &CgroupRef,
    change: &Change,
    (fault, as_unit): (Option<(i32, &'static str)>, bool),
) -> Outcome {
    let kind = change.new.kind();
    let refused = |errno, what: &str| Verdict::Refused {
        errno,
        advice: format!("the model's kernel refused it: {what}"),
    };
    let number = plant.find(&at.path);
    let is_there =
        number.and_then(|number| plant.groups.get(number)).is_some_and(|group| group.id == at.id);
    let verdict = match (number.filter(|_| is_there), fault) {
        (None, _) => Verdict::Gone,
        (Some(_), Some((errno, what))) => refused(errno, what),
        (Some(number), None) => match plant.write(number, &change.new, as_unit) {
            Ok(kept) if kept == change.new.as_kernel_keeps(plant.host.page) => Verdict::Applied,
            Ok(effective) => Verdict::Clipped { effective },
            Err(errno) => refused(errno, "invalid argument"),
        },
    };
    let original = match &change.old {
        Reading::Is(knob) => Some(knob.clone()),
        Reading::Absent | Reading::Gone | Reading::Failed(_) => None,
    };
    Outcome {
        at: plant.now(),
        component: change.component.clone(),
        path: at.path.clone(),
        of: OutcomeOf::Knob {
            knob: kind,
            asked: change.new.clone(),
            id: Some(at.id),
            original,
            passing: change.reason.is_passing(),
        },
        verdict,
        took: Span::ZERO,
    }
}
