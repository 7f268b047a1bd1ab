//! The life of alerts: from what holds at a look to what somebody should be told, and when.
//!
//! **Problem.** A condition that holds for a moment is no news, one that comes and goes is news once, and one that somebody knows of is none.
//! Whoever is told too often stops listening.
//!
//! **Approach.** A small machine for each name, which is a kind and what it is about. Time is counted by looks.
//!
//! **Terms.** *signal*: a condition that holds at this look. *episode*: from its first look to its end. *told*: passed to the sinks.
//! *quiet*: how long a condition must not hold before its episode ends. *flip*: an episode that fired.
//!
//! **Algorithm.** An episode is pending until it has held for as long as its kind asks for, an emergency at once; then it fires, and is told.
//! When the condition was gone for the quiet time it is resolved, and that is told if its firing was. Quiet is half a minute, and doubles
//! with each flip within half an hour, up to sixteen minutes. Of one name, two firings are told no closer than the cooldown, unless the
//! second is graver. An acknowledgement holds for the episode up to its severity; a silence until its time.
//!
//! **Properties**, each a test: one name has one alert; within a cooldown no second firing is told that is not graver; what was told as
//! firing is told as resolved once at most; nothing is told while it is acknowledged or silenced; at most [`MOST`] are kept; a look at
//! which nothing begins or ends asks for no memory.

use crate::config::AlertPolicy;
use crate::model::{AlertKind, AlertMemory, AlertState, AlertView, Evidence, Level};
use crate::units::{Span, Tick};
use std::collections::BTreeMap;

/// So many alerts are kept, and no more begun.
const MOST: usize = 512;
/// The shortest quiet time.
const QUIET: Span = Span::secs(30);
/// It is doubled so often at most.
const MOST_DOUBLINGS: u32 = 5;
/// Without a flip for so long, flips are forgotten.
const FLIPS_COUNT_FOR: Span = Span::secs(1800);
/// From so many flips on it is told that an alert comes and goes.
const FLAPPING: u32 = 3;
/// A resolved alert is shown for so long.
const SHOWN_FOR: Span = Span::secs(3600);

/// A condition that holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal<'a> {
    /// What it is about.
    pub kind: AlertKind,
    /// The component, the resource or the mount point.
    pub subject: &'a str,
    /// How grave it is; `normal` is no signal.
    pub severity: Level,
    /// The numbers.
    pub evidence: Evidence,
}

/// All alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    kinds: BTreeMap<AlertKind, BTreeMap<String, Alert>>,
    /// Rises when something changed that outlives the daemon.
    marks: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Alert {
    phase: Phase,
    severity: Level,
    evidence: Evidence,
    /// When the episode began.
    since: Tick,
    /// When the condition held last.
    held_at: Tick,
    flips: u32,
    flipped_at: Tick,
    /// Whether this episode's firing was told.
    is_told: bool,
    memory: AlertMemory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing holds; only what is remembered counts.
    Idle,
    Pending,
    Firing,
    Resolved {
        at: Tick,
    },
}

