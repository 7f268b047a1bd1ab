//! All files of a configuration as one tree in which every value knows the file and line it comes from.
//!
//! Tables are merged key by key, everything else is replaced by the later file. Nothing is interpreted here.

use super::issue::{Code, ConfigIssue, Place, SourceFile};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The most syntax errors that are told of one file: after the first few they are guesses about guesses.
const MAX_SYNTAX_ERRORS: usize = 20;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// What was written.
    pub(super) content: Content,
    /// Where its key is.
    pub(super) key: Place,
    /// Where the value is.
    pub(super) at: Place,
    /// Whether the value has the right shape; what has not is left out of everything that follows.
    pub(super) usable: bool,
}

/// A TOML value with places inside.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A string.
    String(String),
    /// An integer; `None` when it does not fit into 64 bits.
    Integer(Option<i64>),
    /// A float.
    Float(f64),
    /// A boolean.
    Boolean(bool),
    /// A date or time, which no key takes.
    Datetime(String),
    /// An array.
    Array(Vec<Node>),
    /// A table.
    Table(BTreeMap<String, Node>),
}

/// A configuration's files, merged.
#[derive(Debug, Clone)]
pub struct Merged {
    pub(super) root: BTreeMap<String, Node>,
    /// The files in the order in which they were merged, the strongest last.
    files: Vec<Arc<SourceFile>>,
}

/// A key's place in the tree: `component`, `web`, `cpu`. An array's elements are keyed by their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Key(pub(super) Vec<String>);

impl Key {
    /// The key below this one.
    pub(super) fn then(&self, part: impl ToString) -> Self {
        let mut parts = self.0.clone();
        parts.push(part.to_string());
        Self(parts)
    }

    /// The key above this one; the root's is the root.
    pub(super) fn above(&self) -> Self {
        let mut parts = self.0.clone();
        parts.pop();
        Self(parts)
    }
}

impl Merged {
    /// Parses and merges `files`, the weakest first. Syntax errors are returned beside what could be read.
    pub(super) fn parse(files: Vec<Arc<SourceFile>>) -> (Self, Vec<ConfigIssue>) {
        let mut root = BTreeMap::new();
        let mut issues = Vec::new();
        for file in &files {
            let (document, errors) = DeTable::parse_recoverable(&file.text);
            let told = errors.iter().take(MAX_SYNTAX_ERRORS);
            issues.extend(told.map(|error| syntax_issue(file, error)));
            merge(&mut root, table(file, document.get_ref()));
        }
        (Self { root, files }, issues)
    }

    /// The files in the order in which they were merged, the strongest last.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().map(AsRef::as_ref)
    }

    pub(super) fn node(&self, key: &Key) -> Option<&Node> {
        let (first, rest) = key.0.split_first()?;
        rest.iter().try_fold(self.root.get(first)?, |node, part| match &node.content {
            Content::Table(entries) => entries.get(part),
            Content::Array(items) => items.get(part.parse::<usize>().ok()?),
            Content::String(_)
            | Content::Integer(_)
            | Content::Float(_)
            | Content::Boolean(_)
            | Content::Datetime(_) => None,
        })
    }

    /// Where the value of `key` is written.
    pub(super) fn value_place(&self, key: &Key) -> Option<Place> {
        self.node(key).map(|node| node.at.clone())
    }

    /// Where the key itself is written.
    pub(super) fn key_place(&self, key: &Key) -> Option<Place> {
        self.node(key).map(|node| node.key.clone())
    }

    /// What a schedule lays over everything else: all of it but when.
    pub(super) fn changes(&self, schedule: &Key) -> toml::Table {
        usable_table(&self.laid_over(schedule))
    }

    fn laid_over(&self, schedule: &Key) -> BTreeMap<String, Node> {
        let Some(Content::Table(entries)) = self.node(schedule).map(|node| &node.content) else {
            return BTreeMap::new();
        };
        let is_change =
            |(key, _): &(&String, &Node)| !["calendar", "duration"].contains(&key.as_str());
        entries.iter().filter(is_change).map(|(key, node)| (key.clone(), node.clone())).collect()
    }

    /// The same with a schedule laid over it. It makes no components.
    pub(super) fn with_schedule(&self, name: &str) -> Self {
        let mut changes = self.laid_over(&Key::default().then("schedule").then(name));
        let component = Key::default().then("component");
        if let Some(Node { content: Content::Table(entries), .. }) = changes.get_mut("component") {
            entries.retain(|name, _| self.node(&component.then(name)).is_some());
        }
        let mut with = self.clone();
        merge(&mut with.root, changes);
        with
    }

    /// The usable values for serde.
    pub(super) fn usable(&self) -> toml::Table {
        usable_table(&self.root)
    }

    /// The merged values as TOML; each is followed by the file and line it comes from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for (key, node) in &self.root {
            if !matches!(node.content, Content::Table(_)) {
                line(&mut out, &bare(key), node);
            }
        }
        for (key, node) in &self.root {
            let Content::Table(entries) = &node.content else {
                continue;
            };
            if key != "component" {
                section(&mut out, &bare(key), entries);
                continue;
            }
            for (name, component) in entries {
                let title = format!("component.{}", bare(name));
                match &component.content {
                    Content::Table(entries) => section(&mut out, &title, entries),
                    Content::String(_)
                    | Content::Integer(_)
                    | Content::Float(_)
                    | Content::Boolean(_)
                    | Content::Datetime(_)
                    | Content::Array(_) => line(&mut out, &title, component),
                }
            }
        }
        out
    }

    /// The merged values as a flat JSON array of `{key, value, file, line}`, in the order of the keys.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut entries = Vec::new();
        for (key, node) in leaves("", &self.root) {
            let value = serde_json::to_value(toml_value(node)).unwrap_or_default();
            entries.push(json!({
                "key": key, "value": value, "file": node.at.file.name, "line": node.at.line(),
            }));
        }
        serde_json::Value::Array(entries)
    }
}

