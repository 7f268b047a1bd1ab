//! From TOML to a checked [`Policy`]: every problem at once, each with its place and its remedy.

mod policy;
mod protected;

pub use policy::{
    Affinity, Backend, Catch, Component, CpuPolicy, IoDevice, IoPolicy, MemoryPolicy, Mode,
    OnLeave, OomPolicy, Pattern, Policy, Reserve, Rule, Strategy,
};
pub use protected::is_protected_unit;
