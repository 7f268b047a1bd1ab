//! A limit that may be absent: the kernel's word for that is `max`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A value, or no limit at all. `Max` orders above every value, as it does in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit<T> {
    /// Limited to the value.
    At(T),
    /// Not limited.
    Max,
}

impl<T> Limit<T> {
    /// The limit with `change` applied to its value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Limit<U> {
        match self {
            Self::At(value) => Limit::At(change(value)),
            Self::Max => Limit::Max,
        }
    }

    /// The value, where there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::At(value) => Some(value),
            Self::Max => None,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(value) => value.fmt(f),
            Self::Max => f.pad("max"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_is_above_every_value() {
        assert!(Limit::Max > Limit::At(u64::MAX));
        assert_eq!(Limit::At(3).min(Limit::Max), Limit::At(3));
    }
}
