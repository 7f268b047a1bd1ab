//! What provost says of itself to other programs: metrics, from the status report.
//!
//! Reads nothing and writes nothing but text.

mod metrics;
mod names;

pub use metrics::text as metrics_text;
pub use names::MetricName;
