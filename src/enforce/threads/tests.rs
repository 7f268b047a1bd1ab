//! A thread of this very process is raised and lowered, where that is permitted; where it is not, the refusal is told and nothing is owed.

use super::*;
use crate::enforce::Journal;
use crate::kernel::CgroupFs;
use crate::model::{Action, Plan};
use crate::units::{Bytes, CgroupRef};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

const USUAL: Scheduling = Scheduling { sched: Sched::OTHER, reset_on_fork: false };
const RAISED: Scheduling = Scheduling::raised(Sched::rr(1));

/// A thread to be raised, and an executor on a folder that stands in for the group in which this process lives.
struct Stage {
    root: PathBuf,
    executor: Executor,
    target: ThreadTarget,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    fn new(name: &str) -> Self {
        let root = format!("provost-raising-{name}-{}", std::process::id());
        let root = std::env::temp_dir().join(root);
        let (end, ended) = channel::<()>();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            let _ended = ended.recv();
        });
        let proc = ProcFs::default();
        let thread_id = proc.identity(told.recv().unwrap()).unwrap();
        let path = proc.cgroup(thread_id.pid).expect("this process lives in a cgroup of v2");
        std::fs::create_dir_all(root.join("tree").join(path.as_str())).unwrap();
        let fs = CgroupFs::open_unchecked(&root.join("tree")).unwrap();
        let at = CgroupRef { id: fs.group(&path).unwrap().id(), path };
        let journal = Journal::open(&root.join("state"), "boot").unwrap();
        let target = ThreadTarget {
            component: "engine".parse().unwrap(),
            at,
            thread: thread_id,
            name: "engine-1".to_owned(),
            held: Sched::OTHER,
            wanted: RAISED.sched,
            because: String::new(),
        };
        let executor = Executor::new(fs, None, journal, Bytes(4096));
        let (end, thread) = (Some(end), Some(thread));
        Self { root, executor, target, end, thread }
    }

    /// Whether this process may raise its own threads; the thread is as nobody changed it then.
    fn may_raise(&self) -> bool {
        let thread = self.target.thread.pid;
        let may = scheduler::set(thread, RAISED).is_ok();
        assert!(!may || scheduler::set(thread, USUAL).is_ok());
        may
    }

    fn now(&self) -> Scheduling {
        scheduler::get(self.target.thread.pid).unwrap()
    }

    fn carry_out(&mut self, wanted: Sched) -> Verdict {
        let held = if wanted == Sched::OTHER { RAISED.sched } else { Sched::OTHER };
        let target = ThreadTarget { held, wanted, ..self.target.clone() };
        let plan = Plan { actions: vec![Action::Schedule { target }] };
        let mut verdicts = Vec::new();
        self.executor.carry_out(&plan, &mut |outcome| verdicts.push(outcome.verdict));
        verdicts.pop().expect("it is told")
    }

    /// What another process would find in the journal.
    fn owed(&self) -> usize {
        Journal::peek(&self.root.join("state")).unwrap().raised.len()
    }

    fn end(&mut self) {
        self.end = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end = None;
        std::fs::remove_dir_all(&self.root).unwrap();
    }
}

#[test]
fn a_thread_is_raised_after_it_is_in_the_journal_and_given_back() {
    let mut stage = Stage::new("raised");
    if !stage.may_raise() {
        let usual = stage.now();
        let verdict = stage.carry_out(RAISED.sched);
        let told =
            matches!(&verdict, Verdict::Refused { advice, .. } if advice.contains("realtime.conf"));
        // Whoever runs the tests at another policy is somebody whose policy is left alone.
        assert!(told || verdict == Verdict::Gone && usual != USUAL, "{verdict:?}");
        assert!(stage.executor.journal().ledger().raised.is_empty());
        return;
    }
    assert_eq!(stage.carry_out(RAISED.sched), Verdict::Applied);
    assert_eq!((stage.now(), stage.owed()), (RAISED, 1));
    assert_eq!(stage.carry_out(RAISED.sched), Verdict::Applied, "again");
    assert_eq!((stage.now(), stage.owed()), (RAISED, 1));
    let account = stage.executor.lift_passing().unwrap();
    assert!(matches!(account[0].how, Giving::Done { .. }), "{account:?}");
    assert_eq!((stage.now(), stage.owed()), (USUAL, 0));
    assert!(stage.executor.lift_passing().unwrap().is_empty());
    assert_eq!(stage.carry_out(RAISED.sched), Verdict::Applied);
    assert_eq!(stage.carry_out(Sched::OTHER), Verdict::Applied);
    assert_eq!(stage.now(), USUAL);
    assert_eq!(stage.carry_out(Sched::OTHER), Verdict::Gone, "nothing is owed");
    stage.end();
}

#[test]
fn what_somebody_changed_since_and_who_ended_is_left_alone() {
    let mut stage = Stage::new("changed");
    if !stage.may_raise() {
        stage.end();
        assert_eq!(stage.carry_out(RAISED.sched), Verdict::Gone, "it ended");
        return;
    }
    assert_eq!(stage.carry_out(RAISED.sched), Verdict::Applied);
    let theirs = Scheduling { sched: Sched::rr(3), reset_on_fork: true };
    scheduler::set(stage.target.thread.pid, theirs).unwrap();
    let account = stage.executor.give_back(true).unwrap();
    let left = Giving::Left { why: "somebody else set SCHED_RR 3 since".to_owned() };
    assert_eq!(account[0].how, left);
    assert_eq!((stage.now(), stage.owed()), (theirs, 0));
    assert_eq!(stage.carry_out(RAISED.sched), Verdict::Gone, "it is theirs");
    assert_eq!(stage.now(), theirs);
    scheduler::set(stage.target.thread.pid, USUAL).unwrap();
    assert_eq!(stage.carry_out(RAISED.sched), Verdict::Applied);
    stage.end();
    assert_eq!(stage.carry_out(Sched::OTHER), Verdict::Gone);
    assert!(stage.executor.journal().ledger().raised.is_empty());
}
