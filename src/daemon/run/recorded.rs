//! What the loop gives to the recorder at the end of a cycle.

use super::super::recorder::Over;
use super::Daemon;
use crate::units::Tick;

impl Daemon {
    pub(super) fn record(&mut self, now: Tick, has_news: bool) {
        let (policy, state, seen) = (&self.policy, &self.state, self.collector.last());
        let news = has_news.then_some(&self.news);
        self.recorder.over(Over { now, policy, seen, state, news });
    }
}
