//! How many instances of its template unit a component has: one more while those that run are busy, one less when the others would do.
//!
//! **Problem.** What does its work on one CPU is no faster for a higher ceiling. Another instance is; but starting and stopping cost time and
//! caches, and a job of systemd's takes as long as it takes.
//!
//! **Approach.** One job at a time for each component. The next is decided when the last one ended, from how many run now.
//!
//! **Terms.** *instance*: a home that is a numbered unit of the template. *use*: what all of them use of the CPU; while throttled, what
//! they would use. *order*: a job that was decided and not begun yet.
//!
//! **Algorithm.** Below the least, the lowest free number is started. So it is when all use more than `up` each for [`BUSY_FOR`], when a growth that lasts or the
//! upper bound of a trusted forecast will be above that, and at most the most run. The highest number is stopped when, for one cooldown and one
//! cooldown after the last change, the others would use less than `down` each with the forecast too, or when more than the most run. A job that failed is
//! tried again after [`RESTS`], twice as long each time, up to [`RESTS_MOST`].
//!
//! **Properties**, each a test in `instances/tests.rs`: never below the least nor above the most by provost's doing; a cooldown before each stop; a constant load comes to
//! rest; what is not known starts and stops nothing; `auto-scale = false` freezes it.

use super::scale::{Look, Trend};
use crate::config::Component;
use crate::model::{
    Finding, FindingKind, Home, HomeKind, Instances, InstancesView, JobKind, OutcomeOf, Resource,
    Severity, Snapshot, Template, UnitJob, Verdict,
};
use crate::units::{CgroupPath, ComponentName, Millicpu, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A second of much work is no reason for another instance.
const BUSY_FOR: Span = Span::secs(10);
/// Before the next start, the last one shows what it is worth.
const SETTLES: Span = Span::secs(15);
/// A job that nobody began in so long is decided anew: nobody carries plans out, or the host changed.
const UNANSWERED: Span = Span::secs(10);
/// A job whose end nobody heard of: systemd's own limits are a minute and a half each for start and stop.
const LONGEST: Span = Span::secs(600);
/// After a job failed, and at most.
const RESTS: Span = Span::secs(10);
const RESTS_MOST: Span = Span::secs(600);

/// All components that have instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Crews {
    components: BTreeMap<ComponentName, Crew>,
}

/// One component's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Crew {
    trend: Trend,
    busy_since: Option<Tick>,
    calm_since: Option<Tick>,
    changed: Option<Tick>,
    /// Decided and not begun, and when that was.
    order: Option<(UnitJob, Tick)>,
    /// Begun and not ended, and when that was.
    runs: Option<(UnitJob, Tick)>,
    /// What was started last: it is to be there.
    started: Option<String>,
    failed: Option<Failed>,
    /// Why there are as many as there are.
    because: String,
}

/// Jobs that failed one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Failed {
    times: u32,
    until: Tick,
    what: String,
}

/// How many run, and what they use.
#[derive(Debug, Clone, Copy)]
struct Sight {
    count: u64,
    used: Option<u64>,
    /// What they are expected to use at most.
    expected: Option<u64>,
}

impl Crews {
    /// Takes in one look. Whether anything changed that is decided by.
    pub(super) fn update(&mut self, look: &Look<'_>) -> bool {
        let all = &look.policy.components;
        self.components.retain(|name, _| all.get(name).is_some_and(|one| one.instances.is_some()));
        let mut moved = false;
        for component in all.values() {
            let Some(instances) = component.instances.as_ref().filter(|_| look.seen.host.systemd)
            else {
                continue;
            };
            if !self.components.contains_key(&component.name) {
                self.components.insert(component.name.clone(), Crew::new(look.seen.at));
            }
            if let Some(crew) = self.components.get_mut(&component.name) {
                moved |= crew.look(look, component, instances);
            }
        }
        moved
    }

    /// Takes in that jobs began or ended. Whether there was any.
    pub(super) fn hear(&mut self, seen: &Snapshot) -> bool {
        let mut heard = false;
        for outcome in &seen.outcomes {
            let OutcomeOf::Unit { unit, job, ended } = &outcome.of else { continue };
            let crew = outcome.component.as_ref().and_then(|name| self.components.get_mut(name));
            if let Some(crew) = crew {
                crew.hear((unit.as_str(), *job, *ended), &outcome.verdict, seen.at);
                heard = true;
            }
        }
        heard
    }

