//! What takes long is done on a thread of its own: a hook, a job of systemd's. Its outcome goes to the control loop as all others do, and nobody
//! waits for it here.

use super::worker::Result as WorkerResult;
use crate::kernel::systemd::Deadlines;
use crate::model::{Outcome, Verdict};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// systemd gives a unit a minute and a half to stop, and as much to start, unless it is configured otherwise.
const JOB: Duration = Duration::from_secs(300);

/// Begins `work` on a thread of this name.
pub(super) fn begin(
    name: &str,
    tell: Sender<WorkerResult>,
    work: impl FnOnce() -> Outcome + Send + 'static,
) -> std::io::Result<()> {
    let run = move || {
        // The loop hears of it at its next tick; nobody listens any more only while the daemon is leaving.
        let _heard = tell.send(WorkerResult::Outcome(Box::new(work())));
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(|_| ())
}

/// How long systemd may take for a job that somebody waits for aside.
pub(super) fn deadlines() -> Deadlines {
    Deadlines { job: JOB, ..Deadlines::default() }
}

/// What provost itself refuses, and what to do about it.
pub(super) fn refused(advice: String) -> Verdict {
    Verdict::Refused { errno: 0, advice }
}
