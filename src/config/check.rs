//! From the merged tree to a checked policy: every problem at once, each with its place and its remedy.
//!
//! A value that is wrong is reported and then left at its default, so that everything else is still checked; checks that
//! compare two values run only when both could be read, so that one mistake is not told twice. This code knows the host only
//! through [`Capacity`]; it reads no file.

mod alerts;
mod ceiling;
mod class;
mod component;
mod hook;
mod instances;
mod io;
mod leak;
mod listen;
mod partition;
mod quantity;
mod realtime;
mod rules;
mod schedule;
mod storage;
mod thresholds;
mod whole;

use super::accounts::Accounts;
use super::defaults::{default_component, default_policy};
use super::issue::{Code, ConfigIssue};
use super::merged::{Content, Key, Merged};
use super::policy::{
    Backend, Component, Division, Glob, Mode, OnLeave, Policy, Reserve, Steer, Strategy,
};
use super::raw;
use super::suggest::shorten;
use crate::model::Priority;
use crate::units::{Bytes, ComponentName, CpuSet, DeviceId, Millicpu, Span};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The most components.
pub const MAX_COMPONENTS: usize = 1024;

/// The most globs and regular expressions: each is a compiled automaton that lives as long as the policy.
const MAX_PATTERNS: usize = 4096;

/// Finds the whole disks behind a device node, a mount point or a file; an error says why there is none.
pub type ResolveDevice<'a> = dyn Fn(&Path) -> Result<Vec<DeviceId>, String> + 'a;

/// Whether there is a program at a path that everybody may execute; an error says why not.
pub type CheckProgram<'a> = dyn Fn(&Path) -> Result<(), String> + 'a;

/// What the host has, as far as a configuration can contradict it.
pub struct Capacity<'a> {
    /// The online CPUs.
    pub online: CpuSet,
    /// `MemTotal`.
    pub memory: Bytes,
    /// The size of a page; percentages of memory are rounded down to it.
    pub page: Bytes,
    /// Finds the disks behind a path.
    pub resolve_device: &'a ResolveDevice<'a>,
    /// Looks for a program.
    pub check_program: &'a CheckProgram<'a>,
}

impl Capacity<'_> {
    /// All online CPUs as an amount.
    #[must_use]
    pub fn cpu(&self) -> Millicpu {
        self.online.capacity()
    }
}

impl fmt::Debug for Capacity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capacity")
            .field("online", &self.online)
            .field("memory", &self.memory)
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

/// One run of the checks.
struct Check<'a> {
    merged: &'a Merged,
    host: &'a Capacity<'a>,
    accounts: &'a Accounts,
    /// Whether all files could be parsed, so that a missing key is really missing.
    complete: bool,
    /// The administrator's protected units, with their keys.
    protect: Vec<(Glob, Key)>,
    reserve_known: ReserveKnown,
    /// How many globs and regular expressions were compiled.
    patterns: usize,
    issues: Vec<ConfigIssue>,
}

/// Whether the reserve could be read, so that sums may be compared with it.
struct ReserveKnown {
    cpu: bool,
    memory: bool,
}

/// Checks everything that has the right shape. The policy is fit for use only when no issue is an error.
pub(super) fn check_policy(
    merged: &Merged,
    host: &Capacity<'_>,
    accounts: &Accounts,
    complete: bool,
) -> (Policy, Vec<ConfigIssue>) {
    let mut check = Check {
        merged,
        host,
        accounts,
        complete,
        protect: Vec::new(),
        reserve_known: ReserveKnown { cpu: true, memory: true },
        patterns: 0,
        issues: Vec::new(),
    };
    let raw = check.raw();
    let policy = check.policy(&raw);
    check.claims(&raw);
    check.sums(&policy);
    (policy, check.issues)
}

