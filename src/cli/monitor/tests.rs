//! Whole screens, and any keys on screens of any size.

use super::draw::draw;
use super::frames::{Frames, Moment, Over, Pressed};
use super::recorded::tests::LIFE;
use crate::model::{
    AlertKind, AlertState, AlertView, Evidence, Level, LimitOf, Report, Resource, Wait,
};
use crate::serve::Request;
use crate::testing::{sample_leak, sample_report};
use crate::units::{Ppm, Span};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// So many seconds after the first report, when the critical component waited for so much of the time.
fn report(seconds: u32, percent: u32) -> Report {
    let mut report = sample_report();
    report.at = report.at.plus(Span::secs(seconds.into()));
    let web = report.estimate.components.values_mut().next_back().unwrap();
    let wait = Ppm::percent(percent);
    web.need.waits.cpu = Some(Wait { p10: wait, p60: wait });
    report.version = "0.0.0".to_owned();
    report
}

fn minute() -> Frames {
    let mut frames = Frames::new(report(0, 0));
    (1..60).for_each(|second| frames.come(report(second, second)));
    frames
}

fn screen(frames: &Frames, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, frames)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn a_small_terminal_shows_everything() {
    insta::assert_snapshot!(screen(&minute(), (80, 24)));
}

#[test]
fn a_wide_terminal_has_longer_bars() {
    insta::assert_snapshot!(screen(&minute(), (120, 26)));
}

#[test]
fn one_that_is_too_small_says_so() {
    insta::assert_snapshot!(screen(&minute(), (20, 10)));
}

#[test]
fn it_goes_back_explains_and_filters() {
    let mut frames = minute();
    for key in [
        Pressed::To(Moment::Earlier(30)),
        Pressed::To(Moment::Earlier(1)),
        Pressed::Sort,
        Pressed::Sort,
    ] {
        assert!(frames.press(key));
    }
    assert_eq!(frames.behind(), Some(31));
    frames.come(report(60, 0));
    assert_eq!(frames.behind(), Some(32), "what is looked at stays");
    frames.press(Pressed::Filter);
    "we".chars().for_each(|letter| assert!(frames.press(Pressed::Type(letter))));
    let filtered = screen(&frames, (80, 24));
    frames.press(Pressed::Enter);
    frames.press(Pressed::Enter);
    insta::assert_snapshot!(filtered + "\n" + &screen(&frames, (80, 24)));
    frames.press(Pressed::Back);
    assert_eq!(frames.over(), Over::Nothing);
    assert!(frames.press(Pressed::Back), "it drops the filter first");
    frames.press(Pressed::To(Moment::Now));
    assert_eq!(frames.behind(), None);
    assert!(!frames.press(Pressed::Back), "and leaves then");
}

#[test]
fn something_is_given_once_it_was_confirmed_and_only_now() {
    let mut frames = minute();
    frames.press(Pressed::To(Moment::Earlier(3)));
    frames.press(Pressed::Give);
    assert_eq!(frames.over(), Over::Nothing);
    assert!(frames.said().is_some_and(|said| said.starts_with("this is over")));
    frames.press(Pressed::To(Moment::Now));
    let mut give = |text: &str, last: Pressed| {
        frames.press(Pressed::Give);
        text.chars().for_each(|letter| assert!(frames.press(Pressed::Type(letter))));
        frames.press(Pressed::Enter);
        let asked = screen(&frames, (80, 24));
        frames.press(last);
        (asked, frames.take_order(), frames.said().map(str::to_owned))
    };
    let (asked, order, _) = give("cpu.ceiling=2 for 2h", Pressed::Type('y'));
    assert!(asked.contains("cpu.ceiling=2 for 2h?  y does it"), "{asked}");
    assert!(matches!(order, Some(Request::SetQuota { dry_run: false, .. })), "{order:?}");
    let (_, order, said) = give("cpu.ceiling=2", Pressed::Type('x'));
    assert_eq!((order, said.as_deref()), (None, Some("nothing was changed")));
    let (_, order, _) = give("nonsense", Pressed::Type('y'));
    assert_eq!(order, None, "what makes no sense cannot be confirmed");
}

