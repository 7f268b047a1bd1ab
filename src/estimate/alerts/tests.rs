//! Alerts over time: their life, who is told when, and what must hold whatever the conditions do.

use super::*;
use crate::model::{LimitOf, Resource};
use crate::units::Ppm;
use proptest::prelude::*;

const EVIDENCE: Evidence = Evidence::Waits { resource: Resource::Memory };

fn signal(kind: AlertKind, subject: &str, severity: Level) -> Signal<'_> {
    Signal { kind, subject, severity, evidence: EVIDENCE }
}

/// Looks once a second.
struct Story {
    alerts: Alerts,
    policy: AlertPolicy,
    now: u64,
    /// What was told: the second, the name, the state and the severity.
    told: Vec<(u64, String, AlertState, Level)>,
}

impl Story {
    fn new() -> Self {
        let (alerts, policy) = (Alerts::default(), AlertPolicy::default());
        Self { alerts, policy, now: 0, told: Vec::new() }
    }

    fn at(&self) -> Tick {
        Tick::default().plus(Span::secs(self.now))
    }

    fn look(&mut self, signals: &[Signal<'_>]) {
        self.now += 1;
        let told = self.alerts.look(&self.policy, self.at(), signals.iter().copied());
        let line = |view: AlertView| (self.now, view.id, view.state, view.severity);
        self.told.extend(told.into_iter().map(line));
    }

    /// The same for so many seconds.
    fn looks(&mut self, seconds: u64, signals: &[Signal<'_>]) {
        for _ in 0..seconds {
            self.look(signals);
        }
    }

    fn states(&self) -> Vec<AlertState> {
        self.alerts.views(self.at()).into_iter().map(|view| view.state).collect()
    }

    /// What was told since the last call, without the names.
    fn news(&mut self) -> Vec<(u64, AlertState, Level)> {
        let told = std::mem::take(&mut self.told);
        told.into_iter().map(|(second, _, state, severity)| (second, state, severity)).collect()
    }
}

const PRESSURE: Signal<'static> = Signal {
    kind: AlertKind::Pressure,
    subject: "memory",
    severity: Level::Warning,
    evidence: EVIDENCE,
};
const WORSE: Signal<'static> = Signal { severity: Level::Critical, ..PRESSURE };
const WORST: Signal<'static> = Signal { severity: Level::Emergency, ..PRESSURE };

#[test]
fn a_condition_is_pending_then_fires_then_is_resolved_then_forgotten() {
    use AlertState::{Firing, Pending, Resolved};
    let mut story = Story::new();
    story.looks(10, &[PRESSURE]);
    assert_eq!((story.states(), story.news()), (vec![Pending], vec![]));
    story.look(&[PRESSURE]);
    assert_eq!((story.states(), story.news()), (vec![Firing], vec![(11, Firing, Level::Warning)]));
    story.looks(29, &[]);
    assert_eq!((story.states(), story.news()), (vec![Firing], vec![]));
    story.look(&[]);
    let told = vec![(41, Resolved, Level::Warning)];
    assert_eq!((story.states(), story.news()), (vec![Resolved], told));
    story.looks(3599, &[]);
    assert_eq!(story.states(), [Resolved]);
    story.look(&[]);
    assert_eq!(story.alerts.kinds[&AlertKind::Pressure].len(), 0);
}

#[test]
fn what_holds_too_short_is_never_told() {
    let mut story = Story::new();
    for _ in 0..20 {
        story.looks(9, &[PRESSURE]);
        story.looks(3, &[]);
    }
    assert_eq!((story.states(), story.news()), (vec![], vec![]));
}

#[test]
fn an_emergency_is_told_at_once_and_so_is_what_gets_graver() {
    use AlertState::Firing;
    let mut story = Story::new();
    story.look(&[WORST]);
    assert_eq!(story.news(), [(1, Firing, Level::Emergency)]);
    let mut story = Story::new();
    story.looks(20, &[PRESSURE]);
    story.looks(20, &[WORSE]);
    story.looks(20, &[PRESSURE]);
    story.looks(20, &[WORSE]);
    assert_eq!(story.news(), [(11, Firing, Level::Warning), (21, Firing, Level::Critical)]);
}

#[test]
fn the_graver_of_two_signals_of_one_name_counts() {
    let mut story = Story::new();
    story.looks(11, &[WORSE, PRESSURE]);
    story.looks(5, &[PRESSURE, WORSE]);
    assert_eq!(story.news(), [(11, AlertState::Firing, Level::Critical)]);
}

#[test]
fn a_second_episode_is_told_after_the_cooldown_if_it_still_holds() {
    use AlertState::{Firing, Resolved};
    let mut story = Story::new();
    story.looks(11, &[PRESSURE]);
    story.looks(30, &[]);
    assert_eq!(story.news(), [(11, Firing, Level::Warning), (41, Resolved, Level::Warning)]);
    story.looks(11, &[PRESSURE]);
    story.looks(60, &[]);
    assert_eq!(story.news(), [], "neither it nor its end: it was over before the cooldown");
    story.looks(500, &[PRESSURE]);
    assert_eq!(story.news(), [(311, Firing, Level::Warning)]);
}

#[test]
fn who_knows_is_not_told_until_it_gets_graver_or_begins_anew() {
    use AlertState::{Acknowledged, Firing, Resolved};
    let mut story = Story::new();
    assert!(!story.alerts.acknowledge("pressure/memory"), "there is none");
    story.looks(5, &[PRESSURE]);
    assert!(story.alerts.acknowledge("pressure/memory"));
    story.looks(400, &[PRESSURE]);
    assert_eq!((story.states(), story.news()), (vec![Acknowledged], vec![]));
    story.look(&[WORSE]);
    assert_eq!(story.news(), [(406, Firing, Level::Critical)]);
    story.looks(60, &[]);
    assert_eq!(story.news(), [(436, Resolved, Level::Critical)]);
    assert!(!story.alerts.acknowledge("pressure/memory"), "it is over");
    story.looks(400, &[PRESSURE]);
    assert_eq!(story.news(), [(706, Firing, Level::Warning)], "another episode");
    for id in ["pressure", "pressure/cpu", "nonsense/memory", "", "/"] {
        assert!(!story.alerts.acknowledge(id), "{id}");
        assert!(!story.alerts.silence(id, story.at()), "{id}");
    }
}

#[test]
fn a_silence_lasts_until_its_time_and_what_still_holds_then_is_told() {
    use AlertState::{Firing, Silenced};
    let mut story = Story::new();
    story.looks(11, &[PRESSURE]);
    assert_eq!(story.news().len(), 1);
    let until = story.at().plus(Span::secs(600));
    assert!(story.alerts.silence("pressure/memory", until));
    story.looks(30, &[WORST]);
    assert_eq!((story.states(), story.news()), (vec![Silenced], vec![]));
    story.looks(300, &[]);
    assert_eq!(story.news(), [], "nor its end");
    story.looks(400, &[PRESSURE]);
    assert_eq!(story.news(), [(611, Firing, Level::Warning)]);
    assert!(story.alerts.silence("pressure/memory", story.at()), "lifted");
    assert_eq!(story.states(), [Firing]);
}

#[test]
fn what_comes_and_goes_is_told_ever_more_rarely_and_then_stays() {
    let mut story = Story::new();
    for _ in 0..60 {
        story.looks(20, &[PRESSURE]);
        story.looks(70, &[]);
    }
    let view = &story.alerts.views(story.at())[0];
    assert!(view.flapping && view.state == AlertState::Firing, "{view:?}");
    let told = story.news();
    assert!(told.len() <= 4, "{told:?}");
    story.looks(1000, &[]);
    assert_eq!(story.states(), [AlertState::Resolved]);
}

#[test]
fn kinds_hold_for_as_long_as_they_ask() {
    for (kind, first) in [
        (AlertKind::Throttled, 61),
        (AlertKind::Unresponsive, 301),
        (AlertKind::Forecast, 601),
        (AlertKind::OomKill, 1),
        (AlertKind::Leak, 1),
    ] {
        let mut story = Story::new();
        story.looks(700, &[signal(kind, "web", Level::Warning)]);
        assert_eq!(story.news(), [(first, AlertState::Firing, Level::Warning)], "{kind}");
    }
}

#[test]
fn what_is_remembered_counts_for_the_next_daemon() {
    let mut story = Story::new();
    story.looks(11, &[PRESSURE, signal(AlertKind::Leak, "web", Level::Critical)]);
    let marks = story.alerts.marks();
    assert!(story.alerts.silence("leak/web", story.at().plus(Span::secs(900))));
    assert!(story.alerts.marks() > marks);
    let memories = story.alerts.memories();
    assert_eq!(memories.len(), 2);
    story.alerts = Alerts::default();
    story.alerts.remember(&memories);
    assert_eq!(story.states(), [], "nothing holds yet");
    assert_eq!(story.alerts.memories(), memories);
    story.news();
    story.looks(100, &[PRESSURE, signal(AlertKind::Leak, "web", Level::Critical)]);
    assert_eq!(story.news(), [], "told by the daemon before, and silenced");
    let mut others = Alerts::default();
    others.remember(&["x", "nonsense/web"].map(|id| (id.to_owned(), memories["leak/web"])).into());
    assert_eq!(others, Alerts::default());
}

#[test]
fn the_gravest_that_hold_are_shown_first_and_no_more_than_bounded() {
    let mut story = Story::new();
    let names: Vec<String> = (0..2 * MOST).map(|number| format!("c{number:04}")).collect();
    let mut signals: Vec<Signal<'_>> =
        names.iter().map(|name| signal(AlertKind::Leak, name, Level::Warning)).collect();
    signals[7].severity = Level::Critical;
    story.look(&signals);
    let views = story.alerts.views(story.at());
    assert_eq!((views.len(), views[0].id.as_str()), (MOST, "leak/c0007"));
}

#[test]
fn a_view_reads_well() {
    let mut story = Story::new();
    let evidence = Evidence::Throttled { share: Ppm::percent(12), by: LimitOf::Ceiling };
    story.looks(61, &[Signal { evidence, ..signal(AlertKind::Throttled, "web", Level::Warning) }]);
    let view = &story.alerts.views(story.at())[0];
    assert_eq!(view.id, "throttled/web");
    assert_eq!(view.text, evidence.text("web"));
    assert_eq!(view.since, Tick(1_000_000));
}

/// What three conditions do over time: how long each holds, how grave it is, and how long it is gone then.
fn weather() -> impl Strategy<Value = Vec<(usize, u64, Level, u64)>> {
    let level = prop::sample::select(vec![Level::Warning, Level::Critical, Level::Emergency]);
    prop::collection::vec((0..3_usize, 1..120_u64, level, 0..120_u64), 1..40)
}

proptest! {
    #[test]
    fn nobody_is_told_too_often(weather in weather()) {
        let mut story = Story::new();
        for (number, holds, severity, gone) in weather {
            let subject = ["cpu", "memory", "io"][number];
            story.looks(holds, &[signal(AlertKind::Pressure, subject, severity)]);
            story.looks(gone, &[]);
        }
        let cooldown = story.policy.cooldown.0 / 1_000_000;
        for subject in ["cpu", "memory", "io"] {
            let id = format!("pressure/{subject}");
            let of_one = story.told.iter().filter(|(_, name, ..)| *name == id);
            let mut before: Option<(u64, Level)> = None;
            let mut fires = false;
            for (second, _, state, severity) in of_one {
                if *state == AlertState::Resolved {
                    prop_assert!(fires, "{id} ends at {second} and was not told before");
                    fires = false;
                    continue;
                }
                if let Some((told, known)) = before {
                    let is_graver = *severity > known;
                    prop_assert!(is_graver || second - told >= cooldown, "{id} at {told} and {second}");
                }
                (before, fires) = (Some((*second, *severity)), true);
            }
        }
    }

    #[test]
    fn the_same_look_twice_tells_nothing_more(weather in weather()) {
        let mut story = Story::new();
        for (number, holds, severity, _) in weather {
            let subject = ["cpu", "memory", "io"][number];
            let signals = [signal(AlertKind::Pressure, subject, severity)];
            story.looks(holds, &signals);
            let (at, before) = (story.at(), story.alerts.clone());
            let again = story.alerts.look(&story.policy, at, signals.into_iter());
            prop_assert_eq!(again, vec![]);
            prop_assert_eq!(&story.alerts, &before);
        }
    }
}
