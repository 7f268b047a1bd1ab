//! Worked numbers and properties of the machine of levels.

use super::*;
use proptest::prelude::*;

fn at(secs: u64) -> Tick {
    Tick::default().plus(Span::secs(1000 + secs))
}

fn moment(secs: u64) -> Moment {
    Moment { at: at(secs), gap: false, alarm: false }
}

fn cpu(value: Option<u32>) -> Input<'static> {
    let signal = Signal::ProtectedCpu;
    let value = value.map(|tenths| Ppm::new(tenths * 1000));
    Input { signal, steps: signal.steps(), who: None, value, missing: value.is_none() }
}

/// A machine that was fed one value, in tenths of a percent, in each second of `secs`.
fn fed(machine: &mut Machine, secs: std::ops::Range<u64>, tenths: u32) -> Level {
    for second in secs {
        machine.step(&[cpu(Some(tenths))], moment(second));
    }
    machine.level()
}

#[test]
fn levels_begin_after_their_dwell_and_may_be_skipped() {
    let mut machine = Machine::default();
    assert_eq!(fed(&mut machine, 0..3, 50), Level::Normal, "2 s at 5 %");
    assert_eq!(fed(&mut machine, 3..4, 50), Level::Warning, "3 s");
    assert_eq!(machine.since(), at(3));
    let mut machine = Machine::default();
    assert_eq!(fed(&mut machine, 0..2, 150), Level::Normal);
    assert_eq!(fed(&mut machine, 2..3, 150), Level::Critical, "2 s at 15 %");
    let mut machine = Machine::default();
    assert_eq!(fed(&mut machine, 0..2, 400), Level::Emergency, "1 s at 40 %");
}

#[test]
fn between_off_and_on_a_level_stays() {
    let mut machine = Machine::default();
    fed(&mut machine, 0..4, 60);
    assert_eq!(fed(&mut machine, 4..600, 20), Level::Warning, "2 % is the end, not below it");
    assert_eq!(fed(&mut machine, 600..660, 19), Level::Warning);
    assert_eq!(fed(&mut machine, 660..661, 19), Level::Normal, "60 s below 2 %");
    assert_eq!(machine.cause(), "warning was not needed for 1m");
}

#[test]
fn down_is_one_level_at_a_time_and_timers_begin_anew() {
    let mut machine = Machine::default();
    fed(&mut machine, 0..2, 900);
    assert_eq!(machine.level(), Level::Emergency);
    let mut left = Vec::new();
    for second in 2..200 {
        let before = machine.level();
        machine.step(&[cpu(Some(0))], moment(second));
        if machine.level() != before {
            left.push((second - 2, machine.level()));
        }
    }
    let expected = [(15, Level::Critical), (46, Level::Warning), (107, Level::Normal)];
    assert_eq!(left, expected, "15 s, 30 s and 60 s, each from the look after the last");
}

#[test]
fn a_level_that_comes_back_soon_takes_longer_to_leave() {
    let mut machine = Machine::default();
    let mut second = 0;
    let mut held = Vec::new();
    for _ in 0..5 {
        while machine.level() < Level::Critical {
            machine.step(&[cpu(Some(200))], moment(second));
            second += 1;
        }
        let from = second;
        while machine.level() == Level::Critical {
            machine.step(&[cpu(Some(0))], moment(second));
            second += 1;
        }
        held.push(second - 1 - from);
    }
    assert_eq!(held, [30, 60, 120, 240, 240], "doubled each time, at most eightfold");
    for quiet in 0..1900 {
        machine.step(&[cpu(Some(0))], moment(second + quiet));
    }
    assert_eq!(machine.flap.critical, 0, "forgotten, half each ten minutes");
}

