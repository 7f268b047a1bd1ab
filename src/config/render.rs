//! Draws problems as rustc draws them: file, line, column, the line itself and a caret, the other places that take part, and help.

use super::issue::{ConfigIssue, Mark, SourceFile};
use crate::model::Severity;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::sync::Arc;

/// The most problems that are drawn; the rest is counted.
const MOST: usize = 100;
/// The longest stretch of text that is drawn around marks. A longer one, such as a line of a megabyte, is only named by its place.
const LONGEST_EXCERPT: usize = 16 << 10;

/// Whether colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI colours.
    Always,
}

/// The problems as text, errors and warnings in the order given, and a last line that counts them. Empty for no problems.
#[must_use]
pub fn render(issues: &[ConfigIssue], colour: Colour) -> String {
    let renderer = match colour {
        Colour::Never => Renderer::plain(),
        Colour::Always => Renderer::styled(),
    };
    let mut out = String::new();
    for issue in issues.iter().take(MOST) {
        out.push_str(&renderer.render(&groups(issue)));
        out.push_str("\n\n");
    }
    if issues.len() > MOST {
        out.push_str(&format!("and {} more\n\n", issues.len() - MOST));
    }
    out.push_str(&count(issues));
    out
}

/// `2 errors, 1 warning`, with a newline; empty for none.
fn count(issues: &[ConfigIssue]) -> String {
    let errors = issues.iter().filter(|issue| issue.is_error()).count();
    let plural = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        count => Some(format!("{count} {word}s")),
    };
    let parts: Vec<String> = [plural(errors, "error"), plural(issues.len() - errors, "warning")]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("{}\n", parts.join(", "))
}

fn groups(issue: &ConfigIssue) -> Vec<Group<'_>> {
    let level = match issue.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let title = level.primary_title(issue.message.as_str()).id(issue.code.word());
    let mut group = Group::with_title(title);
    for (number, marks) in by_file(&issue.marks).into_iter().enumerate() {
        group = place_in(group, &marks, number == 0);
    }
    if let Some(help) = &issue.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    vec![group]
}

/// The marks of one file after the other, the primary's file first.
fn by_file(marks: &[Mark]) -> Vec<Vec<&Mark>> {
    let mut files: Vec<Vec<&Mark>> = Vec::new();
    for mark in marks {
        let same = files.iter_mut().find(|others| {
            others.first().is_some_and(|other| Arc::ptr_eq(&other.place.file, &mark.place.file))
        });
        match same {
            Some(others) => others.push(mark),
            None => files.push(vec![mark]),
        }
    }
    files
}

fn place_in<'a>(group: Group<'a>, marks: &[&'a Mark], has_primary: bool) -> Group<'a> {
    let Some(first) = marks.first() else {
        return group;
    };
    let file = &first.place.file;
    let (start, excerpt) = excerpt(file, marks);
    let (line, column) = file.line_column(first.place.range.start);
    if excerpt.len() > LONGEST_EXCERPT {
        let origin = Origin::path(file.name.as_str()).line(line).char_column(column);
        return group.element(origin);
    }
    let annotations = marks.iter().enumerate().map(|(number, mark)| {
        let kind = if has_primary && number == 0 {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let label = Some(mark.label.as_str()).filter(|label| !label.is_empty());
        kind.span(span_in(excerpt, start, mark)).label(label)
    });
    group.element(
        Snippet::source(excerpt)
            .line_start(file.line_column(start).0)
            .path(file.name.as_str())
            .annotations(annotations),
    )
}

/// The whole lines that hold all marks, and the offset at which they start.
fn excerpt<'a>(file: &'a SourceFile, marks: &[&Mark]) -> (usize, &'a str) {
    let text = file.text.as_str();
    let first = marks.iter().map(|mark| mark.place.range.start).min();
    let last = marks.iter().map(|mark| mark.place.range.end).max();
    let first = text.floor_char_boundary(first.unwrap_or_default());
    let last = text.floor_char_boundary(last.unwrap_or_default()).max(first);
    let start =
        text.get(..first).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let end = text
        .get(last..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len(), |newline| last + newline);
    (start, text.get(start..end).unwrap_or_default())
}

/// The mark's range within the excerpt, on character boundaries.
fn span_in(excerpt: &str, start: usize, mark: &Mark) -> std::ops::Range<usize> {
    let inside = |offset: usize| excerpt.floor_char_boundary(offset.saturating_sub(start));
    let from = inside(mark.place.range.start);
    from..inside(mark.place.range.end).max(from)
}
