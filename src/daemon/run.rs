//! The control loop.
//!
//! Waits for the tick, a signal, a word from the other threads, a change in a cgroup; looks; runs one [`step`]; hands the plan to the
//! worker. While a plan is under way no other is handed over. Each step runs on a copy of the state and under a net: should it panic,
//! nothing is changed, and after three panics in a row the daemon ends so that systemd starts a new one.

use super::history::{History, lost};
use super::instance::{Instance, replace};
use super::report::{ReportInput, report};
use super::start::{Options, Setup, StartError, kept, load_policy};
use super::talk::{self, Heard};
use crate::config::{Mode, OnLeave, Policy, diff};
use crate::cycle::{News, State, Step, rest, step};
use crate::enforce::{Giving, Order, Returned, Worker, WorkerResult};
use crate::kernel::clock;
use crate::kernel::poll::{Poller, Timer, Waker, Watch};
use crate::kernel::systemd::SystemdEvent;
use crate::model::{CycleRecord, Decision, Finding, FindingKind, Plan, Report, Severity};
use crate::observe::{Collector, Happened};
use crate::publish::metrics_text;
use crate::record::Recorder;
use crate::serve::{Asked, Reply, Request};
use crate::units::{Span, Tick};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Receiver;

const TICK: u64 = 0;
const WOKEN: u64 = 1;
const CHANGED: u64 = 2;
const STOP: u64 = 3;
const RELOAD: u64 = 4;

/// So many panics in a row and a fresh start is the better way.
const MOST_PANICS: u32 = 3;
const METRICS_EVERY: Span = Span::secs(10);

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub fn run(options: Options) -> Result<(), StartError> {
    let mut daemon = Daemon::start(options)?;
    notify(&[NotifyState::Ready]);
    tracing::info!(
        enforcing = daemon.enforcing,
        components = daemon.policy.components.len(),
        "started"
    );
    while !daemon.leaving {
        daemon.turn()?;
    }
    daemon.leave();
    Ok(())
}

struct Daemon {
    options: Options,
    policy: Policy,
    enforcing: bool,
    collector: Collector,
    state: State,
    news: News,
    worker: Worker,
    busy: bool,
    pending: Option<Plan>,
    happened: Happened,
    history: History,
    recorder: Recorder,
    heard: Receiver<Heard>,
    sources: Waiting,
    started: Tick,
    metrics_at: Option<Tick>,
    panics: u32,
    leaving: bool,
    give_back: Option<Asked>,
    _instance: Instance,
}

/// What the loop waits on.
struct Waiting {
    poller: Poller,
    timer: Timer,
    waker: Waker,
    watch: Watch,
    stop: UnixStream,
    reload: UnixStream,
}

impl Daemon {
    fn start(options: Options) -> Result<Self, StartError> {
        let setup = Setup::make(&options.sources, &options.paths)?;
        let mut policy = setup.policy;
        if let Some(strategy) = options.strategy {
            policy.strategy = strategy;
        }
        let sources = Waiting::new(policy.interval)?;
        let waker = sources.waker.clone();
        let systemd = crate::kernel::host::view(&setup.roots).systemd;
        let heard = talk::start(&options.paths, systemd, waker.clone())?;
        let worker = Worker::start(setup.executor, move || waker.wake()).map_err(|error| {
            StartError::System { what: "start the worker", why: error.to_string() }
        })?;
        let enforcing = options.paths.enforce_switch().unwrap_or(policy.mode == Mode::Enforce);
        let mut state = State::default();
        state.ownership = setup.ownership;
        let nothing =
            News { decision: Decision::default(), plan: Plan::default(), findings: Vec::new() };
        Ok(Self {
            recorder: Recorder::open(&options.paths.state),
            collector: Collector::new(setup.fs, &setup.roots),
            options,
            policy,
            enforcing,
            state,
            news: nothing,
            worker,
            busy: false,
            pending: None,
            happened: Happened::default(),
            history: History::default(),
            heard,
            sources,
            started: clock::now(),
            metrics_at: None,
            panics: 0,
            leaving: false,
            give_back: None,
            _instance: setup.instance,
        })
    }

    /// One turn of the loop: wait, hear, look, step, order.
    fn turn(&mut self) -> Result<(), StartError> {
        let mut woken = BTreeSet::new();
        self.sources
            .poller
            .wait(|token| {
                woken.insert(token);
            })
            .map_err(|errno| StartError::System {
                what: "wait for events",
                why: errno.desc().to_owned(),
            })?;
        self.take_up(&woken);
        self.hear();
        self.results();
        if self.leaving {
            return Ok(());
        }
        self.cycle();
        self.feed_watchdog();
        let over = self
            .options
            .duration
            .is_some_and(|duration| clock::now().since(self.started) >= duration);
        self.leaving |= over;
        Ok(())
    }

