//! Threads in real time: raised on CPUs of their own, lowered before those are given up, and nobody else's ever touched.

use super::*;
use crate::model::{OutcomeOf, RealtimeSeen, Sched, SchedPolicy, ThreadOwner, Verdict};
use crate::plan::show::lines;
use crate::testing::{add_thread, realtime_component};
use crate::units::CpuTime;

const ENGINE: &str = "system.slice/engine.service";
const BATCH: &str = "system.slice/batch.service";

/// An engine with threads of these policies, beside a batch job, on two CPUs.
struct Story {
    rules: Policy,
    state: State,
    seen: Snapshot,
}

impl Story {
    fn new(threads: &[Sched]) -> Self {
        let (engine, batch) = (realtime_component("engine"), component("batch", Priority::Normal));
        let mut seen = host();
        add_home(&mut seen, &engine, ENGINE);
        add_home(&mut seen, &batch, BATCH);
        seen.realtime.insert(engine.name.clone(), RealtimeSeen::default());
        for (pid, sched) in (100..).zip(threads) {
            add_thread(&mut seen, &engine, pid, *sched);
        }
        Self { rules: policy([engine, batch]), state: State::default(), seen }
    }

    /// One look, and what is planned at it is done.
    fn turn(&mut self) -> News {
        let (state, news) = news(step(&self.rules, self.state.clone(), &self.seen));
        self.state = state;
        self.seen = carry_out(&self.seen, &news.plan.actions);
        news
    }

    /// Turns until nothing is planned any more.
    fn settle(&mut self) {
        for _ in 0..5 {
            if self.turn().plan.is_empty() {
                return;
            }
        }
        panic!("still something to do");
    }

    fn scheds(&self) -> Vec<Sched> {
        let seen = self.seen.realtime.values().flat_map(|seen| &seen.threads);
        seen.map(|view| view.sched).collect()
    }

    /// A second passes in which each thread uses this much CPU time.
    fn pass(&mut self, used: CpuTime) {
        self.seen.outcomes.clear();
        self.seen.at = self.seen.at.plus(Span::secs(1));
        for view in self.seen.realtime.values_mut().flat_map(|seen| &mut seen.threads) {
            view.used = CpuTime(view.used.0 + used.0);
        }
    }

    /// Seconds until the guard speaks, at most this many; what is planned then is done.
    fn spin(&mut self, most: u64) -> Option<u64> {
        (1..=most).find(|_| {
            self.pass(CpuTime::millis(940));
            let stepped = step(&self.rules, self.state.clone(), &self.seen);
            self.state = stepped.state;
            let lowers = |news: &News| news.plan.actions.iter().any(Action::lowers);
            stepped.news.filter(lowers).is_some_and(|news| {
                self.seen = carry_out(&self.seen, &news.plan.actions);
                true
            })
        })
    }

    fn told(&self) -> crate::model::RealtimeView {
        let mut state = self.state.clone();
        state.replan();
        let (_, news) = news(step(&self.rules, state, &self.seen));
        news.decision.realtime.values().next().unwrap().clone()
    }
}

fn threads(news: &News) -> Vec<(i32, Sched)> {
    let target = |action: &Action| {
        let Action::Schedule { target } = action else { return None };
        Some((target.thread.pid, target.wanted))
    };
    news.plan.actions.iter().filter_map(target).collect()
}

#[test]
fn a_thread_is_raised_once_its_cpus_are_its_own() {
    let mut story = Story::new(&[Sched::OTHER, Sched::OTHER]);
    let first = story.turn();
    assert_eq!(threads(&first), [], "the CPUs come first");
    let second = story.turn();
    assert_eq!(threads(&second), [(100, Sched::rr(1)), (101, Sched::rr(1))]);
    insta::assert_snapshot!(shown(&second, &story.seen));
    story.settle();
    assert_eq!(story.scheds(), [Sched::rr(1); 2]);
    let told = story.told();
    assert_eq!(told.held, None);
    assert!(told.threads.iter().all(|thread| thread.whose == ThreadOwner::Provost), "{told:?}");
}

/// A plan as people read it.
fn shown(news: &News, seen: &Snapshot) -> String {
    let line = |line: crate::plan::show::Line| {
        let crate::plan::show::Line { component, at, what, old, new, via, reason, .. } = line;
        format!("{component} {at} {what}: {old} -> {new} by {via} ({reason})")
    };
    lines(&news.plan, seen.host.page).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_policy_that_somebody_chose_is_left_alone() {
    let kinds = [SchedPolicy::Fifo, SchedPolicy::Rr, SchedPolicy::Batch, SchedPolicy::Idle];
    let scheds = kinds.map(|policy| Sched { policy, priority: 1 });
    let mut story = Story::new(&scheds);
    story.settle();
    assert_eq!(story.scheds(), scheds);
    let told = story.told();
    assert!(told.threads.iter().all(|thread| thread.whose == ThreadOwner::Foreign), "{told:?}");
}

#[test]
fn what_somebody_changed_since_is_not_fought_for() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.settle();
    let thread =
        story.seen.realtime.values_mut().flat_map(|seen| &mut seen.threads).next().unwrap();
    thread.sched = Sched::OTHER;
    story.seen.generation += 1;
    story.settle();
    assert_eq!(story.scheds(), [Sched::OTHER]);
    assert_eq!(story.told().threads[0].whose, ThreadOwner::TakenBack);
}

