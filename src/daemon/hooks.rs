//! What there is to say of hooks before one is called: whether the daemon may change its user at all.

use crate::config::{Component, Policy};
use crate::kernel::hook::{REMEDY, may_change_user};
use crate::model::{Finding, FindingKind, Severity};

/// A finding for each component whose hook cannot be started.
pub(super) fn findings(policy: &Policy) -> Vec<Finding> {
    let drains = |one: &Component| one.instances.as_ref().is_some_and(|all| all.drain.is_some());
    let calls = |one: &&Component| one.hook.is_some() || drains(one);
    let mut hooked = policy.components.values().filter(calls).peekable();
    if hooked.peek().is_none() || may_change_user() {
        return Vec::new();
    }
    let finding = |one: &Component| Finding {
        severity: Severity::Warning,
        kind: FindingKind::Missing,
        component: Some(one.name.clone()),
        at: None,
        text: format!(
            "the hook of {} will not be started, as provost may not change its user: {REMEDY}",
            one.name
        ),
    };
    hooked.map(finding).collect()
}
