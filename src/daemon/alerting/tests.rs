//! Signals from what is known of a host, and alerts that outlive the daemon.

use super::*;
use crate::cycle::{rest, step};
use crate::model::{
    AlertState, Decision, Finding, Knob, KnobKind, LimitOf, Plan, Priority, Severity, Target,
};
use crate::testing::{add_home, component, host, policy, set};
use crate::units::{Bytes, CgroupPath, CpuMax, CpuTime, Limit, Millicpu};

const WEB: &str = "system.slice/web.service";

/// A host with one service, looked at once a second, and a state folder that is removed in the end.
struct Story {
    paths: Paths,
    alerting: Alerting,
    policy: Policy,
    state: State,
    seen: Snapshot,
    news: News,
}

impl Story {
    fn new(name: &str) -> Self {
        let name = format!("provost-alerts-{name}-{}", std::process::id());
        let state = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&state).unwrap();
        let paths = Paths { run: state.clone(), state };
        let web = component("web", Priority::Normal);
        let mut seen = host();
        add_home(&mut seen, &web, "system.slice/web.service");
        let mut policy = policy([web]);
        policy.alerts.journal = false;
        let news =
            News { decision: Decision::default(), plan: Plan::default(), findings: Vec::new() };
        let alerting = Self::begin(&paths, &policy);
        Self { paths, alerting, policy, state: State::default(), seen, news }
    }

    fn begin(paths: &Paths, policy: &Policy) -> Alerting {
        let host = Host { by_systemd: false, mount: paths.run.clone() };
        Alerting::begin(paths, "a boot".to_owned(), policy, host)
    }

    fn look(&mut self) {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        let _rests = rest(&self.policy, &mut self.state, &self.seen);
        let known = Known {
            policy: &self.policy,
            state: &self.state,
            seen: &self.seen,
            news: &self.news,
            foresight: &Foresight::default(),
        };
        self.alerting.look(self.seen.at, known);
    }

    fn looks(&mut self, count: usize) {
        (0..count).for_each(|_| self.look());
    }

    /// Names and states of all that are shown.
    fn shown(&self) -> Vec<(String, AlertState)> {
        let views = self.alerting.views(self.seen.at);
        views.into_iter().map(|view| (view.id, view.state)).collect()
    }

    /// Looks, in each of which the service was stopped in four of ten periods.
    fn looks_stopped(&mut self, count: usize) {
        for _ in 0..count {
            let at = self.seen.at.plus(Span::secs(1));
            let usage = &mut self.seen.groups.get_mut(&CgroupPath::new(WEB)).unwrap().usage;
            usage.sensed_at = Some(at);
            let more = |counted: Option<u64>, more| Some(counted.unwrap_or_default() + more);
            usage.periods = more(usage.periods, 10);
            usage.throttled_periods = more(usage.throttled_periods, 4);
            self.look();
        }
    }

    /// The service has so much CPU at most.
    fn limit(&mut self, percent: u64) -> Knob {
        let quota = Limit::At(CpuTime::millis(percent));
        let knob = Knob::CpuMax(CpuMax { quota, period: CpuTime::millis(100) });
        set(&mut self.seen, WEB, knob.clone());
        knob
    }

    /// The same by provost, which wants it for a reason.
    fn limit_for(&mut self, percent: u64, reason: Reason) {
        let knob = self.limit(percent);
        let (at, component) = (CgroupPath::new(WEB), Some("web".parse().unwrap()));
        let original = Some(KnobKind::CpuMax.kernel_default());
        let id = self.seen.groups[&at].id;
        self.state.ownership.adopt(&at, id, original, (&knob, reason.is_passing()));
        self.news.decision.targets = vec![Target { component, at, knob, reason }];
    }

    /// Whose limit is told of, once that is told.
    fn whose(&self) -> Option<LimitOf> {
        let views = self.alerting.views(self.seen.at);
        let firing = views.iter().find(|view| view.state == AlertState::Firing)?;
        assert_eq!(firing.id, "throttled/web");
        let Evidence::Throttled { by, .. } = firing.evidence else { panic!("{firing:?}") };
        Some(by)
    }

    fn kill(&mut self, count: u64) {
        let path = CgroupPath::new("system.slice/web.service");
        let usage = &mut self.seen.groups.get_mut(&path).unwrap().usage;
        usage.oom_kills = Some(usage.oom_kills.unwrap_or_default() + count);
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.paths.state);
    }
}

