//! The screen: verdict, host, strips of waiting, one line for each component, what was done last, what needs a person, keys. Pure but for the cells that
//! it fills.

use super::bars::{bar, strip};
use super::frames::{Frames, Over};
use super::rows::Row;
use crate::cli::explain::explained;
use crate::cli::render::{escape, wrap};
use crate::cli::status::whole;
use crate::model::{Level, Report, Resource, Severity};
use crate::units::{Bytes, Millicpu, Ppm, Span as Time};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Narrower or lower, and a table is none.
const LEAST: (u16, u16) = (80, 24);
/// Lines above and below the table.
const ABOVE: usize = 7;
const BELOW: usize = 4;
/// The columns of a row beside its two bars, with the gaps between.
const FIXED: usize = NAME + PRIORITY + 2 * AMOUNT + WAITS + 6;
const NAME: usize = 16;
const PRIORITY: usize = 4;
const AMOUNT: usize = 11;
const WAITS: usize = 9;

pub(super) fn draw(frame: &mut Frame<'_>, frames: &Frames) {
    let area = frame.area();
    let Some(report) = frames.shown() else { return };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!(
            "monitor needs {} columns and {} lines; here are {} and {}. q leaves",
            LEAST.0, LEAST.1, area.width, area.height
        );
        let lines = wrap(&text, usize::from(area.width)).into_iter().map(Line::from);
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
        return;
    }
    let width = usize::from(area.width);
    let room = usize::from(area.height).saturating_sub(ABOVE + BELOW);
    let mut lines = head(report, frames, width);
    lines.extend(table(report, frames, width, room));
    lines.extend(foot(report, frames, width));
    frame.render_widget(Paragraph::new(lines), area);
    if let Over::Why { from } = frames.over() {
        why(frame, report, frames, from);
    }
}

/// Verdict, host, three strips, and the names of the columns.
fn head(report: &Report, frames: &Frames, width: usize) -> Vec<Line<'static>> {
    let mode = if report.enforcing { "enforcing" } else { "observing only" };
    let when = match frames.behind() {
        None => "now".to_owned(),
        Some(seconds) => format!("held, {} ago", Time::secs(seconds)),
    };
    let verdict =
        format!("provost {}  {mode}, strategy {}  {when}", report.version, report.strategy);
    let share = |resource: Resource| {
        let share = (*report.estimate.host.share.of(resource))?;
        Some(format!("{resource} {}", whole(share)))
    };
    let used: Vec<String> =
        [Resource::Cpu, Resource::Memory, Resource::Pids].into_iter().filter_map(share).collect();
    let host = format!(
        "host    {} cores, {} of memory; in use: {}",
        report.host.cpu,
        report.host.memory,
        used.join(", ")
    );
    let mut lines = vec![
        Line::styled(cut(&verdict, width), Style::new().bold()),
        Line::from(cut(&host, width)),
    ];
    for resource in [Resource::Cpu, Resource::Memory, Resource::Io] {
        lines.push(waiting(report, frames, resource, width));
    }
    lines.push(Line::default());
    let bars = bar_width(width);
    let title = format!(
        "{:<NAME$} {:<PRIORITY$} {:<bars$} {:>AMOUNT$} {:<bars$} {:>AMOUNT$} {:>WAITS$}",
        "COMPONENT", "PRIO", "CPU", "USED/MAX", "MEMORY", "USED/MAX", "WAITS"
    );
    lines.push(Line::styled(cut(&title, width), Style::new().dim()));
    lines
}

/// How much of the time the component waited that waited most, over the last moments.
fn waiting(report: &Report, frames: &Frames, resource: Resource, width: usize) -> Line<'static> {
    let level = report.estimate.levels.get(&resource).map_or(Level::Normal, |view| view.level);
    let parts: Vec<Option<u32>> =
        frames.until_shown().map(|report| most_waited(report, resource)).collect();
    let words = format!("{:<7} {:<9} ", resource.to_string(), level.to_string());
    let strip = strip(&parts, width.saturating_sub(words.chars().count()));
    Line::from(vec![Span::styled(words, colour(level)), Span::styled(strip, colour(level))])
}

fn most_waited(report: &Report, resource: Resource) -> Option<u32> {
    let waits = report.estimate.components.values().filter_map(|component| {
        let waits = component.need.waits;
        match resource {
            Resource::Cpu => waits.cpu,
            Resource::Memory => waits.memory,
            Resource::Io => waits.io,
            Resource::Pids => None,
        }
    });
    waits.map(|wait| wait.p10.get()).max()
}

fn table(report: &Report, frames: &Frames, width: usize, room: usize) -> Vec<Line<'static>> {
    let rows = frames.rows();
    // The selected one is always there.
    let first = (frames.selected() + 1).saturating_sub(room);
    let mut lines: Vec<Line<'static>> = rows
        .iter()
        .enumerate()
        .skip(first)
        .take(room)
        .map(|(place, row)| line(report, row, width, place == frames.selected()))
        .collect();
    if rows.is_empty() {
        lines.push(Line::from(if frames.filter().is_empty() {
            "no component is configured".to_owned()
        } else {
            format!("no component's name holds \"{}\"", escape(frames.filter()))
        }));
    }
    lines.resize(room, Line::default());
    lines
}

