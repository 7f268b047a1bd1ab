//! Keeps what was learnt of demand over a restart: written when a minute is over, read once at the start.
//!
//! It is for the boot in which it was written only, so it need not survive a power cut and is not synced: the loop waits for no disk. Where
//! it cannot be read provost learns anew, as it did before there was such a file.

use super::instance::Paths;
use super::kept::Kept;
use crate::cycle::State;
use crate::kernel::probe::Roots;
use crate::kernel::{clock, host};
use crate::model::Learnt;
use crate::units::Tick;

/// What is ever read.
const LONGEST: u64 = 5 << 20;
const LOSS: &str = "for components with affinity \"auto\" an hour of demand is learnt anew";

/// The file, and up to when it tells.
#[derive(Debug)]
pub(super) struct Learning {
    file: Kept,
    boot: String,
    until: Option<Tick>,
}

impl Learning {
    /// Gives `state` what an earlier daemon learnt in this boot.
    #[must_use]
    pub(super) fn begin(paths: &Paths, roots: &Roots, state: &mut State) -> Self {
        Self::in_boot(paths, host::boot_id(&roots.proc), state, clock::now())
    }

    fn in_boot(paths: &Paths, boot: String, state: &mut State, now: Tick) -> Self {
        let file = Kept::new(paths.state.join("affinity"), LONGEST, LOSS);
        let is_past = |learnt: &Learnt| learnt.components.values().all(|one| one.until <= now);
        let learnt = file.read(Learnt::read);
        if let Some(learnt) = learnt.filter(|learnt| learnt.boot == boot && is_past(learnt)) {
            state.steering.recall(&learnt);
        }
        Self { file, boot, until: state.steering.learnt_until() }
    }

    /// Writes what is known now, if that is more than what was written. Allocates nothing otherwise.
    pub(super) fn keep(&mut self, state: &State) {
        let until = state.steering.learnt_until();
        if until == self.until {
            return;
        }
        self.until = until;
        if until.is_some() {
            self.file.write(state.steering.learnt(self.boot.clone()).text());
        } else {
            self.file.remove();
        }
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
        learning.until = None;
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
