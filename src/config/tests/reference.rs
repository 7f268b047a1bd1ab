//! The files that are shipped: the commented reference, the schema and the examples.

use super::{files, load_text};
use crate::config::{
    Colour, Entry, canonical_toml, default_policy, diff, entries, render, schema_json,
};
use crate::units::{Bytes, Millicpu};
use serde_json::Value;
use std::collections::BTreeSet;

fn reference() -> String {
    std::fs::read_to_string("config/provost.toml").unwrap()
}

/// The reference with its settings uncommented: `#key = …` and `#[table]` are settings, `# text` is prose.
fn uncommented() -> String {
    reference()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting)
                if setting.starts_with(|c: char| {
                    c.is_ascii_lowercase() || "[]{} ".contains(c) && !c.is_whitespace()
                }) =>
            {
                setting
            }
            Some(_) | None => line,
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn the_reference_as_shipped_changes_nothing() {
    let loaded = load_text("config/provost.toml", &reference()).unwrap();
    let default = default_policy(Millicpu::cores(4), Bytes::mebi(8192));
    assert_eq!(canonical_toml(&loaded.policy), canonical_toml(&default));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_reference_shows_the_defaults() {
    let loaded = match load_text("uncommented.toml", &uncommented()) {
        Ok(loaded) => loaded,
        Err(issues) => panic!("{}", render(&issues, Colour::Never)),
    };
    let default = default_policy(Millicpu::cores(4), Bytes::mebi(8192));
    // Named disks, windows and folders are examples, as components are.
    let is_example =
        |key: &str| ["disk.", "schedule.", "storage."].iter().any(|table| key.starts_with(table));
    let is_default = |entry: &Entry| entry.component.is_none() && !is_example(&entry.key);
    let whole: Vec<Entry> = entries(&loaded.policy).into_iter().filter(is_default).collect();
    assert_eq!(whole, entries(&default));
    insta::assert_snapshot!("reference-policy", canonical_toml(&loaded.policy));
}

#[test]
fn the_reference_shows_every_key() {
    let schema: Value = serde_json::from_str(&schema_json()).unwrap();
    let tables = std::iter::once(&schema)
        .chain(schema["$defs"].as_object().unwrap().values())
        .filter_map(|table| table.get("properties")?.as_object());
    let keys: BTreeSet<&str> =
        tables.flat_map(|properties| properties.keys()).map(String::as_str).collect();
    assert!(keys.len() > 40, "{keys:?}");
    let text = uncommented();
    let words: BTreeSet<&str> =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
    let missing: Vec<&&str> = keys.iter().filter(|key| !words.contains(**key)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in config/provost.toml");
}

#[test]
fn the_schema_is_fresh() {
    let path = "config/provost.schema.json";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, schema_json()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == schema_json(), "{path} is stale; run the tests once with UPDATE=1");
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn walk(value: &Value, path: &str) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            for (key, property) in properties {
                assert!(property["description"].is_string(), "{path}{key}");
            }
            assert_eq!(value["additionalProperties"], Value::Bool(false), "{path}");
        }
        for (name, definition) in value["$defs"].as_object().into_iter().flatten() {
            walk(definition, &format!("{name}."));
        }
        assert!(!value.to_string().contains("null"), "{path}");
    }
    walk(&serde_json::from_str(&schema_json()).unwrap(), "");
}

#[test]
fn the_examples_are_fit_for_use() {
    for path in files("config/examples") {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let loaded = match load_text(&format!("{name}.toml"), &text) {
            Ok(loaded) => loaded,
            Err(issues) => panic!("{}", render(&issues, Colour::Never)),
        };
        assert!(loaded.warnings.is_empty(), "{name}");
        insta::assert_snapshot!(format!("example-{name}"), canonical_toml(&loaded.policy));
    }
}

#[test]
fn a_reload_is_told_line_by_line() {
    let old = "[component.web]\nmatch = { unit = \"nginx.service\" }\nmemory.ceiling = \"1G\"\n[component.old]\nmatch = { unit = \"old.service\" }\n";
    let new = "mode = \"enforce\"\n[component.web]\nmatch = { unit = \"nginx.service\" }\ncpu.ceiling = \"50%\"\nmemory.ceiling = \"1536M\"\n[component.new]\nmatch = { unit = \"new.service\" }\n";
    let load = |text| load_text("x.toml", text).unwrap().policy;
    insta::assert_snapshot!("reload", diff(&load(old), &load(new)).join("\n"));
    let same = "component.web.memory.ceiling = \"1024M\"\ncomponent.web.match.unit = [\"nginx.service\"]\ncomponent.old.match.unit = \"old.service\"\n";
    assert!(diff(&load(old), &load(same)).is_empty());
}
