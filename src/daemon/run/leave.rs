//! The daemon's end: what was put on the host is given back or kept, as the configuration says.

use super::super::words::account_text;
use super::{Daemon, notify};
use crate::config::OnLeave;
use crate::enforce::{Order, WorkerResult};
use sd_notify::NotifyState;

impl Daemon {
    /// Leaves as the configuration says: what was put on the host is given back or kept.
    pub(super) fn leave(&mut self) {
        notify(&[NotifyState::Stopping]);
        let moved = self.gate.shut();
        self.gated(moved);
        self.worker.order(match self.policy.on_stop {
            OnLeave::Restore => Order::GiveBack,
            OnLeave::Keep => Order::LiftPassing,
        });
        while let Some(result) = self.worker.wait() {
            if let WorkerResult::GivenBack(account) = result {
                match account {
                    Ok(account) => tracing::info!("{}", account_text(&account)),
                    Err(error) => tracing::error!("{error}"),
                }
                break;
            }
        }
        self.leaks.keep(&self.state.estimator);
        self.forecasts.keep_all();
        let _gone = std::fs::remove_file(self.options.paths.socket());
        let _gone = std::fs::remove_file(self.options.paths.http());
        let _gone = std::fs::remove_file(self.options.paths.metrics());
        tracing::info!("stopped");
    }
}