fn syntax_issue(file: &Arc<SourceFile>, error: &toml::de::Error) -> ConfigIssue {
    let place = Place { file: Arc::clone(file), range: error.span().unwrap_or_default() };
    let duplicate = error.message() == "duplicate key";
    let label = if duplicate { "this is already written above" } else { "here" };
    let issue = ConfigIssue::error(Code::Syntax, error.message()).mark(Some(place), label);
    if duplicate {
        return issue
            .help("write each key and each table once in a file; a later file may repeat them");
    }
    issue
}

fn table(file: &Arc<SourceFile>, table: &DeTable<'_>) -> BTreeMap<String, Node> {
    let place = |range| Place { file: Arc::clone(file), range };
    table
        .iter()
        .map(|(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let node = Node {
                content: content(file, value.get_ref(), &place(key.span())),
                key: place(key.span()),
                at: place(value.span()),
                usable: true,
            };
            (key.get_ref().to_string(), node)
        })
        .collect()
}

fn content(file: &Arc<SourceFile>, value: &DeValue<'_>, key: &Place) -> Content {
    match value {
        DeValue::String(text) => Content::String(text.to_string()),
        DeValue::Integer(number) => {
            Content::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Float(number) => Content::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Content::Boolean(*value),
        DeValue::Datetime(time) => Content::Datetime(time.to_string()),
        DeValue::Table(entries) => Content::Table(table(file, entries)),
        DeValue::Array(items) => Content::Array(
            items
                .iter()
                .map(|item| Node {
                    content: content(file, item.get_ref(), key),
                    key: key.clone(),
                    at: Place { file: Arc::clone(file), range: item.span() },
                    usable: true,
                })
                .collect(),
        ),
    }
}

/// Lays `from` over `into`. The depth is bounded by the parser's, 80.
fn merge(into: &mut BTreeMap<String, Node>, from: BTreeMap<String, Node>) {
    for (key, node) in from {
        match (into.get_mut(&key), node) {
            (
                Some(Node { content: Content::Table(below), .. }),
                Node { content: Content::Table(above), .. },
            ) => merge(below, above),
            (Some(_) | None, node) => {
                into.insert(key, node);
            }
        }
    }
}

fn usable_table(entries: &BTreeMap<String, Node>) -> toml::Table {
    entries
        .iter()
        .filter(|(_, node)| node.usable)
        .map(|(key, node)| (key.clone(), toml_value(node)))
        .collect()
}

fn toml_value(node: &Node) -> toml::Value {
    match &node.content {
        Content::String(text) | Content::Datetime(text) => toml::Value::String(text.clone()),
        Content::Integer(number) => toml::Value::Integer(number.unwrap_or(i64::MAX)),
        Content::Float(number) => toml::Value::Float(*number),
        Content::Boolean(value) => toml::Value::Boolean(*value),
        Content::Array(items) => {
            toml::Value::Array(items.iter().filter(|item| item.usable).map(toml_value).collect())
        }
        Content::Table(entries) => toml::Value::Table(usable_table(entries)),
    }
}

/// Every value that is no table, with its dotted key. An empty table counts as a value.
fn leaves<'a>(prefix: &str, entries: &'a BTreeMap<String, Node>) -> Vec<(String, &'a Node)> {
    let mut found = Vec::new();
    for (key, node) in entries {
        let key = format!("{prefix}{}", bare(key));
        match &node.content {
            Content::Table(entries) if !entries.is_empty() => {
                found.extend(leaves(&format!("{key}."), entries));
            }
            Content::Table(_)
            | Content::String(_)
            | Content::Integer(_)
            | Content::Float(_)
            | Content::Boolean(_)
            | Content::Datetime(_)
            | Content::Array(_) => found.push((key, node)),
        }
    }
    found
}

fn section(out: &mut String, title: &str, entries: &BTreeMap<String, Node>) {
    let gap = if out.is_empty() { "" } else { "\n" };
    let _infallible = writeln!(out, "{gap}[{title}]");
    for (key, node) in leaves("", entries) {
        line(out, &key, node);
    }
}

fn line(out: &mut String, key: &str, node: &Node) {
    let text = format!("{key} = {}", toml_value(node));
    let _infallible = writeln!(out, "{text:<48} # from {}", node.at.file_line());
}

/// The key as TOML wants it: bare where it may be, otherwise quoted.
fn bare(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(plain) {
        key.to_owned()
    } else {
        toml::Value::String(key.to_owned()).to_string()
    }
}
