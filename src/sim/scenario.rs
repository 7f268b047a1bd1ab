//! Scenarios: a host, a configuration, and what happens over time, read from one TOML file.
//!
//! Problems are drawn as those of the configuration, all at once. Bounds: those of a configuration file, 31 days, 1024 components.

use super::amount::{Unit, program};
use super::foreseeing::DAY;
use super::group::Load;
use super::io::{Disk, Speed};
use super::look::{self, PAGE};
use super::plant::{Plant, Resident};
use super::raw;
use crate::config::{Beside, Capacity, Code, Component, ConfigIssue, Place, Policy, Sources};
use crate::model::{Disk as DiskView, HostView, IoWeightBackend, Knob, KnobKind};
use crate::units::{Bytes, CgroupPath, ComponentName, DeviceId, Span};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The longest scenario.
pub const LONGEST: Span = Span::secs(31 * 86_400);
/// A day in five minutes: a forecaster's bucket is as long as a look at the host.
const SHORTEST_DAY: Span = Span::secs(300);
/// Where the load beside the components lives.
const BACKGROUND: &str = "system.slice/background.service";

/// A scenario that can be played.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name, from its file.
    pub name: String,
    /// What happens in it.
    pub about: String,
    /// How long it lasts.
    pub duration: Span,
    /// How long a day of forecasts takes; none where there are no forecasts.
    pub day: Option<Span>,
    /// Names one run of everything random.
    pub seed: u64,
    /// The configuration.
    pub policy: Policy,
    /// Of a thousand writes so many fail.
    pub failing_writes: u64,
    /// What a person should know of the configuration.
    pub warnings: Vec<ConfigIssue>,
    pub(super) foreign: Vec<Foreign>,
    /// When the host sleeps and how long, in microseconds.
    pub(super) gaps: Vec<(u64, u64)>,
    host: HostView,
    disks: Vec<Disk>,
    residents: Vec<Resident>,
}

/// Another writer of a knob; times in microseconds.
#[derive(Debug, Clone)]
pub(super) struct Foreign {
    pub(super) path: CgroupPath,
    pub(super) knob: Knob,
    pub(super) at: u64,
    pub(super) every: Option<u64>,
}

/// A load, and where it is to be.
struct Placed {
    load: Load,
    path: CgroupPath,
    copies: u32,
    written: Option<Place>,
}

impl Scenario {
    /// Reads a scenario from a file.
    ///
    /// # Errors
    /// Every problem of the scenario and of its configuration.
    pub fn load(file: &Path) -> Result<Self, Vec<ConfigIssue>> {
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        Self::read(&Sources::single(file), &name, folder)
    }

    /// Reads a scenario from a text; traces are looked for in `folder`.
    ///
    /// # Errors
    /// Every problem of the scenario and of its configuration.
    pub fn from_text(name: &str, text: &str, folder: &Path) -> Result<Self, Vec<ConfigIssue>> {
        Self::read(&Sources::text(&format!("{name}.toml"), text), name, folder)
    }

    fn read(sources: &Sources, name: &str, folder: &Path) -> Result<Self, Vec<ConfigIssue>> {
        let (beside, raw): (Beside, raw::Scenario) = Beside::read(sources);
        let mut reader = Reader { beside, folder: folder.to_owned() };
        let (host, disks) = reader.host(raw.host.unwrap_or_default());
        let duration = reader.span(raw.duration.as_deref(), &["duration"], Span::secs(600));
        if duration > LONGEST {
            reader.told(Code::OutOfRange, "`duration` must be at most 31d", &["duration"]);
        }
        let day = reader.day(raw.day.as_deref());
        let known = reader.beside.components();
        let mut loads = BTreeMap::new();
        for (component, load) in raw.load.unwrap_or_default() {
            let key = ["load", component.as_str()];
            if !known.contains(&component) {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                reader.beside.report_unknown(&key, &known);
                continue;
            }
            let read = reader.load(&load, &key, &disks);
            let place = reader.place(&load, &component);
            let written = reader.beside.value_place(&key);
            let copies = load.copies.unwrap_or(0);
            loads.insert(component, Placed { load: read, path: place, copies, written });
        }
        let background = raw.background.unwrap_or_default();
        let background = reader.load(&background, &["background"], &disks);
        let foreign = reader.foreign(&raw.foreign.unwrap_or_default(), &loads);
        let gaps = reader.gaps(&raw.gap.unwrap_or_default());
        let policy = check(reader.beside, &host)?;
        strangers(&policy.0, &loads)?;
        let (mut scenario, warnings) = (
            Self {
                name: name.to_owned(),
                about: raw.about.unwrap_or_default(),
                duration,
                day,
                seed: raw.seed.unwrap_or(1),
                policy: policy.0,
                failing_writes: u64::from(raw.failing_writes.unwrap_or(0)),
                warnings: Vec::new(),
                foreign,
                gaps,
                host,
                disks,
                residents: Vec::new(),
            },
            policy.1,
        );
        scenario.warnings = warnings;
        scenario.settle(loads, background);
        Ok(scenario)
    }

