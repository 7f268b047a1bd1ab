//! provost
pub mod units;
