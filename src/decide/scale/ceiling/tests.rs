//! One ceiling look by look: it goes up before it is reached, comes down slowly, and comes to rest.

use super::*;
use proptest::prelude::*;

const MEMORY: Bounds =
    Bounds { least: Bytes::mebi(256).0, most: Bytes::mebi(4096).0, cooldown: Span::secs(60) };
const CPU: Bounds = Bounds { least: 200, most: 4000, cooldown: Span::secs(60) };
const PIDS: Bounds = Bounds { least: 16, most: 4096, cooldown: Span::secs(60) };
/// Looks until the past is known: six cooldowns.
const PAST: u64 = 360;

const fn bounds(resource: Resource) -> Bounds {
    match resource {
        Resource::Cpu => CPU,
        Resource::Memory => MEMORY,
        Resource::Io | Resource::Pids => PIDS,
    }
}

const fn sight(need: u64) -> Sight {
    let (held, throttled, failed) = (0, Ppm::ZERO, false);
    Sight { need, held, throttled, failed, expected: None, room: u64::MAX }
}

/// A ceiling with the time of its last look.
struct Played {
    resource: Resource,
    ceiling: Ceiling,
    now: Tick,
}

impl Played {
    fn new(resource: Resource, at: u64) -> Self {
        let now = Tick::default().plus(Span::secs(100));
        Self { resource, ceiling: Ceiling::new(bounds(resource), Some(at), now), now }
    }

    /// A second later.
    fn look(&mut self, sight: Sight) -> bool {
        self.now = self.now.plus(Span::secs(1));
        self.ceiling.look(self.resource, bounds(self.resource), sight, self.now)
    }

    /// So many seconds with the same need. How often the ceiling moved.
    fn rest(&mut self, need: u64, seconds: u64) -> usize {
        (0..seconds).filter(|_| self.look(sight(need))).count()
    }
}

#[test]
fn it_is_raised_at_nine_tenths_by_a_fifth_at_least() {
    let mut played = Played::new(Resource::Cpu, 1000);
    assert_eq!(played.rest(899, 3), 0);
    assert!(played.look(sight(900)));
    assert_eq!(played.ceiling.at, 1200);
    assert!(played.ceiling.why(Resource::Cpu).contains("0.9 was needed"), "{:?}", played.ceiling);
    let mut played = Played::new(Resource::Pids, 20);
    assert!(played.look(sight(19)));
    assert_eq!(played.ceiling.at, 36, "by sixteen");
    let mut played = Played::new(Resource::Memory, Bytes::mebi(256).0);
    assert!(played.look(sight(Bytes::mebi(170).0)), "nine tenths of its line, 186 MiB");
    assert_eq!(Bytes(played.ceiling.at), Bytes::mebi(356), "by a hundred MiB");
}

#[test]
fn a_need_far_above_is_met_in_one_step() {
    let mut played = Played::new(Resource::Cpu, 500);
    assert!(played.look(sight(2000)));
    assert_eq!(played.ceiling.at, 2500);
    assert_eq!(played.rest(2000, 100), 0);
    assert!(played.look(sight(9000)));
    assert_eq!(played.ceiling.at, 4000, "never above the most");
}

#[test]
fn being_stopped_counts_as_need_and_has_ten_seconds_to_settle() {
    let mut played = Played::new(Resource::Cpu, 1000);
    let stopped = Sight { throttled: Ppm::percent(5), ..sight(300) };
    assert!(played.look(stopped));
    assert_eq!(played.ceiling.at, 1200);
    let moved = (0..9).filter(|_| played.look(stopped)).count();
    assert_eq!(moved, 0);
    assert!(played.look(stopped));
    assert_eq!(played.ceiling.at, 1440);
    let a_little = Sight { throttled: Ppm::new(100), ..sight(1) };
    let moved = (0..10 * PAST).filter(|_| played.look(a_little)).count();
    assert_eq!(moved, 0, "stopped now and then: neither raised nor lowered");
}

