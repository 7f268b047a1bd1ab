//! The clocks: boot time for everything that is decided, wall time for people.

use crate::units::{CpuTime, Span, Tick};
use nix::time::{ClockId, clock_gettime};

/// Now on `CLOCK_BOOTTIME`, which goes on while the host sleeps and never steps.
#[must_use]
pub fn now() -> Tick {
    Tick(micros(ClockId::CLOCK_BOOTTIME))
}

/// Now on `CLOCK_MONOTONIC`, which stands still while the host sleeps: for how long somebody had time.
#[must_use]
pub fn awake() -> Tick {
    Tick(micros(ClockId::CLOCK_MONOTONIC))
}

/// CPU time of all threads of this process since it was started, on `CLOCK_PROCESS_CPUTIME_ID`.
#[must_use]
pub fn own_cpu() -> CpuTime {
    CpuTime(micros(ClockId::CLOCK_PROCESS_CPUTIME_ID))
}

/// Seconds since 1970, for people only: it may step.
#[must_use]
pub fn wall_secs() -> u64 {
    micros(ClockId::CLOCK_REALTIME) / 1_000_000
}

/// Now as the host's clocks on the wall show it, in its time zone: for windows of time and for people.
#[must_use]
pub fn zoned() -> jiff::Zoned {
    jiff::Zoned::now()
}

/// How far the boot clock is ahead of `CLOCK_MONOTONIC`, the clock of the kernel's own timestamps: the time spent suspended.
#[must_use]
pub fn boot_ahead_of_monotonic() -> Span {
    // In this order, so that the difference of two clocks that never stepped apart is not below zero.
    let monotonic = micros(ClockId::CLOCK_MONOTONIC);
    Span(micros(ClockId::CLOCK_BOOTTIME).saturating_sub(monotonic))
}

/// A clock that the kernel has always had cannot fail; should it, time stands still at zero and rates are skipped.
fn micros(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        let secs = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
        secs.saturating_mul(1_000_000).saturating_add(nanos / 1000)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn boot_time_moves_forward() {
        let before = super::now();
        assert!(super::now() >= before && before.0 > 0);
    }
}
