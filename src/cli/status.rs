//! `provost status`: the verdict, one row for each place a component lives in, and what needs a person.

use super::Printout;
use super::args::Cli;
use super::fail::Failure;
use super::render::{COLUMNS, Column, Table, escape, paragraph, wrap};
use crate::model::{
    ComponentReport, Condition, Disk, EscapeTimes, Escaped, FileSystemView, Finding, HomeReport,
    Knob, KnobKind, Level, Report, Room, ScheduleView, Severity,
};
use crate::serve::{Reply, Request, ask};
use crate::units::{Limit, Ppm, Span};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn status(cli: &Cli) -> Result<Printout, Failure> {
    let report = fetch(cli)?;
    if cli.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| Failure::new(1, error.to_string()))?;
        return Ok(Printout::text(text + "\n"));
    }
    Ok(Printout::text(text(&report)))
}

/// The daemon's report.
pub(super) fn fetch(cli: &Cli) -> Result<Report, Failure> {
    fetch_from(&cli.paths().socket())
}

/// The report of the daemon that listens there.
pub(super) fn fetch_from(socket: &Path) -> Result<Report, Failure> {
    match ask(socket, &Request::Status)? {
        Reply::Status { report } => Ok(*report),
        Reply::Failed { text, exit } => Err(Failure::new(exit, text)),
        Reply::Done { .. } | Reply::Health { .. } => {
            Err(Failure::new(1, "the daemon answered another question".to_owned()))
        }
    }
}

/// How a time is shown.
pub(super) const WHEN: &str = "%a %Y-%m-%d %H:%M %Z";

/// The report as people read it, at most 100 columns wide.
#[must_use]
pub(super) fn text(report: &Report) -> String {
    let mut out = format!("{}\n", verdict(report));
    if report.health.condition != Condition::Healthy {
        out.push_str(&format!("provost itself is {}", super::health::text(&report.health)));
    }
    let host = &report.host;
    // Writing to a String cannot fail.
    let _ok = writeln!(
        out,
        "host: {} cores ({} kept back), {} of memory ({} kept back), {}",
        host.cpu,
        host.cpu_reserve,
        host.memory,
        host.memory_reserve,
        if host.systemd { "systemd" } else { "no systemd" }
    );
    out.push_str(&disks(report));
    if let Some(line) = strategies(report) {
        out.push_str(&format!("strategy: {line}\n"));
    }
    out.push_str(&schedules(report));
    out.push_str(&super::quota::line(report));
    out.push_str(&own_cpus(report));
    out.push_str(
        &super::realtime::line(report).map_or_else(String::new, |line| paragraph(&escape(&line))),
    );
    if let Some(line) = super::probe::line(&report.components) {
        out.push_str(&paragraph(&escape(&line)));
    }
    if let Some(summary) = super::alerts::summary(&report.alerts) {
        out.push_str(&format!("alerts: {summary} (provost alerts)\n"));
    }
    out.push_str(&pressure(report));
    out.push_str(&ahead(report));
    out.push_str(&in_use(report));
    out.push('\n');
    out.push_str(&components(report).render(COLUMNS));
    findings(&mut out, &report.findings);
    work(&mut out, report);
    out
}

/// By what each disk is divided.
pub(super) fn disks(report: &Report) -> String {
    let disk = |disk: &Disk| format!("{} {}", disk.name, disk.weights.means());
    let disks: Vec<String> = report.host.disks.iter().map(disk).collect();
    if disks.is_empty() {
        return String::new();
    }
    let line = format!("disks: {}", disks.join("; "));
    paragraph(&escape(&line))
}

/// Which windows of time are open, and when the others are.
fn schedules(report: &Report) -> String {
    let window = |view: &ScheduleView| {
        let when = match (view.open_until, view.next) {
            (Some(until), _) => format!("open until {}", local(until)),
            (None, Some(next)) => format!("from {}", local(next)),
            (None, None) => "never again".to_owned(),
        };
        format!("{} {when}", view.name)
    };
    let windows: Vec<String> = report.schedules.iter().map(window).collect();
    if windows.is_empty() {
        return String::new();
    }
    paragraph(&escape(&format!("schedules: {}", windows.join("; "))))
}

/// Seconds since 1970 in the host's time.
pub(super) fn local(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|at| Timestamp::from_second(at).ok());
    at.map_or_else(String::new, |at| at.to_zoned(TimeZone::system()).strftime(WHEN).to_string())
}

/// Who has CPUs that no other component uses.
fn own_cpus(report: &Report) -> String {
    let owned = |component: &ComponentReport| {
        Some(format!("{} ({})", component.name, component.own_cpus.as_ref()?))
    };
    let owned: Vec<String> = report.components.iter().filter_map(owned).collect();
    if owned.is_empty() {
        return String::new();
    }
    let line = format!("CPUs of their own: {}", owned.join(", "));
    paragraph(&escape(&line))
}