    /// The jobs that are to be begun.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &UnitJob> {
        self.components.values().filter_map(|crew| crew.order.as_ref()).map(|(job, _)| job)
    }

    /// What a person should know: jobs that failed.
    pub(super) fn findings(&self, now: Tick) -> impl Iterator<Item = Finding> {
        self.components.iter().filter_map(move |(name, crew)| {
            let failed = crew.failed.as_ref()?;
            let left = failed.until.since(now).0.div_ceil(1_000_000);
            let text = format!("{}; tried again in {left}s at the earliest", failed.what);
            Some(Finding {
                severity: Severity::Warning,
                kind: FindingKind::Refused,
                component: Some(name.clone()),
                at: None,
                text,
            })
        })
    }

    /// How a component stands, as it is shown.
    pub(super) fn view(&self, component: &Component, seen: &Snapshot) -> Option<InstancesView> {
        let instances = component.instances.as_ref()?;
        let crew = self.components.get(&component.name);
        let job = crew.and_then(|crew| crew.order.as_ref().or(crew.runs.as_ref()));
        Some(InstancesView {
            template: instances.template.to_string(),
            least: instances.least,
            most: instances.most,
            run: numbers(seen, component, &instances.template).count() as u64,
            job: job.map(|(job, _)| format!("{} {}: {}", job.kind, job.unit, job.because)),
            because: crew.map(|crew| crew.because.clone()).unwrap_or_default(),
        })
    }
}

impl Crew {
    fn new(now: Tick) -> Self {
        Self {
            trend: Trend::new(now),
            busy_since: None,
            calm_since: None,
            changed: None,
            order: None,
            runs: None,
            started: None,
            failed: None,
            because: String::new(),
        }
    }

    /// Whether a job was decided, or given up.
    fn look(&mut self, look: &Look<'_>, component: &Component, instances: &Instances) -> bool {
        let (seen, now) = (look.seen, look.seen.at);
        let sight = sight(look, component, instances);
        if let Some(used) = sight.used {
            self.trend.add(used, now);
        }
        if self.runs.as_ref().is_some_and(|(_, since)| now.since(*since) >= LONGEST) {
            self.runs = None;
        }
        let unanswered = |(_, at): &(UnitJob, Tick)| now.since(*at) >= UNANSWERED;
        let given_up = self.order.take_if(|order| unanswered(order)).is_some();
        self.mark(instances, sight, now);
        let is_there =
            |unit: &String| homes(seen, component).any(|home| unit_of(home) == Some(unit));
        if self.started.take_if(|unit| is_there(unit)).is_some() {
            self.failed = None;
        }
        let rests = self.failed.as_ref().is_some_and(|failed| now < failed.until);
        if self.order.is_some() || self.runs.is_some() || rests || !component.auto_scale {
            return given_up;
        }
        let Some((kind, because)) = self.want(instances, sight, now) else { return given_up };
        if kind == JobKind::Start
            && let Some(unit) = self.started.take_if(|unit| !is_there(unit))
        {
            self.fail(
                format!("{unit} was started and does not run; see \"systemctl status {unit}\""),
                now,
            );
            return true;
        }
        let job = job(seen, component, instances, (kind, because));
        self.order = job.map(|job| (job, now));
        true
    }

    /// Since when they have much to do, and since when one less would be enough.
    fn mark(&mut self, instances: &Instances, sight: Sight, now: Tick) {
        let Some(used) = sight.used else {
            (self.busy_since, self.calm_since) = (None, None);
            return;
        };
        let is_busy = used > instances.up.0.saturating_mul(sight.count);
        let others = sight.count.saturating_sub(1);
        let is_calm =
            used.max(sight.expected.unwrap_or(0)) < instances.down.0.saturating_mul(others);
        self.busy_since = is_busy.then(|| self.busy_since.unwrap_or(now));
        self.calm_since = is_calm.then(|| self.calm_since.unwrap_or(now));
    }

    /// What is to be done, and why; none where nothing is.
    fn want(&self, instances: &Instances, sight: Sight, now: Tick) -> Option<(JobKind, String)> {
        let Sight { count, used, expected } = sight;
        let lasts = |since: Option<Tick>, span| since.is_some_and(|since| now.since(since) >= span);
        let quiet = |span| self.changed.is_none_or(|at| now.since(at) >= span);
        if count < instances.least {
            let least = instances.least;
            return quiet(SETTLES)
                .then(|| (JobKind::Start, format!("{count} run, {least} are the least")));
        }
        if count > instances.most {
            let most = instances.most;
            return quiet(instances.cooldown)
                .then(|| (JobKind::Stop, format!("{count} run, {most} are the most")));
        }
        let used = used?;
        let all = Millicpu(used);
        if count < instances.most && quiet(SETTLES) {
            let line = instances.up.0.saturating_mul(count);
            let each = instances.up;
            if lasts(self.busy_since, BUSY_FOR) {
                return Some((
                    JobKind::Start,
                    format!("{count} use {all} cores, more than {each} each"),
                ));
            }
            if let Some(left) = self.trend.reaches(used, line, now) {
                let because =
                    format!("{count} use {all} cores, and in {left} more than {each} each");
                return Some((JobKind::Start, because));
            }
            if let Some(expected) = expected.filter(|expected| *expected > line) {
                let expected = Millicpu(expected);
                return Some((
                    JobKind::Start,
                    format!("{expected} cores are expected of {count}, more than {each} each"),
                ));
            }
        }
        let is_calm = count > instances.least && lasts(self.calm_since, instances.cooldown);
        (is_calm && quiet(instances.cooldown)).then(|| {
            let each = instances.down;
            (
                JobKind::Stop,
                format!("{count} use {all} cores, less than {each} for each of the others"),
            )
        })
    }

