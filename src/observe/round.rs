//! What a reconciliation reads again, each in its turn. Must not know what that is.
//!
//! Some fifty system calls for each group, and a dozen for each process, are tens of milliseconds at a thousand of them: at once they would
//! hold up the loop for longer than anybody may wait. In turn each is still read again as often as before.

use crate::units::{Span, Tick};

/// From its beginning so long, a round is over: before the next reconciliation.
const OVER_AFTER: Span = Span::secs(8);
/// At least so many have their turn at every look: on small hosts all at once.
const LEAST: usize = 64;

/// What is read again though nothing says that it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// A reconciliation is not due.
    Nothing,
    /// Everything, knobs and processes each in its turn.
    InTurn,
    /// Everything, now: it was asked for, or nothing is known yet.
    AtOnce,
}

/// Those that are still to be read again.
#[derive(Debug)]
pub(super) struct Round<T> {
    began: Tick,
    count: usize,
    /// The last is the next.
    left: Vec<T>,
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Self { began: Tick::default(), count: 0, left: Vec::new() }
    }
}

impl<T> Round<T> {
    /// Begins anew with all of these.
    pub(super) fn begin(&mut self, now: Tick, all: impl DoubleEndedIterator<Item = T>) {
        self.began = now;
        self.left.clear();
        self.left.extend(all.rev());
        self.count = self.left.len();
    }

    /// Those whose turn it is at this look. Allocates nothing once the round is over.
    pub(super) fn turn(&mut self, now: Tick) -> Vec<T> {
        if self.left.is_empty() {
            return Vec::new();
        }
        let ahead = OVER_AFTER.0.saturating_sub(now.since(self.began).0);
        let due = self.count - part(self.count, ahead);
        let had = self.count - self.left.len();
        let turn = due.saturating_sub(had).max(LEAST).min(self.left.len());
        let mut turn = self.left.split_off(self.left.len() - turn);
        turn.reverse();
        turn
    }
}

/// How many of `count` there is still time for.
fn part(count: usize, ahead: u64) -> usize {
    let part =
        u128::try_from(count).unwrap_or(u128::MAX) * u128::from(ahead) / u128::from(OVER_AFTER.0);
    usize::try_from(part).unwrap_or(count).min(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Tick = Tick(1_000_000);

    #[test]
    fn a_small_host_is_read_at_once() {
        let mut round = Round::default();
        round.begin(START, 0..64);
        assert_eq!(round.turn(START), (0..64).collect::<Vec<_>>());
        assert!(round.turn(START.plus(Span::secs(1))).is_empty());
    }

    #[test]
    fn a_thousand_are_spread_evenly() {
        let mut round = Round::default();
        round.begin(START, 0..1000);
        let look = |second| START.plus(Span::secs(second));
        let turns: Vec<usize> = (0..10).map(|second| round.turn(look(second)).len()).collect();
        assert_eq!(turns, [64, 64, 122, 125, 125, 125, 125, 125, 125, 0]);
    }

    proptest! {
        /// Whenever one looks: each has one turn, in the order given, all when the round is over, and in between no more than is due.
        #[test]
        fn each_has_one_turn(
            count in 0_usize..3000,
            looks in prop::collection::vec(0_u64..3_000_000, 0..30),
        ) {
            let mut round = Round::default();
            round.begin(START, 0..count);
            let mut now = START;
            let mut had: Vec<usize> = Vec::new();
            for span in looks {
                now = now.plus(Span(span));
                let turn = round.turn(now);
                let due = count as u64 * now.since(START).0 / OVER_AFTER.0 + 1;
                prop_assert!(turn.len() <= LEAST || (had.len() + turn.len()) as u64 <= due);
                had.extend(turn);
                prop_assert!(had.len() == count || had.len() as u64 >= due - 1);
            }
            had.extend(round.turn(START.plus(OVER_AFTER)));
            prop_assert_eq!(had, (0..count).collect::<Vec<_>>());
        }
    }
}
