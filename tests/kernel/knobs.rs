//! Every knob is written and read back, and the refusals that the code depends on are what it takes them for.

use crate::common::{World, disk, disk_id, eventually, linux, put, text};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use provost::kernel::poll::Watch;
use provost::kernel::write;
use provost::model::{Controller, IoMax, Knob, KnobKind, Partition, Reading, Validity};
use provost::units::{Bytes, CpuMax, CpuSet, CpuTime, Limit, Weight};
use std::path::Path;

const PAGE: Bytes = Bytes(4096);

fn quota(micros: u64) -> Knob {
    Knob::CpuMax(CpuMax { quota: Limit::At(CpuTime(micros)), period: CpuMax::DEFAULT_PERIOD })
}

#[test]
fn every_knob_is_written_and_read_back() {
    let Some(world) = World::new("every", &Controller::ALL) else { return };
    let group = world.group("a");
    let odd = |mebi: u64| Limit::At(Bytes(Bytes::mebi(mebi).0 + 1234));
    let device = disk_id();
    let limits = IoMax {
        rbps: Limit::At(Bytes(1_000_001)),
        wbps: Limit::Max,
        riops: Limit::Max,
        wiops: Limit::At(77),
    };
    let knobs = [
        Knob::CpuWeight(Weight::clamped(777)),
        quota(50_000),
        Knob::CpuMaxBurst(CpuTime(20_000)),
        // What a partition needs besides is in parting.rs.
        Knob::CpusetPartition(Partition::Member, Validity::Valid),
        Knob::CpusetExclusive(CpuSet::of([1])),
        Knob::CpusetCpus(CpuSet::of([1])),
        Knob::MemoryMin(odd(4)),
        Knob::MemoryLow(odd(8)),
        Knob::MemoryHigh(odd(100)),
        Knob::MemoryMax(odd(120)),
        Knob::MemorySwapMax(odd(10)),
        Knob::MemoryOomGroup(true),
        Knob::CgroupFreeze(true),
        Knob::IoWeight(Weight::clamped(55)),
        Knob::IoBfqWeight(Weight::clamped(55)),
        Knob::PidsMax(Limit::At(33)),
        Knob::IoMax(device, limits.into()),
    ];
    let is_there = |kind| kind != KnobKind::CpusetExclusive || linux() >= (6, 7);
    for kind in KnobKind::SINGLE {
        assert!(knobs.iter().any(|knob| knob.kind() == kind), "{kind} is not tried");
        let default = Reading::Is(kind.kernel_default());
        let expected = if is_there(kind) { default } else { Reading::Absent };
        assert_eq!(group.knob(kind), expected, "{kind} of a new group");
    }
    for knob in knobs.iter().filter(|knob| is_there(knob.kind())) {
        write::knob(&group, knob).unwrap();
        assert_eq!(group.knob(knob.kind()), Reading::Is(knob.as_kernel_keeps(PAGE)), "{knob:?}");
    }
    let read = group.knobs(&group.controllers(), &[]);
    assert_eq!(read.len(), knobs.len(), "{read:?}");
    for knob in knobs.iter().filter(|knob| is_there(knob.kind())) {
        let default = knob.kind().kernel_default();
        write::knob(&group, &default).unwrap();
        assert_eq!(group.knob(knob.kind()), Reading::Is(default), "{knob:?} back");
    }
}

#[test]
fn memory_values_are_rounded_to_pages() {
    let Some(world) = World::new("pages", &[Controller::Memory]) else { return };
    let group = world.group("a");
    write::knob(&group, &Knob::MemoryMax(Limit::At(Bytes(1_000_000_007)))).unwrap();
    assert_eq!(text(&world.file(&group, "memory.max")), (1_000_000_007 / 4096 * 4096).to_string());
}

#[test]
fn a_newline_is_zero() {
    let Some(world) = World::new("newline", &[Controller::Memory]) else { return };
    let group = world.group("a");
    let file = world.file(&group, "memory.high");
    put(&file, "\n").unwrap();
    assert_eq!(text(&file), "0");
    for limit in [Limit::Max, Limit::At(Bytes::ZERO)] {
        for knob in [Knob::MemoryHigh(limit), Knob::MemoryMax(limit)] {
            assert!(!knob.render().trim().is_empty(), "{knob:?} would be written as nothing");
        }
    }
}

#[test]
fn create_flag_hides_a_missing_knob() {
    let Some(world) = World::new("creat", &[Controller::Pids]) else { return };
    let group = world.group("a");
    let missing = KnobKind::MemoryMax.kernel_default();
    assert_eq!(write::knob(&group, &missing).unwrap_err().errno, Errno::ENOENT);
    assert_eq!(group.knob(KnobKind::MemoryMax), Reading::Absent);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT;
    let file = world.file(&group, "memory.max");
    let opened = nix::fcntl::open(&file, flags, Mode::from_bits_truncate(0o600));
    assert_eq!(opened.unwrap_err(), Errno::EACCES);
}

