//! The main job beside systemd, on real processes: limits through units, loose processes, drift, leaving.

use crate::guest::{Daemon, Unit, knob, knobs, sh, shell, text, wait_for};

const LOOSE: &str = "provost.slice/provost-low.slice/provost-loose.scope";

/// Every knob that systemd has a property for, and the two that it has none for.
const WEB: &str = r#"
[component.web]
priority = "critical"
match = { unit = "test-web.service" }
cpu = { guarantee = "0.25", ceiling = "0.5", burst = "20ms", affinity = "0" }
memory = { guarantee = "32M", high = "150M", ceiling = "200M", swap = "16M", oom = "group" }
pids = { ceiling = 50 }
"#;

const SLEEPER: &str = r#"
[component.loose]
priority = "low"
match = { exe = "/run/test-sleeper" }
cpu = { ceiling = "0.25" }
memory = { ceiling = "100M" }
"#;

fn sleeper() {
    sh("cp /usr/bin/sleep /run/test-sleeper");
}

fn web_is_limited(daemon: &Daemon, unit: &Unit) {
    let group = unit.group();
    for (file, value) in [
        ("memory.oom.group", "1"),
        ("memory.max", "209715200"),
        ("memory.high", "157286400"),
        ("memory.low", "33554432"),
        ("memory.min", "33554432"),
        ("memory.swap.max", "16777216"),
        ("cpu.max", "50000 100000"),
        ("cpu.max.burst", "20000"),
        ("cpuset.cpus", "0"),
        ("pids.max", "50"),
    ] {
        daemon.until(&group, file, value);
    }
}

#[test]
fn every_knob_of_a_unit_holds_though_its_controllers_were_off() {
    let unit = Unit::start("web", "sleep 1000");
    let daemon = Daemon::enforcing(WEB);
    web_is_limited(&daemon, &unit);
    assert!(knob(&unit.group(), "cpu.weight").parse::<u32>().unwrap() > 100);
    assert_eq!(knob("system.slice", "memory.low"), "33554432", "protection is carried up");
}

#[test]
fn a_disk_limit_given_by_a_mount_point_lands_on_the_whole_disk() {
    let disk = std::env::var("PROVOST_VM_DISK").unwrap();
    sh(&format!("mkdir -p /run/test-mount && mount {disk}1 /run/test-mount"));
    let unit = Unit::start("web", "sleep 1000");
    let daemon = Daemon::enforcing(
        "[component.web]\nmatch = { unit = \"test-web.service\" }\nio = { limits = [ { device = \"/run/test-mount\", write = \"2M\" } ] }\n",
    );
    let number = sh(&format!("lsblk -dno MAJ:MIN {disk} || stat -c '%Hr:%Lr' {disk}"));
    wait_for("io.max", || knob(&unit.group(), "io.max").contains("wbps=2097152"));
    assert!(
        knob(&unit.group(), "io.max").starts_with(number.trim()),
        "{}",
        knob(&unit.group(), "io.max")
    );
    drop(daemon);
    sh("umount /run/test-mount");
}

#[test]
fn a_unit_that_starts_later_and_one_that_restarts_are_limited() {
    let daemon = Daemon::enforcing(WEB);
    let unit = Unit::start("web", "sleep 1000");
    web_is_limited(&daemon, &unit);
    drop(unit);
    let unit = Unit::start("web", "sleep 1000");
    web_is_limited(&daemon, &unit);
}

