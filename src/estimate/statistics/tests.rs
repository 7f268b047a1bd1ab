//! Numbers worked by hand, and what must hold of any.

use super::*;
use proptest::prelude::*;

fn series(numbers: impl IntoIterator<Item = f64>) -> Series {
    numbers.into_iter().collect()
}

fn flat() -> Series {
    series([5.0; MOST])
}

/// Numbers that look random and always are the same.
fn noise(seed: u32) -> impl Iterator<Item = f64> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(seed), next)
        .skip(3)
        .map(|state| f64::from(state >> 8) / 16_777_216.0 - 0.5)
}

fn line(slope: f64, start: f64) -> Series {
    series((0..36).map(|place| start + slope * f64::from(place)))
}

#[test]
fn an_exact_line_has_its_slope_no_curve_and_no_doubt() {
    let line = line(7.0, 1000.0);
    let slope = slope(&line, &flat()).unwrap();
    assert!((slope.value - 7.0).abs() < 1e-9 && slope.t > 1e6, "{slope:?}");
    assert_eq!(curvature(&line, &flat()).unwrap(), Coefficient { value: 0.0, t: 0.0 });
    let trend = trend(&line).unwrap();
    assert!((trend.middle - 7.0).abs() < 1e-9 && (trend.least - 7.0).abs() < 1e-9, "{trend:?}");
    assert!((trend.z - 629.0 / 5390.0_f64.sqrt()).abs() < 1e-6, "the textbook's, {}", trend.z);
}

#[test]
fn a_constant_has_no_slope_and_no_order() {
    assert_eq!(slope(&flat(), &flat()).unwrap(), Coefficient { value: 0.0, t: 0.0 });
    let trend = trend(&flat()).unwrap();
    assert_eq!((trend.middle, trend.least, trend.z), (0.0, 0.0, 0.0));
}

/// The line through 2, 4, 5, 4, 5 rises by 0.6; it leaves -0.8, 0.6, 1, -0.6, -0.2, so the scores are 1.6, -0.6, 0, -0.6, -0.4.
#[test]
fn a_regression_by_hand() {
    let of = series([2.0, 4.0, 5.0, 4.0, 5.0]);
    let load = series([0.0; 5]);
    let found = slope(&of, &load).unwrap();
    assert!((found.value - 0.6).abs() < 1e-12, "{found:?}");
    // The scores' autocovariances.
    let (lag0, lag1, lag2, lag3, lag4) = (3.44, -0.72, 0.36, -0.72, -0.64);
    let sum: f64 = lag0 + 2.0 * (0.8 * lag1 + 0.6 * lag2 + 0.4 * lag3 + 0.2 * lag4);
    // Three columns, though the load is zero; five values; the places' squares around their mean are 10.
    let variance = sum * 5.0 / 2.0 / 100.0;
    assert!((found.t - 0.6 / variance.sqrt()).abs() < 1e-9, "{found:?}");
}

#[test]
fn what_the_load_explains_is_not_growth() {
    let load =
        series(noise(1).take(36).zip(0..).map(|(noise, place)| 100.0 * noise + f64::from(place)));
    let of = series(load.iter().zip(noise(2)).map(|(load, noise)| 1000.0 + 3.0 * load + noise));
    let alone = slope(&of, &flat()).unwrap();
    let beside = slope(&of, &load).unwrap();
    assert!(alone.value > 1.0, "{alone:?}");
    assert!(beside.value.abs() < 0.05 && beside.t < 4.0, "{beside:?}");
    let left = without_load(&of, &load);
    assert!(left.iter().all(|value| (value - left.mean()).abs() < 5.0));
}

#[test]
fn a_load_that_cannot_be_told_from_time_leaves_no_answer() {
    assert_eq!(slope(&line(7.0, 1000.0), &line(3.0, 1.0)), None);
}

#[test]
fn growth_that_levels_off_shows_as_a_curve() {
    let of = series(
        (0..36)
            .zip(noise(3))
            .map(|(place, noise)| 1000.0 * (1.0 - (-f64::from(place) / 12.0).exp()) + noise),
    );
    assert!(slope(&of, &flat()).unwrap().t > 4.0);
    assert!(curvature(&of, &flat()).unwrap().t < -2.0);
}

#[test]
fn more_dependence_is_less_certainty() {
    let spread = |keeps: f64| -> f64 {
        let of = |seed| {
            let mut level = 0.0;
            series((0..36).map(f64::from).zip(noise(seed)).map(|(place, noise)| {
                level = keeps * level + 40.0 * noise;
                place + level
            }))
        };
        (0..20).map(of).map(|of| order_variance(&of, trend(&of).unwrap().middle)).sum::<f64>()
            / 20.0
    };
    assert!(spread(0.0) >= 5390.0, "never less than the textbook's 36 * 35 * 77 / 18");
    assert!(spread(0.7) > 1.3 * spread(0.0), "{} {}", spread(0.7), spread(0.0));
}

