//! `provost history` and `provost events`: what happened, whether the daemon runs or not.

use super::Printout;
use super::args::Cli;
use super::fail::{EXIT_NO_COMPONENT, Failure};
use super::past::{Past, missing, moment, since, unreadable};
use super::render::{COLUMNS, escape, wrap};
use super::{reach, statistics};
use crate::kernel::clock;
use crate::model::{Event, EventOf, Knob, Outcome, OutcomeOf};
use crate::record::{Lost, events, events_stamp};
use crate::units::ComponentName;
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How often is looked for more.
const FOLLOWED_EVERY: Duration = Duration::from_millis(500);

// Which part of what happened. No doc comment: clap would take it for the verb's own.
#[derive(Debug, Args)]
pub(super) struct Scope {
    /// Of this component alone.
    #[arg(long, value_name = "COMPONENT")]
    pub(super) component: Option<ComponentName>,
    /// From then on: how long ago ("2h"), a time of the day ("14:00"), or a date and time ("2026-01-31 14:00").
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<Past>,
    /// At most so many, the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(super) limit: usize,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    pub(super) scope: Scope,
    /// Instead of the changes, what was used: means, percentiles, peaks, what is usual at this hour of the week, time at each level.
    #[arg(long)]
    pub(super) statistics: bool,
    /// Instead of the changes, how far back each part of the recording goes.
    #[arg(long, conflicts_with_all = ["statistics", "component", "since", "limit"])]
    pub(super) reach: bool,
}

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Print what happens from now on, until interrupted.
    #[arg(short, long)]
    pub(super) follow: bool,
    #[command(flatten)]
    pub(super) scope: Scope,
}

/// What is asked for.
#[derive(Debug)]
struct Wanted<'a> {
    component: Option<&'a ComponentName>,
    since: u64,
    limit: usize,
    allocations_only: bool,
}

impl Wanted<'_> {
    fn fits(&self, event: &Event) -> bool {
        event.wall_secs >= self.since
            && (!self.allocations_only || event.is_allocation())
            && self.component.is_none_or(|name| event.component() == Some(name))
    }

    /// The newest that fit, and how many older ones do.
    fn of(&self, found: Vec<Event>) -> (Vec<Event>, usize) {
        let mut fitting: Vec<Event> = found.into_iter().filter(|event| self.fits(event)).collect();
        let more = fitting.len().saturating_sub(self.limit);
        fitting.drain(..more);
        (fitting, more)
    }
}

pub(super) fn history(cli: &Cli, args: &HistoryArgs) -> Result<Printout, Failure> {
    if args.reach {
        return reach::reach(cli);
    }
    if args.statistics {
        return statistics::statistics(cli, args.scope.component.as_ref(), args.scope.since);
    }
    let wanted = Wanted {
        component: args.scope.component.as_ref(),
        since: since(args.scope.since),
        limit: args.scope.limit,
        allocations_only: true,
    };
    let (found, lost) = read(cli, wanted.component)?;
    let (found, more) = wanted.of(found);
    Ok(Printout::text(if cli.json {
        document("history", &found, lost)
    } else {
        text(&found, more, ("no limit was changed", lost), &TimeZone::system())
    }))
}

pub(super) fn tell(cli: &Cli, args: &EventsArgs) -> Result<Printout, Failure> {
    let wanted = Wanted {
        component: args.scope.component.as_ref(),
        since: since(args.scope.since),
        limit: args.scope.limit,
        allocations_only: false,
    };
    if args.follow {
        return follow(cli, &wanted);
    }
    let (found, lost) = read(cli, wanted.component)?;
    let (found, more) = wanted.of(found);
    Ok(Printout::text(if cli.json {
        document("events", &found, lost)
    } else {
        text(&found, more, ("nothing happened", lost), &TimeZone::system())
    }))
}

/// What happened, of a component that was ever told of if one is named.
fn read(cli: &Cli, component: Option<&ComponentName>) -> Result<(Vec<Event>, Lost), Failure> {
    let (found, lost) = events(&cli.state_dir).map_err(|error| unreadable(cli, &error))?;
    let found: Vec<Event> = found.into_iter().map(|(_, event)| event).collect();
    let is_known =
        component.is_none_or(|name| found.iter().any(|event| event.component() == Some(name)));
    if let Some(name) = component.filter(|_| !is_known) {
        let text = format!("nothing is recorded of a component \"{name}\"");
        return Err(Failure::new(EXIT_NO_COMPONENT, text));
    }
    Ok((found, lost))
}

