//! One cycle: from a policy, what is remembered and one look at the host to a checked plan.
//!
//! [`step`] composes estimate, decide and plan, and is the only entry to them. It has no I/O and no clock, takes whatever it is given
//! (bad input is data, so there is no `Result`) and gives the same answer for the same input. The daemon, `provost plan` and the
//! property tests run this very function.

mod filling;
mod leaking;
mod pacing;
mod placing;
mod raising;

use crate::config::{Component, Policy, Writes};
pub use crate::decide::doomed;
use crate::decide::{Look, Steering, decide};
use crate::estimate::{Estimator, Ownership, Prospects, Rates, Standing, standing};
use crate::model::{
    Along, Decision, Finding, FindingKind, KnobKind, Levels, MendView, Plan, ProbeView, Reason,
    Rung, Severity, Snapshot, Target,
};
use crate::plan::{Skipped, plan, sound};
use crate::units::{CgroupPath, ComponentName, Tick};
use pacing::Pacing;
use placing::Refusals;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one cycle hands to the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Whose the values in the kernel are.
    pub ownership: Ownership,
    /// Rates from counters.
    pub rates: Rates,
    /// Levels, and what each component uses, wants and waits for.
    pub estimator: Estimator,
    /// What is expected of components: to be brought up to date before each look, by whoever makes forecasts.
    pub prospects: Prospects,
    /// What follows the load.
    pub steering: Steering,
    /// Placements that were refused.
    placing: Refusals,
    /// How fast is written.
    pacing: Pacing,
    /// The last look that was planned for, and when to plan again though nothing changed.
    planned: Option<Planned>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Planned {
    generation: u64,
    levels: Levels,
    alerts: Levels,
    moves: u64,
    told: u64,
    again_at: Option<Tick>,
}

impl State {
    /// Makes the next step plan anew whatever it sees: the policy was replaced.
    pub const fn replan(&mut self) {
        self.planned = None;
    }

    /// Whether the write to a knob is deferred.
    #[must_use]
    pub fn defers(&self, path: &CgroupPath, kind: KnobKind) -> bool {
        self.pacing.defers(path, kind)
    }

    /// What is done about a component's leak; none where nothing may be.
    #[must_use]
    pub fn mending(
        &self,
        policy: &Policy,
        seen: &Snapshot,
        component: &Component,
    ) -> Option<MendView> {
        self.steering.mending(policy, &self.estimator, seen, component)
    }

    /// What probing found of a component; none where it is not probed.
    #[must_use]
    pub fn probed(
        &self,
        policy: &Policy,
        seen: &Snapshot,
        component: &Component,
    ) -> Option<ProbeView> {
        self.steering.probed(policy, &self.estimator, seen, component)
    }

    /// Forgets overrides and refusals and plans anew: an administrator spoke.
    pub fn forgive(&mut self) {
        self.ownership.forgive();
        self.placing.forget();
        self.steering.forgive();
        self.replan();
    }
}

/// What one cycle came to.
#[derive(Debug)]
pub struct Step {
    /// For the next cycle.
    pub state: State,
    /// What came of it; none when nothing changed since the last planned look and nothing is due, which is the steady case and costs
    /// no allocation.
    pub news: Option<News>,
}

/// The fruit of a cycle in which something had changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What is wanted and why.
    pub decision: Decision,
    /// What to do, in order, without what would break a rule.
    pub plan: Plan,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// Whether nothing changed since the last planned look, no level moved and nothing is due. Then [`step`] has no news, and a caller that
/// would copy the state for it can spare that; rates and estimates are brought up to date here.
#[must_use]
pub fn rest(policy: &Policy, state: &mut State, seen: &Snapshot) -> bool {
    state.rates.update(seen);
    state.estimator.update(policy, seen);
    let known = (&state.estimator, &state.prospects);
    state.steering.update(policy, known, &state.rates, seen);
    state.steering.watch(policy, &state.ownership.threads, seen);
    let (estimator, prospects, ownership) = (&state.estimator, &state.prospects, &state.ownership);
    state.steering.scale(&Look { policy, estimator, prospects, ownership, seen });
    let (levels, alerts) = (state.estimator.levels(), state.estimator.alerts());
    seen.outcomes.is_empty()
        && state.planned.is_some_and(|planned| {
            planned.generation == seen.generation
                && (planned.levels, planned.alerts) == (levels, alerts)
                && planned.moves == state.steering.moves()
                && planned.told == state.estimator.told()
                && planned.again_at.is_none_or(|at| seen.at < at)
        })
}

