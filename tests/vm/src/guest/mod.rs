//! The guest side: what PID 1 and the test service do inside the virtual machine.

pub mod boot;
pub mod cgroups;
pub mod child;
pub mod kmsg;
pub mod processes;
pub mod runner;
pub mod sys;
pub mod systemd;
pub mod wire;
