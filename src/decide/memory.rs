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

use super::{Case, Housed, scale};
use crate::config::{MemoryPolicy, OomPolicy, Policy};
use crate::model::{Home, Knob, KnobKind, Priority, Reason, Resource, Target};
use crate::units::{Bytes, Limit};

/// Room above the usage while `memory.max` follows it down, beside 2 %.
const RATCHET_ROOM: Bytes = Bytes::mebi(4);

/// A part of a divided ceiling never gets so small that it would be a freeze.
const LEAST_PART: Bytes = Bytes::mebi(16);

/// Protection and limits of each home.
pub(super) fn targets(case: &Case<'_>, housed: &Housed<'_>, targets: &mut Vec<Target>) {
    let memory = &housed.component.memory;
    let part = |bytes: Bytes| bytes.scaled(1, housed.parts()).page_floor(case.seen.host.page);
    for home in housed.homes {
        if memory.guarantee > Bytes::ZERO {
            let guarantee = Limit::At(part(memory.guarantee));
            targets.push(housed.configured(home, Knob::MemoryLow(guarantee), "memory.guarantee"));
            if housed.component.priority == Priority::Critical {
                let least = Limit::At(part(least_protection(case, memory.guarantee)));
                targets.push(housed.configured(home, Knob::MemoryMin(least), "memory.guarantee"));
            }
        }
        if let Some((high, reason)) = high(case, housed, home, own_high(case, housed, home)) {
            targets.push(housed.target(home, Knob::MemoryHigh(high), reason));
        }
        if let Limit::At(most) = memory.ceiling {
            let (all, reason) = scale::ceiling(case, housed, home, (Resource::Memory, most.0));
            let ceiling = part(Bytes(all)).max(LEAST_PART);
            targets.push(max_target(case, housed, home, (ceiling, reason)));
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

/// Where the home is slowed down by its own: the configured limit, or what goes with a lowered ceiling where that is less. While
/// `memory.max` has yet to rise, that is what goes with the present one.
fn own_high(case: &Case<'_>, housed: &Housed<'_>, home: &Home) -> Option<(Bytes, Reason)> {
    let page = case.seen.host.page;
    let part = |bytes: Bytes| bytes.scaled(1, housed.parts()).page_floor(page);
    let by_key = |high| {
        let key = "memory.high".into();
        (part(high).max(LEAST_PART), Reason::Configured { key })
    };
    let configured = housed.component.memory.high.value().map(by_key);
    let scaled = || {
        let now = scale::of_home(case, housed, home, Resource::Memory)?;
        let wanted = part(now.slows_below()?);
        let group = case.seen.groups.get(home.path());
        let present = group.and_then(|group| group.knob(KnobKind::MemoryMax).value());
        let max = match present {
            Some(Knob::MemoryMax(Limit::At(present))) => wanted.min(*present),
            Some(_) | None => wanted,
        };
        let high = MemoryPolicy::most_high(max).page_floor(page);
        (high >= LEAST_PART).then(|| (high, now.reason()))
    };
    configured.into_iter().chain(scaled()).min_by_key(|(high, _)| *high)
}

/// The home's own limit, or less while the component yields.
fn high(
    case: &Case<'_>,
    housed: &Housed<'_>,
    home: &Home,
    own: Option<(Bytes, Reason)>,
) -> Option<(Limit<Bytes>, Reason)> {
    let own_limit = own.as_ref().map(|(high, _)| Limit::At(*high));
    let configured_target = own.map(|(high, reason)| (Limit::At(high), reason));
    let holding = case.steering.memory(home.path()).filter(|_| housed.component.yields);
    let Some((limit, reason)) = holding else {
        return configured_target;
    };
    let own = own_limit.unwrap_or_else(|| original_high(case, home));
    match limit {
        Limit::At(_) if limit < own => Some((limit, reason)),
        Limit::At(_) => configured_target,
        Limit::Max => configured_target.or(Some((own, reason))),
    }
}

/// What the group's `memory.high` was before provost.
fn original_high(case: &Case<'_>, home: &Home) -> Limit<Bytes> {
    match case.ownership.original(case.seen, home.path(), KnobKind::MemoryHigh) {
        Some(Knob::MemoryHigh(limit)) => *limit,
        Some(_) | None => Limit::Max,
    }
}

fn max_target(
    case: &Case<'_>,
    housed: &Housed<'_>,
    home: &Home,
    (ceiling, reason): (Bytes, Reason),
) -> Target {
    let configured = || housed.target(home, Knob::MemoryMax(Limit::At(ceiling)), reason);
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
