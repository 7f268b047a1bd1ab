//! Bounds from opinions, and one bound from many: residuals, losses, weights, and the repair of coverage.

use super::models::{MODELS, Opinions};
use super::window::Window;
use crate::model::ForecastModel as Model;
use crate::units::Ppm;
use serde::{Deserialize, Serialize};

/// A bound needs so many residuals of its model (two hours).
pub(super) const LEAST_RESIDUALS: usize = 24;
/// What the newest loss weighs; a memory of 200 buckets, 17 hours. Between 100 and 200 the choice made less than 2 % of difference.
const LOSS_WEIGHT: f32 = 0.005;
/// A loss counts for at most so many times the best model's: one spike must not drown the differences between models for days.
const MOST_LOSS: f32 = 100.0;
/// The same where the best model has none, as a part of the value.
const LOSS_FLOOR: f32 = 0.0001;
/// What lies outside of the inner four fifths of the weight is not heard: one wild opinion moves nothing.
const UNHEARD: f32 = 0.1;
/// Another model is called the leading one only when its loss is 5 % below.
const SWITCH_BELOW: f32 = 0.95;
/// How fast the coverage is repaired, in millionths of a miss: 0.003. From 0.002 to 0.005 the bounds cost the same within 1 %.
const REPAIR: i64 = 3_000;
/// The smallest part that may lie above a bound, in millionths.
const LEAST_ABOVE: i64 = 2_000;

/// One model's record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Track {
    /// What came less the opinion.
    residuals: Window,
    /// The discounted pinball loss of its bounds, and how many it is made of, up to 200.
    loss: Option<f32>,
    judged: u16,
}

impl Track {
    fn judge(&mut self, loss: f32) {
        self.judged = self.judged.saturating_add(1).min(200);
        let weight = LOSS_WEIGHT.max(1.0 / f32::from(self.judged));
        let before = self.loss.unwrap_or(loss);
        self.loss = Some(before + weight * (loss - before));
    }
}

/// What was said after one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Said {
    opinions: Opinions,
    bounds: Opinions,
    /// The common bound, once there is one.
    pub(super) whole: Option<Whole>,
}

/// The common forecast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Whole {
    pub(super) point: f32,
    pub(super) upper: f32,
}

/// All records, and how the bounds are shifted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Blend {
    tracks: Vec<Track>,
    leading: Option<Model>,
    /// The part that may lie above the common bound, in millionths; moves to where the promised part does.
    above: i64,
}

impl Blend {
    pub(super) fn new(quantile: Ppm) -> Self {
        Self { tracks: vec![Track::default(); MODELS], leading: None, above: promised(quantile) }
    }

    /// Whether a state that was read has a record for each model.
    pub(super) fn is_whole(&self) -> bool {
        self.tracks.len() == MODELS
    }

    pub(super) const fn leading(&self) -> Option<Model> {
        self.leading
    }

    /// Holds what was said against what came.
    pub(super) fn learn(&mut self, said: &Said, came: f32, quantile: Ppm) {
        let best = self.best().map(|(_, loss)| loss);
        let most = best.map_or(f32::MAX, |best| MOST_LOSS * best.max(LOSS_FLOOR * came));
        let opinions = said.opinions.iter().zip(&said.bounds);
        let tracks = Model::ALL.into_iter().zip(&mut self.tracks);
        for ((model, track), (opinion, bound)) in tracks.zip(opinions) {
            if let Some(opinion) = opinion {
                track.residuals.push(came - opinion, window(model, quantile));
            }
            if let Some(bound) = bound {
                track.judge(pinball(quantile, came, *bound).min(most));
            }
        }
        if let Some(whole) = said.whole {
            let miss = if came > whole.upper { 1_000_000 } else { 0 };
            let promised = promised(quantile);
            let step = REPAIR * (promised - miss) / 1_000_000;
            self.above = (self.above + step).clamp(LEAST_ABOVE.min(promised), 3 * promised);
        }
    }

    /// Bounds for these opinions.
    pub(super) fn bound(&mut self, opinions: Opinions, quantile: Ppm) -> Said {
        let [bounds, moved] = self.bounds(opinions, [quantile, self.share()]);
        let whole = self.whole(opinions, moved);
        self.lead();
        Said { opinions, bounds, whole }
    }

    /// The share of residuals below the common bound.
    fn share(&self) -> Ppm {
        let share = 1_000_000 - self.above.clamp(0, 1_000_000);
        u32::try_from(share).map_or(Ppm::WHOLE, Ppm::new)
    }

    /// Opinions and residuals of these ranks.
    fn bounds(&self, opinions: Opinions, shares: [Ppm; 2]) -> [Opinions; 2] {
        let (mut ones, mut others) = (Opinions::default(), Opinions::default());
        let places = ones.iter_mut().zip(&mut others);
        for ((opinion, track), (one, other)) in opinions.iter().zip(&self.tracks).zip(places) {
            let is_known = track.residuals.len() >= LEAST_RESIDUALS;
            let ranks = track.residuals.ranks(shares).filter(|_| is_known);
            let bounds = opinion
                .zip(ranks)
                .map(|(opinion, ranks)| ranks.map(|residual| (opinion + residual).max(0.0)));
            (*one, *other) = bounds.map_or((None, None), |[one, other]| (Some(one), Some(other)));
        }
        [ones, others]
    }

