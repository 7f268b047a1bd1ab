//! What differs between wanted and seen, and what is left alone nevertheless, with the reason.
//!
//! A knob is changed when it holds another value than the kernel would keep of the wanted one, unless: it could not be read (what
//! is not known is held), a write is still under way, another writer's value stands, the same value was refused a moment
//! ago, or the difference is a weight's rounding.

use crate::estimate::{Ownership, Standing, standing};
use crate::model::{
    Along, Change, Decision, FindingKind, GroupView, Held, Home, Knob, Reading, Reason, Severity,
    Snapshot, Target, Via,
};
use crate::units::{CgroupPath, Span};

/// Weights within a fiftieth of the wanted one are left: they move with every start of a neighbour.
const WEIGHT_DEADBAND: u32 = 50;

/// Changes to make, and targets that are left alone.
#[derive(Debug, Default)]
pub struct Drafted {
    /// What to change, by path and knob.
    pub changes: Vec<(CgroupPath, Change)>,
    /// What is left alone.
    pub skipped: Vec<Skipped>,
}

/// A target that is left alone, and how much that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What and why.
    pub held: Held,
    /// The kind of finding it makes.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
}

pub(super) fn changes(ownership: &Ownership, seen: &Snapshot, decision: &Decision) -> Drafted {
    let mut drafted = Drafted::default();
    let mut groups = Along::new(&seen.groups);
    for target in &decision.targets {
        let Some(group) = groups.get(&target.at) else { continue };
        match judge(ownership, seen, target, group) {
            Judgement::Settled => {}
            Judgement::Change(change) => drafted.changes.push((target.at.clone(), *change)),
            Judgement::Leave(skipped) => drafted.skipped.push(*skipped),
        }
    }
    drafted
}

enum Judgement {
    Settled,
    Change(Box<Change>),
    Leave(Box<Skipped>),
}

fn judge(ownership: &Ownership, seen: &Snapshot, target: &Target, group: &GroupView) -> Judgement {
    let reading = group.knob(target.knob.kind());
    let wanted = target.knob.as_kernel_keeps(seen.host.page);
    if reading.value().is_some_and(|value| is_settled(value, &wanted, &target.reason)) {
        return Judgement::Settled;
    }
    let cannot = by_reading(seen, target, reading, &group.via)
        .or_else(|| by_refusal(ownership, seen, target, reading));
    cannot.unwrap_or_else(|| by_standing(ownership, seen, target, reading))
}

/// What cannot be changed because of what was read.
fn by_reading(
    seen: &Snapshot,
    target: &Target,
    reading: &Reading<Knob>,
    via: &Via,
) -> Option<Judgement> {
    match reading {
        Reading::Gone => Some(Judgement::Settled),
        Reading::Failed(fault) => {
            let why = format!("its present value could not be read: {}", fault.what);
            Some(leave(target, FindingKind::Unreadable, Severity::Warning, (why, None)))
        }
        Reading::Absent if *via == Via::File && !can_appear(seen, target) => {
            let why = missing(target);
            Some(leave(target, FindingKind::Missing, Severity::Warning, (why, None)))
        }
        Reading::Is(_) | Reading::Absent => None,
    }
}

/// What the kernel or systemd would not take a moment ago.
fn by_refusal(
    ownership: &Ownership,
    seen: &Snapshot,
    target: &Target,
    reading: &Reading<Knob>,
) -> Option<Judgement> {
    let record = ownership.record(&target.at, target.knob.kind())?;
    let refused = record.refused.as_ref();
    if let Some(refused) =
        refused.filter(|refused| refused.asked == target.knob && seen.at < refused.until)
    {
        let remaining = Some(refused.until.since(seen.at));
        let why = (refused.advice.clone(), remaining);
        return Some(leave(target, FindingKind::Refused, Severity::Warning, why));
    }
    // The kernel made something else of this very value before; asking again would give the same.
    let kept = reading.value()?;
    if record.asked.as_ref() == Some(&target.knob) && record.effective.as_ref() == Some(kept) {
        if matches!(&target.knob, Knob::CpusetCpus(cpus) if cpus.is_empty()) {
            return Some(Judgement::Settled); // up to 6.12 a list of all CPUs has to stand for none
        }
        let why = format!("the kernel keeps {kept} when asked for {}", target.knob);
        return Some(leave(target, FindingKind::Refused, Severity::Info, (why, None)));
    }
    None
}

