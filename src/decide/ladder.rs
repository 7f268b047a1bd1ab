//! The ladder: what is done when memory stays short for protected components though what yields is limited.
//!
//! **Problem.** `memory.high` cannot take back what cannot be swapped out, and slows its owner down for nothing. Then the kernel's OOM killer
//! decides, late and by size alone, perhaps for the component that all this is for.
//!
//! **Approach.** One rung after the other, the mildest first: limits (see `high`), components are told by their hooks, reclaim, one group that yields stands still, one whose
//! component allows it is killed. Each has its time, and only where it did not help comes the next; when memory is less short, down again.
//!
//! **Terms.** *input*: how much protected components wait, and how much is missing of what should be available. *helped*: the input fell by a
//! fifth. *strained*: they wait more than [`WAITS`], or little is left. *dire*: an emergency for [`DIRE_AFTER`], with somebody waiting or
//! nothing left. *resting*: stood still, and runs for a while at least. *spent*: stood still for nothing; not again until memory is not
//! short. *dry*: nothing could be reclaimed.
//!
//! **Algorithm.** Up from a rung after [`DWELL`] (before the first freeze in an emergency [`SHORT_DWELL`]) without help, to the next that can
//! be done now, else it holds. Down a rung a look when the level is below what the rung needs. On the rung of standing still, whoever is
//! next by `victim` stands still while nobody else does. After a kill nothing is done for [`AFTER_KILL`], then the rung below follows.
//!
//! **Properties**, each a test in `ladder/tests.rs`: nobody is hit whose component does not allow it; nobody stands still for longer than
//! [`LONGEST`], nor for more than three quarters of the time; at most [`MOST_KILLS`] in [`KILLS_WITHIN`]; nothing is done while memory is
//! not pressed; a look without the numbers goes no rung up.

mod input;
mod telling;

use super::victim::{Victim, victims};
use super::yielding;
use crate::config::{LastResort, Policy};
use crate::estimate::Estimator;
use crate::model::{
    Knob, LadderView, Level, Means, Outcome, OutcomeOf, Relief, Resource, Rung, Snapshot, Verdict,
};
use crate::units::{Bytes, CgroupPath, Span, Tick};
use input::{Input, WAITS_MUCH, is_nothing_left};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use telling::Telling;
pub(super) use telling::largest;

/// What a rung has to help.
const DWELL: Span = Span::secs(10);
/// The same before anybody stands still, in an emergency.
const SHORT_DWELL: Span = Span::secs(2);
/// Nobody stands still for longer.
const LONGEST: Span = Span::secs(30);
/// Whoever stood still runs for so long at least, and for a third of the time that it stood still.
const LEAST_RUN: Span = Span::secs(10);
/// The counters lag behind a kill.
const AFTER_KILL: Span = Span::secs(15);
const MOST_KILLS: usize = 3;
const KILLS_WITHIN: Span = Span::secs(300);
/// A kill that nobody answered for is given up.
const UNANSWERED: Span = Span::secs(10);
/// An emergency of this age, and nothing helped: somebody has to go.
const DIRE_AFTER: Span = Span::secs(10);
/// What is reclaimed at once in one group, and in a second in all.
const SLICE: Bytes = Bytes::mebi(32);
const RECLAIMED_A_SECOND: Bytes = Bytes::mebi(256);
/// Less is not worth a call.
const LEAST_SLICE: Bytes = Bytes::mebi(1);
/// A group that could not give so much is left alone for this time.
const DRY_FOR: Span = Span::secs(30);
const EAGAIN: i32 = 11;

/// The ladder between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ladder {
    at: Tick,
    /// Where it stands; none while memory is not short.
    stood: Option<Stood>,
    frozen: BTreeMap<CgroupPath, Frozen>,
    /// Until when.
    resting: BTreeMap<CgroupPath, Tick>,
    spent: BTreeSet<CgroupPath>,
    /// Who could not be made to stand still, and why.
    refused: BTreeMap<CgroupPath, String>,
    telling: Telling,
    /// When, within the last [`KILLS_WITHIN`].
    kills: Vec<Tick>,
    /// A kill that was decided and not done yet, and when it was decided.
    order: Option<(Relief, Tick)>,
    reclaims: Vec<Relief>,
    /// Until when.
    dry: BTreeMap<CgroupPath, Tick>,
    view: Option<LadderView>,
}

