//! Keys of components that hold for a while, as `provost set-quota` gives them: kept over restarts, and shown.

use super::Moment;
use crate::units::ComponentName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A key of a component that may hold for a while: one that limits it, or guarantees it something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QuotaKey {
    /// CPU that it gets whenever it wants it.
    #[serde(rename = "cpu.guarantee")]
    CpuGuarantee,
    /// The most CPU.
    #[serde(rename = "cpu.ceiling")]
    CpuCeiling,
    /// Memory that is protected from reclaim.
    #[serde(rename = "memory.guarantee")]
    MemoryGuarantee,
    /// Where throttling and reclaim begin.
    #[serde(rename = "memory.high")]
    MemoryHigh,
    /// Where killing begins.
    #[serde(rename = "memory.ceiling")]
    MemoryCeiling,
    /// Limits on disks, all of them.
    #[serde(rename = "io.limits")]
    IoLimits,
    /// The most tasks.
    #[serde(rename = "pids.ceiling")]
    PidsCeiling,
}

impl QuotaKey {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CpuGuarantee,
        Self::CpuCeiling,
        Self::MemoryGuarantee,
        Self::MemoryHigh,
        Self::MemoryCeiling,
        Self::IoLimits,
        Self::PidsCeiling,
    ];

    /// The key below the component, as the configuration has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CpuGuarantee => "cpu.guarantee",
            Self::CpuCeiling => "cpu.ceiling",
            Self::MemoryGuarantee => "memory.guarantee",
            Self::MemoryHigh => "memory.high",
            Self::MemoryCeiling => "memory.ceiling",
            Self::IoLimits => "io.limits",
            Self::PidsCeiling => "pids.ceiling",
        }
    }

    /// The key of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.word() == word)
    }
}

impl fmt::Display for QuotaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What holds for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The value as it was written; a quantity may stand without quotes.
    pub value: String,
    /// When it was given.
    pub from: Moment,
    /// When it is over.
    pub until: Moment,
}

/// What holds for a while, of all components.
pub type Quotas = BTreeMap<ComponentName, BTreeMap<QuotaKey, Quota>>;

/// The file in which it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaBook {
    /// [`QuotaBook::VERSION`]; any other is not read.
    pub version: u32,
    /// The components.
    pub components: Quotas,
}

impl QuotaBook {
    /// The version that is written.
    pub const VERSION: u32 = 1;
}

/// One key that holds for a while, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaView {
    /// Which.
    pub key: QuotaKey,
    /// Its value as it was written.
    pub value: String,
    /// When it is over.
    pub until: Moment,
    /// What is configured instead, as TOML; none where that is no limit.
    pub configured: Option<String>,
    /// Whether it holds; otherwise it no longer fits into the configuration and is left out.
    pub holds: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_by_its_word() {
        for key in QuotaKey::ALL {
            assert_eq!(QuotaKey::of_word(key.word()), Some(key));
            assert_eq!(serde_json::to_value(key).unwrap(), key.word());
        }
        assert_eq!(QuotaKey::of_word("cpu.weight"), None);
    }

    #[test]
    fn a_book_is_read_as_it_was_written() {
        let text = r#"{"version":1,"components":{"web":{"cpu.ceiling":{"value":"2","from":7,"until":9}}}}"#;
        let book: QuotaBook = serde_json::from_str(text).unwrap();
        let quota = Quota { value: "2".to_owned(), from: Moment(7), until: Moment(9) };
        assert_eq!(book.components["web"][&QuotaKey::CpuCeiling], quota);
        assert_eq!(serde_json::to_string(&book).unwrap(), text);
        for wrong in [text.replace("cpu.ceiling", "cpu.weight"), text.replace("from", "since")] {
            assert!(serde_json::from_str::<QuotaBook>(&wrong).is_err(), "{wrong}");
        }
    }
}
