//! One page for people: what the host and its components used, what was done about it and why, and where it goes. Pure.
//!
//! **Problem.** After a bad night somebody wants one picture: what was limited, who waited because of whom, and whether it is over; to read, to
//! print, and to send to somebody who has no account on the host.
//!
//! **Approach.** One self-contained document from what was recorded and what the daemon says now: inline SVG and CSS, no script, nothing to
//! load. The same page is written to a file (`provost report`) and served over HTTP. Words that come from outside are words, whatever they
//! hold (`markup`); charts stretch to the width of the reader's screen, so words stand beside them.
//!
//! **Properties**, each a test: every element is closed as it was opened; no foreign word is anything but a word; without a daemon, and without
//! a recording, a page says what it lacks.

mod cards;
mod columns;
mod draw;
mod limits;
mod markup;
mod tables;
mod verdict;

use super::statistics::Summary;
use crate::model::{Event, Report};
use crate::record::Period;
use columns::{Columns, Scale};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use markup::Markup;

/// How it looks: a style sheet.
pub(super) const STYLE: &str = include_str!("page/page.css");
/// Where that is served.
pub(super) const STYLE_PATH: &str = "/page.css";

/// What was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Minutes, oldest first.
    pub minutes: Vec<Period>,
    /// Hours, oldest first.
    pub hours: Vec<Period>,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// What could not be read, as clauses.
    pub lost: Vec<String>,
}

impl Recorded {
    /// Whether nothing at all could be read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.minutes.is_empty() && self.hours.is_empty() && self.events.is_empty()
    }
}

/// Where the style is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Styled {
    /// In the page: it is a file of its own.
    Within,
    /// At [`STYLE_PATH`], so that a browser can be told to run and load nothing else.
    Beside,
}

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The host's name.
    pub host: &'a str,
    /// From when on, in seconds since 1970.
    pub from: u64,
    /// Until when.
    pub to: u64,
    /// How times are shown.
    pub zone: &'a TimeZone,
    /// What was recorded, whatever of it lies within.
    pub recorded: &'a Recorded,
    /// What the daemon says; none where none runs.
    pub now: Option<&'a Report>,
    /// Where the style is.
    pub styled: Styled,
}

/// What sections are made of.
#[derive(Debug)]
struct Content<'a> {
    page: Page<'a>,
    columns: Columns,
    summary: Summary,
    /// Those within the time.
    events: Vec<&'a Event>,
}

impl Page<'_> {
    /// The document.
    #[must_use]
    pub fn html(&self) -> String {
        let recorded = self.recorded;
        let scale = Scale::new(self.from, self.to);
        let within = |event: &&Event| (self.from..=self.to).contains(&event.wall_secs);
        let content = Content {
            page: *self,
            columns: Columns::of(scale, &recorded.minutes, &recorded.hours),
            summary: Summary::of(&recorded.minutes, &recorded.hours, self.from, self.to),
            events: recorded.events.iter().filter(within).collect(),
        };
        let mut page = Markup::default();
        page.verbatim("<!DOCTYPE html>\n");
        page.within("html", &[("lang", "en")], |page| {
            page.within("head", &[], |head| self.head(head));
            page.within("body", &[], |body| content.body(body));
        });
        page.into_text() + "\n"
    }

    fn head(&self, head: &mut Markup) {
        head.empty("meta", &[("charset", "utf-8")]);
        let width = "width=device-width, initial-scale=1";
        head.empty("meta", &[("name", "viewport"), ("content", width)]);
        head.element("title", "", &format!("{}: provost", self.host));
        match self.styled {
            Styled::Within => {
                // A file is opened where nothing else says that it may load and run nothing.
                let policy = "default-src 'none'; style-src 'unsafe-inline'";
                let attributes = [("http-equiv", "Content-Security-Policy"), ("content", policy)];
                head.empty("meta", &attributes);
                head.within("style", &[], |style| style.verbatim(STYLE));
            }
            Styled::Beside => {
                head.empty("link", &[("rel", "stylesheet"), ("href", STYLE_PATH)]);
            }
        }
    }

    /// A moment as the host's clocks show it, as short as the page's time allows.
    fn moment(&self, wall_secs: u64) -> String {
        let within_a_day = self.to.saturating_sub(self.from) <= 86_400;
        let form = if within_a_day { "%a %H:%M:%S" } else { "%m-%d %H:%M:%S" };
        self.shown(wall_secs, form)
    }

    fn shown(&self, wall_secs: u64, form: &str) -> String {
        shown_at(wall_secs, self.zone, form)
    }
}

/// Seconds since 1970 as a zone's clocks show them, in `strftime`'s form; `-` where no calendar reaches.
#[must_use]
pub fn shown_at(wall_secs: u64, zone: &TimeZone, form: &str) -> String {
    let at = i64::try_from(wall_secs).ok().and_then(|secs| Timestamp::from_second(secs).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.to_zoned(zone.clone()).strftime(form).to_string())
}

impl Content<'_> {
    fn body(&self, body: &mut Markup) {
        body.element("h1", "", &format!("{}: what provost saw and did", self.page.host));
        body.element("p", "soft", &self.time());
        self.verdict(body);
        self.host(body);
        self.components(body);
        self.slack(body);
        self.stalls(body);
        self.alerts(body);
        self.actions(body);
        self.forecasts(body);
        self.capacity(body);
        self.missing(body);
    }

    fn time(&self) -> String {
        let shown = |at| self.page.shown(at, "%a %Y-%m-%d %H:%M %Z");
        let length = crate::units::Span::secs(self.columns.scale.length);
        let (from, to) = (shown(self.page.from), shown(self.page.to));
        format!("{from} to {to}; each column is {length}")
    }

    /// What this page could not say, and why.
    fn missing(&self, body: &mut Markup) {
        let mut lacks: Vec<String> = self.page.recorded.lost.clone();
        if self.page.now.is_none() {
            lacks.push(
                "no daemon answered, so what is configured, forecasts and where growth leads are not here"
                    .to_owned(),
            );
        }
        let seen = self.summary.seen_secs;
        let span = self.page.to.saturating_sub(self.page.from).max(1);
        if seen.saturating_add(120) < span {
            let (seen, span) = (crate::units::Span::secs(seen), crate::units::Span::secs(span));
            lacks.push(format!(
                "{seen} of {span} are recorded: gaps in the charts are times of which nothing is known"
            ));
        }
        if lacks.is_empty() {
            return;
        }
        body.element("h2", "", "What is not here");
        body.within("ul", &[], |list| {
            lacks.iter().for_each(|lack| list.element("li", "", lack));
        });
    }
}

#[cfg(test)]
mod tests;
