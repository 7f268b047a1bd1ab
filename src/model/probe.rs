//! What probing found: how much memory a component needs, and what it gave back.

use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// What is known of one component whose memory is probed, over all its homes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeView {
    /// What it needs; none before it was probed for ten minutes without waiting.
    pub working_set: Option<Bytes>,
    /// What was taken back since the daemon's start or the component's.
    pub given: Bytes,
    /// What of that it read back.
    pub read_back: Bytes,
    /// Why nothing is taken now, as a clause; none while it is probed.
    pub holds: Option<String>,
}

impl ProbeView {
    /// What was taken back and stayed away.
    #[must_use]
    pub const fn saved(&self) -> Bytes {
        self.given.minus(self.read_back)
    }
}
