//! What holds now, as signals for the alerts, and what is kept and told of them. Must not decide how alerts live (`estimate::alerts`) nor wait
//! for whoever is told (`sinks`).
//!
//! Levels are looked at in each look. What is known of components, and of file systems, is gone through every five seconds: none of it asks for
//! more haste, and a thousand components cost something.

mod kills;
mod throttled;

use super::instance::Paths;
use super::kept::Kept;
use super::sinks::{Host, Sinks, Told};
use crate::config::Policy;
use crate::cycle::{News, State};
use crate::estimate::{Alerts, Estimator, Foresight, Signal};
use crate::kernel::clock;
use crate::model::{
    AlertBook, AlertKind, AlertView, Evidence, FindingKind, Level, Outcome, OutcomeOf, Reason,
    Resource, Room, Snapshot, Verdict,
};
use crate::units::{ComponentName, Ppm, Span, Tick};
use kills::Kills;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Components are gone through so often.
const EVERY: Span = Span::secs(5);
/// Of writes, the last ten minutes count: two stretches of five.
const STRETCH: Span = Span::secs(300);
/// So many writes say something.
const FEWEST_WRITES: u64 = 5;
/// One part of so many refused is too much.
const REFUSED_PART: u64 = 20;
/// Stopped by the CPU limit in more of its periods than these.
const THROTTLED: [(Level, Ppm); 2] =
    [(Level::Critical, Ppm::percent(50)), (Level::Warning, Ppm::percent(5))];
/// Alerts and their names take less.
const LONGEST: u64 = 1 << 20;
const LOSS: &str = "alerts that somebody knows of, or wants to hear nothing of, are told again";

/// The alerts, and what they are made of.
#[derive(Debug)]
pub(super) struct Alerting {
    alerts: Alerts,
    pub(super) sinks: Sinks,
    found: Vec<Found>,
    found_at: Option<Tick>,
    /// File systems that fill up, and what the estimator had told by then.
    full: Vec<Found>,
    told: Option<u64>,
    writes: BTreeMap<ComponentName, Writes>,
    writes_began: Option<Tick>,
    kills: Kills,
    file: Kept,
    boot: String,
    marks: u64,
}

/// A signal that holds until components are gone through again.
#[derive(Debug)]
struct Found {
    kind: AlertKind,
    subject: String,
    severity: Level,
    evidence: Evidence,
}

/// What was written for a component, and how much of it was refused: now, and in the stretch before.
#[derive(Debug, Clone, Copy, Default)]
struct Writes {
    now: (u64, u64),
    before: (u64, u64),
}

/// What is known at a look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) policy: &'a Policy,
    pub(super) state: &'a State,
    pub(super) seen: &'a Snapshot,
    pub(super) news: &'a News,
    pub(super) foresight: &'a Foresight,
}

impl Alerting {
    /// Takes up what an earlier daemon kept in this boot.
    pub(super) fn begin(paths: &Paths, boot: String, policy: &Policy, host: Host) -> Self {
        let file = Kept::new(paths.state.join("alerts.json"), LONGEST, LOSS);
        let mut alerts = Alerts::default();
        if let Some(book) = file.read(read).filter(|book| book.boot == boot) {
            alerts.remember(&book.alerts);
        }
        Self {
            marks: alerts.marks(),
            alerts,
            sinks: Sinks::new(&policy.alerts, host),
            found: Vec::new(),
            found_at: None,
            full: Vec::new(),
            told: None,
            writes: BTreeMap::new(),
            writes_began: None,
            kills: Kills::default(),
            file,
            boot,
        }
    }

    /// Takes note of what came of a write.
    pub(super) fn happened(&mut self, outcome: &Outcome) {
        let (OutcomeOf::Knob { .. }, Some(component)) = (&outcome.of, &outcome.component) else {
            return;
        };
        let writes = match self.writes.get_mut(component) {
            Some(writes) => writes,
            None => self.writes.entry(component.clone()).or_default(),
        };
        writes.now.0 += 1;
        writes.now.1 += u64::from(matches!(outcome.verdict, Verdict::Refused { .. }));
    }

