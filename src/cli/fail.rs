//! Failures as exit codes and words.

use super::Printout;
use super::render::{COLUMNS, wrap};
use crate::daemon::{InstanceError, StartError};
use crate::kernel::process::is_root;
use crate::serve::ClientError;

/// 3: no daemon runs.
pub(super) const EXIT_NOT_RUNNING: u8 = 3;
/// 4: no such component.
pub(super) const EXIT_NO_COMPONENT: u8 = 4;
/// 6: partly done.
pub(super) const EXIT_PARTLY: u8 = 6;
/// 77: not permitted.
pub(super) const EXIT_NOT_PERMITTED: u8 = 77;

/// Why a verb was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    exit: u8,
    text: String,
}

impl Failure {
    pub(super) const fn new(exit: u8, text: String) -> Self {
        Self { exit, text }
    }

    pub(super) const fn exit(&self) -> u8 {
        self.exit
    }

    /// Why, as a sentence without its end.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn printout(&self) -> Printout {
        let mut stderr = String::new();
        // Only what is too wide is broken: drawings of configuration errors stay as they are.
        for line in format!("provost: {}", self.text).lines() {
            let is_wide = line.chars().count() > COLUMNS;
            let lines = if is_wide { wrap(line, COLUMNS) } else { vec![line.to_owned()] };
            lines.iter().for_each(|line| stderr.extend([line.as_str(), "\n"]));
        }
        Printout { stdout: String::new(), stderr, exit: self.exit }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::NotRunning { .. } => EXIT_NOT_RUNNING,
            ClientError::NotPermitted { .. } => EXIT_NOT_PERMITTED,
            ClientError::Broken { .. } | ClientError::Nonsense { .. } => 1,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let exit = match &error {
            StartError::Config { .. } => super::EXIT_BAD_CONFIG,
            StartError::Instance(InstanceError::Unusable { .. }) if !is_root() => {
                EXIT_NOT_PERMITTED
            }
            StartError::NoCgroup2
            | StartError::Tree(_)
            | StartError::Instance(_)
            | StartError::Journal(_)
            | StartError::Systemd(_)
            | StartError::System { .. } => 1,
        };
        Self::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_lines_are_broken_and_drawings_kept() {
        let text = format!("{}\n  |    ^^^ here\n", "word ".repeat(30));
        let printout = Failure::new(1, text).printout();
        assert!(printout.stderr.lines().all(|line| line.chars().count() <= COLUMNS));
        assert!(printout.stderr.starts_with("provost: word word"));
        assert!(printout.stderr.ends_with("\n  |    ^^^ here\n"));
    }
}