#[test]
fn stopping_gives_every_value_back_and_leaves_no_drop_in() {
    let unit = Unit::start("web", "sleep 1000");
    sh(&format!("systemctl set-property --runtime {} MemoryHigh=300M", unit.0));
    let believed = format!(
        "systemctl show {} -p MemoryMax,MemoryLow,CPUQuotaPerSecUSec,TasksMax,MemoryHigh",
        unit.0
    );
    let (before, properties) = (knobs(&unit.group()), sh(&believed));
    let daemon = Daemon::enforcing(WEB);
    web_is_limited(&daemon, &unit);
    daemon.done(&["stop"]);
    let restored = |line: &str| match line.split_once('=') {
        // A controller that provost asked for may stay on for a while; then its knobs are at the kernel's defaults.
        Some((file, "absent")) => {
            let now = knob(&unit.group(), file);
            ["absent", "100", "max 100000", "0", "", "default 100"].contains(&now.as_str())
        }
        // A populated group may not lose its CPU list on these kernels; its parent's CPUs mean the same.
        Some(("cpuset.cpus", "")) => {
            let parents = knob("system.slice", "cpuset.cpus.effective");
            ["", parents.as_str()].contains(&knob(&unit.group(), "cpuset.cpus").as_str())
        }
        Some((file, value)) => knob(&unit.group(), file) == value,
        None => true,
    };
    for line in before.lines() {
        assert!(restored(line), "{line} before, {} after\n{}", knobs(&unit.group()), daemon.log());
    }
    assert_eq!(sh(&believed), properties);
    let left = sh(
        "find /run/systemd/system.control /run/systemd/transient -name '50-*.conf' 2>/dev/null || true",
    );
    let ours = left.lines().filter(|file| !file.contains("MemoryHigh")).count();
    assert_eq!(ours, 0, "{left}");
    assert_eq!(knob("system.slice", "memory.low"), "0");
}

#[test]
fn a_program_of_a_session_is_moved_and_the_session_stays() {
    sleeper();
    let daemon = Daemon::enforcing(SLEEPER);
    let mut session = std::process::Command::new("runuser")
        .args(["-l", "alice", "-c", "/run/test-sleeper 1000; true"])
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    daemon.until(LOOSE, "cpu.max", "25000 100000");
    wait_for("the process in the scope", || !knob(LOOSE, "cgroup.procs").is_empty());
    assert_eq!(knob(LOOSE, "memory.max"), "104857600");
    let sleeper = sh("pgrep -x test-sleeper").trim().to_owned();
    let shell_of_session = sh(&format!("ps -o ppid= -p {sleeper}")).trim().to_owned();
    let lives_in = |pid: &str| sh(&format!("cat /proc/{pid}/cgroup"));
    assert!(lives_in(&shell_of_session).contains("session-"), "{}", lives_in(&shell_of_session));
    daemon.done(&["stop"]);
    wait_for("the process back in its session", || lives_in(&sleeper).contains("session-"));
    sh("pkill -x test-sleeper");
    session.wait().unwrap();
}

#[test]
fn a_program_born_while_matching_is_placed_and_its_time_is_told() {
    sleeper();
    let daemon = Daemon::enforcing(SLEEPER);
    for _ in 0..5 {
        sh(
            "systemd-run --quiet --scope setsid -f /run/test-sleeper 1000 </dev/null >/dev/null 2>&1",
        );
        let placed = daemon.status()["escape"]["placed"].as_u64().unwrap();
        wait_for("a placement", || daemon.status()["escape"]["placed"].as_u64().unwrap() > placed);
    }
    let escape = daemon.status()["escape"].clone();
    println!("figure: exec to placed (microseconds): {escape}");
    assert!(escape["median"].as_u64().is_some(), "{escape}");
    sh("pkill -x test-sleeper");
}

#[test]
fn a_process_of_a_service_is_left_where_it_is() {
    sleeper();
    let unit = Unit::start("host", "exec /run/test-sleeper 1000");
    let daemon = Daemon::enforcing(SLEEPER);
    wait_for("the finding", || daemon.done(&["status"]).contains("test-host.service"));
    assert!(!knob(&unit.group(), "cgroup.procs").is_empty());
    assert_eq!(knob(LOOSE, "cgroup.procs"), "absent");
}

#[test]
fn run_starts_a_command_inside() {
    let daemon = Daemon::enforcing(
        "[component.loose]\npriority = \"low\"\nmatch = { exe = \"/nowhere\" }\nmemory = { ceiling = \"100M\" }\n",
    );
    let told = daemon.done(&["run", "loose", "--", "cat", "/proc/self/cgroup"]);
    assert!(told.trim_end().ends_with(LOOSE), "{told}");
    let unknown = daemon.verb(&["run", "nobody", "--", "true"]);
    assert_eq!(unknown.status.code(), Some(4), "{}", text(&unknown));
}

