//! A quantity over time: the courses that a scenario can give to a demand.
//!
//! **Problem.** Controllers fail on edges, slow drifts and periods near their own; a scenario has to name each of them in a line.
//!
//! **Approach.** A program is a pure function from the time since its component started to a value, in integers.
//!
//! **Terms.** *level*: where it starts. *to*: the other level. *noise*: a deviation that is drawn anew each second.
//!
//! **Algorithm.** See [`Program::value`]; the wave is Bhaskara's approximation of the sine (within two thousandths).
//!
//! **Properties.** Deterministic; between `level` and `to` for all but ramps and traces; without noise a constant is constant.

use super::random::Random;
use super::share::scaled;

const SECOND: u64 = 1_000_000;

/// No quantity is larger, so that sums over a thousand groups fit: 16 TiB, or as many tasks.
pub(super) const LARGEST: u64 = 1 << 44;

/// A course over time. All times in microseconds since the component's start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Program {
    pub(super) course: Course,
    /// When it ends and the value is back at its first level.
    pub(super) until: Option<u64>,
    /// Percent to either side.
    pub(super) noise: u64,
}

/// The course itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Course {
    Constant { level: u64 },
    Step { level: u64, to: u64, at: u64 },
    Square { level: u64, to: u64, period: u64 },
    Saw { level: u64, to: u64, period: u64 },
    Diurnal { level: u64, to: u64, period: u64 },
    Ramp { level: u64, to: Option<u64>, at: u64, rate: u64 },
    Burst { level: u64, to: u64, at: u64, period: u64, length: u64 },
    Trace { points: Vec<(u64, u64)> },
}

impl Default for Course {
    fn default() -> Self {
        Self::Constant { level: 0 }
    }
}

/// How far the wave has risen at `phase` of `period`, in millionths.
fn risen(phase: u64, period: u64) -> u64 {
    // (1 - cos) / 2 = sin^2 of half the phase, which goes from 0 to half a turn: 4x(180-x) / (40500 - x(180-x)), in degrees.
    let degrees = scaled(phase, 180_000, period);
    let product = degrees * (180_000 - degrees.min(180_000)) / 1000;
    let sine = scaled(4 * product, 1_000_000, 40_500_000 - product);
    sine * sine / 1_000_000
}

impl Program {
    /// A value that never changes.
    pub(super) const fn constant(level: u64) -> Self {
        Self { course: Course::Constant { level }, until: None, noise: 0 }
    }

    /// The value at a time since the component's start. `seed` names the noise.
    pub(super) fn value(&self, at: u64, seed: u64) -> u64 {
        let over = self.until.is_some_and(|until| at >= until);
        let value = if over { self.first() } else { self.course_at(at) };
        let value = value.min(LARGEST);
        if self.noise == 0 || value == 0 {
            return value;
        }
        let spread = scaled(value, self.noise, 100);
        let drawn = Random::new(seed, at / SECOND + 1).below(2 * spread + 1);
        (value + drawn).saturating_sub(spread).min(LARGEST)
    }

    /// Where it starts.
    fn first(&self) -> u64 {
        match &self.course {
            Course::Constant { level }
            | Course::Step { level, .. }
            | Course::Square { level, .. }
            | Course::Saw { level, .. }
            | Course::Diurnal { level, .. }
            | Course::Ramp { level, .. }
            | Course::Burst { level, .. } => *level,
            Course::Trace { points } => points.first().map_or(0, |(_, value)| *value),
        }
    }

    /// The same quantity for ever at the value of one moment.
    pub(super) fn frozen(&self, at: u64) -> Self {
        Self::constant(Self { noise: 0, ..self.clone() }.value(at, 0))
    }

    fn course_at(&self, at: u64) -> u64 {
        let between = |level: u64, to: u64, part: u64, whole: u64| {
            let way = scaled(level.abs_diff(to), part.min(whole), whole);
            if to >= level { level + way } else { level - way }
        };
        match &self.course {
            Course::Constant { level } => *level,
            Course::Step { level, to, at: edge } => {
                if at < *edge {
                    *level
                } else {
                    *to
                }
            }
            Course::Square { level, to, period } => {
                if at % (*period).max(1) < period / 2 {
                    *level
                } else {
                    *to
                }
            }
            Course::Saw { level, to, period } => {
                between(*level, *to, at % (*period).max(1), *period)
            }
            Course::Diurnal { level, to, period } => {
                between(*level, *to, risen(at % (*period).max(1), *period), 1_000_000)
            }
            Course::Ramp { level, to, at: start, rate } => {
                let grown = scaled(*rate, at.saturating_sub(*start), SECOND);
                level.saturating_add(grown).min(to.unwrap_or(u64::MAX))
            }
            Course::Burst { level, to, at: start, period, length } => {
                let inside = at >= *start && (at - start) % (*period).max(1) < *length;
                if inside { *to } else { *level }
            }
            Course::Trace { points } => {
                let next = points.partition_point(|(time, _)| *time <= at);
                let last = next.checked_sub(1).and_then(|last| points.get(last));
                last.map_or(0, |(_, value)| *value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(course: Course) -> Program {
        Program { course, ..Program::default() }
    }

    #[test]
    fn courses_run_as_they_are_named() {
        let secs = |count: u64| count * SECOND;
        let at = |course: &Course, time| program(course.clone()).value(secs(time), 1);
        let step = Course::Step { level: 1, to: 9, at: secs(5) };
        assert_eq!([at(&step, 4), at(&step, 5)], [1, 9]);
        let square = Course::Square { level: 1, to: 9, period: secs(10) };
        assert_eq!([at(&square, 4), at(&square, 5), at(&square, 10)], [1, 9, 1]);
        let saw = Course::Saw { level: 0, to: 100, period: secs(10) };
        assert_eq!([at(&saw, 0), at(&saw, 5), at(&saw, 10)], [0, 50, 0]);
        let ramp = Course::Ramp { level: 10, to: Some(25), at: secs(2), rate: 5 };
        assert_eq!([at(&ramp, 2), at(&ramp, 4), at(&ramp, 100)], [10, 20, 25]);
        let burst =
            Course::Burst { level: 1, to: 9, at: secs(3), period: secs(10), length: secs(2) };
        assert_eq!([at(&burst, 2), at(&burst, 4), at(&burst, 5), at(&burst, 13)], [1, 9, 1, 9]);
        let trace = Course::Trace { points: vec![(0, 3), (secs(2), 7)] };
        assert_eq!([at(&trace, 1), at(&trace, 2), at(&trace, 99)], [3, 7, 7]);
    }

    #[test]
    fn a_day_is_a_wave() {
        let day = program(Course::Diurnal { level: 100, to: 1100, period: 24 });
        let values: Vec<u64> = (0..=24).step_by(6).map(|hour| day.value(hour, 1)).collect();
        for (value, wanted) in values.iter().zip([100, 600, 1100, 600, 100]) {
            assert!(value.abs_diff(wanted) <= 5, "{values:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn noise_stays_within_its_percentage(level in 0u64..1 << 40, at in 0u64..1 << 40, noise in 0u64..=100) {
            let program = Program { noise, ..Program::constant(level) };
            let spread = level * noise / 100;
            proptest::prop_assert!(program.value(at, 7).abs_diff(level) <= spread);
            proptest::prop_assert_eq!(program.frozen(at).value(at + 5, 7), level);
        }
    }
}
