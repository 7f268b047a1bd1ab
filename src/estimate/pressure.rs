//! The level of a resource: how scarce it is for those who are protected, with hysteresis.
//!
//! **Problem.** Pressure moves every second. Limits that followed it would flap, and each change costs what it was to spare. But a host
//! that is about to stand still cannot wait for an average.
//!
//! **Approach.** A machine with four levels for each resource. Going up takes a short dwell above a threshold, shorter for worse levels, and
//! may skip levels; going down takes a long one below a lower threshold, one level at a time. A level that is entered again soon after it
//! was left takes longer to leave the next time. A trigger of the kernel goes to `emergency` at once.
//!
//! **Terms.** *input*: one signal with its own thresholds. *on*, *off*: where a level begins, and where it ends. *want*: the worst
//! level that any input asks for by its on threshold; *keep*: the same by the off thresholds. *dwell*: how long that must hold.
//! *flap*: by what the dwell for leaving is multiplied.
//!
//! **Algorithm.** `want > level`: enter it once it was asked for without a break for its dwell. Else `keep < level`: after the dwell of
//! leaving times flap, one level down. Entering `critical` or `emergency` within [`SOON`] of leaving it doubles its flap, up to 8;
//! every [`CALM`] without that halves it.
//!
//! **Properties**, each a test in `pressure/tests.rs`: no level is entered or left faster than its dwell, but for the trigger; a missing
//! input neither raises the level nor lets it fall for [`HOLD_MISSING`], and as long as no other is known; time that nobody looked at
//! is no dwell; down is one level at a time; the same inputs give the same levels.

use crate::model::Level;
use crate::units::{ComponentName, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A level that is entered again within this time after it was left flaps.
const SOON: Span = Span::secs(300);
/// After so long without that, flapping is half forgotten.
const CALM: Span = Span::secs(600);
/// The most by which the dwell of leaving is multiplied.
const MOST_FLAP: u32 = 8;
/// An input that was there and is missing holds the level for so long; later it counts as one that does not exist.
const HOLD_MISSING: Span = Span::secs(300);

/// One thing for each level above `normal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Ladder<T> {
    pub(super) warning: T,
    pub(super) critical: T,
    pub(super) emergency: T,
}

impl<T> Ladder<T> {
    const fn at(&self, level: Level) -> Option<&T> {
        match level {
            Level::Normal => None,
            Level::Warning => Some(&self.warning),
            Level::Critical => Some(&self.critical),
            Level::Emergency => Some(&self.emergency),
        }
    }

    const fn at_mut(&mut self, level: Level) -> Option<&mut T> {
        match level {
            Level::Normal => None,
            Level::Warning => Some(&mut self.warning),
            Level::Critical => Some(&mut self.critical),
            Level::Emergency => Some(&mut self.emergency),
        }
    }
}

/// How long a level must be asked for before it is entered: shorter for worse.
const DWELL_ON: Ladder<Span> =
    Ladder { warning: Span::secs(3), critical: Span::secs(2), emergency: Span::secs(1) };
/// How long it must not be needed before it is left: `warning` more than three times the average's tau; `emergency` soon, as it freezes.
const DWELL_OFF: Ladder<Span> =
    Ladder { warning: Span::secs(60), critical: Span::secs(30), emergency: Span::secs(15) };

/// Where a level begins and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) on: Ppm,
    pub(super) off: Ppm,
}

/// An input's thresholds; a level that it never asks for has none.
pub(super) type Steps = Ladder<Option<Step>>;

/// A signal that moves a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Signal {
    /// All tasks of a protected component waited for a CPU, through no limit of its own.
    ProtectedCpu,
    /// Some task of a protected component waited for memory, through no limit of its own.
    ProtectedMemory,
    /// All tasks of a protected component waited for a disk, through no limit of its own.
    ProtectedIo,
    /// A protected component read pages back; only where there is no PSI.
    ProtectedRefaults,
    /// A protected component lost a process to the host's lack of memory; only where there is no PSI.
    ProtectedKilled,
    /// All tasks of the host waited for memory.
    HostMemory,
    /// Memory that is not available.
    MemoryUsed,
    /// Swap in use.
    SwapUsed,
    /// Tasks against the most there may be.
    PidsUsed,
    /// CPU time in use; a level only where there is no PSI.
    CpuUsed,
    /// Space of a file system in use; an alert and no level.
    SpaceUsed,
    /// Inodes of a file system in use; an alert and no level.
    InodesUsed,
    /// The kernel's trigger: all tasks stood still for 300 ms of a second.
    Alarm,
}