fn by_standing(
    ownership: &Ownership,
    seen: &Snapshot,
    target: &Target,
    reading: &Reading<Knob>,
) -> Judgement {
    match standing(ownership, seen, &target.at, target.knob.kind()) {
        Standing::Fresh | Standing::Ours | Standing::Reset | Standing::Expired => {
            Judgement::Change(Box::new(Change {
                component: target.component.clone(),
                old: reading.clone(),
                new: target.knob.clone(),
                reason: target.reason.clone(),
            }))
        }
        Standing::Unknown => Judgement::Settled,
        Standing::Overridden { value, remaining } => {
            let why = format!("another writer set {value}; it stands until its time is over");
            leave(target, FindingKind::Override, Severity::Warning, (why, Some(remaining)))
        }
        Standing::Contested => {
            let why = "another writer keeps changing it, so provost stepped aside; remove the other \
                       writer's setting or the key, then run \"provost reload\"";
            leave(target, FindingKind::Contested, Severity::Error, (why.to_owned(), None))
        }
    }
}

fn leave(
    target: &Target,
    kind: FindingKind,
    severity: Severity,
    (why, remaining): (String, Option<Span>),
) -> Judgement {
    let held = Held {
        component: target.component.clone(),
        at: target.at.clone(),
        kind: target.knob.kind(),
        why,
        remaining,
    };
    Judgement::Leave(Box::new(Skipped { held, kind, severity }))
}

/// Whether a value is as good as the wanted one, so that it is left: a weight may be some fiftieth off.
#[must_use]
pub fn is_settled(value: &Knob, wanted: &Knob, reason: &Reason) -> bool {
    let gives_back = reason.gives_back();
    match (value, wanted) {
        (Knob::CpuWeight(has), Knob::CpuWeight(wants))
        | (Knob::IoWeight(has), Knob::IoWeight(wants))
        | (Knob::IoBfqWeight(has), Knob::IoBfqWeight(wants))
            if !gives_back =>
        {
            has.get().abs_diff(wants.get()) * WEIGHT_DEADBAND <= wants.get()
        }
        (has, wants) => has == wants,
    }
}

/// Whether a missing file of a group that provost writes directly appears once the parent enables the controller.
fn can_appear(seen: &Snapshot, target: &Target) -> bool {
    let (Some(controller), Some(group)) =
        (target.knob.kind().controller(), seen.groups.get(&target.at))
    else {
        return false;
    };
    let enabled = group.controllers.value().is_some_and(|has| has.contains(&controller));
    let above = target.at.parent().and_then(|path| seen.groups.get(&path));
    let parent_has = above
        .and_then(|parent| parent.controllers.value())
        .is_some_and(|has| has.contains(&controller));
    !enabled && parent_has && is_ours(seen, target)
}

/// Whether the group is a home of provost's own making.
fn is_ours(seen: &Snapshot, target: &Target) -> bool {
    let is_it = |home: &Home| *home.path() == target.at && home.kind.is_own();
    match target.component.as_ref().and_then(|component| seen.homes.get(component)) {
        Some(homes) => homes.iter().any(is_it),
        // Given back on nobody's behalf, which is rare.
        None => seen.homes.values().flatten().any(is_it),
    }
}

fn missing(target: &Target) -> String {
    let kind = target.knob.kind();
    let controller = kind.controller().map_or_else(String::new, |controller| {
        format!("the {} controller is not enabled by its parent, or ", controller.word())
    });
    format!(
        "{kind} is missing there: {controller}this kernel lacks the file; see \"provost doctor\""
    )
}
