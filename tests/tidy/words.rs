//! What a room may touch, as the words that it must not contain.

use super::code::Source;
use super::{caught, none, sources};

/// A path or word, the rooms or files (by the start of their path below src) that may use it, and why others may not.
type Ban = (&'static str, &'static [&'static str], &'static str);

const FILES: &str = "files are touched in kernel, config/load.rs, enforce, record, publish, sim, daemon, cli/simulate.rs, cli/backtest.rs and cli/report.rs (what they draw)";
const SYSCALLS: &str = "system calls are made in kernel, config/load.rs, where a ring is allocated, and by the loop and the socket";
const LOCKS: &str = "pure rooms share nothing that changes";
const PRINT: &str = "only cli prints, and it writes to the stream that it is given";
const CLOCK: &str = "time is an argument; the clock is kernel::clock";
const FLOATS: &str = "integers decide; floats stay inside estimate and in what is shown";
const ORDER: &str = "its order differs from run to run; use the BTree collections";
const WIRE: &str = "only recorded and transmitted types derive serde";

const OUTER: &[&str] =
    &["kernel", "observe", "enforce", "record", "publish", "serve", "sim", "daemon", "cli", "main"];
const WIRE_ROOMS: &[&str] = &[
    "units",
    "model",
    "config",
    "record",
    "serve",
    "enforce",
    "publish",
    "kernel/systemd",
    "sim/raw.rs",
    // What is remembered between two cycles is recorded with them.
    "estimate",
    "decide",
    "cycle",
];
/// The last two pass on whatever number they are given.
const SHOWN: &[&str] =
    &["estimate", "publish", "sim", "cli", "config", "record/pack.rs", "record/unpack.rs"];

const BANS: &[Ban] = &[
    (
        "std::fs",
        &[
            "kernel",
            "config/load.rs",
            "enforce",
            "record",
            "publish",
            "sim",
            "daemon",
            "cli/simulate.rs",
            "cli/backtest.rs",
            "cli/report.rs",
        ],
        FILES,
    ),
    (
        "std::io",
        &[
            "config/load.rs",
            "kernel",
            "observe",
            "enforce",
            "record",
            "publish",
            "serve",
            "sim",
            "daemon",
            "cli",
        ],
        "pure rooms touch nothing",
    ),
    (
        "std::os",
        &["kernel", "config/load.rs", "enforce", "record", "publish", "serve", "daemon", "cli"],
        "pure rooms touch nothing",
    ),
    (
        "std::net",
        &[
            "kernel",
            "publish",
            "serve",
            "daemon",
            "config/policy/alerts.rs",
            "config/policy/listen.rs",
            "config/check/listen.rs",
        ],
        "sockets are opened in serve, publish and daemon; their addresses are read in config",
    ),
    ("Mutex", OUTER, LOCKS),
    ("RwLock", OUTER, LOCKS),
    ("Condvar", OUTER, LOCKS),
    ("std::sync::atomic", OUTER, LOCKS),
    ("std::sync::mpsc", OUTER, LOCKS),
    (
        "std::thread",
        &[
            "daemon",
            "enforce",
            "kernel/systemd",
            "kernel/write.rs",
            "kernel/gate.rs",
            "kernel/calibrate.rs",
            "cli/ask.rs",
            "cli/history.rs",
            "cli/monitor.rs",
        ],
        "threads are named and started in daemon; the writer lives in enforce",
    ),
    ("std::env", &["cli", "daemon", "main"], "settings come from the configuration"),
    (
        "std::process::Command",
        &["cli/run.rs", "kernel/gate.rs", "kernel/anchor.rs", "kernel/hook.rs"],
        "provost starts no programs but what `run` was asked for, itself as keeper and anchor, and hooks",
    ),
    ("std::process::exit", &[], "main returns an exit code"),
    ("Instant", &["kernel"], CLOCK),
    ("SystemTime", &["kernel"], CLOCK),
    (
        "tokio",
        &["daemon", "serve", "publish", "kernel/systemd"],
        "async stays on the second thread",
    ),
    ("hyper", &["publish"], "HTTP is spoken in publish"),
    ("hyper_util", &["publish"], "HTTP is spoken in publish"),
    ("zbus", &["kernel/systemd", "daemon"], "systemd is spoken to in kernel/systemd"),
    ("nix", &["kernel", "config/load.rs", "record/ring.rs", "daemon", "serve"], SYSCALLS),
    ("libc", &["kernel", "config/load.rs", "daemon", "serve"], SYSCALLS),
    ("procfs", &["kernel"], "kernel files are read in kernel"),
    ("cgroups_rs", &["enforce/lifecycle.rs"], "groups are made and removed in one file"),
    ("tracing", OUTER, "pure rooms return reasons instead of logging"),
    ("anyhow", &["cli", "daemon", "main"], "rooms below have typed errors"),
    ("clap", &["cli", "main"], "arguments are cli's"),
    ("println!", &["cli", "main"], PRINT),
    ("print!", &["cli", "main"], PRINT),
    ("eprintln!", &["cli", "main"], PRINT),
    ("eprint!", &["cli", "main"], PRINT),
    ("f32", SHOWN, FLOATS),
    ("f64", SHOWN, FLOATS),
    ("HashMap", &[], ORDER),
    ("HashSet", &[], ORDER),
    ("Serialize", WIRE_ROOMS, WIRE),
    ("Deserialize", WIRE_ROOMS, WIRE),
];

/// Files that may hold `unsafe`, each with its own `#![expect(unsafe_code, reason = …)]`.
const UNSAFE: &[&str] =
    &["src/kernel/heap.rs", "src/kernel/proc_events.rs", "src/kernel/process/scheduler.rs"];

/// The one file that may use cgroups-rs at most.
const CGROUPS_RS_FILES: usize = 1;

fn is_allowed(source: &Source, places: &[&str]) -> bool {
    let inside = source.path.strip_prefix("src/").unwrap_or(&source.path);
    places
        .iter()
        .any(|place| source.room() == *place || (place.contains('/') && inside.starts_with(place)))
}

fn mentions(segments: &[String], banned: &str) -> bool {
    let words: Vec<&str> = banned.split("::").collect();
    segments.windows(words.len()).any(|window| window.iter().eq(words.iter().copied()))
}

fn violations(sources: &[Source], bans: &[Ban]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let paths = source.paths();
        for (word, places, why) in bans {
            if is_allowed(source, places) {
                continue;
            }
            found.extend(
                paths
                    .iter()
                    .filter(|path| mentions(&path.segments, word))
                    .map(|path| format!("{}:{}: {word}: {why}", source.path, path.line)),
            );
        }
    }
    found
}

