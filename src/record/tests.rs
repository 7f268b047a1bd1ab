//! What is packed is unpacked equal, and whole recordings come back as they were.

use super::*;
use crate::model::{Decision, Finding, FindingKind, Knob, Plan, Severity, Snapshot};
use crate::testing::{add_home, carry_out, component, host, policy, set};
use crate::units::{Bytes, CpuTime, Limit, Span};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// One of every form that serde knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Every {
    nothing: (),
    flag: bool,
    small: u8,
    large: u64,
    signed: i64,
    ratio: f64,
    letter: char,
    text: String,
    some: Option<u32>,
    nested: Option<Option<u8>>,
    list: Vec<u16>,
    pair: (u8, String),
    map: BTreeMap<(String, u8), Variant>,
    set: BTreeSet<Variant>,
    tagged: Tagged,
    #[serde(flatten)]
    beside: Beside,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Beside {
    more: BTreeMap<String, u8>,
    less: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Variant {
    Unit,
    Newtype(u64),
    Tuple(u8, String),
    Named { value: i32 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Plain,
    With { variant: Variant, limit: Limit<Bytes>, count: Option<u64> },
}

fn variant() -> impl Strategy<Value = Variant> {
    prop_oneof![
        Just(Variant::Unit),
        any::<u64>().prop_map(Variant::Newtype),
        (any::<u8>(), ".{0,4}").prop_map(|(number, text)| Variant::Tuple(number, text)),
        any::<i32>().prop_map(|value| Variant::Named { value }),
    ]
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let with = (variant(), any::<Option<u64>>(), any::<Option<u64>>());
    prop_oneof![
        Just(Tagged::Plain),
        with.prop_map(|(variant, limit, count)| {
            let limit = limit.map_or(Limit::Max, |limit| Limit::At(Bytes(limit)));
            Tagged::With { variant, limit, count }
        }),
    ]
}

prop_compose! {
    fn every()(
        (flag, small, large, signed, ratio) in (any::<bool>(), any::<u8>(), any::<u64>(), any::<i64>(), -1e9_f64..1e9),
        (letter, text, some, nested) in (any::<char>(), ".{0,9}", any::<Option<u32>>(), any::<Option<Option<u8>>>()),
        list in prop::collection::vec(any::<u16>(), 0..5),
        pair in (any::<u8>(), ".{0,4}"),
        map in prop::collection::btree_map((".{0,3}", any::<u8>()), variant(), 0..4),
        set in prop::collection::btree_set(variant(), 0..4),
        tagged in tagged(),
        more in prop::collection::btree_map("[a-z]{1,4}", any::<u8>(), 0..3),
        less in any::<Option<u8>>(),
    ) -> Every {
        let beside = Beside { more, less };
        Every { nothing: (), flag, small, large, signed, ratio, letter, text, some, nested, list, pair, map, set, tagged, beside }
    }
}

fn again<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let mut packer = Packer::default();
    packer.section(7, value).unwrap();
    let section = packer.sections().next().unwrap();
    unpack(section.shape, section.numbers).unwrap()
}

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    assert_eq!(again(value), *value);
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(value in every()) {
        prop_assert_eq!(again(&value), value);
    }

    #[test]
    fn no_bytes_panic(
        shape in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"-+0bufi s[]{}".to_vec())], 0..80),
        numbers in prop::collection::vec(any::<u64>(), 0..20),
    ) {
        let _read = unpack::<Every>(&shape, &numbers);
        let _read = unpack::<Snapshot>(&shape, &numbers);
        let _read = unpack::<serde_json::Value>(&shape, &numbers);
    }
}

#[test]
fn what_nests_without_end_is_refused() {
    let key = [b"{s\x01\0\0\0a".as_slice()].concat();
    for open in [b"[".to_vec(), b"+".to_vec(), key] {
        let told = unpack::<serde_json::Value>(&open.repeat(100_000), &[]).unwrap_err();
        assert_eq!(told.to_string(), "it nests too deep");
    }
}

