//! What the daemon tells of itself: its report and health to whoever asks, and its status to systemd.

use super::super::alerting::{Alerting, Known};
use super::super::cost::Cost;
use super::super::instance::Paths;
use super::super::report::{ReportInput, report};
use super::super::sinks::Host;
use super::super::start::StartError;
use super::super::talk::{self, Talk};
use super::super::textfile::TextFile;
use super::super::words::stalled;
use super::super::{hooks, instances, mending};
use super::{Daemon, asked};
use crate::config::{Backend, Policy};
use crate::decide::Pace;
use crate::estimate::Peaks;
use crate::kernel::poll::Waker;
use crate::kernel::{clock, own};
use crate::model::{Condition, Finding, Health, Own, Report};
use crate::publish::{Showing, window};
use crate::units::{Span, Tick};
use sd_notify::NotifyState;

/// The file of the metrics is written so often.
const WRITTEN_EVERY: Span = Span::secs(10);
/// A stall is told in the status for so long.
const TOLD_FOR: Span = Span::secs(600);
/// A write may reclaim memory for some seconds; one that takes longer than this hangs.
const HANGS_AFTER: Span = Span::secs(60);
/// The loop stands still when no look ended for so many intervals, and this on top.
const STILL_AFTER: (u64, Span) = (3, Span::secs(3));

/// What others hear of the daemon, and the account that is kept for them.
pub(super) struct Voice {
    pub(super) talk: Talk,
    showing: Showing,
    /// What is wrong with the places where metrics are served.
    pub(super) unserved: Vec<String>,
    pub(super) alerting: Alerting,
    pub(super) peaks: Peaks,
    pub(super) cost: Cost,
    pub(super) pace: Pace,
    file: TextFile,
    /// When the file was written last.
    written_at: Option<Tick>,
    /// How provost did when the last report was shown.
    health: Option<Health>,
}

impl Voice {
    /// Starts the talking thread and those of the sinks.
    pub(super) fn start(
        paths: &Paths,
        policy: &Policy,
        host: Host,
        boot: String,
        waker: Waker,
    ) -> Result<Self, StartError> {
        let (showing, shown) = window(clock::awake);
        let talk = talk::start(paths, host.by_systemd, waker, policy.listen.clone(), shown)?;
        let by_systemd = host.by_systemd && policy.backend != Backend::Subtree;
        let host = Host { by_systemd, ..host };
        Ok(Self {
            talk,
            showing,
            unserved: Vec::new(),
            alerting: Alerting::begin(paths, boot, policy, host),
            peaks: Peaks::default(),
            cost: Cost::new(),
            pace: Pace::new(policy.interval),
            file: TextFile::new(paths.metrics()),
            written_at: None,
            health: None,
        })
    }
}

impl Daemon {
    /// Tells others of the look that began then: alerts, what it cost, and a report to whoever waits for one.
    pub(super) fn tell(&mut self, began: Tick) {
        let known = Known {
            policy: &self.policy,
            state: &self.state,
            seen: self.collector.last(),
            news: &self.news,
            foresight: self.forecasts.said(),
        };
        for alert in self.voice.alerting.look(began, known) {
            self.recorder.told(alert);
        }
        let now = clock::now();
        self.voice.cost.looked(began, now, clock::own_cpu());
        self.judge(now);
        let (intervals, more) = STILL_AFTER;
        let still_after = Span(self.policy.interval.0.saturating_mul(intervals) + more.0);
        self.voice.showing.looked(clock::awake(), still_after);
        self.show(now);
    }

    /// Makes a report if somebody waits for one, if the file is due, or if provost does otherwise than before.
    fn show(&mut self, now: Tick) {
        let is_wanted = self.voice.showing.is_wanted();
        if is_wanted {
            self.voice.peaks.asked();
        }
        let is_due = self.voice.written_at.is_none_or(|at| now.since(at) >= WRITTEN_EVERY);
        let health = self.health();
        if !is_wanted && !is_due && self.voice.health.as_ref() == Some(&health) {
            return;
        }
        let report = self.report();
        if is_due {
            self.voice.file.write(&report);
            self.voice.written_at = Some(now);
        }
        self.voice.showing.show(clock::awake(), report);
        self.voice.health = Some(health);
    }

    /// Keeps to what provost itself may cost.
    fn judge(&mut self, now: Tick) {
        let Some(used) = self.voice.cost.cpu() else { return };
        if self.voice.pace.judge(now, self.policy.own_cpu, used) {
            self.keep_pace();
            let interval = self.policy.interval;
            tracing::warn!(%used, limit = %self.policy.own_cpu, %interval, "provost looks at the host at another interval");
        }
    }

