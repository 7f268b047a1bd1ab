//! The statistics of a trend in a short series: how steep, how certain, and whether it levels off.
//!
//! **Problem.** Memory that saws, wanders and follows the load looks like growth now and then. The textbook tests take neighbouring values
//! for independent ones; memory's are not, and then those tests cry leak on every host.
//!
//! **Approach.** Two tests that allow for dependence, of different kinds, so that what fools one does not fool the other: least squares
//! with errors after Newey and West, and the order of values after Mann and Kendall with the variance of Hamed and Rao. The lower bound of
//! the slope after Theil and Sen says how much growth is certain, and a quadratic term whether it levels off. The same slopes give a line that a
//! few wild values do not move, and how far its own slope can be trusted.
//!
//! **Terms.** *t*, *z*: how many standard errors something is away from zero. *score*: a residual times its regressor. *pair slope*: the
//! slope from one value to a later one.
//!
//! **Algorithm.** A coefficient is found by taking out of its column what the other columns explain (Frisch, Waugh, Lovell); what is left
//! gives coefficient and variance as plain sums, without a matrix. The variance sums the scores' autocovariances up to lag 4 with
//! Bartlett's weights. All pair slopes are sorted once: their signs are Mann and Kendall's sum, their middle is Theil and Sen's slope, and
//! the one below the middle by 2.33 standard deviations of that sum is the bound.
//!
//! **Properties**, each a test in `statistics/tests.rs`: an exact line has its slope, no curve and no doubt; a constant has none of all; what
//! the load explains is not growth; more dependence is less certainty; sizes and units do not matter. Nothing is allocated, and only operations
//! that every machine rounds alike are used.

use std::cmp::Ordering;

/// The longest series.
pub(super) const MOST: usize = 36;
/// Pairs of values of the longest series.
const PAIRS: usize = MOST * (MOST - 1) / 2;
/// Bartlett's weights of the lags 1 to 4: so far apart two residuals may depend on each other.
const LAGS: [f64; 4] = [0.8, 0.6, 0.4, 0.2];
/// What is left of a column, or of what it explains, at this share of its size is rounding.
const ROUNDING: f64 = 1e-9;
/// The normal distribution's 99 % point: one side.
const ONE_SIDED_99: f64 = 2.326_348;
/// The normal distribution's 97.5 % point: 95 % on both sides.
const TWO_SIDED_95: f64 = 1.959_964;

/// Numbers at equal distances, oldest first; at most [`MOST`], more are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Series {
    values: [f64; MOST],
    count: usize,
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(numbers: I) -> Self {
        let mut series = Self { values: [0.0; MOST], count: 0 };
        for (place, number) in series.values.iter_mut().zip(numbers) {
            *place = number;
            series.count += 1;
        }
        series
    }
}

impl Series {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = f64> + Clone {
        self.values.iter().take(self.count).copied()
    }

    /// Each number with that of the other series at its place.
    fn with(&self, other: &Self, both: impl Fn(f64, f64) -> f64) -> Self {
        self.iter().zip(other.iter()).map(|(one, other)| both(one, other)).collect()
    }

    fn dot(&self, other: &Self) -> f64 {
        self.iter().zip(other.iter()).map(|(one, other)| one * other).sum()
    }

    fn length(&self) -> f64 {
        self.dot(self).sqrt()
    }

    /// Places as numbers: 0, 1, 2, ….
    fn places(&self) -> Self {
        (0..).map(f64::from).take(self.count).collect()
    }

    fn size(&self) -> f64 {
        self.iter().map(|_| 1.0).sum()
    }

    /// The newest; zero of none.
    pub(super) fn last(&self) -> f64 {
        self.iter().next_back().unwrap_or(0.0)
    }

    /// The mean; not a number of none.
    pub(super) fn mean(&self) -> f64 {
        self.iter().sum::<f64>() / self.size()
    }
}

/// One coefficient of a regression, with its distance from zero in standard errors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Coefficient {
    pub(super) value: f64,
    pub(super) t: f64,
}

/// By how much a series grows from one value to the next, at the load that there was; none where that cannot be told from the load.
pub(super) fn slope(of: &Series, load: &Series) -> Option<Coefficient> {
    last_coefficient([ones(of), *load, of.places()], of)
}

/// Whether the growth levels off (below zero) or gets faster.
pub(super) fn curvature(of: &Series, load: &Series) -> Option<Coefficient> {
    let places = of.places();
    let squares = places.with(&places, |one, other| one * other);
    last_coefficient([ones(of), *load, places, squares], of)
}