/// A host with two components, and what came of the first look at it.
fn looks() -> (Vec<Snapshot>, Decision, Plan) {
    let web = component("web", crate::model::Priority::Critical);
    let mut batch = component("batch", crate::model::Priority::Low);
    batch.memory.ceiling = Limit::At(Bytes::mebi(512));
    let mut first = host();
    add_home(&mut first, &web, "system.slice/web.service");
    add_home(&mut first, &batch, "system.slice/batch.service");
    let rules = policy([web, batch]);
    let news = crate::cycle::step(&rules, crate::cycle::State::default(), &first).news.unwrap();
    let mut second = carry_out(&first, &news.plan.actions);
    second.generation += 1;
    let mut looks = vec![first, second];
    for number in 1..20 {
        let mut next = looks.last().unwrap().clone();
        next.outcomes.clear();
        next.at = next.at.plus(Span::secs(1));
        for view in next.groups.values_mut() {
            view.usage.cpu = Some(CpuTime(number * 250_000));
            view.usage.memory = Some(Bytes::mebi(100 + number));
        }
        if number == 10 {
            set(&mut next, "system.slice/web.service", Knob::MemoryMax(Limit::At(Bytes(1 << 30))));
        }
        looks.push(next);
    }
    (looks, news.decision, news.plan)
}

fn finding(number: usize) -> Finding {
    Finding {
        severity: Severity::Info,
        kind: FindingKind::Absent,
        component: None,
        at: None,
        text: format!("finding {number}"),
    }
}

/// The looks in a folder's ring, each with news every fourth time and a base every fifth, in batches of three.
fn recorded(state: &std::path::Path, seen: &[Snapshot], decision: &Decision, plan: &Plan) {
    let mut store = Store::new(state, Bytes::mebi(1));
    let mut encoder = Which::Looks.encoder();
    let mut batch = Batch::default();
    let mut packer = Packer::default();
    let mut generation = None;
    for (number, seen) in seen.iter().enumerate() {
        let findings = vec![finding(number); number % 3];
        let remembered = format!("remembered {number}");
        let lent = number.to_string();
        let look = Look {
            seen,
            is_anew: generation.replace(seen.generation) != Some(seen.generation),
            is_replanned: number % 2 == 0,
            base: (number % 5 == 0).then_some((&"policy", &remembered)),
            lent: (number % 7 == 0).then_some(&lent),
            news: (number % 4 == 0).then_some(CameTo { decision, plan, findings: &findings }),
        };
        look.pack(&mut packer).unwrap();
        batch.add(1_700_000_000 + u64::try_from(number).unwrap(), &mut encoder, &packer);
        if number % 3 == 2 || number + 1 == looks().0.len() {
            store.open(Which::Looks, seen.at).unwrap();
            store.write(Which::Looks, seen.at, 0, &batch).unwrap();
            batch.clear();
        }
    }
}

#[test]
fn a_recording_comes_back_as_it_was() {
    let state = std::env::temp_dir().join(format!("provost-recording-{}", std::process::id()));
    std::fs::create_dir_all(&state).unwrap();
    let (seen, decision, plan) = looks();
    recorded(&state, &seen, &decision, &plan);
    let mut recording = Recording::open(&Which::Looks.file(&state)).unwrap();
    let cycles: Vec<Cycle> = recording.by_ref().collect();
    assert_eq!(recording.lost(), Lost::default());
    assert_eq!(cycles.len(), seen.len());
    for (number, (cycle, seen)) in cycles.iter().zip(&seen).enumerate() {
        assert_eq!(&cycle.seen, seen, "{number}");
        assert_eq!(cycle.follows, number > 0);
        assert_eq!(cycle.is_replanned, number % 2 == 0);
        assert_eq!(cycle.wall_secs, 1_700_000_000 + u64::try_from(number).unwrap());
        let base = cycle.base.as_ref();
        let remembered = base.map(|base| base.state::<String>().unwrap());
        assert_eq!(remembered, (number % 5 == 0).then(|| format!("remembered {number}")));
        let lent = cycle.lent.as_ref().map(|lent| lent.value::<String>().unwrap());
        assert_eq!(lent, (number % 7 == 0).then(|| number.to_string()));
        let told = Told {
            decision: decision.clone(),
            plan: plan.clone(),
            findings: vec![finding(number); number % 3],
        };
        assert_eq!(cycle.news, (number % 4 == 0).then_some(told), "{number}");
    }
    std::fs::remove_dir_all(&state).unwrap();
}

#[test]
fn looks_and_what_came_of_them_come_back() {
    let (looks, decision, plan) = looks();
    looks.iter().for_each(comes_back);
    comes_back(&decision);
    comes_back(&plan);
}
