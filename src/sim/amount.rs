//! Quantities and courses of a scenario, from their texts to integers in the model's units.

use super::program::{Course, LARGEST, Program};
use super::raw::{self, Shape};
use super::scenario::Reader;
use super::trace;
use crate::config::Code;
use crate::units::{Bytes, Millicpu, Span};

/// In what a quantity is written and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Cores; counted in thousandths.
    Cores,
    /// Bytes, or bytes per second.
    Bytes,
    /// A whole number.
    Count,
    /// A duration; counted in microseconds.
    Time,
}

impl Unit {
    /// The amount that a text names, or what is wrong with it.
    pub(super) fn read(self, text: &str) -> Result<u64, String> {
        let amount = match self {
            Self::Cores => text.parse().map(|Millicpu(amount)| amount).map_err(|e| e.to_string()),
            Self::Bytes => text.parse().map(|Bytes(amount)| amount).map_err(|e| e.to_string()),
            Self::Time => text.parse().map(|Span(amount)| amount).map_err(|e| e.to_string()),
            Self::Count => {
                text.trim().parse().map_err(|_| format!("\"{text}\" is not a whole number"))
            }
        }?;
        if self != Self::Time && amount > LARGEST {
            return Err(format!("\"{text}\" is more than the model can hold"));
        }
        Ok(amount)
    }
}

/// A program from its table.
pub(super) fn program(
    reader: &mut Reader,
    raw: &raw::Program,
    unit: Unit,
    key: &[&str],
) -> Program {
    let below = |name: &'static str| -> Vec<&str> { key.iter().copied().chain([name]).collect() };
    let mut amount =
        |text: &Option<String>, unit, name| reader.quantity(text.as_deref(), unit, &below(name));
    let level = amount(&raw.level, unit, "level").unwrap_or(0);
    let to = amount(&raw.to, unit, "to");
    let at = amount(&raw.at, Unit::Time, "at").unwrap_or(0);
    let until = amount(&raw.until, Unit::Time, "until");
    let period = amount(&raw.period, Unit::Time, "period");
    let length = amount(&raw.length, Unit::Time, "length");
    let rate = amount(&raw.rate, unit, "rate");
    let shape = match raw.shape {
        Some(shape) => shape,
        None if raw.trace.is_some() => Shape::Trace,
        None => Shape::Constant,
    };
    for (name, is_missing) in missing(raw, shape) {
        if is_missing {
            let word = format!("{shape:?}").to_lowercase();
            reader.told(Code::MissingKey, format!("the shape \"{word}\" needs `{name}`"), key);
        }
    }
    if period.is_some_and(|period| period < 200_000) {
        reader.told(Code::OutOfRange, "a period must be at least 200ms", &below("period"));
    }
    let period = period.unwrap_or(u64::MAX).max(200_000);
    let peak = to.unwrap_or(level);
    let course = match shape {
        Shape::Constant => Course::Constant { level },
        Shape::Step => Course::Step { level, to: peak, at },
        Shape::Square => Course::Square { level, to: peak, period },
        Shape::Saw => Course::Saw { level, to: peak, period },
        Shape::Diurnal => Course::Diurnal { level, to: peak, period },
        Shape::Ramp => Course::Ramp { level, to, at, rate: rate.unwrap_or(0) },
        Shape::Burst => {
            let length = length.unwrap_or(period / 10);
            Course::Burst { level, to: peak, at, period, length }
        }
        Shape::Trace => Course::Trace { points: points(reader, raw, unit, key) },
    };
    Program { course, until, noise: u64::from(raw.noise.unwrap_or(0)) }
}

/// The keys that a shape needs, and whether they are missing.
fn missing(raw: &raw::Program, shape: Shape) -> Vec<(&'static str, bool)> {
    let to = ("to", raw.to.is_none());
    let period = ("period", raw.period.is_none());
    match shape {
        Shape::Constant => vec![("level", raw.level.is_none())],
        Shape::Step => vec![to],
        Shape::Square | Shape::Saw | Shape::Diurnal | Shape::Burst => vec![to, period],
        Shape::Ramp => vec![("rate", raw.rate.is_none())],
        Shape::Trace => vec![("trace", raw.trace.is_none())],
    }
}

fn points(reader: &mut Reader, raw: &raw::Program, unit: Unit, key: &[&str]) -> Vec<(u64, u64)> {
    let Some(file) = &raw.trace else { return Vec::new() };
    match trace::read(&reader.folder.join(file), |text| unit.read(text)) {
        Ok(points) => points,
        Err(error) => {
            let key: Vec<&str> = key.iter().copied().chain(["trace"]).collect();
            reader.told(Code::Unreadable, error.to_string(), &key);
            Vec::new()
        }
    }
}
