//! Partitions: CPUs on which nobody else runs at all, given back however provost leaves, and done without where the kernel refuses.

use crate::common::{Agent, World, eventually, linux, put, text};
use nix::sys::signal::Signal;
use provost::kernel::Group;
use provost::model::{Controller, FindingKind, Report};
use std::path::Path;
use std::time::Duration;

/// Runs often and briefly, as in the other tests on placement.
const BUSY: &str = "while :; do sleep 0.02; done";
const PARTITION: &str = "cpuset.cpus.partition";

/// Below the root two groups: in one a component that is to be a partition, in the other processes that nobody registered.
struct Stage {
    stranger: i32,
    strangers: World,
    fed: i32,
    world: World,
    home: Group,
}

impl Stage {
    /// The home is right below the root (`depth` 1), or one further down.
    fn new(name: &str, depth: usize) -> Option<Self> {
        let needed = [Controller::Cpu, Controller::Cpuset];
        let mut world = World::new(name, &needed)?;
        let mut strangers = World::new(&format!("{name}-else"), &needed)?;
        let inner = world.group("feed");
        let fed = world.sh(&inner, BUSY);
        let other = strangers.group("any");
        let stranger = strangers.sh(&other, BUSY);
        let home = if depth == 1 { world.top() } else { inner };
        Some(Self { stranger, strangers, fed, world, home })
    }

    fn agent(&self, partition: &str) -> Agent {
        let own = format!(
            "cpu = {{ affinity = {{ mode = \"dedicated\", cpus = 1 }}, partition = \"{partition}\" }}"
        );
        let path = &self.home.at().path;
        let feed = format!("[component.feed]\n{own}\nmatch = {{ cgroup = \"/{path}\" }}\n");
        let mut agent = Agent::new(&self.world, "enforce", &feed);
        agent.start();
        agent
    }

    fn read(&self, file: &str) -> String {
        text(&self.world.file(&self.home, file))
    }

    /// The CPUs that nobody's list keeps strangers from, and those that the component has.
    fn effective(&self) -> [String; 2] {
        let strangers = self.strangers.file(&self.strangers.top(), "cpuset.cpus.effective");
        [text(&strangers), self.read("cpuset.cpus.effective")]
    }

    /// On which CPU each of both ran last.
    fn processors(&self) -> [String; 2] {
        [self.stranger, self.fed].map(|pid| {
            let stat = text(Path::new(&format!("/proc/{pid}/stat")));
            let (_, fields) = stat.rsplit_once(')').unwrap();
            fields.split_whitespace().nth(36).unwrap().to_owned()
        })
    }

    /// The kernel tells of the partition a moment before the others have lost its CPU.
    fn becomes(&self, partition: &str) {
        eventually("it is a partition", || {
            self.read(PARTITION) == partition && self.effective() == ["0", "1"]
        });
    }

    fn is_as_before(&self) -> bool {
        self.effective() == ["0-1", "0-1"] && self.read(PARTITION) == "member"
    }

    /// What stands in the files that a partition needs further down: nothing before, and nothing after.
    fn set_aside(&self) -> Vec<String> {
        let folders = [self.world.folder(&self.world.top()), self.world.folder(&self.home)];
        let file = |folder: &std::path::PathBuf| folder.join("cpuset.cpus.exclusive");
        folders.iter().map(file).filter(|file| file.exists()).map(|file| text(&file)).collect()
    }

    fn stays_apart(&self) {
        // What runs elsewhere is moved at its next tick at the latest.
        std::thread::sleep(Duration::from_millis(200));
        for _ in 0..50 {
            assert_eq!(self.processors(), ["0", "1"]);
            std::thread::sleep(Duration::from_millis(40));
        }
    }
}

fn refusals(report: &Report) -> Vec<String> {
    let of_partition = report.findings.iter().filter(|finding| {
        finding.kind == FindingKind::Refused && finding.text.contains("partition")
    });
    of_partition.map(|finding| finding.text.clone()).collect()
}

