//! What was done about leaks: told beforehand and afterwards, and kept over restarts of the daemon, so that no unit is restarted twice for
//! one leak and no hook called twice. Must not decide, and must not hold the start up.

use super::instance::Paths;
use super::kept::Kept;
use crate::config::{Mode, Policy};
use crate::cycle::State;
use crate::kernel::clock;
use crate::model::{
    Finding, FindingKind, Leak, LeakTier, MendBook, RestartEnd, RestartPlan, Restarted, Severity,
    Snapshot,
};
use crate::units::{CgroupPath, ComponentName, Span, Tick};
use jiff::{SignedDuration, Zoned};

/// Ten thousand components need less.
const LONGEST: u64 = 8 << 20;
const LOSS: &str = "a leak that is known may call its hook again, and restart its unit sooner than restart-every says";
/// What came of a restart is told for so long.
const TOLD_FOR: Span = Span::secs(86_400);
/// How the time of a restart is told.
const WHEN: &str = "%H:%M:%S %Z";

/// The file, and up to which change it tells.
#[derive(Debug)]
pub(super) struct Mending {
    file: Kept,
    boot: String,
    marks: u64,
}

impl Mending {
    /// Gives `state` what an earlier daemon did in this boot. In another boot everything was started anew.
    pub(super) fn begin(paths: &Paths, boot: String, state: &mut State) -> Self {
        Self::at(paths, boot, state, clock::now())
    }

    fn at(paths: &Paths, boot: String, state: &mut State, now: Tick) -> Self {
        let file = Kept::new(paths.state.join("mending.json"), LONGEST, LOSS);
        let is_past = |book: &MendBook| {
            let mut lasts = book.components.values().filter_map(|memory| memory.last.as_ref());
            lasts.all(|last| last.at <= now)
        };
        if let Some(book) = file.read(read).filter(|book| book.boot == boot && is_past(book)) {
            state.steering.remember_mends(&book.components);
        }
        Self { file, boot, marks: state.steering.mended() }
    }

    /// Writes what is known now, if that is not what was written.
    pub(super) fn keep(&mut self, state: &State) {
        let marks = state.steering.mended();
        if marks == std::mem::replace(&mut self.marks, marks) {
            return;
        }
        let (version, boot) = (MendBook::VERSION, self.boot.clone());
        let book = MendBook { version, boot, components: state.steering.mends() };
        self.file.write(serde_json::to_string(&book));
    }
}

fn read(bytes: &[u8]) -> Result<MendBook, String> {
    let book: MendBook = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let (is, wanted) = (book.version, MendBook::VERSION);
    if is != wanted {
        return Err(format!("its version is {is}, and this provost reads {wanted}"));
    }
    Ok(book)
}

/// What is to be told of restarts: those that come, and what came of the last ones.
pub(super) fn findings(policy: &Policy, state: &State, seen: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    for component in policy.components.values() {
        let Some(view) = state.mending(policy, seen, component) else { continue };
        let name = &component.name;
        let announced = |next: &RestartPlan| announced(name, next, policy.mode, seen.at);
        findings.extend(view.next.as_ref().map(announced));
        let leak = state.estimator.leak(name).filter(|leak| leak.tier > LeakTier::Growth);
        let last = view.last.filter(|last| seen.at.since(last.at) < TOLD_FOR || leak.is_some());
        findings.extend(last.map(|last| restarted(name, &last, leak.as_ref(), seen.at)));
    }
    findings
}

fn finding(severity: Severity, name: &ComponentName, path: &CgroupPath, text: String) -> Finding {
    let (component, at) = (Some(name.clone()), Some(path.clone()));
    Finding { severity, kind: FindingKind::Restart, component, at, text }
}

/// A restart that comes, or would come.
fn announced(name: &ComponentName, next: &RestartPlan, mode: Mode, now: Tick) -> Finding {
    let left = whole(next.due.since(now));
    let when = clock_time(&clock::zoned(), left);
    let (unit, radius) = (next.at.name(), next.radius);
    let text = match mode {
        Mode::Enforce => format!(
            "{unit} will be restarted at {when}, in {left}, for the leak of {name}, unless that ends before; {radius} end with it. To prevent \
             it, write on-leak = \"reclaim\" and \"provost reload\", or \"provost enforce off\""
        ),
        Mode::Observe => format!(
            "{unit} would be restarted at {when} for the leak of {name}: nothing is done while provost observes only"
        ),
    };
    finding(Severity::Warning, name, &next.at, text)
}

/// What came of a restart, and whether it was of use.
fn restarted(name: &ComponentName, last: &Restarted, leak: Option<&Leak>, now: Tick) -> Finding {
    let (unit, ago) = (last.path.name(), whole(now.since(last.at)));
    let before = last.per_hour;
    let (severity, text) = match (&last.end, leak) {
        (None, _) => (
            Severity::Info,
            format!("{unit} is being restarted for the leak of {name}, since {ago}"),
        ),
        (Some(RestartEnd::Failed { why }), _) => (
            Severity::Error,
            format!(
                "the restart of {unit} for the leak of {name} came to nothing {ago} ago: {why}"
            ),
        ),
        (Some(RestartEnd::Done), Some(leak)) => (
            Severity::Warning,
            format!(
                "{name} leaks again: {unit} was restarted for that {ago} ago, when it grew by {before} an hour; now it grows by {}",
                leak.per_hour
            ),
        ),
        (Some(RestartEnd::Done), None) => (
            Severity::Info,
            format!(
                "{unit} was restarted {ago} ago for a leak of {before} an hour; {name} was not seen to leak since"
            ),
        ),
    };
    finding(severity, name, &last.path, text)
}

