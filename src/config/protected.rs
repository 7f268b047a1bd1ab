//! Units that are never touched, because the host, its log, its logins or its containers hang on them.
//!
//! Naming one outright in a rule is an error of the configuration; a glob that merely includes one is fine, and the unit is left
//! alone at run time. The administrator's own list (`protect`) comes on top and is not known here.

/// Names and globs of the units; `*` stands for any text.
///
/// The slices are here because a limit on them is a limit on what they hold: sshd and provost itself, or every login session.
pub const PROTECTED_UNITS: [&str; 47] = [
    "-.slice",
    "init.scope",
    "system.slice",
    "user.slice",
    "user-*.slice",
    "user@*.service",
    "user-runtime-dir@*.service",
    "session-*.scope",
    "provost.service",
    "provost.slice",
    "provost-agent.slice",
    "provost.hook-*.scope",
    "ssh.service",
    "sshd.service",
    "ssh@*.service",
    "sshd@*.service",
    "sshd-session@*.service",
    "sshd.socket",
    "ssh.socket",
    "dropbear.service",
    "dropbear@*.service",
    "systemd-journald.service",
    "systemd-journald@*.service",
    "systemd-udevd.service",
    "systemd-logind.service",
    "systemd-userdbd.service",
    "systemd-oomd.service",
    "elogind.service",
    "dbus.service",
    "dbus-broker.service",
    "getty@*.service",
    "autovt@*.service",
    "serial-getty@*.service",
    "console-getty.service",
    "container-getty@*.service",
    "emergency.service",
    "rescue.service",
    "docker.service",
    "docker.socket",
    "containerd.service",
    "crio.service",
    "cri-docker.service",
    "podman.service",
    "podman.socket",
    "kubelet.service",
    "k3s.service",
    "k3s-agent.service",
];

/// Whether a unit of this name is never touched. `name` is a whole unit name such as `sshd.service`.
#[must_use]
pub fn is_protected_unit(name: &str) -> bool {
    // The first letter tells most of them apart.
    let first = |text: &str| text.as_bytes().first().copied();
    PROTECTED_UNITS.iter().any(|unit| first(unit) == first(name) && fits(unit, name))
}

/// Whether a unit of this name is never written and nothing inside it is touched. A protected slice is not among them: it may get
/// more weight or protection for the sake of a component inside it, never a limit; nor is a user's own manager, which holds
/// whatever the user runs.
#[must_use]
pub(super) fn is_sealed_unit(name: &str) -> bool {
    let is_open = name.ends_with(".slice") || name.starts_with("user@");
    is_protected_unit(name) && !is_open
}

/// Whether `name` fits `pattern`, which holds at most one `*`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| rest.ends_with(tail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protects_what_a_host_hangs_on() {
        for name in [
            "init.scope",
            "ssh.service",
            "sshd@7-10.0.0.1:22-10.0.0.2:5.service",
            "user@1000.service",
            "getty@tty1.service",
            "session-c1.scope",
            "dbus-broker.service",
            "provost.service",
        ] {
            assert!(is_protected_unit(name), "{name}");
        }
    }

    #[test]
    fn slices_and_users_managers_are_not_sealed() {
        for name in ["system.slice", "user-1000.slice", "user@1000.service", "nginx.service"] {
            assert!(!is_sealed_unit(name), "{name}");
        }
        assert!(is_sealed_unit("ssh.service") && is_sealed_unit("session-3.scope"));
    }

    #[test]
    fn leaves_the_rest() {
        for name in [
            "nginx.service",
            "sshd.service.d",
            "my-sshd.service",
            "user@.slice",
            "provost-web.scope",
            "docker-0123456789ab.scope",
            "",
        ] {
            assert!(!is_protected_unit(name), "{name}");
        }
    }

    #[test]
    fn no_pattern_holds_two_stars_or_begins_with_one() {
        for unit in PROTECTED_UNITS {
            assert!(unit.matches('*').count() <= 1 && !unit.starts_with('*'), "{unit}");
        }
    }
}
