//! F1: what a forecaster costs at the end of a bucket, and its size.

use crate::counting::allocations;
use crate::measure::{Budget, Sweep, Table, cost, duel};
use provost::estimate::forecast::{Fold, Forecaster, Moment, Settings};

/// Four days of five minutes, after which everything is full.
const FULL: u64 = 4 * 288;
/// Updates in one measured run.
const RUN: u64 = 200;

/// A forecaster that has seen some days, and the number of its next bucket.
struct Fed {
    forecaster: Forecaster,
    bucket: u64,
}

impl Fed {
    fn new(fold: Fold) -> Self {
        let mut fed = Self { forecaster: Forecaster::new(&Settings::usual(fold)), bucket: 0 };
        (0..FULL).for_each(|_| fed.feed());
        fed
    }

    /// One bucket: a wave, and what looks like noise.
    fn feed(&mut self) {
        let noise = self.bucket.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50;
        let sample = 100_000 + self.bucket % 288 * 300 + noise;
        self.forecaster.observe(Moment(300 * self.bucket), Some(sample));
        self.bucket += 1;
    }
}

pub(crate) fn run(table: &mut Table) {
    for (name, fold) in [("95 %", Fold::Mean), ("99 %", Fold::Most)] {
        let mut fed = Fed::new(fold);
        let hot = cost(|| (0..RUN).for_each(|_| fed.feed())) / RUN as f64;
        let row = format!("us, forecast updated, quantile {name}, hot");
        table.row("F1", &row, (0.0, hot), Budget::Most(50.0));
        let asked = allocations(|| (0..RUN).for_each(|_| fed.feed()));
        let row = format!("allocations in {RUN} updates, quantile {name}");
        table.row("", &row, (0.0, asked as f64), Budget::Most(0.0));
        let text = serde_json::to_string(&fed.forecaster).unwrap();
        let row = format!("KiB, a forecaster's state as text, quantile {name}");
        table.row("F1", &row, (0.0, text.len() as f64 / 1024.0), Budget::Most(32.0));
    }
    let mut sweep = Sweep::new();
    let mut fed: Vec<Fed> = (0..100).map(|_| Fed::new(Fold::Mean)).collect();
    let mut all = || fed.iter_mut().for_each(Fed::feed);
    let (_, swept) = duel(|| sweep.sweep(), || (), &mut all);
    table.row(
        "F1",
        "us, forecast updated, caches swept, each of 100",
        (0.0, swept / 100.0),
        Budget::Most(50.0),
    );
}
