//! The models: nine simple opinions of the most that the next buckets will hold. Each takes a bucket in constant time.

mod week;

use super::bucket::{DAY, Number};
use super::packed;
use super::window::Window;
use crate::model::ForecastModel as Model;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use week::Week;

/// Half a day: after six half-lives, what is older weighs nothing in a percentile.
const RECENT: usize = 144;
/// Buckets in an hour.
const HOUR: usize = 12;
/// A percentile of fewer would be their greatest.
const LEAST_FOR_PERCENTILE: usize = 24;
/// What a bucket keeps of the weight of the one after it: a half-life of two hours, `2^(-1/24)`.
const PERCENTILE_KEEP: f32 = 0.971_532;
/// Weights of the newest bucket in the smoothed level, in Holt's level and trend, and how much of a trend is left after each bucket.
const SMOOTH: f32 = 0.3;
const HOLT_LEVEL: f32 = 0.5;
const HOLT_TREND: f32 = 0.1;
const HOLT_DAMPING: f32 = 0.9;
/// Weights of the newest bucket in the level beside the season, and in the season.
const SEASON_LEVEL: f32 = 0.3;
const SEASON: f32 = 0.25;
/// A bucket enters the memory of the day as at most so many times what was seen before. One that is higher comes once a year or every
/// day: if it stays, or comes again tomorrow, the day has it then.
const DAY_RISES: f32 = 8.0;
/// Stands in the day for a slot that was never seen; what was seen is never below zero.
const UNSEEN: f32 = -1.0;

/// How many models there are.
pub(super) const MODELS: usize = Model::ALL.len();

/// One number for each model, in the order of [`Model::ALL`]; none where a model has seen too little.
pub(super) type Opinions = [Option<f32>; MODELS];

/// What follows the level; begins anew after an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Levels {
    smoothed: f32,
    holt: f32,
    trend: f32,
    /// The level beside the season; none before a day was seen.
    seasonal: Option<f32>,
}

/// One number for each of the slots of a day or a week: what was last seen, or the season.
#[derive(Debug, Clone, PartialEq)]
struct Slots<const N: usize>(Vec<f32>);

impl<const N: usize> Slots<N> {
    fn of(value: f32) -> Self {
        Self(vec![value; N])
    }

    fn unseen() -> Self {
        Self::of(UNSEEN)
    }

    fn at(&self, slot: usize) -> f32 {
        self.0.get(slot % N).copied().unwrap_or(UNSEEN)
    }

    fn seen(&self, slot: usize) -> Option<f32> {
        Some(self.at(slot)).filter(|value| *value >= 0.0)
    }

    fn set(&mut self, slot: usize, value: f32) {
        if let Some(place) = self.0.get_mut(slot % N) {
            *place = value;
        }
    }

    /// Bytes on the heap.
    #[cfg(test)]
    fn heap(&self) -> usize {
        self.0.capacity() * size_of::<f32>()
    }
}

impl<const N: usize> Serialize for Slots<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        packed::serialize(&self.0, serializer)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Slots<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut slots = packed::at_most(deserializer, N)?;
        slots.resize(N, UNSEEN);
        Ok(Self(slots))
    }
}

/// What the models remember.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Models {
    /// The last half day.
    recent: Window,
    /// What was last seen at each time of the day.
    day: Slots<DAY>,
    /// How each time of the day differs from the level.
    season: Slots<DAY>,
    week: Week,
    levels: Option<Levels>,
    /// Buckets in all, until there is a season.
    seen: usize,
}

impl Models {
    pub(super) fn new() -> Self {
        Self {
            recent: Window::default(),
            day: Slots::unseen(),
            season: Slots::of(0.0),
            week: Week::new(),
            levels: None,
            seen: 0,
        }
    }

