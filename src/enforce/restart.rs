//! Has a unit restarted by systemd, on a thread of its own: its stop and start may take minutes, and nobody waits for that here.
//!
//! The outcome goes to the control loop as all others do. A daemon that ends meanwhile leaves the job to systemd. It chooses nobody, and
//! systemd is asked once.

use super::aside::{self, refused};
use super::carry::outcome;
use super::worker::Result as WorkerResult;
use crate::kernel::clock;
use crate::kernel::systemd::BlockingSystemd;
use crate::model::{OutcomeOf, Relief, Verdict};
use std::sync::mpsc::Sender;

/// Begins the restart of the unit whose group it is, or says why not. How it ends is told later.
pub(super) fn begin(
    relief: &Relief,
    by_systemd: bool,
    tell: Option<Sender<WorkerResult>>,
) -> Verdict {
    let Some(tell) = tell.filter(|_| by_systemd) else {
        return refused("systemd does not run here".to_owned());
    };
    let relief = relief.clone();
    let run = move || {
        let started = clock::now();
        let unit = relief.at.path.name().to_owned();
        let restarted = BlockingSystemd::new(aside::deadlines())
            .and_then(|mut systemd| systemd.restart(&unit, &relief.at.path));
        let verdict = match restarted {
            Ok(()) => Verdict::Applied,
            Err(error) => refused(error.to_string()),
        };
        let of = OutcomeOf::Restart { unit };
        outcome(Some(&relief.component), &relief.at.path, of, verdict, started)
    };
    match aside::begin("restart", tell, run) {
        Ok(()) => Verdict::Applied,
        Err(error) => refused(format!("no thread for the restart: {error}")),
    }
}
