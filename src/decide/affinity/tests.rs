//! Seats on hosts of many shapes: the rules hold on all of them, and nobody is moved without need.

use super::*;
use crate::config::Component;
use crate::model::Topology;
use crate::testing::{add_home, component, host, policy, set, stray};
use proptest::prelude::*;

/// Cores of so many threads, caches of so many cores, nodes of so many caches.
fn regular(nodes: u32, caches: u32, cores: u32, threads: u32) -> Topology {
    let all = nodes * caches * cores;
    let core = |core: u32| Core {
        cpus: CpuSet::of((0..threads).map(|thread| core + thread * all)),
        cache: core / cores * cores,
        node: core / cores / caches,
    };
    Topology { cores: (0..all).map(core).collect(), isolated: CpuSet::default() }
}

fn on(topology: Topology) -> Snapshot {
    let mut seen = host();
    let cores = topology.cores.iter();
    seen.host.online = cores.fold(CpuSet::default(), |all, core| all.union(&core.cpus));
    seen.host.topology = topology;
    seen
}

fn asking(name: &str, affinity: Affinity) -> Component {
    let mut made = component(name, Priority::Normal);
    made.cpu.affinity = affinity;
    made
}

fn path(component: &Component) -> String {
    format!("provost.slice/{}.scope", component.name)
}

fn housed(mut seen: Snapshot, components: &[Component]) -> (Policy, Snapshot) {
    for component in components {
        add_home(&mut seen, component, &path(component));
    }
    (policy(components.iter().cloned()), seen)
}

fn seats_of(topology: Topology, components: &[Component]) -> Seats {
    let (policy, seen) = housed(on(topology), components);
    seats(&policy, &Ownership::default(), &Steering::default(), &seen)
}

fn cpus(seats: &Seats, name: &str) -> String {
    seats.own.get(name).map_or_else(|| "shares".to_owned(), |seat| seat.cpus.to_string())
}

fn shared(seats: &Seats) -> String {
    seats.shared.as_ref().map_or_else(|| "all".to_owned(), |(shared, _)| shared.to_string())
}

/// What provost remembers once these seats are written.
fn written(seats: &Seats, seen: &Snapshot) -> Ownership {
    let mut ownership = Ownership::default();
    for (name, homes) in &seen.homes {
        for home in homes {
            if let Some((cpus, _)) = seats.of(name, home) {
                let (path, id) = (home.path().clone(), home.at.id);
                ownership.adopt(&path, id, None, (&Knob::CpusetCpus(cpus), false));
            }
        }
    }
    ownership
}

#[test]
fn of_two_cpus_one_can_be_had_and_not_that_of_the_system() {
    let (a, b) = (asking("a", Affinity::Dedicated(1)), asking("b", Affinity::Dedicated(1)));
    let seats = seats_of(regular(1, 1, 2, 1), &[a, b]);
    assert_eq!(
        (cpus(&seats, "a"), cpus(&seats, "b"), shared(&seats)),
        ("1".into(), "shares".into(), "0".into())
    );
    let alone = seats_of(regular(1, 1, 1, 2), &[asking("a", Affinity::Dedicated(1))]);
    assert_eq!(shared(&alone), "all", "two threads of one core");
}

