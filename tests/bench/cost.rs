//! What provost costs, each figure beside its floor from the same run. `scripts/bench` builds and runs this.
//!
//! Costs are CPU time of the whole process (`CLOCK_PROCESS_CPUTIME_ID`), medians of at least 15 passes unless a row says otherwise. "Hot"
//! passes follow each other; before a "swept" one the caches are filled with something else, which is nearer to a daemon that wakes once a
//! second. Needs root and a cgroup v2 mount, with or without controllers; makes cgroups named `provost-bench-*` and removes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark"
)]

#[path = "../steady/counting.rs"]
mod counting;
mod cycle;
mod daemon;
mod escape;
mod forecast;
mod fork;
mod idle;
mod matching;
mod measure;
mod month;
mod parse;
mod record;
mod rstat;
mod sample;
mod tree;
mod write;

use measure::Table;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::process::ExitCode;

/// Adds its rows to the table.
type Measure = fn(&mut Table);

const ALL: [(&str, Measure); 13] = [
    // First: a fork costs the more the more memory the parent has touched.
    ("fork", fork::run),
    ("parse", parse::run),
    ("sample", sample::run),
    ("rstat", rstat::run),
    ("cycle", cycle::run),
    ("decide", cycle::on_paper),
    ("forecast", forecast::run),
    ("record", record::run),
    ("month", month::run),
    ("write", write::run),
    ("match", matching::run),
    ("escape", escape::run),
    ("idle", idle::run),
];

fn main() -> ExitCode {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let Some(unknown) = wanted.iter().find(|name| !ALL.iter().any(|(known, _)| known == name)) {
        let known = ALL.map(|(name, _)| name).join(", ");
        eprintln!("bench: there is no \"{unknown}\"; there are {known}");
        return ExitCode::from(2);
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let mut table = Table::default();
    table.head();
    for (name, run) in ALL {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run(&mut table);
        }
    }
    if table.missed() == 0 {
        return ExitCode::SUCCESS;
    }
    table.say(&format!("{} figure(s) beyond their budget", table.missed()));
    ExitCode::FAILURE
}
