//! Whatever happens, in whatever order: restarts are allowed, announced and rare.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Event {
    Look(u64),
    Leak(LeakTier, u64),
    NoLeak,
    OnLeak(OnLeak),
    Enforce(bool),
    Restarted,
}

fn event() -> impl Strategy<Value = Event> {
    let tier = prop::sample::select(vec![
        LeakTier::Growth,
        LeakTier::Suspected,
        LeakTier::Confirmed,
        LeakTier::Fast,
    ]);
    prop_oneof![
        20 => (1..40_u64).prop_map(Event::Look),
        2 => (60..1000_u64).prop_map(Event::Look),
        4 => (tier, 0..20_000_u64).prop_map(|(tier, secs)| Event::Leak(tier, secs)),
        1 => Just(Event::NoLeak),
        1 => prop::sample::select(ALL.to_vec()).prop_map(Event::OnLeak),
        1 => any::<bool>().prop_map(Event::Enforce),
        1 => Just(Event::Restarted),
    ]
}

proptest! {
    /// Whatever happens: what is done is allowed, a restart was announced for a minute without a break, and the next one is far away.
    #[test]
    fn restarts_are_allowed_announced_and_rare(events in prop::collection::vec(event(), 1..120)) {
        let mut stage = Stage::leaking(OnLeak::Restart, LeakTier::Fast, HOUR);
        stage.web_mut().memory.restart_every = HOUR;
        stage.end = None;
        // Since when a restart is announced for now at the latest, one entry for each look.
        let mut announced: Vec<(Tick, Tick)> = Vec::new();
        let mut last: Option<Tick> = None;
        for event in events {
            match event {
                Event::Look(seconds) => {
                    stage.after(Span::secs(seconds));
                    let now = stage.seen.at;
                    let new = stage.mends.kept().get("web").and_then(|kept| kept.last.clone());
                    if let Some(new) = new.filter(|new| Some(new.at) != last) {
                        prop_assert_eq!(new.at, now);
                        prop_assert_eq!(stage.policy.mode, Mode::Enforce);
                        prop_assert_eq!(stage.web().memory.on_leak, OnLeak::Restart);
                        prop_assert!(stage.leak.is_some_and(|leak| leak.tier >= LeakTier::Confirmed));
                        prop_assert!(last.is_none_or(|last| now.since(last) >= HOUR));
                        let since = announced.first().map(|(at, _)| *at);
                        prop_assert!(since.is_some_and(|at| now.since(at) >= NOTICE), "{:?}", announced);
                        last = Some(new.at);
                        announced.clear();
                    }
                    for means in &stage.did {
                        let needs = match means {
                            Means::TellOfLeak { .. } => OnLeak::Hook,
                            Means::Reclaim { .. } => OnLeak::Reclaim,
                            Means::Restart { .. } => OnLeak::Restart,
                            Means::Tell { .. } | Means::Kill { .. } | Means::Probe { .. } => {
                                panic!("{means}")
                            }
                        };
                        prop_assert!(stage.web().memory.on_leak >= needs, "{:?}", means);
                    }
                    let next = stage.view_if_any().and_then(|view| view.next);
                    match next.filter(|_| stage.policy.mode == Mode::Enforce) {
                        Some(next) => {
                            // Whoever was told of a later time counts from when it moved.
                            if announced.last().is_some_and(|(_, due)| next.due < *due) {
                                announced.retain(|(_, due)| *due <= next.due);
                            }
                            announced.push((now, next.due));
                        }
                        None => announced.clear(),
                    }
                }
                Event::Leak(tier, secs) => {
                    stage.leak = Some(leak(stage.seen.at, tier, Span::secs(secs)));
                }
                Event::NoLeak => stage.leak = None,
                Event::OnLeak(on_leak) => stage.web_mut().memory.on_leak = on_leak,
                Event::Enforce(on) => stage.policy.mode = Mode::of(on),
                Event::Restarted => {
                    let kept = stage.mends.kept();
                    stage.mends = Mends::default();
                    stage.mends.remember(&kept);
                    announced.clear();
                }
            }
        }
    }
}
