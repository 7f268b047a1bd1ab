//! What provost itself costs, how it does, and what it did.

use super::{Sample, bare, labels, seconds, span_seconds};
use crate::model::{ActionCount, Condition, Durations, Report};
use crate::publish::names::OwnMetric;

/// The samples of one metric.
pub(super) fn samples(metric: OwnMetric, report: &Report) -> Vec<Sample> {
    let own = &report.own;
    let known = |value: Option<u64>| value.map(|value| bare(value.to_string())).unwrap_or_default();
    match metric {
        OwnMetric::HealthLevel => bare(level(report.health.condition).to_string()),
        OwnMetric::LoopDuration => histogram(&own.looks),
        OwnMetric::LoopLag => bare(span_seconds(own.lag)),
        OwnMetric::LastSuccess => bare(own.wall_secs.to_string()),
        OwnMetric::ReloadSuccess => bare(u8::from(own.reloaded).to_string()),
        OwnMetric::HttpRequests => [
            ("answered", own.http.answered),
            ("refused", own.http.refused),
            ("dropped", own.http.dropped),
        ]
        .map(|(result, count)| (labels(&[("result", result)]), count.to_string()))
        .into(),
        OwnMetric::ProcessCpu => bare(seconds(own.used.cpu.0)),
        OwnMetric::ProcessMemory => known(own.used.resident.map(|bytes| bytes.0)),
        OwnMetric::ProcessDescriptors => known(own.used.descriptors),
        OwnMetric::ProcessStart => {
            let up = report.at.since(report.started).0 / 1_000_000;
            bare(own.wall_secs.saturating_sub(up).to_string())
        }
    }
}

const fn level(condition: Condition) -> u8 {
    match condition {
        Condition::Healthy => 0,
        Condition::Degraded => 1,
        Condition::Failed => 2,
    }
}

/// Each bucket counts those below it too, as both formats want it.
fn histogram(durations: &Durations) -> Vec<Sample> {
    let mut below = 0;
    let mut samples = Vec::new();
    let infinite = "+Inf".to_owned();
    let bounds = Durations::BOUNDS.map(span_seconds).into_iter().chain([infinite]);
    for (count, bound) in durations.counts.iter().zip(bounds) {
        below += count;
        samples.push((format!("_bucket{}", labels(&[("le", &bound)])), below.to_string()));
    }
    samples.push(("_sum".to_owned(), span_seconds(durations.sum)));
    samples.push(("_count".to_owned(), below.to_string()));
    samples
}

/// What provost did. Without a component it was about a group above the components.
pub(super) fn actions(report: &Report) -> Vec<Sample> {
    let sample = |one: &ActionCount| {
        let who = [
            ("component", one.component.as_str()),
            ("resource", one.resource.map_or("", |resource| resource.word())),
            ("action", one.action.as_str()),
            ("result", one.result.as_str()),
        ];
        (labels(&who), one.count.to_string())
    };
    report.own.actions.iter().map(sample).collect()
}
