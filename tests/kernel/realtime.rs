//! Threads in real time: they run first on their component's CPUs, one that does not sleep is lowered, and all are as before when provost has
//! left, however it left. Nobody else's policy is ever touched.

use crate::bite::{SPIN, pin};
use crate::common::{Agent, World, eventually, put, text};
use nix::sys::signal::Signal;
use provost::enforce::{Executor, Journal, Order, Worker, WorkerResult};
use provost::kernel::process::scheduler::{self, Scheduling};
use provost::kernel::{CgroupFs, Group};
use provost::model::{
    Action, Controller, FindingKind, OutcomeOf, Plan, Sched, SchedPolicy, ThreadOwner,
    ThreadTarget, Verdict,
};
use provost::units::{Bytes, ProcId, Span};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Set for the copy of this program that plays the component; says in which folder.
const PLAYER: &str = "PROVOST_TEST_PLAYER";
const PLAY: &str = "realtime::named_threads_wake_up_first_and_are_given_back";
const PERIOD: Duration = Duration::from_millis(1);

const OTHER: Scheduling = Scheduling { sched: Sched::OTHER, reset_on_fork: false };
const RAISED: Scheduling = Scheduling { sched: Sched::rr(2), reset_on_fork: true };
/// What the probe's nice value is, before and after.
const NICE: i32 = 1;
const FIFO: Sched = Sched { policy: SchedPolicy::Fifo, priority: 3 };

/// How late each wake-up was: its 99th percentile and the worst, in microseconds, from one file `end-N` to the next, in `delays-N`.
fn wake_up(folder: &Path) {
    set_nice();
    for round in 0.. {
        let mut late: Vec<u128> = Vec::new();
        while !folder.join(format!("end-{round}")).exists() {
            // Half a second of wake-ups between two looks at the folder.
            for _ in 0..500 {
                let due = Instant::now() + PERIOD;
                std::thread::sleep(PERIOD);
                late.push(due.elapsed().as_micros());
            }
        }
        late.sort_unstable();
        let (worst, percent) = (late[late.len() - 1], late[late.len() * 99 / 100]);
        std::fs::write(folder.join("said"), format!("{percent} {worst}")).unwrap();
        std::fs::rename(folder.join("said"), folder.join(format!("delays-{round}"))).unwrap();
    }
}

#[allow(unsafe_code, reason = "nix has no wrapper")]
fn set_fifo(thread: i32) {
    let priority: libc::c_int = 3;
    // SAFETY: the kernel reads one int from a live local.
    let done = unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, thread, libc::SCHED_FIFO, &raw const priority)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Of the calling thread alone.
#[allow(unsafe_code, reason = "nix has no wrapper")]
fn set_nice() {
    // SAFETY: takes numbers and no pointer.
    let done = unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, NICE) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

