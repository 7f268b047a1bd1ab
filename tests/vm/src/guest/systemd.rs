//! Tier 2: makes the distribution's image the root, adds the test service to it and starts its
//! systemd; later, as that service, runs the jobs.

use super::boot::mount;
use super::cgroups::Scope;
use super::processes::Household;
use super::runner::Runner;
use super::sys;
use crate::{Outcome, failed};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const ROOT: &str = "/newroot";
const UNITS: &str = "/newroot/run/systemd/system";

/// Units that only cost time in a machine of a few seconds.
const MASKED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "kmod-static-nodes.service",
    "ldconfig.service",
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-pcrmachine.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-sysext.service",
    "systemd-sysusers.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tpm2-setup-early.service",
    "systemd-tpm2-setup.service",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
];

const TARGET: &str = "\
[Unit]
Description=Jobs of the test harness
Requires=basic.target
Wants=vmtest.service
After=basic.target
AllowIsolate=yes
";

// The jobs need the bus and sessions. What they print themselves goes over the result port.
const SERVICE: &str = "\
[Unit]
Description=Runner of the test harness
Wants=dbus.service systemd-logind.service systemd-user-sessions.service
After=basic.target dbus.service systemd-logind.service systemd-user-sessions.service
[Service]
Type=exec
ExecStart=/run/vmt/vminit --runner
Delegate=yes
OOMScoreAdjust=-1000
TasksMax=infinity
LimitMEMLOCK=infinity
StandardOutput=kmsg+console
StandardError=kmsg+console
";

/// Goes over to the system on `device`; on success the call does not return.
///
/// # Errors
/// When the image cannot be mounted or its init cannot be started.
pub fn switch_to(device: &str) -> Outcome<()> {
    fs::create_dir_all(ROOT).map_err(failed("make the mount point of the root"))?;
    sys::mount(device, ROOT, "ext4", 0, "")?;
    mount("tmpfs", &format!("{ROOT}/run"), "mode=0755")?;
    mount("devtmpfs", &format!("{ROOT}/dev"), "")?;
    // The jobs stay where they are in memory and are seen in the new root, too.
    fs::create_dir_all(format!("{ROOT}/run/vmt")).map_err(failed("make /run/vmt"))?;
    sys::mount("/t", &format!("{ROOT}/run/vmt"), "", libc::MS_BIND, "")?;
    let copies = Path::new("/t/root");
    if copies.is_dir() {
        copy_tree(copies, Path::new(ROOT))?;
    }
    write_units()?;
    std::env::set_current_dir(ROOT).map_err(failed("enter the new root"))?;
    sys::mount(".", "/", "", libc::MS_MOVE, "")?;
    sys::chroot_here()?;
    std::env::set_current_dir("/").map_err(failed("enter the new root"))?;
    let error = Command::new("/sbin/init").env_clear().exec();
    Err(format!("failed to start the image's init: {error}"))
}

/// The service's program: runs the jobs and ends the machine.
///
/// # Errors
/// When the jobs cannot be run.
pub fn run_as_service() -> Outcome<()> {
    sys::become_subreaper();
    sys::lock_memory();
    let own = fs::read_to_string("/proc/self/cgroup").map_err(failed("read our own cgroup"))?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    let household = Household::Cgroup(format!("/sys/fs/cgroup{own}"));
    Runner::new("/run/vmt", Scope::Named, household, Duration::from_secs(10))?.run()
}

fn write_units() -> Outcome<()> {
    fs::create_dir_all(UNITS).map_err(failed("make the unit directory"))?;
    fs::write(format!("{UNITS}/vmtest.target"), TARGET).map_err(failed("write a unit"))?;
    fs::write(format!("{UNITS}/vmtest.service"), SERVICE).map_err(failed("write a unit"))?;
    MASKED.iter().try_for_each(|unit| {
        symlink("/dev/null", format!("{UNITS}/{unit}")).map_err(failed(format!("mask {unit}")))
    })
}

/// Copies files and directories with their modes over what is there.
fn copy_tree(from: &Path, to: &Path) -> Outcome<()> {
    for entry in fs::read_dir(from).map_err(failed(format!("list {}", from.display())))? {
        let entry = entry.map_err(failed(format!("list {}", from.display())))?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type().map_err(failed("look at a copy"))?;
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(failed(format!("make {}", target.display())))?;
            copy_tree(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)
                .map_err(failed(format!("copy to {}", target.display())))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to)?;
    let mode = fs::metadata(from)?.permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    fs::remove_file(from)
}
