//! What provost says of itself to other programs: metrics from the status report, and health, over HTTP and as text.
//!
//! Reads no kernel and decides nothing. What it shows it was handed; nobody who asks can make the control loop do more than show what it
//! knows at its next look.

mod describe;
mod foreign;
mod http;
mod metrics;
mod names;
mod page;
mod pages;
mod shown;
mod statistics;
mod webhook;

pub use foreign::{escape, inert, push_markup};
pub use http::{Listener, Served, serve};
pub use metrics::{Format, text as metrics_text};
pub use names::{HomeMetric, MetricName, MetricType, OwnMetric, PressureMetric};
pub use page::{Page, Recorded, Styled, shown_at};
pub use pages::{Pages, recorded};
pub use shown::{Showing, Shown, View, window};
pub use statistics::{Statistics, Summary};
pub use webhook::{PostError, post};

#[cfg(test)]
mod shipped;