    /// Takes in a bucket.
    pub(super) fn push(&mut self, number: Number, value: f32) {
        let slot = number.slot();
        let of_day = value.min(self.highest().map_or(value, |highest| DAY_RISES * highest));
        self.recent.push(value, RECENT);
        self.day.set(slot, of_day);
        self.week.push(number, of_day);
        self.seen = self.seen.saturating_add(1).min(DAY);
        let had_season = self.levels.is_none_or(|levels| levels.seasonal.is_some());
        if self.seen == DAY && !had_season {
            self.begin_season();
        }
        let Some(levels) = &mut self.levels else {
            let seasonal = (self.seen == DAY).then(|| of_day - self.season.at(slot));
            self.levels = Some(Levels { smoothed: value, holt: value, trend: 0.0, seasonal });
            return;
        };
        levels.smoothed += SMOOTH * (value - levels.smoothed);
        let drift = HOLT_DAMPING * levels.trend;
        let ahead = levels.holt + drift;
        let level = ahead + HOLT_LEVEL * (value - ahead);
        levels.trend = drift + HOLT_TREND * (level - levels.holt - drift);
        levels.holt = level;
        if let Some(seasonal) = &mut levels.seasonal {
            let usual = self.season.at(slot);
            *seasonal += SEASON_LEVEL * (of_day - usual - *seasonal);
            self.season.set(slot, usual + SEASON * (of_day - *seasonal - usual));
        }
    }

    /// The most that was seen of late; none before anything was.
    fn highest(&self) -> Option<f32> {
        let day = self.day.0.iter().copied();
        self.recent.most().map(|recent| day.fold(recent, f32::max))
    }

    /// The first day is the first season. Slots in which nothing was seen have none.
    fn begin_season(&mut self) {
        let seen = || self.day.0.iter().filter(|value| **value >= 0.0);
        let mean = seen().sum::<f32>() / seen().count().max(1) as f32;
        for (season, value) in self.season.0.iter_mut().zip(&self.day.0) {
            *season = if *value >= 0.0 { value - mean } else { 0.0 };
        }
        if let Some(levels) = &mut self.levels {
            levels.seasonal = Some(mean);
        }
    }

    /// Forgets the level and keeps the day and its season: the next bucket may lie anywhere.
    pub(super) fn forget_level(&mut self) {
        self.levels = None;
        self.week.forget_level();
    }

    /// What the bucket `number`, the next one, is expected to be, by the day or by the week: whichever is nearer to the `value` that it was; none
    /// while nothing is known.
    pub(super) fn expected(&self, number: Number, value: f32) -> Option<f32> {
        let by_day = self.levels.map(|levels| match levels.seasonal {
            Some(level) => level + self.season.at(number.slot()),
            None => levels.smoothed,
        });
        let both = [by_day, self.week.expected(number)].into_iter().flatten();
        both.min_by(|one, other| (one - value).abs().total_cmp(&(other - value).abs()))
    }

    /// The last half day.
    pub(super) const fn recent(&self) -> &Window {
        &self.recent
    }

    /// What each model makes of the most in the `horizon` buckets after `number`, the last that was taken in.
    pub(super) fn opinions(&self, number: Number, horizon: usize) -> Opinions {
        let last = self.recent.most_of_last(1);
        let ahead = (1..=horizon).filter_map(|step| self.day.seen(number.slot() + step));
        let yesterday = ahead.reduce(f32::max);
        let season = self.levels.and_then(|levels| levels.seasonal);
        let slots = (1..=horizon).map(|step| self.season.at(number.slot() + step));
        let highest = slots.fold(f32::MIN, f32::max);
        let week = (1..=horizon as u64).filter_map(|step| self.week.expected(number.plus(step)));
        let is_long = self.recent.len() >= LEAST_FOR_PERCENTILE;
        let percentile = is_long.then(|| self.recent.fading_rank(0.95, PERCENTILE_KEEP));
        let opinions = [
            last,
            self.levels.map(|levels| levels.smoothed),
            self.levels.map(|levels| along(levels, horizon)),
            yesterday,
            season.map(|level| level + highest),
            yesterday.zip(last).map(|(yesterday, last)| yesterday.max(last)),
            self.recent.most_of_last(HOUR),
            percentile.flatten(),
            week.reduce(f32::max),
        ];
        opinions.map(|opinion| opinion.filter(|most| most.is_finite()))
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.recent.heap() + self.day.heap() + self.season.heap() + self.week.heap()
    }
}

/// The highest point of level and damped trend within the horizon.
fn along(levels: Levels, horizon: usize) -> f32 {
    let (mut at, mut step, mut most) = (levels.holt, levels.trend, f32::MIN);
    for _ in 0..horizon {
        step *= HOLT_DAMPING;
        at += step;
        most = most.max(at);
    }
    most
}
