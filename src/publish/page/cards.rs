//! The charts of a page: the host, and a card for each component.

use super::columns::Column;
use super::draw::{Chart, Line, strip, ticks};
use super::limits::Limits;
use super::markup::Markup;
use super::{Content, Page};
use crate::model::{ComponentReport, Each, KnobKind, Level, Resource};
use crate::record::{AtLevels, Used};
use crate::units::{ComponentName, Ppm};

/// With more, those that used nothing go first, then those of least priority: nobody reads a thousand charts.
const MOST_CARDS: usize = 60;
/// Times below a chart.
const TIMES: u64 = 4;
/// Waiting from these shares on is shown warmer.
const WARM: [Ppm; 3] = [Ppm::percent(1), Ppm::percent(5), Ppm::percent(20)];
const LEGEND: [(&str, &str); 11] = [
    ("mean", "mean"),
    ("most", "most at one look"),
    ("max", "max"),
    ("high", "high"),
    ("low", "protected"),
    ("ahead", "expected at most"),
    ("tick", "limits changed"),
    ("h0", "waits under 1 %, level normal"),
    ("h1", "from 1 %, warning"),
    ("h2", "from 5 %, critical"),
    ("h3", "from 20 %, emergency"),
];

impl Content<'_> {
    pub(super) fn host(&self, body: &mut Markup) {
        body.element("h2", "", "The host");
        self.legend(body);
        body.within("div", &[("class", "card")], |card| {
            for resource in [Resource::Cpu, Resource::Memory] {
                let used = |of: &Each<super::columns::Amount>| of.of(resource).used();
                let used: Vec<Option<Used>> =
                    self.columns.host.iter().map(|column| used(&column.used)).collect();
                let whole = self.page.now.map(|now| match resource {
                    Resource::Cpu => now.host.cpu.0,
                    Resource::Memory | Resource::Io | Resource::Pids => now.host.memory.0,
                });
                let lines = whole.map(|whole| Line {
                    class: "max",
                    columns: vec![Some(whole); self.columns.host.len()],
                });
                let about = format!("{resource} in use");
                chart(card, resource, &about, used, lines.into_iter().collect());
            }
            for resource in Resource::ALL {
                self.levels(card, resource);
            }
            let acted: Vec<bool> =
                self.columns.host.iter().map(|column| column.actions > 0).collect();
            card.within("figure", &[], |figure| {
                figure.element("figcaption", "", "when anything was done");
                ticks(figure, "when anything was done", &acted);
            });
            self.axis(card);
        });
    }

    fn legend(&self, body: &mut Markup) {
        body.within("p", &[("class", "soft")], |line| {
            for (class, words) in LEGEND {
                line.within("span", &[("class", "t")], |item| {
                    item.within("b", &[("class", &format!("key {class}"))], |_| {});
                    item.words(words);
                });
                line.words(" ");
            }
        });
    }

    /// How scarce a resource was.
    fn levels(&self, card: &mut Markup, resource: Resource) {
        let worst = |at: &AtLevels| {
            let worst = Level::ALL.into_iter().rev().find(|level| at.of(*level) > 0)?;
            Some(match worst {
                Level::Normal => 0,
                Level::Warning => 1,
                Level::Critical => 2,
                Level::Emergency => 3,
            })
        };
        let heat: Vec<Option<u8>> =
            self.columns.host.iter().map(|column| worst(column.levels.of(resource))).collect();
        let about = format!("level of {resource}");
        card.within("figure", &[], |figure| {
            figure.element("figcaption", "", &about);
            strip(figure, &about, &heat);
        });
    }

    pub(super) fn components(&self, body: &mut Markup) {
        let names = self.names();
        if names.is_empty() {
            return;
        }
        body.element("h2", "", "The components");
        for name in names.iter().take(MOST_CARDS) {
            body.within("div", &[("class", "card")], |card| self.card(card, name));
        }
        if let Some(more) = names.len().checked_sub(MOST_CARDS).filter(|more| *more > 0) {
            let text = format!("{more} more are in the tables below");
            body.element("p", "soft", &text);
        }
    }

    /// Who was seen in this time, those of the highest priority first.
    fn names(&self) -> Vec<&ComponentName> {
        let mut names: Vec<&ComponentName> = self.columns.components.keys().collect();
        let priority = |name: &ComponentName| {
            self.page.reported(name).map(|component| std::cmp::Reverse(component.priority))
        };
        names.sort_by_key(|name| (priority(name).is_none(), priority(name)));
        names
    }

    fn card(&self, card: &mut Markup, name: &ComponentName) {
        let now = self.page.reported(name);
        card.element("h3", "", name.as_str());
        if let Some(now) = now {
            card.element("p", "soft", &configured(now));
        }
        let Some(columns) = self.columns.components.get(name) else { return };
        let limits = Limits::of(name, &self.page.recorded.events, now);
        for resource in [Resource::Cpu, Resource::Memory, Resource::Io] {
            let used = columns.iter().map(|column| column.used.of(resource).used()).collect();
            let lines = self.lines(resource, columns, &limits);
            chart(card, resource, &format!("{resource} used by {name}"), used, lines);
        }
        for resource in [Resource::Cpu, Resource::Memory, Resource::Io] {
            waits(card, resource, columns);
        }
        self.changes(card, name);
        self.axis(card);
    }

    fn lines(&self, resource: Resource, columns: &[Column], limits: &Limits) -> Vec<Line> {
        let of = |class, kind| Line { class, columns: limits.columns(kind, self.columns.scale) };
        let expected = columns.iter().map(|column| *column.expected.of(resource)).collect();
        let ahead = Line { class: "ahead", columns: expected };
        match resource {
            Resource::Cpu => vec![of("max", KnobKind::CpuMax), ahead],
            Resource::Memory => vec![
                of("low", KnobKind::MemoryLow),
                of("low", KnobKind::MemoryMin),
                of("high", KnobKind::MemoryHigh),
                of("max", KnobKind::MemoryMax),
                ahead,
            ],
            Resource::Io | Resource::Pids => vec![ahead],
        }
    }

    /// When its limits were changed.
    fn changes(&self, card: &mut Markup, name: &ComponentName) {
        let mut changed = vec![false; self.columns.host.len()];
        let own = self.events.iter().filter(|event| event.component() == Some(name));
        for event in own.filter(|event| event.is_allocation()) {
            let place = self.columns.scale.place(event.wall_secs);
            if let Some(column) = place.and_then(|place| changed.get_mut(place)) {
                *column = true;
            }
        }
        if changed.contains(&true) {
            card.within("figure", &[], |figure| {
                figure.element("figcaption", "", "when its limits were changed");
                ticks(figure, &format!("when limits of {name} were changed"), &changed);
            });
        }
    }

    fn axis(&self, card: &mut Markup) {
        let scale = self.columns.scale;
        let is_short = scale.to() - scale.from <= 2 * 86_400;
        let form = if is_short { "%H:%M" } else { "%m-%d" };
        card.within("div", &[("class", "axis")], |axis| {
            for part in 0..=TIMES {
                let at = scale.from + (scale.to() - scale.from) * part / TIMES;
                axis.element("span", "", &self.page.shown(at, form));
            }
        });
    }
}

