//! Keeps what was learnt of demand over a restart: written when a minute is over, read once at the start.
//!
//! It is for the boot in which it was written only, so it need not survive a power cut and is not synced: the loop waits for no disk. Where
//! it cannot be read provost learns anew, as it did before there was such a file.

use super::instance::{Paths, replace};
use crate::cycle::State;
use crate::kernel::probe::Roots;
use crate::kernel::{clock, host};
use crate::model::{Learnt, LearntError};
use crate::units::Tick;
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;

/// A little more than what is ever read, so that a longer file is noticed.
const LONGEST: u64 = 5 << 20;

/// The file, and up to when it tells.
#[derive(Debug)]
pub(super) struct Learning {
    file: PathBuf,
    boot: String,
    kept: Option<Tick>,
    fails: bool,
}

impl Learning {
    /// Gives `state` what an earlier daemon learnt in this boot.
    #[must_use]
    pub(super) fn begin(paths: &Paths, roots: &Roots, state: &mut State) -> Self {
        Self::in_boot(paths, host::boot_id(&roots.proc), state, clock::now())
    }

    fn in_boot(paths: &Paths, boot: String, state: &mut State, now: Tick) -> Self {
        let file = paths.state.join("affinity");
        let mut learning = Self { file, boot, kept: None, fails: false };
        match learning.read() {
            Ok(learnt) => {
                let is_past = learnt.components.values().all(|demand| demand.until <= now);
                if learnt.boot == learning.boot && is_past {
                    state.steering.recall(&learnt);
                    learning.kept = state.steering.learnt_until();
                }
            }
            Err(Unread::Missing) => {}
            Err(Unread::Broken(why)) => learning.set_aside(&why),
        }
        learning
    }

    fn read(&self) -> Result<Learnt, Unread> {
        let file = std::fs::File::open(&self.file)?;
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(Learnt::read(&bytes)?)
    }

    /// What cannot be read is kept for whoever wants to know why, once.
    fn set_aside(&self, why: &str) {
        let aside = self.file.with_extension("broken");
        let moved = std::fs::rename(&self.file, &aside);
        let (file, aside) = (self.file.display(), aside.display());
        match moved {
            Ok(()) => tracing::warn!(
                "{file} is moved to {aside}: {why}; for components with affinity \"auto\" an hour of demand is learnt anew"
            ),
            Err(error) => tracing::warn!("{file} is left out: {why}; nor can it be moved: {error}"),
        }
    }

    /// Writes what is known now, if that is more than what was written. Allocates nothing otherwise.
    pub(super) fn keep(&mut self, state: &State) {
        let until = state.steering.learnt_until();
        if until == self.kept {
            return;
        }
        self.kept = until;
        let written = if until.is_some() {
            let text = state.steering.learnt(self.boot.clone()).text();
            text.map_err(|error| error.to_string())
                .and_then(|text| replace(&self.file, &text).map_err(|error| error.to_string()))
        } else {
            std::fs::remove_file(&self.file).map_err(|error| error.to_string())
        };
        if let Err(why) = &written
            && !self.fails
        {
            let file = self.file.display();
            tracing::warn!(
                "{file} cannot be written: {why}; a restart forgets the last hour of demand"
            );
        }
        self.fails = written.is_err();
    }
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("there is none")]
    Missing,
    #[error("{0}")]
    Broken(String),
}

impl From<std::io::Error> for Unread {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::NotFound {
            Self::Missing
        } else {
            Self::Broken(error.to_string())
        }
    }
}

impl From<LearntError> for Unread {
    fn from(error: LearntError) -> Self {
        Self::Broken(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LearntChoice;
    use std::path::Path;

    const SEED: &str = include_str!("../../fuzz/seeds/learnt/two-components");
    const NOW: Tick = Tick(7_300_000_000);

    fn paths(name: &str) -> Paths {
        let state =
            std::env::temp_dir().join(format!("provost-learning-{name}-{}", std::process::id()));
        let _old = std::fs::remove_dir_all(&state);
        std::fs::create_dir_all(&state).unwrap();
        Paths { run: state.clone(), state }
    }

    fn begun(paths: &Paths, boot: &str, now: Tick) -> (Learning, State) {
        let mut state = State::default();
        (Learning::in_boot(paths, boot.to_owned(), &mut state, now), state)
    }

    fn names(state: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(state).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_written_is_known_again_in_the_same_boot() {
        let paths = paths("again");
        std::fs::write(paths.state.join("affinity"), SEED).unwrap();
        let (mut learning, state) = begun(&paths, "3f1c", NOW);
        let learnt = state.steering.learnt("3f1c".to_owned());
        assert_eq!(learnt.components.len(), 2);
        let own = LearntChoice::Own { cpus: 2, balanced: false };
        assert_eq!(learnt.components["db"].choice, Some(own));
        std::fs::remove_file(paths.state.join("affinity")).unwrap();
        learning.keep(&state);
        assert_eq!(names(&paths.state), [""; 0], "nothing is new, so nothing is written");
        learning.kept = None;
        learning.keep(&state);
        assert_eq!(std::fs::read_to_string(paths.state.join("affinity")).unwrap(), SEED);
        learning.keep(&State::default());
        assert_eq!(names(&paths.state), [""; 0], "nobody asks any more");
        std::fs::remove_dir_all(&paths.state).unwrap();
    }

    #[test]
    fn another_boots_hour_is_none_and_neither_is_one_of_the_future() {
        let paths = paths("boot");
        std::fs::write(paths.state.join("affinity"), SEED).unwrap();
        for (boot, now) in [("other", NOW), ("3f1c", Tick(7_100_000_000))] {
            let (_, state) = begun(&paths, boot, now);
            assert_eq!(state.steering.learnt_until(), None, "{boot}");
        }
        assert_eq!(names(&paths.state), ["affinity"], "it is no broken one");
        std::fs::remove_dir_all(&paths.state).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let paths = paths("broken");
        for text in [
            "",
            "{}",
            SEED.split_at(SEED.len() / 2).0,
            &SEED.replace("\"version\":1", "\"version\":9"),
        ] {
            std::fs::write(paths.state.join("affinity"), text).unwrap();
            let (_, state) = begun(&paths, "3f1c", NOW);
            assert_eq!(state.steering.learnt_until(), None);
            assert_eq!(names(&paths.state), ["affinity.broken"]);
            assert_eq!(std::fs::read_to_string(paths.state.join("affinity.broken")).unwrap(), text);
        }
        assert_eq!(names(&paths.state), ["affinity.broken"], "the last one only");
        std::fs::remove_dir_all(&paths.state).unwrap();
    }
}