impl Check<'_> {
    /// The usable values as the types of `raw.rs`. The shape was checked, so serde has nothing to refuse.
    fn raw(&mut self) -> raw::Config {
        match self.merged.usable().try_into() {
            Ok(raw) => raw,
            Err(error) => {
                let message =
                    format!("the values passed the check of their shape, and yet: {error}");
                self.issues.push(
                    ConfigIssue::error(Code::Defect, message).help(
                        "this is a defect in provost; please report it with the configuration",
                    ),
                );
                raw::Config::default()
            }
        }
    }

    /// Reports `issue` at the value of `key`.
    fn report(&mut self, issue: ConfigIssue, key: &Key, label: impl Into<String>) {
        let place = self.merged.value_place(key);
        self.issues.push(issue.mark(place, label));
    }

    /// The key of the `number`-th usable item of a list; of a value written without a list it is the value's own key.
    fn item(&self, key: &Key, number: usize) -> Key {
        let Some(Content::Array(items)) = self.merged.node(key).map(|node| &node.content) else {
            return key.clone();
        };
        let usable = items.iter().enumerate().filter(|(_, item)| item.usable);
        match usable.map(|(place, _)| place).nth(number) {
            Some(place) => key.then(place),
            None => key.clone(),
        }
    }

    fn policy(&mut self, raw: &raw::Config) -> Policy {
        let key = Key::default();
        let mut policy = default_policy(self.host.cpu(), self.host.memory);
        if let Some(mode) = raw.mode {
            policy.mode = match mode {
                raw::Mode::Observe => Mode::Observe,
                raw::Mode::Enforce => Mode::Enforce,
            };
        }
        policy.strategy = raw.strategy.map_or(policy.strategy, strategy);
        policy.division = raw.division.map_or(policy.division, division);
        if let Some(backend) = raw.backend {
            policy.backend = match backend {
                raw::Backend::Auto => Backend::Auto,
                raw::Backend::Systemd => Backend::Systemd,
                raw::Backend::Subtree => Backend::Subtree,
            };
        }
        policy.on_stop = raw.on_stop.map_or(policy.on_stop, on_leave);
        let interval = self.duration(
            &key.then("interval"),
            raw.interval.as_ref(),
            Span::millis(200)..=Span::secs(5),
        );
        policy.interval = interval.unwrap_or(policy.interval);
        let override_for = self.duration(
            &key.then("override-for"),
            raw.override_for.as_ref(),
            Span::secs(1)..=Span::secs(86_400),
        );
        policy.override_for = override_for.unwrap_or(policy.override_for);
        self.protect(raw);
        policy.protect = self.protect.iter().map(|(glob, _)| glob.clone()).collect();
        policy.reserve = self.reserve(raw.reserve.as_ref(), policy.reserve);
        policy.steer = raw.forecast.as_ref().and_then(|raw| raw.steer).map_or(policy.steer, steer);
        if let Some(raw) = &raw.writes {
            policy.writes.rate = raw.rate.unwrap_or(policy.writes.rate);
            policy.writes.burst = raw.burst.unwrap_or(policy.writes.burst);
        }
        let own = raw.own.as_ref().and_then(|raw| raw.cpu.as_ref());
        policy.own_cpu =
            self.cpu_limit(&key.then("own").then("cpu"), own).unwrap_or(policy.own_cpu);
        policy.alerts = self.alerts(raw.alerts.as_ref(), policy.alerts);
        policy.listen = self.listen(raw.http.as_ref(), policy.listen);
        policy.history = self.budget(raw.history.as_ref()).unwrap_or(policy.history);
        policy.thresholds = self.thresholds(raw.thresholds.as_ref(), policy.thresholds);
        policy.disks = self.disks(raw);
        policy.storage = self.storage(raw);
        policy.schedules = self.schedules(raw);
        policy.components = self.components(raw, policy.on_stop);
        policy
    }

    fn protect(&mut self, raw: &raw::Config) {
        let list = Key::default().then("protect");
        for (number, glob) in raw.protect.iter().flatten().enumerate() {
            let key = self.item(&list, number);
            if let Some(compiled) = self.glob(&key, &glob.0) {
                self.protect.push((compiled, key));
            }
        }
    }

    fn reserve(&mut self, raw: Option<&raw::Reserve>, default: Reserve) -> Reserve {
        let table = Key::default().then("reserve");
        let (cpu, memory) = (table.then("cpu"), table.then("memory"));
        let read_cpu = self.cpu(&cpu, raw.and_then(|raw| raw.cpu.as_ref()));
        let read_memory = self.size(&memory, raw.and_then(|raw| raw.memory.as_ref()));
        self.reserve_known = ReserveKnown {
            cpu: self.merged.node(&cpu).is_some() == read_cpu.is_some(),
            memory: self.merged.node(&memory).is_some() == read_memory.is_some(),
        };
        let reserve = Reserve {
            cpu: read_cpu.unwrap_or(default.cpu),
            memory: read_memory.unwrap_or(default.memory),
        };
        if reserve.cpu >= self.host.cpu() && self.merged.node(&cpu).is_some() {
            let message = format!(
                "a CPU reserve of {} leaves nothing of the host's {} cores",
                reserve.cpu,
                self.host.cpu()
            );
            let issue = ConfigIssue::error(Code::ReserveTooLarge, message);
            self.report(issue, &cpu, "as much as the host has");
        }
        if reserve.memory >= self.host.memory {
            let message = format!(
                "a memory reserve of {} leaves nothing of the host's {}",
                reserve.memory, self.host.memory
            );
            let issue = ConfigIssue::error(Code::ReserveTooLarge, message);
            self.report(issue, &memory, "as much as the host has");
        }
        reserve
    }

    fn components(
        &mut self,
        raw: &raw::Config,
        on_stop: OnLeave,
    ) -> BTreeMap<ComponentName, Component> {
        let Some(written) = &raw.component else {
            return BTreeMap::new();
        };
        let table = Key::default().then("component");
        if written.len() > MAX_COMPONENTS {
            let message = format!(
                "{} components are more than the {MAX_COMPONENTS} that are kept",
                written.len()
            );
            let issue = ConfigIssue::error(Code::TooLarge, message);
            self.report(issue, &table, "too many");
        }
        let mut components = BTreeMap::new();
        for (name, raw) in written.iter().take(MAX_COMPONENTS) {
            let key = table.then(name);
            // A component with an impossible name is still checked, under a name that nobody else has.
            let parsed = self.component_name(&key, name);
            let fallback = || "unnamed".parse::<ComponentName>().ok();
            let Some(shown) = parsed.clone().or_else(fallback) else {
                continue;
            };
            let component = self.component(&key, raw, default_component(shown, on_stop));
            if let Some(name) = parsed {
                components.insert(name, component);
            }
        }
        components
    }

    fn component_name(&mut self, key: &Key, name: &str) -> Option<ComponentName> {
        match name.parse() {
            Ok(name) => Some(name),
            Err(_) => {
                let place = self.merged.key_place(key);
                let what = key.0.first().map_or("component", String::as_str);
                let message = format!("\"{}\" cannot name a {what}", shorten(name));
                self.issues.push(
                    ConfigIssue::error(Code::ComponentName, message).mark(place, "this name").help(
                        "use 1 to 63 of a-z, 0-9, \"_\" and \"-\", starting with a letter or digit",
                    ),
                );
                None
            }
        }
    }
}

