//! The verbs, and how their results look: the only room that prints.
//!
//! A verb takes its arguments and what it needs from the rooms below, writes to the stream that it is given and returns an exit
//! code. Nothing here decides about limits and nothing here reads the kernel itself.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "room cli speaks to the terminal"
)]

pub mod doctor;
pub mod render;
