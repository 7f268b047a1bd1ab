//! The owner of all forecasters: what it takes in, whom it forgets, and that what was kept comes back.

use super::*;
use crate::config::Scale;
use crate::model::{ForecastStage, Instances, IoRate, Priority, Template};
use crate::testing::{add_home, component, host, policy};
use crate::units::{Bytes, Millicpu, Ppm};
use proptest::prelude::*;

/// The first second of a bucket.
const START: u64 = 1_700_000_100;

fn name(text: &str) -> ComponentName {
    text.parse().unwrap()
}

fn instances() -> Instances {
    Instances {
        template: Template::parse("job@.service").unwrap(),
        least: 1,
        most: 4,
        up: Millicpu(800),
        down: Millicpu(400),
        cooldown: Span::secs(60),
        drain: None,
    }
}

/// A host on which `count` components live, each with three tasks, and what the estimator makes of it.
fn seen(count: usize) -> (Policy, Snapshot, Estimator) {
    let components: Vec<_> =
        (0..count).map(|number| component(&format!("web-{number:03}"), Priority::Normal)).collect();
    let mut seen = host();
    for one in &components {
        add_home(&mut seen, one, &format!("system.slice/{}.service", one.name));
    }
    seen.groups.values_mut().for_each(|group| group.usage.pids = Some(3));
    let policy = policy(components);
    let mut estimator = Estimator::default();
    estimator.update(&policy, &seen);
    (policy, seen, estimator)
}

/// A component that used different amounts for so many buckets.
fn grown(buckets: u64) -> Foresight {
    let mut foreseen = Foreseen::new();
    for bucket in 0..buckets {
        let tasks = 20 + bucket % 7;
        let amounts = Amounts { pids: Some(tasks), ..Amounts::default() };
        foreseen.observe(Moment(START + 300 * bucket), &amounts);
    }
    foreseen.homes = vec![CgroupId(7)];
    Foresight {
        components: BTreeMap::from([(name("web"), foreseen)]),
        at: Some(Moment(START + 300 * buckets)),
        ..Foresight::default()
    }
}

#[test]
fn what_is_known_is_forecast_and_what_is_not_is_no_sample() {
    let (policy, seen, estimator) = seen(1);
    let mut foresight = Foresight::default();
    let web = name("web-000");
    for second in (0..3600).step_by(10) {
        foresight.look(&policy, &seen, &estimator, Moment(START + second));
    }
    let said = foresight.forecast(&web, Resource::Pids).unwrap();
    assert_eq!((said.point, said.stage), (3, ForecastStage::Learning));
    assert_eq!(said.as_of, Moment(START + 3300));
    assert_eq!(foresight.forecast(&web, Resource::Cpu), None, "one look tells no rate");
    let views = foresight.views(&web);
    assert_eq!(views[&Resource::Pids].recent, [3; 11]);
    assert_eq!(views[&Resource::Pids].quantile, Ppm::percent(99));
    assert!(foresight.views(&name("other")).is_empty());
}

#[test]
fn a_second_look_in_the_same_second_changes_nothing() {
    let (policy, seen, estimator) = seen(1);
    let mut foresight = Foresight::default();
    foresight.look(&policy, &seen, &estimator, Moment(START));
    let once = foresight.clone();
    foresight.look(&policy, &seen, &estimator, Moment(START));
    assert_eq!(foresight, once);
    foresight.look(&policy, &seen, &estimator, Moment(START + 1));
    assert_ne!(foresight, once);
}

#[test]
fn a_forecast_is_lent_until_its_time_is_over() {
    let (policy, mut seen, estimator) = seen(1);
    let mut foresight = Foresight::default();
    let web = name("web-000");
    for second in (0..=600).step_by(10) {
        foresight.look(&policy, &seen, &estimator, Moment(START + second));
    }
    seen.homes.clear();
    let gone = Estimator::default();
    // The bucket that had just begun ends at 900, and looks ahead until 1800.
    for (second, is_lent) in [(900, true), (1800, true), (1801, false), (100, true)] {
        foresight.look(&policy, &seen, &gone, Moment(START + second));
        let said = foresight.forecast(&web, Resource::Pids);
        assert_eq!(said.is_some(), is_lent, "{second}");
        assert_eq!(foresight.views(&web).is_empty(), !is_lent, "{second}");
    }
}

