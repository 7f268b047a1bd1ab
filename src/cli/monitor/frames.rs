//! What the screen shows: which moment, which components, in which order. Pure: keys and reports go in, nothing else happens.

use super::rows::{Row, Sort, rows};
use crate::model::Report;
use std::collections::VecDeque;

/// So many rows are remembered over all moments: a report of a thousand components is some megabytes.
const ROWS: usize = 30_000;
const LEAST: usize = 60;
const MOST: usize = 900;

/// A key, by what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    Leave,
    Back,
    Enter,
    Erase,
    Up,
    Down,
    Sort,
    Filter,
    Type(char),
    To(Moment),
}

/// Which moment to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// So many before this one.
    Earlier(usize),
    Later(usize),
    /// This one, until that is pressed again.
    Held,
    Now,
}

/// What lies over the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Over {
    #[default]
    Nothing,
    /// Why the selected component has its limits, from this line on.
    Why { from: usize },
    /// A filter is being typed.
    Filter,
}

/// The last minutes, and where in them the screen is.
#[derive(Debug)]
pub(super) struct Frames {
    kept: VecDeque<Report>,
    /// Which of them is shown; none follows the newest.
    held: Option<usize>,
    selected: usize,
    sort: Sort,
    filter: String,
    over: Over,
    /// Why the last answer did not come.
    failure: Option<String>,
}

impl Frames {
    pub(super) fn new(first: Report) -> Self {
        Self {
            kept: VecDeque::from([first]),
            held: None,
            selected: 0,
            sort: Sort::default(),
            filter: String::new(),
            over: Over::default(),
            failure: None,
        }
    }

    /// Another report came.
    pub(super) fn come(&mut self, report: Report) {
        self.failure = None;
        let most = (ROWS / report.components.len().max(1)).clamp(LEAST, MOST);
        while self.kept.len() >= most {
            self.kept.pop_front();
            // What is looked at stays where it is as long as it is there.
            self.held = self.held.map(|held| held.saturating_sub(1));
        }
        self.kept.push_back(report);
    }

    /// None came: what is shown grows old, and that is said.
    pub(super) fn fail(&mut self, why: String) {
        self.failure = Some(why);
    }

    /// Takes a key. Whether to go on.
    pub(super) fn press(&mut self, key: Pressed) -> bool {
        match (self.over, key) {
            (_, Pressed::Leave) => return false,
            (Over::Nothing, Pressed::Back) if self.filter.is_empty() => return false,
            (Over::Nothing, _) => self.press_at_table(key),
            (Over::Why { from }, _) => self.press_at_why(key, from),
            (Over::Filter, _) => self.press_at_filter(key),
        }
        let last = self.rows().len().saturating_sub(1);
        self.selected = self.selected.min(last);
        true
    }

    fn press_at_table(&mut self, key: Pressed) {
        match key {
            Pressed::Back => self.filter.clear(),
            Pressed::Enter if self.rows().is_empty() => {}
            Pressed::Enter => self.over = Over::Why { from: 0 },
            Pressed::Filter => self.over = Over::Filter,
            Pressed::Sort => self.sort = self.sort.next(),
            Pressed::Up => self.selected = self.selected.saturating_sub(1),
            Pressed::Down => self.selected += 1,
            Pressed::To(moment) => self.go(moment),
            Pressed::Leave | Pressed::Erase | Pressed::Type(_) => {}
        }
    }

    fn press_at_why(&mut self, key: Pressed, from: usize) {
        match key {
            Pressed::Back | Pressed::Enter => self.over = Over::Nothing,
            Pressed::Up => self.over = Over::Why { from: from.saturating_sub(1) },
            Pressed::Down => self.over = Over::Why { from: from.saturating_add(1) },
            Pressed::To(moment) => self.go(moment),
            Pressed::Leave
            | Pressed::Erase
            | Pressed::Sort
            | Pressed::Filter
            | Pressed::Type(_) => {}
        }
    }

    fn press_at_filter(&mut self, key: Pressed) {
        match key {
            Pressed::Type(letter) if letter.is_control() => {}
            Pressed::Type(letter) => self.filter.push(letter),
            Pressed::Erase => drop(self.filter.pop()),
            Pressed::Enter => self.over = Over::Nothing,
            Pressed::Back => {
                self.filter.clear();
                self.over = Over::Nothing;
            }
            Pressed::To(moment) => self.go(moment),
            Pressed::Leave | Pressed::Up | Pressed::Down | Pressed::Sort | Pressed::Filter => {}
        }
    }

    fn go(&mut self, to: Moment) {
        match to {
            Moment::Held => self.held = self.held.map_or_else(|| Some(self.newest()), |_| None),
            Moment::Now => self.held = None,
            Moment::Earlier(count) => self.held = Some(self.place().saturating_sub(count)),
            Moment::Later(count) => self.later(count),
        }
    }

    fn later(&mut self, count: usize) {
        let place = self.place() + count;
        self.held = (place < self.newest()).then_some(place);
    }

    fn newest(&self) -> usize {
        self.kept.len().saturating_sub(1)
    }

    fn place(&self) -> usize {
        self.held.unwrap_or_else(|| self.newest())
    }

    /// What is shown; there is always one.
    pub(super) fn shown(&self) -> Option<&Report> {
        self.kept.get(self.place())
    }

    /// Everything up to what is shown, oldest first.
    pub(super) fn until_shown(&self) -> impl Iterator<Item = &Report> {
        self.kept.iter().take(self.place() + 1)
    }

    /// How many seconds what is shown lies behind the newest; none while that is followed.
    pub(super) fn behind(&self) -> Option<u64> {
        self.held?;
        let (shown, newest) = (self.shown()?, self.kept.back()?);
        Some(newest.at.since(shown.at).0 / 1_000_000)
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.shown().map(|report| rows(report, &self.filter, self.sort)).unwrap_or_default()
    }

    pub(super) const fn selected(&self) -> usize {
        self.selected
    }

    pub(super) const fn sort(&self) -> Sort {
        self.sort
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) const fn over(&self) -> Over {
        self.over
    }

    pub(super) fn is_typing(&self) -> bool {
        self.over == Over::Filter
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}
