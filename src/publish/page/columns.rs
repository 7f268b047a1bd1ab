//! Recorded minutes and hours laid out over the width of a page. Pure.
//!
//! **Problem.** A page shows an hour or a month in the same width, from minutes where there are some and from hours before that.
//!
//! **Approach.** Time is cut into columns of one length that people use, at most 145 of them. A minute adds to the column
//! in which it lies; an hour that is longer than a column is spread over all that it covers.
//!
//! **Terms.** *column*: one of those parts of time; *weight*: for how many seconds of it something was known.
//!
//! **Properties**, each a test: every second that was seen is in exactly one column; the most of a column is the most of what lies in it; no
//! more than 145 columns, whatever the time.

use crate::model::{Each, Resource};
use crate::record::{AtLevels, ComponentUse, Period, Stalled, Used};
use crate::units::{ComponentName, Ppm};
use std::collections::BTreeMap;

/// A column is at least two pixels of a phone wide.
const MOST: u64 = 145;
const HOUR: u64 = 3600;
/// How long a column may be, in seconds.
const LENGTHS: [u64; 11] =
    [60, 120, 300, 600, 1200, 1800, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 24 * HOUR];

/// A stretch of time, in seconds since 1970, and how it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) from: u64,
    /// Of one column.
    pub(super) length: u64,
    pub(super) count: u64,
}

impl Scale {
    /// From one moment to another, whole columns.
    pub(super) fn new(from: u64, to: u64) -> Self {
        let span = to.saturating_sub(from).max(1);
        let fits = |length: &u64| span.div_ceil(*length) < MOST;
        let length = LENGTHS.into_iter().find(fits).unwrap_or_else(|| {
            let days = span.div_ceil(24 * HOUR * (MOST - 1)).max(1);
            days * 24 * HOUR
        });
        let from = from / length * length;
        Self { from, length, count: to.saturating_sub(from).div_ceil(length).max(1) }
    }

    /// Which column a moment lies in.
    pub(super) fn place(&self, at: u64) -> Option<usize> {
        let place = at.checked_sub(self.from)? / self.length;
        usize::try_from(place).ok().filter(|_| place < self.count)
    }

    pub(super) const fn to(&self) -> u64 {
        self.from + self.length * self.count
    }
}

/// What an amount was in one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    weight: u64,
    sum: u128,
    most: u64,
}

impl Amount {
    fn add(&mut self, used: Option<Used>, weight: u64) {
        let Some(used) = used.filter(|_| weight > 0) else { return };
        self.weight += weight;
        self.sum += u128::from(used.mean) * u128::from(weight);
        self.most = self.most.max(used.most);
    }

    /// The mean and the most, where anything was known.
    pub(super) fn used(&self) -> Option<Used> {
        let mean = self.sum.checked_div(u128::from(self.weight))?;
        Some(Used { mean: u64::try_from(mean).unwrap_or(u64::MAX), most: self.most })
    }
}

/// The host in one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HostColumn {
    /// For how many seconds anything was seen.
    pub(super) seen: u64,
    pub(super) used: Each<Amount>,
    pub(super) levels: Each<AtLevels>,
    pub(super) actions: u64,
}

/// A component in one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) used: Each<Amount>,
    pub(super) waited: Each<Option<Ppm>>,
    pub(super) expected: Each<Option<u64>>,
}

/// Everything that was recorded in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) scale: Scale,
    pub(super) host: Vec<HostColumn>,
    pub(super) components: BTreeMap<ComponentName, Vec<Column>>,
    /// Who waited because of whom, over all columns.
    pub(super) stalled: BTreeMap<ComponentName, Vec<Stalled>>,
}

impl Columns {
    /// Minutes, and hours from before the first of them.
    pub(super) fn of(scale: Scale, minutes: &[Period], hours: &[Period]) -> Self {
        let room = usize::try_from(scale.count).unwrap_or_default();
        let mut columns = Self {
            scale,
            host: vec![HostColumn::default(); room],
            components: BTreeMap::new(),
            stalled: BTreeMap::new(),
        };
        let first = minutes.first().map_or(u64::MAX, |minute| minute.from_secs);
        let older = hours.iter().filter(|hour| hour.from_secs.saturating_add(HOUR) <= first);
        older.for_each(|hour| columns.add(hour, HOUR));
        minutes.iter().for_each(|minute| columns.add(minute, 60));
        columns
    }

    /// Adds a period of so many seconds to every column that it touches.
    fn add(&mut self, period: &Period, length: u64) {
        let step = self.scale.length.min(length);
        let parts = length / step;
        let mut is_within = false;
        for part in 0..parts {
            let Some(place) = self.scale.place(period.from_secs + part * step) else { continue };
            is_within = true;
            // What does not divide goes to the first parts: every second is in one column.
            let share = |whole: u64| whole / parts + u64::from(part < whole % parts);
            self.add_host(place, period, share);
            self.add_components(place, &period.components, share(period.seen_secs));
        }
        if is_within {
            for (name, used) in &period.components {
                let own = self.stalled.entry(name.clone()).or_default();
                used.stalled.iter().for_each(|more| more.add_to(own));
            }
        }
    }

