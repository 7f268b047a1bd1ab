//! The surveyor: asks file systems how full they are, on a thread that may hang.
//!
//! **Problem.** A network file system whose server is gone answers nobody, for hours, and whoever asked it hangs as long.
//!
//! **Approach.** A thread asks one file system after the other and says before each which. What has not answered after [`HANGS_AFTER`] is
//! said to hang; its thread is left to it, and another goes on without it until it answers.
//!
//! **Properties.** The control loop never waits; while nothing is due it reads one empty channel. At most [`MOST_HANGING`] threads hang: with
//! as many no survey is made, and what is known stays.

use crate::kernel::filesystems::{Mounted, mounted};
use crate::model::{FileSystem, Room};
use crate::units::{Span, Tick};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How full a file system is matters in minutes.
const SURVEY_EVERY: Span = Span::secs(10);
/// A disk that sleeps wakes up within seconds.
const HANGS_AFTER: Span = Span::secs(5);
/// The unit may have 64 threads.
const MOST_HANGING: usize = 8;

/// How one is asked.
type Ask = fn(&Mounted) -> Option<FileSystem>;

/// What the control loop knows of the threads that ask.
#[derive(Debug)]
pub(super) struct Surveyor {
    proc: PathBuf,
    heard: Receiver<(u64, Word)>,
    tell: Sender<(u64, Word)>,
    ask_one: Ask,
    /// How many threads there have been.
    threads: u64,
    /// What a thread is told to leave out. None while there is no thread.
    order: Option<Sender<BTreeSet<String>>>,
    asked_at: Option<Tick>,
    /// What each thread asks now: the current one, and those that hang.
    asking: BTreeMap<u64, Asking>,
    /// What a thread found that had hung: the survey that is under way leaves it out.
    late: Vec<FileSystem>,
}

/// A file system that was asked and has not answered.
#[derive(Debug)]
struct Asking {
    filesystem: Mounted,
    since: Tick,
}

impl Asking {
    fn is_late(&self, now: Tick) -> bool {
        now.since(self.since) >= HANGS_AFTER
    }
}

/// What a thread says.
#[derive(Debug)]
enum Word {
    /// It asks this one now.
    Asks(Mounted),
    /// All have answered.
    Found(Vec<FileSystem>),
}

impl Surveyor {
    /// One that has not asked yet; `proc` is where procfs is mounted.
    pub(super) fn new(proc: &Path) -> Self {
        Self::with(proc, Mounted::ask)
    }

    fn with(proc: &Path, ask_one: Ask) -> Self {
        let (tell, heard) = channel();
        Self {
            proc: proc.to_owned(),
            heard,
            tell,
            ask_one,
            threads: 0,
            order: None,
            asked_at: None,
            asking: BTreeMap::new(),
            late: Vec::new(),
        }
    }

    /// Takes in what was said, and asks anew when it is time. All file systems, when a survey has ended.
    pub(super) fn tend(&mut self, now: Tick) -> Option<Vec<FileSystem>> {
        let mut found = None;
        while let Ok((thread, word)) = self.heard.try_recv() {
            match word {
                Word::Asks(filesystem) => {
                    self.asking.insert(thread, Asking { filesystem, since: now });
                }
                Word::Found(filesystems) => {
                    self.asking.remove(&thread);
                    if thread == self.threads {
                        found = Some(filesystems);
                    } else {
                        self.late = filesystems;
                    }
                }
            }
        }
        if self.asking.get(&self.threads).is_some_and(|asking| asking.is_late(now)) {
            // It ends once it finds that nobody has an order for it any more.
            self.order = None;
            self.asked_at = None;
        }
        let resting = self.order.is_none() || !self.asking.contains_key(&self.threads);
        if resting && self.asked_at.is_none_or(|at| now.since(at) >= SURVEY_EVERY) {
            self.ask(now);
        }
        found.map(|found| self.with_hanging(found, now))
    }

    fn ask(&mut self, now: Tick) {
        self.asked_at = Some(now);
        if self.asking.len() >= MOST_HANGING {
            return;
        }
        let order = self.order.take().or_else(|| self.start());
        let without = self.hanging(now).map(|asking| asking.filesystem.at.clone()).collect();
        self.order = order.filter(|order| order.send(without).is_ok());
    }