#[test]
fn what_a_daemon_reload_resets_is_written_again() {
    let unit = Unit::start("web", "sleep 1000");
    let daemon = Daemon::enforcing(WEB);
    web_is_limited(&daemon, &unit);
    sh("systemctl daemon-reload");
    // From systemd 255 on, the reset comes with the next operation on any unit.
    sh("systemd-run --quiet --wait --collect --unit test-other.service true");
    web_is_limited(&daemon, &unit);
    std::thread::sleep(std::time::Duration::from_secs(3));
    web_is_limited(&daemon, &unit);
    println!("figure: drift {}", daemon.status()["drift"]);
}

#[test]
fn another_writers_value_is_an_override_and_a_reset_is_not() {
    let unit = Unit::start("web", "sleep 1000");
    let daemon = Daemon::enforcing(WEB);
    web_is_limited(&daemon, &unit);
    sh(&format!("systemctl set-property --runtime {} MemoryMax=180M", unit.0));
    wait_for("the override", || daemon.done(&["status"]).contains("another writer set 180M"));
    assert_eq!(knob(&unit.group(), "memory.max"), "188743680", "not fought");
    std::fs::write(format!("/sys/fs/cgroup/{}/pids.max", unit.group()), "max").unwrap();
    daemon.until(&unit.group(), "pids.max", "50");
    daemon.done(&["reload"]);
    daemon.until(&unit.group(), "memory.max", "209715200");
}

#[test]
fn after_kill_nine_restore_puts_back_and_compares_first() {
    let unit = Unit::start("web", "sleep 1000");
    let mut daemon = Daemon::enforcing(WEB);
    web_is_limited(&daemon, &unit);
    daemon.kill();
    assert_eq!(knob(&unit.group(), "memory.max"), "209715200", "limits outlive the daemon");
    std::fs::write(format!("/sys/fs/cgroup/{}/pids.max", unit.group()), "77").unwrap();
    let account = daemon.done(&["restore"]);
    assert!(account.contains("pids.max: left: somebody else set 77"), "{account}");
    assert_eq!(knob(&unit.group(), "memory.max"), "max");
    assert_eq!(knob(&unit.group(), "memory.low"), "0");
    assert_eq!(daemon.done(&["restore"]).trim_end(), "nothing to give back");
}

#[test]
fn a_restarted_daemon_takes_up_what_the_killed_one_left() {
    let unit = Unit::start("web", "sleep 1000");
    let mut daemon = Daemon::enforcing(WEB);
    web_is_limited(&daemon, &unit);
    daemon.kill();
    daemon.start();
    web_is_limited(&daemon, &unit);
    let refused = daemon.verb(&["restore"]);
    assert!(text(&refused).contains("another provost runs"), "{}", text(&refused));
    daemon.done(&["enforce", "off"]);
    assert_eq!(knob(&unit.group(), "memory.max"), "max");
    daemon.done(&["enforce", "on"]);
    web_is_limited(&daemon, &unit);
}

