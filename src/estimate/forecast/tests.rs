//! The promises of the forecaster, on series that are made here.

use super::*;

use crate::units::{Ppm, Span};
use proptest::prelude::*;

/// Midnight.
const START: u64 = 86_400 * 20_000;
const DAYS: usize = 12;

/// Random numbers that are the same everywhere (SplitMix64).
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Nearly normal, of deviation 1.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.part()).sum::<f64>() - 6.0
    }
}

fn series(days: usize, mut value: impl FnMut(usize, &mut Random) -> f64) -> Vec<u64> {
    let mut random = Random(42);
    (0..days * DAY).map(|at| whole(value(at, &mut random))).collect()
}

/// A day's wave with its top in the afternoon.
fn wave(at: usize) -> f64 {
    (std::f64::consts::TAU * (at % DAY) as f64 / DAY as f64).sin()
}

fn noisy() -> Vec<u64> {
    series(DAYS, |_, random| 10_000.0 + 1_000.0 * random.noise())
}

fn diurnal() -> Vec<u64> {
    series(DAYS, |at, random| 10_000.0 + 5_000.0 * wave(at) + 400.0 * random.noise())
}

/// Each bucket nine tenths of the one before, and something new.
fn wandering() -> Vec<u64> {
    let mut away = 0.0;
    series(DAYS, |_, random| {
        away = 0.9 * away + 500.0 * random.noise();
        10_000.0 + away
    })
}

fn steps() -> Vec<u64> {
    series(DAYS, |at, random| {
        [4_000.0, 9_000.0, 6_000.0, 12_000.0][at / 100 % 4] + 200.0 * random.noise()
    })
}

fn spikes() -> Vec<u64> {
    series(DAYS, |_, random| {
        let spike = if random.part() < 0.02 { 20_000.0 } else { 0.0 };
        5_000.0 + spike + 300.0 * random.noise()
    })
}

fn forecaster(percent: u32) -> Forecaster {
    let settings = Settings::new(Span::secs(900), Ppm::percent(percent), Fold::Mean).unwrap();
    Forecaster::new(&settings)
}

fn at(bucket: usize) -> Moment {
    Moment(START + 300 * bucket as u64)
}

/// Feeds one sample a bucket from `first` on; the forecast after each bucket that it closed.
fn feed(forecaster: &mut Forecaster, first: usize, values: &[u64]) -> Vec<Forecast> {
    let mut made = Vec::new();
    for (bucket, value) in values.iter().enumerate() {
        if forecaster.observe(at(first + bucket), Some(*value)) {
            made.push(forecaster.forecast().unwrap());
        }
    }
    made
}

/// Coverage and pinball loss of bounds for the most in the three buckets after each, without the first two days.
fn judged(values: &[u64], share: f64, uppers: impl Iterator<Item = u64>) -> (f64, f64) {
    let (mut held, mut count, mut loss) = (0.0, 0.0, 0.0);
    for (bucket, upper) in uppers.enumerate().skip(2 * DAY) {
        let Some(ahead) = values.get(bucket + 1..bucket + 4) else { continue };
        let off = ahead.iter().copied().max().unwrap() as f64 - upper as f64;
        held += if off <= 0.0 { 1.0 } else { 0.0 };
        loss += if off > 0.0 { share * off } else { (share - 1.0) * off };
        count += 1.0;
    }
    (held / count, loss / count)
}

#[test]
fn the_bound_holds_as_often_as_promised() {
    for (name, values) in [
        ("noisy", noisy()),
        ("diurnal", diurnal()),
        ("wandering", wandering()),
        ("steps", steps()),
        ("spikes", spikes()),
    ] {
        let made = feed(&mut forecaster(95), 0, &values);
        let (held, _) = judged(&values, 0.95, made.iter().map(|made| made.upper));
        assert!((0.935..0.97).contains(&held), "{name}: {held}");
        let told = made.last().unwrap().coverage.unwrap();
        assert!((930_000..975_000).contains(&told.get()), "{name} tells {told}");
    }
    let values = diurnal();
    let made = feed(&mut forecaster(99), 0, &values);
    let (held, _) = judged(&values, 0.99, made.iter().map(|made| made.upper));
    assert!((0.98..0.998).contains(&held), "at 99 %: {held}");
}

