//! A service that leaks: it is restarted by systemd, after that was announced, and only where nobody else goes with it.
//!
//! A leak takes hours to be found. So what was found is put where a daemon of before would have kept it.

use crate::common::{Unit, figure, run, until, within};
use crate::shipped::{Installed, journal, provost};
use provost::kernel::clock;
use provost::model::{
    Leak, LeakBook, LeakEvidence, LeakLimit, LeakMemory, LeakPart, LeakTier, LeakTierMemory,
};
use provost::units::{Bytes, CgroupId, Ppm, Span};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

const CONFIG: &str = "mode = \"enforce\"\n[component.web]\nmatch = { unit = \"test-web.service\" }\n\
                      memory = { ceiling = \"128M\", on-leak = \"restart\" }\n";
/// A restart is announced for a minute, and systemd of an emulated guest takes its time.
const WITHIN: Duration = Duration::from_secs(150);
const PART: Span = Span::secs(120);

fn service(name: &str, more: &str) -> Unit {
    let text = format!("[Unit]\n{more}\n[Service]\nExecStart=sleep infinity\n");
    let unit = Unit::install(name, &text);
    run("systemctl", &["start", name]).ok();
    unit
}

/// Leaves the finding that a service leaks fast.
fn found(unit: &Unit) {
    let folder = Path::new("/sys/fs/cgroup").join(unit.cgroup());
    let id = CgroupId(std::fs::metadata(folder).unwrap().ino());
    let now = clock::now();
    let said = Leak {
        tier: LeakTier::Fast,
        since: now,
        at: now,
        held: Bytes::mebi(60),
        per_hour: Bytes::mebi(600),
        limit: LeakLimit::Own(Bytes::mebi(128)),
        until_limit: Span::secs(3000),
        evidence: LeakEvidence {
            parts: 30,
            part: PART,
            slope_t_centi: 900,
            order_z_centi: 700,
            least_per_hour: Ppm::percent(50),
            curve_t_centi: 0,
        },
    };
    let tier = LeakTierMemory {
        next: now.0 / PART.0,
        parts: vec![LeakPart { held_kib: 60 << 10, load_millicpu: 1 }],
        examined: 9,
        against: 0,
        said: Some(said),
    };
    let memory = LeakMemory { homes: vec![id], tiers: vec![tier], slopes: Vec::new() };
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let book = LeakBook {
        version: LeakBook::VERSION,
        boot: boot.trim().to_owned(),
        components: [("web".parse().unwrap(), memory)].into(),
    };
    std::fs::create_dir_all("/var/lib/provost").unwrap();
    std::fs::write("/var/lib/provost/leaks.json", serde_json::to_string(&book).unwrap()).unwrap();
}

/// The explanation as one line, since texts are wrapped.
fn explained() -> String {
    let text = provost(&["explain", "web"]).stdout;
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_leaking_service_is_restarted_once_after_that_was_announced() {
    let web = service("test-web.service", "");
    let before = web.main_pid();
    let installed = Installed::new(CONFIG);
    found(&web);
    let began = Instant::now();
    installed.start();
    until("it is announced", || {
        explained().contains("test-web.service will be restarted").then_some(())
    });
    assert!(provost(&["status"]).stdout.contains("end with it"), "{}", explained());
    assert!(
        within(WITHIN, || ![0, before].contains(&web.main_pid())),
        "{}\n{}",
        explained(),
        journal()
    );
    let took = began.elapsed();
    figure("leaking: restarted after", format!("{:.1} s", took.as_secs_f64()));
    assert!(took > Duration::from_secs(60), "{took:?}");
    web.reaches("memory.max", "134217728");
    assert!(
        within(WITHIN, || explained().contains("was not seen to leak since")),
        "{}",
        explained()
    );
    let kept = std::fs::read_to_string("/var/lib/provost/mending.json").unwrap();
    assert!(kept.contains("done"), "{kept}");
    run("systemctl", &["stop", "provost"]).ok();
    found(&web);
    let again = web.main_pid();
    installed.start();
    until("the next is far away", || explained().contains("next, in 5h").then_some(()));
    assert!(explained().contains("leaks again"), "{}", explained());
    assert_eq!(web.main_pid(), again);
}

#[test]
fn a_service_that_others_are_bound_to_is_left_running_and_that_is_told() {
    let web = service("test-web.service", "");
    let shop = service("test-shop.service", "Requires=test-web.service\nAfter=test-web.service");
    let before = (web.main_pid(), shop.main_pid());
    let installed = Installed::new(CONFIG);
    found(&web);
    installed.start();
    let refused = "test-shop.service would be restarted with it";
    assert!(within(WITHIN, || explained().contains(refused)), "{}\n{}", explained(), journal());
    assert_eq!((web.main_pid(), shop.main_pid()), before);
    assert!(provost(&["status"]).stdout.contains("ERROR the restart of test-web.service"));
}
