//! Scratch cgroups below the host's v2 mount, removed in the end, and policies for them.

use provost::config::{Policy, Sources, load};
use provost::daemon::capacity;
use provost::kernel::probe::Roots;
use provost::kernel::{CgroupFs, Group, Hierarchy, Sampler, host};
use provost::units::CgroupPath;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// So many empty cgroups in one folder.
#[derive(Debug)]
pub(crate) struct Scratch {
    mount: PathBuf,
    base: String,
    count: usize,
}

impl Scratch {
    /// Makes `count` groups.
    pub(crate) fn new(count: usize) -> Self {
        let mount = Hierarchy::of_this_host().mount().expect("a cgroup v2 mount").clone();
        let base = format!("provost-bench-{}", std::process::id());
        let scratch = Self { mount, base, count };
        let folder = scratch.mount.join(&scratch.base);
        std::fs::create_dir(&folder).expect("root, and a writable cgroup v2 mount");
        let controllers = std::fs::read_to_string(folder.join("cgroup.controllers")).unwrap();
        for controller in controllers.split_whitespace() {
            let _enabled =
                std::fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        for group in 0..count {
            std::fs::create_dir(scratch.folder(group)).unwrap();
        }
        scratch
    }

    pub(crate) fn folder(&self, group: usize) -> PathBuf {
        self.mount.join(self.path(group).as_str())
    }

    fn path(&self, group: usize) -> CgroupPath {
        CgroupPath::new(&format!("{}/c{group:04}", self.base))
    }

    pub(crate) fn fs(&self) -> CgroupFs {
        CgroupFs::open(&self.mount).unwrap()
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots { cgroup: self.mount.clone(), ..Roots::host() }
    }

    pub(crate) fn groups(&self) -> Vec<Group> {
        let fs = self.fs();
        (0..self.count).map(|group| fs.group(&self.path(group)).unwrap()).collect()
    }

    pub(crate) fn samplers(&self) -> Vec<Sampler> {
        self.groups().into_iter().map(Sampler::new).collect()
    }

    /// Of the group that holds all the others.
    pub(crate) fn parent_sampler(&self) -> Sampler {
        Sampler::new(self.fs().group(&CgroupPath::new(&self.base)).unwrap())
    }

    /// Lets this process run in each of the groups for a moment, so that each has CPU time to be added up, and returns.
    pub(crate) fn run_in_each(&self) {
        let home = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let home = home.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
        for group in 0..self.count {
            std::fs::write(self.folder(group).join("cgroup.procs"), "0").unwrap();
            std::thread::yield_now();
        }
        std::fs::write(self.mount.join(home).join("cgroup.procs"), "0").unwrap();
    }

    /// The files that the fast tier holds, group by group.
    pub(crate) fn fast_files(&self) -> Vec<PathBuf> {
        let files =
            |group| ["cpu.stat", "memory.current"].map(|file| self.folder(group).join(file));
        (0..self.count).flat_map(files).filter(|path| path.exists()).collect()
    }

    /// A configuration with a component for every group and three limits on each.
    pub(crate) fn configuration(&self) -> String {
        let component = |group: usize| {
            format!(
                "[component.c{group:04}]\nmatch = {{ cgroup = \"{}\" }}\ncpu = {{ ceiling = \"500m\" }}\n\
                 memory = {{ ceiling = \"64M\" }}\npids = {{ ceiling = 100 }}\n",
                self.path(group)
            )
        };
        (0..self.count).map(component).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for group in 0..self.count {
            let _gone = std::fs::remove_dir(self.folder(group));
        }
        let _gone = std::fs::remove_dir(self.mount.join(&self.base));
    }
}

/// Files held open, read as cheaply as the kernel allows.
#[derive(Debug)]
pub(crate) struct Held {
    files: Vec<File>,
    buffer: [u8; 4096],
}

impl Held {
    pub(crate) fn open(paths: &[PathBuf]) -> Self {
        let files = paths.iter().map(|path| File::open(path).unwrap()).collect();
        Self { files, buffer: [0; 4096] }
    }

    pub(crate) fn read(&mut self) {
        for file in &self.files {
            std::hint::black_box(file.read_at(&mut self.buffer, 0).unwrap());
        }
    }
}

/// A configuration's policy on this host.
pub(crate) fn policy(text: &str) -> Policy {
    let host = host::view(&Roots::host());
    capacity(&host, |capacity| load(&Sources::text("bench", text), capacity)).unwrap().policy
}
