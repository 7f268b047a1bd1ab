//! Rust text as tokens and paths, just exactly enough for the rules: comments, literals and test modules are blanked.

/// A file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Path relative to the repository's root.
    pub(crate) path: String,
    /// The text as it is.
    pub(crate) text: String,
}

/// An identifier, `::`, or one other character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Counted from one.
    pub(crate) line: usize,
    /// Its text.
    pub(crate) text: String,
}

/// A path such as `crate::units::Bytes`, a single word, or a macro with its exclamation mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodePath {
    /// Counted from one.
    pub(crate) line: usize,
    /// Between the colons.
    pub(crate) segments: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the file holds only tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The room: the first folder or file below src.
    pub(crate) fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inside.split('/').next().unwrap_or(inside);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The tokens that are built into the executable.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        if self.is_test() {
            return Vec::new();
        }
        without_tests(tokens(&blank(&self.text)))
    }

    /// The paths and words in them, groups in `use` spelled out.
    pub(crate) fn paths(&self) -> Vec<CodePath> {
        paths(&self.tokens())
    }
}

/// The text with comments and the contents of literals replaced by spaces; lines stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => end_of_line(&chars, i),
            ('/', '*') => end_of_comment(&chars, i),
            ('"', _) => end_of_string(&chars, i),
            ('r', '"' | '#') if !is_word(previous(&chars, i)) => end_of_raw(&chars, i),
            ('\'', _) => end_of_char(&chars, i),
            _ => i,
        };
        if end == i {
            out.push(at(i));
            i += 1;
            continue;
        }
        out.extend(chars[i..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        i = end;
    }
    out
}

fn previous(chars: &[char], i: usize) -> char {
    i.checked_sub(1).map_or(' ', |before| chars[before])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn end_of_line(chars: &[char], from: usize) -> usize {
    let length = chars[from..].iter().position(|c| *c == '\n');
    length.map_or(chars.len(), |length| from + length)
}

fn end_of_comment(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = from;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => {
                depth += 1;
                i += 2;
            }
            ('*', '/') => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], from: usize) -> usize {
    let mut i = from + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// `r"…"`, `r#"…"#`; `r#ident` is no string.
fn end_of_raw(chars: &[char], from: usize) -> usize {
    let hashes = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    let open = from + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return from;
    }
    let mut i = open + 1;
    while i < chars.len() {
        let closing = chars[i + 1..].iter().take(hashes).all(|c| *c == '#');
        if chars[i] == '"' && closing {
            return i + 1 + hashes;
        }
        i += 1;
    }
    chars.len()
}

/// `'x'`, `'\n'`, `'\u{1b}'`; a lifetime is no literal.
fn end_of_char(chars: &[char], from: usize) -> usize {
    if chars.get(from + 1) == Some(&'\\') {
        let close = chars[from + 3..].iter().position(|c| *c == '\'');
        return close.map_or(from, |close| from + 3 + close + 1);
    }
    if chars.get(from + 2) == Some(&'\'') {
        return from + 3;
    }
    from
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            if !first.is_whitespace() {
                tokens.push(Token { line, text: token.to_owned() });
            }
            rest = after;
        }
    }
    tokens
}

/// Leaves out every item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let marked = tokens[i..].iter().map(|token| token.text.as_str());
        if marked.take(MARK.len()).eq(MARK) {
            i = end_of_item(&tokens, i + MARK.len());
        } else {
            kept.push(tokens[i].clone());
            i += 1;
        }
    }
    kept
}

/// After the first `;` outside of braces, or after the brace that closes the first one.
fn end_of_item(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth <= 1 => return i + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return i + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn paths(tokens: &[Token]) -> Vec<CodePath> {
    let mut paths = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if tokens[i].text == "use" {
            i = use_tree(tokens, i + 1, &[], &mut paths);
            continue;
        }
        if !tokens[i].text.starts_with(is_word) {
            i += 1;
            continue;
        }
        let line = tokens[i].line;
        let mut segments = vec![tokens[i].text.clone()];
        i += 1;
        while i + 1 < tokens.len()
            && tokens[i].text == "::"
            && tokens[i + 1].text.starts_with(is_word)
        {
            segments.push(tokens[i + 1].text.clone());
            i += 2;
        }
        if tokens.get(i).is_some_and(|token| token.text == "!")
            && tokens.get(i + 1).is_none_or(|token| token.text != "=")
            && let Some(last) = segments.last_mut()
        {
            last.push('!');
        }
        paths.push(CodePath { line, segments });
    }
    paths
}

/// Reads one branch of a `use` tree and returns where it ends: at its comma, its closing brace or its semicolon.
fn use_tree(tokens: &[Token], from: usize, prefix: &[String], paths: &mut Vec<CodePath>) -> usize {
    let mut segments = prefix.to_vec();
    let mut i = from;
    let line = tokens.get(from).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(i) {
        match token.text.as_str() {
            "{" => {
                i += 1;
                while tokens.get(i).is_some_and(|token| token.text != "}") {
                    i = use_tree(tokens, i, &segments, paths);
                    if tokens.get(i).is_some_and(|token| token.text == ",") {
                        i += 1;
                    }
                }
                return i + 1;
            }
            "," | "}" | ";" => break,
            "::" => i += 1,
            "as" => i += 2,
            word => {
                segments.push(word.to_owned());
                i += 1;
            }
        }
    }
    paths.push(CodePath { line, segments });
    i
}

#[test]
fn paths_are_found_where_they_count() {
    let text = r##"
//! crate::a
use crate::{b::{C, d::E}, f as g};
const TEXT: &str = "crate::h"; // crate::i
const RAW: &str = r#"crate::"j"#;
fn k<'a>(x: &'a str) -> char { crate::l::m(); println!("n"); '"' }
#[cfg(test)]
mod tests { use crate::o; fn p() { crate::q(); } }
fn r() { if a != b { super::s() } }
"##;
    let paths = Source::new("src/x/y.rs", text).paths();
    let found: Vec<String> = paths.iter().map(|path| path.segments.join("::")).collect();
    for wanted in
        ["crate::b::C", "crate::b::d::E", "crate::f", "crate::l::m", "println!", "super::s"]
    {
        assert!(found.iter().any(|path| path == wanted), "{wanted} in {found:?}");
    }
    for unwanted in ["a", "h", "i", "j", "o", "q"] {
        assert!(
            !found.iter().any(|path| path == &format!("crate::{unwanted}")),
            "{unwanted} in {found:?}"
        );
    }
    let line = paths.iter().find(|path| path.segments.join("::") == "crate::l::m");
    assert_eq!(line.map(|path| path.line), Some(6));
}
