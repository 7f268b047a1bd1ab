//! Folders that are kept small: what of them goes, and what came of that.

use super::Moment;
use crate::units::{Bytes, Span};
use serde::{Deserialize, Serialize};

/// Which files of a folder may go. With none of the three, all stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Those that were not changed for longer than this.
    pub older_than: Option<Span>,
    /// The oldest, until all together take at most this.
    pub keep_size: Option<Bytes>,
    /// The oldest, until so many are left.
    pub keep_count: Option<u64>,
}

/// What counts of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// What it takes on its disk.
    pub size: Bytes,
    /// When its content was changed last.
    pub changed: Moment,
}

/// What was found below a folder, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Swept {
    /// Files whose name is meant.
    pub files: u64,
    /// What they took on the disk, before.
    pub size: Bytes,
    /// What those of them take that were changed within the last day.
    pub day: Bytes,
    /// The same of the last seven days.
    pub week: Bytes,
    /// What is free on the folder's file system for its user; none where that does not say.
    pub left: Option<Bytes>,
    /// So many were removed, or would be.
    pub removed: u64,
    /// What those took.
    pub freed: Bytes,
    /// The first of those, as paths below the folder.
    pub first: Vec<String>,
    /// So many could not be looked at or removed.
    pub failed: u64,
    /// Why not, of the first of those.
    pub failure: Option<String>,
}

impl Swept {
    /// Takes note of a file that was found.
    pub fn found(&mut self, file: &Stored, now: Moment) {
        let age = now.0.saturating_sub(file.changed.0);
        self.files += 1;
        self.size = self.size.plus(file.size);
        for (since, sum) in [(DAY, &mut self.day), (7 * DAY, &mut self.week)] {
            if age <= since {
                *sum = sum.plus(file.size);
            }
        }
    }

    /// For how many days what is left lasts, if as much comes as in the last week and nothing goes; none where nothing came.
    #[must_use]
    pub fn lasts(&self) -> Option<u64> {
        let left = self.left?.0;
        u64::try_from((u128::from(left) * 7).checked_div(u128::from(self.week.0))?).ok()
    }
}

const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_lately_says_how_long_there_is_room() {
        let mut swept = Swept { left: Some(Bytes::mebi(60)), ..Swept::default() };
        assert_eq!(swept.lasts(), None, "nothing came");
        let now = Moment(100 * DAY);
        for (age, mebi) in [(0, 1), (DAY, 2), (3 * DAY, 4), (8 * DAY, 100)] {
            let changed = Moment(now.0 - age);
            swept.found(&Stored { size: Bytes::mebi(mebi), changed }, now);
        }
        assert_eq!((swept.files, swept.size), (4, Bytes::mebi(107)));
        assert_eq!((swept.day, swept.week), (Bytes::mebi(3), Bytes::mebi(7)));
        assert_eq!(swept.lasts(), Some(60));
    }
}