fn firing(id: &str) -> Vec<(String, AlertState)> {
    vec![(id.to_owned(), AlertState::Firing)]
}

#[test]
fn a_quiet_host_raises_nothing() {
    let mut story = Story::new("quiet");
    story.kill(7);
    story.looks(700);
    assert_eq!(story.shown(), [], "what was killed before the daemon came is no news");
}

#[test]
fn a_kill_is_told_for_five_minutes_and_so_many_as_there_were() {
    let mut story = Story::new("kill");
    story.looks(6);
    story.kill(1);
    story.looks(6);
    story.kill(2);
    story.looks(6);
    assert_eq!(story.shown(), firing("oom-kill/web"));
    let view = &story.alerting.views(story.seen.at)[0];
    assert!(view.text.starts_with("3 processes of web were killed"), "{}", view.text);
    story.looks(360);
    assert_eq!(story.shown(), [("oom-kill/web".to_owned(), AlertState::Resolved)]);
}

/// The only process of a service is killed: systemd removes the group before anybody has read its count.
#[test]
fn a_kill_that_took_its_group_along_is_told_by_systemd() {
    let mut story = Story::new("starved");
    story.looks(10);
    story.seen.homes.clear();
    story.seen.groups.remove(&CgroupPath::new(WEB));
    story.look();
    story.alerting.heard_kill("other.service");
    story.looks(10);
    assert_eq!(story.shown(), []);
    story.alerting.heard_kill("web.service");
    story.looks(10);
    assert_eq!(story.shown(), firing("oom-kill/web"));
    assert!(story.alerting.views(story.seen.at)[0].text.starts_with("a process of web"));
}

#[test]
fn a_kill_that_the_kernel_counted_counts_once() {
    let mut story = Story::new("both");
    story.looks(10);
    story.kill(1);
    story.alerting.heard_kill("web.service");
    story.looks(10);
    story.alerting.heard_kill("web.service");
    story.looks(10);
    assert!(story.alerting.views(story.seen.at)[0].text.starts_with("a process of web"));
}

#[test]
fn a_group_that_is_made_anew_was_not_killed_in() {
    let mut story = Story::new("anew");
    story.kill(5);
    story.looks(6);
    let path = CgroupPath::new("system.slice/web.service");
    story.seen.groups.get_mut(&path).unwrap().usage.oom_kills = Some(0);
    story.looks(12);
    assert_eq!(story.shown(), []);
}

#[test]
fn more_than_a_twentieth_refused_is_told_and_forgotten_after_ten_minutes() {
    let mut story = Story::new("refused");
    let web = component("web", Priority::Normal);
    let mut limited = web.clone();
    limited.memory.ceiling = Limit::At(Bytes::mebi(64));
    let rules = policy([limited]);
    let plan = step(&rules, State::default(), &story.seen).news.unwrap().plan;
    let outcomes = crate::testing::carry_out(&story.seen, &plan.actions).outcomes;
    let of_web = outcomes.into_iter().find(|outcome| {
        matches!(outcome.of, OutcomeOf::Knob { .. }) && outcome.component.is_some()
    });
    let applied = of_web.unwrap();
    let refused = Verdict::Refused { errno: 13, advice: "no".to_owned() };
    let refused = Outcome { verdict: refused, ..applied.clone() };
    (0..19).for_each(|_| story.alerting.happened(&applied));
    story.alerting.happened(&refused);
    story.looks(6);
    assert_eq!(story.shown(), [], "a twentieth is not more than that");
    story.alerting.happened(&refused);
    story.looks(6);
    assert_eq!(story.shown(), firing("refused/web"));
    story.looks(700);
    assert_eq!(story.shown(), [("refused/web".to_owned(), AlertState::Resolved)]);
}

