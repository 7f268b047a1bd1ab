//! Any weather: whatever the load does and whatever fails, the rules hold at every look; and when it is calm again, everything is as before.

use crate::config::{LastResort, Scale};
use crate::cycle::{State, step};
use crate::model::{
    Action, Change, Each, FindingKind, IoCount, IoMax, Knob, KnobKind, Means, MemoryStat, Outcome,
    Plan, Priority, Psi, PsiLine, ReadFault, Reading, Reason, Resource, Snapshot, Verdict,
};
use crate::record::{Packer, unpack};
use crate::testing::{DISK, add_home, carry_out, component, forecast, host, policy, set};
use crate::units::{Bytes, CgroupId, CgroupPath, CpuTime, Limit, Millicpu, Span};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

const NAMES: [&str; 4] = ["web", "db", "job", "scan"];
const PRIORITIES: [Priority; 4] =
    [Priority::Critical, Priority::High, Priority::Low, Priority::Low];
/// The most tasks that one of them may have.
const CEILING: u64 = 9000;
/// What of all the knobs follows the load.
const FOLLOWING: [KnobKind; 5] = [
    KnobKind::CpuMax,
    KnobKind::MemoryHigh,
    KnobKind::IoMax(DISK),
    KnobKind::PidsMax,
    KnobKind::CgroupFreeze,
];

fn path(name: &str) -> CgroupPath {
    CgroupPath::new(&format!("system.slice/{name}.service"))
}

/// The same as a recording gives it back.
fn recorded<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let mut packer = Packer::default();
    packer.section(0, value).unwrap();
    let section = packer.sections().next().unwrap();
    unpack(section.shape, section.numbers).unwrap()
}

/// One second of load.
#[derive(Debug, Clone)]
struct Gust {
    /// Of each: thousandths of a CPU, MiB held, MiB written.
    used: [(u64, u64, u64); 4],
    /// Tasks of each.
    tasks: [u64; 4],
    /// How much of the second the protected wait for CPU, memory and a disk, in percent.
    waits: (u64, u64, u64),
    /// What is expected of the protected: lately, likely and at most beyond that, in thousandths of a CPU and MiB, and the confidence.
    expected: Option<(u64, u64, u64, u32)>,
    trouble: Trouble,
}

/// What goes wrong in that second.
#[derive(Debug, Clone)]
enum Trouble {
    Nothing,
    /// A knob of one cannot be read.
    Blind(usize, usize),
    /// The counters of one cannot be read.
    Deaf(usize),
    /// Somebody else writes a knob of one.
    Foreign(usize, u64),
    /// The unit of one is started again.
    Anew(usize),
    /// Nothing is written: the kernel refuses with this error.
    Refused(i32),
    /// Nobody looks for so many seconds.
    Asleep(u64),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        6 => Just(Trouble::Nothing),
        1 => (0usize..4, 0usize..4).prop_map(|(who, which)| Trouble::Blind(who, which)),
        1 => (0usize..4).prop_map(Trouble::Deaf),
        1 => (0usize..4, 1u64..200).prop_map(|(who, value)| Trouble::Foreign(who, value)),
        1 => (0usize..4).prop_map(Trouble::Anew),
        1 => prop_oneof![Just(1), Just(2), Just(5), Just(16), Just(19), Just(22), Just(28), Just(34)]
            .prop_map(Trouble::Refused),
        1 => (2u64..40).prop_map(Trouble::Asleep),
    ]
}

fn gust() -> impl Strategy<Value = Gust> {
    let used = proptest::array::uniform4((0u64..2000, 1u64..900, 0u64..200));
    let tasks = proptest::array::uniform4(prop_oneof![1u64..300, 1u64..20_000]);
    let waits = (0u64..100, 0u64..100, 0u64..100);
    let expected = proptest::option::of((0u64..1500, 0u64..2000, 0u64..500, 0u32..=100));
    (used, tasks, waits, expected, trouble()).prop_map(|(used, tasks, waits, expected, trouble)| {
        Gust { used, tasks, waits, expected, trouble }
    })
}

/// A storm lasts: each gust for some seconds.
fn storm() -> impl Strategy<Value = Vec<Gust>> {
    let blow = (gust(), 1usize..8);
    proptest::collection::vec(blow, 1..8).prop_map(|blows| {
        blows
            .into_iter()
            .flat_map(|(gust, seconds)| {
                let calm = Gust { trouble: Trouble::Nothing, ..gust.clone() };
                std::iter::once(gust).chain(std::iter::repeat_n(calm, seconds))
            })
            .collect()
    })
}

