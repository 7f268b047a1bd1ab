//! A scratch cgroup with processes in it, gone without a trace when the test ends, however it ends.

mod agent;

pub(crate) use agent::Agent;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use provost::kernel::process::ProcFs;
use provost::kernel::{CgroupFs, Group, Hierarchy, devices, write};
use provost::model::Controller;
use provost::units::{CgroupPath, DeviceId, ProcId};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for an emulated processor that others use too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// The cell this test runs in.
pub(crate) fn cell() -> String {
    std::env::var("PROVOST_VM_CELL").unwrap()
}

/// Major and minor version of the running kernel.
pub(crate) fn linux() -> (u32, u32) {
    let name = nix::sys::utsname::uname().unwrap();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Writes `text` with one `write(2)` and without making the file.
pub(crate) fn put(path: &Path, text: &str) -> Result<(), Errno> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    let mut file = std::fs::File::options().write(true).open(path).map_err(errno)?;
    let written = file.write(text.as_bytes()).map_err(errno)?;
    assert_eq!(written, text.len(), "{} took a part only", path.display());
    Ok(())
}

/// A file's text without its last newline.
pub(crate) fn text(path: &Path) -> String {
    let text = std::fs::read_to_string(path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim_end().to_owned()
}

/// A number of a flat keyed file, such as `usage_usec` of `cpu.stat`.
pub(crate) fn keyed(path: &Path, key: &str) -> u64 {
    let text = text(path);
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).parse().unwrap()
}

/// Waits until `holds`.
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(within(PATIENCE, holds), "not within {PATIENCE:?}: {what}");
}

/// Whether `holds` becomes true within `patience`.
pub(crate) fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < patience {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    holds()
}

/// The disk with the partition that tests mount; what lies behind it may be spoiled.
pub(crate) fn disk() -> PathBuf {
    PathBuf::from(std::env::var("PROVOST_VM_DISK").unwrap())
}

/// The disk made as swap.
pub(crate) fn swap_disk() -> PathBuf {
    PathBuf::from(std::env::var("PROVOST_VM_SWAP").unwrap())
}

/// The number of the first.
pub(crate) fn disk_id() -> DeviceId {
    devices::behind(Path::new("/sys"), &disk()).unwrap()[0]
}

/// A scratch cgroup `test-NAME`, a scratch folder, and the processes that were started.
pub(crate) struct World {
    pub(crate) fs: CgroupFs,
    pub(crate) proc: ProcFs,
    /// A folder for files.
    pub(crate) dir: PathBuf,
    top: CgroupPath,
    children: Vec<Child>,
    before: BTreeSet<Controller>,
}

impl World {
    /// A scratch cgroup in whose children all of `controllers` are on. None in a cell that lacks one of them by design.
    pub(crate) fn new(name: &str, controllers: &[Controller]) -> Option<Self> {
        let mount = Hierarchy::of_this_host().mount().unwrap().clone();
        let fs = CgroupFs::open(&mount).unwrap();
        let root = fs.group(&CgroupPath::root()).unwrap();
        let available = root.controllers().value().cloned().unwrap();
        let wanted: BTreeSet<Controller> = controllers.iter().copied().collect();
        let missing: Vec<Controller> = wanted.difference(&available).copied().collect();
        if !missing.is_empty() {
            let by_design: &[Controller] = match cell().as_str() {
                "k61-nomem" => &[Controller::Memory],
                "k61-hybrid" => &[Controller::Memory, Controller::Cpu],
                other => panic!("{missing:?} missing in {other}"),
            };
            assert!(missing.iter().all(|one| by_design.contains(one)), "{missing:?}");
            return None;
        }
        let world = Self::bare(name);
        write::enable(&root, &wanted).unwrap();
        write::make(&root, world.top.as_str()).unwrap();
        write::enable(&world.top(), &wanted).unwrap();
        Some(world)
    }

