//! Tables and foreign text, as a person reads them.
//!
//! A table is laid out within a given width: columns of low rank are dropped first, then long cells are wrapped or cut; no line is
//! ever wider. Whatever comes from outside (command names, units, paths) is escaped, so that it can neither move the cursor
//! nor reorder a line. Nothing here prints, asks the terminal, or colours.

pub use crate::publish::escape;
use crate::publish::inert;
use std::iter::repeat_n;

/// The width that output fits without being asked for another one.
pub const COLUMNS: usize = 100;

/// The longest cell of a table, in characters.
const LONGEST_CELL: usize = 4096;

/// Space between two columns.
const GAP: usize = 2;

/// No column gets narrower: a wide character takes two cells.
const NARROWEST: usize = 2;

/// Wrapping columns shrink to this before others are cut.
const READABLE: usize = 16;

/// On which side of a column its text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    header: &'static str,
    align: Align,
    rank: u8,
    wraps: bool,
}

impl Column {
    /// A column of words that is always shown.
    #[must_use]
    pub const fn left(header: &'static str) -> Self {
        Self { header, align: Align::Left, rank: 0, wraps: false }
    }

    /// A column of numbers that is always shown.
    #[must_use]
    pub const fn right(header: &'static str) -> Self {
        Self { align: Align::Right, ..Self::left(header) }
    }

    /// The column may be dropped where the width does not suffice; the highest rank goes first, of equal ones the rightmost.
    #[must_use]
    pub const fn rank(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }

    /// Long cells continue on the next line instead of being cut.
    #[must_use]
    pub const fn wraps(mut self) -> Self {
        self.wraps = true;
        self
    }
}

/// Rows under headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column that is shown, with the width that it got.
struct Fitted<'a> {
    index: usize,
    column: &'a Column,
    width: usize,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row. Cells are escaped and cut at 4096 characters; missing ones are empty, surplus ones are ignored.
    pub fn row<I>(&mut self, cells: I)
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.rows.push(cells.into_iter().map(|cell| inert(cell.as_ref(), LONGEST_CELL)).collect());
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, each line ending in a newline and no wider than `width` cells (as long as every column that is always
    /// shown can have two).
    #[must_use]
    pub fn render(&self, width: usize) -> String {
        let fitted = self.fit(width);
        let headers: Vec<&str> = self.columns.iter().map(|column| column.header).collect();
        let mut text = String::new();
        write_row(&mut text, &fitted, &headers);
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            write_row(&mut text, &fitted, &cells);
        }
        text
    }

    /// Which columns are shown, and how wide.
    fn fit(&self, width: usize) -> Vec<Fitted<'_>> {
        let mut fitted: Vec<Fitted<'_>> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Fitted {
                index,
                column,
                width: self.natural_width(index, column),
            })
            .collect();
        while total(&fitted) > width {
            let weakest = fitted
                .iter()
                .filter(|fit| fit.column.rank > 0)
                .max_by_key(|fit| (fit.column.rank, fit.index))
                .map(|fit| fit.index);
            let Some(weakest) = weakest else { break };
            fitted.retain(|fit| fit.index != weakest);
        }
        while total(&fitted) > width {
            let widest_that = |least: usize, wrapping_only: bool| {
                move |fit: &&mut Fitted<'_>| {
                    fit.width > least && (fit.column.wraps || !wrapping_only)
                }
            };
            let wrapping = fitted.iter_mut().filter(widest_that(READABLE, true));
            if let Some(fit) = wrapping.max_by_key(|fit| fit.width) {
                fit.width -= 1;
                continue;
            }
            let any = fitted.iter_mut().filter(widest_that(NARROWEST, false));
            let Some(fit) = any.max_by_key(|fit| fit.width) else {
                break;
            };
            fit.width -= 1;
        }
        fitted
    }

    fn natural_width(&self, index: usize, column: &Column) -> usize {
        self.rows
            .iter()
            .filter_map(|row| row.get(index))
            .map(|cell| cells(cell))
            .chain([cells(column.header), NARROWEST])
            .max()
            .unwrap_or(NARROWEST)
    }
}

