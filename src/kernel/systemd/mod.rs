//! systemd: the one owner of every cgroup that it made. What should last in such a group is asked of it over D-Bus, never written.
//!
//! Properties are always set with `runtime = true`: they live in /run and end with the boot, so that the administrator's
//! files in /etc are never touched. Nothing here decides what to set.
//!
//! Sources: org.freedesktop.systemd1(5), systemd.resource-control(5), systemd.io/CGROUP_DELEGATION.

mod blocking;
mod client;
mod dropins;
mod error;
mod events;
mod files;
mod journald;
mod properties;
mod proxy;
mod restart;

pub use blocking::{BlockingSystemd, Breaker};
pub use client::{Deadlines, ScopeSpec, Systemd};
pub use dropins::{DropInError, remove, runtime_dropins};
pub use error::SystemdError;
pub use events::{SystemdEvent, listen};
pub use files::has_unit_file;
pub use journald::Journald;
#[cfg(any(test, fuzzing))]
pub(crate) use properties::believed_of_bytes;
pub use properties::{Property, as_systemd_keeps, believed, knows_idle, names, properties, unset};