/// Alerts in every state, of which three fire, the gravest in the middle.
fn alerts(report: &Report) -> Vec<AlertView> {
    use AlertState::{Acknowledged, Firing, Pending, Resolved};
    let view = |kind: AlertKind, subject: &str, severity, state, evidence: Evidence| AlertView {
        id: format!("{kind}/{subject}"),
        kind,
        subject: subject.to_owned(),
        severity,
        state,
        since: crate::units::Tick(report.at.0 - 75_000_000),
        ended: None,
        silenced_until: None,
        flapping: false,
        evidence,
        text: evidence.text(subject),
    };
    let waits = Evidence::Waits { resource: Resource::Cpu };
    let used = Evidence::Used { share: Some(Ppm::percent(97)) };
    let leak = Evidence::Growth { leak: sample_leak() };
    let throttled = Evidence::Throttled { share: Ppm::percent(31), by: LimitOf::Ceiling };
    let killed = Evidence::Killed { count: 2 };
    vec![
        view(AlertKind::Throttled, "batch", Level::Warning, Firing, throttled),
        view(AlertKind::DiskSpace, "/srv", Level::Emergency, Firing, used),
        view(AlertKind::Leak, "web", Level::Critical, Firing, leak),
        view(AlertKind::OomKill, "idle", Level::Critical, Acknowledged, killed),
        view(AlertKind::Pressure, "cpu", Level::Warning, Pending, waits),
        view(AlertKind::Use, "memory", Level::Warning, Resolved, used),
    ]
}

/// A minute at whose end alerts fire, and something was done for a reason.
fn alarmed() -> Frames {
    let mut frames = minute();
    let mut last = report(60, 60);
    last.alerts = alerts(&last);
    let done = last.actions.last_mut().unwrap();
    done.what = "cpu.max = 50ms/100ms".to_owned();
    done.result = "applied".to_owned();
    done.why = Some(
        "gives way: a protected component waits; all that yield may use 0.8 cores, others use 1"
            .to_owned(),
    );
    frames.come(last);
    frames
}

#[test]
fn the_gravest_alert_that_fires_has_its_line() {
    insta::assert_snapshot!(screen(&alarmed(), (80, 24)));
}

#[test]
fn a_high_terminal_has_a_line_for_each_alert() {
    insta::assert_snapshot!(screen(&alarmed(), (120, 30)));
}

#[test]
fn alerts_of_which_somebody_knows_are_counted() {
    let mut frames = minute();
    let mut last = report(60, 60);
    last.alerts = alerts(&last);
    last.alerts.retain(|view| view.state != AlertState::Firing);
    frames.come(last);
    let shown = screen(&frames, (80, 24));
    assert!(
        shown.contains("alert   none fires (1 pending, 1 acknowledged, 1 resolved)"),
        "{shown}"
    );
}

#[test]
fn a_recording_says_that_it_is_one_and_of_when() {
    let mut frames = Frames::recorded(LIFE.recorded(None).unwrap());
    let newest = screen(&frames, (80, 24));
    frames.press(Pressed::To(Moment::Earlier(30)));
    frames.press(Pressed::To(Moment::Earlier(1)));
    insta::assert_snapshot!(newest + "\n" + &screen(&frames, (80, 24)));
    frames.press(Pressed::To(Moment::Oldest));
    assert!(screen(&frames, (80, 24)).contains("(1 of 600)"));
    frames.press(Pressed::To(Moment::Now));
    assert!(screen(&frames, (80, 24)).contains("(600 of 600)"));
    assert!(!frames.press(Pressed::Back), "there is nothing else to go back to");
}

#[test]
fn a_recording_is_played_look_by_look() {
    let mut frames = Frames::recorded(LIFE.recorded(Some(LIFE.at(590))).unwrap());
    let shown = |frames: &Frames| frames.shown().unwrap().own.wall_secs;
    frames.tick();
    assert_eq!(shown(&frames), LIFE.at(590), "nothing moves by itself");
    assert!(screen(&frames, (80, 24)).contains("Space play"));
    frames.press(Pressed::To(Moment::Held));
    frames.tick();
    frames.tick();
    assert_eq!(shown(&frames), LIFE.at(592));
    assert!(screen(&frames, (80, 24)).contains("Space stop"));
    (0..20).for_each(|_| frames.tick());
    assert_eq!(shown(&frames), LIFE.at(599));
    assert!(screen(&frames, (80, 24)).contains("Space play"), "it stops at the end");
}

/// Ten reports, as if a monitor was begun at the look of this number.
fn begun_at(look: usize) -> Frames {
    let live = |look: usize| {
        let mut report = LIFE.report_of(look);
        report.version = "0.0.0".to_owned();
        report
    };
    let mut frames = Frames::new(live(look));
    (look + 1..look + 10).for_each(|look| frames.come(live(look)));
    frames
}