#[test]
fn a_line_is_not_moved_by_a_wild_value_and_tells_how_sure_it_is() {
    let exact = super::line(&line(7.0, 1000.0)).unwrap();
    for (found, is) in
        [(exact.slope, 7.0), (exact.least, 7.0), (exact.most, 7.0), (exact.now, 1245.0)]
    {
        assert!((found - is).abs() < 1e-9, "{exact:?}");
    }
    let noisy = |wild: f64| {
        let value = |(place, noise): (i32, f64)| {
            let wild = if place == 20 { wild } else { 0.0 };
            1000.0 + 2.0 * f64::from(place) + 20.0 * noise + wild
        };
        super::line(&series((0..36).zip(noise(9)).map(value))).unwrap()
    };
    let (calm, wild) = (noisy(0.0), noisy(1e6));
    assert!(calm.least < 2.0 && 2.0 < calm.most && calm.least > 1.0, "{calm:?}");
    assert!((wild.slope - calm.slope).abs() < 0.2, "{wild:?} {calm:?}");
    let flat = super::line(&flat()).unwrap();
    assert_eq!((flat.slope, flat.least, flat.most, flat.now), (0.0, 0.0, 0.0, 5.0));
    let short = super::line(&series([1.0, 5.0, 2.0])).unwrap();
    assert!(short.least == f64::NEG_INFINITY && short.most == f64::INFINITY, "{short:?}");
}

#[test]
fn ranks_of_equal_numbers_are_their_mean() {
    let ranks = ranks(&series([3.0, 1.0, 3.0, 2.0]));
    assert_eq!(ranks.iter().collect::<Vec<f64>>(), [3.5, 1.0, 3.5, 2.0]);
}

#[test]
fn too_few_values_say_nothing() {
    assert_eq!(trend(&series([1.0, 2.0])), None);
    assert!(slope(&series([]), &series([])).is_none());
}

#[test]
fn whole_numbers_of_what_is_none() {
    assert_eq!([f64::NAN, f64::INFINITY, -2.7].map(whole), [0, i64::MAX, -2]);
}

proptest! {
    /// The same memory in other units, with any load in other units. By powers of two, so that what is rounded is rounded alike.
    #[test]
    fn units_do_not_matter(seed: u32, unit in -10i32..10, per_part in -5.0f64..5.0) {
        let unit = 2.0f64.powi(unit);
        let of = series((0..36).map(f64::from).zip(noise(seed)).map(|(place, noise)| 1000.0 + per_part * place + 10.0 * noise));
        let load = series(noise(seed ^ 1).take(36));
        let scaled = |series: &Series| -> Series { series.iter().map(|value| value * unit).collect() };
        let (one, other) = (slope(&of, &load).unwrap(), slope(&scaled(&of), &scaled(&load)).unwrap());
        prop_assert!((one.t - other.t).abs() < 1e-6 * one.t.abs().max(1.0), "{one:?} {other:?}");
        let (one, other) = (trend(&of).unwrap(), trend(&scaled(&of)).unwrap());
        prop_assert!((one.z - other.z).abs() < 1e-6);
        let away: f64 = one.least * unit - other.least;
        prop_assert!(away.abs() < 1e-6 * one.least.abs().max(1.0) * unit.max(1.0));
    }

    /// Whatever the numbers, the bound is not above the middle, and nothing is NaN.
    #[test]
    fn every_answer_is_a_number(numbers in prop::collection::vec(0u32..5_000_000, 0..=36), loads in prop::collection::vec(0u32..64_000, 36)) {
        let of = series(numbers.into_iter().map(f64::from));
        let load = series(loads.into_iter().map(f64::from).take(of.count));
        for found in [slope(&of, &load), curvature(&of, &load)].into_iter().flatten() {
            prop_assert!(!found.value.is_nan() && !found.t.is_nan(), "{found:?} of {of:?}");
        }
        if let Some(trend) = trend(&of) {
            prop_assert!(trend.least <= trend.middle && !trend.z.is_nan(), "{trend:?}");
        }
        if let Some(line) = super::line(&of) {
            prop_assert!(line.least <= line.slope && line.slope <= line.most, "{line:?}");
            prop_assert!(!line.now.is_nan(), "{line:?}");
        }
    }
}