#[test]
fn a_growth_that_lasts_is_met_two_minutes_ahead_and_a_jump_is_none() {
    let mebi = |count| Bytes::mebi(count).0;
    let mut played = Played::new(Resource::Memory, mebi(1024));
    assert_eq!(played.rest(mebi(100), 30), 0);
    assert_eq!(played.rest(mebi(600), 60), 0, "a jump, and then it rests");
    let mut played = Played::new(Resource::Memory, mebi(1024));
    let raised = (0..200).find(|second| played.look(sight(mebi(300 + 4 * second))));
    let had = 300 + 4 * raised.unwrap();
    assert!((412..460).contains(&had), "half of its line, 827 MiB, at 4 MiB a second: {had}");
    let line = line(Resource::Memory, played.ceiling.at);
    assert!(line >= mebi(had + 4 * 110), "{line} has room for two minutes");
    assert!(played.ceiling.why(Resource::Memory).contains("more each second"));
}

#[test]
fn what_was_killed_or_refused_gets_more() {
    let failed = |need| Sight { failed: true, ..sight(need) };
    let mut played = Played::new(Resource::Memory, Bytes::mebi(1000).0);
    for at in [1200, 1440] {
        assert!(played.look(failed(0)), "however much is left after the kill");
        assert_eq!(Bytes(played.ceiling.at), Bytes::mebi(at), "a fifth more than the peak");
    }
    let mut played = Played::new(Resource::Memory, Bytes::mebi(300).0);
    assert!(played.look(failed(0)));
    assert_eq!(Bytes(played.ceiling.at), Bytes::mebi(400), "and a hundred MiB at least");
    let mut played = Played::new(Resource::Pids, 100);
    assert!(played.look(failed(50)));
    let moved = (0..29).filter(|_| played.look(failed(50))).count();
    assert_eq!((moved, played.ceiling.at), (0, 120), "a refusal is remembered for half a minute");
}

#[test]
fn a_forecast_above_the_line_raises_and_one_above_its_half_holds() {
    let expects = |upper| Sight { expected: Some((upper, Ppm::percent(60))), ..sight(100) };
    let mut played = Played::new(Resource::Cpu, 1000);
    assert!(!played.look(expects(1000)));
    assert!(played.look(expects(1500)));
    assert_eq!(played.ceiling.at, 1500);
    let why = played.ceiling.why(Resource::Cpu);
    assert!(why.contains("1.5 is expected (confidence 60%)"), "{why}");
    let moved = (0..10 * PAST).filter(|_| played.look(expects(800))).count();
    assert_eq!(moved, 0);
    assert!((0..2 * PAST).any(|_| played.look(sight(100))));
}

#[test]
fn it_comes_down_by_tenths_once_a_cooldown_when_half_was_enough_for_six() {
    let mut played = Played::new(Resource::Cpu, 2000);
    assert_eq!(played.rest(400, PAST - 1), 0);
    assert!(played.look(sight(400)));
    assert_eq!(played.ceiling.at, 1800);
    assert_eq!(played.rest(400, 59), 0);
    assert!(played.look(sight(400)));
    assert_eq!(played.ceiling.at, 1620);
    let moved = played.rest(400, 20 * PAST);
    assert!(moved < 10, "{moved}");
    assert!((700..=890).contains(&played.ceiling.at), "about twice: {}", played.ceiling.at);
    let why = played.ceiling.why(Resource::Cpu);
    assert!(why.contains("lowered: 0.4 at most was needed in 6m"), "{why}");
}

#[test]
fn page_cache_in_the_way_is_pressed_out_first() {
    let mebi = |count| Bytes::mebi(count).0;
    let mut played = Played::new(Resource::Memory, mebi(4096));
    let full = Sight { held: mebi(4000), ..sight(mebi(300)) };
    let moved = (0..PAST).filter(|_| played.look(full)).count();
    assert_eq!(moved, 1);
    let next = played.ceiling.press.unwrap();
    assert_eq!((played.ceiling.at, next), (mebi(4096), mebi(3687)));
    assert!(!played.look(full), "it waits for that");
    assert!(played.look(Sight { held: mebi(3000), ..full }));
    assert_eq!((played.ceiling.at, played.ceiling.press), (next, None));
    let mut played = Played::new(Resource::Memory, mebi(4096));
    assert!((0..PAST).any(|_| played.look(full)));
    assert!(played.look(Sight { need: mebi(3000), ..full }));
    assert_eq!(played.ceiling.press, None, "it is needed after all");
}

