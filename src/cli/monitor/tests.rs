//! Whole screens, and any keys on screens of any size.

use super::draw::draw;
use super::frames::{Frames, Moment, Over, Pressed};
use crate::model::{Report, Wait};
use crate::testing::sample_report;
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
        Just(Pressed::Sort),
        Just(Pressed::Filter),
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
