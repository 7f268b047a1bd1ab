//! What is given and taken back, by word and by the clock, over restarts and other configurations.

use super::*;
use crate::config::{Sources, canonical_toml, diff, load};
use crate::testing::host;
use crate::units::{Limit, Millicpu};
use proptest::prelude::*;
use std::path::Path;

/// These components on a host of two CPUs and 2 GiB, with a core and 256 MiB each at most.
fn policy(names: &[&str]) -> Policy {
    let mut text = "[reserve]\ncpu = \"0.25\"\nmemory = \"256M\"\n".to_owned();
    for name in names {
        text.push_str(&format!(
            "[component.{name}]\nmatch = {{ unit = \"{name}.service\" }}\ncpu.ceiling = \"1\"\nmemory.ceiling = \"256M\"\n"
        ));
    }
    let sources = Sources::text("test.toml", &text);
    capacity(&host().host, |capacity| load(&sources, capacity)).unwrap().policy
}

fn plain() -> Policy {
    policy(&["job", "web"])
}

fn name(name: &str) -> ComponentName {
    name.parse().unwrap()
}

/// What comes of asking for these keys for a minute.
fn asked_at(
    given: &Given,
    plain: &Policy,
    component: &str,
    keys: &[(&str, &str)],
    now: u64,
) -> Result<(Given, Laid), CannotGive> {
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let component = name(component);
    let (span, now) = (Span::secs(60), Moment(now));
    let wish = Wish { component: &component, keys: &keys, span, now };
    given.with(wish, plain.clone(), &host().host)
}

fn given(keys: &[(&str, &str)]) -> (Given, Policy) {
    let (given, laid) = asked_at(&Given::default(), &plain(), "web", keys, 100).unwrap();
    (given, laid.policy)
}

fn ceiling(policy: &Policy, name: &str) -> Limit<Millicpu> {
    policy.components[name].cpu.ceiling
}

/// A state folder that is removed in the end.
struct Scratch(Paths);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("provost-given-{name}-{}", std::process::id());
        let state = std::env::temp_dir().join(name);
        Self(Paths { run: state.clone(), state })
    }

    fn file(&self) -> PathBuf {
        file(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0.state);
    }
}

#[test]
fn what_is_given_ends_with_its_time() {
    let (mut given, policy) = given(&[("cpu.ceiling", "2"), ("memory.high", "64M")]);
    assert_eq!(ceiling(&policy, "web"), Limit::At(Millicpu::cores(2)));
    assert_eq!(given.end(Moment(159)), Vec::new());
    let views = given.views(&name("web"));
    let seen: Vec<_> = views.iter().map(|view| (view.key, view.configured.as_deref())).collect();
    assert_eq!(seen, [(QuotaKey::CpuCeiling, Some("\"1\"")), (QuotaKey::MemoryHigh, None)]);
    assert!(views.iter().all(|view| view.holds && view.until == Moment(160)));
    assert!(given.has(&name("web"), "cpu.ceiling") && !given.has(&name("job"), "cpu.ceiling"));
    assert_eq!(given.end(Moment(160)).len(), 2);
    let beneath = given.take_beneath().unwrap();
    let after = given.lay_over(beneath, &host().host);
    assert_eq!(diff(&plain(), &after), Vec::<String>::new());
    assert!(given.beneath().is_none() && given.views(&name("web")).is_empty());
}

#[test]
fn each_key_has_its_own_time_and_the_last_word_counts() {
    let (first, _) = given(&[("cpu.ceiling", "2"), ("memory.ceiling", "1G")]);
    let (mut second, laid) =
        asked_at(&first, &plain(), "web", &[("cpu.ceiling", "1.5")], 130).unwrap();
    assert_eq!(ceiling(&laid.policy, "web"), Limit::At(Millicpu(1500)));
    assert_eq!(second.end(Moment(160)), [(name("web"), QuotaKey::MemoryCeiling)]);
    let rest = second.lay_over(plain(), &host().host);
    assert_eq!(diff(&plain(), &rest).len(), 1);
    assert_eq!(second.end(Moment(190)), [(name("web"), QuotaKey::CpuCeiling)]);
}

