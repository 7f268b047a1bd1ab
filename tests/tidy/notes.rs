//! Every surprise in docs/kernel-notes.md has the test that shows it, or says that it is planned.

use super::code::Source;
use super::{caught, files, none};

const NOTES: &str = "docs/kernel-notes.md";

/// A test named in the notes: `tests/kernel::name` in backquotes.
struct Named<'a> {
    folder: &'a str,
    test: &'a str,
    planned: bool,
}

fn named(notes: &str) -> Vec<Named<'_>> {
    notes
        .match_indices("`tests/")
        .filter_map(|(at, _)| {
            let (name, after) = notes[at + 1..].split_once('`')?;
            let (folder, test) = name.split_once("::")?;
            Some(Named { folder, test, planned: after.starts_with(" (planned)") })
        })
        .collect()
}

fn violations(files: &[Source]) -> Vec<String> {
    let notes = files.iter().find(|file| file.path == NOTES);
    let notes = notes.map_or("", |file| file.text.as_str());
    let mut found = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for Named { folder, test, planned } in named(notes) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !test.chars().all(plain) {
            found.push(format!("{NOTES}: {test} is no name of a test"));
        }
        if !seen.insert((folder, test)) {
            found.push(format!("{NOTES}: {folder}::{test} is named twice"));
        }
        let inside = format!("{folder}/");
        let mut tests = files
            .iter()
            .filter(|file| file.path.starts_with(&inside) && file.path.ends_with(".rs"))
            .peekable();
        if tests.peek().is_none() {
            continue;
        }
        let head = format!("fn {test}(");
        let exists = tests.any(|file| file.text.contains(&head));
        if !exists && !planned {
            found.push(format!("{NOTES}: {folder}::{test} does not exist"));
        }
        if exists && planned {
            found.push(format!("{NOTES}: {folder}::{test} exists and is marked as planned"));
        }
    }
    found
}

#[test]
fn every_surprise_has_its_test() {
    let files = files();
    let notes = files.iter().find(|file| file.path == NOTES);
    assert!(
        notes.is_some_and(|notes| named(&notes.text).len() > 40),
        "{NOTES} names no tests any more"
    );
    none(&violations(&files));
}

#[test]
fn notes_without_their_test_are_caught() {
    let with = |notes: &str| {
        violations(&[
            Source::new(NOTES, notes),
            Source::new("tests/kernel/tree.rs", "fn enabling_is_atomic() {}"),
        ])
    };
    caught(&with("| `tests/kernel::gone` |"), "tests/kernel::gone does not exist");
    caught(&with("`tests/kernel::enabling_is_atomic` (planned)"), "is marked as planned");
    caught(
        &with("`tests/kernel::enabling_is_atomic` `tests/kernel::enabling_is_atomic`"),
        "named twice",
    );
    caught(&with("`tests/kernel::Not-A-Name` (planned)"), "no name of a test");
    none(&with(
        "`tests/kernel::enabling_is_atomic`, `tests/kernel::later` (planned), `tests/systemd::no_folder_yet`",
    ));
}