#[test]
fn decisions_hear_of_who_is_protected_or_follows_its_need_and_not_beyond_the_horizon() {
    let learnt = |_| Foreseen { homes: Vec::new(), ..grown(100).components["web"].clone() };
    let mut foresight = grown(100);
    for other in ["db", "job"] {
        foresight.components.insert(name(other), learnt(other));
    }
    let priority = [("web", Priority::High), ("job", Priority::Low)];
    let rules = policy(priority.map(|(name, priority)| component(name, priority)));
    let mut prospects = Prospects::default();
    foresight.lend(&rules, &mut prospects);
    let said = foresight.forecast(&name("web"), Resource::Pids);
    assert_eq!(prospects.of(&name("web"), Resource::Pids), said.as_ref());
    let said = said.unwrap();
    assert_eq!(said.lately, Some(26), "of 97, 98 and 99 buckets: {said:?}");
    assert_eq!(prospects.within(), Span::secs(900));
    for other in ["db", "job"] {
        assert_eq!(prospects.of(&name(other), Resource::Pids), None, "{other}");
    }
    let follows: [fn(&mut Component); 2] = [
        |job| job.pids_scale = Some(Scale { least: 8, cooldown: Span::secs(60) }),
        |job| job.instances = Some(instances()),
    ];
    for follow in follows {
        let mut job = component("job", Priority::Low);
        follow(&mut job);
        let mut prospects = Prospects::default();
        foresight.lend(&policy([job]), &mut prospects);
        assert_eq!(prospects.of(&name("job"), Resource::Pids), Some(&said));
        assert_eq!(prospects.of(&name("web"), Resource::Pids), None, "not registered");
    }
    foresight.at = Some(Moment(START + 300 * 110));
    foresight.lend(&rules, &mut prospects);
    assert_eq!(prospects.of(&name("web"), Resource::Pids), None, "over");
}

/// Held from nine in the morning until five in the afternoon, and at other times.
const OPEN: Bytes = Bytes::mebi(600);
const CLOSED: Bytes = Bytes::mebi(80);

#[test]
fn a_rise_that_comes_every_morning_is_foreseen_a_quarter_of_an_hour_before() {
    let mut foreseen = Foreseen::new();
    let mut mornings = Vec::new();
    for bucket in 0..5 * 288_u64 {
        let is_open = (9 * 12..17 * 12).contains(&(bucket % 288));
        let memory = Some(if is_open { OPEN } else { CLOSED });
        foreseen.observe(Moment(300 * bucket), &Amounts { memory, ..Amounts::default() });
        if bucket % 288 == 9 * 12 - 2 {
            mornings.extend(foreseen.series.memory.forecaster.forecast());
        }
    }
    let rises: Vec<bool> = mornings.iter().map(|said| said.rise() > OPEN.0 / 2).collect();
    let trusts: Vec<u32> = mornings.iter().map(|said| said.confidence.get() / 10_000).collect();
    println!("{rises:?} {trusts:?} {mornings:?}");
    assert!(rises[2..].iter().all(|rises| *rises), "{rises:?}");
    assert!(trusts[2..].iter().all(|trust| *trust >= 50), "{trusts:?}");
}

#[test]
fn other_homes_are_another_run() {
    let (policy, mut seen, estimator) = seen(1);
    let web = name("web-000");
    let mut foresight = Foresight::default();
    for bucket in 0..4 {
        foresight.look(&policy, &seen, &estimator, Moment(START + 300 * bucket));
    }
    let series = |foresight: &Foresight| foresight.components[&web].series.clone();
    let look = |foresight: &mut Foresight, seen: &Snapshot| {
        let at = Moment(foresight.at.unwrap().0 + 1);
        let mut anew = foresight.components[&web].clone();
        anew.restarted();
        let mut same = foresight.components[&web].clone();
        let demand = estimator.component(&web).unwrap().demand;
        [&mut anew, &mut same].into_iter().for_each(|one| one.observe(at, &demand));
        foresight.look(&policy, seen, &estimator, at);
        assert_ne!(anew.series, same.series);
        (series(foresight) == anew.series, series(foresight) == same.series)
    };
    assert_eq!(look(&mut foresight, &seen), (false, true), "it lives where it did");
    let mut other = seen.homes[&web][0].clone();
    other.at.id = CgroupId(4711);
    seen.homes.get_mut(&web).unwrap().push(other);
    assert_eq!(look(&mut foresight, &seen), (false, true), "one more home");
    seen.homes.get_mut(&web).unwrap().remove(0);
    assert_eq!(look(&mut foresight, &seen), (false, true), "one is left");
    let homes = seen.homes.remove(&web).unwrap();
    assert_eq!(look(&mut foresight, &seen), (false, true), "it lives nowhere");
    seen.homes.insert(web.clone(), homes);
    assert_eq!(look(&mut foresight, &seen), (false, true), "the same again");
    seen.homes.get_mut(&web).unwrap()[0].at.id = CgroupId(4712);
    assert_eq!(look(&mut foresight, &seen), (true, false), "made anew");
}

