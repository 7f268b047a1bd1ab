//! One ceiling that follows the need, whatever of. Must not know whose it is, nor who else there is.

use super::Bounds;
use crate::config::MemoryPolicy;
use crate::model::Resource;
use crate::units::{Bytes, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};

/// Whoever needs this part of the line is near enough to be given more, and whoever never needs more than that one can do with less.
const NEAR_PERCENT: u64 = 90;
const FAR_PERCENT: u64 = 50;
/// A ceiling is not lowered to where the need would be beyond this part of its line.
const FITS_PERCENT: u64 = 80;
/// At the present growth the line is reached in less: then it is near already.
const SOON: Span = Span::secs(120);
/// From this share of the periods of `cpu.max` on, being stopped counts as need.
const THROTTLED: Ppm = Ppm::percent(5);
/// By how much it rises at least, and by how much it falls, in percent of what it is.
const RISE_PERCENT: u64 = 20;
const FALL_PERCENT: u64 = 10;
/// A growth is one that lasts: it is measured over two spans of this length, and the lesser counts.
const MARK_EVERY: Span = Span::secs(10);
/// A look that comes later says nothing of the time before.
const LONGEST_LOOK: Span = Span::secs(10);
/// How many cooldowns are remembered.
const REMEMBERED: usize = 6;

/// What one look says, in the unit of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// What is needed.
    pub(super) need: u64,
    /// The ceiling must not be below this: memory that is in use could only be killed.
    pub(super) held: u64,
    /// In which share of the periods it was stopped.
    pub(super) throttled: Ppm,
    /// Whether the ceiling made something fail since the look before: a process was killed, a fork was refused.
    pub(super) failed: bool,
    /// What will be needed at most, and how sure that is; none where nobody knows.
    pub(super) expected: Option<(u64, Ppm)>,
    /// The ceiling may be raised up to this.
    pub(super) room: u64,
}

/// Why a ceiling is where it is, in numbers of the moment when it was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Because {
    /// Nobody knows yet what is needed.
    New,
    /// An earlier life of the daemon left it.
    Kept,
    Used(u64),
    Grows(u64, Span),
    Throttled(Ppm),
    Failed,
    Expected(u64, Ppm),
    Spare(u64, Span),
}

/// A ceiling between two looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ceiling {
    pub(super) at: u64,
    /// Where it goes next, once what is held has been pressed below that.
    pub(super) press: Option<u64>,
    pub(super) changed: Option<Tick>,
    because: Because,
    /// Whether it would be raised if there were room.
    short: bool,
    looked: Tick,
    past: Past,
    trend: Trend,
}

impl Ceiling {
    /// One of which nothing is known: at `most`, or where an earlier life of the daemon left it.
    pub(super) fn new(bounds: Bounds, kept: Option<u64>, now: Tick) -> Self {
        Self {
            at: kept.unwrap_or(bounds.most).clamp(bounds.least, bounds.most),
            press: None,
            changed: None,
            because: if kept.is_some() { Because::Kept } else { Because::New },
            short: false,
            looked: now,
            past: Past::default(),
            trend: Trend::new(now),
        }
    }

    /// Takes over bounds that were configured anew. Whether it moved.
    pub(super) fn keep_within(&mut self, bounds: Bounds) -> bool {
        let within = self.at.clamp(bounds.least, bounds.most);
        std::mem::replace(&mut self.at, within) != within
    }

    /// Takes in one look. Whether anything changed that is decided by or told.
    pub(super) fn look(
        &mut self,
        resource: Resource,
        bounds: Bounds,
        sight: Sight,
        now: Tick,
    ) -> bool {
        let before = (self.at, self.press, self.short);
        let span = now.since(std::mem::replace(&mut self.looked, now));
        let span = if span > LONGEST_LOOK { Span::ZERO } else { span };
        self.past.add(self.counted(resource, sight), span, bounds.cooldown);
        self.trend.add(sight.need, now);
        match self.want(resource, sight, now) {
            Some((because, wanted)) => self.raise(resource, bounds, (because, wanted, sight), now),
            None => {
                self.short = false;
                self.lower(resource, bounds, sight, now);
            }
        }
        before != (self.at, self.press, self.short)
    }

    /// What the look counts as in the past: whoever was stopped needed more than it got.
    fn counted(&self, resource: Resource, sight: Sight) -> u64 {
        let line = line(resource, self.at);
        let at_least = if sight.failed || sight.throttled >= THROTTLED {
            line
        } else if sight.throttled > Ppm::ZERO {
            percent(line, FAR_PERCENT)
        } else {
            0
        };
        sight.need.max(at_least)
    }

