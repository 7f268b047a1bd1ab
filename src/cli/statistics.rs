//! `provost history --statistics`: what was used, from the recorded minutes and hours. Must not read anything else.
//!
//! **Terms.** *value*: the mean of one minute, or of one hour where minutes do not reach back that far. *percentile*: of all values, the
//! least that so many hundredths do not exceed. *usual*: from the least to the most mean of this hour of the week in weeks before;
//! *deviation*: how far the last hour's mean lies beyond it, as a part of its nearer end.

use super::Printout;
use super::args::Cli;
use super::fail::{EXIT_NO_COMPONENT, Failure};
use super::forecast::units;
use super::past::{Past, missing, moment, since, unreadable};
use super::render::{COLUMNS, Column, Table, paragraph};
use crate::kernel::clock;
use crate::model::{Each, Level, Resource};
use crate::record::{AtLevels, Lost, Period, Used, Which, periods};
use crate::units::ComponentName;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const HOUR: u64 = 3600;
const WEEK: u64 = 7 * 24 * HOUR;
/// An hour of which less was seen is none to compare with.
const LEAST_SEEN: u64 = HOUR / 2;
const LEGEND: &str = "MEAN, P50, P95 and P99 are of the means of minutes, or of hours where the time is longer than the recorded minutes; PEAK is the most at \
                      one look. USUAL is what this hour of the week had in the weeks before, NOW how far the last hour lies beyond that.";

/// What is said of one resource of one component, in the resource's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statistics {
    /// The component.
    pub(super) component: ComponentName,
    /// The resource.
    pub(super) resource: Resource,
    /// Over all values.
    pub(super) mean: u64,
    /// So many hundredths of the values are not above.
    pub(super) p50: u64,
    /// The same.
    pub(super) p95: u64,
    /// The same.
    pub(super) p99: u64,
    /// At one look.
    pub(super) peak: u64,
    /// From and to, of this hour of the week.
    pub(super) usual: Option<(u64, u64)>,
    /// The mean of the last hour that was seen.
    pub(super) last_hour: Option<u64>,
    /// How far that lies beyond the usual, in percent of its nearer end; zero within.
    pub(super) deviation_percent: Option<i64>,
}

/// All that is said.
#[derive(Debug)]
pub(super) struct Summary {
    /// From when on, in seconds since 1970; of what was recorded.
    pub(super) from_secs: u64,
    /// Whether minutes were added up, or hours.
    pub(super) by: Which,
    /// How much of the time was seen, in seconds.
    pub(super) seen_secs: u64,
    /// By component and resource.
    pub(super) of: Vec<Statistics>,
    /// How long each resource was at each level.
    pub(super) levels: Each<AtLevels>,
    /// What could not be read.
    pub(super) lost: Lost,
}

pub(super) fn statistics(
    cli: &Cli,
    component: Option<&ComponentName>,
    past: Option<Past>,
) -> Result<Printout, Failure> {
    let summary = summary(cli, component, past)?;
    Ok(Printout::text(if cli.json {
        document(&summary)
    } else {
        text(&summary, &TimeZone::system())
    }))
}

/// What the recording says of a component, or of all.
pub(super) fn summary(
    cli: &Cli,
    component: Option<&ComponentName>,
    past: Option<Past>,
) -> Result<Summary, Failure> {
    let ((minutes, lost), (hours, _)) = (read(cli, Which::Minutes)?, read(cli, Which::Hours)?);
    if minutes.is_empty() && hours.is_empty() {
        let text = "no minute is recorded yet; the first one is when it is over";
        return Err(Failure::new(1, text.to_owned()));
    }
    let (by, from) = chosen(&minutes, &hours, since(past));
    let within = if by == Which::Minutes { &minutes } else { &hours };
    let within: Vec<&Period> = within.iter().filter(|period| period.from_secs >= from).collect();
    let mut names: BTreeSet<&ComponentName> =
        within.iter().flat_map(|period| period.components.keys()).collect();
    if let Some(name) = component {
        if !names.contains(name) {
            let text = format!("nothing is recorded of a component \"{name}\" in that time");
            return Err(Failure::new(EXIT_NO_COMPONENT, text));
        }
        names.retain(|one| *one == name);
    }
    let now = clock::wall_secs();
    let of = names.into_iter().flat_map(|name| {
        let one = |resource| statistics_of(name, resource, &within, (&hours, now));
        Resource::ALL.into_iter().filter_map(one)
    });
    Ok(Summary {
        from_secs: within.first().map_or(from, |first| first.from_secs),
        by,
        seen_secs: within.iter().map(|period| period.seen_secs).sum(),
        of: of.collect(),
        levels: levels(&within),
        lost,
    })
}

