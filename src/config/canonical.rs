//! A checked policy in its one canonical form: the same key and text for the same meaning, whatever was written.
//!
//! Percentages are amounts here, priorities are words and users are numbers. The text is valid configuration and means the same
//! policy again, which a test proves; `diff.rs` and the summaries of the command line are made of it.

use super::policy::{
    Affinity, Backend, Catch, Component, IoDevice, IoPolicy, Mode, OnLeak, OnLeave, OomPolicy,
    Pattern, Policy, Probe, Rule, Scale, StoragePolicy, Thresholds,
};
use crate::model::Partition;
use crate::units::{Bytes, ComponentName, Limit, Ppm};
use std::fmt::{Display, Write as _};

/// One key of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The component; `None` for what belongs to the whole.
    pub component: Option<String>,
    /// The dotted key within it.
    pub key: String,
    /// The value as TOML.
    pub value: String,
}

/// All keys of a policy: first the whole, then the components by name. A key at which nothing is limited or set is left out.
#[must_use]
pub fn entries(policy: &Policy) -> Vec<Entry> {
    let mut list = List { component: None, entries: Vec::new() };
    list.text("mode", mode(policy.mode));
    list.text("strategy", policy.strategy.word());
    list.text("division", policy.division.word());
    list.text("interval", policy.interval);
    list.text("on-stop", on_leave(policy.on_stop));
    list.text("override-for", policy.override_for);
    list.text("backend", backend(policy.backend));
    if !policy.protect.is_empty() {
        let globs = policy.protect.iter().map(|glob| quoted(glob.text()));
        list.raw("protect", array(globs));
    }
    list.text("reserve.cpu", policy.reserve.cpu);
    list.text("reserve.memory", exact(policy.reserve.memory));
    let Thresholds { cpu, memory, disk } = policy.thresholds;
    for (resource, steps) in [("cpu", cpu), ("memory", memory), ("disk", disk)] {
        let key = |name| format!("thresholds.{resource}.{name}");
        list.text(&key("warning"), percent(steps.warning));
        list.text(&key("critical"), percent(steps.critical));
        list.text(&key("emergency"), percent(steps.emergency));
    }
    for (name, disk) in &policy.disks {
        list.raw(&format!("disk.{name}"), io(disk));
    }
    for (name, folder) in &policy.storage {
        storage(&mut list, name, folder);
    }
    for (name, schedule) in &policy.schedules {
        let key = |key: &str| format!("schedule.{name}.{key}");
        let begins = schedule.begins.iter().map(|begins| quoted(&begins.to_string()));
        list.raw(&key("calendar"), array(begins));
        list.text(&key("duration"), schedule.lasts);
        for (name, value) in &schedule.changes {
            list.raw(&key(name), value.to_string());
        }
    }
    list.text("forecast.steer", policy.steer.word());
    list.raw("writes.rate", policy.writes.rate.to_string());
    list.raw("writes.burst", policy.writes.burst.to_string());
    list.raw("http.listen", array(policy.listen.iter().map(|place| quoted(&place.to_string()))));
    for (name, component) in &policy.components {
        list.component = Some(name.to_string());
        component_entries(&mut list, component);
    }
    list.entries
}

/// The policy as configuration.
#[must_use]
pub fn canonical_toml(policy: &Policy) -> String {
    let mut out = String::new();
    let mut section: Option<String> = None;
    for entry in entries(policy) {
        if entry.component != section {
            let name = entry.component.clone().unwrap_or_default();
            let _infallible = writeln!(out, "\n[component.{name}]");
            section = entry.component;
        }
        let _infallible = writeln!(out, "{} = {}", entry.key, entry.value);
    }
    out
}

struct List {
    component: Option<String>,
    entries: Vec<Entry>,
}

impl List {
    fn raw(&mut self, key: &str, value: String) {
        self.entries.push(Entry { component: self.component.clone(), key: key.to_owned(), value });
    }

    fn text(&mut self, key: &str, value: impl Display) {
        self.raw(key, quoted(&value.to_string()));
    }

    /// Nothing for no limit: that is what a missing key means.
    fn limit<T: Display>(&mut self, key: &str, value: Limit<T>) {
        if let Limit::At(value) = value {
            self.text(key, value);
        }
    }

