//! provost
pub mod cli;
pub mod config;
pub mod kernel;
pub mod model;
pub mod units;
