//! systemd over D-Bus: runtime properties of units, transient scopes, and word of what it does to cgroups.
//!
//! PID 1 may be slow or gone; so every call has a deadline, the blocking form is used from the worker thread only, and after
//! a few failures in a row it is not asked for a while.

mod blocking;
mod client;
pub mod dropins;
mod error;
mod events;
mod properties;

pub use blocking::BlockingSystemd;
pub use client::{ScopeSpec, Systemd};
pub use error::SystemdError;
pub use events::{SystemdEvent, listen};
pub use properties::is_property;
