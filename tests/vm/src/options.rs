//! The arguments of `vmrun`: `--key value` pairs, then `--` and a command.

use crate::Outcome;

/// Arguments taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--key value`, in order.
    pairs: Vec<(String, String)>,
    /// What stands before `--` without a key.
    pub words: Vec<String>,
    /// What stands behind `--`.
    pub command: Vec<String>,
}

impl Options {
    /// Takes the arguments apart.
    ///
    /// # Errors
    /// When a key has no value.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Outcome<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                options.command = arguments.collect();
                break;
            }
            match argument.strip_prefix("--") {
                Some(key) => {
                    let value = arguments.next().ok_or(format!("--{key} needs a value"))?;
                    options.pairs.push((key.to_owned(), value));
                }
                None => options.words.push(argument),
            }
        }
        Ok(options)
    }

    /// The last value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values(key).last()
    }

    /// All values of a key.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn required(&self, key: &str) -> Outcome<&str> {
        self.value(key).ok_or_else(|| format!("--{key} is missing"))
    }

    /// A number of seconds, or `otherwise`.
    ///
    /// # Errors
    /// When the value is no number.
    pub fn seconds(&self, key: &str, otherwise: u64) -> Outcome<u64> {
        let Some(text) = self.value(key) else {
            return Ok(otherwise);
        };
        text.parse().map_err(|_| format!("--{key} takes a number of seconds, not {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Outcome<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn keys_words_and_the_command() {
        let options = parse("tree --cell k61 --copy a:b --copy c:d out -- ls --all --").unwrap();
        assert_eq!(options.words, ["tree", "out"]);
        assert_eq!(options.value("cell"), Some("k61"));
        assert_eq!(options.values("copy").collect::<Vec<_>>(), ["a:b", "c:d"]);
        assert_eq!(options.command, ["ls", "--all", "--"]);
        assert!(options.required("provost").is_err());
    }

    #[test]
    fn values_are_checked() {
        assert!(parse("--cell").is_err());
        assert_eq!(parse("--timeout 9").unwrap().seconds("timeout", 1), Ok(9));
        assert_eq!(parse("").unwrap().seconds("timeout", 1), Ok(1));
        assert!(parse("--timeout soon").unwrap().seconds("timeout", 1).is_err());
    }
}
