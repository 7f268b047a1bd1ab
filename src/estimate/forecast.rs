//! What a component will need in the next minutes: a point, an upper bound that holds as often as promised, and how far both can be trusted.
//!
//! **Problem.** A limit that follows demand comes too late where demand rises faster than limits do. What is coming can often be told, from
//! the trend or from the same hour of yesterday, but never surely and never for every program in the same way. Whoever acts on it must
//! know how much room to leave, and when not to believe it.
//!
//! **Approach.** Time is cut into buckets of five minutes. After each, nine simple models say what the most in the next few buckets will be.
//! Nothing is assumed about errors: how far each model was off during the last day is the distribution of how far it will be off now
//! (conformal prediction). Models whose bounds cost less lately are heard more, and where the common bound holds too seldom or too
//! often, it moves (adaptive conformal inference: Gibbs and Candès, 2021).
//!
//! **Terms.** *bucket*: five minutes of the wall clock as one number. *horizon*: the buckets that are looked ahead. *came*: the most in them,
//! known when they are over. *opinion*: what one model says of it. *residual*: what came less the opinion. *bound*: opinion and the
//! quantile of its residuals. *loss*: the pinball loss of a bound, which charges a miss by `q` of itself and room that was not needed by
//! `1 - q`; whoever knew the true quantile would pay least. *leading*: the model with the least loss.
//!
//! **Algorithm.** At the end of a bucket:
//!
//! 1. The models take it in.
//! 2. What was said a horizon ago is held against what came: residuals and losses grow by one, and the share of residuals below the common
//!    bound moves by 0.003 of the promised part, up after a miss and down after none.
//! 3. Each model's bound is its opinion and the residual of rank ⌈q (n + 1)⌉ of its last 288 (576 where q is above 0.97); it needs 24.
//! 4. The common bound is the mean of the bounds at the moved share, weighed by the eighth power of the least loss over the model's own, without
//!    the outer tenths of the weight; the point is the same mean of the opinions, never above the bound.
//! 5. Confidence is the product of three: how much of six hours was seen; how little the coverage of the last day is below the promise; what came
//!    as part of what was bounded.
//!
//! **What is not a series without faults.** A bucket without a sample is no bucket. Up to three such are taken as lying on the line between
//! their neighbours. After more, and when the clock goes back by more than that, levels and open forecasts are forgotten, since they speak of
//! another time; the day, its season and the residuals stay. After more than a day trust begins anew as well. A clock that goes back by
//! less lets the open bucket run on. A restart of the component forgets the level alone.
//!
//! **Properties**, each a test: on a stationary series the bound holds as often as promised, within a percent or two; it costs less than the
//! last value does, on every kind of series in the tests; a constant is forecast exactly, zero included; one enormous bucket is out of the
//! bound after two hours, and out of the losses too; neither point nor bound is ever below zero, no number, or the one above the
//! other; the state is below 32 KiB in memory and as text, does not grow, asks for no memory after two days but once after two weeks (`tests/steady`), and comes back to the bit.

mod blend;
mod bucket;
mod models;
mod packed;
mod settings;
mod trust;
mod whole;
mod window;

pub use crate::model::{Forecast, ForecastModel as Model, ForecastStage as Stage, Moment};
pub(super) use bucket::Filling;
pub use bucket::{Fold, buckets};
pub use settings::{Settings, SettingsError};
pub use whole::whole;
pub(super) use window::Window;

use blend::{Blend, Said};
use bucket::{DAY, Number};
use models::Models;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use trust::Trust;

/// Missing buckets that are filled in between their neighbours.
const SHORT_GAP: u64 = 3;
/// While there is no bound yet, the most that was seen and three fifths of it are taken for one.
const COLD_MARGIN: f32 = 1.6;

/// Numbers are kept in 24 bits, and a bound is a sum of some: from a million on, a millionth more makes up for what was rounded away, so
/// that what came again to the unit lies below its bound.
const ROUNDING: u32 = 20;

/// A state that was kept and does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the forecaster's state is damaged: {what}; remove it, and learning starts over")]
pub struct Damaged {
    pub(super) what: &'static str,
}

/// A bucket that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    /// When it began.
    pub(super) at: Moment,
    /// What it came to.
    pub(super) value: u64,
    /// What was expected of it, by the same hour of the day or of the week; none after an interruption.
    pub(super) expected: Option<u64>,
}

/// Learns one series, such as the CPU that a component uses, and forecasts it.
///
/// The state is the value itself: keep it with serde, and hand what was read to [`Forecaster::resume`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecaster {
    settings: Settings,
    filling: Option<Filling>,
    /// The last bucket, and what it came to; none after the clock went back.
    last: Option<(Number, f32)>,
    /// When the last bucket ended.
    as_of: Moment,
    models: Models,
    blend: Blend,
    trust: Trust,
    /// What was said after the last buckets and is not decided yet, oldest first: at most a horizon of it.
    open: VecDeque<Said>,
    /// Point and bound; none before the first bucket.
    made: Option<(f32, f32)>,
}

