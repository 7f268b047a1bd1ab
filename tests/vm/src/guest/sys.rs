//! System calls that std does not offer, and all of the library's unsafe code.
#![allow(unsafe_code, reason = "thin wrappers of system calls that std does not offer")]

use crate::{Outcome, failed};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn c_string(text: &str) -> Outcome<CString> {
    CString::new(text).map_err(failed(format!("pass {text:?} to the kernel")))
}

/// mount(2).
///
/// # Errors
/// When the kernel refuses.
pub fn mount(source: &str, target: &str, kind: &str, flags: u64, options: &str) -> Outcome<()> {
    let (source, at) = (c_string(source)?, c_string(target)?);
    let (file_system, data) = (c_string(kind)?, c_string(options)?);
    // SAFETY: all four strings end in NUL and live until the call returns.
    let result = unsafe {
        libc::mount(source.as_ptr(), at.as_ptr(), file_system.as_ptr(), flags, data.as_ptr().cast())
    };
    check(result).map(drop).map_err(failed(format!("mount {kind} on {target}")))
}

/// chroot(2) into the present directory.
///
/// # Errors
/// When the kernel refuses.
pub fn chroot_here() -> Outcome<()> {
    // SAFETY: a constant string that ends in NUL.
    let result = unsafe { libc::chroot(c".".as_ptr()) };
    check(result).map(drop).map_err(failed("chroot"))
}

/// finit_module(2) without parameters.
///
/// # Errors
/// When the kernel refuses the module.
pub fn load_module(module: &File) -> io::Result<()> {
    // SAFETY: an open descriptor and an empty parameter string.
    let result =
        unsafe { libc::syscall(libc::SYS_finit_module, module.as_raw_fd(), c"".as_ptr(), 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A descriptor that becomes readable when the process ends.
///
/// # Errors
/// When there is no such process.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers and gives a new descriptor.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let number = i32::try_from(result).unwrap_or(-1);
    check(number)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Waits until one of the descriptors is readable; which ones are.
///
/// # Errors
/// When poll(2) fails other than by a signal.
pub fn readable(descriptors: &[BorrowedFd<'_>], timeout_ms: i32) -> io::Result<Vec<bool>> {
    let entry =
        |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut list: Vec<libc::pollfd> = descriptors.iter().map(entry).collect();
    let count = libc::nfds_t::try_from(list.len()).unwrap_or(0);
    // SAFETY: the pointer and the count describe `list`.
    let result = unsafe { libc::poll(list.as_mut_ptr(), count, timeout_ms) };
    match check(result) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(list.iter().map(|entry| entry.revents != 0).collect()),
    }
}

/// Makes reads return at once when there is nothing.
///
/// # Errors
/// When the descriptor refuses.
pub fn set_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fcntl with numbers only, on an open descriptor.
    let flags = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFL) };
    let flags = check(flags)? | libc::O_NONBLOCK;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFL, flags) }).map(drop)
}

/// Collects one ended child, whichever: its id and wait status.
#[must_use]
pub fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the pointer is to a local integer.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

/// The exit code as a shell gives it: 128 and the number for a signal.
#[must_use]
pub fn exit_code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// SIGKILL to a process, or to a process group if negative. A target that is gone is no error.
pub fn kill(target: i32) {
    // SAFETY: kill takes two numbers. PID 1 and "every process" are never asked for.
    let _gone = unsafe { libc::kill(target, libc::SIGKILL) };
}

/// Gives the children of a child that ended to us, as PID 1 has it by nature.
pub fn become_subreaper() {
    // SAFETY: prctl with numbers only.
    let _old_kernel = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Keeps this program in memory, so that tests under memory pressure do not stall it.
pub fn lock_memory() {
    // SAFETY: mlockall takes a number.
    let _refused = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
}

/// A new session for the child, and the kernel's choice of victim as for anyone.
pub fn separate(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only async-signal-safe calls are made: setsid, open, write, close.
    unsafe {
        command.pre_exec(|| {
            check(libc::setsid())?;
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY);
            if file >= 0 {
                let _unchanged = libc::write(file, c"0".as_ptr().cast(), 1);
                let _closed = libc::close(file);
            }
            Ok(())
        })
    }
}

/// The child is killed when the thread that started it ends, however that happens.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0)).map(drop)
        })
    }
}

/// The terminal passes bytes as they are.
///
/// # Errors
/// When the descriptor is no terminal.
pub fn make_raw(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an all-zero termios is a valid value for tcgetattr to fill.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local structure.
    check(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings) })?;
    // SAFETY: as above.
    unsafe { libc::cfmakeraw(&raw mut settings) };
    // SAFETY: as above.
    check(unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw const settings) })
        .map(drop)
}

/// Waits until the terminal has sent everything.
pub fn drain(terminal: BorrowedFd<'_>) {
    // SAFETY: a number only.
    let _interrupted = unsafe { libc::tcdrain(terminal.as_raw_fd()) };
}

/// Sets the loopback interface up.
///
/// # Errors
/// When the kernel refuses.
pub fn loopback_up() -> io::Result<()> {
    // SAFETY: socket takes numbers and gives a new descriptor.
    let socket = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) })?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: an all-zero ifreq is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
    // SAFETY: the pointer is to a local structure of the type the request wants.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
        .map(drop)
}

/// Ends the virtual machine through its debug port; qemu exits with `2 * value + 1`.
///
/// # Errors
/// When the port may not be used. On success the call does not return.
pub fn leave(value: u8) -> io::Result<()> {
    const PORT: u16 = 0xf4;
    // SAFETY: ioperm takes numbers.
    check(unsafe { libc::ioperm(libc::c_ulong::from(PORT), 4, 1) })?;
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    // SAFETY: the port belongs to qemu's isa-debug-exit device and touches no memory.
    unsafe {
        std::arch::asm!("out dx, al", in("dx") PORT, in("al") value, options(nomem, nostack));
    }
    Ok(())
}