#[test]
fn what_the_host_has_no_room_for_is_told_and_not_given() {
    let mut played = Played::new(Resource::Memory, Bytes::mebi(1000).0);
    let wants = |room| Sight { room: Bytes::mebi(room).0, ..sight(Bytes::mebi(800).0) };
    assert!(played.look(wants(1050)), "that is told");
    assert_eq!(Bytes(played.ceiling.at), Bytes::mebi(1000), "too little to be worth a write");
    assert!(played.ceiling.why(Resource::Memory).contains("no room"));
    assert!(!played.look(wants(0)));
    assert!(played.look(wants(1150)));
    assert_eq!(Bytes(played.ceiling.at), Bytes::mebi(1150));
}

#[test]
fn a_time_that_was_not_seen_is_no_time_without_need() {
    let mut played = Played::new(Resource::Cpu, 2000);
    for _ in 0..100 {
        played.now = played.now.plus(Span::secs(3600));
        assert!(!played.look(sight(10)));
    }
}

proptest! {
    #[test]
    fn never_outside_its_ends_and_never_lowered_within_a_cooldown(
        which in 0usize..3,
        looks in proptest::collection::vec((0u64..120, 0u64..120, any::<bool>(), 0u32..20, 0u64..200, 1u64..200), 1..40),
    ) {
        let resource = [Resource::Cpu, Resource::Memory, Resource::Pids][which];
        let Bounds { least, most, cooldown } = bounds(resource);
        let mut played = Played::new(resource, most / 2);
        let mut changed: Option<Tick> = None;
        for (need, held, failed, throttled, room, seconds) in looks {
            let of = |percent: u64| most / 100 * percent;
            let throttled = Ppm::percent(throttled);
            let (need, held, room) = (of(need), of(held), of(room));
            for second in 0..seconds {
                let failed = failed && second == 0;
                let before = played.ceiling.at;
                played.look(Sight { need, held, throttled, failed, expected: None, room });
                let after = played.ceiling.at;
                prop_assert!((least..=most).contains(&after));
                if after < before {
                    prop_assert!(changed.is_none_or(|at| played.now.since(at) >= cooldown));
                    prop_assert!(after >= held && after >= fitting(resource, need).min(before));
                    prop_assert!(before - after <= before / 10 + grain(resource), "a small step");
                }
                prop_assert!(after <= before || after <= room);
                if after != before {
                    changed = Some(played.now);
                }
            }
        }
    }

    #[test]
    fn a_constant_need_comes_to_rest(which in 0usize..3, needed in 0u64..150, at in 1u64..100) {
        let resource = [Resource::Cpu, Resource::Memory, Resource::Pids][which];
        let most = bounds(resource).most;
        let mut played = Played::new(resource, most / 100 * at);
        let need = most / 100 * needed;
        played.rest(need, 20 * PAST);
        let settled = played.ceiling.clone();
        prop_assert_eq!(played.rest(need, 20 * PAST), 0, "{:?}", settled);
        let near = percent(line(resource, settled.at), NEAR_PERCENT);
        prop_assert!(need < near || settled.at == most);
    }

    #[test]
    fn a_need_that_comes_and_goes_comes_to_rest(
        which in 0usize..3,
        low in 0u64..100,
        high in 0u64..100,
        half in 1u64..PAST / 2,
    ) {
        let resource = [Resource::Cpu, Resource::Memory, Resource::Pids][which];
        let most = bounds(resource).most;
        let mut played = Played::new(resource, most);
        let mut squares = |count: u64| -> usize {
            let mut square = |_| {
                played.rest(most / 100 * low, half) + played.rest(most / 100 * high, half)
            };
            (0..count).map(&mut square).sum()
        };
        squares(20 * PAST / half);
        prop_assert_eq!(squares(20 * PAST / half), 0);
    }
}
