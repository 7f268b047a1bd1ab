//! Tests against a bare kernel; `scripts/vm test` runs them in virtual machines without systemd.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

#[test]
fn cgroup2_has_the_memory_controller() {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap();
    assert!(
        controllers.split_whitespace().any(|name| name == "memory"),
        "{controllers}"
    );
}
