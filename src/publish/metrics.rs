//! The report in the two text formats that Prometheus reads: the older one, 0.0.4, which node_exporter's textfile collector reads too, and
//! OpenMetrics 1.0.

mod homes;
mod own;
mod pressure;

use super::names::MetricName;
use super::names::MetricType;
use crate::model::{
    ComponentEstimate, ComponentReport, FileSystemView, ForecastView, GrowthView, Leak, Level,
    ProbeView, Report, Resource, Room, Severity, SinkCounts, ThreadOwner,
};
use crate::units::{Bytes, ComponentName, Millicpu, Ppm, Span};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The metrics text of one report.
#[must_use]
pub fn text(report: &Report, format: Format) -> String {
    let mut text = String::new();
    for name in MetricName::ALL {
        let samples = samples(name, report);
        if samples.is_empty() {
            continue;
        }
        let (metric, kind, help) = name.describe();
        let family = family(metric, kind, format);
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "# HELP {family} {help}\n# TYPE {family} {}", kind.word());
        for (labels, value) in samples {
            let _ok = writeln!(text, "{metric}{labels} {value}");
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// What the samples are described under: OpenMetrics leaves out what makes a name a counter's.
fn family(metric: &'static str, kind: MetricType, format: Format) -> &'static str {
    match (format, kind) {
        (Format::OpenMetrics, MetricType::Counter) => {
            metric.strip_suffix("_total").unwrap_or(metric)
        }
        (Format::OpenMetrics | Format::Text, _) => metric,
    }
}

/// What follows a metric's name, its labels and of a histogram what they are labels of; and the value.
type Sample = (String, String);

fn samples(name: MetricName, report: &Report) -> Vec<Sample> {
    match name {
        MetricName::BuildInfo => vec![(labels(&[("version", &report.version)]), "1".to_owned())],
        MetricName::Enforcing => bare(u8::from(report.enforcing).to_string()),
        MetricName::Home(metric) => homes::samples(metric, report),
        MetricName::Pressure(metric) => pressure::samples(metric, report),
        MetricName::PressureLevel => pressure_levels(report),
        MetricName::Peak(resource) => peaks(report, resource),
        MetricName::ReservationCores => {
            reserved(report, report.host.cpu_reserve.to_string(), |component| {
                component.cpu_guarantee.to_string()
            })
        }
        MetricName::ReservationBytes => {
            reserved(report, report.host.memory_reserve.0.to_string(), |component| {
                component.memory_guarantee.0.to_string()
            })
        }
        MetricName::PlacedProcesses => bare(report.escape.placed.to_string()),
        MetricName::EscapedProcesses => bare(report.escape.escaped.to_string()),
        MetricName::PlacementSeconds => placement(report),
        MetricName::Actions => own::actions(report),
        MetricName::Drift => bare(report.drift.seen.to_string()),
        MetricName::ReloadReassertSeconds => report
            .drift
            .last_reload_to_reassert
            .map(|span| bare(span_seconds(span)))
            .unwrap_or_default(),
        MetricName::FilesystemUsedRatio => filesystems_used(report),
        MetricName::FilesystemAlertLevel => filesystem_alerts(report),
        MetricName::FilesystemFullInSeconds => filesystems_full(report),
        MetricName::LeakAlertLevel => leak_alerts(report),
        MetricName::LeakGrowth => leaking(report, |leak| (leak.per_hour.0 / 3600).to_string()),
        MetricName::LeakLimitSeconds => leaking(report, |leak| span_seconds(leak.until_limit)),
        MetricName::WorkingSetBytes => probed(report, |view| view.working_set),
        MetricName::ProbedBytes => probed(report, |view| Some(view.given)),
        MetricName::Forecast(resource) => expected(report, resource),
        MetricName::ForecastConfidence => {
            of_forecasts(report, |view| Some(ratio(view.said.confidence)))
        }
        MetricName::ForecastError => {
            of_forecasts(report, |view| Some(ratio(view.said.coverage?.rest())))
        }
        MetricName::Unusual => {
            of_forecasts(report, |view| Some(u8::from(view.unusual.is_some()).to_string()))
        }
        MetricName::CeilingSeconds => ceilings(report),
        MetricName::HostCeilingSeconds => host_ceilings(report),
        MetricName::Findings => findings(report),
        MetricName::Alerts => alerts(report),
        MetricName::AlertNotifications => notifications(report),
        MetricName::RealtimeThreads => realtime_threads(report),
        MetricName::Own(metric) => own::samples(metric, report),
    }
}

/// The one sample of what has no labels.
fn bare(value: String) -> Vec<Sample> {
    vec![(String::new(), value)]
}

fn pressure_levels(report: &Report) -> Vec<Sample> {
    let sample = |(resource, view): (&Resource, &crate::model::LevelView)| {
        (labels(&[("resource", resource.word())]), number(view.level).to_string())
    };
    report.estimate.levels.iter().map(sample).collect()
}

fn peaks(report: &Report, resource: Resource) -> Vec<Sample> {
    let sample = |component: &ComponentReport| {
        let most = component.peaks.get(&resource)?;
        Some((labels(&[("component", component.name.as_str())]), amount(resource, *most)))
    };
    report.components.iter().filter_map(sample).collect()
}

/// What the host keeps back, then what each component is guaranteed.
fn reserved(report: &Report, host: String, of: impl Fn(&ComponentReport) -> String) -> Vec<Sample> {
    let sample = |component: &ComponentReport| {
        (labels(&[("component", component.name.as_str())]), of(component))
    };
    bare(host).into_iter().chain(report.components.iter().map(sample)).collect()
}

/// An amount of a resource in the base unit of its metrics.
fn amount(resource: Resource, amount: u64) -> String {
    match resource {
        Resource::Cpu => Millicpu(amount).to_string(),
        Resource::Memory | Resource::Io | Resource::Pids => amount.to_string(),
    }
}

fn placement(report: &Report) -> Vec<Sample> {
    let quantile = |word: &str, span: Option<Span>| {
        span.map(|span| (labels(&[("quantile", word)]), span_seconds(span)))
    };
    [
        quantile("0.5", report.escape.median),
        quantile("0.99", report.escape.p99),
        quantile("1", report.escape.longest),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Of every component of class `realtime`, so that an end is seen as well.
fn realtime_threads(report: &Report) -> Vec<Sample> {
    let sample = |component: &ComponentReport| {
        let threads = &component.realtime.as_ref()?.threads;
        let raised = threads.iter().filter(|thread| thread.whose == ThreadOwner::Provost).count();
        Some((labels(&[("component", component.name.as_str())]), raised.to_string()))
    };
    report.components.iter().filter_map(sample).collect()
}

/// Without those that do not answer: a missing sample is better than an old one.
fn filesystems_used(report: &Report) -> Vec<Sample> {
    let mut samples = Vec::new();
    for view in &report.estimate.filesystems {
        let Room::Known { used, inodes, .. } = view.seen.room else { continue };
        for (of, share) in [("space", used), ("inodes", inodes)] {
            let Some(share) = share else { continue };
            let who = labels(&[("mountpoint", &view.seen.at), ("of", of)]);
            samples.push((who, ratio(share)));
        }
    }
    samples
}

fn filesystem_alerts(report: &Report) -> Vec<Sample> {
    let sample = |view: &FileSystemView| {
        (labels(&[("mountpoint", &view.seen.at)]), number(view.alert).to_string())
    };
    report.estimate.filesystems.iter().map(sample).collect()
}

fn filesystems_full(report: &Report) -> Vec<Sample> {
    let sample = |view: &FileSystemView| {
        Some((labels(&[("mountpoint", &view.seen.at)]), seconds(view.fills?.likely.0)))
    };
    report.estimate.filesystems.iter().filter_map(sample).collect()
}

const fn number(level: Level) -> u8 {
    match level {
        Level::Normal => 0,
        Level::Warning => 1,
        Level::Critical => 2,
        Level::Emergency => 3,
    }
}

/// Of every component that has a home, so that an end is seen as well.
fn leak_alerts(report: &Report) -> Vec<Sample> {
    let sample = |(name, estimate): (&ComponentName, &ComponentEstimate)| {
        let alert = estimate.leak.map_or(Level::Normal, |leak| leak.tier.alert());
        (labels(&[("component", name.as_str())]), number(alert).to_string())
    };
    report.estimate.components.iter().map(sample).collect()
}

fn leaking(report: &Report, value: impl Fn(&Leak) -> String) -> Vec<Sample> {
    let sample = |(name, estimate): (&ComponentName, &ComponentEstimate)| {
        Some((labels(&[("component", name.as_str())]), value(estimate.leak.as_ref()?)))
    };
    report.estimate.components.iter().filter_map(sample).collect()
}

fn probed(report: &Report, value: impl Fn(&ProbeView) -> Option<Bytes>) -> Vec<Sample> {
    let sample = |component: &ComponentReport| {
        let bytes = value(component.probe.as_ref()?)?;
        Some((labels(&[("component", component.name.as_str())]), bytes.0.to_string()))
    };
    report.components.iter().filter_map(sample).collect()
}

/// What is expected of every component that has a forecast: the likely amount, and its upper bound.
fn expected(report: &Report, resource: Resource) -> Vec<Sample> {
    let mut samples = Vec::new();
    for component in &report.components {
        let Some(view) = component.forecasts.get(&resource) else { continue };
        for (kind, amount) in [("point", view.said.point), ("upper", view.said.upper)] {
            let who = labels(&[("component", component.name.as_str()), ("kind", kind)]);
            samples.push((who, self::amount(resource, amount)));
        }
    }
    samples
}

/// One sample for each forecast of which there is something to say.
fn of_forecasts(report: &Report, value: impl Fn(&ForecastView) -> Option<String>) -> Vec<Sample> {
    let of = |component: &ComponentReport| {
        let sample = |(resource, view): (&Resource, &ForecastView)| {
            let who = [("component", component.name.as_str()), ("resource", resource.word())];
            Some((labels(&who), value(view)?))
        };
        component.forecasts.iter().filter_map(sample).collect::<Vec<_>>()
    };
    report.components.iter().flat_map(of).collect()
}

fn ceilings(report: &Report) -> Vec<Sample> {
    let of = |component: &ComponentReport| {
        let sample = |(resource, view): (&Resource, &GrowthView)| {
            let who = [("component", component.name.as_str()), ("resource", resource.word())];
            Some((labels(&who), seconds_of_days(view.reached?.days)))
        };
        component.growth.iter().filter_map(sample).collect::<Vec<_>>()
    };
    report.components.iter().flat_map(of).collect()
}

fn host_ceilings(report: &Report) -> Vec<Sample> {
    let sample = |(resource, view): (&Resource, &GrowthView)| {
        Some((labels(&[("resource", resource.word())]), seconds_of_days(view.reached?.days)))
    };
    report.host.growth.iter().filter_map(sample).collect()
}

fn seconds_of_days(days: u64) -> String {
    days.saturating_mul(86_400).to_string()
}

fn ratio(share: Ppm) -> String {
    let millionths = share.get();
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}

fn findings(report: &Report) -> Vec<Sample> {
    [(Severity::Info, "info"), (Severity::Warning, "warning"), (Severity::Error, "error")]
        .into_iter()
        .map(|(severity, word)| {
            let count =
                report.findings.iter().filter(|finding| finding.severity == severity).count();
            (labels(&[("severity", word)]), count.to_string())
        })
        .collect()
}

/// How many alerts are alike; what is in no state that is left has no sample.
fn alerts(report: &Report) -> Vec<Sample> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for view in &report.alerts {
        let who = [
            ("kind", view.kind.word()),
            ("severity", view.severity.word()),
            ("state", view.state.word()),
        ];
        *counts.entry(labels(&who)).or_default() += 1;
    }
    counts.into_iter().map(|(who, count)| (who, count.to_string())).collect()
}

fn notifications(report: &Report) -> Vec<Sample> {
    let each = |(sink, counts): (&String, &SinkCounts)| {
        let results =
            [("delivered", counts.delivered), ("failed", counts.failed), ("lost", counts.lost)];
        results.map(|(result, count)| {
            (labels(&[("sink", sink), ("result", result)]), count.to_string())
        })
    };
    report.sinks.iter().flat_map(each).collect()
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn span_seconds(span: Span) -> String {
    seconds(span.0)
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped =
        |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests;