struct World {
    rules: crate::config::Policy,
    seen: Snapshot,
    state: State,
    ids: u64,
    /// What could not be read in this second, and is there nevertheless.
    hidden: Option<(CgroupPath, KnobKind, Reading<Knob>)>,
}

impl World {
    fn new() -> Self {
        let mut seen = host();
        let components = NAMES.iter().zip(PRIORITIES).map(|(name, priority)| {
            let mut made = component(name, priority);
            if *name == "web" {
                made.cpu.guarantee = Millicpu(500);
                made.memory.guarantee = Bytes::mebi(200);
            }
            if *name == "db" {
                let cooldown = Span::secs(5);
                made.cpu.ceiling = Limit::At(Millicpu(2000));
                made.cpu.scale = Some(Scale { least: Millicpu(100), cooldown });
                made.memory.ceiling = Limit::At(Bytes::mebi(1500));
                made.memory.scale = Some(Scale { least: Bytes::mebi(64), cooldown });
                made.pids = Limit::At(20_000);
                made.pids_scale = Some(Scale { least: 64, cooldown });
            }
            if *name == "scan" {
                made.cpu.ceiling = Limit::At(Millicpu(1500));
                made.pids = Limit::At(CEILING);
                made.last_resort = LastResort::Kill;
            }
            add_home(&mut seen, &made, path(name).as_str());
            made
        });
        let rules = policy(components);
        Self { rules, seen, state: State::default(), ids: 50_000, hidden: None }
    }

    fn load(&mut self, gust: &Gust) {
        let (mut cpu, mut held, mut written) = (0, 0, 0);
        for (name, used) in NAMES.iter().zip(gust.used) {
            self.spend(&path(name), used, gust);
            (cpu, held, written) = (cpu + used.0, held + used.1, written + used.2);
        }
        for (name, tasks) in NAMES.iter().zip(gust.tasks) {
            self.seen.groups.get_mut(&path(name)).unwrap().usage.pids = Some(tasks);
        }
        self.seen.load.tasks = Some(200 + gust.tasks.iter().sum::<u64>());
        self.spend(&CgroupPath::root(), (cpu, held, written), gust);
        self.seen.load.memory_available = Some(Bytes::mebi(2048_u64.saturating_sub(held)));
        self.seen.waiting.clear();
        if gust.waits.0 >= 20 {
            self.seen.waiting.insert(Resource::Cpu);
        }
    }

    fn spend(&mut self, path: &CgroupPath, (cpu, held, written): (u64, u64, u64), gust: &Gust) {
        let at = self.seen.at;
        let usage = &mut self.seen.groups.get_mut(path).unwrap().usage;
        usage.sensed_at = Some(at);
        let spent = usage.cpu.unwrap_or(CpuTime(0));
        usage.cpu = Some(CpuTime(spent.0 + cpu * 1000));
        usage.throttled = Some(CpuTime(0));
        usage.memory = Some(Bytes::mebi(held));
        usage.memory_stat = Some(MemoryStat { anon: Bytes::mebi(held), ..MemoryStat::default() });
        let none = IoCount { device: DISK, rbytes: 0, wbytes: 0, rios: 0, wios: 0 };
        let count = usage.io.get_or_insert_with(|| vec![none]).first_mut().unwrap();
        count.wbytes += written << 20;
        count.wios += written;
        let more = |psi: &mut Option<Psi>, percent: u64| {
            let total = psi.unwrap_or_default().some.total_usec + percent * 10_000;
            let line = PsiLine { total_usec: total, avg10_centi: 0 };
            *psi = Some(Psi { some: line, full: line });
        };
        more(&mut usage.cpu_psi, gust.waits.0);
        more(&mut usage.memory_psi, gust.waits.1);
        more(&mut usage.io_psi, gust.waits.2);
    }

    /// The protected are forecast, or are not.
    fn expect(&mut self, gust: &Gust) {
        for name in ["web", "db"] {
            let amounts = |unit: u64| {
                let (lately, likely, beyond, percent) = gust.expected?;
                let amounts = (lately * unit, likely * unit, (likely + beyond) * unit);
                Some(forecast(amounts, percent))
            };
            let said = Each { cpu: amounts(1), memory: amounts(1 << 20), io: None, pids: None };
            self.state.prospects.lend(&name.parse().unwrap(), said);
        }
    }

