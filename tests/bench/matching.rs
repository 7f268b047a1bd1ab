//! P8: finding and matching processes.

use crate::measure::{Budget, Table, cost, duel};
use crate::tree::{Held, Scratch, policy};
use provost::observe::{Collector, Happened, ProcessFacts, World, bind};
use provost::units::{CgroupPath, ProcId, Span, Tick};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};

const SLEEPERS: usize = 1000;

pub(crate) fn run(table: &mut Table) {
    for count in [1000, 5000] {
        matching(table, count);
    }
    finding(table);
}

/// Twenty components: half by executable, half by command line.
fn rules() -> String {
    let rule = |number: usize| {
        let condition = if number.is_multiple_of(2) {
            format!("exe = \"/opt/app-{number}/bin/*\"")
        } else {
            format!("cmdline = '--role=worker-{number}\\b'")
        };
        format!("[component.c{number}]\nmatch = {{ {condition} }}\n")
    };
    (0..20).map(rule).collect()
}

fn matching(table: &mut Table, count: i32) {
    let policy = policy(&rules());
    let process = |pid: i32| ProcessFacts {
        id: ProcId { pid, start: 1 },
        parent: pid / 10,
        session: 1,
        comm: format!("app-{}", pid % 40),
        exe: Some(format!("/opt/app-{}/bin/server", pid % 40)),
        cmdline: format!(
            "/opt/app-{}/bin/server --role=worker-{} --port={pid}",
            pid % 40,
            pid % 60
        ),
        user: 1000,
        group: 1000,
        cgroup: CgroupPath::new("user.slice/user-1000.slice/session-3.scope"),
        kernel_thread: false,
        exec_at: None,
    };
    let processes: BTreeMap<i32, ProcessFacts> =
        (100..100 + count).map(|pid| (pid, process(pid))).collect();
    let agent_at = CgroupPath::new("provost.service");
    let world = World {
        agent_at: &agent_at,
        groups: &[],
        processes: &processes,
        pidfiles: &BTreeMap::new(),
        agent: 1,
        anchors: &std::collections::BTreeSet::new(),
        systemd: true,
    };
    let bound = bind(&policy, &world);
    assert!(!bound.strays.is_empty(), "some of them match");
    let cost = cost(|| drop(std::hint::black_box(bind(&policy, &world)))) / f64::from(count);
    let name = format!("us per process, bind, {count} processes, 20 rules");
    table.row("", &name, (0.0, cost), Budget::Shown);
}

/// Processes that do nothing, ended in the end.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn new(count: usize) -> Self {
        let sleeper = |_| Command::new("sleep").arg("3600").spawn().unwrap();
        Self((0..count).map(sleeper).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _gone = child.kill();
        }
        for child in &mut self.0 {
            let _gone = child.wait();
        }
    }
}

fn finding(table: &mut Table) {
    let _sleepers = Sleepers::new(SLEEPERS);
    let scratch = Scratch::new(1);
    let policy = policy("[component.none]\nmatch = { exe = \"/usr/bin/nobody-has-it\" }\n");
    let mut collector = Collector::new(scratch.fs(), &scratch.roots());
    let mut now = Tick::default().plus(Span::secs(100));
    collector.look(&policy, now, Happened::default());
    let mut look = || {
        now = now.plus(Span::millis(1));
        collector.look(&policy, now, Happened::default());
    };
    let root = scratch.roots().cgroup;
    let mut gate = Held::open(&[PathBuf::from("/proc/loadavg"), root.join("cpu.stat")]);
    let (floor, unborn) =
        duel(|| (), || (0..100).for_each(|_| gate.read()), || (0..100).for_each(|_| look()));
    let name = "us per look when nothing forked, against its two reads";
    table.row("P8", name, (floor / 100.0, unborn / 100.0), Budget::Times(2.0));
    let listing = || {
        std::hint::black_box(std::fs::read_dir("/proc").unwrap().count());
    };
    let fork = || {
        Command::new("true").status().unwrap();
    };
    let (floor, scanned) = duel(fork, listing, &mut look);
    let count = std::fs::read_dir("/proc").unwrap().count();
    let each = f64::from(u32::try_from(count).unwrap());
    let name = format!("us per process, look after a fork, {count} entries of /proc");
    table.row("P8", &name, (floor / each, scanned / each), Budget::Most(0.5));
    let peer = cost(|| {
        for process in procfs::process::all_processes().unwrap().flatten() {
            std::hint::black_box((process.stat().ok(), process.cmdline().ok()));
        }
    });
    let name = "us per process against procfs all_processes, stat, cmdline";
    table.row("P8", name, (peer / each, scanned / each), Budget::Times(0.033));
}
