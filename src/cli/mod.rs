//! One verb each: what a person or a script sees. Verbs return what is to be printed; `main` prints it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "room cli speaks to the terminal"
)]

pub mod check;
pub mod config;
mod printout;

pub use printout::{EXIT_BAD_CONFIG, EXIT_OK, Printout};
