//! Whether every key is known and every value has the right type: the merged tree against the schema of `raw.rs`.
//!
//! Serde stops at the first mistake; this walk finds all of them and marks what it refuses as unusable, so that the rest
//! is still checked. What the values mean is not its concern.

use super::issue::{Code, ConfigIssue, Place};
use super::merged::{Content, Merged, Node};
use super::suggest::{closest, shorten};
use schemars::Schema;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The longest list.
const MAX_ITEMS: usize = 256;

/// Checks the tree against the schema, marks what is unusable, and tells all problems.
pub(super) fn check_shape(schema: &Schema, merged: &mut Merged) -> Vec<ConfigIssue> {
    let Some(root) = schema.as_object() else {
        return vec![ConfigIssue::error(Code::Defect, "the schema is no object")];
    };
    let mut shape =
        Shape { definitions: root.get("$defs").and_then(Value::as_object), issues: Vec::new() };
    shape.table(root, &mut merged.root, "");
    shape.issues
}

struct Shape<'s> {
    definitions: Option<&'s Map<String, Value>>,
    issues: Vec<ConfigIssue>,
}

impl<'s> Shape<'s> {
    /// The schema itself, or the one it refers to.
    fn resolve(&self, schema: &'s Value) -> Option<&'s Map<String, Value>> {
        let object = schema.as_object()?;
        match object.get("$ref").and_then(Value::as_str) {
            Some(name) => {
                let name = name.strip_prefix("#/$defs/")?;
                self.definitions?.get(name)?.as_object()
            }
            None => Some(object),
        }
    }

    fn table(
        &mut self,
        schema: &'s Map<String, Value>,
        entries: &mut BTreeMap<String, Node>,
        path: &str,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        for (key, node) in entries.iter_mut() {
            let below = format!("{path}{key}.");
            match properties.and_then(|known| known.get(key)).or(others) {
                Some(schema) => self.value(schema, node, &below),
                None => {
                    node.usable = false;
                    self.issues.push(unknown_key(key, node, path, properties));
                }
            }
        }
    }

    fn value(&mut self, schema: &'s Value, node: &mut Node, path: &str) {
        let Some(schema) = self.resolve(schema) else {
            return;
        };
        let choices = self.choices(schema);
        let fitting = choices.iter().find(|choice| takes(choice, &node.content));
        let Some(fitting) = fitting.copied() else {
            node.usable = false;
            self.issues.push(wrong_type(&choices, node, path));
            return;
        };
        if let Some(issue) = wrong_word(schema, fitting, node, path) {
            node.usable = false;
            self.issues.push(issue);
            return;
        }
        match &mut node.content {
            Content::Table(entries) => {
                let before = self.issues.len();
                self.table(fitting, entries, path);
                if let Some(missing) = missing_key(fitting, entries, &node.at) {
                    node.usable = false;
                    if self.issues.len() == before {
                        self.issues.push(missing);
                    }
                }
            }
            Content::Array(items) if items.len() > MAX_ITEMS => {
                let message = format!(
                    "`{}` lists {} values, more than the {MAX_ITEMS} that are read",
                    path.trim_end_matches('.'),
                    items.len()
                );
                node.usable = false;
                self.issues.push(
                    ConfigIssue::error(Code::TooLarge, message)
                        .mark(Some(node.key.clone()), "too long"),
                );
            }
            Content::Array(items) => {
                if let Some(schema) = fitting.get("items") {
                    let list = path.trim_end_matches('.');
                    for (number, item) in items.iter_mut().enumerate() {
                        self.value(schema, item, &format!("{list}[{number}]."));
                    }
                }
            }
            Content::Integer(_) | Content::Float(_) => {
                if let Some(issue) = out_of_range(fitting, node, path) {
                    node.usable = false;
                    self.issues.push(issue);
                }
            }
            Content::String(_) | Content::Boolean(_) | Content::Datetime(_) => {}
        }
    }

    /// The alternatives of a schema, flattened.
    fn choices(&self, schema: &'s Map<String, Value>) -> Vec<&'s Map<String, Value>> {
        match schema.get("anyOf").and_then(Value::as_array) {
            Some(choices) => choices
                .iter()
                .filter_map(|choice| self.resolve(choice))
                .flat_map(|choice| self.choices(choice))
                .collect(),
            None => vec![schema],
        }
    }
}

/// Whether the alternative is for values of this TOML type. A word list is for strings.
fn takes(schema: &Map<String, Value>, content: &Content) -> bool {
    let wanted = wanted_type(schema);
    match content {
        Content::String(_) => wanted == "string",
        Content::Integer(_) => wanted == "integer" || wanted == "number",
        Content::Float(_) => wanted == "number",
        Content::Boolean(_) => wanted == "boolean",
        Content::Datetime(_) => false,
        Content::Array(_) => wanted == "array",
        Content::Table(_) => wanted == "object",
    }
}

fn wanted_type(schema: &Map<String, Value>) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or("string")
}

/// The words a schema accepts, where it is a list of words.
fn words(schema: &Map<String, Value>) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let choices = schema.get("oneOf")?.as_array()?;
    Some(choices.iter().filter_map(|choice| choice.get("const")?.as_str()).collect())
}

