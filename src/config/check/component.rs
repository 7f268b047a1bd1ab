//! One component's CPU, memory and tasks: what the kernel would refuse, what contradicts itself, what would only do harm.

use super::ceiling::ends;
use super::{Check, on_leave, priority, strategy};
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::{
    Affinity, Catch, Component, CpuPolicy, LastResort, MemoryPolicy, OomPolicy, Probe,
};
use crate::config::raw;
use crate::model::Priority;
use crate::units::{Bytes, CpuSet, CpuTime, Limit, Millicpu, Span};
use std::fmt::Display;

/// The least CPU ceiling: below it programs miss their own timeouts.
const CPU_FLOOR: Millicpu = Millicpu(10);
/// The least memory limit: below it a program cannot even be started.
const MEMORY_FLOOR: Bytes = Bytes::mebi(16);
/// The least limit on tasks: a shell with a pipeline and its logger.
pub(super) const PIDS_FLOOR: u64 = 8;
/// The kernel's `PID_MAX_LIMIT` on 64-bit hosts; `pids.max` takes no larger number.
pub(super) const PIDS_MOST: u64 = 4_194_304;
/// The least quota that `cpu.max` takes (`min_cfs_quota_period`, kernel/sched/core.c).
const QUOTA_FLOOR: CpuTime = CpuTime::millis(1);

