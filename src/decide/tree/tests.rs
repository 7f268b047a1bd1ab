//! Who is idle, and that nobody else is by that.

use crate::decide::{Steering, decide};
use crate::estimate::Ownership;
use crate::model::{CpuClass, Decision, Knob, KnobKind, Priority, Reason, Target};
use crate::testing::{add_home, component, host, policy};
use crate::units::{CgroupPath, Millicpu, Weight};
use proptest::prelude::*;

fn weight(decision: &Decision, path: &str) -> Weight {
    let path = CgroupPath::new(path);
    let is_it = |target: &&Target| target.at == path && target.knob.kind() == KnobKind::CpuWeight;
    match decision.targets.iter().find(is_it).map(|target| &target.knob) {
        Some(Knob::CpuWeight(weight)) => *weight,
        other => panic!("{path}: {other:?}"),
    }
}

/// Components of these classes, each with its home.
fn decision(components: &[(&str, Option<CpuClass>, &str)]) -> Decision {
    let mut seen = host();
    let make = |(name, class, path): &(&str, Option<CpuClass>, &str)| {
        let mut made = component(name, Priority::Normal);
        made.cpu.class = *class;
        add_home(&mut seen, &made, path);
        made
    };
    let rules = policy(components.iter().map(make).collect::<Vec<_>>());
    decide(&rules, &Ownership::default(), &Steering::default(), &seen)
}

const SCAN: &str = "provost.slice/provost-idle.slice/provost-scan.scope";
const WEB: &str = "provost.slice/provost-normal.slice/provost-web.scope";

#[test]
fn what_only_idle_components_live_in_is_idle() {
    let decision = decision(&[("scan", Some(CpuClass::Idle), SCAN), ("web", None, WEB)]);
    assert_eq!(weight(&decision, SCAN), Weight::IDLE);
    assert_eq!(weight(&decision, "provost.slice/provost-idle.slice"), Weight::IDLE);
    assert!(weight(&decision, WEB) > Weight::MIN);
    assert!(weight(&decision, "provost.slice") > Weight::MIN);
    let scope = decision.targets.iter().find(|target| target.at.as_str().ends_with("scan.scope"));
    assert_eq!(scope.unwrap().reason, Reason::Idle);
}

#[test]
fn an_idle_component_takes_nothing_from_the_others_share() {
    let with = decision(&[("scan", Some(CpuClass::Idle), SCAN), ("web", None, WEB)]);
    let without = decision(&[("web", None, WEB)]);
    assert_eq!(with.entitlement["web"], without.entitlement["web"]);
    assert_eq!(with.entitlement["scan"], Millicpu::ZERO);
}

#[test]
fn a_class_has_the_share_of_its_priority() {
    let share = |class| {
        let decision = decision(&[("one", class, WEB), ("other", None, SCAN)]);
        decision.entitlement["one"]
    };
    assert_eq!(share(Some(CpuClass::Normal)), share(None));
    assert!(share(Some(CpuClass::High)) > share(None));
    assert!(share(Some(CpuClass::Low)) < share(None));
}

fn classes() -> impl Strategy<Value = Vec<(Option<CpuClass>, usize)>> {
    let class = prop_oneof![
        Just(None),
        Just(Some(CpuClass::Idle)),
        Just(Some(CpuClass::Idle)),
        Just(Some(CpuClass::Low)),
        Just(Some(CpuClass::High)),
    ];
    prop::collection::vec((class, 0usize..3), 1..8)
}

proptest! {
    #[test]
    fn nobody_else_is_idle_and_whoever_is_to_be_is(made in classes()) {
        let slices = ["system.slice", "a.slice/b.slice", "a.slice"];
        let named: Vec<(String, Option<CpuClass>, String)> = made
            .iter()
            .enumerate()
            .map(|(number, (class, slice))| {
                (format!("c{number}"), *class, format!("{}/c{number}.service", slices[*slice]))
            })
            .collect();
        let all: Vec<_> = named.iter().map(|(name, class, path)| (name.as_str(), *class, path.as_str())).collect();
        let decision = decision(&all);
        for (name, class, path) in &named {
            let is_idle = *class == Some(CpuClass::Idle);
            prop_assert_eq!(weight(&decision, path) == Weight::IDLE, is_idle, "{}", name);
            for above in CgroupPath::new(path).ancestors().filter(|above| !above.is_root()) {
                let idle_above = weight(&decision, above.as_str()) == Weight::IDLE;
                prop_assert!(is_idle || !idle_above, "{} is below the idle {}", name, above);
            }
        }
    }
}
