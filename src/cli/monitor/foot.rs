//! What stands below the table: alerts that fire, what was done last and why, what needs a person, keys. Pure. How grave something is, is told by a
//! word; colour only repeats it.

use super::draw::{colour, cut};
use super::frames::{Frames, Over};
use crate::cli::alerts::summary;
use crate::cli::render::{escape, wrap};
use crate::model::{ActionLine, AlertState, AlertView, Level, Report, Severity};
use crate::units::Span as Time;
use ratatui::style::Style;
use ratatui::text::Line;

/// Below a name, such as "alert".
const INDENT: usize = 8;
/// What was done last takes as many lines, with its reason.
const LAST: usize = 2;
/// So many alerts at most have a line, on a screen that has lines to spare.
const MOST_ALERTS: usize = 4;
/// One more for as many lines to spare.
const SPARED: usize = 3;

/// The lines; of lines to `spare`, some go to alerts.
pub(super) fn foot(
    report: &Report,
    frames: &Frames,
    width: usize,
    spare: usize,
) -> Vec<Line<'static>> {
    let mut lines = alerts(report, width, spare);
    lines.extend(last(report, width).into_iter().map(Line::from));
    let (told, level) = told(report, frames);
    lines.push(Line::styled(cut(&format!("told    {}", escape(&told)), width), colour(level)));
    lines.push(Line::styled(cut(&keys(frames), width), Style::new().dim()));
    lines
}

/// The gravest alerts that fire, and how many more do; a line at least.
fn alerts(report: &Report, width: usize, spare: usize) -> Vec<Line<'static>> {
    let mut firing: Vec<&AlertView> =
        report.alerts.iter().filter(|view| view.state == AlertState::Firing).collect();
    firing.sort_by_key(|view| std::cmp::Reverse(view.severity));
    if firing.is_empty() {
        let none = match summary(&report.alerts) {
            None => "none fires".to_owned(),
            Some(others) => format!("none fires ({others})"),
        };
        return vec![Line::from(cut(&format!("alert   {none}"), width))];
    }
    let most = (1 + spare / SPARED).min(MOST_ALERTS);
    let more = firing.len().saturating_sub(most);
    let shown = firing.iter().take(most).enumerate().map(|(place, view)| {
        let name = if place == 0 { "alert" } else { "" };
        let more = if more > 0 && place + 1 == most {
            format!(" (and {more} more)")
        } else {
            String::new()
        };
        let text = format!("{name:<INDENT$}{}", words(view, report));
        let text = cut(&text, width.saturating_sub(more.chars().count())) + &more;
        Line::styled(cut(&text, width), colour(view.severity))
    });
    shown.collect()
}

/// How grave, which, for how long, and what is wrong.
fn words(view: &AlertView, report: &Report) -> String {
    let held = Time::secs(report.at.since(view.since).0 / 1_000_000);
    format!("{} {} for {held}: {}", view.severity, escape(&view.id), escape(&view.text))
}

/// What was done last, and why, in as many lines as that always takes.
fn last(report: &Report, width: usize) -> Vec<String> {
    let text = report.actions.last().map_or_else(
        || "nothing was done yet, as far as is known".to_owned(),
        |line| done(line, report),
    );
    let room = width.saturating_sub(INDENT);
    let mut lines = wrap(&escape(&text), room);
    if lines.len() > LAST {
        // What does not fit ends with a dot.
        let rest = lines.split_off(LAST - 1).join(" ");
        lines.push(cut(&rest, room));
    }
    lines.resize(LAST, String::new());
    let named = lines.into_iter().enumerate().map(|(place, line)| {
        let name = if place == 0 { "last" } else { "" };
        format!("{name:<INDENT$}{line}")
    });
    named.collect()
}

fn done(line: &ActionLine, report: &Report) -> String {
    let ago = Time::secs(report.at.since(line.at).0 / 1_000_000);
    let place = if line.path.name().is_empty() { "/" } else { line.path.name() };
    let why = line.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("{ago} ago: {place} {}: {}{why}", line.what, line.result)
}

/// What there is to say about the last key, else why no answer came, else the gravest finding.
fn told(report: &Report, frames: &Frames) -> (String, Level) {
    if let Some(said) = frames.said() {
        return (said.to_owned(), Level::Warning);
    }
    if let Some(why) = frames.failure() {
        return (format!("no answer: {why}"), Level::Emergency);
    }
    let Some(finding) = report.findings.first() else {
        return ("nothing needs a person".to_owned(), Level::Normal);
    };
    let more = match report.findings.len() - 1 {
        0 => String::new(),
        more if frames.recording().is_some() => format!(" (and {more} more)"),
        more => format!(" (and {more} more: provost status)"),
    };
    (finding.text.clone() + &more, alarm(finding.severity))
}

const fn alarm(severity: Severity) -> Level {
    match severity {
        Severity::Info => Level::Normal,
        Severity::Warning => Level::Warning,
        Severity::Error => Level::Emergency,
    }
}

fn keys(frames: &Frames) -> String {
    match frames.over() {
        Over::Filter => {
            format!("filter: {}_  Enter keeps it, Esc drops it", escape(frames.filter()))
        }
        Over::Why { .. } => "Up/Down scroll, Esc closes".to_owned(),
        Over::Wish => frames.wish().map_or_else(String::new, |wish| escape(&wish.line())),
        Over::Nothing => {
            let space = match (frames.recording().is_some(), frames.is_playing()) {
                (true, true) => "stop",
                (true, false) => "play",
                (false, _) => "hold",
            };
            let sort = frames.sort().word();
            format!(
                "q quit  e explain  g give  / filter  s sort: {sort}  Space {space}  ←→ back/forth"
            )
        }
    }
}
