//! What the charts of the verbs have in common: words, and how anything is added to the document.

use crate::publish::{escape, push_markup};
use std::fmt::Write as _;

/// A line of words at a place; what has a meaning in XML or to a terminal is written out.
pub(super) fn text(out: &mut String, (x, y): (usize, usize), class: &str, words: &str) {
    add(out, format_args!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">"));
    push_markup(out, &escape(words));
    out.push_str("</text>\n");
}

/// Adds to the document. Writing to a string does not fail.
pub(super) fn add(out: &mut String, words: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(words);
    debug_assert!(written.is_ok());
}
