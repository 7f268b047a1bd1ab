//! Where the control loop leaves what others may see, and where those who serve them find it.
//!
//! **Problem.** Whoever asks must see values of now, and must never make the loop wait or work more because many ask.
//!
//! **Approach.** A window with the last report. Who asks sets a flag and waits for the loop's next look, which then shows one report, however
//! many asked. A loop that does not come is given up after some seconds, and the last report is shown, with its time.
//!
//! **Terms.** *pulse*: when the loop last ended a look, by which its standing still is seen without its help.
//!
//! **Properties**, each a test: a report of the last second is shown at once; without one who asks waits for the next; a loop that stands
//! still is told as failed, and its last report is still shown. Nothing here holds the loop up: the lock in the channel is held for as long
//! as it takes to copy a pointer.

use crate::model::{Condition, Health, HttpCounts, Report};
use crate::units::{Span, Tick};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// A report that is no older than this is as good as the next one.
const FRESH: Span = Span::secs(1);
/// The longest interval, and room for a slow look.
const PATIENCE: Duration = Duration::from_secs(6);

/// A report, and when it was made on the clock that stands still while the host sleeps.
#[derive(Debug)]
pub struct View {
    /// The report.
    pub report: Report,
    /// When it was made.
    pub at: Tick,
}

/// What both sides change without waiting for each other.
#[derive(Debug, Default)]
struct Pulse {
    /// When the loop last ended a look; 0 before the first.
    looked_at: AtomicU64,
    /// How long no look may end before the loop stands still, in microseconds.
    still_after: AtomicU64,
    wanted: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
}

/// The control loop's side of the window.
#[derive(Debug)]
pub struct Showing {
    latest: watch::Sender<Option<Arc<View>>>,
    pulse: Arc<Pulse>,
}

/// The side of those who serve others.
#[derive(Debug, Clone)]
pub struct Shown {
    latest: watch::Receiver<Option<Arc<View>>>,
    pulse: Arc<Pulse>,
    now: fn() -> Tick,
}

/// Both sides of a window in which nothing is shown yet; `now` is a clock that stands still while the host sleeps.
#[must_use]
pub fn window(now: fn() -> Tick) -> (Showing, Shown) {
    let (sender, latest) = watch::channel(None);
    let pulse = Arc::new(Pulse::default());
    (Showing { latest: sender, pulse: Arc::clone(&pulse) }, Shown { latest, pulse, now })
}

impl Showing {
    /// A look ended; when none ends for `still_after`, the loop stands still.
    pub fn looked(&self, at: Tick, still_after: Span) {
        self.pulse.still_after.store(still_after.0, Ordering::Relaxed);
        self.pulse.looked_at.store(at.0, Ordering::Relaxed);
    }

    /// Whether somebody waits for a report.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.pulse.wanted.load(Ordering::Relaxed)
    }

    /// Shows a report to all who wait.
    pub fn show(&self, at: Tick, report: Report) {
        self.pulse.wanted.store(false, Ordering::Relaxed);
        self.latest.send_replace(Some(Arc::new(View { report, at })));
    }

    /// What became of requests so far.
    #[must_use]
    pub fn counts(&self) -> HttpCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Pulse { answered, refused, dropped, .. } = &*self.pulse;
        HttpCounts { answered: of(answered), refused: of(refused), dropped: of(dropped) }
    }
}

impl Shown {
    /// A report of now, or the last one where the loop stands still; none before the first.
    pub async fn report(&self) -> Option<Arc<View>> {
        let mut latest = self.latest.clone();
        let last = latest.borrow_and_update().clone();
        let is_fresh = |view: &Arc<View>| (self.now)().since(view.at) < FRESH;
        if last.as_ref().is_some_and(is_fresh) {
            return last;
        }
        self.pulse.wanted.store(true, Ordering::Relaxed);
        match tokio::time::timeout(PATIENCE, latest.changed()).await {
            Ok(Ok(())) => latest.borrow().clone(),
            Ok(Err(_)) | Err(_) => last,
        }
    }

    /// The next report that is shown without being asked for; none when the loop is gone.
    pub async fn next(&mut self) -> Option<Arc<View>> {
        self.latest.changed().await.ok()?;
        self.latest.borrow_and_update().clone()
    }

    /// How provost does: as the loop said last, and whether it still says anything.
    #[must_use]
    pub fn health(&self) -> Health {
        let last = self.latest.borrow().clone();
        let mut health = last.map(|view| view.report.health.clone()).unwrap_or_default();
        if let Some(reason) = self.standstill() {
            health.add(Condition::Failed, reason);
        }
        health
    }

    fn standstill(&self) -> Option<String> {
        let looked_at = self.pulse.looked_at.load(Ordering::Relaxed);
        if looked_at == 0 {
            return Some("the host was not looked at yet".to_owned());
        }
        let since = (self.now)().since(Tick(looked_at));
        if since.0 <= self.pulse.still_after.load(Ordering::Relaxed) {
            return None;
        }
        let secs = Span::secs(since.0 / 1_000_000);
        Some(format!(
            "the control loop has stood still for {secs}: what follows the load is lifted meanwhile, and systemd starts another \
             daemon; see the log, and whether the host is starved"
        ))
    }

    /// A request was answered.
    pub(super) fn count_answered(&self) {
        self.pulse.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was answered with what is wrong with it.
    pub(super) fn count_refused(&self) {
        self.pulse.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody was too slow, or went away.
    pub(super) fn count_dropped(&self) {
        self.pulse.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_report;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// The clock of these tests: always ten seconds.
    fn ten_seconds() -> Tick {
        Tick(10_000_000)
    }

    fn shows(showing: &Showing, at: u64, pid: u32) {
        let mut report = sample_report();
        report.pid = pid;
        showing.show(Tick(at * 1_000_000), report);
    }

    #[test]
    fn a_fresh_report_is_shown_at_once() {
        let (showing, shown) = window(ten_seconds);
        shows(&showing, 10, 1);
        let view = block_on(shown.report()).unwrap();
        assert_eq!((view.report.pid, showing.is_wanted()), (1, false));
    }

    #[test]
    fn who_asks_waits_for_the_next_look_and_many_cost_one_report() {
        let (showing, shown) = window(ten_seconds);
        shows(&showing, 3, 1);
        let asked = async {
            let both = async { tokio::join!(shown.report(), shown.report()) };
            let looks = async {
                while !showing.is_wanted() {
                    tokio::task::yield_now().await;
                }
                shows(&showing, 10, 2);
            };
            tokio::join!(both, looks).0
        };
        let (one, other) = block_on(asked);
        assert_eq!(one.map(|view| view.report.pid), Some(2));
        assert_eq!(other.map(|view| view.report.pid), Some(2));
        assert!(!showing.is_wanted());
    }

    #[test]
    fn a_loop_that_stands_still_fails_and_its_last_report_is_shown() {
        let (showing, shown) = window(ten_seconds);
        assert_eq!(shown.health().reasons, ["the host was not looked at yet"]);
        shows(&showing, 3, 1);
        showing.looked(Tick(7_000_000), Span::secs(3));
        assert_eq!(shown.health(), Health::default());
        showing.looked(Tick(6_999_999), Span::secs(3));
        let health = shown.health();
        assert_eq!(health.condition, Condition::Failed);
        assert!(health.reasons[0].starts_with("the control loop has stood still for 3s: "));
        drop(showing);
        let last = block_on(shown.report()).map(|view| view.report.pid);
        assert_eq!(last, Some(1), "nobody will ever show another");
    }
}
