//! Globs mean the same with and without their shortcuts.

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
