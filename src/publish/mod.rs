//! What provost says of itself to other programs: metrics from the status report, and health, over HTTP and as text.
//!
//! Reads no kernel and decides nothing. What it shows it was handed; nobody who asks can make the control loop do more than show what it
//! knows at its next look.

mod describe;
mod http;
mod metrics;
mod names;
mod shown;

pub use http::{Listener, serve};
pub use metrics::{Format, text as metrics_text};
pub use names::{HomeMetric, MetricName, MetricType, OwnMetric, PressureMetric};
pub use shown::{Showing, Shown, View, window};

#[cfg(test)]
mod shipped;