/// The series without what the load explains of it.
pub(super) fn without_load(of: &Series, load: &Series) -> Series {
    let effect =
        last_coefficient([ones(of), of.places(), *load], of).map_or(0.0, |load| load.value);
    let usual = load.mean();
    of.with(load, |value, load| value - effect * (load - usual))
}

fn ones(of: &Series) -> Series {
    of.iter().map(|_| 1.0).collect()
}

/// The coefficient of the last column in the regression of a series on all columns; none where the others explain that column.
fn last_coefficient<const N: usize>(columns: [Series; N], of: &Series) -> Option<Coefficient> {
    let basis = orthogonal(&columns);
    let asked = basis.last()?;
    let square = asked.dot(asked);
    if square == 0.0 {
        return None;
    }
    let value = asked.dot(of) / square;
    let size = of.length();
    if value.abs() * square.sqrt() <= ROUNDING * size {
        return Some(Coefficient { value: 0.0, t: 0.0 });
    }
    let residual = without(of, &basis);
    let scores = asked.with(&residual, |one, other| one * other);
    let free = of.size() - basis.iter().map(|_| 1.0).sum::<f64>();
    let variance = long_run_variance(&scores) * of.size() / free / (square * square);
    let is_exact = residual.length() <= ROUNDING * size;
    let t = if is_exact { f64::INFINITY.copysign(value) } else { value / variance.sqrt() };
    Some(Coefficient { value, t })
}

/// Each column without what those before it explain; one that they explain whole is zero.
fn orthogonal<const N: usize>(columns: &[Series; N]) -> [Series; N] {
    let mut basis = *columns;
    for (number, column) in columns.iter().enumerate() {
        let (before, rest) = basis.split_at_mut(number);
        let left = without(column, before);
        let vanishes = left.length() <= ROUNDING * column.length();
        if let Some(place) = rest.first_mut() {
            *place = if vanishes { left.iter().map(|_| 0.0).collect() } else { left };
        }
    }
    basis
}

/// A series without its part along each of the columns, which are at right angles to each other.
fn without(of: &Series, columns: &[Series]) -> Series {
    let mut left = *of;
    for column in columns {
        let square = column.dot(column);
        if square > 0.0 {
            let share = left.dot(column) / square;
            left = left.with(column, |value, along| value - share * along);
        }
    }
    left
}

/// The variance of a sum of neighbours that depend on each other (Newey and West 1987).
fn long_run_variance(scores: &Series) -> f64 {
    let at_lag = |lag: usize| -> f64 {
        scores.iter().zip(scores.iter().skip(lag)).map(|(one, later)| one * later).sum()
    };
    let lagged: f64 = (1..).zip(LAGS).map(|(lag, weight)| 2.0 * weight * at_lag(lag)).sum();
    // Bartlett's weights keep the sum above zero but for rounding.
    (at_lag(0) + lagged).max(0.0)
}

/// What the order of values says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// The slope that half of all pairs exceed, from one value to the next (Sen 1968).
    pub(super) middle: f64,
    /// The slope is steeper than this with 99 % confidence.
    pub(super) least: f64,
    /// Mann and Kendall's statistic in standard deviations.
    pub(super) z: f64,
}

/// What the order of a series says of its trend; none of fewer than three values.
pub(super) fn trend(of: &Series) -> Option<Trend> {
    let pairs = Pairs::of(of)?;
    let middle = pairs.middle()?;
    let deviation = order_variance(of, middle).sqrt();
    let least = pairs.least(ONE_SIDED_99 * deviation).unwrap_or(f64::NEG_INFINITY);
    // One less, since the sum moves in steps of two.
    let sum = pairs.rising;
    let z = if sum > 0.0 && deviation > 0.0 { (sum - 1.0) / deviation } else { 0.0 };
    Some(Trend { middle, least, z })
}

/// The line through a series that half of its values lie above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// From one value to the next.
    pub(super) slope: f64,
    /// Between these the slope lies with 95 % confidence; endless where too few values tell.
    pub(super) least: f64,
    pub(super) most: f64,
    /// Where the line is at the newest value.
    pub(super) now: f64,
}

/// The line after Theil and Sen; none of fewer than three values.
pub(super) fn line(of: &Series) -> Option<Line> {
    let pairs = Pairs::of(of)?;
    let slope = pairs.middle()?;
    let outside = TWO_SIDED_95 * order_variance(of, slope).sqrt();
    let mut levels = of.with(&of.places(), |value, place| value - slope * place);
    let count = levels.count;
    levels.values.get_mut(..count)?.sort_unstable_by(f64::total_cmp);
    let middle = *levels.values.get(count / 2)?;
    Some(Line {
        slope,
        least: pairs.least(outside).unwrap_or(f64::NEG_INFINITY),
        most: pairs.most(outside).unwrap_or(f64::INFINITY),
        now: middle + slope * (of.size() - 1.0),
    })
}