#[test]
fn each_write_is_a_whole_value() {
    let Some(world) = World::new("whole", &[Controller::Pids]) else { return };
    let file = world.file(&world.group("a"), "pids.max");
    put(&file, "12").unwrap();
    put(&file, "3").unwrap();
    assert_eq!(text(&file), "3");
    assert_eq!(put(&file, &"9".repeat(4097)), Err(Errno::E2BIG));
}

#[test]
fn cpu_max_has_bounds() {
    let Some(world) = World::new("bounds", &[Controller::Cpu]) else { return };
    let file = world.file(&world.group("a"), "cpu.max");
    for bad in ["999 100000", "1000 999", "1000 1000001", "0 100000"] {
        assert_eq!(put(&file, bad), Err(Errno::EINVAL), "{bad}");
    }
    for good in ["1000 1000", "1000 1000000", "max 100000"] {
        put(&file, good).unwrap();
        assert_eq!(text(&file), good);
    }
}

#[test]
fn cpu_max_ignores_a_tail() {
    let Some(world) = World::new("tail", &[Controller::Cpu]) else { return };
    let file = world.file(&world.group("a"), "cpu.max");
    put(&file, "50000 100000 and more").unwrap();
    assert_eq!(text(&file), "50000 100000");
}

#[test]
fn cpu_weight_has_bounds() {
    let Some(world) = World::new("weight", &[Controller::Cpu]) else { return };
    let group = world.group("a");
    let file = world.file(&group, "cpu.weight");
    for bad in ["0", "10001"] {
        assert_eq!(put(&file, bad), Err(Errno::ERANGE), "{bad}");
    }
    for extreme in [Weight::MIN, Weight::MAX, Weight::clamped(0), Weight::clamped(98_000)] {
        write::knob(&group, &Knob::CpuWeight(extreme)).unwrap();
        assert_eq!(group.knob(KnobKind::CpuWeight), Reading::Is(Knob::CpuWeight(extreme)));
    }
}

#[test]
fn idle_groups_have_no_weight() {
    let Some(world) = World::new("idle", &[Controller::Cpu]) else { return };
    let group = world.group("a");
    put(&world.file(&group, "cpu.idle"), "1").unwrap();
    let shown = text(&world.file(&group, "cpu.weight"));
    assert_eq!(shown, if linux() < (6, 12) { "0" } else { "1" });
    assert_eq!(group.knob(KnobKind::CpuWeight), Reading::Is(Knob::CpuWeight(Weight::IDLE)));
    assert_eq!(put(&world.file(&group, "cpu.weight"), "7"), Err(Errno::EINVAL), "the bare write");
    // Who is idle no more has the default weight, whatever it had before.
    put(&world.file(&group, "cpu.idle"), "0").unwrap();
    put(&world.file(&group, "cpu.weight"), "7").unwrap();
    put(&world.file(&group, "cpu.idle"), "1").unwrap();
    put(&world.file(&group, "cpu.idle"), "0").unwrap();
    assert_eq!(text(&world.file(&group, "cpu.weight")), "100");
    for weight in [Weight::IDLE, Weight::clamped(7), Weight::IDLE, Weight::MIN, Weight::DEFAULT] {
        let knob = Knob::CpuWeight(weight);
        write::knob(&group, &knob).unwrap();
        assert_eq!(group.knob(KnobKind::CpuWeight), Reading::Is(knob));
    }
}

#[test]
fn burst_blocks_lowering_the_quota() {
    let Some(world) = World::new("burst", &[Controller::Cpu]) else { return };
    let group = world.group("a");
    write::knob(&group, &quota(80_000)).unwrap();
    let too_much = Knob::CpuMaxBurst(CpuTime(80_001));
    assert_eq!(write::knob(&group, &too_much).unwrap_err().errno, Errno::EINVAL);
    write::knob(&group, &Knob::CpuMaxBurst(CpuTime(80_000))).unwrap();
    let file = world.file(&group, "cpu.max");
    assert_eq!(put(&file, "40000 100000"), Err(Errno::EINVAL), "the bare write");
    write::knob(&group, &quota(40_000)).unwrap();
    assert_eq!(group.knob(KnobKind::CpuMax), Reading::Is(quota(40_000)));
    assert_eq!(group.knob(KnobKind::CpuMaxBurst), Reading::Is(Knob::CpuMaxBurst(CpuTime(0))));
}

