//! What a recorder could have kept: for tests of whoever shows it.

use super::{add_home, host};
use crate::config::{Policy, PolicyText, Sources, load};
use crate::cycle::{News, State, rest, step};
use crate::daemon::capacity;
use crate::model::{
    AlertKind, AlertState, AlertView, Culprit, Each, Event, EventOf, Evidence, Knob, Level,
    Outcome, OutcomeOf, Reason, Resource, Snapshot, Verdict,
};
use crate::record::{
    AtLevels, Batch, CameTo, ComponentUse, Look, Packer, Period, Stalled, Used, Which,
};
use crate::units::{CgroupPath, Ppm, Span, Tick};

/// Looks as they go to a recording, a second each from [`SAMPLED`] on. The first is a place to begin.
pub(crate) fn sample_looks(configuration: &str, count: u64) -> Batch {
    let (policy, mut seen) = sample_host(configuration);
    let text = PolicyText::of(&policy, &seen.host);
    let (mut state, mut encoder, mut batch) =
        (State::default(), Which::Looks.encoder(), Batch::default());
    for second in 0..count {
        seen.at = seen.at.plus(Span::secs(1));
        let before = state.clone();
        let rests = rest(&policy, &mut state, &seen);
        let stepped = (!rests).then(|| step(&policy, state.clone(), &seen));
        let is_base = second == 0;
        let news = stepped.as_ref().and_then(|stepped| stepped.news.as_ref());
        let look = Look {
            seen: &seen,
            is_anew: true,
            is_replanned: false,
            base: is_base.then_some((&text, &before)),
            lent: is_base.then_some(&before.prospects),
            news: news.map(|News { decision, plan, findings }| CameTo { decision, plan, findings }),
        };
        let mut packer = Packer::default();
        look.pack(&mut packer).unwrap();
        batch.add(SAMPLED + second, &mut encoder, &packer);
        state = stepped.map_or(state, |stepped| stepped.state);
    }
    batch
}

/// An hour of the week, in seconds since 1970.
pub(crate) const SAMPLED: u64 = 1_700_000_000 / WEEK * WEEK + 3 * WEEK;
const HOUR: u64 = 3600;
const WEEK: u64 = 7 * 24 * HOUR;

/// A minute or an hour of one component `web`.
pub(crate) fn sample_period(from_secs: u64, seen_secs: u64, mean: u64, most: u64) -> Period {
    let used = |mean, most| Some(Used { mean, most });
    let of = ComponentUse {
        used: Each {
            cpu: used(mean, most),
            memory: used(mean << 20, most << 20),
            io: None,
            pids: used(3, 5),
        },
        waited: Each { cpu: Some(Ppm::percent(3)), ..Each::default() },
        ..ComponentUse::default()
    };
    let levels = Each {
        memory: AtLevels { normal: seen_secs - 10, warning: 10, ..AtLevels::default() },
        ..Each::default()
    };
    let components = [("web".parse().unwrap(), of)].into();
    Period { from_secs, seen_secs, levels, components, ..Period::default() }
}

/// The hour from [`SAMPLED`] on in minutes, and that hour and those of the three weeks before.
pub(crate) fn sample_periods() -> (Vec<Period>, Vec<Period>) {
    let minutes =
        (0..60).map(|minute| sample_period(SAMPLED + 60 * minute, 60, 150 + minute, 400)).collect();
    let hours = [(3, 100), (2, 140), (1, 120), (0, 180)]
        .map(|(ago, mean)| sample_period(SAMPLED - ago * WEEK, HOUR, mean, 2 * mean))
        .into();
    (minutes, hours)
}

/// The same minutes, in which a hog came: the host is short of memory, and `web` waits because of it.
pub(crate) fn sample_trouble() -> Vec<Period> {
    let (mut minutes, _) = sample_periods();
    for (place, minute) in minutes.iter_mut().enumerate() {
        let host = Used { mean: 900 + 10 * place as u64, most: 1900 };
        let memory = Used { mean: (3000 + 10 * place as u64) << 20, most: 3700 << 20 };
        minute.host = Each { cpu: Some(host), memory: Some(memory), io: None, pids: None };
        let is_short = (20..32).contains(&place);
        if is_short {
            let levels = AtLevels { critical: 50, emergency: 10, ..AtLevels::default() };
            minute.levels.memory = levels;
            minute.actions = 2;
        }
        let web = minute.components.get_mut("web").unwrap();
        web.expected = Each { memory: Some(260 << 20), ..Each::default() };
        if is_short {
            web.waited.memory = Some(Ppm::percent(24));
            let by = Culprit::Neighbour { component: "batch".parse().unwrap() };
            web.stalled = vec![Stalled { resource: Resource::Memory, by, waited: Span::secs(9) }];
        }
        let used =
            Used { mean: (200 + 20 * place as u64) << 20, most: (300 + 20 * place as u64) << 20 };
        let batch = ComponentUse {
            used: Each { memory: Some(used), ..Each::default() },
            ..ComponentUse::default()
        };
        minute.components.insert("batch".parse().unwrap(), batch);
    }
    minutes
}

/// A change of a knob that was applied.
pub(crate) fn sample_change(
    wall_secs: u64,
    component: &str,
    path: &str,
    new: Knob,
    old: Knob,
) -> Event {
    let knob = new.kind();
    let of = OutcomeOf::Knob { knob, asked: new, id: None, original: None, passing: false };
    let outcome = Outcome {
        at: Tick(wall_secs),
        component: component.parse().ok(),
        path: CgroupPath::new(path),
        of,
        verdict: Verdict::Applied,
        took: Span::millis(1),
    };
    let reason = Some(Reason::Configured { key: "memory.high".into() });
    let of = EventOf::Action { outcome: Box::new(outcome), old: Some(old), reason };
    Event { at: Tick(wall_secs), wall_secs, of }
}

/// An alert that fires.
pub(crate) fn sample_alert() -> AlertView {
    let evidence = Evidence::Waits { resource: Resource::Memory };
    AlertView {
        id: "pressure/memory".to_owned(),
        kind: AlertKind::Pressure,
        subject: "memory".to_owned(),
        severity: Level::Critical,
        state: AlertState::Firing,
        since: Tick(1_000_000),
        ended: None,
        silenced_until: None,
        flapping: false,
        text: evidence.text("memory"),
        evidence,
    }
}

/// A host on which every component of this configuration has the service of its name.
pub(crate) fn sample_host(configuration: &str) -> (Policy, Snapshot) {
    let mut seen = host();
    let loaded =
        capacity(&seen.host, |capacity| load(&Sources::text("life", configuration), capacity));
    let policy = loaded.unwrap().policy;
    for component in policy.components.values() {
        add_home(&mut seen, component, &format!("system.slice/{}.service", component.name));
    }
    (policy, seen)
}
