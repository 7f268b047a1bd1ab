//! Who is stopped by a CPU limit that somebody may mend, and whose limit that is. Must not decide from when on that is told.
//!
//! Whoever gives way is stopped by provost on purpose, for a while: that is what it is registered for, and nobody is to be woken for it.

use super::Known;
use crate::model::{GroupView, KnobKind, LimitOf, Reason, Target};
use crate::units::{CgroupPath, ComponentName, Ppm};

/// The home of a component that is stopped most: in which share of its periods, and by whose limit. None where none has a limit but one
/// by which it gives way.
pub(super) fn most(known: Known<'_>, name: &ComponentName) -> Option<(Ppm, LimitOf)> {
    let homes = known.seen.homes.get(name).map(Vec::as_slice).unwrap_or_default();
    let stopped = homes.iter().filter_map(|home| {
        let share = known.state.estimator.group(home.path())?.throttled?;
        let group = known.seen.groups.get(home.path()).filter(|_| share > Ppm::ZERO)?;
        Some((share, limit_of(known, home.path(), group)?))
    });
    stopped.max_by_key(|(share, _)| *share)
}

/// Whose limit a group has in the kernel; none while it gives way.
fn limit_of(known: Known<'_>, path: &CgroupPath, group: &GroupView) -> Option<LimitOf> {
    let is_its = |target: &&Target| target.at == *path && target.knob.kind() == KnobKind::CpuMax;
    let wanted = known.news.decision.targets.iter().find(is_its);
    let reason = wanted.map(|target| &target.reason);
    let is_ceiling = matches!(reason, Some(Reason::Configured { .. } | Reason::Scaled { .. }));
    let value = group.knob(KnobKind::CpuMax).value();
    let record = known.state.ownership.record(path, KnobKind::CpuMax);
    let ours = record.filter(|record| {
        record.id == group.id && value.is_some() && record.effective.as_ref() == value
    });
    // A ceiling that follows the need is as passing as a cap.
    if ours.is_some_and(|record| record.passing) && !matches!(reason, Some(Reason::Scaled { .. })) {
        return None;
    }
    // A unit may have had that very limit before.
    let holds = ours.is_some() || wanted.is_some_and(|target| Some(&target.knob) == value);
    Some(if is_ceiling && holds { LimitOf::Ceiling } else { LimitOf::Others })
}
