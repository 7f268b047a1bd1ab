//! The page for people, served: made from the recording when somebody asks, on a thread of its own.
//!
//! Reading the recording takes as long as the disk takes and drawing it some ten milliseconds, so nobody else who is talked to waits for it; one page
//! is made at a time, and one that was made just now is given again, so that many who look cost no more than one.

use super::page::{Page, Recorded, Styled};
use super::shown::View;
use crate::record::{Lost, RingError, Which, events, periods};
use jiff::Zoned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How long a page is as good as a new one, in seconds.
const FRESH: i64 = 10;
const NONE_YET: &str =
    "there are none yet; they come while the daemon runs, unless history.budget is 0";
/// How far back can be asked for: nothing is recorded for longer.
pub(super) const MOST_HOURS: u64 = 720;
/// How far back is shown where nothing is asked for.
pub(super) const USUAL_HOURS: u64 = 24;

/// Reads what was recorded in `state`. What cannot be read is said.
#[must_use]
pub fn recorded(state: &Path) -> Recorded {
    let mut lost = Vec::new();
    let minutes = read("minutes", periods(state, Which::Minutes), &mut lost);
    let hours = read("hours", periods(state, Which::Hours), &mut lost);
    let happened = read("events", events(state), &mut lost);
    let events = happened.into_iter().map(|(_, event)| event).collect();
    Recorded { minutes, hours, events, lost }
}

/// What there is, and what there is not to `lost`.
fn read<T>(what: &str, found: Result<(Vec<T>, Lost), RingError>, lost: &mut Vec<String>) -> Vec<T> {
    let (found, lacks) = match found {
        Ok((found, lacks)) => (found, lacks.words()),
        Err(error) if error.is_missing() => (Vec::new(), vec![NONE_YET.to_owned()]),
        Err(error) => (Vec::new(), vec![error.to_string()]),
    };
    lost.extend(lacks.iter().map(|lacks| format!("of recorded {what}: {lacks}")));
    found
}

/// Where pages come from.
#[derive(Debug, Clone)]
pub struct Pages {
    source: Arc<Source>,
    made: Arc<Mutex<Option<Made>>>,
}

#[derive(Debug)]
struct Source {
    state: PathBuf,
    host: String,
    now: fn() -> Zoned,
}

#[derive(Debug)]
struct Made {
    hours: u64,
    at: i64,
    html: Arc<str>,
}

impl Pages {
    /// Pages of what is recorded in `state`, for a host of this name, by this clock.
    #[must_use]
    pub fn new(state: PathBuf, host: String, now: fn() -> Zoned) -> Self {
        let source = Arc::new(Source { state, host, now });
        Self { source, made: Arc::default() }
    }

    /// A page of the last `hours`; none where its thread could not be had.
    pub(super) async fn html(&self, hours: u64, report: Option<Arc<View>>) -> Option<Arc<str>> {
        // Held until it is made: whoever asks meanwhile is given the same.
        let mut made = self.made.lock().await;
        let now = (self.source.now)();
        let at = now.timestamp().as_second();
        let is_fresh = |made: &Made| made.hours == hours && (0..FRESH).contains(&(at - made.at));
        if let Some(made) = made.as_ref().filter(|made| is_fresh(made)) {
            return Some(Arc::clone(&made.html));
        }
        let source = Arc::clone(&self.source);
        let draw = move || source.html(hours, &now, report.as_deref());
        let html: Arc<str> = tokio::task::spawn_blocking(draw).await.ok()?.into();
        *made = Some(Made { hours, at, html: Arc::clone(&html) });
        Some(html)
    }
}

impl Source {
    fn html(&self, hours: u64, now: &Zoned, view: Option<&View>) -> String {
        let to = u64::try_from(now.timestamp().as_second()).unwrap_or_default();
        let page = Page {
            host: &self.host,
            from: to.saturating_sub(hours.saturating_mul(3600)),
            to,
            zone: now.time_zone(),
            recorded: &recorded(&self.state),
            now: view.map(|view| &view.report),
            styled: Styled::Beside,
        };
        page.html()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Zoned {
        "2026-03-10T12:00:00+00:00[UTC]".parse().unwrap()
    }

    #[test]
    fn a_page_without_a_recording_says_so_and_is_made_once() {
        let nowhere = std::env::temp_dir().join("provost-pages-of-nothing");
        let pages = Pages::new(nowhere, "host".to_owned(), noon);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (one, other) = tokio::join!(pages.html(24, None), pages.html(24, None));
            let (one, other) = (one.unwrap(), other.unwrap());
            assert!(Arc::ptr_eq(&one, &other));
            assert!(one.contains("of recorded minutes: there are none yet"), "{one}");
            let third = pages.html(1, None).await.unwrap();
            assert!(!Arc::ptr_eq(&one, &third), "of another time");
        });
    }
}
