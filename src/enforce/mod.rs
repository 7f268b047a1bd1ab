//! Carries a plan out, reads back what the kernel made of it, and remembers how to undo it.
//!
//! The only room that changes a live host: cgroup writes go through `kernel::write`, properties through `kernel::systemd`, and nothing
//! is written before the journal holds the value that was there. It has no opinions: what to do, in which order, and why was decided
//! before.
#![allow(
    clippy::disallowed_methods,
    reason = "room enforce/ owns the journal and the worker that may wait"
)]

mod aside;
mod carry;
mod cpus;
mod due;
mod failsafe;
mod hooks;
mod journal;
mod ledger;
mod lifecycle;
mod lift;
mod relieve;
mod remember;
mod restart;
mod threads;
mod undo;
mod units;
mod unrecorded;
mod watchdog;
mod worker;

pub use carry::Executor;
pub use hooks::call_aside;
pub use journal::{Journal, JournalError};
pub use ledger::{Entry, Ledger, Made, Moved, Original, Raised};
pub use undo::{Giving, Returned};
pub use worker::{Order, Result as WorkerResult, Worker};