/// The time on the host's clocks after so long.
fn clock_time(now: &Zoned, left: Span) -> String {
    let micros = i64::try_from(left.0).unwrap_or(i64::MAX);
    let then = now.checked_add(SignedDuration::from_micros(micros));
    then.map_or_else(|_| "a time far away".to_owned(), |then| then.strftime(WHEN).to_string())
}

/// To a second: nobody reads more.
const fn whole(span: Span) -> Span {
    Span(span.0 / 1_000_000 * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MendMemory, Radius};
    use crate::testing::sample_leak;
    use crate::units::Bytes;

    const NOW: Tick = Tick(7_300_000_000);

    struct Scratch(Paths);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("provost-mending-{name}-{}", std::process::id());
            let state = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&state).unwrap();
            Self(Paths { run: state.clone(), state })
        }

        fn begun(&self, boot: &str, now: Tick) -> (Mending, State) {
            let mut state = State::default();
            (Mending::at(&self.0, boot.to_owned(), &mut state, now), state)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0.state);
        }
    }

    fn last(end: Option<RestartEnd>) -> Restarted {
        let path = CgroupPath::new("system.slice/web.service");
        Restarted { at: Tick(100_000_000), path, per_hour: Bytes::mebi(60), end }
    }

    fn done() -> State {
        let mut state = State::default();
        let memory = MendMemory { told: true, last: Some(last(Some(RestartEnd::Done))) };
        state.steering.remember_mends(&[("web".parse().unwrap(), memory)].into());
        state
    }

    #[test]
    fn what_was_done_is_known_again_in_the_same_boot_alone() {
        let scratch = Scratch::new("kept");
        let (mut mending, empty) = scratch.begun("a", NOW);
        assert_eq!(empty.steering.mends(), [].into());
        mending.keep(&done());
        assert!(!scratch.0.state.join("mending.json").exists(), "nothing changed");
        mending.marks = 9;
        mending.keep(&done());
        assert_eq!(scratch.begun("a", NOW).1.steering.mends(), done().steering.mends());
        for (boot, now) in [("b", NOW), ("a", Tick(99_000_000))] {
            assert_eq!(scratch.begun(boot, now).1.steering.mends(), [].into(), "{boot}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_set_aside() {
        let scratch = Scratch::new("aside");
        let path = scratch.0.state.join("mending.json");
        let future = r#"{"version":2,"boot":"a","components":{}}"#;
        for text in ["{", "", future] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(scratch.begun("a", NOW).1, State::default(), "{text}");
            let aside = scratch.0.state.join("mending.broken");
            assert_eq!(std::fs::read_to_string(aside).unwrap(), text);
        }
    }

    #[test]
    fn restarts_are_told_before_and_after() {
        let name = "web".parse().unwrap();
        let failed = RestartEnd::Failed { why: "systemd refused".to_owned() };
        let radius = Radius { tasks: Some(12), held: Bytes::mebi(1536) };
        let at = last(None).path;
        let next = RestartPlan { at, due: Tick(NOW.0 + 58_400_000), radius };
        let leak = sample_leak();
        let mut told = Vec::new();
        for mode in [Mode::Enforce, Mode::Observe] {
            // The time of day is that of the test.
            let finding = announced(&name, &next, mode, NOW);
            let time = clock_time(&clock::zoned(), Span::ZERO);
            let shown: String =
                finding.text.split(" at ").nth(1).unwrap().chars().take(8).collect();
            assert_eq!(shown.split(':').count(), time.split(':').count(), "{}", finding.text);
            told.push(Finding { text: finding.text.replace(&shown, "HH:MM:SS"), ..finding });
        }
        for (end, leak) in [
            (None, Some(&leak)),
            (Some(failed), Some(&leak)),
            (Some(RestartEnd::Done), Some(&leak)),
            (Some(RestartEnd::Done), None),
        ] {
            told.push(restarted(&name, &last(end), leak, NOW));
        }
        let zone = clock::zoned().strftime("%Z").to_string();
        let lines = told.iter().map(|one| format!("{} {}", one.severity, one.text));
        let lines: Vec<String> = lines.map(|line| line.replace(&zone, "UTC")).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn the_time_of_a_restart_is_that_of_the_clock() {
        let now: Zoned = "2026-03-04T23:59:30[UTC]".parse().unwrap();
        assert_eq!(clock_time(&now, Span::secs(90)), "00:01:00 UTC");
        assert_eq!(clock_time(&now, Span(u64::MAX)), "a time far away");
    }
}