#[test]
fn a_level_a_contested_value_and_a_limit_that_is_not_followed_are_told() {
    let mut story = Story::new("decided");
    story.news.findings.push(Finding {
        severity: Severity::Error,
        kind: FindingKind::Contested,
        component: None,
        at: Some(CgroupPath::new("system.slice")),
        text: String::new(),
    });
    let at = CgroupPath::new("system.slice/web.service");
    let knob = story.seen.groups[&at].knob(KnobKind::MemoryHigh);
    let knob = knob.value().unwrap().clone();
    let component = Some("web".parse().unwrap());
    story.news.decision.targets.push(Target { component, at, knob, reason: Reason::LetGo });
    story.looks(2);
    let unresponsive = ("unresponsive/web".to_owned(), AlertState::Pending);
    let drift = firing("drift/system.slice").remove(0);
    assert_eq!(story.shown(), [drift.clone(), unresponsive.clone()]);
    story.looks(310);
    assert_eq!(story.shown(), [drift, (unresponsive.0, AlertState::Firing)]);
}

#[test]
fn who_gives_way_is_stopped_on_purpose_and_nobody_is_told() {
    let mut story = Story::new("gives-way");
    story.limit_for(50, Reason::Yields { cap: Millicpu(500), others: Millicpu(1200) });
    story.looks_stopped(200);
    assert_eq!(story.shown(), []);
    // Nobody waits any more, and what is left to it is its ceiling.
    story.limit_for(100, Reason::Configured { key: "cpu.ceiling".into() });
    story.looks_stopped(70);
    assert_eq!(story.whose(), Some(LimitOf::Ceiling));
    story.limit_for(50, Reason::Yields { cap: Millicpu(500), others: Millicpu(1200) });
    story.looks_stopped(60);
    assert_eq!(story.shown(), [("throttled/web".to_owned(), AlertState::Resolved)]);
}

#[test]
fn a_ceiling_that_follows_the_need_is_a_ceiling() {
    let mut story = Story::new("scaled");
    let [key, least, most, why] = ["cpu.ceiling", "0.5", "2", "raised"].map(ToOwned::to_owned);
    story.limit_for(100, Reason::Scaled { key, least, most, why });
    story.looks_stopped(80);
    assert_eq!(story.whose(), Some(LimitOf::Ceiling));
}

#[test]
fn a_limit_of_somebody_else_is_told_as_theirs_whatever_provost_would_have_liked() {
    let mut story = Story::new("theirs");
    let knob = story.limit(40);
    story.looks_stopped(80);
    assert_eq!(story.whose(), Some(LimitOf::Others), "nothing is configured");
    let (at, component) = (CgroupPath::new(WEB), Some("web".parse().unwrap()));
    let reason = Reason::Yields { cap: Millicpu(300), others: Millicpu(1200) };
    let target = Target { component, at, knob: knob.clone(), reason };
    story.news.decision.targets = vec![target.clone()];
    story.looks_stopped(10);
    assert_eq!(story.whose(), Some(LimitOf::Others), "provost only observes");
    let reason = Reason::Configured { key: "cpu.ceiling".into() };
    story.news.decision.targets = vec![Target { reason, ..target }];
    story.looks_stopped(10);
    assert_eq!(story.whose(), Some(LimitOf::Ceiling), "it is the unit's limit and the ceiling");
    story.limit(30);
    story.looks_stopped(10);
    assert_eq!(story.whose(), Some(LimitOf::Others), "somebody lowered it");
}

#[test]
fn what_somebody_said_outlives_the_daemon() {
    let mut story = Story::new("kept");
    story.looks(6);
    story.kill(1);
    story.looks(6);
    let now = story.seen.at;
    let missing = story.alerting.acknowledge("leak/web").unwrap_err();
    assert!(missing.contains("\"leak/web\""), "{missing}");
    story.alerting.acknowledge("oom-kill/web").unwrap();
    let silenced = story.alerting.silence("oom-kill/web", now, Span::secs(3600)).unwrap();
    assert_eq!(silenced, "oom-kill/web is silenced for 1h");
    story.alerting = Story::begin(&story.paths, &story.policy);
    story.looks(6);
    story.kill(1);
    story.looks(6);
    let silenced = ("oom-kill/web".to_owned(), AlertState::Silenced);
    assert_eq!(story.shown(), [silenced]);
    let told = story.alerting.silence("oom-kill/web", story.seen.at, Span::ZERO).unwrap();
    assert_eq!(told, "oom-kill/web is told again");
    for text in ["", "{", "{\"version\":2,\"boot\":\"a boot\",\"alerts\":{}}"] {
        std::fs::write(story.paths.state.join("alerts.json"), text).unwrap();
        let alerting = Story::begin(&story.paths, &story.policy);
        assert_eq!(alerting.views(story.seen.at), []);
    }
}
