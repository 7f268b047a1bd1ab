//! The whole step: stories of drift, and the properties that no policy and no look may break.

mod ahead;
mod forking;
mod giving_way;
mod laws;
mod play;
mod prefixes;
mod raising;
mod squares;
mod weather;
mod yielding;

use super::*;
use crate::config::{Affinity, MemoryPolicy, OomPolicy};
use crate::model::{Action, Knob, Level, Priority};
use crate::testing::{add_home, carry_out, component, host, policy, set, stray};
use crate::units::{Bytes, CpuSet, Limit, Millicpu, Span};
use proptest::prelude::*;

const WEB: &str = "system.slice/web.service";

fn limited() -> Component {
    let mut web = component("web", Priority::Normal);
    web.memory.ceiling = Limit::At(Bytes::mebi(128));
    web
}

fn max(mebi: u64) -> Knob {
    Knob::MemoryMax(Limit::At(Bytes::mebi(mebi)))
}

fn news(step: Step) -> (State, News) {
    let news = step.news.expect("something changed");
    (step.state, news)
}

/// Enforces `rules` on a host with one limited service, and returns the state and the look after it.
fn enforced(rules: &Policy, component: &Component) -> (State, Snapshot) {
    let mut seen = host();
    add_home(&mut seen, component, WEB);
    let (state, first) = news(step(rules, State::default(), &seen));
    let after = carry_out(&seen, &first.plan.actions);
    let (state, second) = news(step(rules, state, &after));
    assert!(second.plan.is_empty(), "{:?}", second.plan);
    let mut quiet = after;
    quiet.outcomes.clear();
    (state, quiet)
}

fn plans_memory_max(news: &News) -> bool {
    let changes = news.plan.actions.iter().flat_map(Action::changes);
    changes.into_iter().any(|change| change.new.kind() == KnobKind::MemoryMax)
}

#[test]
fn a_steady_host_makes_no_news() {
    let web = limited();
    let rules = policy([web.clone()]);
    let (state, mut seen) = enforced(&rules, &web);
    seen.at = seen.at.plus(Span::secs(1));
    assert!(step(&rules, state, &seen).news.is_none());
}

#[test]
fn a_level_that_moved_is_planned_for_once() {
    let web = limited();
    let rules = policy([web.clone()]);
    let (mut state, mut seen) = enforced(&rules, &web);
    seen.load.memory_available = Some(Bytes::mebi(190));
    let mut planned = Vec::new();
    for second in 1..10 {
        seen.at = seen.at.plus(Span::secs(1));
        let stepped = step(&rules, state, &seen);
        if stepped.news.is_some() {
            planned.push((second, stepped.state.estimator.levels().memory));
        }
        state = stepped.state;
    }
    // The alert, whose `critical` takes two seconds, and the level, whose `warning` takes three.
    assert_eq!(planned, [(3, Level::Normal), (4, Level::Warning)]);
}

#[test]
fn a_value_that_fell_back_is_written_again() {
    let web = limited();
    let rules = policy([web.clone()]);
    let (state, mut seen) = enforced(&rules, &web);
    set(&mut seen, WEB, Knob::MemoryMax(Limit::Max));
    let (_, news) = news(step(&rules, state, &seen));
    assert!(plans_memory_max(&news));
}

#[test]
fn a_refused_home_is_told_and_tried_again_after_a_minute_only() {
    let web = limited();
    let rules = policy([web.clone()]);
    let mut seen = host();
    seen.strays = vec![stray(&web, 4321)];
    let places = |news: &News| news.plan.actions.iter().any(|action| !action.strays().is_empty());
    let (state, first) = news(step(&rules, State::default(), &seen));
    assert!(places(&first), "{:?}", first.plan);
    seen.generation += 1;
    seen.outcomes = vec![crate::model::Outcome {
        at: seen.at,
        component: Some(web.name.clone()),
        path: CgroupPath::new("provost/normal/web"),
        of: crate::model::OutcomeOf::Group,
        verdict: crate::model::Verdict::Refused { errno: 30, advice: "read-only".to_owned() },
        took: Span::secs(0),
    }];
    let (mut state, second) = news(step(&rules, state, &seen));
    assert!(!places(&second), "{:?}", second.plan);
    assert!(second.findings.iter().any(|finding| finding.text.contains("read-only")));
    seen.outcomes.clear();
    seen.generation += 1;
    seen.at = seen.at.plus(Span::secs(61));
    let (_, third) = news(step(&rules, state.clone(), &seen));
    assert!(places(&third), "{:?}", third.plan);
    seen.at = seen.at.plus(Span::secs(1));
    state.forgive();
    let (_, forgiven) = news(step(&rules, state, &seen));
    assert!(places(&forgiven), "an administrator's word counts at once");
}