    /// Why it is to be raised, and to what at least; none where it is not.
    fn want(&self, resource: Resource, sight: Sight, now: Tick) -> Option<(Because, u64)> {
        let line = line(resource, self.at);
        let settled = self.changed.is_none_or(|at| now.since(at) >= settles(resource));
        let fitting = fitting(resource, sight.need);
        if sight.failed && (settled || resource == Resource::Memory) {
            return Some((Because::Failed, fitting));
        }
        if sight.need >= percent(line, NEAR_PERCENT) {
            return Some((Because::Used(sight.need), fitting));
        }
        if sight.throttled >= THROTTLED && settled {
            return Some((Because::Throttled(sight.throttled), fitting));
        }
        // Time that a quota is not used up in is there at once: only what piles up is to be foreseen by its growth.
        let piles_up = resource != Resource::Cpu;
        if let Some(left) = self.trend.reaches(sight.need, line, now).filter(|_| piles_up) {
            let growth = self.trend.per_second(sight.need, now);
            let then = sight.need.saturating_add(growth.saturating_mul(SOON.0 / 1_000_000));
            return Some((Because::Grows(sight.need, left), of_line(resource, then)));
        }
        let (upper, confidence) = sight.expected?;
        (upper > line).then(|| (Because::Expected(upper, confidence), of_line(resource, upper)))
    }

    fn raise(
        &mut self,
        resource: Resource,
        bounds: Bounds,
        (because, wanted, sight): (Because, u64, Sight),
        now: Tick,
    ) {
        self.press = None;
        let step = percent(self.at, RISE_PERCENT).max(least_rise(resource));
        let wanted = self.at.saturating_add(step).max(wanted);
        let wanted = rounded(resource, wanted).min(bounds.most);
        let to = wanted.min(sight.room / grain(resource) * grain(resource));
        let is_worth_it = to == wanted || to >= self.at.saturating_add(step / 2);
        self.short = wanted > self.at && !is_worth_it;
        if to > self.at && is_worth_it {
            (self.at, self.changed, self.because) = (to, Some(now), because);
        }
    }

    /// Lowers it by a small step where much less was needed for long, and is expected to be.
    fn lower(&mut self, resource: Resource, bounds: Bounds, sight: Sight, now: Tick) {
        let rests = self.changed.is_none_or(|at| now.since(at) >= bounds.cooldown);
        let Some(needed) = self.past.most().filter(|_| rests) else { return };
        let needed = needed.max(sight.expected.map_or(0, |(upper, _)| upper));
        if needed >= percent(line(resource, self.at), FAR_PERCENT) {
            self.press = None;
            return;
        }
        let next = rounded(resource, self.at - percent(self.at, FALL_PERCENT));
        let next = next.max(bounds.least).max(fitting(resource, needed));
        if next.saturating_add(grain(resource)) > self.at {
            return;
        }
        if sight.held > next {
            self.press = Some(next);
            return;
        }
        let span = Span(bounds.cooldown.0.saturating_mul(REMEMBERED as u64));
        (self.at, self.changed, self.press) = (next, Some(now), None);
        self.because = Because::Spare(needed, span);
    }

    /// Why it is where it is, as a clause.
    pub(super) fn why(&self, resource: Resource) -> String {
        let amount = |amount| resource.amount(amount);
        let why = match self.because {
            Because::New => "at its most until enough is known to lower it".to_owned(),
            Because::Kept => "as an earlier life of provost left it".to_owned(),
            Because::Used(need) => {
                format!("raised: {} was needed, nine tenths of what was allowed", amount(need))
            }
            Because::Grows(need, left) => {
                format!(
                    "raised: {} was needed and more each second, with all that was allowed in {left}",
                    amount(need)
                )
            }
            Because::Throttled(share) => format!("raised: stopped in {share} of its periods"),
            Because::Failed if resource == Resource::Memory => {
                "raised: a process was killed for want of memory".to_owned()
            }
            Because::Failed => "raised: a fork was refused".to_owned(),
            Because::Expected(upper, confidence) => format!(
                "raised: up to {} is expected (confidence {}%)",
                amount(upper),
                confidence.get() / 10_000
            ),
            Because::Spare(needed, span) => {
                format!("lowered: {} at most was needed in {span}", amount(needed))
            }
        };
        let short =
            if self.short { "; it needs more, and the host has no room for that" } else { "" };
        why + short
    }
}

