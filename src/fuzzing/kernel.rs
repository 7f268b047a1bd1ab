//! Any bytes as files of /proc, /sys and the cgroup tree, and as the frames of the kernel's and the keeper's sockets.

use crate::kernel::parse::{
    ProcStat, controllers, effective_id, flat_keyed, io_devices, last_pid, meminfo, number,
    pid_file, pids, proc_cgroup, proc_stat, psi, thread_stat,
};
use crate::kernel::{gate, probe, proc_events};
use crate::model::PsiLine;

/// Each reader takes any bytes; what it makes of them prints as the kernel would to a text that it reads as the same.
///
/// # Panics
/// When one of these does not hold.
pub fn kernel(data: &[u8]) {
    if let Some(value) = number(data) {
        assert_eq!(number(value.to_string().as_bytes()), Some(value));
        let pid = i32::try_from(value).ok().filter(|pid| *pid > 1);
        assert_eq!(pid_file(data), pid);
    }
    keyed(data);
    lists(data);
    if let Some(read) = psi(data) {
        let line = |kind: &str, line: PsiLine| {
            let (whole, rest) = (line.avg10_centi / 100, line.avg10_centi % 100);
            format!(
                "{kind} avg10={whole}.{rest:02} avg60=0.00 avg300=0.00 total={}\n",
                line.total_usec
            )
        };
        let text = line("some", read.some) + &line("full", read.full);
        assert_eq!(psi(text.as_bytes()), Some(read));
    }
    if let Some(stat) = proc_stat(data) {
        process(&stat);
    }
    if let Some(stat) = thread_stat(data) {
        let whole = proc_stat(data);
        assert!(whole.is_none_or(|whole| whole.start == stat.start), "{stat:?}");
    }
    if let Some(path) = proc_cgroup(data) {
        assert!(!path.contains('\n'));
        let printed = format!("1:name=systemd:/init.scope\n0::{path} (deleted)\n");
        assert_eq!(proc_cgroup(printed.as_bytes()), Some(path));
    }
    probe::check_lines(&String::from_utf8_lossy(data));
}

fn keyed(data: &[u8]) {
    let end = data.iter().position(|byte| b" :\n".contains(byte)).unwrap_or(data.len());
    let key = data.get(..end).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
    for key in [key, "usage_usec", "MemTotal"] {
        if let Some(value) = flat_keyed(data, key) {
            let alone = format!("{key} {value}\n");
            assert_eq!(flat_keyed(alone.as_bytes(), key), Some(value));
        }
        if let Some(value) = meminfo(data, key) {
            let alone = format!("{key}:        {value} kB\n");
            assert_eq!(meminfo(alone.as_bytes(), key), Some(value));
        }
    }
    for key in ["Uid:", "Gid:"] {
        if let Some(id) = effective_id(data, key) {
            let alone = format!("{key}\t0\t{id}\t0\t0\n");
            assert_eq!(effective_id(alone.as_bytes(), key), Some(id));
        }
    }
    if let Some(pid) = last_pid(data) {
        assert_eq!(last_pid(format!("0.00 0.01 0.05 1/108 {pid}\n").as_bytes()), Some(pid));
    }
}

fn lists(data: &[u8]) {
    let enabled = controllers(data);
    let words: Vec<&str> = enabled.iter().map(|controller| controller.word()).collect();
    assert_eq!(controllers(words.join(" ").as_bytes()), enabled);
    let listed: Vec<i32> = pids(data).collect();
    assert!(listed.iter().all(|pid| *pid > 0));
    let text: String = listed.iter().map(|pid| format!("{pid}\n")).collect();
    assert_eq!(pids(text.as_bytes()).collect::<Vec<_>>(), listed);
    let devices: Vec<_> = io_devices(data).collect();
    let text: String = devices.iter().map(|device| format!("{device} rbps=max\n")).collect();
    assert_eq!(io_devices(text.as_bytes()).collect::<Vec<_>>(), devices);
}

fn process(stat: &ProcStat) {
    assert!(!stat.comm.contains(char::is_control), "{:?}", stat.comm);
    let ProcStat { comm, state, parent, session, kernel_thread, start } = stat;
    let state = char::from(*state);
    let flags = u32::from(*kernel_thread) * 0x0020_0000;
    let printed = format!(
        "7 ({comm}) {state} {parent} 1 {session} 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 {start} 1 2"
    );
    // A state that is no ASCII letter prints as two bytes.
    if state.is_ascii_graphic() && state != ')' {
        assert_eq!(proc_stat(printed.as_bytes()).as_ref(), Some(stat));
    }
}

/// Any datagram of the process connector, of the gate's keeper and of who asks it.
///
/// # Panics
/// When a frame is taken for something that it does not hold.
pub fn frames(data: &[u8]) {
    proc_events::check_message(data);
    gate::check_frames(data);
}