impl Check<'_> {
    /// Checks one component, starting from its defaults.
    pub(super) fn component(
        &mut self,
        key: &Key,
        raw: &raw::Component,
        mut component: Component,
    ) -> Component {
        if let Some(raw) = &raw.priority {
            component.priority = priority(raw);
        }
        component.share_percent = raw.share.map_or(component.share_percent, hundredths);
        if let Some(catch) = raw.catch {
            component.catch = match catch {
                raw::Catch::Events => Catch::Events,
                raw::Catch::Gate => Catch::Gate,
            };
        }
        component.on_exit = raw.on_exit.map_or(component.on_exit, on_leave);
        component.auto_scale = raw.auto_scale.unwrap_or(component.auto_scale);
        component.yields = self.yields(key, raw, component.priority);
        component.last_resort = self.last_resort(key, raw, &component);
        component.hook = raw.hook.as_ref().and_then(|raw| self.hook(&key.then("hook"), raw));
        component.strategy = raw.strategy.map(strategy);
        self.heard_strategy(key, &component);
        component.rules = self.rules(key, raw);
        self.gate(key, &component);
        let instances = raw.instances.as_ref();
        component.instances =
            instances.and_then(|raw| self.instances(&key.then("instances"), raw, &component));
        if let Some(raw) = &raw.cpu {
            component.cpu = self.cpu_policy(&key.then("cpu"), raw, component.cpu);
            self.class(key, &component);
            self.auto_affinity(key, &component);
            self.partition(key, &component);
            component.cpu.realtime = self.realtime(key, raw, &component);
        }
        if let Some(raw) = &raw.memory {
            component.memory = self.memory_policy(&key.then("memory"), raw, component.memory);
        }
        self.on_leak(key, raw, &mut component);
        if let Some(raw) = &raw.io {
            component.io_weight = raw.weight;
            component.io = self.io_policies(&key.then("io").then("limits"), raw);
        }
        if let Some(raw) = &raw.pids {
            let ceiling =
                self.pids_ceiling(&key.then("pids").then("ceiling"), raw.ceiling.as_ref());
            component.pids = ceiling.most.unwrap_or(component.pids);
            component.pids_scale = ceiling.scale;
        }
        component
    }

    fn gate(&mut self, key: &Key, component: &Component) {
        let open = component.rules.iter().any(|rule| rule.exe.is_none());
        if component.catch == Catch::Gate && open {
            let issue = ConfigIssue::error(
                Code::GateWithoutExe,
                "the gate guards executables, and a rule of this component names none",
            )
            .help("give every rule an `exe`, or write catch = \"events\"");
            let rules = self.merged.value_place(&key.then("match"));
            let issue = issue
                .mark(self.merged.value_place(&key.then("catch")), "the gate")
                .mark(rules, "no `exe` here");
            self.issues.push(issue);
        }
    }

    fn yields(&mut self, key: &Key, raw: &raw::Component, priority: Priority) -> bool {
        let yields = raw.yields.unwrap_or(priority == Priority::Low);
        if yields && priority.is_protected() {
            let issue = ConfigIssue::error(
                Code::ProtectedYields,
                format!("a component of priority {priority} is protected: others give way to it"),
            )
            .help("remove `yields`, or give the component the priority \"normal\" or \"low\"");
            let issue = issue
                .mark(self.merged.value_place(&key.then("yields")), "gives way")
                .mark(self.merged.value_place(&key.then("priority")), "protected");
            self.issues.push(issue);
        }
        yields
    }

    /// Whoever gives way to nobody is neither frozen nor killed for anybody.
    fn last_resort(
        &mut self,
        key: &Key,
        raw: &raw::Component,
        component: &Component,
    ) -> LastResort {
        let wanted = match raw.last_resort {
            None => return LastResort::default_for(component.priority, component.yields),
            Some(raw::LastResort::None) => LastResort::Nothing,
            Some(raw::LastResort::Freeze) => LastResort::Freeze,
            Some(raw::LastResort::Kill) => LastResort::Kill,
        };
        if component.yields || wanted == LastResort::Nothing {
            return wanted;
        }
        let who = if component.priority.is_protected() {
            format!("a component of priority {} is protected", component.priority)
        } else {
            "this component does not yield".to_owned()
        };
        let message = format!("{who}, so it is never frozen or killed for others");
        let help = if component.priority.is_protected() {
            "remove `last-resort`, or give the component the priority \"normal\" or \"low\" and yields = true"
        } else {
            "remove `last-resort`, or write yields = true"
        };
        let issue = ConfigIssue::error(Code::LastResort, message).help(help);
        self.report(issue, &key.then("last-resort"), "never done");
        LastResort::Nothing
    }

    /// Others make room for protected components only.
    fn heard_strategy(&mut self, key: &Key, component: &Component) {
        if component.strategy.is_none() || component.priority.is_protected() {
            return;
        }
        let message = format!(
            "nobody makes room for a component of priority {}, so its strategy has no effect",
            component.priority
        );
        let issue = ConfigIssue::warning(Code::UnheardStrategy, message)
            .help("remove `strategy`, or give the component the priority \"high\" or \"critical\"");
        self.report(issue, &key.then("strategy"), "has no effect");
    }

    fn cpu_policy(&mut self, key: &Key, raw: &raw::Cpu, default: CpuPolicy) -> CpuPolicy {
        let floor = key.then("guarantee");
        let guarantee = self.cpu(&floor, raw.guarantee.as_ref());
        let ceiling = self.cpu_ceiling(&key.then("ceiling"), raw.ceiling.as_ref());
        let (least, top) = ends(&key.then("ceiling"), raw.ceiling.as_ref());
        let range = Span::millis(1)..=Span::secs(1);
        let period = self.duration(&key.then("period"), raw.period.as_ref(), range);
        let range = Span::ZERO..=Span::secs(3600);
        let burst = self.duration(&key.then("burst"), raw.burst.as_ref(), range);
        let affinity = self.affinity(&key.then("affinity"), raw.affinity.as_ref());
        self.in_order(
            Code::GuaranteeAboveCeiling,
            ("guarantee", &floor, guarantee),
            (ceiling.least_key(), &least, ceiling.least()),
        );
        if let Some(Limit::At(ceiling)) = ceiling.most {
            self.beyond_host(&top, ceiling, self.host.cpu(), "cores");
        }
        let policy = CpuPolicy {
            class: raw.class.map(super::class::class),
            guarantee: guarantee.unwrap_or(default.guarantee),
            ceiling: ceiling.most.unwrap_or(default.ceiling),
            scale: ceiling.scale,
            period: period.map_or(default.period, |span| CpuTime(span.0)),
            burst: burst.map(|span| CpuTime(span.0)),
            affinity: affinity.unwrap_or(default.affinity),
            partition: raw.partition.map_or(default.partition, super::partition::partition),
            realtime: default.realtime,
        };
        self.guarantee_within_affinity(key, &policy);
        // Without a readable ceiling or period there is no quota to compare with.
        let known = (raw.ceiling.is_none() || ceiling.most.is_some())
            && self.merged.node(&top).is_some() == raw.ceiling.is_some()
            && self.merged.node(&key.then("period")).is_some() == period.is_some();
        if known {
            self.quota(key, &least, &policy);
        }
        policy
    }

    /// Whether the ceiling is high enough to live with.
    pub(super) fn cpu_floor(&mut self, key: &Key, ceiling: Limit<Millicpu>) -> bool {
        let high_enough = ceiling >= Limit::At(CPU_FLOOR);
        if !high_enough {
            let issue = ConfigIssue::error(
                Code::BelowFloor,
                format!("a CPU ceiling of {ceiling} is below the least, {CPU_FLOOR}"),
            )
            .help("programs with less than a hundredth of a core miss their own timeouts; write at least \"10m\"");
            self.report(issue, key, "too low");
        }
        high_enough
    }

    /// Whether the ceiling, or the least that it falls to, can be counted in that period, and the burst fits into it.
    fn quota(&mut self, key: &Key, top: &Key, policy: &CpuPolicy) {
        let burst_key = key.then("burst");
        let least = policy.scale.map(|scale| Limit::At(scale.least));
        let Limit::At(ceiling) = least.unwrap_or(policy.ceiling) else {
            if policy.burst.is_some() {
                let issue = ConfigIssue::error(Code::Burst, "a burst needs a CPU ceiling")
                    .help("a burst is quota carried over; without a `ceiling` there is no quota");
                self.report(issue, &burst_key, "nothing to carry over");
            }
            return;
        };
        let quota = ceiling.quota_in(policy.period);
        if quota < QUOTA_FLOOR {
            // The period in which the ceiling gives one millisecond.
            let longer = CpuTime::millis(1000_u64.div_ceil(ceiling.0.max(1)));
            let message = format!(
                "a ceiling of {ceiling} cores gives {quota} in each period of {}, and the kernel takes no less than 1ms",
                policy.period
            );
            let issue = ConfigIssue::error(Code::QuotaTooSmall, message)
                .help(format!("write a period of {longer} or longer"))
                .mark(self.merged.value_place(top), "this ceiling")
                .mark(self.merged.value_place(&key.then("period")), "this period");
            self.issues.push(issue);
        } else if let Some(burst) = policy.burst.filter(|burst| *burst > quota) {
            let message = format!("a burst of {burst} is above the quota of {quota}");
            let issue = ConfigIssue::error(Code::Burst, message)
                .help(format!(
                    "the kernel carries over at most one quota: write \"{quota}\" or less"
                ))
                .mark(self.merged.value_place(&burst_key), "this burst")
                .mark(
                    self.merged.value_place(top),
                    format!("{ceiling} cores in {} are {quota}", policy.period),
                );
            self.issues.push(issue);
        }
    }

    fn affinity(&mut self, key: &Key, raw: Option<&raw::Affinity>) -> Option<Affinity> {
        let text = match raw? {
            raw::Affinity::List(list) => list.0.as_str(),
            raw::Affinity::Own(own) => return Some(self.own_cpus(key, own)),
        };
        if text.trim() == "shared" {
            return Some(Affinity::Shared);
        }
        if text.trim() == "auto" {
            return Some(Affinity::Auto);
        }
        let cpus: CpuSet = self.parsed(key, text, text.parse())?;
        if cpus.is_empty() {
            let issue = ConfigIssue::error(Code::Malformed, "a list of no CPUs").help(
                "the kernel reads it as \"whatever the parent has\"; that is written \"shared\"",
            );
            self.report(issue, key, "empty");
            return None;
        }
        let offline = cpus.without(&self.host.online);
        if !offline.is_empty() {
            let plural = if offline.len() == 1 { "CPU" } else { "CPUs" };
            let verb = if offline.len() == 1 { "is" } else { "are" };
            let message = format!("{plural} {offline} {verb} not online");
            let issue = ConfigIssue::error(Code::CpuOffline, message)
                .help(format!("online are {}", self.host.online));
            self.report(issue, key, format!("{offline} {verb} not there"));
            return None;
        }
        Some(Affinity::Cpus(cpus))
    }

    fn own_cpus(&mut self, key: &Key, own: &raw::OwnCpus) -> Affinity {
        let online = u64::try_from(self.host.online.len()).unwrap_or(u64::MAX);
        if own.cpus > online / 2 {
            let message =
                format!("{} CPUs of its own are more than half of the host's {online}", own.cpus);
            let issue = ConfigIssue::warning(Code::OwnCpusAboveHost, message).help(
                "half of the cores stay shared; a component that finds no room runs where all others do",
            );
            self.report(issue, &key.then("cpus"), "more than half");
        }
        match own.mode {
            raw::OwnMode::Dedicated => Affinity::Dedicated(own.cpus),
            raw::OwnMode::Balanced => Affinity::Balanced(own.cpus),
        }
    }

    fn guarantee_within_affinity(&mut self, key: &Key, policy: &CpuPolicy) {
        let count = match &policy.affinity {
            Affinity::Shared | Affinity::Auto => return,
            Affinity::Cpus(cpus) => u64::try_from(cpus.len()).unwrap_or(u64::MAX),
            Affinity::Dedicated(count) | Affinity::Balanced(count) => *count,
        };
        if policy.guarantee <= Millicpu::cores(count) {
            return;
        }
        let message =
            format!("a guarantee of {} cores cannot be had on {count} CPUs", policy.guarantee);
        let issue = ConfigIssue::error(Code::GuaranteeAboveAffinity, message)
            .mark(self.merged.value_place(&key.then("guarantee")), "this guarantee")
            .mark(self.merged.value_place(&key.then("affinity")), format!("only {count}"));
        self.issues.push(issue);
    }

    fn memory_policy(
        &mut self,
        key: &Key,
        raw: &raw::Memory,
        default: MemoryPolicy,
    ) -> MemoryPolicy {
        let (low, high) = (key.then("guarantee"), key.then("high"));
        let (least, max) = ends(&key.then("ceiling"), raw.ceiling.as_ref());
        let guarantee = self.size(&low, raw.guarantee.as_ref());
        let throttle = self.size_limit(&high, raw.high.as_ref());
        let throttle = throttle.filter(|limit| self.memory_floor(&high, *limit));
        let ceiling = self.memory_ceiling(&key.then("ceiling"), raw.ceiling.as_ref());
        let swap = self.size_limit(&key.then("swap"), raw.swap.as_ref());
        let (throttle_value, ceiling_value) =
            (throttle.and_then(Limit::value), ceiling.most.and_then(Limit::value));
        self.in_order(
            Code::GuaranteeAboveCeiling,
            ("guarantee", &low, guarantee),
            (ceiling.least_key(), &least, ceiling.least()),
        );
        self.in_order(
            Code::GuaranteeAboveHigh,
            ("guarantee", &low, guarantee),
            ("high", &high, throttle_value),
        );
        self.in_order(
            Code::HighAboveCeiling,
            ("high", &high, throttle_value),
            ("ceiling", &max, ceiling_value),
        );
        let fixed = ceiling_value.filter(|_| ceiling.scale.is_none());
        if let (Some(throttle), Some(ceiling)) = (throttle_value, fixed) {
            self.slows_too_late((&high, throttle), (&max, ceiling));
        }
        if let Some(ceiling) = ceiling_value {
            self.beyond_host(&max, ceiling, self.host.memory, "of memory");
        }
        MemoryPolicy {
            guarantee: guarantee.unwrap_or(default.guarantee),
            high: throttle.unwrap_or(default.high),
            ceiling: ceiling.most.unwrap_or(default.ceiling),
            scale: ceiling.scale,
            swap,
            oom: raw.oom.map_or(default.oom, |oom| match oom {
                raw::Oom::Process => OomPolicy::Process,
                raw::Oom::Group => OomPolicy::Group,
            }),
            hard: raw.hard.unwrap_or(default.hard),
            probe: raw.probe.map_or(default.probe, |probe| match probe {
                raw::Probe::Off => Probe::Off,
                raw::Probe::Slow => Probe::Slow,
                raw::Probe::Fast => Probe::Fast,
            }),
            ..default
        }
    }

    /// Warns of a `high` so near to the ceiling that a component is killed before it is slowed down.
    fn slows_too_late(&mut self, high: (&Key, Bytes), ceiling: (&Key, Bytes)) {
        let most = MemoryPolicy::most_high(ceiling.1);
        if high.1 <= most || high.1 > ceiling.1 {
            return;
        }
        let message = format!("`high` {} is too near to `ceiling` {}", high.1, ceiling.1);
        let mend = if most >= MEMORY_FLOOR {
            format!("write at most {} MiB", most.0 >> 20)
        } else {
            "leave `high` out".to_owned()
        };
        let help = format!(
            "tasks above `high` sleep the longer the further they are above it, fully at a fifth: a component that grows fast is killed \
             before that; {mend}, or a higher ceiling"
        );
        let issue = ConfigIssue::warning(Code::HighNearCeiling, message)
            .help(help)
            .mark(self.merged.value_place(high.0), "slows down from here")
            .mark(self.merged.value_place(ceiling.0), "kills here");
        self.issues.push(issue);
    }

    /// Whether the limit is high enough to live with.
    pub(super) fn memory_floor(&mut self, key: &Key, limit: Limit<Bytes>) -> bool {
        let high_enough = limit >= Limit::At(MEMORY_FLOOR);
        if !high_enough {
            let message = format!("a memory limit of {limit} is below the least, {MEMORY_FLOOR}");
            let issue = ConfigIssue::error(Code::BelowFloor, message)
                .help("with less, programs are killed while they start; sizes are base 1024, and a bare number is bytes");
            self.report(issue, key, "too low");
        }
        high_enough
    }

    /// Reports when the first of two values of one table is above the second.
    pub(super) fn in_order<T: PartialOrd + Display>(
        &mut self,
        code: Code,
        (low_name, low_key, low): (&str, &Key, Option<T>),
        (high_name, high_key, high): (&str, &Key, Option<T>),
    ) {
        let (Some(low), Some(high)) = (low, high) else {
            return;
        };
        if low <= high {
            return;
        }
        let table = low_key.above().0.join(".");
        let message = format!("`{low_name}` {low} is above `{high_name}` {high} in `{table}`");
        let issue = ConfigIssue::error(code, message)
            .mark(self.merged.value_place(low_key), format!("{low}"))
            .mark(self.merged.value_place(high_key), format!("only {high}"));
        self.issues.push(issue);
    }

    /// Warns of a ceiling that the host cannot reach.
    fn beyond_host<T: PartialOrd + Display>(&mut self, key: &Key, ceiling: T, host: T, of: &str) {
        if ceiling > host {
            let message = format!("a ceiling of {ceiling} is above the host's {host} {of}");
            let issue = ConfigIssue::warning(Code::CeilingAboveHost, message)
                .help("it will never be reached; leave it out, or write a percentage of the host");
            self.report(issue, key, "never reached");
        }
    }
}

/// A share in hundredths, rounded to the nearest. The range 0.1 to 10 was checked with the shape.
fn hundredths(share: f64) -> u64 {
    format!("{:.0}", share * 100.0).parse().map_or(100, |share: u64| share.clamp(10, 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::CpuMax;

    #[test]
    fn shares_are_rounded_to_hundredths() {
        for (share, expected) in [(1.0, 100), (0.1, 10), (10.0, 1000), (0.29, 29), (1.005, 100)] {
            assert_eq!(hundredths(share), expected, "{share}");
        }
    }

    #[test]
    fn the_default_period_leaves_room_for_the_least_ceiling() {
        assert!(CPU_FLOOR.quota_in(CpuMax::DEFAULT_PERIOD) >= QUOTA_FLOOR);
    }
}