#[test]
fn the_trigger_waits_for_nothing() {
    let mut machine = Machine::default();
    machine.step(&[cpu(Some(0))], Moment { alarm: true, ..moment(0) });
    assert_eq!(machine.level(), Level::Emergency);
    assert_eq!(machine.cause(), "all tasks stood still for 300 ms of a second");
    assert_eq!(fed(&mut machine, 1..16, 0), Level::Emergency);
    assert_eq!(fed(&mut machine, 16..17, 0), Level::Critical, "and is left like any other");
}

#[test]
fn causes_name_who_what_and_how_much() {
    let db: ComponentName = "db".parse().unwrap();
    let input = |signal: Signal, who, percent| Input {
        signal,
        steps: signal.steps(),
        who,
        value: Some(Ppm::percent(percent)),
        missing: false,
    };
    let cause = |input: Input<'_>| {
        let mut machine = Machine::default();
        (0..4).for_each(|second| machine.step(&[input], moment(second)));
        format!("{}: {}", machine.level(), machine.cause())
    };
    let all = [
        cause(input(Signal::ProtectedCpu, Some(&db), 7)),
        cause(input(Signal::ProtectedMemory, Some(&db), 12)),
        cause(input(Signal::ProtectedRefaults, Some(&db), 90)),
        cause(input(Signal::ProtectedKilled, Some(&db), 60)),
        cause(input(Signal::ProtectedIo, Some(&db), 20)),
        cause(input(Signal::HostMemory, None, 1)),
        cause(input(Signal::MemoryUsed, None, 98)),
        cause(input(Signal::SwapUsed, None, 75)),
        cause(input(Signal::PidsUsed, None, 90)),
        cause(input(Signal::CpuUsed, None, 100)),
    ];
    insta::assert_snapshot!("causes", all.join("\n"));
}

#[test]
fn a_missing_signal_holds_the_level_for_a_while() {
    let mut machine = Machine::default();
    fed(&mut machine, 0..4, 60);
    let other = Input { signal: Signal::CpuUsed, steps: Signal::CpuUsed.steps(), ..cpu(Some(0)) };
    for second in 4..304 {
        machine.step(&[cpu(None), other], moment(second));
    }
    assert_eq!(machine.level(), Level::Warning, "held for five minutes");
    for second in 304..366 {
        machine.step(&[cpu(None), other], moment(second));
    }
    assert_eq!(machine.level(), Level::Normal, "then the other one counts");
}

#[test]
fn with_nothing_known_at_all_the_level_stays() {
    let mut machine = Machine::default();
    fed(&mut machine, 0..4, 60);
    for second in 4..4000 {
        machine.step(&[cpu(None)], moment(second));
    }
    assert_eq!(machine.level(), Level::Warning);
    let gone = Input { missing: false, ..cpu(None) };
    for second in 4000..4062 {
        machine.step(&[gone], moment(second));
    }
    assert_eq!(machine.level(), Level::Normal, "nobody is there who could wait");
}

#[test]
fn time_that_nobody_looked_at_is_no_dwell() {
    let mut machine = Machine::default();
    machine.step(&[cpu(Some(60))], moment(0));
    machine.step(&[cpu(Some(60))], Moment { gap: true, ..moment(3600) });
    assert_eq!(machine.level(), Level::Normal, "the host slept for an hour");
    fed(&mut machine, 3601..3604, 60);
    assert_eq!(machine.level(), Level::Warning);
    machine.step(&[cpu(Some(0))], moment(3604));
    machine.step(&[cpu(Some(0))], Moment { gap: true, ..moment(9000) });
    assert_eq!(machine.level(), Level::Warning);
}

/// One look: milliseconds since the last, the value if it can be read, whether the trigger fired.
type Look = (u64, Option<u32>, bool);

