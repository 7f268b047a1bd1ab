//! Partitions: what they leave, and when in a plan they come and go.

use super::*;
use crate::config::Affinity;
use crate::model::{Controller, Core, Partition, Topology, Validity};
use crate::units::CpuSet;

#[test]
fn partitions_leave_the_reserve_to_the_root() {
    let web = component("web", Priority::Normal);
    let mut seen = host();
    add_home(&mut seen, &web, "web");
    let mut rules = policy([web]);
    let apart = || Knob::CpusetPartition(Partition::Root, Validity::Valid);
    let broken = |rules: &Policy, seen: &Snapshot, path| {
        rules_broken(rules, seen, &write(seen, path, apart()))
    };
    assert_eq!(broken(&rules, &seen, "web"), ["L13"], "without a list");
    set(&mut seen, "web", Knob::CpusetCpus(CpuSet::of([1])));
    assert_eq!(broken(&rules, &seen, "web"), [""; 0]);
    rules.reserve.cpu = Millicpu(1001);
    assert_eq!(broken(&rules, &seen, "web"), ["L13"], "less than the reserve is left");
    rules.reserve.cpu = Millicpu::ZERO;
    set(&mut seen, "web", Knob::CpusetCpus(CpuSet::of([0, 1])));
    assert_eq!(broken(&rules, &seen, "web"), ["L13"], "no CPU is left");
    let back = Knob::CpusetPartition(Partition::Member, Validity::Valid);
    assert!(rules_broken(&rules, &seen, &write(&seen, "web", back)).is_empty());
}

#[test]
fn a_partition_comes_after_all_lists_and_goes_before_them() {
    let own = |cpus, partition| {
        let mut feed = component("feed", Priority::Normal);
        feed.cpu.affinity = Affinity::Dedicated(cpus);
        feed.cpu.partition = partition;
        feed
    };
    let bulk = component("bulk", Priority::Normal);
    let mut seen = host();
    let core = |cpu| Core { cpus: CpuSet::of([cpu]), cache: 0, node: 0 };
    seen.host.topology = Topology { cores: (0..2).map(core).collect(), ..Topology::default() };
    let feed = own(1, Partition::Root);
    add_home(&mut seen, &feed, "a/feed");
    add_home(&mut seen, &bulk, "z");
    let kinds = |plan: &Plan| -> Vec<String> {
        let of_cpus = |action: &Action| {
            let cpus = action
                .changes()
                .iter()
                .filter(|change| change.new.kind().controller() == Some(Controller::Cpuset));
            cpus.map(|change| format!("{} {}", action.path(), change.new.kind()))
                .collect::<Vec<_>>()
        };
        plan.actions.iter().flat_map(of_cpus).collect()
    };
    let (first, _) = plan_for(&policy([feed, bulk.clone()]), &seen);
    let lists = ["a/feed cpuset.cpus", "z cpuset.cpus"];
    let aside = ["a cpuset.cpus.exclusive", "a/feed cpuset.cpus.exclusive"];
    let parted = ["a/feed cpuset.cpus.partition"];
    assert_eq!(kinds(&first), [&lists[..], &aside[..], &parted[..]].concat());
    let mut ownership = Ownership::default();
    for action in &first.actions {
        for change in action.changes() {
            set(&mut seen, action.path().as_str(), change.new.clone());
            let id = seen.groups[action.path()].id;
            let original = Some(change.new.kind().kernel_default());
            ownership.adopt(action.path(), id, original, (&change.new, false));
        }
    }
    let rules = policy([own(1, Partition::Member), bulk]);
    let decision = decide(&rules, &ownership, &Steering::default(), &seen);
    let (plan, _) = plan(&ownership, &seen, &decision);
    assert_eq!(
        kinds(&plan),
        ["a/feed cpuset.cpus.partition", "a/feed cpuset.cpus.exclusive", "a cpuset.cpus.exclusive"]
    );
}
