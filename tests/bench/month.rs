//! R3: how large the recording is after thirty days, how far each of its files reaches back, and how long reading it takes.
//!
//! Days are made up: a tide of a day, noise, and an hour's trouble each day in which limits are changed. Minutes, hours and events are written
//! for all thirty days, looks for the last six hours, since the file holds no more of them.

use crate::measure::{Budget, Table, once};
use crate::record::{Noise, goes_on, host_with, record};
use provost::model::{
    Culprit, Each, Event, EventOf, Knob, Outcome, OutcomeOf, Reason, Resource, Verdict,
};
use provost::record::{
    AtLevels, Batch, ComponentUse, Encoder, Packer, Period, Stalled, Store, Used, Which, events,
    pack_events, periods,
};
use provost::units::{Bytes, CgroupPath, ComponentName, Limit, Ppm, Span, Tick};
use std::collections::BTreeMap;
use std::path::Path;

const COMPONENTS: u64 = 100;
const DAYS: u64 = 30;
const MINUTES: u64 = DAYS * 24 * 60;
const START: u64 = 1_700_000_000 / 3600 * 3600;
const MEBI: f64 = 1024.0 * 1024.0;
/// `history.budget` where nothing else is said.
const BUDGET: Bytes = Bytes(10 << 20);
const LOOKS: u64 = 6 * 3600;
/// So many looks are gathered on a quiet host.
const GATHERED: u64 = 30;

pub(crate) fn run(table: &mut Table) {
    let state = std::env::temp_dir().join(format!("provost-bench-month-{}", std::process::id()));
    std::fs::create_dir_all(&state).unwrap();
    fill(&state);
    let size: u64 =
        Which::ALL.iter().map(|which| which.file(&state).metadata().unwrap().len()).sum();
    let name = format!("MiB, the recording after {DAYS} days, {COMPONENTS} components");
    table.row("R3", &name, (0.0, size as f64 / MEBI), Budget::Most(BUDGET.0 as f64 / MEBI));
    let end = START + MINUTES * 60;
    let reach = |first: u64| (end - first) as f64 / 3600.0;
    let (minutes, lost) = periods(&state, Which::Minutes).unwrap();
    assert_eq!(lost.words(), Vec::<String>::new());
    let first = minutes.first().unwrap().from_secs;
    table.row("", "hours that recorded minutes reach back", (0.0, reach(first)), Budget::Shown);
    let (hours, _) = periods(&state, Which::Hours).unwrap();
    let days = reach(hours.first().unwrap().from_secs) / 24.0;
    table.row("", "days that recorded hours reach back", (0.0, days), Budget::Shown);
    let (happened, _) = events(&state).unwrap();
    let first = happened.first().unwrap().1.wall_secs;
    table.row("", "hours that events reach back", (0.0, reach(first)), Budget::Shown);
    let took = once(|| {
        std::hint::black_box((periods(&state, Which::Minutes).unwrap(), events(&state).unwrap()));
    });
    table.row("", "ms, all minutes and events read", (0.0, took / 1e3), Budget::Shown);
    std::fs::remove_dir_all(&state).unwrap();
}

/// Writes the thirty days.
fn fill(state: &Path) {
    let mut store = Store::new(state, BUDGET);
    for which in Which::ALL {
        store.open(which, Tick(1)).unwrap();
    }
    let mut noise = Noise(5);
    let (mut packer, mut batch) = (Packer::default(), Batch::default());
    let mut encoders = Which::ALL.map(|which| (which, which.encoder()));
    let mut write = |which: Which, at: u64, packer: &Packer, store: &mut Store| {
        let encoder = encoders.iter_mut().find(|(of, _)| *of == which).map(|(_, encoder)| encoder);
        batch.clear();
        batch.add(at, encoder.unwrap(), packer);
        store.write(which, Tick(1), 0, &batch).unwrap();
    };
    for minute in 0..MINUTES {
        let at = START + minute * 60;
        period(&mut noise, minute, at).pack(&mut packer).unwrap();
        write(Which::Minutes, at, &packer, &mut store);
        if minute % 60 == 59 {
            period(&mut noise, minute, at - 59 * 60).pack(&mut packer).unwrap();
            write(Which::Hours, at, &packer, &mut store);
        }
        if is_trouble(minute) {
            pack_events(&changes(&mut noise, at), &mut packer).unwrap();
            write(Which::Events, at, &packer, &mut store);
        }
    }
    looks(&mut store, &mut Which::Looks.encoder());
}

