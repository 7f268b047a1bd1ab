//! Forecasts in the whole step: what they may move, what they never move, and how that is told.

use super::play::Play;
use crate::config::{Policy, Steer};
use crate::estimate::Prospects;
use crate::model::{
    Decision, Each, Forecast, Knob, KnobKind, MemoryStat, Plan, Priority, Reading, Reason, Target,
};
use crate::plan::show::lines;
use crate::testing::{PAGE, add_home, component, forecast, host, policy, prospects};
use crate::units::{Bytes, CgroupPath, ComponentName, CpuTime, Limit, Millicpu, Ppm};
use proptest::prelude::*;

const WEB: &str = "system.slice/web.service";
const JOB: &str = "system.slice/job.service";

/// A protected service beside a job, on a host of two CPUs and 2 GiB; page cache can be reclaimed.
struct Story {
    play: Play,
}

impl Story {
    fn new(steer: Steer) -> Self {
        let mut web = component("web", Priority::Critical);
        (web.cpu.guarantee, web.memory.guarantee) = (Millicpu(300), Bytes::mebi(100));
        let job = component("job", Priority::Low);
        let mut seen = host();
        add_home(&mut seen, &web, WEB);
        add_home(&mut seen, &job, JOB);
        for group in seen.groups.values_mut() {
            group.usage.cpu = Some(CpuTime(0));
        }
        let rules = Policy { steer, ..policy([web, job]) };
        let mut story = Self { play: Play::new(rules, seen) };
        (0..4).for_each(|_| story.second(300, 300));
        story.play.writes = 0;
        story
    }

    /// A second in which web uses so much CPU and holds so many MiB, and the job takes whatever it may.
    fn second(&mut self, cpu: u64, held: u64) {
        let Knob::CpuMax(max) = self.knob(KnobKind::CpuMax) else { panic!() };
        let job = max.rate().value().map_or(2000 - cpu, |rate| rate.0);
        let Knob::MemoryHigh(high) = self.knob(KnobKind::MemoryHigh) else { panic!() };
        let high = high.value().map_or(1500, |high| high.0 >> 20);
        let cached = high.min(2000 - held);
        for (path, cpu, held, anon) in
            [(WEB, cpu, held, held), (JOB, job, cached, 100), ("", cpu + job, held + cached, 0)]
        {
            let group = self.play.seen.groups.get_mut(&CgroupPath::new(path)).unwrap();
            group.usage.sensed_at = Some(self.play.seen.at);
            group.usage.cpu.as_mut().unwrap().0 += cpu * 1000;
            group.usage.memory = Some(Bytes::mebi(held));
            let anon = Bytes::mebi(anon);
            group.usage.memory_stat = Some(MemoryStat { anon, ..MemoryStat::default() });
        }
        self.play.seen.load.memory_available = Some(Bytes::mebi(2048 - held - 100));
        self.play.step();
    }

    fn knob(&self, kind: KnobKind) -> Knob {
        let reading = self.play.seen.groups[&CgroupPath::new(JOB)].knob(kind);
        let Reading::Is(knob) = reading else { panic!("{reading:?}") };
        knob.clone()
    }

    fn is_limited(&self) -> [bool; 2] {
        [KnobKind::CpuMax, KnobKind::MemoryHigh]
            .map(|kind| self.knob(kind) != kind.kernel_default())
    }
}

/// What is expected of web: from 300 thousandths of a core and 300 MiB lately.
fn expects(cpu: u64, mebi: u64, percent: u32) -> Prospects {
    let memory = [300, mebi, mebi + 50].map(|count| Bytes::mebi(count).0);
    let [lately, point, upper] = memory;
    prospects(
        "web",
        Some(forecast((300, cpu, cpu + 100), percent)),
        Some(forecast((lately, point, upper), percent)),
    )
}

#[test]
fn room_is_there_before_the_demand_and_is_given_back_after_it() {
    let mut story = Story::new(Steer::All);
    story.play.state.prospects = expects(1200, 1000, 80);
    (0..20).for_each(|_| story.second(300, 300));
    // 2000 less 400 of headroom and 1300 at most: the least that is left.
    let Knob::CpuMax(max) = story.knob(KnobKind::CpuMax) else { panic!() };
    assert_eq!(max.rate(), Limit::At(Millicpu(300)));
    let Knob::MemoryHigh(Limit::At(high)) = story.knob(KnobKind::MemoryHigh) else { panic!() };
    // 2048 less 256 in reserve and 1000 with a buffer of 30 %.
    assert!((492..=512).contains(&(high.0 >> 20)), "{high}");
    story.play.writes = 0;
    (0..100).for_each(|_| story.second(300, 300));
    assert_eq!(story.play.writes, 0, "the same forecast, the same limits");
    // The demand comes, the next forecasts say no more than it, and nobody waits.
    let held = Bytes::mebi(1000).0;
    let (cpu, memory) = (forecast((1200, 1200, 1300), 80), forecast((held, held, held), 80));
    story.play.state.prospects = prospects("web", Some(cpu), Some(memory));
    (0..120).for_each(|_| story.second(1200, 1000));
    assert_eq!(story.is_limited(), [false, true], "the job would take its memory back");
    // The day is over.
    let few = Bytes::mebi(300).0;
    let (cpu, memory) = (forecast((1200, 300, 400), 80), forecast((held, few, few), 80));
    story.play.state.prospects = prospects("web", Some(cpu), Some(memory));
    (0..120).for_each(|_| story.second(300, 300));
    assert_eq!(story.is_limited(), [false, false]);
    assert_eq!(story.play.state.ownership.records().map(|(.., one)| one.fights).sum::<u32>(), 0);
}

