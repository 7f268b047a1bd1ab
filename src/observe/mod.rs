//! One look at the host: every value of one moment, errors included, with components bound to cgroups.
//!
//! Reads through `kernel` only and writes nothing.

mod bind;
mod collect;
mod processes;
mod round;
mod threads;
mod tree;

pub use bind::{Bindings, GroupFacts, ProcessFacts, World, belongs, bind};
pub use collect::{Collector, Happened};
pub use processes::about_to_execute;
