//! What is done about a leak over time: findings that come and go, policies that change, and whoever carries it out or does not.

mod events;

use super::*;
use crate::model::{
    Hook, LeakLimit, LeakMemory, LeakTierMemory, Level, MemoryStat, Priority, Psi, PsiLine,
};
use crate::testing::{add_home, component, host, policy, sample_leak, set};
use crate::units::Bytes;
use std::collections::BTreeSet;

const WEB: &str = "system.slice/web.service";
const HOUR: Span = Span::secs(3600);

/// Makes something of a stage otherwise.
type Change = fn(&mut Stage);

struct Stage {
    policy: Policy,
    seen: Snapshot,
    mends: Mends,
    leak: Option<Leak>,
    /// What was done at the last look.
    did: Vec<Means>,
    /// How restarts end; none for one that nobody carries out.
    end: Option<Verdict>,
    /// What the group gives back of what is asked for, in percent, and how many pages it reads back.
    gives: (u64, u64),
    /// How much of each second it waits for memory, in percent.
    waits: u64,
}

fn web(on_leak: OnLeak) -> Component {
    let mut web = component("web", Priority::Normal);
    web.memory.on_leak = on_leak;
    web.hook = Some(Hook {
        command: vec!["/bin/true".to_owned()],
        user: "alice".to_owned(),
        timeout: Span::secs(10),
        from: Level::Emergency,
    });
    web
}

/// A leak that reaches its limit so long from now.
fn leak(now: Tick, tier: LeakTier, until_limit: Span) -> Leak {
    let limit = LeakLimit::Own(Bytes::mebi(1024));
    let mut leak = Leak { tier, at: now, since: now, until_limit, limit, ..sample_leak() };
    // What was examined long ago is not said any more; here it is.
    leak.evidence.part = Span::secs(30 * 86_400);
    leak
}

impl Stage {
    fn new(web: Component) -> Self {
        let mut seen = host();
        add_home(&mut seen, &web, WEB);
        seen.host.swap = Bytes::mebi(1024);
        seen.load.swap_free = Some(Bytes::mebi(1000));
        seen.load.memory_available = Some(Bytes::mebi(1500));
        let usage = &mut seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage;
        usage.memory = Some(Bytes::mebi(700));
        usage.pids = Some(7);
        Self {
            policy: policy([web]),
            seen,
            mends: Mends::default(),
            leak: None,
            did: Vec::new(),
            end: Some(Verdict::Applied),
            gives: (100, 0),
            waits: 0,
        }
    }

    /// One whose leak reaches the limit so long from now.
    fn leaking(on_leak: OnLeak, tier: LeakTier, until_limit: Span) -> Self {
        let mut stage = Self::new(web(on_leak));
        stage.leak = Some(leak(stage.seen.at, tier, until_limit));
        stage
    }

    fn estimator(&self) -> Estimator {
        let id = self.seen.groups[&CgroupPath::new(WEB)].id;
        let said = LeakTierMemory { said: self.leak, ..LeakTierMemory::default() };
        let memory = LeakMemory { homes: vec![id], tiers: vec![said], slopes: Vec::new() };
        let mut estimator = Estimator::default();
        estimator.remember_leaks(&[("web".parse().unwrap(), memory)].into());
        // Two looks tell how long somebody waits.
        let mut before = self.seen.clone();
        before.at = Tick(before.at.0 - 1_000_000);
        for (seen, stalled) in [(&mut before, 0), (&mut self.seen.clone(), self.waits * 10_000)] {
            let at = seen.at;
            let usage = &mut seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage;
            let some = PsiLine { total_usec: stalled, avg10_centi: 0 };
            usage.memory_psi = Some(Psi { some, full: some });
            usage.sensed_at = Some(at);
            estimator.update(&self.policy, seen);
        }
        estimator
    }

    fn view(&self) -> MendView {
        self.view_if_any().unwrap()
    }

