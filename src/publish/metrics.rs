//! The report in Prometheus' text format 0.0.4, for node_exporter's textfile collector and anything else that reads it.

use super::names::MetricName;
use crate::model::{
    ComponentEstimate, ComponentReport, FileSystemView, ForecastView, GrowthView, HomeReport, Knob,
    KnobKind, KnobReport, Leak, Level, ProbeView, Report, Resource, Room, Severity, ThreadOwner,
};
use crate::units::{Bytes, CgroupPath, ComponentName, Limit, Millicpu, Ppm, Span};
use std::fmt::Write as _;

/// The metrics text of one report.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for name in MetricName::ALL {
        let samples = samples(name, report);
        if samples.is_empty() {
            continue;
        }
        let (metric, kind, help) = name.describe();
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "# HELP {metric} {help}\n# TYPE {metric} {kind}");
        for (labels, value) in samples {
            let _ok = writeln!(text, "{metric}{labels} {value}");
        }
    }
    text
}

type Sample = (String, String);

fn samples(name: MetricName, report: &Report) -> Vec<Sample> {
    let bare = |value: String| vec![(String::new(), value)];
    match name {
        MetricName::BuildInfo => vec![(labels(&[("version", &report.version)]), "1".to_owned())],
        MetricName::Enforcing => bare(u8::from(report.enforcing).to_string()),
        MetricName::PlacedProcesses => bare(report.escape.placed.to_string()),
        MetricName::EscapedProcesses => bare(report.escape.escaped.to_string()),
        MetricName::PlacementSeconds => placement(report),
        MetricName::Drift => bare(report.drift.seen.to_string()),
        MetricName::ReloadReassertSeconds => report
            .drift
            .last_reload_to_reassert
            .map(|span| bare(span_seconds(span)))
            .unwrap_or_default(),
        MetricName::FilesystemUsedRatio => filesystems_used(report),
        MetricName::FilesystemAlertLevel => filesystem_alerts(report),
        MetricName::LeakAlertLevel => leak_alerts(report),
        MetricName::LeakGrowth => leaking(report, |leak| (leak.per_hour.0 / 3600).to_string()),
        MetricName::LeakLimitSeconds => leaking(report, |leak| span_seconds(leak.until_limit)),
        MetricName::WorkingSetBytes => probed(report, |view| view.working_set),
        MetricName::ProbedBytes => probed(report, |view| Some(view.given)),
        MetricName::Forecast(resource) => expected(report, resource),
        MetricName::ForecastConfidence => of_forecasts(report, |view| ratio(view.said.confidence)),
        MetricName::Unusual => {
            of_forecasts(report, |view| u8::from(view.unusual.is_some()).to_string())
        }
        MetricName::CeilingDays => ceiling_days(report),
        MetricName::HostCeilingDays => host_ceiling_days(report),
        MetricName::Findings => findings(report),
        MetricName::RealtimeThreads => realtime_threads(report),
        MetricName::ComponentInfo
        | MetricName::CpuUsageSeconds
        | MetricName::CpuThrottledSeconds
        | MetricName::CpuLimitCores
        | MetricName::CpuWeight
        | MetricName::MemoryUsageBytes
        | MetricName::MemoryLimitBytes
        | MetricName::Pids
        | MetricName::OomKills => per_home(name, report),
    }
}

fn per_home(name: MetricName, report: &Report) -> Vec<Sample> {
    let homes = report
        .components
        .iter()
        .flat_map(|component| component.homes.iter().map(move |home| (component, home)));
    homes.flat_map(|(component, home)| home_samples(name, component, home)).collect()
}

fn home_samples(name: MetricName, component: &ComponentReport, home: &HomeReport) -> Vec<Sample> {
    let path = home.path.to_string();
    let who = labels(&[("component", component.name.as_str()), ("cgroup", &path)]);
    let usage = &home.usage;
    let value = match name {
        MetricName::ComponentInfo => {
            let all = labels(&[
                ("component", component.name.as_str()),
                ("cgroup", &path),
                ("priority", component.priority.word()),
            ]);
            return vec![(all, "1".to_owned())];
        }
        MetricName::MemoryLimitBytes => return memory_limits(component, home),
        MetricName::CpuUsageSeconds => usage.cpu.map(|time| seconds(time.0)),
        MetricName::CpuThrottledSeconds => usage.throttled.map(|time| seconds(time.0)),
        MetricName::MemoryUsageBytes => usage.memory.map(|bytes| bytes.0.to_string()),
        MetricName::Pids => usage.pids.map(|count| count.to_string()),
        MetricName::OomKills => usage.oom_kills.map(|count| count.to_string()),
        MetricName::CpuWeight => match held(home, KnobKind::CpuWeight) {
            Some(Knob::CpuWeight(weight)) => Some(weight.get().to_string()),
            _ => None,
        },
        MetricName::CpuLimitCores => match held(home, KnobKind::CpuMax) {
            Some(Knob::CpuMax(max)) => max.rate().value().map(|rate| rate.to_string()),
            _ => None,
        },
        MetricName::BuildInfo
        | MetricName::Enforcing
        | MetricName::PlacedProcesses
        | MetricName::EscapedProcesses
        | MetricName::PlacementSeconds
        | MetricName::Drift
        | MetricName::ReloadReassertSeconds
        | MetricName::FilesystemUsedRatio
        | MetricName::FilesystemAlertLevel
        | MetricName::LeakAlertLevel
        | MetricName::LeakGrowth
        | MetricName::LeakLimitSeconds
        | MetricName::WorkingSetBytes
        | MetricName::ProbedBytes
        | MetricName::Forecast(_)
        | MetricName::ForecastConfidence
        | MetricName::Unusual
        | MetricName::CeilingDays
        | MetricName::HostCeilingDays
        | MetricName::RealtimeThreads
        | MetricName::Findings => None,
    };
    value.into_iter().map(|value| (who.clone(), value)).collect()
}

