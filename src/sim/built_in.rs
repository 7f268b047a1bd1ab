//! Scenarios that can be named without a file: those of `tests/scenarios`, compiled in.

use super::scenario::Scenario;
use crate::config::ConfigIssue;
use std::path::Path;

/// A scenario that is compiled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its file's text.
    pub text: &'static str,
}

macro_rules! built_in {
    ($($name:literal,)+) => {
        [$(BuiltIn {
            name: $name,
            text: include_str!(concat!("../../tests/scenarios/", $name, ".toml")),
        },)+]
    };
}

/// All of them, the calm ones first.
pub const BUILT_IN: [BuiltIn; 19] = built_in![
    "steady",
    "steps",
    "squares",
    "crowd",
    "diurnal",
    "tides",
    "growing",
    "leak",
    "slow-leak",
    "fork-bomb",
    "fork-storm",
    "memory-hog",
    "last-resort",
    "disk-hog",
    "restart-storm",
    "thousand",
    "foreign-writer",
    "failing-writes",
    "clock-gap",
];

impl Scenario {
    /// Reads a scenario that is compiled in.
    ///
    /// # Errors
    /// None that a release could have: a test reads them all.
    pub fn built_in(built_in: &BuiltIn) -> Result<Self, Vec<ConfigIssue>> {
        Self::from_text(built_in.name, built_in.text, Path::new(""))
    }
}
