//! Who is better off with CPUs of its own, learnt from an hour of demand: `affinity = "auto"`.
//!
//! **Problem.** CPUs of its own serve a component that needs whole ones all the time, and harm everybody when they lie idle; and each move
//! costs caches. Who asks for `auto` does not know which it is.
//!
//! **Approach.** An hour of minutes for each such component, each the mean of its looks, and a judgement every ten minutes. It takes
//! much to give CPUs and more to take them away again, and a change comes once an hour at most.
//!
//! **Terms.** *whole*: the 95th percentile of the demand, rounded up to CPUs and those to cores. *full*: that percentile is seven tenths of
//! the CPUs it rounds up to, or more. *steady*: a coefficient of variation below 0.3. *gain*: all others use 15 % of the host, without
//! which nobody is in the way.
//!
//! **Algorithm.** Steady, full, to gain, and of half of the cores at most: spread CPUs (*balanced*) where a critical or high component needs
//! more than one last-level cache has, near ones (*dedicated*) for critical ones; else shared. Who has some keeps them while the
//! variation is below 0.45 and they are used to three tenths, and is given a core more after five minutes above nine tenths. A minute
//! that was not seen is no minute; after ten such the hour begins anew, and what was chosen stays.
//!
//! **Properties**, each a test: between two changes of mode lies an hour, and also after a seat grew; what is not seen changes nothing; nobody gets more than half of the
//! cores; only critical and high components get any; a constant load is judged the same for ever. Until an hour was seen nothing is chosen,
//! and a seat from before a restart stays. A restart of the daemon forgets nothing but the minute under way (`kept`). Memory is bounded: an hour for each component.

mod kept;

use crate::config::{Affinity, Component, Policy};
use crate::estimate::Estimator;
use crate::model::{Priority, Snapshot, Topology};
use crate::units::{ComponentName, Millicpu, Span, Tick};
use std::collections::BTreeMap;
use std::fmt;

/// So many minutes are judged.
const HOUR: usize = 60;
const MINUTE: Span = Span::secs(60);
/// A minute that was seen for less is none.
const LEAST_SEEN: Span = Span::secs(30);
/// A look that comes later says nothing of the time before.
const LONGEST_LOOK: Span = Span::secs(10);
/// After so long without a minute the hour begins anew.
const FORGET_AFTER: Span = Span::secs(600);
const JUDGE_EVERY: Span = Span::secs(600);
const CHANGE_EVERY: Span = Span::secs(3600);
/// So many minutes above nine tenths make a seat grow.
const GROW_AFTER: usize = 5;
const GROW_ABOVE_PERCENT: u64 = 90;
const SHRINK_BELOW_PERCENT: u64 = 30;
const FULL_PERCENT: u64 = 70;
/// Coefficients of variation, in hundredths.
const STEADY: u64 = 30;
const UNSTEADY: u64 = 45;
/// Of the host's CPUs, what others use before there is something to gain.
const GAIN_PERCENT: u64 = 15;

/// Where a component runs by its own demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Shared,
    Own { cpus: usize, balanced: bool },
}

/// Why the choice is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Why {
    #[default]
    Learning,
    Recalled,
    Unprotected,
    Unsteady {
        percent: u64,
    },
    Partial {
        p95: Millicpu,
    },
    TooMuch {
        whole: usize,
        most: usize,
    },
    NothingToGain {
        others: Millicpu,
    },
    OneCache,
    Whole {
        p95: Millicpu,
    },
    Unused {
        p95: Millicpu,
    },
    Full,
}

/// What one look saw; none is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sample {
    demand: Option<Millicpu>,
    usage: Option<Millicpu>,
    /// What everybody else uses.
    others: Option<Millicpu>,
}

/// Amounts over one minute; while it lasts, sums of thousandths of a core times milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Minute {
    demand: u64,
    usage: u64,
    others: u64,
}

/// The last hour of minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hour {
    minutes: [Minute; HOUR],
    next: usize,
    count: usize,
}

impl Default for Hour {
    fn default() -> Self {
        Self { minutes: [Minute::default(); HOUR], next: 0, count: 0 }
    }
}

