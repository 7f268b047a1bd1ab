//! The kernel's version and configuration, pressure information, swap, and the service manager.
//!
//! Reads only; a program's version is taken from its mapped libraries, never by starting it.

use super::read::{Reader, read_text};
use crate::units::Bytes;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::fmt;
use std::os::fd::AsRawFd as _;

/// A kernel release's first two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl KernelVersion {
    /// `6.1.0-18-amd64` is 6.1; none when the text does not start with two numbers.
    #[must_use]
    pub fn parse(release: &str) -> Option<Self> {
        let mut parts = release.split(|c: char| !c.is_ascii_digit());
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.major, self.minor))
    }
}

/// Pressure stall information (`Documentation/accounting/psi.rst`, Linux 4.20).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PsiState {
    /// The files are there and readable.
    On,
    /// `psi=0` on the kernel command line.
    OffByCommandLine,
    /// Built in and off by default: `psi=1` on the command line turns it on.
    OffByDefault,
    /// Not built into this kernel.
    NotBuilt,
    /// Absent, and the build configuration is not readable.
    Unknown,
}

/// One swap area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapArea {
    /// The device or file.
    pub name: String,
    /// Its size.
    pub size: Bytes,
    /// Whether it is compressed memory rather than a disk.
    pub zram: bool,
}

/// Whether the D-Bus system bus answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusSocket {
    /// A connection was accepted.
    Reachable,
    /// No socket.
    Absent,
    /// There is a socket and nobody accepts.
    Refused {
        /// The kernel's words.
        error: String,
    },
}

/// The service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Systemd {
    /// Whether the host was booted with systemd (sd_booted(3)).
    pub running: bool,
    /// Its version, from the libraries that PID 1 has mapped.
    pub version: Option<u32>,
    /// `/run/dbus/system_bus_socket`.
    pub bus: BusSocket,
    /// Whether systemd's own socket is there, the way to it while the bus is down.
    pub private_socket: bool,
}

pub(super) fn release(reader: &mut Reader<'_>) -> Option<String> {
    let file = reader.roots.proc.join("sys/kernel/osrelease");
    reader.line(&file)
}

pub(super) fn command_line(reader: &mut Reader<'_>) -> Vec<String> {
    let file = reader.roots.proc.join("cmdline");
    let line = reader.line(&file).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

/// The text of `/boot/config-RELEASE`, where a distribution installs it.
pub(super) fn build_configuration(
    reader: &mut Reader<'_>,
    release: Option<&str>,
) -> Option<String> {
    let name = format!("config-{}", release?);
    let file = reader.roots.boot.join(name);
    reader.text(&file)
}

/// Whether a build configuration has `option=y`.
pub(super) fn is_built_in(config: &str, option: &str) -> bool {
    config.lines().any(|line| line.strip_prefix(option) == Some("=y"))
}

pub(super) fn psi(
    reader: &mut Reader<'_>,
    command_line: &[String],
    config: Option<&str>,
) -> PsiState {
    let file = reader.roots.proc.join("pressure/memory");
    // With psi=0 kernels before 6.1 keep the files and answer EOPNOTSUPP, so the read alone tells.
    if read_text(&file).is_ok_and(|text| text.starts_with("some ")) {
        return PsiState::On;
    }
    let off = |word: &String| {
        matches!(word.as_str(), "psi=0" | "psi=n" | "psi=off" | "psi=no" | "psi=false")
    };
    if command_line.iter().any(off) {
        return PsiState::OffByCommandLine;
    }
    match config {
        Some(config) if is_built_in(config, "CONFIG_PSI") => PsiState::OffByDefault,
        Some(_) => PsiState::NotBuilt,
        None => PsiState::Unknown,
    }
}

pub(super) fn swap(reader: &mut Reader<'_>) -> Vec<SwapArea> {
    let file = reader.roots.proc.join("swaps");
    swap_areas(&reader.text(&file).unwrap_or_default())
}

/// `/proc/swaps`: a header, then name, type, size in KiB, use, priority.
pub(super) fn swap_areas(text: &str) -> Vec<SwapArea> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let kibibytes: u64 = words.nth(1)?.parse().ok()?;
            Some(SwapArea {
                zram: name.contains("/zram"),
                name: name.to_owned(),
                size: Bytes(kibibytes.saturating_mul(1024)),
            })
        })
        .collect()
}

