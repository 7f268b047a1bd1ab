//! What the daemon says: log lines of outcomes, the account of a restore.

use crate::enforce::{Giving, Returned};
use crate::model::{
    Action, Decision, Finding, FindingKind, Means, Outcome, OutcomeOf, Plan, Severity, Verdict,
};

/// One log line for one outcome.
pub(super) fn log_outcome(outcome: &Outcome) {
    let component = outcome.component.as_ref().map_or("-", |name| name.as_str());
    let (cgroup, dur_usec) = (outcome.path.as_str(), outcome.took.0);
    if matches!(outcome.of, OutcomeOf::Relief { means: Means::Probe { .. } }) {
        tracing::debug!(component, cgroup, dur_usec, verdict = ?outcome.verdict, "probed");
        return;
    }
    match &outcome.verdict {
        Verdict::Applied
            if matches!(outcome.of, OutcomeOf::Relief { means: Means::Kill { .. } }) =>
        {
            tracing::warn!(component, cgroup, dur_usec, what = ?outcome.of, "killed: memory stayed short whatever was done");
        }
        Verdict::Applied if matches!(outcome.of, OutcomeOf::Restart { .. }) => {
            tracing::warn!(component, cgroup, dur_usec, what = ?outcome.of, "restarted: its memory grew without end");
        }
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

/// One warning for each component whose threads have to be taken out of real time though they are to be in it.
pub(super) fn log_lowered(decision: &Decision, plan: &Plan) {
    for (component, view) in &decision.realtime {
        let Some(why) = &view.held else { continue };
        let is_one = |action: &&Action| {
            action.lowers()
                && matches!(action, Action::Schedule { target } if target.component == *component)
        };
        let threads = plan.actions.iter().filter(is_one).count();
        if threads > 0 {
            let component = component.as_str();
            tracing::warn!(component, threads, reason = %why, "taken out of real time");
        }
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

/// Told for a while after the loop stood still.
pub(super) fn stalled() -> Finding {
    Finding {
        severity: Severity::Warning,
        kind: FindingKind::Stalled,
        component: None,
        at: None,
        text: "the control loop stood still for several intervals, so what follows the load was lifted and decided anew; see \
               what the log says, and whether the host was starved"
            .to_owned(),
    }
}

/// Told after a cycle that failed.
pub(super) fn panicked() -> Finding {
    Finding {
        severity: Severity::Error,
        kind: FindingKind::Bug,
        component: None,
        at: None,
        text: "a cycle failed by a defect of provost; limits stay as they are. Please report what the journal says".to_owned(),
    }
}
