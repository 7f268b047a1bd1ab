//! The rules of the house that no compiler checks: layers, words, shapes, prose.
//!
//! Each rule is a function from files to violations; a test runs it on the repository and another one proves on planted files
//! that it catches what it is for. What a rule accepts is data at the top of its file.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "test code"
)]

mod code;
mod layers;
mod notes;
mod prose;
mod shapes;
mod words;

use code::Source;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository as text, paths relative to its root; build output and version control left out.
fn files() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root(), &root(), &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(
        files.iter().any(|file| file.path == "src/lib.rs"),
        "no repository below {}",
        root().display()
    );
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let made = ["target", ".git"].contains(&name.as_str()) || name.ends_with(".snap.new");
        if made || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let path = path.strip_prefix(root).unwrap();
            files.push(Source::new(&path.to_string_lossy(), &text));
        }
    }
}

/// The package's own Rust files.
fn sources() -> Vec<Source> {
    let mut files = files();
    files.retain(|file| file.path.starts_with("src/") && file.path.ends_with(".rs"));
    files
}

/// Ends the test with every violation, one a line.
#[track_caller]
fn none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// The rule must find something, and its message must name what was planted.
#[track_caller]
fn caught(violations: &[String], named: &str) {
    assert!(
        violations.iter().any(|message| message.contains(named)),
        "nothing names {named:?} in {violations:?}"
    );
}
