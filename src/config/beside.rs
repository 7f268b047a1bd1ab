//! A file that holds a configuration and, beside it, one table of somebody else's: a scenario of the simulator is one.
//!
//! That table gets the same treatment as the configuration: its shape is checked against a schema derived from its type, every
//! problem has a place, and all are told at once with those of the configuration. What the table means is its owner's business.

use super::issue::{Code, ConfigIssue, Place};
use super::merged::{Content, Key, Merged};
use super::schema::{schema, schema_of};
use super::shape::check_shape;
use super::suggest::{closest, shorten};
use super::{Capacity, Loaded, Parsed, Sources};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A configuration with a table beside it, read and not yet checked.
#[derive(Debug)]
pub struct Beside {
    config: Parsed,
    own: Merged,
    problems: Vec<ConfigIssue>,
}

/// Takes keys out of the configuration that it does not have and that look like one of the own table's.
fn misspelt(config: &mut Merged, known: Option<&Map<String, Value>>) -> Vec<ConfigIssue> {
    let schema = schema();
    let has = schema.get("properties").and_then(Value::as_object);
    let mut problems = Vec::new();
    config.root.retain(|key, node| {
        let own = known.into_iter().flat_map(Map::keys).map(String::as_str);
        let near = closest(key, own).filter(|_| !has.is_some_and(|has| has.contains_key(key)));
        if let Some(near) = near {
            let issue =
                ConfigIssue::error(Code::UnknownKey, format!("unknown key `{}`", shorten(key)));
            problems.push(
                issue
                    .mark(Some(node.key.clone()), "not a key of this table")
                    .help(format!("did you mean `{near}`?")),
            );
        }
        near.is_none()
    });
    problems
}

impl Beside {
    /// Reads the file and takes the tables and keys of `T` out of it. A file without any gives the default.
    #[must_use]
    pub fn read<T: JsonSchema + DeserializeOwned + Default>(sources: &Sources) -> (Self, T) {
        let (files, issues) = sources.read();
        let (mut merged, syntax) = Merged::parse(files);
        let schema = schema_of::<T>();
        let known = schema.get("properties").and_then(|known| known.as_object());
        let is_own = |key: &String| known.is_some_and(|known| known.contains_key(key));
        let mut own = merged.clone();
        own.root.retain(|key, _| is_own(key));
        merged.root.retain(|key, _| !is_own(key));
        let mut problems = check_shape(&schema, &mut own);
        problems.extend(misspelt(&mut merged, known));
        let table = match own.usable().try_into() {
            Ok(table) => table,
            Err(error) => {
                let message =
                    format!("the values passed the check of their shape, and yet: {error}");
                problems.push(ConfigIssue::error(Code::Defect, message));
                T::default()
            }
        };
        let config = Parsed { merged, issues, syntax, accounts: sources.accounts() };
        (Self { config, own, problems }, table)
    }

    /// The file's name, as it is shown to a person; empty when nothing could be read.
    #[must_use]
    pub fn name(&self) -> &str {
        self.own.files().next().map(|file| file.name.as_str()).unwrap_or_default()
    }

    /// Where the value of a key of the own table is written.
    #[must_use]
    pub fn value_place(&self, key: &[&str]) -> Option<Place> {
        self.own.value_place(&Key(key.iter().map(ToString::to_string).collect()))
    }

    /// Tells a problem with the value of a key of the own table.
    pub fn report(&mut self, issue: ConfigIssue, key: &[&str], label: &str) {
        let place = self.value_place(key);
        self.problems.push(issue.mark(place, label));
    }

    /// Tells that a table's key is none of the names that it could be.
    pub fn report_unknown(&mut self, key: &[&str], known: &[&str]) {
        let place = self.own.key_place(&Key(key.iter().map(ToString::to_string).collect()));
        let (last, above) = key
            .split_last()
            .map_or(("", ""), |(last, above)| (*last, above.last().copied().unwrap_or_default()));
        let issue = ConfigIssue::error(
            Code::UnknownKey,
            format!("`{above}.{last}` names nothing that exists"),
        )
        .mark(place, "no component of this name");
        self.problems.push(match closest(last, known.iter().copied()) {
            Some(near) => issue.help(format!("did you mean `{near}`?")),
            None => issue.help(format!("the configuration has: {}", known.join(", "))),
        });
    }

    /// The names of the configuration's components, as written.
    #[must_use]
    pub fn components(&self) -> Vec<String> {
        match self.config.merged.root.get("component").map(|node| &node.content) {
            Some(Content::Table(entries)) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// The problems of the configuration and of the own table, in the order of their places; at least one is an error.
    pub fn check(self, host: &Capacity<'_>) -> Result<Loaded, Vec<ConfigIssue>> {
        self.config.check(host, self.problems)
    }
}
