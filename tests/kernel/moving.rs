//! Moving processes: the right one, all of it, and nobody who must not be moved.

use crate::common::{World, eventually, keyed, linux, put, text};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provost::kernel::write::{self, MoveError, move_process};
use provost::model::{Controller, Knob};
use provost::units::{CgroupPath, Limit, ProcId};

#[test]
fn a_process_moves_with_its_identity_only() {
    let Some(mut world) = World::new("identity", &[Controller::Pids]) else { return };
    let group = world.group("a");
    let pid = world.loose("exec sleep 1000");
    let process = world.identity(pid);
    let from = world.proc.cgroup(pid).unwrap();
    let other = ProcId { start: process.start + 1, ..process };
    let refused = move_process(&world.fs, &world.proc, &group, other);
    assert_eq!(refused, Err(MoveError::Gone(other)));
    assert_eq!(world.proc.cgroup(pid), Some(from));
    move_process(&world.fs, &world.proc, &group, process).unwrap();
    assert_eq!(world.proc.cgroup(pid), Some(group.at().path.clone()));
    assert_eq!(group.procs().unwrap(), [pid]);
}

#[test]
fn kernel_threads_are_never_strays() {
    let Some(world) = World::new("kthread", &[Controller::Pids]) else { return };
    let group = world.group("a");
    let mut threads = 0;
    for pid in world.proc.pids() {
        let is_thread = world.proc.stat(pid).is_some_and(|stat| stat.kernel_thread);
        if !is_thread && pid != 1 {
            continue;
        }
        threads += u32::from(is_thread);
        let process = world.identity(pid);
        let answer = move_process(&world.fs, &world.proc, &group, process);
        assert_eq!(answer, Err(MoveError::Forbidden(process)));
    }
    assert!(threads > 10, "{threads} kernel threads");
    assert!(group.procs().unwrap().is_empty());
    // The kernel itself would have moved this one.
    let named = |pid: &i32| world.proc.stat(*pid).is_some_and(|stat| stat.comm == "kswapd0");
    let kswapd = world.proc.pids().into_iter().find(named).unwrap();
    let procs = world.file(&group, "cgroup.procs");
    put(&procs, &kswapd.to_string()).unwrap();
    assert_eq!(group.procs().unwrap(), [kswapd]);
    let root = world.fs.mount().join("cgroup.procs");
    put(&root, &kswapd.to_string()).unwrap();
}

#[test]
fn moving_a_zombie_does_nothing() {
    let Some(mut world) = World::new("moved-zombie", &[Controller::Pids]) else { return };
    let group = world.group("a");
    let pid = world.loose("exec sleep 1000");
    let process = world.identity(pid);
    let from = world.proc.cgroup(pid).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually("it is a zombie", || world.proc.stat(pid).is_some_and(|stat| stat.state == b'Z'));
    put(&world.file(&group, "cgroup.procs"), &pid.to_string()).unwrap();
    assert_eq!(world.proc.cgroup(pid), Some(from));
    let answer = move_process(&world.fs, &world.proc, &group, process);
    assert_eq!(answer, Err(MoveError::Gone(process)));
    world.wait(pid);
    let answer = move_process(&world.fs, &world.proc, &group, process);
    assert_eq!(answer, Err(MoveError::Gone(process)), "reaped");
}

#[test]
fn moving_into_a_cpuset_wipes_affinity_before_6_2() {
    let Some(mut world) = World::new("affinity", &[Controller::Cpuset]) else { return };
    let group = world.group("a");
    let pid = world.loose("exec sleep 1000");
    let process = world.identity(pid);
    let thread = Pid::from_raw(pid);
    let cpus = |thread: Pid| {
        let set = sched_getaffinity(thread).unwrap();
        (0..2).filter(|cpu| set.is_set(*cpu).unwrap()).collect::<Vec<usize>>()
    };
    let mut first = CpuSet::new();
    first.set(0).unwrap();
    sched_setaffinity(thread, &first).unwrap();
    assert_eq!(cpus(thread), [0]);
    put(&world.file(&group, "cgroup.procs"), &pid.to_string()).unwrap();
    let bare = if linux() < (6, 2) { vec![0, 1] } else { vec![0] };
    assert_eq!(cpus(thread), bare, "the bare write");
    put(&world.fs.mount().join("cgroup.procs"), &pid.to_string()).unwrap();
    sched_setaffinity(thread, &first).unwrap();
    move_process(&world.fs, &world.proc, &group, process).unwrap();
    assert_eq!(cpus(thread), [0], "provost's move");
}