#[test]
fn no_more_than_two_hundred_are_forecast() {
    let (mut policy, seen, estimator) = seen(MOST_COMPONENTS + 3);
    let mut foresight = Foresight::default();
    foresight.look(&policy, &seen, &estimator, Moment(START));
    assert_eq!((foresight.components().count(), foresight.left_out()), (MOST_COMPONENTS, 3));
    policy.components.remove("web-007");
    foresight.look(&policy, &seen, &estimator, Moment(START + 1));
    assert_eq!((foresight.components().count(), foresight.left_out()), (MOST_COMPONENTS, 2));
    assert!(
        foresight.components.contains_key("web-200")
            && !foresight.components.contains_key("web-007")
    );
}

#[test]
fn what_all_take_is_bounded() {
    let mut foreseen = Foreseen::new();
    for bucket in 0..4 * 288 {
        let amount = bucket * 7919 % 104_729;
        let io = IoRate { read: Bytes(amount), ..Default::default() };
        let amounts = Amounts {
            cpu: Some(Millicpu(amount)),
            memory: Some(Bytes(amount)),
            io: Some(io),
            pids: Some(amount),
        };
        foreseen.observe(Moment(START + 300 * bucket), &amounts);
    }
    let bytes: usize = Resource::ALL.map(|one| foreseen.series.of(one).bytes()).iter().sum();
    assert!(bytes > 64 << 10, "{bytes}: all have seen days");
    assert!(MOST_COMPONENTS * bytes <= 17 << 20, "{bytes}");
    let mut foresight = Foresight::default();
    foresight.components.insert(name("web"), foreseen);
    let text = foresight.text(&name("web"), "b").unwrap().unwrap();
    assert!(text.len() < 128 << 10, "{}", text.len());
}

#[test]
fn who_is_wrong_too_often_is_named() {
    let mut foresight = grown(0);
    let foreseen = foresight.components.get_mut("web").unwrap();
    let mut random = 1_u64;
    for bucket in 0..600 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let bursts = random >> 60 == 0;
        let read = Bytes(if bursts { 1 << 30 } else { 0 });
        let io = IoRate { read, ..Default::default() };
        let amounts = Amounts { io: Some(io), pids: Some(9), ..Amounts::default() };
        foreseen.observe(Moment(START + 300 * bucket), &amounts);
    }
    foresight.at = Some(Moment(START + 300 * 600));
    let named: Vec<_> = foresight.unreliable().collect();
    assert_eq!(named.len(), 1, "{named:?}");
    let (who, resource, said) = named[0];
    assert_eq!((who.as_str(), resource), ("web", Resource::Io));
    assert!(said.is_unreliable && said.confidence < Ppm::percent(30), "{said:?}");
}

#[test]
fn what_changed_is_kept_in_turn() {
    let (policy, seen, estimator) = seen(3);
    let mut foresight = Foresight::default();
    foresight.look(&policy, &seen, &estimator, Moment(START));
    assert_eq!(foresight.changed(None), None, "no bucket is over");
    foresight.look(&policy, &seen, &estimator, Moment(START + 300));
    let (first, second) = (name("web-000"), name("web-001"));
    assert_eq!(foresight.changed(None), Some(&first));
    assert_eq!(foresight.changed(Some(&first)), Some(&second));
    assert!(foresight.text(&first, "b").is_some());
    assert_eq!(foresight.changed(None), Some(&second));
    assert_eq!(foresight.changed(Some(&name("web-002"))), None);
    assert!(foresight.text(&name("nobody"), "b").is_none());
}