    fn hear(&mut self, (unit, kind, ended): (&str, JobKind, bool), verdict: &Verdict, now: Tick) {
        let begun = self.order.take_if(|(job, _)| job.unit == unit && job.kind == kind);
        if let Some((job, _)) = begun {
            self.runs = Some((job, now));
        }
        if let Verdict::Refused { advice, .. } = verdict {
            self.runs = None;
            self.fail(format!("{unit} could not be {}: {advice}", past(kind)), now);
            return;
        }
        if !ended {
            return;
        }
        if let Some((job, _)) = self.runs.take() {
            self.because = format!("{} {}: {}", past(kind), job.unit, job.because);
        }
        self.changed = Some(now);
        (self.busy_since, self.calm_since) = (None, None);
        self.started = (kind == JobKind::Start).then(|| unit.to_owned());
        if kind == JobKind::Stop {
            self.failed = None;
        }
    }

    fn fail(&mut self, what: String, now: Tick) {
        let times = self.failed.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
        let rests = RESTS.0.saturating_mul(1 << times.min(10)).min(RESTS_MOST.0);
        self.failed = Some(Failed { times, until: now.plus(Span(rests)), what });
    }
}

const fn past(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Start => "started",
        JobKind::Stop => "stopped",
    }
}

/// The job with its unit: the lowest number that is free, or the highest that runs.
fn job(
    seen: &Snapshot,
    component: &Component,
    instances: &Instances,
    (kind, because): (JobKind, String),
) -> Option<UnitJob> {
    let template = &instances.template;
    let runs = |wanted: u64| numbers(seen, component, template).any(|(number, _)| number == wanted);
    let (unit, at) = match kind {
        JobKind::Start => {
            let number = (1..=instances.most).find(|number| !runs(*number))?;
            let unit = template.unit(number);
            let beside = numbers(seen, component, template).next();
            let beside = beside.and_then(|(_, home)| home.path().parent());
            let slice = beside.unwrap_or_else(|| CgroupPath::new("system.slice"));
            let at = slice.child(&unit);
            (unit, at)
        }
        JobKind::Stop => {
            let (number, home) =
                numbers(seen, component, template).max_by_key(|(number, _)| *number)?;
            (template.unit(number), home.path().clone())
        }
    };
    let drain = instances.drain.clone().filter(|_| kind == JobKind::Stop);
    Some(UnitJob { component: component.name.clone(), unit, kind, at, drain, because })
}

fn sight(look: &Look<'_>, component: &Component, instances: &Instances) -> Sight {
    let count = numbers(look.seen, component, &instances.template).count() as u64;
    let need = look.estimator.component(&component.name);
    let used = need.and_then(|need| if need.bound.cpu { need.demand.cpu } else { need.usage.cpu });
    let expected = look.expected(component, Resource::Cpu).map(|said| said.upper);
    Sight { count, used: used.map(|used| used.0), expected }
}

fn homes<'a>(seen: &'a Snapshot, component: &Component) -> impl Iterator<Item = &'a Home> {
    seen.homes.get(&component.name).into_iter().flatten()
}

/// The instances that run, with their numbers.
fn numbers<'a>(
    seen: &'a Snapshot,
    component: &Component,
    template: &Template,
) -> impl Iterator<Item = (u64, &'a Home)> {
    homes(seen, component).filter_map(|home| {
        let number = template.number(unit_of(home)?)?;
        seen.groups.get(home.path())?.populated.then_some((number, home))
    })
}

fn unit_of(home: &Home) -> Option<&String> {
    match &home.kind {
        HomeKind::Unit { unit } => Some(unit),
        HomeKind::Container { .. }
        | HomeKind::Group
        | HomeKind::OwnScope { .. }
        | HomeKind::OwnGroup => None,
    }
}

#[cfg(test)]
mod tests;
