//! Every series and the forecaster's bound for it as one SVG document, below each other, each on its own scale.
//!
//! Self-contained: no script, no font, no address to load from. Colours follow the reader's light or dark mode by CSS. Coordinates are
//! integers, so that the same series give the same bytes.

use super::Report;
use crate::cli::render::cut;
use crate::cli::svg::{add, text};
use crate::estimate::forecast::whole;
use crate::sim::backtest::{Bucket, Tested};

const WIDTH: usize = 1000;
const MARGIN: usize = 20;
const PANEL: usize = WIDTH - 2 * MARGIN;
/// Of many buckets that share a column, the greatest is drawn.
const COLUMNS: usize = PANEL / 2;
const HEIGHT: usize = 90;
const HEAD: usize = 64;
const BLOCK: usize = HEIGHT + 40;

const STYLE: &str = "
.page{fill:#fff}.ink{fill:#1c2430}.soft{fill:#5b6675}.frame{fill:#f4f6f9;stroke:#d4dae3}
.use{fill:#3565b0}.bound{fill:none;stroke:#b3362b;stroke-width:1.5}
text{font:12px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.end{text-anchor:end}
@media(prefers-color-scheme:dark){
.page{fill:#12161c}.ink{fill:#e6eaf0}.soft{fill:#9aa5b4}.frame{fill:#1b212a;stroke:#343d4a}
.use{fill:#79a3e6}.bound{stroke:#e5766b}}
";

/// The document.
pub(super) fn svg(report: &Report) -> String {
    let height = HEAD + report.tested.len() * BLOCK + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"provost backtest\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    text(&mut out, (MARGIN, 28), "ink title", &report.title());
    let legend = "filled: what was used; line: the bound that was in force; the scale ends at twice what was used nearly always, or at the most";
    text(&mut out, (MARGIN, 46), "soft", legend);
    for (place, tested) in report.tested.iter().enumerate() {
        draw(&mut out, tested, HEAD + place * BLOCK);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, tested: &Tested, top: usize) {
    let [mark, ..] = &tested.marks;
    text(out, (MARGIN, top + 12), "ink", &cut(&tested.name, 80));
    let words = format!(
        "pinball {:.2} %, coverage {:.2} %, over {:.1} %",
        mark.pinball(),
        mark.coverage(),
        mark.over()
    );
    text(out, (MARGIN + PANEL, top + 12), "soft end", &words);
    let y = top + 18;
    add(
        out,
        format_args!(
            "<rect class=\"frame\" x=\"{MARGIN}\" y=\"{y}\" width=\"{PANEL}\" height=\"{HEIGHT}\"/>\n"
        ),
    );
    let columns = columns(&tested.buckets);
    let scale = scale(&tested.buckets);
    let high = |value: f64| {
        let part = whole((value / scale).clamp(0.0, 1.0) * HEIGHT as f64);
        usize::try_from(part).unwrap_or(0)
    };
    let (mut used, mut bound, mut is_down) = (String::new(), String::new(), false);
    for (place, (value, upper)) in columns.into_iter().enumerate() {
        let x = MARGIN + place * PANEL / COLUMNS;
        if let Some(height) = value.map(high).filter(|height| *height > 0) {
            add(&mut used, format_args!("M{x} {}h2v{height}h-2z", y + HEIGHT - height));
        }
        match upper.map(high) {
            Some(height) => {
                let pen = if is_down { 'L' } else { 'M' };
                add(&mut bound, format_args!("{pen}{x} {}", y + HEIGHT - height));
                is_down = true;
            }
            None => is_down = false,
        }
    }
    add(
        out,
        format_args!("<path class=\"use\" d=\"{used}\"/>\n<path class=\"bound\" d=\"{bound}\"/>\n"),
    );
}

/// The greatest value and bound of each column; none where there is none.
fn columns(buckets: &[Bucket]) -> Vec<(Option<f64>, Option<f64>)> {
    let mut columns = vec![(None, None); COLUMNS.min(buckets.len())];
    let count = columns.len();
    for (place, bucket) in buckets.iter().enumerate() {
        let Some((value, upper)) = columns.get_mut(place * count / buckets.len()) else { continue };
        let more = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(f64::max(one, other)),
            (one, other) => one.or(other),
        };
        *value = more(*value, bucket.value);
        *upper = more(*upper, bucket.upper);
    }
    columns
}

/// What the height stands for: one spike does not make the rest flat.
fn scale(buckets: &[Bucket]) -> f64 {
    let mut values: Vec<f64> = buckets.iter().filter_map(|bucket| bucket.value).collect();
    values.sort_by(f64::total_cmp);
    let most = values.last().copied().unwrap_or_default();
    let usual = values.get(values.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default();
    let scale = if usual > 0.0 { most.min(2.0 * usual) } else { most };
    if scale > 0.0 { scale * 1.05 } else { 1.0 }
}
