//! Differences, their order, and the rules a plan must keep.

mod mending;
mod partitions;

use super::*;
use crate::config::Policy;
use crate::decide::{Steering, decide};
use crate::model::{
    Action, FindingKind, Knob, KnobKind, Priority, ReadFault, Reading, Reason, Via,
};
use crate::testing::{PAGE, add_home, component, host, policy, set, stray};
use crate::units::{Bytes, CgroupPath, CpuMax, CpuTime, Limit, Millicpu, Weight};

const WEB: &str = "system.slice/web.service";

fn plan_for(rules: &Policy, seen: &Snapshot) -> (Plan, Vec<Skipped>) {
    let ownership = Ownership::default();
    plan(&ownership, seen, &decide(rules, &ownership, &Steering::default(), seen))
}

fn limited() -> crate::config::Component {
    let mut web = component("web", Priority::High);
    web.cpu.ceiling = Limit::At(Millicpu(500));
    web.memory.guarantee = Bytes::mebi(64);
    web.memory.ceiling = Limit::At(Bytes::mebi(128));
    web
}

#[test]
fn all_properties_of_a_unit_go_in_one_call() {
    let web = limited();
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    let (plan, _) = plan_for(&policy([web]), &seen);
    let calls: Vec<&Action> =
        plan.actions.iter().filter(|action| action.path().name() == "web.service").collect();
    assert_eq!(calls.len(), 2, "{calls:#?}");
    let kinds: Vec<KnobKind> =
        calls.iter().flat_map(|action| action.changes()).map(|change| change.new.kind()).collect();
    assert!(
        matches!(calls[0], Action::Write { change, .. } if change.new.kind() == KnobKind::CpuMaxBurst)
    );
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

#[test]
fn ancestors_are_protected_before_a_leaf_is_limited() {
    let web = limited();
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    let (plan, _) = plan_for(&policy([web]), &seen);
    let slice = plan.actions.iter().position(|action| action.path().name() == "system.slice");
    let leaf = plan.actions.iter().position(|action| {
        action.changes().iter().any(|change| change.new.kind() == KnobKind::MemoryMax)
    });
    assert!(slice.unwrap() < leaf.unwrap());
}

#[test]
fn a_burst_waits_for_its_file_when_the_controller_is_off() {
    let web = limited();
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    let group = seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap();
    group.knobs.insert(KnobKind::CpuMaxBurst, Reading::Absent);
    group.knobs.insert(KnobKind::CpuMax, Reading::Absent);
    let (plan, _) = plan_for(&policy([web]), &seen);
    let position = |kind| {
        plan.actions
            .iter()
            .position(|action| action.changes().iter().any(|change| change.new.kind() == kind))
            .unwrap()
    };
    assert!(position(KnobKind::CpuMax) < position(KnobKind::CpuMaxBurst));
}

#[test]
fn lowering_a_quota_lowers_its_burst_first() {
    let web = limited();
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    let wide = CpuMax { quota: Limit::At(CpuTime::millis(200)), period: CpuMax::DEFAULT_PERIOD };
    set(&mut seen, WEB, Knob::CpuMax(wide));
    set(&mut seen, WEB, Knob::CpuMaxBurst(CpuTime::millis(200)));
    let (plan, _) = plan_for(&policy([web]), &seen);
    let kinds: Vec<KnobKind> = plan
        .actions
        .iter()
        .flat_map(Action::changes)
        .map(|change| change.new.kind())
        .filter(|kind| matches!(kind, KnobKind::CpuMax | KnobKind::CpuMaxBurst))
        .collect();
    assert_eq!(kinds, [KnobKind::CpuMaxBurst, KnobKind::CpuMax]);
}

#[test]
fn what_could_not_be_read_is_held() {
    let web = limited();
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    let fault = ReadFault {
        file: "memory.max".to_owned(),
        errno: 5,
        what: "input/output error".to_owned(),
    };
    let group = seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap();
    group.knobs.insert(KnobKind::MemoryMax, Reading::Failed(fault.into()));
    let (plan, skipped) = plan_for(&policy([web]), &seen);
    let touched = plan.actions.iter().flat_map(Action::changes);
    assert!(touched.into_iter().all(|change| change.new.kind() != KnobKind::MemoryMax));
    assert!(skipped.iter().any(|skipped| skipped.kind == FindingKind::Unreadable));
}

#[test]
fn a_missing_controller_is_said_and_nothing_is_written() {
    let web = limited();
    let mut seen = host();
    add_home(&mut seen, &web, "containers/web");
    let group = seen.groups.get_mut(&CgroupPath::new("containers/web")).unwrap();
    group.via = Via::File;
    group.knobs.insert(KnobKind::MemoryMax, Reading::Absent);
    let (_, skipped) = plan_for(&policy([web]), &seen);
    let found = skipped.iter().find(|skipped| skipped.held.kind == KnobKind::MemoryMax).unwrap();
    assert_eq!(found.kind, FindingKind::Missing);
    assert!(found.held.why.contains("memory controller"), "{}", found.held.why);
}

#[test]
fn oom_group_is_written_again_after_systemd_resets_it() {
    let mut web = limited();
    web.memory.oom = crate::config::OomPolicy::Group;
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    set(&mut seen, WEB, Knob::MemoryOomGroup(true));
    let (plan, _) = plan_for(&policy([web]), &seen);
    let last = plan.actions.last().unwrap();
    assert!(
        matches!(last, Action::Write { change, .. } if change.new == Knob::MemoryOomGroup(true))
    );
}

#[test]
fn weights_within_a_fiftieth_are_left() {
    let web = component("web", Priority::Normal);
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    let rules = policy([web]);
    let (plan, _) = plan_for(&rules, &seen);
    let wanted =
        plan.actions
            .iter()
            .flat_map(Action::changes)
            .filter(|change| change.component.is_some())
            .find_map(|change| {
                if let Knob::CpuWeight(weight) = change.new { Some(weight.get()) } else { None }
            })
            .unwrap();
    set(&mut seen, WEB, Knob::CpuWeight(Weight::clamped(u64::from(wanted + wanted / 60))));
    let (plan, _) = plan_for(&rules, &seen);
    assert!(plan.actions.iter().all(|action| action.path().name() != "web.service"), "{plan:?}");
}

fn rules_broken(rules: &Policy, seen: &Snapshot, plan: &Plan) -> Vec<String> {
    let rule = |text: &str| {
        let (_, after) = text.split_once(" by rule ").unwrap();
        after.split_once(':').unwrap().0.to_owned()
    };
    lint(rules, seen, plan).iter().map(|finding| rule(&finding.text)).collect()
}

fn write(seen: &Snapshot, path: &str, new: Knob) -> Plan {
    let path = CgroupPath::new(path);
    let at = crate::units::CgroupRef { id: seen.groups[&path].id, path };
    let change = crate::model::Change {
        component: Some("web".parse().unwrap()),
        old: Reading::Absent,
        new,
        reason: Reason::Configured { key: "test".into() },
    };
    Plan { actions: vec![Action::Write { at, change }] }
}

#[test]
fn the_lint_refuses_every_planted_offence() {
    let web = component("web", Priority::Normal);
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    add_home(&mut seen, &web, "system.slice/ssh.service");
    seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage.memory = Some(Bytes::mebi(100));
    seen.groups.get_mut(&CgroupPath::new("system.slice")).unwrap().holds_protected = true;
    let rules = policy([web.clone()]);
    let max = |mebi| Knob::MemoryMax(Limit::At(Bytes::mebi(mebi)));
    for (rule, path, knob) in [
        ("L1", "system.slice/ssh.service", max(512)),
        ("L2", "system.slice", max(512)),
        ("L3", WEB, Knob::PidsMax(Limit::At(1))),
        ("L4", WEB, max(100)),
        ("L5", WEB, Knob::CpuMaxBurst(CpuTime(u64::MAX))),
        ("L6", WEB, Knob::CpusetCpus(crate::units::CpuSet::of([7]))),
        ("L7", WEB, Knob::MemoryMin(Limit::At(Bytes::mebi(1500)))),
    ] {
        let mut seen = seen.clone();
        if rule == "L5" {
            set(
                &mut seen,
                WEB,
                Knob::CpuMax(CpuMax {
                    quota: Limit::At(CpuTime(5000)),
                    period: CpuMax::DEFAULT_PERIOD,
                }),
            );
        }
        let broken = rules_broken(&rules, &seen, &write(&seen, path, knob.clone()));
        assert!(broken.contains(&rule.to_owned()), "{rule} {knob:?}: {broken:?}");
    }
    let mut near = write(&seen, WEB, Knob::MemoryHigh(Limit::At(Bytes::mebi(400))));
    let Action::Write { change, .. } = &mut near.actions[0] else { unreachable!() };
    change.reason =
        Reason::YieldsMemory { because: String::new(), left: Bytes::ZERO, others: Bytes::ZERO };
    let mut tight = seen.clone();
    set(&mut tight, WEB, max(511));
    assert_eq!(rules_broken(&rules, &tight, &near), ["L12"]);
    set(&mut tight, WEB, max(512));
    assert!(rules_broken(&rules, &tight, &near).is_empty());
    let mut theft = stray(&web, 4242);
    theft.from = CgroupPath::new("system.slice/cron.service");
    let home = seen.homes[&web.name][0].clone();
    let attach = Action::Attach { component: web.name.clone(), home, strays: vec![theft] };
    assert_eq!(rules_broken(&rules, &seen, &Plan { actions: vec![attach] }), ["L8"]);
    let mut twice = write(&seen, WEB, Knob::PidsMax(Limit::At(100)));
    twice.actions.extend(write(&seen, WEB, Knob::PidsMax(Limit::At(200))).actions);
    assert_eq!(rules_broken(&rules, &seen, &twice), ["L9"]);
}

#[test]
fn a_broken_rule_holds_up_its_own_group_only() {
    let web = component("web", Priority::Normal);
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    add_home(&mut seen, &web, "system.slice/db.service");
    let rules = policy([web]);
    let pids = |path, count| write(&seen, path, Knob::PidsMax(Limit::At(count)));
    let mut mixed = pids(WEB, 1);
    mixed.actions.extend(pids(WEB, 100).actions);
    mixed.actions.extend(pids("system.slice/db.service", 100).actions);
    let (left, broken) = sound(&rules, &seen, mixed);
    assert_eq!(left, pids("system.slice/db.service", 100));
    assert_eq!(broken.len(), 2, "too low, and set twice: {broken:?}");
    let mut greedy = write(&seen, WEB, Knob::MemoryMin(Limit::At(Bytes::mebi(1500))));
    greedy.actions.extend(pids("system.slice/db.service", 100).actions);
    assert!(sound(&rules, &seen, greedy).0.is_empty(), "all protection together is too much");
}

#[test]
fn a_shown_plan_reads_from_old_to_effective() {
    let mut web = limited();
    web.memory.ceiling = Limit::At(Bytes(100_000_000));
    let sync = component("sync", Priority::Low);
    let mut seen = host();
    add_home(&mut seen, &web, WEB);
    seen.strays = vec![stray(&sync, 812)];
    let (plan, _) = plan_for(&policy([web, sync]), &seen);
    let text: Vec<String> = show::lines(&plan, PAGE)
        .into_iter()
        .map(|line| {
            format!(
                "{} {} {}: {} -> {} -> {} by {} ({})",
                line.component,
                line.at,
                line.what,
                line.old,
                line.new,
                line.effective,
                line.via,
                line.reason
            )
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}
