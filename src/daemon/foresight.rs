//! Feeds the forecasters of all components and keeps what they learnt over a restart: a file for each component in `forecasts/` of the state
//! folder, and one for the host. Must not hold up the loop: one file a look is written.

use super::growth;
use super::instance::Paths;
use super::kept::Kept;
use crate::config::Policy;
use crate::estimate::{Estimator, Foresight, MOST_COMPONENTS};
use crate::kernel::clock;
use crate::model::{Finding, FindingKind, HostView, Moment, Severity, Snapshot};
use crate::units::{ComponentName, Span, Tick};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Each component is kept so often at most. Three buckets: a gap as short as that is filled in after a crash.
const KEEP_EVERY: Span = Span::secs(900);
/// Four forecasters take less than half of it.
const LONGEST: u64 = 512 << 10;

/// The forecasters, and their files.
#[derive(Debug)]
pub(super) struct Forecasts {
    foresight: Foresight,
    folder: PathBuf,
    /// One of the files.
    kept: Kept,
    host: Kept,
    boot: String,
    /// When the components were last begun to be kept, one by one.
    round_at: Option<Tick>,
    /// How far that is; none when all are kept.
    round: Option<Round>,
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
        // Where it cannot be made, the first write tells why.
        let _made = std::fs::create_dir_all(&folder);
        let kept = Kept::new(folder.clone(), LONGEST, "demand is learnt anew for forecasts");
        let host = paths.state.join("growth.json");
        let host = Kept::new(host, LONGEST, "the growth of the host's use is learnt anew");
        let foresight = Foresight::default();
        let mut all = Self { foresight, folder, kept, host, boot, round_at: None, round: None };
        let _taken_up = all.host.read(|bytes| all.foresight.take_up_host(bytes));
        all.sweep(policy);
        for name in policy.components.keys() {
            let (foresight, boot) = (&mut all.foresight, &all.boot);
            let file = all.folder.join(file_name(name));
            let _taken_up = all.kept.at(file).read(|bytes| foresight.take_up(name, bytes, boot));
        }
        all
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
            self.host.write(self.foresight.host_text());
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
        self.host.write(self.foresight.host_text());
    }

    fn keep(&mut self, name: &ComponentName) {
        if let Some(text) = self.foresight.text(name, &self.boot) {
            self.kept.at(self.folder.join(file_name(name))).write(text);
        }
    }

    /// What forecasts cannot be trusted, that some are not made, what is out of the ordinary, and which ceilings come near.
    pub(super) fn findings(&self, policy: &Policy, host: &HostView) -> Vec<Finding> {
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
        let now = Moment(clock::wall_secs());
        findings.extend(growth::findings(&self.foresight, policy, host, now));
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

fn file_name(name: &ComponentName) -> String {
    format!("{name}.json")
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
        for text in ["", "{\"version\":1}", "{\"version\":2,", "\u{0}", &"[".repeat(600 << 10)] {
            std::fs::write(folder.join("web.json"), text).unwrap();
            std::fs::write(folder.join("gone.json"), "{}").unwrap();
            let mut forecasts = scratch.begin();
            assert_eq!(*forecasts.said(), Foresight::default());
            assert_eq!(scratch.names(), ["web.broken"]);
            assert_eq!(std::fs::read_to_string(folder.join("web.broken")).unwrap(), text);
            scratch.learn(&mut forecasts);
            forecasts.keep_all();
            assert_eq!(scratch.names(), ["db.json", "web.broken", "web.json"]);
            assert_eq!(scratch.begin().said().components().count(), 2, "a new one is begun");
            std::fs::remove_file(folder.join("db.json")).unwrap();
        }
    }

    #[test]
    fn findings_read_well() {
        let mut scratch = Scratch::new("findings");
        let mut forecasts = scratch.begin();
        scratch.learn(&mut forecasts);
        let (policy, host) = (&scratch.policy.clone(), &scratch.seen.host.clone());
        assert_eq!(forecasts.findings(policy, host), [], "nobody is told of while it learns");
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
        let texts: Vec<String> =
            forecasts.findings(policy, host).into_iter().map(|one| one.text).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].starts_with("the forecast of pids ("), "{texts:?}");
        assert!(texts[0].contains(" of db cannot be trusted: "), "{texts:?}");
        assert!(too_many(3).text.starts_with("3 components have no forecasts"));
    }
}