    fn view_if_any(&self) -> Option<MendView> {
        let estimator = self.estimator();
        let sight = Sight { policy: &self.policy, estimator: &estimator, seen: &self.seen };
        self.mends.view(&sight, self.web())
    }

    fn web(&self) -> &Component {
        &self.policy.components["web"]
    }

    fn web_mut(&mut self) -> &mut Component {
        self.policy.components.get_mut("web").unwrap()
    }

    /// A look after so long, and everything that it wants done.
    fn after(&mut self, span: Span) {
        self.seen.at = self.seen.at.plus(span);
        let estimator = self.estimator();
        let sight = Sight { policy: &self.policy, estimator: &estimator, seen: &self.seen };
        let before: Vec<Relief> = self.mends.reliefs().cloned().collect();
        let changed = self.mends.update(&sight);
        let reliefs: Vec<Relief> = self.mends.reliefs().cloned().collect();
        assert!(changed || before == reliefs, "what is wanted changed unnoticed: {reliefs:?}");
        self.did = reliefs.iter().map(|relief| relief.means).collect();
        self.seen.outcomes.clear();
        for relief in reliefs {
            assert_eq!(self.policy.mode, Mode::Enforce, "{relief:?}");
            self.carry_out(relief);
        }
        self.mends.hear(&self.seen);
    }

    fn carry_out(&mut self, relief: Relief) {
        let Some(end) = self.end.clone() else { return };
        let verdict = match relief.means {
            Means::Reclaim { bytes } => {
                let (percent, pages) = self.gives;
                let usage = &mut self.seen.groups.get_mut(&relief.at.path).unwrap().usage;
                let held = usage.memory.unwrap();
                usage.memory = Some(held.minus(bytes.scaled(percent, 100)));
                let stat = usage.memory_stat.get_or_insert_default();
                stat.refaults = Some(stat.refaults.unwrap_or_default() + pages);
                Verdict::Applied
            }
            Means::Tell { .. }
            | Means::TellOfLeak { .. }
            | Means::Kill { .. }
            | Means::Probe { .. }
            | Means::Restart { .. } => Verdict::Applied,
        };
        self.tell(&relief, OutcomeOf::Relief { means: relief.means }, verdict);
        if matches!(relief.means, Means::Restart { .. }) {
            self.tell(&relief, OutcomeOf::Restart { unit: "web.service".to_owned() }, end);
        }
    }

    fn tell(&mut self, relief: &Relief, of: OutcomeOf, verdict: Verdict) {
        self.seen.outcomes.push(Outcome {
            at: self.seen.at,
            component: Some(relief.component.clone()),
            path: relief.at.path.clone(),
            of,
            verdict,
            took: Span::ZERO,
        });
    }

    fn knows_refaults(&mut self) {
        let usage = &mut self.seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage;
        usage.memory_stat = Some(MemoryStat { refaults: Some(0), ..MemoryStat::default() });
    }

    /// What was done in so many seconds.
    fn seconds(&mut self, count: u64) -> Vec<(u64, Means)> {
        let mut did = Vec::new();
        for second in 1..=count {
            self.after(Span::secs(1));
            did.extend(self.did.iter().map(|means| (second, *means)));
        }
        did
    }

    fn restarts(&mut self, seconds: u64) -> Vec<u64> {
        let did = self.seconds(seconds).into_iter();
        let restarts = did.filter(|(_, means)| matches!(means, Means::Restart { .. }));
        restarts.map(|(second, _)| second).collect()
    }
}

const ALL: [OnLeak; 4] = [OnLeak::Tell, OnLeak::Hook, OnLeak::Reclaim, OnLeak::Restart];

#[test]
fn nothing_that_leaks_nothing_that_is_done() {
    let mut stage = Stage::new(web(OnLeak::Restart));
    assert_eq!(stage.seconds(20), []);
    assert_eq!(stage.mends, Mends { enforcing: true, ..Mends::default() });
    stage.leak = Some(leak(stage.seen.at, LeakTier::Growth, HOUR));
    assert_eq!(stage.seconds(200), [], "growth may well end by itself");
}