/// A rung, since when, and the input then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stood {
    rung: Rung,
    since: Tick,
    before: Input,
}

/// Who stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Frozen {
    since: Tick,
    before: Input,
    helped: bool,
}

/// Whether a home is made to stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standstill {
    /// It is.
    Frozen,
    /// It was a moment ago.
    Resting,
}

/// What the ladder looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) policy: &'a Policy,
    pub(super) estimator: &'a Estimator,
    pub(super) seen: &'a Snapshot,
    /// Who waits, or what is short, as a clause.
    pub(super) because: &'a str,
}

impl Look<'_> {
    const fn level(&self) -> Level {
        self.estimator.levels().memory
    }
}

impl Ladder {
    /// Takes in one look. Whether anything that is wanted changed. Does nothing while memory is not short.
    pub(super) fn update(&mut self, look: &Look<'_>) -> bool {
        let now = look.seen.at;
        let span = now.since(std::mem::replace(&mut self.at, now));
        if self.stood.is_none() && self.resting.is_empty() && look.level() == Level::Normal {
            return false;
        }
        let mut changed = self.forget(look);
        changed |= self.thaw(look);
        changed |= self.step_down(look.level());
        if let Some(input) = Input::of(look) {
            let interval = look.policy.interval.0.saturating_mul(3);
            let asleep = span > Span(interval).max(DWELL);
            changed |= self.step_up(look, input, asleep);
            changed |= self.act(look, (input, span));
            self.view = self.seen_now(look, input);
        }
        changed
    }

    /// Takes in what came of a kill and of reclaim. To be called with every look that has outcomes.
    pub(super) fn hear(&mut self, seen: &Snapshot) {
        for outcome in &seen.outcomes {
            match (&outcome.of, &outcome.verdict) {
                (OutcomeOf::Relief { means: Means::Kill { .. } }, _) => self.order = None,
                (OutcomeOf::Relief { means: Means::Tell { .. } }, _) => self.telling.hear(outcome),
                (
                    OutcomeOf::Relief { means: Means::Reclaim { .. } },
                    Verdict::Refused { errno, .. },
                ) => self.is_dry(outcome, *errno),
                (
                    OutcomeOf::Knob { asked: Knob::CgroupFreeze(true), .. },
                    Verdict::Refused { advice, .. },
                ) => {
                    self.frozen.remove(&outcome.path);
                    self.refused.insert(outcome.path.clone(), advice.clone());
                }
                _ => {}
            }
        }
    }

    /// Partly done is no defect; any other answer is not worth asking again soon.
    fn is_dry(&mut self, outcome: &Outcome, errno: i32) {
        let times = if errno == EAGAIN { 1 } else { 20 };
        let until = outcome.at.plus(Span(DRY_FOR.0 * times));
        self.dry.insert(outcome.path.clone(), until);
    }

    /// Whether a home is made to stand still; none where that is not the ladder's business.
    pub(super) fn standstill(&self, home: &CgroupPath) -> Option<Standstill> {
        let resting = || self.resting.contains_key(home).then_some(Standstill::Resting);
        self.frozen.get(home).map(|_| Standstill::Frozen).or_else(resting)
    }

    /// What is to be done once.
    pub(super) fn reliefs(&self) -> impl Iterator<Item = &Relief> {
        let kill = self.order.iter().map(|(kill, _)| kill);
        kill.chain(self.telling.orders()).chain(&self.reclaims)
    }

    /// Where it stands; none while memory is not short.
    pub(super) const fn view(&self) -> Option<&LadderView> {
        self.view.as_ref()
    }