#[test]
fn it_goes_back_into_what_was_recorded_before_it_began_and_forth_again() {
    let mut frames = begun_at(400);
    let shown = |frames: &Frames| frames.shown().unwrap().own.wall_secs;
    frames.press(Pressed::To(Moment::Earlier(9)));
    assert_eq!((shown(&frames), frames.wants_recording()), (LIFE.at(400), false));
    frames.press(Pressed::To(Moment::Earlier(30)));
    assert_eq!((shown(&frames), frames.wants_recording()), (LIFE.at(400), true));
    frames.join(LIFE.recorded(None));
    assert!(!frames.wants_recording());
    assert_eq!(shown(&frames), LIFE.at(370));
    assert!(screen(&frames, (80, 24)).contains("recording, 2023-11-14 "));
    frames.come(LIFE.report_of(410));
    assert_eq!(shown(&frames), LIFE.at(370), "what is looked at stays");
    frames.press(Pressed::To(Moment::Later(30)));
    let behind = LIFE.at(410) - LIFE.at(400);
    assert_eq!((shown(&frames), frames.behind()), (LIFE.at(400), Some(behind)));
    frames.press(Pressed::To(Moment::Earlier(1)));
    frames.join(LIFE.recorded(None));
    assert_eq!(shown(&frames), LIFE.at(399));
    frames.press(Pressed::To(Moment::Now));
    assert_eq!((shown(&frames), frames.behind()), (LIFE.at(410), None));
}

#[test]
fn why_it_goes_back_no_further_is_told() {
    let mut frames = begun_at(400);
    frames.press(Pressed::To(Moment::Oldest));
    frames.press(Pressed::To(Moment::Earlier(1)));
    frames.join(Err("what was before is recorded for root alone".to_owned()));
    let told = "told    this is the oldest: what was before is recorded for root alone";
    assert!(screen(&frames, (80, 24)).contains(told));
    assert_eq!(frames.shown().unwrap().own.wall_secs, LIFE.at(400));
    frames.press(Pressed::Down);
    assert!(!screen(&frames, (80, 24)).contains(told));
    let mut frames = begun_at(0);
    frames.press(Pressed::To(Moment::Earlier(100)));
    frames.join(LIFE.recorded(None));
    assert!(screen(&frames, (80, 24)).contains("the recording holds nothing from before"));
}

#[test]
fn a_daemon_that_does_not_answer_is_told() {
    let mut frames = minute();
    frames.fail("no daemon runs".to_owned());
    assert!(screen(&frames, (80, 24)).contains("no answer: no daemon runs"));
    frames.come(report(99, 0));
    assert!(!screen(&frames, (80, 24)).contains("no answer"));
}

#[test]
fn keys_are_letters_while_a_filter_is_typed() {
    let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
    assert_eq!(super::pressed(key(KeyCode::Char('q')), false), Some(Pressed::Leave));
    assert_eq!(super::pressed(key(KeyCode::Char('q')), true), Some(Pressed::Type('q')));
    let leaves = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(super::pressed(leaves, true), Some(Pressed::Leave));
    assert_eq!(super::pressed(key(KeyCode::F(5)), false), None);
}

fn any_key() -> impl Strategy<Value = Pressed> {
    prop_oneof![
        Just(Pressed::Back),
        Just(Pressed::Enter),
        Just(Pressed::Erase),
        Just(Pressed::Up),
        Just(Pressed::Down),
        (0_usize..100).prop_map(|count| Pressed::To(Moment::Earlier(count))),
        (0_usize..100).prop_map(|count| Pressed::To(Moment::Later(count))),
        Just(Pressed::To(Moment::Now)),
        Just(Pressed::To(Moment::Oldest)),
        Just(Pressed::Sort),
        Just(Pressed::Filter),
        Just(Pressed::Give),
        Just(Pressed::Type('y')),
        Just(Pressed::To(Moment::Held)),
        any::<char>().prop_map(Pressed::Type),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is pressed, on whatever screen: there is always something to see, and never a character that moves the terminal's cursor.
    #[test]
    fn any_keys_on_any_screen(
        keys in proptest::collection::vec(any_key(), 0..40),
        size in (1_u16..200, 1_u16..60),
    ) {
        let mut frames = Frames::new(report(0, 50));
        for (key, second) in keys.into_iter().zip(1..) {
            if !frames.press(key) {
                break;
            }
            frames.come(report(second, 50));
            prop_assert!(frames.shown().is_some());
        }
        let shown = screen(&frames, size);
        prop_assert!(!shown.chars().any(|one| one.is_control() && one != '\n'));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The same in a recording, and where one is gone into and left again.
    #[test]
    fn any_keys_in_a_recording(
        keys in proptest::collection::vec(any_key(), 0..20),
        begun in proptest::option::of(0_usize..590),
        size in (1_u16..200, 1_u16..60),
    ) {
        let recorded = || LIFE.recorded(None);
        let mut frames = begun.map_or_else(|| Frames::recorded(recorded().unwrap()), begun_at);
        for key in keys {
            if !frames.press(key) {
                break;
            }
            if frames.wants_recording() {
                frames.join(recorded());
            }
            frames.tick();
            prop_assert!(frames.shown().is_some());
        }
        prop_assert!(!screen(&frames, size).chars().any(|one| one.is_control() && one != '\n'));
    }
}
