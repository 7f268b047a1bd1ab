//! Sets of CPUs in the kernel's list form, `0-3,8`.
//!
//! Source: `Documentation/admin-guide/cgroup-v2.rst`, cpuset; `lib/bitmap-str.c` for the list grammar.

use super::{Millicpu, QuantityError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// More CPUs than Linux can be built for (`CONFIG_NR_CPUS` ends at 8192); bounds what a list may expand to.
const MOST_CPUS: u32 = 8192;
const EXPECTED: &str = "a CPU list such as \"0-3,8\"";

/// A set of logical CPU numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CpuSet(BTreeSet<u32>);

impl CpuSet {
    /// The set of the given CPU numbers.
    pub fn of(cpus: impl IntoIterator<Item = u32>) -> Self {
        Self(cpus.into_iter().filter(|cpu| *cpu < MOST_CPUS).collect())
    }

    /// The CPU numbers in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// How many CPUs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What they can do: the CPU time of all of them in each second.
    #[must_use]
    pub fn capacity(&self) -> Millicpu {
        Millicpu::cores(u64::try_from(self.len()).unwrap_or(u64::MAX))
    }

    /// Whether there is none. The kernel reads an empty `cpuset.cpus` as "whatever the parent has".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every CPU is also in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether the CPU is one of the set.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.contains(&cpu)
    }

    /// The CPUs that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// The CPUs of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// The CPUs of this set that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).copied().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                Some(_) | None => ranges.push((cpu, cpu)),
            }
        }
        let texts: Vec<String> = ranges
            .into_iter()
            .map(
                |(first, last)| {
                    if first == last { first.to_string() } else { format!("{first}-{last}") }
                },
            )
            .collect();
        f.pad(&texts.join(","))
    }
}

impl FromStr for CpuSet {
    type Err = QuantityError;

    /// Reads the kernel's list form; white space around the list is ignored, an empty list is the empty set.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let list = text.trim();
        if list.is_empty() {
            return Ok(Self::default());
        }
        // Ranges are joined first: a list may name the same CPUs many times, and must not cost more for it.
        let mut ranges: BTreeMap<u32, u32> = BTreeMap::new();
        for part in list.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = first.trim().parse::<u32>().ok().zip(last.trim().parse::<u32>().ok());
            let Some((first, last)) = range.filter(|(first, last)| first <= last) else {
                return Err(QuantityError::Malformed {
                    text: text.to_owned(),
                    what: "a CPU list",
                    expected: EXPECTED,
                });
            };
            if last >= MOST_CPUS {
                return Err(QuantityError::OutOfRange {
                    text: text.to_owned(),
                    range: "Linux numbers CPUs from 0 to 8191",
                });
            }
            let end = ranges.entry(first).or_insert(last);
            *end = last.max(*end);
        }
        let mut next = 0;
        let mut cpus = BTreeSet::new();
        for (first, last) in ranges {
            cpus.extend(first.max(next)..=last);
            next = next.max(last + 1);
        }
        Ok(Self(cpus))
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> Self {
        set.to_string()
    }
}

impl TryFrom<String> for CpuSet {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_list_form() {
        let set: CpuSet = "0-3,8\n".parse().unwrap();
        assert_eq!(set, CpuSet::of([0, 1, 2, 3, 8]));
        assert_eq!(set.to_string(), "0-3,8");
        assert_eq!("".parse(), Ok(CpuSet::default()));
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["a", "3-1", "1,,2", "-1", "0-99999", "1 2"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_named_again_costs_nothing_and_changes_nothing() {
        assert_eq!("4-6,0-3,2-5,5,0".parse(), Ok(CpuSet::of(0..=6)));
        assert_eq!("0-8191,".repeat(20_000).trim_end_matches(',').parse(), Ok(CpuSet::of(0..8192)));
    }

    proptest::proptest! {
        #[test]
        fn display_parses_back(cpus in proptest::collection::btree_set(0u32..200, 0..60)) {
            let set = CpuSet::of(cpus);
            proptest::prop_assert_eq!(set.to_string().parse(), Ok(set));
        }
    }
}
