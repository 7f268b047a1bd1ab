//! Standing still, reclaim and killing: what the kernel does, and what provost makes of it, with a phase without provost in the same boot.

use crate::common::{Agent, World, eventually, keyed, put, text, within};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use provost::kernel::process::ProcFs;
use provost::kernel::{Group, relief, write};
use provost::model::{Controller, Knob};
use provost::units::Bytes;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SPIN: &str = "while :; do :; done";
/// What is left available before anything starts, in MiB, and what of it the hog takes at once.
const AVAILABLE: u64 = 240;
const TAKEN: u64 = 160;
/// By how much the reserve may be raised, in hundredths of a percent of the high watermark.
const BOOST: &str = "/proc/sys/vm/watermark_boost_factor";

fn usage(world: &World, group: &Group) -> u64 {
    keyed(&world.file(group, "cpu.stat"), "usage_usec")
}

/// Whether its tasks run within a second and a half.
fn runs(world: &World, group: &Group) -> bool {
    let before = usage(world, group);
    std::thread::sleep(Duration::from_millis(1500));
    usage(world, group) > before + 10_000
}

fn is_frozen(world: &World, group: &Group) -> bool {
    keyed(&world.file(group, "cgroup.events"), "frozen") == 1
}

#[test]
fn a_frozen_group_is_killed_and_stays_frozen() {
    let Some(mut world) = World::new("frozen", &[Controller::Cpu]) else { return };
    let (group, other) = (world.group("a"), world.group("b"));
    world.sh(&group, SPIN);
    assert!(runs(&world, &group));
    write::knob(&group, &Knob::CgroupFreeze(true)).unwrap();
    eventually("all stand still", || is_frozen(&world, &group));
    assert!(!runs(&world, &group));
    let guest = world.sh(&other, SPIN);
    put(&world.file(&group, "cgroup.procs"), &guest.to_string()).unwrap();
    eventually("who moves in stands still", || is_frozen(&world, &group));
    assert!(!runs(&world, &group));
    relief::kill(&world.fs, &ProcFs::default(), &group).unwrap();
    eventually("nobody is left", || !group.is_populated());
    assert_eq!(text(&world.file(&group, "cgroup.freeze")), "1", "for whoever comes next");
    write::knob(&group, &Knob::CgroupFreeze(false)).unwrap();
    world.sh(&group, SPIN);
    assert!(runs(&world, &group));
}

#[test]
fn reclaim_says_when_there_is_nothing_more() {
    let Some(mut world) = World::new("reclaim", &[Controller::Memory]) else { return };
    let group = world.group("a");
    world.sh(&group, "exec dd if=/dev/zero of=/dev/null bs=30M");
    let anon = world.file(&group, "memory.stat");
    eventually("it is taken", || keyed(&anon, "anon") >= 30 << 20);
    let done = relief::reclaim(&group, Bytes::mebi(20));
    let errno = done.err().map(|error| error.errno);
    let has = world.file(&group, "memory.reclaim").exists();
    assert_eq!(errno, Some(if has { Errno::EAGAIN } else { Errno::ENOENT }));
    assert!(keyed(&anon, "anon") >= 30 << 20, "there is no swap");
}

/// Somebody protected, a neighbour, and a hog that takes what cannot be swapped out.
pub(crate) struct Stage {
    pub(crate) world: World,
    web: Group,
    neighbour: Group,
    pub(crate) hog: Group,
}

impl Stage {
    pub(crate) fn new(name: &str) -> Option<Self> {
        let world = World::new(name, &[Controller::Memory, Controller::Cpu])?;
        let (web, neighbour, hog) =
            (world.group("web"), world.group("neighbour"), world.group("hog"));
        put(Path::new("/proc/sys/vm/drop_caches"), "3").unwrap();
        // What earlier tests left in pieces makes the kernel raise its reserve, of which MemAvailable knows nothing: it kills while a fortieth is left.
        put(Path::new(BOOST), "0").unwrap();
        let stage = Self { world, web, neighbour, hog };
        let mut file = File::create(stage.ballast()).unwrap();
        while available() > AVAILABLE {
            file.write_all(&[1_u8; 1 << 20]).unwrap();
        }
        Some(stage)
    }

    /// Files of the guest's root lie in memory, out of everybody's reach.
    fn ballast(&self) -> PathBuf {
        self.world.dir.join("ballast")
    }

    pub(crate) fn components(&self, last_resort: &str) -> String {
        let component = |name: &str, keys: &str, group: &Group| {
            let path = &group.at().path;
            format!("[component.{name}]\n{keys}\nmatch = {{ cgroup = \"/{path}\" }}\n")
        };
        component("web", "priority = \"high\"", &self.web)
            + &component("neighbour", "priority = \"low\"\nlast-resort = \"none\"", &self.neighbour)
            + &component(
                "hog",
                &format!("priority = \"low\"\nlast-resort = \"{last_resort}\""),
                &self.hog,
            )
    }

