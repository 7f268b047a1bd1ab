//! Memory that yields gives way to what is protected, and is given back: with a phase without provost in the same boot.

use crate::common::{Agent, World, disk, eventually, keyed, put, text, within};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use provost::kernel::Group;
use provost::model::Controller;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is left available before anything starts, in MiB: less than the two need together.
const AVAILABLE: u64 = 260;
/// What the protected reader reads again and again, and what the job reads.
const KEPT: u64 = 80;
const READ: u64 = 240;
/// What the job takes that cannot be reclaimed.
const TAKEN: u64 = 200;

/// A protected reader of a file that it needs again and again, and a job that reads all of a disk: both in page cache.
pub(crate) struct Stage {
    pub(crate) world: World,
    web: Group,
    job: Group,
    files: PathBuf,
}

impl Stage {
    pub(crate) fn new(name: &str) -> Option<Self> {
        let world = World::new(name, &[Controller::Memory, Controller::Io])?;
        let files = world.dir.join("files");
        std::fs::create_dir_all(&files).unwrap();
        let partition = format!("{}1", disk().display());
        mount(Some(partition.as_str()), &files, Some("ext4"), MsFlags::empty(), None::<&str>)
            .unwrap();
        let (web, job) = (world.group("web"), world.group("job"));
        let stage = Self { world, web, job, files };
        write_file(&stage.files.join("kept"), KEPT);
        put(&PathBuf::from("/proc/sys/vm/drop_caches"), "3").unwrap();
        // Files of the guest's root lie in memory, out of everybody's reach.
        let available = keyed_in_kibi("MemAvailable") >> 10;
        write_file(&stage.world.dir.join("ballast"), available.saturating_sub(AVAILABLE));
        println!(
            "FIGURE crowding: {} MiB in all, {available} available, {} left",
            keyed_in_kibi("MemTotal") >> 10,
            keyed_in_kibi("MemAvailable") >> 10
        );
        Some(stage)
    }

    pub(crate) fn components(&self) -> String {
        let component = |name: &str, keys: &str, group: &Group| {
            let path = &group.at().path;
            format!("[component.{name}]\n{keys}\nmatch = {{ cgroup = \"/{path}\" }}\n")
        };
        component("web", "priority = \"high\"", &self.web)
            + &component("job", "yields = true", &self.job)
    }

    fn start_web(&mut self) {
        let (file, count) = (self.files.join("kept"), self.count());
        let script = format!(
            "while :; do cat {} >/dev/null; echo >>{}; done",
            file.display(),
            count.display()
        );
        self.world.sh(&self.web, &script);
    }

    /// Starts the reader, and waits until all that it needs was there.
    fn settle_web(&mut self) {
        let before = self.passes();
        self.start_web();
        eventually("the file is read twice", || self.passes() >= before + 2);
    }

    /// Reads all of the disk, again and again.
    pub(crate) fn start_job(&mut self) {
        let script = format!(
            "while :; do dd if={} of=/dev/null bs=1M count={READ} 2>/dev/null; done",
            disk().display()
        );
        self.world.sh(&self.job, &script);
    }

    /// Holds so much anonymous memory and touches all of it, again and again.
    fn start_hog(&mut self) {
        let script = format!("exec dd if=/dev/zero of=/dev/null bs={TAKEN}M");
        self.world.sh(&self.job, &script);
    }

    pub(crate) fn stop_job(&self) {
        put(&self.world.file(&self.job, "cgroup.kill"), "1").unwrap();
    }

    fn count(&self) -> PathBuf {
        self.world.dir.join("passes")
    }

    fn passes(&self) -> usize {
        std::fs::read(self.count()).map_or(0, |passes| passes.len())
    }

    /// How often a second the file is read, and what part of the time the reader waits for memory.
    fn serves(&self, period: Duration) -> (f64, f64) {
        let (began, passes, before) = (Instant::now(), self.passes(), self.stalled());
        std::thread::sleep(period);
        let took = began.elapsed();
        let rate = (self.passes() - passes) as f64 / took.as_secs_f64();
        (rate, (self.stalled() - before) as f64 / took.as_micros() as f64)
    }

    /// For how many microseconds the reader has waited for memory so far.
    pub(crate) fn stalled(&self) -> u64 {
        let text = text(&self.world.file(&self.web, "memory.pressure"));
        let some = text.lines().next().unwrap().rsplit_once("total=").unwrap().1;
        some.parse().unwrap()
    }

    /// Holds so much anonymous memory, in MiB, in the place of the reader.
    pub(crate) fn hold(&mut self, mebi: u64) {
        let script = format!("exec dd if=/dev/zero of=/dev/null bs={mebi}M");
        self.world.sh(&self.web, &script);
    }

