//! `provost export`: the configuration, statistics, series and decisions for other programs. Must not say anything that no verb says.

mod form;

use super::Printout;
use super::args::Cli;
use super::ask::with_capacity;
use super::fail::Failure;
use super::past::{Past, since, unreadable};
use super::statistics::{read, summary};
use crate::config::{Colour, entries, load, render};
use crate::model::{Event, EventOf, OutcomeOf, Resource};
use crate::record::{Period, Which, events};
use clap::{Args, ValueEnum};
use form::{Cell, Rows};

/// The unit in which a resource's amounts are.
const fn unit(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "millicores",
        Resource::Memory => "bytes",
        Resource::Io => "bytes_per_second",
        Resource::Pids => "tasks",
    }
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// What.
    pub(super) what: What,
    /// In which form: TOML is for the configuration, OpenMetrics for statistics and series, all others for everything.
    #[arg(long, value_name = "FORM", default_value = "json")]
    pub(super) output: Form,
    /// From then on: how long ago ("2h"), a time of the day ("14:00"), or a date and time ("2026-01-31 14:00").
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<Past>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// Every key in canonical form, as the files have it now.
    Configuration,
    /// Means, percentiles, peaks and what is usual, by component and resource.
    Statistics,
    /// What was used and waited for: each minute, and before that each hour.
    Series,
    /// Each limit that was changed, why, and what came of it.
    Decisions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// Comma-separated values with a line of names.
    Csv,
    /// TOML.
    Toml,
    /// The text format of OpenMetrics 1.0, with times.
    Openmetrics,
    /// SQL that makes and fills a table: provost export series --output sqlite | sqlite3 FILE.
    Sqlite,
}

pub(super) fn export(cli: &Cli, args: &ExportArgs) -> Result<Printout, Failure> {
    let form = if cli.json { Form::Json } else { args.output };
    let wrong = |what: &str| Failure::new(2, format!("{what}; try --output json"));
    match (args.what, form) {
        (What::Configuration, Form::Openmetrics) => {
            return Err(wrong("the configuration is no metric"));
        }
        (What::Decisions, Form::Openmetrics) => return Err(wrong("decisions are no metric")),
        (What::Statistics | What::Series | What::Decisions, Form::Toml) => {
            return Err(wrong("only the configuration is written as TOML"));
        }
        _ => {}
    }
    let rows = match args.what {
        What::Configuration => return configuration(cli, form),
        What::Statistics => statistics(cli, args.since)?,
        What::Series => series(cli, args.since)?,
        What::Decisions => decisions(cli, args.since)?,
    };
    Ok(Printout::text(rows.text(form)))
}

fn configuration(cli: &Cli, form: Form) -> Result<Printout, Failure> {
    let loaded = with_capacity(|capacity| load(&cli.sources(), capacity));
    let policy = loaded
        .map_err(|issues| {
            Failure::new(
                super::EXIT_BAD_CONFIG,
                format!("the configuration has errors:\n{}", render(&issues, Colour::Never)),
            )
        })?
        .policy;
    if form == Form::Toml {
        return Ok(Printout::text(crate::config::canonical_toml(&policy)));
    }
    let mut rows = Rows::new("configuration", ["component", "key", "value"]);
    for entry in entries(&policy) {
        let component = entry.component.map_or(Cell::Nothing, Cell::Text);
        rows.push([component, Cell::Text(entry.key), Cell::Text(entry.value)]);
    }
    Ok(Printout::text(rows.text(form)))
}

fn statistics(cli: &Cli, past: Option<Past>) -> Result<Rows, Failure> {
    let mut rows = Rows::new(
        "statistics",
        [
            "component",
            "resource",
            "unit",
            "mean",
            "p50",
            "p95",
            "p99",
            "peak",
            "usual_from",
            "usual_to",
            "last_hour",
            "deviation_percent",
        ],
    );
    for one in summary(cli, None, past)?.0.of {
        let (from, to) = one.usual.map_or((None, None), |(from, to)| (Some(from), Some(to)));
        rows.push([
            Cell::Text(one.component.to_string()),
            Cell::Text(one.resource.to_string()),
            Cell::Text(unit(one.resource).to_owned()),
            Cell::Number(one.mean),
            Cell::Number(one.p50),
            Cell::Number(one.p95),
            Cell::Number(one.p99),
            Cell::Number(one.peak),
            Cell::of(from),
            Cell::of(to),
            Cell::of(one.last_hour),
            one.deviation_percent.map_or(Cell::Nothing, Cell::Signed),
        ]);
    }
    Ok(rows)
}

/// Hours up to the first minute, and minutes from there on.
fn series(cli: &Cli, past: Option<Past>) -> Result<Rows, Failure> {
    let since = since(past);
    let ((minutes, _), (hours, _)) = (read(cli, Which::Minutes)?, read(cli, Which::Hours)?);
    let first = minutes.first().map_or(u64::MAX, |minute| minute.from_secs);
    let mut rows = Rows::new(
        "series",
        ["time", "seconds", "component", "resource", "unit", "mean", "most", "waited_ppm"],
    );
    let older = hours.iter().filter(|hour| hour.from_secs + 3600 <= first);
    for (period, seconds) in
        older.map(|hour| (hour, 3600)).chain(minutes.iter().map(|minute| (minute, 60)))
    {
        if period.from_secs >= since {
            add_period(&mut rows, period, seconds);
        }
    }
    Ok(rows)
}

fn add_period(rows: &mut Rows, period: &Period, seconds: u64) {
    for (name, component) in &period.components {
        for resource in Resource::ALL {
            let Some(used) = component.used.of(resource) else { continue };
            let waited = component.waited.of(resource).map(|waited| u64::from(waited.get()));
            rows.push([
                Cell::Number(period.from_secs),
                Cell::Number(seconds),
                Cell::Text(name.to_string()),
                Cell::Text(resource.to_string()),
                Cell::Text(unit(resource).to_owned()),
                Cell::Number(used.mean),
                Cell::Number(used.most),
                Cell::of(waited),
            ]);
        }
    }
}

fn decisions(cli: &Cli, past: Option<Past>) -> Result<Rows, Failure> {
    let since = since(past);
    let (found, _) = events(&cli.state_dir).map_err(|error| unreadable(cli, &error))?;
    let mut rows = Rows::new(
        "decisions",
        ["time", "component", "cgroup", "knob", "old", "new", "result", "reason"],
    );
    let fitting = found.into_iter().map(|(_, event)| event);
    for event in fitting.filter(|event| event.wall_secs >= since) {
        add_decision(&mut rows, event);
    }
    Ok(rows)
}

fn add_decision(rows: &mut Rows, event: Event) {
    let EventOf::Action { outcome, old, reason } = event.of else { return };
    let OutcomeOf::Knob { knob, asked, .. } = &outcome.of else { return };
    let text = |text: Option<String>| text.map_or(Cell::Nothing, Cell::Text);
    rows.push([
        Cell::Number(event.wall_secs),
        text(outcome.component.as_ref().map(ToString::to_string)),
        Cell::Text(outcome.path.to_string()),
        Cell::Text(knob.to_string()),
        text(old.map(|old| old.to_string())),
        Cell::Text(asked.to_string()),
        Cell::Text(outcome.result()),
        text(reason.map(|reason| reason.to_string())),
    ]);
}

#[cfg(test)]
mod tests;