#[test]
fn the_bound_costs_less_than_the_last_value() {
    for (name, values, at_most) in [
        ("noisy", noisy(), 0.3),
        ("diurnal", diurnal(), 0.3),
        ("wandering", wandering(), 0.3),
        ("steps", steps(), 0.9),
        ("spikes", spikes(), 0.9),
    ] {
        let made = feed(&mut forecaster(95), 0, &values);
        let (_, ours) = judged(&values, 0.95, made.iter().map(|made| made.upper));
        let (_, last) = judged(&values, 0.95, values.iter().copied());
        assert!(ours < at_most * last, "{name}: {ours}, the last value {last}");
    }
}

#[test]
fn the_same_hour_of_yesterday_is_learnt() {
    // Quiet, but for an hour each noon: nothing of the minutes before tells of it.
    let values = series(DAYS, |at, random| {
        let noon = (144..156).contains(&(at % DAY));
        if noon { 20_000.0 } else { 2_000.0 + 50.0 * random.noise() }
    });
    let made = feed(&mut forecaster(95), 0, &values);
    let before_noon = made[DAY * (DAYS - 1) + 142];
    assert!(before_noon.point > 15_000, "{before_noon:?}");
    let evening = made[DAY * (DAYS - 1) + 200];
    assert!(evening.upper < 5_000, "{evening:?}");
}

#[test]
fn a_constant_is_forecast_exactly() {
    for value in [0, 1, 1_500, 999_999, 1_234_567_891, 1 << 40] {
        let made = feed(&mut forecaster(95), 0, &[value; 2 * DAY]);
        let last = made.last().unwrap();
        let near = value - value / 1_000_000..=value + value / 1_000_000;
        assert!(near.contains(&last.point) && near.contains(&last.upper), "{value}: {last:?}");
        assert!(last.upper >= value, "{value}: {last:?}");
        assert_eq!((last.coverage, last.stage), (Some(Ppm::WHOLE), Stage::Ready));
        assert!(last.confidence > Ppm::percent(99), "{value}: {}", last.confidence);
        assert!(!made.iter().any(|made| made.is_unreliable));
    }
}

#[test]
fn nothing_is_promised_before_two_hours() {
    let mut forecaster = forecaster(95);
    assert_eq!(forecaster.forecast(), None);
    let made = feed(&mut forecaster, 0, &[1_000; 40]);
    let first = made[0];
    assert_eq!((first.point, first.upper, first.stage), (1_000, 1_600, Stage::Learning));
    assert_eq!((first.confidence, first.model, first.coverage), (Ppm::ZERO, None, None));
    assert!(made[..26].iter().all(|made| made.stage == Stage::Learning));
    assert_eq!(made[35].stage, Stage::Ready);
    assert!(made[35].confidence < Ppm::percent(60), "{}", made[35].confidence);
}

#[test]
fn one_enormous_bucket_is_gone_after_two_hours() {
    let mut values = diurnal();
    let (spike, usual) = (10 * DAY + 100, values.iter().copied().max().unwrap());
    let calm = feed(&mut forecaster(95), 0, &values);
    values[spike] = usual * 1_000_000;
    let made = feed(&mut forecaster(95), 0, &values);
    assert!(made[spike].upper > usual * 10, "it might come again");
    for bucket in spike + 24..spike + DAY - 3 {
        let (with, without) = (made[bucket].upper, calm[bucket].upper);
        assert!(with < without * 2, "{} buckets later: {with}, not {without}", bucket - spike);
    }
    // Nor is yesterday's spike believed by itself.
    let tomorrow = made[spike + DAY - 2].upper;
    assert!(tomorrow < usual * 10, "{tomorrow}");
}

#[test]
fn a_short_gap_is_bridged() {
    let values: Vec<u64> = (0..DAY as u64).map(|at| 1_000 + 10 * at).collect();
    let (mut whole, mut holed) = (forecaster(95), forecaster(95));
    feed(&mut whole, 0, &values);
    for (bucket, value) in values.iter().enumerate() {
        let is_lost = (100..103).contains(&bucket);
        holed.observe(at(bucket), (!is_lost).then_some(*value));
    }
    assert_eq!(holed.forecast(), whole.forecast(), "the line between is what was there");
}

#[test]
fn a_long_gap_forgets_the_level_and_keeps_the_day() {
    let mut forecaster = forecaster(95);
    let values = diurnal();
    let before = *feed(&mut forecaster, 0, &values[..4 * DAY]).last().unwrap();
    // Eight hours of nothing, and then a level five times as high.
    let resumed = 4 * DAY + 96;
    let higher: Vec<u64> = values[resumed..resumed + 30].iter().map(|value| value * 5).collect();
    let after = feed(&mut forecaster, resumed, &higher);
    assert_eq!(after[0].as_of, at(4 * DAY), "the bucket before the gap is taken in first");
    assert!(after[1].point > before.point, "{:?}", after[1]);
    assert_eq!(after[1].stage, Stage::Ready, "the residuals of the days before still count");
    let mut later = forecaster.clone();
    feed(&mut later, resumed + 3 * DAY, &[1_000, 1_000, 1_000]);
    let later = later.forecast().unwrap();
    assert_eq!(later.stage, Stage::Learning, "after more than a day trust begins anew");
    assert!(later.confidence < Ppm::percent(10) && !later.is_unreliable, "{later:?}");
}

