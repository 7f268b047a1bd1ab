//! What the numbers mean: rates from counters, and whose the values in the kernel are.
//!
//! Pure: no clock, no I/O. Window states belong to [`crate::cycle::State`].

mod estimator;
mod ownership;
mod rates;

pub use estimator::Estimator;
pub use ownership::{Ownership, Record, Standing, standing};
pub use rates::Rates;