/// The most of the last cooldowns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    slots: [u64; REMEMBERED],
    next: usize,
    count: usize,
    /// The slot under way, and for how long it was seen.
    most: u64,
    seen: Span,
}

impl Past {
    fn add(&mut self, need: u64, span: Span, slot: Span) {
        self.most = self.most.max(need);
        self.seen = Span(self.seen.0.saturating_add(span.0));
        if self.seen < slot {
            return;
        }
        if let Some(place) = self.slots.get_mut(self.next) {
            *place = self.most;
        }
        self.next = (self.next + 1) % REMEMBERED;
        self.count = (self.count + 1).min(REMEMBERED);
        (self.most, self.seen) = (need, Span::ZERO);
    }

    /// The most of all slots; none before all were seen.
    fn most(&self) -> Option<u64> {
        let most = self.slots.iter().copied().max()?;
        (self.count == REMEMBERED).then_some(most.max(self.most))
    }
}

/// What was needed a while ago, and a while before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::decide) struct Trend {
    marks: [(Tick, u64); 2],
}

impl Trend {
    /// One of which nothing is known.
    pub(in crate::decide) const fn new(now: Tick) -> Self {
        Self { marks: [(now, u64::MAX); 2] }
    }

    /// In how much time a growth that lasts reaches the line, if that is soon and half of it is reached.
    pub(in crate::decide) fn reaches(&self, need: u64, line: u64, now: Tick) -> Option<Span> {
        let far = percent(line, FAR_PERCENT);
        let room = line.checked_sub(need).filter(|_| need >= far)?;
        let left = Span::secs(room.checked_div(self.per_second(need, now))?);
        (left < SOON).then_some(left)
    }

    /// Takes in what is needed now.
    pub(in crate::decide) fn add(&mut self, need: u64, now: Tick) {
        let [_, last] = self.marks;
        if now.since(last.0) >= MARK_EVERY {
            self.marks = [last, (now, need)];
        }
    }

    /// The growth that lasts, a second; nothing where there is none or too little is known.
    fn per_second(&self, need: u64, now: Tick) -> u64 {
        let [first, last] = self.marks;
        if now.since(last.0).0 < MARK_EVERY.0 / 2 {
            return 0;
        }
        let rate = |(from, had): (Tick, u64), (to, has): (Tick, u64)| {
            has.saturating_sub(had).saturating_mul(1_000_000) / to.since(from).0.max(1)
        };
        rate(first, last).min(rate(last, (now, need)))
    }
}

/// Where a component is slowed down under this ceiling: the need is compared with that.
pub(super) fn line(resource: Resource, ceiling: u64) -> u64 {
    match resource {
        Resource::Memory => MemoryPolicy::most_high(Bytes(ceiling)).0,
        Resource::Cpu | Resource::Io | Resource::Pids => ceiling,
    }
}

/// The ceiling that has this line.
fn of_line(resource: Resource, line: u64) -> u64 {
    match resource {
        Resource::Memory => MemoryPolicy::least_max(Bytes(line)).0,
        Resource::Cpu | Resource::Io | Resource::Pids => line,
    }
}

/// The least ceiling under which so much can be needed without being near.
fn fitting(resource: Resource, need: u64) -> u64 {
    let line = need.saturating_mul(100).div_ceil(FITS_PERCENT);
    rounded(resource, of_line(resource, line))
}

const fn percent(amount: u64, percent: u64) -> u64 {
    super::super::cap::percent(amount, percent)
}

/// Throttling is averaged over ten seconds, and a fork that was refused is remembered for half a minute: that says nothing of a change
/// that is younger.
const fn settles(resource: Resource) -> Span {
    match resource {
        Resource::Cpu | Resource::Memory | Resource::Io => Span::secs(10),
        Resource::Pids => Span::secs(30),
    }
}

/// By how much a ceiling rises at least.
const fn least_rise(resource: Resource) -> u64 {
    match resource {
        Resource::Cpu => 100,
        Resource::Memory => Bytes::mebi(100).0,
        Resource::Io | Resource::Pids => 16,
    }
}

/// In what steps a ceiling is counted: what systemd keeps of a quota, what people read of a size.
const fn grain(resource: Resource) -> u64 {
    match resource {
        Resource::Cpu => 10,
        Resource::Memory => Bytes::mebi(1).0,
        Resource::Io | Resource::Pids => 1,
    }
}

fn rounded(resource: Resource, amount: u64) -> u64 {
    let grain = grain(resource);
    amount.div_ceil(grain).saturating_mul(grain)
}

#[cfg(test)]
mod tests;
