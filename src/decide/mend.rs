//! What is done about memory that grows without end, as far as a component's configuration allows.
//!
//! **Problem.** A leak ends in a kill at the worst time, at the limit. Whoever mends it by surprise does the same, only sooner.
//!
//! **Approach.** Three things, each only where `on-leak` says so: the component's hook is called, what it does not use goes to swap (see
//! `squeeze`), and its unit is restarted before it reaches its limit. A restart is announced before, and nothing is done for growth that
//! may well end by itself.
//!
//! **Terms.** *finding*: a leak of a tier above growth; it ends when that is not found any more. *due*: when the restart comes, at the
//! earliest. *near*: the limit is within [`RESTART_WITHIN`].
//!
//! **Algorithm.** The hook once for each finding. A restart of the largest service in which the component lives, for a confirmed or a fast
//! leak: due when the limit is near, the last one is long enough ago, and [`NOTICE`] has gone by since the announcement. An announced time
//! may move away, or nearer as far as [`NOTICE`] from now.
//!
//! **Properties**, each a test in `mend/tests.rs`: nothing is done that the configuration or the mode does not allow; a restart was
//! announced for [`NOTICE`] at least, without a break; none follows another sooner than `restart-every`, also over a restart of the
//! daemon; what is given up (by the configuration, the mode, the end of the leak) is announced anew.

mod squeeze;

use super::ladder::largest;
use super::victim::is_alone;
use crate::config::{Component, Mode, OnLeak, Policy};
use crate::estimate::Estimator;
use crate::model::{
    GroupView, Home, HomeKind, Knob, KnobKind, Leak, LeakTier, Means, MendMemory, MendView,
    Outcome, OutcomeOf, Radius, Relief, RestartEnd, RestartPlan, Restarted, Snapshot, Verdict,
};
use crate::units::{CgroupPath, ComponentName, Span, Tick};
use serde::{Deserialize, Serialize};
use squeeze::Squeeze;
use std::collections::BTreeMap;

/// The limit is near when it is reached within this time: early enough for a restart that takes long, late enough for a leak that ends.
const RESTART_WITHIN: Span = Span::secs(2 * 3600);
/// A restart is announced for so long at least.
const NOTICE: Span = Span::secs(60);
/// What nobody answered for is given up.
const UNANSWERED: Span = Span::secs(60);
/// A restart is remembered for as long as any `restart-every`.
const REMEMBERED: Span = Span::secs(30 * 86_400);

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) policy: &'a Policy,
    pub(super) estimator: &'a Estimator,
    pub(super) seen: &'a Snapshot,
}

impl Sight<'_> {
    /// What is to be mended of a component.
    pub(super) fn leak(&self, name: &ComponentName) -> Option<Leak> {
        self.estimator.leak(name).filter(|leak| leak.tier > LeakTier::Growth)
    }

    pub(super) fn enforces(&self) -> bool {
        self.policy.mode == Mode::Enforce
    }
}

/// All components of which something is to be mended, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mends {
    enforcing: bool,
    each: BTreeMap<ComponentName, Mend>,
    /// How often what is to be kept changed.
    marks: u64,
}

/// One component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mend {
    /// Whether its hook was called for what is found now.
    told: bool,
    /// The call that was decided and not begun yet, and when it was decided.
    call: Option<(Relief, Tick)>,
    squeeze: Squeeze,
    due: Option<Tick>,
    /// The restart that was decided and not begun yet, and when it was decided.
    order: Option<(Relief, Tick)>,
    last: Option<Restarted>,
}

impl Mends {
    /// Takes in one look. Whether anything that is wanted changed. Allocates nothing while nothing leaks.
    pub(super) fn update(&mut self, sight: &Sight<'_>) -> bool {
        let mut changed = false;
        if sight.enforces() != self.enforcing {
            self.enforcing = sight.enforces();
            self.each.values_mut().for_each(Mend::give_up);
            changed = !self.each.is_empty();
        }
        // Nothing is remembered of what is only told.
        for (name, leak) in sight.estimator.leaks() {
            let component = sight.policy.components.get(name);
            let may = component.is_some_and(|one| one.memory.on_leak > OnLeak::Tell);
            if may && leak.tier > LeakTier::Growth && !self.each.contains_key(name) {
                self.each.insert(name.clone(), Mend::default());
            }
        }
        for (name, mend) in &mut self.each {
            let before = mend.mark();
            let component = sight.policy.components.get(name);
            changed |= match component.zip(sight.leak(name)) {
                Some((component, leak)) => mend.look(sight, component, &leak),
                None => mend.end(),
            };
            self.marks += u64::from(before != mend.mark());
        }
        let now = sight.seen.at;
        self.each.retain(|name, mend| {
            let _forgotten = mend.last.take_if(|last| now.since(last.at) >= REMEMBERED);
            mend.last.is_some() || sight.leak(name).is_some()
        });
        changed
    }

    /// Takes in what came of what was decided.
    pub(super) fn hear(&mut self, seen: &Snapshot) {
        for outcome in &seen.outcomes {
            let name = outcome.component.as_ref();
            if let Some(mend) = name.and_then(|name| self.each.get_mut(name)) {
                self.marks += u64::from(mend.hear(outcome));
            }
        }
    }