    fn start(&mut self) {
        self.world.sh(&self.web, SPIN);
        self.world.sh(&self.neighbour, "while :; do sleep 1; done");
        let script = format!("exec dd if=/dev/zero of=/dev/null bs={TAKEN}M");
        self.world.sh(&self.hog, &script);
    }

    /// The hog takes so much that it is critical and nobody has to be killed.
    pub(crate) fn takes_nearly_all(&mut self) {
        self.leaves(meminfo("MemTotal") / 25);
    }

    /// The hog leaves so many MiB to all others.
    fn leaves(&mut self, spare: u64) {
        self.start();
        eventually("it is taken", || self.held() >= TAKEN);
        let more = available().saturating_sub(spare);
        self.world.sh(&self.hog, &format!("exec dd if=/dev/zero of=/dev/null bs={more}M"));
        eventually("memory is short", || available() <= spare + 8);
    }

    fn held(&self) -> u64 {
        keyed(&self.world.file(&self.hog, "memory.stat"), "anon") >> 20
    }

    pub(crate) fn stands(&self) -> bool {
        text(&self.world.file(&self.hog, "cgroup.freeze")) == "1"
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for group in [&self.web, &self.neighbour, &self.hog] {
            let _ended = relief::kill(&self.world.fs, &ProcFs::default(), group);
        }
        let _gone = std::fs::remove_file(self.ballast());
        let _as_before = put(Path::new(BOOST), "15000");
    }
}

/// Whoever else is on the host: they take what reclaim brings, also while the hog stands still, and never so much that the kernel has to kill somebody.
struct Others {
    /// MiB that stay available.
    leave: u64,
    taken: Vec<Vec<u8>>,
}

impl Others {
    fn take_or_give_back(&mut self) {
        let there = available();
        let room = there.saturating_sub(self.leave).min(2);
        self.taken.extend((0..room).map(|_| vec![1_u8; 1 << 20]));
        (there..self.leave).for_each(|_| drop(self.taken.pop()));
        assert!(
            self.taken.len() < 100,
            "somebody was killed by the kernel: reclaim does not bring so much"
        );
    }
}

/// A line of `/proc/meminfo`, in MiB.
fn meminfo(key: &str) -> u64 {
    let text = text(&PathBuf::from("/proc/meminfo"));
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

fn available() -> u64 {
    meminfo("MemAvailable")
}

#[test]
fn a_hog_stands_still_and_is_let_run_whatever_happens() {
    let Some(mut stage) = Stage::new("still") else { return };
    stage.takes_nearly_all();
    let total = meminfo("MemTotal");
    std::thread::sleep(Duration::from_secs(3));
    println!(
        "FIGURE ladder: without provost the hog holds {} MiB, {} of {total} available",
        stage.held(),
        available()
    );
    assert!(!stage.stands());
    let mut agent = Agent::new(&stage.world, "enforce", &stage.components("freeze"));
    agent.start();
    let began = Instant::now();
    let stood = within(Duration::from_secs(120), || stage.stands());
    let onset = began.elapsed();
    let explained = agent.say(&["explain", "hog"]).out;
    assert!(stood, "{explained}\n{}", agent.log());
    assert!(explained.contains("stands still"), "{explained}");
    let began = Instant::now();
    assert!(within(Duration::from_secs(40), || !stage.stands()), "{explained}");
    let still = began.elapsed();
    println!("FIGURE ladder: stood still after {onset:?}, for {still:?}");
    assert!(still < Duration::from_secs(31), "{still:?}");
    // Forget what was of no use: a new life of the daemon.
    agent.end(Signal::SIGTERM);
    agent.start();
    assert!(within(Duration::from_secs(120), || stage.stands()), "{}", agent.log());
    agent.end(Signal::SIGKILL);
    assert!(stage.stands(), "nothing in the kernel changes by that");
    assert_eq!(agent.say(&["restore", "--temporary"]).exit, 0);
    assert!(!stage.stands(), "lifted");
    agent.start();
    assert!(within(Duration::from_secs(120), || stage.stands()), "{}", agent.log());
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert!(!stage.stands(), "given back");
    assert!(stage.hog.is_populated() && stage.neighbour.is_populated());
}

#[test]
fn a_hog_that_may_be_killed_is_and_nobody_else() {
    let Some(mut stage) = Stage::new("killed") else { return };
    let mut agent = Agent::new(&stage.world, "enforce", &stage.components("kill"));
    // Before provost is there: a hog that it sees growing is held, and nobody has to be killed. With a fortieth nothing is left.
    let mut others = Others { leave: meminfo("MemTotal") / 48, taken: Vec::new() };
    stage.leaves(others.leave + 12);
    agent.start();
    let (began, mut last) = (Instant::now(), Instant::now());
    let killed = within(Duration::from_secs(80), || {
        // Before the next look at what is left: afterwards there is room again.
        if agent.log().contains("killed: memory stayed short") {
            return true;
        }
        if last.elapsed() > Duration::from_millis(200) && stage.hog.is_populated() {
            others.take_or_give_back();
            last = Instant::now();
        }
        false
    });
    let lines = agent.status().actions;
    println!("FIGURE ladder: killed after {:?}", began.elapsed());
    assert!(killed, "{} MiB available; {}", available(), agent.log());
    assert!(lines.iter().any(|line| line.what.starts_with("kill")), "{lines:?}\n{}", agent.log());
    assert!(stage.web.is_populated() && stage.neighbour.is_populated());
    assert!(within(Duration::from_secs(15), || !stage.stands()), "for whoever comes next");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
}

#[test]
fn a_started_program_is_told_where_its_pressure_is() {
    let Some(world) = World::new("watch", &[Controller::Memory]) else { return };
    let component = "[component.task]\nmatch = { exe = \"/usr/bin/none\" }\n";
    let agent = Agent::new(&world, "enforce", component);
    let script = "echo $MEMORY_PRESSURE_WATCH $MEMORY_PRESSURE_WRITE; grep '^0::' /proc/self/cgroup; \
                  printf 'some 200000 2000000\\0' > $MEMORY_PRESSURE_WATCH";
    let said = agent.say(&["run", "task", "--", "sh", "-c", script]);
    assert_eq!(said.exit, 0, "{said:?}");
    let mut lines = said.out.lines();
    let (watch, written) = lines.next().unwrap().split_once(' ').unwrap();
    let group = lines.next().unwrap().trim_start_matches("0::");
    assert!(watch.ends_with(&format!("{group}/memory.pressure")), "{said:?}");
    assert_eq!(written, "c29tZSAyMDAwMDAgMjAwMDAwMAA=");
    agent.say(&["restore"]);
}

/// Set where this very test runs as the program that `provost run` started: the folder in which it says how far it is.
const WATCHER: &str = "PROVOST_TEST_WATCHER";
const PRESSED: &str = "ladder::a_started_program_is_woken_when_its_component_is_squeezed";

/// Six bits a letter, as RFC 4648 has it.
fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = text.trim_end_matches('=').chars().map(|c| LETTERS.find(c).unwrap());
    let (mut bytes, mut held, mut count) = (Vec::new(), 0_usize, 0);
    for six in bits {
        (held, count) = ((held << 6 | six) & 0xffff, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(held >> count & 0xff).unwrap());
        }
    }
    bytes
}