    fn meet(&mut self, trouble: &Trouble) {
        let group = |who: usize| path(NAMES[who]);
        match trouble {
            Trouble::Nothing | Trouble::Refused(_) => {}
            Trouble::Blind(who, which) => {
                let fault = ReadFault { file: "a file".into(), errno: 5, what: "torn".into() };
                let view = self.seen.groups.get_mut(&group(*who)).unwrap();
                let kind = FOLLOWING[*which];
                let value = view.knobs.insert(kind, Reading::Failed(fault.into())).unwrap();
                self.hidden = Some((group(*who), kind, value));
                self.seen.generation += 1;
            }
            Trouble::Deaf(who) => {
                let view = self.seen.groups.get_mut(&group(*who)).unwrap();
                (view.usage.cpu, view.usage.memory, view.usage.io) = (None, None, None);
                (view.usage.memory_stat, view.usage.pids) = (None, None);
            }
            Trouble::Foreign(who, value) => {
                let high = Knob::MemoryHigh(Limit::At(Bytes::mebi(*value)));
                set(&mut self.seen, group(*who).as_str(), high);
            }
            Trouble::Anew(who) => self.start_again(NAMES[*who]),
            Trouble::Asleep(seconds) => self.seen.at = self.seen.at.plus(Span::secs(*seconds)),
        }
    }

    /// Another group is at the path, at the kernel's defaults.
    fn start_again(&mut self, name: &str) {
        self.ids += 1;
        let fresh = World::new().seen;
        let mut view = fresh.groups[&path(name)].clone();
        view.id = CgroupId(self.ids);
        self.seen.groups.insert(path(name), view);
        for homes in self.seen.homes.values_mut() {
            for home in homes.iter_mut().filter(|home| home.at.path == path(name)) {
                home.at.id = CgroupId(self.ids);
            }
        }
        self.seen.generation += 1;
    }

    /// One look with all that comes of it.
    fn second(&mut self, gust: &Gust) -> Result<Plan, TestCaseError> {
        self.load(gust);
        self.expect(gust);
        self.meet(&gust.trouble);
        let again = || step(&self.rules, recorded(&self.state), &recorded(&self.seen));
        let twin = (!is_calm(gust)).then(again);
        let stepped = step(&self.rules, std::mem::take(&mut self.state), &self.seen);
        if let Some(twin) = twin {
            prop_assert_eq!(&twin.news, &stepped.news, "the same look, the same plan");
            prop_assert_eq!(&twin.state, &stepped.state);
        }
        self.state = stepped.state;
        let Some(news) = stepped.news else {
            self.seen.outcomes.clear();
            self.seen.at = self.seen.at.plus(Span::secs(1));
            return Ok(Plan::default());
        };
        let defects = [FindingKind::Lint, FindingKind::Bug];
        let broken = news.findings.iter().find(|finding| defects.contains(&finding.kind));
        prop_assert!(broken.is_none(), "{:?}", broken);
        self.judge(&news.plan.actions)?;
        self.carry_out(&news.plan.actions, &gust.trouble);
        Ok(news.plan)
    }

    fn carry_out(&mut self, actions: &[Action], trouble: &Trouble) {
        let mut after = carry_out(&self.seen, actions);
        if let Trouble::Refused(errno) = trouble {
            let refuse = |outcome: &mut Outcome| {
                outcome.verdict = Verdict::Refused { errno: *errno, advice: "no".into() };
            };
            after.outcomes.iter_mut().for_each(refuse);
            after.groups.clone_from(&self.seen.groups);
        }
        if let Some((path, kind, value)) = self.hidden.take() {
            after.groups.get_mut(&path).unwrap().knobs.insert(kind, value);
        }
        self.seen = after;
    }

    /// What may never be in a plan.
    fn judge(&self, actions: &[Action]) -> Result<(), TestCaseError> {
        let homes: BTreeSet<CgroupPath> = NAMES.iter().map(|name| path(name)).collect();
        let slice = CgroupPath::new("system.slice");
        for action in actions {
            let at = action.path();
            prop_assert!(homes.contains(at) || *at == slice, "{} is nobody's home", at);
            for change in action.changes() {
                self.judge_change(at, change)?;
            }
            if let Action::Relieve { relief } = action {
                let rules = &self.rules.components[&relief.component];
                let kills = matches!(relief.means, Means::Kill { .. });
                prop_assert!(rules.yields, "{} is asked of {}", relief.means, at);
                let allowed = !kills || rules.last_resort == LastResort::Kill;
                prop_assert!(allowed, "{} is killed", at);
            }
        }
        Ok(())
    }