fn strategy(raw: raw::Strategy) -> Strategy {
    match raw {
        raw::Strategy::Conservative => Strategy::Conservative,
        raw::Strategy::Balanced => Strategy::Balanced,
        raw::Strategy::Aggressive => Strategy::Aggressive,
        raw::Strategy::Adaptive => Strategy::Adaptive,
    }
}

fn division(raw: raw::Division) -> Division {
    match raw {
        raw::Division::Weighted => Division::Weighted,
        raw::Division::Priority => Division::Priority,
        raw::Division::Fair => Division::Fair,
        raw::Division::Quota => Division::Quota,
    }
}

fn steer(raw: raw::Steer) -> Steer {
    match raw {
        raw::Steer::Off => Steer::Off,
        raw::Steer::Memory => Steer::Memory,
        raw::Steer::All => Steer::All,
    }
}

fn on_leave(raw: raw::OnLeave) -> OnLeave {
    match raw {
        raw::OnLeave::Restore => OnLeave::Restore,
        raw::OnLeave::Keep => OnLeave::Keep,
    }
}

/// The class of a priority, as a word or as a number of 1 to 10.
fn priority(raw: &raw::Priority) -> Priority {
    match raw {
        raw::Priority::Word(word) => Priority::ALL
            .into_iter()
            .find(|priority| priority.word() == word)
            .unwrap_or(Priority::Normal),
        raw::Priority::Number(..=3) => Priority::Low,
        raw::Priority::Number(4..=6) => Priority::Normal,
        raw::Priority::Number(7..=8) => Priority::High,
        raw::Priority::Number(9..) => Priority::Critical,
    }
}
