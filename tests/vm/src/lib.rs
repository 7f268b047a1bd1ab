//! Boots Debian kernels in throwaway virtual machines and runs provost's kernel tests in them.
//!
//! `vmrun` is the host side, `vminit` the guest side: PID 1 of the initramfs and, in images with
//! systemd, the program of a test service. They talk over the second serial port (`protocol`).
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "test harness: it starts processes, reads files and prints for a living"
)]

pub mod accel;
pub mod cells;
pub mod cpio;
pub mod disk;
pub mod guest;
pub mod initramfs;
pub mod jobs;
pub mod kernel;
pub mod kernel_modules;
pub mod options;
pub mod protocol;
pub mod qemu;
pub mod report;
pub mod selftest;
pub mod silence;
pub mod verbs;

/// What can go wrong, in words for the person who started the harness.
pub type Outcome<T> = Result<T, String>;

/// Adds what was attempted to an error of the system.
pub fn failed<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("failed to {what}: {error}")
}
