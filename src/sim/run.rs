//! Plays one scenario: the model host ticks, and once an interval the cycle looks at it and its plan is carried out.
//!
//! A plan takes effect at the tick after it was made. The configuration's `mode` does not matter here: nothing real is written.

use super::carry::{Dice, carry_out};
use super::foreseeing::Foreseeing;
use super::group::{Counters, TICK};
use super::look::Looker;
use super::plant::Plant;
use super::scenario::{Foreign, Scenario};
use super::score::{Point, Score, Tally, is_accepted};
use crate::config::{Mode, Policy, Strategy};
use crate::cycle::{State, step};
use crate::model::{Finding, FindingKind, Outcome, OutcomeOf, Plan};
use crate::units::{CgroupPath, Span};
use std::collections::BTreeMap;

/// Who acts in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// Nobody: the host without provost.
    Absent,
    /// The configured limits and weights, which follow nothing: no auto-scaling, and nobody yields.
    Static,
    /// provost with a strategy.
    With(Strategy),
    /// provost with a strategy and without forecasts.
    Reactive(Strategy),
}

impl Arm {
    /// Those of every scenario, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Absent,
        Self::Static,
        Self::With(Strategy::Conservative),
        Self::With(Strategy::Balanced),
        Self::With(Strategy::Aggressive),
        Self::With(Strategy::Adaptive),
    ];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Absent => "none",
            Self::Static => "static",
            Self::With(strategy) => strategy.word(),
            Self::Reactive(Strategy::Conservative) => "conservative-reactive",
            Self::Reactive(Strategy::Balanced) => "balanced-reactive",
            Self::Reactive(Strategy::Aggressive) => "aggressive-reactive",
            Self::Reactive(Strategy::Adaptive) => "adaptive-reactive",
        }
    }
}

/// What came of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Who acted.
    pub arm: Arm,
    /// The marks.
    pub score: Score,
    /// The course, in parts of equal length.
    pub points: Vec<Point>,
    /// How often each file took a value, for a person who wonders where writes come from.
    pub written: BTreeMap<String, u64>,
    /// What was told of memory that grows without end.
    pub told: Vec<Told>,
}

/// The first finding of its severity about a component's memory that grows without end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Since the start.
    pub at: Span,
    /// What.
    pub finding: Finding,
}

impl Scenario {
    /// All who play it, in the order in which they are shown: where there are forecasts, each strategy with and without them.
    #[must_use]
    pub fn arms(&self) -> Vec<Arm> {
        let both = |arm: Arm| match (arm, self.day) {
            (Arm::With(strategy), Some(_)) => vec![arm, Arm::Reactive(strategy)],
            (Arm::Absent | Arm::Static | Arm::With(_) | Arm::Reactive(_), _) => vec![arm],
        };
        Arm::ALL.into_iter().flat_map(both).collect()
    }

    /// Plays the scenario once.
    #[must_use]
    pub fn play(&self, arm: Arm) -> Played {
        Run::new(self, arm).play()
    }
}

