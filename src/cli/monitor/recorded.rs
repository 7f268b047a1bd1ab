//! A recording as reports: any recorded look as the daemon would have shown it then. Pure: the recording is in memory. Must not show what was
//! not recorded as if nothing had been there.
//!
//! **Problem.** A recording holds some ten thousand looks, and a report of each would take gigabytes. A look alone says what was seen; what
//! was remembered comes from all looks since the last place where that is recorded too, a quarter of an hour before at most.
//!
//! **Approach.** One report is held, that of the look that is shown. To come to another look, cycles are played from the last *mark* or the
//! last place to begin before it. Marks hold what was remembered after a look, one of [`STRIDE`]: a step back plays as many looks at most, a
//! step forward one. What was decided is not played again but taken as it was recorded; what was done comes from the recorded events.
//!
//! **Bounds.** In memory are the two files, some ninety bytes a look (where it lies, and what was waited), the actions among the events, at most
//! [`MOST_MARKS`] marks, fewer where there are many components, and one report.
//!
//! **Properties**, each a test below: a look shows the same whatever was shown before it; it shows what the daemon knew then; no more than as
//! many marks are held.

use super::alarms::Alarms;
use super::waits::{self, Waited};
use crate::cli::past::moment;
use crate::config::Mode;
use crate::cycle::News;
use crate::daemon::{Given, History, ReportInput, report};
use crate::estimate::{Foresight, Peaks};
use crate::model::{
    Decision, Event, EventOf, Health, Outcome, Own, Plan, Reason, Report, Resource,
};
use crate::record::{Cycle, Lost, Place, Recording, Told};
use crate::sim::Remembered;
use crate::units::{Span, Tick};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// So many looks lie between two marks.
const STRIDE: usize = 60;
/// What is remembered of a hundred components takes some hundred kilobytes.
const MOST_MARKS: usize = 64;
/// They reach over a quarter of an hour even then.
const FEWEST_MARKS: usize = 16;
/// So many components are remembered in all marks together.
const MARKED: usize = 6400;
/// No strip is longer.
const STRIP: usize = 240;
/// So many of the last actions are shown: as many as the daemon tells.
const ACTIONS: usize = 50;
/// Two clocks of one boot differ by less over the time in between, unless one was set.
const SAME_BOOT: Span = Span::secs(60);

/// Something that was done.
#[derive(Debug)]
struct Done {
    wall_secs: u64,
    outcome: Box<Outcome>,
    reason: Option<Reason>,
}

/// A recording, and which of its looks is shown.
#[derive(Debug)]
pub(super) struct Recorded {
    recording: Recording,
    /// The looks to which a replay comes, the oldest first.
    places: Vec<Place>,
    /// What was waited at each that was played.
    waits: Vec<Option<Waited>>,
    /// What was remembered after some of them.
    marks: BTreeMap<usize, Remembered>,
    done: Vec<Done>,
    told: Alarms,
    /// The oldest look that may be shown.
    first: usize,
    at: usize,
    shown: Option<Report>,
    lost: Lost,
    /// Why some of it cannot be played.
    refused: Option<String>,
    zone: TimeZone,
}

impl Recorded {
    /// A recording from `since` on, at its beginning; without that, all of it, at its end.
    ///
    /// # Errors
    /// Why nothing of it can be shown, as a clause.
    pub(super) fn open(
        recording: Recording,
        happened: Vec<Event>,
        since: Option<u64>,
        zone: TimeZone,
    ) -> Result<Self, String> {
        let (places, lost) = recording.places();
        let places = reached(places);
        let Some(last) = places.last() else {
            return Err("nothing of the recording can be shown: it holds no place where a replay may begin; the daemon makes one every \
                        15 minutes"
                .to_owned());
        };
        let from = since.unwrap_or(0);
        let Some(first) = places.iter().position(|place| place.wall_secs >= from) else {
            let [since, last] = [from, last.wall_secs].map(|secs| moment(secs, &zone));
            return Err(format!("nothing was recorded since {since}; the last look is of {last}"));
        };
        let count = places.len();
        let mut recorded = Self {
            recording,
            waits: vec![None; count],
            places,
            marks: BTreeMap::new(),
            told: Alarms::of(&happened),
            done: happened.into_iter().filter_map(done).collect(),
            first,
            // Behind the end, from where one goes back.
            at: if since.is_some() { first } else { count },
            shown: None,
            lost,
            refused: None,
            zone,
        };
        let begin = if since.is_some() { first } else { recorded.last() };
        recorded.go(begin)?;
        Ok(recorded)
    }

