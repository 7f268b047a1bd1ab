//! Lifts what is passing: puts back what lies beneath each cap that was to be there only for a while.
//!
//! **Problem.** A cap that follows the load is right for some seconds. With nobody there to take it back, because the daemon was killed
//! or leaves its limits behind, it would slow its group down for nothing.
//!
//! **Approach.** As everywhere: a knob is changed only while it holds what provost wrote, here the passing value itself. What was written
//! to stay comes back, else the value before provost. Only the file is written: systemd was never told of a passing value.
//!
//! Threads in real time are passing too: they are raised only while somebody guards them.
//!
//! **Properties.** Values that are to stay, homes and processes are left alone. Running it twice changes nothing the second time.

use super::carry::Executor;
use super::due::{Due, every};
use super::journal::JournalError;
use super::ledger::{Entry, Ledger, Original};
use super::undo::{Giving, Returned};
use crate::model::{Knob, Reading};

impl Executor {
    /// Lifts all passing values, of components with `on-exit = "keep"` too.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read or written; what was lifted is lifted nevertheless.
    pub fn lift_passing(&mut self) -> Result<Vec<Returned>, JournalError> {
        // Also where the journal cannot be kept.
        let mut account = self.lower_all();
        self.journal.refresh()?;
        account.extend(self.lift(|_| true));
        self.journal.sync()?;
        Ok(account)
    }

    /// Lifts the passing values of the chosen knobs.
    pub(super) fn lift(&mut self, chosen: impl Fn(&Original) -> bool) -> Vec<Returned> {
        let ledger = self.journal.ledger().clone();
        let mut account = Vec::new();
        for due in every(&ledger).filter(|due| chosen(due.original)) {
            let Some(passing) = due.passing else { continue };
            let beneath = ledger.beneath(due.path, due.kind);
            let giving = self.lift_one(&due, passing, &beneath);
            if matches!(giving, Giving::Done { .. }) {
                self.note_lifted(&ledger, &due);
            }
            self.caps.forget(due.path, due.kind);
            account.push(due.line(giving));
        }
        account
    }

    fn lift_one(&self, due: &Due<'_>, passing: &Knob, beneath: &Knob) -> Giving {
        let nothing = |why: &str| Giving::Nothing { why: why.to_owned() };
        let Ok(group) = self.fs.group(due.path) else {
            return nothing("the group is gone");
        };
        match group.knob(due.kind) {
            Reading::Is(value) if value == *beneath => nothing("it is as before"),
            Reading::Is(value) if value == *passing => self.put_back(&group, due, beneath),
            Reading::Is(value) => Giving::Left { why: format!("somebody else set {value} since") },
            Reading::Absent | Reading::Gone => nothing("it is gone"),
            Reading::Failed(fault) => Giving::Failed { why: fault.what },
        }
    }

    /// What stays is all that there is to give back later.
    fn note_lifted(&mut self, ledger: &Ledger, due: &Due<'_>) {
        let path = due.path.clone();
        let stays = ledger.last.get(&(path.clone(), due.kind)).cloned();
        self.journal.note(match stays {
            Some((id, value)) => Entry::Wrote { path, id, value },
            None => Entry::Restored { path, kind: due.kind },
        });
    }
}