#[test]
fn it_is_lowered_before_its_cpus_are_given_up() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.settle();
    let mut engine = realtime_component("engine");
    (engine.cpu.class, engine.cpu.realtime) = (None, None);
    engine.cpu.affinity = Affinity::Shared;
    story.rules = policy([engine, component("batch", Priority::Normal)]);
    story.state.replan();
    story.seen.outcomes.clear();
    story.seen.realtime.clear();
    let news = story.turn();
    let is_cpus = |action: &Action| {
        action.changes().iter().any(|change| change.new.kind() == KnobKind::CpusetCpus)
    };
    assert!(news.plan.actions[0].lowers(), "{:?}", news.plan);
    assert!(news.plan.actions.iter().any(is_cpus), "{:?}", news.plan);
    assert!(shown(&news, &story.seen).contains("no longer configured"));
}

#[test]
fn whoever_else_may_run_there_lowers_it() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.settle();
    set(&mut story.seen, BATCH, Knob::CpusetCpus(CpuSet::of([0, 1])));
    story.seen.outcomes.clear();
    let news = story.turn();
    assert_eq!(threads(&news), [(100, Sched::OTHER)]);
    let found = |kind| news.findings.iter().find(|finding| finding.kind == kind).cloned();
    let finding = found(FindingKind::NoRealtime).expect("it is told");
    assert!(finding.text.contains("batch may run on CPUs 1 as well"), "{}", finding.text);
}

#[test]
fn a_cpu_that_is_not_effective_is_none() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.settle();
    story.seen.realtime.values_mut().for_each(|seen| seen.cpus.clear());
    story.seen.generation += 1;
    story.seen.outcomes.clear();
    assert_eq!(threads(&story.turn()), [(100, Sched::OTHER)]);
}

#[test]
fn without_a_bound_of_the_kernel_nobody_is_raised() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.seen.host.rt_bounded = false;
    story.settle();
    assert_eq!(story.scheds(), [Sched::OTHER]);
    assert!(story.told().held.unwrap().contains("sched_rt_runtime_us"));
}

#[test]
fn a_thread_that_is_not_seen_any_more_is_lowered_wherever_it_is() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.settle();
    story.seen.realtime.values_mut().for_each(|seen| seen.threads.clear());
    story.seen.generation += 1;
    story.seen.outcomes.clear();
    let news = story.turn();
    assert_eq!(threads(&news), [(100, Sched::OTHER)]);
    assert_eq!(story.seen.outcomes[0].verdict, Verdict::Gone);
    story.settle();
}

#[test]
fn a_refusal_is_told_and_tried_again_after_a_minute() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.turn();
    let news = story.turn();
    assert_eq!(threads(&news).len(), 1);
    for view in story.seen.realtime.values_mut().flat_map(|seen| &mut seen.threads) {
        view.sched = Sched::OTHER;
    }
    for outcome in &mut story.seen.outcomes {
        assert!(matches!(outcome.of, OutcomeOf::Thread { .. }), "{outcome:?}");
        let advice = "install realtime.conf".to_owned();
        outcome.verdict = Verdict::Refused { errno: 1, advice };
    }
    let refused = story.turn();
    assert_eq!(threads(&refused), []);
    assert!(refused.findings.iter().any(|finding| finding.text.contains("realtime.conf")));
    story.seen.at = story.seen.at.plus(Span::secs(61));
    story.seen.outcomes.clear();
    assert_eq!(threads(&story.turn()), [(100, Sched::rr(1))]);
}

#[test]
fn a_thread_that_does_not_sleep_is_lowered_for_longer_each_time() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.settle();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let seconds = story.spin(6).expect("it is lowered");
        assert!((2..=4).contains(&seconds), "{seconds}");
        story.settle();
        let told = story.told();
        pauses.push(told.until.unwrap().since(story.seen.at).0 / 10_000_000 * 10);
        assert!(told.held.unwrap().contains("engine-100 had more than 90% of a CPU"));
        assert_eq!(story.scheds(), [Sched::OTHER]);
        story.pass(CpuTime(0));
        story.seen.at = told.until.unwrap();
        story.settle();
        assert_eq!(story.scheds(), [Sched::rr(1)], "its pause is over");
    }
    assert_eq!(pauses, [50, 110, 230, 470], "a minute and its doubles, less what passed");
}

#[test]
fn a_thread_that_sleeps_stays() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.settle();
    for _ in 0..20 {
        story.pass(CpuTime::millis(500));
        let stepped = step(&story.rules, story.state.clone(), &story.seen);
        assert!(stepped.news.is_none_or(|news| news.plan.is_empty()));
        story.state = stepped.state;
    }
    assert_eq!(story.told().held, None);
}

