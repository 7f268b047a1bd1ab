//! Which room may use which: the table of docs/architecture.md as data, and every path in src held against it.

use super::code::Source;
use super::{caught, none, sources};
use std::collections::BTreeSet;

/// A room, and the rooms that it may use beside itself.
pub(crate) const ROOMS: [(&str, &[&str]); 20] = [
    ("units", &[]),
    ("model", &["units"]),
    ("kernel", &["units", "model"]),
    ("config", &["units", "model"]),
    ("observe", &["units", "model", "kernel", "config"]),
    ("estimate", &["units", "model", "config"]),
    ("decide", &["units", "model", "config", "estimate"]),
    ("plan", &["units", "model", "config", "estimate"]),
    ("cycle", &["units", "model", "config", "estimate", "decide", "plan"]),
    ("enforce", &["units", "model", "kernel"]),
    ("record", &["units", "model"]),
    ("publish", &["units", "model", "record"]),
    ("serve", &["units", "model", "config"]),
    (
        "sim",
        &["units", "model", "config", "estimate", "decide", "plan", "cycle", "enforce", "record"],
    ),
    (
        "daemon",
        &[
            "units", "model", "kernel", "config", "observe", "estimate", "decide", "plan", "cycle",
            "enforce", "record", "publish", "serve", "sim",
        ],
    ),
    (
        "cli",
        &[
            "units", "model", "kernel", "config", "observe", "estimate", "decide", "plan", "cycle",
            "enforce", "record", "publish", "serve", "sim", "daemon",
        ],
    ),
    // Builders for unit tests, compiled into no binary.
    ("testing", &["units", "model", "config", "estimate", "cycle", "plan", "record", "daemon"]),
    // What all parsers must hold, for tests and fuzzing.
    (
        "fuzzing",
        &["units", "model", "kernel", "config", "estimate", "enforce", "record", "serve", "sim"],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Rooms that see of `config` only the checked policy.
const POLICY_ONLY: [&str; 4] = ["estimate", "decide", "plan", "cycle"];

fn may_use(room: &str) -> Option<&'static [&'static str]> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, uses)| *uses)
}

/// What `src/config/mod.rs` re-exports from its `policy`.
fn policy_names(sources: &[Source]) -> BTreeSet<String> {
    let config = sources.iter().find(|source| source.path == "src/config/mod.rs");
    let paths = config.map(Source::paths).unwrap_or_default();
    paths
        .into_iter()
        .filter(|path| path.segments.first().is_some_and(|first| first == "policy"))
        .filter_map(|path| path.segments.into_iter().next_back())
        .chain(["policy".to_owned()])
        .collect()
}

/// How deep the file's module lies below the crate's root: `src/a/mod.rs` 1, `src/a/b.rs` 2.
fn depth(path: &str) -> usize {
    let parts = path.split('/').skip(1).count();
    let is_root_file = path.ends_with("/mod.rs") || path == "src/lib.rs" || path == "src/main.rs";
    parts - usize::from(is_root_file)
}

/// The part of a path after the crate's root, if it goes there: `crate::…`, `provost::…`, or enough `super`s.
fn from_root<'a>(source: &Source, segments: &'a [String]) -> Option<&'a [String]> {
    let first = segments.first()?;
    if first == "crate" || (source.path == "src/main.rs" && first == "provost") {
        return Some(&segments[1..]);
    }
    let supers = segments.iter().take_while(|word| *word == "super").count();
    (supers > 0 && supers >= depth(&source.path)).then(|| &segments[supers..])
}

fn violations(sources: &[Source]) -> Vec<String> {
    let policy = policy_names(sources);
    let mut found = Vec::new();
    for source in sources {
        let room = source.room();
        let Some(allowed) = may_use(room) else {
            found.push(format!(
                "{}: the room {room} is not in the table of tests/tidy/layers.rs",
                source.path
            ));
            continue;
        };
        for path in source.paths() {
            let Some(rest) = from_root(source, &path.segments) else {
                continue;
            };
            let Some(used) = rest.first() else { continue };
            let at = format!("{}:{}", source.path, path.line);
            if used == room {
                continue;
            }
            if !allowed.contains(&used.as_str()) {
                found
                    .push(format!("{at}: {room} uses crate::{used}, and may use only {allowed:?}"));
            } else if used == "config"
                && POLICY_ONLY.contains(&room)
                && rest.get(1).is_some_and(|item| !policy.contains(item))
            {
                found.push(format!(
                    "{at}: {room} uses {}, and of config it may see only the policy",
                    path.segments.join("::")
                ));
            }
        }
    }
    found
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    none(&violations(&sources()));
}

#[test]
fn the_table_has_no_cycle_and_no_unknown_room() {
    for (index, (room, uses)) in ROOMS.iter().enumerate() {
        for used in *uses {
            let below = ROOMS.iter().position(|(name, _)| name == used);
            assert!(
                below.is_some_and(|below| below < index),
                "{room} uses {used}, which does not stand above it"
            );
        }
    }
}

#[test]
fn a_forbidden_edge_is_caught() {
    let config = Source::new(
        "src/config/mod.rs",
        "//! x\npub use policy::{Mode, Policy};\npub use load::load;",
    );
    let with = |path: &str, text: &str| violations(&[config.clone(), Source::new(path, text)]);
    caught(&with("src/decide/cpu.rs", "use crate::kernel::Clock;"), "decide uses crate::kernel");
    caught(
        &with("src/plan/mod.rs", "use crate::{units::Bytes, enforce::{Sink}};"),
        "plan uses crate::enforce",
    );
    caught(
        &with("src/units/bytes.rs", "fn f() { super::super::model::f() }"),
        "units uses crate::model",
    );
    caught(&with("src/decide/mod.rs", "use crate::config::load;"), "only the policy");
    caught(&with("src/main.rs", "fn main() { provost::daemon::run() }"), "main uses crate::daemon");
    caught(&with("src/misc/mod.rs", ""), "misc is not in the table");
    none(&with(
        "src/decide/mod.rs",
        "use crate::config::Policy; use super::units::Bytes;\n#[cfg(test)]\nmod tests { use crate::sim::Plant; }",
    ));
}

/// Rooms that a document does not name as code.
fn unnamed_rooms(document: &str) -> Vec<String> {
    let rooms = ROOMS.iter().filter(|(room, _)| !["main", "lib", "testing"].contains(room));
    rooms
        .filter(|(room, _)| !document.contains(&format!("`{room}`")))
        .map(|(room, _)| format!("docs/architecture.md: does not name the room {room}"))
        .collect()
}

#[test]
fn the_map_names_every_room() {
    let path = super::root().join("docs/architecture.md");
    none(&unnamed_rooms(&std::fs::read_to_string(path).unwrap()));
}

#[test]
fn a_room_without_a_place_on_the_map_is_caught() {
    let rooms = ROOMS.iter().map(|(room, _)| format!("`{room}`"));
    let without_plan: String = rooms.filter(|room| room != "`plan`").collect();
    caught(&unnamed_rooms(&without_plan), "the room plan");
}