/// Runs one cycle.
#[must_use]
pub fn step(policy: &Policy, mut state: State, seen: &Snapshot) -> Step {
    if rest(policy, &mut state, seen) {
        return Step { state, news: None };
    }
    state.ownership.update(seen, policy.override_for);
    state.placing.update(seen);
    state.pacing.update(policy.writes, seen);
    state.steering.hear(seen);
    let mut decision = decide(policy, &state.ownership, &state.steering, seen);
    let (mut plan, skipped) = plan(&state.ownership, seen, &decision);
    state.placing.hold_back(&mut plan);
    let deferred = state.pacing.defer(policy, &state.ownership, seen, &mut plan);
    let (plan, mut findings) = sound(policy, seen, plan);
    findings.extend(skipped.iter().map(finding));
    findings.extend(state.placing.findings(seen.at));
    findings.extend(refusals(seen));
    findings.extend(absent(policy, seen));
    findings.extend(above_ceiling(&decision));
    findings.extend(waiting(policy.writes, deferred));
    findings.extend(sharing(&decision));
    findings.extend(unparted(&decision));
    findings.extend(raising::findings(&decision));
    findings.extend(filling::findings(&state.estimator.filesystems()));
    findings.extend(state.estimator.leaks().map(leaking::finding));
    findings.extend(seen.host.sched_ext.as_deref().map(other_scheduler));
    findings.extend(at_the_end(&decision));
    findings.extend(state.steering.findings(seen.at));
    decision.held = skipped.into_iter().map(|skipped| skipped.held).collect();
    let due = next_look(&state, seen, &decision, policy);
    // Otherwise the plan's end makes the next step; a plan that nobody carries out needs none.
    let again_at = if deferred > 0 && plan.is_empty() { Some(seen.at) } else { due };
    let (levels, alerts) = (state.estimator.levels(), state.estimator.alerts());
    let moves = state.steering.moves();
    let (told, generation) = (state.estimator.told(), seen.generation);
    state.planned = Some(Planned { generation, levels, alerts, moves, told, again_at });
    Step { state, news: Some(News { decision, plan, findings }) }
}

fn finding(skipped: &Skipped) -> Finding {
    let held = &skipped.held;
    let remaining = held
        .remaining
        .map_or_else(String::new, |span| format!(" ({}s left)", span.0.div_ceil(1_000_000)));
    Finding {
        severity: skipped.severity,
        kind: skipped.kind,
        component: held.component.clone(),
        at: Some(held.at.clone()),
        text: format!("{} of {} is left as it is: {}{remaining}", held.kind, held.at, held.why),
    }
}

/// One finding for all that is left alone for the same reason: a rule may match every process of a large service.
fn refusals(seen: &Snapshot) -> Vec<Finding> {
    let mut alike: BTreeMap<(&ComponentName, &str), Vec<&str>> = BTreeMap::new();
    for refusal in &seen.refused {
        alike.entry((&refusal.component, &refusal.why)).or_default().push(&refusal.what);
    }
    let finding = |((component, why), what): ((&ComponentName, &str), Vec<&str>)| {
        let first = what.first().copied().unwrap_or_default();
        let text = match what.len() {
            0 | 1 => format!("{first} is left alone: {why}"),
            count => format!("{first} and {} more are left alone: {why}", count - 1),
        };
        Finding {
            severity: Severity::Warning,
            kind: FindingKind::LeftAlone,
            component: Some(component.clone()),
            at: None,
            text,
        }
    };
    alike.into_iter().map(finding).collect()
}