#[test]
fn an_administrators_word_ends_a_pause() {
    let mut story = Story::new(&[Sched::OTHER]);
    story.settle();
    story.spin(6).expect("it is lowered");
    story.settle();
    story.state.forgive();
    story.seen.outcomes.clear();
    story.settle();
    assert_eq!(story.scheds(), [Sched::rr(1)]);
}

fn any_sched() -> impl Strategy<Value = Sched> {
    let kinds = [
        SchedPolicy::Other,
        SchedPolicy::Other,
        SchedPolicy::Fifo,
        SchedPolicy::Rr,
        SchedPolicy::Batch,
        SchedPolicy::Idle,
        SchedPolicy::Deadline,
        SchedPolicy::Unknown,
    ];
    (prop::sample::select(kinds.to_vec()), 1u8..4).prop_map(|(policy, priority)| {
        let is_real_time = matches!(policy, SchedPolicy::Fifo | SchedPolicy::Rr);
        Sched { policy, priority: if is_real_time { priority } else { 0 } }
    })
}

/// What may happen between two looks.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Somebody writes the batch job's list.
    Invade,
    /// A thread gets a policy from somebody else.
    Change(usize, Sched),
    /// A thread ends.
    End(usize),
    /// All threads spin for a second.
    Spin,
    /// The kernel's bound goes or comes.
    Bound(bool),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Invade),
        (0usize..4, any_sched()).prop_map(|(which, sched)| Event::Change(which, sched)),
        (0usize..4).prop_map(Event::End),
        Just(Event::Spin),
        any::<bool>().prop_map(Event::Bound),
    ]
}

impl Story {
    fn happen(&mut self, event: Event) {
        self.pass(if matches!(event, Event::Spin) { CpuTime::millis(980) } else { CpuTime(0) });
        self.seen.generation += 1;
        let threads = &mut self.seen.realtime.values_mut().next().unwrap().threads;
        match event {
            Event::Invade => {
                set(&mut self.seen, BATCH, Knob::CpusetCpus(CpuSet::of([0, 1])));
            }
            Event::Change(which, sched) if which < threads.len() => threads[which].sched = sched,
            Event::End(which) if which < threads.len() => drop(threads.remove(which)),
            Event::Change(..) | Event::End(_) | Event::Spin => {}
            Event::Bound(holds) => self.seen.host.rt_bounded = holds,
        }
    }

    /// Whether nobody but the engine may run on its CPU, as the look shows it.
    fn is_seated(&self) -> bool {
        let list =
            |path| self.seen.groups[&CgroupPath::new(path)].knob(KnobKind::CpusetCpus).value();
        let one = |cpu| Some(Knob::CpusetCpus(CpuSet::of([cpu])));
        list(ENGINE).cloned() == one(1) && list(BATCH).cloned() == one(0)
    }
}

proptest! {
    /// Nobody is raised who is not seated, and no policy that somebody else chose is ever the one that is changed.
    #[test]
    fn nobody_is_raised_without_a_seat_and_no_foreign_policy_is_touched(
        scheds in prop::collection::vec(any_sched(), 0..4),
        events in prop::collection::vec(any_event(), 0..12),
    ) {
        let mut story = Story::new(&scheds);
        for event in [None, None].into_iter().chain(events.into_iter().map(Some)) {
            if let Some(event) = event {
                story.happen(event);
            }
            let (before, seated) = (story.scheds(), story.is_seated() && story.seen.host.rt_bounded);
            let stepped = step(&story.rules, story.state.clone(), &story.seen);
            story.state = stepped.state;
            let Some(news) = stepped.news else { continue };
            for (pid, wanted) in threads(&news) {
                let raised = story.state.ownership.threads.iter().any(|(thread, _)| thread.pid == pid);
                prop_assert!(wanted == Sched::OTHER || seated, "{:?}", news.plan);
                prop_assert!(wanted != Sched::OTHER || raised, "{:?}", news.plan);
            }
            story.seen = carry_out(&story.seen, &news.plan.actions);
            for (was, is) in before.iter().zip(story.scheds()) {
                let ours = [Sched::OTHER, Sched::rr(1)];
                prop_assert!(*was == is || ours.contains(was) && ours.contains(&is), "{was} {is}");
            }
        }
    }

    /// On the reached state nothing is left to do.
    #[test]
    fn a_second_look_plans_nothing(scheds in prop::collection::vec(any_sched(), 0..4)) {
        let mut story = Story::new(&scheds);
        story.settle();
        story.state.replan();
        prop_assert!(story.turn().plan.is_empty());
        let raised = scheds.iter().filter(|sched| **sched == Sched::OTHER).count();
        let after = story.scheds();
        prop_assert_eq!(after.iter().filter(|sched| **sched == Sched::OTHER).count(), 0);
        let kept = scheds.iter().zip(&after).filter(|(was, is)| was == is).count();
        prop_assert_eq!(kept + raised, scheds.len());
    }
}
