//! Tests against a bare kernel; `scripts/vm test` runs them in virtual machines without systemd.
//!
//! Each test runs as root in a process of its own. The odd cells lack a controller by design: a test that needs it asserts there
//! that it is missing, and that is all such a kernel can show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "test code"
)]

mod bite;
mod classes;
mod common;
mod crowding;
mod daemon;
mod faults;
mod foreseeing;
mod forking;
mod gate;
mod hooks;
mod knobs;
mod ladder;
mod leaking;
mod mending;
mod mixed;
mod moving;
mod parting;
mod placing;
mod pressing;
mod probing;
mod queueing;
mod quotas;
mod realtime;
mod recording;
mod scaling;
mod schedules;
mod second_reader;
mod tree;
mod yielding;
