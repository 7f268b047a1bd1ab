//! What happens when a write is refused, and when the daemon starts again.

use super::{WEB, any_components, any_world, limited, news};
use crate::cycle::{State, step};
use crate::estimate::Ownership;
use crate::model::{FindingKind, Outcome, OutcomeOf, Snapshot, Verdict};
use crate::testing::{add_home, carry_out, component, host, policy};
use crate::units::{Limit, Millicpu, Span};
use proptest::prelude::*;

/// Every number with which the kernel refuses a write to cgroupfs, and some that it might: EPERM, ENOENT, ESRCH, EINTR, EIO, E2BIG,
/// EAGAIN, ENOMEM, EACCES, EBUSY, ENODEV, EINVAL, ENOSPC, EROFS, ERANGE, EOPNOTSUPP, ETIMEDOUT, ERESTARTSYS; 0 where systemd gave a
/// message only.
const ERRNOS: [i32; 19] = [0, 1, 2, 3, 4, 5, 7, 11, 12, 13, 16, 19, 22, 28, 30, 34, 95, 110, 512];

fn refuse(seen: &mut Snapshot, errno: i32) {
    for outcome in &mut seen.outcomes {
        outcome.verdict = Verdict::Refused { errno, advice: "it is refused".to_owned() };
    }
}

/// I16: refused is told, tried again once a minute, and forgotten once it is taken; nothing else ever comes of any number.
#[test]
fn a_refused_write_is_told_and_tried_once_a_minute_whatever_the_number() {
    for errno in ERRNOS {
        let mut web = limited();
        web.cpu.ceiling = Limit::At(Millicpu(500));
        web.pids = Limit::At(100);
        let rules = policy([web.clone()]);
        let mut seen = host();
        add_home(&mut seen, &web, WEB);
        let untouched = seen.groups.clone();
        let (mut state, mut writes, mut told) = (State::default(), 0, 0);
        for _ in 0..600 {
            let stepped = step(&rules, state, &seen);
            state = stepped.state;
            let came = stepped.news;
            let actions =
                came.as_ref().map(|news| news.plan.actions.as_slice()).unwrap_or_default();
            told += came
                .iter()
                .flat_map(|news| &news.findings)
                .filter(|finding| finding.kind == FindingKind::Refused)
                .count();
            let generation = seen.generation + u64::from(!actions.is_empty());
            let mut after = carry_out(&seen, actions);
            writes += after.outcomes.len();
            refuse(&mut after, errno);
            after.groups.clone_from(&untouched);
            after.generation = generation;
            seen = after;
        }
        // Weight and protection of the home and of the slice above, quota, memory.max, pids.max: ten minutes of each.
        assert!((30..=70).contains(&writes), "{errno}: {writes}");
        assert!(told > 0, "{errno}");
        for _ in 0..130 {
            let stepped = step(&rules, state, &seen);
            state = stepped.state;
            let plan = stepped.news.map(|news| news.plan.actions).unwrap_or_default();
            seen = carry_out(&seen, &plan);
        }
        let (_, last) = {
            seen.generation += 1;
            news(step(&rules, state, &seen))
        };
        assert!(last.plan.is_empty(), "{errno}: {:?}", last.plan);
        assert!(last.findings.is_empty(), "{errno}: {:?}", last.findings);
    }
}

/// I16: a group that ended is neither written again nor told.
#[test]
fn a_group_that_ended_between_look_and_write_is_no_fault() {
    let web = component("web", crate::model::Priority::Normal);
    let rules = policy([web.clone()]);
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    let (state, first) = news(step(&rules, State::default(), &seen));
    let mut after = carry_out(&seen, &first.plan.actions);
    let is_its = |outcome: &&mut Outcome| outcome.path.as_str() == WEB;
    for outcome in after.outcomes.iter_mut().filter(is_its) {
        outcome.verdict = Verdict::Gone;
    }
    after.groups.retain(|path, _| path.as_str() != WEB);
    after.homes.clear();
    let (_, second) = news(step(&rules, state, &after));
    assert!(second.plan.actions.iter().all(|action| action.path().as_str() != WEB));
    let kinds: Vec<FindingKind> = second.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::Absent]);
}

/// What a new daemon takes from the journal of one that was killed: every write that was accepted.
fn adopted(before: &State) -> State {
    let mut ownership = Ownership::default();
    for (path, _, record) in before.ownership.records() {
        if let Some(effective) = &record.effective {
            ownership.adopt(path, record.id, record.original.clone(), (effective, record.passing));
        }
    }
    State { ownership, ..State::default() }
}

proptest! {
    // Four changes of policy each.
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// I9 and I19: the same look gives the same plan, to the last byte, to a daemon that goes on and to one that was killed and
    /// started again with nothing but the journal.
    #[test]
    fn a_daemon_that_was_killed_makes_the_same_plan(
        (first, mut seen) in any_world(),
        others in proptest::collection::vec(any_components(), 3),
    ) {
        let mut state = State::default();
        for rules in std::iter::once(first).chain(others.into_iter().map(policy)) {
            state.replan();
            let (_, anew) = news(step(&rules, adopted(&state), &seen));
            let (_, twin) = news(step(&rules, state.clone(), &seen));
            let (next, came) = news(step(&rules, state, &seen));
            prop_assert_eq!(&twin, &came);
            prop_assert_eq!(&anew.plan, &came.plan);
            prop_assert_eq!(&anew.decision, &came.decision);
            seen = carry_out(&seen, &came.plan.actions);
            // The worker's outcomes reach the daemon that goes on; the other reads them in the journal.
            state = step(&rules, next, &seen).state;
            seen.outcomes.retain(|outcome| !matches!(outcome.of, OutcomeOf::Knob { .. }));
            seen.at = seen.at.plus(Span::secs(1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// I15: even where a rule put a component there.
    #[test]
    fn what_is_protected_by_construction_is_in_no_plan(
        (rules, mut seen) in any_world(),
        others in proptest::collection::vec(any_components(), 3),
    ) {
        const FORBIDDEN: [&str; 4] = [
            "init.scope",
            "system.slice/ssh.service",
            "system.slice/systemd-journald.service",
            "system.slice/provost.service/inner",
        ];
        for (component, path) in rules.components.values().zip(FORBIDDEN) {
            add_home(&mut seen, component, path);
        }
        let mut state = State::default();
        for rules in std::iter::once(rules).chain(others.into_iter().map(policy)) {
            state.replan();
            let (next, came) = news(step(&rules, state, &seen));
            for action in &came.plan.actions {
                let path = action.path();
                let is_forbidden = FORBIDDEN.iter().any(|one| path.as_str().starts_with(one));
                prop_assert!(!is_forbidden && !path.is_root(), "{}", path);
            }
            seen = carry_out(&seen, &came.plan.actions);
            state = next;
        }
    }
}