impl Hour {
    fn push(&mut self, minute: Minute) {
        if let Some(place) = self.minutes.get_mut(self.next) {
            *place = minute;
        }
        self.next = (self.next + 1) % HOUR;
        self.count = (self.count + 1).min(HOUR);
    }

    /// The last `count` minutes, the newest first.
    fn last(&self, count: usize) -> impl Iterator<Item = &Minute> {
        let places = (1..=count.min(self.count)).map(|back| (self.next + HOUR - back) % HOUR);
        places.filter_map(|place| self.minutes.get(place))
    }

    const fn is_full(&self) -> bool {
        self.count == HOUR
    }

    /// The 57th of 60, by size.
    fn p95(&self) -> Millicpu {
        let mut demands = self.minutes.map(|minute| minute.demand);
        demands.sort_unstable();
        Millicpu(demands.get(HOUR * 95 / 100 - 1).copied().unwrap_or_default())
    }

    /// The coefficient of variation of the demand, in hundredths, rounded up.
    fn variation(&self) -> u64 {
        let demands = || self.minutes.iter().map(|minute| u128::from(minute.demand));
        let (sum, squares) =
            (demands().sum::<u128>(), demands().map(|one| one * one).sum::<u128>());
        let spread = (squares * HOUR as u128).saturating_sub(sum * sum).isqrt();
        u64::try_from((spread * 100).div_ceil(sum.max(1))).unwrap_or(u64::MAX)
    }

    fn others(&self) -> Millicpu {
        let sum: u64 = self.minutes.iter().map(|minute| minute.others).sum();
        Millicpu(sum / HOUR as u64)
    }
}

/// The host, as far as it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    cpus: usize,
    /// Of one core.
    threads: usize,
    /// Half of the cores, in CPUs.
    most: usize,
    /// CPUs of the largest cache.
    cache: usize,
}

impl Shape {
    fn of(topology: &Topology) -> Self {
        let threads = topology.cores.iter().map(|core| core.cpus.len()).max().unwrap_or(1).max(1);
        let cache = |id: u32| {
            let cores = topology.cores.iter().filter(move |core| core.cache == id);
            cores.map(|core| core.cpus.len()).sum::<usize>()
        };
        Self {
            cpus: topology.cores.iter().map(|core| core.cpus.len()).sum(),
            threads,
            most: topology.cores.len() / 2 * threads,
            cache: topology.cores.iter().map(|core| cache(core.cache)).max().unwrap_or(0),
        }
    }
}

/// One component's hour, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Auto {
    hour: Hour,
    minute: Minute,
    /// How much of the minute was seen.
    seen: Span,
    at: Option<Tick>,
    minute_began: Tick,
    last_minute: Tick,
    judged_at: Option<Tick>,
    changed_at: Option<Tick>,
    /// Minutes since the seat has its size.
    minutes_of_size: usize,
    choice: Option<Choice>,
    why: Why,
}

impl Auto {
    /// Takes in one look. Whether the choice changed.
    fn look(&mut self, (priority, shape): (Priority, Shape), sample: Sample, now: Tick) -> bool {
        let last = self.at.replace(now);
        if !priority.is_protected() {
            self.why = Why::Unprotected;
            return self.choose(Choice::Shared);
        }
        if self.why == Why::Unprotected {
            // Its priority rose: nothing of its demand is known.
            *self = Self { at: Some(now), minute_began: now, last_minute: now, ..Self::default() };
            return true;
        }
        let Some(last) = last else {
            (self.minute_began, self.last_minute) = (now, now);
            return false;
        };
        self.add(sample, now.since(last));
        if now.since(self.minute_began) < MINUTE {
            return false;
        }
        self.end_minute(now);
        if let Some(choice) = self.grown(shape) {
            self.why = Why::Full;
            self.changed_at = Some(now);
            return self.choose(choice);
        }
        let is_due = self.judged_at.is_none_or(|at| now.since(at) >= JUDGE_EVERY);
        let may_change = self.changed_at.is_none_or(|at| now.since(at) >= CHANGE_EVERY);
        if !self.hour.is_full() || !is_due || !may_change {
            return false;
        }
        self.judged_at = Some(now);
        let (choice, why) = self.judge(priority, shape);
        self.why = why;
        if self.choose(choice) {
            self.changed_at = Some(now);
            return true;
        }
        false
    }

