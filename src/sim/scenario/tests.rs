//! Scenarios are read, and what is wrong with them is told as problems of a configuration are.

use super::*;
use crate::config::{Colour, render};
use crate::sim::BUILT_IN;

#[test]
fn every_built_in_scenario_can_be_played() {
    for built_in in &BUILT_IN {
        let read = Scenario::built_in(built_in);
        let scenario = read.unwrap_or_else(|issues| {
            panic!("{}:\n{}", built_in.name, render(&issues, Colour::Never))
        });
        assert!(!scenario.about.is_empty(), "{}", built_in.name);
        assert!(scenario.warnings.is_empty(), "{}", render(&scenario.warnings, Colour::Never));
        assert!(scenario.residents.len() > 1, "{}: nothing runs", built_in.name);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "test code")]
fn every_file_of_the_folder_is_built_in_or_a_trace() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_built_in = BUILT_IN.iter().any(|built_in| built_in.name == stem);
        assert!(is_built_in || stem == "recorded", "{} is played by nobody", path.display());
    }
}

#[test]
fn a_recorded_trace_is_a_demand() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/recorded.toml");
    let scenario = Scenario::load(&file).unwrap_or_else(|issues| {
        panic!("{}", render(&issues, Colour::Never));
    });
    let web = scenario.residents.iter().find(|one| one.path.name() == "web.service").unwrap();
    let at = |secs: u64| web.load.cpu.value(secs * 1_000_000, 0);
    assert!(at(180) > 1500, "the first peak is missing: {}", at(180));
    assert!(at(0) < 500, "{}", at(0));
}

#[test]
fn copies_are_components_of_their_own() {
    let thousand = BUILT_IN.iter().find(|built_in| built_in.name == "thousand").unwrap();
    let scenario = Scenario::built_in(thousand).unwrap();
    assert_eq!(scenario.policy.components.len(), 1000);
    assert!(scenario.policy.components.keys().any(|name| name.as_str() == "lead-0500"));
}

#[test]
fn problems_are_drawn_at_their_places_all_at_once() {
    let text = r#"
about = "wrong in many ways"
durration = "1m"
strategie = "balanced"
duration = "soon"
failing-writes = 2000

[host]
memory = "8GB"

[component.web]
match = { unit = "web.service" }
cpu = { ceilling = "1" }

[load.wbe]
cpu = { level = "1" }

[load.web]
cpu = { shape = "sqare", level = "1" }
memory = { shape = "ramp" }
read = { shape = "square", level = "1M", to = "2M", period = "1ms" }
disk = "sdz"
write = { trace = "nowhere.csv" }

[[foreign]]
component = "batch"
knob = "memory.min"
value = "lots"
"#;
    let issues = Scenario::from_text("wrong", text, Path::new("/nonexistent")).unwrap_err();
    insta::assert_snapshot!(render(&issues, Colour::Never));
}

#[test]
fn a_load_that_its_component_would_not_find_is_refused() {
    let text = "[component.web]\nmatch = { unit = \"nginx.service\" }\n[load.web]\ncpu = { level = \"1\" }\n";
    let issues = Scenario::from_text("stranger", text, Path::new("")).unwrap_err();
    insta::assert_snapshot!(render(&issues, Colour::Never));
}

/// The reference names every key that a scenario may have.
#[test]
fn every_key_is_documented() {
    let reference = include_str!("../../../docs/simulator.md");
    let schema = schemars::schema_for!(raw::Scenario);
    let tables = schema.get("$defs").and_then(|tables| tables.as_object()).unwrap();
    let of = |table: &serde_json::Value| -> Vec<String> {
        let keys = table.get("properties").and_then(|keys| keys.as_object());
        keys.map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
    };
    let keys: Vec<String> = tables.values().chain([schema.as_value()]).flat_map(of).collect();
    assert!(keys.len() > 30, "{keys:?}");
    let is_named = |key: &String| {
        reference.contains(&format!("`{key}`"))
            || reference.contains(&format!("`[{key}]`"))
            || reference.contains(&format!("`[[{key}]]`"))
            || reference.contains(&format!("`[{key}.NAME]`"))
    };
    let missing: Vec<&String> = keys.iter().filter(|key| !is_named(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