    fn take_up(&mut self, woken: &BTreeSet<u64>) {
        self.sources.timer.clear();
        self.sources.waker.clear();
        if woken.contains(&STOP) {
            drain(&mut self.sources.stop);
            self.leaving = true;
        }
        if woken.contains(&RELOAD) {
            drain(&mut self.sources.reload);
            if let Err(text) = self.reload() {
                tracing::error!("{text}");
            }
        }
        if woken.contains(&CHANGED) {
            for (path, name) in self.sources.watch.read() {
                match what_changed(&name) {
                    Changed::Knob => {
                        self.happened.written.insert(path);
                    }
                    Changed::Tree => self.happened.restructured = true,
                    Changed::Nothing => {}
                }
            }
        }
    }

    fn hear(&mut self) {
        while let Ok(heard) = self.heard.try_recv() {
            match heard {
                Heard::Asked(asked) => self.answer(asked),
                Heard::Systemd(SystemdEvent::Reloading(true)) => {
                    self.happened.reloaded_at = Some(clock::now());
                }
                // From version 255 on, the values from before a reload are reset with the next operation on any unit.
                Heard::Systemd(
                    SystemdEvent::Reloading(false)
                    | SystemdEvent::JobRemoved { .. }
                    | SystemdEvent::Connected,
                ) => self.happened.reconcile = true,
                Heard::Systemd(SystemdEvent::UnitNew(_) | SystemdEvent::UnitRemoved(_)) => {
                    self.happened.restructured = true;
                }
            }
        }
    }

    fn results(&mut self) {
        for result in self.worker.results() {
            match result {
                WorkerResult::Outcome(outcome) => {
                    self.history.happened(&outcome, self.happened.reloaded_at);
                    log_outcome(&outcome);
                    self.happened.outcomes.push(*outcome);
                }
                WorkerResult::PlanDone => {
                    self.busy = false;
                    self.pending = None;
                    self.history.plan_done();
                    self.state.replan();
                }
                WorkerResult::GivenBack(account) => self.given_back(account),
            }
        }
    }

    fn cycle(&mut self) {
        let now = clock::now();
        let mut happened = std::mem::take(&mut self.happened);
        self.happened.reloaded_at = happened.reloaded_at;
        happened.pending = pending_knobs(self.pending.as_ref());
        self.collector.look(&self.policy, now, happened);
        let seen = self.collector.last();
        self.sources.follow(self.collector.fs().mount(), &self.collector.watched());
        if !rest(&mut self.state, seen) {
            self.step(now);
        }
        if self.metrics_at.is_none_or(|at| now.since(at) >= METRICS_EVERY) {
            self.publish(now);
        }
    }

