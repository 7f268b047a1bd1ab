//! The course of every run as one SVG document: a row for each strategy, a column for each quantity, all on the same scales.
//!
//! Self-contained: no script, no font, no address to load from. Colours follow the reader's light or dark mode by CSS. Coordinates are
//! integers, so that the same runs give the same bytes.

use super::render::cut;
use super::simulate::Trial;
use super::svg::{add, text};
use crate::sim::{BUCKETS, Played, Point};
use crate::units::Span;

/// Tenths of a pixel would be noise: everything is in pixels of a canvas this wide.
const WIDTH: usize = 1000;
const MARGIN: usize = 20;
/// Where the panels begin, right of the strategies' names.
const LABELS: usize = 130;
/// One panel: a pixel and a half for each part of the course would need fractions; two fit with four panels.
const PANEL: usize = 198;
const PITCH: usize = 214;
const HEIGHT: usize = 44;
const ROW: usize = 58;
const HEAD: usize = 74;
const FOOT: usize = 40;

/// What the panels show.
const PANELS: [(&str, &str); 4] = [
    ("served", "protected demand met"),
    ("pressure", "protected waiting"),
    ("cpu", "host CPU used"),
    ("memory", "host memory used"),
];

const STYLE: &str = "
.page{fill:#fff}.ink{fill:#1c2430}.soft{fill:#5b6675}.frame{fill:#f4f6f9;stroke:#d4dae3}
.served{fill:#2f7d4f}.pressure{fill:#b3362b}.cpu{fill:#3565b0}.memory{fill:#7a51a8}
.write{stroke:#5b6675}.kill{stroke:#b3362b;stroke-width:2}
text{font:12px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.end{text-anchor:end}
@media(prefers-color-scheme:dark){
.page{fill:#12161c}.ink{fill:#e6eaf0}.soft{fill:#9aa5b4}.frame{fill:#1b212a;stroke:#343d4a}
.served{fill:#5cb683}.pressure{fill:#e5766b}.cpu{fill:#79a3e6}.memory{fill:#b08fdc}
.write{stroke:#9aa5b4}.kill{stroke:#e5766b}}
";

/// The document.
pub(super) fn svg(trials: &[Trial]) -> String {
    let block = |trial: &Trial| HEAD + trial.runs.len() * ROW + FOOT;
    let height: usize = trials.iter().map(block).sum::<usize>() + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"provost simulate\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    let mut top = 0;
    for trial in trials {
        draw(&mut out, trial, top);
        top += block(trial);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, trial: &Trial, top: usize) {
    let scenario = &trial.scenario;
    text(out, (MARGIN, top + 28), "ink title", &scenario.name);
    text(out, (MARGIN, top + 46), "soft", &cut(&scenario.about, 130));
    for (column, (_, title)) in PANELS.iter().enumerate() {
        text(out, (left(column), top + HEAD - 8), "soft", title);
    }
    for (row, run) in trial.runs.iter().enumerate() {
        let y = top + HEAD + row * ROW;
        text(out, (MARGIN, y + 18), "ink", run.arm.word());
        text(out, (MARGIN, y + 35), "soft", &counts(run));
        for (column, (class, _)) in PANELS.iter().enumerate() {
            panel(out, run, class, (left(column), y));
        }
    }
    let y = top + HEAD + trial.runs.len() * ROW + 4;
    for column in 0..PANELS.len() {
        text(out, (left(column), y + 8), "soft", "0s");
        text(out, (left(column) + PANEL, y + 8), "soft end", &Span::to_string(&scenario.duration));
    }
    let legend = "each panel: 0 to 100 %; ticks below: writes (grey), kills (red)";
    text(out, (MARGIN + LABELS, y + 26), "soft", legend);
}

const fn left(column: usize) -> usize {
    MARGIN + LABELS + column * PITCH
}

fn counts(run: &Played) -> String {
    let (writes, kills) = (run.score.writes, run.score.kills);
    let plural = |count: u64, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    format!("{}, {}", plural(writes, "write"), plural(kills, "kill"))
}

/// One quantity of one run: an area over time, and what was done below it.
fn panel(out: &mut String, run: &Played, class: &str, (x, y): (usize, usize)) {
    add(
        out,
        format_args!(
            "<rect class=\"frame\" x=\"{x}\" y=\"{y}\" width=\"{PANEL}\" height=\"{HEIGHT}\"/>\n"
        ),
    );
    let value = |point: &Point| match class {
        "served" => point.served(),
        "pressure" => point.pressure(),
        "cpu" => point.cpu(),
        _ => point.memory(),
    };
    let at = |bucket: usize| x + bucket * PANEL / BUCKETS;
    let mut path = String::new();
    for (bucket, point) in run.points.iter().enumerate() {
        // Nothing was wanted, or the host slept: a hole in the area.
        let Some(part) = value(point) else { continue };
        let part = usize::try_from(part.min(10_000)).unwrap_or(0);
        let height = (part * HEIGHT).div_ceil(10_000);
        let width = at(bucket + 1) - at(bucket);
        if height > 0 {
            add(
                &mut path,
                format_args!("M{} {}h{width}v{height}h-{width}z", at(bucket), y + HEIGHT - height),
            );
        }
    }
    add(out, format_args!("<path class=\"{class}\" d=\"{path}\"/>\n"));
    if class != "served" && class != "pressure" {
        return;
    }
    let marks = |did: &dyn Fn(&Point) -> u64| -> String {
        let happened = run.points.iter().enumerate().filter(|(_, point)| did(point) > 0);
        happened.map(|(bucket, _)| format!("M{} {}v5", at(bucket), y + HEIGHT + 2)).collect()
    };
    let (kind, marks) = if class == "served" {
        ("write", marks(&|point| point.writes))
    } else {
        ("kill", marks(&|point| point.kills))
    };
    if !marks.is_empty() {
        add(out, format_args!("<path class=\"{kind}\" d=\"{marks}\"/>\n"));
    }
}