#[test]
fn what_is_taken_back_is_as_if_it_had_never_been() {
    let (first, _) = given(&[("cpu.ceiling", "2")]);
    let (both, laid) = asked_at(&first, &plain(), "job", &[("cpu.ceiling", "0.5")], 100).unwrap();
    assert_eq!(ceiling(&laid.policy, "job"), Limit::At(Millicpu(500)));
    let mut without = both.without(&name("web"), &plain()).unwrap();
    let policy = without.lay_over(plain(), &host().host);
    assert_eq!(ceiling(&policy, "web"), Limit::At(Millicpu::cores(1)));
    assert_eq!(ceiling(&policy, "job"), Limit::At(Millicpu(500)));
    let nothing = without.without(&name("web"), &plain()).unwrap_err();
    assert_eq!(nothing, CannotGive::NothingThere { name: name("web") });
    assert_eq!(without.without(&name("nobody"), &plain()).unwrap_err().exit(), 4);
}

/// For whom, which keys with which values, and the exit code.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], u8);

#[test]
fn what_is_refused_changes_nothing_and_says_why() {
    let (first, _) = given(&[("cpu.guarantee", "1")]);
    let long = "x".repeat(LONGEST_VALUE + 1);
    let cases: [Refused<'_>; 7] = [
        ("nobody", &[("cpu.ceiling", "1")], 4),
        ("web", &[], 2),
        ("web", &[("cpu.ceilling", "1"), ("memory.ceiling", long.as_str())], 78),
        ("web", &[("cpu.ceiling", "0.5")], 78),
        ("job", &[("cpu.guarantee", "1")], 78),
        ("web", &[("memory.ceiling", "1M")], 78),
        ("web", &[("pids.ceiling", "4")], 78),
    ];
    let told = cases.map(|(component, keys, exit)| {
        let error = asked_at(&first, &plain(), component, keys, 100).unwrap_err();
        assert_eq!(error.exit(), exit, "{error}");
        error.to_string()
    });
    insta::assert_snapshot!(told.join("\n--------\n"));
    let (keys, component) =
        (BTreeMap::from([("cpu.ceiling".to_owned(), "1".to_owned())]), name("web"));
    for span in [Span::ZERO, Span::millis(999), Span::secs(31 * 86_400)] {
        let wish = Wish { component: &component, keys: &keys, span, now: Moment(0) };
        let error = first.with(wish, plain(), &host().host).unwrap_err();
        assert_eq!(error, CannotGive::Lasts { span });
    }
}

