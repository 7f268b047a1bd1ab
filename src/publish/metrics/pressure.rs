//! How long tasks waited: of every place in which a component lives, and without labels of the whole host.

use super::{Sample, labels, seconds};
use crate::model::{HomeReport, Psi, Report};
use crate::publish::names::PressureMetric;

/// The samples of one metric: the host's first.
pub(super) fn samples(metric: PressureMetric, report: &Report) -> Vec<Sample> {
    let host = of_host(metric, report).map(|psi| (String::new(), total(metric, &psi)));
    let homes = report.components.iter().flat_map(|component| {
        component.homes.iter().filter_map(move |home| {
            let path = home.path.to_string();
            let who = labels(&[("component", component.name.as_str()), ("cgroup", &path)]);
            Some((who, total(metric, &of_home(metric, home)?)))
        })
    });
    host.into_iter().chain(homes).collect()
}

/// There is nothing that all tasks of a host can wait for a CPU for: the kernel's line is always zero.
fn of_host(metric: PressureMetric, report: &Report) -> Option<Psi> {
    let load = &report.host.load;
    match metric {
        PressureMetric::CpuStalled => None,
        PressureMetric::CpuWaiting => load.cpu_psi,
        PressureMetric::MemoryWaiting | PressureMetric::MemoryStalled => load.memory_psi,
        PressureMetric::IoWaiting | PressureMetric::IoStalled => load.io_psi,
    }
}

const fn of_home(metric: PressureMetric, home: &HomeReport) -> Option<Psi> {
    match metric {
        PressureMetric::CpuWaiting | PressureMetric::CpuStalled => home.usage.cpu_psi,
        PressureMetric::MemoryWaiting | PressureMetric::MemoryStalled => home.usage.memory_psi,
        PressureMetric::IoWaiting | PressureMetric::IoStalled => home.usage.io_psi,
    }
}

fn total(metric: PressureMetric, psi: &Psi) -> String {
    let line = match metric {
        PressureMetric::CpuWaiting | PressureMetric::MemoryWaiting | PressureMetric::IoWaiting => {
            psi.some
        }
        PressureMetric::CpuStalled | PressureMetric::MemoryStalled | PressureMetric::IoStalled => {
            psi.full
        }
    };
    seconds(line.total_usec)
}
