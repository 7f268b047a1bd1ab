//! The flight recorder: keeps every cycle as it was, what happened, and what was used, and returns them.
//!
//! Four rings in the state folder, of fixed size together ([`ring`]): looks with what came of them, from which a cycle can be run again;
//! events for people; minutes and hours of use. [`Store`] writes them on a thread of its own, and [`read`](Recording) reads them whether
//! somebody writes or not. Must not interpret what it keeps, and never keeps the control loop waiting: what cannot be written is counted
//! and told.
#![allow(clippy::disallowed_methods, reason = "room record/ owns its files")]

mod batch;
mod delta;
mod look;
mod pack;
mod reader;
mod recording;
mod ring;
mod series;
mod store;
mod unpack;

pub use batch::{Batch, Entry, Press, entries};
pub use delta::{Course, Damaged, Encoder};
pub use look::{CameTo, Look};
pub use pack::{PackError, Packer, Parts, Section};
pub use reader::Lost;
pub use recording::{Base, Cycle, Lent, Place, Recording, Told};
pub use ring::{Kept, Opened, Record, Ring, RingError, Tag, parse};
pub use series::{AtLevels, ComponentUse, Over, Part, Period, Seen, Stalled, Tally, Used};
pub use store::{Reach, Store, Trouble, Which, events, events_stamp, pack_events, periods, reach};
pub use unpack::{UnpackError, unpack};

#[cfg(test)]
mod tests;
