//! What is typed in order to give the selected component something for a while: from letters to a request that somebody has confirmed. Pure.

use crate::cli::quota::assignment;
use crate::serve::Request;
use crate::units::{ComponentName, Span};
use std::collections::BTreeMap;

/// As long as `provost set-quota` gives it where nothing else is said.
const USUAL: Span = Span::secs(30 * 60);
/// Nobody types more.
const LONGEST: usize = 400;

/// What somebody wants for a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    component: ComponentName,
    typed: String,
    /// What it comes to, once that is to be confirmed.
    request: Option<Request>,
}

impl Wish {
    /// Nothing is typed yet; none for what is no name of a component.
    pub(super) fn of(component: &str) -> Option<Self> {
        let component = component.parse().ok()?;
        Some(Self { component, typed: String::new(), request: None })
    }

    pub(super) fn push(&mut self, letter: char) {
        if !letter.is_control() && self.typed.len() < LONGEST {
            self.typed.push(letter);
        }
    }

    pub(super) fn erase(&mut self) {
        self.typed.pop();
    }

    pub(super) const fn is_to_confirm(&self) -> bool {
        self.request.is_some()
    }

    pub(super) fn into_request(self) -> Option<Request> {
        self.request
    }

    /// Takes what is typed as a whole. What the values mean is for the daemon to check.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let (wanted, span) = match self.typed.rsplit_once(" for ") {
            Some((wanted, span)) => {
                let span = span.trim();
                (wanted, span.parse().map_err(|_| format!("\"{span}\" is no time such as 2h"))?)
            }
            None => (self.typed.as_str(), USUAL),
        };
        let mut keys = BTreeMap::new();
        for word in wanted.split_whitespace() {
            let (key, value) = assignment(word)?;
            if keys.insert(key.clone(), value).is_some() {
                return Err(format!("{key} is there twice"));
            }
        }
        if keys.is_empty() {
            return Err(
                "write KEY=VALUE, such as cpu.ceiling=2 memory.ceiling=1G for 2h".to_owned()
            );
        }
        let component = self.component.clone();
        self.request = Some(Request::SetQuota { component, keys, span, dry_run: false });
        Ok(())
    }

    /// What the line of keys says meanwhile.
    pub(super) fn line(&self) -> String {
        let Self { component, typed, request } = self;
        match request {
            Some(Request::SetQuota { keys, span, .. }) => {
                let keys: Vec<String> =
                    keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!(
                    "give {component} {} for {span}?  y does it, any other key drops it",
                    keys.join(" ")
                )
            }
            Some(_) | None => {
                format!("set-quota {component}: {typed}_  Enter checks, Esc drops it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Wish {
        let mut wish = Wish::of("web").unwrap();
        text.chars().for_each(|letter| wish.push(letter));
        wish
    }

    #[test]
    fn what_is_typed_becomes_a_request_to_be_confirmed() {
        let mut wish = typed("cpu.ceiling=2 memory.ceiling=1G for 2h");
        assert_eq!(wish.check(), Ok(()));
        assert_eq!(
            wish.line(),
            "give web cpu.ceiling=2 memory.ceiling=1G for 2h?  y does it, any other key drops it"
        );
        let Some(Request::SetQuota { span, keys, dry_run, .. }) = wish.into_request() else {
            panic!("no request");
        };
        assert_eq!((span, keys.len(), dry_run), (Span::secs(7200), 2, false));
        let mut wish = typed("cpu.ceiling=2");
        wish.check().unwrap();
        assert!(wish.line().contains("for 30m?"), "{}", wish.line());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, word) in [
            ("", "such as cpu.ceiling=2"),
            ("cpu.ceiling", "write KEY=VALUE"),
            ("cpu.ceiling=2 for ever", "no time"),
            ("cpu.ceiling=2 cpu.ceiling=3", "twice"),
        ] {
            let mut wish = typed(text);
            let told = wish.check().unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
            assert!(!wish.is_to_confirm());
        }
        let mut long = typed(&"x".repeat(1000));
        long.push('\n');
        assert!(long.line().len() < 500);
    }
}
