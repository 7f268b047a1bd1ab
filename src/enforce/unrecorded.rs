//! Homes that no journal tells of: `provost run` makes the component's home itself, beside a daemon or without one.
//!
//! They are known by their place, `provost/PRIORITY/COMPONENT`, where nobody else makes groups, and go back to what the kernel gives a
//! new group. Where their processes came from is not known: they go to the root.

use super::carry::Executor;
use super::ledger::{Ledger, Made};
use super::undo::{Giving, Returned};
use crate::kernel::{Group, write};
use crate::model::{HomeKind, Reading};
use crate::units::{CgroupPath, ComponentName};

const ROOT_GROUP: &str = "provost";
const ROOT_SLICE: &str = "provost.slice";

/// Whether only provost makes a group at this place, or one above or below it.
pub(super) fn is_home(path: &CgroupPath) -> bool {
    path.components().next().is_some_and(|first| first == ROOT_GROUP || first == ROOT_SLICE)
}

impl Executor {
    /// Lifts the limits of homes that are not in the ledger and empties them. Which ones, to be removed.
    pub(super) fn return_unrecorded(
        &self,
        ledger: &Ledger,
        all: bool,
        account: &mut Vec<Returned>,
    ) -> Vec<Made> {
        let mut homes = self.homes_by_place();
        homes.retain(|home| !ledger.made.iter().any(|made| made.path == home.path));
        homes.retain(|home| all || !self.keep.contains(&home.component));
        for home in &homes {
            if let Ok(group) = self.fs.group(&home.path) {
                lift(&group, account);
                self.empty(&group, account);
            }
        }
        homes
    }

    fn homes_by_place(&self) -> Vec<Made> {
        let root = CgroupPath::new(ROOT_GROUP);
        let below = |path: &CgroupPath| -> Vec<CgroupPath> {
            let names = self.fs.children(path).unwrap_or_default();
            names.iter().map(|name| path.child(name)).collect()
        };
        let places = below(&root).into_iter().flat_map(|priority| below(&priority));
        let home = |path: CgroupPath| {
            let component: ComponentName = path.name().parse().ok()?;
            Some(Made { component, path, kind: HomeKind::OwnGroup })
        };
        places.filter_map(home).collect()
    }

    fn empty(&self, group: &Group, account: &mut Vec<Returned>) {
        let Ok(root) = self.fs.group(&CgroupPath::root()) else { return };
        let procs = group.procs().unwrap_or_default();
        for process in procs.into_iter().filter_map(|pid| self.proc.identity(pid)) {
            let from = group.at().path.to_string();
            let how = match write::move_process(&self.fs, &self.proc, &root, process) {
                Ok(()) => Giving::Done { from, to: CgroupPath::root().to_string() },
                Err(write::MoveError::Gone(_)) => Giving::Nothing { why: "it ended".to_owned() },
                Err(error) => Giving::Failed { why: error.to_string() },
            };
            let what = format!("process {process}");
            account.push(Returned { path: group.at().path.clone(), what, how });
        }
    }
}

/// Sets every knob to what the kernel gives a new group.
fn lift(group: &Group, account: &mut Vec<Returned>) {
    for (kind, reading) in group.knobs(&group.controllers(), &[]) {
        let default = kind.kernel_default();
        let Reading::Is(value) = reading else { continue };
        if value == default {
            continue;
        }
        let how = match write::knob(group, &default) {
            Ok(()) => Giving::Done { from: value.to_string(), to: default.to_string() },
            Err(error) => Giving::Failed { why: error.advice() },
        };
        account.push(Returned { path: group.at().path.clone(), what: kind.to_string(), how });
    }
}