#[test]
fn a_clock_that_jumps_harms_nothing() {
    let values = diurnal();
    let mut steady = forecaster(95);
    feed(&mut steady, 0, &values[..3 * DAY]);
    let usual = steady.forecast().unwrap();
    // Ten minutes back: the open bucket runs on until the clock has come past it.
    let mut slewed = steady.clone();
    assert!(!slewed.observe(at(3 * DAY - 3), Some(values[3 * DAY])));
    assert_eq!(slewed.forecast(), Some(usual));
    assert!(slewed.observe(at(3 * DAY), Some(values[3 * DAY])));
    // Back and forth by hours and by years, and to the end of time.
    for jump in [3 * DAY - 100, 0, 4 * DAY, 400 * DAY, 12] {
        let made = feed(&mut steady, jump, &values[jump % DAY..jump % DAY + 40]);
        let last = made.last().unwrap();
        assert!(last.upper < 40_000 && last.point <= last.upper, "after {jump}: {last:?}");
    }
    steady.observe(Moment(u64::MAX), Some(5));
    steady.observe(Moment(0), Some(5));
    assert!(steady.forecast().unwrap().upper < 40_000);
}

#[test]
fn a_restart_forgets_the_level_alone() {
    let mut forecaster = forecaster(95);
    feed(&mut forecaster, 0, &[8_000; 2 * DAY]);
    forecaster.restarted();
    let made = feed(&mut forecaster, 2 * DAY, &[2_000; 8]);
    let last = made.last().unwrap();
    assert!(last.coverage.is_some() && last.stage == Stage::Ready);
    assert!(last.point < 8_000, "{last:?}");
}

#[test]
fn what_is_not_known_is_no_amount() {
    // A counter that went backwards gives no rate; so does a failed read.
    let mut forecaster = forecaster(95);
    feed(&mut forecaster, 0, &[700; DAY]);
    let before = forecaster.forecast();
    for bucket in DAY + 1..DAY + 40 {
        forecaster.observe(at(bucket), None);
    }
    let after = forecaster.forecast();
    assert_eq!(after.map(|made| made.upper), before.map(|made| made.upper));
    assert_eq!(after.unwrap().as_of, at(DAY), "whoever reads it sees how old it is");
}

#[test]
fn what_cannot_be_forecast_is_said_and_taken_back() {
    let mut forecaster = forecaster(95);
    let values = series(3, |_, random| if random.part() < 0.1 { 50_000.0 } else { 10.0 });
    let made = feed(&mut forecaster, 0, &values);
    assert!(!made[..24].iter().any(|made| made.is_unreliable), "not while it learns");
    let last = made.last().unwrap();
    assert!(last.is_unreliable && last.confidence < Ppm::percent(30), "{last:?}");
    let made = feed(&mut forecaster, 3 * DAY, &[30_000; 4 * DAY]);
    let last = made.last().unwrap();
    assert!(!last.is_unreliable && last.confidence > Ppm::percent(40), "{last:?}");
}

#[test]
fn the_state_comes_back_to_the_bit() {
    for percent in [95, 99] {
        let values = wandering();
        let mut one = forecaster(percent);
        feed(&mut one, 0, &values[..5 * DAY]);
        let text = serde_json::to_string(&one).unwrap();
        assert!(text.len() <= 32 << 10, "{percent}: {} bytes of text", text.len());
        let read: Forecaster = serde_json::from_str(&text).unwrap();
        let mut other = read.resume(&one.settings).unwrap();
        assert_eq!(other, one);
        let further = &values[5 * DAY..6 * DAY];
        assert_eq!(feed(&mut other, 5 * DAY, further), feed(&mut one, 5 * DAY, further));
    }
}

#[test]
fn the_state_does_not_grow() {
    let settings = Settings::new(Span::secs(3600), Ppm::percent(99), Fold::Most).unwrap();
    let mut forecaster = Forecaster::new(&settings);
    feed(&mut forecaster, 0, &noisy()[..2 * DAY]);
    let bytes = forecaster.bytes();
    assert!(bytes <= 32 << 10, "{bytes} bytes");
    feed(&mut forecaster, 2 * DAY, &noisy()[2 * DAY..4 * DAY]);
    assert_eq!(forecaster.bytes(), bytes, "all room is taken once every model speaks");
    let text = serde_json::to_string(&forecaster).unwrap();
    assert!(text.len() <= 32 << 10, "{} bytes of text", text.len());
}