#[test]
fn a_partition_keeps_away_whom_nobody_registered() {
    let Some(stage) = Stage::new("parted", 1) else { return };
    assert!(stage.is_as_before(), "{:?}", stage.effective());
    let mut agent = stage.agent("root");
    stage.becomes("root");
    stage.stays_apart();
    assert_eq!(refusals(&agent.status()), [""; 0]);
    let said = agent.say(&["explain", "feed"]);
    assert!(said.out.contains("a partition: its CPUs are taken from all others"), "{said:?}");
    agent.settle();
    agent.end(Signal::SIGTERM);
    assert!(stage.is_as_before(), "given back: {:?}", stage.effective());
}

#[test]
fn a_partition_is_given_back_after_a_kill() {
    let Some(stage) = Stage::new("parted-kill", 1) else { return };
    let mut agent = stage.agent("isolated");
    stage.becomes("isolated");
    agent.settle();
    agent.end(Signal::SIGKILL);
    assert_eq!(stage.effective(), ["0", "1"], "nothing changes by that");
    agent.start();
    agent.settle();
    assert_eq!(stage.read(PARTITION), "isolated", "the next one goes on");
    agent.end(Signal::SIGKILL);
    for _ in 0..2 {
        let said = agent.say(&["restore"]);
        assert_eq!(said.exit, 0, "{said:?}");
        assert!(stage.is_as_before(), "{:?} {said:?}", stage.effective());
    }
}

#[test]
fn further_down_it_is_granted_from_linux_6_7_on_and_else_done_without() {
    let Some(stage) = Stage::new("parted-below", 2) else { return };
    let before = stage.set_aside();
    let mut agent = stage.agent("root");
    if linux() >= (6, 7) {
        stage.becomes("root");
        assert_eq!(stage.set_aside(), ["1", "1"]);
        stage.stays_apart();
        agent.settle();
    } else {
        eventually("the refusal is told", || !refusals(&agent.status()).is_empty());
        let told = refusals(&agent.status());
        assert!(told[0].contains("Parent is not a partition root"), "the kernel's word: {told:?}");
        assert_eq!(stage.read(PARTITION), "member");
        assert_eq!(stage.effective(), ["0-1", "1"], "as without it");
    }
    agent.end(Signal::SIGTERM);
    assert!(stage.is_as_before(), "given back: {:?}", stage.effective());
    assert_eq!(stage.set_aside(), before);
}

#[test]
fn one_that_somebody_breaks_is_mended_and_what_was_broken_is_given_back() {
    let Some(stage) = Stage::new("parted-broken", 1) else { return };
    let mut agent = stage.agent("root");
    stage.becomes("root");
    agent.settle();
    let list = stage.strangers.file(&stage.strangers.top(), "cpuset.cpus");
    // Up to Linux 6.12 and some later ones a sibling's list takes it away; newer ones leave the sibling without.
    put(&list, "0-1").unwrap();
    if stage.read(PARTITION) != "root" {
        eventually("the refusal is told", || !refusals(&agent.status()).is_empty());
        assert!(!stage.read(PARTITION).contains("invalid"), "{}", stage.read(PARTITION));
    }
    agent.end(Signal::SIGTERM);
    assert!(stage.is_as_before(), "given back: {:?}", stage.effective());
}

#[test]
fn one_that_broke_while_nobody_was_there_is_given_back() {
    let Some(stage) = Stage::new("parted-alone", 1) else { return };
    let mut agent = stage.agent("root");
    stage.becomes("root");
    agent.settle();
    agent.end(Signal::SIGKILL);
    put(&stage.strangers.file(&stage.strangers.top(), "cpuset.cpus"), "0-1").unwrap();
    let broken = stage.read(PARTITION);
    let said = agent.say(&["restore"]);
    assert_eq!(said.exit, 0, "{broken}: {said:?}");
    assert!(stage.is_as_before(), "{broken}: {:?} {said:?}", stage.effective());
}