impl Alerts {
    /// Takes in what holds at a look. What is to be told, firings before ends.
    pub fn look<'a>(
        &mut self,
        policy: &AlertPolicy,
        at: Tick,
        signals: impl Iterator<Item = Signal<'a>>,
    ) -> Vec<AlertView> {
        for signal in signals.filter(|signal| signal.severity > Level::Normal) {
            self.note(signal, at);
        }
        let mut told = Vec::new();
        let mut ended = Vec::new();
        for (kind, alerts) in &mut self.kinds {
            for (subject, alert) in alerts.iter_mut() {
                let before = alert.memory;
                match alert.turn(policy, *kind, at) {
                    None => {}
                    Some(Turn::Fires) => told.push(alert.view(*kind, subject, at)),
                    Some(Turn::Ends) => ended.push(alert.view(*kind, subject, at)),
                }
                self.marks += u64::from(alert.memory != before);
            }
            alerts.retain(|_, alert| alert.is_worth_keeping(policy, at));
        }
        told.append(&mut ended);
        told
    }

    fn note(&mut self, signal: Signal<'_>, at: Tick) {
        let count: usize = self.kinds.values().map(BTreeMap::len).sum();
        let alerts = self.kinds.entry(signal.kind).or_default();
        if let Some(alert) = alerts.get_mut(signal.subject) {
            alert.note(signal, at);
        } else if count < MOST {
            let mut alert = Alert::new(signal, AlertMemory::default());
            alert.note(signal, at);
            alerts.insert(signal.subject.to_owned(), alert);
        }
    }

    /// All that are worth showing: those that hold first, the gravest of them first.
    #[must_use]
    pub fn views(&self, at: Tick) -> Vec<AlertView> {
        let all = self.kinds.iter().flat_map(|(kind, alerts)| {
            let shown = alerts.iter().filter(|(_, alert)| alert.phase != Phase::Idle);
            shown.map(move |(subject, alert)| alert.view(*kind, subject, at))
        });
        let mut views: Vec<AlertView> = all.collect();
        views.sort_by_key(|view| {
            (view.state == AlertState::Resolved, std::cmp::Reverse(view.severity), view.id.clone())
        });
        views
    }

    /// Somebody knows of this one. Whether it is there and holds.
    pub fn acknowledge(&mut self, id: &str) -> bool {
        let Some(alert) = self.find(id) else { return false };
        if !matches!(alert.phase, Phase::Pending | Phase::Firing) {
            return false;
        }
        alert.memory.acknowledged = Some(alert.severity);
        self.marks += 1;
        true
    }

    /// Nobody wants to hear of this one until then. Whether it is there.
    pub fn silence(&mut self, id: &str, until: Tick) -> bool {
        let Some(alert) = self.find(id) else { return false };
        alert.memory.silenced_until = Some(until);
        self.marks += 1;
        true
    }

    fn find(&mut self, id: &str) -> Option<&mut Alert> {
        let (kind, subject) = id.split_once('/')?;
        let kind = AlertKind::ALL.into_iter().find(|known| known.word() == kind)?;
        self.kinds.get_mut(&kind)?.get_mut(subject)
    }

    /// Rises when there is something else to be kept.
    #[must_use]
    pub const fn marks(&self) -> u64 {
        self.marks
    }

    /// What is to be kept while no daemon runs, by name.
    #[must_use]
    pub fn memories(&self) -> BTreeMap<String, AlertMemory> {
        let all = self.kinds.iter().flat_map(|(kind, alerts)| {
            alerts.iter().map(move |(subject, alert)| (name(*kind, subject), alert.memory))
        });
        all.filter(|(_, memory)| *memory != AlertMemory::default()).collect()
    }

    /// Goes on with what was kept.
    pub fn remember(&mut self, memories: &BTreeMap<String, AlertMemory>) {
        for (id, memory) in memories.iter().take(MOST) {
            let Some((kind, subject)) = id.split_once('/') else { continue };
            let kind = AlertKind::ALL.into_iter().find(|known| known.word() == kind);
            let Some(kind) = kind else { continue };
            // Until the condition holds again, nobody sees these.
            let (severity, evidence) = (Level::Warning, Evidence::Contested);
            let nothing = Signal { kind, subject, severity, evidence };
            let alert = Alert::new(nothing, *memory);
            self.kinds.entry(kind).or_default().insert(subject.to_owned(), alert);
        }
    }
}

/// What somebody should be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Fires,
    Ends,
}

impl Alert {
    /// One that does not hold.
    fn new(signal: Signal<'_>, memory: AlertMemory) -> Self {
        Self {
            phase: Phase::Idle,
            severity: signal.severity,
            evidence: signal.evidence,
            since: Tick::default(),
            held_at: Tick::default(),
            flips: 0,
            flipped_at: Tick::default(),
            is_told: false,
            memory,
        }
    }

    fn note(&mut self, signal: Signal<'_>, at: Tick) {
        let holds = matches!(self.phase, Phase::Pending | Phase::Firing);
        // Of two signals of one name at one look the graver one counts.
        if !holds || self.held_at < at || signal.severity > self.severity {
            (self.severity, self.evidence) = (signal.severity, signal.evidence);
        }
        self.held_at = at;
        if !holds {
            self.phase = Phase::Pending;
            self.since = at;
            self.is_told = false;
        }
    }

