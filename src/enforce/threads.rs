//! Threads in real time: raised after they are in the journal, and given back what they had.
//!
//! **Problem.** A policy belongs to a thread, which ends, starts another program, or is changed by its owner at any time; its number is
//! then somebody else's. The kernel takes numbers only.
//!
//! **Approach.** Before a thread is raised it is looked at again: the same start time, still in the home, still as nobody changed it. It is in
//! the journal by then, synced. After the call it is looked at once more: a number that went to another thread in between has its policy
//! back at once. A thread is lowered only while it holds the very thing that provost gave it, down to `SCHED_RESET_ON_FORK`, which hardly
//! anybody else sets.
//!
//! **Properties.** A thread that ended, or that somebody else changed, is left alone and forgotten. Running it twice changes nothing the second
//! time. Nice values are never touched.

use super::carry::Executor;
use super::ledger::{Entry, Raised};
use super::undo::{Giving, Returned};
use crate::kernel::clock;
use crate::kernel::process::ProcFs;
use crate::kernel::process::scheduler::{self, SchedError, Scheduling};
use crate::model::{Outcome, OutcomeOf, Sched, ThreadTarget, Verdict};
use crate::units::{ProcId, Span, Tick};

impl Executor {
    /// Puts a thread that is to be raised into the journal, if it is as it was when that was decided.
    pub(super) fn remember_thread(&mut self, target: &ThreadTarget) {
        if target.wanted == Sched::OTHER {
            return;
        }
        let Some(present) = present(&self.proc, target.thread) else { return };
        if present.sched == target.held {
            self.journal.note(Entry::Raised(Raised {
                thread: target.thread,
                name: target.name.clone(),
                component: target.component.clone(),
                at: target.at.clone(),
                given: target.wanted,
                original: present.sched,
                reset_on_fork: present.reset_on_fork,
            }));
        }
    }

    /// Raises or lowers a thread.
    pub(super) fn schedule(&mut self, target: &ThreadTarget, tell: &mut dyn FnMut(Outcome)) {
        let started = clock::now();
        let raised = self.journal.ledger().raised.get(&target.thread).cloned();
        let verdict = match &raised {
            None => Verdict::Gone,
            Some(raised) if target.wanted == Sched::OTHER => {
                let lowering = lower(&self.proc, raised);
                self.forget(target.thread, &lowering);
                lowering.verdict()
            }
            Some(raised) => self.raise(raised),
        };
        tell(outcome(target, verdict, started));
    }

    fn raise(&mut self, raised: &Raised) -> Verdict {
        let thread = raised.thread;
        let wanted = Scheduling::raised(raised.given);
        let now = present(&self.proc, thread);
        if now == Some(wanted) {
            return Verdict::Applied;
        }
        let lives = self.same_group(&raised.at).is_some()
            && self.proc.cgroup(thread.pid).is_some_and(|at| raised.at.path.contains(&at));
        if !lives || now != Some(raised.before()) {
            self.forget(thread, &Lowering::Gone);
            return Verdict::Gone;
        }
        self.caps.hold_thread(raised);
        if let Err(error) = scheduler::set(thread.pid, wanted) {
            self.forget(thread, &Lowering::Gone);
            return if error.is_gone() { Verdict::Gone } else { refused(error) };
        }
        match present(&self.proc, thread) {
            Some(now) if now == wanted => Verdict::Applied,
            Some(now) => {
                self.forget(thread, &Lowering::Gone);
                let advice =
                    format!("the kernel keeps {} when asked for {}", now.sched, raised.given);
                Verdict::Refused { errno: 0, advice }
            }
            None => {
                self.take_back_from_another(raised);
                self.forget(thread, &Lowering::Gone);
                Verdict::Gone
            }
        }
    }

    /// The thread ended while it was raised: whoever has its number now is not meant.
    fn take_back_from_another(&self, raised: &Raised) {
        if let Some(thread) = self.proc.identity(raised.thread.pid) {
            let _lowered = lower(&self.proc, &Raised { thread, ..raised.clone() });
        }
    }

