//! The loop's side of the flight recorder: packs each cycle, gathers what is quiet, and hands it to the thread that writes.
//!
//! **Problem.** What a cycle saw and did is to outlive the daemon, and no disk may hold up the loop for it; nor is an idle host to be woken
//! each second for a record of nothing.
//!
//! **Approach.** A cycle is packed into buffers that are used again, as what differs from the cycle before. While nothing happens, cycles
//! are gathered; as soon as something does, all go to the writing thread ([`writer`]). Every quarter of an hour, and whenever something
//! other than a look changed what is remembered, the cycle is recorded with what was remembered before it, so that a replay may begin there.
//!
//! **Properties**, each a test below: a cycle that is recorded is read equal; what cannot be written is counted and told and holds up nobody;
//! a steady cycle asks for no memory (`tests/steady`).

mod events;
mod writer;

use super::instance::Paths;
use crate::config::{Policy, PolicyText};
use crate::cycle::{News, State};
use crate::estimate::Prospects;
use crate::kernel::{clock, heap};
use crate::model::{AlertView, Finding, FindingKind, Outcome, Plan, Snapshot};
use crate::record::{
    Batch, CameTo, Encoder, Look, PackError, Packer, Part, Seen, Tally, Which, pack_events,
};
use crate::units::{Bytes, Span, Tick};
use events::Events;
use writer::Writer;

/// How often a replay may begin: what is remembered is as large as some hundred quiet cycles.
const BASE_EVERY: Span = Span::secs(900);
/// So many quiet cycles go to the writer together.
const GATHERED: u32 = 30;

/// One ring, as the loop sees it.
#[derive(Debug)]
struct Lane {
    which: Which,
    encoder: Encoder,
    batch: Batch,
    /// How many batches were not taken since the last that was.
    lost: u64,
}

/// Records what the daemon sees and does.
#[derive(Debug)]
pub(super) struct Recorder {
    /// None where nothing is recorded.
    writer: Option<Writer>,
    lanes: Vec<Lane>,
    packer: Packer,
    /// What was remembered before this cycle, where it is recorded with it.
    before: Option<Box<State>>,
    based_at: Option<Tick>,
    lent: Prospects,
    generation: Option<u64>,
    is_replanned: bool,
    events: Events,
    tally: Tally,
}

/// A cycle that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over<'a> {
    /// When.
    pub(super) now: Tick,
    /// The policy in force.
    pub(super) policy: &'a Policy,
    /// What was seen.
    pub(super) seen: &'a Snapshot,
    /// What is remembered now.
    pub(super) state: &'a State,
    /// What came of it, if anything.
    pub(super) news: Option<&'a News>,
}

impl Recorder {
    /// A recorder with the policy's budget, and a thread that writes.
    pub(super) fn begin(paths: &Paths, budget: Bytes) -> Self {
        let lane = |which: Which| Lane {
            which,
            encoder: which.encoder(),
            batch: Batch::default(),
            lost: 0,
        };
        let writer = if budget == Bytes::ZERO { None } else { Writer::start(&paths.state, budget) };
        Self {
            writer,
            lanes: Which::ALL.map(lane).into(),
            packer: Packer::default(),
            before: None,
            based_at: None,
            lent: Prospects::default(),
            generation: None,
            is_replanned: false,
            events: Events::default(),
            tally: Tally::default(),
        }
    }

    /// Something other than a look changed what is remembered, or the policy: a replay begins anew there.
    pub(super) const fn begin_anew(&mut self) {
        self.based_at = None;
    }

    /// The cycle is made to plan though nothing changed.
    pub(super) const fn replanned(&mut self) {
        self.is_replanned = true;
    }

    /// Takes note of what came of an action; `plan` is what was being carried out.
    pub(super) fn happened(&mut self, outcome: &Outcome, plan: Option<&Plan>) {
        if self.writer.is_some() {
            self.events.happened(outcome, plan);
        }
    }

    /// Takes note of what the daemon did or was told.
    pub(super) fn said(&mut self, what: impl Into<String>) {
        if self.writer.is_some() {
            self.events.said(clock::now(), what.into());
        }
    }

    /// Takes note of an alert of which others were told.
    pub(super) fn told(&mut self, alert: AlertView) {
        if self.writer.is_some() {
            self.events.told(clock::now(), alert);
        }
    }

    /// A cycle begins, with this in memory.
    pub(super) fn before(&mut self, now: Tick, state: &State) {
        let is_due = self.based_at.is_none_or(|at| now.since(at) >= BASE_EVERY);
        if is_due && self.writer.is_some() {
            self.based_at = Some(now);
            self.before = Some(Box::new(state.clone()));
        }
    }

