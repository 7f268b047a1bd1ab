//! The tables of a page.

use super::Content;
use super::markup::{Markup, csv_address};
use crate::model::{
    AlertState, AlertView, ComponentReport, EventOf, GrowthView, OutcomeOf, Resource, Room,
};
use crate::publish::Statistics;
use crate::record::Stalled;
use crate::units::{ComponentName, Ppm, Span};

/// Lines of a table; a file beside it holds more.
const MOST_LINES: usize = 60;
/// Lines of such a file.
const MOST_IN_FILE: usize = 2000;

/// A cell, and on which side it stands.
enum Cell {
    Word(String),
    Number(String),
}

use Cell::{Number, Word};

impl Content<'_> {
    /// What was used of what is guaranteed and allowed.
    pub(super) fn slack(&self, body: &mut Markup) {
        let rows: Vec<Vec<Cell>> = self.summary.of.iter().map(|one| self.slack_of(one)).collect();
        if rows.is_empty() {
            return;
        }
        body.element("h2", "", "Use and slack");
        body.element(
            "p",
            "soft",
            "Mean and p95 are of minutes, or of hours where the time is longer than the recorded minutes; peak is the most at one look. Unused is what \
             is guaranteed and p95 does not reach; room is what is between the peak and the ceiling.",
        );
        let head =
            ["component", "of", "mean", "p95", "peak", "guaranteed", "unused", "ceiling", "room"];
        table(body, &head, rows);
    }

    fn slack_of(&self, one: &Statistics) -> Vec<Cell> {
        let now = self.page.reported(&one.component);
        let (guarantee, ceiling) = now.map_or((None, None), |now| promised(now, one.resource));
        let amount = |amount: u64| Number(one.resource.amount(amount));
        let or_none = |amount: Option<u64>| {
            Number(amount.map_or_else(|| "-".to_owned(), |amount| one.resource.amount(amount)))
        };
        vec![
            Word(one.component.to_string()),
            Word(one.resource.to_string()),
            amount(one.mean),
            amount(one.p95),
            amount(one.peak),
            or_none(guarantee),
            or_none(guarantee.map(|guarantee| guarantee.saturating_sub(one.p95))),
            or_none(ceiling),
            or_none(ceiling.map(|ceiling| ceiling.saturating_sub(one.peak))),
        ]
    }

    /// Who waited because of whom.
    pub(super) fn stalls(&self, body: &mut Markup) {
        let each = |(name, stalled): (&'_ ComponentName, &'_ Vec<Stalled>)| {
            let own = stalled.iter().filter(|one| one.waited >= Span::secs(1));
            own.map(|one| (one.waited, name.clone(), one.clone())).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.columns.stalled.iter().flat_map(each).collect();
        all.sort_by_key(|(waited, ..)| std::cmp::Reverse(*waited));
        body.element("h2", "", "Who waited because of whom");
        if all.is_empty() {
            body.element("p", "", "Nobody waited for long enough to say why.");
            return;
        }
        let seen = self.summary.seen_secs.saturating_mul(1_000_000);
        let row = |(waited, name, stalled): (Span, ComponentName, Stalled)| {
            let share = Ppm::of(waited.0, seen).unwrap_or_default();
            vec![
                Word(name.to_string()),
                Word(stalled.resource.to_string()),
                Word(stalled.by.to_string()),
                Number(Span::secs(waited.0 / 1_000_000).to_string()),
                Number(share.to_string()),
            ]
        };
        let head = ["component", "waited for", "because of", "for", "of the time"];
        table(body, &head, all.into_iter().take(MOST_LINES).map(row).collect());
    }

    pub(super) fn alerts(&self, body: &mut Markup) {
        let mut rows = Vec::new();
        let now = self.page.now.map(|now| now.alerts.as_slice()).unwrap_or_default();
        for alert in now.iter().filter(|alert| alert.state != AlertState::Resolved) {
            rows.push(alert_row("now".to_owned(), alert));
        }
        for event in self.events.iter().rev() {
            let EventOf::Alert { alert } = &event.of else { continue };
            rows.push(alert_row(self.page.moment(event.wall_secs), alert));
        }
        body.element("h2", "", "Alerts");
        if rows.is_empty() {
            body.element("p", "", "None holds, and nobody was told of one.");
            return;
        }
        rows.truncate(MOST_LINES);
        table(body, &["when", "alert", "severity", "state", "what is wrong"], rows);
    }

    /// What was changed and why, the newest first.
    pub(super) fn actions(&self, body: &mut Markup) {
        let head = ["when", "component", "group", "knob", "old", "new", "result", "why"];
        let rows: Vec<[String; 8]> =
            self.events.iter().rev().filter_map(|event| self.action(event)).collect();
        body.element("h2", "", "What was changed, and why");
        if rows.is_empty() {
            body.element("p", "", "No limit was changed in this time.");
            return;
        }
        let shown = rows.iter().take(MOST_LINES);
        let cells = shown.map(|row| row.iter().cloned().map(Word).collect()).collect();
        table(body, &head, cells);
        let titles = std::iter::once(head.map(str::to_owned).to_vec());
        let lines = rows.iter().take(MOST_IN_FILE).map(|row| row.to_vec());
        let file: Vec<Vec<String>> = titles.chain(lines).collect();
        let address = csv_address(&file);
        body.within("p", &[("class", "soft")], |line| {
            let count = file.len() - 1;
            line.within("a", &[("href", &address), ("download", "provost-changes.csv")], |link| {
                link.words(&format!("as a file (CSV), {count} of {}", rows.len()));
            });
        });
    }

    fn action(&self, event: &crate::model::Event) -> Option<[String; 8]> {
        let EventOf::Action { outcome, old, reason } = &event.of else { return None };
        let OutcomeOf::Knob { knob, asked, .. } = &outcome.of else { return None };
        let name = outcome.component.as_ref();
        Some([
            self.page.moment(event.wall_secs),
            name.map_or_else(|| "-".to_owned(), ToString::to_string),
            outcome.path.to_string(),
            knob.to_string(),
            old.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            asked.to_string(),
            outcome.result(),
            reason.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        ])
    }

    /// What was foretold, and how much of it held.
    pub(super) fn forecasts(&self, body: &mut Markup) {
        let now = self.page.now.map(|now| now.components.as_slice()).unwrap_or_default();
        let rows: Vec<Vec<Cell>> = now.iter().flat_map(|one| self.forecasts_of(one)).collect();
        if rows.is_empty() {
            return;
        }
        body.element("h2", "", "Forecast against truth");
        body.element(
            "p",
            "soft",
            "Held is the share of all bounds so far that were not exceeded, beside the share that was promised; the charts show the bound over what came.",
        );
        let head = [
            "component",
            "of",
            "within",
            "likely",
            "at most",
            "promised",
            "held",
            "most in this time",
            "by",
            "trust",
        ];
        table(body, &head, rows);
    }

    fn forecasts_of(&self, one: &ComponentReport) -> Vec<Vec<Cell>> {
        let row = |(resource, view): (&Resource, &crate::model::ForecastView)| {
            let came = self
                .summary
                .of
                .iter()
                .find(|came| came.component == one.name && came.resource == *resource);
            let share = |share: Option<Ppm>| {
                Number(share.map_or_else(|| "-".to_owned(), |share| share.to_string()))
            };
            let said = &view.said;
            let model = said.model.map_or("-", crate::model::ForecastModel::word);
            vec![
                Word(one.name.to_string()),
                Word(resource.to_string()),
                Number(view.horizon.to_string()),
                Number(resource.amount(said.point)),
                Number(resource.amount(said.upper)),
                share(Some(view.quantile)),
                share(said.coverage),
                Number(came.map_or_else(|| "-".to_owned(), |came| resource.amount(came.peak))),
                Word(format!("{model} ({})", said.stage.word())),
                share(Some(said.confidence)),
            ]
        };
        one.forecasts.iter().map(row).collect()
    }

    /// Where it goes.
    pub(super) fn capacity(&self, body: &mut Markup) {
        let Some(now) = self.page.now else { return };
        let mut rows = Vec::new();
        let grows = |of: &str, resource: Resource, view: &GrowthView| {
            let reached =
                view.reached.map_or_else(|| "not within a year".to_owned(), |at| at.told());
            let per_week = resource.amount(view.line.per_week.unsigned_abs());
            let sign = if view.line.per_week < 0 { "-" } else { "+" };
            vec![
                Word(of.to_owned()),
                Word(resource.to_string()),
                Number(resource.amount(view.line.busiest)),
                Number(format!("{sign}{per_week}")),
                Number(view.ceiling.map_or_else(|| "-".to_owned(), |most| resource.amount(most))),
                Word(reached),
            ]
        };
        rows.extend(
            now.host.growth.iter().map(|(resource, view)| grows("the host", *resource, view)),
        );
        for one in &now.components {
            let own = one.growth.iter();
            rows.extend(own.map(|(resource, view)| grows(one.name.as_str(), *resource, view)));
        }
        body.element("h2", "", "Where it goes");
        if rows.is_empty() {
            body.element("p", "soft", "Growth over weeks is told once two weeks were seen.");
        } else {
            let head = ["who", "of", "busiest hour", "a week", "ceiling", "reached"];
            table(body, &head, rows);
        }
        self.filesystems(body);
    }

    fn filesystems(&self, body: &mut Markup) {
        let all = self.page.now.map(|now| now.estimate.filesystems.as_slice()).unwrap_or_default();
        let row = |view: &crate::model::FileSystemView| {
            let (size, used) = match view.seen.room {
                Room::Known { size, used, .. } => {
                    (size.to_string(), used.map_or_else(|| "-".to_owned(), |used| used.to_string()))
                }
                Room::Hangs { .. } => ("does not answer".to_owned(), "-".to_owned()),
                Room::Failed { .. } => ("cannot be read".to_owned(), "-".to_owned()),
            };
            let full = view.fills.map_or_else(|| "-".to_owned(), |fills| fills.told());
            vec![Word(view.seen.at.clone()), Number(size), Number(used), Word(full)]
        };
        if !all.is_empty() {
            let rows = all.iter().map(row).collect();
            table(body, &["file system", "size", "in use", "full"], rows);
        }
    }
}

