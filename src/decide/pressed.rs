//! Whether something presses, or did not long ago: what was done for it stays for a minute, and longer where it came back soon.

use crate::units::{Span, Tick};
use serde::{Deserialize, Serialize};

/// After the last sign it lasts for so long.
const RELEASE_AFTER: Span = Span::secs(60);
/// What begins again within this time after the end of the last one makes the next release slower, twice each time.
const AGAIN_WITHIN: Span = Span::secs(300);
const SLOWEST: u64 = 8;

/// Whether something presses, or did not long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pressed {
    last: Option<Tick>,
    released: Option<Tick>,
    /// By how much slower than usual it is released.
    slower: u64,
}

impl Default for Pressed {
    fn default() -> Self {
        Self { last: None, released: None, slower: 1 }
    }
}

impl Pressed {
    /// Whether it pressed at the last look, or not long before.
    pub(super) const fn is_on(&self) -> bool {
        self.last.is_some()
    }

    /// Takes in one look. Whether it presses, or did not long ago.
    pub(super) fn update(&mut self, presses: bool, now: Tick) -> bool {
        if presses {
            if let Some(released) = self.released.take() {
                let again = now.since(released) < AGAIN_WITHIN;
                self.slower = if again { (self.slower * 2).min(SLOWEST) } else { 1 };
            }
            self.last = Some(now);
        }
        let release_after = Span(RELEASE_AFTER.0 * self.slower);
        let pressed = self.last.is_some_and(|last| now.since(last) < release_after);
        if !pressed && self.last.take().is_some() {
            self.released = Some(now);
        }
        pressed
    }
}
