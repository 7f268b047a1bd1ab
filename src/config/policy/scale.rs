//! A ceiling that follows the need, as it is configured. Must not say how it moves.

use super::Component;
use crate::units::Span;

/// How far a ceiling may be lowered. The ceiling beside it is the most that it is raised to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale<T> {
    /// The least that it is lowered to.
    pub least: T,
    /// After any change it is not lowered for so long, 5 s to 1 d.
    pub cooldown: Span,
}

impl Component {
    /// Whether it has a ceiling that follows the need.
    #[must_use]
    pub const fn is_scaled(&self) -> bool {
        self.cpu.scale.is_some() || self.memory.scale.is_some() || self.pids_scale.is_some()
    }
}