    /// Takes in one look, and tells what is to be told; that comes back.
    pub(super) fn look(&mut self, at: Tick, known: Known<'_>) -> Vec<AlertView> {
        if self.found_at.is_none_or(|found| at.since(found) >= EVERY) {
            self.found_at = Some(at);
            self.find(at, known);
        }
        let estimator = &known.state.estimator;
        let found = self.found.iter().chain(&self.full).map(Found::signal);
        let signals = Resource::ALL.into_iter().flat_map(|of| levels(estimator, of)).chain(found);
        let told = self.alerts.look(&known.policy.alerts, at, signals);
        for view in &told {
            tracing::debug!(alert = view.id, state = view.state.word(), "told");
            self.sinks.tell(&Arc::new(Told { view: view.clone(), at: clock::wall_secs() }));
        }
        self.keep();
        told
    }

    fn find(&mut self, at: Tick, known: Known<'_>) {
        self.turn_over(at);
        self.kills.look(at, known);
        self.found.clear();
        let estimator = &known.state.estimator;
        for (name, leak) in estimator.leaks() {
            self.add(AlertKind::Leak, name, leak.tier.alert(), Evidence::Growth { leak });
        }
        for (name, resource, said) in known.foresight.unreliable() {
            let evidence = Evidence::Doubt { resource, confidence: said.confidence };
            self.add(AlertKind::Forecast, name, Level::Warning, evidence);
        }
        self.add_throttled(known);
        self.add_refused();
        self.add_killed();
        self.add_decided(known.news);
        self.find_full(estimator);
    }

    fn add(&mut self, kind: AlertKind, of: &ComponentName, severity: Level, evidence: Evidence) {
        if severity > Level::Normal {
            self.found.push(Found { kind, subject: of.to_string(), severity, evidence });
        }
    }

    fn add_throttled(&mut self, known: Known<'_>) {
        for name in known.policy.components.keys() {
            let Some((share, by)) = throttled::most(known, name) else { continue };
            let level = THROTTLED.into_iter().find(|(_, from)| share > *from);
            if let Some((severity, _)) = level {
                self.add(AlertKind::Throttled, name, severity, Evidence::Throttled { share, by });
            }
        }
    }

    fn add_refused(&mut self) {
        let refused = |(name, writes): (&ComponentName, &Writes)| {
            let attempts = writes.now.0 + writes.before.0;
            let refused = writes.now.1 + writes.before.1;
            let is_much = attempts >= FEWEST_WRITES && refused * REFUSED_PART > attempts;
            is_much.then(|| Found {
                kind: AlertKind::Refused,
                subject: name.to_string(),
                severity: Level::Warning,
                evidence: Evidence::Refused { attempts, refused },
            })
        };
        self.found.extend(self.writes.iter().filter_map(refused));
    }

    fn add_killed(&mut self) {
        let killed = |(name, count): (&ComponentName, u64)| Found {
            kind: AlertKind::OomKill,
            subject: name.to_string(),
            severity: Level::Critical,
            evidence: Evidence::Killed { count },
        };
        self.found.extend(self.kills.told().map(killed));
    }

    /// What decisions and their findings say: who does not follow its limit, and whose values somebody else keeps changing.
    fn add_decided(&mut self, news: &News) {
        for target in &news.decision.targets {
            let Some(name) = &target.component else { continue };
            if matches!(target.reason, Reason::AboveCeiling { .. }) {
                self.add(AlertKind::Unresponsive, name, Level::Warning, Evidence::AboveCeiling);
            } else if target.reason == Reason::LetGo {
                let evidence = Evidence::GivesNothingBack;
                self.add(AlertKind::Unresponsive, name, Level::Warning, evidence);
            }
        }
        let contested =
            news.findings.iter().filter(|finding| finding.kind == FindingKind::Contested);
        for finding in contested {
            let component = finding.component.as_ref().map(ToString::to_string);
            let place = || finding.at.as_ref().map(ToString::to_string);
            self.found.extend(component.or_else(place).map(|subject| Found {
                kind: AlertKind::Drift,
                subject,
                severity: Level::Warning,
                evidence: Evidence::Contested,
            }));
        }
    }

