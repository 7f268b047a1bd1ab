//! What a page says, that it is well formed, and that it says what it lacks.

use super::*;
use crate::model::{AlertView, EventOf, Knob};
use crate::testing::recorded::{
    SAMPLED, sample_alert, sample_change, sample_periods, sample_trouble,
};
use crate::testing::sample_report;
use crate::units::{Bytes, Limit, Tick};
use proptest::prelude::*;

fn high(mebi: u64) -> Knob {
    Knob::MemoryHigh(Limit::At(Bytes::mebi(mebi)))
}

fn alert(wall_secs: u64, text: &str) -> Event {
    let alert = Box::new(AlertView { text: text.to_owned(), ..sample_alert() });
    Event { at: Tick(wall_secs), wall_secs, of: EventOf::Alert { alert } }
}

fn sample() -> Recorded {
    let (_, hours) = sample_periods();
    let home = "system.slice/web.service";
    let open = Knob::MemoryHigh(Limit::Max);
    let events = vec![
        sample_change(SAMPLED + 1300, "web", home, high(400), open.clone()),
        alert(SAMPLED + 1310, "protected components wait for memory"),
        sample_change(SAMPLED + 2100, "web", home, open, high(400)),
    ];
    Recorded { minutes: sample_trouble(), hours, events, lost: Vec::new() }
}

fn html(recorded: &Recorded, now: Option<&Report>, styled: Styled) -> String {
    let zone = &TimeZone::UTC;
    let (from, to) = (SAMPLED, SAMPLED + 3600);
    Page { host: "host", from, to, zone, recorded, now, styled }.html()
}

/// The names of elements that are open at the end; an error where one is closed that is not open.
fn open_elements(html: &str) -> Result<Vec<String>, String> {
    let mut open = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, _) = part.split_once('>').ok_or_else(|| format!("no end: {part}"))?;
        if tag.starts_with('!') || tag.ends_with('/') {
            continue;
        }
        let name: String = tag.trim_start_matches('/').split(' ').next().unwrap().to_owned();
        if !tag.starts_with('/') {
            open.push(name);
        } else if open.pop().as_deref() != Some(name.as_str()) {
            return Err(format!("{name} was not open"));
        }
    }
    Ok(open)
}

/// A page without its style and coordinates, a line for each element that says anything.
fn said(html: &str) -> String {
    let body = html.split_once("<body>").unwrap().1;
    let mut lines = String::new();
    for part in body.split('<').skip(1) {
        let (tag, words) = part.split_once('>').unwrap();
        if let Some((_, label)) = tag.split_once("aria-label=\"") {
            lines.push_str(&format!("[{}]\n", label.trim_end_matches('"')));
        }
        if !words.trim().is_empty() {
            lines.push_str(&format!("{}: {}\n", tag.split(' ').next().unwrap(), words.trim()));
        }
    }
    lines
}

#[test]
fn a_page_of_a_bad_hour_reads_well() {
    insta::assert_snapshot!(said(&html(&sample(), Some(&sample_report()), Styled::Within)));
}

#[test]
fn without_a_daemon_it_says_what_it_lacks() {
    let said = said(&html(&sample(), None, Styled::Within));
    assert!(said.contains("No daemon answers: this is what was recorded"), "{said}");
    assert!(said.contains("what is configured, forecasts and where growth leads"), "{said}");
    assert!(said.contains("memory was at level critical or emergency for 12m"), "{said}");
}

#[test]
fn without_a_recording_it_says_what_it_lacks() {
    let lost = vec!["of recorded minutes: there are none yet".to_owned()];
    let recorded = Recorded { lost, ..Recorded::default() };
    let said = said(&html(&recorded, Some(&sample_report()), Styled::Beside));
    assert!(said.contains("of recorded minutes: there are none yet"), "{said}");
    assert!(said.contains("0s of 1h are recorded"), "{said}");
}

#[test]
fn a_page_is_one_file_that_loads_and_runs_nothing() {
    let html = html(&sample(), Some(&sample_report()), Styled::Within);
    assert_eq!(open_elements(&html), Ok(vec![]));
    for foreign in ["<script", "http://", "https://", "url(", "@import", "style=\"", " src="] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    assert!(html.len() < 60 * 1024, "{} bytes", html.len());
}

/// Foreign words, where there may be some.
fn add(recorded: &mut Recorded, words: &str) {
    recorded.events.push(alert(SAMPLED + 1400, words));
    recorded.lost.push(words.to_owned());
}

proptest! {
    #[test]
    fn foreign_words_are_words_wherever_they_stand(words in "[<>&\"'a-z /=!-]{1,40}") {
        let mut recorded = sample();
        add(&mut recorded, &words);
        let mut plain = sample();
        add(&mut plain, "x");
        let html = |recorded: &Recorded| html(recorded, None, Styled::Beside);
        let (page, plain) = (html(&recorded), html(&plain));
        prop_assert_eq!(open_elements(&page), Ok(vec![]));
        prop_assert_eq!(page.matches('<').count(), plain.matches('<').count());
    }
}
