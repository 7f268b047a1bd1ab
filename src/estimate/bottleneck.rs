//! What holds a component back most, and through whom.
//!
//! **Problem.** "It is slow" is no finding. An administrator wants the resource, the cause, and the numbers that show it.
//!
//! **Approach.** Compare what the component waits for; the worst resource is named only where it stands out. Then ask, in this order:
//! did its own limit bind it, did another's use of that resource rise, is the host full.
//!
//! **Terms.** *score*: the share of time waited for a resource over ten seconds. *rise*: use now against use 20 to 30 seconds ago.
//! *rival*: another component, or all that is no component.
//!
//! **Algorithm.** Verdict is the resource of the greatest score if that is at least [`WORTH_NAMING`] and half as much again as the second.
//! A score is external waiting; where the component's own limit bound it, all waiting, as otherwise that limit could never be
//! named. Waiting for disks that memory explains is memory's. A rival is named for a rise of a fifth that is also a
//! hundredth of the host or more. The host is full above 95 % in use. A fork that was refused is named where nothing is waited for.
//!
//! **Properties**, each a test below: no verdict without waiting; none where two resources are alike; no rival is the component itself.

use super::smooth::{Ewma, Interval};
use crate::model::{Amounts, Bottleneck, Cause, Each, HostUse, Resource};
use crate::units::{Bytes, ComponentName, Millicpu, Ppm, Span, Tick};
use serde::{Deserialize, Serialize};

/// A score below this is not worth a name.
const WORTH_NAMING: Ppm = Ppm::percent(2);
/// A rise below this is none.
const RISE: Ppm = Ppm::percent(20);
/// From this share on the host is full.
const FULL: Ppm = Ppm::percent(95);
/// Between two marks of the trail.
const MARK_EVERY: Span = Span::secs(10);
/// A rise in disk traffic that is worth naming, per second.
const LEAST_IO: u64 = 1 << 20;

/// Use of one moment: thousandths of a CPU, bytes, bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Mark {
    cpu: u64,
    memory: u64,
    io: u64,
}

/// Use over the last half minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Trail {
    cpu: Ewma,
    io: Ewma,
    now: Mark,
    /// The oldest first.
    marks: [Option<Mark>; 3],
    marked_at: Option<Tick>,
}

/// By how much use rose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rise {
    by: u64,
    share: Ppm,
}

impl Trail {
    /// Takes in use as it is now; what is missing counts as unchanged.
    pub(super) fn push(&mut self, usage: &Amounts, at: Tick, interval: Interval) {
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        if let Some(Millicpu(cpu)) = usage.cpu {
            self.cpu.push(count(cpu), interval.short);
        }
        if let Some(io) = usage.io {
            self.io.push(count(io.read.plus(io.write).0), interval.short);
        }
        let memory = usage.memory.map_or(self.now.memory, |Bytes(memory)| memory);
        self.now = Mark { cpu: self.cpu.count(), memory, io: self.io.count() };
        if self.marked_at.is_none_or(|marked| at.since(marked) >= MARK_EVERY) {
            let [_, second, third] = self.marks;
            self.marks = [second, third, Some(self.now)];
            self.marked_at = Some(at);
        }
    }

    /// The rise in use of a resource since the oldest mark; none while there is no mark of 20 seconds ago.
    fn rise(&self, resource: Resource) -> Option<Rise> {
        let [Some(then), _, _] = self.marks else { return None };
        let (old, new) = match resource {
            Resource::Cpu => (then.cpu, self.now.cpu),
            Resource::Memory => (then.memory, self.now.memory),
            Resource::Io => (then.io, self.now.io),
            Resource::Pids => return None,
        };
        let by = new.checked_sub(old).filter(|by| *by > 0)?;
        let share = Ppm::of(by, old).unwrap_or(Ppm::WHOLE);
        (share >= RISE).then_some(Rise { by, share })
    }
}

/// Who uses more than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival<'a> {
    Component(&'a ComponentName),
    Unmanaged,
}

/// The two greatest risers of a resource, so that the second can be named to the first.
type Two<'a> = [Option<(Rival<'a>, Rise)>; 2];

/// Who rose most in each resource.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Risers<'a>(Each<Two<'a>>);

impl<'a> Risers<'a> {
    /// Considers one rival; what rose by less than a hundredth of the host is left out.
    pub(super) fn consider(&mut self, rival: Rival<'a>, trail: &Trail, least: &Each<u64>) {
        for resource in [Resource::Cpu, Resource::Memory, Resource::Io] {
            let Some(rise) = trail.rise(resource).filter(|rise| rise.by >= *least.of(resource))
            else {
                continue;
            };
            let [first, second] = self.0.of_mut(resource);
            if first.is_none_or(|(_, best)| rise.by > best.by) {
                *second = first.replace((rival, rise));
            } else if second.is_none_or(|(_, best)| rise.by > best.by) {
                *second = Some((rival, rise));
            }
        }
    }

