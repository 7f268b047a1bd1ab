//! Puts an initramfs together: `vminit`, busybox, modules, jobs and the files of the host.

use crate::cells::Cell;
use crate::cpio::Cpio;
use crate::jobs::{self, Job};
use crate::{Outcome, failed};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    alice:x:1000:1000::/home/alice:/bin/sh\n\
    bob:x:1001:1001::/home/bob:/bin/sh\n\
    nobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\nalice:x:1000:\nbob:x:1001:\nnogroup:x:65534:\n";

/// What a boot carries into the guest.
#[derive(Debug, Default, Clone)]
pub struct Payload {
    /// The jobs, in order.
    pub jobs: Vec<Job>,
    /// Executables, placed without their debug information at `/t/NAME`.
    pub executables: Vec<(PathBuf, String)>,
    /// Files and directories for `/t/NAME`.
    pub shared: Vec<(PathBuf, String)>,
    /// Files and directories for any place of the guest's root.
    pub copies: Vec<(PathBuf, String)>,
}

/// The archive for `cell`. `tools` holds the built `vminit`, `kernel` the imported kernel.
///
/// # Errors
/// When a file cannot be read or is not fit for the guest.
pub fn build(cell: &Cell, payload: &Payload, tools: &Path, kernel: &Path) -> Outcome<Vec<u8>> {
    let mut cpio = Cpio::new();
    for directory in ["proc", "sys", "dev", "run", "tmp", "root", "home/alice", "home/bob", "t"] {
        cpio.directory(directory);
    }
    cpio.character_device("dev/console", 5, 1);
    let vminit = stripped(&tools.join("vminit"))?;
    cpio.file("init", 0o755, &vminit);
    cpio.file("t/vminit", 0o755, &vminit);
    add_tree(&mut cpio, &kernel.join("modules"), "modules")?;
    cpio.file("t/jobs", 0o644, jobs::format(&payload.jobs).as_bytes());
    cpio.file("t/env", 0o644, environment(cell).as_bytes());
    for (source, name) in &payload.executables {
        cpio.file(&format!("t/{name}"), 0o755, &stripped(source)?);
    }
    for (source, name) in &payload.shared {
        add_tree(&mut cpio, source, &format!("t/{name}"))?;
    }
    let root = if cell.image.is_some() { "t/root/" } else { "" };
    for (source, destination) in &payload.copies {
        add_tree(&mut cpio, source, &format!("{root}{}", destination.trim_start_matches('/')))?;
    }
    if cell.image.is_none() {
        cpio.file("etc/passwd", 0o644, PASSWD.as_bytes());
        cpio.file("etc/group", 0o644, GROUP.as_bytes());
        add_busybox(&mut cpio)?;
    }
    Ok(cpio.finish())
}

/// What every job finds in its environment, one `KEY=VALUE` per line.
fn environment(cell: &Cell) -> String {
    let base = cell.base();
    let lines = [
        format!("PATH={base}:/usr/sbin:/usr/bin:/sbin:/bin"),
        "HOME=/root".to_owned(),
        "LANG=C.UTF-8".to_owned(),
        "RUST_BACKTRACE=1".to_owned(),
        format!("PROVOST_BIN={base}/provost"),
        format!("PROVOST_SHARE={base}/share"),
        format!("PROVOST_VM_CELL={}", cell.name),
        format!("PROVOST_VM_DISK={}", cell.scratch_device()),
        format!("PROVOST_VM_SWAP={}", cell.swap_device()),
    ];
    lines.join("\n") + "\n"
}

/// The executable without debug information: a fraction of the size, and guests are small.
fn stripped(executable: &Path) -> Outcome<Vec<u8>> {
    // Machines that run at the same time are made by threads.
    let scratch = std::env::temp_dir().join(format!(
        "provost-vm-{}-{:?}-{}",
        std::process::id(),
        std::thread::current().id(),
        executable.file_name().unwrap_or_default().to_string_lossy()
    ));
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&scratch).arg(executable);
    let done = strip_status(&mut strip)
        .map_err(failed(format!("strip {}", executable.display())))
        .and_then(|()| fs::read(&scratch).map_err(failed("read a stripped executable")));
    let _absent = fs::remove_file(&scratch);
    let content = done?;
    must_be_static(&content, executable)?;
    Ok(content)
}

fn strip_status(strip: &mut Command) -> Outcome<()> {
    let status = strip.status().map_err(failed("start strip"))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// A guest has no dynamic linker.
fn must_be_static(content: &[u8], path: &Path) -> Outcome<()> {
    const INTERPRETER: &[u8] = b"/ld-linux";
    let head = content.get(..8192.min(content.len())).unwrap_or_default();
    if head.windows(INTERPRETER.len()).any(|window| window == INTERPRETER) {
        return Err(format!("{} is linked dynamically", path.display()));
    }
    Ok(())
}

fn add_busybox(cpio: &mut Cpio) -> Outcome<()> {
    let path = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|p| p.exists());
    let path = path.ok_or("no busybox here; install busybox-static")?;
    let content = fs::read(path).map_err(failed("read busybox"))?;
    must_be_static(&content, path)?;
    cpio.file("bin/busybox", 0o755, &content);
    let list = Command::new(path).arg("--list").output().map_err(failed("list the applets"))?;
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|name| *name != "busybox") {
        cpio.symlink(&format!("bin/{applet}"), "busybox");
    }
    Ok(())
}

/// A file, or a directory with all that is below it. Symbolic links are followed.
fn add_tree(cpio: &mut Cpio, source: &Path, destination: &str) -> Outcome<()> {
    let about = fs::metadata(source).map_err(failed(format!("read {}", source.display())))?;
    if !about.is_dir() {
        let content = fs::read(source).map_err(failed(format!("read {}", source.display())))?;
        cpio.file(destination, about.permissions().mode() & 0o777, &content);
        return Ok(());
    }
    cpio.directory(destination);
    let entries = fs::read_dir(source).map_err(failed(format!("list {}", source.display())))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        add_tree(cpio, &path, &format!("{destination}/{name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells;

    #[test]
    fn the_environment_names_places_of_the_tier() {
        let cells = cells::select("k61,d12").unwrap();
        let tier1 = environment(cells[0]);
        assert!(tier1.contains("PROVOST_BIN=/t/provost\n"));
        assert!(tier1.contains("PROVOST_VM_DISK=/dev/vda\n"));
        assert!(tier1.contains("PROVOST_VM_SWAP=/dev/vdb\n"));
        let tier2 = environment(cells[1]);
        assert!(tier2.contains("PROVOST_BIN=/run/vmt/provost\n"));
        assert!(tier2.contains("PROVOST_VM_SWAP=/dev/vdc\n"));
    }

    #[test]
    fn dynamic_executables_are_refused() {
        let mut content = vec![0; 600];
        assert!(must_be_static(&content, Path::new("x")).is_ok());
        content.extend_from_slice(b"/lib64/ld-linux-x86-64.so.2\0");
        assert!(must_be_static(&content, Path::new("x")).unwrap_err().contains("dynamically"));
    }
}
