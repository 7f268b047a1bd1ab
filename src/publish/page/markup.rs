//! HTML that is closed as it was opened, and in which foreign words are words. Must not know what a page says.

use crate::publish::{escape, push_markup};

/// A document that grows.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// An element around what `inside` adds. Attributes may hold foreign words; names may not.
    pub(super) fn within(
        &mut self,
        tag: &str,
        attributes: &[(&str, &str)],
        inside: impl FnOnce(&mut Self),
    ) {
        self.begin(tag, attributes);
        self.0.push('>');
        inside(self);
        self.0.extend(["</", tag, ">"]);
    }

    /// An element around words.
    pub(super) fn element(&mut self, tag: &str, class: &str, words: &str) {
        let class = [("class", class)];
        let attributes = if class[0].1.is_empty() { &[][..] } else { &class };
        self.within(tag, attributes, |inside| inside.words(words));
    }

    /// An element without an inside.
    pub(super) fn empty(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.begin(tag, attributes);
        self.0.push_str("/>");
    }

    /// Words, whoever they are from.
    pub(super) fn words(&mut self, words: &str) {
        push_markup(&mut self.0, &escape(words));
    }

    /// What this program says itself, as it is.
    pub(super) fn verbatim(&mut self, own: &str) {
        self.0.push_str(own);
    }

    fn begin(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.0.extend(["<", tag]);
        for (name, value) in attributes {
            self.0.extend([" ", name, "=\""]);
            push_markup(&mut self.0, value);
            self.0.push('"');
        }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A file as an address that holds it: everything but letters and digits is written as its bytes.
pub(super) fn csv_address(rows: &[Vec<String>]) -> String {
    let cell = |cell: &String| format!("\"{}\"", escape(cell).replace('"', "\"\""));
    let line = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n";
    let text: String = rows.iter().map(line).collect();
    let mut address = "data:text/csv;charset=utf-8,".to_owned();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                address.push(char::from(byte));
            }
            byte => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_is_a_file() {
        let rows = [vec!["a \"b\"".to_owned(), "ü,".to_owned()]];
        assert_eq!(
            csv_address(&rows),
            "data:text/csv;charset=utf-8,%22a%20%22%22b%22%22%22%2C%22%C3%BC%2C%22%0D%0A"
        );
    }

    proptest! {
        #[test]
        fn foreign_words_stay_words(words in "(?s).{0,60}", value in "[<>\"'&a-z]{0,30}") {
            let mut page = Markup::default();
            page.within("p", &[("title", &value)], |inside| inside.words(&words));
            let text = page.into_text();
            prop_assert_eq!(text.matches('<').count(), 2, "{}", text);
            prop_assert_eq!(text.matches('"').count(), 2, "{}", text);
            prop_assert!(text.starts_with("<p title=\"") && text.ends_with("</p>"));
        }
    }
}
