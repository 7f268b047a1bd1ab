//! A plan as people read it: one line per knob, `old -> new (reason)`.

use crate::model::{
    Action, Change, Knob, Plan, Reading, Relief, Stray, ThreadTarget, UnitJob, Via,
};
use crate::units::Bytes;

/// One line of a shown plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The component, or `-` for an ancestor.
    pub component: String,
    /// The group.
    pub at: String,
    /// The knob, or what is done.
    pub what: String,
    /// The present value.
    pub old: String,
    /// The value asked for.
    pub new: String,
    /// What the kernel will keep of it.
    pub effective: String,
    /// How it is written.
    pub via: String,
    /// Why.
    pub reason: String,
}

/// The plan's lines, in order.
#[must_use]
pub fn lines(plan: &Plan, page: Bytes) -> Vec<Line> {
    let mut lines = Vec::new();
    for action in &plan.actions {
        lines.extend(structure(action));
        let via = via(action);
        for change in action.changes() {
            lines.push(change_line(action, change, &via, page));
        }
    }
    lines
}

fn via(action: &Action) -> Via {
    match action {
        Action::SetUnit { unit, .. } | Action::MakeScope { unit, .. } => Via::Unit(unit.clone()),
        Action::MakeGroup { .. }
        | Action::Attach { .. }
        | Action::Enable { .. }
        | Action::Relieve { .. }
        | Action::Schedule { .. }
        | Action::Job { .. }
        | Action::Write { .. } => Via::File,
    }
}

fn change_line(action: &Action, change: &Change, via: &Via, page: Bytes) -> Line {
    Line {
        component: component(change.component.as_ref()),
        at: action.path().to_string(),
        what: change.new.kind().to_string(),
        old: old(&change.old),
        new: change.new.to_string(),
        effective: change.new.as_kernel_keeps(page).to_string(),
        via: match via {
            Via::Unit(_) => "systemd".to_owned(),
            Via::File => "file".to_owned(),
        },
        reason: change.reason.to_string(),
    }
}

fn component(name: Option<&crate::units::ComponentName>) -> String {
    name.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn old(reading: &Reading<Knob>) -> String {
    match reading {
        Reading::Is(knob) => knob.to_string(),
        Reading::Absent => "unset".to_owned(),
        Reading::Gone => "gone".to_owned(),
        Reading::Failed(_) => "unreadable".to_owned(),
    }
}

fn relieve(relief: &Relief) -> Line {
    let dash = || "-".to_owned();
    Line {
        component: relief.component.to_string(),
        at: relief.at.path.to_string(),
        what: relief.means.to_string(),
        old: dash(),
        new: dash(),
        effective: dash(),
        via: "file".to_owned(),
        reason: relief.because.clone(),
    }
}

fn schedule(target: &ThreadTarget) -> Line {
    Line {
        component: target.component.to_string(),
        at: target.at.path.to_string(),
        what: format!("thread {} ({})", target.thread, target.name),
        old: target.held.to_string(),
        new: target.wanted.to_string(),
        effective: target.wanted.to_string(),
        via: "thread".to_owned(),
        reason: target.because.clone(),
    }
}

fn run(job: &UnitJob) -> Line {
    let dash = || "-".to_owned();
    Line {
        component: job.component.to_string(),
        at: job.at.to_string(),
        what: format!("{} {}", job.kind, job.unit),
        old: dash(),
        new: dash(),
        effective: dash(),
        via: "systemd".to_owned(),
        reason: job.because.clone(),
    }
}

fn structure(action: &Action) -> Vec<Line> {
    let (name, what, via) = match action {
        Action::MakeScope { component, unit, .. } => {
            (Some(component), format!("make {unit}"), "systemd")
        }
        Action::MakeGroup { component, .. } => (Some(component), "make group".to_owned(), "file"),
        Action::Attach { component, .. } => (Some(component), "move in".to_owned(), "file"),
        Action::Enable { controllers, .. } => {
            let words: Vec<&str> = controllers.iter().map(|controller| controller.word()).collect();
            (None, format!("enable {}", words.join(" ")), "file")
        }
        Action::Relieve { relief } => return vec![relieve(relief)],
        Action::Schedule { target } => return vec![schedule(target)],
        Action::Job { job } => return vec![run(job)],
        Action::SetUnit { .. } | Action::Write { .. } => return Vec::new(),
    };
    let line = |what: String, old: String, new: String, reason: &str| Line {
        component: component(name),
        at: action.path().to_string(),
        what,
        old,
        effective: new.clone(),
        new,
        via: via.to_owned(),
        reason: reason.to_owned(),
    };
    let mut lines = Vec::new();
    if !matches!(action, Action::Attach { .. }) {
        lines.push(line(what, "-".to_owned(), "-".to_owned(), "needed for the limits below it"));
    }
    let moved = |stray: &Stray| {
        let what = format!("move {} ({})", stray.process, stray.comm);
        line(what, stray.from.to_string(), action.path().to_string(), "matches the component")
    };
    lines.extend(action.strays().iter().map(moved));
    lines
}