fn alert_row(when: String, alert: &AlertView) -> Vec<Cell> {
    let AlertView { id, severity, state, text, .. } = alert;
    let words = [when, id.clone(), severity.to_string(), state.to_string(), text.clone()];
    words.map(Word).into()
}

/// The guarantee and the ceiling of a resource, in its unit.
fn promised(now: &ComponentReport, resource: Resource) -> (Option<u64>, Option<u64>) {
    let some = |amount: u64| Some(amount).filter(|amount| *amount > 0);
    match resource {
        Resource::Cpu => {
            (some(now.cpu_guarantee.0), now.cpu_ceiling.value().map(|ceiling| ceiling.0))
        }
        Resource::Memory => {
            (some(now.memory_guarantee.0), now.memory_ceiling.value().map(|ceiling| ceiling.0))
        }
        Resource::Io => (None, None),
        Resource::Pids => (None, now.pids_ceiling.value()),
    }
}

fn table(body: &mut Markup, head: &[&str], rows: Vec<Vec<Cell>>) {
    let is_number =
        |column: usize| rows.iter().any(|row| matches!(row.get(column), Some(Number(_))));
    body.within("div", &[("class", "wide")], |wide| {
        wide.within("table", &[], |table| {
            table.within("thead", &[], |thead| {
                thead.within("tr", &[], |line| {
                    for (column, title) in head.iter().enumerate() {
                        let class = if is_number(column) { "n" } else { "" };
                        line.element("th", class, title);
                    }
                });
            });
            table.within("tbody", &[], |tbody| {
                for row in &rows {
                    tbody.within("tr", &[], |line| {
                        row.iter().for_each(|cell| match cell {
                            Word(words) => line.element("td", "", words),
                            Number(number) => line.element("td", "n", number),
                        });
                    });
                }
            });
        });
    });
}
