//! Byte parsers for kernel files. They allocate nothing but what they return, skip unknown keys, and take missing lines and half lines as
//! normal input: a cgroup may be removed in the middle of a read.

use crate::model::{
    Controller, IoCount, MemoryEvents, MemoryStat, Psi, PsiLine, Sched, SchedPolicy, Usage,
};
use crate::units::{Bytes, CpuTime};
use std::collections::BTreeSet;

/// The value of `key` in a flat-keyed file (`cpu.stat`, `memory.events`, …).
#[must_use]
pub fn flat_keyed(text: &[u8], key: &str) -> Option<u64> {
    lines(text).find_map(|line| {
        let (name, value) = split_once(line, b' ')?;
        if name == key.as_bytes() { number(value) } else { None }
    })
}

/// The lines of a flat-keyed file that are numbers, in one pass.
fn flat_lines(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let (name, value) = split_once(line, b' ')?;
        Some((name, number(value)?))
    })
}

/// What `cpu.stat` says of use and throttling, into `usage`; what it does not say is missing there.
pub(super) fn cpu_stat(text: &[u8], usage: &mut Usage) {
    (usage.cpu, usage.throttled) = (None, None);
    (usage.periods, usage.throttled_periods) = (None, None);
    for (name, value) in flat_lines(text) {
        match name {
            b"usage_usec" => usage.cpu = Some(CpuTime(value)),
            b"throttled_usec" => usage.throttled = Some(CpuTime(value)),
            b"nr_periods" => usage.periods = Some(value),
            b"nr_throttled" => usage.throttled_periods = Some(value),
            _ => {}
        }
    }
}

/// `memory.events` or `memory.events.local`; none where a line is missing.
#[must_use]
pub fn memory_events(text: &[u8]) -> Option<MemoryEvents> {
    let (mut high, mut max, mut oom_kill) = (None, None, None);
    for (name, value) in flat_lines(text) {
        match name {
            b"high" => high = Some(value),
            b"max" => max = Some(value),
            b"oom_kill" => oom_kill = Some(value),
            _ => {}
        }
    }
    Some(MemoryEvents { high: high?, max: max?, oom_kill: oom_kill? })
}

/// What is needed of `memory.stat`; none where `anon` or `inactive_file` is missing.
#[must_use]
pub fn memory_stat(text: &[u8]) -> Option<MemoryStat> {
    let (mut anon, mut inactive_file) = (None, None);
    let (mut shmem, mut slab_unreclaimable) = (None, None);
    let (mut refault_anon, mut refault_file) = (None, None);
    for (name, value) in flat_lines(text) {
        match name {
            b"anon" => anon = Some(Bytes(value)),
            b"inactive_file" => inactive_file = Some(Bytes(value)),
            b"shmem" => shmem = Some(Bytes(value)),
            b"slab_unreclaimable" => slab_unreclaimable = Some(Bytes(value)),
            b"workingset_refault_anon" => refault_anon = Some(value),
            b"workingset_refault_file" => refault_file = Some(value),
            _ => {}
        }
    }
    let refaults = refault_anon.zip(refault_file).map(|(anon, file)| anon.saturating_add(file));
    Some(MemoryStat {
        anon: anon?,
        inactive_file: inactive_file?,
        shmem,
        slab_unreclaimable,
        refaults,
    })
}

/// `io.stat`, one entry per disk with counters, into `counts`, whose room is used again. Some kernels write several devices into one
/// line when the first ones have no counters; the last one owns them.
pub fn io_stat(text: &[u8], counts: &mut Vec<IoCount>) {
    counts.clear();
    counts.extend(lines(text).filter_map(io_count));
}

fn io_count(line: &[u8]) -> Option<IoCount> {
    let mut device = None;
    let mut values = [None; 4];
    for word in line.split(|byte| *byte == b' ') {
        let Some((key, value)) = split_once(word, b'=') else {
            let named = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
            device = named.or(device);
            continue;
        };
        let place =
            [&b"rbytes"[..], b"wbytes", b"rios", b"wios"].iter().position(|one| *one == key);
        if let Some(slot) = place.and_then(|place| values.get_mut(place)) {
            *slot = number(value);
        }
    }
    let [rbytes, wbytes, rios, wios] = values;
    Some(IoCount { device: device?, rbytes: rbytes?, wbytes: wbytes?, rios: rios?, wios: wios? })
}

/// How many tasks there are, from `/proc/loadavg`: the number after the slash.
#[must_use]
pub fn tasks(loadavg: &[u8]) -> Option<u64> {
    let running = loadavg.split(u8::is_ascii_whitespace).nth(3)?;
    number(split_once(running, b'/')?.1)
}

