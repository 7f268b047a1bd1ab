//! What a group would use if nothing held it back.
//!
//! **Problem.** Usage is censored: who is throttled, starved or short of memory uses less than it wants, and a law that follows usage
//! would keep it there.
//!
//! **Approach.** The share of time in which all its tasks waited tells how much more it would have run. Who stands still for the share
//! `s` of the time does in `1 - s` what it would do in one.
//!
//! **Terms.** *stress*: the share of the last interval in which all tasks waited, by whatever cause, its own limits included.
//!
//! **Algorithm.** `d = u (1 + min(1, s / (1 - s)))` for CPU and disks, with `s` at most 0.9 and none below [`STRESSED`]; for memory, where
//! waiting does not tell how much is missing, a tenth more for each percent of waiting, at most half.
//!
//! **Properties**, each a test below: demand is never below usage and never above twice of it (memory: once and a half); more waiting
//! never means less demand; without waiting it is the usage.

use crate::model::IoRate;
use crate::units::{Bytes, Millicpu, Ppm};

/// Below this share of the time waiting says nothing.
pub(super) const STRESSED: Ppm = Ppm::percent(2);
/// More waiting than this does not tell more.
const MOST: Ppm = Ppm::percent(90);

/// The share by which use would grow without waiting, at most the whole.
fn missing(stress: Ppm) -> Ppm {
    if stress < STRESSED {
        return Ppm::ZERO;
    }
    let stress = stress.min(MOST);
    Ppm::of(u64::from(stress.get()), u64::from(stress.rest().get())).unwrap_or(Ppm::WHOLE)
}

const fn grown(used: u64, by: u64) -> u64 {
    used.saturating_add(by)
}

/// CPU that would be used, from what is used and the share of time in which all tasks waited for it.
#[must_use]
pub(super) fn cpu(used: Millicpu, stress: Ppm) -> Millicpu {
    Millicpu(grown(used.0, missing(stress).times(used.0)))
}

/// Disk traffic that would be done, from what is done and the share of time in which all tasks waited for it.
#[must_use]
pub(super) fn io(done: IoRate, stress: Ppm) -> IoRate {
    let share = missing(stress);
    let more = |value: u64| grown(value, share.times(value));
    IoRate {
        read: Bytes(more(done.read.0)),
        write: Bytes(more(done.write.0)),
        read_iops: more(done.read_iops),
        write_iops: more(done.write_iops),
    }
}

/// Memory that would be used, from the working set and the average share of time in which some task waited for memory.
#[must_use]
pub(super) fn memory(working_set: Bytes, waited: Ppm) -> Bytes {
    if waited < STRESSED {
        return working_set;
    }
    let share = Ppm::new(waited.get().saturating_mul(10)).min(Ppm::percent(50));
    Bytes(grown(working_set.0, share.times(working_set.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn worked_examples() {
        assert_eq!(cpu(Millicpu(200), Ppm::percent(80)), Millicpu(400), "at most doubled");
        assert_eq!(cpu(Millicpu(1000), Ppm::percent(20)), Millicpu(1250), "0.2 / 0.8 more");
        assert_eq!(cpu(Millicpu(1000), Ppm::percent(1)), Millicpu(1000), "not stressed");
        assert_eq!(memory(Bytes::mebi(100), Ppm::percent(3)), Bytes::mebi(130));
        assert_eq!(memory(Bytes::mebi(100), Ppm::percent(70)), Bytes::mebi(150));
    }

    proptest! {
        #[test]
        fn demand_lies_between_use_and_twice_of_it(used in 0u64..1 << 60, one in 0u32..=1_000_000, other in 0u32..=1_000_000) {
            let (less, more) = (Ppm::new(one.min(other)), Ppm::new(one.max(other)));
            let (low, high) = (cpu(Millicpu(used), less).0, cpu(Millicpu(used), more).0);
            prop_assert!(used <= low && low <= high && high <= 2 * used);
            let (low, high) = (memory(Bytes(used), less).0, memory(Bytes(used), more).0);
            prop_assert!(used <= low && low <= high && high <= used + used / 2 + 1);
        }
    }
}
