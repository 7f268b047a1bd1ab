//! The control socket: what the command line asks of a running daemon.
//!
//! `/run/provost/control`, a Unix stream socket that only root may connect to. One request and one reply a connection, each one line of
//! JSON, so that any language can speak it. Requests name components, and no path but that of a disk; nothing here can reach the kernel.

mod client;
mod protocol;
mod socket;

pub use client::{ClientError, ask};
pub use protocol::{Reply, Request};
pub use socket::{Asked, serve};