#[test]
fn each_level_does_what_the_gentler_ones_do() {
    for on_leak in ALL {
        let mut stage = Stage::leaking(on_leak, LeakTier::Fast, HOUR);
        stage.knows_refaults();
        let did = stage.seconds(100);
        let count = |is: fn(&Means) -> bool| did.iter().filter(|(_, means)| is(means)).count();
        let told = count(|means| matches!(means, Means::TellOfLeak { .. }));
        let reclaims = count(|means| matches!(means, Means::Reclaim { .. }));
        let restarts = count(|means| matches!(means, Means::Restart { .. }));
        assert_eq!(told, usize::from(on_leak >= OnLeak::Hook), "{on_leak:?}");
        assert_eq!(reclaims > 0, on_leak >= OnLeak::Reclaim, "{on_leak:?}");
        assert_eq!(restarts, usize::from(on_leak == OnLeak::Restart), "{on_leak:?}");
        assert_eq!(told + reclaims + restarts, did.len());
    }
}

#[test]
fn a_hook_is_called_once_for_a_finding_and_knows_it() {
    let mut stage = Stage::leaking(OnLeak::Hook, LeakTier::Suspected, Span::secs(7200));
    stage.after(Span::secs(10));
    let (tier, per_hour) = (LeakTier::Suspected, sample_leak().per_hour);
    let told = Means::TellOfLeak { tier, per_hour, until_limit: Span::secs(7190) };
    assert_eq!(stage.did, [told]);
    stage.leak = Some(leak(stage.seen.at, LeakTier::Fast, HOUR));
    assert_eq!(stage.seconds(500), [], "a graver tier is the same leak");
    stage.leak = None;
    assert_eq!(stage.seconds(5), []);
    stage.leak = Some(leak(stage.seen.at, LeakTier::Slow, HOUR));
    assert_eq!(stage.seconds(500).len(), 1, "another leak");
}

#[test]
fn a_call_that_nobody_answers_for_is_given_up() {
    let mut stage = Stage::leaking(OnLeak::Hook, LeakTier::Slow, HOUR);
    stage.end = None;
    assert_eq!(stage.seconds(200).len(), 60, "one call, wanted for a minute");
}

#[test]
fn a_restart_waits_for_its_announcement_and_for_the_limit_to_be_near() {
    let mut near = Stage::leaking(OnLeak::Restart, LeakTier::Fast, HOUR);
    near.after(Span::secs(1));
    let plan = near.view().next.unwrap();
    assert_eq!(plan.due, near.seen.at.plus(NOTICE));
    assert_eq!((plan.at.as_str(), plan.radius.tasks), (WEB, Some(7)));
    assert_eq!(plan.radius.held, Bytes::mebi(700));
    assert_eq!(near.restarts(200), [60]);
    let mut far = Stage::leaking(OnLeak::Restart, LeakTier::Confirmed, Span::secs(7200 + 500));
    assert_eq!(far.restarts(3000), [500]);
}

