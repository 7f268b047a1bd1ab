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
    busy_from: Option<BusyFrom>,
}

/// Which counter the busy time comes from. The two differ by minutes on a host that is up for long: a change of source in the middle would
/// look like a burst of work, so the first that is there stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BusyFrom {
    RootGroup,
    ProcStat,
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
            busy_from: None,
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

    /// Reads everything. `root_busy` is what the root group's `cpu.stat` says; where it said nothing at the first look, `/proc/stat` is read
    /// from then on, which takes the kernel much longer: it renders the counters of every interrupt.
    pub fn read(&mut self, buffer: &mut Buffer, root_busy: Option<CpuTime>) -> HostLoad {
        let mut load = HostLoad { busy: self.busy(buffer, root_busy), ..HostLoad::default() };
        if let Some(text) = text(self.meminfo.as_ref(), buffer) {
            let kibi = |key| parse::meminfo(text, key).map(|kibi| Bytes(kibi.saturating_mul(1024)));
            load.memory_available = kibi("MemAvailable");
            load.swap_free = kibi("SwapFree");
        }
        load.tasks = text(self.loadavg.as_ref(), buffer).and_then(parse::tasks);
        load.cpu_psi = text(self.cpu_pressure.as_ref(), buffer).and_then(parse::psi);
        load.memory_psi = text(self.memory_pressure.as_ref(), buffer).and_then(parse::psi);
        load.io_psi = text(self.io_pressure.as_ref(), buffer).and_then(parse::psi);
        load
    }

    fn busy(&mut self, buffer: &mut Buffer, root_busy: Option<CpuTime>) -> Option<CpuTime> {
        if self.busy_from.is_none() {
            let from = if root_busy.is_some() { BusyFrom::RootGroup } else { BusyFrom::ProcStat };
            self.busy_from = Some(from);
        }
        if self.busy_from == Some(BusyFrom::RootGroup) {
            return root_busy;
        }
        let ticks = text(self.stat.as_ref(), buffer).and_then(parse::busy_ticks)?;
        ticks.saturating_mul(1_000_000).checked_div(self.ticks_per_second).map(CpuTime)
    }
}

fn text<'a>(file: Option<&File>, buffer: &'a mut Buffer) -> Option<&'a [u8]> {
    let length = pread(file?, buffer, 0).ok()?;
    buffer.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_busy_time_never_changes() {
        let root = std::env::temp_dir().join(format!("provost-load-{}", std::process::id()));
        std::fs::create_dir_all(root.join("pressure")).unwrap();
        std::fs::write(root.join("stat"), "cpu  100 0 0 9 9 0 0 0 0 0\n").unwrap();
        std::fs::write(root.join("loadavg"), "0.00 0.01 0.05 1/108 4242\n").unwrap();
        let roots = Roots { proc: root.clone(), ..Roots::host() };
        let mut buffer = Box::new([0; 16 << 10]);
        let group = Some(CpuTime(7));
        let mut by_group = LoadSampler::new(&roots);
        assert_eq!(by_group.read(&mut buffer, group).busy, group);
        assert_eq!(by_group.read(&mut buffer, None).busy, None, "missing for once");
        let mut by_proc = LoadSampler::new(&roots);
        by_proc.ticks_per_second = 100;
        for busy in [None, group] {
            let load = by_proc.read(&mut buffer, busy);
            assert_eq!((load.busy, load.tasks), (Some(CpuTime(1_000_000)), Some(108)));
            assert_eq!((load.memory_available, load.memory_psi), (None, None), "no such files");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
