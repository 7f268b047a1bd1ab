//! What holds where the configuration says nothing. The commented reference file is tested against these.

use super::policy::{
    Affinity, Backend, Catch, Component, CpuPolicy, Division, LastResort, Listen, MemoryPolicy,
    Mode, OnLeak, OnLeave, OomPolicy, Policy, Probe, Reserve, Steer, Strategy, Thresholds, Writes,
};
use crate::model::{Partition, Priority};
use crate::units::{Bytes, ComponentName, CpuMax, Limit, Millicpu, Span};
use std::collections::BTreeMap;

/// The policy of an empty configuration on a host with this much CPU and memory: it looks and writes nothing.
#[must_use]
pub fn default_policy(cpu: Millicpu, memory: Bytes) -> Policy {
    Policy {
        mode: Mode::Observe,
        strategy: Strategy::Balanced,
        division: Division::Weighted,
        steer: Steer::Memory,
        interval: Span::secs(1),
        on_stop: OnLeave::Restore,
        override_for: Span::secs(600),
        backend: Backend::Auto,
        reserve: default_reserve(cpu, memory),
        thresholds: Thresholds::default(),
        disks: BTreeMap::new(),
        storage: BTreeMap::new(),
        schedules: BTreeMap::new(),
        writes: Writes::default(),
        listen: Listen::usual(),
        protect: Vec::new(),
        components: BTreeMap::new(),
    }
}

/// What is kept back unless configured: enough for init, sshd, journald and the kernel on the smallest host, a twentieth on a large one.
#[must_use]
pub fn default_reserve(cpu: Millicpu, memory: Bytes) -> Reserve {
    let twentieth = memory.scaled(1, 20);
    Reserve {
        cpu: Millicpu(250.max(cpu.0 / 20)),
        // On a host of 1 GiB, half of it for the reserve would leave no room for guarantees.
        memory: Bytes::mebi(512).max(twentieth).min(memory.scaled(1, 4)),
    }
}

/// A component of which nothing but the name is configured. It matches nothing.
#[must_use]
pub fn default_component(name: ComponentName, on_exit: OnLeave) -> Component {
    Component {
        name,
        priority: Priority::Normal,
        share_percent: 100,
        rules: Vec::new(),
        catch: Catch::Events,
        cpu: CpuPolicy {
            class: None,
            guarantee: Millicpu::ZERO,
            ceiling: Limit::Max,
            scale: None,
            period: CpuMax::DEFAULT_PERIOD,
            burst: None,
            affinity: Affinity::Shared,
            partition: Partition::Member,
            realtime: None,
        },
        memory: MemoryPolicy {
            guarantee: Bytes::ZERO,
            high: Limit::Max,
            ceiling: Limit::Max,
            scale: None,
            swap: None,
            oom: OomPolicy::Unset,
            hard: false,
            on_leak: OnLeak::Tell,
            restart_every: MemoryPolicy::RESTART_EVERY,
            probe: Probe::Off,
        },
        io: Vec::new(),
        io_weight: None,
        pids: Limit::Max,
        pids_scale: None,
        on_exit,
        auto_scale: true,
        yields: false,
        last_resort: LastResort::Nothing,
        hook: None,
        instances: None,
        strategy: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_fits_small_and_large_hosts() {
        let small = default_reserve(Millicpu::cores(1), Bytes::mebi(1024));
        assert_eq!(small.cpu, Millicpu(250));
        assert_eq!(small.memory, Bytes::mebi(256));
        let usual = default_reserve(Millicpu::cores(4), Bytes::mebi(8192));
        assert_eq!(usual.memory, Bytes::mebi(512));
        let large = default_reserve(Millicpu::cores(64), Bytes::mebi(262_144));
        assert_eq!(large.cpu, Millicpu(3200));
        assert_eq!(large.memory, Bytes(262_144 * (1 << 20) / 20));
    }
}