impl Forecaster {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: *settings,
            filling: None,
            last: None,
            as_of: Moment::default(),
            models: Models::new(),
            blend: Blend::new(settings.quantile()),
            trust: Trust::default(),
            open: VecDeque::with_capacity(settings.horizon()),
            made: None,
        }
    }

    /// What was kept goes on under the present settings: under the same ones as it was, under another horizon or quantile with its models
    /// alone, and under another fold not at all.
    ///
    /// # Errors
    /// When the state is not one that a forecaster can have.
    pub fn resume(self, settings: &Settings) -> Result<Self, Damaged> {
        if !self.blend.is_whole() {
            return Err(Damaged { what: "it does not hold a record for each model" });
        }
        if self.open.len() > self.settings.horizon() {
            return Err(Damaged { what: "it holds more open forecasts than its horizon" });
        }
        if self.settings == *settings {
            return Ok(self);
        }
        let fresh = Self::new(settings);
        if self.settings.fold() != settings.fold() {
            return Ok(fresh);
        }
        let Self { filling, last, as_of, models, .. } = self;
        Ok(Self { filling, last, as_of, models, ..fresh })
    }

    /// Takes in what was seen at `at`: an amount, or nothing where it is not known (a counter that went backwards gives no amount). Costs
    /// next to nothing but for the first sample after a bucket's end, which closes it. Whether a bucket was closed: then there is
    /// another forecast, and the state is worth keeping.
    pub fn observe(&mut self, at: Moment, sample: Option<u64>) -> bool {
        self.take(at, sample).is_some()
    }

    /// The same, and the bucket that was closed.
    pub(super) fn take(&mut self, at: Moment, sample: Option<u64>) -> Option<Bucket> {
        let number = Number::of(at);
        let filling = *self.filling.get_or_insert(Filling::new(number));
        let went_back = filling.number.0.saturating_sub(number.0);
        let closed = if number > filling.number {
            self.filling = Some(Filling::new(number));
            self.close(&filling)
        } else {
            if went_back > SHORT_GAP {
                self.filling = Some(Filling::new(number));
                self.last = None;
                self.restarted();
            }
            None
        };
        if let (Some(filling), Some(sample)) = (&mut self.filling, sample) {
            filling.add(sample);
        }
        closed
    }

    /// The component began anew: its level may be another, the hours of its day are likely the same.
    pub fn restarted(&mut self) {
        self.models.forget_level();
        self.open.clear();
    }

    /// What is to be expected; none before the first bucket is full.
    #[must_use]
    pub fn forecast(&self) -> Option<Forecast> {
        let (point, upper) = self.made?;
        let quantile = self.settings.quantile();
        let is_bound = self.open.back().is_some_and(|said| said.whole.is_some());
        let is_ready = is_bound && !self.trust.is_learning();
        let upper = whole(f64::from(upper).ceil());
        let upper = upper.saturating_add(upper >> ROUNDING);
        Some(Forecast {
            as_of: self.as_of,
            point: whole(f64::from(point).round()).min(upper),
            upper,
            lately: self.recent(self.settings.horizon()).max(),
            confidence: self.trust.confidence(quantile),
            is_unreliable: self.trust.is_unreliable(),
            model: self.blend.leading(),
            coverage: self.trust.coverage(),
            stage: if is_ready { Stage::Ready } else { Stage::Learning },
        })
    }

    /// The last buckets, at most `count`, oldest first.
    pub fn recent(&self, count: usize) -> impl Iterator<Item = u64> {
        self.models.recent().last(count).map(|value| whole(f64::from(value).round()))
    }

    /// Takes in a bucket that is over; none where it held nothing.
    fn close(&mut self, filling: &Filling) -> Option<Bucket> {
        let whole_value = filling.value(self.settings.fold())?;
        let (number, value) = (filling.number, whole_value as f32);
        if let Some((before, from)) = self.last {
            let missing = number.0.saturating_sub(before.0).saturating_sub(1);
            if missing > SHORT_GAP {
                self.restarted();
                if missing > DAY as u64 {
                    self.trust.begin_anew();
                }
            } else {
                let step = (value - from) / (missing + 1) as f32;
                for count in 1..=missing {
                    self.push(before.plus(count), from + step * count as f32);
                }
            }
        }
        let expected = self.models.expected(number, value);
        self.push(number, value);
        let expected = expected.map(|expected| whole(f64::from(expected).round()));
        Some(Bucket { at: number.start(), value: whole_value, expected })
    }

    fn push(&mut self, number: Number, value: f32) {
        let (quantile, horizon) = (self.settings.quantile(), self.settings.horizon());
        self.models.push(number, value);
        if self.open.len() >= horizon
            && let Some(said) = self.open.pop_front()
            && let Some(came) = self.models.recent().most_of_last(horizon)
        {
            self.blend.learn(&said, came, quantile);
            if let Some(whole) = said.whole {
                self.trust.learn(whole.upper, came);
            }
        }
        let said = self.blend.bound(self.models.opinions(number, horizon), quantile);
        self.open.push_back(said);
        self.trust.pass(quantile);
        let most = self.models.recent().most().unwrap_or(value);
        let cold = (most, COLD_MARGIN * most);
        self.made = Some(said.whole.map_or(cold, |whole| (whole.point, whole.upper)));
        self.last = Some((number, value));
        self.as_of = number.end();
    }

    /// Bytes, on the heap and off it.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let open = self.open.capacity() * size_of::<Said>();
        size_of::<Self>() + self.models.heap() + self.blend.heap() + open
    }
}

#[cfg(test)]
mod tests;
