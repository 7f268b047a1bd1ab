//! What was seen of growing memory, kept over restarts of the daemon, so that a leak of hours is not forgotten by one. Must not hold the start
//! up: what cannot be read is set aside and told, and looking begins anew.

use super::instance::Paths;
use super::kept::Kept;
use crate::estimate::Estimator;
use crate::model::LeakBook;
use crate::units::{Span, Tick};

/// Not longer than the parts of the windows that take hours: those then go on after a crash.
const KEEP_EVERY: Span = Span::secs(600);
/// Ten thousand components need less.
const LONGEST: u64 = 32 << 20;
const LOSS: &str = "leaks are looked for anew";

/// The file, and when it was written.
#[derive(Debug)]
pub(super) struct LeakFile {
    file: Kept,
    boot: String,
    kept_at: Option<Tick>,
}

impl LeakFile {
    /// Reads what was kept into the estimator.
    pub(super) fn take_up(paths: &Paths, boot: String, estimator: &mut Estimator) -> Self {
        let file = Kept::new(paths.state.join("leaks.json"), LONGEST, LOSS);
        if let Some(mut book) = file.read(read) {
            if book.boot != boot {
                // Every component runs anew; no group of this boot is one of those.
                book.components.values_mut().for_each(|component| component.homes.clear());
            }
            estimator.remember_leaks(&book.components);
        }
        Self { file, boot, kept_at: None }
    }

    /// Keeps what was seen, if that is due.
    pub(super) fn tend(&mut self, now: Tick, estimator: &Estimator) {
        if self.kept_at.is_some_and(|at| now.since(at) < KEEP_EVERY) {
            return;
        }
        // Nothing worth keeping was seen before the first part's end.
        if self.kept_at.replace(now).is_some() {
            self.keep(estimator);
        }
    }

    /// Keeps what was seen.
    pub(super) fn keep(&mut self, estimator: &Estimator) {
        let components = estimator.leak_memories();
        let book = LeakBook { version: LeakBook::VERSION, boot: self.boot.clone(), components };
        self.file.write(serde_json::to_string(&book));
    }
}

fn read(bytes: &[u8]) -> Result<LeakBook, String> {
    let book: LeakBook = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if book.version != LeakBook::VERSION {
        return Err(format!(
            "its version is {}, and this provost reads {}",
            book.version,
            LeakBook::VERSION
        ));
    }
    Ok(book)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LeakMemory, LeakPart, LeakTierMemory};
    use crate::testing::sample_leak;
    use crate::units::{Bytes, CgroupId};

    /// A file in a folder of its own that is removed in the end.
    struct Scratch(Paths);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("provost-leaks-{name}-{}", std::process::id());
            let state = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&state).unwrap();
            Self(Paths { run: state.clone(), state })
        }

        fn take_up(&self, boot: &str) -> (LeakFile, Estimator) {
            let mut estimator = Estimator::default();
            let file = LeakFile::take_up(&self.0, boot.to_owned(), &mut estimator);
            (file, estimator)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0.state);
        }
    }

    fn leaking() -> Estimator {
        let part = LeakPart { held_kib: 4096, load_millicpu: 250 };
        let tier = LeakTierMemory {
            next: 77,
            parts: vec![part; 36],
            examined: 9,
            against: 2,
            said: Some(sample_leak()),
        };
        let memory = LeakMemory {
            homes: vec![CgroupId(5)],
            tiers: vec![LeakTierMemory::default(), tier.clone(), tier, LeakTierMemory::default()],
            slopes: vec![Bytes::mebi(60)],
        };
        let mut estimator = Estimator::default();
        estimator.remember_leaks(&[("web".parse().unwrap(), memory)].into());
        estimator
    }

    #[test]
    fn what_was_kept_is_taken_up() {
        let scratch = Scratch::new("kept");
        let (mut file, empty) = scratch.take_up("this boot");
        assert_eq!(empty, Estimator::default(), "nothing was kept");
        file.keep(&leaking());
        let (_, taken_up) = scratch.take_up("this boot");
        assert_eq!(taken_up, leaking());
        assert_eq!(taken_up.leaks().count(), 1);
        let (_, after_boot) = scratch.take_up("another boot");
        let memories = after_boot.leak_memories();
        assert!(memories["web"].homes.is_empty(), "the next look begins another run");
    }

    #[test]
    fn what_cannot_be_used_is_set_aside() {
        let scratch = Scratch::new("aside");
        let path = scratch.0.state.join("leaks.json");
        let future = r#"{"version":2,"boot":"b","components":{}}"#;
        for text in ["{\"version\":1,", "", "\u{0}", future] {
            std::fs::write(&path, text).unwrap();
            let (mut file, estimator) = scratch.take_up("b");
            assert_eq!(estimator, Estimator::default(), "{text}");
            assert!(!path.exists(), "{text}");
            let aside = scratch.0.state.join("leaks.broken");
            assert_eq!(std::fs::read_to_string(aside).unwrap(), text);
            file.keep(&leaking());
            assert_eq!(scratch.take_up("b").1, leaking(), "and a new one is begun");
        }
    }

    #[test]
    fn it_is_kept_every_ten_minutes() {
        let scratch = Scratch::new("due");
        let (mut file, _) = scratch.take_up("b");
        let path = scratch.0.state.join("leaks.json");
        let second = |count| Tick::default().plus(Span::secs(count));
        for (at, is_written) in [(100, false), (101, false), (699, false), (700, true)] {
            file.tend(second(at), &leaking());
            assert_eq!(path.exists(), is_written, "{at}");
        }
        std::fs::remove_file(&path).unwrap();
        file.tend(second(1299), &leaking());
        assert!(!path.exists());
    }
}
