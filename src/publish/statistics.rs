//! What was used, as a few numbers for each component and resource: from recorded minutes and hours. Pure.
//!
//! **Terms.** *value*: the mean of one minute, or of one hour where minutes do not reach back that far. *percentile*: of all values, the
//! least that so many hundredths do not exceed. *usual*: from the least to the most mean of this hour of the week in weeks before;
//! *deviation*: how far the last hour's mean lies beyond it, as a part of its nearer end.

use crate::model::{Each, Resource};
use crate::record::{AtLevels, Period, Used, Which};
use crate::units::ComponentName;
use std::collections::BTreeSet;

const HOUR: u64 = 3600;
const WEEK: u64 = 7 * 24 * HOUR;
/// An hour of which less was seen is none to compare with.
const LEAST_SEEN: u64 = HOUR / 2;

/// What is said of one resource of one component, in the resource's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// The component.
    pub component: ComponentName,
    /// The resource.
    pub resource: Resource,
    /// Over all values.
    pub mean: u64,
    /// So many hundredths of the values are not above.
    pub p50: u64,
    /// The same.
    pub p95: u64,
    /// The same.
    pub p99: u64,
    /// At one look.
    pub peak: u64,
    /// From and to, of this hour of the week.
    pub usual: Option<(u64, u64)>,
    /// The mean of the last hour that was seen.
    pub last_hour: Option<u64>,
    /// How far that lies beyond the usual, in percent of its nearer end; zero within.
    pub deviation_percent: Option<i64>,
}

/// What was used in a time.
#[derive(Debug)]
pub struct Summary {
    /// From when on, in seconds since 1970; of what was recorded.
    pub from_secs: u64,
    /// Whether minutes were added up, or hours.
    pub by: Which,
    /// How much of the time was seen, in seconds.
    pub seen_secs: u64,
    /// By component and resource.
    pub of: Vec<Statistics>,
    /// How long each resource was at each level.
    pub levels: Each<AtLevels>,
}

impl Summary {
    /// What is recorded from `since` on, in seconds since 1970; `now` says which hour is the last.
    #[must_use]
    pub fn of(minutes: &[Period], hours: &[Period], since: u64, now: u64) -> Self {
        let by = chosen(minutes, hours, since);
        let within = if by == Which::Minutes { minutes } else { hours };
        let within: Vec<&Period> =
            within.iter().filter(|period| period.from_secs >= since).collect();
        let names: BTreeSet<&ComponentName> =
            within.iter().flat_map(|period| period.components.keys()).collect();
        let of = names.into_iter().flat_map(|name| {
            let one = |resource| statistics_of(name, resource, &within, (hours, now));
            Resource::ALL.into_iter().filter_map(one)
        });
        Self {
            from_secs: within.first().map_or(since, |first| first.from_secs),
            by,
            seen_secs: within.iter().map(|period| period.seen_secs).sum(),
            of: of.collect(),
            levels: levels(&within),
        }
    }
}

/// Minutes where they reach back to `since`, otherwise hours.
fn chosen(minutes: &[Period], hours: &[Period], since: u64) -> Which {
    let first = |periods: &[Period]| periods.first().map(|period| period.from_secs);
    match (first(minutes), first(hours)) {
        (Some(minute), Some(hour)) if minute > since && hour + HOUR <= minute => Which::Hours,
        (None, Some(_)) => Which::Hours,
        _ => Which::Minutes,
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

#[cfg(test)]
mod tests;