    /// Looks at the host as often as the pace says from now on.
    pub(super) fn keep_pace(&mut self) {
        self.policy.interval = self.voice.pace.interval();
        if let Err(errno) = self.sources.timer.set(self.policy.interval) {
            tracing::warn!("the timer keeps its interval: {}", errno.desc());
        }
    }

    pub(super) fn report(&self) -> Report {
        report(ReportInput {
            policy: &self.policy,
            state: &self.state,
            seen: self.collector.last(),
            news: &self.news,
            beside: &self.beside(),
            foresight: self.forecasts.said(),
            enforcing: self.enforcing,
            instead_of: self.chosen.instead_of(),
            pid: std::process::id(),
            started: self.started,
            history: &self.history,
            schedules: self.timetable.views(),
            given: &self.given,
            peaks: &self.voice.peaks,
            alerts: self.voice.alerting.views(clock::now()),
            sinks: self.voice.alerting.sinks.counts(),
            own: self.own(),
            health: self.health(),
        })
    }

    /// What is to be told beside the cycle's findings.
    fn beside(&self) -> Vec<Finding> {
        let seen = self.collector.last();
        let mut beside = self.gate.findings();
        beside.extend(hooks::findings(&self.policy));
        beside.extend(instances::findings(&self.policy, seen.host.systemd));
        beside.extend(self.forecasts.findings(&self.policy, &seen.host));
        beside.extend(mending::findings(&self.policy, &self.state, seen));
        beside.extend(self.recorder.findings());
        beside.extend(self.outdated.then(asked::outdated));
        beside.extend_from_slice(self.timetable.findings());
        beside.extend(self.given.findings());
        beside.extend(self.stood_still().then(stalled));
        beside
    }

    /// Whether the failsafe had to lift something lately.
    fn stood_still(&self) -> bool {
        self.lifted_at.is_some_and(|at| clock::now().since(at) < TOLD_FOR)
    }

    fn own(&self) -> Own {
        Own {
            wall_secs: clock::wall_secs(),
            used: own::measured(self.collector.last().host.page),
            cpu: self.voice.cost.cpu(),
            cpu_limit: self.policy.own_cpu.value(),
            interval: self.policy.interval,
            looks: self.voice.cost.looks(),
            reloaded: !self.outdated,
            http: self.voice.showing.counts(),
            ..Own::default()
        }
    }

    /// How provost does, as far as the loop knows.
    fn health(&self) -> Health {
        let busy_for = self.busy.map(|since| clock::now().since(since));
        let hangs = busy_for.is_some_and(|span| span >= HANGS_AFTER).then(|| {
            format!(
                "writing has taken longer than {HANGS_AFTER}, and nothing else is written meanwhile: see the log for what was asked of \
                 the kernel or of systemd last"
            )
        });
        let failed = (self.panics > 0).then(|| {
            "the last cycle failed by a defect of provost; limits stay as they are".to_owned()
        });
        let outdated = self.outdated.then(|| {
            "the last reload failed, so the configuration from before it is in force; run \"provost check\" to see why".to_owned()
        });
        let stalled = self.stood_still().then(|| {
            "the control loop stood still for several intervals within the last ten minutes"
                .to_owned()
        });
        let pace = &self.voice.pace;
        let slowed = (pace.interval() > pace.configured()).then(|| {
            format!(
                "provost used more CPU than [own] cpu allows ({}), and looks at the host every {} instead of every {}: allow more, or \
                 register fewer components",
                self.policy.own_cpu,
                pace.interval(),
                pace.configured()
            )
        });
        let degraded = [hangs, outdated, stalled, slowed].into_iter().flatten();
        let degraded = degraded.chain(self.voice.unserved.iter().cloned());
        let degraded = degraded.chain(self.voice.alerting.sinks.wrongs());
        let failed = failed.into_iter().map(|reason| (Condition::Failed, reason));
        Health::of(failed.chain(degraded.map(|reason| (Condition::Degraded, reason))))
    }

    pub(super) fn feed_watchdog(&self) {
        let mode = if self.enforcing { "enforcing" } else { "observing" };
        let count = self.policy.components.len();
        let findings = self.news.findings.len();
        let health = self.voice.health.as_ref();
        let (condition, reason) = health.map_or_else(Default::default, |health| {
            let reason = health.reasons.first();
            (health.condition, reason.map_or_else(String::new, |reason| format!(": {reason}")))
        });
        let status =
            format!("{mode}, {count} components, {findings} findings; {condition}{reason}");
        notify(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
    }
}

/// Tells systemd; without one nobody listens.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    let _heard = sd_notify::notify(states);
}
