//! Ceilings: one limit, or the two between which it follows the need. Must not know what is done between the two.

use super::Check;
use super::component::{PIDS_FLOOR, PIDS_MOST};
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::{MemoryPolicy, Scale};
use crate::config::raw;
use crate::units::{Bytes, Limit, Millicpu, Span};
use std::fmt::Display;

/// How long a ceiling is left alone after a change unless configured: what a service does every hour is then seen six times before.
const COOLDOWN: Span = Span::secs(600);
/// The least lower end for memory. With less, there is no room for a `memory.high` that slows down before `memory.max` kills.
const MEMORY_LEAST: Bytes = Bytes::mebi(64);

/// A ceiling as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ceiling<T> {
    /// The most; none when there is none or it cannot be read.
    pub(super) most: Option<Limit<T>>,
    /// How far it may be lowered.
    pub(super) scale: Option<Scale<T>>,
}

impl<T: Copy> Ceiling<T> {
    /// What the lower end is called.
    pub(super) const fn least_key(&self) -> &'static str {
        if self.scale.is_some() { "ceiling.min" } else { "ceiling" }
    }

    /// The lower end, or the ceiling itself, where that is a limit.
    pub(super) fn least(&self) -> Option<T> {
        self.scale.map(|scale| scale.least).or(self.most.and_then(Limit::value))
    }
}

/// Where the ends of a ceiling are written, the lower one first.
pub(super) fn ends<R>(key: &Key, raw: Option<&raw::Ceiling<R>>) -> (Key, Key) {
    match raw {
        Some(raw::Ceiling::Between(_)) => (key.then("min"), key.then("max")),
        Some(raw::Ceiling::Fixed(_)) | None => (key.clone(), key.clone()),
    }
}

impl Check<'_> {
    /// A ceiling of CPU.
    pub(super) fn cpu_ceiling(
        &mut self,
        key: &Key,
        raw: Option<&raw::Ceiling<raw::CpuAmount>>,
    ) -> Ceiling<Millicpu> {
        self.ceiling(key, raw, |check, key, raw| {
            let limit = check.cpu_limit(key, Some(raw))?;
            check.cpu_floor(key, limit).then_some(limit)
        })
    }

    /// A ceiling of memory.
    pub(super) fn memory_ceiling(
        &mut self,
        key: &Key,
        raw: Option<&raw::Ceiling<raw::Size>>,
    ) -> Ceiling<Bytes> {
        let read = self.ceiling(key, raw, |check, key, raw| {
            let limit = check.size_limit(key, Some(raw))?;
            check.memory_floor(key, limit).then_some(limit)
        });
        let Some(scale) = read.scale.filter(|scale| scale.least < MEMORY_LEAST) else {
            return read;
        };
        let message = format!(
            "a memory ceiling that goes down to {} is below the least of such, {MEMORY_LEAST}",
            scale.least
        );
        let help = format!(
            "`memory.high` is kept below it, and that would be {}; write at least \"64M\", or one size as the ceiling",
            MemoryPolicy::most_high(scale.least)
        );
        let issue = ConfigIssue::error(Code::BelowFloor, message).help(help);
        self.report(issue, &key.then("min"), "too low");
        Ceiling { scale: None, ..read }
    }

    /// A ceiling of tasks.
    pub(super) fn pids_ceiling(
        &mut self,
        key: &Key,
        raw: Option<&raw::Ceiling<raw::Count>>,
    ) -> Ceiling<u64> {
        self.ceiling(key, raw, Self::tasks)
    }

    fn tasks(&mut self, key: &Key, raw: &raw::Count) -> Option<Limit<u64>> {
        let count = match raw {
            raw::Count::Word(_) => return Some(Limit::Max),
            raw::Count::Number(count) => *count,
        };
        if count < PIDS_FLOOR {
            let message = format!("{count} tasks are below the least, {PIDS_FLOOR}");
            let issue = ConfigIssue::error(Code::BelowFloor, message)
                .help("threads count as tasks; with fewer, even a shell script fails to fork");
            self.report(issue, key, "too low");
            return None;
        }
        if count > PIDS_MOST {
            let message = format!("the kernel takes no more than {PIDS_MOST} tasks");
            let issue =
                ConfigIssue::error(Code::OutOfRange, message).help("write \"max\" for no limit");
            self.report(issue, key, "too many");
            return None;
        }
        Some(Limit::At(count))
    }

    /// Both ends, each read by `read`, which tells what is wrong with one.
    fn ceiling<R, T: PartialOrd + Copy + Display>(
        &mut self,
        key: &Key,
        raw: Option<&raw::Ceiling<R>>,
        read: impl Fn(&mut Self, &Key, &R) -> Option<Limit<T>>,
    ) -> Ceiling<T> {
        let between = match raw {
            None => return Ceiling { most: None, scale: None },
            Some(raw::Ceiling::Fixed(raw)) => {
                return Ceiling { most: read(self, key, raw), scale: None };
            }
            Some(raw::Ceiling::Between(between)) => between,
        };
        let (min, max) = (key.then("min"), key.then("max"));
        let least = read(self, &min, &between.min).and_then(|limit| self.finite(&min, limit));
        let most = read(self, &max, &between.max).and_then(|limit| self.finite(&max, limit));
        let range = Span::secs(5)..=Span::secs(86_400);
        let cooldown = self.duration(&key.then("cooldown"), between.cooldown.as_ref(), range);
        self.in_order(Code::RangeOrder, ("min", &min, least), ("max", &max, most));
        let (Some(least), Some(most)) = (least, most) else {
            return Ceiling { most: None, scale: None };
        };
        let cooldown = cooldown.unwrap_or(COOLDOWN);
        let scale = (least <= most).then_some(Scale { least, cooldown });
        Ceiling { most: Some(Limit::At(most)), scale }
    }

    /// An end that is a limit.
    fn finite<T>(&mut self, key: &Key, limit: Limit<T>) -> Option<T> {
        let Limit::At(value) = limit else {
            let issue = ConfigIssue::error(
                Code::RangeWithoutEnd,
                "a ceiling that follows the need has two ends",
            )
            .help("write the most that it may ever be, or \"max\" instead of the table for no limit at all");
            self.report(issue, key, "no end");
            return None;
        };
        Some(value)
    }
}