    /// The greatest riser beside the component itself.
    fn beside(&self, name: &ComponentName, resource: Resource) -> Option<(Rival<'a>, Rise)> {
        let rivals = self.0.of(resource).iter().flatten();
        rivals.copied().find(|(rival, _)| *rival != Rival::Component(name))
    }
}

/// What a rise must at least be: a hundredth of the host's CPU and memory.
pub(super) fn least(cpu: Millicpu, memory: Bytes) -> Each<u64> {
    Each {
        cpu: (cpu.0 / 100).max(1),
        memory: (memory.0 / 100).max(1),
        io: LEAST_IO,
        pids: u64::MAX,
    }
}

/// A verdict that owns nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict<'a> {
    resource: Resource,
    wait: Ppm,
    why: Why<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why<'a> {
    OwnLimit,
    Rival(Rival<'a>, Ppm),
    HostFull(Ppm),
    Unknown,
}

/// What is known of a component when it is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    /// Its name.
    pub(super) name: &'a ComponentName,
    /// What it waits for; none where that is not known.
    pub(super) scores: Each<Option<Ppm>>,
    /// Which own limits bound it.
    pub(super) bound: Each<bool>,
}

/// The verdict on one component; none where nothing stands out.
pub(super) fn verdict<'a>(
    case: &Case<'_>,
    risers: &Risers<'a>,
    host: &HostUse,
) -> Option<Verdict<'a>> {
    let score = |resource: Resource| case.scores.of(resource).unwrap_or_default();
    let waited = [Resource::Cpu, Resource::Memory, Resource::Io];
    let worst = waited.into_iter().max_by_key(|resource| score(*resource))?;
    let wait = score(worst);
    if wait < WORTH_NAMING {
        let refused = Verdict { resource: Resource::Pids, wait: Ppm::ZERO, why: Why::OwnLimit };
        return case.bound.pids.then_some(refused);
    }
    let second = waited.into_iter().filter(|resource| *resource != worst).map(score).max()?;
    if u64::from(wait.get()) * 2 < u64::from(second.get()) * 3 {
        return None;
    }
    let why = if *case.bound.of(worst) {
        Why::OwnLimit
    } else if let Some((rival, rise)) = risers.beside(case.name, worst) {
        Why::Rival(rival, rise.share)
    } else if let Some(used) = host.share.of(worst).filter(|used| *used > FULL) {
        Why::HostFull(used)
    } else {
        Why::Unknown
    };
    Some(Verdict { resource: worst, wait, why })
}

