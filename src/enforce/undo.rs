//! Gives everything back: reads the journal, compares, and puts back what was there before provost.
//!
//! **Problem.** Between provost's last write and now somebody else may have changed a value, restarted a unit, or rebooted; undoing
//! blindly would undo their work.
//!
//! **Approach.** A knob is given back only while it holds what provost last wrote. Threads in real time first, then limits, then weights, then protection; units
//! through systemd, whose runtime drop-in files are removed and whose configuration is then read again once, so that the unit file's own
//! values rule as before. Processes go back to where they came from, as far as that place still exists.
//!
//! **Terms.** *returned*: one line of the account of what was done.
//!
//! **Properties.** Running it twice changes nothing the second time. It needs no daemon. What could not be given back stays in the
//! journal.

use super::carry::Executor;
use super::cpus;
use super::due::{Due, Judgement, KEPT, due};
use super::journal::JournalError;
use super::ledger::{Entry, Ledger, Made, Moved};
use super::lifecycle;
use crate::kernel::Group;
use crate::kernel::systemd::{remove, runtime_dropins};
use crate::kernel::write::{self, MoveError};
use crate::model::{HomeKind, Knob, KnobKind, Reading, Via};
use crate::units::CgroupPath;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One line of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The group.
    pub path: CgroupPath,
    /// The knob, or what was done.
    pub what: String,
    /// From which value to which, or why not.
    pub how: Giving,
}

/// How one thing was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Giving {
    /// It is as it was before.
    Done {
        /// The value that provost had set, or where the process was.
        from: String,
        /// The value now.
        to: String,
    },
    /// Nothing to do: it is as before, or gone.
    Nothing {
        /// Which.
        why: String,
    },
    /// Left as it is on purpose.
    Left {
        /// Why.
        why: String,
    },
    /// It could not be done; it stays in the journal.
    Failed {
        /// Why, and what to do.
        why: String,
    },
}

impl Executor {
    /// Gives everything back. Components that are to keep their limits keep them unless `all`.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be written in the end; what was given back is given back nevertheless.
    pub fn give_back(&mut self, all: bool) -> Result<Vec<Returned>, JournalError> {
        // Also where the journal cannot be kept.
        let mut account = self.lower_all();
        self.journal.refresh()?;
        // Limits that stay, stay without what was written over them for a while.
        account.extend(self.lift(|original| original.keep && !all));
        self.stop_started(all, &mut account);
        let ledger = self.journal.ledger().clone();
        let due: Vec<Due<'_>> = due(&ledger, all, &mut account);
        let reload = self.return_units(&due, &mut account);
        self.return_files(&due, &mut account);
        if reload {
            self.reread_units(&due, &mut account);
        }
        self.return_processes(&ledger.moved, &mut account);
        let mut made = ledger.made.clone();
        made.extend(self.return_unrecorded(&ledger, all, &mut account));
        self.remove_groups(&made, &mut account);
        self.disable_controllers(&ledger, &mut account);
        let kept = account.iter().any(|line| {
            matches!(line.how, Giving::Failed { .. })
                || matches!(&line.how, Giving::Left { why } if why == KEPT)
        });
        if !kept {
            self.journal.note(Entry::Clean);
        }
        self.caps.forget_all();
        self.journal.sync()?;
        Ok(account)
    }