pub(super) fn systemd(reader: &mut Reader<'_>) -> Systemd {
    let run = reader.roots.run.clone();
    let running = run.join("systemd/system").is_dir();
    let maps = reader.roots.proc.join("1/maps");
    let version =
        if running { reader.text(&maps).as_deref().and_then(version_in_maps) } else { None };
    Systemd {
        running,
        version,
        bus: bus(reader),
        private_socket: run.join("systemd/private").exists(),
    }
}

/// The digits in `libsystemd-shared-252.so` or `libsystemd-core-256.4-1.fc41.so`.
pub(super) fn version_in_maps(maps: &str) -> Option<u32> {
    maps.lines().find_map(|line| {
        let (_, rest) = line
            .split_once("/libsystemd-shared-")
            .or_else(|| line.split_once("/libsystemd-core-"))?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    })
}

fn bus(reader: &Reader<'_>) -> BusSocket {
    // Not blocking: a bus that is stopped lets connections pile up, and doctor would wait with them.
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let path = reader.roots.run.join("dbus/system_bus_socket");
    let answer = UnixAddr::new(&path).and_then(|address| {
        let own = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(own.as_raw_fd(), &address)
    });
    match answer {
        Ok(()) => BusSocket::Reachable,
        Err(Errno::ENOENT | Errno::ENOTDIR) => BusSocket::Absent,
        Err(Errno::EAGAIN) => BusSocket::Refused { error: "its queue is full".to_owned() },
        Err(errno) => BusSocket::Refused { error: errno.desc().to_owned() },
    }
}

/// The attached scheduler's name from `/sys/kernel/sched_ext` (Linux 6.12).
pub(super) fn sched_ext(reader: &mut Reader<'_>) -> Option<String> {
    let folder = reader.roots.sys.join("kernel/sched_ext");
    let state = reader.line(&folder.join("state"))?;
    if state == "disabled" {
        return None;
    }
    let name = reader.line(&folder.join("root/ops"));
    Some(name.unwrap_or_else(|| "unnamed".to_owned()))
}

pub(super) fn clock_source(reader: &mut Reader<'_>) -> Option<String> {
    let file = "devices/system/clocksource/clocksource0/current_clocksource";
    let file = reader.roots.sys.join(file);
    reader.line(&file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_distributions_write_them() {
        let version = |major, minor| Some(KernelVersion { major, minor });
        for (release, expected) in [
            ("6.1.0-18-amd64", version(6, 1)),
            ("5.15.0-1053-aws", version(5, 15)),
            ("7.2", version(7, 2)),
            ("6.12-rc1+", version(6, 12)),
            ("", None),
            ("linux", None),
        ] {
            assert_eq!(KernelVersion::parse(release), expected, "{release}");
        }
    }

    #[test]
    fn systemd_s_version_is_in_the_name_of_its_library() {
        let debian =
            "7f00-7f01 r--p 0 fd:01 77 /usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so";
        assert_eq!(version_in_maps(debian), Some(252));
        let fedora = "7f00-7f01 r--p 0 fd:01 77 /usr/lib64/systemd/libsystemd-core-256.4-1.fc41.so";
        assert_eq!(version_in_maps(fedora), Some(256));
        assert_eq!(version_in_maps("55d0-55d1 r-xp 0 fd:01 9 /sbin/init"), None);
    }

    #[test]
    fn an_option_that_is_off_or_only_alike_is_not_built_in() {
        let config =
            "CONFIG_PSI=y\n# CONFIG_RT_GROUP_SCHED is not set\nCONFIG_PSI_DEFAULT_DISABLED=y\n";
        assert!(is_built_in(config, "CONFIG_PSI"));
        assert!(!is_built_in(config, "CONFIG_RT_GROUP_SCHED"));
        assert!(!is_built_in(config, "CONFIG_PSI_DEFAULT"));
    }
}
