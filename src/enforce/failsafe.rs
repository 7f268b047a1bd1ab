//! Lifts the caps that follow the load when the control loop has stopped to follow it.
//!
//! **Problem.** A loop that hangs leaves the last cap in force, for as long as systemd's watchdog waits, and without systemd for good.
//!
//! **Approach.** Before the worker writes a passing value, it hands over the open group and what lies beneath. A thread of its own lifts
//! everything that was handed over when no decision came for three intervals, and looks again every second until one comes: a write that
//! was under way when it lifted would otherwise stay. The loop hears of it as of any other outcome, and writes a cap again only after it
//! has decided anew.
//!
//! The same is done with threads in real time, which are guarded by that loop.
//!
//! **Properties.** The loop tells its decisions by one atomic store and never waits. The thread needs neither journal, disk nor systemd. It
//! sleeps while nothing is handed over. As everywhere, a knob is changed only while it holds what provost wrote.

use super::ledger::Raised;
use super::threads;
use crate::kernel::process::ProcFs;
use crate::kernel::{Group, clock, write};
use crate::model::{Knob, KnobKind, Outcome, OutcomeOf, Reading, Verdict};
use crate::units::{CgroupPath, ComponentName, ProcId, Span, Tick};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// So many intervals without a decision and the loop counts as stalled.
const INTERVALS: u64 = 3;
/// But never before this: a busy host may delay a short interval.
const SHORTEST: Span = Span::secs(5);
/// While the loop stands still, what has come since is looked for so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A passing value that is about to be written.
#[derive(Debug)]
pub(super) struct Cap {
    pub(super) component: Option<ComponentName>,
    pub(super) group: Group,
    pub(super) passing: Knob,
    pub(super) beneath: Knob,
    pub(super) original: Option<Knob>,
    /// The passing value before this one, which is there until the write is done.
    pub(super) earlier: Option<Knob>,
}

impl Cap {
    pub(super) const fn new(group: Group, passing: Knob, beneath: Knob) -> Self {
        Self { component: None, group, passing, beneath, original: None, earlier: None }
    }

    fn wrote(&self, value: &Knob) -> bool {
        self.passing == *value || self.earlier.as_ref() == Some(value)
    }

    fn lift(&self) -> Option<Outcome> {
        let kind = self.passing.kind();
        let Reading::Is(value) = self.group.knob(kind) else { return None };
        if !self.wrote(&value) || value == self.beneath {
            return None;
        }
        let started = clock::now();
        let verdict = match write::knob(&self.group, &self.beneath) {
            Ok(()) => Verdict::Applied,
            Err(error) if error.is_gone() => Verdict::Gone,
            Err(error) => Verdict::Refused { errno: error.number(), advice: error.advice() },
        };
        let at = clock::now();
        let of = OutcomeOf::Knob {
            knob: kind,
            asked: self.beneath.clone(),
            id: Some(self.group.id()),
            original: self.original.clone(),
            passing: true,
        };
        let (component, path) = (self.component.clone(), self.group.at().path.clone());
        Some(Outcome { at, component, path, of, verdict, took: at.since(started) })
    }
}

/// What is handed over, and until when the next decision is due.
#[derive(Debug)]
pub(super) struct Caps {
    held: Mutex<Held>,
    changed: Condvar,
    /// A tick of the clock that stands still while the host sleeps.
    due: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    caps: BTreeMap<(CgroupPath, KnobKind), Cap>,
    threads: BTreeMap<ProcId, Raised>,
    over: bool,
}

impl Held {
    /// Lowers the threads and lifts the caps; a thread is handed over anew when it is raised again.
    fn lift(&mut self) -> Vec<Outcome> {
        let threads = std::mem::take(&mut self.threads);
        let proc = ProcFs::default();
        let lowered =
            threads.values().filter_map(|raised| threads::lower(&proc, raised).told(raised));
        lowered.chain(self.caps.values().filter_map(Cap::lift)).collect()
    }
}

impl Caps {
    /// Nothing is handed over, and no decision is due.
    pub(super) fn new() -> Self {
        let due = AtomicU64::new(u64::MAX);
        Self { held: Mutex::default(), changed: Condvar::new(), due }
    }

    /// Hands a value over that is written next.
    pub(super) fn hold(&self, mut cap: Cap) {
        let key = (cap.group.at().path.clone(), cap.passing.kind());
        let mut held = self.lock();
        cap.earlier = held.caps.remove(&key).map(|earlier| earlier.passing);
        held.caps.insert(key, cap);
        self.changed.notify_one();
    }

    /// The knob holds a value that is to stay.
    pub(super) fn forget(&self, path: &CgroupPath, kind: KnobKind) {
        self.lock().caps.remove(&(path.clone(), kind));
    }

    /// Everything was given back.
    pub(super) fn forget_all(&self) {
        let mut held = self.lock();
        held.caps.clear();
        held.threads.clear();
    }

    /// Hands a thread over that is put into real time next.
    pub(super) fn hold_thread(&self, raised: &Raised) {
        self.lock().threads.insert(raised.thread, raised.clone());
        self.changed.notify_one();
    }

    /// The thread is in real time no more.
    pub(super) fn forget_thread(&self, thread: ProcId) {
        self.lock().threads.remove(&thread);
    }

    /// The loop has decided; with this interval the next decision is expected.
    pub(super) fn decided(&self, interval: Span) {
        let patience = Span(interval.0.saturating_mul(INTERVALS)).max(SHORTEST);
        self.due.store(clock::awake().plus(patience).0, Ordering::Relaxed);
    }