impl<'a> Page<'a> {
    /// What the daemon says of a component.
    pub(super) fn reported(&self, name: &ComponentName) -> Option<&'a ComponentReport> {
        self.now?.components.iter().find(|component| component.name == *name)
    }
}

/// What was asked for, and what holds it back now.
fn configured(now: &ComponentReport) -> String {
    let guarantee = |amount: u64, resource: Resource| match amount {
        0 => "none".to_owned(),
        amount => resource.amount(amount),
    };
    format!(
        "priority {}; guaranteed: cpu {}, memory {}; ceiling: cpu {}, memory {}",
        now.priority,
        guarantee(now.cpu_guarantee.0, Resource::Cpu),
        guarantee(now.memory_guarantee.0, Resource::Memory),
        now.cpu_ceiling,
        now.memory_ceiling
    )
}

fn chart(
    card: &mut Markup,
    resource: Resource,
    about: &str,
    used: Vec<Option<Used>>,
    lines: Vec<Line>,
) {
    let chart = Chart { about, used, lines };
    if chart.is_empty() {
        return;
    }
    card.within("figure", &[], |figure| {
        let top = resource.amount(chart.top());
        figure.element("figcaption", "", &format!("{about}, 0 to {top}"));
        chart.draw(figure);
    });
}

/// How much of the time it waited.
fn waits(card: &mut Markup, resource: Resource, columns: &[Column]) {
    let degree = |waited: Ppm| {
        let above = WARM.iter().filter(|from| waited >= **from).count();
        u8::try_from(above).unwrap_or(3)
    };
    let heat: Vec<Option<u8>> =
        columns.iter().map(|column| column.waited.of(resource).map(degree)).collect();
    if heat.iter().all(Option::is_none) {
        return;
    }
    card.within("figure", &[], |figure| {
        let about = format!("waited for {resource}");
        figure.element("figcaption", "", &about);
        strip(figure, &about, &heat);
    });
}