fn held(home: &HomeReport, kind: KnobKind) -> Option<&Knob> {
    let own = |knob: &&KnobReport| knob.at == home.path && knob.kind == kind;
    home.knobs.iter().find(own).and_then(|knob| knob.seen.as_ref())
}

fn memory_limits(component: &ComponentReport, home: &HomeReport) -> Vec<Sample> {
    let path: &CgroupPath = &home.path;
    let mut samples = Vec::new();
    for (kind, word) in [
        (KnobKind::MemoryMin, "min"),
        (KnobKind::MemoryLow, "low"),
        (KnobKind::MemoryHigh, "high"),
        (KnobKind::MemoryMax, "max"),
    ] {
        let Some(
            Knob::MemoryMin(Limit::At(bytes))
            | Knob::MemoryLow(Limit::At(bytes))
            | Knob::MemoryHigh(Limit::At(bytes))
            | Knob::MemoryMax(Limit::At(bytes)),
        ) = held(home, kind)
        else {
            continue;
        };
        let who = labels(&[
            ("component", component.name.as_str()),
            ("cgroup", &path.to_string()),
            ("kind", word),
        ]);
        samples.push((who, bytes.0.to_string()));
    }
    samples
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
            let value = match resource {
                Resource::Cpu => Millicpu(amount).to_string(),
                Resource::Memory | Resource::Io | Resource::Pids => amount.to_string(),
            };
            samples.push((who, value));
        }
    }
    samples
}

/// One sample for each forecast.
fn of_forecasts(report: &Report, value: impl Fn(&ForecastView) -> String) -> Vec<Sample> {
    let of = |component: &ComponentReport| {
        let sample = |(resource, view): (&Resource, &ForecastView)| {
            let who = [("component", component.name.as_str()), ("resource", resource.word())];
            (labels(&who), value(view))
        };
        component.forecasts.iter().map(sample).collect::<Vec<_>>()
    };
    report.components.iter().flat_map(of).collect()
}

fn ceiling_days(report: &Report) -> Vec<Sample> {
    let of = |component: &ComponentReport| {
        let sample = |(resource, view): (&Resource, &GrowthView)| {
            let who = [("component", component.name.as_str()), ("resource", resource.word())];
            Some((labels(&who), view.reached?.days.to_string()))
        };
        component.growth.iter().filter_map(sample).collect::<Vec<_>>()
    };
    report.components.iter().flat_map(of).collect()
}

fn host_ceiling_days(report: &Report) -> Vec<Sample> {
    let sample = |(resource, view): (&Resource, &GrowthView)| {
        Some((labels(&[("resource", resource.word())]), view.reached?.days.to_string()))
    };
    report.host.growth.iter().filter_map(sample).collect()
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
mod tests {
    use super::*;

    #[test]
    fn a_leak_has_its_samples_and_what_does_not_leak_one() {
        let mut report = crate::testing::sample_report();
        let web = report.estimate.components.get_mut("web").unwrap();
        web.leak = Some(crate::testing::sample_leak());
        let text = text(&report);
        let samples: Vec<&str> =
            text.lines().filter(|line| line.starts_with("provost_leak_")).collect();
        assert_eq!(
            samples,
            [
                "provost_leak_alert_level{component=\"batch\"} 0",
                "provost_leak_alert_level{component=\"web\"} 1",
                "provost_leak_growth_bytes_per_second{component=\"web\"} 18058",
                "provost_leak_limit_seconds{component=\"web\"} 18813.000000",
            ]
        );
    }

    #[test]
    fn forecasts_have_their_samples_in_base_units() {
        let mut report = crate::testing::sample_report();
        for (component, forecasts) in
            report.components.iter_mut().zip(crate::testing::sample_forecasts())
        {
            component.forecasts = forecasts;
        }
        let text = text(&report);
        let samples: Vec<&str> =
            text.lines().filter(|line| line.starts_with("provost_forecast_")).collect();
        insta::assert_snapshot!(samples.join("\n"));
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(labels(&[("cgroup", "a\"b\\c\nd")]), "{cgroup=\"a\\\"b\\\\c\\nd\"}");
    }

    #[test]
    fn times_are_seconds_with_six_decimals() {
        assert_eq!(seconds(1_500_000), "1.500000");
    }

    #[test]
    fn names_are_unique_and_follow_the_rules() {
        let mut names: Vec<&str> = MetricName::ALL.iter().map(|name| name.describe().0).collect();
        for (name, kind, help) in MetricName::ALL.map(MetricName::describe) {
            assert!(name.starts_with("provost_"), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(help.ends_with('.'), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MetricName::ALL.len());
    }
}
