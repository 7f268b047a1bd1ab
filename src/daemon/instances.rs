//! What there is to say of instances before one is started: whether anybody can.

use crate::config::{Component, Policy};
use crate::kernel::systemd::has_unit_file;
use crate::model::{Finding, FindingKind, Severity};

/// A finding for each component whose instances cannot be started.
#[must_use]
pub fn findings(policy: &Policy, by_systemd: bool) -> Vec<Finding> {
    let finding = |component: &Component| {
        let template = component.instances.as_ref()?.template.to_string();
        let text = if !by_systemd {
            format!(
                "instances of {template} are neither started nor stopped: systemd does not manage this host; remove `instances` of {}",
                component.name
            )
        } else if !has_unit_file(&template) {
            format!(
                "{template} has no unit file, so no instance of {} can be started: install it, or correct `instances.unit`",
                component.name
            )
        } else {
            return None;
        };
        Some(Finding {
            severity: Severity::Warning,
            kind: FindingKind::Missing,
            component: Some(component.name.clone()),
            at: None,
            text,
        })
    };
    policy.components.values().filter_map(finding).collect()
}
