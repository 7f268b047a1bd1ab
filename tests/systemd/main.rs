//! Tests against a running systemd; `scripts/vm test` runs them in Debian images.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

use std::process::Command;

#[test]
fn systemd_answers_on_the_bus() {
    assert!(std::path::Path::new("/run/systemd/system").is_dir());
    let arguments = [
        "get-property",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
    ];
    let output = Command::new("busctl")
        .args(arguments)
        .args(["org.freedesktop.systemd1.Manager", "Version"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