/// Time in which CPUs were not idle, in clock ticks over all CPUs, from the first line of `/proc/stat`: user, nice, system, irq, softirq
/// and steal. Waiting for disks is idle; guests are in user already.
#[must_use]
pub fn busy_ticks(stat: &[u8]) -> Option<u64> {
    let line = lines(stat).next()?.strip_prefix(b"cpu ")?;
    let fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let mut busy = 0u64;
    let mut seen = 0;
    for (place, field) in fields.take(8).enumerate() {
        let value = number(field)?;
        let idle = place == 3 || place == 4;
        busy = busy.saturating_add(if idle { 0 } else { value });
        seen += 1;
    }
    (seen == 8).then_some(busy)
}

/// A file with one number.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A pressure file. A kernel before 5.13 has no `full` line for the CPU; it then counts as zero.
#[must_use]
pub fn psi(text: &[u8]) -> Option<Psi> {
    let mut psi = Psi::default();
    let mut found = false;
    for line in lines(text) {
        let Some((kind, values)) = split_once(line, b' ') else {
            continue;
        };
        let Some(parsed) = psi_line(values) else {
            continue;
        };
        match kind {
            b"some" => psi.some = parsed,
            b"full" => psi.full = parsed,
            _ => continue,
        }
        found = true;
    }
    found.then_some(psi)
}

fn psi_line(values: &[u8]) -> Option<PsiLine> {
    let mut line = PsiLine::default();
    let mut has_total = false;
    for word in values.split(|byte| *byte == b' ') {
        let Some((key, value)) = split_once(word, b'=') else {
            continue;
        };
        match key {
            b"total" => {
                line.total_usec = number(value)?;
                has_total = true;
            }
            b"avg10" => line.avg10_centi = centi(value)?,
            _ => {}
        }
    }
    has_total.then_some(line)
}

/// `12.34` as 1234.
fn centi(value: &[u8]) -> Option<u32> {
    let (whole, fraction) = split_once(value, b'.')?;
    let whole = u32::try_from(number(whole)?).ok()?;
    let fraction = u32::try_from(number(fraction)?).ok().filter(|_| fraction.len() == 2)?;
    whole.checked_mul(100)?.checked_add(fraction)
}

/// `cgroup.controllers` or `cgroup.subtree_control`, as far as provost knows the controllers.
#[must_use]
pub fn controllers(text: &[u8]) -> BTreeSet<Controller> {
    let words: Vec<&[u8]> = text.split(u8::is_ascii_whitespace).collect();
    Controller::ALL
        .into_iter()
        .filter(|controller| words.contains(&controller.word().as_bytes()))
        .collect()
}

/// `cgroup.procs`: process numbers. A zero stands for a process of another process namespace and is left out.
pub fn pids(text: &[u8]) -> impl Iterator<Item = i32> + '_ {
    lines(text).filter_map(|line| i32::try_from(number(line)?).ok()).filter(|pid| *pid > 0)
}

/// The device numbers that have a line in `io.max`.
pub fn io_devices(text: &[u8]) -> impl Iterator<Item = crate::units::DeviceId> + '_ {
    lines(text).filter_map(|line| {
        let (device, _) = split_once(line, b' ')?;
        std::str::from_utf8(device).ok()?.parse().ok()
    })
}

/// What provost needs of `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcStat {
    /// The command name as the kernel has it, at most 15 bytes, made printable.
    pub comm: String,
    /// One letter: R, S, D, Z, …
    pub state: u8,
    /// The parent's number.
    pub parent: i32,
    /// The session's number.
    pub session: i32,
    /// Whether `PF_KTHREAD` is set.
    pub kernel_thread: bool,
    /// Start time in clock ticks since boot (field 22).
    pub start: u64,
}

/// `include/linux/sched.h`
const PF_KTHREAD: u64 = 0x0020_0000;

/// `/proc/PID/stat`. The command name may hold anything, `)` and newlines too, so it ends at the last `)`.
#[must_use]
pub fn proc_stat(text: &[u8]) -> Option<ProcStat> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let comm = String::from_utf8_lossy(text.get(open + 1..close)?);
    let mut fields =
        text.get(close + 1..)?.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty());
    let state = *fields.next()?.first()?;
    let parent = signed(fields.next()?)?;
    let session = signed(fields.nth(1)?)?;
    let flags = number(fields.nth(2)?)?;
    let start = number(fields.nth(12)?)?;
    let comm = printable(&comm);
    Some(ProcStat { comm, state, parent, session, kernel_thread: flags & PF_KTHREAD != 0, start })
}

