//! The smallest safe ordered change from what was seen to what is wanted, and its check.
//!
//! Pure. `diff` finds what differs, `order` puts it into the order in which every prefix leaves the host legal, `lint` takes out what
//! breaks a rule.

mod diff;
mod lint;
mod order;
pub mod show;

pub use diff::{Drafted, Skipped, is_settled};
pub use lint::{lint, sound};

use crate::estimate::Ownership;
use crate::model::{Action, Decision, Plan, Snapshot};

/// The plan, and what was wanted and is not done.
#[must_use]
pub fn plan(ownership: &Ownership, seen: &Snapshot, decision: &Decision) -> (Plan, Vec<Skipped>) {
    let Drafted { changes, skipped } = diff::changes(ownership, seen, decision);
    let (mut actions, raised) = order::threads(decision);
    let (reliefs, reclaims) = order::reliefs(decision);
    actions.extend(reliefs);
    actions.extend(order::placements(seen, decision));
    actions.extend(order::enablings(seen, &changes));
    actions.extend(order::ordered(seen, decision, changes));
    actions.extend(reclaims);
    actions.extend(raised);
    actions.extend(decision.jobs.iter().cloned().map(|job| Action::Job { job }));
    (Plan { actions }, skipped)
}

#[cfg(test)]
mod tests;
