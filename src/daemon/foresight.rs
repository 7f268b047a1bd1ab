//! Feeds the forecasters of all components and keeps what they learnt over a restart: a file for each component in `forecasts/` of the state
//! folder. Must not hold up the loop or the start: one file a look is written, and what cannot be read is set aside and told.
//!
//! Like what is learnt of affinity it need not survive a power cut, so nothing is synced and the loop waits for no disk.

use super::instance::{Paths, replace};
use crate::config::Policy;
use crate::estimate::{Estimator, Foresight, MOST_COMPONENTS};
use crate::kernel::clock;
use crate::model::{Finding, FindingKind, Moment, Severity, Snapshot};
use crate::units::{ComponentName, Span, Tick};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Each component is kept so often at most. Three buckets: a gap as short as that is filled in after a crash.
const KEEP_EVERY: Span = Span::secs(900);
/// Four forecasters take less than half of it.
const LONGEST: u64 = 512 << 10;

/// The forecasters, and their files.
#[derive(Debug)]
pub(super) struct Forecasts {
    foresight: Foresight,
    folder: PathBuf,
    boot: String,
    /// When the components were last begun to be kept, one by one.
    round_at: Option<Tick>,
    /// How far that is; none when all are kept.
    round: Option<Round>,
    fails: bool,
}

/// The component that was kept last in this round; none before the first.
#[derive(Debug, Default)]
struct Round {
    last: Option<ComponentName>,
}

impl Forecasts {
    /// Reads what was kept of the registered components; of others it is removed.
    pub(super) fn begin(paths: &Paths, boot: String, policy: &Policy) -> Self {
        let folder = paths.state.join("forecasts");
        let foresight = Foresight::default();
        let mut all = Self { foresight, folder, boot, round_at: None, round: None, fails: false };
        if let Err(error) = std::fs::create_dir_all(&all.folder) {
            all.told(Err(error));
        }
        all.sweep(policy);
        for name in policy.components.keys() {
            if let Err(why) = all.take_up(name) {
                set_aside(&all.file(name), &why);
            }
        }
        all
    }

    fn file(&self, name: &ComponentName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn take_up(&mut self, name: &ComponentName) -> Result<(), String> {
        let file = match std::fs::File::open(self.file(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
        self.foresight.take_up(name, &text, &self.boot).map_err(|error| error.to_string())
    }

    /// Removes what was kept of components that are no longer registered.
    fn sweep(&self, policy: &Policy) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_stem().and_then(|stem| stem.to_str());
            if !name.is_some_and(|name| policy.components.contains_key(name)) {
                let _gone = std::fs::remove_file(&path);
            }
        }
    }

    /// What is said.
    pub(super) const fn said(&self) -> &Foresight {
        &self.foresight
    }

    /// Takes in the last look, and keeps one component if that is due.
    pub(super) fn tend(
        &mut self,
        now: Tick,
        policy: &Policy,
        seen: &Snapshot,
        estimator: &Estimator,
    ) {
        self.foresight.look(policy, seen, estimator, Moment(clock::wall_secs()));
        if self.is_due(now) {
            self.sweep(policy);
            self.round = Some(Round::default());
        }
        self.keep_next();
    }

    /// Whether all components are to be kept from now on, one by one: not at once after the start, when nothing is new.
    fn is_due(&mut self, now: Tick) -> bool {
        if self.round_at.is_some_and(|at| now.since(at) < KEEP_EVERY) {
            return false;
        }
        self.round_at.replace(now).is_some()
    }

    fn keep_next(&mut self) {
        let Some(round) = &self.round else { return };
        let next = self.foresight.changed(round.last.as_ref()).cloned();
        if let Some(name) = &next {
            self.keep(name);
        }
        self.round = next.map(|name| Round { last: Some(name) });
    }

    /// Keeps all, at the end.
    pub(super) fn keep_all(&mut self) {
        let names: Vec<ComponentName> = self.foresight.components().cloned().collect();
        names.iter().for_each(|name| self.keep(name));
    }

    fn keep(&mut self, name: &ComponentName) {
        let file = self.file(name);
        if let Some(text) = self.foresight.text(name, &self.boot) {
            self.told(replace(&file, &text));
        }
    }

    /// Tells of the first failure in a row.
    fn told(&mut self, written: std::io::Result<()>) {
        if let Err(error) = &written
            && !self.fails
        {
            let folder = self.folder.display();
            tracing::warn!(%error, "forecasts cannot be kept in {folder}; a restart forgets what was learnt of demand");
        }
        self.fails = written.is_err();
    }

    /// What forecasts cannot be trusted, and that some are not made.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut doubtful: BTreeMap<&ComponentName, Vec<String>> = BTreeMap::new();
        for (name, resource, said) in self.foresight.unreliable() {
            let percent = said.confidence.get() / 10_000;
            doubtful.entry(name).or_default().push(format!("{resource} ({percent}%)"));
        }
        let finding = |(name, of): (&ComponentName, Vec<String>)| Finding {
            severity: Severity::Info,
            kind: FindingKind::Forecast,
            component: Some(name.clone()),
            at: None,
            text: format!(
                "the forecast of {} of {name} cannot be trusted: its bounds hold too seldom, or leave most of what they allow unused (confidence \
                 below 30% for ten minutes)",
                of.join(", ")
            ),
        };
        let mut findings: Vec<Finding> = doubtful.into_iter().map(finding).collect();
        let left_out = self.foresight.left_out();
        findings.extend((left_out > 0).then(|| too_many(left_out)));
        findings
    }
}