#[test]
fn what_is_not_certain_or_not_a_service_is_not_restarted() {
    for (tier, certain) in [
        (LeakTier::Slow, false),
        (LeakTier::Suspected, false),
        (LeakTier::Confirmed, true),
        (LeakTier::Fast, true),
    ] {
        let mut stage = Stage::leaking(OnLeak::Restart, tier, HOUR);
        assert_eq!(stage.restarts(300).len(), usize::from(certain), "{tier}");
        assert_eq!(stage.view().no_restart.is_none(), certain, "{tier}");
    }
    let held = |name: &str, change: fn(&mut Stage)| {
        let mut stage = Stage::leaking(OnLeak::Restart, LeakTier::Fast, HOUR);
        change(&mut stage);
        assert_eq!(stage.restarts(300), [0; 0], "{name}");
        assert!(stage.view().next.is_none(), "{name}");
        stage.view().no_restart.unwrap()
    };
    let kind = |stage: &mut Stage, kind| stage.seen.homes.get_mut("web").unwrap()[0].kind = kind;
    let mut reasons = BTreeSet::from([
        held("no systemd", |stage| stage.seen.host.systemd = false),
        held("protected", |stage| {
            stage.seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().holds_protected = true;
        }),
        held("frozen", |stage| set(&mut stage.seen, WEB, Knob::CgroupFreeze(true))),
        held("sealed", |stage| {
            stage.policy.protect.push(crate::config::Glob::new("web.*").unwrap())
        }),
    ]);
    for other in [
        HomeKind::Group,
        HomeKind::OwnGroup,
        HomeKind::OwnScope { unit: "provost-web.scope".to_owned() },
        HomeKind::Unit { unit: "web.scope".to_owned() },
        HomeKind::Unit { unit: "other.service".to_owned() },
        HomeKind::Container { container: "0123".to_owned() },
    ] {
        let mut stage = Stage::leaking(OnLeak::Restart, LeakTier::Fast, HOUR);
        kind(&mut stage, other.clone());
        assert_eq!(stage.restarts(300), [0; 0], "{other:?}");
        reasons.insert(stage.view().no_restart.unwrap());
    }
    assert_eq!(reasons.len(), 4, "{reasons:?}");
}

#[test]
fn a_users_service_and_one_with_neighbours_are_left_alone() {
    let web = web(OnLeak::Restart);
    for (path, below) in [
        ("user.slice/user-7.slice/user@7.service/app.slice/web.service", None),
        (WEB, Some("system.slice/web.service/inner")),
    ] {
        let mut seen = host();
        add_home(&mut seen, &web, path);
        let job = component("job", Priority::Low);
        below.iter().for_each(|below| add_home(&mut seen, &job, below));
        let rules = policy([web.clone(), job]);
        let estimator = Estimator::default();
        let sight = Sight { policy: &rules, estimator: &estimator, seen: &seen };
        let leak = leak(seen.at, LeakTier::Fast, HOUR);
        assert!(candidate(&sight, &web, &leak).is_err(), "{path} {below:?}");
    }
}

#[test]
fn the_next_restart_is_as_far_away_as_configured_whatever_came_of_the_last() {
    let refused = Verdict::Refused { errno: 0, advice: "no".to_owned() };
    for end in [Some(Verdict::Applied), Some(refused), None] {
        let mut stage = Stage::leaking(OnLeak::Restart, LeakTier::Fast, HOUR);
        stage.web_mut().memory.restart_every = HOUR;
        stage.end.clone_from(&end);
        // One that nobody answers for is wanted for a minute.
        let mut restarts: Vec<u64> = Vec::new();
        for second in stage.restarts(3 * 3600) {
            if restarts.last().is_none_or(|last| second - last > 60) {
                restarts.push(second);
            }
        }
        let apart: Vec<u64> = restarts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(restarts.len() >= 2, "{end:?} {restarts:?}");
        assert!(apart.iter().all(|apart| *apart >= 3540), "{end:?} {restarts:?}");
        let last = stage.view().last.unwrap();
        match &end {
            Some(Verdict::Applied) => assert_eq!(last.end, Some(RestartEnd::Done)),
            Some(_) => assert_eq!(last.end, Some(RestartEnd::Failed { why: "no".to_owned() })),
            None => assert_eq!(last.end, None),
        }
    }
}

#[test]
fn what_was_done_outlives_the_daemon() {
    let mut stage = Stage::leaking(OnLeak::Restart, LeakTier::Fast, HOUR);
    assert_eq!(stage.restarts(100).len(), 1);
    let marks = stage.mends.marks();
    let kept = stage.mends.kept();
    assert!(kept["web"].told && kept["web"].last.is_some() && marks > 0);
    stage.mends = Mends::default();
    stage.mends.remember(&kept);
    let did = stage.seconds(6 * 3600 - 200);
    assert!(did.is_empty(), "neither called nor restarted again: {did:?}");
    assert_eq!(stage.restarts(300).len(), 1, "six hours are over");
}

