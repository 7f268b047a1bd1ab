//! Every prefix of every plan leaves the host legal: from any policy to any other, on any host, wherever provost is killed.

use super::{any_components, any_world, news};
use crate::config::MemoryPolicy;
use crate::cycle::{State, step};
use crate::model::{Action, Change, Knob, KnobKind, Plan, Snapshot};
use crate::testing::{act, policy};
use crate::units::{Bytes, CgroupPath, CpuTime, Limit, Span};
use proptest::prelude::*;

fn memory(seen: &Snapshot, path: &CgroupPath, kind: KnobKind) -> Limit<Bytes> {
    match seen.groups[path].knob(kind).value() {
        Some(Knob::MemoryHigh(limit) | Knob::MemoryMax(limit)) => *limit,
        _ => Limit::Max,
    }
}

/// Nothing kills, nothing would be refused, and memory slows down before it kills.
fn is_legal(seen: &Snapshot, path: &CgroupPath) -> Result<(), TestCaseError> {
    let group = &seen.groups[path];
    let (high, max) =
        (memory(seen, path, KnobKind::MemoryHigh), memory(seen, path, KnobKind::MemoryMax));
    let usage = group.usage.memory.unwrap_or_default();
    prop_assert!(max >= Limit::At(usage), "{} has {} and holds {}", path, max, usage);
    let most = max.map(MemoryPolicy::most_high);
    prop_assert!(high == Limit::Max || high <= most, "{} has {} below {}", path, high, max);
    let quota = match group.knob(KnobKind::CpuMax).value() {
        Some(Knob::CpuMax(max)) => max.quota,
        _ => Limit::Max,
    };
    let burst = match group.knob(KnobKind::CpuMaxBurst).value() {
        Some(Knob::CpuMaxBurst(burst)) => *burst,
        _ => CpuTime(0),
    };
    prop_assert!(Limit::At(burst) <= quota, "{} may burst {} of {}", path, burst, quota);
    if let Some(Knob::CpusetCpus(cpus)) = group.knob(KnobKind::CpusetCpus).value() {
        prop_assert!(cpus.is_subset(&seen.host.online), "{} on {}", path, cpus);
    }
    Ok(())
}

fn is_protection(change: &&Change) -> bool {
    matches!(change.new.kind(), KnobKind::MemoryLow | KnobKind::MemoryMin)
}

fn rises(change: &Change) -> bool {
    change.old.value().is_none_or(|old| *old < change.new)
}

/// No protection falls before all that rise have risen, and none rises before those above it, but in a group that is just made.
fn protects_in_order(plan: &Plan) -> Result<(), TestCaseError> {
    let (mut fallen, mut raised): (Option<&CgroupPath>, Vec<&CgroupPath>) = (None, Vec::new());
    for action in &plan.actions {
        let path = action.path();
        for change in action.changes().iter().filter(is_protection) {
            if !rises(change) {
                fallen = Some(path);
                continue;
            }
            prop_assert!(fallen.is_none(), "{:?} fell before {} was raised", fallen, path);
            let early = raised.iter().find(|below| below.ancestors().any(|above| above == *path));
            prop_assert!(early.is_none(), "{:?} before {}", early, path);
            if matches!(action, Action::SetUnit { .. } | Action::Write { .. }) {
                raised.push(path);
            }
        }
    }
    Ok(())
}

proptest! {
    // Four plans of some eighteen actions each: 10^5 prefixes.
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_prefix_of_every_plan_leaves_the_host_legal(
        (first, mut seen) in any_world(),
        others in proptest::collection::vec(any_components(), 3),
    ) {
        let mut state = State::default();
        for rules in std::iter::once(first).chain(others.into_iter().map(policy)) {
            state.replan();
            let (next, came) = news(step(&rules, state, &seen));
            seen.outcomes.clear();
            for action in &came.plan.actions {
                act(&mut seen, action);
                is_legal(&seen, action.path())?;
            }
            protects_in_order(&came.plan)?;
            seen.generation += 1;
            seen.at = seen.at.plus(Span::secs(1));
            state = next;
        }
    }
}
