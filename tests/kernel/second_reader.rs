//! Another program's eyes: cgroups-rs reads what provost wrote, and provost reads what cgroups-rs wrote.

use crate::common::World;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, MaxValue, hierarchies};
use provost::kernel::write;
use provost::model::{Controller, Knob, KnobKind, Reading};
use provost::units::{Bytes, CpuMax, CpuTime, Limit, Weight};

const NEEDS: [Controller; 3] = [Controller::Cpu, Controller::Memory, Controller::Pids];

#[test]
fn cgroups_rs_reads_what_provost_wrote() {
    let Some(world) = World::new("reads", &NEEDS) else { return };
    let group = world.group("a");
    let max = CpuMax { quota: Limit::At(CpuTime(30_000)), period: CpuTime(60_000) };
    for knob in [
        Knob::MemoryMax(Limit::At(Bytes::mebi(96))),
        Knob::PidsMax(Limit::At(321)),
        Knob::CpuWeight(Weight::clamped(250)),
        Knob::CpuMax(max),
    ] {
        write::knob(&group, &knob).unwrap();
    }
    let other = Cgroup::load(hierarchies::auto(), group.at().path.as_str());
    let memory: &MemController = other.controller_of().unwrap();
    assert_eq!(memory.memory_stat().limit_in_bytes, 96 << 20);
    let pids: &PidController = other.controller_of().unwrap();
    assert_eq!(pids.get_pid_max().unwrap(), MaxValue::Value(321));
    let cpu: &CpuController = other.controller_of().unwrap();
    assert_eq!(cpu.shares().unwrap(), 250);
    assert_eq!(cpu.cfs_quota().unwrap(), 30_000);
    assert_eq!(cpu.cfs_period().unwrap(), 60_000);
}

#[test]
fn provost_reads_what_cgroups_rs_wrote() {
    let Some(world) = World::new("written", &NEEDS) else { return };
    let group = world.group("a");
    let other = Cgroup::load(hierarchies::auto(), group.at().path.as_str());
    let memory: &MemController = other.controller_of().unwrap();
    memory.set_limit(64 << 20).unwrap();
    let pids: &PidController = other.controller_of().unwrap();
    pids.set_pid_max(MaxValue::Value(77)).unwrap();
    let cpu: &CpuController = other.controller_of().unwrap();
    cpu.set_shares(900).unwrap();
    cpu.set_cfs_quota_and_period(Some(25_000), Some(50_000)).unwrap();
    let max = CpuMax { quota: Limit::At(CpuTime(25_000)), period: CpuTime(50_000) };
    for (kind, value) in [
        (KnobKind::MemoryMax, Knob::MemoryMax(Limit::At(Bytes::mebi(64)))),
        (KnobKind::PidsMax, Knob::PidsMax(Limit::At(77))),
        (KnobKind::CpuWeight, Knob::CpuWeight(Weight::clamped(900))),
        (KnobKind::CpuMax, Knob::CpuMax(max)),
    ] {
        assert_eq!(group.knob(kind), Reading::Is(value));
    }
    pids.set_pid_max(MaxValue::Max).unwrap();
    assert_eq!(group.knob(KnobKind::PidsMax), Reading::Is(Knob::PidsMax(Limit::Max)));
}
