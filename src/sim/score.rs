//! What a run is judged by.
//!
//! **Problem.** A strategy that protects by stopping everybody else, or by writing all the time, is not good.
//!
//! **Approach.** Count what protected components suffered, what work was done at all, and what it took: all from the model itself, not from
//! what the strategy saw.
//!
//! **Terms.** *protected*: components of high and critical priority. *pressure*: time in which all tasks of a component waited for CPU that
//! others had, or at least one waited for memory or a disk. *served*: the part of a component's demand that was met; a request needs CPU,
//! disk and its tasks, so the least of the three counts, and nothing while it is dead. *work conserved*: CPU time used, of what could have been used
//! while somebody wanted it. *first action*: from the first pressure of a protected component to the first write after it.
//! *floor*: what a component is guaranteed and wants.
//!
//! **Algorithm.** One [`Tally::observe`] a tick, one [`Tally::wrote`] for each group of writes; integers only.
//!
//! **Properties.** Times are sums over components, so that two that wait for a second count two seconds. Parts are in hundredths of a
//! percent, rounded down. None of them depends on the machine.

use super::group::{Group, Leaf, TICK};
use super::plant::Plant;
use super::share::scaled;
use crate::config::Policy;
use crate::model::{Outcome, Verdict};
use crate::units::{ComponentName, Span};
use std::collections::BTreeMap;

/// In how many parts a run's course is kept.
pub const BUCKETS: usize = 120;
/// Ten thousandths: one is a hundredth of a percent.
const WHOLE: u64 = 10_000;

/// A run's marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Score {
    /// Time in which protected components waited for CPU that others had.
    pub cpu_pressure: Span,
    /// Time in which they waited for memory.
    pub memory_stall: Span,
    /// Time in which they waited for disks.
    pub io_stall: Span,
    /// The part of their demand that was met, in hundredths of a percent; none when they wanted nothing.
    pub served: Option<u64>,
    /// CPU time used of what could have been used, in hundredths of a percent; none when nobody wanted any.
    pub work: Option<u64>,
    /// Time that disks were busy.
    pub disk_busy: Span,
    /// Writes that were accepted.
    pub writes: u64,
    /// Writes that were refused.
    pub refused: u64,
    /// Writes in the last quarter of the run.
    pub writes_last_quarter: u64,
    /// How long the last quarter was.
    pub last_quarter: Span,
    /// OOM kills.
    pub kills: u64,
    /// Of these, kills of protected components.
    pub kills_of_protected: u64,
    /// From the first pressure to the first write after it.
    pub first_action: Option<Span>,
    /// Time in which components had less than they are guaranteed and wanted.
    pub below_floor: Span,
}

impl Score {
    /// Writes per minute in the last quarter, in hundredths.
    #[must_use]
    pub fn writes_per_minute(&self) -> u64 {
        scaled(self.writes_last_quarter * 100, 60_000_000, self.last_quarter.0)
    }
}

/// A part of a run's course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Point {
    served_done: u64,
    served_wanted: u64,
    pressure: u64,
    protected: u64,
    cpu: u64,
    cpu_capacity: u64,
    memory: u64,
    ticks: u64,
    /// Writes.
    pub writes: u64,
    /// OOM kills.
    pub kills: u64,
}

impl Point {
    /// The part of the protected components' demand that was met, in hundredths of a percent.
    #[must_use]
    pub fn served(&self) -> Option<u64> {
        (self.served_wanted > 0).then(|| scaled(WHOLE, self.served_done, self.served_wanted))
    }

    /// The mean part of the time in which a protected component was under pressure, in hundredths of a percent.
    #[must_use]
    pub fn pressure(&self) -> Option<u64> {
        (self.protected > 0).then(|| scaled(WHOLE, self.pressure, self.protected).min(WHOLE))
    }

    /// CPU used, of the host's, in hundredths of a percent.
    #[must_use]
    pub fn cpu(&self) -> Option<u64> {
        (self.cpu_capacity > 0).then(|| scaled(WHOLE, self.cpu, self.cpu_capacity))
    }

    /// Memory used, of the host's, in hundredths of a percent.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        self.memory.checked_div(self.ticks)
    }
}

/// Keeps count during a run.
#[derive(Debug)]
pub(super) struct Tally {
    guarantees: BTreeMap<ComponentName, (u64, u64)>,
    duration: u64,
    score: Score,
    served: (u64, u64),
    work: (u64, u64),
    pressed_at: Option<u64>,
    points: Vec<Point>,
}

impl Tally {
    pub(super) fn new(policy: &Policy, duration: Span) -> Self {
        let guarantee = |component: &crate::config::Component| {
            let cpu = component.cpu.guarantee.0.saturating_mul(TICK / 1000);
            (cpu, component.memory.guarantee.0)
        };
        let guarantees = policy
            .components
            .values()
            .map(|component| (component.name.clone(), guarantee(component)))
            .filter(|(_, guarantee)| *guarantee != (0, 0))
            .collect();
        Self {
            guarantees,
            duration: duration.0.max(1),
            score: Score { last_quarter: Span(duration.0 / 4), ..Score::default() },
            served: (0, 0),
            work: (0, 0),
            pressed_at: None,
            points: vec![Point::default(); BUCKETS],
        }
    }