    fn step(&mut self, now: Tick) {
        let seen = self.collector.last();
        let (policy, state) = (&self.policy, self.state.clone());
        let stepped =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| step(policy, state, seen)));
        let Ok(Step { state, news }) = stepped else {
            self.panicked();
            return;
        };
        self.panics = 0;
        let lost = news.as_ref().map_or(0, |news| lost(&news.plan, &state.ownership, seen));
        self.state = state;
        if let Some(news) = news {
            self.news = news;
            self.order(lost, now);
            self.publish(now);
        }
    }

    /// Hands the plan to the worker, if anything is to be enforced and the last one is done.
    fn order(&mut self, lost: u64, now: Tick) {
        let seen = self.collector.last();
        if !self.news.plan.is_empty() || !seen.outcomes.is_empty() {
            self.recorder.append(&CycleRecord {
                version: 1,
                at: now,
                wall_secs: clock::wall_secs(),
                plan: self.news.plan.clone(),
                outcomes: seen.outcomes.clone(),
                findings: self.news.findings.clone(),
            });
        }
        let may = self.enforcing && !self.busy && self.give_back.is_none();
        if !may || self.news.plan.is_empty() {
            return;
        }
        self.history.planned(lost, now);
        let plan = self.news.plan.clone();
        self.pending = Some(plan.clone());
        self.busy = true;
        self.worker.order(Order::CarryOut(plan));
    }

    fn panicked(&mut self) {
        self.panics += 1;
        tracing::error!(panics = self.panics, "a cycle panicked; limits stay as they are");
        self.news.findings.push(Finding {
            severity: Severity::Error,
            kind: FindingKind::Bug,
            component: None,
            at: None,
            text: "a cycle failed by a defect of provost; limits stay as they are. Please report what the journal says".to_owned(),
        });
        if self.panics >= MOST_PANICS {
            // Not a stop: limits stay, and systemd starts a fresh daemon that adopts them.
            self.leaving = true;
            self.policy.on_stop = OnLeave::Keep;
        }
    }

    fn answer(&mut self, asked: Asked) {
        let reply = match &asked.request {
            Request::Status => Reply::Status { report: Box::new(self.report()) },
            Request::Reload => match self.reload() {
                Ok(text) => Reply::Done { text },
                Err(text) => Reply::Failed { text, exit: 78 },
            },
            Request::Enforce { on } => match self.enforce(*on) {
                Ok(Some(text)) => Reply::Done { text },
                // Answered when everything was given back.
                Ok(None) => {
                    self.give_back = Some(asked);
                    return;
                }
                Err(text) => Reply::Failed { text, exit: 1 },
            },
            Request::Stop => {
                self.leaving = true;
                Reply::Done { text: "stopping".to_owned() }
            }
        };
        // A client that hung up does not want the answer.
        let _heard = asked.answer.send(reply);
    }

    fn enforce(&mut self, on: bool) -> Result<Option<String>, String> {
        let paths = &self.options.paths;
        paths
            .set_enforce_switch(on)
            .map_err(|error| format!("cannot remember the switch: {error}"))?;
        self.enforcing = on;
        self.state.ownership.forgive();
        self.state.replan();
        if on {
            return Ok(Some("enforcing".to_owned()));
        }
        self.worker.order(Order::GiveBack);
        Ok(None)
    }

    fn given_back(&mut self, account: Result<Vec<Returned>, crate::enforce::JournalError>) {
        let reply = match account {
            Ok(account) => Reply::Done { text: account_text(&account) },
            Err(error) => Reply::Failed { text: error.to_string(), exit: 1 },
        };
        self.state.ownership.clear();
        self.state.replan();
        self.happened.reconcile = true;
        if let Some(asked) = self.give_back.take() {
            let _heard = asked.answer.send(reply);
        }
    }

    fn reload(&mut self) -> Result<String, String> {
        let loaded = load_policy(&self.options.sources, &self.collector.last().host)
            .map_err(|error| format!("{error}\nthe old configuration stays in force"))?;
        let mut policy = loaded.policy;
        if let Some(strategy) = self.options.strategy {
            policy.strategy = strategy;
        }
        let changes = diff(&self.policy, &policy);
        self.sources.timer.set(policy.interval).map_err(|errno| errno.desc().to_owned())?;
        self.worker.order(Order::Keep(kept(&policy)));
        if self.options.paths.enforce_switch().is_none() {
            self.enforcing = policy.mode == Mode::Enforce;
        }
        self.policy = policy;
        self.collector.policy_changed();
        self.state.ownership.forgive();
        self.state.replan();
        for change in &changes {
            tracing::info!("reload: {change}");
        }
        let summary =
            if changes.is_empty() { "nothing changed".to_owned() } else { changes.join("\n") };
        Ok(format!("configuration read again\n{summary}"))
    }

    fn report(&self) -> Report {
        report(ReportInput {
            policy: &self.policy,
            state: &self.state,
            seen: self.collector.last(),
            news: &self.news,
            enforcing: self.enforcing,
            pid: std::process::id(),
            started: self.started,
            escape: self.history.escape(),
            drift: self.history.drift(),
            actions: self.history.lines(),
        })
    }

    fn publish(&mut self, now: Tick) {
        self.metrics_at = Some(now);
        let text = metrics_text(&self.report());
        if let Err(error) = replace(&self.options.paths.metrics(), &text) {
            tracing::warn!(%error, "metrics could not be written");
        }
    }

    fn feed_watchdog(&self) {
        let mode = if self.enforcing { "enforcing" } else { "observing" };
        let count = self.policy.components.len();
        let status = format!("{mode}, {count} components, {} findings", self.news.findings.len());
        notify(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
    }

    /// Leaves as the configuration says: what was put on the host is given back or kept.
    fn leave(&mut self) {
        notify(&[NotifyState::Stopping]);
        if self.policy.on_stop == OnLeave::Restore {
            self.worker.order(Order::GiveBack);
            while let Some(result) = self.worker.wait() {
                if let WorkerResult::GivenBack(account) = result {
                    match account {
                        Ok(account) => tracing::info!("{}", account_text(&account)),
                        Err(error) => tracing::error!("{error}"),
                    }
                    break;
                }
            }
        }
        let _gone = std::fs::remove_file(self.options.paths.socket());
        let _gone = std::fs::remove_file(self.options.paths.metrics());
        tracing::info!("stopped");
    }
}

