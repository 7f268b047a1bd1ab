//! What every parser of bytes from outside must hold, whatever the bytes: one function for each family of parsers.
//!
//! The functions are the bodies of the fuzz targets (`scripts/fuzz`) and of the tests here, which run them on the seeds, on what
//! proptest makes up, and on the seeds cut and repeated. They end in a failed assertion or return. Compiled for tests and fuzzing only.

mod config;
mod journal;
mod kernel;
mod knobs;
mod learnt;
mod quantities;
mod recording;
mod requests;
mod series;
#[cfg(test)]
mod tests;

pub use config::config;
pub use journal::journal;
pub use kernel::{frames, kernel};
pub use knobs::{knobs, properties};
pub use learnt::learnt;
pub use quantities::quantities;
pub use recording::recording;
pub use requests::requests;
pub use series::series;

/// A check returns or ends in a failed assertion.
pub type Check = fn(&[u8]);

/// Every check by the name of its fuzz target and of its seeds' folder.
pub const CHECKS: [(&str, Check); 11] = [
    ("config", config),
    ("frames", frames),
    ("journal", journal),
    ("kernel", kernel),
    ("knobs", knobs),
    ("learnt", learnt),
    ("properties", properties),
    ("quantities", quantities),
    ("recording", recording),
    ("requests", requests),
    ("series", series),
];
