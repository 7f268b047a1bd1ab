//! What a bound cost over a series.

/// Sums over the decisions that count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mark {
    count: f64,
    held: f64,
    loss: f64,
    over: f64,
    under: f64,
    came: f64,
}

impl Mark {
    /// Holds one bound against what came.
    pub(super) fn add(&mut self, quantile: f64, upper: f64, came: f64) {
        let (over, under) = ((upper - came).max(0.0), (came - upper).max(0.0));
        self.count += 1.0;
        self.held += if under > 0.0 { 0.0 } else { 1.0 };
        self.loss += quantile * under + (1.0 - quantile) * over;
        self.over += over;
        self.under += under;
        self.came += came;
    }

    /// Decisions that were judged.
    #[must_use]
    pub const fn count(&self) -> f64 {
        self.count
    }

    /// Pinball loss, in percent of what came.
    #[must_use]
    pub fn pinball(&self) -> f64 {
        percent(self.loss, self.came)
    }

    /// Bounds that held, in percent.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        percent(self.held, self.count)
    }

    /// Room that was not needed, in percent of what came.
    #[must_use]
    pub fn over(&self) -> f64 {
        percent(self.over, self.came)
    }

    /// What was missing, in percent of what came.
    #[must_use]
    pub fn under(&self) -> f64 {
        percent(self.under, self.came)
    }
}

/// Of nothing, nothing.
fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

/// The middle of the values; the mean of both where there are two. Nothing of none.
#[must_use]
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or_default();
    let upper = at(values.len() / 2);
    if values.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(at((values.len() / 2).saturating_sub(1)), upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_a_bound_cost() {
        let mut mark = Mark::default();
        mark.add(0.9, 12.0, 10.0);
        mark.add(0.9, 7.0, 10.0);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        near(mark.pinball(), 100.0 * (0.1 * 2.0 + 0.9 * 3.0) / 20.0);
        near(mark.coverage(), 50.0);
        near(mark.over(), 10.0);
        near(mark.under(), 15.0);
        near(Mark::default().pinball(), 0.0);
    }

    #[test]
    fn the_median_is_the_middle() {
        let near = |values: &[f64], expected: f64| {
            assert!((median(values.iter().copied()) - expected).abs() < 1e-9, "{values:?}");
        };
        near(&[3.0, 1.0, 2.0], 2.0);
        near(&[4.0, 1.0, 2.0, 3.0], 2.5);
        near(&[], 0.0);
    }
}
