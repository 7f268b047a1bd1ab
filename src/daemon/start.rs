//! What must be there before the first cycle: configuration, tree, journal, worker.

use super::given::Given;
use super::instance::{Instance, InstanceError, Paths};
use super::timetable::Timetable;
use crate::config::{
    Backend, Capacity, Colour, Component, ConfigIssue, Loaded, OnLeave, Policy, PolicyText,
    Sources, Strategy, load, render,
};
use crate::enforce::{Executor, Journal, JournalError, Ledger, Raised};
use crate::estimate::{Ownership, RaisedThread};
use crate::kernel::probe::Roots;
use crate::kernel::systemd::{BlockingSystemd, Deadlines, SystemdError};
use crate::kernel::{CgroupFs, Hierarchy, ReadError, clock, devices, hook, host};
use crate::model::{Hook, HostView, KnobKind, Moment};
use crate::units::{CgroupPath, ComponentName, DeviceId, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use thiserror::Error;

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    /// Where the configuration is.
    pub sources: Sources,
    /// Where state is kept.
    pub paths: Paths,
    /// Instead of the configured strategy.
    pub strategy: Option<Strategy>,
    /// Stop after this long.
    pub duration: Option<Span>,
}

/// Why the daemon could not start, or a verb could not look at the host.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration has errors.
    #[error("the configuration has errors:\n{}", render(issues, Colour::Never))]
    Config {
        /// All of them.
        issues: Vec<ConfigIssue>,
    },
    /// There is no cgroup v2 tree.
    #[error(
        "no cgroup v2 file system is mounted: boot with systemd.unified_cgroup_hierarchy=1, or mount it with \
         \"mount -t cgroup2 none /sys/fs/cgroup\""
    )]
    NoCgroup2,
    /// The tree cannot be opened.
    #[error(transparent)]
    Tree(#[from] ReadError),
    /// Somebody else runs.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The journal cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No runtime for systemd's calls.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// A system call failed.
    #[error("cannot {what}: {why}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        why: String,
    },
}

/// Everything that a daemon, or a verb that enforces by itself, starts from.
#[derive(Debug)]
pub struct Setup {
    /// The right to change limits.
    pub instance: Instance,
    /// What holds now.
    pub policy: Policy,
    /// What holds when.
    pub timetable: Timetable,
    /// What holds for a while.
    pub given: Given,
    /// What enforces.
    pub executor: Executor,
    /// The tree, for looking.
    pub fs: CgroupFs,
    /// Where the kernel's files are.
    pub roots: Roots,
    /// What an earlier life wrote.
    pub ownership: Ownership,
}

impl Setup {
    /// Takes the lock, reads the configuration, opens tree and journal.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn make(sources: &Sources, paths: &Paths) -> Result<Self, StartError> {
        let (fs, roots) = open_tree()?;
        let host = host::view(&roots);
        let (timetable, policy) = Timetable::new(load_policy(sources, &host)?, &host);
        let instance = Instance::take(paths)?;
        let mut given = Given::read(paths, Moment(clock::wall_secs()));
        let policy = given.lay_over(policy, &host);
        let journal = Journal::open(&paths.state, &host::boot_id(&roots.proc))?;
        let ownership = adopt(journal.ledger());
        let by_systemd = host.systemd && policy.backend != Backend::Subtree;
        let systemd =
            if by_systemd { Some(BlockingSystemd::new(Deadlines::default())?) } else { None };
        let (worker_fs, _) = open_tree()?;
        let mut executor = Executor::new(worker_fs, systemd, journal, host.page);
        executor.keep(kept(&policy));
        executor.hooks(hooks(&policy));
        Ok(Self { instance, policy, timetable, given, executor, fs, roots, ownership })
    }
}

/// Opens the host's cgroup v2 tree.
///
/// # Errors
/// [`StartError`] when there is none.
pub fn open_tree() -> Result<(CgroupFs, Roots), StartError> {
    let hierarchy = Hierarchy::of_this_host();
    let mount = hierarchy.mount().ok_or(StartError::NoCgroup2)?;
    let roots = Roots { cgroup: mount.clone(), ..Roots::host() };
    Ok((CgroupFs::open(mount)?, roots))
}

/// Reads and checks the configuration against a host.
///
/// # Errors
/// [`StartError::Config`] with all problems.
pub fn load_policy(sources: &Sources, host: &HostView) -> Result<Loaded, StartError> {
    capacity(host, |capacity| load(sources, capacity))
        .map_err(|issues| StartError::Config { issues })
}

/// What holds now, for whoever acts beside the daemon or without one: the configuration with the windows of time that are open, and what was
/// given for a while. Only looks.
///
/// # Errors
/// [`StartError::Config`] with all problems.
pub(super) fn in_force(
    sources: &Sources,
    paths: &Paths,
    host: &HostView,
) -> Result<Policy, StartError> {
    let (_, policy) = Timetable::new(load_policy(sources, host)?, host);
    Ok(Given::peek(paths, Moment(clock::wall_secs())).lay_over(policy, host))
}

