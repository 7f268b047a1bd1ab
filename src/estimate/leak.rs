//! Whether a component's memory grows without end, and when it reaches its limit.
//!
//! **Problem.** A leak is seen hours before it kills, if one looks; but memory also grows while caches warm up, saws under a garbage collector,
//! and follows the load of the day. An alert that cries at those is switched off before the first leak.
//!
//! **Approach.** What counts is what only the program itself gives back: anonymous and shared memory, swap, and what the kernel cannot
//! reclaim for it; never page cache. Four tiers look at windows of different length, and each asks several statistics that fail on different
//! things. All must agree, again and again, and the limit must be near: growth that ends in a week hurts nobody today.
//!
//! **Terms.** *part*: a window's unit; its least value counts. *run*: from one start of a component to the next; other homes are another run.
//! *gate*: a tier speaks only if the limit is nearer than this. *confirmed*: the two runs before leaked at the same slope, give or take half.
//!
//! **Algorithm.** At every second part's end: the slope at the load there was, and its certainty; the time to the limit; whether it levels
//! off; the order of values; the least certain slope. A tier begins after its number of examinations in a row that all found growth, and ends after
//! as many that did not. A component without a limit of its own ends where the host does.
//!
//! **Properties**, each a test in `leak/tests.rs` or `leak/tests/rates.rs`: the rates of false alarms and of detection on made-up days; what
//! cannot be read, a component that comes and goes, a clock that jumps never make a finding; the same looks give the same finding;
//! what is kept and read back goes on as if nothing had happened.

mod held;
mod window;

pub(super) use held::{Around, held};

use super::statistics::{Series, curvature, slope, trend, whole, without_load};
use crate::model::{
    Leak, LeakEvidence, LeakLimit, LeakMemories, LeakMemory, LeakTier, LeakTierMemory, follow,
};
use crate::units::{Bytes, CgroupId, ComponentName, Millicpu, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use window::{Turn, Window};

/// Mann and Kendall's statistic must exceed this: one false alarm of a thousand independent series.
const ORDER_Z: f64 = 3.09;
/// Below this the growth levels off: a warm-up.
const LEVELS_OFF_T: f64 = -2.0;
/// What is certain of the slope must exceed this share of what is held, per hour.
const LEAST_PER_HOUR: f64 = 0.01;
/// A tier examines its window at every second part's end: neighbours share most of what they see.
const EXAMINED_EVERY: u64 = 2;
/// So many runs before this one must have leaked alike.
const RUNS: usize = 2;
const HOUR: Span = Span::secs(3600);

/// When a tier speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rule {
    tier: LeakTier,
    /// The length of a part.
    part: Span,
    /// How many parts are examined.
    parts: usize,
    /// So many examinations in a row must agree.
    agree: u32,
    /// The limit must be nearer than this.
    gate: Span,
    /// The slope in standard errors must exceed this.
    slope_t: f64,
    /// The slope must be at least this share of what is held, per hour.
    least: f64,
}

const RULES: [Rule; 4] = [
    Rule {
        tier: LeakTier::Fast,
        part: Span::secs(120),
        parts: 30,
        agree: 5,
        gate: Span::secs(2 * 3600),
        slope_t: 5.0,
        least: 0.1,
    },
    Rule {
        tier: LeakTier::Suspected,
        part: Span::secs(600),
        parts: 36,
        agree: 6,
        gate: Span::secs(12 * 3600),
        slope_t: 4.0,
        least: LEAST_PER_HOUR,
    },
    Rule {
        tier: LeakTier::Slow,
        part: Span::secs(1200),
        parts: 36,
        agree: 3,
        gate: Span::secs(24 * 3600),
        slope_t: 4.0,
        least: LEAST_PER_HOUR,
    },
    Rule {
        tier: LeakTier::Growth,
        part: Span::secs(300),
        parts: 36,
        agree: 3,
        gate: Span(u64::MAX),
        slope_t: 4.0,
        least: LEAST_PER_HOUR,
    },
];

/// What one look found of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) at: Tick,
    pub(super) memory: Bytes,
    pub(super) load: Millicpu,
    pub(super) limit: LeakLimit,
}

/// All components, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leaks {
    each: BTreeMap<ComponentName, Watch>,
}

impl Leaks {
    /// What is known of each of these components, in their order; what is registered no more is forgotten.
    pub(super) fn watches<T>(
        &mut self,
        components: &BTreeMap<ComponentName, T>,
    ) -> impl Iterator<Item = &mut Watch> {
        follow(&mut self.each, components, |_, _| Watch::default());
        self.each.values_mut()
    }

