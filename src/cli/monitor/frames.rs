//! What the screen shows: which moment, which components, in which order. Pure: keys, reports and recordings go in, nothing else happens.
//!
//! Moments are those of the reports that came, and before them, or without any, those of a recording. Who goes back beyond the first
//! report wants a recording ([`Frames::wants_recording`]), which somebody else has to open.

use super::recorded::Recorded;
use super::rows::{Row, Sort, rows};
use super::waits;
use super::wish::Wish;
use crate::model::{Report, Resource};
use crate::serve::Request;
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
    /// Give the selected component something for a while.
    Give,
    Type(char),
    To(Moment),
}

/// Which moment to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// So many before this one.
    Earlier(usize),
    Later(usize),
    /// This one, until that is pressed again; of a recording one after the other.
    Held,
    Oldest,
    Now,
}

/// Where the moment is that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The newest report, whichever that is.
    Newest,
    /// One of those that are kept.
    Kept(usize),
    /// In the recording.
    Recorded,
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
    /// What a component is to have for a while is being typed, or to be confirmed.
    Wish,
}

/// The last minutes, what was recorded before, and where in them the screen is.
#[derive(Debug)]
pub(super) struct Frames {
    kept: VecDeque<Report>,
    recorded: Option<Recorded>,
    at: At,
    /// How far before the oldest report somebody wants to go.
    wanted: Option<usize>,
    /// Whether the recording is shown look by look.
    is_playing: bool,
    selected: usize,
    sort: Sort,
    filter: String,
    over: Over,
    wish: Option<Wish>,
    /// What was confirmed, and is yet to be sent.
    order: Option<Request>,
    /// Why the last answer did not come.
    failure: Option<String>,
    /// What there is to say about the last key.
    said: Option<String>,
}

impl Frames {
    /// Follows reports that come.
    pub(super) fn new(first: Report) -> Self {
        Self::of(VecDeque::from([first]), None, At::Newest)
    }

    /// Shows a recording, and nothing that comes.
    pub(super) fn recorded(recorded: Recorded) -> Self {
        let said = recorded.lost();
        Self { said, ..Self::of(VecDeque::new(), Some(recorded), At::Recorded) }
    }

    fn of(kept: VecDeque<Report>, recorded: Option<Recorded>, at: At) -> Self {
        Self {
            kept,
            recorded,
            at,
            wanted: None,
            is_playing: false,
            selected: 0,
            sort: Sort::default(),
            filter: String::new(),
            over: Over::default(),
            wish: None,
            order: None,
            failure: None,
            said: None,
        }
    }

    /// Another report came.
    pub(super) fn come(&mut self, report: Report) {
        self.failure = None;
        let most = (ROWS / report.components.len().max(1)).clamp(LEAST, MOST);
        while self.kept.len() >= most {
            self.kept.pop_front();
            // What is looked at stays where it is as long as it is there.
            if let At::Kept(place) = &mut self.at {
                *place = place.saturating_sub(1);
            }
        }
        self.kept.push_back(report);
    }

    /// None came: what is shown grows old, and that is said.
    pub(super) fn fail(&mut self, why: String) {
        self.failure = Some(why);
    }

    /// Takes a key. Whether to go on.
    pub(super) fn press(&mut self, key: Pressed) -> bool {
        self.said = None;
        match (self.over, key) {
            (_, Pressed::Leave) => return false,
            (Over::Nothing, Pressed::Back) if self.filter.is_empty() => return false,
            (Over::Nothing, _) => self.press_at_table(key),
            (Over::Why { from }, _) => self.press_at_why(key, from),
            (Over::Filter, _) => self.press_at_filter(key),
            (Over::Wish, _) => self.press_at_wish(key),
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
            Pressed::Give => self.begin_wish(),
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
            | Pressed::Give
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
            Pressed::Leave
            | Pressed::Up
            | Pressed::Down
            | Pressed::Sort
            | Pressed::Filter
            | Pressed::Give => {}
        }
    }

    /// Only what is now can be changed.
    fn begin_wish(&mut self) {
        if self.at != At::Newest {
            self.said =
                Some("this is over: End goes to now, where something can be given".to_owned());
            return;
        }
        self.wish = self.rows().get(self.selected).and_then(|row| Wish::of(&row.name));
        if self.wish.is_some() {
            self.over = Over::Wish;
        }
    }

    fn press_at_wish(&mut self, key: Pressed) {
        let Some(wish) = &mut self.wish else { return };
        match key {
            Pressed::Type('y') if wish.is_to_confirm() => {
                self.order = self.wish.take().and_then(Wish::into_request);
            }
            _ if wish.is_to_confirm() => self.drop_wish(),
            Pressed::Type(letter) => wish.push(letter),
            Pressed::Erase => wish.erase(),
            Pressed::Enter => self.said = wish.check().err(),
            Pressed::Back => self.drop_wish(),
            Pressed::Leave
            | Pressed::Up
            | Pressed::Down
            | Pressed::Sort
            | Pressed::Filter
            | Pressed::Give
            | Pressed::To(_) => {}
        }
        if self.wish.is_none() {
            self.over = Over::Nothing;
        }
    }

    fn drop_wish(&mut self) {
        self.wish = None;
        self.said = Some("nothing was changed".to_owned());
    }

    /// What somebody has confirmed, to be sent once.
    pub(super) const fn take_order(&mut self) -> Option<Request> {
        self.order.take()
    }