#[test]
fn a_daemon_that_observes_says_it_and_does_nothing() {
    let mut stage = Stage::leaking(OnLeak::Restart, LeakTier::Fast, HOUR);
    stage.policy.mode = Mode::Observe;
    stage.knows_refaults();
    assert_eq!(stage.seconds(300), []);
    assert!(stage.view().next.is_some_and(|next| next.due < stage.seen.at));
    stage.policy.mode = Mode::Enforce;
    let did = stage.seconds(100);
    let restart = did.iter().find(|(_, means)| matches!(means, Means::Restart { .. }));
    assert_eq!(restart.map(|(second, _)| *second), Some(61), "announced anew");
    assert!(did.iter().any(|(_, means)| matches!(means, Means::TellOfLeak { .. })));
}

#[test]
fn slices_go_on_while_they_help_and_rest_longer_each_time_they_do_not() {
    let slices = |stage: &mut Stage, seconds| -> Vec<u64> {
        stage.seconds(seconds).into_iter().map(|(second, _)| second).collect()
    };
    let stage = || {
        let mut web = web(OnLeak::Reclaim);
        web.hook = None;
        let mut stage = Stage::new(web);
        stage.knows_refaults();
        stage.leak = Some(leak(stage.seen.at, LeakTier::Slow, HOUR));
        stage
    };
    let mut helps = stage();
    assert_eq!(slices(&mut helps, 35), [1, 11, 21, 31]);
    assert_eq!(helps.view().reclaimed, Bytes::mebi(96), "the last one is not judged yet");
    assert_eq!(helps.view().no_reclaim, None);
    assert_eq!(slices(&mut helps, 1000).len(), 16, "64 MiB are left to it");
    let useless: [fn(&mut Stage); 3] =
        [|stage| stage.gives = (40, 0), |stage| stage.gives = (100, 900), |stage| stage.waits = 50];
    for (number, change) in useless.into_iter().enumerate() {
        let mut stage = stage();
        stage.after(Span::secs(1));
        assert_eq!(stage.did.len(), 1);
        change(&mut stage);
        stage.carry_out_again(number);
        assert_eq!(slices(&mut stage, 69), [0; 0], "{number}");
        assert!(stage.view().no_reclaim.is_some() && stage.view().reclaimed == Bytes::ZERO);
    }
    let mut rests = stage();
    rests.gives = (0, 0);
    assert_eq!(slices(&mut rests, 800), [1, 71, 201, 451]);
}

impl Stage {
    /// Undoes the last slice and does it as the group would now.
    fn carry_out_again(&mut self, number: usize) {
        let usage = &mut self.seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage;
        let (percent, pages) = self.gives;
        usage.memory = Some(Bytes::mebi(700).minus(Bytes::mebi(32).scaled(percent, 100)));
        usage.memory_stat.as_mut().unwrap().refaults = Some(pages);
        assert!(number < 3);
    }
}

#[test]
fn nothing_goes_to_swap_where_that_cannot_help() {
    let cases: [(&str, Change); 5] = [
        ("no memory.reclaim", |stage| stage.seen.host.reclaim = false),
        ("no swap", |stage| stage.seen.host.swap = Bytes::ZERO),
        ("swap is full", |stage| stage.seen.load.swap_free = Some(Bytes::mebi(200))),
        ("it waits", |stage| stage.waits = 20),
        ("memory is short", |stage| {
            stage.seen.load.memory_available = Some(Bytes::mebi(20));
        }),
    ];
    for (name, change) in cases {
        let mut stage = Stage::leaking(OnLeak::Reclaim, LeakTier::Fast, HOUR);
        stage.web_mut().hook = None;
        stage.knows_refaults();
        change(&mut stage);
        stage
            .seen
            .alarms
            .extend((name == "memory is short").then_some(crate::model::Resource::Memory));
        assert_eq!(stage.seconds(30), [], "{name}");
        assert!(stage.view().no_reclaim.is_some(), "{name}");
    }
}