    /// The same, where it may follow the need.
    fn ceiling<T>(
        &mut self,
        key: &str,
        most: Limit<T>,
        scale: Option<Scale<T>>,
        text: impl Fn(T) -> String,
    ) {
        let Limit::At(most) = most else { return };
        let value = match scale {
            None => text(most),
            Some(Scale { least, cooldown }) => {
                format!(
                    "{{ min = {}, max = {}, cooldown = \"{cooldown}\" }}",
                    text(least),
                    text(most)
                )
            }
        };
        self.raw(key, value);
    }
}

fn storage(list: &mut List, name: &ComponentName, folder: &StoragePolicy) {
    let key = |key: &str| format!("storage.{name}.{key}");
    list.text(&key("path"), folder.path.display());
    list.text(&key("user"), &folder.user);
    if let Some(files) = &folder.files {
        list.text(&key("match"), files.text());
    }
    if let Some(age) = folder.retention.older_than {
        list.text(&key("older-than"), age);
    }
    if let Some(size) = folder.retention.keep_size {
        list.text(&key("keep-size"), exact(size));
    }
    if let Some(count) = folder.retention.keep_count {
        list.raw(&key("keep-count"), count.to_string());
    }
}

fn component_entries(list: &mut List, component: &Component) {
    list.text("priority", component.priority);
    let share = component.share_percent;
    list.raw("share", format!("{}.{:02}", share / 100, share % 100));
    let rules: Vec<String> = component.rules.iter().map(rule).collect();
    match rules.as_slice() {
        [only] => list.raw("match", only.clone()),
        _ => list.raw("match", array(rules)),
    }
    let catch = match component.catch {
        Catch::Events => "events",
        Catch::Gate => "gate",
    };
    list.text("catch", catch);
    limits(list, component);
    list.text("on-exit", on_leave(component.on_exit));
    list.raw("auto-scale", component.auto_scale.to_string());
    if !component.priority.is_protected() {
        list.raw("yields", component.yields.to_string());
    }
    if component.yields {
        list.text("last-resort", component.last_resort.word());
    }
    if let Some(hook) = &component.hook {
        list.raw("hook.command", array(hook.command.iter().map(|word| quoted(word))));
        list.text("hook.user", &hook.user);
        list.text("hook.timeout", hook.timeout);
        list.text("hook.from", hook.from);
    }
    if let Some(instances) = &component.instances {
        list.text("instances.unit", &instances.template);
        list.raw("instances.min", instances.least.to_string());
        list.raw("instances.max", instances.most.to_string());
        list.text("instances.up", instances.up);
        list.text("instances.down", instances.down);
        list.text("instances.cooldown", instances.cooldown);
        if let Some(drain) = &instances.drain {
            list.raw(
                "instances.drain.command",
                array(drain.command.iter().map(|word| quoted(word))),
            );
            list.text("instances.drain.user", &drain.user);
            list.text("instances.drain.timeout", drain.timeout);
        }
    }
    if let Some(strategy) = component.strategy {
        list.text("strategy", strategy.word());
    }
}

fn own_cpus(mode: &str, cpus: u64) -> String {
    format!("{{ mode = \"{mode}\", cpus = {cpus} }}")
}

fn limits(list: &mut List, component: &Component) {
    let cpu = &component.cpu;
    if let Some(class) = cpu.class {
        list.text("cpu.class", class);
    }
    list.text("cpu.guarantee", cpu.guarantee);
    list.ceiling("cpu.ceiling", cpu.ceiling, cpu.scale, |amount| quoted(&amount.to_string()));
    list.text("cpu.period", cpu.period);
    if let Some(burst) = cpu.burst {
        list.text("cpu.burst", burst);
    }
    match &cpu.affinity {
        Affinity::Shared => list.text("cpu.affinity", "shared"),
        Affinity::Auto => list.text("cpu.affinity", "auto"),
        Affinity::Cpus(cpus) => list.text("cpu.affinity", cpus),
        Affinity::Dedicated(cpus) => list.raw("cpu.affinity", own_cpus("dedicated", *cpus)),
        Affinity::Balanced(cpus) => list.raw("cpu.affinity", own_cpus("balanced", *cpus)),
    }
    if cpu.partition != Partition::Member {
        list.text("cpu.partition", cpu.partition);
    }
    if let Some(realtime) = &cpu.realtime {
        let names = realtime.threads.globs.iter().map(|glob| quoted(glob.text()));
        list.raw("cpu.realtime.threads", array(names));
        list.raw("cpu.realtime.priority", realtime.priority.to_string());
    }
    let memory = &component.memory;
    list.text("memory.guarantee", exact(memory.guarantee));
    list.limit("memory.high", memory.high.map(exact));
    list.ceiling("memory.ceiling", memory.ceiling, memory.scale, |size| quoted(&exact(size)));
    if let Some(swap) = memory.swap {
        list.text("memory.swap", swap.map(exact));
    }
    match memory.oom {
        OomPolicy::Unset => {}
        OomPolicy::Process => list.text("memory.oom", "process"),
        OomPolicy::Group => list.text("memory.oom", "group"),
    }
    list.raw("memory.hard", memory.hard.to_string());
    if memory.probe > Probe::Off {
        list.text("memory.probe", memory.probe.word());
    }
    if memory.on_leak > OnLeak::Tell {
        list.text("memory.on-leak", memory.on_leak.word());
    }
    if memory.on_leak == OnLeak::Restart {
        list.text("memory.restart-every", memory.restart_every);
    }
    if let Some(weight) = component.io_weight {
        list.raw("io.weight", weight.to_string());
    }
    if !component.io.is_empty() {
        list.raw("io.limits", array(component.io.iter().map(io)));
    }
    list.ceiling("pids.ceiling", component.pids, component.pids_scale, |count| count.to_string());
}