#[test]
fn protected_units_are_untouched_whatever_the_configuration_says() {
    let groups = [
        "init.scope",
        "system.slice/dbus.service",
        "system.slice/systemd-logind.service",
        "system.slice/systemd-journald.service",
    ];
    let before = groups.map(knobs);
    let unit = Unit::start("web", "sleep 1000");
    let pids = knob(&unit.group(), "pids.max");
    let _daemon = Daemon::enforcing(
        "[component.all]\npriority = \"low\"\nmatch = { unit = \"*\" }\nmemory = { ceiling = \"500M\" }\npids = { ceiling = 300 }\n",
    );
    wait_for("a limit on an ordinary unit", || knob(&unit.group(), "pids.max") != pids);
    let holds_no_limit = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("memory.max") || line.starts_with("pids.max"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (group, before) in groups.iter().zip(before) {
        assert_eq!(holds_no_limit(&knobs(group)), holds_no_limit(&before), "{group}");
    }
}

#[test]
fn observing_writes_nothing() {
    let unit = Unit::start("web", "sleep 1000");
    let before = knobs(&unit.group());
    let mut daemon = Daemon::prepared(WEB);
    daemon.start();
    wait_for("a look", || daemon.done(&["status"]).contains("observing only"));
    assert_eq!(daemon.verb(&["plan", "--exit-code"]).status.code(), Some(2));
    assert_eq!(knobs(&unit.group()), before);
}

#[test]
fn a_bad_configuration_changes_nothing_and_says_why() {
    let unit = Unit::start("web", "sleep 1000");
    let daemon = Daemon::enforcing(WEB);
    web_is_limited(&daemon, &unit);
    daemon.configure("mode = \"enforce\"\n[component.web]\nmemry = 1\n");
    let failed = daemon.verb(&["reload"]);
    assert_eq!(failed.status.code(), Some(78), "{}", text(&failed));
    assert!(text(&failed).contains("memory"), "a suggestion: {}", text(&failed));
    web_is_limited(&daemon, &unit);
    assert_eq!(daemon.verb(&["check"]).status.code(), Some(78));
}

#[test]
fn a_stopped_bus_stalls_nothing() {
    let unit = Unit::start("web", "sleep 1000");
    let daemon = Daemon::enforcing(WEB);
    web_is_limited(&daemon, &unit);
    sh("pkill -STOP -x dbus-daemon");
    let answered = daemon.verb(&["status"]);
    std::fs::write(format!("/sys/fs/cgroup/{}/memory.oom.group", unit.group()), "0").unwrap();
    daemon.until(&unit.group(), "memory.oom.group", "1");
    sh("pkill -CONT -x dbus-daemon");
    assert!(answered.status.success(), "{}", text(&answered));
}

#[test]
fn the_shipped_unit_starts_reloads_and_stops() {
    let share = std::env::var("PROVOST_SHARE").unwrap();
    sh(&format!("bash {share}/scripts/install --binary {}", crate::guest::provost()));
    let unit = Unit::start("web", "sleep 1000");
    std::fs::write("/etc/provost/config.toml", WEB).unwrap();
    sh("systemctl start provost.service");
    assert!(sh("provost status").contains("observing only"));
    sh("provost enforce on");
    wait_for("a limit from inside the sandbox", || {
        knob(&unit.group(), "memory.max") == "209715200"
    });
    sh("systemctl reload provost.service");
    std::fs::write("/etc/provost/config.toml", "nonsense = 1\n").unwrap();
    assert!(!shell("systemctl reload provost.service").status.success());
    assert_eq!(sh("systemctl is-active provost.service").trim_end(), "active");
    let pid = sh("systemctl show -P MainPID provost.service");
    std::fs::write("/etc/provost/config.toml", WEB).unwrap();
    sh(&format!("kill -9 {pid}"));
    wait_for("a new daemon", || {
        let now = sh("systemctl show -P MainPID provost.service");
        now != pid && now.trim() != "0" && shell("provost status").status.success()
    });
    assert_eq!(knob(&unit.group(), "memory.max"), "209715200");
    sh("systemctl stop provost.service");
    assert_eq!(knob(&unit.group(), "memory.max"), "max");
    assert_eq!(sh("find /run/systemd/system.control -name '50-*' 2>/dev/null || true"), "");
    std::fs::write("/etc/provost/config.toml", "nonsense = 1\n").unwrap();
    assert!(!shell("systemctl start provost.service").status.success());
    assert_eq!(sh("systemctl show -P ExecMainStatus provost.service").trim_end(), "78");
    sh(&format!(
        "bash {share}/scripts/uninstall --purge; systemctl reset-failed provost.service 2>/dev/null; true"
    ));
    let _slices = shell(
        "for s in provost-agent provost-low provost-normal provost-high provost-critical provost; do systemctl stop $s.slice; done 2>/dev/null",
    );
}