/// Makes a component's bottleneck what the verdict says; a name is copied only where another one is to be named.
pub(super) fn settle(bottleneck: &mut Bottleneck, verdict: Option<Verdict<'_>>) {
    let Some(Verdict { resource, wait, why }) = verdict else {
        *bottleneck = Bottleneck::None;
        return;
    };
    if let (
        Bottleneck::Of {
            resource: known,
            wait: waited,
            cause: Cause::Neighbour { component, rise },
        },
        Why::Rival(Rival::Component(name), risen),
    ) = (&mut *bottleneck, why)
        && component == name
    {
        (*known, *waited, *rise) = (resource, wait, risen);
        return;
    }
    let cause = match why {
        Why::OwnLimit => Cause::OwnLimit,
        Why::Rival(Rival::Component(name), rise) => {
            Cause::Neighbour { component: name.clone(), rise }
        }
        Why::Rival(Rival::Unmanaged, rise) => Cause::Unmanaged { rise },
        Why::HostFull(used) => Cause::HostFull { used },
        Why::Unknown => Cause::Unknown,
    };
    *bottleneck = Bottleneck::Of { resource, wait, cause };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> ComponentName {
        text.parse().unwrap()
    }

    fn scores(cpu: u32, memory: u32, io: u32) -> Each<Option<Ppm>> {
        let share = |percent| Some(Ppm::percent(percent));
        Each { cpu: share(cpu), memory: share(memory), io: share(io), pids: None }
    }

    /// What the verdict on `web` becomes.
    fn judged(
        scores: Each<Option<Ppm>>,
        bound: Each<bool>,
        risers: &Risers<'_>,
        host: &HostUse,
    ) -> Bottleneck {
        let web = name("web");
        let mut bottleneck = Bottleneck::None;
        settle(&mut bottleneck, verdict(&Case { name: &web, scores, bound }, risers, host));
        bottleneck
    }

    /// A trail of half a minute at one use, then at another for as long.
    fn trail(before: u64, after: u64) -> Trail {
        let mut trail = Trail::default();
        let interval = Interval::of(Span::secs(1));
        for second in 0..25 {
            let memory = Some(Bytes::mebi(if second < 21 { before } else { after }));
            let usage = Amounts { memory, ..Amounts::default() };
            trail.push(&usage, Tick::default().plus(Span::secs(second)), interval);
        }
        trail
    }

    const LEAST: Each<u64> = Each { cpu: 20, memory: 10 << 20, io: LEAST_IO, pids: u64::MAX };

    #[test]
    fn the_worst_is_named_where_it_stands_out() {
        let (risers, host) = (Risers::default(), HostUse::default());
        let judge = |scores| judged(scores, Each::default(), &risers, &host);
        assert_eq!(judge(scores(1, 1, 1)), Bottleneck::None, "not worth naming");
        assert_eq!(judge(scores(10, 9, 0)), Bottleneck::None, "two are alike");
        assert_eq!(judge(Each::default()), Bottleneck::None, "nothing is known");
        let io = Bottleneck::Of {
            resource: Resource::Io,
            wait: Ppm::percent(12),
            cause: Cause::Unknown,
        };
        assert_eq!(judge(scores(8, 0, 12)), io, "half as much again");
    }

    #[test]
    fn causes_in_their_order() {
        let (db, web) = (name("db"), name("web"));
        let full = HostUse {
            share: Each { memory: Some(Ppm::percent(96)), ..Each::default() },
            ..HostUse::default()
        };
        let own = Each { memory: true, ..Each::default() };
        let mut risers = Risers::default();
        risers.consider(Rival::Component(&web), &trail(100, 900), &LEAST);
        let cause = |bound, risers: &Risers<'_>, host: &HostUse| match judged(
            scores(0, 20, 0),
            bound,
            risers,
            host,
        ) {
            Bottleneck::Of { cause, .. } => cause,
            Bottleneck::None => panic!("a verdict"),
        };
        assert_eq!(
            cause(Each::default(), &risers, &HostUse::default()),
            Cause::Unknown,
            "not itself"
        );
        assert_eq!(
            cause(Each::default(), &risers, &full),
            Cause::HostFull { used: Ppm::percent(96) }
        );
        risers.consider(Rival::Component(&db), &trail(100, 150), &LEAST);
        let neighbour = Cause::Neighbour { component: db.clone(), rise: Ppm::percent(50) };
        assert_eq!(cause(Each::default(), &risers, &full), neighbour, "before the full host");
        assert_eq!(cause(own, &risers, &full), Cause::OwnLimit, "before all others");
    }

    #[test]
    fn a_refused_fork_is_named_where_nothing_is_waited_for() {
        let bound = Each { pids: true, ..Each::default() };
        let (risers, host) = (Risers::default(), HostUse::default());
        let pids =
            Bottleneck::Of { resource: Resource::Pids, wait: Ppm::ZERO, cause: Cause::OwnLimit };
        assert_eq!(judged(scores(0, 0, 0), bound, &risers, &host), pids);
    }

    #[test]
    fn small_rises_and_young_trails_are_none() {
        assert_eq!(trail(100, 119).rise(Resource::Memory), None, "less than a fifth");
        let mut risers = Risers::default();
        risers.consider(Rival::Unmanaged, &trail(10, 19), &LEAST);
        assert!(risers.0.memory.iter().all(Option::is_none), "less than a hundredth of the host");
        let mut young = Trail::default();
        let usage = Amounts { memory: Some(Bytes::mebi(900)), ..Amounts::default() };
        young.push(&usage, Tick::default(), Interval::of(Span::secs(1)));
        assert_eq!(young.rise(Resource::Memory), None);
    }

    proptest! {
        #[test]
        fn a_verdict_needs_waiting_and_never_names_itself(
            cpu in 0u32..100, memory in 0u32..100, io in 0u32..100, before in 1u64..1000, after in 1u64..1000,
        ) {
            let (web, db) = (name("web"), name("db"));
            let mut risers = Risers::default();
            risers.consider(Rival::Component(&web), &trail(1, 4000), &LEAST);
            risers.consider(Rival::Component(&db), &trail(before, after), &LEAST);
            let all = [cpu, memory, io];
            let best = all.into_iter().max().unwrap();
            match judged(scores(cpu, memory, io), Each::default(), &risers, &HostUse::default()) {
                Bottleneck::None => {
                    let near = all.iter().filter(|score| **score * 3 > best * 2).count();
                    prop_assert!(best < 2 || near > 1);
                }
                Bottleneck::Of { wait, cause, .. } => {
                    prop_assert_eq!(wait, Ppm::percent(best));
                    prop_assert!(best >= 2);
                    let is_itself = matches!(cause, Cause::Neighbour { component, .. } if component == web);
                    prop_assert!(!is_itself);
                }
            }
        }
    }
}