fn too_many(left_out: usize) -> Finding {
    Finding {
        severity: Severity::Info,
        kind: FindingKind::Forecast,
        component: None,
        at: None,
        text: format!(
            "{left_out} components have no forecasts, since {MOST_COMPONENTS} is the most that have"
        ),
    }
}

fn set_aside(path: &Path, why: &str) {
    let aside = path.with_extension("unreadable");
    let (file, to) = (path.display(), aside.display());
    match std::fs::rename(path, &aside) {
        Ok(()) => tracing::warn!(
            %why, "{file} cannot be used and is set aside as {to}; its component's demand is learnt anew"
        ),
        Err(error) => {
            tracing::warn!(%why, "{file} cannot be used, nor set aside ({error}); it is written over");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Priority;
    use crate::testing::{add_home, component, host, policy};

    /// A state folder that is removed in the end, and a host with two components on it.
    struct Scratch {
        paths: Paths,
        policy: Policy,
        seen: Snapshot,
        estimator: Estimator,
    }

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("provost-forecasts-{name}-{}", std::process::id());
            let state = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&state).unwrap();
            let both = ["db", "web"].map(|name| component(name, Priority::Normal));
            let mut seen = host();
            for one in &both {
                add_home(&mut seen, one, &format!("system.slice/{}.service", one.name));
            }
            seen.groups.values_mut().for_each(|group| group.usage.pids = Some(3));
            let policy = policy(both);
            let mut estimator = Estimator::default();
            estimator.update(&policy, &seen);
            Self { paths: Paths { run: state.clone(), state }, policy, seen, estimator }
        }

        fn begin(&self) -> Forecasts {
            Forecasts::begin(&self.paths, "a boot".to_owned(), &self.policy)
        }

        /// Two hours that end now, in which every component had three tasks.
        fn learn(&self, forecasts: &mut Forecasts) {
            for bucket in 0..=24 {
                let at = Moment(clock::wall_secs() - 300 * (24 - bucket));
                forecasts.foresight.look(&self.policy, &self.seen, &self.estimator, at);
            }
        }

        fn tend(&self, forecasts: &mut Forecasts, second: u64) {
            let now = Tick::default().plus(Span::secs(second));
            forecasts.tend(now, &self.policy, &self.seen, &self.estimator);
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.paths.state.join("forecasts")).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.paths.state);
        }
    }

    #[test]
    fn what_was_learnt_outlives_the_daemon() {
        let scratch = Scratch::new("kept");
        let mut forecasts = scratch.begin();
        assert_eq!(*forecasts.said(), Foresight::default(), "nothing was kept");
        scratch.learn(&mut forecasts);
        forecasts.keep_all();
        assert_eq!(scratch.names(), ["db.json", "web.json"]);
        let mut next = scratch.begin();
        scratch.tend(&mut next, 100);
        scratch.tend(&mut forecasts, 100);
        let web = "web".parse().unwrap();
        let views = next.said().views(&web);
        assert!(!views.is_empty(), "a forecast at the first look");
        assert_eq!(views, forecasts.said().views(&web));
    }

    #[test]
    fn one_is_written_a_look_and_each_every_quarter_of_an_hour() {
        let scratch = Scratch::new("turns");
        let mut forecasts = scratch.begin();
        let none: [&str; 0] = [];
        scratch.tend(&mut forecasts, 100);
        scratch.learn(&mut forecasts);
        for (second, files) in [
            (101, &none[..]),
            (999, &none[..]),
            (1000, &["db.json"][..]),
            (1001, &["db.json", "web.json"][..]),
        ] {
            scratch.tend(&mut forecasts, second);
            assert_eq!(scratch.names(), files, "{second}");
        }
        scratch.tend(&mut forecasts, 1002);
        for name in scratch.names() {
            std::fs::remove_file(scratch.paths.state.join("forecasts").join(name)).unwrap();
        }
        for second in [1003, 1899, 1900, 1901] {
            scratch.tend(&mut forecasts, second);
            assert_eq!(scratch.names(), none, "{second}: nothing new is known");
        }
        scratch.learn(&mut forecasts);
        for second in [2799, 2800] {
            scratch.tend(&mut forecasts, second);
            assert_eq!(scratch.names().is_empty(), second == 2799, "{second}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_set_aside_and_what_nobody_needs_is_removed() {
        let scratch = Scratch::new("aside");
        let folder = scratch.paths.state.join("forecasts");
        std::fs::create_dir_all(&folder).unwrap();
        for text in ["", "{\"version\":1,", "{\"version\":2}", "\u{0}", &"[".repeat(600 << 10)] {
            std::fs::write(folder.join("web.json"), text).unwrap();
            std::fs::write(folder.join("gone.json"), "{}").unwrap();
            let mut forecasts = scratch.begin();
            assert_eq!(*forecasts.said(), Foresight::default());
            assert_eq!(scratch.names(), ["web.unreadable"]);
            assert_eq!(std::fs::read_to_string(folder.join("web.unreadable")).unwrap(), text);
            scratch.learn(&mut forecasts);
            forecasts.keep_all();
            assert_eq!(scratch.names(), ["db.json", "web.json", "web.unreadable"]);
            assert_eq!(scratch.begin().said().components().count(), 2, "a new one is begun");
            std::fs::remove_file(folder.join("db.json")).unwrap();
        }
    }

    #[test]
    fn findings_read_well() {
        let mut scratch = Scratch::new("findings");
        let mut forecasts = scratch.begin();
        scratch.learn(&mut forecasts);
        assert_eq!(forecasts.findings(), [], "nobody is told of while it learns");
        let mut random = 1_u64;
        for bucket in 0..=600 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let tasks = if random >> 60 == 0 { 20_000 } else { 0 };
            scratch.seen.groups.values_mut().for_each(|group| group.usage.pids = Some(tasks));
            scratch.seen.at = scratch.seen.at.plus(Span::secs(1));
            scratch.estimator.update(&scratch.policy, &scratch.seen);
            let at = Moment(clock::wall_secs() + 300 * bucket);
            forecasts.foresight.look(&scratch.policy, &scratch.seen, &scratch.estimator, at);
        }
        let texts: Vec<String> = forecasts.findings().into_iter().map(|one| one.text).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].starts_with("the forecast of pids ("), "{texts:?}");
        assert!(texts[0].contains(" of db cannot be trusted: "), "{texts:?}");
        assert!(too_many(3).text.starts_with("3 components have no forecasts"));
    }
}
