//! The screen: verdict, host, strips of waiting, one line for each component, and below what `foot` says. Pure but for the cells that it fills.

use super::bars::{bar, strip};
use super::foot::foot;
use super::frames::{Frames, Over};
use super::rows::Row;
use super::waits;
use crate::cli::explain::explained;
use crate::cli::render::{escape, wrap};
use crate::cli::status::whole;
use crate::model::{Level, Report, Resource};
use crate::units::{Bytes, Millicpu, Ppm, Span as Time};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Narrower or lower, and a table is none.
const LEAST: (u16, u16) = (80, 24);
/// Lines above the table.
const ABOVE: usize = 7;
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
    let spare = usize::from(area.height - LEAST.1);
    let foot = foot(report, frames, width, spare);
    let room = usize::from(area.height).saturating_sub(ABOVE + foot.len());
    let mut lines = head(report, frames, width);
    lines.extend(table(report, frames, width, room));
    lines.extend(foot);
    frame.render_widget(Paragraph::new(lines), area);
    if let Over::Why { from } = frames.over() {
        why(frame, report, frames, from);
    }
}

/// Verdict, host, three strips, and the names of the columns.
fn head(report: &Report, frames: &Frames, width: usize) -> Vec<Line<'static>> {
    let mode = if report.enforcing { "enforcing" } else { "observing only" };
    let mode = format!("{mode}, strategy {}", report.strategy);
    let verdict = match (frames.recording(), frames.behind()) {
        (Some(recorded), _) => format!("recording, {}  {mode}", recorded.when()),
        (None, None) => format!("provost {}  {mode}  now", report.version),
        (None, Some(seconds)) => {
            format!("provost {}  {mode}  held, {} ago", report.version, Time::secs(seconds))
        }
    };
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
    for resource in waits::OF {
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
    let words = format!("{:<7} {:<9} ", resource.to_string(), level.to_string());
    let room = width.saturating_sub(words.chars().count());
    let strip = strip(&frames.waited(resource, room), room);
    Line::from(vec![Span::styled(words, colour(level)), Span::styled(strip, colour(level))])
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

pub(super) fn colour(level: Level) -> Style {
    match level {
        Level::Normal => Style::new(),
        Level::Warning => Style::new().fg(Color::Yellow),
        Level::Critical | Level::Emergency => Style::new().fg(Color::Red),
    }
}

/// At most `width` characters; what is cut ends with a dot.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
