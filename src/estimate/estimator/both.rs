//! What a component that lives in several groups uses and waits for. Must not know the groups.

use crate::model::{Amounts, Each, Need, Wait, Waits};
use crate::units::Span;

/// Two homes as one: amounts add up, and are unknown where one is; of the rest the worse counts.
pub(super) fn both(one: &Need, other: &Need) -> Need {
    let waits = |one: Option<Wait>, other: Option<Wait>| match (one, other) {
        (Some(one), Some(other)) => {
            Some(Wait { p10: one.p10.max(other.p10), p60: one.p60.max(other.p60) })
        }
        (one, other) => one.or(other),
    };
    let soonest = |one: Option<Span>, other: Option<Span>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    Need {
        usage: sum(&one.usage, &other.usage),
        demand: sum(&one.demand, &other.demand),
        waits: Waits {
            cpu: waits(one.waits.cpu, other.waits.cpu),
            memory: waits(one.waits.memory, other.waits.memory),
            io: waits(one.waits.io, other.waits.io),
        },
        bound: Each {
            cpu: one.bound.cpu || other.bound.cpu,
            memory: one.bound.memory || other.bound.memory,
            io: one.bound.io || other.bound.io,
            pids: one.bound.pids || other.bound.pids,
        },
        throttled: one.throttled.max(other.throttled),
        growth: one.growth.zip(other.growth).map(|(one, other)| one.saturating_add(other)),
        until_limit: soonest(one.until_limit, other.until_limit),
    }
}

fn sum(one: &Amounts, other: &Amounts) -> Amounts {
    Amounts {
        cpu: one.cpu.zip(other.cpu).map(|(one, other)| one.plus(other)),
        memory: one.memory.zip(other.memory).map(|(one, other)| one.plus(other)),
        io: one.io.zip(other.io).map(|(one, other)| one.plus(other)),
        pids: one.pids.zip(other.pids).map(|(one, other)| one.saturating_add(other)),
    }
}
