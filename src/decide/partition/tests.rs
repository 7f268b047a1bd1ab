//! Who is made a partition, and what is written on the way down to it.

use super::*;
use crate::config::Affinity;
use crate::decide::{Steering, decide};
use crate::estimate::Ownership;
use crate::model::{Core, Decision, Priority, Reading, Topology};
use crate::testing::{add_home, component, host, policy, set};

/// One core of its own, as a partition.
fn asking(name: &str, partition: Partition) -> Component {
    let mut made = component(name, Priority::Normal);
    made.cpu.affinity = Affinity::Dedicated(1);
    made.cpu.partition = partition;
    made
}

/// Four cores behind one cache.
fn four_cores() -> Snapshot {
    let mut seen = host();
    let core = |cpu| Core { cpus: CpuSet::of([cpu]), cache: 0, node: 0 };
    seen.host.online = CpuSet::of(0..4);
    seen.host.topology = Topology { cores: (0..4).map(core).collect(), ..Topology::default() };
    seen
}

fn decided(policy: &Policy, seen: &Snapshot) -> Decision {
    decide(policy, &Ownership::default(), &Steering::default(), seen)
}

/// What is wanted of the two files, by path.
fn wanted(decision: &Decision) -> Vec<String> {
    let kinds = [KnobKind::CpusetPartition, KnobKind::CpusetExclusive];
    let targets = decision.targets.iter().filter(|target| kinds.contains(&target.knob.kind()));
    targets.map(|target| format!("{} {}", target.at, target.knob)).collect()
}

fn refusal(decision: &Decision) -> &str {
    decision.unparted.values().next().map_or("", String::as_str)
}

#[test]
fn below_the_root_the_word_is_enough() {
    let feed = asking("feed", Partition::Isolated);
    let mut seen = four_cores();
    add_home(&mut seen, &feed, "feed");
    let decision = decided(&policy([feed]), &seen);
    assert_eq!(wanted(&decision), ["feed isolated"]);
    assert!(decision.unparted.is_empty(), "{:?}", decision.unparted);
}

#[test]
fn further_down_the_cpus_are_set_aside_on_the_way() {
    let feed = asking("feed", Partition::Root);
    let mut seen = four_cores();
    add_home(&mut seen, &feed, "provost/normal/feed");
    let rules = policy([feed]);
    let decision = decided(&rules, &seen);
    let own = cpus(&decision, "provost/normal/feed");
    let lines = [
        format!("provost {own}"),
        format!("provost/normal {own}"),
        "provost/normal/feed root".to_owned(),
        format!("provost/normal/feed {own}"),
    ];
    assert_eq!(wanted(&decision), lines);
    // Before Linux 6.7 there is no such file, and the kernel says what it lacks.
    for group in seen.groups.values_mut() {
        group.knobs.insert(KnobKind::CpusetExclusive, Reading::Absent);
    }
    assert_eq!(wanted(&decided(&rules, &seen)), ["provost/normal/feed root"]);
}

fn cpus(decision: &Decision, path: &str) -> CpuSet {
    let is_list = |knob: &Knob| {
        if let Knob::CpusetCpus(cpus) = knob { Some(cpus.clone()) } else { None }
    };
    let mut of = decision.targets.iter().filter(|target| target.at == CgroupPath::new(path));
    of.find_map(|target| is_list(&target.knob)).unwrap()
}

#[test]
fn below_a_partition_nothing_is_set_aside() {
    let feed = asking("feed", Partition::Root);
    let mut seen = four_cores();
    add_home(&mut seen, &feed, "apart/feed");
    set(&mut seen, "apart", Knob::CpusetPartition(Partition::Root, Validity::Valid));
    assert_eq!(wanted(&decided(&policy([feed]), &seen)), ["apart/feed root"]);
}

#[test]
fn what_systemd_writes_is_left_to_it() {
    let feed = asking("feed", Partition::Root);
    let mut seen = four_cores();
    add_home(&mut seen, &feed, "system.slice/feed.service");
    let decision = decided(&policy([feed]), &seen);
    assert_eq!(wanted(&decision), [""; 0]);
    assert!(refusal(&decision).contains("systemd writes"), "{:?}", decision.unparted);
    cpus(&decision, "system.slice/feed.service");
}

#[test]
fn of_several_groups_none_is_one() {
    let feed = asking("feed", Partition::Root);
    let mut seen = four_cores();
    add_home(&mut seen, &feed, "one");
    add_home(&mut seen, &feed, "two");
    let decision = decided(&policy([feed]), &seen);
    assert_eq!(wanted(&decision), [""; 0]);
    assert!(refusal(&decision).contains("2 groups"), "{:?}", decision.unparted);
}

#[test]
fn whoever_lives_below_is_not_taken_along() {
    let (feed, other) = (asking("feed", Partition::Root), component("other", Priority::Normal));
    let mut seen = four_cores();
    add_home(&mut seen, &feed, "feed");
    add_home(&mut seen, &other, "feed/other");
    let decision = decided(&policy([feed, other]), &seen);
    assert_eq!(wanted(&decision), [""; 0]);
    assert!(refusal(&decision).contains("other lives in it"), "{:?}", decision.unparted);
}

#[test]
fn the_reserve_is_left_to_the_root() {
    let (first, second) = (asking("a", Partition::Root), asking("b", Partition::Root));
    let mut seen = four_cores();
    add_home(&mut seen, &first, "a");
    add_home(&mut seen, &second, "b");
    let mut rules = policy([first, second]);
    rules.reserve.cpu = Millicpu::cores(3);
    let decision = decided(&rules, &seen);
    assert_eq!(wanted(&decision), ["a root"]);
    assert!(refusal(&decision).contains("less than the reserve"), "{:?}", decision.unparted);
    rules.reserve.cpu = Millicpu::cores(4);
    assert_eq!(wanted(&decided(&rules, &seen)), [""; 0]);
}

#[test]
fn nobody_else_is_touched() {
    let (feed, bulk) = (asking("feed", Partition::Member), component("bulk", Priority::Normal));
    let mut seen = four_cores();
    add_home(&mut seen, &feed, "feed");
    add_home(&mut seen, &bulk, "bulk");
    assert_eq!(wanted(&decided(&policy([feed, bulk]), &seen)), [""; 0]);
}
