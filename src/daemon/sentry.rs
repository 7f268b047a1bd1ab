//! The sentry: notices within two tenths of a second that a protected component waits for CPU, and sleeps while none does.
//!
//! **Problem.** The tick sees a load step after up to a second. Reading everything ten times a second costs more than provost may.
//!
//! **Approach.** The kernel's pressure trigger on each protected home wakes the sentry; awake, it reads the homes' waiting time each
//! [`POLL_EVERY`] until all was quiet for [`QUIET_POLLS`] polls; two in a row that found much of it count, or four that found some, less those that found none. What
//! rang the trigger is the first of them. Where no trigger can be set it stays awake.
//!
//! A second trigger on each home rings when it stands still for memory. It only wakes the loop, whose look tells whose doing that is.
//!
//! **Properties.** Reads only; two `pread` a home and poll, no allocation; asleep it costs nothing. At most [`MOST_POSTS`] homes are watched,
//! since triggers cost the kernel a thread for each group, and ten milliseconds each to close.

use crate::config::Policy;
use crate::kernel::poll::{Poller, Timer};
use crate::kernel::sampler::Buffer;
use crate::kernel::stall::{CpuWait, Trigger};
use crate::kernel::{CgroupFs, ErrnoClass};
use crate::model::Snapshot;
use crate::units::{CgroupPath, CgroupRef, Span, Tick};
use nix::errno::Errno;
use std::collections::BTreeMap;

/// From the onset of much waiting to knowing it takes twice this at most.
const POLL_EVERY: Span = Span::millis(50);
/// So many signs are enough. Fewer are the scheduler's everyday business: a time slice lasts some milliseconds.
const ENOUGH: u8 = 4;
/// So many polls without waiting and the sentry sleeps.
const QUIET_POLLS: u32 = 40;
/// More homes than this are left to the tick.
const MOST_POSTS: usize = 32;
/// A protected component that waits a tenth of the time is slowed down by others: one sign. Twice as much is two.
const WAITS_PERCENT: u64 = 10;
/// What rings the trigger: so many microseconds of waiting within half a second.
const RINGS_USEC: u64 = 50_000;
/// Between polls that are closer, the reading itself would be the noise.
const SHORTEST: Span = Span::millis(20);

/// Watches the protected homes.
#[derive(Debug)]
pub(super) struct Sentry {
    timer: Timer,
    awake: bool,
    quiet: u32,
    posts: BTreeMap<CgroupPath, Post>,
    buffer: Box<Buffer>,
}

/// One watched home.
#[derive(Debug)]
struct Post {
    at: CgroupRef,
    wait: CpuWait,
    trigger: Option<Trigger>,
    /// Only held open: the poller tells when it rings.
    _starved: Option<Trigger>,
    last: Option<(Tick, u64)>,
    /// The signs of the last polls; one that found none takes one away.
    signs: u8,
}

impl Sentry {
    /// A sentry that watches nothing; its timer tells `poller` with `token`.
    pub(super) fn new(poller: &Poller, token: u64) -> Result<Self, Errno> {
        let timer = Timer::stopped()?;
        poller.add(&timer, token)?;
        let buffer = Box::new([0; size_of::<Buffer>()]);
        Ok(Self { timer, awake: false, quiet: 0, posts: BTreeMap::new(), buffer })
    }

    /// Watches the homes of the protected components, if anybody yields to them.
    pub(super) fn guard(
        &mut self,
        policy: &Policy,
        seen: &Snapshot,
        fs: &CgroupFs,
        (poller, token, starved): (&Poller, u64, u64),
    ) {
        let wanted = protected_homes(policy, seen);
        self.posts.retain(|path, post| wanted.get(path) == Some(&post.at));
        for (path, at) in wanted {
            if self.posts.len() >= MOST_POSTS || self.posts.contains_key(&path) {
                continue;
            }
            let Ok(group) = fs.group(&path) else { continue };
            let Ok(wait) = CpuWait::of(&group) else { continue };
            let set = |trigger: Result<Trigger, Errno>, token, instead: &str| {
                let set = trigger.and_then(|trigger| {
                    poller.add_alarm(&trigger, token)?;
                    Ok(trigger)
                });
                let say = |errno: &Errno| {
                    tracing::info!(cgroup = %path, "no trigger ({}): {instead}", errno.desc());
                };
                set.inspect_err(say).ok()
            };
            let trigger = set(Trigger::cpu(&group), token, "it is read twenty times a second");
            let tick = "that it waits for memory is seen at the next tick";
            let _starved = set(Trigger::memory(&group), starved, tick);
            if group.at() == &at {
                let post = Post { at, wait, trigger, _starved, last: None, signs: 0 };
                self.posts.insert(path, post);
                self.wake();
            }
        }
    }

    /// A trigger or the timer spoke. Whether somebody waits now.
    pub(super) fn poll(&mut self, now: Tick) -> bool {
        self.timer.clear();
        let rung = !self.awake;
        if rung {
            self.wake();
        }
        let buffer = &mut self.buffer;
        let mut waits = false;
        self.posts.retain(|_, post| match post.look(now, rung, buffer) {
            Ok(()) => {
                waits |= post.signs >= ENOUGH;
                true
            }
            Err(class) => class != ErrnoClass::Gone,
        });
        self.quiet = if waits { 0 } else { self.quiet.saturating_add(1) };
        let may_sleep = self.posts.values().all(|post| post.trigger.is_some());
        if self.quiet >= QUIET_POLLS && may_sleep || self.posts.is_empty() {
            self.sleep();
        }
        waits
    }

    fn wake(&mut self) {
        self.quiet = 0;
        if !self.awake && !self.posts.is_empty() {
            self.awake = self.timer.set(POLL_EVERY).is_ok();
        }
    }

    fn sleep(&mut self) {
        if self.awake {
            self.awake = self.timer.stop().is_err();
        }
    }
}

impl Post {
    /// Reads how long it waited. `rung` says that a trigger woke the sentry, so that the reading before is from before it slept.
    fn look(&mut self, now: Tick, rung: bool, buffer: &mut Buffer) -> Result<(), ErrnoClass> {
        if self.last.is_some_and(|(at, _)| now.since(at) < SHORTEST) {
            return Ok(());
        }
        let total = self.wait.total_usec(buffer)?;
        let signs = self.last.replace((now, total)).map_or(0, |(at, before)| {
            let waited = total.saturating_sub(before);
            let part = now.since(at).0.saturating_mul(WAITS_PERCENT) / 100;
            if rung {
                2 * u8::from(waited >= RINGS_USEC)
            } else {
                u8::from(waited >= part) + u8::from(waited >= 2 * part)
            }
        });
        self.signs = match signs {
            0 => self.signs.saturating_sub(1),
            more => self.signs.saturating_add(more).min(ENOUGH),
        };
        Ok(())
    }
}

/// None where nobody would yield.
fn protected_homes(policy: &Policy, seen: &Snapshot) -> BTreeMap<CgroupPath, CgroupRef> {
    if !policy.has_yielding() {
        return BTreeMap::new();
    }
    let homes =
        policy.protected().filter_map(|component| seen.homes.get(&component.name)).flatten();
    homes.map(|home| (home.path().clone(), home.at.clone())).collect()
}
