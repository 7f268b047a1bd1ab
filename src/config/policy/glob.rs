//! Globs: what a text must look like. Compiles and matches, and touches nothing.

use globset::{GlobBuilder, GlobMatcher};

/// One or several globs; one that matches is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern {
    /// The globs.
    pub globs: Vec<Glob>,
}

impl Pattern {
    /// Whether any glob matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.globs.iter().any(|glob| glob.is_match(text))
    }

    /// What it matches, when that is only what is written; none when it holds a wildcard.
    pub fn plain(&self) -> Option<impl Iterator<Item = &str>> {
        let is_plain = self.globs.iter().all(|glob| glob.matcher.is_none());
        is_plain.then(|| self.globs.iter().map(Glob::text))
    }
}

/// One glob. `*` and `?` stay within one component of a path, `**` does not; a backslash is an ordinary character, since systemd escapes
/// unit names with it.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    /// None where the text means only itself: an automaton takes some thirty kilobytes.
    matcher: Option<GlobMatcher>,
}

impl Glob {
    /// Compiles a glob.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn new(text: &str) -> Result<Self, globset::Error> {
        let compiled =
            || GlobBuilder::new(text).literal_separator(true).backslash_escape(false).build();
        let is_plain = !text.contains(SPECIAL);
        let matcher = if is_plain { None } else { Some(compiled()?.compile_matcher()) };
        Ok(Self { text: text.to_owned(), matcher })
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the glob matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            None => self.text == text,
            // With many patterns and many texts, almost every pair is told apart by its beginning, at a tenth of the price.
            Some(matcher) => text.starts_with(self.beginning()) && matcher.is_match(text),
        }
    }

    /// What stands before the first special character.
    fn beginning(&self) -> &str {
        self.text.split(SPECIAL).next().unwrap_or_default()
    }
}

/// By what is written.
impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

/// What makes a glob more than its text.
const SPECIAL: [char; 6] = ['*', '?', '[', ']', '{', '}'];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_texts_and_beginnings_change_no_answer(
            glob in "[ab*?/.{}\\[\\],!\\\\-]{0,6}",
            text in "[ab/.,!\\\\-]{0,6}",
        ) {
            let built = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(false).build();
            match (built, Glob::new(&glob)) {
                (Ok(built), Ok(own)) => {
                    let matcher = built.compile_matcher();
                    prop_assert_eq!(own.is_match(&text), matcher.is_match(&text));
                    prop_assert_eq!(own.is_match(&glob), matcher.is_match(&glob));
                }
                (built, own) => prop_assert_eq!(built.is_ok(), own.is_ok()),
            }
        }
    }
}