    fn add_host(&mut self, place: usize, period: &Period, share: impl Fn(u64) -> u64) {
        let Some(column) = self.host.get_mut(place) else { return };
        let seen = share(period.seen_secs);
        column.seen += seen;
        column.actions += share(period.actions);
        for resource in Resource::ALL {
            column.used.of_mut(resource).add(*period.host.of(resource), seen);
            let whole = period.levels.of(resource);
            let levels = column.levels.of_mut(resource);
            *levels = levels.plus(AtLevels {
                normal: share(whole.normal),
                warning: share(whole.warning),
                critical: share(whole.critical),
                emergency: share(whole.emergency),
            });
        }
    }

    fn add_components(
        &mut self,
        place: usize,
        components: &BTreeMap<ComponentName, ComponentUse>,
        seen: u64,
    ) {
        for (name, used) in components {
            let room = self.host.len();
            let columns = self
                .components
                .entry(name.clone())
                .or_insert_with(|| vec![Column::default(); room]);
            let Some(column) = columns.get_mut(place) else { continue };
            for resource in Resource::ALL {
                // A minute of which no whole second was seen still says what was used.
                column.used.of_mut(resource).add(*used.used.of(resource), seen.max(1));
                let waited = column.waited.of_mut(resource);
                *waited = (*waited).max(*used.waited.of(resource));
                let expected = column.expected.of_mut(resource);
                *expected = (*expected).max(*used.expected.of(resource));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recorded::{SAMPLED, sample_period, sample_trouble};
    use proptest::prelude::*;

    #[test]
    fn time_is_cut_as_people_do() {
        let cut = |span| {
            let scale = Scale::new(1_000_000, 1_000_000 + span);
            (scale.length, scale.count)
        };
        assert_eq!(cut(3600).0, 60);
        assert_eq!(cut(24 * HOUR).0, 600);
        assert_eq!(cut(30 * 24 * HOUR).0, 8 * HOUR);
        assert_eq!(cut(0).1, 1);
        let scale = Scale::new(100, 3700);
        assert_eq!((scale.from, scale.place(59), scale.place(60)), (60, None, Some(0)));
        assert_eq!(scale.place(scale.to()), None);
    }

    #[test]
    fn an_hour_is_spread_over_the_columns_that_it_covers() {
        let hour = sample_period(SAMPLED, 3600, 100, 200);
        let scale = Scale::new(SAMPLED, SAMPLED + 24 * HOUR);
        let columns = Columns::of(scale, &[], &[hour]);
        let seen: Vec<u64> = columns.host.iter().take(7).map(|column| column.seen).collect();
        assert_eq!(seen, [600, 600, 600, 600, 600, 600, 0]);
        let web = &columns.components["web"];
        assert_eq!(web[5].used.cpu.used(), Some(Used { mean: 100, most: 200 }));
        assert_eq!(web[6].used.cpu.used(), None);
    }

    #[test]
    fn who_waited_for_whom_is_added_up() {
        let columns = Columns::of(Scale::new(SAMPLED, SAMPLED + HOUR), &sample_trouble(), &[]);
        let [stalled] = &columns.stalled["web"][..] else { panic!() };
        assert_eq!(stalled.waited.0, 12 * 9_000_000);
    }

    proptest! {
        #[test]
        fn every_second_is_in_one_column(
            from in 0_u64..100_000,
            span in 0_u64..40_000_000,
            minutes in prop::collection::btree_map(0_u64..300_000, (0_u64..=60, 0_u64..1000), 0..50),
        ) {
            let scale = Scale::new(from, from + span);
            prop_assert!(scale.count <= MOST);
            prop_assert!(scale.from <= from && scale.to() >= from + span);
            let minutes: Vec<Period> = minutes
                .into_iter()
                .map(|(at, (seen, mean))| sample_period(at * 60, seen + 10, mean, mean * 2))
                .collect();
            let columns = Columns::of(scale, &minutes, &[]);
            let within = |period: &&Period| scale.place(period.from_secs).is_some();
            let expected: u64 = minutes.iter().filter(within).map(|one| one.seen_secs).sum();
            prop_assert_eq!(columns.host.iter().map(|column| column.seen).sum::<u64>(), expected);
            let most = minutes.iter().filter(within).filter_map(|one| {
                one.components.values().next()?.used.cpu.map(|used| used.most)
            });
            let drawn = columns.components.values().flatten();
            let drawn = drawn.filter_map(|column| column.used.cpu.used()).map(|used| used.most);
            prop_assert_eq!(drawn.max(), most.max());
        }
    }
}
