//! What a policy comes to, resource by resource.

use super::*;
use crate::config::{Affinity, Division, IoDevice, IoPolicy, OomPolicy};
use crate::model::{IoMax, IoWeightBackend, Priority};
use crate::testing::{DISK, add_home, component, host, policy, stray};
use crate::units::{CpuMax, CpuSet, CpuTime, Limit, Millicpu, Weight};

fn wanted(decision: &Decision, path: &str, kind: KnobKind) -> Option<Knob> {
    let path = CgroupPath::new(path);
    let found =
        decision.targets.iter().find(|target| target.at == path && target.knob.kind() == kind);
    found.map(|target| target.knob.clone())
}

fn weight(decision: &Decision, path: &str) -> u32 {
    match wanted(decision, path, KnobKind::CpuWeight) {
        Some(Knob::CpuWeight(weight)) => weight.get(),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_component_without_limits_gets_a_weight_and_nothing_else() {
    let web = component("web", Priority::Normal);
    let mut seen = host();
    add_home(&mut seen, &web, "system.slice/web.service");
    let decision = decide(&policy([web]), &Ownership::default(), &Steering::default(), &seen);
    assert!(decision.targets.iter().all(|target| target.knob.kind() == KnobKind::CpuWeight));
}

#[test]
fn ten_to_one_shares_become_ten_to_one_weights() {
    let mut a = component("a", Priority::Normal);
    a.share_percent = 1000;
    let b = component("b", Priority::Normal);
    let mut seen = host();
    add_home(&mut seen, &a, "provost.slice/a.scope");
    add_home(&mut seen, &b, "provost.slice/b.scope");
    let decision = decide(&policy([a, b]), &Ownership::default(), &Steering::default(), &seen);
    let ratio = f64::from(weight(&decision, "provost.slice/a.scope"))
        / f64::from(weight(&decision, "provost.slice/b.scope"));
    assert!((9.9..10.1).contains(&ratio), "{ratio}");
}

#[test]
fn the_division_decides_the_weights() {
    let mut web = component("web", Priority::High);
    web.cpu.guarantee = Millicpu(500);
    let job = component("job", Priority::Normal);
    let mut seen = host();
    add_home(&mut seen, &web, "provost.slice/web.scope");
    add_home(&mut seen, &job, "provost.slice/job.scope");
    let mut policy = policy([web, job]);
    let mut entitled = |division| {
        policy.division = division;
        let decision = decide(&policy, &Ownership::default(), &Steering::default(), &seen);
        let weights = ["web", "job"]
            .map(|name| u64::from(weight(&decision, &format!("provost.slice/{name}.scope"))));
        let shares = ["web", "job"].map(|name| decision.entitlement[name].0);
        assert!((weights[0] * shares[1]).abs_diff(weights[1] * shares[0]) <= 2 * weights[0]);
        shares
    };
    // 1750 are there; 500 of them are guaranteed.
    assert_eq!(entitled(Division::Weighted), [1500, 250]);
    assert_eq!(entitled(Division::Priority), [1691, 59]);
    assert_eq!(entitled(Division::Fair), [1125, 625]);
    assert_eq!(entitled(Division::Quota), [1400, 350]);
}

#[test]
fn the_unregistered_keep_the_reserve_when_everybody_is_busy() {
    let web = component("web", Priority::Critical);
    let mut seen = host();
    add_home(&mut seen, &web, "provost.slice/web.scope");
    let decision = decide(&policy([web]), &Ownership::default(), &Steering::default(), &seen);
    // 1750 of 2000 for web against 300 of weight elsewhere at the root, which is to get 250.
    let slice = f64::from(weight(&decision, "provost.slice"));
    let unregistered = 2000.0 * 300.0 / (300.0 + slice);
    assert!((240.0..260.0).contains(&unregistered), "{unregistered}");
}

#[test]
fn a_guarantee_holds_through_a_slice_that_is_shared_with_others() {
    let mut db = component("db", Priority::Normal);
    db.cpu.guarantee = Millicpu(1000);
    let mut seen = host();
    add_home(&mut seen, &db, "system.slice/db.service");
    seen.groups.get_mut(&CgroupPath::new("system.slice")).unwrap().unmanaged_weight = 2000;
    seen.groups.get_mut(&CgroupPath::root()).unwrap().unmanaged_weight = 200;
    let decision = decide(&policy([db]), &Ownership::default(), &Steering::default(), &seen);
    let slice = f64::from(weight(&decision, "system.slice"));
    let service = f64::from(weight(&decision, "system.slice/db.service"));
    let share = slice / (slice + 200.0) * service / (service + 2000.0) * 2000.0;
    assert!(share >= 1000.0, "{share}");
}

#[test]
fn ceilings_become_limits_and_are_divided_among_homes() {
    let mut batch = component("batch", Priority::Low);
    batch.cpu.ceiling = Limit::At(Millicpu(500));
    batch.memory.ceiling = Limit::At(Bytes::mebi(256));
    batch.memory.oom = OomPolicy::Group;
    batch.pids = Limit::At(100);
    let mut seen = host();
    add_home(&mut seen, &batch, "system.slice/batch@1.service");
    add_home(&mut seen, &batch, "system.slice/batch@2.service");
    let decision = decide(&policy([batch]), &Ownership::default(), &Steering::default(), &seen);
    let home = "system.slice/batch@2.service";
    let quota = CpuMax { quota: Limit::At(CpuTime::millis(25)), period: CpuMax::DEFAULT_PERIOD };
    assert_eq!(wanted(&decision, home, KnobKind::CpuMax), Some(Knob::CpuMax(quota)));
    assert_eq!(
        wanted(&decision, home, KnobKind::MemoryMax),
        Some(Knob::MemoryMax(Limit::At(Bytes::mebi(128))))
    );
    assert_eq!(wanted(&decision, home, KnobKind::PidsMax), Some(Knob::PidsMax(Limit::At(50))));
    assert_eq!(wanted(&decision, home, KnobKind::MemoryOomGroup), Some(Knob::MemoryOomGroup(true)));
    assert_eq!(wanted(&decision, home, KnobKind::CpuMaxBurst), None, "low is not protected");
}

#[test]
fn a_protected_component_with_a_ceiling_may_burst() {
    let mut web = component("web", Priority::High);
    web.cpu.ceiling = Limit::At(Millicpu(1000));
    let mut seen = host();
    add_home(&mut seen, &web, "system.slice/web.service");
    let decision = decide(&policy([web]), &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(
        wanted(&decision, "system.slice/web.service", KnobKind::CpuMaxBurst),
        Some(Knob::CpuMaxBurst(CpuTime::millis(100)))
    );
}

#[test]
fn protection_is_carried_through_every_ancestor_below_the_root() {
    let mut web = component("web", Priority::Critical);
    web.memory.guarantee = Bytes::mebi(100);
    let mut db = component("db", Priority::High);
    db.memory.guarantee = Bytes::mebi(50);
    let mut seen = host();
    add_home(&mut seen, &web, "system.slice/inner.slice/web.service");
    add_home(&mut seen, &db, "system.slice/db.service");
    let decision = decide(&policy([web, db]), &Ownership::default(), &Steering::default(), &seen);
    let low = |mebi| Some(Knob::MemoryLow(Limit::At(Bytes::mebi(mebi))));
    assert_eq!(wanted(&decision, "system.slice", KnobKind::MemoryLow), low(150));
    assert_eq!(wanted(&decision, "system.slice/inner.slice", KnobKind::MemoryLow), low(100));
    assert_eq!(
        wanted(&decision, "system.slice", KnobKind::MemoryMin),
        Some(Knob::MemoryMin(Limit::At(Bytes::mebi(100)))),
        "only the critical one has memory.min"
    );
    assert_eq!(wanted(&decision, "", KnobKind::MemoryLow), None);
}

#[test]
fn a_component_may_have_little_swap_or_none() {
    let swap_max = |swap: Bytes| {
        let mut web = component("web", Priority::Normal);
        web.memory.swap = Some(Limit::At(swap));
        let mut seen = host();
        add_home(&mut seen, &web, "provost.slice/web.scope");
        let decision = decide(&policy([web]), &Ownership::default(), &Steering::default(), &seen);
        wanted(&decision, "provost.slice/web.scope", KnobKind::MemorySwapMax)
    };
    for swap in [Bytes::ZERO, Bytes::mebi(8)] {
        assert_eq!(swap_max(swap), Some(Knob::MemorySwapMax(Limit::At(swap))));
    }
}

#[test]
fn memory_max_follows_usage_down_instead_of_killing() {
    let mut hog = component("hog", Priority::Low);
    hog.memory.ceiling = Limit::At(Bytes::mebi(100));
    let mut seen = host();
    add_home(&mut seen, &hog, "system.slice/hog.service");
    let path = CgroupPath::new("system.slice/hog.service");
    seen.groups.get_mut(&path).unwrap().usage.memory = Some(Bytes::mebi(200));
    let decision =
        decide(&policy([hog.clone()]), &Ownership::default(), &Steering::default(), &seen);
    let target =
        decision.targets.iter().find(|target| target.knob.kind() == KnobKind::MemoryMax).unwrap();
    assert!(matches!(target.reason, Reason::AboveCeiling { .. }));
    assert!(target.knob > Knob::MemoryMax(Limit::At(Bytes::mebi(200))));
    hog.memory.hard = true;
    let decision = decide(&policy([hog]), &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(
        wanted(&decision, "system.slice/hog.service", KnobKind::MemoryMax),
        Some(Knob::MemoryMax(Limit::At(Bytes::mebi(100))))
    );
}

#[test]
fn a_later_disk_limit_overrides_key_by_key() {
    let mut batch = component("batch", Priority::Low);
    let all = IoPolicy {
        device: IoDevice::All,
        read: Limit::At(Bytes::mebi(10)),
        write: Limit::At(Bytes::mebi(10)),
        read_iops: Limit::Max,
        write_iops: Limit::Max,
    };
    let one = IoPolicy {
        device: IoDevice::Path { path: "/dev/sda".into(), disks: vec![DISK] },
        read: Limit::At(Bytes::mebi(50)),
        write: Limit::Max,
        ..all.clone()
    };
    batch.io = vec![all, one];
    let mut seen = host();
    add_home(&mut seen, &batch, "system.slice/batch.service");
    let decision = decide(&policy([batch]), &Ownership::default(), &Steering::default(), &seen);
    let max = IoMax {
        rbps: Limit::At(Bytes::mebi(50)),
        wbps: Limit::At(Bytes::mebi(10)),
        ..IoMax::UNLIMITED
    };
    assert_eq!(
        wanted(&decision, "system.slice/batch.service", KnobKind::IoMax(DISK)),
        Some(Knob::IoMax(DISK, max.into()))
    );
}

#[test]
fn io_weight_is_written_only_where_a_disk_heeds_it() {
    let web = component("web", Priority::Normal);
    let mut seen = host();
    add_home(&mut seen, &web, "system.slice/web.service");
    let rules = policy([web]);
    let without = decide(&rules, &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(wanted(&without, "system.slice/web.service", KnobKind::IoWeight), None);
    seen.host.disks[0].weights = IoWeightBackend::Bfq;
    let with = decide(&rules, &Ownership::default(), &Steering::default(), &seen);
    assert!(wanted(&with, "system.slice/web.service", KnobKind::IoWeight).is_some());
    assert_eq!(wanted(&with, "system.slice/web.service", KnobKind::IoBfqWeight), None, "systemd's");
}

#[test]
fn bfq_has_a_file_of_its_own() {
    let mut web = component("web", Priority::Normal);
    web.io_weight = Some(455);
    let mut seen = host();
    seen.host.disks[0].weights = IoWeightBackend::Bfq;
    add_home(&mut seen, &web, "provost/web");
    let decision = decide(&policy([web]), &Ownership::default(), &Steering::default(), &seen);
    let weight = |path, kind| wanted(&decision, path, kind);
    assert_eq!(
        weight("provost/web", KnobKind::IoBfqWeight),
        Some(Knob::IoBfqWeight(Weight::clamped(455)))
    );
    assert_eq!(weight("provost/web", KnobKind::IoWeight), None);
    // Against the unregistered groups' 300 at the root, with a weight of at most 1000.
    assert_eq!(
        weight("provost", KnobKind::IoBfqWeight),
        Some(Knob::IoBfqWeight(Weight::clamped(1000)))
    );
    assert!(weight("provost", KnobKind::CpuWeight) > Some(Knob::CpuWeight(Weight::clamped(1000))));
}

#[test]
fn an_explicit_affinity_becomes_a_cpuset() {
    let mut web = component("web", Priority::Normal);
    web.cpu.affinity = Affinity::Cpus(CpuSet::of([1]));
    let mut seen = host();
    add_home(&mut seen, &web, "system.slice/web.service");
    let decision = decide(&policy([web]), &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(
        wanted(&decision, "system.slice/web.service", KnobKind::CpusetCpus),
        Some(Knob::CpusetCpus(CpuSet::of([1])))
    );
}

#[test]
fn loose_processes_go_to_a_scope_in_the_slice_of_their_priority() {
    let sync = component("sync", Priority::Low);
    let mut seen = host();
    seen.strays = vec![stray(&sync, 500), stray(&sync, 501)];
    let rules = policy([sync]);
    let decision = decide(&rules, &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(decision.placements.len(), 1);
    assert_eq!(
        decision.placements[0].path,
        CgroupPath::new("provost.slice/provost-low.slice/provost-sync.scope")
    );
    seen.host.systemd = false;
    let decision = decide(&rules, &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(decision.placements[0].path, CgroupPath::new("provost/low/sync"));
}

#[test]
fn weights_stay_within_the_kernels_range_on_a_large_host() {
    let web = component("web", Priority::Critical);
    let tiny = component("tiny", Priority::Low);
    let mut seen = host();
    seen.host.online = CpuSet::of(0..512);
    seen.groups.get_mut(&CgroupPath::root()).unwrap().unmanaged_weight = 100_000;
    add_home(&mut seen, &web, "provost.slice/web.scope");
    add_home(&mut seen, &tiny, "provost.slice/tiny.scope");
    let decision = decide(&policy([web, tiny]), &Ownership::default(), &Steering::default(), &seen);
    assert_eq!(weight(&decision, "provost.slice"), Weight::MAX.get());
    assert!(weight(&decision, "provost.slice/tiny.scope") >= 1);
}
