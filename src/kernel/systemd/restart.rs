//! Restarts one service and nothing else. Must not be asked to do more: what would take others with it is refused.
//!
//! Source: org.freedesktop.systemd1(5); systemd.unit(5) on Requires=, BindsTo= and PartOf=, by which a stop reaches others.

use super::client::{Systemd, UNIT_INTERFACE};
use super::error::SystemdError;
use crate::units::CgroupPath;

/// Properties that list units to which a stop or a restart of this one is handed on.
const HANDED_ON_TO: [&str; 3] = ["RequiredBy", "BoundBy", "ConsistsOf"];

impl Systemd {
    /// Restarts a service that lives in the group `at` and waits until it runs again. One that does not run is not started, and no other
    /// job of the unit is cancelled for it (`TryRestartUnit` with mode "fail").
    ///
    /// # Errors
    /// [`SystemdError`]; [`SystemdError::Bound`] when other units that run would be restarted with it; [`SystemdError::Timeout`] when the
    /// job did not end in time, and may still.
    pub async fn restart(&self, unit: &str, at: &CgroupPath) -> Result<(), SystemdError> {
        let what = format!("restart {unit}");
        if self.control_group(unit).await?.as_ref() != Some(at) {
            let message = format!("it does not live in {at}");
            return Err(SystemdError::Failed { what, message });
        }
        let bound = self.bound_to(&what, unit).await?;
        if !bound.is_empty() {
            return Err(SystemdError::Bound { what, units: bound.join(", ") });
        }
        self.run_job(&what, unit, self.manager.try_restart_unit(unit, "fail")).await
    }

    /// The units that run and would be restarted with this one. Targets are no programs.
    async fn bound_to(&self, what: &str, unit: &str) -> Result<Vec<String>, SystemdError> {
        let path = self.call(what, self.manager.get_unit(unit)).await?;
        let mut running = Vec::new();
        for name in HANDED_ON_TO {
            let others: Vec<String> = self.property(what, &path, UNIT_INTERFACE, name).await?;
            for other in others.into_iter().filter(|other| !other.ends_with(".target")) {
                if self.runs(what, &other).await? && !running.contains(&other) {
                    running.push(other);
                }
            }
        }
        Ok(running)
    }

    async fn runs(&self, what: &str, unit: &str) -> Result<bool, SystemdError> {
        let path = match self.call(what, self.manager.get_unit(unit)).await {
            Ok(path) => path,
            Err(SystemdError::NoSuchUnit { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let state: String = self.property(what, &path, UNIT_INTERFACE, "ActiveState").await?;
        Ok(!matches!(state.as_str(), "inactive" | "failed"))
    }
}