    fn add(&mut self, sample: Sample, span: Span) {
        let (Some(demand), Some(usage), Some(others)) =
            (sample.demand, sample.usage, sample.others)
        else {
            return;
        };
        if span > LONGEST_LOOK {
            return;
        }
        let over = |amount: Millicpu| amount.0.saturating_mul(span.0 / 1000);
        self.minute.demand = self.minute.demand.saturating_add(over(demand));
        self.minute.usage = self.minute.usage.saturating_add(over(usage));
        self.minute.others = self.minute.others.saturating_add(over(others));
        self.seen = Span(self.seen.0.saturating_add(span.0));
    }

    fn end_minute(&mut self, now: Tick) {
        let (sums, millis) = (std::mem::take(&mut self.minute), self.seen.0 / 1000);
        if self.seen >= LEAST_SEEN {
            let mean = |sum: u64| sum / millis.max(1);
            let minute = Minute {
                demand: mean(sums.demand),
                usage: mean(sums.usage),
                others: mean(sums.others),
            };
            self.hour.push(minute);
            self.minutes_of_size += 1;
            self.last_minute = now;
        } else if now.since(self.last_minute) >= FORGET_AFTER {
            self.hour = Hour::default();
            self.minutes_of_size = 0;
        }
        self.seen = Span::ZERO;
        self.minute_began = now;
    }

    fn choose(&mut self, choice: Choice) -> bool {
        let changes = self.choice != Some(choice);
        if changes {
            self.minutes_of_size = 0;
            self.choice = Some(choice);
        }
        changes
    }

    /// A seat with one core more, where the present one was used up for five minutes.
    fn grown(&self, shape: Shape) -> Option<Choice> {
        let Some(Choice::Own { cpus, balanced }) = self.choice else { return None };
        let above = cores(cpus).saturating_mul(GROW_ABOVE_PERCENT) / 100;
        let is_used_up = self.minutes_of_size >= GROW_AFTER
            && self.hour.last(GROW_AFTER).all(|minute| minute.usage > above);
        let more = cpus + shape.threads;
        (is_used_up && more <= shape.most).then_some(Choice::Own { cpus: more, balanced })
    }

    fn judge(&self, priority: Priority, shape: Shape) -> (Choice, Why) {
        let (p95, variation) = (self.hour.p95(), self.hour.variation());
        let needed = usize::try_from(p95.0.div_ceil(1000)).unwrap_or(usize::MAX).max(1);
        let whole = needed.div_ceil(shape.threads).saturating_mul(shape.threads);
        let is_full = p95.0 * 100 >= cores(needed) * FULL_PERCENT;
        if let Some(has @ Choice::Own { cpus, balanced }) = self.choice {
            let is_used = p95.0 * 100 >= cores(cpus) * SHRINK_BELOW_PERCENT;
            return if variation >= UNSTEADY {
                (Choice::Shared, Why::Unsteady { percent: variation })
            } else if is_used && cpus <= shape.most {
                (has, Why::Whole { p95 })
            } else if is_full && whole < cpus && whole <= shape.most {
                (Choice::Own { cpus: whole, balanced }, Why::Whole { p95 })
            } else if cpus > shape.most {
                (Choice::Shared, Why::TooMuch { whole: cpus, most: shape.most })
            } else {
                (Choice::Shared, Why::Unused { p95 })
            };
        }
        let others = self.hour.others();
        let own = |balanced| (Choice::Own { cpus: whole, balanced }, Why::Whole { p95 });
        let shared = |why| (Choice::Shared, why);
        if variation >= STEADY {
            shared(Why::Unsteady { percent: variation })
        } else if !is_full {
            shared(Why::Partial { p95 })
        } else if whole > shape.most {
            shared(Why::TooMuch { whole, most: shape.most })
        } else if others.0 * 100 < cores(shape.cpus) * GAIN_PERCENT {
            shared(Why::NothingToGain { others })
        } else if whole > shape.cache {
            own(true)
        } else if priority == Priority::Critical {
            own(false)
        } else {
            shared(Why::OneCache)
        }
    }
}

