//! Wakes the loop for one more look when somebody begins to stand still, long before an average tells.
//!
//! **Problem.** A host that begins to stand still for memory or a disk is seen at the next tick; a second is long then.
//!
//! **Approach.** The kernel's triggers on the whole host, and the sentry's on protected homes, make the loop look at once. Whether that is
//! too much, and whose doing it is, is for the estimate to say: a trigger cannot tell.
//!
//! **Properties.** Reads nothing. Looks for this reason are [`GAP`] apart from any other: what comes sooner is looked at when that is over.

use crate::kernel::poll::{Poller, Timer};
use crate::kernel::stall::Trigger;
use crate::units::{Span, Tick};
use nix::errno::Errno;
use std::path::Path;

/// Two looks that are closer tell nothing new.
const GAP: Span = Span::millis(200);

/// The host's triggers, and when the loop looked last.
#[derive(Debug)]
pub(super) struct Early {
    timer: Timer,
    looked: Tick,
    /// Only held open: the poller tells when one rings.
    _triggers: Vec<Trigger>,
}

impl Early {
    /// Sets the triggers that the kernel lets provost set; they and the timer tell `poller` with `token`.
    pub(super) fn new(poller: &Poller, proc: &Path, token: u64) -> Result<Self, Errno> {
        let timer = Timer::stopped()?;
        poller.add(&timer, token)?;
        let set = |(what, trigger): (&str, Result<Trigger, Errno>)| {
            let set = trigger.and_then(|trigger| {
                poller.add_alarm(&trigger, token)?;
                Ok(trigger)
            });
            set.inspect_err(|errno| {
                tracing::info!(
                    "no trigger for want of {what} ({}): it is seen at the next tick",
                    errno.desc()
                );
            })
            .ok()
        };
        let triggers = [
            ("memory", Trigger::host_begins_to_want_memory(proc)),
            ("disks", Trigger::host_begins_to_want_disks(proc)),
        ];
        let triggers = triggers.into_iter().filter_map(set).collect();
        Ok(Self { timer, looked: Tick::default(), _triggers: triggers })
    }

    /// A trigger or the timer spoke. Whether to look now; if not, the timer speaks when it is time.
    pub(super) fn may_look(&self, now: Tick) -> bool {
        self.timer.clear();
        let since = now.since(self.looked);
        if since >= GAP {
            // One that goes on makes a look too many, and no harm.
            let _stopped = self.timer.stop();
            return true;
        }
        self.timer.set(Span(GAP.0 - since.0)).is_err()
    }

    /// The loop looks.
    pub(super) const fn looked(&mut self, now: Tick) {
        self.looked = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_apart_and_none_is_forgotten() {
        let poller = Poller::new().unwrap();
        // No triggers there.
        let mut early = Early::new(&poller, Path::new("/nonexistent"), 7).unwrap();
        let at = |millis| Tick(0).plus(Span::millis(millis));
        assert!(early.may_look(at(1000)));
        early.looked(at(1000));
        assert!(!early.may_look(at(1001)), "too soon");
        let mut heard = Vec::new();
        poller.wait(|token| heard.push(token)).unwrap();
        assert_eq!(heard, [7], "it is looked at later");
        assert!(early.may_look(at(1200)));
        assert!(!early.may_look(at(1199)));
    }
}