/// A name as people may see it.
#[must_use]
pub fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What provost needs of `/proc/PID/task/TID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadStat<'a> {
    /// The thread's name as the kernel has it, at most 15 bytes.
    pub name: &'a [u8],
    /// Start time in clock ticks since boot (field 22).
    pub start: u64,
    /// CPU time that it used, in clock ticks (fields 14 and 15).
    pub ticks: u64,
    /// Real-time priority and policy (fields 40 and 41).
    pub sched: Sched,
}

/// `/proc/PID/task/TID/stat`, by the rules of [`proc_stat`].
#[must_use]
pub fn thread_stat(text: &[u8]) -> Option<ThreadStat<'_>> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let name = text.get(open + 1..close)?;
    let mut fields =
        text.get(close + 1..)?.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty());
    let user = number(fields.nth(11)?)?;
    let system = number(fields.next()?)?;
    let start = number(fields.nth(6)?)?;
    let priority = u8::try_from(number(fields.nth(17)?)?).ok()?;
    let policy = SchedPolicy::of_number(number(fields.next()?)?);
    let ticks = user.saturating_add(system);
    Some(ThreadStat { name, start, ticks, sched: Sched { policy, priority } })
}

fn signed(text: &[u8]) -> Option<i32> {
    match text.strip_prefix(b"-") {
        Some(digits) => Some(-i32::try_from(number(digits)?).ok()?),
        None => i32::try_from(number(text)?).ok(),
    }
}

/// The v2 path in `/proc/PID/cgroup`, without the mark of a removed group.
#[must_use]
pub fn proc_cgroup(text: &[u8]) -> Option<String> {
    let path = lines(text).find_map(|line| line.strip_prefix(b"0::"))?;
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    Some(String::from_utf8_lossy(path).into_owned())
}

/// `Name:   value kB` in `/proc/meminfo`, in KiB.
#[must_use]
pub fn meminfo(text: &[u8], key: &str) -> Option<u64> {
    lines(text).find_map(|line| {
        let (name, value) = split_once(line, b':')?;
        if name != key.as_bytes() {
            return None;
        }
        number(value.trim_ascii().split(|byte| *byte == b' ').next()?)
    })
}

/// The most recently created process number in `/proc/loadavg`.
#[must_use]
pub fn last_pid(loadavg: &[u8]) -> Option<u64> {
    number(loadavg.trim_ascii().rsplit(|byte| *byte == b' ').next()?)
}

/// The four numbers of an id line (`Uid:` or `Gid:`) in `/proc/PID/status`; the second is the effective one.
#[must_use]
pub fn effective_id(status: &[u8], key: &str) -> Option<u32> {
    let line = lines(status).find_map(|line| line.strip_prefix(key.as_bytes()))?;
    let mut ids = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    u32::try_from(number(ids.nth(1)?)?).ok()
}

/// The process number in a pid file. 0 and 1 are nobody's: a component is never PID 1.
#[must_use]
pub fn pid_file(text: &[u8]) -> Option<i32> {
    i32::try_from(number(text)?).ok().filter(|pid| *pid > 1)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..position)?, text.get(position + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cpu_stat_is_read_in_one_pass() {
        let mut usage = Usage::default();
        cpu_stat(
            b"usage_usec 9\nuser_usec 4\nnr_periods 3\nnr_throttled 2\nthrottled_usec 1\n",
            &mut usage,
        );
        let told = Usage {
            cpu: Some(CpuTime(9)),
            throttled: Some(CpuTime(1)),
            periods: Some(3),
            throttled_periods: Some(2),
            ..Usage::default()
        };
        assert_eq!(usage, told);
        cpu_stat(b"usage_usec torn\nuser_usec 4\n", &mut usage);
        assert_eq!(usage, Usage::default(), "what is not told is not what it was");
    }

    #[test]
    fn flat_keyed_files() {
        let stat = b"usage_usec 1234\nuser_usec 1000\nsystem_usec 234\nnr_throttled 5\nthrottled_usec 99\n";
        assert_eq!(flat_keyed(stat, "usage_usec"), Some(1234));
        assert_eq!(flat_keyed(stat, "throttled_usec"), Some(99));
        assert_eq!(flat_keyed(stat, "nr_bursts"), None);
        assert_eq!(flat_keyed(b"oom_kill", "oom_kill"), None, "a half line");
    }

    #[test]
    fn memory_files() {
        let events = b"low 0\nhigh 4\nmax 5\noom 9\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(memory_events(events), Some(MemoryEvents { high: 4, max: 5, oom_kill: 1 }));
        assert_eq!(memory_events(b"low 0\nhigh 4\nmax 5\noom 9\n"), None, "cut short");
        let stat = b"anon 4096\nfile 100\nshmem 8\ninactive_file 64\nslab_reclaimable 3\nslab_unreclaimable 5\nactive_file 36\nworkingset_refault_anon 2\nworkingset_refault_file 40\n";
        let expected = MemoryStat {
            anon: Bytes(4096),
            inactive_file: Bytes(64),
            shmem: Some(Bytes(8)),
            slab_unreclaimable: Some(Bytes(5)),
            refaults: Some(42),
        };
        assert_eq!(memory_stat(stat), Some(expected));
        let old = b"anon 1\ninactive_file 2\nworkingset_refault 7\n";
        assert_eq!(memory_stat(old).unwrap().refaults, None, "before 5.9");
    }

    #[test]
    fn disks_without_counters_are_left_out() {
        let text =
            b"8:16 8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n253:0 \n7:1 rbytes=5\n";
        let mut counts = Vec::new();
        io_stat(text, &mut counts);
        let device = crate::units::DeviceId { major: 8, minor: 0 };
        assert_eq!(counts, [IoCount { device, rbytes: 10, wbytes: 20, rios: 1, wios: 2 }]);
    }

    #[test]
    fn load_of_the_host() {
        assert_eq!(tasks(b"0.00 0.01 0.05 1/108 4242\n"), Some(108));
        assert_eq!(tasks(b"0.00 0.01\n"), None);
        let stat = b"cpu  10 1 5 900 50 2 3 4 7 0\ncpu0 10 1 5 900 50 2 3 4 7 0\n";
        assert_eq!(busy_ticks(stat), Some(25));
        assert_eq!(busy_ticks(b"cpu  10 1 5\n"), None);
    }

    #[test]
    fn pressure_with_and_without_full() {
        let text = b"some avg10=1.50 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.02 avg60=0.00 avg300=0.00 total=5\n";
        let psi = psi(text).unwrap();
        assert_eq!((psi.some.total_usec, psi.some.avg10_centi), (77, 150));
        assert_eq!((psi.full.total_usec, psi.full.avg10_centi), (5, 2));
        let old = super::psi(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n").unwrap();
        assert_eq!((old.some.total_usec, old.full.total_usec), (9, 0));
        assert_eq!(super::psi(b""), None);
    }

    #[test]
    fn a_command_name_may_hold_anything() {
        let text = b"812 (a) b\n(c) S 1 812 700 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2 3";
        let stat = proc_stat(text).unwrap();
        assert_eq!((stat.comm.as_str(), stat.parent, stat.session), ("a) b?(c", 1, 700));
        assert_eq!((stat.start, stat.kernel_thread, stat.state), (98765, false, b'S'));
        let kthread = b"60 (kswapd0) S 2 0 0 0 -1 2105408 0 0 0 0 0 0 0 0 20 0 1 0 33 0 0";
        assert!(proc_stat(kthread).unwrap().kernel_thread);
        assert_eq!(proc_stat(b"1 (x"), None);
    }

    #[test]
    fn a_thread_tells_its_policy_and_its_time() {
        let text = include_bytes!("../../fuzz/seeds/kernel/thread-stat");
        let stat = thread_stat(text).unwrap();
        assert_eq!((stat.name, stat.start, stat.ticks), (&b"engine-1"[..], 98765, 200));
        assert_eq!(stat.sched, Sched::rr(2));
        assert_eq!(thread_stat(b"812 (a) S 1 812 700 0 -1"), None);
    }

    #[test]
    fn paths_ids_and_lists() {
        assert_eq!(proc_cgroup(b"1:name=systemd:/x\n0::/a/b (deleted)\n").as_deref(), Some("/a/b"));
        assert_eq!(
            meminfo(b"MemTotal:       2014168 kB\nMemFree: 1 kB\n", "MemTotal"),
            Some(2_014_168)
        );
        assert_eq!(last_pid(b"0.00 0.01 0.05 1/108 4242\n"), Some(4242));
        assert_eq!(effective_id(b"Name:\tx\nUid:\t0\t1000\t0\t0\n", "Uid:"), Some(1000));
        assert_eq!(pids(b"1\n0\n22\nx\n").collect::<Vec<_>>(), [1, 22]);
        assert_eq!(controllers(b"cpuset cpu io memory hugetlb pids rdma\n").len(), 5);
        assert_eq!(controllers(b"cpuset\n"), [Controller::Cpuset].into());
    }

    proptest! {
        #[test]
        fn no_parser_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _read = (flat_keyed(&text, "a"), number(&text), psi(&text), proc_stat(&text));
            let _read = (proc_cgroup(&text), meminfo(&text, "A"), last_pid(&text), controllers(&text));
            let mut counts = Vec::new();
            io_stat(&text, &mut counts);
            let _thread = thread_stat(&text);
            let _read = (memory_stat(&text), memory_events(&text), tasks(&text), busy_ticks(&text));
            let _read = (effective_id(&text, "Uid:"), pids(&text).count(), io_devices(&text).count());
        }

        #[test]
        fn numbers_survive(value in any::<u64>()) {
            prop_assert_eq!(number(value.to_string().as_bytes()), Some(value));
        }
    }
}