/// The host's capacity as the configuration checks against it.
pub fn capacity<T>(host: &HostView, with: impl FnOnce(&Capacity<'_>) -> T) -> T {
    let resolve = |path: &Path| -> Result<Vec<DeviceId>, String> {
        devices::behind(Path::new("/sys"), path).map_err(|error| error.to_string())
    };
    let program = |path: &Path| hook::check_program(path);
    let capacity = Capacity {
        online: host.online.clone(),
        memory: host.memory,
        page: host.page,
        resolve_device: &resolve,
        check_program: &program,
    };
    with(&capacity)
}

/// The host of a recorded policy, as the configuration checks against it. A disk that the policy does not name is looked for on this host.
pub fn recorded_capacity<T>(text: &PolicyText, with: impl FnOnce(&Capacity<'_>) -> T) -> T {
    let resolve = |path: &Path| -> Result<Vec<DeviceId>, String> {
        devices::behind(Path::new("/sys"), path).map_err(|error| error.to_string())
    };
    text.capacity(&resolve, with)
}

/// The components whose limits stay when provost leaves.
#[must_use]
pub fn kept(policy: &Policy) -> BTreeSet<ComponentName> {
    let keeps = |component: &&Component| component.on_exit == OnLeave::Keep;
    policy.components.values().filter(keeps).map(|component| component.name.clone()).collect()
}

/// What components want to be called when memory is short.
pub(super) fn hooks(policy: &Policy) -> BTreeMap<ComponentName, Hook> {
    let components = policy.components.values();
    components.filter_map(|one| Some((one.name.clone(), one.hook.clone()?))).collect()
}

/// The right to change limits and what enforces, for a restore without a configuration.
///
/// # Errors
/// [`StartError`].
pub fn restorer(paths: &Paths) -> Result<(Instance, Executor), StartError> {
    let (fs, roots) = open_tree()?;
    let instance = Instance::take(paths)?;
    let host = host::view(&roots);
    let journal = Journal::open(&paths.state, &host::boot_id(&roots.proc))?;
    let systemd =
        if host.systemd { Some(BlockingSystemd::new(Deadlines::default())?) } else { None };
    Ok((instance, Executor::new(fs, systemd, journal, host.page)))
}

/// What the journal says that provost wrote in this boot, without opening it for writing.
///
/// # Errors
/// [`StartError::Journal`] when it is there and cannot be read.
pub fn adopted(paths: &Paths, roots: &Roots) -> Result<Ownership, StartError> {
    let ledger = Journal::peek(&paths.state)?;
    let this_boot = ledger.boot.as_deref() == Some(host::boot_id(&roots.proc).as_str());
    Ok(if this_boot { adopt(&ledger) } else { Ownership::default() })
}

fn raised_thread(raised: &Raised) -> RaisedThread {
    RaisedThread {
        component: raised.component.clone(),
        at: raised.at.clone(),
        name: raised.name.clone(),
        given: raised.given,
        original: raised.original,
    }
}

fn adopt(ledger: &Ledger) -> Ownership {
    let mut ownership = Ownership::default();
    let original = |path: &CgroupPath, kind: KnobKind| {
        ledger.originals.get(&(path.clone(), kind)).and_then(|original| original.value.clone())
    };
    for ((path, kind), (id, value)) in &ledger.last {
        ownership.adopt(path, *id, original(path, *kind), (value, false));
    }
    for ((path, kind), (id, value)) in &ledger.passing {
        ownership.adopt(path, *id, original(path, *kind), (value, true));
    }
    for (thread, raised) in &ledger.raised {
        ownership.threads.adopt(*thread, raised_thread(raised));
    }
    ownership
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Wish;
    use crate::testing::host;
    use crate::units::{Bytes, Limit, Millicpu};

    #[test]
    fn in_force_are_the_windows_that_are_open_and_what_was_given() {
        let state = std::env::temp_dir().join(format!("provost-in-force-{}", std::process::id()));
        let paths = Paths { run: state.clone(), state };
        let sources = Sources::text(
            "x.toml",
            "[component.job]\nmatch = { unit = \"job.service\" }\ncpu.ceiling = \"1\"\nmemory.ceiling = \"64M\"\npids.ceiling = 9\n\
            [schedule.always]\ncalendar = \"*-*-* *:*:00\"\nduration = \"1h\"\ncomponent.job.cpu.ceiling = \"1.5\"\n\
            component.job.memory.ceiling = \"96M\"\n\
            [schedule.once]\ncalendar = \"2099-01-01 00:00\"\nduration = \"1h\"\ncomponent.job.pids.ceiling = 8\n",
        );
        let host = host().host;
        let plain = load_policy(&sources, &host).unwrap().policy;
        let name: ComponentName = "job".parse().unwrap();
        let keys = [("memory.ceiling".to_owned(), "128M".to_owned())].into();
        let wish = Wish {
            component: &name,
            keys: &keys,
            span: Span::secs(600),
            now: Moment(clock::wall_secs()),
        };
        let (given, _) = Given::default().with(wish, plain, &host).unwrap();
        given.write(&paths).unwrap();
        let policy = in_force(&sources, &paths, &host);
        let _gone = std::fs::remove_dir_all(&paths.state);
        let job = &policy.unwrap().components[&name];
        assert_eq!(job.cpu.ceiling, Limit::At(Millicpu(1500)), "the window is open");
        assert_eq!(
            job.memory.ceiling,
            Limit::At(Bytes::mebi(128)),
            "given, whatever the window says"
        );
        assert_eq!(job.pids, Limit::At(9), "that window is not open");
    }
}
