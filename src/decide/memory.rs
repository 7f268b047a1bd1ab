//! Memory: protection by guarantee, limits by ceiling, and a limit that follows usage down instead of killing.
//!
//! **Problem.** Writing `memory.max` below the present usage kills inside the write, innocent processes of the group as well. A
//! guarantee protects only if the group's ancestors have it too (see `tree`).
//!
//! **Approach.** Guarantees become `memory.low`, and for critical components `memory.min` besides. While a home uses nearly as much
//! as its ceiling or more, its `memory.max` is set a little above the usage and lowered as the usage falls, unless `memory.hard` asks
//! for the ceiling at once.
//!
//! **Terms.** *guarantee*: memory reclaimed last. *ceiling*: where killing begins. *ratchet*: the limit that only moves down.
//!
//! **Algorithm.** See [`max_target`]. All values are rounded down to pages, as the kernel does.
//!
//! **Properties.** `memory.max` is never set below 1.02 times the usage without `hard`; never above the present limit while it
//! follows; the sum of all `memory.min` is at most half of RAM.

use super::high::Measured;
use super::{Case, Housed};
use crate::config::{OomPolicy, Policy};
use crate::model::{Home, Knob, KnobKind, Priority, Reason, Target};
use crate::units::{Bytes, Limit};

/// Room above the usage while `memory.max` follows it down, beside 2 %.
const RATCHET_ROOM: Bytes = Bytes::mebi(4);

/// A part of a divided ceiling never gets so small that it would be a freeze.
const LEAST_PART: Bytes = Bytes::mebi(16);

/// Protection and limits of each home.
pub(super) fn targets(case: &Case<'_>, housed: &Housed<'_>) -> Vec<Target> {
    let memory = &housed.component.memory;
    let part = |bytes: Bytes| bytes.scaled(1, housed.parts()).page_floor(case.seen.host.page);
    let part_of = |limit: Limit<Bytes>| limit.map(|bytes| part(bytes).max(LEAST_PART));
    let mut targets = Vec::new();
    for home in housed.homes {
        if memory.guarantee > Bytes::ZERO {
            let guarantee = Limit::At(part(memory.guarantee));
            targets.push(housed.configured(home, Knob::MemoryLow(guarantee), "memory.guarantee"));
            if housed.component.priority == Priority::Critical {
                let least = Limit::At(part(least_protection(case, memory.guarantee)));
                targets.push(housed.configured(home, Knob::MemoryMin(least), "memory.guarantee"));
            }
        }
        if let Some((high, reason)) = high(case, housed, home, part_of(memory.high)) {
            targets.push(housed.target(home, Knob::MemoryHigh(high), reason));
        }
        if let Limit::At(ceiling) = memory.ceiling {
            targets.push(max_target(case, housed, home, part(ceiling).max(LEAST_PART)));
        }
        if let Some(swap) = memory.swap {
            targets.push(housed.configured(
                home,
                // No floor: a component without any swap is no freeze.
                Knob::MemorySwapMax(swap.map(part)),
                "memory.swap",
            ));
        }
        let group = match memory.oom {
            OomPolicy::Unset => continue,
            OomPolicy::Process => false,
            OomPolicy::Group => true,
        };
        targets.push(housed.configured(home, Knob::MemoryOomGroup(group), "memory.oom"));
    }
    targets
}

/// The guarantees of all critical components together.
pub(super) fn critical(policy: &Policy) -> Bytes {
    let critical = policy.components.values().filter(|one| one.priority == Priority::Critical);
    critical.fold(Bytes::ZERO, |sum, component| sum.plus(component.memory.guarantee))
}

/// `memory.min` is memory that the kernel cannot take back even to save itself: all of them together get at most half of RAM.
fn least_protection(case: &Case<'_>, guarantee: Bytes) -> Bytes {
    let sum = case.critical;
    let half = Bytes(case.seen.host.memory.0 / 2);
    if sum <= half { guarantee } else { guarantee.scaled(half.0, sum.0) }
}

/// The configured limit, or less while the component yields.
fn high(
    case: &Case<'_>,
    housed: &Housed<'_>,
    home: &Home,
    configured: Limit<Bytes>,
) -> Option<(Limit<Bytes>, Reason)> {
    let by_key = |_| (configured, Reason::Configured { key: "memory.high".into() });
    let configured_target = configured.value().map(by_key);
    let holding = case.steering.memory(home.path()).filter(|_| housed.component.yields);
    let Some((holding, because)) = holding else {
        return configured_target;
    };
    let own = if configured == Limit::Max { original_high(case, home) } else { configured };
    match holding.limit {
        Limit::At(_) if holding.limit < own => {
            let because = because.to_owned();
            let Measured { left, others } = holding.measured;
            Some((holding.limit, Reason::YieldsMemory { because, left, others }))
        }
        Limit::At(_) => configured_target,
        Limit::Max => configured_target.or(Some((own, Reason::LetGo))),
    }
}

/// What the group's `memory.high` was before provost.
fn original_high(case: &Case<'_>, home: &Home) -> Limit<Bytes> {
    match case.ownership.original(case.seen, home.path(), KnobKind::MemoryHigh) {
        Some(Knob::MemoryHigh(limit)) => *limit,
        Some(_) | None => Limit::Max,
    }
}

fn max_target(case: &Case<'_>, housed: &Housed<'_>, home: &Home, ceiling: Bytes) -> Target {
    let configured =
        || housed.configured(home, Knob::MemoryMax(Limit::At(ceiling)), "memory.ceiling");
    let group = case.seen.groups.get(home.path());
    let Some(usage) = group.and_then(|group| group.usage.memory) else {
        return configured();
    };
    let page = case.seen.host.page;
    let follow = usage.scaled(102, 100).plus(RATCHET_ROOM).page_floor(page);
    if housed.component.memory.hard || follow <= ceiling {
        return configured();
    }
    let present = group.and_then(|group| group.knob(KnobKind::MemoryMax).value());
    let limit = match present {
        // Lower only by a hundredth or more: a limit that twitches with every page is noise.
        Some(Knob::MemoryMax(Limit::At(present))) if follow.0 > present.0 - present.0 / 100 => {
            (*present).max(ceiling)
        }
        Some(_) | None => follow,
    };
    housed.target(home, Knob::MemoryMax(Limit::At(limit)), Reason::AboveCeiling { ceiling, usage })
}