fn unknown_key(
    key: &str,
    node: &Node,
    path: &str,
    known: Option<&Map<String, Value>>,
) -> ConfigIssue {
    let known: Vec<&str> =
        known.map(|known| known.keys().map(String::as_str).collect()).unwrap_or_default();
    let shown = shorten(key);
    let place = path.trim_end_matches('.');
    let message = if place.is_empty() {
        format!("unknown key `{shown}`")
    } else {
        format!("unknown key `{shown}` in `{place}`")
    };
    let issue = ConfigIssue::error(Code::UnknownKey, message);
    let issue = issue.mark(Some(node.key.clone()), "not a key of this table");
    match closest(key, known.iter().copied()) {
        Some(near) => issue.help(format!("did you mean `{near}`?")),
        None => issue.help(format!("known keys: {}", known.join(", "))),
    }
}

fn wrong_type(choices: &[&Map<String, Value>], node: &Node, path: &str) -> ConfigIssue {
    let wanted: Vec<String> = choices.iter().map(|choice| wish(choice)).collect();
    let wanted = wanted.join(" or ");
    let found = name_of(&node.content);
    let issue = ConfigIssue::error(
        Code::WrongType,
        format!("`{}` must be {wanted}", path.trim_end_matches('.')),
    )
    .mark(Some(node.at.clone()), format!("this is {found}"));
    let numeric = matches!(node.content, Content::Integer(_) | Content::Float(_));
    match choices.iter().find_map(|choice| example(choice)) {
        Some(example) if numeric => {
            issue.help(format!("write it in quotes, such as \"{example}\""))
        }
        Some(_) | None => issue,
    }
}

fn example(schema: &Map<String, Value>) -> Option<&str> {
    schema.get("examples")?.get(0)?.as_str()
}

/// What a schema asks for, in words.
fn wish(schema: &Map<String, Value>) -> String {
    if let Some(words) = words(schema) {
        return quoted(&words);
    }
    let title = schema.get("title").and_then(Value::as_str);
    match (wanted_type(schema), title, example(schema)) {
        ("string", Some(title), Some(example)) => format!("{title} such as \"{example}\""),
        ("string", _, Some(example)) => format!("a string such as \"{example}\""),
        ("string", _, None) => "a string".to_owned(),
        ("integer", ..) => "a whole number".to_owned(),
        ("number", ..) => "a number".to_owned(),
        ("boolean", ..) => "true or false".to_owned(),
        ("array", ..) => "a list".to_owned(),
        _ => "a table".to_owned(),
    }
}

fn name_of(content: &Content) -> &'static str {
    match content {
        Content::String(_) => "a string",
        Content::Integer(_) => "a whole number",
        Content::Float(_) => "a fraction",
        Content::Boolean(_) => "a boolean",
        Content::Datetime(_) => "a date or time",
        Content::Array(_) => "a list",
        Content::Table(_) => "a table",
    }
}

fn wrong_word(
    whole: &Map<String, Value>,
    fitting: &Map<String, Value>,
    node: &Node,
    path: &str,
) -> Option<ConfigIssue> {
    let words = words(fitting)?;
    let Content::String(text) = &node.content else {
        return None;
    };
    if words.contains(&text.as_str()) {
        return None;
    }
    let has_numbers = whole.contains_key("anyOf");
    let more = if has_numbers { ", or a number" } else { "" };
    let issue = ConfigIssue::error(
        Code::UnknownWord,
        format!("`{}` must be {}{more}", path.trim_end_matches('.'), quoted(&words)),
    );
    let issue = issue.mark(Some(node.at.clone()), "not one of these");
    Some(match closest(text, words.iter().copied()) {
        Some(near) => issue.help(format!("did you mean \"{near}\"?")),
        None => issue,
    })
}

fn missing_key(
    schema: &Map<String, Value>,
    entries: &BTreeMap<String, Node>,
    place: &Place,
) -> Option<ConfigIssue> {
    let required = schema.get("required")?.as_array()?;
    let missing = required
        .iter()
        .filter_map(Value::as_str)
        .find(|key| entries.get(*key).is_none_or(|node| !node.usable))?;
    Some(
        ConfigIssue::error(Code::MissingKey, format!("the key `{missing}` is missing"))
            .mark(Some(place.clone()), format!("this table needs `{missing}`")),
    )
}

fn out_of_range(schema: &Map<String, Value>, node: &Node, path: &str) -> Option<ConfigIssue> {
    let (least, most) = (schema.get("minimum"), schema.get("maximum"));
    let bound = |value: Option<&Value>| value.and_then(Value::as_f64);
    let fits = match node.content {
        Content::Integer(None) => false,
        Content::Integer(Some(number)) => {
            let number = serde_json::Number::from(number).as_f64().unwrap_or(f64::NAN);
            bound(least).is_none_or(|least| number >= least)
                && bound(most).is_none_or(|most| number <= most)
        }
        Content::Float(number) => {
            number.is_finite()
                && bound(least).is_none_or(|least| number >= least)
                && bound(most).is_none_or(|most| number <= most)
        }
        Content::String(_)
        | Content::Boolean(_)
        | Content::Datetime(_)
        | Content::Array(_)
        | Content::Table(_) => true,
    };
    if fits {
        return None;
    }
    let range = match (least, most) {
        _ if matches!(node.content, Content::Integer(None)) => {
            "a number that fits into 64 bits".to_owned()
        }
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "a finite number".to_owned(),
    };
    let key = path.trim_end_matches('.');
    Some(
        ConfigIssue::error(Code::OutOfRange, format!("`{key}` must be {range}"))
            .mark(Some(node.at.clone()), "out of range"),
    )
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
