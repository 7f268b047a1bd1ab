//! The daemon: owns the loop, the threads, signals, reload and the watchdog.

mod report;

pub use report::{ReportInput, report};
