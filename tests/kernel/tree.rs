//! The tree: controllers go from the top down, groups have identities, processes live in leaves.

use crate::common::{World, eventually, put, text};
use nix::errno::Errno;
use provost::kernel::write;
use provost::model::{Controller, KnobKind, Reading};

#[test]
fn enabling_needs_the_parent_first() {
    let Some(world) = World::new("topdown", &[Controller::Pids]) else { return };
    let group = world.group("a");
    let error = write::enable(&group, &[Controller::Memory].into()).unwrap_err();
    assert_eq!(error.errno, Errno::ENOENT);
    assert!(error.advice().contains("parent"), "{}", error.advice());
    write::enable(&group, &[Controller::Pids].into()).unwrap();
}

#[test]
fn enabling_is_atomic() {
    let Some(world) = World::new("atomic", &[Controller::Pids]) else { return };
    let group = world.group("a");
    let file = world.file(&group, "cgroup.subtree_control");
    assert_eq!(put(&file, "+pids +nonsense"), Err(Errno::EINVAL));
    assert_eq!(text(&file), "");
    let both = [Controller::Memory, Controller::Pids].into();
    assert_eq!(write::enable(&group, &both).unwrap_err().errno, Errno::ENOENT);
    assert_eq!(text(&file), "pids", "what can be had is had");
}

#[test]
fn memory_refuses_inner_processes() {
    let Some(mut world) = World::new("inner", &[Controller::Memory, Controller::Io]) else {
        return;
    };
    let group = world.group("a");
    world.sh(&group, "exec sleep 1000");
    let file = world.file(&group, "cgroup.subtree_control");
    assert_eq!(put(&file, "+memory"), Err(Errno::EBUSY));
    assert_eq!(put(&file, "+io"), Err(Errno::EBUSY));
    let error = write::enable(&group, &[Controller::Memory].into()).unwrap_err();
    assert!(error.advice().contains("processes live in the group"), "{}", error.advice());
}

#[test]
fn threaded_controllers_turn_a_populated_group_threaded() {
    let wanted = [Controller::Cpu, Controller::Pids, Controller::Cpuset];
    let Some(mut world) = World::new("threaded", &wanted) else { return };
    let group = world.group("a");
    write::make(&group, "child").unwrap();
    world.sh(&group, "exec sleep 1000");
    put(&world.file(&group, "cgroup.subtree_control"), "+pids").unwrap();
    assert_eq!(text(&world.file(&group, "cgroup.type")), "domain threaded");
    assert_eq!(text(&world.file(&group, "child/cgroup.type")), "domain invalid");
}

#[test]
fn toggling_a_controller_resets_values() {
    let Some(world) = World::new("toggle", &[Controller::Pids]) else { return };
    let group = world.group("a");
    put(&world.file(&group, "pids.max"), "42").unwrap();
    let control = world.file(&world.top(), "cgroup.subtree_control");
    put(&control, "-pids").unwrap();
    assert_eq!(group.knob(KnobKind::PidsMax), Reading::Absent);
    put(&control, "+pids").unwrap();
    assert_eq!(text(&world.file(&group, "pids.max")), "max");
}

#[test]
fn inner_groups_refuse_processes() {
    let Some(mut world) = World::new("refuse", &[Controller::Memory]) else { return };
    let pid = world.loose("exec sleep 1000");
    let answer = put(&world.file(&world.top(), "cgroup.procs"), &pid.to_string());
    assert_eq!(answer, Err(Errno::EBUSY));
}

#[test]
fn a_remade_group_is_another_group() {
    let Some(world) = World::new("remade", &[Controller::Memory]) else { return };
    let group = world.group("a");
    write::remove(&world.top(), "a").unwrap();
    assert_eq!(group.knob(KnobKind::MemoryMax), Reading::Gone::<provost::model::Knob>);
    assert!(group.read("memory.current").unwrap_err().is_gone());
    let again = world.group("a");
    assert_eq!(again.at().path, group.at().path);
    assert_ne!(again.id(), group.id());
    assert!(!matches!(group.knob(KnobKind::MemoryMax), Reading::Is(_)), "never the new one's");
    let error = write::knob(&group, &KnobKind::MemoryMax.kernel_default()).unwrap_err();
    assert_eq!(error.errno, Errno::ENODEV);
    assert!(group.is_removed() && !again.is_removed());
}

#[test]
fn an_open_file_of_a_removed_group_answers_enodev() {
    let Some(world) = World::new("enodev", &[Controller::Memory]) else { return };
    let group = world.group("a");
    let held = std::fs::File::open(world.file(&group, "memory.current")).unwrap();
    write::remove(&world.top(), "a").unwrap();
    let mut buffer = [0u8; 64];
    let answer = std::os::unix::fs::FileExt::read_at(&held, &mut buffer, 0);
    assert_eq!(answer.unwrap_err().raw_os_error(), Some(Errno::ENODEV as i32));
}

#[test]
fn a_group_with_zombies_can_be_removed() {
    let Some(mut world) = World::new("zombie", &[Controller::Pids]) else { return };
    let group = world.group("a");
    let pid = world.sh(&group, "exec sleep 1000");
    let error = write::remove(&world.top(), "a").unwrap_err();
    assert_eq!(error.errno, Errno::EBUSY);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    eventually("it is a zombie", || world.proc.stat(pid).is_some_and(|stat| stat.state == b'Z'));
    write::remove(&world.top(), "a").unwrap();
    assert_eq!(world.wait(pid), -9);
}