    /// The weighted mean of the bounds, and of the opinions behind them, by how small each model's loss is.
    fn whole(&self, opinions: Opinions, bounds: Opinions) -> Option<Whole> {
        let (_, best) = self.best()?;
        let mut heard = [(0.0, 0.0, 0.0); MODELS];
        let known =
            self.tracks.iter().zip(bounds).zip(opinions).filter_map(|((track, bound), opinion)| {
                let weight = weight(track.loss?, best);
                Some((bound?, opinion?, weight))
            });
        let mut count = 0_usize;
        for (place, one) in heard.iter_mut().zip(known) {
            *place = one;
            count += 1;
        }
        let heard = heard.get_mut(..count)?;
        heard.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let upper = inner_mean(heard.iter().map(|(bound, _, weight)| (*bound, *weight)))?;
        heard.sort_unstable_by(|one, other| one.1.total_cmp(&other.1));
        let point = inner_mean(heard.iter().map(|(_, opinion, weight)| (*opinion, *weight)))?;
        Some(Whole { point: point.clamp(0.0, upper), upper })
    }

    /// The model with the smallest loss.
    fn best(&self) -> Option<(Model, f32)> {
        let losses = Model::ALL.into_iter().zip(&self.tracks);
        let losses = losses.filter_map(|(model, track)| Some((model, track.loss?)));
        losses.min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    fn lead(&mut self) {
        let Some((best, loss)) = self.best() else { return };
        let mut tracks = Model::ALL.into_iter().zip(&self.tracks);
        let now = tracks.find(|(model, _)| self.leading == Some(*model));
        let now = now.and_then(|(_, track)| track.loss);
        if now.is_none_or(|now| loss < SWITCH_BELOW * now) {
            self.leading = Some(best);
        }
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        let tracks = self.tracks.capacity() * size_of::<Track>();
        tracks + self.tracks.iter().map(|track| track.residuals.heap()).sum::<usize>()
    }
}

/// How much a model is heard: the eighth power of the best loss by its own. A model a tenth worse weighs half, one half worse 4 %.
fn weight(loss: f32, best: f32) -> f32 {
    if loss <= best {
        return 1.0;
    }
    let squared = (best / loss) * (best / loss);
    squared * squared * squared * squared
}

/// The mean of the values in the inner part of the weight. They come in rising order; where all are the same, it is just that.
fn inner_mean(values: impl Iterator<Item = (f32, f32)> + Clone) -> Option<f32> {
    let (lowest, _) = values.clone().next()?;
    let total: f32 = values.clone().map(|(_, weight)| weight).sum();
    let (from, to) = (UNHEARD * total, (1.0 - UNHEARD) * total);
    let (mut at, mut above, mut heard) = (0.0_f32, 0.0, 0.0);
    for (value, weight) in values {
        let part = (at + weight).min(to) - at.max(from);
        at += weight;
        if part > 0.0 {
            above += part * (value - lowest);
            heard += part;
        }
    }
    (heard > 0.0).then(|| lowest + above / heard)
}

/// What a bound cost: a miss `quantile` of itself, room that was not needed the rest.
fn pinball(quantile: Ppm, came: f32, bound: f32) -> f32 {
    let share = share(quantile);
    if came > bound { share * (came - bound) } else { (1.0 - share) * (bound - came) }
}

/// A share as a number from 0 to 1.
pub(super) fn share(share: Ppm) -> f32 {
    share.get() as f32 / 1_000_000.0
}

/// The part that may lie above a bound, in millionths.
fn promised(quantile: Ppm) -> i64 {
    1_000_000 - i64::from(quantile.get())
}

/// Residuals that are kept: a day, and two where the quantile lies so high that a day holds hardly any above it. The week has a day's, so that all
/// fits into 32 KiB.
fn window(model: Model, quantile: Ppm) -> usize {
    if quantile > Ppm::percent(97) && model != Model::Week { 576 } else { 288 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_mean_hears_no_wild_opinion() {
        let near = |values: &[(f32, f32)], expected: f32| {
            let mean = inner_mean(values.iter().copied()).unwrap();
            assert!((mean - expected).abs() < 1e-3, "{mean}, not {expected}");
        };
        near(&[(5.0, 0.3)], 5.0);
        near(&[(1.0, 1.0), (3.0, 1.0)], 2.0);
        near(&[(1.0, 1.0), (2.0, 8.0), (1e9, 1.0)], 2.0);
        assert_eq!(inner_mean([].into_iter()), None);
    }

    #[test]
    fn a_worse_model_weighs_less() {
        assert!((weight(1.1, 1.0) - 0.4665).abs() < 1e-3);
        assert!(weight(1.5, 1.0) < 0.04);
        assert!(weight(1.0, 0.0) < 1e-9 && weight(0.0, 0.0) > 0.99);
    }

    #[test]
    fn a_miss_costs_more_than_room() {
        let quantile = Ppm::percent(95);
        assert!((pinball(quantile, 3.0, 1.0) - 1.9).abs() < 1e-6);
        assert!((pinball(quantile, 1.0, 3.0) - 0.1).abs() < 1e-6);
    }
}