    /// What is to be done once.
    pub(super) fn reliefs(&self) -> impl Iterator<Item = &Relief> {
        self.each.values().flat_map(|mend| {
            let first = [&mend.call, &mend.order].into_iter().flatten().map(|(relief, _)| relief);
            first.chain(mend.squeeze.order())
        })
    }

    /// What is done about a component's leak; none where nothing may be, and nothing was.
    pub(super) fn view(&self, sight: &Sight<'_>, component: &Component) -> Option<MendView> {
        let nothing = Mend::default();
        let mend = self.each.get(&component.name).unwrap_or(&nothing);
        if component.memory.on_leak == OnLeak::Tell && mend.last.is_none() {
            return None;
        }
        Some(mend.view(sight, component))
    }

    /// Rises whenever what is to be kept changes.
    pub(super) const fn marks(&self) -> u64 {
        self.marks
    }

    /// What is to be kept while no daemon runs.
    pub(super) fn kept(&self) -> BTreeMap<ComponentName, MendMemory> {
        let kept = self.each.iter().map(|(name, mend)| {
            (name.clone(), MendMemory { told: mend.told, last: mend.last.clone() })
        });
        kept.filter(|(_, memory)| *memory != MendMemory::default()).collect()
    }

    /// Goes on with what was kept.
    pub(super) fn remember(&mut self, kept: &BTreeMap<ComponentName, MendMemory>) {
        let mend = |(name, kept): (&ComponentName, &MendMemory)| {
            let mend = Mend { told: kept.told, last: kept.last.clone(), ..Mend::default() };
            (name.clone(), mend)
        };
        self.each = kept.iter().map(mend).collect();
        self.enforcing = true; // what was told was told while enforcing
    }
}

impl Mend {
    /// A look in which the component leaks. Whether anything that is wanted changed.
    fn look(&mut self, sight: &Sight<'_>, component: &Component, leak: &Leak) -> bool {
        let now = sight.seen.at;
        let is_old = |(_, at): &mut (Relief, Tick)| now.since(*at) >= UNANSWERED;
        let on_leak = component.memory.on_leak;
        let is_unwanted = |call: &mut (Relief, Tick)| on_leak < OnLeak::Hook || is_old(call);
        let mut changed = self.call.take_if(is_unwanted).is_some();
        changed |= self.order.take_if(is_old).is_some();
        if on_leak >= OnLeak::Hook && !self.told && sight.enforces() {
            changed |= self.tell(sight, component, leak);
        }
        changed |= self.squeeze.update(sight, component);
        let candidate = candidate(sight, component, leak);
        let due = candidate.as_ref().ok().map(|_| self.next_due(now, component, leak));
        changed |= due.is_some() != self.due.is_some();
        self.due = due;
        let Ok((home, group)) = candidate else { return self.order.take().is_some() || changed };
        let is_due = due.is_some_and(|due| due <= now);
        if is_due && self.order.is_none() && sight.enforces() {
            self.restart(now, component, leak, (home, group));
            return true;
        }
        changed
    }

    /// By what a change is seen of what is to be kept.
    fn mark(&self) -> (bool, Option<Tick>) {
        (self.told, self.last.as_ref().map(|last| last.at))
    }

    /// A look in which it does not leak. Whether anything was wanted.
    fn end(&mut self) -> bool {
        let wanted = self.call.is_some() || self.order.is_some() || self.due.is_some();
        let wanted = wanted || self.squeeze.order().is_some();
        *self = Self { last: self.last.take(), ..Self::default() };
        wanted
    }

    /// Forgets what was decided and not done; who was told or restarted stays.
    fn give_up(&mut self) {
        let (told, last) = (self.told, self.last.take());
        *self = Self { told, last, ..Self::default() };
    }

    fn tell(&mut self, sight: &Sight<'_>, component: &Component, leak: &Leak) -> bool {
        let home = largest(sight.seen, component).filter(|_| component.hook.is_some());
        let Some(home) = home else { return false };
        let now = sight.seen.at;
        let until_limit = limit_at(leak).since(now);
        let (tier, per_hour) = (leak.tier, leak.per_hour);
        let relief = Relief {
            component: component.name.clone(),
            at: home.at.clone(),
            means: Means::TellOfLeak { tier, per_hour, until_limit },
            because: because(leak),
        };
        self.told = true;
        self.call = Some((relief, now));
        true
    }

    /// When it is to be restarted, given when it was to be at the last look.
    fn next_due(&self, now: Tick, component: &Component, leak: &Leak) -> Tick {
        let near = Tick(limit_at(leak).0.saturating_sub(RESTART_WITHIN.0));
        let again = self.last.as_ref().map(|last| last.at.plus(component.memory.restart_every));
        let due = near.max(again.unwrap_or_default());
        let noticed = now.plus(NOTICE);
        match self.due {
            None => due.max(noticed),
            Some(announced) if due >= announced => due,
            Some(announced) => due.max(announced.min(noticed)),
        }
    }