#[test]
fn of_an_auto_component_nothing_is_known_at_first_and_its_seat_stays_over_a_restart() {
    let (one, two) = (asking("one", Affinity::Auto), asking("two", Affinity::Shared));
    let (rules, seen) = housed(on(regular(1, 1, 8, 1)), &[one, two]);
    let learning = seats(&rules, &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(learning, Seats::default());
    let chosen = Steering::with_choice("one", Choice::Own { cpus: 2, balanced: false });
    let given = seats(&rules, &Ownership::default(), &chosen, &seen);
    assert_eq!((cpus(&given, "one"), shared(&given)), ("1-2".into(), "0,3-7".into()));
    let after = seats(&rules, &written(&given, &seen), &Steering::default(), &seen);
    assert_eq!((cpus(&after, "one"), shared(&after)), ("1-2".into(), "0,3-7".into()));
    let shares = Steering::with_choice("one", Choice::Shared);
    assert_eq!(seats(&rules, &written(&given, &seen), &shares, &seen), Seats::default());
}

#[test]
fn what_was_left_to_an_auto_component_is_no_seat_of_its_own() {
    let auto = asking("auto", Affinity::Auto);
    let own = asking("own", Affinity::Dedicated(2));
    let (mut rules, seen) = housed(on(regular(1, 1, 8, 1)), &[auto, own]);
    let given = seats(&rules, &Ownership::default(), &Steering::default(), &seen);
    assert_eq!((cpus(&given, "auto"), cpus(&given, "own")), ("shares".into(), "1-2".into()));
    let before = written(&given, &seen);
    rules.components.get_mut("own").unwrap().cpu.affinity = Affinity::Shared;
    assert_eq!(seats(&rules, &before, &Steering::default(), &seen), Seats::default());
}

#[test]
fn who_asks_for_a_number_comes_before_who_was_chosen_and_the_latter_is_not_said_to_lack_it() {
    let mut auto = asking("auto", Affinity::Auto);
    auto.priority = Priority::Critical;
    let (rules, seen) =
        housed(on(regular(1, 1, 4, 1)), &[auto, asking("own", Affinity::Dedicated(2))]);
    let chosen = Steering::with_choice("auto", Choice::Own { cpus: 1, balanced: false });
    let given = seats(&rules, &Ownership::default(), &chosen, &seen);
    assert_eq!((cpus(&given, "auto"), cpus(&given, "own")), ("shares".into(), "1-2".into()));
    assert!(given.sharing.is_empty());
}

#[test]
fn nobody_asks_and_nothing_is_written() {
    let seats = seats_of(regular(1, 1, 4, 1), &[asking("a", Affinity::Shared)]);
    assert_eq!(seats, Seats::default());
}

#[test]
fn a_seat_is_of_whole_cores() {
    let seats = seats_of(regular(1, 1, 4, 2), &[asking("a", Affinity::Dedicated(1))]);
    assert_eq!((cpus(&seats, "a"), shared(&seats)), ("1,5".into(), "0,2-4,6-7".into()));
}

#[test]
fn the_system_keeps_the_core_of_cpu_0_from_eight_on_and_below_gives_it_last() {
    let asks = || asking("a", Affinity::Dedicated(3));
    assert_eq!(cpus(&seats_of(regular(1, 1, 8, 1), &[asks()]), "a"), "1-3");
    let mut two_caches = regular(1, 2, 3, 1);
    assert_eq!(cpus(&seats_of(two_caches.clone(), &[asks()]), "a"), "0-2", "one cache before two");
    two_caches.isolated = CpuSet::of([1]);
    assert_eq!(cpus(&seats_of(two_caches, &[asks()]), "a"), "shares", "half of five is two");
}

#[test]
fn the_fullest_cache_with_room_enough_is_taken() {
    let (a, b) = (asking("a", Affinity::Dedicated(3)), asking("b", Affinity::Dedicated(2)));
    let c = asking("c", Affinity::Dedicated(1));
    // The first cache lacks the core of CPU 0.
    let seats = seats_of(regular(2, 2, 4, 1), &[a, b, c]);
    let all = ["a", "b", "c"].map(|name| cpus(&seats, name));
    assert_eq!(all, ["1-3", "4-5", "6"]);
}

#[test]
fn what_no_cache_holds_stays_on_one_node_and_else_on_few() {
    let (six, ten) =
        (asking("six", Affinity::Dedicated(6)), asking("ten", Affinity::Dedicated(10)));
    let seats = seats_of(regular(2, 2, 4, 1), &[six]);
    assert_eq!(cpus(&seats, "six"), "1-2,4-7");
    // Node 1 whole, and of node 2 a part.
    let seats = seats_of(regular(3, 2, 4, 1), &[ten]);
    assert_eq!(cpus(&seats, "ten"), "1-2,8-15");
}

#[test]
fn balanced_cores_are_spread_over_nodes_and_caches() {
    let seats = seats_of(regular(2, 2, 4, 1), &[asking("a", Affinity::Balanced(4))]);
    assert_eq!(cpus(&seats, "a"), "1,4,8,12");
    let seats = seats_of(regular(1, 2, 4, 2), &[asking("a", Affinity::Balanced(4))]);
    assert_eq!(cpus(&seats, "a"), "1,4,9,12");
}

#[test]
fn what_others_name_or_what_lies_outside_of_the_parents_is_not_given() {
    let list = asking("list", Affinity::Cpus("1-3".parse().unwrap()));
    let a = asking("a", Affinity::Dedicated(2));
    let (policy, mut seen) = housed(on(regular(1, 1, 12, 1)), &[list, a]);
    let given = |seen: &Snapshot| {
        cpus(&seats(&policy, &Ownership::default(), &Steering::default(), seen), "a")
    };
    assert_eq!(given(&seen), "4-5");
    set(&mut seen, "provost.slice", Knob::CpusetCpus("0-2,6-7".parse().unwrap()));
    assert_eq!(given(&seen), "6-7");
}

#[test]
fn a_home_above_a_seat_keeps_what_it_has() {
    let (outer, inner) =
        (asking("outer", Affinity::Shared), asking("inner", Affinity::Dedicated(1)));
    let mut seen = on(regular(1, 1, 4, 1));
    add_home(&mut seen, &outer, "apps.slice");
    add_home(&mut seen, &inner, "apps.slice/inner.scope");
    let rules = policy([outer.clone(), inner]);
    let seats = seats(&rules, &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(cpus(&seats, "inner"), "1");
    assert_eq!(seats.of(&outer.name, &seen.homes[&outer.name][0]), None);
}

#[test]
fn whoever_finds_no_room_is_told_why() {
    let many = asking("many", Affinity::Dedicated(9));
    let half = asking("half", Affinity::Dedicated(5));
    let mut guaranteed = asking("guaranteed", Affinity::Shared);
    guaranteed.cpu.guarantee = Millicpu(6500);
    let two = asking("two", Affinity::Balanced(2));
    let seats = seats_of(regular(1, 1, 8, 1), &[many, half, guaranteed, two]);
    let text: Vec<String> =
        seats.sharing.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn loose_processes_have_a_seat_before_they_have_a_home() {
    let a = asking("a", Affinity::Dedicated(1));
    let mut seen = host();
    assert_eq!(
        seats(&policy([a.clone()]), &Ownership::default(), &Steering::default(), &seen),
        Seats::default()
    );
    seen.strays.push(stray(&a, 812));
    assert_eq!(
        cpus(&seats(&policy([a]), &Ownership::default(), &Steering::default(), &seen), "a"),
        "1"
    );
}

#[test]
fn a_seat_is_kept_though_a_better_one_comes_free_and_given_up_when_the_wish_changes() {
    let (first, second) =
        (asking("first", Affinity::Dedicated(2)), asking("second", Affinity::Dedicated(2)));
    let (both, seen) = housed(on(regular(2, 2, 4, 1)), &[first, second.clone()]);
    let before = seats(&both, &Ownership::default(), &Steering::default(), &seen);
    assert_eq!((cpus(&before, "first"), cpus(&before, "second")), ("1-2".into(), "4-5".into()));
    let ownership = written(&before, &seen);
    let one = policy([second.clone()]);
    assert_eq!(cpus(&seats(&one, &ownership, &Steering::default(), &seen), "second"), "4-5");
    for (wish, expected) in [(Affinity::Dedicated(3), "1-3"), (Affinity::Balanced(2), "4,8")] {
        let changed = Component {
            cpu: crate::config::CpuPolicy { affinity: wish, ..second.cpu.clone() },
            ..second.clone()
        };
        assert_eq!(
            cpus(&seats(&policy([changed]), &ownership, &Steering::default(), &seen), "second"),
            expected
        );
    }
}

#[test]
fn when_a_cpu_goes_its_holder_gets_another_or_shares() {
    let (a, b) = (asking("a", Affinity::Dedicated(2)), asking("b", Affinity::Dedicated(1)));
    let (rules, mut seen) = housed(on(regular(1, 1, 6, 1)), &[a, b]);
    let before = seats(&rules, &Ownership::default(), &Steering::default(), &seen);
    assert_eq!((cpus(&before, "a"), cpus(&before, "b")), ("1-2".into(), "3".into()));
    let ownership = written(&before, &seen);
    let mut without = |gone: &[u32]| {
        let mut topology = regular(1, 1, 6, 1);
        topology.cores.retain(|core| !gone.iter().any(|cpu| core.cpus.contains(*cpu)));
        let fewer = on(topology).host;
        seen.host = fewer;
        let after = seats(&rules, &ownership, &Steering::default(), &seen);
        [cpus(&after, "a"), cpus(&after, "b"), shared(&after)]
    };
    assert_eq!(without(&[2]), ["shares", "3", "0-1,4-5"], "half of five cores is two");
    assert_eq!(without(&[3]), ["1-2", "shares", "0,4-5"]);
    assert_eq!(without(&[]), ["1-2", "3", "0,4-5"], "and back");
}

fn any_topology() -> impl Strategy<Value = Topology> {
    let shape = (1u32..4, 1u32..4, 1u32..5, 1u32..3);
    let whims =
        (prop::collection::btree_set(0u32..40, 0..4), prop::collection::btree_set(0u32..40, 0..3));
    (shape, whims).prop_map(|((nodes, caches, cores, threads), (gone, isolated))| {
        let mut topology = regular(nodes, caches, cores, threads);
        for core in &mut topology.cores {
            core.cpus = core.cpus.without(&CpuSet::of(gone.iter().copied()));
        }
        topology.cores.retain(|core| !core.cpus.is_empty());
        if topology.cores.is_empty() {
            return regular(1, 1, 1, 1);
        }
        topology.isolated = CpuSet::of(isolated);
        topology
    })
}

fn any_components() -> impl Strategy<Value = Vec<Component>> {
    let one = (0usize..5, 1u64..9, 0usize..4, 0u64..2500);
    prop::collection::vec(one, 1..6).prop_map(|components| {
        let made =
            components.into_iter().enumerate().map(|(place, (kind, cpus, priority, guarantee))| {
                let name = format!("c{place}");
                let mut made = match kind {
                    0 => asking(&name, Affinity::Shared),
                    1 => asking(&name, Affinity::Cpus(CpuSet::of([u32::try_from(cpus).unwrap()]))),
                    2 => asking(&name, Affinity::Balanced(cpus)),
                    _ => asking(&name, Affinity::Dedicated(cpus)),
                };
                made.priority = Priority::ALL[priority];
                made.cpu.guarantee = Millicpu(guarantee);
                made
            });
        made.collect()
    })
}

/// Whether everything that the module promises holds.
fn hold(seats: &Seats, policy: &Policy, seen: &Snapshot) -> Result<(), TestCaseError> {
    let topology = &seen.host.topology;
    let usable = |core: &&Core| core.cpus.intersection(&topology.isolated).is_empty();
    let mut left: Vec<&Core> = topology.cores.iter().filter(usable).collect();
    let (all, mut taken) = (left.len(), CpuSet::default());
    for (name, seat) in &seats.own {
        let before = left.len();
        left.retain(|core| core.cpus.intersection(&seat.cpus).is_empty());
        let whole: CpuSet =
            left.iter().fold(taken.union(&seat.cpus), |set, core| set.union(&core.cpus));
        let everything = topology
            .cores
            .iter()
            .filter(usable)
            .fold(CpuSet::default(), |set, core| set.union(&core.cpus));
        prop_assert!(before > left.len() && whole == everything, "{} {}", name, seat.cpus);
        prop_assert!(seat.cpus.intersection(&taken).is_empty(), "{} {}", name, seat.cpus);
        taken = taken.union(&seat.cpus);
        let (Affinity::Dedicated(asked) | Affinity::Balanced(asked)) =
            policy.components[name].cpu.affinity
        else {
            panic!("{name} asks for none");
        };
        prop_assert!(seat.cpus.len() >= usize::try_from(asked).unwrap());
    }
    prop_assert!(left.len() * 2 >= all);
    prop_assert!(taken.intersection(&named(policy)).is_empty());
    if let Some((shared, of_others)) = &seats.shared {
        prop_assert_eq!(of_others, &taken);
        prop_assert!(shared.intersection(&taken).is_empty());
        let least = if seen.host.online.len() <= 2 { 1 } else { 2 };
        prop_assert!(shared.len() >= least);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn seats_keep_every_rule(topology in any_topology(), components in any_components()) {
        let (policy, seen) = housed(on(topology), &components);
        hold(&seats(&policy, &Ownership::default(), &Steering::default(), &seen), &policy, &seen)?;
    }

    #[test]
    fn written_seats_are_given_again(topology in any_topology(), components in any_components()) {
        let (policy, seen) = housed(on(topology), &components);
        let first = seats(&policy, &Ownership::default(), &Steering::default(), &seen);
        let again = seats(&policy, &written(&first, &seen), &Steering::default(), &seen);
        prop_assert_eq!((again.own, again.shared), (first.own, first.shared));
    }

    #[test]
    fn the_order_of_homes_changes_nothing(topology in any_topology(), components in any_components()) {
        let (policy, mut seen) = housed(on(topology), &components);
        for component in &components {
            add_home(&mut seen, component, &format!("apps.slice/{}.scope", component.name));
        }
        let ownership = written(&seats(&policy, &Ownership::default(), &Steering::default(), &seen), &seen);
        let once = seats(&policy, &ownership, &Steering::default(), &seen);
        seen.homes.values_mut().for_each(|homes| homes.reverse());
        prop_assert_eq!(seats(&policy, &ownership, &Steering::default(), &seen), once);
    }

    #[test]
    fn nobody_moves_when_another_leaves_but_to_be_nearer(
        topology in any_topology(),
        components in any_components(),
        leaver in 0usize..5,
    ) {
        let (rules, seen) = housed(on(topology), &components);
        let first = seats(&rules, &Ownership::default(), &Steering::default(), &seen);
        let mut fewer = seen.clone();
        let leaver: ComponentName = format!("c{leaver}").parse().unwrap();
        fewer.homes.remove(&leaver);
        let after = seats(&rules, &written(&first, &seen), &Steering::default(), &fewer);
        hold(&after, &rules, &fewer)?;
        for (name, seat) in first.own.iter().filter(|(name, _)| **name != leaver) {
            let spans = |seat: &Seat| {
                if let Reason::OwnCpus { caches, nodes, .. } = seat.reason { (nodes, caches) } else { (0, 0) }
            };
            let stays = after.own.get(name);
            let balanced = matches!(rules.components[name].cpu.affinity, Affinity::Balanced(_));
            prop_assert!(
                balanced || stays.is_some_and(|now| now == seat || spans(now) < spans(seat)),
                "{}: {:?} -> {:?}", name, seat, stays
            );
        }
    }

    #[test]
    fn a_cpu_that_goes_or_comes_breaks_no_rule(
        topology in any_topology(),
        components in any_components(),
        gone in 0u32..24,
    ) {
        let (rules, seen) = housed(on(topology), &components);
        let before = written(&seats(&rules, &Ownership::default(), &Steering::default(), &seen), &seen);
        let mut fewer = seen.clone();
        let cores = &mut fewer.host.topology.cores;
        cores.iter_mut().for_each(|core| core.cpus = core.cpus.without(&CpuSet::of([gone])));
        cores.retain(|core| !core.cpus.is_empty());
        fewer.host.online = fewer.host.online.without(&CpuSet::of([gone]));
        let after = seats(&rules, &before, &Steering::default(), &fewer);
        hold(&after, &rules, &fewer)?;
        hold(&seats(&rules, &written(&after, &fewer), &Steering::default(), &seen), &rules, &seen)?;
    }
}
