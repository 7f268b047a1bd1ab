//! The verbs, and how their results look: the only room that prints.
//!
//! A verb takes its arguments and what it needs from the rooms below and returns what is to be printed with an exit code. Nothing here
//! decides about limits.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "room cli speaks to the terminal"
)]

pub mod check;
pub mod config;
pub mod doctor;
mod printout;
pub mod render;

pub use printout::{EXIT_BAD_CONFIG, EXIT_OK, Printout};