fn io(policy: &IoPolicy) -> String {
    let device = match &policy.device {
        IoDevice::All => "all".to_owned(),
        IoDevice::Path { path, .. } => path.display().to_string(),
    };
    let mut parts = vec![format!("device = {}", quoted(&device))];
    for (key, rate) in [("read", policy.read), ("write", policy.write)] {
        if let Limit::At(rate) = rate {
            parts.push(format!("{key} = {}", quoted(&exact(rate))));
        }
    }
    for (key, count) in [("read-iops", policy.read_iops), ("write-iops", policy.write_iops)] {
        if let Limit::At(count) = count {
            parts.push(format!("{key} = {count}"));
        }
    }
    format!("{{ {} }}", parts.join(", "))
}

fn rule(rule: &Rule) -> String {
    let pattern = |pattern: &Option<Pattern>| {
        pattern.as_ref().map(|pattern| {
            let globs = pattern.globs.iter();
            one_or_array(globs.map(|glob| quoted(glob.text())).collect())
        })
    };
    let numbers = |ids: &Option<Vec<u32>>| {
        ids.as_ref().map(|ids| one_or_array(ids.iter().map(ToString::to_string).collect()))
    };
    let path = rule.pidfile.as_ref();
    let conditions = [
        ("unit", pattern(&rule.unit)),
        ("cgroup", pattern(&rule.cgroup)),
        ("container", pattern(&rule.container)),
        ("exe", pattern(&rule.exe)),
        ("cmdline", rule.cmdline.as_ref().map(|regex| quoted(regex.as_str()))),
        ("user", numbers(&rule.users)),
        ("group", numbers(&rule.groups)),
        ("pidfile", path.map(|path| quoted(&path.display().to_string()))),
        ("parent", pattern(&rule.parent)),
    ];
    let texts: Vec<String> = conditions
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key} = {}", value?)))
        .collect();
    format!("{{ {} }}", texts.join(", "))
}

fn one_or_array(values: Vec<String>) -> String {
    match values.as_slice() {
        [only] => only.clone(),
        _ => array(values),
    }
}

fn array(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(", "))
}

/// The text as a TOML string of one line, whatever it holds.
fn quoted(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// The canonical form of a size where that is exact, otherwise the bytes.
fn exact(size: Bytes) -> String {
    let text = size.to_string();
    if text.parse() == Ok(size) { text } else { size.0.to_string() }
}

/// The share as it may be written: exact, as no more than three decimals are taken.
fn percent(share: Ppm) -> String {
    let (whole, rest) = (share.get() / 10_000, share.get() % 10_000);
    let decimals = format!("{rest:04}");
    match decimals.trim_end_matches('0') {
        "" => format!("{whole}%"),
        decimals => format!("{whole}.{decimals}%"),
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Enforce => "enforce",
    }
}

fn on_leave(on_leave: OnLeave) -> &'static str {
    match on_leave {
        OnLeave::Restore => "restore",
        OnLeave::Keep => "keep",
    }
}

fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Auto => "auto",
        Backend::Systemd => "systemd",
        Backend::Subtree => "subtree",
    }
}
