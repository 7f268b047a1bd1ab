//! Puts what a plan is about to replace into the journal, before the first write.

use super::carry::Executor;
use super::journal::JournalError;
use super::ledger::{Entry, Made, Moved, Original};
use super::undo::texts;
use super::unrecorded::is_home;
use crate::kernel::systemd::runtime_dropins;
use crate::model::{Action, Change, Controller, HomeKind, Knob, Plan, Via};
use crate::units::{CgroupId, CgroupPath, CgroupRef, ComponentName};
use std::collections::BTreeSet;

impl Executor {
    /// Puts moves into the journal that are done already. Should the disk not take them, the next plan's sync tries again.
    pub(super) fn moved(&mut self, moved: Vec<Moved>) {
        moved.into_iter().for_each(|moved| self.journal.note(Entry::Moved(moved)));
        if let Err(error) = self.journal.sync() {
            tracing::warn!("{error}");
        }
    }

    /// Puts everything that the plan replaces into the journal.
    pub(super) fn remember(&mut self, plan: &Plan) -> Result<(), JournalError> {
        for action in &plan.actions {
            match action {
                Action::SetUnit { unit, at, changes } => {
                    let via = Via::Unit(unit.clone());
                    changes.iter().for_each(|change| self.remember_knob(at, &via, change));
                }
                Action::Write { at, change } => {
                    self.remember_knob(at, &self.owner(at, change), change)
                }
                Action::Enable { at, controllers } => self.remember_enabling(&at.path, controllers),
                Action::MakeScope { component, unit, path, changes, .. } => {
                    let kind = HomeKind::OwnScope { unit: unit.clone() };
                    self.remember_made(component, path, kind, (&Via::Unit(unit.clone()), changes));
                }
                Action::MakeGroup { component, path, controllers, changes, .. } => {
                    let kind = HomeKind::OwnGroup;
                    self.remember_made(component, path, kind, (&Via::File, changes));
                    for above in path.ancestors() {
                        self.remember_enabling(&above, controllers);
                    }
                }
                Action::Schedule { target } => self.remember_thread(target),
                Action::Job { job } => self.remember_job(job),
                Action::Attach { .. } | Action::Relieve { .. } => {}
            }
            for stray in action.strays() {
                let (from, to) = (stray.from.clone(), action.path().clone());
                self.journal.note(Entry::Moved(Moved { process: stray.process, from, to }));
            }
        }
        self.journal.sync()
    }

    /// Who holds what a written file held before: systemd, where a passing value covers a property of a unit's.
    fn owner(&self, at: &CgroupRef, change: &Change) -> Via {
        let of_unit = self.systemd.is_some() && change.reason.is_passing() && at.path.is_unit();
        if of_unit { Via::Unit(at.path.name().to_owned()) } else { Via::File }
    }

    fn remember_knob(&mut self, at: &CgroupRef, via: &Via, change: &Change) {
        let kind = change.new.kind();
        let known = self.journal.ledger().originals.contains_key(&(at.path.clone(), kind));
        if !known {
            let group = self.same_group(at);
            let value = group.and_then(|group| group.knob(kind).value().cloned());
            let is_own = is_home(&at.path)
                || self.journal.ledger().made.iter().any(|made| made.path == at.path);
            let value = if is_own { Some(kind.kernel_default()) } else { value };
            self.note_original(at, via, change, value);
        }
        let value = change.new.as_kernel_keeps(self.page);
        let (path, id) = (at.path.clone(), at.id);
        self.journal.note(if change.reason.is_passing() {
            Entry::Passing { path, id, value }
        } else {
            Entry::Wrote { path, id, value }
        });
    }

    fn note_original(&mut self, at: &CgroupRef, via: &Via, change: &Change, value: Option<Knob>) {
        let kind = change.new.kind();
        let dropins = match via {
            Via::Unit(unit) => texts(&runtime_dropins(&self.root, unit, &[kind])),
            Via::File => Vec::new(),
        };
        let component = change.component.clone();
        let keep = component.as_ref().is_some_and(|name| self.keep.contains(name));
        let original = Original { id: at.id, via: via.clone(), value, component, keep, dropins };
        self.journal.note(Entry::Original { path: at.path.clone(), kind, original });
    }

    /// A home of our own making goes back to what the kernel gives a new group.
    fn remember_made(
        &mut self,
        component: &ComponentName,
        path: &CgroupPath,
        kind: HomeKind,
        (via, changes): (&Via, &[Change]),
    ) {
        self.journal.note(Entry::Made(Made {
            component: component.clone(),
            path: path.clone(),
            kind,
        }));
        let at = CgroupRef { path: path.clone(), id: CgroupId(0) };
        for change in changes {
            let default = change.new.kind().kernel_default();
            self.note_original(&at, via, change, Some(default));
            let value = change.new.as_kernel_keeps(self.page);
            self.journal.note(Entry::Wrote { path: path.clone(), id: at.id, value });
        }
    }

    fn remember_enabling(&mut self, path: &CgroupPath, wanted: &BTreeSet<Controller>) {
        let Ok(group) = self.fs.group(path) else {
            return;
        };
        let has = group.subtree_control().value().cloned().unwrap_or_default();
        let controllers: BTreeSet<_> = wanted.difference(&has).copied().collect();
        if !controllers.is_empty() {
            self.journal.note(Entry::Enabled { path: path.clone(), controllers });
        }
    }
}
