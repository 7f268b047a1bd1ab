//! What the strategies differ in, in numbers; what the adaptive one comes to; and whose strategy counts.
//!
//! **Problem.** How much CPU is to stay free while a protected component waits is a matter of that component: a trading system wants more of
//! it than a build server. Several may wait at once.
//!
//! **Approach.** Who waited within the last minute asks, each by its own strategy, and the one that asks for most is heard.
//!
//! **Terms.** *to wait*: for CPU, through no doing of its own, at least a quarter as much as the one that waits most. *pace*: one of the three
//! strategies that are numbers.
//!
//! **Algorithm.** Where nobody can be named, because the sentry was faster than the averages or the host does not tell, all protected
//! components that are there ask. The adaptive strategy is one pace for the whole host: by the worst level up at once, and one step down
//! when nothing higher was asked for in [`DOWN_AFTER`]. Conservative takes more than calm: the forecasts of CPU and memory of all protected
//! components that are there have been trusted for [`TRUSTED_FOR`].
//!
//! **Properties.** The adaptive pace never falls by more than a step in [`DOWN_AFTER`]. Allocates only for who had not waited before.

use crate::config::{Component, Policy, Strategy};
use crate::estimate::Estimator;
use crate::model::{Level, Levels};
use crate::units::{ComponentName, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The adaptive strategy goes one step down after so long without need.
const DOWN_AFTER: Span = Span::secs(300);
/// With forecasts that can be trusted this far, for so long, a calm host needs less than the balanced strategy.
const TRUSTED: Ppm = Ppm::percent(70);
const TRUSTED_FOR: Span = Span::secs(600);
/// Who waited is heard for so long.
const HEARD_FOR: Span = Span::secs(60);
/// Who waits this many times less than the one that waits most does not ask.
const MUCH_LESS: u64 = 4;

/// The numbers of a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    /// The part of the host's CPUs that stays free while protected components wait, in percent.
    pub(super) cpu_headroom_percent: u64,
    /// The part of a disk that stays free while protected components wait for it, in percent.
    pub(super) disk_headroom_percent: u64,
    /// What is kept for protected components while memory is short, beyond what they are likely to need, in percent of that.
    pub(super) memory_buffer: Buffer,
}

/// Memory that is kept for a protected component beyond its base, in percent of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buffer {
    /// At least so much; without a forecast just so much.
    pub(super) least: u64,
    /// At most so much, however far above its likely amount a forecast's bound is.
    pub(super) most: u64,
}

/// From level warning on, so many points of headroom more.
const PRESSED_POINTS: u64 = 5;

/// How eagerly limits follow demand, the least eager first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Pace {
    Conservative,
    #[default]
    Balanced,
    Aggressive,
}

impl Pace {
    const fn parameters(self) -> Parameters {
        match self {
            Self::Conservative => Parameters {
                cpu_headroom_percent: 15,
                disk_headroom_percent: 20,
                memory_buffer: Buffer { least: 20, most: 30 },
            },
            Self::Balanced => Parameters {
                cpu_headroom_percent: 20,
                disk_headroom_percent: 30,
                memory_buffer: Buffer { least: 30, most: 40 },
            },
            Self::Aggressive => Parameters {
                cpu_headroom_percent: 30,
                disk_headroom_percent: 40,
                memory_buffer: Buffer { least: 50, most: 60 },
            },
        }
    }

    const fn below(self) -> Self {
        match self {
            Self::Conservative | Self::Balanced => Self::Conservative,
            Self::Aggressive => Self::Balanced,
        }
    }

    pub(super) const fn strategy(self) -> Strategy {
        match self {
            Self::Conservative => Strategy::Conservative,
            Self::Balanced => Strategy::Balanced,
            Self::Aggressive => Strategy::Aggressive,
        }
    }
}

/// What the adaptive strategy comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Adaptive {
    pub(super) pace: Pace,
    /// When the pace, or a higher one, was asked for last.
    asked: Tick,
    /// Since when forecasts have been trusted; none while they are not.
    trusted: Option<Tick>,
}

impl Adaptive {
    /// Takes in one look: how scarce things are, and how far the worst forecast can be trusted.
    pub(super) fn update(&mut self, levels: Levels, trust: Ppm, now: Tick) {
        self.trusted = (trust >= TRUSTED).then(|| self.trusted.unwrap_or(now));
        let for_long = self.trusted.is_some_and(|since| now.since(since) >= TRUSTED_FOR);
        let wanted = match levels.worst() {
            Level::Normal if for_long => Pace::Conservative,
            Level::Normal | Level::Warning => Pace::Balanced,
            Level::Critical | Level::Emergency => Pace::Aggressive,
        };
        if wanted >= self.pace {
            (self.pace, self.asked) = (wanted, now);
        } else if now.since(self.asked) >= DOWN_AFTER {
            (self.pace, self.asked) = (self.pace.below(), now);
        }
    }

    const fn pace_of(self, strategy: Strategy) -> Pace {
        match strategy {
            Strategy::Conservative => Pace::Conservative,
            Strategy::Balanced => Pace::Balanced,
            Strategy::Aggressive => Pace::Aggressive,
            Strategy::Adaptive => self.pace,
        }
    }
}

/// Who waited for CPU lately, and when last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asking {
    waited: BTreeMap<ComponentName, Tick>,
}

impl Asking {
    /// Takes note of who waits, if somebody does.
    pub(super) fn update(
        &mut self,
        policy: &Policy,
        estimator: &Estimator,
        somebody_waits: bool,
        now: Tick,
    ) {
        self.waited.retain(|_, at| now.since(*at) < HEARD_FOR);
        if !somebody_waits {
            return;
        }
        let most = policy.protected().map(|component| wait(estimator, component)).max();
        let most = most.unwrap_or_default();
        for component in policy.protected() {
            let wait = wait(estimator, component);
            if wait == 0 || wait.saturating_mul(MUCH_LESS) < most {
                continue;
            }
            match self.waited.get_mut(&component.name) {
                Some(at) => *at = now,
                None => {
                    self.waited.insert(component.name.clone(), now);
                }
            }
        }
    }

    /// What those ask for who are heard.
    pub(super) fn parameters(
        &self,
        policy: &Policy,
        estimator: &Estimator,
        adaptive: Adaptive,
    ) -> Parameters {
        let waited = |component: &&Component| self.waited.contains_key(&component.name);
        let is_there = |component: &&Component| estimator.component(&component.name).is_some();
        let asks = |component: &Component| {
            let strategy = component.strategy.unwrap_or(policy.strategy);
            adaptive.pace_of(strategy)
        };
        let named = policy.protected().filter(waited).map(asks).max();
        let pace = named
            .or_else(|| policy.protected().filter(is_there).map(asks).max())
            .unwrap_or_else(|| adaptive.pace_of(policy.strategy));
        let points = if estimator.levels().cpu >= Level::Warning { PRESSED_POINTS } else { 0 };
        let base = pace.parameters();
        Parameters { cpu_headroom_percent: base.cpu_headroom_percent + points, ..base }
    }
}

/// How much of the last seconds a component waited for CPU.
fn wait(estimator: &Estimator, component: &Component) -> u64 {
    let need = estimator.component(&component.name);
    need.and_then(|need| need.waits.cpu).map_or(0, |wait| wait.p10.get().into())
}

#[cfg(test)]
mod tests;
