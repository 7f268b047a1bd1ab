//! Backtests: the forecaster played over recorded series, beside simple rules on the same buckets, and what each bound cost.
//!
//! Pure but for [`Series::load`]. After each bucket everybody says what the most in the next few buckets will be at most, and is held against
//! what came. The first quarter of each series is for learning and does not count. A missing bucket adds nothing to what came; where all are missing,
//! nobody is judged.

mod rivals;
mod score;
mod series;

pub use score::{Mark, median};
pub use series::{Series, SeriesError};

use crate::estimate::forecast::{Forecaster, Model, Moment, Settings, buckets};
use rivals::{NAMES, RIVALS, Rivals};
use std::collections::VecDeque;

/// Everybody who is judged: the forecaster first.
pub const JUDGED: usize = RIVALS + 1;

/// The names of all who are judged.
#[must_use]
pub fn names() -> [&'static str; JUDGED] {
    let mut names = ["provost"; JUDGED];
    names.iter_mut().skip(1).zip(NAMES).for_each(|(name, rival)| *name = rival);
    names
}

/// One bucket: what it came to, and the bound that was in force for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// What it came to; none where it is missing.
    pub value: Option<f64>,
    /// What was said at the end of the bucket before.
    pub upper: Option<f64>,
}

/// How a series went.
#[derive(Debug, Clone)]
pub struct Tested {
    /// The series' name.
    pub name: String,
    /// Buckets from the first to the last, missing ones included.
    pub buckets: Vec<Bucket>,
    /// Marks in the order of [`names`].
    pub marks: [Mark; JUDGED],
    /// Changes of the leading model, per day, over the part that counts.
    pub switches: f64,
    /// The model that led at the end.
    pub model: Option<Model>,
    /// The forecaster's confidence at the end, in percent.
    pub confidence: f64,
}

impl Tested {
    /// Whether anybody was judged: a series of some hours is too short.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.marks.iter().any(|mark| mark.count() > 0.0)
    }
}

/// Bounds that wait for what comes.
struct Waiting {
    uppers: [f64; JUDGED],
    /// The most so far; none while nothing was seen.
    came: Option<f64>,
    seen: usize,
}

/// Plays one series.
#[must_use]
pub fn test(series: &Series, settings: &Settings) -> Tested {
    let values = buckets(&series.points, settings.fold());
    let warm = values.len() / 4;
    let mut play = Play::new(settings);
    let mut course = Vec::with_capacity(values.len());
    let mut upper = None;
    for (bucket, (at, value)) in values.iter().enumerate() {
        course.push(Bucket { value: value.map(|value| value as f64), upper });
        upper = play.bucket(*at, *value, bucket >= warm);
    }
    let days = (values.len() - warm) as f64 / 288.0;
    let last = play.forecaster.forecast();
    Tested {
        name: series.name.clone(),
        buckets: course,
        marks: play.marks,
        switches: if days > 0.0 { play.switches / days } else { 0.0 },
        model: play.model,
        confidence: last.map_or(0.0, |last| f64::from(last.confidence.get()) / 10_000.0),
    }
}

/// Everybody at work.
struct Play {
    forecaster: Forecaster,
    rivals: Rivals,
    waiting: VecDeque<Waiting>,
    marks: [Mark; JUDGED],
    horizon: usize,
    quantile: f64,
    model: Option<Model>,
    switches: f64,
}

impl Play {
    fn new(settings: &Settings) -> Self {
        Self {
            forecaster: Forecaster::new(settings),
            rivals: Rivals::default(),
            waiting: VecDeque::new(),
            marks: [Mark::default(); JUDGED],
            horizon: settings.horizon(),
            quantile: f64::from(settings.quantile().get()) / 1e6,
            model: None,
            switches: 0.0,
        }
    }

    /// Takes in a bucket; the forecaster's bound for the next one.
    fn bucket(&mut self, at: Moment, value: Option<u64>, counts: bool) -> Option<f64> {
        let amount = value.map(|value| value as f64);
        self.judge(amount);
        let amount = amount?;
        self.forecaster.observe(at, value);
        // The first moment after the bucket closes it.
        self.forecaster.observe(Moment(at.0 + 300), None);
        self.rivals.push(amount);
        let made = self.forecaster.forecast()?;
        if made.model != self.model {
            self.switches += if counts && self.model.is_some() { 1.0 } else { 0.0 };
            self.model = made.model;
        }
        let mut uppers = [made.upper as f64; JUDGED];
        uppers
            .iter_mut()
            .skip(1)
            .zip(self.rivals.uppers())
            .for_each(|(place, upper)| *place = upper);
        if counts {
            self.waiting.push_back(Waiting { uppers, came: None, seen: 0 });
        }
        Some(made.upper as f64)
    }

    fn judge(&mut self, amount: Option<f64>) {
        for waiting in &mut self.waiting {
            let more = |amount: f64| waiting.came.map_or(amount, |came| came.max(amount));
            waiting.came = amount.map(more).or(waiting.came);
            waiting.seen += 1;
        }
        if self.waiting.front().is_some_and(|first| first.seen == self.horizon)
            && let Some(first) = self.waiting.pop_front()
            && let Some(came) = first.came
        {
            for (mark, upper) in self.marks.iter_mut().zip(first.uppers) {
                mark.add(self.quantile, upper, came);
            }
        }
    }
}

#[cfg(test)]
mod tests;
