//! Does once what is done for memory that is short or grows without end: tells, reclaims, kills, and has a unit restarted.
//!
//! None leaves a value behind, so none is in the journal. It chooses nobody: a group that is another one by now is left alone.

use super::carry::{Executor, outcome, verdict_of};
use super::{hooks, restart};
use crate::kernel::{clock, relief};
use crate::model::{Means, Outcome, OutcomeOf, Relief, Verdict};

impl Executor {
    /// Ends hooks that run, as far as systemd does not.
    pub(super) fn end_hooks(&self) {
        if self.systemd.is_none() {
            hooks::sweep(&self.fs);
        }
    }

    /// Does it, if the group is still the one that was meant.
    pub(super) fn relieve(&self, relief: &Relief, tell: &mut dyn FnMut(Outcome)) {
        let started = clock::now();
        let verdict = match (self.same_group(&relief.at), relief.means) {
            (None, _) => Verdict::Gone,
            (Some(_), Means::Tell { .. } | Means::TellOfLeak { .. }) => {
                let where_to = (self.fs.mount().to_owned(), self.systemd.is_some());
                self.hooks.begin(relief, where_to)
            }
            (Some(_), Means::Restart { .. }) => {
                restart::begin(relief, self.systemd.is_some(), self.hooks.tell.clone())
            }
            (Some(group), Means::Reclaim { bytes } | Means::Probe { bytes }) => {
                verdict_of(relief::reclaim(&group, bytes).err())
            }
            (Some(group), Means::Kill { .. }) => {
                verdict_of(relief::kill(&self.fs, &self.proc, &group).err())
            }
        };
        let of = OutcomeOf::Relief { means: relief.means };
        tell(outcome(Some(&relief.component), &relief.at.path, of, verdict, started));
    }
}
