//! What holds for a while: laid over any policy, it changes the keys it names and nothing else, or says why it cannot.

use super::property::valid;
use super::{host, load_text};
use crate::config::{Colour, ConfigIssue, Laid, Policy, canonical_toml, diff, quota_key, render};
use crate::model::{Moment, Quota, QuotaKey, Quotas};
use crate::units::{Bytes, Limit, Millicpu};
use proptest::prelude::*;

const TWO: &str = "[component.web]\nmatch = { unit = \"web.service\" }\ncpu = { guarantee = \"1\", ceiling = \"2\" }\n\
    memory.ceiling = \"1G\"\n[component.db]\npriority = \"high\"\nmatch = { unit = \"db.service\" }\n\
    cpu.guarantee = \"1.5\"\nmemory.ceiling = { min = \"64M\", max = \"512M\", cooldown = \"1m\" }\n\
    hook = { command = [\"/usr/bin/true\"], user = \"www-data\" }\n\
    io.limits = [{ device = \"/dev/sda\", write = \"1M\" }]\n";

fn policy() -> Policy {
    load_text("two.toml", TWO).unwrap().policy
}

fn quotas(of: &[(&str, &str, &str)]) -> Quotas {
    let mut quotas = Quotas::new();
    for (component, key, value) in of {
        let (from, until) = (Moment(1), Moment(2));
        let quota = Quota { value: (*value).to_owned(), from, until };
        let key = QuotaKey::of_word(key).unwrap();
        quotas.entry(component.parse().unwrap()).or_default().insert(key, quota);
    }
    quotas
}

fn laid(of: &[(&str, &str, &str)]) -> Result<Laid, Vec<ConfigIssue>> {
    policy().with_quotas(&quotas(of), &host())
}

#[test]
fn what_is_given_holds_as_if_it_were_written() {
    let Laid { policy: with, warnings } = laid(&[
        ("web", "cpu.ceiling", "75%"),
        ("web", "memory.ceiling", "{ min = '128M', max = '2G' }"),
        ("web", "io.limits", "[{ device = '/dev/nvme0n1', read = '5M' }]"),
        ("web", "pids.ceiling", "64"),
        ("db", "memory.ceiling", "max"),
        ("db", "cpu.guarantee", "\"2\""),
    ])
    .unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let (web, db) = (&with.components["web"], &with.components["db"]);
    assert_eq!(web.cpu.ceiling, Limit::At(Millicpu::cores(3)));
    assert_eq!(web.cpu.guarantee, Millicpu::cores(1));
    assert_eq!(web.memory.ceiling, Limit::At(Bytes::mebi(2048)));
    assert_eq!(web.memory.scale.map(|scale| scale.least), Some(Bytes::mebi(128)));
    assert_eq!((web.io.len(), web.pids), (1, Limit::At(64)));
    assert_eq!((db.memory.ceiling, db.memory.scale), (Limit::Max, None));
    assert_eq!(db.cpu.guarantee, Millicpu::cores(2));
    insta::assert_snapshot!(diff(&policy(), &with).join("\n"));
}

#[test]
fn what_cannot_be_given_is_told_in_full() {
    let cases: [&[(&str, &str, &str)]; 10] = [
        &[("web", "cpu.guarantee", "2.5")],
        &[("web", "cpu.guarantee", "2.5"), ("web", "cpu.ceiling", "4")],
        &[("web", "cpu.ceiling", "5m"), ("db", "memory.high", "2X")],
        &[("web", "pids.ceiling", "many")],
        &[("web", "io.limits", "10M")],
        &[("web", "io.limits", "[{ device = '/dev/none', write = '1M', speed = 3 }]")],
        &[("web", "io.limits", "[{ device = 'all', write = '1M' }")],
        &[("web", "cpu.ceiling", "1\n[reserve]\ncpu = '0'")],
        &[("web", "memory.high", "2G"), ("web", "cpu.ceiling", "")],
        &[("nobody", "cpu.ceiling", "1")],
    ];
    let told = cases.map(|case| render(&laid(case).unwrap_err(), Colour::Never));
    insta::assert_snapshot!(told.join("--------\n"));
}

#[test]
fn what_is_never_reached_is_a_warning() {
    let with = laid(&[("web", "cpu.ceiling", "9")]).unwrap();
    let lines: Vec<String> = with.warnings.iter().map(ConfigIssue::line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn keys_that_are_not_among_them_are_told_with_what_may_be_meant() {
    assert_eq!(quota_key("memory.high").unwrap(), QuotaKey::MemoryHigh);
    let told = ["cpu.ceilling", "memory_ceiling", "memory.ceiling.max", "priority", ""];
    let told = told.map(|word| quota_key(word).unwrap_err().line());
    insta::assert_snapshot!(told.join("\n"));
}

/// Values that some key takes, and some that none does.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "0", "0.5", "1", "10m", "25%", "100%", "64M", "512M", "2G", "max", "64", "4194304", "-1", "9999",
            "{ min = \"64M\", max = \"1G\" }", "{ min = 8, max = 64 }", "{ min = \"0.1\", max = \"1\" }",
            "[]", "[{ device = \"all\", write = \"1M\" }]", "[{ device = \"/dev/sda\", read-iops = 5 }]", "{}", "\"1\"",
        ]).prop_map(str::to_owned),
        1 => ".{0,20}",
    ]
}

fn given() -> impl Strategy<Value = Quotas> {
    let key = prop::sample::select(QuotaKey::ALL.to_vec());
    let one = (0usize..3, key, value());
    prop::collection::vec(one, 0..5).prop_map(|all| {
        let mut quotas = Quotas::new();
        for (number, key, value) in all {
            let quota = Quota { value, from: Moment(1), until: Moment(2) };
            let name = format!("c{number}").parse().unwrap();
            quotas.entry(name).or_default().insert(key, quota);
        }
        quotas
    })
}

proptest! {
    #[test]
    fn only_what_is_named_changes(text in valid(), mut quotas in given()) {
        let Ok(loaded) = load_text("x.toml", &text) else { return Ok(()) };
        quotas.retain(|name, _| loaded.policy.components.contains_key(name));
        match loaded.policy.with_quotas(&quotas, &host()) {
            Ok(laid) => {
                for change in diff(&loaded.policy, &laid.policy) {
                    let is_named = quotas.iter().any(|(name, keys)| {
                        keys.keys().any(|key| change.starts_with(&format!("component {name}: {key}: ")))
                    });
                    prop_assert!(is_named, "{}", change);
                }
                // It is a policy like any other.
                let canonical = canonical_toml(&laid.policy);
                let again = load_text("again.toml", &canonical);
                prop_assert!(again.is_ok_and(|again| canonical_toml(&again.policy) == canonical));
            }
            Err(issues) => {
                prop_assert!(issues.iter().any(ConfigIssue::is_error));
                prop_assert!(!render(&issues, Colour::Never).is_empty());
                prop_assert!(!quotas.is_empty());
            }
        }
    }
}
