//! Hooks and watchdogs beside systemd: the shipped sandbox lets a hook run in a scope of its own, and who feeds a watchdog runs on.

use crate::common::{Unit, run, within};
use crate::shipped::{Installed, journal, provost, systemctl};
use provost::kernel::systemd::{BlockingSystemd, Deadlines, SystemdError};
use provost::units::Span;
use std::time::Duration;

const DROPIN: &str = "/etc/systemd/system/provost.service.d/hooks.conf";
const WITHIN: Duration = Duration::from_secs(120);

/// A line of `/proc/meminfo`, in MiB.
fn meminfo(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// A protected service, and a low one that leaves so many thousandths of memory available, beside what `beside` says in a shell.
fn press(left: u64, properties: &[&str], beside: &str) -> (Unit, Unit) {
    let web = Unit::start("test-web.service", &[], &["sleep", "infinity"]);
    let spare = meminfo("MemTotal") * left / 1000;
    let taken = meminfo("MemAvailable").saturating_sub(spare);
    let script = format!("dd if=/dev/zero of=/dev/null bs={taken}M & {beside}");
    let hog = Unit::start("test-hog.service", properties, &["sh", "-c", &script]);
    assert!(
        within(WITHIN, || meminfo("MemAvailable") <= spare + 16),
        "{}",
        meminfo("MemAvailable")
    );
    (web, hog)
}

fn config(hook: &str) -> String {
    format!(
        "mode = \"enforce\"\n[reserve]\nmemory = \"64M\"\n\
         [component.web]\npriority = \"high\"\nmatch = {{ unit = \"test-web.service\" }}\n\
         [component.hog]\npriority = \"low\"\nmatch = {{ unit = \"test-hog.service\" }}\n{hook}"
    )
}

fn explained() -> String {
    provost(&["explain", "hog"]).stdout
}

#[test]
fn a_hook_needs_its_drop_in_and_runs_in_a_scope_of_its_own() {
    let script = "id -u; cat /proc/self/cgroup; env; grep CapEff /proc/self/status";
    let installed = Installed::new(&config(&format!(
        "hook = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"], user = \"alice\" }}\n"
    )));
    installed.start();
    let told = |text: &str| text.contains("will not be started") && text.contains("hooks.conf");
    assert!(within(WITHIN, || told(&explained())), "{}", explained());
    let share = "/usr/share/provost/hooks.conf";
    run("install", &["-D", "-m", "644", share, DROPIN]).ok();
    systemctl(&["daemon-reload"]).ok();
    systemctl(&["restart", "provost"]).ok();
    assert!(
        within(WITHIN, || explained().contains("hog") && !told(&explained())),
        "{}",
        explained()
    );
    let _both = press(80, &[], "wait");
    assert!(
        within(WITHIN, || explained().contains("hook: done")),
        "{}\n{}",
        explained(),
        journal()
    );
    let log = journal();
    assert!(log.contains("said: \"1000\\n"), "{log}");
    assert!(log.contains("/provost-agent.slice/provost.hook-hog.scope"), "{log}");
    assert!(log.contains("PROVOST_COMPONENT=hog"), "{log}");
    assert!(log.contains("CapEff:\u{fffd}0000000000000000"), "{log}");
}

#[test]
fn a_unit_with_a_short_watchdog_runs_on() {
    let installed = Installed::new(&config(""));
    installed.start();
    let feeds = "while :; do systemd-notify WATCHDOG=1; sleep 2; done";
    let (_web, hog) = press(42, &["WatchdogSec=30", "NotifyAccess=all"], feeds);
    // A systemd that is too slow to answer under such pressure leaves it running as well.
    let left = "system.slice/test-hog.service does not stand still: ";
    // Others give memory back meanwhile; so much as is critical is taken again.
    let mut ballast = Vec::new();
    let refused = within(WITHIN, || {
        let more = meminfo("MemAvailable").saturating_sub(meminfo("MemTotal") * 42 / 1000);
        ballast.push(vec![1_u8; usize::try_from(more << 20).unwrap()]);
        explained().contains(left)
    });
    assert!(refused, "{}\n{}", explained(), journal());
    for _ in 0..12 {
        assert_eq!(hog.knob("cgroup.freeze").as_deref(), Some("0"));
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(hog.show("ActiveState"), "active", "{}", journal());
}

#[test]
fn what_a_unit_says_of_its_watchdog_is_read() {
    let feeds = ["sh", "-c", "while :; do systemd-notify WATCHDOG=1; sleep 2; done"];
    let watched = ["WatchdogSec=30", "NotifyAccess=all"];
    let _watched = Unit::start("test-watched.service", &watched, &feeds);
    let _plain = Unit::start("test-plain.service", &[], &["sleep", "infinity"]);
    let mut systemd = BlockingSystemd::new(Deadlines::default()).unwrap();
    assert_eq!(systemd.watchdog("test-watched.service").unwrap(), Some(Span::secs(30)));
    assert_eq!(systemd.watchdog("test-plain.service").unwrap(), None);
    let missing = systemd.watchdog("test-nobody.service");
    assert!(matches!(missing, Err(SystemdError::NoSuchUnit { .. })), "{missing:?}");
}
