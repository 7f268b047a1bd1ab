//! What gives way beside systemd: the cap is in the file alone, so that nothing of it is left, whatever ends it.

use crate::common::contend::{COMPONENTS, Contenders, STANDING};
use crate::common::unit::path;
use crate::common::world::{component, findings};
use crate::common::{Unit, World, disk, run, until};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn world() -> World {
    let world = World::enforce(COMPONENTS);
    world.settled(&["job"]);
    world
}

fn standings(status: &Value) -> Vec<String> {
    let homes = component(status, "job")["homes"].as_array().unwrap();
    let knobs = homes.iter().flat_map(|home| home["knobs"].as_array().unwrap());
    knobs.map(|knob| knob["standing"].as_str().unwrap().to_owned()).collect()
}

/// Nobody is taken for another writer of the job's knobs.
#[track_caller]
fn nobody_else_wrote(world: &World) {
    let status = world.status();
    let foreign = |text: &String| text.contains("another writer") || text.contains("contested");
    assert!(!standings(&status).iter().any(foreign), "{status:#}");
    assert!(!findings(&status).iter().any(|text| text.contains("somebody else")), "{status:#}");
}

/// Looks all the time whether a quota is open.
struct Watcher {
    opened: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watcher {
    fn of(file: PathBuf) -> Self {
        let (opened, over) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (seen, end) = (Arc::clone(&opened), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                if std::fs::read_to_string(&file).is_ok_and(|text| text.starts_with("max")) {
                    seen.store(true, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { opened, over, thread: Some(thread) }
    }

    fn opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_cap_is_in_the_file_alone() {
    let both = Contenders::start();
    let mut world = world();
    both.cap();
    both.systemd_was_not_told();
    world.stop();
    assert_eq!(both.quota(), "max 100000");
    assert_eq!(both.job.knob("memory.max").as_deref(), Some("max"));
    both.systemd_was_not_told();
    let control =
        both.job.dropins().into_iter().find(|file| file.starts_with("/run/systemd/system.control"));
    assert_eq!(control, None);
}

#[test]
fn a_cap_that_a_reload_resets_is_written_again() {
    let both = Contenders::start();
    let world = world();
    both.cap();
    let watcher = Watcher::of(path(&both.job.cgroup(), "cpu.max"));
    // From systemd 255 on, the next operation on any unit resets.
    for _ in 0..3 {
        run("systemctl", &["daemon-reload"]).ok();
        run("systemd-run", &["--quiet", "--wait", "--unit=test-nudge.service", "true"]).ok();
        std::thread::sleep(Duration::from_secs(2));
        if watcher.opened() {
            break;
        }
    }
    assert!(watcher.opened(), "systemd did not reset it: {}", both.quota());
    both.cap();
    nobody_else_wrote(&world);
    both.systemd_was_not_told();
}

#[test]
fn a_cap_is_adopted_after_a_kill() {
    let both = Contenders::start();
    let mut world = world();
    both.cap();
    world.kill();
    let left = both.quota();
    assert!(!left.starts_with("max"), "nothing changes by a kill alone: {left}");
    world.start();
    let status = world.settled(&["job"]);
    assert_eq!(status["drift"]["seen"], 0, "{status:#}");
    both.cap();
    nobody_else_wrote(&world);
    both.systemd_was_not_told();
    world.stop();
    assert_eq!(both.quota(), "max 100000", "by the first daemon's journal");
    both.systemd_was_not_told();
}

#[test]
fn a_cap_is_lifted_without_a_daemon_and_a_limit_stays() {
    let both = Contenders::start();
    let mut world = world();
    both.cap();
    let early = world.run(&["restore", "--temporary"]);
    assert_ne!(early.code, 0, "a daemon runs: {early:?}");
    world.kill();
    let preview = world.run(&["restore", "--temporary", "--dry-run"]).ok();
    assert!(preview.contains("cpu.max") && !preview.contains("memory.max"), "{preview}");
    let account = world.run(&["--json", "restore", "--temporary"]).json();
    let lines = account["account"].as_array().unwrap();
    let quota = lines.iter().find(|line| line["what"] == "cpu.max").expect("it is told");
    assert_eq!((&quota["result"], &quota["to"]), (&"done".into(), &"max".into()));
    assert_eq!(both.quota(), "max 100000");
    assert_eq!(both.job.knob("memory.max").as_deref(), Some(STANDING));
    assert_eq!(world.run(&["restore", "--temporary"]).ok(), "nothing to give back\n");
    world.run(&["restore"]).ok();
    until("the limit is given back", || {
        (both.job.knob("memory.max").as_deref() == Some("max")).then_some(())
    });
}

#[test]
fn what_somebody_else_set_instead_of_a_cap_is_left() {
    let both = Contenders::start();
    let mut world = world();
    both.cap();
    world.kill();
    std::fs::write(path(&both.job.cgroup(), "cpu.max"), "77000 100000").unwrap();
    let account = world.run(&["restore", "--temporary"]).ok();
    assert!(account.contains("somebody else set"), "{account}");
    assert_eq!(both.quota(), "77000 100000");
}

/// A slice whose disk is slow, gone with its limit when the test ends.
struct SlowSlice;

impl SlowSlice {
    const NAME: &str = "test-slow.slice";

    fn new() -> Self {
        let limit = format!("IOReadBandwidthMax={} 8M", disk());
        run("systemctl", &["set-property", "--runtime", Self::NAME, &limit]).ok();
        Self
    }
}

impl Drop for SlowSlice {
    fn drop(&mut self) {
        run("systemctl", &["revert", Self::NAME]);
        run("systemctl", &["stop", Self::NAME, "test.slice"]);
    }
}

#[test]
fn a_scan_leaves_a_reader_its_disk() {
    let _slice = SlowSlice::new();
    let reading = |name, block: &str| {
        let read = format!("dd if={} of=/dev/null bs={block} iflag=direct 2>/dev/null", disk());
        let script = format!("while :; do {read}; done & while :; do {read}; done");
        Unit::start(name, &["Slice=test-slow.slice"], &["sh", "-c", &script])
    };
    let (_db, scan) = (reading("test-db.service", "16k"), reading("test-scan.service", "1M"));
    let world = World::enforce(
        r#"
        [component.db]
        priority = "high"
        match = { unit = "test-db.service" }
        [component.scan]
        priority = "low"
        match = { unit = "test-scan.service" }
        "#,
    );
    until("the scan is limited", || {
        scan.knob("io.max").filter(|limits| limits.contains("rbps=")).map(drop)
    });
    let told = world.run(&["explain", "scan"]).ok();
    assert!(told.contains("gives way"), "{told}");
    assert_eq!(scan.show("IOReadBandwidthMax"), "", "in the file alone");
    drop(world);
    assert_eq!(scan.knob("io.max").as_deref().unwrap_or_default(), "", "given back");
}
