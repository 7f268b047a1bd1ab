//! Clocks, medians and the table. What a figure costs and what its floor costs are measured in turns, so that noise hits both.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// So many passes for each median.
pub(crate) const PASSES: usize = 15;

/// CPU time of this process, all threads.
pub(crate) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// CPU time of one run in microseconds.
pub(crate) fn once(run: impl FnOnce()) -> f64 {
    let before = cpu_time();
    run();
    (cpu_time() - before).as_secs_f64() * 1e6
}

/// The median of `values`.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median CPU time in microseconds of `run`.
pub(crate) fn cost(mut run: impl FnMut()) -> f64 {
    run();
    median((0..PASSES).map(|_| once(&mut run)).collect())
}

/// Median CPU times in microseconds of two things that take turns; `before` each of them is not counted.
pub(crate) fn duel(
    mut before: impl FnMut(),
    mut one: impl FnMut(),
    mut other: impl FnMut(),
) -> (f64, f64) {
    one();
    other();
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        before();
        ones.push(once(&mut one));
        before();
        others.push(once(&mut other));
    }
    (median(ones), median(others))
}

/// Drives everything else out of the caches, as other programs do between two looks.
#[derive(Debug)]
pub(crate) struct Sweep {
    memory: Vec<u8>,
}

impl Sweep {
    pub(crate) fn new() -> Self {
        Self { memory: vec![1; 96 << 20] }
    }

    pub(crate) fn sweep(&mut self) {
        for byte in self.memory.iter_mut().step_by(64) {
            *byte = byte.wrapping_add(1);
        }
        std::hint::black_box(&self.memory);
    }
}

/// What is promised.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    /// At most so many times the floor.
    Times(f64),
    /// At most so much, in the row's unit.
    Most(f64),
    /// Nothing; the figure is for comparison.
    Shown,
}

/// The printed table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    missed: usize,
}

impl Table {
    pub(crate) fn head(&self) {
        println!(
            "{:<4}{:<58}{:>11}{:>11}{:>8}  {:<10}verdict",
            "#", "figure", "floor", "measured", "ratio", "budget"
        );
    }

    /// One row; `promise` is the number in docs/specification.md, or empty.
    pub(crate) fn row(&mut self, promise: &str, figure: &str, costs: (f64, f64), budget: Budget) {
        let (floor, measured) = costs;
        let has_floor = floor > 0.0;
        let ratio = if has_floor { measured / floor } else { 0.0 };
        let (budget, met) = match budget {
            Budget::Times(most) => (format!("<= {most} x"), Some(ratio <= most)),
            Budget::Most(most) => (
                format!("<= {most:.4}").trim_end_matches('0').trim_end_matches('.').to_owned(),
                Some(measured <= most),
            ),
            Budget::Shown => (String::new(), None),
        };
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        self.missed += usize::from(met == Some(false));
        let floor = if has_floor { format!("{floor:.3}") } else { "-".to_owned() };
        let ratio = if has_floor { format!("{ratio:.2}") } else { "-".to_owned() };
        println!(
            "{promise:<4}{figure:<58}{floor:>11}{measured:>11.3}{ratio:>8}  {budget:<11}{verdict}"
        );
    }

    /// A line of prose.
    pub(crate) fn say(&self, text: &str) {
        println!("    {text}");
    }

    pub(crate) const fn missed(&self) -> usize {
        self.missed
    }
}
