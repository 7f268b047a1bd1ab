//! provost
pub mod cli;
pub mod config;
pub mod cycle;
pub mod decide;
pub mod enforce;
pub mod estimate;
pub mod kernel;
pub mod model;
pub mod observe;
pub mod plan;
pub mod publish;
pub mod serve;
pub mod units;

#[cfg(test)]
mod testing;