    /// Forgets what is over. Whether anything was wanted that is not any more.
    fn forget(&mut self, look: &Look<'_>) -> bool {
        let now = self.at;
        self.kills.retain(|at| now.since(*at) < KILLS_WITHIN);
        self.dry.retain(|_, until| now < *until);
        let before = (self.resting.len(), self.order.is_some());
        self.resting.retain(|_, until| now < *until);
        let calm = look.level() < Level::Critical;
        self.order.take_if(|(_, at)| calm || now.since(*at) >= UNANSWERED);
        let had_reclaims = !self.reclaims.is_empty();
        self.reclaims.clear();
        let told = self.telling.forget(look);
        had_reclaims || told || before != (self.resting.len(), self.order.is_some())
    }

    /// Lets those run again whose time is over or is of no use, who may not be held any more, and all when it is not critical. Whether any.
    fn thaw(&mut self, look: &Look<'_>) -> bool {
        let now = self.at;
        let calm = look.level() < Level::Critical;
        let input = Input::of(look);
        let allowed: BTreeSet<&CgroupPath> = yielding(look.policy, look.seen)
            .filter(|(one, ..)| one.last_resort >= LastResort::Freeze)
            .map(|(_, home, _)| home.path())
            .collect();
        let mut over = Vec::new();
        for (path, frozen) in &mut self.frozen {
            frozen.helped |= input.is_some_and(|input| input.is_better(frozen.before));
            // The next look may be too late.
            let age = now.since(frozen.since).0.saturating_add(look.policy.interval.0);
            let useless = !frozen.helped && now.since(frozen.since) >= DWELL;
            if calm || useless || Span(age) >= LONGEST || !allowed.contains(path) {
                over.push(path.clone());
            }
        }
        for path in &over {
            self.let_run(path);
        }
        !over.is_empty()
    }

    fn let_run(&mut self, path: &CgroupPath) {
        let Some(frozen) = self.frozen.remove(path) else { return };
        let rest = LEAST_RUN.max(Span(self.at.since(frozen.since).0.div_ceil(3)));
        self.resting.insert(path.clone(), self.at.plus(rest));
        if !frozen.helped {
            self.spent.insert(path.clone());
        }
    }

    /// Down a rung when the level is below what it needs.
    fn step_down(&mut self, level: Level) -> bool {
        let Some(stood) = &mut self.stood else { return false };
        let needed = if stood.rung >= Rung::Freeze { Level::Critical } else { Level::Warning };
        if level >= needed {
            return false;
        }
        let below = match stood.rung {
            Rung::Limits => None,
            Rung::Tell | Rung::Reclaim => Some(Rung::Limits),
            Rung::Freeze => Some(Rung::Reclaim),
            Rung::Kill => Some(Rung::Freeze),
        };
        match below {
            Some(rung) => *stood = Stood { rung, since: self.at, ..*stood },
            None => {
                (self.stood, self.view) = (None, None);
                self.spent.clear();
                self.refused.clear();
            }
        }
        true
    }

    /// Up a rung where this one had its time and did not help.
    fn step_up(&mut self, look: &Look<'_>, input: Input, asleep: bool) -> bool {
        let now = self.at;
        let Some(stood) = self.stood else {
            let short = look.level() >= Level::Warning;
            let first = Stood { rung: Rung::Limits, since: now, before: input };
            self.stood = short.then_some(first);
            return short;
        };
        let again = |rung| Some(Stood { rung, since: now, before: input });
        if stood.rung == Rung::Kill {
            let over = now.since(stood.since) >= AFTER_KILL;
            if over {
                self.stood = again(Rung::Freeze);
            }
            return over;
        }
        if asleep {
            self.stood = again(stood.rung);
            return false;
        }
        if now.since(stood.since) < dwell(stood.rung, look.level()) {
            return false;
        }
        if input.is_better(stood.before) {
            self.stood = again(stood.rung);
            return false;
        }
        let Some((rung, victim)) = self.next(look, input) else { return false };
        self.stood = again(rung);
        if let Some(victim) = victim.filter(|_| rung == Rung::Kill) {
            self.kill(look, &victim);
        }
        true
    }

