//! One thread's line in /proc, held open: it stays the line of this very thread, and answers ESRCH when the thread has ended.

use super::ProcFs;
use crate::kernel::parse::{self, ThreadStat};
use crate::kernel::sampler::Buffer;
use crate::units::CpuTime;
use nix::unistd::{SysconfVar, sysconf};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// An open `/proc/TID/task/TID/stat`, which counts the thread alone; `/proc/TID/stat` would count its whole process.
#[derive(Debug)]
pub struct ThreadFile(File);

impl ThreadFile {
    /// The thread's line now; none when it has ended. Allocates nothing.
    #[must_use]
    pub fn read<'a>(&self, buffer: &'a mut Buffer) -> Option<ThreadStat<'a>> {
        let length = self.0.read_at(buffer, 0).ok()?;
        parse::thread_stat(buffer.get(..length)?)
    }
}

impl ProcFs {
    /// Opens the line of a thread; none when there is no such thread.
    #[must_use]
    pub fn thread(&self, thread: i32) -> Option<ThreadFile> {
        let number = thread.to_string();
        let path = self.root.join(&number).join("task").join(&number).join("stat");
        File::open(path).ok().map(ThreadFile)
    }
}

/// How long a tick of [`ThreadStat::ticks`] is.
#[must_use]
pub fn tick() -> CpuTime {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let ticks = ticks.and_then(|ticks| u64::try_from(ticks).ok()).filter(|ticks| *ticks > 0);
    CpuTime(1_000_000 / ticks.unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::process::scheduler;

    #[test]
    fn a_thread_is_read_by_itself_until_it_ends() {
        let proc = ProcFs::default();
        let mut buffer = Box::new([0; 16 << 10]);
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("engine-7".to_owned());
        let thread = thread.spawn(move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            let _ended = ended.recv();
        });
        let number = told.recv().unwrap();
        let file = proc.thread(number).unwrap();
        let stat = file.read(&mut buffer).unwrap();
        let own = scheduler::get(number).map(|own| own.sched);
        assert_eq!((stat.name, Ok(stat.sched)), (&b"engine-7"[..], own));
        assert_eq!(Some(stat.start), proc.identity(number).map(|identity| identity.start));
        drop(end);
        thread.unwrap().join().unwrap();
        assert_eq!(file.read(&mut buffer), None);
        assert!(proc.thread(i32::MAX).is_none());
        assert!(tick() > CpuTime(0));
    }
}
