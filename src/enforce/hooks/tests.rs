//! What a hook is given and how its end is judged; what it may do is shown in `tests/kernel`.

use super::*;
use crate::model::Level;
use crate::units::{CgroupId, CgroupRef, Ppm};
use std::sync::mpsc::channel;

const LEVEL: Level = Level::Critical;
const WAITS: Ppm = Ppm::percent(34);

fn relief() -> Relief {
    let at = CgroupRef { path: CgroupPath::new("system.slice/app.service"), id: CgroupId(7) };
    let means = Means::Tell { level: LEVEL, waits: WAITS };
    Relief { component: "app".parse().unwrap(), at, means, because: String::new() }
}

fn call() -> Call {
    Call {
        hook: Hook {
            command: vec!["/bin/true".to_owned()],
            user: "www-data".to_owned(),
            timeout: Span::secs(10),
            from: Level::Warning,
        },
        whose: "app".to_owned(),
        name: "app".to_owned(),
        variables: variables(&relief()),
        by_systemd: false,
        mount: PathBuf::from("/nowhere"),
    }
}

#[test]
fn the_variables_are_the_documented_ones() {
    let variables = call().variables;
    let text: Vec<String> =
        variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let wanted = [
        "PROVOST_COMPONENT=app",
        "PROVOST_RESOURCE=memory",
        "PROVOST_CGROUP=system.slice/app.service",
        "PROVOST_LEVEL=critical",
        "PROVOST_PRESSURE=34",
    ];
    assert_eq!(text, wanted);
}

#[test]
fn a_hook_knows_a_leak_by_its_variables() {
    let mut relief = relief();
    relief.means = Means::TellOfLeak {
        tier: crate::model::LeakTier::Fast,
        per_hour: Bytes::mebi(3),
        until_limit: Span::millis(5_400_900),
    };
    let variables: BTreeMap<_, _> = variables(&relief).into_iter().collect();
    let of = |name| variables.get(name).map(String::as_str);
    assert_eq!(of("PROVOST_LEAK"), Some("fast"));
    assert_eq!(of("PROVOST_LEVEL"), Some("critical"));
    assert_eq!(of("PROVOST_LEAK_BYTES_PER_HOUR"), Some("3145728"));
    assert_eq!(of("PROVOST_LEAK_LIMIT_SECONDS"), Some("5400"));
    assert_eq!(of("PROVOST_COMPONENT"), Some("app"));
    assert_eq!(of("PROVOST_PRESSURE"), None);
}

#[test]
fn no_component_has_the_group_of_a_hook() {
    let unit = call().unit();
    assert_eq!(unit, "provost.hook-app.scope");
    assert!(unit.parse::<ComponentName>().is_err());
}

#[test]
fn only_an_end_with_zero_is_as_it_should_be() {
    let call = call();
    assert_eq!(call.judged(End::Exited(0)), Verdict::Applied);
    for (end, word) in [
        (End::Exited(3), "status 3"),
        (End::Signalled(11), "signal 11"),
        (End::TimedOut, "killed after 10s"),
    ] {
        let Verdict::Refused { advice, .. } = call.judged(end) else { panic!("{end:?}") };
        assert!(advice.contains(word), "{advice}");
    }
}

#[test]
fn what_it_wrote_cannot_disturb_a_terminal() {
    assert_eq!(shown(b"freed 3 MiB\nof \x1b[31m9\r\n\n"), "freed 3 MiB\nof \u{fffd}[31m9");
    assert_eq!(shown(b"\xff"), "\u{fffd}");
}

#[test]
fn one_runs_at_a_time_and_none_without_a_configuration() {
    let call = call();
    let begin = |hooks: &Hooks| hooks.begin(&relief(), (call.mount.clone(), false));
    let advice = |verdict| match verdict {
        Verdict::Refused { advice, .. } => advice,
        Verdict::Applied | Verdict::Clipped { .. } | Verdict::Gone => panic!("it was begun"),
    };
    let mut hooks = Hooks::default();
    assert!(advice(begin(&hooks)).contains("no hook"));
    let (tell, told) = channel();
    hooks.known.insert(relief().component, call.hook.clone());
    hooks.tell = Some(tell);
    lock(&hooks.running).insert(relief().component);
    assert!(advice(begin(&hooks)).contains("still runs"));
    lock(&hooks.running).clear();
    assert_eq!(begin(&hooks), Verdict::Applied);
    let WorkerResult::Outcome(ended) = told.recv().unwrap() else { panic!("no outcome") };
    assert!(advice(ended.verdict).contains("not started"), "there is no such tree");
    assert!(lock(&hooks.running).is_empty());
    let others = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| name.parse().unwrap());
    lock(&hooks.running).extend(others);
    assert!(advice(begin(&hooks)).contains("8 hooks"));
}
