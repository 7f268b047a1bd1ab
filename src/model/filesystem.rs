//! File systems: which are mounted, and how full they are.

use super::Level;
use crate::units::{Bytes, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};

/// One mounted file system with a store of its own: on a block device or in the network, and not read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Where it is mounted.
    pub at: String,
    /// What it is, such as `ext4`.
    pub kind: String,
    /// How full it is.
    pub room: Room,
}

/// How full a file system is, as `statvfs` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Room {
    /// It answered.
    Known {
        /// All of it.
        size: Bytes,
        /// What is taken, of what users other than root can have at all. None where it says no size.
        used: Option<Ppm>,
        /// The same of inodes. None where they are made as needed.
        inodes: Option<Ppm>,
    },
    /// It has not answered since.
    Hangs {
        /// When it was asked.
        since: Tick,
    },
    /// It refused.
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
}

/// How full a file system is, as it is recorded and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemView {
    /// What was seen.
    pub seen: FileSystem,
    /// What the configured thresholds say of it.
    pub alert: Level,
    /// Since when.
    pub since: Tick,
    /// What brought it there, as a clause for people; empty while nothing has happened.
    pub cause: String,
    /// When it is full, if it goes on as in the last hours; none where it does not grow beyond doubt, or not within 30 days.
    #[serde(default)]
    pub fills: Option<FillsIn>,
}

/// When a file system is full, from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillsIn {
    /// As it looks.
    pub likely: Span,
    /// With 95 % confidence not sooner than this.
    pub soonest: Span,
    /// And not later; none where that is more than 30 days away.
    pub latest: Option<Span>,
}

impl FillsIn {
    /// When, with how sure that is, in hours or days: a clause that begins with "in" or "now".
    #[must_use]
    pub fn told(&self) -> String {
        let latest = self.latest.map_or_else(|| "over 30d".to_owned(), roughly);
        match self.likely.0 / HOUR {
            0 => "within the hour".to_owned(),
            _ => format!("in {} ({} to {latest})", roughly(self.likely), roughly(self.soonest)),
        }
    }
}

const HOUR: u64 = 3_600_000_000;

/// In hours up to two days, then in days.
fn roughly(span: Span) -> String {
    match span.0 / HOUR {
        hours @ 0..48 => format!("{hours}h"),
        hours => format!("{}d", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_it_is_full_reads_well() {
        let hours = |count: u64| Span::secs(count * 3600);
        let told = |likely, soonest, latest| FillsIn { likely, soonest, latest }.told();
        assert_eq!(told(hours(5), hours(4), Some(hours(50))), "in 5h (4h to 2d)");
        assert_eq!(told(hours(300), hours(100), None), "in 12d (4d to over 30d)");
        assert_eq!(told(Span::secs(60), Span::ZERO, Some(hours(1))), "within the hour");
    }
}