#[test]
fn moves_ignore_pids_max() {
    let Some(mut world) = World::new("moved-pids", &[Controller::Pids]) else { return };
    let group = world.group("a");
    write::knob(&group, &Knob::PidsMax(Limit::At(1))).unwrap();
    for _ in 0..3 {
        let pid = world.loose("exec sleep 1000");
        move_process(&world.fs, &world.proc, &group, world.identity(pid)).unwrap();
    }
    assert_eq!(text(&world.file(&group, "pids.current")), "3");
}

#[test]
fn memory_does_not_follow_a_move() {
    let Some(mut world) = World::new("charge", &[Controller::Memory]) else { return };
    let (old, new) = (world.group("old"), world.group("new"));
    let script = "a=0123456789abcdef; while [ ${#a} -lt 16777216 ]; do a=$a$a; done; sleep 1000; :";
    let pid = world.sh(&old, script);
    let current = |group| text(&world.file(group, "memory.current")).parse::<u64>().unwrap();
    eventually("it has grown", || current(&old) > 16 << 20);
    eventually("it rests", || world.proc.stat(pid).is_some_and(|stat| stat.state == b'S'));
    let process = world.identity(pid);
    move_process(&world.fs, &world.proc, &new, process).unwrap();
    assert!(current(&old) > 16 << 20, "{}", current(&old));
    assert!(current(&new) < 4 << 20, "{}", current(&new));
}

#[test]
fn a_fork_storm_moves_completely() {
    let Some(mut world) = World::new("storm", &[Controller::Pids]) else { return };
    let (from, to) = (world.group("from"), world.group("to"));
    // Each generation ends after it has made the next; now and then a child stays.
    let storm = "s() { n=0; while [ $n -lt 60 ]; do n=$((n + 1)); sleep 1000 & sleep 0.01; done; wait; }; s";
    world.sh(&from, storm);
    eventually("the storm rises", || from.procs().unwrap().len() > 15);
    let mut passes = 0;
    let mut moved = 0;
    eventually("a pass finds nobody", || {
        passes += 1;
        let procs = from.procs().unwrap();
        for pid in &procs {
            let Some(process) = world.proc.identity(*pid) else { continue };
            match move_process(&world.fs, &world.proc, &to, process) {
                Ok(()) => moved += 1,
                Err(MoveError::Gone(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        procs.is_empty() && moved > 0
    });
    println!("FIGURE fork storm: {moved} moved in {passes} passes");
    assert!(!from.is_populated());
    eventually("children are born in the new group", || to.procs().unwrap().len() > 60);
    assert_eq!(keyed(&world.file(&from, "cgroup.events"), "populated"), 0);
    put(&world.file(&to, "cgroup.kill"), "1").unwrap();
}

#[test]
fn a_thread_id_moves_the_process() {
    let Some(world) = World::new("thread", &[Controller::Pids]) else { return };
    let group = world.group("a");
    // This process has two threads: libtest's and the test's.
    let own = i32::try_from(std::process::id()).unwrap();
    let threads = world.proc.threads(own);
    let other = threads.into_iter().find(|thread| *thread != own).unwrap();
    put(&world.file(&group, "cgroup.procs"), &other.to_string()).unwrap();
    assert_eq!(world.proc.cgroup(own), Some(group.at().path.clone()));
    assert_eq!(group.procs().unwrap(), [own]);
    let root = world.fs.group(&CgroupPath::root()).unwrap();
    move_process(&world.fs, &world.proc, &root, world.identity(own)).unwrap();
    assert_eq!(world.proc.cgroup(own), Some(CgroupPath::root()));
}
