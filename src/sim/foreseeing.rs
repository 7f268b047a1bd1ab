//! Forecasts in a run: the forecasters of the daemon, on a clock whose days are as long as the scenario says. Must not steer by itself.

use crate::config::Policy;
use crate::estimate::{Estimator, Foresight, Prospects};
use crate::model::{Moment, Snapshot};
use crate::units::{Span, Tick};

/// A day on the wall.
pub(super) const DAY: Span = Span::secs(86_400);
/// Midnight of some day: forecasters know the time of the day.
const MIDNIGHT: u64 = 20_000 * 86_400;

/// The forecasters of a run.
#[derive(Debug)]
pub(super) struct Foreseeing {
    foresight: Foresight,
    day: Span,
    began: Option<Tick>,
}

impl Foreseeing {
    pub(super) fn new(day: Span) -> Self {
        Self { foresight: Foresight::default(), day, began: None }
    }

    /// Lends what is expected now, and how far that looks ahead on the scenario's clock.
    pub(super) fn lend(&self, policy: &Policy, prospects: &mut Prospects) {
        self.foresight.lend(policy, prospects);
        let within = u128::from(prospects.within().0) * u128::from(self.day.0);
        let within = within / u128::from(DAY.0);
        prospects.look_ahead(Span(u64::try_from(within).unwrap_or(u64::MAX)));
    }

    /// Takes in what a look says of each component.
    pub(super) fn look(&mut self, policy: &Policy, seen: &Snapshot, estimator: &Estimator) {
        let began = *self.began.get_or_insert(seen.at);
        let secs = u128::from(seen.at.since(began).0) * 86_400 / u128::from(self.day.0.max(1));
        let at = Moment(MIDNIGHT + u64::try_from(secs).unwrap_or_default());
        self.foresight.look(policy, seen, estimator, at);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Steer, Strategy};
    use crate::sim::{Arm, BUILT_IN, Played, Scenario};

    fn tides(steer: Steer) -> Scenario {
        let tides = BUILT_IN.iter().find(|built_in| built_in.name == "tides").unwrap();
        let mut scenario = Scenario::built_in(tides).unwrap();
        scenario.policy.steer = steer;
        scenario
    }

    #[test]
    fn on_days_that_are_alike_the_service_waits_less_with_forecasts() {
        let play = |arm| -> Played { tides(Steer::Memory).play(arm) };
        let balanced = Strategy::Balanced;
        let (with, without) = (play(Arm::With(balanced)), play(Arm::Reactive(balanced)));
        let stalls = [&with, &without].map(|played| played.score.memory_stall.0);
        // The first morning is as without, the next ones are foreseen.
        assert!(stalls[0] * 2 < stalls[1], "{stalls:?}");
        assert!(with.score.served > without.score.served);
        assert!(with.score.work > without.score.work, "nor does the job lose by it");
        assert_eq!(with.score.kills_of_protected, 0);
    }

    #[test]
    fn where_they_may_not_steer_forecasts_change_nothing() {
        let scenario = tides(Steer::Off);
        let play = |arm| scenario.play(arm);
        let (with, without) = (Arm::With(Strategy::Adaptive), Arm::Reactive(Strategy::Adaptive));
        assert_eq!(play(with).score, play(without).score);
    }
}