    /// Moves on to `at`.
    fn turn(&mut self, policy: &AlertPolicy, kind: AlertKind, at: Tick) -> Option<Turn> {
        if self.phase == Phase::Pending {
            let has_held = self.held_at.since(self.since) >= hold(kind, self.severity);
            if self.held_at < at {
                self.phase = Phase::Idle;
            } else if has_held {
                self.fire(at);
            }
        }
        if self.phase != Phase::Firing {
            return None;
        }
        if at.since(self.held_at) >= self.quiet() {
            self.phase = Phase::Resolved { at };
            self.memory.acknowledged = None;
            let is_news = self.is_told && !self.is_silenced(at);
            return is_news.then_some(Turn::Ends);
        }
        if self.held_at < at || !self.is_to_be_told(policy, at) {
            return None;
        }
        self.is_told = true;
        self.memory.told = Some((at, self.severity));
        Some(Turn::Fires)
    }

    fn fire(&mut self, at: Tick) {
        if at.since(self.flipped_at) > FLIPS_COUNT_FOR {
            self.flips = 0;
        }
        self.phase = Phase::Firing;
        self.flips = self.flips.saturating_add(1);
        self.flipped_at = at;
    }

    fn quiet(&self) -> Span {
        let doublings = self.flips.saturating_sub(1).min(MOST_DOUBLINGS);
        Span(QUIET.0 << doublings)
    }

    fn is_to_be_told(&self, policy: &AlertPolicy, at: Tick) -> bool {
        let is_known = self.memory.acknowledged.is_some_and(|known| self.severity <= known);
        if is_known || self.is_silenced(at) {
            return false;
        }
        match self.memory.told {
            None => true,
            Some((_, before)) if self.severity > before => true,
            Some((told_at, _)) => !self.is_told && at.since(told_at) >= policy.cooldown,
        }
    }

    fn is_silenced(&self, at: Tick) -> bool {
        self.memory.silenced_until.is_some_and(|until| at < until)
    }

    /// Whether it holds, is still shown, or something is remembered that may still count.
    fn is_worth_keeping(&self, policy: &AlertPolicy, at: Tick) -> bool {
        let is_shown = match self.phase {
            Phase::Pending | Phase::Firing => true,
            Phase::Resolved { at: ended } => at.since(ended) < SHOWN_FOR,
            Phase::Idle => false,
        };
        let cools = self.memory.told.is_some_and(|(told, _)| at.since(told) < policy.cooldown);
        let flips = self.flips > 0 && at.since(self.flipped_at) <= FLIPS_COUNT_FOR;
        is_shown || cools || flips || self.is_silenced(at)
    }

    fn view(&self, kind: AlertKind, subject: &str, at: Tick) -> AlertView {
        let state = match self.phase {
            Phase::Resolved { .. } | Phase::Idle => AlertState::Resolved,
            Phase::Pending | Phase::Firing if self.is_silenced(at) => AlertState::Silenced,
            Phase::Pending | Phase::Firing if self.memory.acknowledged >= Some(self.severity) => {
                AlertState::Acknowledged
            }
            Phase::Pending => AlertState::Pending,
            Phase::Firing => AlertState::Firing,
        };
        AlertView {
            id: name(kind, subject),
            kind,
            subject: subject.to_owned(),
            severity: self.severity,
            state,
            since: self.since,
            ended: if let Phase::Resolved { at } = self.phase { Some(at) } else { None },
            silenced_until: self.memory.silenced_until.filter(|until| at < *until),
            flapping: self.flips >= FLAPPING,
            evidence: self.evidence,
            text: self.evidence.text(subject),
        }
    }
}

fn name(kind: AlertKind, subject: &str) -> String {
    format!("{kind}/{subject}")
}

/// How long a condition must hold before it fires. Levels, leaks and file systems were watched for long before they are signals.
const fn hold(kind: AlertKind, severity: Level) -> Span {
    if matches!(severity, Level::Emergency) {
        return Span::ZERO;
    }
    match kind {
        AlertKind::Pressure | AlertKind::Use => Span::secs(10),
        AlertKind::DiskSpace
        | AlertKind::Refused
        | AlertKind::Leak
        | AlertKind::Drift
        | AlertKind::OomKill => Span::ZERO,
        AlertKind::Unresponsive => Span::secs(300),
        AlertKind::Forecast => Span::secs(600),
        AlertKind::Throttled => Span::secs(60),
    }
}

#[cfg(test)]
mod tests;