    /// What is said of a component.
    pub(super) fn of(&self, name: &ComponentName) -> Option<Leak> {
        self.each.get(name)?.found
    }

    /// What is said of all.
    pub(super) fn all(&self) -> impl Iterator<Item = (&ComponentName, Leak)> {
        self.each.iter().filter_map(|(name, watch)| Some((name, watch.found?)))
    }

    /// As it is kept while no daemon runs.
    pub(super) fn kept(&self) -> LeakMemories {
        self.each.iter().map(|(name, watch)| (name.clone(), watch.kept())).collect()
    }

    /// Goes on with what was kept.
    pub(super) fn remember(&mut self, kept: &LeakMemories) {
        let watches = kept.iter().map(|(name, kept)| (name.clone(), Watch::from_kept(kept)));
        self.each = watches.collect();
    }
}

/// One component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Watch {
    homes: Vec<CgroupId>,
    tiers: [Tier; RULES.len()],
    found: Option<Leak>,
    /// The slopes of the runs before, in bytes an hour, newest first; none of those that did not leak or were too short to tell.
    slopes: [Option<Bytes>; RUNS],
}

/// One tier of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tier {
    window: Window,
    /// So many examinations in a row did not say what the tier says now.
    against: u32,
    /// How often a whole window was examined in this run.
    examined: u32,
    said: Option<Leak>,
}

impl Watch {
    /// Takes in one look: the groups in which the component lives, and what it holds if all of that is known. Whether what is said of it
    /// changed. Allocates only for groups that were not there before.
    pub(super) fn update<'a>(
        &mut self,
        homes: impl Iterator<Item = &'a CgroupId> + Clone,
        at: Tick,
        held: Option<Held>,
    ) -> bool {
        let before = self.found;
        if !homes.clone().eq(&self.homes) {
            self.begin_run();
            self.homes.clear();
            self.homes.extend(homes);
        }
        match held {
            Some(held) => self.push(held),
            None => self.miss(at),
        }
        before != self.found
    }

    /// Forgets what was seen of the run before but how fast it leaked. A run that was long enough and did not leak clears the suspicion.
    fn begin_run(&mut self) {
        match self.found.filter(|found| found.tier > LeakTier::Growth) {
            Some(found) => {
                self.slopes.rotate_right(1);
                if let Some(newest) = self.slopes.first_mut() {
                    *newest = Some(found.per_hour);
                }
            }
            None if self.tiers.iter().zip(RULES).any(|(tier, rule)| tier.cleared(&rule)) => {
                self.slopes = [None; RUNS];
            }
            None => {}
        }
        self.tiers = Default::default();
        self.found = None;
    }

    fn push(&mut self, held: Held) {
        let mut examined = false;
        for (tier, rule) in self.tiers.iter_mut().zip(&RULES) {
            examined |= tier.push(rule, &held);
        }
        if examined {
            self.found = self.worst();
        }
    }

    /// What could not be examined twice in a row is not said any more.
    fn miss(&mut self, at: Tick) {
        let is_old =
            |found: Leak| at.since(found.at).0 > 2 * EXAMINED_EVERY * found.evidence.part.0;
        if self.found.is_some_and(is_old) {
            (self.tiers, self.found) = Default::default();
        }
    }

    /// What the gravest tier says.
    fn worst(&self) -> Option<Leak> {
        let said = self.tiers.iter().filter_map(|tier| tier.said);
        let mut worst = said.max_by_key(|leak| leak.tier)?;
        let alike =
            |slope: &Option<Bytes>| slope.is_some_and(|slope| is_alike(slope, worst.per_hour));
        if matches!(worst.tier, LeakTier::Slow | LeakTier::Suspected)
            && self.slopes.iter().all(alike)
        {
            worst.tier = LeakTier::Confirmed;
        }
        Some(worst)
    }

    fn kept(&self) -> LeakMemory {
        LeakMemory {
            homes: self.homes.clone(),
            tiers: self.tiers.iter().map(Tier::kept).collect(),
            slopes: self.slopes.iter().flatten().copied().collect(),
        }
    }

    fn from_kept(kept: &LeakMemory) -> Self {
        let mut watch = Self { homes: kept.homes.clone(), ..Self::default() };
        for (tier, kept) in watch.tiers.iter_mut().zip(&kept.tiers) {
            *tier = Tier::from_kept(kept);
        }
        for (place, slope) in watch.slopes.iter_mut().zip(&kept.slopes) {
            *place = Some(*slope);
        }
        watch.found = watch.worst();
        watch
    }
}

