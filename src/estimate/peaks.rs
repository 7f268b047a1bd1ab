//! The most that each component used of late, so that whoever asks once in a while misses no short rise.
//!
//! **Problem.** A scraper that comes every fifteen seconds sees one moment of them. A peak that asking for it resets would be taken by one
//! scraper from another, and a request that is to change nothing would change something.
//!
//! **Approach.** Two stretches of time: the one that is under way, and the one before. A stretch ends a minute after it began, or later, once
//! somebody asked for it. The most of both covers the last minute at least, and everything since the last request.
//!
//! **Properties**, each a test: no rise since the last request is missed; two who ask within a minute of each other see the same; a look asks
//! for no memory but for a component that was not there before.

use super::Estimator;
use super::foresight::amount;
use crate::config::Policy;
use crate::model::{Amounts, Resource};
use crate::units::{ComponentName, Span, Tick};
use std::collections::BTreeMap;

/// The least that a stretch lasts.
const STRETCH: Span = Span::secs(60);

/// The most of both stretches, of every component and of how late looks came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peaks {
    components: BTreeMap<ComponentName, Stretches<[Option<u64>; 4]>>,
    lag: Stretches<Span>,
    began: Option<Tick>,
    asked: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stretches<T> {
    now: T,
    before: T,
}

impl<T: Copy + Default> Stretches<T> {
    fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

impl Peaks {
    /// Takes in one look that came `lag` later than it was due.
    pub fn look(&mut self, at: Tick, lag: Span, policy: &Policy, estimator: &Estimator) {
        self.turn_over(at);
        self.lag.now = self.lag.now.max(lag);
        self.components.retain(|name, _| policy.components.contains_key(name));
        for name in policy.components.keys() {
            let Some(need) = estimator.component(name) else { continue };
            match self.components.get_mut(name) {
                Some(peaks) => raise(&mut peaks.now, &need.usage),
                None => {
                    let mut peaks = Stretches::default();
                    raise(&mut peaks.now, &need.usage);
                    self.components.insert(name.clone(), peaks);
                }
            }
        }
    }

    fn turn_over(&mut self, at: Tick) {
        let began = *self.began.get_or_insert(at);
        if self.asked && at.since(began) >= STRETCH {
            self.began = Some(at);
            self.asked = false;
            self.lag.turn();
            self.components.values_mut().for_each(Stretches::turn);
        }
    }

    /// Somebody is told.
    pub const fn asked(&mut self) {
        self.asked = true;
    }

    /// The most that a component used, in each resource's unit; nothing of what is not known.
    #[must_use]
    pub fn of(&self, name: &ComponentName) -> BTreeMap<Resource, u64> {
        let Some(Stretches { now, before }) = self.components.get(name) else {
            return BTreeMap::new();
        };
        let both = now.iter().zip(before).map(|(now, before)| (*now).max(*before));
        let known = |(resource, most): (Resource, Option<u64>)| Some((resource, most?));
        Resource::ALL.into_iter().zip(both).filter_map(known).collect()
    }

    /// The longest that a look came later than it was due.
    #[must_use]
    pub fn lag(&self) -> Span {
        self.lag.now.max(self.lag.before)
    }
}

fn raise(most: &mut [Option<u64>; 4], usage: &Amounts) {
    for (most, resource) in most.iter_mut().zip(Resource::ALL) {
        *most = (*most).max(amount(usage, resource));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Priority, Snapshot};
    use crate::testing::{add_home, component, host, policy};

    /// A component whose tasks are as many as the test says at each second.
    struct Story {
        peaks: Peaks,
        policy: Policy,
        seen: Snapshot,
        estimator: Estimator,
    }

    impl Story {
        fn new() -> Self {
            let web = component("web", Priority::Normal);
            let mut seen = host();
            add_home(&mut seen, &web, "system.slice/web.service");
            let (peaks, estimator) = (Peaks::default(), Estimator::default());
            Self { peaks, policy: policy([web]), seen, estimator }
        }

        fn look(&mut self, tasks: u64) {
            self.seen.groups.values_mut().for_each(|group| group.usage.pids = Some(tasks));
            self.seen.at = self.seen.at.plus(Span::secs(1));
            self.estimator.update(&self.policy, &self.seen);
            let lag = Span::millis(tasks);
            self.peaks.look(self.seen.at, lag, &self.policy, &self.estimator);
        }

        /// The most tasks, as somebody is told who asks now.
        fn told(&mut self) -> Option<u64> {
            self.peaks.asked();
            let most = self.peaks.of(&"web".parse().unwrap()).get(&Resource::Pids).copied();
            assert_eq!(most.map(Span::millis), Some(self.peaks.lag()));
            most
        }
    }

    #[test]
    fn no_rise_since_the_last_request_is_missed() {
        for every in [15, 59, 60, 61, 300, 3600] {
            let mut story = Story::new();
            story.look(3);
            let _first = story.told();
            for _ in 0..every {
                story.look(3);
            }
            let _second = story.told();
            story.look(700);
            for _ in 1..every {
                story.look(3);
            }
            assert_eq!(story.told(), Some(700), "every {every} s");
        }
    }

    #[test]
    fn a_rise_is_forgotten_within_two_minutes_and_two_who_ask_see_the_same() {
        let mut story = Story::new();
        story.look(700);
        for second in 1..=200 {
            story.look(3);
            let most = if second < 120 { 700 } else { 3 };
            assert_eq!((story.told(), story.told()), (Some(most), Some(most)), "{second}");
        }
    }

    #[test]
    fn who_is_no_longer_registered_is_forgotten() {
        let mut story = Story::new();
        story.look(3);
        story.policy.components.clear();
        story.look(3);
        assert_eq!(story.peaks.of(&"web".parse().unwrap()), BTreeMap::new());
    }
}