    /// Gone through only when there is something else to tell of them.
    fn find_full(&mut self, estimator: &Estimator) {
        let told = estimator.told();
        if self.told.replace(told) == Some(told) {
            return;
        }
        self.full.clear();
        for view in estimator.filesystems() {
            let share = match view.seen.room {
                Room::Known { used, inodes, .. } => used.max(inodes),
                Room::Hangs { .. } | Room::Failed { .. } => None,
            };
            if view.alert > Level::Normal {
                self.full.push(Found {
                    kind: AlertKind::DiskSpace,
                    subject: view.seen.at,
                    severity: view.alert,
                    evidence: Evidence::Used { share },
                });
            }
        }
    }

    fn turn_over(&mut self, at: Tick) {
        if at.since(*self.writes_began.get_or_insert(at)) < STRETCH {
            return;
        }
        self.writes_began = Some(at);
        for writes in self.writes.values_mut() {
            writes.before = std::mem::take(&mut writes.now);
        }
        self.writes.retain(|_, writes| writes.before.0 > 0);
    }

    /// Takes note that systemd gives want of memory as the reason for which a unit ended.
    pub(super) fn heard_kill(&mut self, unit: &str) {
        self.kills.heard(unit);
    }

    /// All that are worth showing.
    pub(super) fn views(&self, at: Tick) -> Vec<AlertView> {
        self.alerts.views(at)
    }

    /// Somebody knows of this one; what there is to say about that.
    pub(super) fn acknowledge(&mut self, id: &str) -> Result<String, String> {
        if !self.alerts.acknowledge(id) {
            return Err(format!(
                "there is no alert \"{id}\" that holds; \"provost alerts\" lists them"
            ));
        }
        self.keep();
        Ok(format!("{id} is acknowledged until it is resolved or gets graver"))
    }

    /// Nobody wants to hear of this one for a while; what there is to say about that.
    pub(super) fn silence(&mut self, id: &str, at: Tick, span: Span) -> Result<String, String> {
        if !self.alerts.silence(id, at.plus(span)) {
            return Err(format!("there is no alert \"{id}\"; \"provost alerts\" lists them"));
        }
        self.keep();
        Ok(if span == Span::ZERO {
            format!("{id} is told again")
        } else {
            format!("{id} is silenced for {span}")
        })
    }

    /// Writes what outlives the daemon, if that is not what was written.
    fn keep(&mut self) {
        let marks = self.alerts.marks();
        if marks == std::mem::replace(&mut self.marks, marks) {
            return;
        }
        let (version, boot) = (AlertBook::VERSION, self.boot.clone());
        let book = AlertBook { version, boot, alerts: self.alerts.memories() };
        self.file.write(serde_json::to_string(&book));
    }
}

/// What was kept, in the one version that is read.
fn read(bytes: &[u8]) -> Result<AlertBook, String> {
    let book: AlertBook = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if book.version == AlertBook::VERSION {
        return Ok(book);
    }
    Err(format!("its version {} is not {}", book.version, AlertBook::VERSION))
}

impl Found {
    fn signal(&self) -> Signal<'_> {
        let Self { kind, subject, severity, evidence } = self;
        Signal { kind: *kind, subject, severity: *severity, evidence: *evidence }
    }
}

/// How scarce a resource is, and how much of it is in use.
fn levels(estimator: &Estimator, resource: Resource) -> [Signal<'static>; 2] {
    let (kind, subject) = (AlertKind::Pressure, resource.word());
    let severity = estimator.levels().of(resource);
    let share = *estimator.host().share.of(resource);
    [
        Signal { kind, subject, severity, evidence: Evidence::Waits { resource } },
        Signal {
            kind: AlertKind::Use,
            subject,
            severity: estimator.alerts().of(resource),
            evidence: Evidence::Used { share },
        },
    ]
}

#[cfg(test)]
mod tests;