    /// Records a cycle that is over.
    pub(super) fn over(&mut self, over: Over<'_>) {
        let Some(writer) = &self.writer else { return };
        if writer.take_broken() {
            // What builds on a batch that was lost could not be read.
            self.lanes.iter_mut().for_each(|lane| lane.encoder.begin_anew());
        }
        let wall_secs = clock::wall_secs();
        let is_base = self.before.is_some();
        let mut is_well = self.look(&over, wall_secs).is_ok();
        let actions = self.events.actions();
        self.events.cycle(&over);
        let happened = self.events.take();
        if !happened.is_empty() {
            is_well &= pack_events(&happened, &mut self.packer).is_ok();
            self.add(Which::Events, wall_secs);
        }
        is_well &= self.tally(&over, wall_secs, actions).is_ok();
        if let Some(writer) = self.writer.as_ref().filter(|_| !is_well) {
            writer.tell_unpacked();
        }
        let looks = self.lane(Which::Looks).map_or(0, |lane| lane.batch.len());
        if is_base || over.news.is_some() || !happened.is_empty() || looks >= GATHERED {
            self.flush(over.now);
        }
        if is_base {
            self.give_back();
        }
    }

    /// Gives back the room that what is remembered took: it is as large as some hundred quiet cycles, and not needed again for long.
    fn give_back(&mut self) {
        self.packer = Packer::default();
        self.lanes.iter_mut().for_each(|lane| lane.encoder.give_back());
        heap::give_back();
    }

    fn look(&mut self, over: &Over<'_>, wall_secs: u64) -> Result<(), PackError> {
        let seen = over.seen;
        let before = self.before.take();
        let policy = before.as_ref().map(|_| PolicyText::of(over.policy, &seen.host));
        let is_lent = before.is_some() || over.state.prospects != self.lent;
        if is_lent {
            self.lent.clone_from(&over.state.prospects);
        }
        let look = Look {
            seen,
            is_anew: self.generation.replace(seen.generation) != Some(seen.generation),
            is_replanned: std::mem::take(&mut self.is_replanned),
            base: policy.as_ref().zip(before.as_deref()),
            lent: is_lent.then_some(&self.lent),
            news: over.news.map(|News { decision, plan, findings }| CameTo {
                decision,
                plan,
                findings,
            }),
        };
        look.pack(&mut self.packer)?;
        self.add(Which::Looks, wall_secs);
        Ok(())
    }

    fn tally(&mut self, over: &Over<'_>, wall_secs: u64, actions: u64) -> Result<(), PackError> {
        let estimator = &over.state.estimator;
        let seen = Seen {
            at: over.seen.at,
            wall_secs,
            host: estimator.host(),
            levels: estimator.levels(),
            actions,
        };
        let part = |name| {
            Some(Part {
                name,
                need: estimator.component(name)?,
                bottleneck: estimator.bottleneck(name)?,
                expected: over.state.prospects.bounds(name),
            })
        };
        let ended = self.tally.look(&seen, over.policy.components.keys().filter_map(part));
        self.add_periods(ended, wall_secs)
    }

    fn add_periods(
        &mut self,
        ended: Option<crate::record::Over>,
        wall_secs: u64,
    ) -> Result<(), PackError> {
        let Some(ended) = ended else { return Ok(()) };
        ended.minute.pack(&mut self.packer)?;
        self.add(Which::Minutes, wall_secs);
        if let Some(hour) = ended.hour {
            hour.pack(&mut self.packer)?;
            self.add(Which::Hours, wall_secs);
        }
        Ok(())
    }

    fn lane(&self, which: Which) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.which == which)
    }

    /// Adds what is packed to what goes to a ring.
    fn add(&mut self, which: Which, wall_secs: u64) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.which == which) {
            lane.batch.add(wall_secs, &mut lane.encoder, &self.packer);
        }
    }

    /// Hands over what was gathered. What the writer has no room for is lost, and counted.
    pub(super) fn flush(&mut self, now: Tick) {
        let Some(writer) = &self.writer else { return };
        for lane in self.lanes.iter_mut().filter(|lane| !lane.batch.is_empty()) {
            if writer.take(lane.which, now, lane.lost, &mut lane.batch) {
                lane.lost = 0;
                continue;
            }
            lane.lost += 1;
            lane.batch.clear();
            lane.encoder.begin_anew();
            // The next look is to say all that this one said.
            self.generation = None;
            self.based_at = None;
        }
    }

    /// Hands over all that there is and waits a moment for the disk.
    pub(super) fn end(&mut self, now: Tick, why: &str) {
        self.said(why);
        let wall_secs = clock::wall_secs();
        let happened = self.events.take();
        if self.writer.is_some() && pack_events(&happened, &mut self.packer).is_ok() {
            self.add(Which::Events, wall_secs);
        }
        let ended = self.tally.end();
        let _lost = self.add_periods(ended, wall_secs);
        self.flush(now);
        if let Some(writer) = self.writer.take() {
            writer.end();
        }
    }

    /// What keeps cycles from being recorded, and what was set aside.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let Some(writer) = &self.writer else { return Vec::new() };
        let finding = |(severity, text)| Finding {
            severity,
            kind: FindingKind::Unrecorded,
            component: None,
            at: None,
            text,
        };
        writer.told().into_iter().map(finding).collect()
    }
}

#[cfg(test)]
mod tests;
