//! The client for threads without a runtime, with a circuit breaker: a systemd that is silent is left alone for a while.
//!
//! Must not be used from within a tokio runtime: it owns one of its own and blocks on it.

use super::client::{Deadlines, ScopeSpec, Systemd};
use super::error::SystemdError;
use crate::kernel::clock;
use crate::model::{Knob, KnobKind};
use crate::units::{CgroupPath, Span, Tick};
use std::collections::BTreeMap;
use tokio::runtime::{Builder, Runtime};

/// Calls without an answer after which systemd is left alone.
const MOST_FAILURES: u32 = 3;
/// How long it is left alone.
const REST: Span = Span::secs(5);

/// Counts calls without an answer: three in a row open it for five seconds, then one call may try again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    until: Option<Tick>,
}

impl Breaker {
    /// How long no call may be made yet; `None` when one may.
    #[must_use]
    pub fn rest(&self, now: Tick) -> Option<Span> {
        let left = self.until?.since(now);
        (left > Span::ZERO).then_some(left)
    }

    /// Notes whether systemd was heard, be it with a refusal.
    pub fn note(&mut self, heard: bool, now: Tick) {
        if heard {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MOST_FAILURES {
            self.until = Some(now.plus(REST));
        }
    }

    /// Calls without an answer, one after the other.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

/// [`Systemd`] for a thread that may wait; connects with the first call and again when the connection broke.
///
/// Each method makes the call of the same name and waits for its end, at most the deadlines' length per D-Bus call.
#[derive(Debug)]
pub struct BlockingSystemd {
    runtime: Runtime,
    systemd: Option<Systemd>,
    deadlines: Deadlines,
    breaker: Breaker,
}

impl BlockingSystemd {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`SystemdError::Failed`] when the kernel gives no epoll instance.
    pub fn new(deadlines: Deadlines) -> Result<Self, SystemdError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            SystemdError::Failed {
                what: "prepare for talking to systemd".to_owned(),
                message: error.to_string(),
            }
        })?;
        Ok(Self { runtime, systemd: None, deadlines, breaker: Breaker::default() })
    }

    /// The circuit breaker's state, for the status report.
    #[must_use]
    pub const fn breaker(&self) -> Breaker {
        self.breaker
    }

    /// See [`Systemd::version`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn version(&mut self) -> Result<String, SystemdError> {
        self.ask("ask systemd's version", async |systemd| systemd.version().await)
    }

    /// See [`Systemd::set_knobs`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn set_knobs(&mut self, unit: &str, knobs: &[Knob]) -> Result<(), SystemdError> {
        self.ask(&format!("set properties of {unit}"), async |systemd| {
            systemd.set_knobs(unit, knobs).await
        })
    }

    /// See [`Systemd::unset`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn unset(&mut self, unit: &str, kinds: &[KnobKind]) -> Result<(), SystemdError> {
        self.ask(&format!("unset properties of {unit}"), async |systemd| {
            systemd.unset(unit, kinds).await
        })
    }

    /// See [`Systemd::believed`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn believed(
        &mut self,
        unit: &str,
        kinds: &[KnobKind],
    ) -> Result<BTreeMap<KnobKind, Option<Knob>>, SystemdError> {
        self.ask(&format!("read the properties of {unit}"), async |systemd| {
            systemd.believed(unit, kinds).await
        })
    }

    /// See [`Systemd::control_group`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn control_group(&mut self, unit: &str) -> Result<Option<CgroupPath>, SystemdError> {
        self.ask(&format!("ask for the control group of {unit}"), async |systemd| {
            systemd.control_group(unit).await
        })
    }

    /// See [`Systemd::watchdog`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn watchdog(&mut self, unit: &str) -> Result<Option<Span>, SystemdError> {
        self.ask(&format!("ask for the watchdog of {unit}"), async |systemd| {
            systemd.watchdog(unit).await
        })
    }

    /// See [`Systemd::restart`]. On a client that was not used before it is asked once: no connection was kept that may have broken.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn restart(&mut self, unit: &str, at: &CgroupPath) -> Result<(), SystemdError> {
        self.ask(&format!("restart {unit}"), async |systemd| systemd.restart(unit, at).await)
    }

    /// See [`Systemd::start_scope`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn start_scope(&mut self, spec: &ScopeSpec) -> Result<(), SystemdError> {
        self.ask(&format!("start {}", spec.unit), async |systemd| systemd.start_scope(spec).await)
    }

    /// See [`Systemd::start_unit`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn start_unit(&mut self, unit: &str) -> Result<(), SystemdError> {
        self.ask(&format!("start {unit}"), async |systemd| systemd.start_unit(unit).await)
    }

    /// See [`Systemd::stop_unit`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn stop_unit(&mut self, unit: &str) -> Result<(), SystemdError> {
        self.ask(&format!("stop {unit}"), async |systemd| systemd.stop_unit(unit).await)
    }

    /// See [`Systemd::attach`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn attach(&mut self, unit: &str, pids: &[u32]) -> Result<(), SystemdError> {
        self.ask(&format!("move processes into {unit}"), async |systemd| {
            systemd.attach(unit, pids).await
        })
    }

    /// See [`Systemd::reset_failed`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn reset_failed(&mut self, unit: &str) -> Result<(), SystemdError> {
        self.ask(&format!("reset the failed state of {unit}"), async |systemd| {
            systemd.reset_failed(unit).await
        })
    }

    /// See [`super::Systemd::stop_slice`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn stop_slice(&mut self, unit: &str) -> Result<(), SystemdError> {
        let what = format!("stop {unit}");
        self.ask(&what, async |systemd| systemd.stop_slice(unit).await)
    }

    /// See [`Systemd::reload`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn reload(&mut self) -> Result<(), SystemdError> {
        self.ask("reload systemd's units", async |systemd| systemd.reload().await)
    }

    fn ask<T>(
        &mut self,
        what: &str,
        request: impl AsyncFn(&Systemd) -> Result<T, SystemdError>,
    ) -> Result<T, SystemdError> {
        if let Some(rest) = self.breaker.rest(clock::now()) {
            return Err(SystemdError::Resting {
                what: what.to_owned(),
                failures: self.breaker.failures(),
                rest: rest.duration(),
            });
        }
        let answer = self.attempt(&request);
        let heard = !answer.as_ref().is_err_and(SystemdError::is_silence);
        self.breaker.note(heard, clock::now());
        answer
    }

    /// Asks once, and once more on a new connection if the kept one broke: every request may be repeated.
    fn attempt<T>(
        &mut self,
        request: &impl AsyncFn(&Systemd) -> Result<T, SystemdError>,
    ) -> Result<T, SystemdError> {
        // A connection that is dropped here spawns its last tasks: without a runtime around it zbus panics.
        let _within = self.runtime.enter();
        if let Some(systemd) = self.systemd.take() {
            let answer = self.runtime.block_on(request(&systemd));
            match answer {
                Err(SystemdError::NoBus { .. }) => {}
                Err(SystemdError::Timeout { .. }) => return answer,
                Ok(_) | Err(_) => {
                    self.systemd = Some(systemd);
                    return answer;
                }
            }
        }
        let systemd = self.runtime.block_on(Systemd::connect(self.deadlines))?;
        let answer = self.runtime.block_on(request(&systemd));
        if !answer.as_ref().is_err_and(SystemdError::is_silence) {
            self.systemd = Some(systemd);
        }
        answer
    }
}