fn own_thread() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// The component's program: its threads, by name, until it is killed. One that is not named never sleeps.
fn play(folder: &Path) {
    static SPINS: AtomicBool = AtomicBool::new(false);
    let begin = |name: &str, body: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(body).unwrap();
    };
    let probe = folder.to_owned();
    begin("engine-probe", Box::new(move || wake_up(&probe)));
    begin(
        "engine-spin",
        Box::new(|| {
            loop {
                if !SPINS.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }),
    );
    begin(
        "engine-fifo",
        Box::new(|| {
            set_fifo(own_thread());
            loop {
                std::thread::sleep(Duration::from_millis(10));
            }
        }),
    );
    begin(
        "worker",
        Box::new(|| {
            loop {
                std::hint::spin_loop();
            }
        }),
    );
    loop {
        SPINS.store(folder.join("spin").exists(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A component on CPU 1, where unregistered tasks that never sleep run as well.
struct Stage {
    world: World,
    strangers: World,
    home: Group,
    player: i32,
    folder: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Option<Self> {
        let needed = [Controller::Cpu, Controller::Cpuset];
        let mut world = World::new(name, &needed)?;
        let mut strangers = World::new(&format!("{name}-else"), &needed)?;
        let home = world.group("engine");
        pin(&home, &[1]);
        let busy = strangers.group("busy");
        pin(&busy, &[1]);
        strangers.sh(&busy, SPIN);
        let folder = world.dir.join("player");
        std::fs::create_dir_all(&folder).unwrap();
        let program = std::env::current_exe().unwrap();
        let script = format!(
            "{PLAYER}={} exec {} --exact {PLAY} >/dev/null 2>&1",
            folder.display(),
            program.display()
        );
        let player = world.sh(&home, &script);
        let stage = Self { world, strangers, home, player, folder };
        eventually("all threads are there", || stage.threads().len() == 4);
        eventually("one is in real time by itself", || stage.has("engine-fifo").sched == FIFO);
        Some(stage)
    }

    fn agent(&self) -> Agent {
        let mut agent = Agent::new(&self.world, "enforce", &self.components(true));
        agent.start();
        agent
    }

    fn components(&self, realtime: bool) -> String {
        let class = "class = \"realtime\", realtime = { threads = [\"engine-*\"], priority = 2 }, ";
        let class = if realtime { class } else { "" };
        let path = &self.home.at().path;
        format!(
            "[component.engine]\npriority = \"critical\"\nmatch = {{ cgroup = \"/{path}\" }}\n\
             cpu = {{ {class}affinity = {{ mode = \"dedicated\", cpus = 1 }} }}\n"
        )
    }

    /// The player's own threads, by name.
    fn threads(&self) -> BTreeMap<String, i32> {
        let threads = self.world.proc.threads(self.player);
        let name = |thread: i32| {
            let comm = std::fs::read_to_string(format!("/proc/{thread}/comm")).ok()?;
            let comm = comm.trim().to_owned();
            let is_own = comm.starts_with("engine-") || comm == "worker";
            is_own.then_some((comm, thread))
        };
        threads.into_iter().filter_map(name).collect()
    }

    fn has(&self, name: &str) -> Scheduling {
        scheduler::get(self.threads()[name]).unwrap()
    }

    fn nice(&self, name: &str) -> String {
        let thread = self.threads()[name];
        let stat = text(Path::new(&format!("/proc/{thread}/stat")));
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(16).unwrap().to_owned()
    }

    fn are_raised(&self) -> bool {
        ["engine-probe", "engine-spin"].iter().all(|name| self.has(name) == RAISED)
    }

    fn are_as_before(&self) -> bool {
        ["engine-probe", "engine-spin", "worker"].iter().all(|name| self.has(name) == OTHER)
    }

    /// How long the probe has stood in the queue of its CPU since it began: the second number of `schedstat`. What the host of this machine
    /// does is not in it, other than in how late the probe wakes up.
    fn queued(&self) -> Duration {
        let thread = self.threads()["engine-probe"];
        let text = text(Path::new(&format!("/proc/{thread}/task/{thread}/schedstat")));
        Duration::from_nanos(text.split(' ').nth(1).unwrap().parse().unwrap())
    }

    /// How much of `span` the probe stands in the queue of its CPU, and how late it wakes up meanwhile, as figures.
    fn measure(&self, rounds: [u32; 2], span: Duration) -> (f64, [u64; 2]) {
        let _settling = self.delays(rounds[0], Duration::from_secs(1));
        let (began, before) = (Instant::now(), self.queued());
        let delays = self.delays(rounds[1], span);
        let share = (self.queued() - before).as_secs_f64() / began.elapsed().as_secs_f64();
        (share, delays)
    }

    /// The 99th percentile and the worst of how late the probe woke up, in microseconds, from now on.
    fn delays(&self, round: u32, span: Duration) -> [u64; 2] {
        std::thread::sleep(span);
        std::fs::write(self.folder.join(format!("end-{round}")), "").unwrap();
        let said = self.folder.join(format!("delays-{round}"));
        eventually("the probe tells", || said.exists());
        let said = text(&said);
        let (percent, worst) = said.split_once(' ').unwrap();
        [percent.parse().unwrap(), worst.parse().unwrap()]
    }
}

#[test]
fn named_threads_wake_up_first_and_are_given_back() {
    if let Some(folder) = std::env::var_os(PLAYER) {
        return play(Path::new(&folder));
    }
    let Some(stage) = Stage::new("realtime") else { return };
    assert_eq!(stage.nice("engine-probe"), NICE.to_string());
    let without = stage.measure([0, 1], Duration::from_secs(8));
    let mut agent = stage.agent();
    eventually("both are raised", || stage.are_raised());
    agent.settle();
    let with = stage.measure([2, 3], Duration::from_secs(8));
    println!(
        "FIGURE real time beside tasks that never sleep: {:.4} of the time in the queue without, {:.4} with; woken late by {} us without, {} us \
         with (99 of 100), {} us and {} us at worst",
        without.0, with.0, without.1[0], with.1[0], without.1[1], with.1[1]
    );
    assert_eq!(stage.has("worker"), OTHER, "it is not named");
    assert_eq!(stage.has("engine-fifo").sched, FIFO, "it is the program's own");
    let said = agent.say(&["explain", "engine"]);
    for words in ["2 of 3 named threads", "engine-fifo", "left alone"] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    let report = agent.status();
    let view = report.components[0].realtime.clone().unwrap();
    let ours = view.threads.iter().filter(|thread| thread.whose == ThreadOwner::Provost);
    assert_eq!((ours.count(), view.held), (2, None));
    agent.end(Signal::SIGTERM);
    assert!(stage.are_as_before(), "given back");
    assert_eq!(stage.nice("engine-probe"), NICE.to_string());
    assert_eq!(stage.has("engine-fifo").sched, FIFO);
    assert!(with.0 * 3.0 < without.0, "{with:?} {without:?}");
    drop(stage.strangers);
}

#[test]
fn a_thread_that_spins_is_lowered_within_seconds() {
    let Some(stage) = Stage::new("realtime-spins") else { return };
    let mut agent = stage.agent();
    eventually("both are raised", || stage.are_raised());
    agent.settle();
    std::fs::write(stage.folder.join("spin"), "").unwrap();
    let began = Instant::now();
    eventually("all are lowered", || stage.are_as_before());
    println!("FIGURE a thread in real time that spins is lowered after {:?}", began.elapsed());
    assert!(began.elapsed() >= Duration::from_secs(2), "it has time for a burst");
    let told = |agent: &Agent| {
        let report = agent.status();
        let mut found = report.findings.iter().filter(|one| one.kind == FindingKind::NoRealtime);
        found.any(|one| one.text.contains("engine-spin had more than 90% of a CPU"))
    };
    eventually("it is told", || told(&agent));
    let said = agent.say(&["explain", "engine"]);
    assert!(said.out.contains("none is raised"), "{said:?}");
    assert!(agent.log().contains("taken out of real time"), "{}", agent.log());
    std::thread::sleep(Duration::from_secs(5));
    assert!(stage.are_as_before(), "for a minute");
    assert_eq!(stage.has("engine-fifo").sched, FIFO);
    agent.end(Signal::SIGTERM);
}

#[test]
fn threads_are_given_back_after_a_kill() {
    let Some(stage) = Stage::new("realtime-kill") else { return };
    let mut agent = stage.agent();
    for command in [&["restore", "--temporary"][..], &["restore"]] {
        eventually("both are raised", || stage.are_raised());
        agent.settle();
        agent.end(Signal::SIGKILL);
        assert!(stage.are_raised(), "nothing changes by that");
        let said = agent.say(command);
        assert_eq!(said.exit, 0, "{said:?}");
        assert!(stage.are_as_before(), "{said:?}");
        let again = agent.say(command);
        assert_eq!(again.exit, 0, "{again:?}");
        assert!(!again.out.contains("engine-"), "{again:?}");
        agent.start();
    }
    eventually("both are raised", || stage.are_raised());
    agent.settle();
    agent.end(Signal::SIGKILL);
    set_fifo(stage.threads()["engine-spin"]);
    let said = agent.say(&["restore"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(stage.has("engine-probe"), OTHER);
    assert_eq!(stage.has("engine-spin").sched, FIFO, "somebody else's by now: {said:?}");
    assert!(said.out.contains("somebody else set SCHED_FIFO 3 since"), "{said:?}");
}

#[test]
fn threads_are_lowered_when_they_leave_or_nobody_asks_for_it_any_more() {
    let Some(stage) = Stage::new("realtime-leaves") else { return };
    let mut agent = stage.agent();
    eventually("both are raised", || stage.are_raised());
    let elsewhere = stage.world.group("elsewhere");
    let move_to = |group: &Group| {
        put(&stage.world.file(group, "cgroup.procs"), &stage.player.to_string()).unwrap();
    };
    move_to(&elsewhere);
    eventually("all are lowered", || stage.are_as_before());
    move_to(&stage.home);
    eventually("both are raised again", || stage.are_raised());
    agent.configure("enforce", &stage.components(false));
    let said = agent.say(&["reload"]);
    assert_eq!(said.exit, 0, "{said:?}");
    eventually("all are lowered", || stage.are_as_before());
    agent.configure("enforce", &stage.components(true));
    assert_eq!(agent.say(&["reload"]).exit, 0);
    eventually("both are raised again", || stage.are_raised());
    assert_eq!(agent.say(&["enforce", "off"]).exit, 0);
    eventually("all are lowered", || stage.are_as_before());
    assert_eq!(stage.has("engine-fifo").sched, FIFO);
    agent.end(Signal::SIGTERM);
}

#[test]
fn a_loop_that_stands_still_leaves_nobody_in_real_time() {
    let Some(stage) = Stage::new("realtime-still") else { return };
    let fs = CgroupFs::open(stage.world.fs.mount()).unwrap();
    let journal = Journal::open(&stage.world.dir.join("journal"), "this boot").unwrap();
    let executor = Executor::new(fs, None, journal, Bytes(4096));
    let worker = Worker::start(executor, || {}).unwrap();
    worker.decided(Span::secs(1));
    let thread: ProcId = stage.world.identity(stage.threads()["engine-spin"]);
    let target = ThreadTarget {
        component: "engine".parse().unwrap(),
        at: stage.home.at().clone(),
        thread,
        name: "engine-spin".to_owned(),
        held: Sched::OTHER,
        wanted: RAISED.sched,
        because: String::new(),
    };
    let plan = Plan { actions: vec![Action::Schedule { target }] };
    worker.order(Order::CarryOut(plan));
    let Some(WorkerResult::Outcome(outcome)) = worker.wait() else { panic!("no outcome") };
    assert_eq!(outcome.verdict, Verdict::Applied);
    assert_eq!(stage.has("engine-spin"), RAISED);
    let began = Instant::now();
    let lifted = loop {
        match worker.wait() {
            Some(WorkerResult::Lifted(lifted)) => break lifted,
            Some(_) => {}
            None => panic!("the worker ended"),
        }
    };
    println!("FIGURE a loop that stands still: lowered after {:?}", began.elapsed());
    assert!(matches!(lifted[0].of, OutcomeOf::Thread { .. }), "{lifted:?}");
    assert!(stage.are_as_before());
}
