//! What was learnt of each component's demand, as it is kept over a restart of the daemon: the file `affinity` in the state folder.
//!
//! It is JSON with a version, and bytes from outside when it is read: whatever they are, they make a [`Learnt`] within the bounds below
//! or an error. It decides nothing.

use crate::units::{ComponentName, Millicpu, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// The version that is written, and the only one that is read: an hour of demand is not worth a translation.
const VERSION: u32 = 1;
/// An hour of a component takes some two kilobytes; nothing sane is longer than this.
const MOST_BYTES: usize = 4 << 20;
const MOST_COMPONENTS: usize = 4096;
/// An hour.
const MOST_MINUTES: usize = 60;
/// A million cores: sums of squares stay far within their type.
const MOST_CPU: Millicpu = Millicpu(1_000_000_000);
/// `CONFIG_NR_CPUS` ends at 8192.
const MOST_CPUS: u32 = 8192;

/// All that was learnt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learnt {
    version: u32,
    /// The boot in which it was learnt: ticks count from its beginning.
    pub boot: String,
    /// What is known of each component with `affinity = "auto"`.
    pub components: BTreeMap<ComponentName, LearntDemand>,
}

/// What is known of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearntDemand {
    /// The last hour at most, the oldest minute first.
    pub minutes: Vec<LearntMinute>,
    /// When the last of them ended.
    pub until: Tick,
    /// When it was judged last.
    pub judged_at: Option<Tick>,
    /// When it was changed last.
    pub changed_at: Option<Tick>,
    /// Minutes since its CPUs are as many as they are.
    pub minutes_of_size: u32,
    /// Where it is to run; none while that is not known.
    pub choice: Option<LearntChoice>,
}

/// Means over a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearntMinute {
    /// What it wanted.
    pub demand: Millicpu,
    /// What it used.
    pub usage: Millicpu,
    /// What all others used.
    pub others: Millicpu,
}

/// Where a component is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LearntChoice {
    /// Where all others do.
    Shared,
    /// On CPUs of its own.
    Own {
        /// How many, 1 to 8192.
        cpus: u32,
        /// Whether they are spread.
        balanced: bool,
    },
}

/// Why bytes are not what was learnt.
#[derive(Debug, Error)]
pub enum LearntError {
    /// Longer than anything that is written.
    #[error("it has more than {MOST_BYTES} bytes")]
    TooLong,
    /// Not the format.
    #[error("it cannot be understood: {why}")]
    Malformed {
        /// Where and what.
        why: String,
    },
    /// Of another version of provost.
    #[error("its version is {version}, and this provost reads {VERSION}")]
    Version {
        /// Which.
        version: u32,
    },
    /// A number that cannot be.
    #[error("what it says of {component} cannot be: {what}")]
    Impossible {
        /// Of whom.
        component: ComponentName,
        /// Which.
        what: &'static str,
    },
    /// More than is ever written.
    #[error("it is of more than {MOST_COMPONENTS} components")]
    TooMany,
}

impl Learnt {
    /// What is known of these components, learnt in this boot.
    #[must_use]
    pub const fn new(boot: String, components: BTreeMap<ComponentName, LearntDemand>) -> Self {
        Self { version: VERSION, boot, components }
    }

    /// Reads what [`Self::text`] wrote; or any bytes.
    ///
    /// # Errors
    /// [`LearntError`] when they are anything else.
    pub fn read(bytes: &[u8]) -> Result<Self, LearntError> {
        if bytes.len() > MOST_BYTES {
            return Err(LearntError::TooLong);
        }
        let malformed =
            |error: serde_json::Error| LearntError::Malformed { why: error.to_string() };
        let learnt: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if learnt.version != VERSION {
            return Err(LearntError::Version { version: learnt.version });
        }
        if learnt.components.len() > MOST_COMPONENTS {
            return Err(LearntError::TooMany);
        }
        for (component, demand) in &learnt.components {
            if let Some(what) = demand.impossible() {
                return Err(LearntError::Impossible { component: component.clone(), what });
            }
        }
        Ok(learnt)
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`LearntError::TooLong`] or [`LearntError::TooMany`] for what would not be read again.
    pub fn text(&self) -> Result<String, LearntError> {
        if self.components.len() > MOST_COMPONENTS {
            return Err(LearntError::TooMany);
        }
        let malformed =
            |error: serde_json::Error| LearntError::Malformed { why: error.to_string() };
        let text = serde_json::to_string(self).map_err(malformed)?;
        if text.len() > MOST_BYTES { Err(LearntError::TooLong) } else { Ok(text) }
    }
}

impl LearntDemand {
    fn impossible(&self) -> Option<&'static str> {
        let is_too_much = |minute: &LearntMinute| {
            [minute.demand, minute.usage, minute.others].into_iter().any(|cpu| cpu > MOST_CPU)
        };
        let is_later = |at: Option<Tick>| at.is_some_and(|at| at > self.until);
        let is_out_of_range = match self.choice {
            Some(LearntChoice::Own { cpus, .. }) => !(1..=MOST_CPUS).contains(&cpus),
            Some(LearntChoice::Shared) | None => false,
        };
        if self.minutes.len() > MOST_MINUTES {
            Some("more than an hour of minutes")
        } else if self.minutes.iter().any(is_too_much) {
            Some("more than a million cores")
        } else if is_later(self.judged_at) || is_later(self.changed_at) {
            Some("a judgement after its last minute")
        } else if is_out_of_range {
            Some("a number of CPUs that no host has")
        } else {
            None
        }
    }
}
