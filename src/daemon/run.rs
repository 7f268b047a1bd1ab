//! The control loop.
//!
//! Waits for the tick, a signal, a word from the other threads, a change in a cgroup; looks; runs one [`step`]; hands the plan to the
//! worker. While a plan is under way no other is handed over. Each step runs on a copy of the state and under a net: should it panic,
//! nothing is changed, and after three panics in a row the daemon ends so that systemd starts a new one.

mod asked;
mod giving;
mod leave;
mod recorded;
mod telling;

use super::chosen::Chosen;
use super::early::Early;
use super::foresight::Forecasts;
use super::gate::{self, ExecGate};
use super::given::Given;
use super::history::{History, lost};
use super::instance::Instance;
use super::leaks::LeakFile;
use super::learning::Learning;
use super::mending::Mending;
use super::recorder::Recorder;
use super::sentry::Sentry;
use super::sinks::Host;
use super::start::{Options, Setup, StartError};
use super::surveyor::Surveyor;
use super::talk::Heard;
use super::timetable::Timetable;
use super::wait::{
    ALARM, CHANGED, Changed, EARLY, RELOAD, SENTRY, STARVED, STOP, Waiting, drain,
    listen_to_executions, what_changed,
};
use super::words::{log_lowered, log_outcome, panicked};
use crate::config::{Mode, OnLeave, Policy};
use crate::cycle::{News, State, Step, rest, step};
use crate::enforce::{Order, Worker, WorkerResult};
use crate::kernel::proc_events::{ProcEvent, ProcEvents};
use crate::kernel::systemd::SystemdEvent;
use crate::kernel::{clock, heap, host};
use crate::model::{Decision, Outcome, Plan, Resource};
use crate::observe::{Collector, Happened};
use crate::serve::Asked;
use crate::units::Tick;
use sd_notify::NotifyState;
use std::collections::BTreeSet;
use telling::{Voice, notify};

/// So many panics in a row and a fresh start is the better way.
const MOST_PANICS: u32 = 3;

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub fn run(options: Options) -> Result<(), StartError> {
    let mut daemon = Daemon::start(options)?;
    notify(&[NotifyState::Ready]);
    daemon.recorder.said(concat!("started, version ", env!("CARGO_PKG_VERSION")));
    tracing::info!(
        enforcing = daemon.enforcing,
        components = daemon.policy.components.len(),
        "started"
    );
    daemon.turn()?;
    // What reading the configuration and the first cycle took is never needed again at once.
    heap::give_back();
    while !daemon.leaving {
        daemon.turn()?;
    }
    daemon.leave();
    Ok(())
}

struct Daemon {
    options: Options,
    policy: Policy,
    timetable: Timetable,
    given: Given,
    chosen: Chosen,
    enforcing: bool,
    collector: Collector,
    state: State,
    news: News,
    worker: Worker,
    /// Since when a plan is under way.
    busy: Option<Tick>,
    pending: Option<Plan>,
    happened: Happened,
    history: History,
    learning: Learning,
    mending: Mending,
    recorder: Recorder,
    voice: Voice,
    sources: Waiting,
    executions: Option<ProcEvents>,
    gate: ExecGate,
    sentry: Sentry,
    early: Early,
    surveyor: Surveyor,
    leaks: LeakFile,
    forecasts: Forecasts,
    /// When somebody protected was last seen waiting.
    waited_at: Option<Tick>,
    /// When the failsafe last lifted what follows the load.
    lifted_at: Option<Tick>,
    started: Tick,
    panics: u32,
    /// Whether the last reload failed.
    outdated: bool,
    leaving: bool,
    give_back: Option<Asked>,
    _instance: Instance,
}

