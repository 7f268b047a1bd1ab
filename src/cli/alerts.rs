//! `provost alerts`: what is wrong, how grave it is and since when; and who knows of it.

use super::Printout;
use super::args::{AlertsVerb, Cli};
use super::ask::{done, said};
use super::fail::Failure;
use super::render::{COLUMNS, escape, wrap};
use super::status::fetch;
use crate::model::{AlertState, AlertView, Level, Report, SinkCounts};
use crate::serve::Request;
use crate::units::{Span, Tick};
use serde_json::json;

pub(super) fn alerts(cli: &Cli, verb: Option<&AlertsVerb>) -> Result<Printout, Failure> {
    let request = match verb {
        None => {
            let report = fetch(cli)?;
            return Ok(Printout::text(if cli.json { document(&report) } else { text(&report) }));
        }
        Some(AlertsVerb::Ack { id }) => Request::Acknowledge { id: id.clone() },
        Some(AlertsVerb::Silence { id, span }) => Request::Silence { id: id.clone(), span: *span },
    };
    done(cli, &request).map(|text| said(cli, "alerts", text))
}

fn text(report: &Report) -> String {
    let mut out = summary(&report.alerts).map_or_else(
        || "nothing is wrong, and nothing was within the last hour\n".to_owned(),
        |summary| format!("{summary}\n"),
    );
    for view in &report.alerts {
        out.push_str(&format!("\n{}\n", head(view, report.at)));
        for line in wrap(&escape(&view.text), COLUMNS - 2) {
            out.push_str(&format!("  {line}\n"));
        }
    }
    let told = |(name, counts): (&String, &SinkCounts)| {
        let SinkCounts { delivered, failed, lost, waiting } = counts;
        let more = [(failed, "given up"), (lost, "lost"), (waiting, "waiting")];
        let more = more.into_iter().filter(|(count, _)| **count > 0);
        let more: String = more.map(|(count, word)| format!(", {count} {word}")).collect();
        format!("{name} {delivered}{more}")
    };
    let told: Vec<String> = report.sinks.iter().map(told).collect();
    if !told.is_empty() {
        out.push_str(&format!("\ntold: {}\n", told.join("; ")));
    }
    out
}

/// How many are in each state, and the gravest that fires; none where there is no alert.
pub(super) fn summary(alerts: &[AlertView]) -> Option<String> {
    let of = |state: AlertState| alerts.iter().filter(move |view| view.state == state);
    let counted = AlertState::ALL.into_iter().filter_map(|state| {
        let count = of(state).count();
        let worst = of(state).map(|view| view.severity).max().unwrap_or_default();
        let graver = state == AlertState::Firing && worst > Level::Warning;
        let worst = if graver { format!(" (up to {worst})") } else { String::new() };
        (count > 0).then(|| format!("{count} {state}{worst}"))
    });
    let counted: Vec<String> = counted.collect();
    (!counted.is_empty()).then(|| counted.join(", "))
}

/// The name, how grave it is, and how it stands.
fn head(view: &AlertView, now: Tick) -> String {
    let mut words = format!("{} {} {}", escape(&view.id), view.severity, view.state);
    match view.ended {
        Some(ended) => words.push_str(&format!(
            " {} ago, after {}",
            whole(now.since(ended)),
            whole(ended.since(view.since))
        )),
        None => words.push_str(&format!(", for {}", whole(now.since(view.since)))),
    }
    if let Some(until) = view.silenced_until {
        words.push_str(&format!(", silenced for {} more", whole(until.since(now))));
    }
    if view.flapping {
        words.push_str(", comes and goes");
    }
    words
}

/// To a second: nobody reads more.
fn whole(span: Span) -> Span {
    Span::secs(span.0 / 1_000_000)
}

fn document(report: &Report) -> String {
    let document = json!({
        "schema": "provost/alerts/v1",
        "at": report.at,
        "alerts": report.alerts,
        "sinks": report.sinks,
    });
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AlertKind, Evidence, LimitOf, Resource};
    use crate::testing::{sample_leak, sample_report};
    use crate::units::Ppm;

    fn report() -> Report {
        let mut report = sample_report();
        let at = |before: u64| Tick(report.at.0 - before * 1_000_000);
        let view = |kind: AlertKind, subject: &str, state, evidence: Evidence| AlertView {
            id: format!("{kind}/{subject}"),
            kind,
            subject: subject.to_owned(),
            severity: Level::Warning,
            state,
            since: at(90),
            ended: None,
            silenced_until: None,
            flapping: false,
            evidence,
            text: evidence.text(subject),
        };
        let used = Evidence::Used { share: Some(Ppm::percent(96)) };
        let space = AlertView {
            severity: Level::Emergency,
            ..view(AlertKind::DiskSpace, "/srv", AlertState::Firing, used)
        };
        let leak = Evidence::Growth { leak: sample_leak() };
        let leak = view(AlertKind::Leak, "web", AlertState::Acknowledged, leak);
        let throttled = Evidence::Throttled { share: Ppm::percent(31), by: LimitOf::Ceiling };
        let throttled = AlertView {
            silenced_until: Some(report.at.plus(Span::secs(1800))),
            flapping: true,
            ..view(AlertKind::Throttled, "web", AlertState::Silenced, throttled)
        };
        let waits = Evidence::Waits { resource: Resource::Memory };
        let pressure = AlertView {
            ended: Some(at(30)),
            ..view(AlertKind::Pressure, "memory", AlertState::Resolved, waits)
        };
        report.alerts = vec![space, leak, throttled, pressure];
        let counts = SinkCounts { delivered: 4, failed: 1, lost: 0, waiting: 2 };
        report.sinks.insert("webhook".to_owned(), counts);
        report.sinks.insert("journal".to_owned(), SinkCounts { delivered: 7, ..counts });
        report.sinks.get_mut("journal").unwrap().failed = 0;
        report
    }

    #[test]
    fn alerts_read_well() {
        let none = sample_report();
        insta::assert_snapshot!(text(&none) + "----\n" + &text(&report()));
    }

    #[test]
    fn alerts_as_a_document() {
        insta::assert_snapshot!(document(&report()));
    }

    #[test]
    fn no_line_is_wider_than_a_hundred_columns() {
        let text = text(&report());
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    }
}