impl Waiting {
    fn new(interval: Span) -> Result<Self, StartError> {
        let system = |what| {
            move |errno: nix::errno::Errno| StartError::System {
                what,
                why: errno.desc().to_owned(),
            }
        };
        let poller = Poller::new().map_err(system("make an epoll instance"))?;
        let timer = Timer::every(interval).map_err(system("make a timer"))?;
        let waker = Waker::new().map_err(system("make an eventfd"))?;
        let watch = Watch::new().map_err(system("make an inotify instance"))?;
        let stop = signals(&[SIGTERM, SIGINT])?;
        let reload = signals(&[SIGHUP])?;
        let add = system("wait for events");
        poller.add(&timer, TICK).map_err(add)?;
        poller.add(&waker, WOKEN).map_err(add)?;
        poller.add(&watch, CHANGED).map_err(add)?;
        poller.add(&stop, STOP).map_err(add)?;
        poller.add(&reload, RELOAD).map_err(add)?;
        waker.wake();
        Ok(Self { poller, timer, waker, watch, stop, reload })
    }

    fn follow(&mut self, mount: &std::path::Path, groups: &BTreeSet<crate::units::CgroupPath>) {
        self.watch.retain(|path| groups.contains(path));
        for path in groups {
            self.watch.add(mount, path);
        }
    }
}

/// A stream that becomes readable when one of the signals comes.
fn signals(signals: &[i32]) -> Result<UnixStream, StartError> {
    let failed = |error: std::io::Error| StartError::System {
        what: "catch signals",
        why: error.to_string(),
    };
    let (read, write) = UnixStream::pair().map_err(failed)?;
    read.set_nonblocking(true).map_err(failed)?;
    for signal in signals {
        let write = write.try_clone().map_err(failed)?;
        signal_hook::low_level::pipe::register(*signal, write).map_err(failed)?;
    }
    Ok(read)
}

fn drain(stream: &mut UnixStream) {
    let mut bytes = [0; 64];
    while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
}

enum Changed {
    Knob,
    Tree,
    Nothing,
}

/// What a change of the file or folder `name` in a cgroup means.
fn what_changed(name: &str) -> Changed {
    use crate::model::KnobKind;
    const KERNEL: [&str; 9] =
        ["cgroup.", "memory.", "cpu.", "io.", "pids.", "cpuset.", "hugetlb.", "misc.", "rdma."];
    if name == "io.max" || KnobKind::SINGLE.iter().any(|kind| kind.file() == name) {
        Changed::Knob
    } else if KERNEL.iter().any(|prefix| name.starts_with(prefix)) {
        Changed::Nothing
    } else {
        Changed::Tree
    }
}

fn pending_knobs(
    plan: Option<&Plan>,
) -> BTreeSet<(crate::units::CgroupPath, crate::model::KnobKind)> {
    let actions = plan.map(|plan| plan.actions.as_slice()).unwrap_or_default();
    let keys = actions.iter().flat_map(|action| {
        action.changes().iter().map(|change| (action.path().clone(), change.new.kind()))
    });
    keys.collect()
}

fn log_outcome(outcome: &crate::model::Outcome) {
    use crate::model::Verdict;
    let component = outcome.component.as_ref().map_or("-", |name| name.as_str());
    let (cgroup, dur_usec) = (outcome.path.as_str(), outcome.took.0);
    match &outcome.verdict {
        Verdict::Applied => {
            tracing::info!(component, cgroup, dur_usec, what = ?outcome.of, "applied")
        }
        Verdict::Clipped { effective } => {
            tracing::warn!(component, cgroup, dur_usec, what = ?outcome.of, %effective, "the kernel keeps another value");
        }
        Verdict::Refused { advice, errno } => {
            tracing::warn!(component, cgroup, dur_usec, errno, what = ?outcome.of, "{advice}");
        }
        Verdict::Gone => tracing::debug!(component, cgroup, what = ?outcome.of, "gone"),
    }
}

/// The account of a restore as lines.
#[must_use]
pub fn account_text(account: &[Returned]) -> String {
    let mut lines = Vec::new();
    for line in account {
        let how = match &line.how {
            Giving::Done { from, to } => format!("{from} -> {to}"),
            Giving::Nothing { .. } => continue,
            Giving::Left { why } => format!("left: {why}"),
            Giving::Failed { why } => format!("FAILED: {why}"),
        };
        lines.push(format!("{} {}: {how}", line.path, line.what));
    }
    if lines.is_empty() {
        return "nothing to give back".to_owned();
    }
    lines.join("\n")
}

/// Tells systemd; without one nobody listens.
fn notify(states: &[NotifyState<'_>]) {
    let _heard = sd_notify::notify(states);
}
