//! Where unit files are. Must not read them: what they say is systemd's to tell.

use std::path::Path;

/// systemd.unit(5), the folders of the system manager in which administrators and packages put unit files.
const FOLDERS: [&str; 6] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Whether a unit, or a template, has a file.
#[must_use]
pub fn has_unit_file(unit: &str) -> bool {
    // A link to /dev/null masks a unit: there is a file, and systemd says why it does not start.
    FOLDERS.iter().any(|folder| Path::new(folder).join(unit).symlink_metadata().is_ok())
}
