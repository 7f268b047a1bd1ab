//! Words in messages: the nearest of a few that are known, and long ones made short.

/// A text longer than this is no misspelt word, and comparing it would cost time.
const LONGEST: usize = 64;

/// The word nearest to `text`, if it is near enough to be meant.
pub(super) fn closest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > LONGEST {
        return None;
    }
    let text = text.to_lowercase().replace('_', "-");
    words
        .map(|word| (strsim::jaro_winkler(&text, word), word))
        .filter(|(nearness, _)| *nearness >= 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
}

/// The most characters of somebody's text in a message.
const SHOWN: usize = 96;

/// A text as it is shown: a long one is cut, so that a message stays a line.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{closest, shorten};

    #[test]
    fn finds_the_nearest_word_or_none() {
        let words = ["guarantee", "ceiling", "period", "burst", "affinity"];
        for (text, near) in [
            ("guarante", Some("guarantee")),
            ("ceilling", Some("ceiling")),
            ("Ceiling", Some("ceiling")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(closest(text, words.into_iter()), near, "{text}");
        }
        assert_eq!(closest(&"g".repeat(65), words.into_iter()), None);
    }

    #[test]
    fn cuts_long_texts_between_characters() {
        assert_eq!(shorten("nginx.service"), "nginx.service");
        let long = "é".repeat(97);
        assert_eq!(shorten(&long), format!("{}…", "é".repeat(96)));
        assert_eq!(shorten(&"é".repeat(96)), "é".repeat(96));
    }
}
