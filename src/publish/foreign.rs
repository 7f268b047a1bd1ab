//! Foreign text made harmless, for terminals, pages and charts.

use std::fmt::Write as _;

/// The longest foreign text that is shown, in characters.
const LONGEST: usize = 256;

/// Foreign text made harmless: control characters, escape sequences, and characters that reorder or hide others are shown as
/// codes, and what is longer than 256 characters is cut.
#[must_use]
pub fn escape(foreign: &str) -> String {
    inert(foreign, LONGEST)
}

/// The same with another length, in characters.
#[must_use]
pub fn inert(foreign: &str, longest: usize) -> String {
    let mut safe = String::with_capacity(foreign.len());
    for (count, c) in foreign.chars().enumerate() {
        if count == longest {
            safe.push('…');
            break;
        }
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if c.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _infallible = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() || deceives(c) => {
                let _infallible = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Adds words to an HTML or XML document, between its elements or as the value of an attribute in quotes: what has a meaning there is written
/// out. What has one to a terminal stays; [`escape`] is for that.
pub fn push_markup(document: &mut String, words: &str) {
    for c in words.chars() {
        match c {
            '&' => document.push_str("&amp;"),
            '<' => document.push_str("&lt;"),
            '>' => document.push_str("&gt;"),
            '"' => document.push_str("&quot;"),
            '\'' => document.push_str("&#39;"),
            c => document.push(c),
        }
    }
}

/// Characters that reorder, hide or break text without being control characters: bidirectional marks and overrides, zero-width
/// characters, line and paragraph separators, tags.
const fn deceives(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(
            escape("a\x1b[31mb\nc\u{202e}d\u{9b}e\x7f"),
            "a\\x1b[31mb\\nc\\u{202e}d\\u{9b}e\\x7f"
        );
        assert_eq!(escape("größe 大"), "größe 大");
        assert_eq!(escape(&"x".repeat(300)).chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn escaped_text_is_inert(text in "(?s).{0,80}") {
            let safe = escape(&text);
            prop_assert!(!safe.chars().any(|c| c.is_control() || deceives(c)), "{:?}", safe);
        }
    }
}
