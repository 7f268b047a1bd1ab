//! A file in the state folder that the next daemon reads: replaced whole, bounded, and set aside where it makes no sense. It must not hold a
//! start up, nor the loop: nothing is synced, since what is learnt is worth less than a wait for a disk.

use super::instance::replace;
use std::fmt::Display;
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;

/// The file.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    longest: u64,
    /// What is lost without it, as a clause.
    loss: &'static str,
    /// Whether it could not be written the last time: that is told once.
    fails: bool,
}

impl Kept {
    /// The file at `path`, of `longest` bytes at most. `loss` says what is lost without it.
    pub(super) const fn new(path: PathBuf, longest: u64, loss: &'static str) -> Self {
        Self { path, longest, loss, fails: false }
    }

    /// The same for another of many files of one kind: a failure to write them is told once.
    pub(super) fn at(&mut self, path: PathBuf) -> &mut Self {
        self.path = path;
        self
    }

    /// What was written last; none where nothing was, or nothing that `parse` takes: that is set aside for whoever wants to know why.
    pub(super) fn read<T, E: Display>(
        &self,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Option<T> {
        let read = match self.bytes() {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
            Ok(bytes) => parse(&bytes).map_err(|error| error.to_string()),
        };
        read.inspect_err(|why| self.set_aside(why)).ok()
    }

    /// The same for somebody who only looks: what makes no sense stays where it is.
    pub(super) fn peek<T, E>(&self, parse: impl FnOnce(&[u8]) -> Result<T, E>) -> Option<T> {
        self.bytes().ok().and_then(|bytes| parse(&bytes).ok())
    }

    fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let file = std::fs::File::open(&self.path)?;
        let mut bytes = Vec::new();
        // One more than is ever written, so that a longer file is noticed.
        file.take(self.longest.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= self.longest) {
            return Ok(bytes);
        }
        Err(std::io::Error::other(format!("it has more than {} bytes", self.longest)))
    }

    fn set_aside(&self, why: &str) {
        let aside = self.aside();
        let moved = std::fs::rename(&self.path, &aside);
        let (file, aside, loss) = (self.path.display(), aside.display(), self.loss);
        match moved {
            Ok(()) => {
                tracing::warn!("{file} cannot be used: {why}; it is moved to {aside}, and {loss}")
            }
            Err(error) => {
                tracing::warn!(
                    "{file} cannot be used: {why}; nor can it be moved: {error}; {loss}"
                );
            }
        }
    }

    /// Where a file goes that cannot be used.
    fn aside(&self) -> PathBuf {
        self.path.with_extension("broken")
    }

    /// Writes it anew.
    pub(super) fn write<E: Display>(&mut self, text: Result<String, E>) {
        let text = text.map_err(|error| std::io::Error::other(error.to_string()));
        self.done(text.and_then(|text| replace(&self.path, &text)));
    }

    /// There is nothing to keep.
    pub(super) fn remove(&mut self) {
        let removed = std::fs::remove_file(&self.path);
        let is_gone = |error: &std::io::Error| error.kind() == ErrorKind::NotFound;
        self.done(removed.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) }));
    }

    fn done(&mut self, done: std::io::Result<()>) {
        if let Err(error) = &done
            && !self.fails
        {
            tracing::warn!(
                "{} cannot be written: {error}; after a restart {}",
                self.path.display(),
                self.loss
            );
        }
        self.fails = done.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &str) -> Kept {
        let folder =
            std::env::temp_dir().join(format!("provost-kept-{name}-{}", std::process::id()));
        let _old = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Kept::new(folder.join("it.json"), 8, "it is learnt anew")
    }

    fn read(kept: &Kept) -> Option<u32> {
        kept.read(|bytes| serde_json::from_slice(bytes))
    }

    #[test]
    fn what_was_written_is_read_until_it_is_removed() {
        let mut kept = kept("written");
        assert_eq!(read(&kept), None);
        kept.write(serde_json::to_string(&7));
        assert_eq!(read(&kept), Some(7));
        kept.remove();
        assert_eq!(read(&kept), None);
        assert!(!kept.aside().exists(), "a file that is not there is no broken one");
        std::fs::remove_dir_all(kept.path.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_set_aside_as_it_was() {
        let kept = kept("broken");
        for text in ["", "seven", "\u{0}", "7 8", "123456789"] {
            std::fs::write(&kept.path, text).unwrap();
            assert_eq!(read(&kept), None, "{text}");
            assert!(!kept.path.exists(), "{text}");
            assert_eq!(std::fs::read_to_string(kept.aside()).unwrap(), text);
        }
        std::fs::remove_dir_all(kept.path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_stops_nobody() {
        let mut kept = Kept::new(PathBuf::from("/nonexistent/it.json"), 8, "it is learnt anew");
        kept.write(serde_json::to_string(&7));
        assert!(kept.fails);
        assert_eq!(read(&kept), None);
    }
}
