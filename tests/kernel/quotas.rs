//! What `provost set-quota` gives for a while: in the kernel until its time is over or it is taken back, whatever becomes of the daemon and of
//! the configuration meanwhile.

use crate::common::{Agent, World, eventually, text};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use provost::model::{Controller, QuotaKey};
use std::path::PathBuf;

/// Sets the guest's clock on the wall ahead; nothing else here looks at it.
fn hours_later(hours: i64) {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
    let later = TimeSpec::new(now.tv_sec() + hours * 3600, 0);
    clock_settime(ClockId::CLOCK_REALTIME, later).unwrap();
}

/// A service with a ceiling of CPU and of memory, and a provost that keeps both.
struct Case {
    agent: Agent,
    path: String,
    quota: PathBuf,
    max: PathBuf,
    /// Its groups go with it, after the daemon.
    _world: World,
}

impl Case {
    fn new(name: &str) -> Option<Self> {
        let mut world = World::new(name, &[Controller::Cpu, Controller::Memory])?;
        let web = world.group("web");
        world.sh(&web, "exec sleep 1000");
        let (quota, max) = (world.file(&web, "cpu.max"), world.file(&web, "memory.max"));
        let path = web.at().path.to_string();
        let agent = Agent::new(&world, "enforce", &components(&path, "0.5"));
        Some(Self { agent, path, quota, max, _world: world })
    }

    /// Waits until these are in the kernel.
    fn reaches(&self, what: &str, quota: &str, max: &str) {
        eventually(what, || text(&self.quota) == quota && text(&self.max) == max);
    }

    /// Does a verb that is refused.
    fn refused(&self, arguments: &[&str], exit: i32, why: &str) {
        let said = self.agent.say(arguments);
        assert!(said.exit == exit && said.err.contains(why), "{arguments:?}: {said:?}");
    }

    /// Does a verb.
    fn done(&self, arguments: &[&str]) -> String {
        let said = self.agent.say(arguments);
        assert_eq!(said.exit, 0, "{arguments:?}: {said:?}\n{}", self.agent.log());
        said.out
    }
}

fn components(path: &str, ceiling: &str) -> String {
    format!(
        "[component.web]\nmatch = {{ cgroup = \"/{}\" }}\ncpu.ceiling = \"{ceiling}\"\nmemory.ceiling = \"256M\"\n",
        path.trim_start_matches('/')
    )
}

const CONFIGURED: (&str, &str) = ("50000 100000", "268435456");
const GIVEN: (&str, &str) = ("100000 100000", "134217728");

#[test]
fn what_is_given_outlives_a_killed_daemon_and_ends_with_its_time() {
    let Some(mut case) = Case::new("quota") else { return };
    case.refused(&["set-quota", "web", "cpu.ceiling=1"], 3, "no daemon");
    case.agent.start();
    case.reaches("what is configured is written", CONFIGURED.0, CONFIGURED.1);
    case.refused(&["set-quota", "nobody", "cpu.ceiling=1"], 4, "web");
    case.refused(&["set-quota", "web", "cpu.ceilling=1"], 78, "did you mean `cpu.ceiling`?");
    case.refused(&["set-quota", "web", "cpu.guarantee=0.7"], 78, "is above `ceiling` 0.5");
    case.refused(&["set-quota", "web", "cpu.ceiling=1", "--for", "31d"], 2, "30d");
    case.refused(&["release", "web"], 1, "nothing from set-quota");
    let dry = case.done(&["set-quota", "web", "cpu.ceiling=1", "--dry-run"]);
    assert!(dry.contains("component web: cpu.ceiling: \"0.5\" -> \"1\""), "{dry}");
    assert!(case.agent.status().components[0].quotas.is_empty(), "nothing was done");
    let said =
        case.done(&["set-quota", "web", "cpu.ceiling=1", "memory.ceiling=128M", "--for", "1h"]);
    assert!(said.contains("memory.ceiling: \"256M\" -> \"128M\""), "{said}");
    case.reaches("what was given is written", GIVEN.0, GIVEN.1);
    let explained = case.done(&["explain", "web"]);
    for words in
        ["set-quota: cpu.ceiling = 1 until ", "provost release web", "cpu.ceiling, from set-quota"]
    {
        let flat = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{words} in {explained}");
    }
    let status = case.done(&["status"]);
    let told = "set-quota: web has cpu.ceiling = 1 and memory.ceiling = 128M until ";
    assert!(status.contains(told), "{status}");
    assert_eq!(case.agent.end(Signal::SIGKILL), None);
    case.reaches("a daemon that dies leaves it", GIVEN.0, GIVEN.1);
    case.agent.start();
    case.agent.settle();
    case.reaches("the next one keeps it", GIVEN.0, GIVEN.1);
    let keys: Vec<QuotaKey> =
        case.agent.status().components[0].quotas.iter().map(|view| view.key).collect();
    assert_eq!(keys, [QuotaKey::CpuCeiling, QuotaKey::MemoryCeiling]);
    hours_later(2);
    case.reaches("its time is over", CONFIGURED.0, CONFIGURED.1);
    let log = case.agent.log();
    assert!(log.contains("set-quota is over: component web: cpu.ceiling: "), "{log}");
    eventually("both are recorded", || {
        let events = case.agent.say(&["events"]).out;
        ["set-quota, until ", "set-quota is over: "].iter().all(|words| events.contains(words))
    });
    assert!(!case.agent.state_file("quotas.json").exists());
    assert_eq!(case.agent.end(Signal::SIGTERM), Some(0));
    case.reaches("given back", "max 100000", "max");
    // What is over while nobody runs is over when somebody does.
    case.agent.start();
    case.done(&["set-quota", "web", "cpu.ceiling=1", "--for", "1h"]);
    assert_eq!(case.agent.end(Signal::SIGTERM), Some(0));
    hours_later(2);
    case.agent.start();
    case.reaches("what is configured is written again", CONFIGURED.0, CONFIGURED.1);
    assert_eq!(case.agent.end(Signal::SIGTERM), Some(0));
}

#[test]
fn what_is_given_stays_over_a_reload_and_goes_by_a_word() {
    let Some(mut case) = Case::new("release") else { return };
    case.agent.start();
    case.reaches("what is configured is written", CONFIGURED.0, CONFIGURED.1);
    case.done(&["set-quota", "web", "cpu.ceiling=1", "--for", "1d"]);
    case.reaches("what was given is written", GIVEN.0, CONFIGURED.1);
    case.agent.configure("enforce", &components(&case.path, "0.4"));
    case.done(&["reload"]);
    case.agent.settle();
    case.reaches("it lies over any configuration", GIVEN.0, CONFIGURED.1);
    // A guarantee above what was given.
    let guarantee = components(&case.path, "1.5") + "cpu.guarantee = \"1.2\"\n";
    case.agent.configure("enforce", &guarantee);
    case.done(&["reload"]);
    case.reaches("what does not fit is left out", "150000 100000", CONFIGURED.1);
    let status = case.done(&["status"]);
    assert!(status.contains("left out"), "{status}");
    case.agent.configure("enforce", &components(&case.path, "0.4"));
    case.done(&["reload"]);
    case.reaches("and holds again when it fits", GIVEN.0, CONFIGURED.1);
    let said = case.done(&["release", "web"]);
    assert!(said.contains("cpu.ceiling: \"1\" -> \"0.4\""), "{said}");
    case.reaches("it was taken back", "40000 100000", CONFIGURED.1);
    assert!(!case.agent.state_file("quotas.json").exists());
    assert_eq!(case.agent.end(Signal::SIGTERM), Some(0));
}
