//! What forecasts may decide, as a checked choice.

/// What forecasts may decide. They are made and shown in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Nothing: others give way when somebody protected waits, not before, and ceilings and instances follow what is used alone.
    Off,
    /// That memory gives way before it is needed, how much of it is kept for whom, the pace of the adaptive strategy, and when ceilings that
    /// follow the need rise and instances are started.
    Memory,
    /// That, and that CPU gives way before it is needed.
    All,
}

impl Steer {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Memory => "memory",
            Self::All => "all",
        }
    }
}