/// Recorded minutes or hours; none before the first is over.
pub(super) fn read(cli: &Cli, which: Which) -> Result<(Vec<Period>, Lost), Failure> {
    match periods(&cli.state_dir, which) {
        Err(error) if error.is_missing() => Ok((Vec::new(), Lost::default())),
        read => read.map_err(|error| unreadable(cli, &error)),
    }
}

/// Minutes where they reach back to `since`, otherwise hours, and from when on.
fn chosen(minutes: &[Period], hours: &[Period], since: u64) -> (Which, u64) {
    let first = |periods: &[Period]| periods.first().map(|period| period.from_secs);
    match (first(minutes), first(hours)) {
        (Some(minute), Some(hour)) if minute > since && hour + HOUR <= minute => {
            (Which::Hours, since)
        }
        (None, Some(_)) => (Which::Hours, since),
        _ => (Which::Minutes, since),
    }
}

fn statistics_of(
    component: &ComponentName,
    resource: Resource,
    within: &[&Period],
    (hours, now): (&[Period], u64),
) -> Option<Statistics> {
    let used = |period: &Period| *period.components.get(component)?.used.of(resource);
    let all: Vec<Used> = within.iter().filter_map(|period| used(period)).collect();
    let mut means: Vec<u64> = all.iter().map(|used| used.mean).collect();
    means.sort_unstable();
    let sum = means.iter().fold(0_u64, |sum, mean| sum.saturating_add(*mean));
    let count = u64::try_from(means.len()).unwrap_or(u64::MAX);
    let seen = |period: &&Period| period.seen_secs >= LEAST_SEEN;
    let whole: Vec<(u64, u64)> = hours
        .iter()
        .filter(seen)
        .filter_map(|period| Some((period.from_secs, used(period)?.mean)))
        .collect();
    let last = whole.last().copied();
    let usual = last.and_then(|(at, _)| usual(&whole, at));
    let last_hour = last.filter(|(at, _)| now.saturating_sub(*at) < 2 * HOUR).map(|(_, mean)| mean);
    Some(Statistics {
        component: component.clone(),
        resource,
        mean: sum.checked_div(count)?,
        p50: percentile(&means, 50)?,
        p95: percentile(&means, 95)?,
        p99: percentile(&means, 99)?,
        peak: all.iter().map(|used| used.most).max()?,
        usual,
        last_hour,
        deviation_percent: usual.zip(last_hour).map(|(usual, mean)| beyond(usual, mean)),
    })
}

/// From the least to the most of the same hour in the weeks before.
fn usual(hours: &[(u64, u64)], at: u64) -> Option<(u64, u64)> {
    let before = hours.iter().filter(|(from, _)| *from < at && (at - from).is_multiple_of(WEEK));
    let (least, most) = before.fold((u64::MAX, None), |(least, most), (_, mean)| {
        (least.min(*mean), most.max(Some(*mean)))
    });
    Some((least, most?))
}

/// The least value that so many hundredths do not exceed, of sorted values.
fn percentile(sorted: &[u64], hundredths: usize) -> Option<u64> {
    let place = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied()
}

