//! Rows with names, in each form that another program reads. Must not know what they say.

use super::Form;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Not known.
    Nothing,
    /// A whole number.
    Number(u64),
    /// One that may be below zero.
    Signed(i64),
    /// A text.
    Text(String),
}

impl Cell {
    pub(super) fn of(number: Option<u64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }

    fn json(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Number(number) => json!(number),
            Self::Signed(number) => json!(number),
            Self::Text(text) => json!(text),
        }
    }

    /// As RFC 4180 has it: quoted where a comma, a quote or a line end is in it.
    fn csv(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Signed(number) => number.to_string(),
            Self::Text(text) if text.contains([',', '"', '\n', '\r']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Self::Text(text) => text.clone(),
        }
    }

    fn sql(&self) -> String {
        match self {
            Self::Nothing => "NULL".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Signed(number) => number.to_string(),
            // A zero byte would end the statement.
            Self::Text(text) => format!("'{}'", text.replace('\0', "").replace('\'', "''")),
        }
    }
}

/// Rows under names, all of one kind.
#[derive(Debug)]
pub(super) struct Rows {
    name: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Rows {
    pub(super) fn new(name: &'static str, columns: impl Into<Vec<&'static str>>) -> Self {
        Self { name, columns: columns.into(), rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: impl Into<Vec<Cell>>) {
        self.rows.push(row.into());
    }

    /// The rows in a form. TOML has none for rows.
    pub(super) fn text(&self, form: Form) -> String {
        match form {
            Form::Json | Form::Toml => self.json(),
            Form::Jsonl => self.lines(),
            Form::Csv => self.csv(),
            Form::Openmetrics => self.openmetrics(),
            Form::Sqlite => self.sqlite(),
        }
    }

    fn object(&self, row: &[Cell]) -> Value {
        let named = self.columns.iter().zip(row);
        let object: Map<String, Value> =
            named.map(|(name, cell)| ((*name).to_owned(), cell.json())).collect();
        Value::Object(object)
    }

    fn json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().map(|row| self.object(row)).collect();
        let schema = format!("provost/export-{}/v1", self.name);
        let document = json!({ "schema": schema, self.name: rows });
        format!("{document:#}\n")
    }

    fn lines(&self) -> String {
        self.rows.iter().map(|row| self.object(row).to_string() + "\n").collect()
    }

    fn csv(&self) -> String {
        let mut out = self.columns.join(",") + "\n";
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Cell::csv).collect();
            out.push_str(&cells.join(","));
            out.push('\n');
        }
        out
    }

    /// In one transaction, so that a table is there whole or not at all.
    fn sqlite(&self) -> String {
        let mut out =
            format!("BEGIN;\nCREATE TABLE {} ({});\n", self.name, self.columns.join(", "));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Cell::sql).collect();
            // Writing to a String cannot fail.
            let _ok = writeln!(out, "INSERT INTO {} VALUES ({});", self.name, cells.join(", "));
        }
        out + "COMMIT;\n"
    }

    /// A gauge for each column of numbers; texts are labels, and the column "time" says when.
    fn openmetrics(&self) -> String {
        let is_number = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let mut known = cells.filter(|cell| **cell != Cell::Nothing).peekable();
            known.peek().is_some() && known.all(|cell| !matches!(cell, Cell::Text(_)))
        };
        let gauges = self.columns.iter().enumerate();
        let gauges = gauges.filter(|(place, name)| is_number(*place) && !LABELS.contains(name));
        let mut out = String::new();
        // The points of one series stand together, the oldest first.
        let mut rows: Vec<(String, &Vec<Cell>)> =
            self.rows.iter().map(|row| (self.labels(row), row)).collect();
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (place, column) in gauges {
            let name = format!("provost_{}_{column}", self.name);
            // Writing to a String cannot fail.
            let _ok = writeln!(out, "# TYPE {name} gauge");
            for (labels, row) in &rows {
                let Some(cell) = row.get(place).filter(|cell| **cell != Cell::Nothing) else {
                    continue;
                };
                let _ok = writeln!(out, "{name}{labels} {}{}", cell.csv(), self.at(row));
            }
        }
        out + "# EOF\n"
    }

    fn labels(&self, row: &[Cell]) -> String {
        let named = self.columns.iter().zip(row);
        let label = |(name, cell): (&&str, &Cell)| match cell {
            Cell::Text(text) => Some(format!("{name}=\"{}\"", label_value(text))),
            Cell::Number(number) if *name == "seconds" => Some(format!("{name}=\"{number}\"")),
            Cell::Number(_) | Cell::Signed(_) | Cell::Nothing => None,
        };
        let labels: Vec<String> = named.filter_map(label).collect();
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
    }

    fn at(&self, row: &[Cell]) -> String {
        let time = self.columns.iter().zip(row).find(|(name, _)| **name == "time");
        time.map_or_else(String::new, |(_, cell)| format!(" {}", cell.csv()))
    }
}

/// Numbers that say of what or when a row is.
const LABELS: [&str; 2] = ["time", "seconds"];

/// As OpenMetrics escapes the value of a label.
fn label_value(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let mut rows =
            Rows::new("series", ["time", "seconds", "component", "mean", "note", "change"]);
        rows.push([
            Cell::Number(1_700_000_040),
            Cell::Number(60),
            Cell::Text("web".to_owned()),
            Cell::Number(250),
            Cell::Text("it's \"quoted\", twice\\".to_owned()),
            Cell::Signed(-3),
        ]);
        rows.push([
            Cell::Number(1_700_000_100),
            Cell::Number(60),
            Cell::Text("web".to_owned()),
            Cell::Nothing,
            Cell::Text("two\nlines".to_owned()),
            Cell::Nothing,
        ]);
        rows
    }

    #[test]
    fn every_form_reads_well() {
        let forms = [Form::Json, Form::Jsonl, Form::Csv, Form::Openmetrics, Form::Sqlite];
        let texts = forms.map(|form| format!("{form:?}:\n{}", rows().text(form)));
        insta::assert_snapshot!(texts.join("\n"));
    }
}