    /// The host with everybody in place, before anything has run.
    pub(super) fn plant(&self) -> Plant {
        Plant::new(self.host.clone(), self.disks.clone(), self.residents.clone(), self.seed)
    }

    /// The same scenario with every load standing still as it is at one moment, and nothing going wrong.
    #[must_use]
    pub fn steadied(&self, at: Span) -> Self {
        let mut steady = self.clone();
        for resident in &mut steady.residents {
            resident.load = resident.load.frozen(at.0);
        }
        steady.foreign.clear();
        steady.gaps.clear();
        steady.failing_writes = 0;
        steady
    }

    /// Puts every load into its group, as many copies as asked for.
    fn settle(&mut self, loads: BTreeMap<String, Placed>, background: Load) {
        self.residents.push(Resident {
            path: CgroupPath::new(BACKGROUND),
            component: None,
            load: background,
        });
        for (name, Placed { load, path, copies, .. }) in loads {
            let Ok(name) = name.parse::<ComponentName>() else { continue };
            let Some(component) = self.policy.components.get(&name).cloned() else { continue };
            if copies == 0 {
                let whose = Some((name, component.priority));
                self.residents.push(Resident { path, component: whose, load });
                continue;
            }
            self.policy.components.remove(&name);
            for number in 1..=copies {
                self.copy(&component, &load, number);
            }
        }
    }

    /// One of many alike: its own component, in its own service.
    fn copy(&mut self, component: &Component, load: &Load, number: u32) {
        let Ok(name) = format!("{}-{number:04}", component.name).parse::<ComponentName>() else {
            return;
        };
        let path = CgroupPath::new(&format!("system.slice/{name}.service"));
        let whose = Some((name.clone(), component.priority));
        self.residents.push(Resident { path, component: whose, load: load.clone() });
        let copy = Component { name: name.clone(), ..component.clone() };
        self.policy.components.insert(name, copy);
    }
}

fn check(beside: Beside, host: &HostView) -> Result<(Policy, Vec<ConfigIssue>), Vec<ConfigIssue>> {
    let resolve = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let found = host.disks.iter().find(|disk| disk.name == name);
        found
            .map(|disk| vec![disk.device])
            .ok_or_else(|| "the scenario's host has no such disk".to_owned())
    };
    let capacity = Capacity {
        online: host.online.clone(),
        memory: host.memory,
        page: host.page,
        resolve_device: &resolve,
        check_program: &|_| Ok(()),
    };
    beside.check(&capacity).map(|loaded| (loaded.policy, loaded.warnings))
}

/// Loads whose component would never be found where they are: on a real host provost would not touch them.
fn strangers(policy: &Policy, loads: &BTreeMap<String, Placed>) -> Result<(), Vec<ConfigIssue>> {
    let finds = |component: &Component, path: &CgroupPath| {
        component.rules.iter().any(|rule| {
            let by_unit = rule.unit.as_ref().is_some_and(|unit| unit.matches(path.name()));
            let by_path = rule.cgroup.as_ref().is_some_and(|globs| globs.matches(path.as_str()));
            by_unit || by_path || rule.container.is_some()
        })
    };
    let mut issues = Vec::new();
    for (name, placed) in loads {
        let component = policy.components.values().find(|one| one.name.as_str() == name);
        let mut path = placed.path.clone();
        if placed.copies > 0 {
            path = CgroupPath::new(&format!("system.slice/{name}-0001.service"));
        }
        if component.is_some_and(|component| !finds(component, &path)) {
            let message = format!("no rule of `{name}` matches the group {path} of its load");
            issues.push(
                ConfigIssue::error(Code::UnitName, message)
                    .mark(placed.written.clone(), "this load")
                    .help(format!(
                        "match = {{ unit = \"{}\" }}, or give the load another `cgroup`",
                        path.name()
                    )),
            );
        }
    }
    if issues.is_empty() { Ok(()) } else { Err(issues) }
}