    fn start(&mut self) -> Option<Sender<BTreeSet<String>>> {
        self.threads += 1;
        let (number, ask_one) = (self.threads, self.ask_one);
        let (tell, proc) = (self.tell.clone(), self.proc.clone());
        let (order, orders) = channel();
        let thread = std::thread::Builder::new().name("surveyor".to_owned());
        let started = thread.spawn(move || {
            while let Ok(without) = orders.recv() {
                survey(&proc, &without, ask_one, |word| tell.send((number, word)).is_ok());
            }
        });
        started
            .inspect_err(
                |error| tracing::warn!(%error, "nobody asks file systems how full they are"),
            )
            .ok()
            .map(|_thread| order)
    }

    fn hanging(&self, now: Tick) -> impl Iterator<Item = &Asking> {
        self.asking.values().filter(move |asking| asking.is_late(now))
    }

    fn with_hanging(&mut self, mut found: Vec<FileSystem>, now: Tick) -> Vec<FileSystem> {
        let hangs = |asking: &Asking| asking.filesystem.with(Room::Hangs { since: asking.since });
        found.extend(self.hanging(now).map(hangs));
        for late in std::mem::take(&mut self.late) {
            if found.iter().all(|one| one.at != late.at) {
                found.push(late);
            }
        }
        found.sort_by(|one, other| one.at.cmp(&other.at));
        found
    }
}

/// Asks all file systems; `tell` says whether anybody listens.
fn survey(proc: &Path, without: &BTreeSet<String>, ask: Ask, tell: impl Fn(Word) -> bool) {
    let mut found = Vec::new();
    for filesystem in mounted(proc).into_iter().filter(|one| !without.contains(&one.at)) {
        if !tell(Word::Asks(filesystem.clone())) {
            return;
        }
        found.extend(ask(&filesystem));
    }
    tell(Word::Found(found));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    /// Whoever asks `/far` waits for it.
    static FAR: Mutex<()> = Mutex::new(());

    fn ask(filesystem: &Mounted) -> Option<FileSystem> {
        let _answer = (filesystem.at == "/far").then(|| FAR.lock().unwrap());
        Some(filesystem.with(Room::Failed { errno: 0 }))
    }

    /// Tends until a survey has ended.
    fn survey(surveyor: &mut Surveyor, now: Tick) -> Vec<FileSystem> {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if let Some(found) = surveyor.tend(now) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no survey ended: {surveyor:?}");
    }

    fn hangs(found: &[FileSystem]) -> Vec<&str> {
        let hangs = found.iter().filter(|one| matches!(one.room, Room::Hangs { .. }));
        hangs.map(|one| one.at.as_str()).collect()
    }

    #[test]
    fn one_that_hangs_is_named_and_not_waited_for_and_asked_again_once_it_answers() {
        let proc = std::env::temp_dir().join(format!("provost-survey-{}", std::process::id()));
        std::fs::create_dir_all(proc.join("self")).unwrap();
        let table = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:40 / /far rw - nfs4 far:/x rw\n\
                     23 21 8:2 / /srv rw - ext4 /dev/sda2 rw\n";
        std::fs::write(proc.join("self/mountinfo"), table).unwrap();
        let mut surveyor = Surveyor::with(&proc, ask);
        let at = |secs| Tick(0).plus(Span::secs(secs));
        assert_eq!(survey(&mut surveyor, at(100)).len(), 3);
        assert_eq!(surveyor.tend(at(105)), None, "nothing is due");
        let silence = FAR.lock().unwrap();
        assert_eq!(surveyor.tend(at(110)), None);
        while !surveyor.asking.values().any(|asking| asking.filesystem.at == "/far") {
            assert_eq!(surveyor.tend(at(111)), None);
            std::thread::sleep(Duration::from_millis(1));
        }
        let found = survey(&mut surveyor, at(117));
        assert_eq!((found.len(), hangs(&found)), (3, vec!["/far"]), "the others answered");
        assert_eq!(surveyor.threads, 2);
        let found = survey(&mut surveyor, at(130));
        assert_eq!((hangs(&found), surveyor.threads), (vec!["/far"], 2), "no further thread");
        drop(silence);
        let found = (140..).step_by(10).map(|secs| survey(&mut surveyor, at(secs)));
        let answered = found.take(1000).find(|found| hangs(found).is_empty());
        assert_eq!(answered.map(|found| found.len()), Some(3));
        assert_eq!(surveyor.threads, 2);
        std::fs::remove_dir_all(&proc).unwrap();
    }
}