#[test]
fn another_writers_value_stands_until_its_time_is_over() {
    let web = limited();
    let rules = policy([web.clone()]);
    let (state, mut seen) = enforced(&rules, &web);
    set(&mut seen, WEB, max(64));
    let (state, first) = news(step(&rules, state, &seen));
    assert!(!plans_memory_max(&first));
    let held: Vec<FindingKind> = first.findings.iter().map(|finding| finding.kind).collect();
    assert!(held.contains(&FindingKind::Override), "{held:?}");
    seen.at = seen.at.plus(Span::secs(599));
    let early = step(&rules, state, &seen);
    assert!(early.news.is_none());
    seen.at = seen.at.plus(Span::secs(2));
    let (_, late) = news(step(&rules, early.state, &seen));
    assert!(plans_memory_max(&late));
}

#[test]
fn after_two_fights_it_steps_aside_until_a_reload() {
    let web = limited();
    let rules = policy([web.clone()]);
    let (mut state, mut seen) = enforced(&rules, &web);
    for round in 0..2 {
        set(&mut seen, WEB, max(60 + round));
        state = step(&rules, state, &seen).state;
        seen.at = seen.at.plus(Span::secs(601));
        let (next, late) = news(step(&rules, state, &seen));
        assert!(plans_memory_max(&late), "round {round}");
        seen = carry_out(&seen, &late.plan.actions);
        state = step(&rules, next, &seen).state;
        seen.outcomes.clear();
    }
    set(&mut seen, WEB, max(90));
    seen.at = seen.at.plus(Span::secs(3600));
    let (mut state, contested) = news(step(&rules, state, &seen));
    assert!(!plans_memory_max(&contested));
    assert!(contested.findings.iter().any(|finding| finding.kind == FindingKind::Contested));
    state.ownership.forgive();
    state.replan();
    let (_, forgiven) = news(step(&rules, state, &seen));
    assert!(plans_memory_max(&forgiven));
}

#[test]
fn a_reset_storm_is_not_fought_for_ever() {
    let web = limited();
    let rules = policy([web.clone()]);
    let (mut state, mut seen) = enforced(&rules, &web);
    let mut writes = 0;
    for _ in 0..20 {
        set(&mut seen, WEB, Knob::MemoryMax(Limit::Max));
        seen.at = seen.at.plus(Span::millis(100));
        let (next, round) = news(step(&rules, state, &seen));
        writes += usize::from(plans_memory_max(&round));
        seen = carry_out(&seen, &round.plan.actions);
        state = step(&rules, next, &seen).state;
        seen.outcomes.clear();
    }
    assert_eq!(writes, 3);
}

#[test]
fn a_restarted_unit_is_limited_anew() {
    let web = limited();
    let rules = policy([web.clone()]);
    let (state, mut seen) = enforced(&rules, &web);
    let group = seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap();
    group.id = crate::units::CgroupId(99_999);
    set(&mut seen, WEB, max(64));
    let home = seen.homes.get_mut(&web.name).unwrap();
    home[0].at.id = crate::units::CgroupId(99_999);
    let (_, news) = news(step(&rules, state, &seen));
    assert!(plans_memory_max(&news), "a value in a new group is nobody's override");
}

#[test]
fn a_key_that_is_removed_gives_the_original_back() {
    let web = limited();
    let (state, seen) = enforced(&policy([web.clone()]), &web);
    let mut unlimited = web;
    unlimited.memory.ceiling = Limit::Max;
    let mut state = state;
    state.replan();
    let (_, news) = news(step(&policy([unlimited]), state, &seen));
    let changes: Vec<_> = news.plan.actions.iter().flat_map(Action::changes).collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].new, Knob::MemoryMax(Limit::Max));
    assert_eq!(changes[0].reason, Reason::NoLongerConfigured);
}

