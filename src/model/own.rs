//! How provost itself does, and what it costs: part of the status report.

use super::Resource;
use crate::units::{Bytes, CpuTime, Millicpu, Span};
use serde::{Deserialize, Serialize};

/// How long something took, each time: a histogram whose bounds are fixed, so that counting asks for no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durations {
    /// How many were no longer than the bound of the same place in [`Durations::BOUNDS`] and longer than the one before; in the last
    /// place, how many were longer than all.
    pub counts: [u64; 12],
    /// All together.
    pub sum: Span,
}

impl Durations {
    /// From what a look at ten components takes to what keeps the loop from its next tick.
    pub const BOUNDS: [Span; 11] = [
        Span(500),
        Span::millis(1),
        Span(2500),
        Span::millis(5),
        Span::millis(10),
        Span::millis(25),
        Span::millis(50),
        Span::millis(100),
        Span::millis(250),
        Span::secs(1),
        Span::secs(5),
    ];

    /// Counts one.
    pub fn add(&mut self, span: Span) {
        let place = Self::BOUNDS.iter().position(|bound| span <= *bound);
        if let Some(count) = self.counts.get_mut(place.unwrap_or(Self::BOUNDS.len())) {
            *count = count.saturating_add(1);
        }
        self.sum = Span(self.sum.0.saturating_add(span.0));
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What the process holds of the host, as the kernel counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnUse {
    /// CPU time of all its threads since it was started.
    pub cpu: CpuTime,
    /// Memory that is resident.
    pub resident: Option<Bytes>,
    /// Open file descriptors.
    pub descriptors: Option<u64>,
}

/// What became of requests over HTTP since the daemon started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HttpCounts {
    /// Answered.
    pub answered: u64,
    /// Answered with what is wrong with them.
    pub refused: u64,
    /// Given up, because the other side was too slow or went away.
    pub dropped: u64,
}

/// How often one thing was done to one component with one result, since the daemon started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionCount {
    /// The component; empty for an ancestor.
    pub component: String,
    /// What it was about, where it was about one resource.
    pub resource: Option<Resource>,
    /// What was done: the file that was written, or a word such as `move`.
    pub action: String,
    /// How it ended: `applied`, `clipped`, `refused` or `gone`.
    pub result: String,
    /// How often.
    pub count: u64,
}

/// How provost itself does, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Own {
    /// Seconds since 1970 when the report was made, for people; it may step.
    pub wall_secs: u64,
    /// What the process holds.
    pub used: OwnUse,
    /// CPU time per time over about a minute; none before ten seconds have passed.
    pub cpu: Option<Millicpu>,
    /// How long looks took, with everything that was decided at once.
    pub looks: Durations,
    /// The longest that a look came later than it was due, over the last minute at least and since the last scrape.
    pub lag: Span,
    /// Whether the last reload succeeded, or none was asked for.
    pub reloaded: bool,
    /// What was done.
    pub actions: Vec<ActionCount>,
    /// Requests over HTTP.
    pub http: HttpCounts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_below_its_bound() {
        let mut durations = Durations::default();
        for micros in [0, 500, 501, 1000, 5_000_000, 5_000_001, u64::MAX] {
            durations.add(Span(micros));
        }
        assert_eq!(durations.counts, [2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((durations.count(), durations.sum), (7, Span(u64::MAX)));
    }

    #[test]
    fn bounds_rise() {
        assert!(Durations::BOUNDS.is_sorted());
        assert_eq!(Durations::default().counts.len(), Durations::BOUNDS.len() + 1);
    }
}