struct Run<'a> {
    scenario: &'a Scenario,
    arm: Arm,
    policy: Policy,
    plant: Plant,
    looker: Looker,
    state: State,
    foreseeing: Option<Foreseeing>,
    plan: Plan,
    outcomes: Vec<Outcome>,
    dice: Dice,
    tally: Tally,
    written: BTreeMap<String, u64>,
    told: Vec<Told>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, arm: Arm) -> Self {
        let mut policy = scenario.policy.clone();
        policy.mode = Mode::Enforce;
        match arm {
            Arm::Absent => {}
            Arm::Static => {
                for component in policy.components.values_mut() {
                    component.auto_scale = false;
                    component.yields = false;
                }
            }
            Arm::With(strategy) | Arm::Reactive(strategy) => policy.strategy = strategy,
        }
        let day = scenario.day.filter(|_| matches!(arm, Arm::With(_)));
        let plant = scenario.plant();
        Self {
            scenario,
            arm,
            looker: Looker::new(&plant),
            plant,
            state: State::default(),
            foreseeing: day.map(Foreseeing::new),
            plan: Plan::default(),
            outcomes: Vec::new(),
            dice: Dice::new(scenario.seed, scenario.failing_writes),
            tally: Tally::new(&policy, scenario.duration),
            policy,
            written: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    fn play(mut self) -> Played {
        let interval = self.policy.interval.0.max(TICK);
        let mut gaps = self.scenario.gaps.iter().peekable();
        let mut foreign: Vec<(u64, &Foreign)> =
            self.scenario.foreign.iter().map(|writer| (writer.at, writer)).collect();
        let mut look_at = 0;
        while self.wall() < self.scenario.duration.0 {
            let now = self.wall();
            if let Some((_, length)) = gaps.next_if(|(at, _)| now >= *at) {
                self.plant.sleep(*length);
            }
            for (due, writer) in &mut foreign {
                if now >= *due {
                    self.plant.foreign(&writer.path, &writer.knob);
                    *due = writer.every.map_or(u64::MAX, |every| now + every.max(TICK));
                }
            }
            self.carry_out();
            self.plant.tick();
            self.tally.observe(&self.plant);
            // The daemon's timer runs on while the host is awake; what it missed asleep is one look.
            if self.arm != Arm::Absent && self.plant.awake >= look_at {
                look_at = self.plant.awake + interval;
                self.look();
            }
        }
        let (score, points) = self.tally.finish();
        Played { arm: self.arm, score, points, written: self.written, told: self.told }
    }

    /// Time since the start, asleep or awake.
    const fn wall(&self) -> u64 {
        self.plant.awake + self.plant.asleep
    }

    fn carry_out(&mut self) {
        if self.plan.is_empty() {
            return;
        }
        let plan = std::mem::take(&mut self.plan);
        let outcomes = carry_out(&mut self.plant, &plan, &mut self.dice);
        for outcome in outcomes.iter().filter(|outcome| is_accepted(outcome)) {
            if let OutcomeOf::Knob { knob, .. } = &outcome.of {
                *self.written.entry(knob.to_string()).or_default() += 1;
            }
        }
        let now = self.wall();
        self.tally.wrote(now, &outcomes);
        self.outcomes.extend(outcomes);
    }

    fn look(&mut self) {
        let outcomes = std::mem::take(&mut self.outcomes);
        let seen = self.looker.look(&self.plant, outcomes);
        if let Some(foreseeing) = &self.foreseeing {
            foreseeing.lend(&self.policy, &mut self.state.prospects);
        }
        let stepped = step(&self.policy, std::mem::take(&mut self.state), seen);
        self.state = stepped.state;
        if let Some(foreseeing) = &mut self.foreseeing {
            foreseeing.look(&self.policy, seen, &self.state.estimator);
        }
        if let Some(news) = stepped.news {
            self.plan = news.plan;
            self.hear(news.findings);
        }
    }

    fn hear(&mut self, findings: Vec<Finding>) {
        let at = Span(self.wall());
        let of_leaks = findings.into_iter().filter(|finding| finding.kind == FindingKind::Leak);
        for finding in of_leaks {
            let is_like = |told: &Told| {
                (&told.finding.component, told.finding.severity)
                    == (&finding.component, finding.severity)
            };
            if !self.told.iter().any(is_like) {
                self.told.push(Told { at, finding });
            }
        }
    }
}

/// What the host gave one component in a run without provost: for tests of the model and for a look by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Got {
    /// CPU time.
    pub cpu: Span,
    /// Memory at the end, in bytes.
    pub memory_bytes: u64,
    /// Time throttled by its own quota.
    pub throttled: Span,
    /// OOM kills.
    pub kills: u64,
    /// What else the kernel counts.
    pub counters: Counters,
}

impl Plant {
    /// What a group got since it was made; none when there is none at the path.
    #[must_use]
    pub fn got(&self, path: &CgroupPath) -> Option<Got> {
        let group = self.find(path).and_then(|number| self.groups.get(number))?;
        Some(Got {
            cpu: Span(group.usage_usec),
            memory_bytes: group.memory,
            throttled: Span(group.throttled_usec),
            kills: group.oom_kills,
            counters: group.counters,
        })
    }
}