    fn kill(&mut self, look: &Look<'_>, victim: &Victim<'_>) {
        let radius = victim.radius();
        let relief = Relief {
            component: victim.component.name.clone(),
            at: victim.home.at.clone(),
            means: Means::Kill { tasks: radius.tasks, held: radius.held },
            because: format!("{}, and nothing milder helped", look.because),
        };
        self.kills.push(self.at);
        self.order = Some((relief, self.at));
        // What comes after it at the same place is to run.
        self.let_run(victim.home.path());
    }

    /// What the rung is about: reclaim, and somebody who stands still.
    fn act(&mut self, look: &Look<'_>, (input, span): (Input, Span)) -> bool {
        let Some(stood) = self.stood.filter(|stood| stood.rung != Rung::Kill) else { return false };
        let mut changed = false;
        if stood.rung >= Rung::Tell {
            changed |= self.telling.tell(look, input.waits);
        }
        if stood.rung >= Rung::Reclaim {
            self.reclaims = self.reclaimable(look, span);
            changed |= !self.reclaims.is_empty();
        }
        if stood.rung == Rung::Freeze && self.frozen.is_empty() {
            let path = self.freezable(look, input).map(|victim| victim.home.path().clone());
            let frozen = Frozen { since: self.at, before: input, helped: false };
            changed |= path.is_some();
            self.frozen.extend(path.map(|path| (path, frozen)));
        }
        changed
    }