#[test]
fn other_settings_keep_what_still_means_something() {
    let mut kept = forecaster(95);
    feed(&mut kept, 0, &diurnal()[..3 * DAY]);
    let farther = Settings::new(Span::secs(1800), Ppm::percent(95), Fold::Mean).unwrap();
    let resumed = kept.clone().resume(&farther).unwrap();
    assert_eq!((&resumed.models, resumed.forecast()), (&kept.models, None));
    let most = Settings::usual(Fold::Most);
    assert_eq!(kept.resume(&most).unwrap(), Forecaster::new(&most));
}

#[test]
fn a_damaged_state_is_refused() {
    let mut kept = forecaster(95);
    feed(&mut kept, 0, &[100; 60]);
    let state = serde_json::to_value(&kept).unwrap();
    let with = |pointer: &str, value: serde_json::Value| {
        let mut state = state.clone();
        *state.pointer_mut(pointer).unwrap() = value;
        serde_json::from_value::<Forecaster>(state).map(|read| read.resume(&kept.settings))
    };
    let not_a_number = "((((%"; // no five digits that mean one
    assert!(with("/models/recent", not_a_number.into()).is_err());
    let row = state.pointer("/models/recent").unwrap().as_str().unwrap().repeat(40);
    let error = with("/models/day", row.into()).unwrap_err().to_string();
    assert!(error.contains("may hold 288; remove the state"), "{error}");
    assert!(with("/models/levels/holt", "NaN".into()).is_err());
    let error = with("/blend/tracks", serde_json::json!([])).unwrap().unwrap_err().to_string();
    assert!(error.contains("a record for each model; remove it"), "{error}");
    let said = state.pointer("/open/0").unwrap().clone();
    assert!(with("/open", vec![said; 9].into()).unwrap().is_err());
    // A level beyond all numbers: the models that use it are not heard.
    let mut mad = with("/models/levels/smoothed", 1e39.into()).unwrap().unwrap();
    let made = feed(&mut mad, 60, &[100; 40]);
    assert_eq!(made.last().unwrap().upper, 100);
}

#[test]
fn settings_have_bounds() {
    let told = |secs, percent| {
        let made = Settings::new(Span::secs(secs), Ppm::percent(percent), Fold::Mean);
        made.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(told(299, 95), "the horizon 4m59s is not between 5m and 1h; 15m is usual");
    assert!(told(3601, 95).contains("horizon 1h1s"));
    assert!(told(900, 49).contains("the quantile 49") && told(900, 100).contains("99.5%"));
    assert_eq!(told(300, 50) + &told(3600, 99), "");
    let usual = Settings::new(Span::secs(900), Ppm::percent(95), Fold::Mean).unwrap();
    assert_eq!(usual, Settings::usual(Fold::Mean));
}

#[test]
fn what_is_more_than_the_host_has_is_cut() {
    let made = feed(&mut forecaster(95), 0, &[1_000; 10]).pop().unwrap();
    assert_eq!(made.within(1_200).upper, 1_200);
    let cut = made.within(400);
    assert_eq!((cut.point, cut.upper), (400, 400));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_samples_break_it(
        samples in prop::collection::vec(
            (prop_oneof![8 => 0_u64..400, 1 => 0_u64..200_000, 1 => any::<u64>()],
             prop_oneof![6 => (0_u64..1_000_000).prop_map(Some), 1 => Just(None), 1 => any::<u64>().prop_map(Some)]),
            1..300,
        ),
        minutes in 5_u64..=60,
    ) {
        let settings = Settings::new(Span::secs(60 * minutes), Ppm::percent(95), Fold::Most).unwrap();
        let mut forecaster = Forecaster::new(&settings);
        let mut now = START;
        for (step, sample) in samples {
            now = now.wrapping_add(step);
            forecaster.observe(Moment(now), sample);
            if let Some(made) = forecaster.forecast() {
                prop_assert!(made.point <= made.upper);
                prop_assert!(made.confidence <= Ppm::WHOLE);
            }
        }
        prop_assert!(forecaster.bytes() <= 32 << 10);
        let text = serde_json::to_string(&forecaster).unwrap();
        let read: Forecaster = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.resume(&settings), Ok(forecaster));
    }
}