    /// Takes real time from all threads that were given it, whatever their components' limits do.
    pub(super) fn lower_all(&mut self) -> Vec<Returned> {
        let raised: Vec<Raised> = self.journal.ledger().raised.values().cloned().collect();
        let mut lines = Vec::new();
        for raised in &raised {
            let lowering = lower(&self.proc, raised);
            self.forget(raised.thread, &lowering);
            let what = format!("thread {} ({})", raised.thread, raised.name);
            lines.push(Returned {
                path: raised.at.path.clone(),
                what,
                how: lowering.giving(raised),
            });
        }
        lines
    }

    /// Nothing is owed to the thread any more, unless it could not be lowered.
    fn forget(&mut self, thread: ProcId, lowering: &Lowering) {
        if !matches!(lowering, Lowering::Failed(_)) {
            self.journal.note(Entry::Lowered { thread });
            self.caps.forget_thread(thread);
        }
    }
}

impl Raised {
    /// What it had before.
    const fn before(&self) -> Scheduling {
        Scheduling { sched: self.original, reset_on_fork: self.reset_on_fork }
    }
}

/// How the thread is scheduled; none where it is not this thread any more.
fn present(proc: &ProcFs, thread: ProcId) -> Option<Scheduling> {
    let now = scheduler::get(thread.pid).ok()?;
    (proc.identity(thread.pid) == Some(thread)).then_some(now)
}

/// What came of lowering a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lowering {
    /// It has its policy of before.
    Done,
    /// It ended.
    Gone,
    /// Somebody else has changed it since.
    Foreign(Sched),
    /// The kernel refused.
    Failed(SchedError),
}

/// Gives a thread back what it had, if it still holds what provost gave it.
pub(super) fn lower(proc: &ProcFs, raised: &Raised) -> Lowering {
    match present(proc, raised.thread) {
        None => Lowering::Gone,
        Some(now) if now != Scheduling::raised(raised.given) => Lowering::Foreign(now.sched),
        Some(_) => match scheduler::set(raised.thread.pid, raised.before()) {
            Ok(()) => Lowering::Done,
            Err(error) if error.is_gone() => Lowering::Gone,
            Err(error) => Lowering::Failed(error),
        },
    }
}

impl Lowering {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Done => Verdict::Applied,
            Self::Gone | Self::Foreign(_) => Verdict::Gone,
            Self::Failed(error) => refused(*error),
        }
    }

    fn giving(self, raised: &Raised) -> Giving {
        match self {
            Self::Done => {
                Giving::Done { from: raised.given.to_string(), to: raised.original.to_string() }
            }
            Self::Gone => Giving::Nothing { why: "it ended".to_owned() },
            Self::Foreign(now) if now == raised.original => {
                Giving::Nothing { why: "it is as before".to_owned() }
            }
            Self::Foreign(now) => Giving::Left { why: format!("somebody else set {now} since") },
            Self::Failed(error) => Giving::Failed { why: error.advice() },
        }
    }

    /// What the failsafe tells of it; nothing where there was nothing to do.
    pub(super) fn told(&self, raised: &Raised) -> Option<Outcome> {
        let target = ThreadTarget {
            component: raised.component.clone(),
            at: raised.at.clone(),
            thread: raised.thread,
            name: raised.name.clone(),
            held: raised.given,
            wanted: raised.original,
            because: String::new(),
        };
        let is_news = matches!(self, Self::Done | Self::Failed(_));
        is_news.then(|| outcome(&target, self.verdict(), clock::now()))
    }
}

fn refused(error: SchedError) -> Verdict {
    Verdict::Refused { errno: error.number(), advice: error.advice() }
}

fn outcome(target: &ThreadTarget, verdict: Verdict, started: Tick) -> Outcome {
    let at = clock::now();
    let took: Span = at.since(started);
    let of = OutcomeOf::Thread {
        thread: target.thread,
        name: target.name.clone(),
        id: target.at.id,
        asked: target.wanted,
        original: Sched::OTHER,
    };
    Outcome {
        at,
        component: Some(target.component.clone()),
        path: target.at.path.clone(),
        of,
        verdict,
        took,
    }
}

/// Tells that a thread was left as it is.
pub(super) fn refuse(target: &ThreadTarget, advice: &str, tell: &mut dyn FnMut(Outcome)) {
    let verdict = Verdict::Refused { errno: 0, advice: advice.to_owned() };
    tell(outcome(target, verdict, clock::now()));
}

#[cfg(test)]
mod tests;
