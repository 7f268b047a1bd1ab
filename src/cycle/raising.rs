//! What a person should know of threads that are to be in real time and are not. Must not say anything of those that are.

use crate::model::{Decision, Finding, FindingKind, RealtimeView, Severity};
use crate::units::ComponentName;

/// One finding for each component none of whose threads is raised though some are named and there.
pub(super) fn findings(decision: &Decision) -> impl Iterator<Item = Finding> {
    decision.realtime.iter().filter_map(|(name, view)| finding(name, view))
}

fn finding(name: &ComponentName, view: &RealtimeView) -> Option<Finding> {
    let why = view.held.as_ref().filter(|_| !view.threads.is_empty())?;
    Some(Finding {
        severity: Severity::Warning,
        kind: FindingKind::NoRealtime,
        component: Some(name.clone()),
        at: None,
        text: format!("no thread of {name} is put into real time: {why}"),
    })
}