#[test]
fn cpusets_take_offline_cpus() {
    let Some(world) = World::new("offline", &[Controller::Cpuset]) else { return };
    let group = world.group("a");
    let unknown = Knob::CpusetCpus(CpuSet::of([0, 8_000]));
    assert_eq!(write::knob(&group, &unknown).unwrap_err().errno, Errno::ERANGE);
    let online = Path::new("/sys/devices/system/cpu/cpu1/online");
    put(online, "0").unwrap();
    let both = Knob::CpusetCpus(CpuSet::of([0, 1]));
    let written = write::knob(&group, &both);
    let effective = text(&world.file(&group, "cpuset.cpus.effective"));
    put(online, "1").unwrap();
    written.unwrap();
    assert_eq!(effective, "0");
    assert_eq!(group.knob(KnobKind::CpusetCpus), Reading::Is(both));
}

#[test]
fn a_populated_group_may_lose_its_cpu_list_since_7() {
    let Some(mut world) = World::new("empty", &[Controller::Cpuset]) else { return };
    let group = world.group("a");
    write::knob(&group, &Knob::CpusetCpus(CpuSet::of([0]))).unwrap();
    world.sh(&group, "exec sleep 1000");
    let emptied = write::knob(&group, &Knob::CpusetCpus(CpuSet::default()));
    let answer = emptied.map_err(|error| error.errno);
    let expected = if linux() < (7, 0) { Err(Errno::ENOSPC) } else { Ok(()) };
    assert_eq!(answer, expected, "Linux {:?}", linux());
}

#[test]
fn io_max_refuses_partitions() {
    let Some(world) = World::new("partition", &[Controller::Io]) else { return };
    let group = world.group("a");
    let whole = disk_id();
    let partition = std::path::PathBuf::from(format!("{}1", disk().display()));
    let number = nix::sys::stat::stat(&partition).unwrap().st_rdev;
    let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
    let line = format!("{major}:{minor} wbps=1048576");
    assert_eq!(put(&world.file(&group, "io.max"), &line), Err(Errno::ENODEV));
    let found = provost::kernel::devices::behind(Path::new("/sys"), &partition).unwrap();
    assert_eq!(found, [whole], "the partition leads to its disk");
}

#[test]
fn io_max_suffixes_are_dangerous() {
    let Some(world) = World::new("suffix", &[Controller::Io]) else { return };
    let file = world.file(&world.group("a"), "io.max");
    let answer = put(&file, &format!("{} rbps=1M", disk_id()));
    if linux() < (7, 2) {
        assert_eq!(answer, Err(Errno::EINVAL));
    } else {
        assert_eq!(answer, Ok(()));
        assert!(text(&file).contains("rbps=1 "), "{}", text(&file));
    }
}

#[test]
fn io_max_takes_one_device_per_write() {
    let Some(world) = World::new("one-device", &[Controller::Io]) else { return };
    let file = world.file(&world.group("a"), "io.max");
    let line = format!("{} rbps=1048576", disk_id());
    assert_eq!(put(&file, &format!("{line}\n{line}")), Err(Errno::EINVAL));
    put(&file, &line).unwrap();
}

#[test]
fn an_unlimited_device_has_no_line() {
    let Some(world) = World::new("no-line", &[Controller::Io]) else { return };
    let group = world.group("a");
    let kind = KnobKind::IoMax(disk_id());
    let slow = IoMax { wbps: Limit::At(Bytes::mebi(1)), ..IoMax::UNLIMITED };
    write::knob(&group, &Knob::IoMax(disk_id(), slow.into())).unwrap();
    let line = format!("{} rbps=max wbps=1048576 riops=max wiops=max", disk_id());
    assert_eq!(text(&world.file(&group, "io.max")), line);
    write::knob(&group, &kind.kernel_default()).unwrap();
    assert_eq!(text(&world.file(&group, "io.max")), "");
    assert_eq!(group.knob(kind), Reading::Is(kind.kernel_default()));
}

#[test]
fn a_foreign_write_is_heard() {
    let Some(world) = World::new("heard", &[Controller::Memory]) else { return };
    let group = world.group("a");
    let mut watch = Watch::new().unwrap();
    watch.add(world.fs.mount(), &group.at().path);
    assert!(watch.read().is_empty());
    put(&world.file(&group, "memory.max"), "104857600").unwrap();
    let expected = (group.at().path.clone(), "memory.max".to_owned());
    let mut heard = Vec::new();
    eventually("the write is heard", || {
        heard.extend(watch.read());
        heard.contains(&expected)
    });
    // What is merely read says nothing.
    let _read = text(&world.file(&group, "memory.high"));
    assert!(watch.read().is_empty());
}

#[test]
fn min_beyond_ram_is_accepted() {
    let Some(world) = World::new("beyond", &[Controller::Memory]) else { return };
    let group = world.group("a");
    let much = Knob::MemoryMin(Limit::At(Bytes::mebi(1 << 20)));
    write::knob(&group, &much).unwrap();
    assert_eq!(group.knob(KnobKind::MemoryMin), Reading::Is(much));
}