    /// What came of it.
    pub(super) fn answered(&mut self, text: &str) {
        self.said = Some(text.lines().map(str::trim).collect::<Vec<_>>().join(" "));
    }

    fn go(&mut self, to: Moment) {
        match (self.at, to) {
            (At::Recorded, to) => self.go_recorded(to),
            (At::Newest, Moment::Held) => self.at = At::Kept(self.newest()),
            (At::Kept(_), Moment::Held) | (_, Moment::Now) => self.at = At::Newest,
            (_, Moment::Oldest) => self.at = At::Kept(0),
            (_, Moment::Earlier(count)) => {
                let place = self.place();
                self.wanted = count.checked_sub(place).filter(|more| *more > 0);
                self.at = At::Kept(place.saturating_sub(count));
            }
            (_, Moment::Later(count)) => self.later(self.place() + count),
        }
    }

    fn later(&mut self, place: usize) {
        self.at = if place < self.newest() { At::Kept(place) } else { At::Newest };
    }

    fn go_recorded(&mut self, to: Moment) {
        let end = self.end_of_recording();
        let Some(recorded) = &mut self.recorded else { return };
        let gone = match (to, end) {
            (Moment::Held, _) => {
                self.is_playing = !self.is_playing;
                return;
            }
            (Moment::Oldest, _) => recorded.go(recorded.first()),
            (Moment::Earlier(count), _) => recorded.go(recorded.at().saturating_sub(count)),
            (Moment::Now, Some(_)) => return self.leave_recording(usize::MAX),
            (Moment::Later(count), Some(end)) if recorded.at() + count > end => {
                let place = recorded.at() + count - end - 1;
                return self.leave_recording(place);
            }
            (Moment::Later(count), _) => recorded.go(recorded.at() + count),
            (Moment::Now, None) => recorded.go(recorded.last()),
        };
        self.said = gone.err();
    }

    /// On to the reports that came.
    fn leave_recording(&mut self, place: usize) {
        self.recorded = None;
        self.later(place);
    }

    /// The look after which the reports begin that came; none where none came.
    fn end_of_recording(&self) -> Option<usize> {
        let oldest = self.kept.front()?;
        self.recorded.as_ref()?.before(oldest.own.wall_secs).or(Some(0))
    }

    /// Whether somebody wants to go back beyond the first report.
    pub(super) const fn wants_recording(&self) -> bool {
        self.wanted.is_some()
    }

    /// Goes back into a recording, or says why not.
    pub(super) fn join(&mut self, opened: Result<Recorded, String>) {
        let Some(back) = self.wanted.take() else { return };
        let oldest = self.kept.front().map_or(0, |report| report.own.wall_secs);
        let joined = opened.and_then(|mut recorded| {
            let Some(last) = recorded.before(oldest) else {
                return Err("the recording holds nothing from before".to_owned());
            };
            recorded.go((last + 1).saturating_sub(back))?;
            Ok(recorded)
        });
        match joined {
            Ok(recorded) => {
                self.said = recorded.lost();
                self.recorded = Some(recorded);
                (self.at, self.is_playing) = (At::Recorded, false);
            }
            Err(why) => self.said = Some(format!("this is the oldest: {why}")),
        }
    }

    /// Some time has passed: a recording that is played goes on by one look.
    pub(super) fn tick(&mut self) {
        if !self.is_playing() {
            return;
        }
        let before = self.recorded.as_ref().map(Recorded::at);
        self.go_recorded(Moment::Later(1));
        self.is_playing = self.recorded.as_ref().map(Recorded::at) != before;
    }

    pub(super) fn is_playing(&self) -> bool {
        self.is_playing && self.at == At::Recorded
    }

    fn newest(&self) -> usize {
        self.kept.len().saturating_sub(1)
    }

    /// Which of the reports that came is shown, or would be.
    fn place(&self) -> usize {
        match self.at {
            At::Kept(place) => place,
            At::Newest | At::Recorded => self.newest(),
        }
    }

    /// The recording, while it is shown.
    pub(super) fn recording(&self) -> Option<&Recorded> {
        self.recorded.as_ref().filter(|_| self.at == At::Recorded)
    }

    /// What is shown; there is always one.
    pub(super) fn shown(&self) -> Option<&Report> {
        match self.recording() {
            Some(recorded) => recorded.shown(),
            None => self.kept.get(self.place()),
        }
    }

    /// How much was waited up to what is shown, for as many moments, the newest last.
    pub(super) fn waited(&self, resource: Resource, count: usize) -> Vec<Option<u32>> {
        if let Some(recorded) = self.recording() {
            return recorded.waited(resource, count);
        }
        let end = self.place() + 1;
        let shown = self.kept.iter().take(end).skip(end.saturating_sub(count));
        shown.map(|report| waits::of(waits::of_report(report), resource)).collect()
    }

    /// How many seconds what is shown lies behind the newest report; none while that is followed, and in a recording.
    pub(super) fn behind(&self) -> Option<u64> {
        let At::Kept(place) = self.at else { return None };
        let (shown, newest) = (self.kept.get(place)?, self.kept.back()?);
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

    pub(super) const fn wish(&self) -> Option<&Wish> {
        self.wish.as_ref()
    }

    /// Whether letters are letters.
    pub(super) fn is_typing(&self) -> bool {
        matches!(self.over, Over::Filter | Over::Wish)
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What there is to say about the last key.
    pub(super) fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}