impl Daemon {
    fn start(options: Options) -> Result<Self, StartError> {
        let setup = Setup::make(&options.sources, &options.paths)?;
        let mut policy = setup.policy;
        let mut chosen = Chosen::read(&options.paths, options.strategy);
        chosen.lay_over(&mut policy);
        let sources = Waiting::new(policy.interval, &setup.roots.proc)?;
        let no_timer = |errno: nix::errno::Errno| StartError::System {
            what: "make a timer",
            why: errno.desc().to_owned(),
        };
        let sentry = Sentry::new(&sources.poller, SENTRY).map_err(no_timer)?;
        let early = Early::new(&sources.poller, &setup.roots.proc, EARLY).map_err(no_timer)?;
        let waker = sources.waker.clone();
        let systemd = host::view(&setup.roots).systemd;
        let boot = host::boot_id(&setup.roots.proc);
        let host = Host { by_systemd: systemd, mount: setup.fs.mount().to_owned() };
        let voice = Voice::start(&options.paths, &policy, host, boot.clone(), waker.clone())?;
        let worker = Worker::start(setup.executor, move || waker.wake()).map_err(|error| {
            StartError::System { what: "start the worker", why: error.to_string() }
        })?;
        worker.decided(policy.interval);
        let executions = listen_to_executions(&policy, &sources);
        let enforcing = options.paths.enforce_switch().unwrap_or(policy.mode == Mode::Enforce);
        policy.mode = Mode::of(enforcing);
        let mut state = State::default();
        state.ownership = setup.ownership;
        let learning = Learning::begin(&options.paths, &setup.roots, &mut state);
        let mending = Mending::begin(&options.paths, boot.clone(), &mut state);
        let forecasts = Forecasts::begin(&options.paths, boot.clone(), &policy);
        let leaks = LeakFile::take_up(&options.paths, boot, &mut state.estimator);
        let nothing =
            News { decision: Decision::default(), plan: Plan::default(), findings: Vec::new() };
        Ok(Self {
            recorder: Recorder::begin(&options.paths, policy.history),
            collector: Collector::new(setup.fs, &setup.roots),
            options,
            policy,
            timetable: setup.timetable,
            given: setup.given,
            chosen,
            enforcing,
            state,
            news: nothing,
            worker,
            busy: None,
            pending: None,
            happened: Happened::default(),
            history: History::default(),
            learning,
            mending,
            voice,
            gate: ExecGate::new(sources.waker.clone()),
            sentry,
            early,
            surveyor: Surveyor::new(&setup.roots.proc),
            leaks,
            forecasts,
            waited_at: None,
            lifted_at: None,
            sources,
            executions,
            started: clock::now(),
            panics: 0,
            outdated: false,
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
        if woken.remove(&SENTRY) && !self.is_news() && woken.is_empty() {
            return Ok(());
        }
        if self.is_too_early(&mut woken) {
            return Ok(());
        }
        self.take_up(&woken);
        self.turn_over();
        self.hear();
        self.results();
        let moved = self.gate.hear(clock::now());
        self.gated(moved);
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

    /// Asks the sentry. Whether somebody protected began to wait, so that the loop looks at once.
    fn is_news(&mut self) -> bool {
        let now = clock::now();
        if !self.sentry.poll(now) {
            return false;
        }
        self.happened.waiting.insert(Resource::Cpu);
        let before = self.waited_at.replace(now);
        before.is_none_or(|at| now.since(at) > self.policy.interval)
    }

    /// Whether only triggers spoke, and so soon after the last look that the next one has time.
    fn is_too_early(&mut self, woken: &mut BTreeSet<u64>) -> bool {
        let starved = woken.remove(&STARVED);
        if starved {
            self.happened.waiting.insert(Resource::Memory);
        }
        let spoke = woken.remove(&EARLY) || starved;
        spoke && woken.is_empty() && !self.early.may_look(clock::now())
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
        if woken.contains(&ALARM) {
            self.happened.alarms.insert(Resource::Memory);
        }
        // Also when something else woke the loop: a program that the scan finds first would be placed without its time.
        self.executed();
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

    fn executed(&mut self) {
        let Some(executions) = &mut self.executions else { return };
        let mut events = Vec::new();
        if let Err(error) = executions.read(&mut events) {
            tracing::warn!("{error}; loose processes are found by a scan every interval");
            self.executions = None;
            self.happened.lost = true;
        }
        for event in events {
            match event {
                ProcEvent::Exec { pid, at } => self.happened.executed.push((pid, at)),
                ProcEvent::Lost => self.happened.lost = true,
                ProcEvent::Exit { .. } => {}
            }
        }
    }

    fn hear(&mut self) {
        while let Ok(heard) = self.voice.talk.heard.try_recv() {
            match heard {
                Heard::Asked(asked) => self.answer(asked),
                Heard::Unserved(wrongs) => self.voice.unserved = wrongs,
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
                Heard::Systemd(SystemdEvent::OutOfMemory(unit)) => {
                    self.voice.alerting.heard_kill(&unit);
                }
            }
        }
    }

    fn results(&mut self) {
        for result in self.worker.results() {
            match result {
                WorkerResult::Outcome(outcome) => {
                    let change = self.pending.as_ref().and_then(|plan| plan.change_of(&outcome));
                    let reason = change.map(|change| &change.reason);
                    self.history.happened(&outcome, reason, self.happened.reloaded_at);
                    self.voice.alerting.happened(&outcome);
                    self.recorder.happened(&outcome, self.pending.as_ref());
                    log_outcome(&outcome);
                    if let Some(unit) = outcome.stopped() {
                        self.worker.order(Order::Stopped(unit.to_owned()));
                    }
                    self.happened.outcomes.push(*outcome);
                }
                WorkerResult::PlanDone => {
                    self.busy = None;
                    self.pending = None;
                    self.history.plan_done();
                    self.state.replan();
                    self.recorder.replanned();
                }
                WorkerResult::Lifted(outcomes) => self.lifted(outcomes),
                WorkerResult::GivenBack(account) => self.given_back(account),
            }
        }
    }

    /// Takes note of what was lifted while this loop stood still.
    fn lifted(&mut self, outcomes: Vec<Outcome>) {
        self.lifted_at = Some(clock::now());
        self.took_place(outcomes);
    }

    /// Takes note of what the gate moved.
    fn gated(&mut self, outcomes: Vec<Outcome>) {
        if outcomes.is_empty() {
            return;
        }
        self.worker.order(Order::Moved(gate::done(&outcomes)));
        self.took_place(outcomes);
    }

    /// Takes note of what others than the worker's plan did.
    fn took_place(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            self.history.happened(&outcome, None, None);
            self.recorder.happened(&outcome, None);
            log_outcome(&outcome);
            self.happened.outcomes.push(outcome);
        }
    }

    fn cycle(&mut self) {
        let now = clock::now();
        let lag = self.voice.cost.lag(now, self.policy.interval);
        self.early.looked(now);
        let mut happened = std::mem::take(&mut self.happened);
        self.happened.reloaded_at = happened.reloaded_at;
        happened.pending = self.pending.as_ref().map(Plan::knobs).unwrap_or_default();
        happened.anchors = self.gate.anchors();
        happened.filesystems = self.surveyor.tend(now);
        self.collector.look(&self.policy, now, happened);
        let moved = self.gate.tend(&self.policy, self.enforcing, self.collector.last());
        self.gated(moved);
        let seen = self.collector.last();
        if self.collector.regrouped() {
            let fs = self.collector.fs();
            self.sources.follow(fs.mount(), &self.collector.watched());
            self.sentry.guard(&self.policy, seen, fs, (&self.sources.poller, SENTRY, STARVED));
        }
        self.recorder.before(now, &self.state);
        self.forecasts.said().lend(&self.policy, &mut self.state.prospects);
        let has_news = if rest(&self.policy, &mut self.state, seen) {
            self.worker.decided(self.policy.interval);
            false
        } else {
            self.step(now)
        };
        self.record(now, has_news);
        self.learning.keep(&self.state);
        self.leaks.tend(now, &self.state.estimator);
        self.forecasts.tend(now, &self.policy, self.collector.last(), &self.state.estimator);
        self.voice.peaks.look(now, lag, &self.policy, &self.state.estimator);
        self.tell(now);
    }

    /// Whether there is news.
    fn step(&mut self, now: Tick) -> bool {
        let seen = self.collector.last();
        let (policy, state) = (&self.policy, self.state.clone());
        let stepped =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| step(policy, state, seen)));
        let Ok(Step { state, news }) = stepped else {
            self.panicked();
            return false;
        };
        self.panics = 0;
        self.worker.decided(self.policy.interval);
        let lost = news.as_ref().map_or(0, |news| lost(&news.plan, &state.ownership, seen));
        self.state = state;
        // Before anything is ordered: whatever happens to the daemon, no unit is restarted twice for one leak.
        self.mending.keep(&self.state);
        let Some(news) = news else { return false };
        self.news = news;
        self.order(lost, now);
        true
    }

    /// Hands the plan to the worker, if anything is to be enforced and the last one is done.
    fn order(&mut self, lost: u64, now: Tick) {
        let may = self.enforcing && self.busy.is_none() && self.give_back.is_none();
        if !may || self.news.plan.is_empty() {
            return;
        }
        self.history.planned(lost, now);
        log_lowered(&self.news.decision, &self.news.plan);
        let plan = self.news.plan.clone();
        self.pending = Some(plan.clone());
        self.busy = Some(now);
        self.worker.order(Order::CarryOut(plan));
    }

    fn panicked(&mut self) {
        self.panics += 1;
        // What is remembered was brought up to date, and no news came of it.
        self.recorder.begin_anew();
        tracing::error!(panics = self.panics, "a cycle panicked; limits stay as they are");
        self.news.findings.push(panicked());
        if self.panics >= MOST_PANICS {
            // Not a stop: limits stay, and systemd starts a fresh daemon that adopts them.
            self.leaving = true;
            self.policy.on_stop = OnLeave::Keep;
        }
    }
}
