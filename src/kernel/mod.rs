//! The only room that knows /proc, /sys, cgroupfs, systemd and clocks.
//!
//! It reads and writes what it is told to and has no opinions. Every root folder is an argument, so that tests run on fixtures; behaviour
//! of the kernel itself is shown in `tests/kernel` on real kernels only.
#![allow(clippy::disallowed_methods, reason = "room kernel/ owns kernel I/O")]

pub mod anchor;
pub mod calibrate;
pub mod cgroupfs;
pub mod clock;
pub mod devices;
mod error;
pub mod files;
pub mod filesystems;
pub mod gate;
pub mod gate_keeper;
pub mod group;
pub mod heap;
pub mod hook;
pub mod host;
pub mod load;
pub mod own;
pub mod parse;
pub mod poll;
pub mod probe;
pub mod proc_events;
pub mod process;
pub mod relief;
pub mod sampler;
pub mod stall;
pub mod systemd;
pub mod topology;
pub mod write;

pub use cgroupfs::{CgroupFs, Hierarchy};
pub use error::{ErrnoClass, ReadError, WriteError};
pub use group::Group;
pub use sampler::{Sampler, Scope};
