//! What is expected, and of whom.

use super::*;
use crate::model::{MemoryStat, Priority, Snapshot};
use crate::testing::{add_home, component, forecast, host, policy, prospects};
use crate::units::{Bytes, CgroupPath, Limit};
use proptest::prelude::*;

/// In MiB.
const HOST: u64 = 2048;

fn mebi(count: u64) -> u64 {
    Bytes::mebi(count).0
}

/// A protected service that holds 300 MiB, and a job.
fn stage() -> (Policy, Snapshot, Estimator) {
    let (web, job) = (component("web", Priority::High), component("job", Priority::Low));
    let mut seen = host();
    for one in [&web, &job] {
        add_home(&mut seen, one, &format!("{}.service", one.name));
        let path = CgroupPath::new(&format!("{}.service", one.name));
        let usage = &mut seen.groups.get_mut(&path).unwrap().usage;
        usage.memory = Some(Bytes::mebi(300));
        let (anon, inactive_file) = (Bytes::mebi(300), Bytes::ZERO);
        usage.memory_stat = Some(MemoryStat { anon, inactive_file, ..MemoryStat::default() });
    }
    let policy = policy([web, job]);
    let mut estimator = Estimator::default();
    estimator.update(&policy, &seen);
    (policy, seen, estimator)
}

fn more(policy: &Policy, estimator: &Estimator, said: Option<Forecast>, who: &str) -> Option<u64> {
    let prospects = prospects(who, None, said);
    rise(policy, &prospects, estimator, (Resource::Memory, mebi(HOST))).map(|rise| rise.more)
}

#[test]
fn what_rises_counts_to_its_bound() {
    let (policy, _, estimator) = stage();
    let said = forecast((mebi(300), mebi(900), mebi(1000)), 80);
    assert_eq!(more(&policy, &estimator, Some(said), "web"), Some(mebi(700)));
    assert_eq!(more(&policy, &estimator, Some(said), "job"), None, "nobody makes room for it");
    assert_eq!(more(&policy, &estimator, None, "web"), None);
}

#[test]
fn what_was_needed_lately_is_no_news_however_high_the_bound() {
    let (policy, _, estimator) = stage();
    let said = forecast((mebi(880), mebi(900), mebi(1900)), 80);
    assert_eq!(more(&policy, &estimator, Some(said), "web"), None, "20 of 2048 MiB are noise");
    let unknown = Forecast { lately: None, ..forecast((0, mebi(900), mebi(1900)), 80) };
    assert_eq!(more(&policy, &estimator, Some(unknown), "web"), None, "it has just begun anew");
}

#[test]
fn nobody_is_expected_to_need_more_than_it_may_have() {
    let (mut policy, _, estimator) = stage();
    let said = forecast((mebi(300), mebi(5000), mebi(9000)), 80);
    assert_eq!(more(&policy, &estimator, Some(said), "web"), Some(mebi(HOST - 300)));
    let web = policy.components.values_mut().find(|one| one.name.as_str() == "web").unwrap();
    web.memory.ceiling = Limit::At(Bytes::mebi(500));
    assert_eq!(more(&policy, &estimator, Some(said), "web"), Some(mebi(200)));
}

#[test]
fn the_worst_forecast_of_those_who_are_there_counts() {
    let (policy, _, estimator) = stage();
    let said = |percent| Some(forecast((1, 2, 3), percent));
    let trusted = |prospects| trust(&policy, &prospects, &estimator);
    assert_eq!(trusted(prospects("web", said(90), said(80))), Ppm::percent(80));
    assert_eq!(trusted(prospects("web", said(90), None)), Ppm::ZERO);
    assert_eq!(trusted(prospects("job", said(90), said(90))), Ppm::ZERO);
    assert_eq!(
        trust(&policy, &prospects("web", said(90), said(80)), &Estimator::default()),
        Ppm::ZERO
    );
}

#[test]
fn it_is_told_in_words() {
    let (policy, _, estimator) = stage();
    let said = forecast((mebi(300), mebi(900), mebi(1000)), 80);
    let prospects = prospects("web", None, Some(said));
    let whole = (Resource::Memory, mebi(HOST));
    let rise = rise(&policy, &prospects, &estimator, whole).unwrap();
    let told = rise.told(Resource::Memory, &prospects);
    assert!(rise.is(&told));
    assert!(!rise.is(&Expected { likely: told.likely + 1, ..told.clone() }));
    insta::assert_snapshot!(told.to_string());
}

proptest! {
    #[test]
    fn little_confidence_and_little_rise_expect_nothing(
        lately in 0..4 * HOST, point in 0..4 * HOST, beyond in 0..HOST, percent in 0u32..=100
    ) {
        let (policy, _, estimator) = stage();
        let said = forecast((mebi(lately), mebi(point), mebi(point + beyond)), percent);
        let found = more(&policy, &estimator, Some(said), "web");
        let likely = point.min(HOST);
        let is_news = percent >= 30 && likely >= lately + HOST / 25 && likely + beyond > 300;
        prop_assert!(found.is_none() || is_news, "{:?}", found);
        prop_assert!(found.unwrap_or_default() <= mebi(HOST - 300));
    }
}
