//! What one look says of a component's memory: how much of it only the program itself gives back, and where that ends. Must not guess: what
//! is missing in one home is missing for the component.

use super::Held;
use crate::config::Component;
use crate::model::{GroupView, Knob, KnobKind, LeakLimit, Snapshot, Usage};
use crate::units::{Bytes, Limit, Millicpu};

/// What is known of the component and the host beside the look.
#[derive(Debug, Clone, Copy)]
pub(in crate::estimate) struct Around<'a> {
    pub(in crate::estimate) component: &'a Component,
    /// Its CPU use.
    pub(in crate::estimate) load: Option<Millicpu>,
    /// What the host has for all components together.
    pub(in crate::estimate) room: Bytes,
}

/// What a component holds, over all its homes, of each of which this is what was seen; none where any part of it is not known.
pub(in crate::estimate) fn held<'a>(
    seen: &Snapshot,
    homes: impl Iterator<Item = Option<&'a GroupView>>,
    around: Around<'_>,
) -> Option<Held> {
    let mut memory = Bytes::ZERO;
    let mut limits = Some(Bytes::ZERO);
    for home in homes {
        let view = home?;
        memory = memory.plus(kept_by_program(&view.usage, seen.host.swap)?);
        limits = limits.zip(limit(view)).map(|(sum, limit)| sum.plus(limit));
    }
    let ceiling = around.component.memory.ceiling.value();
    let own = limits.into_iter().chain(ceiling).min();
    let limit = own.map_or(LeakLimit::Host(around.room), LeakLimit::Own);
    Some(Held { at: seen.at, memory, load: around.load?, limit })
}

/// What no reclaim frees: it is in memory or in swap until the program lets go of it.
fn kept_by_program(usage: &Usage, swap: Bytes) -> Option<Bytes> {
    let stat = usage.memory_stat?;
    // Without swap there may be no file that says how much of it is used.
    let swapped = if swap == Bytes::ZERO { Bytes::ZERO } else { usage.swap? };
    Some(stat.anon.plus(stat.shmem?).plus(stat.slab_unreclaimable?).plus(swapped))
}

fn limit(view: &GroupView) -> Option<Bytes> {
    let knob = view.knob(KnobKind::MemoryMax).value()?;
    if let Knob::MemoryMax(Limit::At(limit)) = knob { Some(*limit) } else { None }
}
