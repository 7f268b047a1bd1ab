//! A load that comes and goes in squares: what follows it moves no more often than it must.

use super::play::Play;
use crate::model::{Knob, KnobKind, Priority, Reading, Resource};
use crate::testing::{add_home, component, host, policy};
use crate::units::{CgroupPath, CpuTime, Millicpu};
use proptest::prelude::*;

const WEB: &str = "system.slice/web.service";
const JOBS: [&str; 2] = ["system.slice/a.service", "system.slice/b.service"];
/// The whole host.
const ALL: u64 = 2000;

/// A protected service whose demand is a square wave, beside two jobs that take what they may.
struct Wave {
    play: Play,
    /// What each job would use.
    demands: [u64; 2],
}

impl Wave {
    fn new(demands: [u64; 2]) -> Self {
        let mut seen = host();
        let mut components = vec![component("web", Priority::Critical)];
        add_home(&mut seen, &components[0], WEB);
        for (name, path) in ["a", "b"].into_iter().zip(JOBS) {
            let job = component(name, Priority::Low);
            add_home(&mut seen, &job, path);
            components.push(job);
        }
        for group in seen.groups.values_mut() {
            group.usage.cpu = Some(CpuTime(0));
        }
        Self { play: Play::new(policy(components), seen), demands }
    }

    fn limits(&self) -> [u64; 2] {
        JOBS.map(|path| {
            let reading = self.play.seen.groups[&CgroupPath::new(path)].knob(KnobKind::CpuMax);
            let Reading::Is(Knob::CpuMax(max)) = reading else { panic!("{reading:?}") };
            max.rate().value().unwrap_or(Millicpu(ALL)).0
        })
    }

    /// A second in which web wants so much; `crest` when that is more than its weight gives it beside busy jobs.
    fn second(&mut self, web: u64, crest: bool) {
        let limits = self.limits();
        let wants: Vec<u64> =
            limits.iter().zip(self.demands).map(|(limit, demand)| demand.min(*limit)).collect();
        let free = ALL - web;
        let used: Vec<u64> = wants.iter().map(|want| (*want).min(free / 2)).collect();
        let total = web + used.iter().sum::<u64>();
        let spent = [WEB, JOBS[0], JOBS[1], ""].into_iter().zip([web, used[0], used[1], total]);
        for (path, used) in spent {
            let group = self.play.seen.groups.get_mut(&CgroupPath::new(path)).unwrap();
            group.usage.cpu.as_mut().unwrap().0 += used * 1000;
        }
        self.play.seen.waiting.clear();
        if crest && wants.iter().sum::<u64>() > free {
            self.play.seen.waiting.insert(Resource::Cpu);
        }
        self.play.step();
    }
}

/// How often the values moved, a run in one direction counting once, and how often they changed.
fn moves(values: &[u64]) -> (usize, usize) {
    let steps: Vec<bool> =
        values.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| pair[1] > pair[0]).collect();
    let turns = steps.windows(2).filter(|pair| pair[0] != pair[1]).count();
    (turns + usize::from(!steps.is_empty()), steps.len())
}

#[test]
fn a_ramp_is_one_move() {
    assert_eq!(moves(&[5, 5]), (0, 0));
    assert_eq!(moves(&[9, 3, 4, 5, 5, 6]), (2, 4));
}

proptest! {
    // Ten phases of three minutes on average: 10^5 looks and more.
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// I12, as decision 25 has it: on each edge of a wave whose half period is longer than the release, and at each try to release, a
    /// limit moves twice at most, and a rise is a ramp of a tenth of the host a second. Tries come after one, two, four and eight minutes.
    #[test]
    fn a_square_wave_moves_a_limit_twice_an_edge_at_most(
        (low, high) in (0u64..900, 1000u64..1950),
        half in 121u64..240,
        demands in (50u64..ALL, 50u64..ALL),
    ) {
        const EDGES: u64 = 10;
        let mut wave = Wave::new([demands.0, demands.1]);
        (0..10).for_each(|_| wave.second(low, false));
        let mut values = [vec![], vec![]];
        for second in 0..EDGES * half {
            for (values, limit) in values.iter_mut().zip(wave.limits()) {
                values.push(limit);
            }
            let crest = second / half % 2 == 0;
            wave.second(if crest { high } else { low }, crest);
        }
        let occasions = usize::try_from(EDGES + 4 + EDGES * half / 480).unwrap();
        for values in &values {
            let (moves, writes) = moves(values);
            prop_assert!(moves <= 2 * occasions, "{moves} moves: {values:?}");
            prop_assert!(writes <= 12 * occasions, "{writes} writes: {values:?}");
        }
        prop_assert_eq!(wave.play.state.ownership.records().map(|(.., one)| one.fights).sum::<u32>(), 0);
    }
}