fn unsafe_violations(sources: &[Source], accepted: &[&str]) -> Vec<String> {
    let has_unsafe = |source: &Source| {
        let tokens = source.tokens();
        tokens.iter().any(|token| token.text == "unsafe")
    };
    let mut found: Vec<String> = sources
        .iter()
        .filter(|source| !accepted.contains(&source.path.as_str()) && has_unsafe(source))
        .map(|source| format!("{}: unsafe code outside of the accepted files", source.path))
        .collect();
    for path in accepted {
        let listed = sources.iter().find(|source| source.path == *path);
        if !path.starts_with("src/kernel/") {
            found.push(format!("{path}: unsafe code belongs into kernel"));
        }
        if listed.is_some_and(|source| !has_unsafe(source)) {
            found.push(format!("{path}: no unsafe code any more; take it off the list"));
        }
    }
    found
}

fn users_of_cgroups_rs(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| {
            let paths = source.paths();
            paths.iter().any(|path| path.segments.iter().any(|word| word == "cgroups_rs"))
        })
        .map(|source| source.path.clone())
        .collect()
}

#[test]
fn rooms_touch_only_what_they_may() {
    none(&violations(&sources(), BANS));
}

#[test]
fn unsafe_code_stays_in_the_accepted_files() {
    none(&unsafe_violations(&sources(), UNSAFE));
}

#[test]
fn cgroups_rs_stays_behind_one_file() {
    let users = users_of_cgroups_rs(&sources());
    assert!(users.len() <= CGROUPS_RS_FILES, "cgroups-rs is used in {users:?}; see docs/adr/0002");
}

#[test]
fn a_banned_word_is_caught() {
    let found = |path: &str, text: &str| violations(&[Source::new(path, text)], BANS);
    caught(
        &found("src/decide/mod.rs", "use std::{fmt, fs::File};"),
        "src/decide/mod.rs:1: std::fs",
    );
    caught(
        &found("src/plan/mod.rs", "fn f() {\n let t = std::time::Instant::now(); }"),
        "src/plan/mod.rs:2: Instant",
    );
    caught(&found("src/kernel/psi.rs", "use tokio::fs;"), "tokio");
    caught(&found("src/enforce/mod.rs", "fn f() { eprintln!(\"x\") }"), "eprintln!");
    caught(&found("src/cli/plan.rs", "use std::collections::HashMap;"), "HashMap");
    caught(&found("src/config/raw.rs", "use std::fs;"), "config/load.rs");
    none(&found("src/config/load.rs", "use std::fs;"));
    none(&found("src/kernel/systemd/bus.rs", "use tokio::time; use std::time::Instant;"));
    none(&found("src/plan/mod.rs", "// std::fs\nconst A: &str = \"std::fs\";"));
}

#[test]
fn planted_unsafe_code_is_caught() {
    let source = [Source::new("src/enforce/x.rs", "fn f() { unsafe { g() } }")];
    caught(&unsafe_violations(&source, &[]), "src/enforce/x.rs");
    caught(&unsafe_violations(&source, &["src/enforce/x.rs"]), "belongs into kernel");
    let clean = [Source::new("src/kernel/x.rs", "//! no unsafe here")];
    caught(&unsafe_violations(&clean, &["src/kernel/x.rs"]), "take it off the list");
}

#[test]
fn a_second_user_of_cgroups_rs_is_counted() {
    let two = [
        Source::new("src/kernel/a.rs", "use cgroups_rs::fs::Cgroup;"),
        Source::new("src/kernel/b.rs", "fn f() { cgroups_rs::fs::hierarchies::auto(); }"),
        Source::new("src/kernel/c.rs", "//! not cgroups_rs"),
    ];
    assert_eq!(users_of_cgroups_rs(&two), ["src/kernel/a.rs", "src/kernel/b.rs"]);
}