#[test]
fn no_more_than_some_have_something() {
    let names: Vec<String> = (0..=MOST).map(|number| format!("c{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = policy(&names);
    let mut given = Given::default();
    for name in &names[..MOST] {
        given = asked_at(&given, &many, name, &[("cpu.ceiling", "2")], 100).unwrap().0;
    }
    let error = asked_at(&given, &many, names[MOST], &[("cpu.ceiling", "2")], 100).unwrap_err();
    assert_eq!(error, CannotGive::TooMany);
    assert!(asked_at(&given, &many, "c0", &[("cpu.ceiling", "0.5")], 100).is_ok());
}

#[test]
fn one_may_make_room_for_another() {
    let mut full = plain();
    for component in full.components.values_mut() {
        component.cpu.guarantee = Millicpu(800);
    }
    // In the order of names the first alone would be too much.
    let (first, _) =
        asked_at(&Given::default(), &full, "web", &[("cpu.guarantee", "0.5")], 100).unwrap();
    let (mut both, _) = asked_at(&first, &full, "job", &[("cpu.guarantee", "1")], 100).unwrap();
    assert_eq!(both.findings(), Vec::new());
    let guarantee = |policy: &Policy| policy.components["job"].cpu.guarantee;
    assert_eq!(guarantee(&both.lay_over(full.clone(), &host().host)), Millicpu::cores(1));
    // Who made room cannot have it back as long as the other has it.
    let back = asked_at(&both, &full, "web", &[("cpu.guarantee", "0.8")], 100).unwrap_err();
    assert!(matches!(&back, CannotGive::Crowds { other, .. } if other.as_str() == "job"), "{back}");
    // Nor is anybody refused to give something back: what no longer fits is left out.
    let mut without = both.without(&name("web"), &full).unwrap();
    assert_eq!(guarantee(&without.lay_over(full, &host().host)), Millicpu(800));
    assert_eq!(without.findings().len(), 1);
}

#[test]
fn what_no_longer_fits_is_left_out_until_it_does() {
    let (mut given, _) = given(&[("cpu.ceiling", "0.5")]);
    let mut other = plain();
    other.components.get_mut("web").unwrap().cpu.guarantee = Millicpu(700);
    let policy = given.lay_over(other.clone(), &host().host);
    assert_eq!(diff(&other, &policy), Vec::<String>::new());
    assert!(!given.views(&name("web"))[0].holds && !given.has(&name("web"), "cpu.ceiling"));
    let mut told = given.findings();
    let mut gone = plain();
    gone.components.remove("web");
    assert!(given.lay_over(gone, &host().host).components.contains_key("job"));
    told.extend(given.findings());
    let texts: Vec<&str> = told.iter().map(|finding| finding.text.as_str()).collect();
    insta::assert_snapshot!(texts.join("\n"));
    let policy = given.lay_over(plain(), &host().host);
    assert_eq!(ceiling(&policy, "web"), Limit::At(Millicpu(500)));
    assert_eq!(given.findings(), Vec::new());
}

#[test]
fn it_is_kept_until_its_time_is_over() {
    let scratch = Scratch::new("kept");
    let (given, _) = given(&[("cpu.ceiling", "2")]);
    given.write(&scratch.0).unwrap();
    for read in [Given::read, Given::peek] {
        let mut read_again = read(&scratch.0, Moment(159));
        let policy = read_again.lay_over(plain(), &host().host);
        assert_eq!(ceiling(&policy, "web"), Limit::At(Millicpu::cores(2)));
        assert!(read(&scratch.0, Moment(160)).quotas.is_empty(), "over while no daemon ran");
    }
    Given::default().write(&scratch.0).unwrap();
    assert!(!scratch.file().exists());
    Given::default().write(&scratch.0).unwrap();
}

#[test]
fn a_file_that_makes_no_sense_is_set_aside_by_the_daemon_alone() {
    let scratch = Scratch::new("broken");
    std::fs::create_dir_all(&scratch.0.state).unwrap();
    let quota = |key: &str, until: u64| {
        format!(
            r#"{{"version":1,"components":{{"web":{{"{key}":{{"value":"2","from":7,"until":{until}}}}}}}}}"#
        )
    };
    let is_aside = |path: &Path| path.with_extension("broken").exists();
    for text in [
        "{\"version\":1,".to_owned(),
        quota("cpu.weight", 67),
        quota("cpu.ceiling", u64::MAX),
        quota("cpu.ceiling", 67).replace(":1,", ":2,"),
    ] {
        std::fs::write(scratch.file(), &text).unwrap();
        assert!(Given::peek(&scratch.0, Moment(8)).quotas.is_empty(), "{text}");
        assert!(scratch.file().exists(), "{text}");
        assert!(Given::read(&scratch.0, Moment(8)).quotas.is_empty(), "{text}");
        assert!(!scratch.file().exists() && is_aside(&scratch.file()), "{text}");
    }
    std::fs::write(scratch.file(), quota("cpu.ceiling", 67)).unwrap();
    assert_eq!(Given::read(&scratch.0, Moment(8)).quotas.len(), 1);
}

/// Values that fit, and some that do not.
fn wishes() -> impl Strategy<Value = Vec<(usize, usize, QuotaKey, &'static str, u64)>> {
    let values = vec!["0", "0.3", "0.8", "1", "1.7", "32M", "128M", "1G", "max", "64", "9"];
    let key = prop::sample::select(QuotaKey::ALL.to_vec());
    let wish = (0usize..2, 0usize..4, key, prop::sample::select(values), 1u64..120);
    prop::collection::vec(wish, 1..16)
}

proptest! {
    /// Whatever is given, refused, taken back or over in between: at the end of all times there is what there was without.
    #[test]
    fn what_ends_leaves_exactly_what_was_there_without_it(wishes in wishes()) {
        let (plain, host) = (plain(), host().host);
        let before = canonical_toml(&plain);
        let names = ["web", "job"];
        let (mut given, mut now) = (Given::default(), 100);
        for (who, what, key, value, later) in wishes {
            now += later;
            if !given.end(Moment(now)).is_empty() {
                let beneath = given.take_beneath().unwrap();
                let _policy = given.lay_over(beneath, &host);
            }
            let beneath = given.beneath().cloned().unwrap_or_else(|| plain.clone());
            prop_assert_eq!(canonical_toml(&beneath), before.clone());
            if what == 0 {
                if let Ok(mut without) = given.without(&name(names[who]), &plain) {
                    let _policy = without.lay_over(beneath, &host);
                    given = without;
                }
            } else if let Ok((with, laid)) =
                asked_at(&given, &beneath, names[who], &[(key.word(), value)], now)
            {
                prop_assert!(with.has(&name(names[who]), key.word()));
                prop_assert!(laid.policy.components.len() == 2);
                given = with;
            }
        }
        let _over = given.end(Moment(now + 60));
        let rest = given.take_beneath().unwrap_or_else(|| plain.clone());
        let after = given.lay_over(rest, &host);
        prop_assert_eq!(canonical_toml(&after), before);
        prop_assert!(given.quotas.is_empty() && given.findings().is_empty());
    }
}