#[test]
fn a_broken_rule_holds_up_its_own_group_only() {
    let mut web = limited();
    web.cpu.affinity = Affinity::Cpus(CpuSet::of([40]));
    let db = Component { name: "db".parse().unwrap(), ..limited() };
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    add_home(&mut seen, &db, "system.slice/db.service");
    let (_, news) = news(step(&policy([web, db]), State::default(), &seen));
    let touches = |name| news.plan.actions.iter().any(|action| action.path().name() == name);
    assert!(!touches("web.service") && touches("db.service"), "{:?}", news.plan);
    assert!(news.findings.iter().any(|finding| finding.kind == FindingKind::Lint));
}

#[test]
fn many_refusals_of_one_kind_are_one_finding() {
    let web = limited();
    let mut seen = host();
    for pid in 10..18 {
        seen.refused.push(crate::model::Refusal {
            component: web.name.clone(),
            what: format!("process {pid} (hog)"),
            why: "it belongs to cron.service".to_owned(),
        });
    }
    let (_, news) = news(step(&policy([web]), State::default(), &seen));
    let left: Vec<_> =
        news.findings.iter().filter(|finding| finding.kind == FindingKind::LeftAlone).collect();
    assert_eq!(left.len(), 1);
    assert!(
        left[0].text.starts_with("process 10 (hog) and 7 more are left alone"),
        "{}",
        left[0].text
    );
}

#[test]
fn a_list_of_all_cpus_stands_for_none_where_the_kernel_takes_none_away() {
    let mut web = component("web", Priority::Normal);
    web.cpu.affinity = Affinity::Cpus(CpuSet::of([1]));
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    let rules = policy([web.clone()]);
    let (state, first) = news(step(&rules, State::default(), &seen));
    let after = carry_out(&seen, &first.plan.actions);
    let (mut state, _) = news(step(&rules, state, &after));
    web.cpu.affinity = Affinity::Shared;
    let rules = policy([web]);
    state.replan();
    let (state, second) = news(step(&rules, state, &after));
    let mut kept = carry_out(&after, &second.plan.actions);
    let all = Knob::CpusetCpus(CpuSet::of([0, 1]));
    assert_eq!(kept.outcomes.len(), 1, "{:?}", kept.outcomes);
    kept.outcomes[0].verdict = crate::model::Verdict::Clipped { effective: all.clone() };
    set(&mut kept, WEB, all);
    let (_, third) = news(step(&rules, state, &kept));
    assert!(third.plan.is_empty(), "{:#?}", third.plan);
    assert!(third.findings.is_empty(), "{:#?}", third.findings);
}

fn any_component(name: &'static str) -> impl Strategy<Value = Component> {
    let cpu = (0u64..400, prop_oneof![Just(None), (10u64..2000).prop_map(Some)]);
    let memory = (0u64..200, prop_oneof![Just(None), (200u64..1000).prop_map(Some)], any::<bool>());
    let rest = (
        0usize..4,
        10u64..1000,
        prop_oneof![Just(None), (8u64..500).prop_map(Some)],
        prop_oneof![
            2 => Just(Affinity::Shared),
            1 => Just(Affinity::Auto),
            1 => Just(Affinity::Cpus(CpuSet::of([1]))),
            1 => (1u64..4).prop_map(Affinity::Dedicated),
            1 => (1u64..4).prop_map(Affinity::Balanced),
        ],
    );
    (cpu, memory, rest).prop_map(move |(cpu, memory, rest)| {
        let mut made = component(name, Priority::ALL[rest.0]);
        made.share_percent = rest.1;
        made.pids = rest.2.map_or(Limit::Max, Limit::At);
        made.cpu.guarantee = Millicpu(cpu.0.min(cpu.1.unwrap_or(u64::MAX)));
        made.cpu.ceiling = cpu.1.map_or(Limit::Max, |value| Limit::At(Millicpu(value)));
        made.memory.guarantee = Bytes::mebi(memory.0);
        made.memory.ceiling = memory.1.map_or(Limit::Max, |value| Limit::At(Bytes::mebi(value)));
        if memory.2 {
            made.memory.high = made.memory.ceiling.map(MemoryPolicy::most_high);
        }
        made.memory.oom = if memory.2 { OomPolicy::Group } else { OomPolicy::Unset };
        made.cpu.affinity = rest.3;
        made
    })
}

fn any_components() -> impl Strategy<Value = [Component; 4]> {
    (any_component("a"), any_component("b"), any_component("c"), any_component("d"))
        .prop_map(<[Component; 4]>::from)
}