impl Drop for BlockingSystemd {
    fn drop(&mut self) {
        let _within = self.runtime.enter();
        drop(self.systemd.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Tick {
        Tick(secs * 1_000_000)
    }

    #[test]
    fn three_failures_in_a_row_open_the_breaker_for_five_seconds() {
        let mut breaker = Breaker::default();
        breaker.note(false, at(1));
        breaker.note(false, at(2));
        assert_eq!(breaker.rest(at(2)), None);
        breaker.note(false, at(3));
        assert_eq!(breaker.rest(at(3)), Some(Span::secs(5)));
        assert_eq!(breaker.rest(at(7)), Some(Span::secs(1)));
        assert_eq!(breaker.rest(at(8)), None);
    }

    #[test]
    fn one_failure_after_the_rest_opens_it_again_and_an_answer_closes_it() {
        let mut breaker = Breaker::default();
        for second in 1..=3 {
            breaker.note(false, at(second));
        }
        breaker.note(false, at(9));
        assert_eq!(breaker.rest(at(9)), Some(Span::secs(5)));
        breaker.note(true, at(20));
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn answers_between_failures_keep_it_closed() {
        let mut breaker = Breaker::default();
        for second in 0..20 {
            breaker.note(second % 3 == 0, at(second));
            assert_eq!(breaker.rest(at(second)), None);
        }
    }
}
