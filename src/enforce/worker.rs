//! The thread on which everything that may wait is done: writes that reclaim, moves that wait for the kernel, calls to systemd. Beside
//! it, the one that lifts passing values when the loop stalls.
//!
//! It takes one order after the other and tells each outcome through a channel, waking the control loop. The loop never waits for it.

use super::carry::Executor;
use super::failsafe::Failsafe;
use super::journal::JournalError;
use super::ledger::Moved;
use super::undo::Returned;
use crate::model::{Hook, Outcome, Plan};
use crate::units::{ComponentName, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Whoever waits for a result looks so often whether the thread is still there.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the worker is to do.
#[derive(Debug)]
pub enum Order {
    /// Carry a plan out.
    CarryOut(Plan),
    /// Take note of processes that were moved already, by the exec gate.
    Moved(Vec<Moved>),
    /// Components whose limits stay when provost leaves.
    Keep(BTreeSet<ComponentName>),
    /// What components want to be called when memory is short.
    Hooks(BTreeMap<ComponentName, Hook>),
    /// Take note that an instance was stopped.
    Stopped(String),
    /// Give everything back.
    GiveBack,
    /// Give back what is passing.
    LiftPassing,
}

/// What came of an order.
#[derive(Debug)]
pub enum Result {
    /// One outcome of a plan.
    Outcome(Box<Outcome>),
    /// The plan is done.
    PlanDone,
    /// What was lifted because the loop did not decide in time.
    Lifted(Vec<Outcome>),
    /// What was ordered to be given back was, or as much as could be.
    GivenBack(std::result::Result<Vec<Returned>, JournalError>),
}

/// The worker's handle.
#[derive(Debug)]
pub struct Worker {
    orders: Option<Sender<Order>>,
    results: Receiver<Result>,
    thread: Option<JoinHandle<()>>,
    failsafe: Failsafe,
}

impl Worker {
    /// Starts the threads; `wake` is called after each result.
    ///
    /// # Errors
    /// The kernel's answer when no thread can be made.
    pub fn start(
        mut executor: Executor,
        wake: impl Fn() + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, received) = channel::<Order>();
        let (tell, results) = channel::<Result>();
        executor.hooks.tell = Some(tell.clone());
        executor.jobs.tell = Some(tell.clone());
        executor.end_hooks();
        executor.hand_over_adopted();
        let failsafe = Failsafe::start(Arc::clone(&executor.caps), {
            let (tell, wake) = (tell.clone(), wake.clone());
            move |lifted| {
                tracing::error!(
                    knobs = lifted.len(),
                    "the control loop decides nothing: what follows the load is lifted"
                );
                let _heard = tell.send(Result::Lifted(lifted));
                wake();
            }
        })?;
        let work = move || {
            // Ends when the handle is dropped.
            while let Ok(order) = received.recv() {
                let send = |result| {
                    // Nobody listens any more only while the daemon is leaving.
                    let _heard = tell.send(result);
                    wake();
                };
                match order {
                    Order::CarryOut(plan) => {
                        executor.carry_out(&plan, &mut |outcome| {
                            send(Result::Outcome(Box::new(outcome)))
                        });
                        send(Result::PlanDone);
                    }
                    Order::Moved(moved) => executor.moved(moved),
                    Order::Keep(components) => executor.keep(components),
                    Order::Hooks(hooks) => executor.hooks(hooks),
                    Order::Stopped(unit) => executor.stopped(unit),
                    Order::GiveBack => {
                        executor.end_hooks();
                        send(Result::GivenBack(executor.give_back(false)));
                    }
                    Order::LiftPassing => {
                        executor.end_hooks();
                        send(Result::GivenBack(executor.lift_passing()));
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("enforce".to_owned()).spawn(work)?;
        Ok(Self { orders: Some(orders), results, thread: Some(thread), failsafe })
    }

    /// The loop has decided, and does so every `interval`. When it stops to, passing values are lifted.
    pub fn decided(&self, interval: Span) {
        self.failsafe.decided(interval);
    }

    /// Gives an order. A worker that died takes none; that shows as a plan that is never done.
    pub fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _taken = orders.send(order);
        }
    }

    /// What came since the last call.
    #[must_use]
    pub fn results(&self) -> Vec<Result> {
        self.results.try_iter().collect()
    }

    /// The next result, waiting for it; none when the thread ended.
    #[must_use]
    pub fn wait(&self) -> Option<Result> {
        loop {
            match self.results.recv_timeout(LOOK_AGAIN) {
                Ok(result) => return Some(result),
                Err(RecvTimeoutError::Timeout) if self.is_alive() => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return self.results.try_recv().ok();
                }
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the worker was logged by the thread itself.
            let _ended = thread.join();
        }
    }
}