    fn restart(
        &mut self,
        now: Tick,
        component: &Component,
        leak: &Leak,
        (home, group): (&Home, &GroupView),
    ) {
        let Radius { tasks, held } = radius(group);
        let relief = Relief {
            component: component.name.clone(),
            at: home.at.clone(),
            means: Means::Restart { tasks, held },
            because: because(leak),
        };
        let (path, per_hour) = (home.path().clone(), leak.per_hour);
        self.last = Some(Restarted { at: now, path, per_hour, end: None });
        self.order = Some((relief, now));
        self.due = None;
    }

    /// Whether what is to be kept changed.
    fn hear(&mut self, outcome: &Outcome) -> bool {
        let end = match (&outcome.of, &outcome.verdict) {
            (OutcomeOf::Relief { means: Means::TellOfLeak { .. } }, _) => {
                self.call = None;
                return false;
            }
            (OutcomeOf::Relief { means: Means::Reclaim { .. } }, _) => {
                self.squeeze.hear(outcome);
                return false;
            }
            (OutcomeOf::Relief { means: Means::Restart { .. } }, verdict) => {
                self.order = None;
                match verdict {
                    Verdict::Applied | Verdict::Clipped { .. } => return false,
                    Verdict::Refused { advice, .. } => RestartEnd::Failed { why: advice.clone() },
                    Verdict::Gone => RestartEnd::Failed { why: "its group was gone".to_owned() },
                }
            }
            (OutcomeOf::Restart { .. }, Verdict::Refused { advice, .. }) => {
                RestartEnd::Failed { why: advice.clone() }
            }
            (OutcomeOf::Restart { .. }, _) => RestartEnd::Done,
            _ => return false,
        };
        if let Some(last) = &mut self.last {
            last.end = Some(end);
        }
        true
    }

    fn view(&self, sight: &Sight<'_>, component: &Component) -> MendView {
        let memory = &component.memory;
        let leak = sight.leak(&component.name);
        let may_restart = memory.on_leak == OnLeak::Restart;
        let candidate = leak.map(|leak| candidate(sight, component, &leak));
        let plan = |(home, group): (&Home, &GroupView)| {
            let due = self.due?;
            Some(RestartPlan { at: home.path().clone(), due, radius: radius(group) })
        };
        let may_reclaim = memory.on_leak >= OnLeak::Reclaim && leak.is_some();
        MendView {
            on_leak: memory.on_leak.word().to_owned(),
            restart_every: may_restart.then_some(memory.restart_every),
            told: self.told,
            reclaimed: self.squeeze.given(),
            no_reclaim: may_reclaim.then(|| self.squeeze.holds(sight, component)).flatten(),
            next: candidate.and_then(Result::ok).and_then(plan),
            no_restart: candidate.and_then(Result::err).filter(|_| may_restart).map(str::to_owned),
            last: self.last.clone(),
        }
    }
}

/// When the limit is reached.
fn limit_at(leak: &Leak) -> Tick {
    leak.at.plus(leak.until_limit)
}

fn because(leak: &Leak) -> String {
    format!("its memory grows by {} an hour ({})", leak.per_hour, leak.tier)
}

const fn radius(group: &GroupView) -> Radius {
    let held = match group.usage.memory {
        Some(held) => held,
        None => crate::units::Bytes::ZERO,
    };
    Radius { tasks: group.usage.pids, held }
}

/// The home whose unit would be restarted, or why none.
fn candidate<'a>(
    sight: &Sight<'a>,
    component: &Component,
    leak: &Leak,
) -> Result<(&'a Home, &'a GroupView), &'static str> {
    if component.memory.on_leak < OnLeak::Restart {
        return Err("its configuration does not allow it");
    }
    if leak.tier < LeakTier::Confirmed {
        return Err("only a confirmed or a fast leak is ended by a restart");
    }
    if !sight.seen.host.systemd {
        return Err("systemd does not run here");
    }
    let homes = sight.seen.homes.get(&component.name).map(Vec::as_slice).unwrap_or_default();
    let services = homes.iter().filter(|home| is_service(home)).filter_map(|home| {
        let group = sight.seen.groups.get(home.path()).filter(|group| group.id == home.at.id)?;
        (group.populated && group.usage.memory.is_some()).then_some((home, group))
    });
    let (home, group) = services
        .max_by_key(|(_, group)| group.usage.memory)
        .ok_or("it lives in no service of systemd")?;
    if group.holds_protected || !is_alone(sight.policy, sight.seen, component, home) {
        return Err("a protected process or another component lives there");
    }
    if group.knob(KnobKind::CgroupFreeze).value() == Some(&Knob::CgroupFreeze(true)) {
        return Err("it stands still now");
    }
    Ok((home, group))
}

/// Whether it is the whole of a service that the host's systemd runs, not one of a user's.
fn is_service(home: &Home) -> bool {
    let HomeKind::Unit { unit } = &home.kind else { return false };
    let is_nested =
        |above: &CgroupPath| above.name().ends_with(".service") || above.name().ends_with(".scope");
    unit.ends_with(".service")
        && home.path().name() == unit
        && !home.path().ancestors().any(|above| is_nested(&above))
}

#[cfg(test)]
mod tests;