    /// The look that is shown; after [`Self::open`] there is one.
    pub(super) const fn shown(&self) -> Option<&Report> {
        self.shown.as_ref()
    }

    /// Which look is shown, counted from the recording's beginning.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) const fn first(&self) -> usize {
        self.first
    }

    pub(super) const fn last(&self) -> usize {
        self.places.len().saturating_sub(1)
    }

    /// The last look before a moment in seconds since 1970.
    pub(super) fn before(&self, wall_secs: u64) -> Option<usize> {
        let found = self.places.iter().rposition(|place| place.wall_secs < wall_secs);
        found.filter(|at| *at >= self.first)
    }

    /// When that was which is shown, and which look of how many it is.
    pub(super) fn when(&self) -> String {
        let wall_secs = self.places.get(self.at).map_or(0, |place| place.wall_secs);
        let (nth, count) = (self.at - self.first + 1, self.places.len() - self.first);
        format!("{} ({nth} of {count})", moment(wall_secs, &self.zone))
    }

    /// What is missing of the recording; none where nothing is.
    pub(super) fn lost(&self) -> Option<String> {
        let words = self.lost.words();
        (!words.is_empty())
            .then(|| format!("not all of the recording is here: {}", words.join("; ")))
    }

    /// What was waited at the look that is shown and at those before it, as many as that, the newest last.
    pub(super) fn waited(&self, resource: Resource, count: usize) -> Vec<Option<u32>> {
        let of = |waited: &Option<Waited>| waits::of((*waited)?, resource);
        let end = (self.at + 1).min(self.waits.len());
        let from = end.saturating_sub(count).max(self.first);
        self.waits.get(from..end).unwrap_or_default().iter().map(of).collect()
    }

    /// Shows a look. One that cannot be played is passed over, on to where that is possible again.
    ///
    /// # Errors
    /// Why there is none, as a clause; then what is shown stays.
    pub(super) fn go(&mut self, to: usize) -> Result<(), String> {
        let is_back = to < self.at;
        let mut to = to.min(self.last()).max(self.first);
        loop {
            let good = match self.look(to) {
                Ok(report) => {
                    (self.shown, self.at) = (Some(report), to);
                    return Ok(());
                }
                Err(good) => good.filter(|good| *good >= self.first && *good < to),
            };
            let next = if is_back {
                let before = self.base(to).checked_sub(1);
                good.or_else(|| before.filter(|before| *before >= self.first))
            } else {
                let later = (to + 1..=self.last()).find(|at| self.is_base(*at));
                later.or_else(|| good.filter(|good| *good > self.at))
            };
            to = next.ok_or_else(|| {
                let why = self.refused.as_deref().unwrap_or("it is damaged");
                format!("what was recorded there cannot be shown: {why}")
            })?;
        }
    }

    /// The report of a look; else the last look before it, as far as it was played, of which there is one.
    fn look(&mut self, to: usize) -> Result<Report, Option<usize>> {
        let is_unknown = |at: &usize| matches!(self.waits.get(*at), Some(None));
        let unknown = (to.saturating_sub(STRIP).max(self.first)..to).find(is_unknown);
        let (remembered, cycle) = self.play(unknown.unwrap_or(to), to)?;
        let report = self.report(&remembered, &cycle);
        self.mark(to, remembered);
        Ok(report)
    }

    /// Plays up to a look, and all from `from` on. What is remembered after it, with the look.
    fn play(&mut self, from: usize, to: usize) -> Result<(Remembered, Cycle), Option<usize>> {
        let (begin, mut running) = self.begin(from);
        let mut good = None;
        for at in begin..=to {
            let Some(place) = self.places.get(at).copied() else { break };
            let may_play = running.is_some() || place.is_base;
            let cycle = if may_play { self.recording.at(&place) } else { None };
            running = match &cycle {
                Some(cycle) => self.pass(running, cycle),
                None => None,
            };
            if let Some(waited) = self.waits.get_mut(at) {
                *waited = Some(running.as_ref().map_or([None; 3], waits::of_remembered));
            }
            if at == to {
                return running.zip(cycle).ok_or(good);
            }
            if let Some(running) = &running {
                good = Some(at);
                if at % STRIDE == 0 && !self.marks.contains_key(&at) {
                    self.mark(at, running.clone());
                }
            }
        }
        Err(good)
    }

    /// Where to begin in order to come to a look, and with what in memory.
    fn begin(&self, from: usize) -> (usize, Option<Remembered>) {
        let base = self.base(from);
        match self.marks.range(base..from).next_back() {
            Some((at, remembered)) => (at + 1, Some(remembered.clone())),
            None => (base, None),
        }
    }

    fn is_base(&self, at: usize) -> bool {
        self.places.get(at).is_some_and(|place| place.is_base)
    }

    /// The last place to begin at a look or before it; the first look is one.
    fn base(&self, at: usize) -> usize {
        (0..=at).rev().find(|at| self.is_base(*at)).unwrap_or(0)
    }

    /// One cycle on. What is remembered after it; none where it cannot be played.
    fn pass(&mut self, running: Option<Remembered>, cycle: &Cycle) -> Option<Remembered> {
        let played = Remembered::before(cycle).and_then(|begun| {
            let mut next = begun.or(running);
            if let Some(next) = &mut next {
                // What this version would decide is of no matter here.
                let _news = next.play(cycle)?;
            }
            Ok(next)
        });
        played.unwrap_or_else(|error| {
            self.refused.get_or_insert(error.to_string());
            None
        })
    }

    /// Marks a look, and lets those go that lie farthest from it.
    fn mark(&mut self, at: usize, remembered: Remembered) {
        let components = remembered.policy.components.len().max(1);
        let most = (MARKED / components).clamp(FEWEST_MARKS, MOST_MARKS);
        self.marks.retain(|marked, _| *marked % STRIDE == 0);
        self.marks.insert(at, remembered);
        while self.marks.len() > most {
            let ends = [self.marks.first_key_value(), self.marks.last_key_value()];
            let far = ends.into_iter().flatten().map(|(marked, _)| *marked);
            let Some(far) = far.max_by_key(|marked| marked.abs_diff(at)) else { break };
            self.marks.remove(&far);
        }
    }

    /// What the daemon would have told at a look, but for what is not recorded: forecasts, peaks, quotas, how it did itself.
    fn report(&self, remembered: &Remembered, cycle: &Cycle) -> Report {
        let policy = remembered.policy.as_ref();
        let news = self.recording.told().map_or_else(
            || News { decision: Decision::default(), plan: Plan::default(), findings: Vec::new() },
            |Told { decision, plan, findings }| News { decision, plan, findings },
        );
        report(ReportInput {
            policy,
            state: &remembered.state,
            seen: &cycle.seen,
            news: &news,
            beside: &[],
            foresight: &Foresight::default(),
            enforcing: policy.mode == Mode::Enforce,
            instead_of: None,
            pid: 0,
            started: Tick::default(),
            history: &self.history(cycle),
            schedules: Vec::new(),
            peaks: &Peaks::default(),
            alerts: self.told.at(cycle),
            given: &Given::default(),
            sinks: BTreeMap::new(),
            own: Own {
                wall_secs: cycle.wall_secs,
                interval: policy.interval,
                reloaded: true,
                ..Own::default()
            },
            health: Health::default(),
        })
    }

    /// What had been done last by then.
    fn history(&self, cycle: &Cycle) -> History {
        let done = self.done.iter().rev().filter_map(|done| Some((done, done.seen_from(cycle)?)));
        let mut last: Vec<(&Done, Tick)> = done.take(ACTIONS).collect();
        last.reverse();
        let mut history = History::default();
        for (done, at) in last {
            let outcome = Outcome { at, ..done.outcome.as_ref().clone() };
            history.happened(&outcome, done.reason.as_ref(), None);
        }
        history
    }
}