fn cores(cpus: usize) -> u64 {
    u64::try_from(cpus).unwrap_or(u64::MAX).saturating_mul(1000)
}

/// What was learnt of all components with `affinity = "auto"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Autos {
    components: BTreeMap<ComponentName, Auto>,
}

impl Autos {
    /// Takes in one look. Whether a choice changed. Allocates only for a component that was not there before.
    pub(super) fn update(
        &mut self,
        policy: &Policy,
        estimator: &Estimator,
        seen: &Snapshot,
    ) -> bool {
        let asks = |component: &Component| component.cpu.affinity == Affinity::Auto;
        self.components.retain(|name, _| policy.components.get(name).is_some_and(asks));
        if !policy.components.values().any(asks) {
            return false;
        }
        let shape = Shape::of(&seen.host.topology);
        let busy = estimator.host().cpu;
        let mut changed = false;
        for (name, component) in policy.components.iter().filter(|(_, one)| asks(one)) {
            if !self.components.contains_key(name) {
                self.components.insert(name.clone(), Auto::default());
            }
            let Some(auto) = self.components.get_mut(name) else { continue };
            let need = estimator.component(name);
            let usage = need.and_then(|need| need.usage.cpu);
            let others = busy.zip(usage).map(|(busy, usage)| busy.minus(usage));
            let demand = need.and_then(|need| need.demand.cpu);
            let sample = Sample { demand, usage, others };
            changed |= auto.look((component.priority, shape), sample, seen.at);
        }
        changed
    }

    /// Where the component is to run; none while nothing is known of it yet.
    pub(super) fn choice(&self, name: &ComponentName) -> Option<Choice> {
        self.components.get(name)?.choice
    }

    /// As if this had been learnt of one component.
    #[cfg(test)]
    pub(super) fn with_choice(name: &str, choice: Choice) -> Self {
        let auto = Auto { choice: Some(choice), ..Auto::default() };
        Self { components: BTreeMap::from([(name.parse().unwrap(), auto)]) }
    }

    /// What was chosen, and why; none for components that do not leave it to provost.
    pub(super) fn told(&self, name: &ComponentName) -> Option<String> {
        self.components.get(name).map(ToString::to_string)
    }
}

impl fmt::Display for Auto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.choice {
            None => write!(f, "as it was: {} of {HOUR} minutes seen", self.hour.count),
            Some(Choice::Shared) => write!(f, "shared: {}", self.why),
            Some(Choice::Own { balanced: true, .. }) => write!(f, "balanced: {}", self.why),
            Some(Choice::Own { balanced: false, .. }) => write!(f, "dedicated: {}", self.why),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Learning => f.write_str("nothing is known yet"),
            Self::Recalled => f.write_str("as it was chosen before provost was started again"),
            Self::Unprotected => f.write_str(
                "only critical and high components are given CPUs of their own without asking for a number",
            ),
            Self::Unsteady { percent } => {
                write!(f, "its demand varies by {percent} % of its mean, steady is below {STEADY}")
            }
            Self::Partial { p95 } => {
                write!(f, "its demand, {p95} cores, leaves more than {} % of its last CPU unused", 100 - FULL_PERCENT)
            }
            Self::TooMuch { whole, most } => {
                write!(f, "it needs {whole} CPUs, and half of the cores stay shared: {most} at most")
            }
            Self::NothingToGain { others } => {
                write!(f, "all others use {others} cores, less than {GAIN_PERCENT} % of the host")
            }
            Self::OneCache => f.write_str(
                "its demand fits behind one cache, and CPUs near each other are given to critical components alone",
            ),
            Self::Whole { p95 } => write!(f, "a steady demand of {p95} cores, by the 95th percentile of an hour"),
            Self::Unused { p95 } => write!(f, "it used {p95} cores at most of what it had"),
            Self::Full => f.write_str("it used more than nine tenths of its CPUs for five minutes"),
        }
    }
}

#[cfg(test)]
mod tests;
