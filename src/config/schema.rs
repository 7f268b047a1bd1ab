//! The configuration's JSON schema, derived from the types in `raw.rs`.
//!
//! Editors use it for completion; `shape.rs` walks it, so that the check of a file and the published schema cannot differ.

use super::raw;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The schema. TOML knows no null, so an optional key is one that may be missing.
#[must_use]
pub fn schema() -> Schema {
    schema_of::<raw::Config>()
}

/// The schema of any table that is read as the configuration is.
pub(super) fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .with_transform(WithoutNull)
        .into_generator()
        .into_root_schema_for::<T>()
}

/// The schema as the text of `config/provost.schema.json`, with a newline at its end.
#[must_use]
pub fn schema_json() -> String {
    format!("{:#}\n", schema().as_value())
}

/// Takes the null out of every schema.
#[derive(Debug, Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        let Some(Value::Array(choices)) = object.get_mut("anyOf") else {
            return;
        };
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}