impl Done {
    fn seen_from(&self, cycle: &Cycle) -> Option<Tick> {
        seen_from(self.outcome.at, self.wall_secs, cycle)
    }
}

/// When something was on the boot clock of a look; none where it was after the look, or before that clock began.
pub(super) fn seen_from(at: Tick, wall_secs: u64, cycle: &Cycle) -> Option<Tick> {
    let now = cycle.seen.at;
    let ago = Span::secs(cycle.wall_secs.checked_sub(wall_secs)?);
    let reckoned = Tick(now.0.checked_sub(ago.0)?);
    if at.0.abs_diff(reckoned.0) > SAME_BOOT.0 {
        // Of another boot, whose clock says nothing here.
        return Some(reckoned);
    }
    (at <= now).then_some(at)
}

fn done(event: Event) -> Option<Done> {
    let EventOf::Action { outcome, reason, .. } = event.of else { return None };
    Some(Done { wall_secs: event.wall_secs, outcome, reason })
}

/// The looks to which a replay comes: from a place to begin up to the next gap.
fn reached(places: Vec<Place>) -> Vec<Place> {
    let mut is_reached = false;
    let reached = places.into_iter().filter(|place| {
        is_reached = place.is_base || (is_reached && place.follows);
        is_reached
    });
    reached.collect()
}

#[cfg(test)]
pub(super) mod tests;
