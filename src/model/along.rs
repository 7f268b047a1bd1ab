//! Two maps with keys of one kind, gone through side by side. Must not know what they hold.
//!
//! **Problem.** At every look a dozen maps with a key for each group or component are held against each other. To go down the tree of a map
//! of a thousand for each key takes some twenty comparisons of names that are long alike, each in another place of memory.
//!
//! **Approach.** All are kept in the order of their keys. Whoever asks in that order finds what it asks for next to what it asked for
//! before. Who asks in any other order gets the same answer, as slowly as from the map itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Iter;
use std::iter::Peekable;

/// Looks keys up in a map, and is quick where they come in rising order.
#[derive(Debug, Clone)]
pub struct Along<'a, K, V> {
    map: &'a BTreeMap<K, V>,
    /// The last that was passed.
    here: Option<(&'a K, &'a V)>,
    rest: Peekable<Iter<'a, K, V>>,
}

impl<'a, K: Ord, V> Along<'a, K, V> {
    /// At the beginning of `map`.
    #[must_use]
    pub fn new(map: &'a BTreeMap<K, V>) -> Self {
        Self { map, here: None, rest: map.iter().peekable() }
    }

    /// What the map holds for `key`.
    pub fn get(&mut self, key: &K) -> Option<&'a V> {
        // Equality comes first: of paths that share their text it is known without reading them.
        if let Some(next) = self.rest.next_if(|(next, _)| *next == key) {
            self.here = Some(next);
            return Some(next.1);
        }
        if let Some((_, value)) = self.here.filter(|(here, _)| *here == key) {
            return Some(value);
        }
        while let Some(passed) = self.rest.next_if(|(next, _)| *next < key) {
            self.here = Some(passed);
        }
        if let Some(next) = self.rest.next_if(|(next, _)| *next == key) {
            self.here = Some(next);
            return Some(next.1);
        }
        let was_passed = self.here.is_some_and(|(here, _)| here > key);
        if was_passed { self.map.get(key) } else { None }
    }
}

/// Makes `own` have the keys of `theirs` and no others, so that the values of both can be gone through side by side; what was missing is
/// made by `new`. Allocates nothing where both have the same keys.
pub fn follow<K: Ord + Clone, A, B>(
    own: &mut BTreeMap<K, A>,
    theirs: &BTreeMap<K, B>,
    new: impl Fn(&K, &B) -> A,
) {
    if own.keys().eq(theirs.keys()) {
        return;
    }
    let mut before = std::mem::take(own);
    let kept_or_new = |(key, value): (&K, &B)| {
        let kept = before.remove(key);
        (key.clone(), kept.unwrap_or_else(|| new(key, value)))
    };
    *own = theirs.iter().map(kept_or_new).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map() -> impl Strategy<Value = BTreeMap<u8, u32>> {
        prop::collection::btree_map(0_u8..20, any::<u32>(), 0..15)
    }

    proptest! {
        #[test]
        fn whoever_asks_in_any_order_is_told_what_the_map_holds(
            map in map(),
            keys in prop::collection::vec(0_u8..20, 0..30),
            is_sorted: bool,
        ) {
            let mut keys = keys;
            if is_sorted {
                keys.sort_unstable();
            }
            let mut along = Along::new(&map);
            for key in keys {
                prop_assert_eq!(along.get(&key), map.get(&key), "{}", key);
            }
        }

        #[test]
        fn what_follows_has_the_same_keys_and_keeps_its_values(own in map(), theirs in map()) {
            let mut now = own.clone();
            follow(&mut now, &theirs, |key, value| u32::from(*key) ^ *value);
            prop_assert!(now.keys().eq(theirs.keys()));
            for (key, value) in now {
                let expected = own.get(&key).copied().unwrap_or(u32::from(key) ^ theirs[&key]);
                prop_assert_eq!(value, expected);
            }
        }
    }
}