/// Prints what comes, one line each, until nobody reads any more.
#[expect(
    clippy::disallowed_methods,
    reason = "a command that waits for what others do has nothing else to do"
)]
fn follow(cli: &Cli, wanted: &Wanted<'_>) -> Result<Printout, Failure> {
    let zone = TimeZone::system();
    // A daemon that has not recorded anything yet is waited for.
    let mut last = newest(&cli.state_dir);
    let mut seen = None;
    loop {
        let changed = events_stamp(&cli.state_dir);
        if changed != seen {
            seen = changed;
            let (found, _) = events(&cli.state_dir).unwrap_or_default();
            let newer = found.iter().filter(|(number, _)| last.is_none_or(|last| *number > last));
            let lines: String = newer
                .filter(|(_, event)| wanted.fits(event))
                .map(|(_, event)| if cli.json { one_line(event) } else { line(event, &zone) })
                .collect();
            if Printout::text(lines).print_on().is_err() {
                return Ok(Printout::text(String::new()));
            }
            last = found.iter().map(|(number, _)| *number).max().or(last);
        }
        std::thread::sleep(FOLLOWED_EVERY);
    }
}

/// The number of the newest record.
fn newest(state: &Path) -> Option<u64> {
    let (found, _) = events(state).ok()?;
    found.into_iter().map(|(number, _)| number).max()
}

fn one_line(event: &Event) -> String {
    serde_json::to_string(event).map_or_else(|_| String::new(), |line| line + "\n")
}

fn document(verb: &str, found: &[Event], lost: Lost) -> String {
    let document: Value = json!({
        "schema": format!("provost/{verb}/v1"), "at": clock::wall_secs(), "events": found, "lost": lost.words(),
    });
    format!("{document:#}\n")
}

/// What was found, or that nothing was.
fn text(found: &[Event], more: usize, (nothing, lost): (&str, Lost), zone: &TimeZone) -> String {
    if found.is_empty() {
        return format!("{nothing}\n{}", missing(lost));
    }
    let lines: String = found.iter().map(|event| line(event, zone)).collect();
    older(more) + &lines + &missing(lost)
}

/// That there is more than is shown.
fn older(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => "1 older one is not shown (--limit)\n".to_owned(),
        more => format!("{more} older ones are not shown (--limit)\n"),
    }
}

/// One event, on as many lines as it needs.
fn line(event: &Event, zone: &TimeZone) -> String {
    let text = escape(&words(event));
    let indent = " ".repeat(21);
    let lines = wrap(&text, COLUMNS - indent.len());
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let start = if number == 0 { moment(event.wall_secs, zone) + "  " } else { indent.clone() };
        out.extend([start.as_str(), line.as_str(), "\n"]);
    }
    out
}

fn words(event: &Event) -> String {
    let of =
        |name: Option<&ComponentName>| name.map_or_else(String::new, |name| format!("{name}: "));
    match &event.of {
        EventOf::Action { outcome, old, reason } => {
            action(&of(outcome.component.as_ref()), outcome, old.as_ref())
                + &reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"))
        }
        EventOf::Finding { finding, is_over: false } => {
            format!("{}: {}", finding.severity, finding.text)
        }
        EventOf::Finding { finding, is_over: true } => format!("over: {}", finding.text),
        EventOf::Level { resource, from, to, cause } => {
            let because = if cause.is_empty() { String::new() } else { format!(": {cause}") };
            format!("{resource} is at level {to}, was at {from}{because}")
        }
        EventOf::Alert { alert } => {
            format!("alert {} is {} ({}): {}", alert.id, alert.state, alert.severity, alert.text)
        }
        EventOf::Daemon { what } => format!("provost: {what}"),
    }
}

fn action(of: &str, outcome: &Outcome, old: Option<&Knob>) -> String {
    let (what, result, at) = (outcome.what(), outcome.result(), &outcome.path);
    match (&outcome.of, old) {
        (OutcomeOf::Knob { knob, asked, .. }, Some(old)) => {
            format!("{of}{knob} of {at}: {old} -> {asked}, {result}")
        }
        _ => format!("{of}{what} in {at}: {result}"),
    }
}

#[cfg(test)]
mod tests;