fn absent(policy: &Policy, seen: &Snapshot) -> Vec<Finding> {
    let mut homes = Along::new(&seen.homes);
    let mut lives = |name| {
        homes.get(name).is_some_and(|homes| !homes.is_empty())
            || seen.strays.iter().any(|stray| stray.component == *name)
    };
    let names = policy.components.keys().filter(|name| !lives(name));
    names
        .map(|name| Finding {
            severity: Severity::Info,
            kind: FindingKind::Absent,
            component: Some(name.clone()),
            at: None,
            text: format!(
                "{name} has no process and no unit now; its limits take effect when it appears"
            ),
        })
        .collect()
}

fn above_ceiling(decision: &Decision) -> Vec<Finding> {
    let above = |target: &Target| {
        let Reason::AboveCeiling { ceiling, usage } = &target.reason else {
            return None;
        };
        Some(Finding {
            severity: Severity::Warning,
            kind: FindingKind::AboveCeiling,
            component: target.component.clone(),
            at: Some(target.at.clone()),
            text: format!(
                "{} uses {usage}, its memory.ceiling is {ceiling}: the limit follows the usage down; set memory.high to press it \
                 down, or memory.hard = true to enforce the ceiling at once, which kills",
                target.at
            ),
        })
    };
    decision.targets.iter().filter_map(above).collect()
}

/// What waits for its turn is planned again at the next look.
fn waiting(writes: Writes, deferred: usize) -> Option<Finding> {
    let text = format!(
        "{deferred} writes are deferred: at most {} a second after {} at once, and a file once a second",
        writes.rate, writes.burst
    );
    (deferred > 0).then_some(Finding {
        severity: Severity::Info,
        kind: FindingKind::Deferred,
        component: None,
        at: None,
        text,
    })
}

fn sharing(decision: &Decision) -> impl Iterator<Item = Finding> {
    decision.sharing.iter().map(|(name, why)| Finding {
        severity: Severity::Warning,
        kind: FindingKind::SharesCpus,
        component: Some(name.clone()),
        at: None,
        text: format!("{name} has no CPUs of its own and shares those of all others: {why}"),
    })
}

fn unparted(decision: &Decision) -> impl Iterator<Item = Finding> {
    decision.unparted.iter().map(|(name, why)| Finding {
        severity: Severity::Warning,
        kind: FindingKind::NoPartition,
        component: Some(name.clone()),
        at: None,
        text: format!(
            "the CPUs of {name} are no partition, and what is not registered may run there: {why}"
        ),
    })
}

fn other_scheduler(name: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        kind: FindingKind::OtherScheduler,
        component: None,
        at: None,
        text: format!(
            "the sched_ext scheduler {name} divides CPU time and may not heed weights, classes and ceilings; CPU lists hold: stop it, or give \
             components CPUs by affinity"
        ),
    }
}

/// Memory stays short, limits did not help, and nothing is left that may be done.
fn at_the_end(decision: &Decision) -> Option<Finding> {
    let view = decision.ladder.as_ref()?;
    let over = view.rung >= Rung::Freeze && view.next.is_none() && view.frozen.is_empty();
    let text = format!(
        "memory stays short ({}) and nothing more is done: {}; end or move something, or allow more by last-resort",
        view.because, view.holds
    );
    over.then_some(Finding {
        severity: Severity::Error,
        kind: FindingKind::Short,
        component: None,
        at: None,
        text,
    })
}

/// When to plan again though nothing changes: when an override or a refusal runs out, and at every look while a limit follows usage.
fn next_look(state: &State, seen: &Snapshot, decision: &Decision, policy: &Policy) -> Option<Tick> {
    let follows =
        decision.targets.iter().any(|target| matches!(target.reason, Reason::AboveCeiling { .. }));
    let follow_at = follows.then(|| seen.at.plus(policy.interval));
    let held_until =
        decision.held.iter().filter_map(|held| held.remaining.map(|span| seen.at.plus(span)));
    let is_contested = |target: &Target| {
        standing(&state.ownership, seen, &target.at, target.knob.kind()) == Standing::Contested
    };
    let contested = (state.ownership.has_contested() && decision.targets.iter().any(is_contested))
        .then(|| seen.at.plus(crate::units::Span::secs(60)));
    let paused = decision.realtime.values().filter_map(|view| view.until);
    held_until.chain(follow_at).chain(contested).chain(paused).chain(state.placing.next()).min()
}

#[cfg(test)]
mod tests;
