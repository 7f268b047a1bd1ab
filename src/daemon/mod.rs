//! The daemon: owns the loop, the threads, signals, reload and the watchdog.
//!
//! The control loop is this thread, on plain epoll; docs/architecture.md lists the others. Nothing that they do can stall the loop.
#![allow(clippy::disallowed_methods, reason = "room daemon/ owns its run and state folders")]

mod alerting;
mod chosen;
mod cost;
mod counts;
mod early;
mod enter;
mod foresight;
mod gate;
mod given;
mod growth;
mod history;
mod hooks;
mod http;
mod instance;
mod instances;
mod kept;
mod leaks;
mod learning;
mod mending;
mod recorder;
mod report;
mod run;
mod sentry;
mod sinks;
mod start;
mod surveyor;
mod talk;
mod textfile;
mod timetable;
mod wait;
mod words;

pub use chosen::{CannotChoose, Chosen};
pub use enter::{Entered, enter};
pub use given::{CannotGive, Given, Wish};
pub use history::History;
pub use instance::{Instance, InstanceError, Paths};
pub use instances::findings as instance_findings;
pub use report::{ReportInput, report};
pub use run::run;
pub use start::{
    Options, Setup, StartError, adopted, capacity, kept, load_policy, open_tree, recorded_capacity,
    restorer,
};
pub use words::account_text;
