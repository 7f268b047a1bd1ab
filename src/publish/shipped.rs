//! Whether what is shipped for Grafana and Prometheus names only metrics that there are.

use super::names::{MetricName, MetricType};
use serde_json::Value;
use std::collections::BTreeSet;

const DASHBOARD: &str = include_str!("../../config/dashboards/provost.json");
const RULES: &str = include_str!("../../config/alerts/provost.yml");

/// Everything in a text that looks like one of provost's metrics, or of its process.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("provost_") || word.starts_with("process_")).collect()
}

/// Of the names in a text those that no sample has.
fn unknown(text: &str) -> Vec<&str> {
    let is_known = |name: &str| {
        MetricName::ALL.into_iter().any(|metric| match metric.describe() {
            (metric, MetricType::Histogram, _) => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(metric)),
            (metric, MetricType::Gauge | MetricType::Counter | MetricType::Summary, _) => {
                name == metric
            }
        })
    };
    names(text).into_iter().filter(|name| !is_known(name)).collect()
}

#[test]
fn the_dashboard_and_the_rules_name_only_what_there_is() {
    assert_eq!(unknown(DASHBOARD), [""; 0]);
    assert_eq!(unknown(RULES), [""; 0]);
    assert!(names(DASHBOARD).len() > 20, "{:?}", names(DASHBOARD));
    assert!(names(RULES).len() > 8, "{:?}", names(RULES));
}

#[test]
fn a_name_that_is_none_is_caught() {
    let text = "rate(provost_cpu_usage_seconds_total[5m]) / provost_cpu_cores + provost_loop_duration_seconds";
    assert_eq!(unknown(text), ["provost_cpu_cores", "provost_loop_duration_seconds"]);
    assert_eq!(unknown("provost_loop_duration_seconds_bucket"), [""; 0]);
}

/// Every expression in a panel or a variable of the dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(ToOwned::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_panel_of_the_dashboard_asks_for_something() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "an id is taken twice: {panel}");
        if panel["type"] == "row" {
            continue;
        }
        let mut asked = Vec::new();
        expressions(panel, &mut asked);
        assert!(!asked.is_empty(), "{}", panel["title"]);
        assert!(asked.iter().all(|expr| !names(expr).is_empty()), "{asked:?}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
    }
    assert!(panels.len() > 15, "{}", panels.len());
}
