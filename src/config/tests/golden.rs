//! What a person reads: one snapshot for each file of `tests/fixtures/config`.

use super::{files, load_text};
use crate::config::{Colour, canonical_toml, diff, entries, render};
use std::collections::BTreeSet;

fn name_of(path: &std::path::Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_invalid_file_is_told_in_full() {
    for path in files("tests/fixtures/config/invalid") {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = name_of(&path);
        let issues = match load_text(&format!("{name}.toml"), &text) {
            Ok(_) => panic!("{name} was accepted"),
            Err(issues) => issues,
        };
        assert!(issues.iter().any(|issue| issue.is_error()), "{name}");
        insta::assert_snapshot!(format!("invalid-{name}"), render(&issues, Colour::Never));
    }
}

#[test]
fn every_valid_file_has_a_canonical_form_that_means_the_same() {
    for path in files("tests/fixtures/config/valid") {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = name_of(&path);
        let loaded = match load_text(&format!("{name}.toml"), &text) {
            Ok(loaded) => loaded,
            Err(issues) => panic!("{}", render(&issues, Colour::Never)),
        };
        let canonical = canonical_toml(&loaded.policy);
        let again = load_text("canonical.toml", &canonical).unwrap();
        assert_eq!(canonical_toml(&again.policy), canonical, "{name}");
        for entry in entries(&loaded.policy) {
            assert!(!entry.value.contains(char::is_control), "{}", entry.value);
        }
        assert!(diff(&loaded.policy, &again.policy).is_empty());
        let merged = loaded.merged.to_toml();
        let from_merged = load_text("merged.toml", &merged).unwrap();
        assert_eq!(canonical_toml(&from_merged.policy), canonical, "{name}");
        let warnings = render(&loaded.warnings, Colour::Never);
        insta::assert_snapshot!(
            format!("valid-{name}"),
            format!("{canonical}\n--- merged\n{merged}\n--- warnings\n{warnings}")
        );
    }
}

#[test]
fn every_code_is_shown_by_a_fixture_or_a_test() {
    use crate::config::Code;
    let mut shown: BTreeSet<Code> = BTreeSet::new();
    for folder in ["tests/fixtures/config/invalid", "tests/fixtures/config/valid"] {
        for path in files(folder) {
            let text = std::fs::read_to_string(&path).unwrap();
            match load_text("x.toml", &text) {
                Ok(loaded) => shown.extend(loaded.warnings.iter().map(|issue| issue.code)),
                Err(issues) => shown.extend(issues.iter().map(|issue| issue.code)),
            }
        }
    }
    // These need files on disk and are tested in `precedence`; a defect cannot be provoked.
    shown.extend([
        Code::NoFile,
        Code::NotText,
        Code::Unreadable,
        Code::TooLarge,
        Code::Untrusted,
        Code::IgnoredFile,
        Code::Defect,
    ]);
    let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !shown.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn colour_is_used_only_when_asked_for() {
    let issues = load_text("x.toml", "mode = 1\n").unwrap_err();
    assert!(render(&issues, Colour::Always).contains("\u{1b}["));
    assert!(!render(&issues, Colour::Never).contains('\u{1b}'));
}

#[test]
fn issues_have_a_form_for_programs() {
    let text = "interval = \"10ms\"\n[component.web]\nmatch = { unit = \"nginx.service\" }\nmemory = { guarantee = \"1G\", ceiling = \"512M\" }\n";
    let issues = load_text("x.toml", text).unwrap_err();
    let json: Vec<serde_json::Value> = issues.iter().map(|issue| issue.json()).collect();
    insta::assert_snapshot!("issues-json", serde_json::to_string_pretty(&json).unwrap());
    let lines: Vec<String> = issues.iter().map(|issue| issue.line()).collect();
    insta::assert_snapshot!("issues-lines", lines.join("\n"));
}