fn looks(store: &mut Store, encoder: &mut Encoder) {
    let (mut packer, mut batch) = (Packer::default(), Batch::default());
    let (mut seen, mut noise) = (host_with(COMPONENTS), Noise(7));
    for look in 0..LOOKS {
        goes_on(&mut seen, &mut noise, look);
        record(&seen, look == 0, &mut packer, encoder, &mut batch);
        if u64::from(batch.len()) == GATHERED {
            store.write(Which::Looks, Tick(1), 0, &batch).unwrap();
            batch.clear();
        }
    }
}

/// One hour of each day.
const fn is_trouble(minute: u64) -> bool {
    minute / 60 % 24 == 3
}

fn name(number: u64) -> ComponentName {
    format!("c{number:04}").parse().unwrap()
}

/// A minute or an hour.
fn period(noise: &mut Noise, minute: u64, from_secs: u64) -> Period {
    let tide = 100 + (minute % 1440).abs_diff(720) / 8;
    let used = |noise: &mut Noise, usual: u64| {
        let mean = usual * tide / 100 + noise.below(usual / 8 + 1);
        Some(Used { mean, most: mean + noise.below(usual / 4 + 1) })
    };
    let mut of = |number: u64| {
        let used = Each {
            cpu: used(noise, 40 + number),
            memory: used(noise, (20 + number) << 20)
                .map(|used| Used { mean: used.mean & !0xfff, most: used.most & !0xfff }),
            io: number.is_multiple_of(4).then(|| used(noise, 80_000)).flatten(),
            pids: Some(Used { mean: 4, most: 4 }),
        };
        let waited = Each {
            cpu: Some(Ppm::new(2 + 100 * u32::try_from(noise.below(30)).unwrap())),
            ..Each::default()
        };
        let stalled = if is_trouble(minute) && number.is_multiple_of(10) {
            let by = Culprit::Neighbour { component: name(number + 1) };
            vec![Stalled {
                resource: Resource::Cpu,
                by,
                waited: Span::millis(300 + noise.below(900)),
            }]
        } else {
            Vec::new()
        };
        let expected =
            Each { cpu: Some(120 + number), memory: Some((60 + number) << 20), ..Each::default() };
        (name(number), ComponentUse { used, waited, expected, stalled })
    };
    let components: BTreeMap<ComponentName, ComponentUse> = (0..COMPONENTS).map(&mut of).collect();
    let at = AtLevels { normal: 60, ..AtLevels::default() };
    let levels = Each { cpu: at, memory: at, io: at, pids: at };
    let host = Each {
        cpu: used(noise, 4000),
        memory: used(noise, 8 << 30),
        io: None,
        pids: used(noise, 900),
    };
    Period {
        from_secs,
        seen_secs: 60,
        host,
        levels,
        actions: u64::from(is_trouble(minute)),
        components,
    }
}

/// What is changed in a minute of trouble.
fn changes(noise: &mut Noise, wall_secs: u64) -> Vec<Event> {
    let mut change = |number: u64| {
        let (old, new) = (noise.below(1 << 18) << 12, noise.below(1 << 18) << 12);
        let new = Knob::MemoryHigh(Limit::At(Bytes(new)));
        let of = OutcomeOf::Knob {
            knob: new.kind(),
            asked: new,
            id: None,
            original: None,
            passing: true,
        };
        let path = CgroupPath::new("system.slice").child(&format!("c{number:04}.service"));
        let (at, took, verdict) = (Tick(wall_secs), Span::millis(1), Verdict::Applied);
        let outcome =
            Box::new(Outcome { at, component: Some(name(number)), path, of, verdict, took });
        let because = "web waits for memory".to_owned();
        let reason = Reason::YieldsMemory {
            because,
            left: Bytes(noise.below(1 << 30)),
            others: Bytes(1 << 30),
        };
        let old = Some(Knob::MemoryHigh(Limit::At(Bytes(old))));
        Event { at, wall_secs, of: EventOf::Action { outcome, old, reason: Some(reason) } }
    };
    (0..4).map(&mut change).collect()
}
