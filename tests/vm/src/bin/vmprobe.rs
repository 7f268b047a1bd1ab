//! Behaves like a libtest binary whose tests misbehave, so that `scripts/vm selftest` can prove
//! that the harness notices. Runs in a throwaway machine only: one of its tests panics the kernel.
#![allow(
    unsafe_code,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::exit,
    reason = "misbehaves on purpose"
)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::process::{Command, exit};
use std::time::Duration;

type Test = (&'static str, fn() -> io::Result<()>);

/// The tests in the order they run, and what each does.
const TESTS: &[Test] = &[
    ("fails", || exit(101)),
    ("aborts", || std::process::abort()),
    ("says_nothing", || exit(0)),
    ("hangs", sleep_forever),
    ("leaks_a_cgroup", || fs::create_dir_all("/sys/fs/cgroup/left/behind")),
    ("leaks_a_process", || spawn("hangs").map(drop)),
    ("leaks_a_busy_cgroup", leak_a_busy_cgroup),
    ("upsets_the_kernel", upset_the_kernel),
    ("passes", || Ok(())),
    ("skipped", || Ok(())),
    ("panics", || fs::write("/proc/sysrq-trigger", "c")),
    ("freezes", freeze),
    ("passes_too", || Ok(())),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        list(has("--ignored"), &arguments);
        return;
    }
    let wanted = arguments.iter().find_map(|argument| find(argument));
    let Some((name, act)) = wanted else { exit(2) };
    println!("running 1 test");
    if let Err(error) = act() {
        println!("{name} cannot misbehave: {error}");
        exit(3);
    }
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn find(name: &str) -> Option<&'static Test> {
    TESTS.iter().find(|(test, _)| *test == name)
}

/// Unlike libtest this matches whole names: `passes` is not `passes_too`.
fn list(only_ignored: bool, arguments: &[String]) {
    for (name, _) in TESTS {
        let wanted = arguments.iter().any(|argument| argument == name);
        if wanted && (!only_ignored || *name == "skipped") {
            println!("{name}: test");
        }
    }
}

fn sleep_forever() -> io::Result<()> {
    println!("asleep");
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn spawn(test: &str) -> io::Result<std::process::Child> {
    Command::new("/proc/self/exe").args(["--exact", test]).spawn()
}

fn leak_a_busy_cgroup() -> io::Result<()> {
    fs::create_dir("/sys/fs/cgroup/busy")?;
    let child = spawn("hangs")?;
    fs::write("/sys/fs/cgroup/busy/cgroup.procs", child.id().to_string())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Freezes a file system under a writer, who then waits uninterruptibly: a hung task.
fn upset_the_kernel() -> io::Result<()> {
    const FIFREEZE: libc::c_ulong = 0xc004_5877;
    const FITHAW: libc::c_ulong = 0xc004_5878;
    let device = std::env::var("PROVOST_VM_DISK").map_err(io::Error::other)? + "1";
    let device = CString::new(device)?;
    fs::create_dir_all("/tmp/frozen")?;
    fs::write("/proc/sys/kernel/hung_task_timeout_secs", "1")?;
    // SAFETY: constant strings that end in NUL, and one that lives until the call returns.
    check(unsafe {
        let (target, kind) = (c"/tmp/frozen".as_ptr(), c"ext4".as_ptr());
        libc::mount(device.as_ptr(), target, kind, 0, std::ptr::null())
    })?;
    let directory = File::open("/tmp/frozen")?;
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(directory.as_raw_fd(), FIFREEZE, 0) })?;
    let writer = std::thread::spawn(|| fs::write("/tmp/frozen/file", "x"));
    let log = wait_for_hung_task();
    fs::write("/proc/sys/kernel/hung_task_timeout_secs", "120")?;
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(directory.as_raw_fd(), FITHAW, 0) })?;
    writer.join().map_err(|_| io::Error::other("the writer panicked"))??;
    drop(directory);
    // SAFETY: a constant string that ends in NUL.
    check(unsafe { libc::umount(c"/tmp/frozen".as_ptr()) })?;
    log
}

fn wait_for_hung_task() -> io::Result<()> {
    // The kernel looks every second; a busy host may be ten times slower.
    for _ in 0..150 {
        std::thread::sleep(Duration::from_millis(100));
        let log = Command::new("/bin/dmesg").output()?.stdout;
        if String::from_utf8_lossy(&log).contains("blocked for more than") {
            return Ok(());
        }
    }
    Err(io::Error::other("the kernel said nothing"))
}

/// Takes all processors for real-time loops: nothing else runs any more.
fn freeze() -> io::Result<()> {
    fs::write("/proc/sys/kernel/sched_rt_runtime_us", "-1")?;
    let count = std::thread::available_parallelism()?.get();
    let spinners: Vec<_> = (0..count).map(|_| std::thread::spawn(spin)).collect();
    spinners.into_iter().try_for_each(|spinner| {
        spinner.join().map_err(|_| io::Error::other("a spinner panicked"))?
    })
}

fn spin() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 99 };
    // SAFETY: the pointer is to a local structure.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) })?;
    loop {
        std::hint::spin_loop();
    }
}
