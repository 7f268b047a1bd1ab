//! What the guard takes for a thread that does not sleep, and for how long it pauses.

use super::*;
use crate::estimate::RaisedThread;
use crate::model::Sched;
use crate::testing::{add_home, add_thread, host, policy, realtime_component};
use crate::units::{CgroupId, CgroupPath, CgroupRef, CpuSet};
use proptest::prelude::*;

/// A component with raised threads on this many CPUs.
fn stage(threads: i32, cpus: u32) -> (Policy, RaisedThreads, Snapshot) {
    let engine = realtime_component("engine");
    let mut seen = host();
    add_home(&mut seen, &engine, "engine");
    let mut raised = RaisedThreads::default();
    let at = CgroupRef { path: CgroupPath::new("engine"), id: CgroupId(1) };
    for pid in 1..=threads {
        add_thread(&mut seen, &engine, pid, Sched::rr(1));
        let record = RaisedThread {
            component: engine.name.clone(),
            at: at.clone(),
            name: "engine".to_owned(),
            given: Sched::rr(1),
            original: Sched::OTHER,
        };
        raised.adopt(ProcId { pid, start: 7 }, record);
    }
    let seen_threads = seen.realtime.get_mut(&engine.name).unwrap();
    seen_threads.cpus.insert(at.path, CpuSet::of(0..cpus));
    (policy([engine]), raised, seen)
}

/// Lets each thread use so many milliseconds of each second; after how many seconds the guard speaks.
fn speaks_after(threads: i32, cpus: u32, used: u64) -> Option<u64> {
    let (rules, raised, mut seen) = stage(threads, cpus);
    let mut guards = Guards::default();
    assert!(!guards.update(&rules, &raised, &seen));
    (1..10).find(|_| {
        seen.at = seen.at.plus(Span::secs(1));
        for view in seen.realtime.values_mut().flat_map(|seen| &mut seen.threads) {
            view.used = CpuTime(view.used.0 + used * 1000);
        }
        guards.update(&rules, &raised, &seen)
    })
}

#[test]
fn one_thread_that_spins_is_enough_on_however_many_cpus() {
    assert_eq!(speaks_after(1, 1, 950), Some(2));
    assert_eq!(speaks_after(1, 8, 950), Some(2));
    assert_eq!(speaks_after(1, 1, 890), None);
}

#[test]
fn many_threads_that_fill_their_cpus_together_count_too() {
    assert_eq!(speaks_after(4, 2, 460), Some(2));
    assert_eq!(speaks_after(4, 2, 440), None);
}

#[test]
fn what_is_not_ours_counts_for_nothing() {
    let (rules, _, mut seen) = stage(1, 1);
    let mut guards = Guards::default();
    for _ in 0..5 {
        seen.at = seen.at.plus(Span::secs(1));
        for view in seen.realtime.values_mut().flat_map(|seen| &mut seen.threads) {
            view.used = CpuTime(view.used.0 + 1_000_000);
        }
        assert!(!guards.update(&rules, &RaisedThreads::default(), &seen));
    }
}

proptest! {
    #[test]
    fn a_pause_is_a_minute_at_least_and_an_hour_at_most(
        busy in prop::collection::vec(any::<bool>(), 1..400),
        step in 1u64..30,
    ) {
        let mut guard = Guard::default();
        let mut now = Tick::default().plus(Span::secs(1));
        for busy in busy {
            let since = now;
            now = now.plus(Span::secs(step));
            let was = guard.paused;
            guard.judge(busy.then_some(Busy::All), since, now);
            if guard.paused && !was {
                let (_, span, _) = guard.pause.clone().unwrap();
                prop_assert!(span >= FIRST && span <= LONGEST);
            }
        }
    }
}
