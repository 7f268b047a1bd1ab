//! What the numbers mean: levels, needs, bottlenecks and forecasts from counters, and whose the values in the kernel are.
//!
//! Pure: no clock, no I/O. Window states belong to [`crate::cycle::State`].

mod bottleneck;
mod demand;
mod disks;
mod estimator;
mod filling;
pub mod forecast;
mod foresight;
mod growth;
mod host;
mod leak;
#[cfg(test)]
mod noise;
mod ownership;
mod peaks;
mod pressure;
mod prospects;
mod rates;
mod signals;
mod smooth;
mod space;
mod statistics;
mod threads;
mod usual;

pub use estimator::Estimator;
pub use foresight::{Foresight, MOST_COMPONENTS, Unusable};
pub use ownership::{Ownership, Record, Standing, standing};
pub use peaks::Peaks;
pub use prospects::Prospects;
pub use rates::Rates;
pub use threads::{RaisedThread, RaisedThreads, RefusedThread};
