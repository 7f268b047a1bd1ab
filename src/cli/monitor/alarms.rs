//! Which alerts held at a recorded look: from what was told of each before it. Pure.

use super::recorded::seen_from;
use crate::model::{AlertState, AlertView, Event, EventOf};
use crate::record::Cycle;
use crate::units::Tick;
use std::collections::BTreeMap;

/// What was told, oldest first.
#[derive(Debug, Default)]
pub(super) struct Alarms(Vec<Told>);

#[derive(Debug)]
struct Told {
    wall_secs: u64,
    at: Tick,
    /// None where a daemon began, which knows of none.
    alert: Option<AlertView>,
}

impl Alarms {
    pub(super) fn of(happened: &[Event]) -> Self {
        let told = |event: &Event| {
            let alert = match &event.of {
                EventOf::Alert { alert } => Some(alert.as_ref().clone()),
                EventOf::Daemon { what } if what.starts_with("started") => None,
                EventOf::Daemon { .. }
                | EventOf::Action { .. }
                | EventOf::Finding { .. }
                | EventOf::Level { .. } => return None,
            };
            Some(Told { wall_secs: event.wall_secs, at: event.at, alert })
        };
        Self(happened.iter().filter_map(told).collect())
    }

    /// Those that held then, the gravest first.
    pub(super) fn at(&self, cycle: &Cycle) -> Vec<AlertView> {
        let mut held = BTreeMap::new();
        for told in &self.0 {
            let Some(at) = seen_from(told.at, told.wall_secs, cycle) else { continue };
            let Some(alert) = &told.alert else {
                held.clear();
                continue;
            };
            if alert.state == AlertState::Resolved {
                held.remove(&alert.id);
                continue;
            }
            // How long it had held when it was told is the same on every clock.
            let held_for = told.at.since(alert.since);
            let since = Tick(at.0.saturating_sub(held_for.0));
            held.insert(alert.id.clone(), AlertView { since, ..alert.clone() });
        }
        let mut held: Vec<AlertView> = held.into_values().collect();
        held.sort_by_key(|view| std::cmp::Reverse(view.severity));
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recorded::sample_alert;

    fn told(secs: u64, state: AlertState) -> Event {
        let alert = Box::new(AlertView { state, ..sample_alert() });
        let (at, wall_secs) = (Tick(secs * 1_000_000), 1000 + secs);
        Event { at, wall_secs, of: EventOf::Alert { alert } }
    }

    fn look(secs: u64) -> Cycle {
        let mut seen = crate::testing::host();
        seen.at = Tick(secs * 1_000_000);
        let (wall_secs, follows, is_replanned) = (1000 + secs, true, false);
        Cycle { wall_secs, follows, seen, is_replanned, base: None, lent: None, news: None }
    }

    #[test]
    fn an_alert_holds_from_its_telling_to_its_end_or_that_of_the_daemon() {
        let began = Event {
            at: Tick(30_000_000),
            wall_secs: 1030,
            of: EventOf::Daemon { what: "started, version 1".to_owned() },
        };
        let happened = [
            told(5, AlertState::Firing),
            told(10, AlertState::Resolved),
            told(20, AlertState::Firing),
            began,
        ];
        let alarms = Alarms::of(&happened);
        let held = |secs| alarms.at(&look(secs)).len();
        assert_eq!([4, 5, 9, 10, 19, 20, 29, 30].map(held), [0, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(alarms.at(&look(25))[0].since, sample_alert().since);
    }
}