    /// How much memory whoever is in the place of the reader has, in MiB.
    pub(crate) fn held(&self) -> u64 {
        text(&self.world.file(&self.web, "memory.current")).parse::<u64>().unwrap() >> 20
    }

    /// Ends both, and nothing is left of what they read.
    pub(crate) fn clear(&self) {
        for group in [&self.web, &self.job] {
            put(&self.world.file(group, "cgroup.kill"), "1").unwrap();
        }
        put(&PathBuf::from("/proc/sys/vm/drop_caches"), "3").unwrap();
    }

    pub(crate) fn high(&self) -> String {
        text(&self.world.file(&self.job, "memory.high"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(self.world.dir.join("ballast"));
        for group in [&self.web, &self.job] {
            let _ended = put(&self.world.file(group, "cgroup.kill"), "1");
        }
        let _gone = std::fs::remove_file(self.files.join("kept"));
        let _unmounted = umount2(&self.files, MntFlags::MNT_DETACH);
    }
}

fn write_file(path: &PathBuf, mebi: u64) {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![1; 1 << 20];
    (0..mebi).for_each(|_| file.write_all(&block).unwrap());
    file.sync_all().unwrap();
}

fn keyed_in_kibi(key: &str) -> u64 {
    let text = text(&PathBuf::from("/proc/meminfo"));
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_protected_reader_keeps_its_page_cache() {
    let Some(mut stage) = Stage::new("crowd") else { return };
    stage.settle_web();
    let (alone, _) = stage.serves(Duration::from_secs(8));
    stage.start_job();
    std::thread::sleep(Duration::from_secs(8));
    // On a fast machine it takes a while until the job has what the reader needs.
    let (mut beside, mut waited) = stage.serves(Duration::from_secs(8));
    for _ in 0..3 {
        if waited < 0.03 {
            (beside, waited) = stage.serves(Duration::from_secs(8));
        }
    }
    stage.stop_job();
    let mut agent = Agent::new(&stage.world, "enforce", &stage.components());
    agent.start();
    // What it needs was there for some looks.
    let (_, _) = stage.serves(Duration::from_secs(6));
    stage.start_job();
    let onset = Instant::now();
    let held = within(Duration::from_secs(40), || stage.high() != "max");
    let first = onset.elapsed();
    let (mut with, mut waits) = (0.0, 0.0);
    let helped = held
        && within(Duration::from_secs(35), || {
            (with, waits) = stage.serves(Duration::from_secs(8));
            // Not how often it reads: that is as much the machine's doing as the job's.
            waits <= waited / 4.0
        });
    println!(
        "FIGURE crowding: {alone:.2} passes a second alone, {beside:.2} beside the job (waits {waited:.2} of the time), \
         {with:.2} with provost (waits {waits:.2}); memory.high {} after {first:?}",
        stage.high()
    );
    let events = text(&stage.world.file(&stage.job, "memory.events")).replace('\n', ", ");
    println!("FIGURE crowding: the job has {events}");
    let explained = agent.say(&["explain", "job"]).out;
    assert!(held && helped, "{explained}\n{}", agent.log());
    assert!(waited >= 0.01, "the job takes nothing from it: {waited}");
    assert!(explained.contains("gives way") && explained.contains("memory"), "{explained}");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert_eq!(stage.high(), "max", "given back");
}

#[test]
fn memory_that_cannot_be_swapped_out_is_not_squeezed() {
    let Some(mut stage) = Stage::new("stuck") else { return };
    stage.settle_web();
    let mut agent = Agent::new(&stage.world, "enforce", &stage.components());
    agent.start();
    stage.serves(Duration::from_secs(4));
    stage.start_hog();
    let held = within(Duration::from_secs(40), || stage.high() != "max");
    let (_, waits) = stage.serves(Duration::from_secs(10));
    let anon = || keyed(&stage.world.file(&stage.job, "memory.stat"), "anon");
    let slowed = || keyed(&stage.world.file(&stage.job, "memory.events"), "high");
    // Whoever takes a twentieth more between two looks passes the limit that was enough at the first, for half a minute at most.
    let is_enough = |high: &str| high == "max" || high.parse::<u64>().unwrap() >= anon();
    let let_go =
        within(Duration::from_secs(35), || anon() >= TAKEN << 20 && is_enough(&stage.high()));
    let (anon, at_first, high) = (anon(), slowed(), stage.high());
    std::thread::sleep(Duration::from_secs(3));
    let slowed = slowed() - at_first;
    println!(
        "FIGURE stuck: {anon} bytes taken, memory.high {high}, slowed {at_first} times while it grew and {slowed} after; the reader waits {waits:.2} of the time"
    );
    assert!(held, "{}", agent.log());
    assert!(let_go, "{anon} of {TAKEN}M, {high}\n{}", agent.log());
    assert_eq!(slowed, 0, "{}", agent.log());
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert_eq!(stage.high(), "max", "given back");
}