    /// Sets the units' properties back and removes the drop-in files that provost caused. Whether any file was removed.
    fn return_units(&mut self, due: &[Due<'_>], account: &mut Vec<Returned>) -> bool {
        let mut by_unit: BTreeMap<&str, Vec<&Due<'_>>> = BTreeMap::new();
        for due in due {
            if let Via::Unit(unit) = &due.original.via {
                by_unit.entry(unit).or_default().push(due);
            }
        }
        let mut removed = false;
        for (unit, dues) in by_unit {
            let (present, rest): (Vec<&Due<'_>>, Vec<&Due<'_>>) =
                dues.iter().copied().partition(|due| due.judge(self) == Judgement::Ours);
            for due in rest {
                account.push(due.line(due.judge(self).giving()));
            }
            let set: Vec<Knob> =
                present.iter().filter_map(|due| due.original.value.clone()).collect();
            let unset: Vec<KnobKind> = present
                .iter()
                .filter(|due| due.original.value.is_none())
                .map(|due| due.kind)
                .collect();
            let mut done = Ok(());
            if !set.is_empty() {
                done = self.systemd().and_then(|systemd| systemd.set_knobs(unit, &set));
            }
            if done.is_ok() && !unset.is_empty() {
                done = self.systemd().and_then(|systemd| systemd.unset(unit, &unset));
            }
            if let Some(due) = present.first()
                && let Ok(group) = self.fs.group(due.path)
            {
                self.await_realised(&group, &set);
            }
            removed |= self.remove_dropins(unit, &dues, account);
            for due in present {
                let giving = match &done {
                    Ok(()) => self.confirm(due),
                    Err(error) => self.finish_directly(due, &error.to_string()),
                };
                if !matches!(giving, Giving::Failed { .. }) {
                    self.note_restored(due);
                }
                account.push(due.line(giving));
            }
        }
        removed
    }

    /// Removes the drop-in files that provost caused. Whether there were any.
    fn remove_dropins(
        &mut self,
        unit: &str,
        dues: &[&Due<'_>],
        account: &mut Vec<Returned>,
    ) -> bool {
        let mut ours: Vec<PathBuf> = Vec::new();
        for due in dues {
            if self.is_anothers_property(unit, due) {
                continue;
            }
            let files = runtime_dropins(&self.root, unit, &[due.kind]);
            let foreign = &due.original.dropins;
            ours.extend(files.into_iter().filter(|file| !foreign.contains(&display(file))));
        }
        if let (Err(error), Some(due)) = (remove(&ours), dues.first()) {
            let (what, why) = ("runtime drop-in files".to_owned(), error.to_string());
            account.push(Returned { path: due.path.clone(), what, how: Giving::Failed { why } });
        }
        !ours.is_empty()
    }

    /// Whether somebody else has set the property since, so that the drop-in is theirs. A value that was only written to the file
    /// says nothing about the drop-in.
    fn is_anothers_property(&mut self, unit: &str, due: &Due<'_>) -> bool {
        if !matches!(due.judge(self), Judgement::Foreign(_)) {
            return false;
        }
        let believed = self.systemd().and_then(|systemd| systemd.believed(unit, &[due.kind]));
        let belief = believed.ok().and_then(|mut believed| believed.remove(&due.kind));
        belief.is_some_and(|belief| belief.as_ref() != due.last)
    }

    /// After systemd was told: what it did not write (or wrote from a queue too late) is written directly.
    fn confirm(&self, due: &Due<'_>) -> Giving {
        let Some(original) = &due.original.value else {
            return Giving::Done { from: due.last_text(), to: "unset".to_owned() };
        };
        let Ok(group) = self.fs.group(due.path) else {
            return Giving::Nothing { why: "the group is gone".to_owned() };
        };
        let is_back = matches!(group.knob(due.kind), Reading::Is(value) if value == *original);
        if is_back || group.knob(due.kind) == Reading::Absent {
            return Giving::Done { from: due.last_text(), to: original.to_string() };
        }
        self.put_back(&group, due, original)
    }

    /// Writes an original.
    pub(super) fn put_back(&self, group: &Group, due: &Due<'_>, original: &Knob) -> Giving {
        match cpus::write(&self.root, group, original) {
            Ok(()) => Giving::Done { from: due.last_text(), to: original.to_string() },
            Err(error) => Giving::Failed { why: error.advice() },
        }
    }

    /// systemd could not be asked: the file is written, so that at least nothing is limited any more.
    fn finish_directly(&self, due: &Due<'_>, why: &str) -> Giving {
        let (Some(original), Ok(group)) = (&due.original.value, self.fs.group(due.path)) else {
            return Giving::Failed { why: why.to_owned() };
        };
        match self.put_back(&group, due, original) {
            Giving::Failed { why: refusal } => Giving::Failed { why: format!("{why}; {refusal}") },
            other @ (Giving::Done { .. } | Giving::Nothing { .. } | Giving::Left { .. }) => other,
        }
    }

    fn return_files(&mut self, due: &[Due<'_>], account: &mut Vec<Returned>) {
        for due in due.iter().filter(|due| due.original.via == Via::File) {
            let giving = match due.judge(self) {
                Judgement::Ours => self.write_original(due),
                other @ (Judgement::AsBefore | Judgement::Gone | Judgement::Foreign(_)) => {
                    other.giving()
                }
            };
            if !matches!(giving, Giving::Failed { .. }) {
                self.note_restored(due);
            }
            account.push(due.line(giving));
        }
    }

    fn write_original(&self, due: &Due<'_>) -> Giving {
        let original = due.original.value.clone().unwrap_or_else(|| due.kind.kernel_default());
        let Ok(group) = self.fs.group(due.path) else {
            return Giving::Nothing { why: "the group is gone".to_owned() };
        };
        self.put_back(&group, due, &original)
    }

    /// Makes systemd read its configuration again, so that it believes the unit files once more, and finishes what it undid.
    fn reread_units(&mut self, due: &[Due<'_>], account: &mut Vec<Returned>) {
        if let Err(error) = self.systemd().and_then(|systemd| systemd.reload()) {
            account.push(Returned {
                path: CgroupPath::root(),
                what: "systemd daemon-reload".to_owned(),
                how: Giving::Left {
                    why: format!("{error}; run \"systemctl daemon-reload\" when it is back"),
                },
            });
        }
        for due in due {
            let (Some(original), Ok(group)) = (&due.original.value, self.fs.group(due.path)) else {
                continue;
            };
            let Reading::Is(held) = group.knob(due.kind) else {
                continue;
            };
            if due.wrote(&held) && held != *original {
                // A refusal shows in the account of the first pass already.
                let _finished = write::knob(&group, original);
            }
        }
    }

    fn return_processes(&self, moved: &[Moved], account: &mut Vec<Returned>) {
        for moved in moved {
            let how = self.return_process(moved);
            if !matches!(how, Giving::Nothing { .. }) {
                let what = format!("process {}", moved.process);
                account.push(Returned { path: moved.to.clone(), what, how });
            }
        }
        self.return_children(moved, account);
    }

    fn return_process(&self, moved: &Moved) -> Giving {
        let lives = self.proc.identity(moved.process.pid) == Some(moved.process);
        let there = lives && self.proc.cgroup(moved.process.pid).as_ref() == Some(&moved.to);
        if !there {
            return Giving::Nothing { why: "it ended or was moved on".to_owned() };
        }
        let Ok(group) = self.fs.group(&moved.from) else {
            return Giving::Left {
                why: format!("{} is gone; it stays in {}", moved.from, moved.to),
            };
        };
        match write::move_process(&self.fs, &self.proc, &group, moved.process) {
            Ok(()) => Giving::Done { from: moved.to.to_string(), to: moved.from.to_string() },
            Err(MoveError::Gone(_)) => Giving::Nothing { why: "it ended".to_owned() },
            Err(error @ (MoveError::Forbidden(_) | MoveError::Refused(_))) => {
                Giving::Left { why: format!("{error}; it stays in {}", moved.to) }
            }
        }
    }

    /// Children that were born in a home of ours follow their parents back, so that nothing is left there.
    fn return_children(&self, moved: &[Moved], account: &mut Vec<Returned>) {
        // Where several came from different places, one that is still there counts.
        let (there, gone): (Vec<&Moved>, Vec<&Moved>) =
            moved.iter().partition(|moved| self.fs.group(&moved.from).is_ok());
        let homes: BTreeMap<&CgroupPath, &CgroupPath> =
            gone.into_iter().chain(there).map(|moved| (&moved.to, &moved.from)).collect();
        for (home, from) in homes {
            let procs = self.fs.group(home).and_then(|group| group.procs()).unwrap_or_default();
            for process in procs.into_iter().filter_map(|pid| self.proc.identity(pid)) {
                let child = Moved { process, from: from.clone(), to: home.clone() };
                let what = format!("process {process}");
                account.push(Returned {
                    path: home.clone(),
                    what,
                    how: self.return_process(&child),
                });
            }
        }
    }

    fn remove_groups(&mut self, made: &[Made], account: &mut Vec<Returned>) {
        self.stop_slices(made);
        for made in made.iter().filter(|made| made.kind == HomeKind::OwnGroup) {
            let is_ours = |path: &CgroupPath| path.components().next() == Some("provost");
            let mine =
                std::iter::once(made.path.clone()).chain(made.path.ancestors()).filter(is_ours);
            for path in mine {
                if self.fs.group(&path).is_err()
                    || self.fs.children(&path).is_ok_and(|children| !children.is_empty())
                {
                    continue;
                }
                let how = match lifecycle::remove(&self.fs, &path) {
                    Ok(()) => Giving::Done {
                        from: "made by provost".to_owned(),
                        to: "removed".to_owned(),
                    },
                    Err(error) => Giving::Failed { why: error.to_string() },
                };
                account.push(Returned { path, what: "group".to_owned(), how });
            }
        }
    }

    /// The slices that systemd made for provost's scopes stay loaded though nobody lives in them: they are stopped.
    fn stop_slices(&mut self, made: &[Made]) {
        let scopes = made.iter().filter(|made| matches!(made.kind, HomeKind::OwnScope { .. }));
        let mut slices: Vec<CgroupPath> = scopes.flat_map(|made| made.path.ancestors()).collect();
        slices.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        slices.dedup();
        for slice in slices.iter().filter(|path| path.name().starts_with("provost")) {
            let is_empty = self.fs.group(slice).is_ok_and(|group| !group.is_populated());
            if is_empty && let Ok(systemd) = self.systemd() {
                // One that systemd keeps is empty and limits nobody.
                let _stopped = systemd.stop_slice(slice.name());
            }
        }
    }

    /// Controllers that provost enabled are turned off again only where no group is left that would lose its values by that.
    fn disable_controllers(&self, ledger: &Ledger, account: &mut Vec<Returned>) {
        for (path, controllers) in ledger.enabled.iter().rev() {
            let Ok(group) = self.fs.group(path) else {
                continue;
            };
            let words: Vec<&str> = controllers.iter().map(|controller| controller.word()).collect();
            let what = format!("controllers {}", words.join(" "));
            let has_children = self.fs.children(path).map_or(true, |children| !children.is_empty());
            let how = if has_children {
                Giving::Left { why: "other groups may use them".to_owned() }
            } else {
                match write::disable(&group, controllers) {
                    Ok(()) => {
                        Giving::Done { from: "enabled".to_owned(), to: "disabled".to_owned() }
                    }
                    Err(error) => Giving::Left { why: error.advice() },
                }
            };
            account.push(Returned { path: path.clone(), what, how });
        }
    }

    fn note_restored(&mut self, due: &Due<'_>) {
        self.journal.note(Entry::Restored { path: due.path.clone(), kind: due.kind });
    }
}

/// The names of those files that exist.
pub(super) fn texts(files: &[PathBuf]) -> Vec<String> {
    files.iter().filter(|file| file.exists()).map(|file: &PathBuf| display(file)).collect()
}

fn display(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}
