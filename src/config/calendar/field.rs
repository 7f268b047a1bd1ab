//! One part of a calendar expression: numbers, ranges and steps.

/// A list; an empty one is `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field(pub(super) Vec<Item>);

/// A number, a range, or either with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    /// Where it begins.
    pub(super) first: i16,
    /// Where it ends, itself included; without, at the first, or with a step as far as the part goes.
    pub(super) last: Option<i16>,
    /// Every so many of them; above zero.
    pub(super) step: Option<i16>,
}

impl Item {
    fn has(self, value: i16, most: i16) -> bool {
        let last = self.last.unwrap_or(if self.step.is_some() { most } else { self.first });
        let past = value - self.first;
        value >= self.first && value <= last && past % self.step.unwrap_or(1) == 0
    }

    /// The same item counted from the beginning of something that ends at `most`.
    fn turned(self, most: i16) -> Self {
        let turn = |value: i16| most - value + 1;
        let (first, last) = match self.last {
            Some(last) => (turn(last), Some(turn(self.first))),
            None => (turn(self.first), None),
        };
        Self { first, last, ..self }
    }
}

impl Field {
    /// Exactly one value.
    pub(super) fn one(value: i16) -> Self {
        Self(vec![Item { first: value, last: None, step: None }])
    }

    /// Whether the value is in the list; `most` is the largest that there can be.
    pub(super) fn has(&self, value: i16, most: i16) -> bool {
        self.0.is_empty() || self.0.iter().any(|item| item.has(value, most))
    }

    /// The same where values are counted from `most` down, which is 1.
    pub(super) fn has_from_end(&self, value: i16, most: i16) -> bool {
        self.0.is_empty() || self.0.iter().any(|item| item.turned(most).has(value, most))
    }

    /// As it is written, each number with at least so many digits.
    pub(super) fn text(&self, digits: usize) -> String {
        let item = |item: &Item| {
            let last = item.last.map(|last| format!("..{last:0digits$}")).unwrap_or_default();
            let step = item.step.map(|step| format!("/{step}")).unwrap_or_default();
            format!("{:0digits$}{last}{step}", item.first)
        };
        if self.0.is_empty() {
            return "*".to_owned();
        }
        self.0.iter().map(item).collect::<Vec<_>>().join(",")
    }
}