    /// A scratch folder only: no controller is turned on and no cgroup is made.
    pub(crate) fn bare(name: &str) -> Self {
        let fs = CgroupFs::open(Hierarchy::of_this_host().mount().unwrap()).unwrap();
        let root = fs.group(&CgroupPath::root()).unwrap();
        let before = root.subtree_control().value().cloned().unwrap();
        let dir = PathBuf::from(format!("/tmp/provost-{name}"));
        std::fs::create_dir_all(&dir).unwrap();
        let top = CgroupPath::new(&format!("test-{name}"));
        Self { fs, proc: ProcFs::default(), dir, top, children: Vec::new(), before }
    }

    /// The scratch cgroup itself.
    pub(crate) fn top(&self) -> Group {
        self.fs.group(&self.top).unwrap()
    }

    /// The group `name` below it, made if it is missing.
    pub(crate) fn group(&self, name: &str) -> Group {
        write::make(&self.top(), name).unwrap();
        self.fs.group(&self.top.child(name)).unwrap()
    }

    /// A group's folder.
    pub(crate) fn folder(&self, group: &Group) -> PathBuf {
        self.fs.mount().join(group.at().path.as_str())
    }

    /// A file of a group.
    pub(crate) fn file(&self, group: &Group, name: &str) -> PathBuf {
        self.folder(group).join(name)
    }

    /// Starts `sh -c script` inside `group`, from its first instruction; its number once it lives there.
    pub(crate) fn sh(&mut self, group: &Group, script: &str) -> i32 {
        let folder = self.folder(group);
        let enter = r#"echo $$ >"$0/cgroup.procs" && exec sh -c "$1""#;
        let mut command = Command::new("sh");
        command.args(["-c", enter]).arg(folder).arg(script);
        let pid = self.start(command);
        let path = &group.at().path;
        eventually("the process enters its group", || {
            self.proc.cgroup(pid).as_ref() == Some(path)
                && self.proc.cmdline(pid).is_some_and(|line| !line.contains("cgroup.procs"))
        });
        pid
    }

    /// Starts a command where this process lives.
    pub(crate) fn start(&mut self, mut command: Command) -> i32 {
        command.stdin(Stdio::null());
        // A group of its own, so that what it starts ends with it.
        let child = command.process_group(0).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        self.children.push(child);
        pid
    }

    /// Starts `sh -c script` where this process lives.
    pub(crate) fn loose(&mut self, script: &str) -> i32 {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        self.start(command)
    }

    /// Which process has this number now.
    pub(crate) fn identity(&self, pid: i32) -> ProcId {
        self.proc.identity(pid).unwrap()
    }

    /// Waits for a started process and gives its exit code or the negated signal.
    pub(crate) fn wait(&mut self, pid: i32) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        let at = self.children.iter().position(|child| i32::try_from(child.id()) == Ok(pid));
        let mut child = self.children.remove(at.unwrap());
        let status = child.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }

    fn sweep(&self, path: &CgroupPath) {
        for name in self.fs.children(path).unwrap_or_default() {
            self.sweep(&path.child(&name));
        }
        let Ok(group) = self.fs.group(path) else { return };
        for pid in group.procs().unwrap_or_default() {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let io = self.file(&group, "io.max");
        if io.exists() {
            // A throttled task cannot die.
            let lift = |line: &str| {
                let device = line.split(' ').next().unwrap_or_default();
                put(&io, &format!("{device} rbps=max wbps=max riops=max wiops=max"))
            };
            let _lifted: Vec<_> = text(&io).lines().map(lift).collect();
        }
        let parent = self.fs.group(&path.parent().unwrap()).unwrap();
        let name = path.name();
        within(PATIENCE, || write::remove(&parent, name).is_ok());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in &self.children {
            let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
            let _dead = killpg(group, Signal::SIGKILL);
        }
        self.sweep(&CgroupPath::new("provost"));
        let top = self.top.clone();
        self.sweep(&top);
        for child in &mut self.children {
            let _reaped = child.wait();
        }
        let root = self.fs.group(&CgroupPath::root()).unwrap();
        let now = root.subtree_control().value().cloned().unwrap_or_default();
        let _off = write::disable(&root, &now.difference(&self.before).copied().collect());
        let _gone = std::fs::remove_dir_all(&self.dir);
    }
}
