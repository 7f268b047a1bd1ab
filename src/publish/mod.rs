//! What provost says of itself: the status report that every surface shows, and metrics.
//!
//! Made from policy, snapshot and the cycle's news; reads nothing and writes nothing but the metrics text.

mod metrics;
mod names;
mod report;

pub use metrics::text as metrics_text;
pub use names::MetricName;
pub use report::{
    ActionLine, ComponentReport, Drift, HomeReport, HostReport, KnobReport, Report, ReportInput,
    report,
};