/// Values that stay for a while, as real ones do, with single looks that differ.
fn looks() -> impl Strategy<Value = Vec<Look>> {
    let value = prop_oneof![
        Just(Some(0u32)),
        (0u32..1000).prop_map(Some),
        prop::sample::select(vec![20, 49, 50, 70, 150, 200, 400]).prop_map(Some),
        Just(None),
    ];
    let run = (200u64..3000, value, 1usize..60, prop::bool::weighted(0.02));
    prop::collection::vec(run, 1..25).prop_map(|runs| {
        let looks = |(gap, value, times, alarm)| {
            (0..times).map(move |time| (gap, value, alarm && time == 0))
        };
        runs.into_iter().flat_map(looks).collect()
    })
}

fn ask(value: Option<u32>, of: fn(Step) -> Ppm) -> Level {
    cpu(value).level(of)
}

proptest! {
    /// I17: up only after the level was asked for without a break for its dwell, down only after it was not needed for its own, and
    /// the trigger alone is at once.
    #[test]
    fn no_level_moves_faster_than_its_dwell(looks in looks()) {
        let mut machine = Machine::default();
        let mut now = at(0);
        let mut history: Vec<(Tick, Option<u32>)> = Vec::new();
        for (gap, value, alarm) in looks {
            now = now.plus(Span::millis(gap));
            let (before, since) = (machine.level(), machine.since());
            machine.step(&[cpu(value)], Moment { at: now, gap: false, alarm });
            history.push((now, value));
            let held = |dwell: Span, holds: &dyn Fn(Option<u32>) -> bool| {
                let run = history.iter().rev().take_while(|(_, value)| holds(*value));
                run.map(|(at, _)| now.since(*at)).max().is_some_and(|span| span >= dwell)
            };
            let after = machine.level();
            if alarm {
                prop_assert_eq!(after, Level::Emergency);
            } else if after > before {
                let dwell = *DWELL_ON.at(after).unwrap();
                prop_assert!(held(dwell, &|value| ask(value, |step| step.on) >= after));
            } else if after < before {
                prop_assert_eq!(after, before.below());
                let dwell = *DWELL_OFF.at(before).unwrap();
                prop_assert!(held(dwell, &|value| value.is_some() && ask(value, |step| step.off) < before));
                prop_assert!(now.since(since) >= dwell);
            }
        }
    }

    /// I20: looks without the signal change nothing, wherever they come and however long they last.
    #[test]
    fn missing_signals_move_no_level(looks in looks(), without in 1u64..2000) {
        let mut machine = Machine::default();
        let mut now = at(0);
        for (gap, value, alarm) in looks {
            now = now.plus(Span::millis(gap));
            machine.step(&[cpu(value)], Moment { at: now, gap: false, alarm });
        }
        let level = machine.level();
        for _ in 0..without {
            now = now.plus(Span::secs(1));
            machine.step(&[cpu(None)], Moment { at: now, gap: false, alarm: false });
            prop_assert_eq!(machine.level(), level);
        }
    }

    /// More pressure at every look is never a lower level, as long as nothing flaps.
    #[test]
    fn a_constant_signal_settles_where_its_thresholds_say(tenths in 0u32..1000) {
        let mut machine = Machine::default();
        let settled = fed(&mut machine, 0..10, tenths);
        prop_assert_eq!(settled, ask(Some(tenths), |step| step.on));
        prop_assert_eq!(fed(&mut machine, 10..400, tenths), settled);
    }

    #[test]
    fn nobody_stays_above_normal_for_ever(looks in looks()) {
        let mut machine = Machine::default();
        let mut now = at(0);
        for (gap, value, alarm) in looks {
            now = now.plus(Span::millis(gap));
            machine.step(&[cpu(value)], Moment { at: now, gap: false, alarm });
        }
        // At most 8 x 15 s, 8 x 30 s and 60 s, and a look after each.
        for _ in 0..(120 + 240 + 60 + 3) {
            now = now.plus(Span::secs(1));
            machine.step(&[cpu(Some(0))], Moment { at: now, gap: false, alarm: false });
        }
        prop_assert_eq!(machine.level(), Level::Normal);
    }
}
