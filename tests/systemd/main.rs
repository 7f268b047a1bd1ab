//! Tests against a running systemd; `scripts/vm test` runs them in Debian images.
//!
//! Each test is a process of its own, as root, in a guest that is thrown away afterwards. What they show is listed in
//! `docs/kernel-notes.md`. Units are named `test-…`, so that those left behind are found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "test code"
)]

mod calendar;
mod classes;
mod common;
mod drift;
mod gate;
mod hooks;
mod instances;
mod leaking;
mod leave;
mod loose;
mod realtime;
mod scraping;
mod shipped;
mod storage;
mod units;
mod verbs;
mod yielding;