/// The slopes of all pairs of values, in rising order.
struct Pairs {
    slopes: [f64; PAIRS],
    count: usize,
    /// Pairs that rise less pairs that fall: Mann and Kendall's sum.
    rising: f64,
}

impl Pairs {
    /// Of at least three values.
    fn of(series: &Series) -> Option<Self> {
        if series.count < 3 {
            return None;
        }
        let mut slopes = [0.0; PAIRS];
        let mut places = slopes.iter_mut();
        let (mut rising, mut count) = (0.0, 0);
        for (number, value) in series.iter().enumerate() {
            let later = series.iter().skip(number + 1);
            for ((later, distance), place) in later.zip((1..).map(f64::from)).zip(places.by_ref()) {
                *place = (later - value) / distance;
                rising += sign(later.total_cmp(&value));
                count += 1;
            }
        }
        slopes.get_mut(..count)?.sort_unstable_by(f64::total_cmp);
        Some(Self { slopes, count, rising })
    }

    fn middle(&self) -> Option<f64> {
        self.slopes.get(self.count / 2).copied()
    }

    /// The slope is steeper than this, where the sum of signs may be off by so much; none where that is more than all pairs.
    fn least(&self, off: f64) -> Option<f64> {
        self.slopes.get(self.outside(off)?).copied()
    }

    /// The slope is less steep than this.
    fn most(&self, off: f64) -> Option<f64> {
        self.slopes.get(self.count.checked_sub(self.outside(off)? + 1)?).copied()
    }

    /// So many pairs lie outside of the bound, on one side, besides the bound itself.
    fn outside(&self, off: f64) -> Option<usize> {
        let pairs = f64::from(u32::try_from(self.count).ok()?);
        let outside = (pairs - off) / 2.0;
        // Below none there is no bound.
        let skipped = (1..).map(f64::from).take_while(|count| *count <= outside).count();
        skipped.checked_sub(1)
    }
}

const fn sign(order: Ordering) -> f64 {
    match order {
        Ordering::Less => -1.0,
        Ordering::Equal => 0.0,
        Ordering::Greater => 1.0,
    }
}

/// The variance of Mann and Kendall's sum where nothing grows: for ties (Kendall 1975) and for ranks that depend on their neighbours'
/// once the slope is taken out (Hamed and Rao 1998). Dependence only ever widens it here.
fn order_variance(of: &Series, slope: f64) -> f64 {
    let count = of.size();
    let ties: f64 = of
        .iter()
        .map(|value| {
            let alike = of.iter().filter(|other| other.total_cmp(&value).is_eq());
            let alike: f64 = alike.map(|_| 1.0).sum();
            (alike - 1.0) * (2.0 * alike + 5.0)
        })
        .sum();
    let independent = (count * (count - 1.0) * (2.0 * count + 5.0) - ties) / 18.0;
    let ranks = ranks(&of.with(&of.places(), |value, place| value - slope * place));
    let middle = ranks.mean();
    let spread: f64 = ranks.iter().map(|rank| (rank - middle) * (rank - middle)).sum();
    if spread == 0.0 {
        return independent;
    }
    let certain = TWO_SIDED_95 / count.sqrt();
    let correction: f64 = (1..of.count)
        .zip((1..).map(f64::from))
        .map(|(lag, distance)| {
            let pairs = ranks.iter().zip(ranks.iter().skip(lag));
            let together: f64 = pairs.map(|(one, later)| (one - middle) * (later - middle)).sum();
            let left = count - distance;
            let correlation = Some(together / spread).filter(|one| one.abs() > certain);
            left * (left - 1.0) * (left - 2.0) * correlation.unwrap_or(0.0)
        })
        .sum();
    let widened = 1.0 + 2.0 * correction / (count * (count - 1.0) * (count - 2.0));
    independent * widened.max(1.0)
}

/// The place of each number in their order, from 1; the mean place where several are equal.
fn ranks(of: &Series) -> Series {
    let rank = |value: f64| {
        let part = |other: f64| match other.total_cmp(&value) {
            Ordering::Less => 1.0,
            Ordering::Equal => 0.5,
            Ordering::Greater => 0.0,
        };
        of.iter().map(part).sum::<f64>() + 0.5
    };
    of.iter().map(rank).collect()
}

/// The number without its fraction; the nearest there is where it is too large, and zero where it is none.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float that is cast saturates, and NaN is zero"
)]
pub(super) const fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests;
