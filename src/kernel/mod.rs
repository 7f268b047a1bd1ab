//! The only room that knows /proc, /sys, cgroupfs, systemd and clocks.
//!
//! It reads and writes and reports what came of it; what a value means and what should be done is decided elsewhere.
#![allow(
    clippy::disallowed_methods,
    reason = "room kernel owns kernel files and clocks"
)]

pub mod probe;
