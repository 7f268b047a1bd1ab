//! CPU: who is entitled to how much, and the quota and placement that the configuration names.
//!
//! **Problem.** A guarantee must hold at the first millisecond of a load step, and unused CPU must flow to whoever wants it.
//!
//! **Approach.** Weights come from entitlement, what a component may count on when everybody wants everything, and not from demand:
//! the scheduler reacts to demand by itself within milliseconds. A quota is written only where a ceiling is configured.
//!
//! **Terms.** *allocatable*: online CPUs less the reserve. *entitlement*: a component's part of it.
//!
//! **Algorithm.** Divide the allocatable CPUs by [`fair::entitle`] as `division` says, with every want at its ceiling. Ceilings become `cpu.max`; a protected
//! component may carry one quota over (`cpu.max.burst`, since Linux 5.14), so that it is not throttled at a low average.
//!
//! **Properties.** Entitlements sum to at most the allocatable amount, and change only with membership or configuration.

use super::fair::{Claim, entitle};
use super::{Case, Housed, scale};
use crate::config::{Affinity, Component};
use crate::model::{Home, Knob, Reason, Resource, Target};
use crate::units::{ComponentName, CpuMax, CpuTime, Limit, Millicpu};
use std::collections::BTreeMap;

/// `kernel/sched/core.c`: a quota below 1 ms is refused.
const LEAST_QUOTA: CpuTime = CpuTime(1000);

/// `sched_cfs_bandwidth_slice_us`: what a CPU takes of a quota at a time.
const SLICE: CpuTime = CpuTime::millis(5);

/// systemd keeps a quota in whole hundredths of a CPU: after a daemon-reload an eighth of a CPU would have become 12 %.
const STEP: Millicpu = Millicpu(10);

/// What each component with a home is entitled to.
pub(super) fn entitlement(
    case: &Case<'_>,
    housed: &[Housed<'_>],
) -> BTreeMap<ComponentName, Millicpu> {
    let capacity = capacity(case);
    let components: Vec<&Component> = housed.iter().map(|housed| housed.component).collect();
    let claims: Vec<Claim> = components
        .iter()
        .map(|component| {
            let most = if component.is_idle() { Millicpu::ZERO } else { capacity };
            let ceiling = component.cpu.ceiling.value().unwrap_or(most).min(most);
            Claim {
                priority: component.cpu_tier(),
                share_percent: component.share_percent,
                floor: component.cpu.guarantee.0,
                want: ceiling.0,
                max: ceiling.0,
            }
        })
        .collect();
    let given = entitle(allocatable(case).0, &claims, case.policy.division);
    components
        .iter()
        .zip(given)
        .map(|(component, share)| (component.name.clone(), Millicpu(share)))
        .collect()
}

/// The host's CPUs.
pub(super) fn capacity(case: &Case<'_>) -> Millicpu {
    case.seen.host.online.capacity()
}

/// What can be divided among components.
pub(super) fn allocatable(case: &Case<'_>) -> Millicpu {
    capacity(case).minus(case.policy.reserve.cpu)
}

/// Quota, burst and CPUs of each home.
pub(super) fn targets(case: &Case<'_>, housed: &Housed<'_>, targets: &mut Vec<Target>) {
    let cpu = &housed.component.cpu;
    for home in housed.homes {
        targets.extend(cpus(case, housed, home));
        let Some((max, reason)) = quota(case, housed, home) else {
            continue;
        };
        targets.push(housed.target(home, Knob::CpuMax(max), reason));
        let quota = max.quota.value().unwrap_or(CpuTime(u64::MAX));
        let (burst, reason) = match cpu.burst {
            Some(burst) => (burst.min(quota), Reason::Configured { key: "cpu.burst".into() }),
            None if housed.component.priority.is_protected() => (quota, Reason::BurstForProtected),
            None => continue,
        };
        targets.push(housed.target(home, Knob::CpuMaxBurst(burst), reason));
    }
}

/// The CPUs that the configuration names, those that it has alone, or what others who have some leave.
fn cpus(case: &Case<'_>, housed: &Housed<'_>, home: &Home) -> Option<Target> {
    if let Affinity::Cpus(cpus) = &housed.component.cpu.affinity {
        return Some(housed.configured(home, Knob::CpusetCpus(cpus.clone()), "cpu.affinity"));
    }
    let (cpus, reason) = case.seats.of(&housed.component.name, home)?;
    Some(housed.target(home, Knob::CpusetCpus(cpus), reason))
}

/// The configured ceiling, or less while the component yields.
fn quota(case: &Case<'_>, housed: &Housed<'_>, home: &Home) -> Option<(CpuMax, Reason)> {
    let cpu = &housed.component.cpu;
    let ceiling = cpu.ceiling.value().map(|most| {
        let (ceiling, reason) = scale::ceiling(case, housed, home, (Resource::Cpu, most.0));
        let rate = Millicpu((ceiling / housed.parts() / STEP.0).max(1) * STEP.0);
        let quota = rate.quota_in(cpu.period).max(LEAST_QUOTA);
        (rate, CpuMax { quota: Limit::At(quota), period: cpu.period }, reason)
    });
    if let Some((part, reason)) = case.steering.cpu(home.path())
        && ceiling.as_ref().is_none_or(|(rate, ..)| part < *rate)
    {
        return Some((passing_quota(part), reason));
    }
    ceiling.map(|(_, max, reason)| (max, reason))
}

/// The shortest of the usual periods that still gives a whole slice: with a long one all is used up at its beginning, and the rest of it
/// is a stall.
fn passing_quota(rate: Millicpu) -> CpuMax {
    let periods = [10, 20, 50].map(CpuTime::millis);
    let fits = |period: &CpuTime| rate.quota_in(*period) >= SLICE;
    let period = periods.into_iter().find(fits).unwrap_or(CpuMax::DEFAULT_PERIOD);
    CpuMax { quota: Limit::At(rate.quota_in(period).max(LEAST_QUOTA)), period }
}
