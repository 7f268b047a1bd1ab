//! Units that provost never touches.

/// Whether the unit is protected.
#[must_use]
pub fn is_protected_unit(name: &str) -> bool {
    matches!(name, "init.scope" | "ssh.service" | "sshd.service")
}
