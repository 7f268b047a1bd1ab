//! `provost history --statistics`: what was used, from the recorded minutes and hours. Must not read anything else; the arithmetic is
//! `publish::Summary`'s.

use super::Printout;
use super::args::Cli;
use super::fail::{EXIT_NO_COMPONENT, Failure};
use super::forecast::units;
use super::past::{Past, missing, moment, since, unreadable};
use super::render::{COLUMNS, Column, Table, paragraph};
use crate::kernel::clock;
use crate::model::{Each, Level, Resource};
use crate::publish::{Statistics, Summary};
use crate::record::{AtLevels, Lost, Period, Which, periods};
use crate::units::ComponentName;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LEGEND: &str = "MEAN, P50, P95 and P99 are of the means of minutes, or of hours where the time is longer than the recorded minutes; PEAK is the most at \
                      one look. USUAL is what this hour of the week had in the weeks before, NOW how far the last hour lies beyond that.";

pub(super) fn statistics(
    cli: &Cli,
    component: Option<&ComponentName>,
    past: Option<Past>,
) -> Result<Printout, Failure> {
    let (summary, lost) = summary(cli, component, past)?;
    Ok(Printout::text(if cli.json {
        document(&summary, lost)
    } else {
        text(&summary, lost, &TimeZone::system())
    }))
}

/// What the recording says of a component, or of all.
pub(super) fn summary(
    cli: &Cli,
    component: Option<&ComponentName>,
    past: Option<Past>,
) -> Result<(Summary, Lost), Failure> {
    let ((minutes, lost), (hours, _)) = (read(cli, Which::Minutes)?, read(cli, Which::Hours)?);
    if minutes.is_empty() && hours.is_empty() {
        let text = "no minute is recorded yet; the first one is when it is over";
        return Err(Failure::new(1, text.to_owned()));
    }
    let mut summary = Summary::of(&minutes, &hours, since(past), clock::wall_secs());
    if let Some(name) = component {
        summary.of.retain(|one| one.component == *name);
        if summary.of.is_empty() {
            let text = format!("nothing is recorded of a component \"{name}\" in that time");
            return Err(Failure::new(EXIT_NO_COMPONENT, text));
        }
    }
    Ok((summary, lost))
}

/// Recorded minutes or hours; none before the first is over.
pub(super) fn read(cli: &Cli, which: Which) -> Result<(Vec<Period>, Lost), Failure> {
    match periods(&cli.state_dir, which) {
        Err(error) if error.is_missing() => Ok((Vec::new(), Lost::default())),
        read => read.map_err(|error| unreadable(cli, &error)),
    }
}

fn json(one: &Statistics) -> Value {
    json!({
        "component": one.component, "resource": one.resource, "mean": one.mean, "p50": one.p50, "p95": one.p95, "p99": one.p99,
        "peak": one.peak, "usual": one.usual, "last_hour": one.last_hour, "deviation_percent": one.deviation_percent,
    })
}

fn document(summary: &Summary, lost: Lost) -> String {
    let components: Vec<Value> = summary.of.iter().map(json).collect();
    let levels: BTreeMap<Resource, AtLevels> = Resource::ALL
        .into_iter()
        .map(|resource| (resource, *summary.levels.of(resource)))
        .collect();
    let document = json!({
        "schema": "provost/statistics/v1", "from": summary.from_secs, "seen_seconds": summary.seen_secs,
        "values": if summary.by == Which::Minutes { "minutes" } else { "hours" },
        "units": units(), "components": components, "seconds_at_level": levels, "lost": lost.words(),
    });
    format!("{document:#}\n")
}

fn text(summary: &Summary, lost: Lost, zone: &TimeZone) -> String {
    let mut table = Table::new([
        Column::left("COMPONENT"),
        Column::left("OF"),
        Column::right("MEAN"),
        Column::right("P50").rank(1),
        Column::right("P95"),
        Column::right("P99").rank(1),
        Column::right("PEAK"),
        Column::right("USUAL"),
        Column::right("NOW"),
    ]);
    for one in &summary.of {
        let amount = |amount| one.resource.amount(amount);
        table.row([
            one.component.to_string(),
            one.resource.to_string(),
            amount(one.mean),
            amount(one.p50),
            amount(one.p95),
            amount(one.p99),
            amount(one.peak),
            one.usual.map_or_else(
                || "-".to_owned(),
                |(least, most)| format!("{} to {}", amount(least), amount(most)),
            ),
            match one.deviation_percent {
                None => "-".to_owned(),
                Some(0) => "usual".to_owned(),
                Some(percent) => format!("{percent:+}%"),
            },
        ]);
    }
    let from = moment(summary.from_secs, zone);
    let by = if summary.by == Which::Minutes { "minutes" } else { "hours" };
    let seen = crate::units::Span::secs(summary.seen_secs);
    let mut out = format!("since {from}, {seen} seen, by {by}\n\n{}", table.render(COLUMNS));
    out.push('\n');
    out.push_str(&levels_text(&summary.levels));
    out.push('\n');
    out + &paragraph(LEGEND) + &missing(lost)
}

/// How long each resource was at each level.
fn levels_text(levels: &Each<AtLevels>) -> String {
    let mut table = Table::new([
        Column::left("TIME AT LEVEL"),
        Column::right("NORMAL"),
        Column::right("WARNING"),
        Column::right("CRITICAL"),
        Column::right("EMERGENCY"),
    ]);
    for resource in Resource::ALL {
        let at = |level| crate::units::Span::secs(levels.of(resource).of(level)).to_string();
        let [normal, warning, critical, emergency] = Level::ALL.map(at);
        table.row([resource.to_string(), normal, warning, critical, emergency]);
    }
    table.render(COLUMNS)
}

#[cfg(test)]
mod tests;