fn any_world() -> impl Strategy<Value = (Policy, Snapshot)> {
    let places = proptest::collection::vec((0usize..6, 0u64..1500, 0u64..500), 4);
    (any_components(), places).prop_map(|(components, places)| {
        let mut seen = host();
        seen.host.online = CpuSet::of(0..6);
        seen.host.topology = crate::model::Topology::flat(&seen.host.online);
        let paths =
            ["system.slice/S", "apps.slice/inner.slice/S", "provost.slice/provost-low.slice/S"];
        for (component, (place, usage, unmanaged)) in components.iter().zip(places) {
            let Some(pattern) = paths.get(place) else {
                seen.strays.push(stray(component, 4000 + i32::try_from(usage).unwrap()));
                continue;
            };
            let path = pattern.replace('S', &format!("{}.service", component.name));
            add_home(&mut seen, component, &path);
            let path = CgroupPath::new(&path);
            seen.groups.get_mut(&path).unwrap().usage.memory = Some(Bytes::mebi(usage));
            let parent = path.parent().unwrap();
            seen.groups.get_mut(&parent).unwrap().unmanaged_weight = unmanaged;
        }
        (policy(components), seen)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn planning_on_the_reached_state_is_empty((rules, seen) in any_world()) {
        let (state, first) = news(step(&rules, State::default(), &seen));
        let after = carry_out(&seen, &first.plan.actions);
        let (state, second) = news(step(&rules, state, &after));
        // Homes that were just made get their weights with the second look.
        let after = carry_out(&after, &second.plan.actions);
        let (_, third) = news(step(&rules, state, &after));
        prop_assert!(third.plan.is_empty(), "{:#?}", third.plan);
    }

    #[test]
    fn every_plan_passes_the_check((rules, seen) in any_world()) {
        let (_, first) = news(step(&rules, State::default(), &seen));
        let broken: Vec<_> =
            first.findings.iter().filter(|finding| finding.kind == FindingKind::Lint).collect();
        prop_assert!(broken.is_empty(), "{:#?}", broken);
    }

    #[test]
    fn the_same_input_gives_the_same_plan((rules, seen) in any_world()) {
        let (_, once) = news(step(&rules, State::default(), &seen));
        let (_, twice) = news(step(&rules, State::default(), &seen));
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_failed_reading_never_tightens((rules, seen) in any_world(), which in 0usize..14) {
        let kind = KnobKind::SINGLE[which % KnobKind::SINGLE.len()];
        let mut blind = seen.clone();
        let fault = crate::model::ReadFault { file: kind.file().to_owned(), errno: 5, what: "unreadable".to_owned() };
        for group in blind.groups.values_mut() {
            group.knobs.insert(kind, crate::model::Reading::Failed(fault.clone().into()));
        }
        let (_, first) = news(step(&rules, State::default(), &blind));
        let on_seen_groups = first.plan.actions.iter().filter(|action| blind.groups.contains_key(action.path()));
        for change in on_seen_groups.flat_map(Action::changes) {
            prop_assert_ne!(change.new.kind(), kind, "{:#?}", first.plan);
        }
    }

    #[test]
    fn giving_up_every_key_restores_every_original((rules, seen) in any_world()) {
        let (state, first) = news(step(&rules, State::default(), &seen));
        let after = carry_out(&seen, &first.plan.actions);
        let (mut state, second) = news(step(&rules, state, &after));
        let after = carry_out(&after, &second.plan.actions);
        let mut quiet = after.clone();
        quiet.homes.clear();
        quiet.strays.clear();
        quiet.generation += 1;
        state = step(&rules, state, &quiet).state;
        state.replan();
        let (_, last) = news(step(&policy([]), state, &quiet));
        let end = carry_out(&quiet, &last.plan.actions);
        for (path, before) in &seen.groups {
            prop_assert_eq!(&end.groups[path].knobs, &before.knobs, "{}", path);
        }
    }
}

#[test]
fn another_scheduler_is_told_for_as_long_as_it_is_there() {
    let (rules, mut seen) = (policy([component("web", Priority::Normal)]), host());
    let told = |seen: &Snapshot| {
        let news = step(&rules, State::default(), seen).news.unwrap();
        news.findings.into_iter().find(|finding| finding.kind == FindingKind::OtherScheduler)
    };
    assert_eq!(told(&seen), None);
    seen.host.sched_ext = Some("scx_lavd".to_owned());
    assert!(told(&seen).unwrap().text.contains("scx_lavd divides CPU time"));
}
