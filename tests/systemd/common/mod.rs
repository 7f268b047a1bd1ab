//! What the tests stand on: running commands and waiting, units and their cgroups, a daemon with scratch folders.

pub(crate) mod command;
pub(crate) mod contend;
pub(crate) mod login;
pub(crate) mod unit;
pub(crate) mod world;

pub(crate) use command::{Ran, figure, run, until, within};
pub(crate) use unit::Unit;
pub(crate) use world::World;

/// The scratch disk.
pub(crate) fn disk() -> String {
    std::env::var("PROVOST_VM_DISK").expect("scripts/vm sets PROVOST_VM_DISK")
}
