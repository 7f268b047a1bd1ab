//! Windows of time: when they begin, how long they last, and what they change. What comes of the change is checked as a configuration of
//! its own (`schedule.rs` of the room).

use super::Check;
use crate::config::calendar::Calendar;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::raw;
use crate::config::schedule::Schedule;
use crate::config::suggest::{closest, shorten};
use crate::units::{ComponentName, Span};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The most windows: each is checked as a configuration of its own.
const MOST: usize = 32;
/// How long one may last.
const LASTS: RangeInclusive<Span> = Span::secs(60)..=Span::secs(7 * 86_400);
/// What does not depend on the time.
const LASTING: [&str; 3] = ["match", "catch", "on-exit"];

impl Check<'_> {
    pub(super) fn schedules(&mut self, raw: &raw::Config) -> BTreeMap<ComponentName, Schedule> {
        let table = Key::default().then("schedule");
        let written = raw.schedule.as_ref();
        if let Some(many) = written.map(BTreeMap::len).filter(|many| *many > MOST) {
            let message = format!("{many} schedules are more than the {MOST} that are kept");
            self.report(ConfigIssue::error(Code::TooLarge, message), &table, "too many");
        }
        let mut schedules = BTreeMap::new();
        for (name, schedule) in written.into_iter().flatten().take(MOST) {
            let key = table.then(name);
            let begins = self.calendars(&key.then("calendar"), schedule);
            let lasts = self.duration(&key.then("duration"), Some(&schedule.duration), LASTS);
            self.changes(&key, schedule, raw);
            let changes = self.merged.changes(&key);
            if let (Some(name), Some(lasts)) = (self.component_name(&key, name), lasts) {
                schedules.insert(name, Schedule { begins, lasts, changes });
            }
        }
        schedules
    }

    fn calendars(&mut self, key: &Key, schedule: &raw::Schedule) -> Vec<Calendar> {
        let mut calendars = Vec::new();
        for (number, text) in schedule.calendar.values.iter().enumerate() {
            match text.0.parse::<Calendar>() {
                Ok(calendar) => calendars.push(calendar),
                Err(error) => {
                    let message = format!("\"{}\" is no calendar expression", shorten(&text.0));
                    let issue = ConfigIssue::error(Code::Calendar, message).help(
                        "write it as for OnCalendar= of a timer, such as \"Mon..Fri 22:00\" or \"*-*-01 06:00 Europe/Berlin\"; \
                         systemd.time(7) and \"systemd-analyze calendar\" explain more",
                    );
                    let key = self.item(key, number);
                    self.report(issue, &key, error.to_string());
                }
            }
        }
        calendars
    }

    /// Reports a window that changes nothing, or what it may not.
    fn changes(&mut self, key: &Key, schedule: &raw::Schedule, raw: &raw::Config) {
        let changed = schedule.component.as_ref();
        let misread = |what: &str| self.merged.node(&key.then(what)).is_some();
        let empty = schedule.strategy.is_none() && changed.is_none();
        if empty && !misread("strategy") && !misread("component") {
            let issue = ConfigIssue::error(Code::MissingKey, "this schedule changes nothing")
                .help("set its `strategy`, or keys of a component in `[schedule.NAME.component.COMPONENT]`");
            self.report(issue, key, "neither `strategy` nor `component`");
        }
        let known: Vec<&str> = raw.component.iter().flatten().map(|(name, _)| &**name).collect();
        for name in changed.into_iter().flatten().map(|(name, _)| name) {
            let key = key.then("component").then(name);
            if !known.contains(&name.as_str()) {
                let message = format!("no component is called \"{}\"", shorten(name));
                let help = match closest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "a schedule changes components that are there".to_owned(),
                };
                let issue = ConfigIssue::error(Code::UnknownKey, message).help(help);
                let place = self.merged.key_place(&key);
                self.issues.push(issue.mark(place, "no component of this name"));
            }
            for lasting in LASTING {
                if let Some(place) = self.merged.key_place(&key.then(lasting)) {
                    let message = format!("a schedule cannot change `{lasting}`");
                    let issue = ConfigIssue::error(Code::NotByTime, message).help(
                        "leave it out; who belongs to a component does not depend on the time",
                    );
                    self.issues.push(issue.mark(Some(place), "always the same"));
                }
            }
        }
    }
}
