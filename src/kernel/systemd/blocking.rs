//! The same calls for the worker thread, which may wait: with a runtime of its own, reconnecting, and resting after failures.

use super::client::{ScopeSpec, Systemd};
use super::error::SystemdError;
use crate::kernel::clock;
use crate::model::{Knob, KnobKind};
use crate::units::{CgroupPath, Span, Tick};
use tokio::runtime::{Builder, Runtime};

/// After so many failures of the connection in a row …
const MOST_FAILURES: u32 = 3;
/// … systemd is left alone for this long.
const REST: Span = Span::secs(5);

/// systemd, from one thread that may wait.
#[derive(Debug)]
pub struct BlockingSystemd {
    runtime: Runtime,
    connected: Option<Systemd>,
    failures: u32,
    last: Option<(Tick, String)>,
}

impl BlockingSystemd {
    /// Connects with the first call.
    ///
    /// # Errors
    /// [`SystemdError::Failed`] when no runtime can be made: out of memory or descriptors.
    pub fn new() -> Result<Self, SystemdError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| SystemdError::Failed { message: error.to_string() })?;
        Ok(Self { runtime, connected: None, failures: 0, last: None })
    }

    /// See [`Systemd::version`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn version(&mut self) -> Result<String, SystemdError> {
        self.call(async |systemd| systemd.version().await)
    }

    /// See [`Systemd::set_knobs`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn set_knobs(&mut self, unit: &str, knobs: &[Knob]) -> Result<(), SystemdError> {
        self.call(async |systemd| systemd.set_knobs(unit, knobs).await)
    }

    /// See [`Systemd::unset`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn unset(&mut self, unit: &str, kinds: &[KnobKind]) -> Result<(), SystemdError> {
        self.call(async |systemd| systemd.unset(unit, kinds).await)
    }

    /// See [`Systemd::start_scope`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn start_scope(&mut self, spec: &ScopeSpec) -> Result<(), SystemdError> {
        self.call(async |systemd| systemd.start_scope(spec).await)
    }

    /// See [`Systemd::control_group`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn control_group(&mut self, unit: &str) -> Result<Option<CgroupPath>, SystemdError> {
        self.call(async |systemd| systemd.control_group(unit).await)
    }

    /// See [`Systemd::reload`].
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn reload(&mut self) -> Result<(), SystemdError> {
        self.call(async |systemd| systemd.reload().await)
    }

    fn call<T>(
        &mut self,
        work: impl AsyncFnOnce(&Systemd) -> Result<T, SystemdError>,
    ) -> Result<T, SystemdError> {
        if let Some((at, last)) = &self.last
            && self.failures >= MOST_FAILURES
            && clock::now().since(*at) < REST
        {
            return Err(SystemdError::Resting { failures: self.failures, last: last.clone() });
        }
        let connected = self.connected.take();
        let (connected, result) = self.runtime.block_on(async {
            let systemd = match connected {
                Some(systemd) => systemd,
                None => match Systemd::connect().await {
                    Ok(systemd) => systemd,
                    Err(error) => return (None, Err(error)),
                },
            };
            let result = work(&systemd).await;
            (Some(systemd), result)
        });
        match &result {
            Err(error) if error.is_connection() => {
                self.failures += 1;
                self.last = Some((clock::now(), error.to_string()));
            }
            Ok(_) | Err(_) => {
                self.failures = 0;
                self.connected = connected;
            }
        }
        result
    }
}
