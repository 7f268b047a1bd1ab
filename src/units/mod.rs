//! Quantities and names that cannot be confused.
//!
//! Every number that crosses a room is one of these types. They do arithmetic that saturates instead of wrapping,
//! print one canonical form, and parse what an administrator writes. Nothing here reads or writes anything.

mod bytes;
mod cpu;
mod cpuset;
mod ids;
mod limit;
mod ppm;
mod quantity;
mod time;

pub use bytes::Bytes;
pub use cpu::{CpuMax, CpuTime, Millicpu, Weight};
pub use cpuset::CpuSet;
pub use ids::{CgroupId, CgroupPath, CgroupRef, ComponentName, DeviceId, NameError, ProcId};
pub use limit::Limit;
pub use ppm::Ppm;
pub use quantity::QuantityError;
pub use time::{Span, Tick};
