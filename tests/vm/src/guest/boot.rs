//! PID 1 of the initramfs: mounts, modules, then the jobs or the real system.

use super::cgroups::Scope;
use super::processes::Household;
use super::runner::Runner;
use super::wire::{Wire, uptime_ms};
use super::{sys, systemd};
use crate::protocol::Event;
use crate::{Outcome, failed};
use std::fs::{self, File};
use std::time::Duration;

/// The options systemd mounts the hierarchy with.
const CGROUP2_OPTIONS: &str = "nsdelegate,memory_recursiveprot";

/// Boots; on success the call does not return.
///
/// # Errors
/// When something the jobs rely on cannot be set up.
pub fn boot() -> Outcome<()> {
    mount("proc", "/proc", "")?;
    mount("sysfs", "/sys", "")?;
    mount("devtmpfs", "/dev", "")?;
    Wire::open()?.send(&Event::Boot(uptime_ms()));
    load_modules()?;
    match parameter("vm.root") {
        Some(device) => systemd::switch_to(&device),
        None => run_here(),
    }
}

/// Tier 1: the jobs run in the initramfs.
fn run_here() -> Outcome<()> {
    mount("devpts", "/dev/pts", "mode=0620,ptmxmode=0666")?;
    mount("tmpfs", "/dev/shm", "")?;
    mount("tmpfs", "/run", "mode=0755")?;
    mount("tmpfs", "/tmp", "mode=1777")?;
    // Not in every kernel; nothing that must be there.
    let _absent = mount("debugfs", "/sys/kernel/debug", "");
    mount_cgroups()?;
    sys::loopback_up().map_err(failed("set the loopback interface up"))?;
    sys::lock_memory();
    let patience = Duration::from_secs(1);
    Runner::new("/t", Scope::All, Household::Machine, patience)?.run()
}

/// cgroup v2 alone, or the hybrid layout with the controllers of `vm.v1=` on v1.
fn mount_cgroups() -> Outcome<()> {
    let Some(controllers) = parameter("vm.v1") else {
        return mount("cgroup2", "/sys/fs/cgroup", CGROUP2_OPTIONS);
    };
    mount("tmpfs", "/sys/fs/cgroup", "mode=0755")?;
    mount("cgroup2", "/sys/fs/cgroup/unified", CGROUP2_OPTIONS)?;
    controllers.split(',').try_for_each(|controller| {
        mount("cgroup", &format!("/sys/fs/cgroup/{controller}"), controller)
    })
}

/// Loads what the host put there, in the order of the names.
fn load_modules() -> Outcome<()> {
    let mut paths: Vec<_> = fs::read_dir("/modules")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths {
        let module = File::open(&path).map_err(failed(format!("open {}", path.display())))?;
        sys::load_module(&module).map_err(failed(format!("load {}", path.display())))?;
        // It is in the kernel now; the copy would only take memory from the tests.
        let _kept = fs::remove_file(&path);
    }
    Ok(())
}

/// Mounts a file system, making its mount point.
///
/// # Errors
/// When the kernel refuses.
pub fn mount(kind: &str, target: &str, options: &str) -> Outcome<()> {
    fs::create_dir_all(target).map_err(failed(format!("make {target}")))?;
    sys::mount(kind, target, kind, 0, options)
}

/// The value of `key=value` on the kernel command line.
#[must_use]
pub fn parameter(key: &str) -> Option<String> {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    value.map(str::to_owned)
}
