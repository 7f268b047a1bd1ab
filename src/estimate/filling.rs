//! When a file system is full, if it goes on as it did.
//!
//! **Problem.** That a file system is nine tenths full says nothing of how long the last tenth lasts: an hour beside a runaway log, a year
//! beside an archive.
//!
//! **Approach.** One value an hour of the last day, and the line through them after Theil and Sen, which a backup at night or a
//! clean-up at noon does not bend. Nothing is told of growth that may be none.
//!
//! **Terms.** *use*: the share of what others than root can have, of space or of inodes, whichever is more.
//!
//! **Algorithm.** An hour after the last value the next is taken, and the line is drawn anew. What is missing of the whole, divided by the slope
//! and by both ends of its 95 % interval, is when the file system is full. Where nothing was seen for two hours it begins anew.
//!
//! **Properties**, each a test below: nothing is told before six hours; steady growth is foretold to the hour; a use that falls, stays, or goes up
//! and down is full never; a day is all that is remembered.

use super::statistics::{Series, line, whole};
use crate::model::FillsIn;
use crate::units::{Ppm, Span, Tick};
use std::collections::VecDeque;

const HOUR: Span = Span::secs(3600);
const DAY: usize = 24;
const LEAST: usize = 6;
/// Nobody plans further ahead by the line of a day.
const FARTHEST: Span = Span::secs(30 * 86_400);

/// The last day of one file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filling {
    hours: VecDeque<Ppm>,
    at: Option<Tick>,
    fills: Option<FillsIn>,
}

impl Filling {
    /// Takes in what is in use now; none where that is not known. Whether there is another answer.
    pub(super) fn look(&mut self, used: Option<Ppm>, now: Tick) -> bool {
        let Some(used) = used else { return false };
        let since = self.at.map(|at| now.since(at));
        if since.is_some_and(|since| since < HOUR) {
            return false;
        }
        if since.is_some_and(|since| since >= Span(HOUR.0 * 2)) {
            self.hours.clear();
        }
        if self.hours.len() >= DAY {
            self.hours.pop_front();
        }
        self.hours.push_back(used);
        self.at = Some(now);
        let before = self.fills.take();
        self.fills = self.fitted();
        before != self.fills
    }

    pub(super) const fn fills_in(&self) -> Option<FillsIn> {
        self.fills
    }

    fn fitted(&self) -> Option<FillsIn> {
        if self.hours.len() < LEAST {
            return None;
        }
        let series: Series = self.hours.iter().map(|used| f64::from(used.get())).collect();
        let line = line(&series)?;
        if line.least <= 0.0 {
            return None;
        }
        let room = (f64::from(Ppm::WHOLE.get()) - line.now).max(0.0);
        let within = |slope: f64| {
            let seconds = u64::try_from(whole((room / slope * 3600.0).round())).ok()?;
            Some(Span::secs(seconds)).filter(|span| *span <= FARTHEST)
        };
        Some(FillsIn {
            likely: within(line.slope)?,
            soonest: within(line.most)?,
            latest: within(line.least),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hours of use in hundredths of a percent, one after the other.
    fn after(hours: impl IntoIterator<Item = u32>) -> Filling {
        let mut filling = Filling::default();
        let mut now = Tick(1_000_000);
        for used in hours {
            filling.look(Some(Ppm::new(used * 100)), now);
            assert!(!filling.look(Some(Ppm::WHOLE), now.plus(Span::secs(3599))), "within the hour");
            now = now.plus(HOUR);
        }
        filling
    }

    #[test]
    fn steady_growth_is_foretold_to_the_hour() {
        // From 50 % on, one percent an hour: 45 are left after the sixth.
        let fills = after((0..6).map(|hour| 5_000 + 100 * hour)).fills_in().unwrap();
        assert_eq!(fills.likely, Span::secs(45 * 3600));
        assert_eq!(fills.soonest, fills.likely, "there is no doubt");
        assert_eq!(after((0..5).map(|hour| 5_000 + 100 * hour)).fills_in(), None, "too early");
        assert_eq!(
            after((0..24).map(|hour| 5_000 + hour)).fills_in(),
            None,
            "in more than 30 days"
        );
    }

    #[test]
    fn what_does_not_grow_is_full_never() {
        assert_eq!(after([9_000; 24]).fills_in(), None);
        assert_eq!(after((0..24).map(|hour| 9_000 - 10 * hour)).fills_in(), None);
        assert_eq!(after((0..24).map(|hour| 5_000 + 2_000 * (hour % 2))).fills_in(), None);
    }

    #[test]
    fn a_backup_at_night_does_not_bend_the_line() {
        let hours =
            (0..24).map(|hour| 5_000 + 50 * hour + if (8..11).contains(&hour) { 3_000 } else { 0 });
        let fills = after(hours).fills_in().unwrap();
        let hours = fills.likely.0 / HOUR.0;
        assert!((70..=80).contains(&hours), "{hours}");
        assert!(
            fills.soonest <= fills.likely
                && fills.latest.is_some_and(|latest| latest >= fills.likely)
        );
    }

    #[test]
    fn a_day_is_remembered_and_a_gap_begins_anew() {
        let mut filling = after((0..60).map(|hour| 1_000 + 100 * hour));
        assert_eq!(filling.hours.len(), DAY);
        assert!(filling.fills_in().is_some());
        let later = filling.at.unwrap().plus(Span::secs(2 * 3600));
        assert!(!filling.look(None, later), "one that hangs");
        assert!(filling.look(Some(Ppm::percent(80)), later));
        assert_eq!((filling.hours.len(), filling.fills_in()), (1, None));
    }
}
