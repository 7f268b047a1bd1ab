//! provost
pub mod config;
pub mod cycle;
pub mod decide;
pub mod estimate;
pub mod model;
pub mod plan;
pub mod units;

#[cfg(test)]
mod testing;