/// The level of each resource; what raised one that is not normal has a line of its own.
fn pressure(report: &Report) -> String {
    let levels = &report.estimate.levels;
    if levels.is_empty() {
        return String::new();
    }
    let words = levels.iter().map(|(resource, view)| format!("{resource} {}", view.level));
    let mut out = format!("pressure: {}", words.collect::<Vec<_>>().join(", "));
    out.push_str(if report.estimate.psi { "\n" } else { " (without PSI)\n" });
    for (resource, view) in levels.iter().filter(|(_, view)| view.level != Level::Normal) {
        let since = Span::secs(report.at.since(view.since).0 / 1_000_000);
        let line = format!("{resource} {} for {since}: {}", view.level, view.cause);
        for line in wrap(&escape(&line), COLUMNS - 2) {
            let _ok = writeln!(out, "  {line}");
        }
    }
    out
}

/// For what others give way before anybody waits.
fn ahead(report: &Report) -> String {
    let line = |expected| paragraph(&escape(&format!("makes room ahead of time: {expected}")));
    report.ahead.iter().map(line).collect()
}

/// So many file systems are shown, the fullest; the report has all.
const MOST_FILESYSTEMS: usize = 4;

/// How much of the host is in use, with what the configured thresholds say of it.
fn in_use(report: &Report) -> String {
    let estimate = &report.estimate;
    let marked = |alert: Level| match alert {
        Level::Normal => String::new(),
        Level::Warning | Level::Critical | Level::Emergency => format!(" ({alert})"),
    };
    let of_host = estimate.levels.iter().filter_map(|(resource, view)| {
        let share = whole((*estimate.host.share.of(*resource))?);
        Some(format!("{resource} {share}{}", marked(view.alert)))
    });
    let mut fullest: Vec<(Ppm, &FileSystemView)> = Vec::new();
    for view in &estimate.filesystems {
        if let Room::Known { used, inodes, .. } = view.seen.room {
            fullest.push((used.max(inodes).unwrap_or_default(), view));
        }
    }
    fullest.sort_by_key(|(share, view)| std::cmp::Reverse((view.alert, *share)));
    let filesystems = fullest.into_iter().take(MOST_FILESYSTEMS);
    let filesystems = filesystems
        .map(|(share, view)| format!("{} {}{}", view.seen.at, whole(share), marked(view.alert)));
    let parts: Vec<String> = of_host.chain(filesystems).collect();
    if parts.is_empty() {
        return String::new();
    }
    let line = format!("in use: {}", parts.join(", "));
    paragraph(&escape(&line))
}

/// To a percent: nobody reads more.
pub(super) fn whole(share: Ppm) -> Ppm {
    Ppm::percent(share.get() / 10_000)
}

fn verdict(report: &Report) -> String {
    let count =
        |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let word = match (errors, warnings) {
        (0, 0) => "OK".to_owned(),
        (0, warnings) => format!("OK, {warnings} warning{}", plural(warnings)),
        (errors, _) => format!("{errors} ERROR{}", if errors == 1 { "" } else { "S" }),
    };
    let (mode, hint) = if report.enforcing {
        ("enforcing", "")
    } else {
        (
            "observing only",
            "\nnothing is written: \"provost plan\" shows what would be, \"provost enforce on\" does it",
        )
    };
    let up = Span::secs(report.at.since(report.started).0 / 1_000_000);
    format!("{word}, {mode}; strategy {}, pid {}, up {up}{hint}", report.strategy, report.pid)
}

/// What there is to say about strategies beside the name of the one; nothing where that says all.
pub(super) fn strategies(report: &Report) -> Option<String> {
    let own = |component: &ComponentReport| {
        let strategy = component.strategy.as_ref()?;
        Some(format!("{} has {strategy}", component.name))
    };
    let components = &report.components;
    let is_adaptive = report.strategy == "adaptive"
        || components.iter().any(|component| component.strategy.as_deref() == Some("adaptive"));
    let adaptive = is_adaptive.then(|| format!("adaptive is {} now", report.adaptive));
    let configured = report.strategy_configured.as_ref();
    let configured = configured.map(|strategy| format!("the configuration says {strategy}"));
    let parts = adaptive.into_iter().chain(configured).chain(components.iter().filter_map(own));
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| wrap(&parts.join(", "), COLUMNS - "strategy: ".len()).join("\n"))
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn components(report: &Report) -> Table {
    let mut table = Table::new([
        Column::left("COMPONENT"),
        Column::left("PRIO").rank(1),
        Column::right("CPU"),
        Column::right("LIMIT"),
        Column::right("WEIGHT").rank(2),
        Column::right("MEMORY"),
        Column::right("LOW").rank(3),
        Column::right("MAX"),
        Column::right("PIDS"),
        Column::right("MAX").rank(4),
        Column::left("LIVES IN").rank(5),
    ]);
    for component in &report.components {
        if component.homes.is_empty() {
            let state = if component.loose.is_empty() { "not there" } else { "loose" };
            table.row([
                component.name.as_str(),
                component.priority.word(),
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
                state,
            ]);
        }
        for home in &component.homes {
            table.row(row(component, home));
        }
    }
    table
}

