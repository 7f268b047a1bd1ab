//! Somebody asked for a component that the configuration does not have.

use crate::units::ComponentName;
use std::fmt;
use thiserror::Error;

/// So many names fit into a message.
const SHOWN: usize = 20;

/// A name that is none of the configured ones.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct UnknownComponent {
    name: ComponentName,
    /// The first of those that there are, in order.
    known: Vec<ComponentName>,
    others: usize,
}

impl UnknownComponent {
    /// What was asked for, and what there is.
    pub fn new<'a>(
        name: &ComponentName,
        known: impl IntoIterator<Item = &'a ComponentName>,
    ) -> Self {
        let mut known: Vec<ComponentName> = known.into_iter().cloned().collect();
        let others = known.len().saturating_sub(SHOWN);
        known.truncate(SHOWN);
        Self { name: name.clone(), known, others }
    }
}

impl fmt::Display for UnknownComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no component \"{}\"; the configuration has", self.name)?;
        if self.known.is_empty() {
            return f.write_str(" none");
        }
        let names: Vec<&str> = self.known.iter().map(ComponentName::as_str).collect();
        write!(f, ": {}", names.join(", "))?;
        if self.others > 0 { write!(f, ", and {} others", self.others) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(known: &[&str]) -> String {
        let known: Vec<ComponentName> = known.iter().map(|name| name.parse().unwrap()).collect();
        UnknownComponent::new(&"db".parse().unwrap(), &known).to_string()
    }

    #[test]
    fn names_what_there_is_as_far_as_it_fits() {
        assert_eq!(told(&[]), "no component \"db\"; the configuration has none");
        assert_eq!(told(&["job", "web"]), "no component \"db\"; the configuration has: job, web");
        assert!(told(&["web"; 20]).ends_with("web, web"));
        assert!(told(&["web"; 23]).ends_with("web, and 3 others"));
    }
}
