//! Whether provost itself does what it is there for, with the reasons where it does not. Says nothing of the host: that is what levels,
//! findings and alerts are for.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How provost does. Orders from the best to the worst.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It does all that it is asked for.
    #[default]
    Healthy,
    /// It goes on without something.
    Degraded,
    /// It does not look after the host.
    Failed,
}

impl Condition {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How provost does, and why not better.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// The worst of all reasons.
    pub condition: Condition,
    /// What is wrong and how to mend it, one clause each; empty while it is healthy.
    pub reasons: Vec<String>,
}

impl Health {
    /// The health that follows from what is wrong.
    #[must_use]
    pub fn of(wrongs: impl IntoIterator<Item = (Condition, String)>) -> Self {
        let mut health = Self::default();
        for (condition, reason) in wrongs {
            health.add(condition, reason);
        }
        health
    }

    /// Something more is wrong.
    pub fn add(&mut self, condition: Condition, reason: String) {
        self.condition = self.condition.max(condition);
        self.reasons.push(reason);
    }
}

impl fmt::Display for Health {
    /// The word on the first line, a reason on each of the others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.condition)?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "{reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts_and_every_reason_is_kept() {
        assert_eq!(Health::of([]).to_string(), "healthy\n");
        let wrongs = [(Condition::Failed, "one"), (Condition::Degraded, "two")];
        let health = Health::of(wrongs.map(|(condition, why)| (condition, why.to_owned())));
        assert_eq!(health.to_string(), "failed\none\ntwo\n");
    }
}