/// How far beyond, in percent of the nearer end.
fn beyond((least, most): (u64, u64), mean: u64) -> i64 {
    let percent = |difference: u64, end: u64| {
        let percent = u128::from(difference) * 100 / u128::from(end.max(1));
        i64::try_from(percent).unwrap_or(i64::MAX)
    };
    match mean {
        mean if mean > most => percent(mean - most, most),
        mean if mean < least => -percent(least - mean, least),
        _ => 0,
    }
}

fn levels(within: &[&Period]) -> Each<AtLevels> {
    within.iter().fold(Each::default(), |mut sum: Each<AtLevels>, period| {
        for resource in Resource::ALL {
            let own = sum.of_mut(resource);
            *own = own.plus(*period.levels.of(resource));
        }
        sum
    })
}

impl Statistics {
    fn json(&self) -> Value {
        json!({
            "component": self.component, "resource": self.resource, "mean": self.mean, "p50": self.p50, "p95": self.p95, "p99": self.p99,
            "peak": self.peak, "usual": self.usual, "last_hour": self.last_hour, "deviation_percent": self.deviation_percent,
        })
    }
}

fn document(summary: &Summary) -> String {
    let components: Vec<Value> = summary.of.iter().map(Statistics::json).collect();
    let levels: BTreeMap<Resource, AtLevels> = Resource::ALL
        .into_iter()
        .map(|resource| (resource, *summary.levels.of(resource)))
        .collect();
    let document = json!({
        "schema": "provost/statistics/v1", "from": summary.from_secs, "seen_seconds": summary.seen_secs,
        "values": if summary.by == Which::Minutes { "minutes" } else { "hours" },
        "units": units(), "components": components, "seconds_at_level": levels, "lost": summary.lost.words(),
    });
    format!("{document:#}\n")
}

fn text(summary: &Summary, zone: &TimeZone) -> String {
    let mut table = Table::new([
        Column::left("COMPONENT"),
        Column::left("OF"),
        Column::right("MEAN"),
        Column::right("P50").rank(1),
        Column::right("P95"),
        Column::right("P99").rank(1),
        Column::right("PEAK"),
        Column::right("USUAL"),
        Column::right("NOW"),
    ]);
    for one in &summary.of {
        let amount = |amount| one.resource.amount(amount);
        table.row([
            one.component.to_string(),
            one.resource.to_string(),
            amount(one.mean),
            amount(one.p50),
            amount(one.p95),
            amount(one.p99),
            amount(one.peak),
            one.usual.map_or_else(
                || "-".to_owned(),
                |(least, most)| format!("{} to {}", amount(least), amount(most)),
            ),
            match one.deviation_percent {
                None => "-".to_owned(),
                Some(0) => "usual".to_owned(),
                Some(percent) => format!("{percent:+}%"),
            },
        ]);
    }
    let from = moment(summary.from_secs, zone);
    let by = if summary.by == Which::Minutes { "minutes" } else { "hours" };
    let seen = crate::units::Span::secs(summary.seen_secs);
    let mut out = format!("since {from}, {seen} seen, by {by}\n\n{}", table.render(COLUMNS));
    out.push('\n');
    out.push_str(&levels_text(&summary.levels));
    out.push('\n');
    out + &paragraph(LEGEND) + &missing(summary.lost)
}

/// How long each resource was at each level.
fn levels_text(levels: &Each<AtLevels>) -> String {
    let mut table = Table::new([
        Column::left("TIME AT LEVEL"),
        Column::right("NORMAL"),
        Column::right("WARNING"),
        Column::right("CRITICAL"),
        Column::right("EMERGENCY"),
    ]);
    for resource in Resource::ALL {
        let at = |level| crate::units::Span::secs(levels.of(resource).of(level)).to_string();
        let [normal, warning, critical, emergency] = Level::ALL.map(at);
        table.row([resource.to_string(), normal, warning, critical, emergency]);
    }
    table.render(COLUMNS)
}

#[cfg(test)]
mod tests;
