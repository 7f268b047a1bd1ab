//! What there is to tell of every place in which a component lives. A value that is not known has no sample: a missing one is better than an
//! old one.

use super::{Sample, labels, seconds};
use crate::model::{
    ComponentReport, HomeKind, HomeReport, IoCount, Knob, KnobKind, KnobReport, Report,
};
use crate::publish::names::HomeMetric;
use crate::units::{DeviceId, Limit};

/// The samples of one metric.
pub(super) fn samples(metric: HomeMetric, report: &Report) -> Vec<Sample> {
    let homes = report.components.iter().flat_map(|component| {
        component.homes.iter().map(move |home| Place { report, component, home })
    });
    homes.flat_map(|place| place.samples(metric)).collect()
}

/// One place.
struct Place<'a> {
    report: &'a Report,
    component: &'a ComponentReport,
    home: &'a HomeReport,
}

impl Place<'_> {
    fn samples(&self, metric: HomeMetric) -> Vec<Sample> {
        let usage = &self.home.usage;
        let value = match metric {
            HomeMetric::Info => return vec![self.info()],
            HomeMetric::MemoryLimit => return self.memory_limits(),
            HomeMetric::IoBytes => return self.io(|one| (one.rbytes, one.wbytes)),
            HomeMetric::IoOperations => return self.io(|one| (one.rios, one.wios)),
            HomeMetric::CpuUsage => usage.cpu.map(|time| seconds(time.0)),
            HomeMetric::CpuThrottled => usage.throttled.map(|time| seconds(time.0)),
            HomeMetric::MemoryUsage => usage.memory.map(|bytes| bytes.0.to_string()),
            HomeMetric::Pids => usage.pids.map(|count| count.to_string()),
            HomeMetric::OomKills => usage.oom_kills.map(|count| count.to_string()),
            HomeMetric::CpuWeight => match self.held(KnobKind::CpuWeight) {
                Some(Knob::CpuWeight(weight)) => Some(weight.get().to_string()),
                _ => None,
            },
            HomeMetric::CpuLimit => match self.held(KnobKind::CpuMax) {
                Some(Knob::CpuMax(max)) => max.rate().value().map(|rate| rate.to_string()),
                _ => None,
            },
        };
        value.into_iter().map(|value| (self.labels(&[]), value)).collect()
    }

    /// Which component and cgroup it is, and what else the sample is about.
    fn labels(&self, more: &[(&str, &str)]) -> String {
        let path = self.home.path.to_string();
        let mut all = vec![("component", self.component.name.as_str()), ("cgroup", &path)];
        all.extend(more);
        labels(&all)
    }

    fn info(&self) -> Sample {
        let unit = match &self.home.kind {
            HomeKind::Unit { unit } | HomeKind::OwnScope { unit } => unit,
            HomeKind::Container { .. } | HomeKind::Group | HomeKind::OwnGroup => "",
        };
        let priority = self.component.priority.word();
        (self.labels(&[("priority", priority), ("unit", unit)]), "1".to_owned())
    }

    /// What the kernel holds of a knob of the place itself.
    fn held(&self, kind: KnobKind) -> Option<&Knob> {
        let own = |knob: &&KnobReport| knob.at == self.home.path && knob.kind == kind;
        self.home.knobs.iter().find(own).and_then(|knob| knob.seen.as_ref())
    }

    fn memory_limits(&self) -> Vec<Sample> {
        let limit = |(kind, word)| {
            let (Knob::MemoryMin(Limit::At(bytes))
            | Knob::MemoryLow(Limit::At(bytes))
            | Knob::MemoryHigh(Limit::At(bytes))
            | Knob::MemoryMax(Limit::At(bytes))) = self.held(kind)?
            else {
                return None;
            };
            Some((self.labels(&[("kind", word)]), bytes.0.to_string()))
        };
        let kinds = [
            (KnobKind::MemoryMin, "min"),
            (KnobKind::MemoryLow, "low"),
            (KnobKind::MemoryHigh, "high"),
            (KnobKind::MemoryMax, "max"),
        ];
        kinds.into_iter().filter_map(limit).collect()
    }

    /// Two samples for each disk: what is read, and what is written.
    fn io(&self, of: impl Fn(&IoCount) -> (u64, u64)) -> Vec<Sample> {
        let both = |one: &IoCount| {
            let (read, written) = of(one);
            let device = self.disk(one.device);
            [("read", read), ("write", written)].map(|(direction, count)| {
                let more = [("device", device.as_str()), ("direction", direction)];
                (self.labels(&more), count.to_string())
            })
        };
        self.home.usage.io.iter().flatten().flat_map(both).collect()
    }

    /// The disk's name, or its number where it is none that takes limits.
    fn disk(&self, device: DeviceId) -> String {
        let named = self.report.host.disks.iter().find(|disk| disk.device == device);
        named.map_or_else(|| device.to_string(), |disk| disk.name.clone())
    }
}