#[test]
fn what_was_kept_comes_back_to_the_bit() {
    let (mut before, mut after) = (grown(700), Foresight::default());
    let web = name("web");
    let text = before.text(&web, "a boot").unwrap().unwrap();
    after.take_up(&web, text.as_bytes(), "a boot").unwrap();
    assert_eq!(after.components, before.components);
    assert_eq!(after.text(&web, "a boot").unwrap().unwrap(), text);
    let mut rebooted = Foresight::default();
    rebooted.take_up(&web, text.as_bytes(), "another boot").unwrap();
    let mut anew = before.components["web"].clone();
    anew.restarted();
    anew.homes.clear();
    assert_eq!(rebooted.components["web"], anew);
}

#[test]
fn another_text_is_refused() {
    let mut before = grown(30);
    let web = name("web");
    let text = before.text(&web, "b").unwrap().unwrap();
    let other_version = text.replace("\"version\":2", "\"version\":1");
    let no_number = text.replace("\"homes\":[7]", "\"homes\":[-7]");
    for (bad, why) in [
        ("", "it is damaged: EOF"),
        ("{}", "it is damaged: missing field `version`"),
        ("{\"version\":1}", "its version 1 is not 2"),
        (&other_version, "its version 1 is not 2"),
        (&no_number, "it is damaged: invalid value"),
    ] {
        let mut foresight = Foresight::default();
        let error = foresight.take_up(&web, bad.as_bytes(), "b").unwrap_err().to_string();
        assert!(error.starts_with(why), "{error}");
        assert_eq!(foresight, Foresight::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A cut or changed byte makes a text that is refused, or a state that goes on and says nothing that cannot be.
    #[test]
    fn a_damaged_text_is_refused_or_harmless(
        place in any::<prop::sample::Index>(), with in "[0-9eE.,:{}\"n-]", cut in any::<bool>()
    ) {
        let web = name("web");
        let text = grown(40).text(&web, "b").unwrap().unwrap();
        let place = place.index(text.len());
        let (before, behind) = text.split_at(place);
        let rest = if cut { "" } else { behind.split_at(1).1 };
        let damaged = [before, with.as_str(), rest].concat();
        let mut foresight = Foresight::default();
        if foresight.take_up(&web, damaged.as_bytes(), "b").is_err() {
            prop_assert_eq!(foresight, Foresight::default());
            return Ok(());
        }
        let amounts = Amounts { pids: Some(5), ..Amounts::default() };
        for bucket in 40..70 {
            let at = Moment(START + 300 * bucket);
            foresight.components.get_mut("web").unwrap().observe(at, &amounts);
            foresight.at = Some(at);
            for said in Resource::ALL.map(|one| foresight.forecast(&web, one)).into_iter().flatten() {
                prop_assert!(said.point <= said.upper && said.confidence <= Ppm::WHOLE);
            }
        }
        prop_assert!(foresight.text(&web, "b").unwrap().is_ok());
    }
}

#[test]
fn the_host_and_its_days_come_back() {
    let (policy, mut seen, mut estimator) = seen(1);
    let mut foresight = Foresight::default();
    for hour in 0..24 * 16 {
        seen.load.tasks = Some(500 + hour / 24);
        seen.at = seen.at.plus(Span::secs(3600));
        estimator.update(&policy, &seen);
        foresight.look(&policy, &seen, &estimator, Moment(START + 3600 * hour));
    }
    let growth = foresight.host_growth();
    assert_eq!(growth[&Resource::Pids].per_week, 7);
    assert!(!growth.contains_key(&Resource::Io), "nobody knows what that is a part of");
    let text = foresight.host_text().unwrap();
    let mut next = Foresight::default();
    next.take_up_host(text.as_bytes()).unwrap();
    assert_eq!(next.host_growth(), growth);
    for bad in [
        "",
        "{}",
        "{\"version\":1,\"host\":{}}",
        &text.replace("[", &format!("[{}", "1,".repeat(40))),
    ] {
        let _why = next.take_up_host(bad.as_bytes()).unwrap_err();
        assert_eq!(next.host_growth(), growth, "{bad}");
    }
}