/// Reads the values of a scenario and tells what is wrong with them.
pub(super) struct Reader {
    beside: Beside,
    pub(super) folder: PathBuf,
}

impl Reader {
    /// Tells a problem with the value of a key.
    pub(super) fn told(&mut self, code: Code, message: impl Into<String>, key: &[&str]) {
        self.beside.report(ConfigIssue::error(code, message), key, "here");
    }

    /// A quantity as its text says, or nothing where it says none that can be read.
    pub(super) fn quantity(&mut self, text: Option<&str>, unit: Unit, key: &[&str]) -> Option<u64> {
        match unit.read(text?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.told(Code::Malformed, message, key);
                None
            }
        }
    }

    pub(super) fn span(&mut self, text: Option<&str>, key: &[&str], default: Span) -> Span {
        self.quantity(text, Unit::Time, key).map_or(default, Span)
    }

    fn day(&mut self, text: Option<&str>) -> Option<Span> {
        let day = Span(self.quantity(text, Unit::Time, &["day"])?);
        if !(SHORTEST_DAY..=DAY).contains(&day) {
            self.told(Code::OutOfRange, "`day` must be 5m to 1d", &["day"]);
        }
        Some(day)
    }

    fn host(&mut self, raw: raw::Host) -> (HostView, Vec<Disk>) {
        let cpus = raw.cpus.unwrap_or(4);
        let bytes = |reader: &mut Self, text: Option<&str>, key, default| {
            let bytes = reader.quantity(text, Unit::Bytes, &["host", key]);
            bytes.map_or(default, |bytes| Bytes(bytes).page_floor(PAGE))
        };
        let memory = bytes(self, raw.memory.as_deref(), "memory", Bytes::mebi(8192));
        let swap = bytes(self, raw.swap.as_deref(), "swap", Bytes::ZERO);
        if memory < Bytes::mebi(64) {
            self.told(Code::OutOfRange, "`host.memory` must be at least 64M", &["host", "memory"]);
        }
        let default = || vec![raw::Disk { name: "sda".to_owned(), kind: None, weights: None }];
        let raw_disks = raw.disk.unwrap_or_else(default);
        let (disks, views) = raw_disks.iter().zip(0..).map(disk).unzip();
        let pid_max = raw.pid_max.unwrap_or(32768);
        let host = look::host((cpus, pid_max), (memory, swap), views);
        (host, disks)
    }

    fn load(&mut self, raw: &raw::Load, key: &[&str], disks: &[Disk]) -> Load {
        let mut of = |program_of: &Option<raw::Program>, name, unit| {
            let key: Vec<&str> = key.iter().copied().chain([name]).collect();
            program_of.as_ref().map(|raw| program(self, raw, unit, &key))
        };
        let cpu = of(&raw.cpu, "cpu", Unit::Cores).unwrap_or_default();
        let memory = of(&raw.memory, "memory", Unit::Bytes).unwrap_or_default();
        let cache = of(&raw.cache, "cache", Unit::Bytes).unwrap_or_default();
        let read = of(&raw.read, "read", Unit::Bytes).unwrap_or_default();
        let write = of(&raw.write, "write", Unit::Bytes).unwrap_or_default();
        let pids = of(&raw.pids, "pids", Unit::Count);
        let mut value = |text: &Option<String>, name, unit| {
            let key: Vec<&str> = key.iter().copied().chain([name]).collect();
            self.quantity(text.as_deref(), unit, &key)
        };
        let cpu_per_task = value(&raw.cpu_per_task, "cpu-per-task", Unit::Cores).unwrap_or(0);
        let memory_per_task = value(&raw.memory_per_task, "memory-per-task", Unit::Bytes);
        let request = value(&raw.request, "request", Unit::Bytes).unwrap_or(64 << 10).max(512);
        let restart_every = value(&raw.restart_every, "restart-every", Unit::Time)
            .map(|every| every.max(1_000_000));
        let disk = raw.disk.as_ref().map_or(Some(0), |name| {
            (0..disks.len()).zip(disks).find(|(_, disk)| disk.name == *name).map(|(at, _)| at)
        });
        if disk.is_none() {
            let key: Vec<&str> = key.iter().copied().chain(["disk"]).collect();
            self.told(Code::UnknownDevice, "the scenario's host has no such disk", &key);
        }
        Load {
            cpu,
            memory,
            cache,
            read,
            write,
            pids,
            threads: raw.threads,
            cpu_per_task,
            memory_per_task: memory_per_task.unwrap_or(0),
            cold: u64::from(raw.cold.unwrap_or(0)),
            request,
            disk: disk.unwrap_or(0),
            restart_every,
        }
    }

    /// The group in which a component lives.
    fn place(&mut self, raw: &raw::Load, component: &str) -> CgroupPath {
        let default = || CgroupPath::new(&format!("system.slice/{component}.service"));
        let path = raw.cgroup.as_deref().map_or_else(default, CgroupPath::new);
        if path.is_root() || path.components().any(|part| part == "." || part == "..") {
            let key = ["load", component, "cgroup"];
            self.told(Code::CgroupPath, "no component lives there", &key);
        }
        path
    }

    fn foreign(
        &mut self,
        writers: &[raw::Foreign],
        loads: &BTreeMap<String, Placed>,
    ) -> Vec<Foreign> {
        let mut read = Vec::new();
        for (number, writer) in writers.iter().enumerate() {
            let number = number.to_string();
            let key = |name| ["foreign", number.as_str(), name];
            let at = self.span(writer.at.as_deref(), &key("at"), Span::secs(60)).0;
            let every = self.quantity(writer.every.as_deref(), Unit::Time, &key("every"));
            let path = loads.get(&writer.component).map(|placed| placed.path.clone());
            if path.is_none() {
                let message = format!("no load is given for a component `{}`", writer.component);
                self.told(Code::UnknownWord, message, &key("component"));
            }
            let kind = KnobKind::SINGLE.into_iter().find(|kind| kind.file() == writer.knob);
            let Some(kind) = kind else {
                let names: Vec<&str> = KnobKind::SINGLE.iter().map(|kind| kind.file()).collect();
                let message = format!("`knob` must be one of {}", names.join(", "));
                self.told(Code::UnknownWord, message, &key("knob"));
                continue;
            };
            match (Knob::parse(kind, &writer.value), path) {
                (Ok(knob), Some(path)) => read.push(Foreign { path, knob, at, every }),
                (Err(error), _) => {
                    self.told(Code::Malformed, error.to_string(), &key("value"));
                }
                (Ok(_), None) => {}
            }
        }
        read
    }

    fn gaps(&mut self, gaps: &[raw::Gap]) -> Vec<(u64, u64)> {
        let mut read: Vec<(u64, u64)> = Vec::new();
        for (number, gap) in gaps.iter().enumerate() {
            let number = number.to_string();
            let mut of = |text: &str, name| {
                self.quantity(Some(text), Unit::Time, &["gap", number.as_str(), name])
            };
            if let (Some(at), Some(length)) = (of(&gap.at, "at"), of(&gap.length, "length")) {
                read.push((at, length));
            }
        }
        read.sort_unstable();
        read
    }
}

fn disk((raw, number): (&raw::Disk, u32)) -> (Disk, DiskView) {
    let device = DeviceId { major: 8, minor: 16 * number };
    let speed = match raw.kind {
        Some(raw::DiskKind::Hdd) => Speed::HDD,
        Some(raw::DiskKind::Ssd) | None => Speed::SSD,
        Some(raw::DiskKind::Nvme) => Speed::NVME,
    };
    let weights = match raw.weights {
        Some(raw::Weights::Bfq) => IoWeightBackend::Bfq,
        Some(raw::Weights::IoCost) => IoWeightBackend::IoCost,
        Some(raw::Weights::None) | None => IoWeightBackend::None,
    };
    let name = raw.name.clone();
    (Disk { device, name: name.clone(), speed, weights }, DiskView { device, name, weights })
}

#[cfg(test)]
mod tests;
