//! How busy the whole host is: a few files of /proc held open and read at every look without allocation.

use super::parse;
use super::probe::Roots;
use super::sampler::Buffer;
use crate::model::HostLoad;
use crate::units::{Bytes, CpuTime};
use nix::sys::uio::pread;
use std::fs::File;
use std::path::Path;

/// The held files. One that is not there when it is opened, such as the pressure files of a kernel without PSI, stays missing until
/// [`LoadSampler::refresh`].
#[derive(Debug)]
pub struct LoadSampler {
    meminfo: Option<File>,
    loadavg: Option<File>,
    stat: Option<File>,
    cpu_pressure: Option<File>,
    memory_pressure: Option<File>,
    io_pressure: Option<File>,
    ticks_per_second: u64,
}

impl LoadSampler {
    /// Opens what is there.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
        let mut sampler = Self {
            meminfo: None,
            loadavg: None,
            stat: None,
            cpu_pressure: None,
            memory_pressure: None,
            io_pressure: None,
            ticks_per_second: ticks.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100),
        };
        sampler.refresh(&roots.proc);
        sampler
    }

    /// Opens what was missing.
    pub fn refresh(&mut self, proc: &Path) {
        let open = |file: &mut Option<File>, name: &str| {
            if file.is_none() {
                *file = File::open(proc.join(name)).ok();
            }
        };
        open(&mut self.meminfo, "meminfo");
        open(&mut self.loadavg, "loadavg");
        open(&mut self.stat, "stat");
        open(&mut self.cpu_pressure, "pressure/cpu");
        open(&mut self.memory_pressure, "pressure/memory");
        open(&mut self.io_pressure, "pressure/io");
    }

    /// Reads everything. `busy` is what the root group's `cpu.stat` says; where it says nothing, `/proc/stat` is read, which takes the
    /// kernel much longer: it renders the counters of every interrupt.
    pub fn read(&self, buffer: &mut Buffer, busy: Option<CpuTime>) -> HostLoad {
        let mut load = HostLoad { busy, ..HostLoad::default() };
        if let Some(text) = text(self.meminfo.as_ref(), buffer) {
            let kibi = |key| parse::meminfo(text, key).map(|kibi| Bytes(kibi.saturating_mul(1024)));
            load.memory_available = kibi("MemAvailable");
            load.swap_free = kibi("SwapFree");
        }
        load.tasks = text(self.loadavg.as_ref(), buffer).and_then(parse::tasks);
        if load.busy.is_none() {
            let ticks = text(self.stat.as_ref(), buffer).and_then(parse::busy_ticks);
            let usec =
                |ticks: u64| ticks.saturating_mul(1_000_000).checked_div(self.ticks_per_second);
            load.busy = ticks.and_then(usec).map(CpuTime);
        }
        load.cpu_psi = text(self.cpu_pressure.as_ref(), buffer).and_then(parse::psi);
        load.memory_psi = text(self.memory_pressure.as_ref(), buffer).and_then(parse::psi);
        load.io_psi = text(self.io_pressure.as_ref(), buffer).and_then(parse::psi);
        load
    }
}

fn text<'a>(file: Option<&File>, buffer: &'a mut Buffer) -> Option<&'a [u8]> {
    let length = pread(file?, buffer, 0).ok()?;
    buffer.get(..length)
}