impl Signal {
    /// The thresholds, in hundredths of a percent. Known thresholds for killing lie at 40 to 80 %; `warning` and `critical` do what can be
    /// undone, and so lie far below.
    pub(super) const fn steps(self) -> Steps {
        match self {
            Self::ProtectedCpu => steps((500, 200), (1500, 700), Some((4000, 2000))),
            Self::ProtectedMemory => steps((200, 100), (1000, 500), Some((3000, 1500))),
            Self::ProtectedIo => steps((500, 200), (2000, 1000), Some((6000, 3000))),
            // Inferred, not measured: never an emergency.
            Self::ProtectedRefaults => steps((200, 100), (1000, 500), None),
            Self::ProtectedKilled => steps((100, 50), (200, 100), Some((300, 150))),
            Self::HostMemory => steps((100, 50), (1000, 400), Some((4000, 2000))),
            // 10, 5 and 2.5 % available; 13, 8 and 5 % to leave again.
            Self::MemoryUsed => steps((9000, 8700), (9500, 9200), Some((9750, 9500))),
            Self::SwapUsed => steps((7500, 6500), (9000, 8000), Some((9500, 9000))),
            Self::PidsUsed => steps((8000, 7000), (9000, 8000), Some((9700, 9000))),
            Self::CpuUsed => steps((9500, 9000), (9900, 9500), None),
            // Their thresholds are configured.
            Self::SpaceUsed | Self::InodesUsed => {
                steps((8000, 7500), (9000, 8500), Some((9500, 9000)))
            }
            Self::Alarm => steps((10_000, 10_000), (10_000, 10_000), Some((10_000, 10_000))),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProtectedCpu => "waits for a CPU",
            Self::ProtectedMemory => "waits for memory",
            Self::ProtectedIo => "waits for a disk",
            Self::ProtectedRefaults => "reads pages back",
            Self::ProtectedKilled => "was hit by the out-of-memory killer",
            Self::HostMemory => "all tasks of the host wait for memory",
            Self::MemoryUsed => "memory is in use",
            Self::SwapUsed => "swap is in use",
            Self::PidsUsed => "process numbers are in use",
            Self::CpuUsed => "CPU time is in use",
            Self::SpaceUsed => "its space is in use",
            Self::InodesUsed => "its inodes are in use",
            Self::Alarm => "all tasks stood still for 300 ms of a second",
        })
    }
}

const fn steps(warning: (u32, u32), critical: (u32, u32), emergency: Option<(u32, u32)>) -> Steps {
    const fn step((on, off): (u32, u32)) -> Option<Step> {
        Some(Step { on: Ppm::new(on * 100), off: Ppm::new(off * 100) })
    }
    Ladder {
        warning: step(warning),
        critical: step(critical),
        emergency: match emergency {
            Some(emergency) => step(emergency),
            None => None,
        },
    }
}

/// One input of one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) signal: Signal,
    pub(super) steps: Steps,
    /// The component that it is about.
    pub(super) who: Option<&'a ComponentName>,
    /// Its value; none where it does not exist or is missing.
    pub(super) value: Option<Ppm>,
    /// Whether it, or a part of it, was known and cannot be read now.
    pub(super) missing: bool,
}

impl Input<'_> {
    /// The worst level whose threshold it reaches.
    fn level(&self, threshold: impl Fn(Step) -> Ppm) -> Level {
        let Some(value) = self.value else { return Level::Normal };
        let reaches = |level: &Level| {
            let step = self.steps.at(*level).copied().flatten();
            step.is_some_and(|step| value >= threshold(step))
        };
        Level::ALL.into_iter().rev().find(reaches).unwrap_or_default()
    }
}

/// What brought a level where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Moved {
    Up { signal: Signal, who: Option<ComponentName>, value: Ppm, on: Ppm },
    Down { from: Level, after: Span },
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { signal: Signal::Alarm, .. } => write!(f, "{}", Signal::Alarm),
            Self::Up { signal: signal @ Signal::ProtectedKilled, who: Some(who), .. } => {
                write!(f, "{who} {signal}")
            }
            Self::Up { signal, who: Some(who), value, on } => {
                write!(f, "{who} {signal}: {value} of the time, {on} is too much")
            }
            Self::Up { signal: signal @ Signal::HostMemory, who: None, value, on } => {
                write!(f, "{signal}: {value} of the time, {on} is too much")
            }
            Self::Up { signal, who: None, value, on } => {
                write!(f, "{value} of {signal}, {on} is too much")
            }
            Self::Down { from, after } => write!(f, "{from} was not needed for {after}"),
        }
    }
}

/// What a look means for the machine, beside the inputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Tick,
    /// Nobody looked for too long before: dwells begin anew.
    pub(super) gap: bool,
    /// The emergency trigger fired.
    pub(super) alarm: bool,
}