fn line(report: &Report, row: &Row, width: usize, is_selected: bool) -> Line<'static> {
    let bars = bar_width(width);
    let (cores, all) = (report.host.cpu, report.host.memory);
    let cpu = bar(row.cpu.map(|cpu| cpu.0), row.cpu_limit.unwrap_or(cores).0, bars, &[]);
    let marks = [(row.low.map(|low| low.0), 'l'), (row.high.map(|high| high.0), 'h')];
    let memory = bar(row.memory.map(|size| size.0), row.max.unwrap_or(all).0, bars, &marks);
    let waits = match (row.is_frozen, row.waits) {
        (true, _) => "stands".to_owned(),
        (false, Some((what, wait))) if wait >= Ppm::percent(1) => format!("{what} {}", whole(wait)),
        (false, _) => String::new(),
    };
    let text = format!(
        "{:<NAME$} {:<PRIORITY$} {cpu} {:>AMOUNT$} {memory} {:>AMOUNT$} {waits:>WAITS$}",
        cut(&row.name, NAME),
        row.priority.chars().take(PRIORITY).collect::<String>(),
        of_cpu(row.cpu, row.cpu_limit),
        of_memory(row.memory, row.max),
    );
    let level = match row.waits {
        Some((_, wait)) if wait >= Ppm::percent(40) => Level::Emergency,
        Some((_, wait)) if wait >= Ppm::percent(10) => Level::Warning,
        _ => Level::Normal,
    };
    let style = if is_selected { colour(level).reversed() } else { colour(level) };
    Line::styled(text, style)
}

fn of_cpu(used: Option<Millicpu>, limit: Option<Millicpu>) -> String {
    of(used.map(hundredths), limit.map(hundredths))
}

fn of_memory(used: Option<Bytes>, max: Option<Bytes>) -> String {
    of(used.map(roughly), max.map(roughly))
}

/// "used/limit", "used" where there is no limit.
fn of(used: Option<String>, limit: Option<String>) -> String {
    match (used, limit) {
        (None, _) => "-".to_owned(),
        (Some(used), None) => used,
        (Some(used), Some(limit)) => format!("{used}/{limit}"),
    }
}

/// Cores to two places: more dances.
fn hundredths(cpu: Millicpu) -> String {
    format!("{}.{:02}", cpu.0 / 1000, cpu.0 % 1000 / 10)
}

/// A size in at most five characters.
fn roughly(size: Bytes) -> String {
    let (mut amount, mut units) = (size.0, "BKMGTP".chars());
    let mut unit = units.next().unwrap_or('B');
    while amount >= 10_000
        && let Some(next) = units.next()
    {
        (amount, unit) = (amount / 1024, next);
    }
    format!("{amount}{unit}")
}

/// What was done last, the gravest finding, and keys.
fn foot(report: &Report, frames: &Frames, width: usize) -> Vec<Line<'static>> {
    let last = report.actions.last().map_or_else(
        || "nothing was written yet".to_owned(),
        |line| {
            let ago = Time::secs(report.at.since(line.at).0 / 1_000_000);
            format!("{ago} ago: {} {}: {}", line.path, line.what, line.result)
        },
    );
    let (finding, level) = match (frames.failure(), report.findings.first()) {
        (Some(why), _) => (format!("no answer: {why}"), Level::Emergency),
        (None, None) => ("nothing needs a person".to_owned(), Level::Normal),
        (None, Some(finding)) => {
            let more = report.findings.len() - 1;
            let more = if more > 0 {
                format!(" (and {more} more: provost status)")
            } else {
                String::new()
            };
            (finding.text.clone() + &more, alarm(finding.severity))
        }
    };
    let keys = match frames.over() {
        Over::Filter => {
            format!("filter: {}_  Enter keeps it, Esc drops it", escape(frames.filter()))
        }
        Over::Why { .. } => "Up/Down scroll, Esc closes".to_owned(),
        Over::Nothing => format!(
            "q quit  e explain  / filter  s sort: {}  Space hold  ←→ back/forth  End now",
            frames.sort().word()
        ),
    };
    vec![
        Line::default(),
        Line::from(cut(&format!("last    {}", escape(&last)), width)),
        Line::styled(cut(&format!("told    {}", escape(&finding)), width), colour(level)),
        Line::styled(cut(&keys, width), Style::new().dim()),
    ]
}

/// Why the selected component has its limits, over the table.
fn why(frame: &mut Frame<'_>, report: &Report, frames: &Frames, from: usize) {
    let rows = frames.rows();
    let Some(row) = rows.get(frames.selected()) else { return };
    let Some(component) = report.components.iter().find(|one| one.name.as_str() == row.name) else {
        return;
    };
    let all = frame.area();
    let above = u16::try_from(ABOVE - 1).unwrap_or(0);
    let area = Rect { y: above, height: all.height.saturating_sub(above + 1), ..all };
    let width = usize::from(all.width);
    let text = explained(report, component, width);
    // What is narrow keeps its shape, such as tables.
    let broken = |line: &str| {
        if line.chars().count() > width { wrap(line, width) } else { vec![line.to_owned()] }
    };
    let lines: Vec<Line<'static>> = text.lines().flat_map(broken).map(Line::from).collect();
    let last = lines.len().saturating_sub(usize::from(area.height));
    let lines: Vec<Line<'static>> = lines.into_iter().skip(from.min(last)).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines), area);
}

const fn bar_width(width: usize) -> usize {
    width.saturating_sub(FIXED) / 2
}

fn colour(level: Level) -> Style {
    match level {
        Level::Normal => Style::new(),
        Level::Warning => Style::new().fg(Color::Yellow),
        Level::Critical | Level::Emergency => Style::new().fg(Color::Red),
    }
}

const fn alarm(severity: Severity) -> Level {
    match severity {
        Severity::Info => Level::Normal,
        Severity::Warning => Level::Warning,
        Severity::Error => Level::Emergency,
    }
}

/// At most `width` characters; what is cut ends with a dot.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
