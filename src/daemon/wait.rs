//! What the control loop waits on: the tick, the other threads, cgroup changes, signals.

use super::start::StartError;
use crate::config::{Policy, Rule};
use crate::kernel::poll::{Poller, Timer, Waker, Watch};
use crate::kernel::proc_events::{ProcEvents, Wanted};
use crate::kernel::stall::Trigger;
use crate::units::{CgroupPath, Span};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The timer fired.
const TICK: u64 = 0;
/// Another thread has something to say.
const WOKEN: u64 = 1;
/// Something changed in a watched cgroup.
pub(super) const CHANGED: u64 = 2;
/// SIGTERM or SIGINT.
pub(super) const STOP: u64 = 3;
/// SIGHUP.
pub(super) const RELOAD: u64 = 4;
/// Programs were executed.
const EXECUTED: u64 = 5;
/// The sentry's timer or one of its triggers.
pub(super) const SENTRY: u64 = 6;
/// The host stands still for memory.
pub(super) const ALARM: u64 = 7;

/// The whole host begins to stand still, or it is time to look for that reason.
pub(super) const EARLY: u64 = 8;
/// A protected home stood still for memory.
pub(super) const STARVED: u64 = 9;

/// What the loop waits on.
pub(super) struct Waiting {
    pub(super) poller: Poller,
    pub(super) timer: Timer,
    pub(super) waker: Waker,
    pub(super) watch: Watch,
    pub(super) stop: UnixStream,
    pub(super) reload: UnixStream,
    /// Only held open: the poller tells when it rings.
    _alarm: Option<Trigger>,
}

impl Waiting {
    pub(super) fn new(interval: Span, proc: &Path) -> Result<Self, StartError> {
        let system = |what| {
            move |errno: nix::errno::Errno| StartError::System {
                what,
                why: errno.desc().to_owned(),
            }
        };
        let poller = Poller::new().map_err(system("make an epoll instance"))?;
        let timer = Timer::every(interval).map_err(system("make a timer"))?;
        let waker = Waker::new().map_err(system("make an eventfd"))?;
        let watch = Watch::new().map_err(system("make an inotify instance"))?;
        let stop = signals(&[SIGTERM, SIGINT])?;
        let reload = signals(&[SIGHUP])?;
        let add = system("wait for events");
        poller.add(&timer, TICK).map_err(add)?;
        poller.add(&waker, WOKEN).map_err(add)?;
        poller.add(&watch, CHANGED).map_err(add)?;
        poller.add(&stop, STOP).map_err(add)?;
        poller.add(&reload, RELOAD).map_err(add)?;
        waker.wake();
        let alarm = memory_alarm(&poller, proc);
        Ok(Self { poller, timer, waker, watch, stop, reload, _alarm: alarm })
    }

    pub(super) fn follow(&mut self, mount: &Path, groups: &BTreeSet<CgroupPath>) {
        if self.watch.is_of(groups) {
            return;
        }
        self.watch.retain(|path| groups.contains(path));
        for path in groups {
            self.watch.add(mount, path);
        }
    }
}

/// Without it, the levels follow the averages alone.
fn memory_alarm(poller: &Poller, proc: &Path) -> Option<Trigger> {
    let set = Trigger::host_memory(proc)
        .and_then(|trigger| poller.add_alarm(&trigger, ALARM).map(|()| trigger));
    set.inspect_err(|errno| {
        tracing::info!(
            "no alarm for want of memory ({}): levels follow the averages alone",
            errno.desc()
        );
    })
    .ok()
}

/// A stream that becomes readable when one of the signals comes.
fn signals(signals: &[i32]) -> Result<UnixStream, StartError> {
    let failed = |error: std::io::Error| StartError::System {
        what: "catch signals",
        why: error.to_string(),
    };
    let (read, write) = UnixStream::pair().map_err(failed)?;
    read.set_nonblocking(true).map_err(failed)?;
    for signal in signals {
        let write = write.try_clone().map_err(failed)?;
        signal_hook::low_level::pipe::register(*signal, write).map_err(failed)?;
    }
    Ok(read)
}

pub(super) fn drain(stream: &mut UnixStream) {
    let mut bytes = [0; 64];
    while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
}

/// What a change in a cgroup means.
pub(super) enum Changed {
    Knob,
    Tree,
    Nothing,
}

/// What a change of the file or folder `name` in a cgroup means.
pub(super) fn what_changed(name: &str) -> Changed {
    use crate::kernel::group::IDLE_FILE;
    use crate::model::KnobKind;
    const KERNEL: [&str; 9] =
        ["cgroup.", "memory.", "cpu.", "io.", "pids.", "cpuset.", "hugetlb.", "misc.", "rdma."];
    if [IDLE_FILE, "io.max"].contains(&name)
        || KnobKind::SINGLE.iter().any(|kind| kind.file() == name)
    {
        Changed::Knob
    } else if KERNEL.iter().any(|prefix| name.starts_with(prefix)) {
        Changed::Nothing
    } else {
        Changed::Tree
    }
}

/// Listens to executed programs where a rule could need it. Without, they are found by a scan every interval.
pub(super) fn listen_to_executions(policy: &Policy, sources: &Waiting) -> Option<ProcEvents> {
    let mut rules = policy.components.values().flat_map(|component| &component.rules);
    if !rules.any(Rule::names_processes) {
        return None;
    }
    let opened = ProcEvents::open(Wanted::Execs).map_err(|error| error.to_string());
    let added = opened.and_then(|executions| {
        sources.poller.add(&executions, EXECUTED).map_err(|errno| errno.desc().to_owned())?;
        Ok(executions)
    });
    added
        .inspect_err(|error| {
            tracing::warn!("{error}; loose processes are found by a scan every interval")
        })
        .ok()
}