    /// How long a decision may still take; none when it is overdue.
    fn remaining(&self) -> Option<Duration> {
        let (due, now) = (Tick(self.due.load(Ordering::Relaxed)), clock::awake());
        (now < due).then(|| due.since(now).duration())
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A panic in between leaves the map as it was.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, held: MutexGuard<'a, Held>, span: Duration) -> MutexGuard<'a, Held> {
        self.changed.wait_timeout(held, span).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lifts what is overdue until all is over.
    fn watch(&self, tell: impl Fn(Vec<Outcome>)) {
        let mut held = self.lock();
        while !held.over {
            if held.caps.is_empty() && held.threads.is_empty() {
                held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if let Some(remaining) = self.remaining() {
                held = self.wait(held, remaining);
                continue;
            }
            let lifted = held.lift();
            if !lifted.is_empty() {
                drop(held);
                tell(lifted);
                held = self.lock();
            }
            held = self.wait(held, LOOK_AGAIN);
        }
    }
}

/// The thread.
#[derive(Debug)]
pub(super) struct Failsafe {
    caps: Arc<Caps>,
    thread: Option<JoinHandle<()>>,
}

impl Failsafe {
    /// Starts the thread; `tell` gets what was lifted because the loop stalled.
    pub(super) fn start(
        caps: Arc<Caps>,
        tell: impl Fn(Vec<Outcome>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let watched = Arc::clone(&caps);
        let thread = std::thread::Builder::new().name("failsafe".to_owned());
        let thread = thread.spawn(move || watched.watch(tell))?;
        Ok(Self { caps, thread: Some(thread) })
    }

    pub(super) fn decided(&self, interval: Span) {
        self.caps.decided(interval);
    }
}

impl Drop for Failsafe {
    fn drop(&mut self) {
        self.caps.lock().over = true;
        self.caps.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged by the thread itself.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::CgroupFs;
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    const CAPPED: &str = "9000 50000";
    const OPEN: &str = "max 100000";

    /// A folder with a quota, a failsafe, and no loop: decisions come from the test alone.
    struct Stage {
        root: PathBuf,
        fs: CgroupFs,
        failsafe: Failsafe,
        told: Receiver<Vec<Outcome>>,
    }

    impl Stage {
        fn new(name: &str) -> Self {
            let name = format!("provost-failsafe-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            std::fs::create_dir_all(root.join("job")).unwrap();
            let fs = CgroupFs::open_unchecked(&root).unwrap();
            let (tell, told) = channel();
            let tell = move |outcomes| drop(tell.send(outcomes));
            let failsafe = Failsafe::start(Arc::new(Caps::new()), tell).unwrap();
            let stage = Self { root, fs, failsafe, told };
            stage.set(OPEN);
            stage
        }

        fn set(&self, text: &str) {
            std::fs::write(self.root.join("job/cpu.max"), text).unwrap();
        }

        fn quota(&self) -> String {
            std::fs::read_to_string(self.root.join("job/cpu.max")).unwrap()
        }

        /// As the worker does it: handed over, then written.
        fn cap(&self) {
            let knob = |text| Knob::parse(KnobKind::CpuMax, text).unwrap();
            let group = self.fs.group(&CgroupPath::new("job")).unwrap();
            self.failsafe.caps.hold(Cap::new(group, knob(CAPPED), knob(OPEN)));
            self.set(CAPPED);
        }

        /// The loop has decided, so long ago that nothing is left of its time but this.
        fn decided_and_left(&self, left: Span) {
            self.failsafe.caps.due.store(clock::awake().plus(left).0, Ordering::Relaxed);
        }
    }

    impl Drop for Stage {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.root).unwrap();
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_stalled_loop_caps_nobody() {
        let stage = Stage::new("stalled");
        stage.decided_and_left(Span::millis(300));
        let began = Instant::now();
        stage.cap();
        let told = stage.told.recv_timeout(LONG).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
        assert_eq!(stage.quota(), OPEN);
        let [outcome] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(outcome.verdict, Verdict::Applied);
        assert!(matches!(outcome.of, OutcomeOf::Knob { passing: true, .. }), "{outcome:?}");
    }

    #[test]
    fn what_is_written_while_the_loop_stands_still_is_lifted_too() {
        let stage = Stage::new("late");
        stage.decided_and_left(Span::ZERO);
        stage.cap();
        stage.told.recv_timeout(LONG).unwrap();
        stage.set(CAPPED);
        stage.told.recv_timeout(LONG).unwrap();
        assert_eq!(stage.quota(), OPEN);
    }

    #[test]
    fn a_loop_that_decides_keeps_its_caps() {
        let stage = Stage::new("alive");
        stage.decided_and_left(Span::millis(200));
        stage.cap();
        stage.failsafe.decided(Span::secs(1));
        assert!(stage.told.recv_timeout(Duration::from_millis(600)).is_err());
        assert_eq!(stage.quota(), CAPPED);
        let left = stage.failsafe.caps.remaining().unwrap();
        assert!(left > Duration::from_secs(3) && left <= SHORTEST.duration(), "{left:?}");
        stage.failsafe.decided(Span::secs(10));
        assert!(stage.failsafe.caps.remaining().unwrap() > Duration::from_secs(25));
    }

    #[test]
    fn a_value_that_is_to_stay_and_another_writers_stay() {
        let stage = Stage::new("foreign");
        stage.cap();
        stage.set("8000 50000");
        stage.decided_and_left(Span::ZERO);
        assert!(stage.told.recv_timeout(Duration::from_millis(300)).is_err());
        assert_eq!(stage.quota(), "8000 50000");
        stage.set(CAPPED);
        stage.failsafe.caps.forget(&CgroupPath::new("job"), KnobKind::CpuMax);
        assert!(stage.told.recv_timeout(Duration::from_millis(1500)).is_err());
        assert_eq!(stage.quota(), CAPPED);
    }
}
