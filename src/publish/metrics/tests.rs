//! Metrics of whole reports, in both formats.

use super::*;
use crate::model::{
    ActionCount, AlertKind, AlertState, AlertView, Condition, Evidence, HttpCounts, OwnUse, Psi,
    PsiLine,
};
use crate::testing::{sample_forecasts, sample_leak, sample_report};
use crate::units::CpuTime;

/// A report in which everything is known that a host can tell.
fn full_report() -> Report {
    let mut report = sample_report();
    report.version = "1.2.3".to_owned();
    for (component, forecasts) in report.components.iter_mut().zip(sample_forecasts()) {
        component.forecasts = forecasts;
        component.peaks = Resource::ALL.map(|resource| (resource, 1500)).into();
    }
    let psi = |usec| {
        let line = |total_usec| PsiLine { total_usec, avg10_centi: 0 };
        Some(Psi { some: line(usec), full: line(usec / 2) })
    };
    let load = &mut report.host.load;
    (load.cpu_psi, load.memory_psi, load.io_psi) = (psi(3_000_000), psi(20), psi(1));
    let home =
        &mut report.components.iter_mut().find(|one| !one.homes.is_empty()).unwrap().homes[0];
    (home.usage.cpu_psi, home.usage.memory_psi) = (psi(8_000_000), psi(4_500_001));
    (home.usage.cpu, home.usage.throttled) = (Some(CpuTime(61_000_000)), Some(CpuTime(90_000)));
    (home.usage.pids, home.usage.oom_kills) = (Some(17), Some(0));
    home.usage.io = Some(vec![crate::model::IoCount {
        device: crate::testing::DISK,
        rbytes: 4096,
        wbytes: 12_288,
        rios: 1,
        wios: 2,
    }]);
    report.estimate.components.get_mut("web").unwrap().leak = Some(sample_leak());
    let counts = SinkCounts { delivered: 5, failed: 1, lost: 2, waiting: 3 };
    report.sinks.insert("webhook".to_owned(), counts);
    let evidence = Evidence::Contested;
    report.alerts = ["web", "batch"]
        .map(|subject| AlertView {
            id: format!("drift/{subject}"),
            kind: AlertKind::Drift,
            subject: subject.to_owned(),
            severity: Level::Warning,
            state: AlertState::Firing,
            since: report.at,
            ended: None,
            silenced_until: None,
            flapping: false,
            evidence,
            text: evidence.text(subject),
        })
        .into();
    report.health.add(Condition::Degraded, "the last reload failed".to_owned());
    let own = &mut report.own;
    own.wall_secs = 1_700_000_000;
    own.used =
        OwnUse { cpu: CpuTime(1_234_567), resident: Some(Bytes::mebi(8)), descriptors: Some(31) };
    for span in [Span(400), Span::millis(2), Span::secs(7)] {
        own.looks.add(span);
    }
    own.lag = Span::millis(12);
    (own.cpu_limit, own.interval) = (Some(Millicpu(250)), Span::secs(2));
    own.http = HttpCounts { answered: 7, refused: 1, dropped: 2 };
    own.actions = vec![ActionCount {
        component: "web".to_owned(),
        resource: Some(Resource::Memory),
        action: "memory.high".to_owned(),
        result: "applied".to_owned(),
        count: 3,
    }];
    report
}

#[test]
fn the_older_format_reads_well() {
    insta::assert_snapshot!(text(&full_report(), Format::Text));
}

/// Both formats hold the same samples; what differs is how counters are described, and the end.
#[test]
fn openmetrics_has_the_same_samples_and_an_end() {
    let report = full_report();
    let (older, newer) = (text(&report, Format::Text), text(&report, Format::OpenMetrics));
    let samples = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect()
    };
    assert_eq!(samples(&older), samples(&newer));
    assert_eq!(newer.lines().last(), Some("# EOF"));
    assert!(newer.contains("# TYPE provost_drift counter\nprovost_drift_total "), "{newer}");
    assert!(older.contains("# TYPE provost_drift_total counter\n"));
    assert!(newer.contains("# TYPE provost_loop_duration_seconds histogram\n"));
}

#[test]
fn a_full_report_has_a_sample_of_nearly_every_metric() {
    let report = full_report();
    let missing: Vec<&str> = MetricName::ALL
        .into_iter()
        .filter(|name| samples(*name, &report).is_empty())
        .map(|name| name.describe().0)
        .collect();
    // Nothing was placed, probed, raised or written again in it, no file system fills, and no weeks were seen.
    let expected = [
        "provost_realtime_threads",
        "provost_placement_seconds",
        "provost_reload_reassert_seconds",
        "provost_filesystem_full_in_seconds",
        "provost_working_set_bytes",
        "provost_probed_bytes_total",
        "provost_component_ceiling_seconds",
        "provost_host_ceiling_seconds",
    ];
    assert_eq!(missing, expected);
}

#[test]
fn buckets_add_up() {
    let text = text(&full_report(), Format::Text);
    let samples: Vec<&str> =
        text.lines().filter(|line| line.starts_with("provost_loop_duration")).collect();
    insta::assert_snapshot!(samples.join("\n"));
}

#[test]
fn a_leak_has_its_samples_and_what_does_not_leak_one() {
    let mut report = sample_report();
    let web = report.estimate.components.get_mut("web").unwrap();
    web.leak = Some(sample_leak());
    let text = text(&report, Format::Text);
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
    let mut report = sample_report();
    for (component, forecasts) in report.components.iter_mut().zip(sample_forecasts()) {
        component.forecasts = forecasts;
    }
    let text = text(&report, Format::Text);
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
        assert!(name.starts_with("provost_") || name.starts_with("process_"), "{name}");
        assert_eq!(kind == MetricType::Counter, name.ends_with("_total"), "{name}");
        assert!(help.ends_with('.'), "{name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), MetricName::ALL.len());
}
