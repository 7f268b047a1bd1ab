//! The rows of the table: one component each, over all its homes. Pure.

use crate::model::{ComponentReport, HomeReport, Knob, KnobKind, Report, Wait};
use crate::units::{Bytes, Millicpu, Ppm};

/// One component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) priority: &'static str,
    /// None where it is not there.
    pub(super) cpu: Option<Millicpu>,
    /// What its homes may use together; none where one of them may use all.
    pub(super) cpu_limit: Option<Millicpu>,
    pub(super) memory: Option<Bytes>,
    pub(super) low: Option<Bytes>,
    pub(super) high: Option<Bytes>,
    pub(super) max: Option<Bytes>,
    /// What it waits for most, and how much of the time.
    pub(super) waits: Option<(&'static str, Ppm)>,
    pub(super) is_frozen: bool,
}

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    #[default]
    Name,
    Cpu,
    Memory,
    Waits,
}

impl Sort {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Name => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Waits,
            Self::Waits => Self::Name,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Waits => "waits",
        }
    }
}

/// The components whose name holds `filter`, in this order; equals by name.
pub(super) fn rows(report: &Report, filter: &str, sort: Sort) -> Vec<Row> {
    let is_meant = |component: &&ComponentReport| component.name.as_str().contains(filter);
    let mut rows: Vec<Row> =
        report.components.iter().filter(is_meant).map(|component| row(report, component)).collect();
    match sort {
        Sort::Name => {}
        Sort::Cpu => rows.sort_by_key(|row| std::cmp::Reverse(row.cpu)),
        Sort::Memory => rows.sort_by_key(|row| std::cmp::Reverse(row.memory)),
        Sort::Waits => rows.sort_by_key(|row| std::cmp::Reverse(row.waits.map(|(_, wait)| wait))),
    }
    rows
}

fn row(report: &Report, component: &ComponentReport) -> Row {
    let homes = &component.homes;
    let bytes = |kind| together(homes, |home| size(held(home, kind)?));
    let quota = together(homes, |home| {
        let Knob::CpuMax(max) = held(home, KnobKind::CpuMax)? else { return None };
        Some(max.rate().value()?.0)
    });
    let is_frozen = homes
        .iter()
        .any(|home| matches!(held(home, KnobKind::CgroupFreeze), Some(Knob::CgroupFreeze(true))));
    Row {
        name: component.name.to_string(),
        priority: component.priority.word(),
        cpu: together(homes, |home| home.cpu_rate.map(|rate| rate.0)).map(Millicpu),
        cpu_limit: quota.map(Millicpu),
        memory: together(homes, |home| home.usage.memory.map(|size| size.0)).map(Bytes),
        low: bytes(KnobKind::MemoryLow).map(Bytes),
        high: bytes(KnobKind::MemoryHigh).map(Bytes),
        max: bytes(KnobKind::MemoryMax).map(Bytes),
        waits: waits(report, component),
        is_frozen,
    }
}

fn held(home: &HomeReport, kind: KnobKind) -> Option<&Knob> {
    home.knobs.iter().find(|knob| knob.at == home.path && knob.kind == kind)?.seen.as_ref()
}

fn size(knob: &Knob) -> Option<u64> {
    let (Knob::MemoryLow(size) | Knob::MemoryHigh(size) | Knob::MemoryMax(size)) = knob else {
        return None;
    };
    Some(size.value()?.0)
}

/// The sum over all homes; none where one of them has none, or where there is no home.
fn together(homes: &[HomeReport], of: impl Fn(&HomeReport) -> Option<u64>) -> Option<u64> {
    if homes.is_empty() {
        return None;
    }
    homes.iter().map(of).try_fold(0_u64, |sum, one| Some(sum.saturating_add(one?)))
}

fn waits(report: &Report, component: &ComponentReport) -> Option<(&'static str, Ppm)> {
    let waits = report.estimate.components.get(&component.name)?.need.waits;
    let each = [("cpu", waits.cpu), ("mem", waits.memory), ("disk", waits.io)];
    let known =
        each.into_iter().filter_map(|(what, wait): (_, Option<Wait>)| Some((what, wait?.p10)));
    known.max_by_key(|(_, wait)| *wait)
}