    fn judge_change(&self, at: &CgroupPath, change: &Change) -> Result<(), TestCaseError> {
        let kind = change.new.kind();
        let readable = !matches!(self.seen.groups[at].knob(kind), Reading::Failed(_));
        prop_assert!(readable, "{} of {} cannot be read, and is written", kind, at);
        if !change.reason.is_passing() || change.reason.gives_back() {
            return Ok(());
        }
        if matches!(change.reason, Reason::Scaled { .. }) {
            return self.judge_ceiling(at, &change.new);
        }
        let component = change.component.as_ref().map(|name| &self.rules.components[name]);
        prop_assert!(component.is_some_and(|one| one.yields), "{} yields nothing", at);
        prop_assert!(FOLLOWING.contains(&kind), "{} follows the load", kind);
        if let Knob::CpuMax(max) = &change.new {
            let (rate, quota) = (max.rate().value().unwrap(), max.quota.value().unwrap());
            prop_assert!(rate >= Millicpu(10) && quota >= CpuTime(1000), "{} for {}", max, at);
        }
        if let Knob::MemoryHigh(high) = change.new {
            let usage = &self.seen.groups[at].usage;
            let anon = usage.memory_stat.map_or(Bytes::ZERO, |stat| stat.anon);
            prop_assert!(high >= Limit::At(Bytes::mebi(64)), "{} for {}", high, at);
            let falls = change.old.value().is_none_or(|old| change.new < *old);
            let squeezes = falls && high < Limit::At(anon);
            prop_assert!(!squeezes, "{} for {}, which cannot swap {} out", high, at, anon);
        }
        if let Knob::PidsMax(limit) = change.new {
            let ceiling = component.map_or(Limit::Max, |one| one.pids);
            let lawful = limit >= Limit::At(64) && limit <= ceiling;
            prop_assert!(lawful, "{} for {} of at most {}", limit, at, ceiling);
        }
        if let Knob::IoMax(_, max) = &change.new {
            let IoMax { rbps, wbps, riops, wiops } = **max;
            let bytes = rbps.min(wbps) >= Limit::At(Bytes(1 << 20));
            prop_assert!(bytes && riops.min(wiops) >= Limit::At(16), "{} for {}", change.new, at);
        }
        Ok(())
    }

    /// A ceiling that follows the need: within its ends, and nobody is killed by it.
    fn judge_ceiling(&self, at: &CgroupPath, knob: &Knob) -> Result<(), TestCaseError> {
        prop_assert_eq!(at, &path("db"));
        let usage = self.seen.groups[at].usage.memory.unwrap_or_default();
        let (least, most, now) = if let Knob::CpuMax(max) = knob {
            (100, 2000, max.rate().value().unwrap().0)
        } else if let Knob::MemoryMax(Limit::At(max)) = knob {
            prop_assert!(*max >= usage.scaled(102, 100), "{} with {} in use", max, usage);
            (64 << 20, 1500 << 20, max.0)
        } else if let Knob::MemoryHigh(Limit::At(high)) = knob {
            (16 << 20, 1500 << 20, high.0)
        } else if let Knob::PidsMax(Limit::At(tasks)) = knob {
            (64, 20_000, *tasks)
        } else {
            return Err(TestCaseError::fail(format!("{knob} is no ceiling")));
        };
        prop_assert!((least..=most).contains(&now), "{}", knob);
        Ok(())
    }

    /// The knobs that follow the load and come back; ceilings come to where they are needed.
    fn following(&self) -> Vec<(&'static str, Reading<Knob>)> {
        let knobs = |name| {
            let view = &self.seen.groups[&path(name)];
            FOLLOWING.iter().map(move |kind| (name, view.knob(*kind).clone()))
        };
        NAMES.into_iter().filter(|name| *name != "db").flat_map(knobs).collect()
    }
}

const CALM: Gust = Gust {
    used: [(10, 50, 0); 4],
    tasks: [10; 4],
    waits: (0, 0, 0),
    expected: None,
    trouble: Trouble::Nothing,
};

fn is_calm(gust: &Gust) -> bool {
    gust.waits == CALM.waits
}

proptest! {
    // 10^5 looks and more, most of them in the calm after.
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_rules_hold_in_any_weather(storm in storm()) {
        let mut world = World::new();
        for _ in 0..3 {
            world.second(&CALM)?;
        }
        let before = world.following();
        for gust in &storm {
            world.second(gust)?;
        }
        // A minute after the last wait, slower where it pumped, and ten for what somebody else wrote.
        for _ in 0..700 {
            world.second(&CALM)?;
        }
        let mut writes = 0;
        for _ in 0..60 {
            writes += world.second(&CALM)?.actions.len();
        }
        prop_assert_eq!(writes, 0, "a quiet host is left alone");
        let foreign = storm.iter().any(|gust| matches!(gust.trouble, Trouble::Foreign(..)));
        if !foreign {
            prop_assert_eq!(world.following(), before);
        }
    }
}