    /// The next rung that can be gone to now, and whom it hits.
    fn next<'a>(&self, look: &Look<'a>, input: Input) -> Option<(Rung, Option<Victim<'a>>)> {
        let rung = self.stood?.rung;
        if rung < Rung::Tell && self.telling.is_due(look) {
            return Some((Rung::Tell, None));
        }
        if rung < Rung::Reclaim && !self.reclaimable(look, Span::secs(1)).is_empty() {
            return Some((Rung::Reclaim, None));
        }
        if rung < Rung::Freeze
            && let Some(victim) = self.freezable(look, input)
        {
            return Some((Rung::Freeze, Some(victim)));
        }
        self.killable(look, input).ok().map(|victim| (Rung::Kill, Some(victim)))
    }

    /// Who would stand still next; nobody while whoever it would be was just told and may help by itself.
    fn freezable<'a>(&self, look: &Look<'a>, input: Input) -> Option<Victim<'a>> {
        let has_time = |victim: &Victim<'_>| {
            let dwell = dwell(Rung::Tell, look.level());
            self.telling.has_time(look, &victim.component.name, dwell)
        };
        self.stillest(look, input).filter(|victim| !has_time(victim))
    }

    fn stillest<'a>(&self, look: &Look<'a>, input: Input) -> Option<Victim<'a>> {
        if look.level() < Level::Critical || !input.is_strained() {
            return None;
        }
        let can = |victim: &Victim<'_>| {
            let path = victim.home.path();
            let busy = self.resting.contains_key(path)
                || self.spent.contains(path)
                || self.refused.contains_key(path);
            !busy && victim.runs()
        };
        victims(look.policy, look.estimator, look.seen, LastResort::Freeze).into_iter().find(can)
    }

    /// Who would be killed next, or why nobody is.
    fn killable<'a>(&self, look: &Look<'a>, input: Input) -> Result<Victim<'a>, &'static str> {
        let victims = victims(look.policy, look.estimator, look.seen, LastResort::Kill);
        let Some(victim) = victims.first() else {
            return Err("no component that yields may be killed (last-resort = \"kill\")");
        };
        if look.seen.host.oomd {
            return Err("systemd-oomd runs here and kills by its own rules");
        }
        if self.kills.len() >= MOST_KILLS {
            return Err("three groups were killed within five minutes: a person has to look");
        }
        let since = self.at.since(look.estimator.since(Resource::Memory));
        if look.level() < Level::Emergency || since < DIRE_AFTER {
            return Err("nobody is killed before ten seconds of level emergency");
        }
        if input.waits < WAITS_MUCH && !is_nothing_left(look.seen) {
            return Err("nobody protected waits much, and there is memory left");
        }
        if self.stood.is_some_and(|stood| stood.rung < Rung::Freeze)
            && self.stillest(look, input).is_some()
        {
            return Err("somebody is to stand still before");
        }
        Ok(*victim)
    }

    /// What is to be reclaimed in this look: from the lowest priority first, of what can be had above the guarantee.
    fn reclaimable(&self, look: &Look<'_>, span: Span) -> Vec<Relief> {
        if !look.seen.host.reclaim {
            return Vec::new();
        }
        let mut budget = RECLAIMED_A_SECOND.scaled(span.0.min(1_000_000), 1_000_000);
        let mut found: Vec<_> = yielding(look.policy, look.seen)
            .filter(|(_, home, _)| !self.dry.contains_key(home.path()))
            .collect();
        found.sort_by_key(|(component, ..)| component.priority);
        let swap = look.seen.load.swap_free.unwrap_or_default();
        let relief =
            |(component, home, count): (&crate::config::Component, &crate::model::Home, u64)| {
                let group =
                    look.seen.groups.get(home.path()).filter(|group| !group.holds_protected)?;
                let (held, stat) = (group.usage.memory?, group.usage.memory_stat?);
                let guarantee = component.memory.guarantee.scaled(1, count);
                let stuck = stat.anon.minus(swap);
                let bytes = held.minus(guarantee.max(stuck)).min(SLICE).min(budget);
                let bytes = bytes.page_floor(look.seen.host.page);
                budget = budget.minus(bytes);
                (bytes >= LEAST_SLICE).then(|| Relief {
                    component: component.name.clone(),
                    at: home.at.clone(),
                    means: Means::Reclaim { bytes },
                    because: look.because.to_owned(),
                })
            };
        found.into_iter().filter_map(relief).collect()
    }

    /// Where it stands now, for people.
    fn seen_now(&self, look: &Look<'_>, input: Input) -> Option<LadderView> {
        let stood = self.stood?;
        let wait =
            if stood.rung == Rung::Kill { AFTER_KILL } else { dwell(stood.rung, look.level()) };
        let next = self.next(look, input);
        let holds = match (&next, stood.rung) {
            (_, Rung::Kill) => format!("nothing is done for {AFTER_KILL} after a kill"),
            (Some(_), _) => format!("what was done has {wait} to help"),
            (None, rung) => self.holds(look, input, rung),
        };
        let frozen = self.frozen.iter();
        Some(LadderView {
            rung: stood.rung,
            since: stood.since,
            because: look.because.to_owned(),
            frozen: frozen.map(|(path, one)| (path.clone(), one.since.plus(LONGEST))).collect(),
            next: next.map(|(rung, victim)| {
                (rung, stood.since.plus(wait).max(self.at), victim.map(|victim| victim.hit()))
            }),
            left: self.refused.iter().map(|(path, why)| (path.clone(), why.clone())).collect(),
            holds,
        })
    }

    /// Why no rung can be gone to.
    fn holds(&self, look: &Look<'_>, input: Input, rung: Rung) -> String {
        if look.level() < Level::Critical {
            return "nobody stands still before memory is critical".to_owned();
        }
        let kill = self.killable(look, input).err().unwrap_or_default();
        if rung == Rung::Freeze || !self.frozen.is_empty() {
            return kill.to_owned();
        }
        format!("nobody else may stand still, or it was of no use; {kill}")
    }
}

/// How long a rung has to help.
fn dwell(rung: Rung, level: Level) -> Span {
    if level == Level::Emergency && rung < Rung::Freeze { SHORT_DWELL } else { DWELL }
}

#[cfg(test)]
mod tests;