fn total(fitted: &[Fitted<'_>]) -> usize {
    let gaps = fitted.len().saturating_sub(1) * GAP;
    gaps + fitted.iter().map(|fit| fit.width).sum::<usize>()
}

fn write_row(text: &mut String, fitted: &[Fitted<'_>], row: &[&str]) {
    let columns: Vec<Vec<String>> = fitted
        .iter()
        .map(|fit| {
            let cell = row.get(fit.index).copied().unwrap_or_default();
            if fit.column.wraps { wrap(cell, fit.width) } else { vec![cut(cell, fit.width)] }
        })
        .collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let mut whole = String::new();
        for (fit, lines) in fitted.iter().zip(&columns) {
            if !whole.is_empty() {
                whole.extend(repeat_n(' ', GAP));
            }
            let cell = lines.get(line).map(String::as_str).unwrap_or_default();
            let padding = repeat_n(' ', fit.width.saturating_sub(cells(cell)));
            match fit.column.align {
                Align::Left => {
                    whole.push_str(cell);
                    whole.extend(padding);
                }
                Align::Right => {
                    whole.extend(padding);
                    whole.push_str(cell);
                }
            }
        }
        text.push_str(whole.trim_end());
        text.push('\n');
    }
}

/// The text cut to `width` cells, with an ellipsis where something is missing.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if cells(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1; // the ellipsis
    for c in text.chars() {
        used += cells_of(c);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// One paragraph of a page, with its line end.
#[must_use]
pub fn paragraph(words: &str) -> String {
    wrap(words, COLUMNS).join("\n") + "\n"
}

/// The text in lines of at most `width` cells, broken between words where that is possible. Always at least one line.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(NARROWEST);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let joined = cells(&line) + usize::from(!line.is_empty()) + cells(word);
        if joined > width && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if cells(&line) + cells_of(c) > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// The cells that a text takes on a terminal.
#[must_use]
pub fn cells(text: &str) -> usize {
    text.chars().map(cells_of).sum()
}

/// Two for East Asian wide characters and pictographs, none for marks that combine, one for the rest.
const fn cells_of(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn services() -> Table {
        let mut table = Table::new([
            Column::left("COMPONENT"),
            Column::right("CPU"),
            Column::right("PIDS").rank(2),
            Column::left("UNIT").rank(1),
            Column::left("WHY").wraps(),
        ]);
        table.row([
            "web",
            "1.5",
            "12",
            "nginx.service",
            "entitled to 2 of 4 cores by guarantee and priority",
        ]);
        table.row(["batch", "0.25", "3", "-", "share of its priority"]);
        table
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        insta::assert_snapshot!(services().render(100));
    }

    #[test]
    fn a_narrow_terminal_loses_columns_before_it_wraps() {
        let narrow = services().render(84);
        assert!(!narrow.contains("PIDS"), "rank 2 goes first:\n{narrow}");
        assert!(narrow.contains("UNIT"), "nothing more goes than must:\n{narrow}");
        insta::assert_snapshot!(services().render(44));
    }

    #[test]
    fn cutting_says_that_something_is_missing() {
        assert_eq!(cut("nginx.service", 6), "nginx…");
        assert_eq!(cut("nginx", 5), "nginx");
        assert_eq!(cut("大大大", 4), "大…");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_for(
            rows in proptest::collection::vec(proptest::collection::vec("\\PC{0,60}", 4), 0..6),
            width in 12usize..140,
        ) {
            let mut table = Table::new([
                Column::left("A"), Column::right("LONG HEADER"), Column::left("C").wraps(), Column::left("D").rank(1),
            ]);
            for row in &rows {
                table.row(row);
            }
            for line in table.render(width).lines() {
                prop_assert!(cells(line) <= width, "{} > {}: {:?}", cells(line), width, line);
            }
        }

        #[test]
        fn wrapping_loses_no_letter(text in "[a-z大 ]{0,80}", width in 2usize..30) {
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            let lines = wrap(&text, width);
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
            prop_assert!(lines.iter().all(|line| cells(line) <= width));
        }
    }
}