    /// Takes in one tick.
    pub(super) fn observe(&mut self, plant: &Plant) {
        let now = plant.awake + plant.asleep;
        let mut point = Point::default();
        let before = self.served;
        for group in &plant.groups {
            let Some(leaf) = &group.leaf else { continue };
            self.score.kills += u64::from(leaf.lived.killed);
            point.kills += u64::from(leaf.lived.killed);
            let Some((name, priority)) = &leaf.component else { continue };
            if let Some(guarantee) = self.guarantees.get(name)
                && is_below(group, leaf, *guarantee)
            {
                self.score.below_floor.0 += TICK;
            }
            if priority.is_protected() {
                self.protected(leaf, &mut point, now);
            }
        }
        point.served_done = self.served.0 - before.0;
        point.served_wanted = self.served.1 - before.1;
        point.cpu = plant.busy.cpu;
        point.cpu_capacity = TICK * u64::try_from(plant.host.online.len()).unwrap_or(1);
        point.memory =
            plant.groups.first().map_or(0, |root| scaled(WHOLE, root.memory, plant.host.memory.0));
        point.ticks = 1;
        self.work.0 += plant.busy.cpu;
        self.work.1 += plant.busy.cpu_possible;
        self.score.disk_busy.0 += plant.busy.disk;
        self.add(now, point);
    }

    fn protected(&mut self, leaf: &Leaf, point: &mut Point, now: u64) {
        let lived = &leaf.lived;
        self.score.cpu_pressure.0 += lived.outside_cpu;
        self.score.memory_stall.0 += lived.memory_stall;
        self.score.io_stall.0 += lived.io_stall;
        self.score.kills_of_protected += u64::from(lived.killed);
        let pressure = lived.outside_cpu.max(lived.memory_stall).max(lived.io_stall);
        point.pressure += pressure;
        point.protected += TICK;
        // A hundredth of the time is no pressure that anybody acts on.
        if pressure > TICK / 100 || lived.killed {
            self.pressed_at.get_or_insert(now);
        }
        if let Some(part) = served(leaf) {
            self.served.0 += part;
            self.served.1 += WHOLE;
        }
    }

    fn add(&mut self, now: u64, point: Point) {
        let bucket = scaled(now.saturating_sub(1), 120, self.duration);
        let last = self.points.len().saturating_sub(1);
        let bucket = usize::try_from(bucket).unwrap_or(last).min(last);
        let Some(sum) = self.points.get_mut(bucket) else { return };
        sum.served_done += point.served_done;
        sum.served_wanted += point.served_wanted;
        sum.pressure += point.pressure;
        sum.protected += point.protected;
        sum.cpu += point.cpu;
        sum.cpu_capacity += point.cpu_capacity;
        sum.memory += point.memory;
        sum.ticks += point.ticks;
        sum.writes += point.writes;
        sum.kills += point.kills;
    }

    /// Takes in what came of writes at a time since the start.
    pub(super) fn wrote(&mut self, now: u64, outcomes: &[Outcome]) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let accepted = count(outcomes.iter().filter(|outcome| is_accepted(outcome)).count());
        self.score.writes += accepted;
        self.score.refused += count(outcomes.len()) - accepted;
        if now > self.duration - self.duration / 4 {
            self.score.writes_last_quarter += accepted;
        }
        if let (Some(pressed), None, true) =
            (self.pressed_at, self.score.first_action, accepted > 0)
        {
            self.score.first_action = Some(Span(now - pressed));
        }
        self.add(now, Point { writes: accepted, ..Point::default() });
    }

    pub(super) fn finish(mut self) -> (Score, Vec<Point>) {
        let part = |(done, wanted): (u64, u64)| (wanted > 0).then(|| scaled(WHOLE, done, wanted));
        self.score.served = part(self.served);
        self.score.work = part(self.work);
        (self.score, self.points)
    }
}

/// Whether the model's kernel took the value.
pub(super) const fn is_accepted(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Applied | Verdict::Clipped { .. })
}

/// The part of what a leaf wants in this tick that it got; none when it wants nothing.
fn served(leaf: &Leaf) -> Option<u64> {
    if leaf.dead_until.is_some() || leaf.lived.killed {
        return Some(0);
    }
    let (demand, lived) = (&leaf.demand, &leaf.lived);
    let part =
        |done: u64, wanted: u64| (wanted > 0).then(|| scaled(WHOLE, done.min(wanted), wanted));
    let parts = [
        part(lived.cpu, demand.cpu),
        part(lived.io_done, lived.io_wanted),
        part(lived.tasks, 1000).filter(|_| demand.pids > 0),
    ];
    parts.into_iter().flatten().min()
}

/// Whether a component has less than it is guaranteed and wants, by more than a hundredth.
fn is_below(group: &Group, leaf: &Leaf, (cpu, memory): (u64, u64)) -> bool {
    if leaf.dead_until.is_some() {
        return false;
    }
    let short = |has: u64, floor: u64| has < floor - floor / 100;
    let wanted = leaf.demand.memory.saturating_add(leaf.demand.cache);
    short(leaf.lived.cpu, group.cpu.need.min(cpu)) || short(leaf.resident(), wanted.min(memory))
}