/// What a program does that follows systemd.io/MEMORY_PRESSURE.
fn watch_own_pressure(folder: &Path) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    let watched = std::env::var("MEMORY_PRESSURE_WATCH").unwrap();
    let trigger = base64(&std::env::var("MEMORY_PRESSURE_WRITE").unwrap());
    let mut file = File::options().read(true).write(true).open(watched).unwrap();
    assert_eq!(std::io::Write::write(&mut file, &trigger).unwrap(), trigger.len());
    let poll_for = |millis: u16| {
        let mut ready = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        poll(&mut ready, PollTimeout::from(millis)).unwrap();
        ready[0].revents().unwrap()
    };
    assert!(poll_for(3000).is_empty(), "woken while nobody waits");
    std::fs::write(folder.join("calm"), "").unwrap();
    assert_eq!(poll_for(60_000), PollFlags::POLLPRI);
    std::fs::write(folder.join("woken"), "").unwrap();
}

#[test]
fn a_started_program_is_woken_when_its_component_is_squeezed() {
    if let Some(folder) = std::env::var_os(WATCHER) {
        return watch_own_pressure(&PathBuf::from(folder));
    }
    let Some(mut world) = World::new("woken", &[Controller::Memory]) else { return };
    let component = "[component.task]\nmatch = { exe = \"/usr/bin/none\" }\n\
                     memory = { high = \"32M\" }\n";
    let agent = Agent::new(&world, "enforce", component);
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let mut command = agent.command(&["run", "task", "--", program, "--exact", PRESSED]);
    command.env(WATCHER, &world.dir);
    let watcher = world.start(command);
    eventually("it watches, and nobody waits", || world.dir.join("calm").exists());
    assert!(!world.dir.join("woken").exists());
    // More than memory.high, in the component itself: whoever takes it waits.
    let began = Instant::now();
    let hog = ["run", "task", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=96M"];
    let hog = world.start(agent.command(&hog));
    eventually("it is woken", || world.dir.join("woken").exists());
    println!("FIGURE pressure watch: woken after {:?}", began.elapsed());
    assert_eq!(world.wait(watcher), 0);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(hog), Signal::SIGKILL).unwrap();
    world.wait(hog);
    agent.say(&["restore"]);
}
