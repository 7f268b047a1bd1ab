//! What happened reads well.

use super::*;
use crate::model::{Finding, FindingKind, KnobKind, Level, Reason, Resource, Severity, Verdict};
use crate::units::{Bytes, CgroupId, CgroupPath, Limit, Span, Tick};

fn change(old: Option<Knob>, new: Knob, reason: Option<Reason>, verdict: Verdict) -> EventOf {
    let of = OutcomeOf::Knob {
        knob: new.kind(),
        asked: new,
        id: Some(CgroupId(7)),
        original: None,
        passing: false,
    };
    let path = CgroupPath::new("system.slice/batch.service");
    let component = Some("batch".parse().unwrap());
    let took = Span::millis(1);
    let outcome = Box::new(Outcome { at: Tick(5), component, path, of, verdict, took });
    EventOf::Action { outcome, old, reason }
}

fn sample() -> Vec<Event> {
    let high = |mebi| Knob::MemoryHigh(Limit::At(Bytes::mebi(mebi)));
    let yields = Reason::YieldsMemory {
        because: "web waits for memory: 34% of the time, 30% is too much".to_owned(),
        left: Bytes::mebi(390),
        others: Bytes::mebi(1200),
    };
    let unlimited = KnobKind::MemoryHigh.kernel_default();
    let refused = Verdict::Refused {
        errno: 13,
        advice: "the controller is not enabled in system.slice: set a property of the unit"
            .to_owned(),
    };
    let finding = Finding {
        severity: Severity::Warning,
        kind: FindingKind::AboveCeiling,
        component: Some("batch".parse().unwrap()),
        at: None,
        text: "batch uses 600M, its memory.ceiling is 512M".to_owned(),
    };
    let of = [
        EventOf::Daemon { what: "started, version 0.1.0".to_owned() },
        EventOf::Level {
            resource: Resource::Memory,
            from: Level::Normal,
            to: Level::Critical,
            cause: "web waits for memory: 34% of the time, 30% is too much".to_owned(),
        },
        change(Some(unlimited), high(390), Some(yields), Verdict::Applied),
        change(Some(high(390)), high(380), None, Verdict::Clipped { effective: high(384) }),
        change(None, high(300), Some(Reason::YieldsNoMore), refused),
        EventOf::Finding { finding: finding.clone(), is_over: false },
        EventOf::Finding { finding, is_over: true },
    ];
    let event =
        |(number, of)| Event { at: Tick(number), wall_secs: 1_700_000_000 + 61 * number, of };
    (0..).zip(of).map(event).collect()
}

fn wanted(limit: usize, allocations_only: bool) -> Wanted<'static> {
    Wanted { component: None, since: 0, limit, allocations_only }
}

#[test]
fn changes_read_well() {
    let (found, more) = wanted(100, true).of(sample());
    let all = text(&found, more, ("nothing", Lost::default()), &TimeZone::UTC);
    assert!(all.lines().all(|line| line.chars().count() <= COLUMNS), "{all}");
    let (found, more) = wanted(1, true).of(sample());
    let lost = Lost { damaged: 3, cut_bytes: 4096, set_back: 1, ..Lost::default() };
    let short = text(&found, more, ("nothing", lost), &TimeZone::UTC);
    let nothing = text(&[], 0, ("no limit was changed", Lost::default()), &TimeZone::UTC);
    insta::assert_snapshot!([all, short, nothing].join("----\n"));
}

#[test]
fn events_read_well() {
    let (found, more) = wanted(100, false).of(sample());
    let all = text(&found, more, ("nothing happened", Lost::default()), &TimeZone::UTC);
    assert!(all.lines().all(|line| line.chars().count() <= COLUMNS), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn a_document_holds_all_of_it() {
    let (found, _) = wanted(2, false).of(sample());
    let document = document("events", &found, Lost { unknown: 1, ..Lost::default() });
    let value: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(value["schema"], "provost/events/v1");
    let again: Vec<Event> = serde_json::from_value(value["events"].clone()).unwrap();
    assert_eq!(again, found);
    assert!(value["lost"][0].as_str().unwrap().contains("passed over"), "{value}");
    let line: Event = serde_json::from_str(&one_line(&found[0])).unwrap();
    assert_eq!(line, found[0]);
}

#[test]
fn only_what_was_asked_for_is_told() {
    let batch: ComponentName = "batch".parse().unwrap();
    let of_batch = Wanted { component: Some(&batch), ..wanted(100, false) };
    assert_eq!(of_batch.of(sample()).0.len(), 5);
    let late = Wanted { since: 1_700_000_000 + 122, ..wanted(100, false) };
    assert_eq!(late.of(sample()).0.len(), 5);
    assert_eq!(wanted(2, false).of(sample()).1, 5);
}