/// Whether a slope is another, give or take half.
fn is_alike(before: Bytes, now: Bytes) -> bool {
    (now.scaled(1, 2)..=now.scaled(3, 2)).contains(&before)
}

impl Tier {
    /// Whether the run was long enough to be suspected and was not.
    fn cleared(&self, rule: &Rule) -> bool {
        rule.tier == LeakTier::Suspected && self.examined >= rule.agree && self.said.is_none()
    }

    fn kept(&self) -> LeakTierMemory {
        let (next, parts) = self.window.kept();
        LeakTierMemory {
            next,
            parts,
            examined: self.examined,
            against: self.against,
            said: self.said,
        }
    }

    fn from_kept(kept: &LeakTierMemory) -> Self {
        let window = Window::from_kept(kept.next, &kept.parts);
        Self { window, against: kept.against, examined: kept.examined, said: kept.said }
    }

    /// Takes in one look. Whether the window was examined, or began anew.
    fn push(&mut self, rule: &Rule, held: &Held) -> bool {
        match self.window.push(held.at, rule.part, held.memory, held.load) {
            Turn::Same => false,
            Turn::Anew => {
                (self.against, self.said) = (0, None);
                true
            }
            Turn::Ended(number) if number % EXAMINED_EVERY == 0 => {
                let Some((memory, load)) = self.window.last(rule.parts) else { return false };
                self.examined = self.examined.saturating_add(1);
                self.hear(rule, rule.examine(&memory, &load, held));
                true
            }
            Turn::Ended(_) => false,
        }
    }

    /// Speaks, or falls silent, after enough examinations in a row.
    fn hear(&mut self, rule: &Rule, leak: Option<Leak>) {
        self.against = if leak.is_some() == self.said.is_some() { 0 } else { self.against + 1 };
        if self.against >= rule.agree {
            self.against = 0;
            self.said = leak;
        } else if let (Some(said), Some(leak)) = (&mut self.said, leak) {
            *said = Leak { since: said.since, ..leak };
        }
    }
}

impl Rule {
    /// What a whole window says; none where any of the statistics does not speak for a leak. The cheap questions come first: on most hosts
    /// nothing grows, and the costly ones are never asked.
    fn examine(&self, memory: &Series, load: &Series, held: &Held) -> Option<Leak> {
        let usual = memory.mean();
        let slope = slope(memory, load)?;
        if slope.t <= self.slope_t || self.per_hour(slope.value) < self.least * usual {
            return None;
        }
        let (now, per_hour) = (kib(memory.last()), kib(self.per_hour(slope.value)));
        let until_limit = time_to(held.limit.bytes().minus(now), per_hour)?;
        if until_limit > self.gate {
            return None;
        }
        let curve = curvature(memory, load).filter(|curve| curve.t > LEVELS_OFF_T)?;
        let trend = trend(&without_load(memory, load))?;
        let certain = self.per_hour(trend.least) / usual;
        if trend.z <= ORDER_Z || certain <= LEAST_PER_HOUR {
            return None;
        }
        let evidence = LeakEvidence {
            parts: u32::try_from(self.parts).unwrap_or(u32::MAX),
            part: self.part,
            slope_t_centi: whole(slope.t * 100.0),
            order_z_centi: whole(trend.z * 100.0),
            least_per_hour: u32::try_from(whole(certain * 1e6)).map_or(Ppm::WHOLE, Ppm::new),
            curve_t_centi: whole(curve.t * 100.0),
        };
        Some(Leak {
            tier: self.tier,
            since: held.at,
            at: held.at,
            held: now,
            per_hour,
            limit: held.limit,
            until_limit,
            evidence,
        })
    }

    /// A slope from one part to the next as one per hour.
    fn per_hour(&self, slope: f64) -> f64 {
        let parts = u32::try_from(HOUR.0 / self.part.0).unwrap_or(0);
        slope * f64::from(parts)
    }
}

/// How long until `room` is gone; none where nothing grows.
fn time_to(room: Bytes, per_hour: Bytes) -> Option<Span> {
    let usec = (u128::from(room.0) * u128::from(HOUR.0)).checked_div(u128::from(per_hour.0))?;
    Some(Span(u64::try_from(usec).unwrap_or(u64::MAX)))
}

fn kib(count: f64) -> Bytes {
    Bytes(u64::try_from(whole(count * 1024.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
