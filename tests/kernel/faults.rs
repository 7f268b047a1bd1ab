//! What goes wrong: full disks, read-only mounts, groups and processes that vanish, kernels that lack something.

use crate::common::{Agent, PATIENCE, World, cell, eventually, put, text, within};
use crate::daemon::{HOME, LIMITS, all_settings, by_cgroup, by_exe, lives_in, program, worker};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provost::kernel::{CgroupFs, write};
use provost::model::{Controller, FindingKind, Knob, Report, Severity};
use provost::units::Limit;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A mount that is gone when the test ends.
struct Mounted(PathBuf);

impl Mounted {
    fn small(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let size = Some("size=8m");
        mount(Some("tmpfs"), &folder, Some("tmpfs"), MsFlags::empty(), size).unwrap();
        Self(folder)
    }

    fn read_only(of: &Path, folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let none = None::<&str>;
        mount(Some(of), &folder, none, MsFlags::MS_BIND, none).unwrap();
        let mounted = Self(folder);
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, &mounted.0, none, flags, none).unwrap();
        mounted
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let filled = std::fs::write(&path, vec![1u8; 9 << 20]);
        assert_eq!(filled.unwrap_err().raw_os_error(), Some(Errno::ENOSPC as i32));
        path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn texts(report: &Report) -> String {
    report.findings.iter().map(|one| format!("{}: {}\n", one.severity, one.text)).collect()
}

#[test]
fn without_a_journal_nothing_is_enforced() {
    let Some(mut world) =
        World::new("full", &[Controller::Cpu, Controller::Memory, Controller::Pids])
    else {
        return;
    };
    // So many that what is to be remembered of them does not fit into the rest of a page.
    for number in 0..12 {
        let group = world.group(&format!("app-{number}"));
        world.sh(&group, "exec sleep 1000");
    }
    let before = all_settings(&world);
    // The homes of one component share its ceilings.
    let config = "[component.app]\nmatch = { cgroup = \"/test-full/app-*\" }\n\
                  cpu = { ceiling = \"0.6\" }\nmemory = { ceiling = \"400M\" }\n\
                  pids = { ceiling = 600 }\n";
    let mut agent = Agent::new(&world, "observe", config);
    let disk = Mounted::small(world.dir.join("disk"));
    agent.keep_state_in(&disk.0.join("state"));
    agent.start();
    let filler = disk.fill();
    agent.configure("enforce", config);
    assert_eq!(agent.say(&["reload"]).exit, 0);
    let told = within(Duration::from_secs(15), || {
        texts(&agent.status()).contains("No space left on device")
    });
    let report = agent.status();
    assert!(told, "{}\n{:?}\n{}", texts(&report), report.actions.last(), agent.log());
    assert!(report.enforcing);
    assert!(texts(&report).contains("nothing is changed on the host"), "{}", texts(&report));
    assert_eq!(all_settings(&world), before);
    std::fs::remove_file(filler).unwrap();
    let said = agent.say(&["enforce", "on"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let limit = world.file(&world.group("app-7"), "pids.max");
    eventually("with space it is enforced", || text(&limit) == "50");
    agent.settle();
    agent.end(Signal::SIGKILL);
    let said = agent.say(&["restore"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(all_settings(&world), before, "torn lines cost nothing: {}", said.out);
}

#[test]
fn a_full_disk_at_the_start_is_said() {
    let world = World::bare("full-start");
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    let disk = Mounted::small(world.dir.join("disk"));
    agent.keep_state_in(&disk.0.join("state"));
    disk.fill();
    let said = agent.say(&["start", "--duration", "1s"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(said.err.replace('\n', " ").contains("No space left on device"), "{said:?}");
    let said = agent.say(&["status"]);
    assert_eq!(said.exit, 3, "{said:?}");
}

#[test]
fn a_read_only_mount_refuses_writes() {
    let Some(world) = World::new("erofs", &[Controller::Pids]) else { return };
    let group = world.group("a");
    let mounted = Mounted::read_only(world.fs.mount(), world.dir.join("ro"));
    let fs = CgroupFs::open(&mounted.0).unwrap();
    let seen = fs.group(&group.at().path).unwrap();
    let error = write::knob(&seen, &Knob::PidsMax(Limit::At(3))).unwrap_err();
    assert_eq!(error.errno, Errno::EROFS);
    assert!(error.advice().contains("mounted read-only"), "{}", error.advice());
    assert_eq!(write::make(&seen, "b").unwrap_err().errno, Errno::EROFS);
    assert_eq!(put(&world.file(&group, "pids.max"), "3"), Ok(()), "the other mount");
}

#[test]
fn a_daemon_on_a_read_only_mount_says_so() {
    let needs = [Controller::Cpu, Controller::Memory, Controller::Pids];
    let Some(mut world) = World::new("readonly", &needs) else { return };
    let app = world.group("app");
    world.sh(&app, "exec sleep 1000");
    let pid = worker(&mut world);
    let before = all_settings(&world);
    let mut agent = Agent::new(&world, "enforce", &(by_cgroup(&app) + &by_exe(&world)));
    agent.mount_first(&format!("mount -o remount,bind,ro {}", world.fs.mount().display()));
    agent.start();
    let explained = |report: &Report, name: &str| {
        report.findings.iter().any(|finding| {
            let whose = finding.component.as_ref().is_some_and(|one| one.as_str() == name);
            whose && finding.text.contains("read-only")
        })
    };
    let told = within(Duration::from_secs(15), || {
        let report = agent.status();
        explained(&report, "app") && explained(&report, "worker")
    });
    let report = agent.status();
    assert!(told, "{}\n{:?}", texts(&report), report.actions);
    assert_eq!(all_settings(&world), before);
    assert!(lives_in(&world, pid, ""));
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
}

/// No defect and no refusal: what vanished is no fault.
fn is_calm(report: &Report) {
    let bad = [FindingKind::Bug, FindingKind::Refused, FindingKind::Lint];
    let found = report.findings.iter().find(|finding| bad.contains(&finding.kind));
    assert_eq!(found, None);
}

#[test]
fn groups_that_vanish_in_the_middle_are_no_fault() {
    let needs = [Controller::Cpu, Controller::Memory, Controller::Pids];
    let Some(mut world) = World::new("vanish", &needs) else { return };
    let config =
        format!("[component.app]\nmatch = {{ cgroup = \"/test-vanish/app-*\" }}\n{LIMITS}");
    let mut agent = Agent::new(&world, "enforce", &config);
    let stays = world.group("app-stays");
    world.sh(&stays, "exec sleep 1000");
    agent.start();
    let top = world.folder(&world.top());
    let churn = format!(
        "cd {}; n=0; while [ $n -lt 1000 ]; do n=$((n + 1)); mkdir app-$n; usleep 20000; rmdir app-$n; done",
        top.display()
    );
    let churner = world.loose(&churn);
    let began = Instant::now();
    let mut most = 0;
    while began.elapsed() < Duration::from_secs(12) {
        let report = agent.status();
        is_calm(&report);
        most = most.max(report.actions.len());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(most > 1, "none of them was ever in the daemon's hands");
    kill(Pid::from_raw(churner), Signal::SIGKILL).unwrap();
    world.wait(churner);
    for name in world.fs.children(&world.top().at().path).unwrap() {
        if name != "app-stays" {
            write::remove(&world.top(), &name).unwrap();
        }
    }
    // While there are several, they share the component's ceiling.
    let limit = world.file(&stays, "memory.max");
    let has_all = within(PATIENCE, || text(&limit) == "104857600");
    assert!(has_all, "it has {}\n{:#?}\n{}", text(&limit), agent.status(), agent.log());
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
}

#[test]
fn processes_that_die_on_the_way_are_no_fault() {
    let mut world = World::bare("dying");
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    agent.start();
    let stays = worker(&mut world);
    for number in 0..60u64 {
        let mut command = Command::new(program(&world));
        command.args(["-c", &format!("usleep {}; :", number * 1500)]);
        world.start(command);
        std::thread::sleep(Duration::from_millis(20));
        if number % 10 == 0 {
            is_calm(&agent.status());
        }
    }
    eventually("the one that lives is placed", || lives_in(&world, stays, HOME));
    std::thread::sleep(Duration::from_secs(1));
    let report = agent.status();
    is_calm(&report);
    println!("FIGURE dying: {:?}", report.escape);
    assert!(report.escape.placed > 0);
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
}

#[test]
fn what_the_host_lacks_is_said() {
    let mut world = World::bare("lacks");
    let pid = worker(&mut world);
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    let plan = agent.say(&["plan"]);
    assert_eq!(plan.exit, 0, "{plan:?}");
    agent.start();
    std::thread::sleep(Duration::from_secs(3));
    let report = agent.status();
    let said = texts(&report);
    println!("plan:\n{}\nstatus:\n{said}", plan.out);
    let bug = report.findings.iter().any(|finding| finding.kind == FindingKind::Bug);
    assert!(!bug, "{said}");
    let home = world.fs.mount().join(HOME);
    let doctor = agent.say(&["doctor"]);
    match cell().as_str() {
        "k61-nomem" => {
            assert!(said.contains("memory"), "{said}");
            assert!(plan.out.contains("memory"), "{}", plan.out);
            assert!(doctor.out.contains("memory"), "{}", doctor.out);
            assert!(lives_in(&world, pid, HOME), "the other limits hold\n{said}");
            assert_eq!(text(&home.join("pids.max")), "50");
        }
        "k61-hybrid" => {
            assert!(said.contains("v1") || said.contains("memory"), "{said}");
            assert!(doctor.out.contains("v1"), "{}", doctor.out);
        }
        _ => {
            let worst = report.findings.iter().map(|finding| finding.severity).max();
            assert!(worst < Some(Severity::Warning), "{said}");
            assert!(lives_in(&world, pid, HOME));
            assert_eq!(text(&home.join("memory.max")), "104857600");
        }
    }
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    assert!(lives_in(&world, pid, ""));
}

#[test]
fn psi_off_has_no_files() {
    let world = World::bare("psi");
    let there = Path::new("/proc/pressure").exists();
    assert_eq!(there, cell() != "k61-nopsi");
    let mut agent = Agent::new(&world, "enforce", &by_exe(&world));
    agent.start();
    is_calm(&agent.status());
    let doctor = agent.say(&["doctor"]).out;
    assert!(doctor.to_lowercase().contains("pressure") || doctor.contains("PSI"), "{doctor}");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
}

#[test]
fn a_v1_mount_takes_the_controller() {
    let world = World::bare("v1");
    let available = text(&world.fs.mount().join("cgroup.controllers"));
    let has = |word: &str| available.split(' ').any(|one| one == word);
    let hybrid = cell() == "k61-hybrid";
    assert_eq!(has("cpu"), !hybrid, "{available}");
    assert_eq!(has("memory"), !hybrid && cell() != "k61-nomem", "{available}");
    assert!(has("pids"), "{available}");
}