/// The state of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Machine {
    level: Level,
    since: Tick,
    moved: Option<Moved>,
    /// Since when each level is asked for.
    above_since: Ladder<Option<Tick>>,
    /// Since when the level is not needed.
    below_since: Option<Tick>,
    missing_since: Option<Tick>,
    /// Exponents of two.
    flap: Ladder<u32>,
    flapped_at: Ladder<Tick>,
    left_at: Ladder<Option<Tick>>,
}

impl Machine {
    pub(super) const fn level(&self) -> Level {
        self.level
    }

    pub(super) const fn since(&self) -> Tick {
        self.since
    }

    /// What brought it there, as a clause; empty while nothing has happened.
    pub(super) fn cause(&self) -> String {
        self.moved.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// Takes in one look.
    pub(super) fn step(&mut self, inputs: &[Input<'_>], moment: Moment) {
        let now = moment.at;
        if moment.gap {
            self.above_since = Ladder::default();
            self.below_since = None;
        }
        self.forget_flaps(now);
        let held = self.is_held(inputs, now);
        let want = inputs.iter().map(|input| input.level(|step| step.on)).max().unwrap_or_default();
        let keep =
            inputs.iter().map(|input| input.level(|step| step.off)).max().unwrap_or_default();
        for level in Level::ALL {
            if let Some(since) = self.above_since.at_mut(level) {
                *since = if want >= level { since.or(Some(now)) } else { None };
            }
        }
        if moment.alarm && self.level < Level::Emergency {
            let moved =
                Moved::Up { signal: Signal::Alarm, who: None, value: Ppm::WHOLE, on: Ppm::WHOLE };
            self.rise(Level::Emergency, moved, now);
            return;
        }
        if want > self.level {
            self.below_since = None;
            let since = self.above_since.at(want).copied().flatten();
            let dwell = DWELL_ON.at(want).copied().unwrap_or_default();
            if since.is_some_and(|since| now.since(since) >= dwell)
                && let Some(moved) = cause(inputs, want)
            {
                self.rise(want, moved, now);
            }
        } else if keep < self.level && !moment.alarm && !held {
            self.wait_to_fall(now);
        } else {
            self.below_since = None;
        }
    }

    /// Whether an input that was there is missing, and has not been for too long; or nothing is known at all.
    fn is_held(&mut self, inputs: &[Input<'_>], now: Tick) -> bool {
        if !inputs.iter().any(|input| input.missing) {
            self.missing_since = None;
            return false;
        }
        let since = *self.missing_since.get_or_insert(now);
        now.since(since) < HOLD_MISSING || inputs.iter().all(|input| input.value.is_none())
    }

    fn wait_to_fall(&mut self, now: Tick) {
        let since = *self.below_since.get_or_insert(now);
        let flap = self.flap.at(self.level).copied().unwrap_or_default();
        let dwell = DWELL_OFF.at(self.level).copied().unwrap_or_default();
        let dwell = Span(dwell.0 << flap);
        if now.since(since) < dwell {
            return;
        }
        let from = self.level;
        if let Some(left_at) = self.left_at.at_mut(from) {
            *left_at = Some(now);
        }
        self.level = from.below();
        self.since = now;
        self.moved = Some(Moved::Down { from, after: dwell });
        self.below_since = None;
    }

    fn rise(&mut self, to: Level, moved: Moved, now: Tick) {
        let left_at = self.left_at.at(to).copied().flatten();
        let flaps = to >= Level::Critical && left_at.is_some_and(|left| now.since(left) < SOON);
        if flaps && let (Some(flap), Some(at)) = (self.flap.at_mut(to), self.flapped_at.at_mut(to))
        {
            *flap = (*flap + 1).min(MOST_FLAP.ilog2());
            *at = now;
        }
        self.level = to;
        self.since = now;
        self.moved = Some(moved);
        self.below_since = None;
    }

    fn forget_flaps(&mut self, now: Tick) {
        for level in Level::ALL {
            if let (Some(flap), Some(at)) = (self.flap.at_mut(level), self.flapped_at.at_mut(level))
                && *flap > 0
                && now.since(*at) >= CALM
            {
                *flap -= 1;
                *at = now;
            }
        }
    }
}

/// The input that asks for the level.
fn cause(inputs: &[Input<'_>], level: Level) -> Option<Moved> {
    inputs.iter().find_map(|input| {
        let on = input.steps.at(level).copied().flatten()?.on;
        let value = input.value.filter(|value| *value >= on)?;
        Some(Moved::Up { signal: input.signal, who: input.who.cloned(), value, on })
    })
}

/// The thresholds by which a resource's use is judged: configured beginnings, each with an end five points lower.
pub(super) fn configured(warning: Ppm, critical: Ppm, emergency: Ppm) -> Steps {
    let step = |on: Ppm| Some(Step { on, off: on.minus(Ppm::percent(5)) });
    Ladder { warning: step(warning), critical: step(critical), emergency: step(emergency) }
}

#[cfg(test)]
mod tests;
