//! Plays scenarios onto a model of the kernel, through the very cycle that the daemon runs, and scores what came of it; [`backtest`] does
//! the same with recorded series and the forecaster.
//!
//! [`Scenario::load`] reads a scenario (`scenario.rs` and `trace.rs`, the only files of the room that touch the disk);
//! everything else is pure: a scenario, a strategy and a seed give the same bytes on every machine. Nothing here reaches a real kernel.

mod amount;
pub mod backtest;
mod built_in;
mod carry;
mod cpu;
mod foreseeing;
mod group;
mod io;
mod look;
mod memory;
mod pids;
mod plant;
mod program;
mod random;
mod raw;
mod reclaim;
mod replay;
mod run;
mod scenario;
mod score;
mod settings;
mod share;
mod trace;

pub use built_in::{BUILT_IN, BuiltIn};
pub use group::Counters;
pub use plant::Plant;
pub use replay::{Difference, Instead, Remembered, Replay, ReplayError, Replayed, hush};
pub use run::{Arm, Got, Played, Told};
pub use scenario::{LONGEST, Scenario};
pub use score::{BUCKETS, Point, Score};

#[cfg(test)]
mod tests;
