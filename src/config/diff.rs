//! What a reload changes, one line for each key: for the log, and for the person who asked for it.

use super::canonical::entries;
use super::policy::Policy;
use std::collections::{BTreeMap, BTreeSet};

/// The differences between two policies, in canonical form: keys of the whole first, then components by name. Empty when nothing
/// changes. An added or removed component is one line.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Vec<String> {
    let (old, new) = (by_owner(old), by_owner(new));
    let owners: BTreeSet<&Option<String>> = old.keys().chain(new.keys()).collect();
    let mut lines = Vec::new();
    for owner in owners {
        let name = owner.as_deref().unwrap_or_default();
        match (old.get(owner), new.get(owner)) {
            (Some(before), Some(after)) => lines.extend(changes(owner.as_deref(), before, after)),
            (None, Some(_)) => lines.push(format!("component {name}: added")),
            (Some(_), None) => lines.push(format!("component {name}: removed")),
            (None, None) => {}
        }
    }
    lines
}

type Keys = BTreeMap<String, String>;

fn by_owner(policy: &Policy) -> BTreeMap<Option<String>, Keys> {
    let mut owners: BTreeMap<Option<String>, Keys> = BTreeMap::new();
    for entry in entries(policy) {
        let keys = owners.entry(entry.component).or_default();
        keys.insert(entry.key, entry.value);
    }
    owners
}

fn changes(owner: Option<&str>, before: &Keys, after: &Keys) -> Vec<String> {
    let prefix = owner.map_or_else(String::new, |name| format!("component {name}: "));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter_map(|key| {
            let (old, new) = (before.get(key), after.get(key));
            if old == new {
                return None;
            }
            let shown = |value: Option<&String>| value.map_or("unset", String::as_str).to_owned();
            Some(format!("{prefix}{key}: {} -> {}", shown(old), shown(new)))
        })
        .collect()
}
