//! What every file looks like: a duty at its top, a bounded length, accepted lint opt-outs, honest names.

use super::code::{Source, Token};
use super::{caught, files, none, sources};

/// The longest file, in lines.
const LONGEST: usize = 500;

/// Lints that a file may turn off outside of tests. The compiler demands the reason beside each.
const OPT_OUTS: &[(&str, &str)] = &[
    ("src/cli/mod.rs", "clippy::print_stdout"),
    ("src/cli/mod.rs", "clippy::print_stderr"),
    ("src/cli/ask.rs", "clippy::disallowed_methods"),
    ("src/cli/backtest.rs", "clippy::disallowed_methods"),
    ("src/cli/report.rs", "clippy::disallowed_methods"),
    ("src/cli/history.rs", "clippy::disallowed_methods"),
    ("src/cli/monitor.rs", "clippy::disallowed_methods"),
    ("src/cli/run.rs", "clippy::disallowed_methods"),
    ("src/cli/simulate.rs", "clippy::disallowed_methods"),
    ("src/config/load.rs", "clippy::disallowed_methods"),
    ("src/daemon/mod.rs", "clippy::disallowed_methods"),
    ("src/enforce/mod.rs", "clippy::disallowed_methods"),
    ("src/estimate/statistics.rs", "clippy::cast_possible_truncation"),
    ("src/kernel/mod.rs", "clippy::disallowed_methods"),
    ("src/kernel/heap.rs", "unsafe_code"),
    ("src/kernel/proc_events.rs", "unsafe_code"),
    ("src/kernel/process/scheduler.rs", "unsafe_code"),
    ("src/record/mod.rs", "clippy::disallowed_methods"),
    ("src/sim/trace.rs", "clippy::disallowed_methods"),
];

/// Names that say nothing about a duty.
const EMPTY_NAMES: [&str; 7] =
    ["manager", "managers", "util", "utils", "helper", "helpers", "misc"];

fn without_duty(files: &[Source]) -> Vec<String> {
    files
        .iter()
        .filter(|file| {
            let first = file.text.lines().find(|line| !line.trim().is_empty());
            !first.is_some_and(|line| line.starts_with("//! ") && line.len() > 4)
        })
        .map(|file| format!("{}: opens without `//!` that states its duty", file.path))
        .collect()
}

fn too_long(files: &[Source]) -> Vec<String> {
    files
        .iter()
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(file, lines)| format!("{}: {lines} lines, more than {LONGEST}", file.path))
        .collect()
}

/// The lints in every `allow(…)` and `expect(…)` attribute.
fn opt_outs(file: &Source) -> Vec<(usize, String)> {
    let tokens = file.tokens();
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let opens = tokens.get(i + 1).is_some_and(|next| next.text == "(");
        let before = i.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        let is_attribute = ["allow", "expect"].contains(&token.text.as_str());
        if is_attribute && opens && ["[", ","].contains(&before) {
            found.extend(lints(&tokens[i + 2..]));
        }
    }
    found
}

fn lints(tokens: &[Token]) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for token in tokens {
        match token.text.as_str() {
            ")" | "reason" => break,
            "," => continues = false,
            word => {
                match found.last_mut() {
                    Some((_, lint)) if continues => lint.push_str(word),
                    _ => found.push((token.line, word.to_owned())),
                }
                continues = true;
            }
        }
    }
    found
}

fn opt_out_violations(files: &[Source], accepted: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (line, lint) in opt_outs(file) {
            if !accepted.contains(&(file.path.as_str(), lint.as_str())) {
                found.push(format!(
                    "{}:{line}: turns off {lint}, which tests/tidy/shapes.rs does not accept there",
                    file.path
                ));
            }
        }
    }
    for (path, lint) in accepted {
        let listed = files.iter().find(|file| file.path == *path);
        if listed.is_some_and(|file| !opt_outs(file).iter().any(|(_, one)| one == lint)) {
            found.push(format!("{path}: no longer turns off {lint}; take it off the list"));
        }
    }
    found
}

fn empty_names(files: &[Source]) -> Vec<String> {
    files
        .iter()
        .filter(|file| {
            let path = file.path.strip_suffix(".rs").unwrap_or(&file.path);
            path.split('/').any(|part| EMPTY_NAMES.contains(&part))
        })
        .map(|file| format!("{}: name it after its duty", file.path))
        .collect()
}

fn rust_files() -> Vec<Source> {
    let mut all = files();
    all.retain(|file| file.path.ends_with(".rs"));
    all
}

#[test]
fn every_file_states_its_duty() {
    none(&without_duty(&rust_files()));
}

#[test]
fn no_file_is_longer_than_a_reader_s_patience() {
    none(&too_long(&rust_files()));
}

#[test]
fn lints_are_off_only_where_that_was_accepted() {
    none(&opt_out_violations(&sources(), OPT_OUTS));
}

#[test]
fn names_state_a_duty() {
    none(&empty_names(&rust_files()));
}

#[test]
fn misshapen_files_are_caught() {
    let plain = [Source::new("src/plan/x.rs", "\nuse std::fmt;\n//! late")];
    caught(&without_duty(&plain), "src/plan/x.rs");
    none(&without_duty(&[Source::new("src/x.rs", "//! Says what it is for.\n")]));

    let long = "//! x\n".repeat(501);
    caught(&too_long(&[Source::new("src/plan/y.rs", &long)]), "501 lines");
    none(&too_long(&[Source::new("src/plan/y.rs", &"//! x\n".repeat(500))]));

    caught(&empty_names(&[Source::new("src/kernel/utils.rs", "")]), "utils.rs");
    caught(&empty_names(&[Source::new("src/manager/mod.rs", "")]), "src/manager");
    none(&empty_names(&[Source::new("src/kernel/utilisation.rs", "")]));
}

#[test]
fn planted_opt_outs_are_caught() {
    let text = "//! x\n#![allow(\n    clippy::disallowed_methods,\n    unused,\n    reason = \"x\"\n)]\nfn f() { a.expect(\"b\"); }";
    let file = [Source::new("src/plan/z.rs", text)];
    let found = opt_out_violations(&file, &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    caught(&found, "src/plan/z.rs:3: turns off clippy::disallowed_methods");
    caught(&found, "turns off unused");
    let stale = [("src/plan/z.rs", "unused"), ("src/plan/z.rs", "gone")];
    caught(&opt_out_violations(&file, &stale), "no longer turns off gone");
    let conditional = "#[cfg_attr(unix, expect(dead_code, reason = \"x\"))] fn f() {}";
    caught(&opt_out_violations(&[Source::new("src/a.rs", conditional)], &[]), "dead_code");
    let in_tests = "#[cfg(test)]\nmod tests { #![allow(unused, reason = \"x\")] }";
    none(&opt_out_violations(&[Source::new("src/a.rs", in_tests)], &[]));
}