#[test]
fn a_switch_says_what_forecasts_may_decide() {
    for (steer, limited) in
        [(Steer::Off, [false, false]), (Steer::Memory, [false, true]), (Steer::All, [true, true])]
    {
        let mut story = Story::new(steer);
        story.play.state.prospects = expects(1200, 1000, 80);
        (0..10).for_each(|_| story.second(300, 300));
        assert_eq!(story.is_limited(), limited, "{steer:?}");
        // What was said is over: nothing is known any more.
        story.play.state.prospects = Prospects::default();
        (0..120).for_each(|_| story.second(300, 300));
        assert_eq!(story.is_limited(), [false, false], "{steer:?}");
    }
}

#[test]
fn it_is_said_for_whom_and_until_when() {
    let mut story = Story::new(Steer::All);
    story.play.state.prospects = expects(1200, 1000, 80);
    story.second(300, 300);
    let plan = Plan { actions: story.play.actions.clone() };
    let shown: Vec<String> = lines(&plan, PAGE)
        .into_iter()
        .map(|line| format!("{} {} -> {}: {}", line.what, line.old, line.new, line.reason))
        .collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    insta::assert_snapshot!(shown.join("\n"));
    let document = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&document).unwrap(), plan, "as the record keeps it");
}

/// Whatever a forecaster may say.
fn said() -> impl Strategy<Value = Option<Forecast>> {
    let amounts = (0u64..3000, 0u64..3000, 0u64..1000);
    proptest::option::of((amounts, 0u32..=100).prop_map(|((lately, point, beyond), percent)| {
        forecast((lately, point, point + beyond), percent)
    }))
}

fn in_mebi(said: Forecast) -> Forecast {
    let mebi = |count| Bytes::mebi(count).0;
    Forecast {
        point: mebi(said.point),
        upper: mebi(said.upper),
        lately: said.lately.map(mebi),
        ..said
    }
}

/// What web is to have, without the reasons.
fn of_web(decision: &Option<Decision>) -> Vec<(CgroupPath, Knob)> {
    let web: ComponentName = "web".parse().unwrap();
    let is_its = |target: &Target| target.component.as_ref() == Some(&web);
    let targets = decision.iter().flat_map(|decision| &decision.targets);
    let placed = |target: &Target| (target.at.clone(), target.knob.clone());
    targets.filter(|target| is_its(target)).map(placed).collect()
}

proptest! {
    // Some 4 * 10^4 looks.
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is said: what a protected component is to have stays as it is without forecasts, what does not count changes nothing at
    /// all, a steady host comes to rest, and when nothing is said any more everything is as before.
    #[test]
    fn forecasts_move_what_yields_alone_and_come_to_rest(
        cpu in said(), memory in said(), used in (50u64..1500, 50u64..1500)
    ) {
        let (mut with, mut without) = (Story::new(Steer::All), Story::new(Steer::All));
        with.play.state.prospects = prospects("web", cpu, memory.map(in_mebi));
        let counts = |said: Option<Forecast>| {
            said.is_some_and(|said| said.confidence >= Ppm::percent(30))
        };
        for _ in 0..150 {
            with.second(used.0, used.1);
            without.second(used.0, used.1);
            let decisions = (&with.play.decision, &without.play.decision);
            if !counts(cpu) && !counts(memory) {
                prop_assert_eq!(decisions.0, decisions.1, "nothing counts");
            }
            prop_assert_eq!(of_web(decisions.0), of_web(decisions.1));
            for action in &with.play.actions {
                for change in action.changes() {
                    let ahead = matches!(change.reason, Reason::YieldsAhead { .. });
                    prop_assert!(!ahead || action.path().as_str() == JOB, "{:?}", change);
                }
            }
        }
        with.play.writes = 0;
        (0..30).for_each(|_| with.second(used.0, used.1));
        prop_assert_eq!(with.play.writes, 0, "a steady host is left alone");
        with.play.state.prospects.lend(&"web".parse().unwrap(), Each::default());
        (0..600).for_each(|_| with.second(used.0, used.1));
        prop_assert_eq!(with.is_limited(), without.is_limited());
    }
}