fn row(component: &ComponentReport, home: &HomeReport) -> [String; 11] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let held = |kind| {
        home.knobs
            .iter()
            .find(|knob| knob.at == home.path && knob.kind == kind)
            .and_then(|knob| knob.seen.as_ref())
    };
    let quota = match held(KnobKind::CpuMax) {
        Some(Knob::CpuMax(max)) => max.rate().to_string(),
        _ => "-".to_owned(),
    };
    let count = |knob: Option<&Knob>| or_dash(knob.map(ToString::to_string));
    [
        component.name.to_string(),
        component.priority.to_string(),
        or_dash(home.cpu_rate.map(|rate| rate.to_string())),
        quota,
        count(held(KnobKind::CpuWeight)),
        or_dash(home.usage.memory.map(|bytes| bytes.to_string())),
        count(held(KnobKind::MemoryLow)),
        count(held(KnobKind::MemoryMax)),
        or_dash(home.usage.pids.map(|count| count.to_string())),
        count(held(KnobKind::PidsMax)),
        home.path.to_string(),
    ]
}

/// Findings, gravest first, wrapped.
pub(super) fn findings(out: &mut String, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    out.push('\n');
    for finding in findings {
        let head = format!("{:<5} ", finding.severity);
        let lines = wrap(&escape(&finding.text), COLUMNS - head.len());
        for (number, line) in lines.iter().enumerate() {
            let head = if number == 0 { head.as_str() } else { "      " };
            let _ok = writeln!(out, "{head}{line}");
        }
    }
}

fn work(out: &mut String, report: &Report) {
    let times = &report.escape;
    if times.placed > 0 {
        let _ok = write!(out, "\nplaced {} loose processes", times.placed);
        if let (Some(median), Some(p99), Some(longest)) =
            (times.median.map(round), times.p99.map(round), times.longest.map(round))
        {
            let _ok = write!(
                out,
                ": median {median} after their exec, 99 % within {p99}, longest {longest}"
            );
        }
        out.push('\n');
    }
    escaped(out, report);
    if report.drift.seen > 0 {
        let last = report
            .drift
            .last_reassert
            .map_or_else(String::new, |span| format!(", the last within {}", round(span)));
        let reload = report.drift.last_reload_to_reassert.map_or_else(String::new, |span| {
            format!(" ({} after systemd's reload began)", round(span))
        });
        let _ok = writeln!(out, "\nwrote {} lost values again{last}{reload}", report.drift.seen);
    }
    if let Some(action) = report.actions.last() {
        let ago = Span::secs(report.at.since(action.at).0 / 1_000_000);
        let line =
            format!("last action {ago} ago: {} {}: {}", action.path, action.what, action.result);
        let _ok = write!(out, "\n{}", paragraph(&escape(&line)));
    }
}

/// Who ended before provost could place it, newest first; the whole list is in the report.
fn escaped(out: &mut String, report: &Report) {
    let EscapeTimes { escaped, last_escaped, .. } = &report.escape;
    let named = |one: &Escaped| {
        let ago = Span::secs(report.at.since(one.at).0 / 1_000_000);
        format!("{} ({}) of {} {ago} ago", one.comm, one.process.pid, one.component)
    };
    let newest: Vec<String> = last_escaped.iter().rev().take(3).map(named).collect();
    if newest.is_empty() {
        return;
    }
    let line = format!("{escaped} ended before they were placed, last {}", newest.join(", "));
    let _ok = write!(out, "\n{}", paragraph(&escape(&line)));
}

/// To a tenth of a millisecond: nobody reads more.
fn round(span: Span) -> Span {
    if span.0 < 1000 { span } else { Span(span.0 / 1000 * 1000) }
}

/// The limit as text, for explain.
pub(super) fn limit<T: std::fmt::Display>(limit: Limit<T>) -> String {
    match limit {
        Limit::At(value) => value.to_string(),
        Limit::Max => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Resource;
    use crate::testing::sample_report;

    #[test]
    fn what_room_is_made_for_reads_well() {
        let mut report = sample_report();
        assert_eq!(ahead(&report), "");
        report.ahead = [Resource::Cpu, Resource::Memory].map(crate::testing::expected).into();
        insta::assert_snapshot!(ahead(&report));
    }

    #[test]
    fn the_status_reads_well() {
        insta::assert_snapshot!(text(&sample_report()));
    }

    #[test]
    fn no_line_is_wider_than_a_hundred_columns() {
        let text = text(&sample_report());
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(COLUMNS), "{widest:?}\n{text}");
    }
}
