//! provost: limits on the components of a Linux host, by priority, and given back.
//!
//! The rooms, from the lowest layer up; a room uses only rooms above it in this list, and `tests/tidy` holds them to it. What each may
//! touch is in `docs/architecture.md`.
//!
//! - [`units`], [`model`]: quantities and nouns; touch nothing.
//! - [`kernel`]: the only room that knows /proc, /sys, cgroupfs, systemd and clocks.
//! - [`config`]: TOML to a checked policy.
//! - [`observe`]: one look at the host.
//! - [`estimate`], [`decide`], [`plan`], composed by [`cycle`]: pure.
//! - [`enforce`]: carries a plan out, and undoes it.
//! - [`publish`], [`serve`]: what others see, and how they ask.
//! - [`sim`]: plays scenarios through the cycle onto a model of the kernel.
//! - [`cli`]: the verbs.

pub mod cli;
pub mod config;
pub mod cycle;
pub mod daemon;
pub mod decide;
pub mod enforce;
pub mod estimate;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod kernel;
pub mod model;
pub mod observe;
pub mod plan;
pub mod publish;
pub mod record;
pub mod serve;
pub mod sim;
pub mod units;

#[cfg(test)]
mod testing;
