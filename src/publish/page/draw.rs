//! Charts and strips as inline SVG. Must not know what they are of.
//!
//! A chart is a hundred units high and five wide for each column, and is stretched to the width of the page; so words, which would be
//! stretched with it, stand beside it. Coordinates are integers, so that the same columns give the same bytes.

use super::markup::Markup;
use crate::record::Used;

/// Of one column.
const WIDTH: usize = 5;
const HEIGHT: u64 = 100;
/// A line that is farther above what was used would make that flat.
const FAR: u64 = 2;

/// What lies over what was used.
#[derive(Debug)]
pub(super) struct Line {
    /// Its class in the style.
    pub(super) class: &'static str,
    pub(super) columns: Vec<Option<u64>>,
}

/// What was used, and what it was held to.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// What it shows, for whoever cannot see it.
    pub(super) about: &'a str,
    pub(super) used: Vec<Option<Used>>,
    pub(super) lines: Vec<Line>,
}

impl Chart<'_> {
    /// What the top stands for.
    pub(super) fn top(&self) -> u64 {
        let most = self.used.iter().flatten().map(|used| used.most).max().unwrap_or_default();
        let bound = most.saturating_mul(FAR);
        let near = self.lines.iter().flat_map(|line| line.columns.iter().flatten().copied());
        let highest = near.filter(|value| *value <= bound).fold(most, u64::max);
        highest.saturating_add(highest / 12).max(1)
    }

    /// Whether nothing at all is known.
    pub(super) fn is_empty(&self) -> bool {
        self.used.iter().all(Option::is_none)
    }

    pub(super) fn draw(&self, page: &mut Markup) {
        let top = self.top();
        let means: Vec<Option<u64>> = self.column(|used| used.mean, top);
        let most = self.column(|used| used.most, top);
        picture(page, "chart", self.about, (self.used.len(), HEIGHT), |inside| {
            path(inside, "most", &line(&most));
            path(inside, "mean", &area(&means));
            for over in &self.lines {
                let places = over.columns.iter().map(|value| {
                    value.filter(|value| *value <= top).map(|value| place(value, top))
                });
                path(inside, over.class, &line(&places.collect::<Vec<_>>()));
            }
        });
    }

    fn column(&self, of: fn(&Used) -> u64, top: u64) -> Vec<Option<u64>> {
        self.used.iter().map(|used| used.as_ref().map(|used| place(of(used), top))).collect()
    }
}

/// Heat from 0 to 3 in each column, none where nothing is known.
pub(super) fn strip(page: &mut Markup, about: &str, heat: &[Option<u8>]) {
    const CLASSES: [&str; 4] = ["h0", "h1", "h2", "h3"];
    picture(page, "strip", about, (heat.len(), 10), |inside| {
        for (degree, class) in (0_u8..).zip(CLASSES) {
            path(inside, class, &boxes(heat, |one| *one == Some(degree)));
        }
    });
}

/// A tick in each column in which something happened.
pub(super) fn ticks(page: &mut Markup, about: &str, happened: &[bool]) {
    picture(page, "strip", about, (happened.len(), 10), |inside| {
        path(inside, "tick", &boxes(happened, |one| *one));
    });
}

fn picture(
    page: &mut Markup,
    class: &str,
    about: &str,
    (columns, height): (usize, u64),
    inside: impl FnOnce(&mut Markup),
) {
    let view = format!("0 0 {} {height}", columns * WIDTH);
    let attributes = [
        ("class", class),
        ("viewBox", view.as_str()),
        ("preserveAspectRatio", "none"),
        ("role", "img"),
        ("aria-label", about),
    ];
    page.within("svg", &attributes, inside);
}

fn path(page: &mut Markup, class: &str, drawn: &str) {
    if !drawn.is_empty() {
        page.empty("path", &[("class", class), ("d", drawn)]);
    }
}

/// From above; what is more than the top is at the top.
fn place(value: u64, top: u64) -> u64 {
    let high = u128::from(value) * u128::from(HEIGHT) / u128::from(top.max(1));
    HEIGHT.saturating_sub(u64::try_from(high).unwrap_or(HEIGHT))
}

/// Steps, with gaps where nothing is known.
fn line(places: &[Option<u64>]) -> String {
    let mut drawn = String::new();
    let (mut column, mut is_down) = (0, false);
    for run in places.chunk_by(PartialEq::eq) {
        let from = column * WIDTH;
        column += run.len();
        let place = run.first().copied().flatten();
        if let Some(place) = place {
            let pen = if is_down { format!("V{place}") } else { format!("M{from} {place}") };
            drawn.push_str(&format!("{pen}H{}", column * WIDTH));
        }
        is_down = place.is_some();
    }
    drawn
}

/// The same, filled down to the ground.
fn area(places: &[Option<u64>]) -> String {
    let mut drawn = String::new();
    for (first, known) in runs(places, Option::is_some) {
        let mut column = first;
        drawn.push_str(&format!("M{} {HEIGHT}", first * WIDTH));
        for run in known.chunk_by(PartialEq::eq) {
            column += run.len();
            if let Some(place) = run.first().copied().flatten() {
                drawn.push_str(&format!("V{place}H{}", column * WIDTH));
            }
        }
        drawn.push_str(&format!("V{HEIGHT}Z"));
    }
    drawn
}

/// A box for each run of columns that are so.
fn boxes<T>(columns: &[T], is_so: impl Fn(&T) -> bool) -> String {
    let one = |(first, run): (usize, &[T])| {
        let width = run.len() * WIDTH;
        format!("M{} 0h{width}v10h-{width}z", first * WIDTH)
    };
    runs(columns, is_so).into_iter().map(one).collect()
}

/// The longest stretches of columns that are so, with where each begins.
fn runs<T>(columns: &[T], is_so: impl Fn(&T) -> bool) -> Vec<(usize, &[T])> {
    let mut found = Vec::new();
    let mut first = 0;
    for run in columns.chunk_by(|one, other| is_so(one) == is_so(other)) {
        if run.first().is_some_and(&is_so) {
            found.push((first, run));
        }
        first += run.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stay_gaps() {
        let places = [Some(10), Some(10), None, Some(20), Some(30)];
        assert_eq!(line(&places), "M0 10H10M15 20H20V30H25");
        assert_eq!(area(&places), "M0 100V10H10V100ZM15 100V20H20V30H25V100Z");
        assert_eq!(boxes(&[true, true, false, true], |one| *one), "M0 0h10v10h-10zM15 0h5v10h-5z");
    }

    #[test]
    fn a_far_line_makes_nothing_flat() {
        let used = |most| Some(Used { mean: most / 2, most });
        let far = Line { class: "max", columns: vec![Some(10_000); 2] };
        let chart = Chart { about: "", used: vec![used(100), used(120)], lines: vec![far] };
        assert_eq!(chart.top(), 130);
        let near = Line { class: "max", columns: vec![Some(200); 2] };
        let chart = Chart { lines: vec![near], ..chart };
        assert_eq!(chart.top(), 216);
        assert_eq!((place(0, 0), place(5, 1), place(1, 2)), (100, 0, 50));
    }
}
